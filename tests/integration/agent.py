# SPDX-License-Identifier: ISC
"""A real agent for tests, in a private runtime directory, spoken to by wire.

    with Agent(sim) as agent:
        agent.log_in("marketing")
        reply = agent.creds("marketing")        # wire.Fields of MSG_CREDS_REP
        agent.kill_broker()
        agent.run("-p", "marketing", "--", "env")

Programs come from $B (set by tests/run). As root, uid= runs all of it as that
user, who has the small key quota of an ordinary one.
"""

import contextlib
import ctypes
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import wire

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.path.abspath(os.environ.get("B", TOP / "build")))
HELPERS = ("awsenv-agent", "awsenv-broker", "awsenv-profile", "awsenv-fetch")

# What of a client's environment counts: agent/broker/PROTOCOL, "environment".
COUNTING = (
    "HTTPS_PROXY https_proxy ALL_PROXY all_proxy NO_PROXY no_proxy "
    "AWS_CA_BUNDLE AWS_ENDPOINT_URL AWS_ENDPOINT_URL_SSO "
    "AWS_ENDPOINT_URL_SSO_OIDC AWS_ENDPOINT_URL_STS "
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS AWS_USE_FIPS_ENDPOINT "
    "AWS_USE_DUALSTACK_ENDPOINT AWS_STS_REGIONAL_ENDPOINTS AWS_REGION "
    "AWS_DEFAULT_REGION").split()

# request name: (kind of request, kind of reply)
REQUESTS = {
    name + "@awsenv": (f"MSG_{name.upper()}_REQ", f"MSG_{reply}_REP")
    for name, reply in {
        "creds": "CREDS", "login": "LOGIN", "wait": "LOGIN",
        "status": "STATUS", "list": "LIST", "logout": "LOGOUT",
        "whoami": "WHOAMI"}.items()}
REQUESTS["stop@awsenv"] = ("MSG_EMPTY", "MSG_DONE_REP")
REQUESTS["nudge@awsenv"] = ("MSG_NUDGE_REQ", "MSG_LOGIN_REP")
REQUESTS["watch@awsenv"] = ("MSG_WATCH_REQ", "MSG_WATCH_REP")
REQUESTS["profiles@awsenv"] = ("MSG_PROFILES_REQ", "MSG_PROFILES_REP")
REQUESTS["grants@awsenv"] = ("MSG_GRANTS_REQ", "MSG_GRANTS_REP")
REQUESTS["relay@awsenv"] = ("MSG_EMPTY", "MSG_RELAY_REP")
REQUESTS["questions@awsenv"] = ("MSG_QUESTIONS_REQ", "MSG_QUESTIONS_REP")
REQUESTS["answer@awsenv"] = ("MSG_ANSWER_REQ", "MSG_DONE_REP")
REQUESTS["forward@awsenv"] = ("MSG_FORWARD_REQ", "MSG_FORWARD_REP")
REQUESTS["screen@awsenv"] = ("MSG_SCREEN_REQ", "MSG_DONE_REP")
REQUESTS["log@awsenv"] = ("MSG_LOG_REQ", "MSG_LOG_REP")
ITEMS = {0: "MSG_LOGIN_ITEM", 1: "MSG_ROLE_ITEM", 2: "MSG_KEY_ITEM",
         3: "MSG_PROBLEM_ITEM"}


def until(true, seconds=60, why="it did not happen"):
    """Wait for true() to be that; its value."""
    end = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < end, why
        time.sleep(0.01)
    return value


def switches(pid):
    """How often it, or a thread of it, ran."""
    return sum(int(line.split()[1])
               for path in pathlib.Path(f"/proc/{pid}/task").glob("*/status")
               for line in path.read_text().splitlines()
               if "ctxt_switches" in line)


def until_asleep(*pids, seconds=3):
    """None of them runs for that long; what was begun before may have its end."""
    def asleep():
        before = [switches(p) for p in pids]
        time.sleep(seconds)
        return [switches(p) for p in pids] == before and all(before)
    until(asleep, 60, "one of them wakes again and again")


def stat(pid):
    """(name, state, parent) of a process; None when it is gone."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    head, rest = text.rsplit(")", 1)
    fields = rest.split()
    return head.split("(", 1)[1], fields[0], int(fields[1])


def children(parent, name=None):
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (s := stat(int(entry))):
            if s[2] == parent and s[1] != "Z" and name in (None, s[0]):
                found.append(int(entry))
    return sorted(found)


def our_session():
    """Whoever runs this may be in one of logind's; else any name will do."""
    found = re.search(rf"/user-{os.geteuid()}\.slice/session-(\w+)\.scope",
                      pathlib.Path("/proc/self/cgroup").read_text())
    return found[1] if found else "1"


