# SPDX-License-Identifier: ISC
"""The console's sign-in for role credentials: /federation, which is in no
model. It is reached by its real names only, through the proxy."""

import json
import urllib.parse
from html import escape

from .message import Answer
from .organisation import partition_of
from .pages import page

PATHS = ("/federation", "/oauth")
SIGNIN = {"aws": ("us-east-1", "signin.aws.amazon.com",
                  "console.aws.amazon.com"),
          "aws-cn": ("cn-north-1", "signin.amazonaws.cn",
                     "console.amazonaws.cn"),
          "aws-us-gov": ("us-gov-west-1", "signin.amazonaws-us-gov.com",
                         "console.amazonaws-us-gov.com"),
          "aws-eusc": ("", "signin.amazonaws-eusc.eu",
                       "console.amazonaws-eusc.eu")}


def hosts(region):
    """(sign-in, console) as a browser has them in that region."""
    home, *names = SIGNIN[partition_of(region)]
    return [name if region == home else f"{region}.{name}" for name in names]


def serve(state, request):
    host = request.header("Host", "").split(":")[0]
    if not any(host.endswith(row[1]) for row in SIGNIN.values()):
        return page(404, "Not found", "")
    asked = request.arguments()
    action = asked.get("Action")
    if request.path == "/oauth" and action == "logout":
        return page(200, "You are signed out", "")
    if request.method == "GET" and action == "getSigninToken":
        return _token(state, host, asked)
    if request.method == "GET" and action == "login":
        return _login(state, host, asked)
    return page(400, "Invalid request", "")


def _token(state, host, asked):
    """SessionDuration is refused: it fails with roles that were chained."""
    try:
        session = json.loads(asked.get("Session", ""))
        key = state.keys[session.pop("sessionId")]
        good = (session == {"sessionKey": key.secret,
                            "sessionToken": key.token} and
                key.expires > state.now() and ":assumed-role/" in key.arn)
    except (ValueError, KeyError, AttributeError, TypeError):
        good = False
    if not good or "SessionDuration" in asked:
        return page(400, "Bad request", "<p>Invalid credentials.</p>")
    return Answer(200, {"Content-Type": "application/json"}, json.dumps(
        {"SigninToken": state.make_signin(key, host)}).encode())


def _login(state, host, asked):
    key, where, expires = state.signins.get(
        asked.get("SigninToken"), (None, None, 0))
    there = urllib.parse.urlsplit(asked.get("Destination", ""))
    if (key is None or where != host or expires <= state.now() or
            not asked.get("Issuer") or there.scheme != "https" or
            there.hostname != _console(host)):
        return page(400, "Your session has expired", "")
    return page(200, "AWS console", f"<p>{escape(key.arn)}</p><p>"
                f"{escape(asked['Destination'])}</p>")


def _console(host):
    """The console's host that belongs to that of the sign-in."""
    for _, signin, console in SIGNIN.values():
        if host.endswith(signin):
            return host[:-len(signin)] + console
    return None
