# SPDX-License-Identifier: ISC
"""A workstation with an agent, and hosts behind real ssh on loopback.

    with Workstation(sim, open={}, payroll={"awsenv_forward": "deny"}) as ws:
        done = ws.ssh("a", "awsenv", "-p", "open", "--", "env")

Each host is an sshd of its own, with its own key; they share this machine's
files, so a command there gets a home and a runtime directory of its own.
"""

import pathlib
import shlex
import shutil
import signal
import subprocess
import tempfile

import wire
from agent import BUILD, Agent
from openssh import USER, Sshd, make_key, missing  # noqa: F401


class Workstation:
    def __init__(self, sim, hosts=("a", "b"), args=(), home=False,
                 lines=("StreamLocalBindUnlink yes",), **profiles):
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
        make_key(self.dir / "id")
        for name in hosts:
            self.hosts[name] = Sshd(self.dir, name, self.dir / "id.pub",
                                    lines, self.far_home if home else None)
        self._configure()

    def write_config(self, profiles, **session):
        """Nothing of the environment counts from afar: it is all in there."""
        rows = [{"name": name, "endpoint_url": self.sim.urls["https"],
                 "ca_bundle": self.sim.ca, **keys}
                for name, keys in profiles.items()]
        self.sim.write_config(self.agent.config, *rows, **session)

    def __enter__(self):
        self.agent.start()
        for sshd in self.hosts.values():
            sshd.start()
        return self

    def __exit__(self, kind, value, trace):
        for sshd in self.hosts.values():
            sshd.stop()
        if kind is not None:
            print("--- the agent's log:\n" + self.agent.logged()[-8000:])
            for log in self.dir.glob("*.log"):
                print(f"--- {log.name}:\n" + log.read_text()[-3000:])
        self.agent.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def _configure(self):
        """One file for all hosts: this machine's and, further on, theirs."""
        text = "".join(f"""Host {name}
    HostName 127.0.0.1
    Port {sshd.port}
    HostKeyAlias {name}
""" for name, sshd in self.hosts.items())
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
            f"{name} {sshd.public}\n" for name, sshd in self.hosts.items()))

    def fingerprint(self, name):
        out = subprocess.run(
            ["ssh-keygen", "-lf", self.hosts[name].key.with_suffix(".pub")],
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
