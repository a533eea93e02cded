# SPDX-License-Identifier: ISC
"""The authorization code with PKCE, as far as a browser sees it: /authorize
of sso-oidc, which is in no model, and the page where the person decides.

Who comes with a client or an address to go back to that are not registered
gets an error here; everything else is told to the program by a redirect."""

import re
import urllib.parse
from html import escape

from .message import Answer
from .pages import form, page

CHALLENGE = r"[A-Za-z0-9_-]{43}"    # SHA-256, base64url, no padding
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def begin(state, request):
    """GET /authorize: off to the page, or back, or an error."""
    asked = request.arguments()
    if request.method != "GET":
        return page(405, "Method not allowed", "")
    client = state.clients.get(asked.get("client_id"))
    back = asked.get("redirect_uri", "")
    if (client is None or client.region != request.region or
            client.expires <= state.now()):
        return page(400, "invalid_client", "")
    if not any(same_place(back, known) for known in client.redirects):
        return page(400, "invalid_redirect_uri", "")
    error = _problem(client, asked)
    if error:
        return _back(back, error=error, state=asked.get("state"))
    begun = state.make_authorization(client, back, asked["state"],
                                     asked["code_challenge"])
    return Answer(302, {"Location": f"{state.page_url}/authorize?" +
                        urllib.parse.urlencode({"handle": begun.handle})}, b"")


def _problem(client, asked):
    scopes = (asked.get("scopes") or asked.get("scope") or "").split()
    if asked.get("response_type") != "code":
        return "unsupported_response_type"
    if "authorization_code" not in (client.grants or ()):
        return "unauthorized_client"
    if not asked.get("state") or asked.get("code_challenge_method") != "S256":
        return "invalid_request"
    if not re.fullmatch(CHALLENGE, asked.get("code_challenge", "")):
        return "invalid_request"
    if not scopes or not set(scopes) <= set(client.scopes):
        return "invalid_scope"
    return None


def same_place(asked, registered):
    """A loopback address is registered without its port: RFC 8252, 7.3."""
    a, r = urllib.parse.urlsplit(asked), urllib.parse.urlsplit(registered)
    if r.hostname in LOOPBACK and r.port is None:
        return ((a.scheme, a.hostname, a.path, a.query, a.fragment) ==
                (r.scheme, r.hostname, r.path, r.query, r.fragment) and
                not a.username)
    return asked == registered


def _back(where, **arguments):
    values = {k: v for k, v in arguments.items() if v is not None}
    return Answer(302, {"Location": f"{where}?" +
                        urllib.parse.urlencode(values),
                        "Cache-Control": "no-store"}, b"")


def show(state, handle):
    authorization = state.authorizations.get(handle)
    over = _over(state, authorization)
    if over:
        return over
    inner = (f"<p>{escape(authorization.client.name)} asks for access to your "
             "AWS accounts.</p><input type=\"hidden\" name=\"handle\" "
             f'value="{escape(handle)}">')
    return page(200, "Allow access?", form(
        inner, state.organisation.users, "/authorize"))


def _over(state, authorization):
    if authorization is None or authorization.decided:
        return page(404, "Not found", "<p>No such request.</p>")
    if authorization.expires <= state.now():
        return page(400, "Request expired", "")
    return None


def decide(state, answer):
    authorization = state.authorizations.get(answer.get("handle"))
    over = _over(state, authorization)
    if over:
        return over
    user = answer.get("user") or state.organisation.users[0]
    if user not in state.organisation.users:
        return page(400, f"No user {user}", "")
    if authorization.client.region != state.organisation.region:
        return page(400, "invalid_grant: Invalid grant provided", "")
    authorization.decided = True
    if answer.get("action") == "deny":
        return _back(authorization.back, error="access_denied",
                     state=authorization.state)
    code = state.make_code(authorization, user)
    return _back(authorization.back, code=code, state=authorization.state)
