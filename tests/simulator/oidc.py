# SPDX-License-Identifier: ISC
"""sso-oidc: RegisterClient, StartDeviceAuthorization, CreateToken."""

import base64
import hashlib
import re
import secrets
import time
import urllib.parse

from .authorize import LOOPBACK
from .message import Refusal
from .state import SignIn

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
CODE_GRANT = "authorization_code"
GRANTS = {DEVICE_GRANT, "refresh_token", CODE_GRANT}
# RFC 7636, 4.1, has no "="; mairu, which is in use at AWS, sends some.
VERIFIER = r"[A-Za-z0-9._~=-]{43,128}"
ACCOUNT_SCOPE = "sso:account:access"
MOST_SCOPES = 25

# Clients count the interval from our answer, we from their request; a
# scheduler's whim between the two is no offence.
INTERVAL_GRACE = 0.1


def register_client(state, request, values):
    if values["clientType"] != "public":
        raise Refusal("InvalidClientMetadataException")
    scopes = values.get("scopes") or []
    if len(scopes) > MOST_SCOPES or not all(
            re.fullmatch(r"[a-z0-9]+:[A-Za-z0-9_:.-]+", s) for s in scopes):
        raise Refusal("InvalidScopeException")
    grants = values.get("grantTypes")
    if grants is not None:
        if not set(grants) <= GRANTS:
            raise Refusal("UnsupportedGrantTypeException")
        if {DEVICE_GRANT, CODE_GRANT} <= set(grants):
            # Seen with the real service; one registration per grant.
            raise Refusal("InternalServerException")
        if CODE_GRANT in grants:
            _check_redirects(state, values)
    client = state.make_client(values["clientName"], request.region, scopes,
                               grants, values.get("redirectUris") or ())
    issued = client.expires - int(state.options.registration_life)
    return {"clientId": client.id, "clientSecret": client.secret,
            "clientIdIssuedAt": issued,
            "clientSecretExpiresAt": client.expires}


def _check_redirects(state, values):
    """Where a browser may be sent back to, and whose people it is for."""
    uris = values.get("redirectUris")
    if not uris or not state.organisation.knows_url(
            values.get("issuerUrl", "")):
        raise Refusal("InvalidRequestException", "")
    for uri in map(urllib.parse.urlsplit, uris):
        if uri.scheme != "https" and not (uri.scheme == "http" and
                                          uri.hostname in LOOPBACK):
            raise Refusal("InvalidRedirectUriException")


def start_device_authorization(state, request, values):
    client = _client(state, request, values)
    if client.grants is not None and DEVICE_GRANT not in client.grants:
        raise Refusal("UnauthorizedClientException")
    # A region that is not the instance's does not say so: see approve.py.
    if not state.organisation.knows_url(values["startUrl"]):
        raise Refusal("InvalidRequestException", "")
    device = state.make_device(client)
    _set_urls(state, device)
    value = {"deviceCode": device.code, "userCode": device.user_code,
             "verificationUri": device.url,
             "expiresIn": int(state.options.device_life)}
    if device.url_complete:
        value["verificationUriComplete"] = device.url_complete
    if state.options.tell_interval:
        value["interval"] = state.options.interval
    return value


def _set_urls(state, device):
    device.url = f"{state.page_url}/start/#/device"
    if state.options.url == "long":
        device.url_complete = _long_url(state, device)
    elif state.options.url == "code":
        device.url = f"{state.page_url}/"
        device.url_complete = (
            f"{state.page_url}/?user_code={device.user_code}")


def _long_url(state, device):
    """Today's kind: no user code, an opaque state, longer than QR likes."""
    url = (f"{state.page_url}/platform/d-9967000000/login?"
           + urllib.parse.urlencode({"workflowStateHandle": device.handle})
           + "&state=")
    return url + secrets.token_urlsafe(
        state.options.url_length)[:max(0, state.options.url_length - len(url))]


