# SPDX-License-Identifier: ISC
"""Writes answers the way each service does."""

import email.utils
import json
import uuid
from xml.sax.saxutils import escape

from . import models
from .message import Answer

# How the real services word their errors, where that was ever seen.
OIDC_WORDS = {
    "AuthorizationPendingException": (
        "authorization_pending", "Authorization is still pending"),
    "SlowDownException": ("slow_down", "Slow down"),
    "ExpiredTokenException": ("expired_token", "Device code has expired"),
    "AccessDeniedException": ("access_denied", "Access denied"),
    "InvalidGrantException": ("invalid_grant", "Invalid grant provided"),
    "InvalidClientException": ("invalid_client", "Invalid client provided"),
    "UnauthorizedClientException": (
        "unauthorized_client", "Client is not authorized for this grant"),
    "UnsupportedGrantTypeException": (
        "unsupported_grant_type", "Grant type is not supported"),
    "InvalidScopeException": ("invalid_scope", "Invalid scope provided"),
    "InvalidRequestException": ("invalid_request", "Invalid request"),
    "InvalidClientMetadataException": (
        "invalid_client_metadata", "Invalid client metadata"),
    "InvalidRedirectUriException": (
        "invalid_redirect_uri", "Invalid redirect URI"),
    "InternalServerException": ("server_error", "Internal server error"),
}

PORTAL_WORDS = {
    "UnauthorizedException": "Session token not found or invalid",
    "ForbiddenException": "No access",
    "TooManyRequestsException": "HTTP 429 Unknown Code",
    "ResourceNotFoundException": "Resource not found",
    "InvalidRequestException": "Invalid request",
    "InternalServerException": "Internal error",
}


def headers(now, kind="application/json"):
    return {"Date": email.utils.formatdate(now, usegmt=True),
            "Content-Type": kind,
            "x-amzn-RequestId": str(uuid.uuid4()),
            "Cache-Control": "no-cache, no-store"}


def success(operation, value, now):
    service = models.SERVICE_OF[operation]
    if service == "sts":
        return Answer(200, headers(now, "text/xml"), _xml(operation, value))
    if value is None:
        head = headers(now)
        del head["Content-Type"]
        return Answer(200, head, b"")
    return Answer(200, headers(now), json.dumps(value).encode())


def refusal(service, operation, refused, now):
    """The error answer of a Refusal. operation may be None: no such path."""
    status = refused.status
    if status is None:
        known = (models.errors_of(operation) if operation else
                 models.UNMODELLED[service])
        status = known.get(refused.code, 400)
    write = {"sso-oidc": _oidc_error, "sso": _portal_error,
             "sts": _sts_error}[service]
    answer = write(refused, status, now)
    answer.error = refused.code
    return answer


def _oidc_error(refused, status, now):
    head = headers(now)
    head["x-amzn-ErrorType"] = (
        refused.code + ":http://internal.amazon.com/coral/"
        "com.amazonaws.sso.oidc/")
    if refused.code in OIDC_WORDS:
        word, text = OIDC_WORDS[refused.code]
        body = {"error": word, "error_description": text}
        if refused.message is not None:
            # "" is what an unknown start URL gets: no description at all.
            body["error_description"] = refused.message or None
    else:
        body = {"message": refused.message}
    return Answer(status, head, json.dumps(body).encode())


def _portal_error(refused, status, now):
    text = refused.message
    if text is None:
        text = PORTAL_WORDS.get(refused.code)
    body = {"message": text,
            "__type": f"com.amazonaws.switchboard.portal#{refused.code}"}
    return Answer(status, headers(now), json.dumps(body).encode())


def _sts_error(refused, status, now):
    space = models.model("sts").metadata["xmlNamespace"]
    kind = "Sender" if status < 500 else "Receiver"
    text = escape(refused.message or refused.code)
    body = (f'<ErrorResponse xmlns="{space}">\n  <Error>\n'
            f"    <Type>{kind}</Type>\n    <Code>{refused.code}</Code>\n"
            f"    <Message>{text}</Message>\n  </Error>\n"
            f"  <RequestId>{uuid.uuid4()}</RequestId>\n</ErrorResponse>\n")
    return Answer(status, headers(now, "text/xml"), body.encode())


def _xml(operation, value):
    shape = models.operation_model(operation).output_shape
    space = models.model("sts").metadata["xmlNamespace"]
    wrapper = shape.serialization["resultWrapper"]
    inner = _element(wrapper, shape, value, 1)
    return (f'<{operation}Response xmlns="{space}">\n{inner}'
            f"  <ResponseMetadata>\n    <RequestId>{uuid.uuid4()}"
            "</RequestId>\n  </ResponseMetadata>\n"
            f"</{operation}Response>\n").encode()


def _element(name, shape, value, depth):
    pad = "  " * depth
    if shape is None or shape.type_name != "structure":
        return f"{pad}<{name}>{escape(str(value))}</{name}>\n"
    inner = "".join(_element(key, shape.members.get(key), item, depth + 1)
                    for key, item in value.items() if item is not None)
    return f"{pad}<{name}>\n{inner}{pad}</{name}>\n"
