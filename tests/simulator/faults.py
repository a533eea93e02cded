# SPDX-License-Identifier: ISC
"""Answers that go wrong on demand. README.md has the table."""

import gzip
import itertools
import json
import random
import threading
import time

from . import cases, models, oidc, wire
from .message import Answer, Refusal

MIB = 1 << 20
CHUNK = 1 << 16
PORTAL_PAGE = (b"<!DOCTYPE html><html><head><title>Sign in to Guest WLAN"
               b"</title></head><body><h1>Welcome</h1><form method=post>"
               b"<button>Accept and connect</button></form></body></html>\n")

# kind -> parameters it takes, with their defaults
KINDS = {
    "error": {"code": None, "message": None},
    "status": {"status": 503, "retry_after": None, "body": "json"},
    "quota": {"rate": 20, "seconds": 1},
    "reset": {}, "lost": {}, "close": {}, "truncated": {},
    "hang": {"seconds": 600, "headers": False},
    "trickle": {"seconds": 0.1},
    "huge": {"bytes": 64 * MIB},
    "nested": {"depth": 100000},
    "html": {"status": 200},
    "redirect": {"to": "elsewhere", "status": 307},
    "headers": {"bytes": MIB},
    "gzip": {"bytes": 64 * MIB},
    "raw": {"case": None, "status": 200, "headers": {}, "body": ""},
    "change": {"set": {}, "drop": [], "unchecked": False},
}

THROTTLED = {"sso-oidc": ("SlowDownException", 400),
             "sso": ("TooManyRequestsException", 429),
             "sts": ("Throttling", 400)}


class Fault:
    def __init__(self, number, operation, kind, count=None, skip=0, every=1,
                 probability=1, **parameters):
        if kind not in KINDS:
            raise ValueError(f"no fault {kind}")
        unknown = set(parameters) - set(KINDS[kind])
        if unknown:
            raise ValueError(f"{kind} takes no {', '.join(unknown)}")
        if kind == "error":
            _can_answer(operation, parameters.get("code"))
        if operation not in ("*", *models.OPERATIONS, *models.SERVICE_OF):
            raise ValueError(f"no operation {operation}")
        self.number, self.operation, self.kind = number, operation, kind
        self.count, self.skip, self.every = count, skip, every
        self.probability = probability
        self.seen = self.fired = 0
        self.calls = []
        self.__dict__.update({**KINDS[kind], **parameters})

    def due(self, operation):
        if self.operation not in ("*", operation,
                                  models.SERVICE_OF.get(operation)):
            return False
        if self.kind == "error" and self.code not in models.errors_of(
                operation):
            return False
        self.seen += 1
        if (self.seen <= self.skip or
                (self.seen - self.skip - 1) % self.every or
                self.count is not None and self.fired >= self.count or
                self.kind == "quota" and not self._over() or
                random.random() >= self.probability):
            return False
        self.fired += 1
        return True

    def _over(self):
        """More than `rate` calls within this second, or these seconds; those
        refused do not count, so a client that waits gets through."""
        now = time.monotonic()
        self.calls = [t for t in self.calls if t > now - self.seconds]
        if len(self.calls) >= self.rate:
            return True
        self.calls.append(now)
        return False


def _can_answer(operation, code):
    names = models.OPERATIONS.get(operation, [operation])
    for name in names:
        if name in models.SERVICE_OF and code in models.errors_of(name):
            return
    raise ValueError(f"{operation} cannot answer {code}")


class Faults:
    def __init__(self):
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._faults = []

    def add(self, **parameters):
        fault = Fault(next(self._numbers), **parameters)
        with self._lock:
            self._faults.append(fault)
        return fault.number

    def clear(self):
        with self._lock:
            self._faults = []

    def listed(self):
        with self._lock:
            return [{"id": f.number, "operation": f.operation,
                     "kind": f.kind, "seen": f.seen, "fired": f.fired}
                    for f in self._faults]

    def pick(self, operation):
        with self._lock:
            for fault in self._faults:
                if fault.due(operation):
                    return fault
        return None


def instead(fault, operation, request, aws):
    """The answer of a fault that keeps the request from happening; None of
    one that spoils the real answer."""
    write = INSTEAD.get(fault.kind)
    return write(fault, operation, request, aws) if write else None


def spoil(fault, answer):
    write = SPOIL.get(fault.kind)
    return write(fault, answer) if write else answer


# Instead of the real thing

def _error(fault, operation, request, aws):
    if fault.code == "SlowDownException" and operation == "CreateToken":
        values, _ = models.read_request(operation, request)
        device = aws.state.devices.get((values or {}).get("deviceCode"))
        if device is not None:
            device.polled = time.monotonic()
            oidc.slow_down(device)
    service = models.SERVICE_OF.get(operation, "sso")
    return wire.refusal(service, operation,
                        Refusal(fault.code, fault.message), aws.state.now())


def _quota(fault, operation, request, aws):
    service = models.SERVICE_OF.get(operation, "sso")
    code, status = THROTTLED[service]
    return wire.refusal(service, operation,
                        Refusal(code, "Rate exceeded", status),
                        aws.state.now())


