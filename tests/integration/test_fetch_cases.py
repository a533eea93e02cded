# SPDX-License-Identifier: ISC
"""The shared cases: what AWS might answer, judged by botocore and by us.

A small server gives good answers to all operations but the one of the case.
What botocore reads must come out of awsenv-fetch with the same values, what
it calls an error must be told by the same name, and what it cannot read must
not be taken for an answer. Where we differ on purpose, DIFFERENT says why.
"""

import calendar
import concurrent.futures
import http.server
import threading
import time
import urllib.parse

import pytest

import wire
from fetcher import Fetcher, creds, ref, tok
from simulator import cases

CASES = {case["name"]: case for case in cases.load()}
GOOD = {
    "RegisterClient": "register",
    "StartDeviceAuthorization": "device authorization, no complete URL",
    "CreateToken": "token with refresh token",
    "GetRoleCredentials": "role credentials",
    "ListAccounts": "accounts, one page",
    "ListAccountRoles": "roles, one page",
    "Logout": "logout",
    "GetCallerIdentity": "caller",
    "AssumeRole": "assumed role",
}
PATHS = {
    "/client/register": "RegisterClient", "/token": "CreateToken",
    "/device_authorization": "StartDeviceAuthorization",
    "/federation/credentials": "GetRoleCredentials",
    "/assignment/accounts": "ListAccounts",
    "/assignment/roles": "ListAccountRoles", "/logout": "Logout",
}

# name of a case: what awsenv makes of it instead, and why
DIFFERENT = {
    "pending, header with a namespace":
        ({"error": "AuthorizationPendingException"}, "Debian's botocore keeps the "
         "namespace in a header; newer ones cut it off as we do"),
    "pending, header lost on the way":
        ({"error": "authorization_pending"}, "the body says it as well"),
    "STS answer with a DTD of entities":
        ({"unreadable": None}, "we expand no entities but XML's own"),
}

# What has no name is a number for botocore; for us, the same answer from
# AWS (429, 5xx) or from something else that stands in the way.
TROUBLE = ("429", "500", "502", "503", "504")
THROTTLED = ("Throttling", "TooManyRequestsException", "SlowDownException")


class Server:
    """Answers as bytes, by operation; remembers what was asked."""

    def __init__(self, case):
        self.answers = {op: CASES[name] for op, name in GOOD.items()}
        self.answers[case["operation"]] = case
        self.asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            do_GET = do_POST = lambda handler: self._answer(handler)

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def __enter__(self):
        self.thread = threading.Thread(
            target=self.http.serve_forever, args=(0.01,))
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()

    def _answer(self, handler):
        body = handler.rfile.read(int(handler.headers["Content-Length"] or 0))
        parts = urllib.parse.urlsplit(handler.path)
        query = dict(urllib.parse.parse_qsl(parts.query or body.decode()))
        operation = PATHS.get(parts.path) or query["Action"]
        self.asked.append((operation, query))
        if operation.startswith("List") and "next_token" in query:
            case = CASES["accounts, none" if operation == "ListAccounts"
                         else "roles, none"]
        else:
            case = self.answers[operation]
        handler.send_response_only(case["status"])
        for name, value in case["headers"].items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(cases.body(case))))
        handler.end_headers()
        handler.wfile.write(cases.body(case))


# How each operation is reached: the answers of one conversation.

def login(fetch):
    with fetch.order("FETCH_LOGIN", waiting=1) as talk:
        return talk.answers()


WAYS = {
    "RegisterClient": login,
    "StartDeviceAuthorization": login,
    "CreateToken": lambda f: [f.ask("FETCH_REFRESH", ref=ref())],
    "GetRoleCredentials": lambda f: [f.role(tok(), "012345678901", "R")],
    "ListAccounts": lambda f: [f.role(tok(), "marketing", "R")],
    "ListAccountRoles": login,
    "Logout": lambda f: [f.ask("FETCH_LOGOUT", tok=tok())],
    "GetCallerIdentity": lambda f: [f.ask("FETCH_IDENTITY", creds=creds())],
    "AssumeRole": lambda f: [f.role(
        tok(), "012345678901", "R",
        chain=[{"role_arn": "arn:aws:iam::012345678901:role/Deploy"}])],
}


# What awsenv must have made of the values that botocore read.

def skew(answer):
    return answer.skew - (1 << 32) * (answer.skew >> 31)


def epoch(text):
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


def word(value, most=16384):
    """A string that may go into a header or before a person's eyes."""
    return (isinstance(value, str) and 0 < len(value) <= most and
            all("!" <= c <= "~" for c in value))


def register_ok(value, answers, server):
    asked = dict(server.asked[1:2])
    assert asked, "the registration was not used"
    return all(word(value.get(k)) for k in ("clientId", "clientSecret"))


def start_ok(value, answers, server):
    url = value.get("verificationUriComplete") or value.get("verificationUri")
    return (word(value.get("deviceCode")) and word(value.get("userCode"), 64)
            and word(url, 2048) and url.startswith("https://"))


