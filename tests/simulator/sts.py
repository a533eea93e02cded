# SPDX-License-Identifier: ISC
"""STS: GetCallerIdentity and AssumeRole, for whoever signed the request."""

import json
import re
import time

from .message import Refusal

CHAINED_LIMIT = 3600


def get_caller_identity(state, key, values):
    return {"UserId": key.user_id, "Account": key.account, "Arn": key.arn}


def assume_role(state, key, values):
    life = values.get("DurationSeconds", CHAINED_LIMIT)
    arn = values["RoleArn"]
    match = re.fullmatch(r"arn:[a-z-]+:iam::(\d{12}):role/(?:[\w+=,.@/-]*/)?"
                         r"([\w+=,.@-]+)", arn)
    if not match:
        raise Refusal("ValidationError", f"{arn} is invalid")
    # Every key here is a role's already, so each of these is chained.
    if life > CHAINED_LIMIT:
        raise Refusal("ValidationError", "The requested DurationSeconds "
                      "exceeds the 1 hour session limit for roles assumed by "
                      "role chaining")
    _trusted(state, key, arn, values)
    _well_formed(values.get("Policy"))
    account, name = match.groups()
    new = state.make_key(account, name, values["RoleSessionName"], life,
                         "AssumeRole")
    new.policy = values.get("Policy", "")
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(new.expires))
    value = {
        "Credentials": {"AccessKeyId": new.id, "SecretAccessKey": new.secret,
                        "SessionToken": new.token, "Expiration": stamp},
        "AssumedRoleUser": {"AssumedRoleId": new.user_id, "Arn": new.arn}}
    if "Policy" in values:
        value["PackedPolicySize"] = min(100, len(values["Policy"]) // 20)
    if "SourceIdentity" in values:
        value["SourceIdentity"] = values["SourceIdentity"]
    return value


def _well_formed(policy):
    if policy is None:
        return
    try:
        if "Statement" in json.loads(policy):
            return
    except (ValueError, TypeError):
        pass
    raise Refusal("MalformedPolicyDocument", "Syntax errors in policy.")


def _trusted(state, key, arn, values):
    """One text for every reason, as AWS does: it tells nothing of roles."""
    role = state.organisation.assumable.get(arn)
    trusts = role.get("trusts", []) if role else []
    wanted = role.get("external_id") if role else None
    if (("*" in trusts or key.account in trusts) and
            wanted in (None, values.get("ExternalId")) and
            ("TokenCode" in values or not (role or {}).get("mfa"))):
        return
    raise Refusal("AccessDenied", f"User: {key.arn} is not authorized to "
                  f"perform: sts:AssumeRole on resource: {arn}")
