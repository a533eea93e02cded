# SPDX-License-Identifier: ISC
"""Root and everybody's agents: status and logout with --all-users.

In a mount namespace whose /run has directories of a few users; some of them
mean no good.
"""
import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import pytest

import etc
import wire
from agent import Agent, BUILD, until
from journey import approving

ROOT = os.geteuid() == 0
# Of each process its own, that nobody has: others may run meanwhile.
FIRST = 1_000_000 + os.getpid() % 30_000 * 4000
EXIT_REFUSED, EXIT_AWS = 5, 6

pytestmark = pytest.mark.skipif(not ROOT or bool(etc.missing()),
                                reason="needs root, and a mount namespace")

# A user's program where an agent would be: holds the lock unless told not to,
# counts its clients, and does as it is told with each.
FAKE = '''
import fcntl, os, socket, struct, sys, time
folder, how, reply = sys.argv[1], sys.argv[2], bytes.fromhex(sys.argv[3])
if how != "activated":
    lock = open(folder + "/agent.sock.lock", "w")
    fcntl.flock(lock, fcntl.LOCK_EX)
s = socket.socket(socket.AF_UNIX)
s.bind(folder + "/agent.sock")
s.listen(0 if how == "deaf" else 50)
clients = []
while how == "deaf":
    c = socket.socket(socket.AF_UNIX)
    c.setblocking(False)
    try:
        c.connect(folder + "/agent.sock")
    except BlockingIOError:
        break
    clients.append(c)
print("ready", flush=True)
while how == "deaf":
    time.sleep(1)
while True:
    c, _ = s.accept()
    clients.append(c)
    open(folder + "/clients", "a").write("x")
    if how == "reply":
        c.recv(65536)
        c.sendall(reply)
'''


class Run:
    """A /run with users in it; root looks at it through the namespace."""

    def __init__(self, folder):
        self.folder, self.stack = folder, contextlib.ExitStack()
        self.uid = FIRST
        for name in ("user", "awsenv"):
            (folder / name).mkdir(mode=0o755)

    def __enter__(self):
        self.space = self.stack.enter_context(etc.Namespace(
            'mount --rbind "$0" /run && ', self.folder))
        return self

    def __exit__(self, *_):
        self.stack.close()

    def place(self, kind="user", mode=0o700):
        """A directory for one more user's socket: (uid, folder)."""
        self.uid += 1
        top = folder = self.folder / kind / str(self.uid)
        top.mkdir(mode=0o700)
        if kind == "user":
            folder = top / "awsenv"
            folder.mkdir(mode=mode)
        for path in (top, folder):
            os.chown(path, self.uid, self.uid)
        return self.uid, folder

    def agent(self, sim):
        """A real one, whose directory stands in /run/user."""
        self.uid += 1
        agent = Agent(sim, uid=self.uid)
        self.stack.callback(agent.close)
        top = self.folder / "user" / str(self.uid)
        top.mkdir()
        # A rename of the whole directory keeps the socket what it is.
        agent.runtime.rmdir()
        agent.runtime.symlink_to(top)
        top.chmod(0o700)
        os.chown(top, self.uid, self.uid)
        agent.runtime, agent.sock = top, top / "awsenv/agent.sock"
        return agent.start()

    def fake(self, how, reply=b"", kind="user", owner=None):
        uid, folder = self.place(kind)
        owner = uid if owner is None else owner

        def become():
            os.setgroups([])
            os.setresgid(owner, owner, owner)
            os.setresuid(owner, owner, owner)
        child = subprocess.Popen(
            [sys.executable, "-c", FAKE, folder, how, reply.hex()],
            stdout=subprocess.PIPE, preexec_fn=become)
        self.stack.callback(child.stdout.close)
        self.stack.callback(child.wait)
        self.stack.callback(child.kill)
        assert child.stdout.readline() == b"ready\n"
        return uid, folder

    def awsenv(self, *words, uid=0):
        def become():
            self.space.enter()
            os.setresuid(uid, uid, uid)
        return subprocess.run(
            [BUILD / "awsenv", *words], capture_output=True, text=True,
            timeout=240, preexec_fn=become, env={"PATH": "/usr/bin:/bin"})

    def status(self):
        done = self.awsenv("status", "--all-users", "--json")
        report = json.loads(done.stdout)
        return done, {u["uid"]: u for u in report["users"]}, report["totals"]