def stamp_of(path):
    """What a client sends of a file that it saw, as ask.stamp.* fields."""
    try:
        st = os.stat(path)
    except OSError:
        return {}
    return {"ask.stamp.dev": st.st_dev, "ask.stamp.ino": st.st_ino,
            "ask.stamp.size": st.st_size, "ask.stamp.mtime": st.st_mtime_ns}


class Refused(Exception):
    """The agent's answer has an error; .reply is all of it."""

    def __init__(self, name, reply):
        self.reply, self.error = reply, reply.error
        self.text = reply.text.decode()
        super().__init__(f"{name}: {wire.ERRORS.get(reply.error)}: {self.text}")


class Here(socket.socket):
    """Says, as clients of ours do, that it is on the agent's machine."""

    def sendall(self, data):
        fd = os.eventfd(0)
        try:
            sent = socket.send_fds(self, [data], [fd])
        finally:
            os.close(fd)
        if sent < len(data):
            super().sendall(data[sent:])


class Agent:
    def __init__(self, sim=None, profiles=("marketing",), args=(), env=None,
                 uid=None, **config):
        self.sim, self.args, self.uid = sim, list(args), uid
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="awsenv-agent."))
        self.dir.chmod(0o755)
        self.runtime = self.dir / "run"
        self.home = self.dir / "home"
        for folder in (self.runtime, self.home):
            folder.mkdir(mode=0o700)
        self.config = self.home / ".aws" / "config"
        self.sock = self.runtime / "awsenv" / "agent.sock"
        self.log = self.dir / "log"
        self.extra = dict(env or {})
        self.process = None
        self.programs = BUILD
        if sim:
            sim.write_config(self.config, *profiles, **config)
        if sim and uid is not None:
            # The simulator's own folder is not open to others.
            ca = self.dir / "ca.pem"
            shutil.copy(sim.ca, ca)
            ca.chmod(0o644)
            self.extra.setdefault("AWS_CA_BUNDLE", str(ca))
        self._give()

    def _give(self):
        """To the user that the agent runs as."""
        if self.uid is None:
            return
        for folder in (self.runtime, self.home):
            for path in (folder, *folder.rglob("*")):
                os.chown(path, self.uid, self.uid)

    def install(self, mode=0o711):
        """Run copies, as an installation would have them."""
        self.programs = self.dir / "bin"
        self.programs.mkdir()
        for name in (*HELPERS, "awsenv"):
            shutil.copy(BUILD / name, self.programs / name)
            (self.programs / name).chmod(mode if name != "awsenv" else 0o755)
        return self

    # Life

    @property
    def env(self):
        """The environment of a client of this agent."""
        env = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8",
               "HOME": str(self.home), "XDG_RUNTIME_DIR": str(self.runtime),
               "AWS_CONFIG_FILE": str(self.config)}
        if self.sim:
            env.update(self.sim.env())
        env.update(self.extra)
        return {k: v for k, v in env.items() if v is not None}

    def become(self):
        if self.uid is not None and os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(self.uid, self.uid, self.uid)
            os.setresuid(self.uid, self.uid, self.uid)

    def start(self, **env):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [str(self.programs / "awsenv-agent"), "-D", *self.args],
                env={**self.env, **env}, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, preexec_fn=self.become, cwd="/")
        until(self._answers, 20, "the agent did not come up: " + self.logged())
        return self

    def _answers(self):
        assert self.process.poll() is None, self.logged()
        try:
            with self.connect(5) as s:
                return self.raw(b"\x1b\0\0\0\5query", s)[:1] == b"\x1d"
        except (OSError, EOFError):
            return False

    def stop(self, seconds=10):
        """SIGTERM, and what the agent exits with."""
        if self.process is None:
            return None
        process, self.process = self.process, None
        if process.poll() is None:
            process.terminate()
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def close(self):
        try:
            self.stop()
        finally:
            shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, value, trace):
        if kind is not None:
            print("--- the agent's log:\n" + self.logged()[-8000:])
        self.close()

    def logged(self):
        try:
            return self.log.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    @property
    def pid(self):
        return self.process.pid

    def broker_pid(self, other_than=None):
        def one():
            found = children(self.pid, "awsenv-broker")
            return next((p for p in found if p != other_than), None)
        return until(one, why="there is no broker")

    def helpers(self, name="awsenv-fetch"):
        """Pids of one-shot programs that run now."""
        found = []
        for child in children(self.pid):
            found += children(child, name)
        return found

    @contextlib.contextmanager
    def polling(self, profile="marketing"):
        """A person's login that nobody approves; the pid of its fetcher."""
        login = subprocess.Popen(
            [BUILD / "awsenv", "login", "-p", profile], env=self.env,
            preexec_fn=self.become, cwd="/", stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until(self.sim.pending)
            pid, = self.helpers()
            yield pid
        finally:
            login.kill()
            login.wait()

    def kill_broker(self, wait=True):
        pid = self.broker_pid()
        os.kill(pid, signal.SIGKILL)
        return self.broker_pid(other_than=pid) if wait else pid

    # Requests

    def connect(self, seconds=65):
        s = Here(socket.AF_UNIX)
        s.settimeout(seconds)
        try:
            s.connect(str(self.sock))
        except OSError:
            s.close()
            raise
        return s

    def raw(self, payload, sock=None):
        """One frame there and one back, without lengths."""
        with contextlib.ExitStack() as stack:
            s = sock or stack.enter_context(self.connect())
            s.sendall(len(payload).to_bytes(4, "big") + payload)
            return wire.read_frame(s)

    def asking(self, profile=None, config=None, **env):
        """The ask.* fields that a client here would send."""
        config = config or self.config
        variables = {**self.env, **env}
        return {"ask.config": str(config), **stamp_of(config),
                "ask.profile": profile or "",
                "ask.env": wire.join(f"{n}={variables[n]}" for n in COUNTING
                                     if variables.get(n))}

    def ask_once(self, name, fields, sock=None, seconds=65):
        kinds = REQUESTS[name]
        with contextlib.ExitStack() as stack:
            s = sock or stack.enter_context(self.connect(seconds))
            return wire.ask(s, name, *kinds, fields, seconds=seconds)

    def ask(self, name, fields=None, sock=None, seconds=65, check=True):
        """As clients do: once more when the broker went away meanwhile."""
        end = time.monotonic() + seconds
        while True:
            try:
                reply = self.ask_once(name, fields or {}, sock, seconds)
                break
            except (EOFError, ConnectionResetError, BrokenPipeError):
                if sock or time.monotonic() > end:
                    raise
                time.sleep(0.01)
        if check and reply.error != wire.AW_OK:
            raise Refused(name, reply)
        return reply

    def creds(self, profile=None, check=True, sock=None, within=65, env=None,
              **fields):
        return self.ask("creds@awsenv", {**self.asking(profile, **(env or {})),
                                         **fields}, sock, within, check)

    def keys(self, profile=None, **more):
        """The credentials themselves: Fields of MSG_CREDS."""
        return wire.decode("MSG_CREDS", self.creds(profile, **more).sealed)

    def login(self, profile=None, check=True, env=None, **fields):
        return self.ask("login@awsenv", {**self.asking(profile, **(env or {})),
                                         **fields}, check=check)

    def wait(self, ticket, seen, seconds=30, check=True):
        return self.ask("wait@awsenv", {"ticket": ticket, "seen": seen,
                                        "seconds": seconds}, check=check)

    def until_state(self, reply, state, seconds=30):
        """wait@ until the login is there; the reply that said so."""
        end = time.monotonic() + seconds
        while reply.state != state:
            assert time.monotonic() < end, f"still in state {reply.state}"
            reply = self.wait(reply.ticket, reply.state, 5)
        return reply

    def log_in(self, profile=None, user="ann@example.com", **more):
        """With a person who approves at once; the last reply."""
        reply = self.login(profile, **more)
        if reply.state == wire.LOGIN_DONE:
            return reply
        reply = self.until_state(reply, wire.LOGIN_PENDING)
        self.sim.approve(reply.code.decode(), user)
        return self.until_state(reply, wire.LOGIN_DONE)

    def status(self, profile=None, check=True, **env):
        return self.ask("status@awsenv", self.asking(profile, **env),
                        check=check)

    def list(self, what):
        """All entries of wire.LIST_LOGINS, ... as Fields."""
        items, start = [], 0
        while True:
            reply = self.ask("list@awsenv", {"what": what, "from": start})
            items += wire.unpack(ITEMS[what], reply["items"])
            if not reply.next:
                return items
            start = reply.next

    def logout(self, profile=None, what=0, check=True):
        return self.ask("logout@awsenv", {**self.asking(profile),
                                          "what": what}, check=check)

    def whoami(self, profile=None, check=True):
        return self.ask("whoami@awsenv", self.asking(profile), check=check)

    def run(self, *argv, env=None, timeout=60, **options):
        """The wrapper, to its end."""
        return subprocess.run(
            [str(self.programs / "awsenv"), *argv], text=True,
            env={**self.env, **(env or {})}, capture_output=True,
            timeout=timeout, preexec_fn=self.become, cwd="/", **options)


def key_quota(uid):
    """(keys, bytes) that the kernel charges to a user."""
    for line in pathlib.Path("/proc/key-users").read_text().splitlines():
        fields = line.split()
        if int(fields[0].rstrip(":")) == uid:
            return tuple(int(f.split("/")[0]) for f in fields[3:5])
    return 0, 0


def read_key(serial):
    """What keyctl read gives this process: bytes, or an errno."""
    keys = ctypes.CDLL("libkeyutils.so.1", use_errno=True)
    data = ctypes.create_string_buffer(32767)
    n = keys.keyctl_read(serial, data, len(data))
    return ctypes.get_errno() if n < 0 else data.raw[:n]
