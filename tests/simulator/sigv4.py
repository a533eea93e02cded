# SPDX-License-Identifier: ISC
"""Verifies AWS Signature Version 4 as the services do."""

import calendar
import hashlib
import hmac
import re
import time
import urllib.parse

from .message import Refusal

SKEW = 300
AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 +Credential=([^, ]+), *SignedHeaders=([^, ]+), *"
    r"Signature=([0-9a-f]{64})")


def verify(state, request, service):
    """The state.Key that signed the request; Refusal if it is not good."""
    text = request.header("Authorization")
    if text is None:
        raise Refusal("MissingAuthenticationToken",
                      "Request is missing Authentication Token")
    match = AUTHORIZATION.fullmatch(text.strip())
    if not match:
        raise Refusal("IncompleteSignature",
                      "Authorization header is not of the known form")
    credential, signed, signature = match.groups()
    scope = credential.split("/")
    if len(scope) != 5 or scope[4] != "aws4_request":
        raise Refusal("IncompleteSignature", "Credential must have 5 parts")
    key = _key(state, request, scope[0])
    stamp = _stamp(state, request, scope[1])
    _scope(request, scope, service)
    names = signed.split(";")
    _signed_enough(request, names)
    expected = _signature(key.secret, stamp, scope, request, names)
    if not hmac.compare_digest(expected, signature):
        raise Refusal("SignatureDoesNotMatch",
                      "The request signature we calculated does not match "
                      "the signature you provided. Check your AWS Secret "
                      "Access Key and signing method.")
    return key


def _key(state, request, number):
    key = state.keys.get(number)
    if key is None or request.header("X-Amz-Security-Token") != key.token:
        raise Refusal("InvalidClientTokenId", "The security token included "
                      "in the request is invalid.")
    if key.expires <= state.now():
        raise Refusal("ExpiredToken", "The security token included in the "
                      "request is expired")
    return key


def _stamp(state, request, day):
    stamp = request.header("X-Amz-Date", "")
    if not re.fullmatch(r"\d{8}T\d{6}Z", stamp) or stamp[:8] != day:
        raise Refusal("IncompleteSignature",
                      "Date must be in X-Amz-Date and in the scope")
    try:
        then = calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        raise Refusal("IncompleteSignature", "no such date") from None
    now = state.now()
    words = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    if then < now - SKEW:
        raise Refusal("SignatureDoesNotMatch", f"Signature expired: {stamp} "
                      f"is now earlier than {words} - 5 min.")
    if then > now + SKEW:
        raise Refusal("SignatureDoesNotMatch", "Signature not yet current: "
                      f"{stamp} is still later than {words} + 5 min.")
    return stamp


def _scope(request, scope, service):
    wanted = request.host_region()
    if scope[3] != service:
        raise Refusal("SignatureDoesNotMatch", "Credential should be scoped "
                      f"to correct service: '{service}'.")
    if (not re.fullmatch(r"[a-z]{2,4}(-[a-z]+)+-\d+", scope[2]) or
            wanted not in (None, scope[2])):
        raise Refusal("SignatureDoesNotMatch",
                      "Credential should be scoped to a valid region.")


def _signed_enough(request, names):
    present = {name.lower() for name, _ in request.headers}
    needed = {"host"} | {n for n in present if n.startswith("x-amz-")}
    missing = needed - set(names)
    if missing or names != sorted(names) or not set(names) <= present:
        raise Refusal("SignatureDoesNotMatch", "Signed headers are not those "
                      f"of the request: {', '.join(sorted(missing))}")


def _signature(secret, stamp, scope, request, names):
    canonical = "\n".join((
        request.method, urllib.parse.quote(request.path, safe="/-_.~%"),
        _query(request.query),
        *(f"{n}:{_value(request, n)}" for n in names), "",
        ";".join(names), hashlib.sha256(request.body).hexdigest()))
    text = "\n".join((
        "AWS4-HMAC-SHA256", stamp, "/".join(scope[1:]),
        hashlib.sha256(canonical.encode()).hexdigest()))
    key = ("AWS4" + secret).encode()
    for part in (*scope[1:], text):
        key = hmac.digest(key, part.encode(), "sha256")
    return key.hex()


def _value(request, name):
    return ",".join(" ".join(value.split()) for key, value in request.headers
                    if key.lower() == name)


def _query(query):
    pairs = urllib.parse.parse_qsl(query, keep_blank_values=True)
    quote = urllib.parse.quote
    return "&".join(sorted(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}"
                           for k, v in pairs))
