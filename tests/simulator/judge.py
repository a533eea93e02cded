# SPDX-License-Identifier: ISC
"""Judges our own answers: could AWS have said that?"""

import json
import re
import xml.etree.ElementTree

from . import models


def answer_problems(operation, answer):
    """Why AWS could not have given this answer; [] if it could. Looks at
    the bytes alone, so that it judges the writing too."""
    try:
        if models.SERVICE_OF[operation] == "sts":
            found = _xml_problems(operation, answer)
        else:
            found = _json_problems(operation, answer)
    except (ValueError, RecursionError, OverflowError,
            xml.etree.ElementTree.ParseError) as error:
        found = [f"the body cannot be read: {error}"]
    if "Date" not in answer.headers:
        found.append("no Date header")
    return found


def _error_problems(operation, code, status):
    known = models.errors_of(operation)
    if code not in known:
        return [f"{operation} cannot answer {code}"]
    if status != known[code]:
        return [f"{code} has HTTP status {known[code]}, not {status}"]
    return []


def _json_problems(operation, answer):
    output = models.operation_model(operation).output_shape
    if answer.status == 200 and output is None:
        return ["a body where none belongs"] if answer.body else []
    if answer.headers.get("Content-Type") != "application/json":
        return ["the content type is not JSON"]
    body = json.loads(answer.body.decode(), object_pairs_hook=_once)
    if not isinstance(body, dict):
        return ["the body is not an object"]
    if answer.status == 200:
        return models.problems(output, body) + _sense_problems(operation, body)
    code = (answer.headers.get("x-amzn-ErrorType") or
            body.get("__type", "")).split(":")[0].split("#")[-1]
    found = _error_problems(operation, code, answer.status)
    for shape in models.operation_model(operation).error_shapes:
        if shape.name == code:
            plain = {k: v for k, v in body.items() if k != "__type"}
            found += models.problems(shape, plain)
            if "error" in shape.members and not body.get("error"):
                found.append("error: missing")
    return found


def _once(pairs):
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a member twice")
    return value


# What the model leaves open, though no answer without it makes sense.
NEEDED = {
    "RegisterClient": ("clientId", "clientSecret", "clientIdIssuedAt",
                       "clientSecretExpiresAt"),
    "StartDeviceAuthorization": ("deviceCode", "userCode", "verificationUri",
                                 "expiresIn"),
    "CreateToken": ("accessToken", "tokenType", "expiresIn"),
    "GetRoleCredentials": ("roleCredentials",),
    "ListAccounts": ("accountList",),
    "ListAccountRoles": ("roleList",),
    "GetCallerIdentity": ("UserId", "Account", "Arn"),
    "AssumeRole": ("Credentials", "AssumedRoleUser"),
}


LONGEST = 90 * 86400        # a sign-in session, at most

PRINTABLE = {
    "clientId", "clientSecret", "deviceCode", "userCode", "accessToken",
    "refreshToken", "accessKeyId", "secretAccessKey", "sessionToken",
    "accountId", "roleName", "AccessKeyId", "SecretAccessKey",
    "SessionToken", "Account"}


def _texts(value):
    """(name, text) of all strings however deep."""
    if isinstance(value, list):
        value = dict(enumerate(value))
    for name, inner in value.items():
        if isinstance(inner, (dict, list)):
            yield from _texts(inner)
        elif isinstance(inner, str):
            yield str(name), inner


def _sense_problems(operation, value):
    found = [f"{name}: missing" for name in NEEDED[operation]
             if value.get(name) is None]
    found += [f"{name}: not printable ASCII" for name, text in _texts(value)
              if name in PRINTABLE and not re.fullmatch(r"[!-~]+", text)]
    found += [f"{name}: not a URL" for name, text in _texts(value)
              if "Uri" in name and not re.match(r"https?://[!-~]+$", text)]
    life = value.get("expiresIn")
    if isinstance(life, int) and not 0 < life <= LONGEST:
        found.append("expiresIn: not a time to live")
    keys = value.get("roleCredentials")
    if isinstance(keys, dict):
        found += [f"roleCredentials.{name}: missing" for name in
                  ("accessKeyId", "secretAccessKey", "sessionToken",
                   "expiration") if keys.get(name) is None]
        if isinstance(keys.get("expiration"), int) and \
                keys["expiration"] < 10**12:
            found.append("roleCredentials.expiration: not milliseconds")
    return found


def _xml_problems(operation, answer):
    if answer.headers.get("Content-Type") != "text/xml":
        return ["the content type is not XML"]
    space = "{" + models.model("sts").metadata["xmlNamespace"] + "}"
    if b"<!" in answer.body:
        return ["a document type"]
    root = xml.etree.ElementTree.fromstring(answer.body)
    if answer.status != 200:
        error = root.find(f"{space}Error")
        if root.tag != f"{space}ErrorResponse" or error is None:
            return ["no Error element"]
        return _error_problems(operation, error.findtext(f"{space}Code"),
                               answer.status)
    output = models.operation_model(operation).output_shape
    wrapper = output.serialization["resultWrapper"]
    result = root.find(space + wrapper)
    if root.tag != f"{space}{operation}Response" or result is None:
        return [f"no {wrapper} element"]
    value = _from_xml(output, result, space)
    return models.problems(output, value) + _sense_problems(operation, value)


def _from_xml(shape, element, space):
    if shape.type_name != "structure":
        return models.typed(shape, element.text or "")
    value = {}
    for child in element:
        name = child.tag.replace(space, "")
        if name in value:
            raise ValueError("an element twice")
        member = shape.members.get(name)
        value[name] = (child.text if member is None else
                       _from_xml(member, child, space))
    return value
