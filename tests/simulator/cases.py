# SPDX-License-Identifier: ISC
"""The shared file of cases: answers as bytes, and what botocore makes of
each. awsenv's fetcher is fed the same and must not differ."""

import base64
import datetime
import functools
import json
import pathlib

from . import models
from .message import Answer

FILE = pathlib.Path(__file__).resolve().parent.parent / "data/aws/cases.json"


def load():
    with open(FILE, encoding="utf-8") as file:
        return json.load(file)


def find(name):
    for case in load():
        if case["name"] == name:
            return case
    raise ValueError(f"no case {name}")


def body(case):
    if "body_base64" in case:
        return base64.b64decode(case["body_base64"])
    return case["body"].encode()


def answer(case):
    return Answer(case["status"], dict(case["headers"]), body(case))


def botocore_verdict(case):
    """What botocore's own client makes of the answer:

    {"value": {...}}                    parsed members, times as text
    {"error": name, "status": n}        the exception by its name, or the
                                        code where it has no class
    {"unreadable": name}                it could not parse it
    """
    client = _client(models.SERVICE_OF[case["operation"]])
    handler = _stub(case)
    client.meta.events.register("before-send", handler)
    try:
        value = _call(client, case)
    except _client_error() as error:
        code = error.response.get("Error", {}).get("Code", "Unknown")
        return {"error": code, "status":
                error.response["ResponseMetadata"]["HTTPStatusCode"]}
    except Exception as error:  # whatever its parsers let out
        return {"unreadable": type(error).__name__}
    finally:
        client.meta.events.unregister("before-send", handler)
    value.pop("ResponseMetadata", None)
    return {"value": json.loads(json.dumps(value, default=_time))}


def _call(client, case):
    import botocore
    name = botocore.xform_name(case["operation"])
    return getattr(client, name)(**case["request"])


def _stub(case):
    """Answers in the place of the network."""
    from botocore.awsrequest import AWSResponse

    def answered(request, **_):
        return AWSResponse(request.url, case["status"],
                           _headers(case["headers"]), _Raw(body(case)))
    return answered


def _headers(headers):
    from botocore.compat import HTTPHeaders
    found = HTTPHeaders()
    for name, value in headers.items():
        found[name] = value
    return found


class _Raw:
    """The little of urllib3 that AWSResponse asks for."""

    def __init__(self, data):
        self._data = data

    def stream(self, **_):
        yield self._data


@functools.cache
def _client(service):
    import botocore.config
    import botocore.session
    session = botocore.session.Session()
    session.set_credentials("ASIAEXAMPLE", "secret", "token")
    config = botocore.config.Config(parameter_validation=False,
                                    retries={"total_max_attempts": 1})
    return session.create_client(service, region_name="eu-central-1",
                                 config=config)


def _client_error():
    import botocore.exceptions
    return botocore.exceptions.ClientError


def _time(value):
    return value.astimezone(datetime.timezone.utc).strftime(
        "%Y-%m-%dT%H:%M:%SZ")
