# SPDX-License-Identifier: ISC
"""A request as it came, an answer as it goes, and a refusal."""

import dataclasses
import re
import urllib.parse

SERVICE_HOST = re.compile(r"(?:oidc|portal\.sso|sts)(?:-fips)?\."
                          r"([a-z]+-[a-z0-9-]+-\d+)\.")


@dataclasses.dataclass
class Request:
    method: str
    path: str
    query: str
    headers: list           # (name, value) as sent
    body: bytes
    listener: str           # which of our ports
    region: str             # of the service that was addressed
    number: int = 0

    def header(self, name, default=None):
        for key, value in self.headers:
            if key.lower() == name.lower():
                return value
        return default

    def host_region(self):
        """The region in a real service's host name; None for localhost."""
        match = SERVICE_HOST.match(self.header("Host", ""))
        if match:
            return match.group(1)
        return ("us-east-1" if self.header("Host", "").startswith(
            "sts.amazonaws.com") else None)

    def form(self):
        text = self.body.decode("utf-8", "replace")
        return dict(urllib.parse.parse_qsl(text, keep_blank_values=True))

    def arguments(self):
        return dict(urllib.parse.parse_qsl(self.query, keep_blank_values=True))


@dataclasses.dataclass
class Answer:
    status: int
    headers: dict
    body: bytes
    error: str = None       # the exception's name, for the record
    send: object = None     # a fault's own way of putting it on the wire


class Refusal(Exception):
    """An error answer: `code` is the exception's name in the model."""

    def __init__(self, code, message=None, status=None):
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.status = status
