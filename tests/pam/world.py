# SPDX-License-Identifier: ISC
"""Real programs with stacks of the test's own: a private mount namespace.

    with World(account, sim) as world:
        world.sshd()
        world.ssh("true")

There /etc/pam.d is a copy of the machine's with our line behind the session
lines of sshd and login, and what the machine says of itself (motd, mail, last
login) is one line; /etc/profile.d has our snippet and one that makes the
programs of the build and an aws that finds the simulator come first in PATH,
and /run is empty but for a directory of the user, as logind would make it. The
machine itself is left alone.
"""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from stack import AGENT, BUILD, MODULE, TOP, TYPES, shim, users_locked
from terminal import Terminal

PASSWORD = "correct horse"
MOTD = "The message of the day."
PERMIT = "".join(f"{kind} required pam_permit.so\n" for kind in TYPES)
TALK = re.compile(r"^session\s.*pam_(?:motd|mail|lastlog)\.so.*\n", re.M)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class World:
    def __init__(self, account, sim=None, options="",
                 services=("sshd", "login"), line=True, auth=None):
        """line: ours is there. auth: takes the place of common-auth, FACTOR in
        it that of the module as one."""
        self.account, self.sim, self.auth = account, sim, auth
        self.options, self.services, self.line = options, services, line
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="awsenv-world.",
                                                 dir="/tmp"))
        self.dir.chmod(0o755)
        self.runtime = pathlib.Path(f"/run/user/{account.uid}")
        self.sock = self.runtime / "awsenv/agent.sock"
        self.children = []

    # The namespace

    def _factor(self):
        """The words of a line that lets in who approves as ann."""
        sim, info = self.sim, self.sim.info
        names = self.dir / "names"
        names.write_text(f"{self.account.name} ann@example.com\n")
        names.chmod(0o644)
        return (f"{MODULE} mode=factor user=nobody map={names} "
                f"start_url={sim.start_url} region={sim.region} "
                f"account={info['accounts'][0]['id']} role={info['roles'][0]} "
                f"endpoint={sim.urls['https']} ca={sim.ca} "
                f"fetch={BUILD / 'awsenv-fetch'}")

    def _stacks(self):
        folder = self.dir / "pam.d"
        shutil.copytree("/etc/pam.d", folder)
        (self.dir / "motd").write_text(MOTD + "\n")
        for name in self.services:
            text = PERMIT       # where the machine has no such service
            if (folder / name).exists():
                text = TALK.sub("", (folder / name).read_text())
            if name in ("sshd", "login"):
                text += f"\nsession optional pam_motd.so motd={self.dir}/motd"
            if self.auth:
                text = text.replace("@include common-auth", self.auth.replace(
                    "FACTOR", self._factor()))
            if self.line:
                text += (f"\nsession optional {MODULE} agent={AGENT} "
                         f"{self.options}")
            (folder / name).write_text(text + "\n")
        return folder

    def _profiles(self):
        folder, tools = self.dir / "profile.d", self.dir / "tools"
        folder.mkdir()
        tools.mkdir()
        aws = tools / "aws"
        # Debian's aws knows no AWS_ENDPOINT_URL: through the proxy, then.
        proxy = self.sim.urls["proxy"] if self.sim else ""
        aws.write_text(f"#!/bin/sh\nHTTPS_PROXY={proxy} AWS_PAGER= "
                       f"exec /usr/bin/aws \"$@\"\n")
        aws.chmod(0o755)
        (folder / "00-path.sh").write_text(f"PATH={tools}:{BUILD}:$PATH\n")
        shutil.copy(TOP / "examples/profile.d/awsenv.sh", folder)
        return folder

    def __enter__(self):
        a = self.account
        with users_locked():
            subprocess.run(["chpasswd"], input=f"{a.name}:{PASSWORD}",
                           text=True, check=True, capture_output=True)
        hold = (f"mount --bind {self._stacks()} /etc/pam.d && "
                f"mount --bind {self._profiles()} /etc/profile.d && "
                "mount -t tmpfs none /run && touch /run/utmp && "
                f"mkdir -p /run/user /run/sshd && mkdir -m 0700 {self.runtime} "
                f"&& chown {a.uid}:{a.gid} {self.runtime} && echo ready && "
                "exec sleep 1000")
        self.holder = subprocess.Popen(
            ["unshare", "-m", "--propagation", "private", "sh", "-c", hold],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        line = self.holder.stdout.readline()
        assert line == b"ready\n", line
        if self.sim:
            self.sim.dir.chmod(0o755)      # of the CA bundle
            config = a.home / ".aws/config"
            config.parent.mkdir()
            config.write_text(self.sim.config_text(
                {"name": "marketing", "endpoint_url": self.sim.urls["https"],
                 "ca_bundle": self.sim.ca}))
            a.give()
        return self

    def __exit__(self, kind, *_):
        if kind and (self.dir / "sshd.log").exists():
            print((self.dir / "sshd.log").read_text()[-6000:])
        for child in self.children:
            child.terminate()
            child.wait()
        self.account.kill()
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def inside(self, *argv):
        return ["nsenter", "-t", str(self.holder.pid), "-m", *map(str, argv)]

    def run(self, *argv, **options):
        return subprocess.run(self.inside(*argv), capture_output=True,
                              text=True, timeout=60, **options)

    def terminal(self, *argv, **env):
        return Terminal(self.inside(*argv), {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8",
            "HOME": "/root", **env}, rows=60)

    # Its agent, asked by the user himself

    def awsenv(self, *words):
        a = self.account
        return subprocess.run(
            self.inside("setpriv", f"--reuid={a.uid}", f"--regid={a.gid}",
                        "--clear-groups", BUILD / "awsenv", *words),
            env={"HOME": str(a.home), "AWSENV_SOCK": str(self.sock),
                 "PATH": "/usr/bin:/bin"}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60)

    def awsenv_is_logged_in(self):
        self.sim.until(lambda: self.awsenv(
            "-p", "marketing", "whoami").returncode == 0, 30,
                       "a good token")

    def until_no_login_waits(self):
        self.sim.until(lambda: self.awsenv("login", "--show-pending").stderr
                       == "", 30, "end of the login that waits")

    # sshd

    def sshd(self, *lines):
        self.port = free_port()
        key, user = self.dir / "host", self.dir / "user"
        for path in (key, user):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "",
                            "-f", str(path)], check=True)
        ssh = self.account.home / ".ssh"
        ssh.mkdir(exist_ok=True)
        with open(ssh / "authorized_keys", "a") as f:
            f.write(pathlib.Path(f"{user}.pub").read_text())
        self.account.give()
        conf = self.dir / "sshd_config"
        conf.write_text("\n".join([
            f"Port {self.port}", "ListenAddress 127.0.0.1", f"HostKey {key}",
            "UsePAM yes", "StrictModes no", "PidFile none", "LogLevel DEBUG1",
            "MaxStartups 100", "PrintLastLog no", "PrintMotd no",
            "Subsystem sftp internal-sftp", *lines]) + "\n")
        # What the module logs; sshd's own log is of its own.
        (self.dir / "pam.log").touch()
        self.children.append(subprocess.Popen(
            self.inside("/usr/sbin/sshd", "-D", "-f", conf, "-E",
                        self.dir / "sshd.log"),
            env={"PATH": "/usr/sbin:/usr/bin:/bin", "LD_PRELOAD": shim(),
                 "PAM_LOG": str(self.dir / "pam.log")}))
        end = time.monotonic() + 10
        while True:
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", self.port)) == 0:
                    break
            assert time.monotonic() < end, "sshd does not listen"
            time.sleep(0.05)
        self.ask = self.dir / "askpass"
        self.ask.write_text(f"#!/bin/sh\necho '{PASSWORD}'\n")
        self.ask.chmod(0o755)

    def options_of(self, method="publickey"):
        return ["-F", "/dev/null", "-o", "StrictHostKeyChecking=no", "-o",
                "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o",
                f"PreferredAuthentications={method}", "-i", self.dir / "user"]

    def client_env(self):
        return {"PATH": "/usr/bin:/bin", "SSH_ASKPASS": str(self.ask),
                "SSH_ASKPASS_REQUIRE": "force", "TERM": "xterm",
                "LANG": "C.UTF-8", "HOME": str(self.dir)}

    def ssh(self, *words, method="publickey", stdin=None, timeout=30,
            options=()):
        return subprocess.run(
            [str(w) for w in (
                "ssh", *self.options_of(method), "-p", self.port, *options,
                f"{self.account.name}@127.0.0.1", *words)],
            env=self.client_env(), capture_output=True, timeout=timeout,
            stdin=subprocess.DEVNULL if stdin is None else stdin)

    def ssh_terminal(self, *words, method="publickey", typed=False, options=()):
        """typed: the password is asked for at the terminal."""
        env = self.client_env()
        if typed:
            del env["SSH_ASKPASS"], env["SSH_ASKPASS_REQUIRE"]
        return Terminal(
            [str(w) for w in (
                "ssh", "-tt", *self.options_of(method), *options, "-p",
                self.port, f"{self.account.name}@127.0.0.1", *words)],
            env, rows=60)

    def scp(self, source, target, *options):
        return subprocess.run(
            [str(w) for w in ("scp", "-q", *self.options_of(), *options, "-P",
                              self.port, source,
                              f"{self.account.name}@127.0.0.1:{target}")],
            env=self.client_env(), capture_output=True, timeout=30)

    def logged(self):
        """Lines of the module, with their priority."""
        return [line for line in (self.dir / "pam.log").read_text(
            errors="replace").splitlines() if "pam_awsenv" in line]

    def log_of_sshd(self):
        return (self.dir / "sshd.log").read_text(errors="replace")
