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
import select
import socket
import struct
import sys

KEYS = ctypes.CDLL("libkeyutils.so.1", use_errno=True)
LINK = struct.Struct("=IIiiQIIiIii64s32s108s4xIiQ128s128s128sI4ii")
FIELDS = ("version type ring session started restarts flags lifetime program "
          "pid error tag text path seen terminal began seen_program parents "
          "folder inode").split()
TEXTS = "tag text path seen_program parents folder".split()
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
    values = LINK.unpack(data)
    message = dict(zip(FIELDS, values))
    for name in TEXTS:
        message[name] = message[name].rstrip(b"\0").decode()
    message["fds"] = list(fds)
    return message


def send(link, type, version=1, **fields):
    values = {name: 0 for name in FIELDS}
    values.update({name: b"" for name in TEXTS}, version=version, type=type)
    values.update(fields)
    link.send(LINK.pack(*[values[n] for n in FIELDS], -1, -1, -1, -1, 0))


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