@pytest.fixture
def run(tmp_path):
    # Short, and open to all: paths of sockets have room for 108 bytes.
    folder = pathlib.Path(subprocess.run(
        ["mktemp", "-d", "/tmp/awsenv-run.XXXXXX"], capture_output=True,
        text=True, check=True).stdout.strip())
    folder.chmod(0o755)
    try:
        with Run(folder) as run:
            yield run
    finally:
        subprocess.run(["rm", "-rf", folder], check=True)


def log_in(agent, sim):
    """As its user would: root may not."""
    with approving(sim):
        done = agent.run("login", "-p", "marketing")
    assert done.returncode == 0, done.stderr


def clients(folder):
    path = folder / "clients"
    return len(path.read_text()) if path.exists() else 0


def framed(name, body):
    name = name.encode()
    payload = b"\x1d" + len(name).to_bytes(4, "big") + name + body
    return len(payload).to_bytes(4, "big") + payload


def test_nobody_is_no_error(run):
    done = run.awsenv("status", "--all-users")
    assert done.returncode == 0 and done.stdout.startswith("0 agents")


def test_it_is_for_root(run):
    for verb in ("status", "logout"):
        done = run.awsenv(verb, "--all-users", uid=FIRST)
        assert done.returncode == EXIT_REFUSED
        assert f"sudo awsenv {verb} --all-users" in done.stderr


@pytest.mark.parametrize("words", [
    ("logout", "--json"), ("status", "--all-users", "-p", "x"),
    ("status", "--all-users", "--check", "5m"), ("status", "--all-users", "x"),
    ("logout", "--all-users", "--all", "--profile", "x"),
    ("login", "--all-users")])
def test_what_does_not_go_together_is_a_usage_error(run, words):
    done = run.awsenv(*words)
    assert done.returncode == 2 and done.stderr.startswith("awsenv: ")


def test_everybody_is_counted_and_everybody_is_logged_out(run, sim):
    ann, bob, eve = (run.agent(sim) for _ in range(3))
    log_in(ann, sim)
    assert ann.run("-p", "marketing", "--", "true").returncode == 0
    log_in(bob, sim)
    done, users, totals = run.status()
    assert done.returncode == 0 and not done.stderr
    assert set(users) == {ann.uid, bob.uid, eve.uid}
    one = users[ann.uid]
    assert one["error"] is None and one["logins_good"] == 1
    assert one["roles"] == 1 and one["keys_used"] > 2
    assert one["keys_max"] and one["pid"] == ann.process.pid
    assert one["socket"] == f"/run/user/{ann.uid}/awsenv/agent.sock"
    assert one["login_expires"] and not users[eve.uid]["login_expires"]
    assert totals["agents"] == 3 and totals["logins_good"] == 2
    assert totals["roles"] == 2 and totals["failed"] == 0
    for secret in sim.secrets():
        assert secret["value"] not in done.stdout
    text = run.awsenv("status", "--all-users").stdout
    assert text.splitlines()[-1] == "3 agents, 2 logins, 2 role credentials"

    done = run.awsenv("logout", "--all-users", "--credentials", "--json")
    assert json.loads(done.stdout)["totals"] == {
        "agents": 3, "failed": 0, "untold": 0, "logins": 0, "roles": 2}
    assert run.status()[2]["logins_good"] == 2

    done = run.awsenv("logout", "--all-users")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("3 agents, 2 logins")
    assert run.status()[2]["logins_good"] == 0
    assert sim.counts()["Logout"] == 2


def test_a_logout_of_which_aws_is_not_told_is_one_all_the_same(run, sim):
    ann = run.agent(sim)
    log_in(ann, sim)
    sim.fault("Logout", "reset")
    done = run.awsenv("logout", "--all-users")
    assert done.returncode == EXIT_AWS
    assert f"(uid {ann.uid})" in done.stderr
    assert "forgotten: 1 login" in done.stdout
    assert run.status()[2]["logins_good"] == 0


def test_one_in_a_directory_that_the_module_made_is_found(run):
    reply = framed("status@awsenv", wire.encode(
        "MSG_STATUS_REP", {"version": "9.9", "agent_pid": 77}))
    uid, folder = run.fake("reply", reply, kind="awsenv")
    done, users, _ = run.status()
    assert users[uid]["version"] == "9.9" and users[uid]["pid"] == 77
    assert users[uid]["socket"] == f"/run/awsenv/{uid}/agent.sock"