def token_ok(value, answers, server):
    if not (word(value.get("accessToken")) and
            isinstance(value.get("expiresIn"), int)):
        return False
    sealed = wire.decode("MSG_TOK", answers[0].tok)
    kept = wire.decode("MSG_REF", answers[0].ref)
    assert sealed.access_token.decode() == value["accessToken"]
    assert kept.refresh_token.decode() == (
        value.get("refreshToken") or "aorEXAMPLE")
    return True


def creds_match(members, expires, answer):
    values = dict(zip(("access_key", "secret_key", "session_token"), members))
    if not all(word(v) for v in values.values()) or not isinstance(
            expires, int) or not 0 < expires < 1 << 50:
        return False
    sealed = wire.decode("MSG_CREDS", answer.creds)
    for name, value in values.items():
        assert sealed[name].decode() == value
    assert sealed.expires == answer.creds_expires == expires - skew(answer)
    assert answer.access_key.decode() == values["access_key"]
    return True


def role_ok(value, answers, server):
    c = value.get("roleCredentials") or {}
    expires = c.get("expiration")
    return creds_match(
        [c.get(k) for k in ("accessKeyId", "secretAccessKey", "sessionToken")],
        expires // 1000 if isinstance(expires, int) else expires, answers[0])


def assumed_ok(value, answers, server):
    c = value.get("Credentials", {})
    return creds_match(
        [c.get(k) for k in ("AccessKeyId", "SecretAccessKey", "SessionToken")],
        epoch(c["Expiration"]), answers[0])


def accounts_ok(value, answers, server):
    """One account of that name, or a refusal that names what there is."""
    found = [a for a in value["accountList"] if a.get("accountName") ==
             "marketing" and isinstance(a["accountId"], str)]
    if found:
        assert answers[0].account.decode() == found[0]["accountId"]
    return bool(found)


def roles_ok(value, answers, server):
    """The first role is what a person is named by."""
    roles = [r["roleName"] for r in value["roleList"]]
    asked = [q for op, q in server.asked if op == "GetRoleCredentials"]
    assert [q["role_name"] for q in asked] == roles[:1]
    assert bool(answers[-1].person) == bool(roles)
    return True


def identity_ok(value, answers, server):
    assert answers[0].arn.decode() == value["Arn"]
    assert answers[0].user_id.decode() == value["UserId"]
    assert answers[0].account.decode() == value["Account"]
    return True


READ = {
    "RegisterClient": register_ok, "StartDeviceAuthorization": start_ok,
    "CreateToken": token_ok, "GetRoleCredentials": role_ok,
    "ListAccounts": accounts_ok, "ListAccountRoles": roles_ok,
    "Logout": lambda *_: True, "GetCallerIdentity": identity_ok,
    "AssumeRole": assumed_ok,
}


def check_value(case, value, answers, server):
    """Taken with these values, or there is something missing in them."""
    good = answers[-1].error == wire.AW_OK
    if not value and case["operation"] not in ("Logout", "ListAccountRoles"):
        assert not good
        return
    usable = READ[case["operation"]](value, answers, server)
    assert good == usable, (answers[-1], value)


def check_error(case, name, answers):
    """The right kind of refusal, told with the name that AWS gave it."""
    last = answers[-1]
    text = last.text.decode()
    if case["operation"] == "ListAccountRoles":
        assert last.error == wire.AW_OK and not last.person
    elif name == "UnauthorizedException":
        assert last.error == (wire.AW_OK if case["operation"] == "Logout"
                              else wire.AW_TOKEN)
    elif case["status"] >= 500 or name in THROTTLED or name in TROUBLE:
        assert last.error == wire.AW_NETWORK
        assert f"HTTP {case['status']}" in text
    elif name.isdigit() or name == "Unknown":
        assert last.error == wire.AW_NETWORK and "not AWS" in text
    elif case["operation"] == "CreateToken" and name in (
            "ExpiredTokenException", "InvalidClientException",
            "InvalidGrantException", "UnauthorizedClientException",
            "UnsupportedGrantTypeException"):
        assert last.error == wire.AW_GRANT
    else:
        assert last.error == wire.AW_AWS
        assert name in text or any(phrase in text for phrase in (
            "no access to role", "there is no role", "not allowed to assume",
            "have run out", "STS is not active", "the login was refused"))


def run(case):
    with Server(case) as server:
        fetch = Fetcher(oidc=server.url, portal=server.url, sts=server.url)
        return WAYS[case["operation"]](fetch), server


@pytest.fixture(scope="module")
def outcomes():
    """All at once: what is tried three times waits between the times."""
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        return dict(zip(CASES, pool.map(run, CASES.values())))


@pytest.mark.parametrize("name", CASES)
def test_case(name, outcomes, monkeypatch):
    monkeypatch.setenv("TZ", "UTC")     # botocore: a time without a zone
    case = CASES[name]
    answers, server = outcomes[name]
    verdict = cases.botocore_verdict(case)
    if name in DIFFERENT:
        verdict = DIFFERENT[name][0]
    if "value" in verdict:
        check_value(case, verdict["value"], answers, server)
    elif "error" in verdict:
        check_error(case, verdict["error"], answers)
    else:
        assert answers[-1].error == wire.AW_NETWORK


def test_there_is_no_exception_for_a_case_that_is_gone():
    assert set(DIFFERENT) <= set(CASES)
