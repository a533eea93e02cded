#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""A broker that does as it is told, to see what its supervisor does.

Installed as awsenv-broker beside a copy of awsenv-agent. It takes lines of
JSON {"do": ...} on the agent's socket and answers each with one. Installed as
awsenv-fetch or awsenv-profile it answers each packet of its link with "echo:"
and the packet, and "read:SERIAL" with what reading that key gives, until the
link closes. A launcher says which of them it is by an argument.
"""
import ctypes
import errno
import json
import os
import re
import select
import socket
import struct
import sys

KEYS = ctypes.CDLL("libkeyutils.so.1", use_errno=True)
HERE = os.path.dirname(os.path.abspath(__file__))
# Where this is installed the header is copied beside it.
HEADER = next(path for path in (
    os.path.join(HERE, "link.h"),
    os.path.join(HERE, "../../include/awsenv/link.h")) if os.path.exists(path))
TYPES = {"uint8_t": "B", "uint32_t": "I", "int32_t": "i", "int": "i",
         "uint64_t": "Q", "char": "s"}


def layout(text):
    """struct link as the header has it: {name: (code, count)}, and as a Struct
    that lays it out as the compiler does."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    number = dict(re.findall(r"#define (\w+) (\d+)\s", text))

    def members(name, prefix=""):
        body, = re.findall(r"\nstruct %s \{\n(.*?)\n\};" % name, text, re.S)
        for declared in filter(None, map(str.strip, body.split(";"))):
            kind, member, size = re.fullmatch(
                r"(struct \w+|\w+)\s+(\w+)(?:\[(\w+)\])?", declared).groups()
            if kind.startswith("struct "):
                # As aligned as its largest member, and as long.
                yield None, "Q", 0
                yield from members(kind[7:], member + "_")
                yield None, "Q", 0
            else:
                yield (prefix + member, TYPES[kind],
                       int(number.get(size, size)) if size else None)

    fields, code = {}, ""
    for name, kind, count in members("link"):
        if name is None:
            code += "0Q"
            continue
        if kind == "B" and count:
            kind = "s"
        fields[name] = (kind, count)
        code += kind if count is None else f"{count}{kind}"
    return fields, struct.Struct(f"@{code}0Q")


with open(HEADER) as header:
    FIELDS, LINK = layout(header.read())
TEXTS = [name for name, (kind, _) in FIELDS.items() if kind == "s"]
(HELLO, LISTENER, JOB, START, DROP, END) = range(1, 7)
OVER, STOP, SPAWN, SPAWNED, FAILED = 10, 11, 20, 30, 31


def receive(link):
    """The next struct link as a dict, with its descriptors; None at the end."""
    try:
        data, fds, _, _ = socket.recv_fds(link, 4096, 4)
    except ConnectionResetError:
        return None
    if not data:
        return None
    values = iter(LINK.unpack(data))
    message = {name: [next(values) for _ in range(count)] if kind != "s" and
               count else next(values) for name, (kind, count) in FIELDS.items()}
    for name in TEXTS:
        message[name] = message[name].rstrip(b"\0").decode()
    message["fds"] = list(fds)
    return message


def pack(type, version=1, **fields):
    fields = {"version": version, "type": type, "fds": [-1] * 4, **fields}
    values = []
    for name, (kind, count) in FIELDS.items():
        value = fields.pop(name, b"" if kind == "s" else 0)
        values += value if isinstance(value, list) else [value]
    assert not fields, fields
    return LINK.pack(*values)


def send(link, type, **fields):
    link.send(pack(type, **fields))


