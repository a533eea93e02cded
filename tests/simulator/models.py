# SPDX-License-Identifier: ISC
"""botocore's service models: what may be asked, what may be answered.

Debian 12's models are of 2022, Ubuntu's of 2021. What the services took on
since then, and the errors that they give though no model ever listed them,
stand in NEWER and UNMODELLED; nothing else may be asked or answered.
"""

import json
import re
import threading

STRINGS = {"shape": "NewerStrings"}
STRING = {"shape": "NewerString"}

NEWER = {
    "sso-oidc": {
        "input": {
            "RegisterClient": {
                "grantTypes": STRINGS, "redirectUris": STRINGS,
                "issuerUrl": STRING, "entitledApplicationArn": STRING},
            "CreateToken": {"codeVerifier": STRING}},
        "required": {
            # Until 2022 a device code was wanted from refreshers too.
            "CreateToken": ["clientId", "clientSecret", "grantType"]},
        "errors": {
            "RegisterClient": ["SlowDownException",
                               "UnsupportedGrantTypeException",
                               "InvalidRedirectUriException"]},
        "shapes": {"InvalidRedirectUriException": {
            "type": "structure", "exception": True,
            "members": {"error": {"shape": "Error"},
                        "error_description": {"shape": "ErrorDescription"}},
            "error": {"httpStatusCode": 400}}},
        "reason": ["AccessDeniedException", "InvalidRequestException"]},
    "sso": {}, "sts": {},
}

REST_COMMON = {"SerializationException": 400, "UnknownOperationException": 404,
               "MethodNotAllowedException": 405,
               "UnsupportedMediaTypeException": 415}

UNMODELLED = {
    "sso-oidc": {**REST_COMMON, "TooManyRequestsException": 429},
    "sso": {**REST_COMMON, "ForbiddenException": 403,
            "InternalServerException": 500},
    "sts": {"AccessDenied": 403, "InvalidClientTokenId": 403,
            "SignatureDoesNotMatch": 403, "ExpiredToken": 403,
            "MissingAuthenticationToken": 403, "IncompleteSignature": 400,
            "ValidationError": 400, "InvalidAction": 400,
            "MethodNotAllowedException": 405, "Throttling": 400,
            "ServiceUnavailable": 503, "InternalFailure": 500},
}

OPERATIONS = {
    "sso-oidc": ("RegisterClient", "StartDeviceAuthorization", "CreateToken"),
    "sso": ("GetRoleCredentials", "ListAccounts", "ListAccountRoles",
            "Logout"),
    "sts": ("GetCallerIdentity", "AssumeRole"),
}

SERVICE_OF = {operation: service for service, names in OPERATIONS.items()
              for operation in names}

_models = {}
_lock = threading.Lock()


def model(service):
    """The service's model, loaded when it is first needed."""
    with _lock:
        if service not in _models:
            # Importing botocore takes longer than all the rest of a start.
            import botocore.loaders
            import botocore.model
            raw = botocore.loaders.Loader().load_service_model(
                service, "service-2")
            _add_newer(raw, NEWER[service])
            _models[service] = botocore.model.ServiceModel(raw, service)
        return _models[service]


def _add_newer(raw, newer):
    shapes = raw["shapes"]
    shapes.setdefault("NewerString", {"type": "string"})
    shapes.setdefault("NewerStrings", {"type": "list", "member": STRING})
    shapes.update(newer.get("shapes", {}))
    for name, members in newer.get("input", {}).items():
        shape = raw["operations"][name]["input"]["shape"]
        for member, target in members.items():
            shapes[shape]["members"].setdefault(member, target)
    for name, members in newer.get("required", {}).items():
        shape = raw["operations"][name]["input"]["shape"]
        shapes[shape]["required"] = members
    for name, errors in newer.get("errors", {}).items():
        listed = raw["operations"][name].setdefault("errors", [])
        listed += [{"shape": error} for error in errors
                   if {"shape": error} not in listed]
    for name in newer.get("reason", ()):
        shapes[name]["members"].setdefault("reason", STRING)


def operation_model(operation):
    return model(SERVICE_OF[operation]).operation_model(operation)


def errors_of(operation):
    """{exception: HTTP status} of all that this operation may answer."""
    service = SERVICE_OF[operation]
    found = dict(UNMODELLED[service])
    for shape in operation_model(operation).error_shapes:
        code = shape.error_code if service == "sts" else shape.name
        found[code] = shape.metadata["error"]["httpStatusCode"]
    return found


# Values against shapes

def problems(shape, value, where="", strict=True, wire=True):
    """What is wrong with a value, as sentences. strict: unknown members are
    wrong and null is absent, as for answers. wire: names as on the wire."""
    check = {"structure": _structure, "list": _list}.get(shape.type_name)
    if check:
        return check(shape, value, where, strict, wire)
    return _scalar(shape, value, where or "value")