def test_no_agent_is_started_to_be_asked(run):
    """systemd listens for many who never come."""
    uid, folder = run.fake("activated")
    for verb in ("status", "logout"):
        done = run.awsenv(verb, "--all-users")
        assert done.returncode == 0 and done.stdout.startswith("0 agents")
    assert clients(folder) == 0


def test_who_means_no_good_costs_nobody_elses_answer(run, sim):
    ann = run.agent(sim)
    log_in(ann, sim)
    bad = wire.encode("MSG_STATUS_REP",
                      {"error": 2, "text": "\x1b]0;owned\x07\u202e"})
    silent, _ = run.fake("silent")
    deaf, _ = run.fake("deaf")
    junk, _ = run.fake("reply", b"\xff" * 300)
    escapes, _ = run.fake("reply", framed("status@awsenv", bad))
    done, users, totals = run.status()
    assert done.returncode == 1
    assert users[ann.uid]["logins_good"] == 1
    assert users[silent]["error"] == "it does not answer"
    assert users[deaf]["error"] == "it accepts no connection"
    assert "malformed" in users[junk]["error"]
    assert "\x1b" not in done.stdout and "\u202e" not in done.stdout
    assert users[escapes]["error"]
    assert totals["agents"] == 5 and totals["failed"] == 4
    text = run.awsenv("status", "--all-users")
    assert text.returncode == 1 and "\x1b" not in text.stderr
    assert text.stdout.splitlines()[-1].endswith("; 4 did not answer")
    done = run.awsenv("logout", "--all-users")
    assert done.returncode == 1
    assert run.status()[1][ann.uid]["logins_good"] == 0


def test_fifty_that_hang_take_no_longer_than_one(run):
    for _ in range(50):
        run.fake("silent")
    start = time.monotonic()
    _, _, totals = run.status()
    assert totals["failed"] == 50
    assert time.monotonic() - start < 45     # one after the other: 250


@pytest.mark.skipif(b"__asan_init" in (BUILD / "awsenv-ctl").read_bytes(),
                    reason="thousands of processes with sanitizers take long")
def test_however_many_they_are(run):
    """More than one message of ours would hold."""
    for _ in range(2500):
        run.place(mode=0o755)
    done, users, totals = run.status()
    assert done.returncode == 1 and len(users) == totals["failed"] == 2500
    assert len(done.stdout) > 256 * 1024


def test_nothing_is_followed_out_of_a_users_directory(run, tmp_path):
    """A link to another's socket, or to a daemon of root, gets no byte."""
    mine, mine_folder = run.fake("silent")
    # The directory is a link to somebody else's.
    thief, folder = run.place()
    folder.rmdir()
    folder.symlink_to(mine_folder)
    os.lchown(folder, thief, thief)
    # The socket is a link to one of root.
    liar, folder = run.place()
    daemon = socket.socket(socket.AF_UNIX)
    daemon.bind(str(run.folder / "daemon"))
    daemon.listen(5)
    (folder / "agent.sock").symlink_to("/run/daemon")
    holder = subprocess.Popen(
        ["flock", "--no-fork", folder / "agent.sock.lock", "sleep", "100"])
    until(lambda: (folder / "agent.sock.lock").exists())
    # It is not private, or another user's.
    open_one, _ = run.place(mode=0o755)
    stolen, _ = run.place()
    os.chown(run.folder / "user" / str(stolen) / "awsenv", mine, mine)
    try:
        before = clients(mine_folder)
        done, users, _ = run.status()
        assert users[thief]["error"].startswith("the agent's directory is not")
        assert users[liar]["error"] == "another user's program listens there"
        for uid in (open_one, stolen):
            assert "private" in users[uid]["error"]
        assert clients(mine_folder) == before + 1
        daemon.settimeout(5)
        connection, _ = daemon.accept()
        connection.settimeout(5)
        assert connection.recv(1) == b""
    finally:
        holder.kill()
        holder.wait()


def test_a_folder_that_is_not_roots_is_not_searched(run):
    uid, _ = run.fake("silent", kind="awsenv")
    os.chown(run.folder / "awsenv", uid, uid)
    assert run.status()[1] == {}
