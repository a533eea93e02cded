# SPDX-License-Identifier: ISC
"""What the module takes for awsenv-fetch: says what a test wants it to say.

    path = fake_fetch.write(folder, [{"send": {"url": ..., "code": ...}},
                                     {"send": {"last": 1, "arn": ...}}])

Steps: send FIELDS of MSG_ANSWER, raw HEX, sleep SECONDS, kill SIGNAL (itself),
exit STATUS. What it was told is in orders(folder). At the end it waits until
nobody wants it any more.
"""
import json
import os
import pathlib
import socket
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "integration"), str(HERE)]

import wire  # noqa: E402


def write(folder, steps):
    path, log = folder / "awsenv-fetch", folder / "orders"
    path.write_text(f"#!/usr/bin/python3\nimport sys\n"
                    f"sys.path.insert(0, {str(HERE)!r})\nimport fake_fetch\n"
                    f"fake_fetch.main({str(log)!r}, {json.dumps(steps)!r})\n")
    path.chmod(0o755)
    log.write_text("")
    log.chmod(0o666)
    return path


def orders(folder):
    """What each was told, with what it found itself to be."""
    return [json.loads(line)
            for line in (folder / "orders").read_text().splitlines()]


def text(fields):
    return {name: value.decode("latin-1") if isinstance(value, bytes)
            else value for name, value in fields.items()}


def main(log, steps):
    raw = socket.socket(fileno=os.dup(wire.LINK_FD))
    link = wire.Link(raw)
    kind, order = link.receive()
    assert kind == "MSG_FETCH"
    with open(log, "a") as out:
        out.write(json.dumps({
            **text(order), "facts": text(wire.decode("MSG_FACTS", order.facts)),
            "ids": [*os.getresuid(), *os.getresgid(), *os.getgroups()],
            "env": dict(os.environ), "cwd": os.getcwd(),
            "fds": sorted(int(fd) for fd in os.listdir("/proc/self/fd")
                          if os.path.exists(f"/proc/self/fd/{fd}"))}) + "\n")
    for step in json.loads(steps):
        (what, value), = step.items()
        if what == "send":
            link.send("MSG_ANSWER", {"version": wire.MSG_VERSION,
                                     "what": wire.FETCH_FACTOR, **value})
        elif what == "raw":
            raw.sendall(bytes.fromhex(value))
        elif what == "sleep":
            time.sleep(value)
        elif what == "kill":
            os.kill(os.getpid(), value)
        else:
            os._exit(value)
    raw.settimeout(60)
    raw.recv(1)
