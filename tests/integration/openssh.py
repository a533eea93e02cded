# SPDX-License-Identifier: ISC
"""Hosts for tests: OpenSSH's own sshd on loopback, with throw-away keys.

    with Hosts("a", "b") as hosts:
        hosts.ssh("a", "ssh-add -L", "-A", SSH_AUTH_SOCK=agent.path)

All hosts are this machine, and whoever tests logs in as himself; what tells
them apart is their host keys, which `known` has by name, also on each other.
"""

import contextlib
import os
import pathlib
import pwd
import shutil
import socket
import struct
import subprocess
import tempfile
import threading

import pytest

import wire
from agent import until

SSHD = "/usr/sbin/sshd"
PROGRAMS = ("ssh", "ssh-add", "ssh-agent", "ssh-keygen", SSHD)
USER = pwd.getpwuid(os.getuid()).pw_name


def missing():
    """Why there is no ssh here, or None."""
    absent = [p for p in PROGRAMS if not shutil.which(p)]
    return "no " + ", ".join(absent) if absent else None


def need():
    if missing():
        pytest.skip(missing())


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def make_key(path, comment=""):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C",
                    comment or path.name, "-f", str(path)], check=True)
    return path


class SshAgent:
    """The real one, or whatever `argv` starts, on a socket of its own."""

    def __init__(self, path, argv=None):
        self.path = path
        self.argv = argv or ["ssh-agent", "-D", "-a", str(path)]
        self.process = None

    def start(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        self.process = subprocess.Popen(
            self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        until(self.answers, why="no ssh-agent answers on %s" % self.path)
        return self

    def answers(self):
        with socket.socket(socket.AF_UNIX) as s:
            return s.connect_ex(str(self.path)) == 0

    def add(self, *argv):
        subprocess.run(["ssh-add", "-q", *map(str, argv)], check=True,
                       env={**os.environ, "SSH_AUTH_SOCK": str(self.path)})

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    __enter__ = start

    def __exit__(self, *_):
        self.stop()


def string(data):
    return struct.pack(">I", len(data)) + data


def bind(key=b"key", sid=b"session", forwarding=1, more=b""):
    return (b"\x1b" + string(b"session-bind@openssh.com") + string(key) +
            string(sid) + string(b"signature") + bytes([forwarding]) + more)


class FakeSshAgent:
    """An ssh-agent that answers as the test wants, and remembers."""

    def __init__(self, path, answer):
        self.path, self.answer = path, answer
        self.connections, self.lock = [], threading.Lock()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                s, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(s,),
                                 daemon=True).start()

    def _serve(self, s):
        seen = []
        with contextlib.suppress(EOFError, OSError), s:
            while True:
                frame = wire.read_frame(s)
                if frame[:1] == b"\x1b" and frame[5:10] == b"query":
                    reply = b"\5"
                else:
                    with self.lock:
                        if not seen:
                            self.connections.append(seen)
                        seen.append(frame)
                    reply = self.answer(frame)
                if reply is None:
                    return
                s.sendall(string(reply))

    def close(self):
        self.listener.close()


class Sshd:
    """One host: a key of its own, a port, and `lines` of sshd_config. Root can
    give it a folder that its user is at home in."""

    def __init__(self, folder, name, authorized, lines=(), home=None):
        self.name, self.port, self.home = name, free_port(), home
        self.key = make_key(folder / f"host-{name}")
        self.log = folder / f"sshd-{name}.log"
        self.config = folder / f"sshd-{name}"
        self.config.write_text("\n".join([
            f"Port {self.port}", "ListenAddress 127.0.0.1",
            f"HostKey {self.key}", "UsePAM no", "StrictModes no",
            "PidFile none", f"AuthorizedKeysFile {authorized}",
            "PermitRootLogin prohibit-password", f"AllowUsers {USER}",
            "PrintLastLog no", "PrintMotd no", "LogLevel VERBOSE",
            "MaxStartups 200", "MaxSessions 200", *lines]) + "\n")
        self.process = None

    @property
    def public(self):
        """Type and key, as known_hosts has them."""
        text = self.key.with_suffix(".pub").read_text()
        return " ".join(text.split()[:2])

    def start(self):
        argv = [SSHD, "-D", "-f", str(self.config), "-E", str(self.log)]
        if os.geteuid() == 0:
            # Root's needs a folder that only a running system has.
            home = f"mount --bind {self.home} ~root &&" if self.home else ""
            argv = ["unshare", "--mount", "sh", "-c",
                    "mount -t tmpfs none /run && mkdir -m 0755 /run/sshd && "
                    f'{home} exec "$@"', "sh", *argv]
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL)

        def listens():
            assert self.process.poll() is None, self.log.read_text()
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", self.port)) == 0
        until(listens, 30, f"sshd of {self.name} does not listen")
        return self

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()


class Hosts:
    def __init__(self, *names, lines=()):
        need()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="awsenv-ssh."))
        self.names, self.lines = names, lines
        self.sshds = {}
        self.known = self.dir / "known_hosts"
        self.config = self.dir / "config"
        self.authorized = self.dir / "authorized_keys"
        self.authorized.touch()
        self.door = self.make_key("door")    # opens all of them

    def make_key(self, name):
        """A key that every host lets in."""
        key = make_key(self.dir / name)
        with open(self.authorized, "a") as f:
            f.write(key.with_suffix(".pub").read_text())
        return key

    def host_key(self, name):
        return self.sshds[name].key

    def __enter__(self):
        try:
            for name in self.names:
                self._make(name)
            self._write_config()
            for sshd in self.sshds.values():
                sshd.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for sshd in self.sshds.values():
            sshd.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def _make(self, name):
        sshd = Sshd(self.dir, name, self.authorized, self.lines)
        self.sshds[name] = sshd
        with open(self.known, "a") as f:
            f.write(f"{name} {sshd.public}\n")

    def _write_config(self):
        text = [f"Host {n}\n  HostName 127.0.0.1\n  Port {self.sshds[n].port}\n"
                f"  HostKeyAlias {n}\n" for n in self.names]
        self.config.write_text("".join(text) + "\n".join([
            "Host *", "  BatchMode yes", "  LogLevel ERROR",
            "  StrictHostKeyChecking yes",
            f"  UserKnownHostsFile {self.known}", ""]))

    def log(self, name):
        return self.sshds[name].log.read_text()

    def argv(self, host, command, *options):
        return ["ssh", "-F", str(self.config), *map(str, options), host,
                command]

    def hop(self, host, command, *options):
        """A command line that goes on from another host, with its agent."""
        return " ".join(["ssh", "-F", str(self.config), "-o",
                         "IdentityFile=none", *map(str, options), host,
                         f"'{command}'"])

    def ssh(self, host, command, *options, timeout=30, **env):
        """Run it there; CompletedProcess."""
        return subprocess.run(
            self.argv(host, command, "-i", self.door, "-o", "IdentitiesOnly=yes",
                      *options),
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.dir), **{
                k: str(v) for k, v in env.items()}},
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=timeout)
