# SPDX-License-Identifier: ISC
"""A workstation with an agent, and hosts behind real ssh on loopback.

    with Workstation(sim, open={}, payroll={"awsenv_forward": "deny"}) as ws:
        done = ws.ssh("a", "awsenv", "-p", "open", "--", "env")

Each host is an sshd of its own, with its own key; they share this machine's
files, so a command there gets a home and a runtime directory of its own.
"""

import contextlib
import os
import pathlib
import pwd
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile

import wire
from agent import BUILD, Agent, until

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
USER = pwd.getpwuid(os.getuid()).pw_name
KEYS = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f")


def missing():
    """Why there is no ssh here, or None."""
    if not shutil.which("ssh") or not os.path.exists(SSHD):
        return "there is no OpenSSH client and server"
    if os.geteuid() == 0 and not os.path.isdir("/run/sshd"):
        return "sshd as root wants /run/sshd"
    return None


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Workstation:
    def __init__(self, sim, hosts=("a", "b"), args=(), **profiles):
        self.sim = sim
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="awsenv-far."))
        self.agent = Agent(args=args)
        self.agent.sim = None
        self.hosts = {}
        self.far_home, self.far_run = self.dir / "home", self.dir / "run"
        for folder in (self.far_home, self.far_run):
            folder.mkdir(mode=0o700)
        self.write_config(profiles)
        self.conf = self.dir / "ssh_config"
        subprocess.run([*KEYS, self.dir / "id"], check=True)
        self.names = hosts

    def write_config(self, profiles, **session):
        """Nothing of the environment counts from afar: it is all in there."""
        rows = [{"name": name, "endpoint_url": self.sim.urls["https"],
                 "ca_bundle": self.sim.ca, **keys}
                for name, keys in profiles.items()]
        self.sim.write_config(self.agent.config, *rows, **session)

    def __enter__(self):
        self.agent.start()
        for name in self.names:
            self.hosts[name] = self._host(name)
        self._configure()
        return self

    def __exit__(self, kind, value, trace):
        for port, key, child in self.hosts.values():
            child.terminate()
            child.wait()
        if kind is not None:
            print("--- the agent's log:\n" + self.agent.logged()[-8000:])
            for log in self.dir.glob("*.log"):
                print(f"--- {log.name}:\n" + log.read_text()[-3000:])
        self.agent.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def _host(self, name):
        key, port = self.dir / f"host-{name}", free_port()
        subprocess.run([*KEYS, key], check=True)
        conf = self.dir / f"sshd-{name}"
        conf.write_text(f"""ListenAddress 127.0.0.1:{port}
HostKey {key}
PidFile none
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
AuthorizedKeysFile {self.dir}/id.pub
StreamLocalBindUnlink yes
MaxStartups 200
MaxSessions 200
AllowUsers {USER}
""")
        log = open(self.dir / f"sshd-{name}.log", "w")
        child = subprocess.Popen([SSHD, "-D", "-e", "-f", conf], stderr=log,
                                 stdin=subprocess.DEVNULL)
        def answers():
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                return True
        until(answers, why=f"sshd {name} does not listen")
        return port, key, child

    def _configure(self):
        """One file for all hosts: this machine's and, further on, theirs."""
        text = "".join(f"""Host {name}
    HostName 127.0.0.1
    Port {port}
    HostKeyAlias {name}
""" for name, (port, key, child) in self.hosts.items())
        self.conf.write_text(text + f"""Host *
    User {USER}
    IdentityFile {self.dir}/id
    IdentitiesOnly yes
    UserKnownHostsFile {self.dir}/known_hosts
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    BatchMode yes
    LogLevel ERROR
""")
        (self.dir / "known_hosts").write_text("".join(
            f"{name} {key.with_suffix('.pub').read_text()}"
            for name, (port, key, child) in self.hosts.items()))

    def fingerprint(self, name):
        out = subprocess.run(
            ["ssh-keygen", "-lf", self.hosts[name][1].with_suffix(".pub")],
            capture_output=True, text=True, check=True).stdout
        return out.split()[1]

    @property
    def forward(self):
        return self.agent.sock.parent / "forward.sock"

    @property
    def remote(self):
        return self.agent.sock.parent / "remote.sock"

    def log_in(self, profile):
        """By a person at the workstation."""
        reply = self.agent.login(profile)
        if reply.state != wire.LOGIN_DONE:
            reply = self.agent.until_state(reply, wire.LOGIN_PENDING)
            self.sim.approve(reply.code.decode(), "ann@example.com")
            self.agent.until_state(reply, wire.LOGIN_DONE)

    # ssh

    def far(self, argv, **env):
        """A command line for the far side, where nothing else is."""
        variables = {
            "HOME": self.far_home, "XDG_RUNTIME_DIR": self.far_run,
            "PATH": f"{BUILD}:/usr/bin:/bin", "AWS_PAGER": "",
            "AWS_EC2_METADATA_DISABLED": "true", "LANG": "C.UTF-8", **env}
        return shlex.join([
            "env", "-u", "AWS_PROFILE", "-u", "AWSENV_SOCK",
            *(f"{k}={v}" for k, v in variables.items()), *map(str, argv)])

    def words(self, host, *options):
        return ["ssh", "-F", str(self.conf), *map(str, options), host]

    # The recipe: the path, and the presence test that ssh makes first.
    def recipe(self):
        return ["-o", f"ForwardAgent={self.forward}",
                "-o", f"IdentityAgent={self.forward}"]

    def popen(self, words, env=None, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.dir),
                 "LANG": "C.UTF-8", **(env or {})}, **options)

    def ssh(self, host, *argv, options=None, env=None, timeout=60, **far):
        """The command on that host, to its end."""
        options = self.recipe() if options is None else options
        child = self.popen(self.words(host, *options) + [self.far(argv, **far)],
                           env)
        try:
            out, err = child.communicate(timeout=timeout)
        finally:
            if child.poll() is None:
                child.send_signal(signal.SIGKILL)
        return subprocess.CompletedProcess(child.args, child.returncode, out,
                                           err)