def _status(fault, operation, request, aws):
    kinds = {"json": ("application/json",
                      json.dumps({"message": None}).encode()),
             "html": ("text/html", b"<html><body><h1>%d</h1></body></html>"
                      % fault.status),
             "empty": ("text/plain", b"")}
    kind, body = kinds[fault.body]
    head = wire.headers(aws.state.now(), kind)
    if fault.retry_after is not None:
        head["Retry-After"] = str(fault.retry_after)
    return Answer(fault.status, head, body)


def _html(fault, operation, request, aws):
    return Answer(fault.status, wire.headers(aws.state.now(), "text/html"),
                  PORTAL_PAGE)


def _redirect(fault, operation, request, aws):
    base = {"http": aws.urls["http"], "elsewhere": aws.urls["elsewhere"],
            "loop": aws.urls["https"]}.get(fault.to)
    where = fault.to
    if base is not None:
        where = base + request.path + ("?" + request.query
                                       if request.query else "")
    head = wire.headers(aws.state.now())
    head["Location"] = where
    return Answer(fault.status, head, b"")


def _raw(fault, operation, request, aws):
    # A case is an answer of now, whenever it was written down.
    now = {"Date": wire.headers(aws.state.now())["Date"]}
    if fault.case is not None:
        answer = cases.answer(cases.find(fault.case))
        answer.headers.update(now)
        return answer
    return Answer(fault.status, {**now, **fault.headers},
                  fault.body.encode())


def _silent(fault, operation, request, aws):
    def send(link, _):
        if fault.headers:
            link.put(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                     b"Content-Length: 100\r\n\r\n{")
        link.wait_gone(fault.seconds)
    return Answer(0, {}, b"", send=send)


def _headers(fault, operation, request, aws):
    def send(link, _):
        link.put(b"HTTP/1.1 200 OK\r\n")
        line = b"X-Padding: " + b"a" * 1000 + b"\r\n"
        for _ in range(0, fault.bytes, len(line)):
            link.put(line)
        link.put(b"Content-Length: 2\r\n\r\n{}")
    return Answer(200, {}, b"", send=send)


def _reset(*_):
    return Answer(0, {}, b"", send=lambda link, _: link.reset())


def _close(*_):
    return Answer(0, {}, b"", send=lambda link, _: None)


INSTEAD = {"error": _error, "quota": _quota, "status": _status, "html": _html,
           "redirect": _redirect, "raw": _raw, "hang": _silent,
           "headers": _headers, "reset": _reset, "close": _close}


# Of the real answer

def _lost(fault, answer):
    answer.send = lambda link, _: link.reset()
    return answer


def _truncated(fault, answer):
    def send(link, answer):
        half = answer.body[:len(answer.body) // 2]
        link.put(link.head(answer, len(answer.body) + 100) + half)
    answer.send = send
    return answer


def _trickle(fault, answer):
    def send(link, answer):
        link.put(link.head(answer, len(answer.body)))
        for byte in answer.body:
            link.put(bytes([byte]))
            time.sleep(fault.seconds)
    answer.send = send
    return answer


def _parts(answer):
    """(before, after) a place where anything may stand in the body."""
    if answer.body.startswith(b"{"):
        rest = answer.body[1:]
        return b'{"padding":', (b"," if rest != b"}" else b"") + rest
    if answer.body.startswith(b"<"):
        end = answer.body.index(b">") + 1
        return answer.body[:end] + b"<Padding>", b"</Padding>" + answer.body[
            end:]
    return b'{"padding":', b"}"


def _huge(fault, answer):
    before, after = _parts(answer)
    quote = b'"' if before.endswith(b":") else b""
    before, after = before + quote, quote + after

    def send(link, answer):
        link.put(link.head(answer, len(before) + fault.bytes + len(after)))
        link.put(before)
        for done in range(0, fault.bytes, CHUNK):
            link.put(b"A" * min(CHUNK, fault.bytes - done))
        link.put(after)
    answer.send = send
    return answer


def _nested(fault, answer):
    before, after = _parts(answer)
    opening, closing = ((b"[", b"]") if before.endswith(b":") else
                        (b"<a>", b"</a>"))
    answer.body = (before + opening * fault.depth + closing * fault.depth +
                   after)
    return answer


def _gzip(fault, answer):
    before, after = _parts(answer)
    quote = b'"' if before.endswith(b":") else b""
    answer.body = gzip.compress(
        before + quote + b"A" * fault.bytes + quote + after, 1)
    answer.headers["Content-Encoding"] = "gzip"
    return answer


SPOIL = {"lost": _lost, "truncated": _truncated, "trickle": _trickle,
         "huge": _huge, "nested": _nested, "gzip": _gzip}


def change(fault, value):
    """Apply `set` and `drop`, paths like roleCredentials.expiration."""
    value = json.loads(json.dumps(value))
    for path, new in fault.set.items():
        parent, name = _parent(value, path)
        parent[name] = new
    for path in fault.drop:
        parent, name = _parent(value, path)
        parent.pop(name, None)
    return value


def _parent(value, path):
    *way, name = path.split(".")
    for step in way:
        value = value[int(step) if isinstance(value, list) else step]
    return value, name