def create_token(state, request, values):
    client = _client(state, request, values)
    grant = values["grantType"]
    if grant not in GRANTS:
        raise Refusal("UnsupportedGrantTypeException")
    if client.grants is not None and grant not in client.grants:
        raise Refusal("UnauthorizedClientException")
    if grant == DEVICE_GRANT:
        return _device_grant(state, client, values)
    if grant == CODE_GRANT:
        return _code_grant(state, client, values)
    return _refresh_grant(state, client, values)


def _client(state, request, values):
    client = state.clients.get(values["clientId"])
    if (client is None or client.secret != values["clientSecret"] or
            client.region != request.region or client.expires <= state.now()):
        raise Refusal("InvalidClientException")
    return client


def _device_grant(state, client, values):
    if "deviceCode" not in values:
        raise Refusal("InvalidRequestException")
    device = state.devices.get(values["deviceCode"])
    if device is None or device.client is not client or device.used:
        raise Refusal("InvalidGrantException")
    state.settle(device)
    if device.expires <= state.now():
        raise Refusal("ExpiredTokenException")
    if device.denied:
        raise Refusal("AccessDeniedException")
    _pace(state, device)
    if device.user is None:
        raise Refusal("AuthorizationPendingException")
    device.used = True
    sign_in = SignIn(device.user, state.now() + state.options.session_life)
    return _tokens(state, client, sign_in, None)


def _code_grant(state, client, values):
    if not {"code", "codeVerifier", "redirectUri"} <= values.keys():
        raise Refusal("InvalidRequestException")
    given = state.codes.get(values["code"])
    if given is None or given.client is not client or given.used:
        raise Refusal("InvalidGrantException")
    # One try is all there is, whatever becomes of it.
    given.used = True
    verifier = values["codeVerifier"]
    proof = base64.urlsafe_b64encode(hashlib.sha256(
        verifier.encode()).digest()).decode().rstrip("=")
    if (given.expires <= state.now() or given.back != values["redirectUri"] or
            not re.fullmatch(VERIFIER, verifier) or proof != given.challenge):
        raise Refusal("InvalidGrantException")
    sign_in = SignIn(given.user, state.now() + state.options.session_life)
    return _tokens(state, client, sign_in, None)


def slow_down(device):
    """RFC 8628 3.5: five seconds more, for this and all later polls."""
    device.interval += 5


def _pace(state, device):
    now, last = time.monotonic(), device.polled
    device.polled = now
    if (last is None or not state.options.enforce_interval or
            now - last >= device.interval - INTERVAL_GRACE):
        return
    if not device.hurried:
        # The CLI polls twice at once when it begins, and the real service
        # lets that pass.
        device.hurried = True
        return
    slow_down(device)
    raise Refusal("SlowDownException")


def _refresh_grant(state, client, values):
    if "refreshToken" not in values:
        raise Refusal("InvalidRequestException")
    token = state.refresh.get(values["refreshToken"])
    if (token is None or token.spent or token.client is not client or
            token.sign_in.ended or token.expires <= state.now() or
            token.sign_in.expires <= state.now()):
        raise Refusal("InvalidGrantException",
                      "Invalid refresh token provided")
    return _tokens(state, client, token.sign_in, token)


def _tokens(state, client, sign_in, old):
    options = state.options
    with_scopes = ACCOUNT_SCOPE in client.scopes
    access = state.make_access(
        sign_in, client,
        options.token_life if with_scopes else options.session_life)
    value = {"accessToken": access.value, "tokenType": "Bearer",
             "expiresIn": round(access.expires - state.now())}
    may_refresh = client.grants is None or "refresh_token" in client.grants
    if not with_scopes or not may_refresh:
        return value
    if old is None or options.refresh == "rotate":
        if old is not None:
            old.spent = True
        value["refreshToken"] = state.make_refresh(sign_in, client).value
    elif options.refresh == "keep":
        value["refreshToken"] = old.value
    return value