def _name(shape, member, wire):
    target = shape.members[member]
    return target.serialization.get("name", member) if wire else member


def _structure(shape, value, where, strict, wire):
    if not isinstance(value, dict):
        return [f"{where or 'body'}: not an object"]
    found = []
    known = {_name(shape, m, wire): m for m in shape.members}
    for name in shape.required_members:
        if value.get(_name(shape, name, wire)) is None:
            found.append(f"{where}{name}: missing")
    for name, inner in value.items():
        if name not in known:
            if strict:
                found.append(f"{where}{name}: unknown")
        elif inner is not None:
            found += problems(shape.members[known[name]], inner,
                              f"{where}{name}.", strict, wire)
    return found


def _list(shape, value, where, strict, wire):
    if not isinstance(value, list):
        return [f"{where}: not a list"]
    found = _range(shape, len(value), where)
    for number, inner in enumerate(value):
        found += problems(shape.member, inner, f"{where}{number}.", strict,
                          wire)
    return found


KINDS = {"string": str, "integer": int, "long": int, "boolean": bool,
         "timestamp": (str, int)}


def _scalar(shape, value, where):
    where = where.rstrip(".")
    kind = KINDS[shape.type_name]
    if not isinstance(value, kind) or (isinstance(value, bool) and
                                       kind is not bool):
        return [f"{where}: not of type {shape.type_name}"]
    if shape.type_name == "timestamp":
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", str(value)):
            return [f"{where}: not a timestamp"]
        return []
    if shape.type_name == "string":
        found = _range(shape, len(value), where)
        # Older ones leave it out of shape.metadata.
        pattern = shape._shape_model.get("pattern")
        if pattern and not re.fullmatch(_python(pattern), value):
            found.append(f"{where}: not like {pattern}")
        if shape.enum and value not in shape.enum:
            found.append(f"{where}: not one of {shape.enum}")
        return found
    bits = 31 if shape.type_name == "integer" else 63
    if kind is int and abs(value) >= 1 << bits:
        return [f"{where}: beyond a {shape.type_name}"]
    return _range(shape, value, where)


def _python(pattern):
    """The models' patterns are Java's; re knows no \\p{}."""
    return pattern.replace(r"\p{L}\p{Z}\p{N}", r"\w\s")


def _range(shape, number, where):
    found = []
    if number < shape.metadata.get("min", number):
        found.append(f"{where}: {number} is below {shape.metadata['min']}")
    if number > shape.metadata.get("max", number):
        found.append(f"{where}: {number} is above {shape.metadata['max']}")
    return found


# Requests

def read_request(operation, request):
    """(parameters, problems) of a request as it came. Members that no model
    knows are dropped, as AWS does; what cannot be read at all is None."""
    shape = operation_model(operation).input_shape
    if SERVICE_OF[operation] == "sts":
        return _read_query(shape, request)
    values = {}
    if request.method == "POST" and request.body:
        try:
            values = json.loads(request.body.decode())
        except (ValueError, RecursionError):
            return None, ["the body is not JSON"]
        if not isinstance(values, dict):
            return None, ["the body is not an object"]
        values = {k: v for k, v in values.items() if v is not None}
    for name, member in shape.members.items():
        place = member.serialization.get("location")
        wire = member.serialization.get("name", name)
        text = (request.arguments().get(wire) if place == "querystring" else
                request.header(wire) if place == "header" else None)
        if place:
            values.pop(name, None)
        if text is not None:
            values[name] = typed(member, text)
    values = {k: v for k, v in values.items() if k in shape.members}
    return values, problems(shape, values, strict=False, wire=False)


def typed(shape, text):
    if shape.type_name in ("integer", "long"):
        return int(text) if re.fullmatch(r"-?\d{1,18}", text) else text
    return text


def _read_query(shape, request):
    pairs = request.form()
    values = {}
    if shape is not None:
        for name, member in shape.members.items():
            value = _unflatten(member, name, pairs)
            if value is not None:
                values[name] = value
        return values, problems(shape, values, strict=False, wire=False)
    return values, []


def _unflatten(shape, prefix, pairs):
    if shape.type_name == "structure":
        inner = {name: _unflatten(member, f"{prefix}.{name}", pairs)
                 for name, member in shape.members.items()}
        inner = {k: v for k, v in inner.items() if v is not None}
        return inner or None
    if shape.type_name == "list":
        found = []
        while True:
            value = _unflatten(shape.member,
                               f"{prefix}.member.{len(found) + 1}", pairs)
            if value is None:
                return found or None
            found.append(value)
    text = pairs.get(prefix)
    return None if text is None else typed(shape, text)