class Broker:
    def __init__(self, link):
        self.link, self.jobs, self.drops = link, {}, 0
        self.log = []
        while True:
            m = receive(link)
            if m is None:
                sys.exit(0)
            self.log.append(m["type"])
            if m["type"] == HELLO:
                self.hello = m
                self.spawner = socket.socket(fileno=m["fds"][0])
                self.listeners = {}
            elif m["type"] == LISTENER:
                self.listeners[m["text"]] = socket.socket(fileno=m["fds"][0])
            elif m["type"] == JOB:
                self.jobs[m["pid"]] = (m["tag"], socket.socket(fileno=m["fds"][0]))
            elif m["type"] == START:
                break

    # What a test may ask for; a method's answer goes back as JSON.

    def info(self):
        hello = {k: v for k, v in self.hello.items() if k != "fds"}
        return dict(hello, broker=os.getpid(), supervisor=os.getppid(),
                    jobs={str(p): t for p, (t, _) in self.jobs.items()},
                    listeners=sorted(self.listeners), drops=self.drops,
                    order=self.log, nfds=len(self.hello["fds"]),
                    environ=dict(os.environ), argv0=sys.argv[0],
                    limit=os.sysconf("SC_OPEN_MAX"))

    def spawn(self, program, tag=""):
        send(self.spawner, SPAWN, program=program, tag=tag.encode())
        self.spawner.setblocking(True)
        m = receive(self.spawner)
        if m["type"] == SPAWNED:
            self.jobs[m["pid"]] = (m["tag"], socket.socket(fileno=m["fds"][0]))
        return {"type": m["type"], "pid": m["pid"], "tag": m["tag"],
                "error": m["error"]}

    def spawn_and_die(self, program, tag=""):
        """Ask for a program and be gone before the answer is read."""
        send(self.spawner, SPAWN, program=program, tag=tag.encode())
        os.kill(os.getpid(), 9)

    def talk(self, pid, text):
        job = self.jobs[pid][1]
        job.setblocking(True)
        job.settimeout(10)
        job.send(text.encode())
        return {"answer": job.recv(4096).decode()}

    def over(self, pid):
        self.jobs.pop(pid)[1].close()
        send(self.link, OVER, pid=pid)
        return {}

    def stop(self):
        send(self.link, STOP)
        return {}

    def other_version(self):
        send(self.link, OVER, version=999)
        return {}

    def exit(self, status):
        os._exit(status)

    def add(self, name, text):
        key = KEYS.add_key(b"user", name.encode(), text.encode(), len(text),
                           self.hello["ring"])
        error = ctypes.get_errno()
        KEYS.keyctl_setperm(key, 0x3f000000)
        return {"serial": key, "errno": error if key < 0 else 0}

    def read(self, serial):
        room = ctypes.create_string_buffer(4096)
        n = KEYS.keyctl_read(serial, room, 4096)
        if n < 0:
            return {"errno": ctypes.get_errno()}
        return {"text": room.raw[:n].decode("latin1")}

    def session_to_parent(self):
        """What a hostile child does: plant a ring of its own in its parent."""
        new = KEYS.keyctl_join_session_keyring(None)
        result = KEYS.keyctl_session_to_parent()
        return {"session": new, "result": result,
                "errno": ctypes.get_errno() if result < 0 else 0}

    def frame(self, request):
        """The one request of the real protocol that awsenv-agent -k makes."""
        name = b"stop@awsenv"
        assert name in request, request
        self.stop()
        reply = struct.pack(">BI11sII", 29, len(name), name, 0, 0)
        return struct.pack(">I", len(reply)) + reply

    def serve(self):
        self.link.setblocking(False)
        clients, agent = {}, self.listeners.get("agent")
        while True:
            watch = [self.link, *self.listeners.values(), *clients]
            for s in select.select(watch, [], [])[0]:
                if s is self.link:
                    m = receive(self.link)
                    if m is None or m["type"] == END:
                        sys.exit(0)
                    self.drops += m["type"] == DROP
                elif s in self.listeners.values():
                    try:
                        clients[s.accept()[0]] = b""
                    except BlockingIOError:
                        pass
                else:
                    data = s.recv(65536)
                    clients[s] += data
                    if not data:
                        del clients[s]
                    elif clients[s].startswith(b"\0") and b"@awsenv" in clients[s]:
                        s.sendall(self.frame(clients[s]))
                        clients[s] = b""
                    while b"\n" in clients.get(s, b""):
                        line, clients[s] = clients[s].split(b"\n", 1)
                        order = json.loads(line)
                        answer = getattr(self, order.pop("do"))(**order)
                        s.sendall(json.dumps(answer).encode() + b"\n")


def echo(link):
    link.setblocking(True)
    while packet := link.recv(65536):
        if packet.startswith(b"read:"):
            n = KEYS.keyctl_read(int(packet[5:]), None, 0)
            error = ctypes.get_errno()
            link.send(errno.errorcode[error].encode() if n < 0 else b"open")
        else:
            link.send(b"echo:" + packet)


if __name__ == "__main__":
    end = socket.socket(fileno=3)
    if os.path.basename(sys.argv[-1]) == "awsenv-broker":
        Broker(end).serve()
    else:
        echo(end)
