# SPDX-License-Identifier: ISC
"""The messages between our programs, for tests that stand in for one of them.

The rows of agent/common/msg.c and the enums of include/awsenv are read, not
repeated, so every message and every constant is here by its own name:

    link = wire.Link(fd)
    link.send("MSG_HINT", version=wire.MSG_VERSION, waiting=1)
    kind, answer = link.receive(seconds=5)      # ("MSG_ANSWER", Fields)
    assert answer.error == wire.AW_OK and answer.person == b"ann@example.com"

    wire.ask(sock, "status@awsenv", "MSG_STATUS_REQ", "MSG_STATUS_REP")

Views come out as bytes and go in as bytes or str; what is left out is zero or
empty. A nested member is spelled as in C: {"ask.profile": "marketing"}.
"""

import math
import pathlib
import re
import socket
import struct

TOP = pathlib.Path(__file__).resolve().parents[2]


class WireError(Exception):
    """Bytes that are not the message they should be."""


class Fields(dict):
    """A decoded message: its fields, also as attributes."""

    __getattr__ = dict.__getitem__


def _source(path):
    return re.sub(r"/\*.*?\*/", "", (TOP / path).read_text(), flags=re.S)


def _enums(text):
    """{NAME: number} of every enum and every plain number that is defined."""
    names = {}
    for body in re.findall(r"\benum \w+ \{(.*?)\}", text, re.S):
        value = -1
        for item in filter(None, (i.strip() for i in body.split(","))):
            name, _, given = (part.strip() for part in item.partition("="))
            value = int(given, 0) if given else value + 1
            names[name] = value
    for name, factors in re.findall(
            r"#define (\w+) \(?(\d+u?(?: \* \d+)*)\)?\n", text):
        names[name] = math.prod(int(f.strip(" u")) for f in factors.split("*"))
    return names


def _rows(text):
    """{MSG_KIND: [(type, member)]} from the rows of msg.c."""
    text = text.replace("\\\n", " ")
    ask = re.search(r"#define ASK\(msg\)(.*)", text)[1]
    rows = {}
    for name, body in re.findall(
            r"struct field (\w+)_fields\[\] = \{(.*?)\};", text, re.S):
        body = re.sub(r"\bASK\(\w+\)", lambda _: ask, body)
        rows[name] = re.findall(r"F\((\w+), \w+, ([\w.]+)\)", body)
    table = re.findall(r"\[(MSG_\w+)\] = \{\s*(\w+)_fields", text)
    return {kind: rows[name] for kind, name in table}


CONSTANTS = {}
for header in ("buf", "err", "msg", "link", "io"):
    CONSTANTS.update(_enums(_source(f"include/awsenv/{header}.h")))
globals().update(CONSTANTS)
ROWS = _rows(_source("agent/common/msg.c"))
KINDS = {CONSTANTS[kind]: kind for kind in ROWS}
ERRORS = {value: name for name, value in CONSTANTS.items()
          if name.startswith("AW_")}
_NUMBERS = {"U8": ">B", "BOOL": ">B", "U32": ">I", "U64": ">Q"}


def encode(kind, fields=None, **more):
    """The body of a message."""
    values = {**(fields or {}), **more}
    out = b""
    for form, member in ROWS[kind]:
        value = values.pop(member, None)
        if form in _NUMBERS:
            out += struct.pack(_NUMBERS[form], value or 0)
        else:
            value = value.encode() if isinstance(value, str) else value or b""
            out += struct.pack(">I", len(value)) + value
    if values:
        raise WireError(f"{kind} has no {', '.join(values)}")
    return out


def decode(kind, data):
    """Fields of a body; every byte must be used."""
    fields, at = Fields(), 0
    try:
        for form, member in ROWS[kind]:
            layout = _NUMBERS.get(form, ">I")
            value, = struct.unpack_from(layout, data, at)
            at += struct.calcsize(layout)
            if form == "BOOL" and value > 1:
                raise WireError(f"{kind}.{member} is {value}")
            if form == "VIEW":
                if value > len(data) - at:
                    raise WireError(f"{kind}.{member} is cut short")
                value, at = bytes(data[at:at + value]), at + value
            fields[member] = value
    except struct.error:
        raise WireError(f"{kind} ends before {member}") from None
    if at != len(data):
        raise WireError(f"{len(data) - at} bytes after {kind}")
    return fields


def pack(kind, messages):
    """A list of messages of one kind, as msg_append makes it."""
    bodies = [encode(kind, m) for m in messages]
    return b"".join(struct.pack(">I", len(b)) + b for b in bodies)


def unpack(kind, data):
    out = []
    while data:
        size, = struct.unpack_from(">I", data)
        out.append(decode(kind, data[4:4 + size]))
        data = data[4 + size:]
    return out


def texts(data):
    """The entries of a list "text NUL text NUL"."""
    if data and not data.endswith(b"\0"):
        raise WireError("a list without its last NUL")
    return data.split(b"\0")[:-1]


def join(entries):
    return b"".join((e.encode() if isinstance(e, str) else e) + b"\0"
                    for e in entries)


class Link:
    """One end of a SOCK_SEQPACKET pair (include/awsenv/link.h)."""

    def __init__(self, end):
        self.socket = end if isinstance(end, socket.socket) else socket.socket(
            fileno=end)

    @classmethod
    def pair(cls):
        """A Link, and the other end as a socket to give away."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(ours), theirs

    def send(self, kind, fields=None, **more):
        self.socket.sendall(bytes([CONSTANTS[kind]]) +
                            encode(kind, fields, **more))

    def receive(self, seconds=10):
        """(kind, Fields); EOFError when the other end is gone, TimeoutError."""
        self.socket.settimeout(seconds)
        packet = self.socket.recv(CONSTANTS["LINK_MAX"])
        if not packet:
            raise EOFError
        kind = KINDS[packet[0]]
        return kind, decode(kind, packet[1:])

    def close(self):
        self.socket.close()


def frame(name, body=b""):
    """An extension request of RFC 9987, with its length."""
    payload = bytes([CONSTANTS["SSH_AGENTC_EXTENSION"]])
    payload += struct.pack(">I", len(name)) + name.encode() + body
    return struct.pack(">I", len(payload)) + payload


def read_frame(sock):
    """One whole frame without its length; EOFError at the end."""
    def exactly(size):
        data = b""
        while len(data) < size:
            more = sock.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data
    return exactly(struct.unpack(">I", exactly(4))[0])


def ask(sock, name, request, reply, fields=None, seconds=65, **more):
    """One request of ours on the agent's socket and its decoded reply."""
    sock.settimeout(seconds)
    sock.sendall(frame(name, encode(request, fields, **more)))
    data = read_frame(sock)
    head = bytes([CONSTANTS["SSH_AGENT_EXTENSION_RESPONSE"]])
    head += struct.pack(">I", len(name)) + name.encode()
    if not data.startswith(head):
        raise WireError(f"{name}: answered with {data[:1].hex() or 'nothing'}")
    return decode(reply, data[len(head):])
