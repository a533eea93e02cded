# SPDX-License-Identifier: ISC
"""Who there is: users, accounts, permission sets, roles to be assumed.

The file of --organisation is a JSON object:

    {"users": [{"name": "ann@example.com",
                "assignments": [{"account": "012345678901",
                                 "role": "ReadOnly"}]}],
     "accounts": [{"id": "012345678901", "name": "marketing",
                   "email": "marketing@example.com"}],
     "roles": [{"name": "ReadOnly", "duration": 3600}],
     "assumable": [{"arn": "arn:aws:iam::012345678901:role/Deploy",
                    "trusts": ["012345678901"], "external_id": null,
                    "max_duration": 3600}]}

`trusts` lists accounts, "*" for all; "mfa": true wants a TokenCode.
"""

import hashlib
import json

ACCOUNTS = [("marketing", "012345678901"), ("platform", "210987654321"),
            ("sandbox", "000000000042")]
ROLES = ["ReadOnly", "Developer", "Admin"]
EXTERNAL_ID = "example-external-id"


def partition_of(region):
    for prefix, partition in (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"),
                              ("eusc-", "aws-eusc")):
        if region.startswith(prefix):
            return partition
    return "aws"


def generate(accounts, roles, partition):
    names = ACCOUNTS + [(f"account-{n:04d}", f"{n * 7919:012d}")
                        for n in range(len(ACCOUNTS) + 1, accounts + 1)]
    names = names[:accounts]
    sets = (ROLES + [f"role-{n:04d}"
                     for n in range(len(ROLES) + 1, roles + 1)])[:roles]
    ids = [number for _, number in names]
    return {
        "users": [
            {"name": "ann@example.com",
             "assignments": [{"account": i, "role": r}
                             for i in ids for r in sets]},
            {"name": "bob@example.com",
             "assignments": [{"account": ids[0], "role": sets[0]}]}],
        "accounts": [{"id": number, "name": name,
                      "email": f"{name}@example.com"}
                     for name, number in names],
        "roles": [{"name": name, "duration": 3600} for name in sets],
        "assumable": [row for i in ids for row in _assumable(partition, i)],
    }


def _assumable(partition, account):
    arn = f"arn:{partition}:iam::{account}:role/"
    return [
        {"arn": arn + "Deploy", "trusts": ["*"], "max_duration": 43200},
        {"arn": arn + "External", "trusts": ["*"],
         "external_id": EXTERNAL_ID},
        {"arn": arn + "Locked", "trusts": []}]


class Organisation:
    def __init__(self, options):
        self.region = options.region
        self.start_url = options.start_url
        self.partition = partition_of(options.region)
        if options.organisation:
            with open(options.organisation, encoding="utf-8") as file:
                data = json.load(file)
        else:
            data = generate(options.accounts, options.roles, self.partition)
        self.accounts = data["accounts"]
        self.roles = {row["name"]: row for row in data["roles"]}
        self.assumable = {row["arn"]: row
                          for row in data.get("assumable", [])}
        # user -> (account, role) -> None; a dict keeps the order
        self.assignments = {
            user["name"]: {(a["account"], a["role"]): None
                           for a in user["assignments"]}
            for user in data["users"]}

    @property
    def users(self):
        return list(self.assignments)

    def account_id(self, name):
        for account in self.accounts:
            if name in (account["id"], account.get("name")):
                return account["id"]
        raise KeyError(f"no account {name}")

    def assign(self, user, account, role, remove=False):
        rows = self.assignments[user]
        key = (self.account_id(account), role)
        if remove:
            rows.pop(key, None)
        else:
            self.roles.setdefault(role, {"name": role, "duration": 3600})
            rows[key] = None

    def accounts_of(self, user):
        mine = {account for account, _ in self.assignments[user]}
        return [a for a in self.accounts if a["id"] in mine]

    def roles_of(self, user, account):
        return [r for a, r in self.assignments[user] if a == account]

    def knows_url(self, url):
        """AWS takes the portal's URL with or without its tails."""
        return _bare(url) == _bare(self.start_url)

    def role_name(self, account, permission_set):
        """IAM's name of the permission set's role in an account."""
        tail = hashlib.sha256(f"{account}/{permission_set}".encode())
        return f"AWSReservedSSO_{permission_set}_{tail.hexdigest()[:16]}"


def _bare(url):
    return url.split("#")[0].rstrip("/").lower()
