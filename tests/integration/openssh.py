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
import shutil
import socket
import subprocess
import tempfile

import pytest

from agent import until

PROGRAMS = ("ssh", "ssh-add", "ssh-agent", "ssh-keygen", "/usr/sbin/sshd")


def need():
    missing = [p for p in PROGRAMS if not shutil.which(p)]
    if missing:
        pytest.skip("no " + ", ".join(missing))


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


class Hosts:
    def __init__(self, *names, lines=()):
        need()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="awsenv-ssh."))
        self.names, self.lines = names, lines
        self.ports, self.sshds = {}, []
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
        return self.dir / f"host-{name}"

    def __enter__(self):
        try:
            for name in self.names:
                self._make(name)
            self._write_config()
            for name in self.names:
                self._start(name)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for sshd in self.sshds:
            sshd.terminate()
            sshd.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def _make(self, name):
        key = make_key(self.host_key(name))
        self.ports[name] = free_port()
        public = key.with_suffix(".pub").read_text().split()
        with open(self.known, "a") as f:
            f.write(f"{name} {public[0]} {public[1]}\n")
        (self.dir / f"sshd-{name}").write_text("\n".join([
            f"Port {self.ports[name]}", "ListenAddress 127.0.0.1",
            f"HostKey {key}", "UsePAM no", "StrictModes no", "PidFile none",
            f"AuthorizedKeysFile {self.authorized}", "PermitRootLogin yes",
            "PrintLastLog no", "PrintMotd no", "LogLevel VERBOSE",
            "MaxStartups 100", "MaxSessions 100", *self.lines]) + "\n")

    def _write_config(self):
        text = [f"Host {n}\n  HostName 127.0.0.1\n  Port {self.ports[n]}\n"
                f"  HostKeyAlias {n}\n" for n in self.names]
        self.config.write_text("".join(text) + "\n".join([
            "Host *", "  BatchMode yes", "  LogLevel ERROR",
            "  StrictHostKeyChecking yes",
            f"  UserKnownHostsFile {self.known}", ""]))

    def _start(self, name):
        argv = ["/usr/sbin/sshd", "-D", "-f", str(self.dir / f"sshd-{name}"),
                "-E", str(self.dir / f"log-{name}")]
        if os.geteuid() == 0:
            # Root's needs a folder that only a running system has.
            argv = ["unshare", "--mount", "sh", "-c",
                    "mount -t tmpfs none /run && mkdir -m 0755 /run/sshd && "
                    'exec "$@"', "sh", *argv]
        self.sshds.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL))
        port = ("127.0.0.1", self.ports[name])

        def listens():
            with socket.socket() as s:
                return s.connect_ex(port) == 0
        until(listens, why=f"sshd of {name} does not listen")

    def log(self, name):
        return (self.dir / f"log-{name}").read_text()

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
