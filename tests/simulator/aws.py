# SPDX-License-Identifier: ISC
"""The services together: which operation, faults, checks, answer."""

import json
import traceback

from . import authorize, faults, federation, judge, models, oidc, portal, sigv4, sts, wire
from .message import Answer, Refusal

ROUTES = {
    "/client/register": ("sso-oidc", "POST", "RegisterClient"),
    "/device_authorization": ("sso-oidc", "POST",
                              "StartDeviceAuthorization"),
    "/token": ("sso-oidc", "POST", "CreateToken"),
    "/federation/credentials": ("sso", "GET", "GetRoleCredentials"),
    "/assignment/accounts": ("sso", "GET", "ListAccounts"),
    "/assignment/roles": ("sso", "GET", "ListAccountRoles"),
    "/logout": ("sso", "POST", "Logout"),
}

HANDLERS = {
    "RegisterClient": oidc.register_client,
    "StartDeviceAuthorization": oidc.start_device_authorization,
    "CreateToken": oidc.create_token,
    "GetRoleCredentials": portal.get_role_credentials,
    "ListAccounts": portal.list_accounts,
    "ListAccountRoles": portal.list_account_roles,
    "Logout": portal.logout,
    "GetCallerIdentity": sts.get_caller_identity,
    "AssumeRole": sts.assume_role,
}

API_VERSION = "2011-06-15"
SIMULATOR_BUG = 599


class Aws:
    def __init__(self, state, ledger):
        self.state = state
        self.ledger = ledger
        self.faults = faults.Faults()
        self.urls = {}

    def serve(self, request, link):
        request.region = request.host_region() or request.region
        if request.path == "/authorize":    # a browser's, and no operation
            with self.state.lock:
                link.answer(authorize.begin(self.state, request))
            return
        if request.path in federation.PATHS:
            with self.state.lock:
                link.answer(federation.serve(self.state, request))
            return
        service, operation, refused = self._route(request)
        row = self.ledger.begin(operation, request)
        row["port"] = link.port
        try:
            self.ledger.wait(operation, "before")
            answer = self._decide(service, operation, request, refused, row)
            self.ledger.wait(operation, "after")
            row["error"] = answer.error
            row["status"] = answer.status or None
            row["gone"] = link.gone()
            if answer.send:
                link.answer(answer)
        finally:
            self.ledger.end(row, request)
        # Who has the answer finds it in the record: so this comes last.
        if not answer.send:
            link.answer(answer)

    def _decide(self, service, operation, request, refused, row):
        fault = self.faults.pick(operation)
        row["fault"] = fault and fault.kind
        answer = fault and faults.instead(fault, operation, request, self)
        if answer is None:
            answer = self._answer(service, operation, request, refused, fault,
                                  row)
            if fault:
                answer = faults.spoil(fault, answer)
        return answer

    def _route(self, request):
        """(service, operation or None, Refusal or None)."""
        if request.path in ROUTES:
            service, method, operation = ROUTES[request.path]
            if request.method != method:
                return service, None, Refusal("MethodNotAllowedException",
                                              "Method not allowed")
            return service, operation, None
        if request.path != "/":
            return "sso", None, Refusal("UnknownOperationException")
        if request.method != "POST":
            return "sts", None, Refusal("MethodNotAllowedException",
                                        "Method not allowed")
        form = request.form()
        operation = form.get("Action")
        if (operation not in models.OPERATIONS["sts"] or
                form.get("Version") != API_VERSION):
            return "sts", None, Refusal(
                "InvalidAction", f"Could not find operation {operation} for "
                f"version {form.get('Version')}")
        return "sts", operation, None

    def _answer(self, service, operation, request, refused, fault, row):
        """The real answer, and our own judgement of it."""
        changed = fault and fault.kind == "change"
        try:
            try:
                if refused:
                    raise refused
                value = self._perform(service, operation, request, row)
                if changed:
                    value = faults.change(fault, value)
                answer = wire.success(operation, value, self.state.now())
            except Refusal as error:
                answer = wire.refusal(service, operation, error,
                                      self.state.now())
            found = []
            if operation and not (changed and fault.unchecked):
                found = judge.answer_problems(operation, answer)
        except Exception:  # a mistake of ours must be seen, not retried
            found = traceback.format_exc().splitlines()
        if found:
            self.ledger.bug(operation, found)
            body = {"simulator_bug": found}
            answer = Answer(SIMULATOR_BUG, wire.headers(self.state.now()),
                            json.dumps(body).encode(), "simulator_bug")
        return answer

    def _perform(self, service, operation, request, row):
        kind = request.header("Content-Type", "").split(";")[0].lower()
        if service == "sso-oidc" and kind not in ("", "application/json"):
            raise Refusal("UnsupportedMediaTypeException",
                          f"{kind} is not JSON")
        with self.state.lock:
            who = request
            if service == "sts":
                who = sigv4.verify(self.state, request, "sts")
            values, found = models.read_request(operation, request)
            if found:
                row["refused"] = found
                raise self._bad_request(service, request, values, found)
            return HANDLERS[operation](self.state, who, values)

    @staticmethod
    def _bad_request(service, request, values, found):
        if values is None:
            return Refusal("SerializationException", found[0])
        if service == "sts":
            return Refusal("ValidationError", f"{len(found)} validation "
                           "error(s) detected: " + "; ".join(found))
        if service == "sso" and "accessToken" not in values:
            return Refusal("UnauthorizedException")
        return Refusal("InvalidRequestException")
