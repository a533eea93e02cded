# SPDX-License-Identifier: ISC
"""Agents for tests: in a folder of their own, as a user of their own.

Root forks and becomes uid 64000 and up, which has the small quota of an
ordinary user; anybody else tests as himself.
"""
import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
LINK_H = os.path.join(TOP, "include/awsenv/link.h")
BUILD = os.path.abspath(os.environ.get("B", os.path.join(TOP, "build")))
# Of each test program its own, since others may run meanwhile.
UID = 64000 + 2 * (os.getpid() % 500) if os.geteuid() == 0 else os.geteuid()
KEYS = ctypes.CDLL("libkeyutils.so.1", use_errno=True)
LIBC = ctypes.CDLL(None, use_errno=True)


def become(uid):
    """For preexec_fn: be that user and nothing more."""
    def change():
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
    return change


def until(true, seconds=10, why="it did not happen"):
    """Wait for true() to be that; its value."""
    end = time.monotonic() + seconds
    while True:
        value = true()
        if value:
            return value
        assert time.monotonic() < end, why
        time.sleep(0.01)


def is_alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid, name=None):
    """Pids of living children, perhaps only those of that name."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                with open("/proc/%s/stat" % entry) as f:
                    head, rest = f.read().rsplit(")", 1)
                fields = rest.split()
                if int(fields[1]) == pid and fields[0] != "Z" and (
                        name is None or head.split("(", 1)[1] == name):
                    found.append(int(entry))
    return found


def quota(uid=UID):
    """(keys, bytes) that are charged to the user."""
    with open("/proc/key-users") as f:
        for line in f:
            fields = line.split()
            if int(fields[0].rstrip(":")) == uid:
                return (int(fields[3].split("/")[0]), int(fields[4].split("/")[0]))
    return (0, 0)


def as_user(function, uid=UID):
    """function() in a forked process of that user; its JSON result."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(read)
            become(uid)()
            os.write(write, json.dumps(function()).encode())
            os._exit(0)
        except BaseException as problem:
            os.write(write, json.dumps({"raised": repr(problem)}).encode())
        finally:
            os._exit(1)
    os.close(write)
    with os.fdopen(read) as f:
        text = f.read()
    os.waitpid(pid, 0)
    result = json.loads(text)
    assert not (isinstance(result, dict) and "raised" in result), result
    return result


class Agent:
    """A tree of programs and a runtime directory for one user."""

    def __init__(self, fake=True, base=None, uid=UID):
        self.uid = uid
        self.top = tempfile.mkdtemp(prefix="awsenv-test-", dir=base)
        os.chmod(self.top, 0o755)
        self.bin = os.path.join(self.top, "bin")
        self.run = os.path.join(self.top, "run")
        os.mkdir(self.bin)
        os.mkdir(self.run, 0o700)
        self.sock = os.path.join(self.run, "awsenv", "agent.sock")
        self.program = os.path.join(self.bin, "awsenv-agent")
        self.started = []
        if fake:
            shutil.copy(os.path.join(BUILD, "awsenv-agent"), self.program)
            shutil.copy(LINK_H, self.bin)
            for name in ("awsenv-broker", "awsenv-fetch", "awsenv-profile"):
                shutil.copy(os.path.join(HERE, "fake_broker.py"),
                            os.path.join(self.bin, name))
                os.chmod(os.path.join(self.bin, name), 0o755)
        if os.geteuid() == 0:
            for path in (self.run, self.bin, *map(
                    lambda n: os.path.join(self.bin, n), os.listdir(self.bin))):
                os.chown(path, uid, uid)

    def environ(self, **more):
        env = {"PATH": "/usr/bin:/bin", "HOME": self.top, "LANG": "C",
               "XDG_RUNTIME_DIR": self.run, "SHELL": "/bin/sh"}
        env.update(more)
        return {k: v for k, v in env.items() if v is not None}

    def call(self, *argv, env=None, **options):
        """Run awsenv-agent with these arguments to its end."""
        options.setdefault("timeout", 20)
        done = subprocess.run(
            [self.program, *argv], env=self.environ(**(env or {})), text=True,
            capture_output=True, preexec_fn=become(self.uid), cwd="/", **options)
        # Whatever the test makes of it, an agent that began is to end.
        self.started += map(int, re.findall(r"Agent pid (\d+);", done.stdout))
        return done

    def start(self, *argv, **more):
        """Start it as a daemon; its pid."""
        done = self.call("-s", *argv, **more)
        assert done.returncode == 0, done
        self.pid = int(done.stdout.split("AWSENV_AGENT_PID=")[1].split(";")[0])
        return self.pid

    def popen(self, *argv, env=None, **options):
        child = subprocess.Popen(
            [self.program, *argv], env=self.environ(**(env or {})), text=True,
            preexec_fn=options.pop("preexec_fn", become(self.uid)), cwd="/",
            **options)
        self.started.append(child.pid)
        return child

    def connect(self, path=None, seconds=10):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(seconds)
        s.connect(path or self.sock)
        return s

    def ask(self, do, seconds=10, path=None, **arguments):
        """One order to the fake broker, repeated while brokers die."""
        end = time.monotonic() + seconds
        while True:
            try:
                with self.connect(path, seconds) as s, s.makefile("rw") as f:
                    f.write(json.dumps(dict(arguments, do=do)) + "\n")
                    f.flush()
                    line = f.readline()
                    if line:
                        return json.loads(line)
            except (ConnectionResetError, BrokenPipeError):
                pass
            assert time.monotonic() < end, "no answer to %s" % do

    def tell(self, do, **arguments):
        """An order that nobody will answer."""
        with self.connect() as s:
            s.sendall(json.dumps(dict(arguments, do=do)).encode() + b"\n")
            with contextlib.suppress(ConnectionResetError):
                s.recv(1)

    def up(self):
        """Wait until somebody can connect."""
        def listens():
            with contextlib.suppress(OSError):
                self.connect().close()
                return True
        until(listens, why="nobody listens on " + self.sock)

    def broker(self):
        """The pid of the broker that runs now."""
        return until(lambda: children(self.pid, "awsenv-broker"))[0]

    def spawner(self):
        return until(lambda: children(self.pid, "awsenv-spawner"))[0]

    def close(self):
        for pid in self.started:
            with contextlib.suppress(ProcessLookupError):
                if is_alive(pid):
                    os.kill(pid, signal.SIGTERM)
                    for _ in range(500):
                        if not is_alive(pid):
                            break
                        time.sleep(0.01)
                    else:
                        os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.top, ignore_errors=True)
