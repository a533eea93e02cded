# SPDX-License-Identifier: ISC
"""The portal: role credentials, accounts, roles, logout."""

import base64
import json
import re

from .message import Refusal
from .oidc import ACCOUNT_SCOPE


def get_role_credentials(state, request, values):
    token = _token(state, request, values)
    account = _account(values)
    role, user = values["roleName"], token.sign_in.user
    organisation = state.organisation
    if role not in organisation.roles_of(user, account):
        raise Refusal("ForbiddenException")
    life = state.options.role_life
    if life is None:
        life = organisation.roles[role].get("duration", 3600)
    key = state.make_key(account, organisation.role_name(account, role), user,
                         life, "GetRoleCredentials")
    return {"roleCredentials": {
        "accessKeyId": key.id, "secretAccessKey": key.secret,
        "sessionToken": key.token, "expiration": key.expires * 1000}}


def list_accounts(state, request, values):
    token = _token(state, request, values)
    rows = []
    for account in state.organisation.accounts_of(token.sign_in.user):
        row = {"accountId": account["id"], "accountName": account.get("name"),
               "emailAddress": account.get("email")}
        rows.append({k: v for k, v in row.items() if v is not None})
    return _page(state, "accountList", rows, values)


def list_account_roles(state, request, values):
    token = _token(state, request, values)
    account = _account(values)
    names = state.organisation.roles_of(token.sign_in.user, account)
    if not names:
        raise Refusal("ForbiddenException")
    rows = [{"roleName": name, "accountId": account} for name in names]
    return _page(state, "roleList", rows, values)


def logout(state, request, values):
    """Ends the sign-in session; role credentials live on."""
    _token(state, request, values).sign_in.ended = True


def _token(state, request, values):
    token = state.access.get(values["accessToken"])
    now = state.now()
    if (token is None or token.region != request.region or
            token.expires <= now or token.sign_in.ended or
            token.sign_in.expires <= now or
            (token.client.scopes and
             ACCOUNT_SCOPE not in token.client.scopes)):
        raise Refusal("UnauthorizedException")
    return token


def _account(values):
    if not re.fullmatch(r"\d{12}", values["accountId"]):
        raise Refusal("InvalidRequestException", "Invalid account ID")
    return values["accountId"]


def _page(state, name, rows, values):
    """One page; the token is opaque and only good for the same list."""
    start = 0
    if values.get("nextToken"):
        try:
            listed, start = json.loads(base64.b64decode(
                values["nextToken"], validate=True))
            if listed != [name, values.get("accountId")]:
                raise ValueError("of another list")
            start = int(start)
        except (ValueError, TypeError):
            raise Refusal("InvalidRequestException",
                          "Invalid next token") from None
    end = start + values.get("maxResults", state.options.page_size)
    value = {name: rows[start:end]}
    if end < len(rows):
        value["nextToken"] = base64.b64encode(json.dumps(
            [[name, values.get("accountId")], end]).encode()).decode()
    return value
