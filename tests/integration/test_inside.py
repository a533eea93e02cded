# SPDX-License-Identifier: ISC
"""Each process as it is installed, asked from inside: what it may do, and what
is left in its memory of the secrets that it saw."""

import base64
import binascii
import errno
import os
import pathlib
import subprocess

import pytest

import wire
from agent import BUILD, Agent, children, until
from inside import SUPPORTED, SYS, Inside, Killed
from simulator.client import Simulator

SANITIZED = b"__asan_init" in (BUILD / "awsenv-broker").read_bytes()
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to look inside"),
    pytest.mark.skipif(SANITIZED, reason="sanitizers leave seccomp out, and "
                       "their heap keeps what was freed"),
]
probes = pytest.mark.skipif(not SUPPORTED, reason="the probe is for x86_64")
UID = 63200 + os.getpid() % 300
PROFILES = ["marketing", "platform", "sandbox"]


@pytest.fixture(scope="module")
def world():
    """One login, many roles, refreshes, errors; then nothing under way."""
    with Simulator(interval=1, accounts=3, roles=2) as sim:
        agent = Agent(sim, profiles=PROFILES).install()
        with agent:
            agent.log_in("marketing")
            for _ in range(3):
                for name in PROFILES:
                    assert agent.keys(name).access_key
                agent.whoami("marketing")
                agent.logout("marketing", what=2)    # credentials
                sim.expire("access_token")
            for name in PROFILES:
                agent.keys(name)
            until(lambda: not agent.helpers())
            yield sim, agent


@pytest.fixture
def pending(world):
    """A fetcher that polls for a second login."""
    sim, agent = world
    env = {"HTTPS_PROXY": "http://127.0.0.1:9",
           "NO_PROXY": "localhost,127.0.0.1"}
    reply = agent.login("marketing", env=env)
    agent.until_state(reply, wire.LOGIN_PENDING)
    pid, = until(agent.helpers)
    yield pid
    os.kill(pid, 9)


def processes(agent):
    spawner, = children(agent.pid, "awsenv-spawner")
    return {"supervisor": agent.pid, "spawner": spawner,
            "broker": agent.broker_pid()}


# ---- what they may do

OPEN, CODE = ("open", "/etc/passwd", 0), ("mmap", 0, 4096, 5, 0x22, -1)
TCP, UNIX = ("socket", 2, 1, 0), ("socket", 1, 1, 0)
JOIN, TO_PARENT = ("keyctl", 1, 0), ("keyctl", 18)
LINK = ("keyctl", 8, -3, -2)
RUN = ("execve", "/bin/true", 0, 0)
ANYWHERE = [("ptrace", 0), ("process_vm_readv", 1), ("bpf", 0),
            ("io_uring_setup", 1), ("mount", 0), ("unshare", 0x10000000),
            ("perf_event_open", 0), ("userfaultfd", 1),
            ("request_key", 0), TO_PARENT, LINK]


def try_to(inside, name, *arguments):
    return inside.call(name, *(inside.text(a) if isinstance(a, str) else a
                               for a in arguments))


@probes
@pytest.mark.parametrize("what", [
    OPEN, CODE, RUN, ("fork",), ("connect", 0), ("bind", 0), ("unlink", 0),
    ("kill", 1, 0), ("prctl", 4, 1), JOIN, *ANYWHERE], ids=lambda w: "-".join(
        map(str, w[:2])))
def test_the_broker_ends_by_what_it_has_no_need_of(world, what):
    sim, agent = world
    pid = agent.broker_pid()
    with Inside(pid) as inside, pytest.raises(Killed):
        try_to(inside, *what)
    assert agent.keys("marketing").access_key       # by the next one
    assert agent.broker_pid() != pid


@probes
def test_the_broker_makes_no_socket(world):
    _, agent = world
    with Inside(agent.broker_pid()) as inside:
        assert try_to(inside, *TCP) == try_to(inside, *UNIX) == -errno.EACCES
        assert try_to(inside, "getpid") == inside.pid
    assert agent.keys("marketing").access_key


@probes
def test_the_fetcher_is_refused_what_a_client_does_not_need(world, pending):
    _, agent = world
    home = agent.home / "private"
    home.write_text("x")
    with Inside(pending) as inside:
        for what in (*ANYWHERE, RUN, UNIX, JOIN, ("kill", 1, 0),
                     ("prctl", 4, 1), ("mmap", 0, 4096, 7, 0x22, -1)):
            assert try_to(inside, *what) == -errno.EPERM, what
        new = str(agent.runtime / "new")
        if b"landlock" in bytes(agent.status().sandbox):
            assert try_to(inside, "open", str(home), 0) == -errno.EACCES
            assert try_to(inside, "open", new, 0o102, 0o600) == -errno.EACCES
        else:   # then it can make a file, and cannot fill it
            fd = try_to(inside, "open", new, 0o102, 0o600)
            assert try_to(inside, "write", fd, "x", 1) == -errno.EFBIG
        assert try_to(inside, *TCP) > 2
        assert try_to(inside, *OPEN) > 2


@probes
def test_the_supervisor_is_refused_what_none_of_ours_needs(world):
    _, agent = world
    with Inside(agent.pid) as inside:
        for what in ANYWHERE:
            assert try_to(inside, *what) == -errno.EPERM, what
    assert agent.keys("marketing").access_key


@probes
def test_the_probe_itself_is_no_reason(tmp_path):
    """What is refused above succeeds, or fails otherwise, without a filter."""
    child = subprocess.Popen(["/bin/sleep", "60"])
    try:
        with Inside(child.pid) as inside:
            assert try_to(inside, *TCP) > 2
            assert try_to(inside, *OPEN) > 2
            assert try_to(inside, *CODE) > 0
            assert try_to(inside, "kill", child.pid, 0) == 0
    finally:
        child.kill()
        child.wait()


# ---- what is left in them

PIECE = 20


def pieces(value):
    """Parts of a secret, so that a half of it is found, too; and of what it
    says where it is base64."""
    texts = [value.encode()]
    for decode in (base64.b64decode, base64.urlsafe_b64decode):
        try:
            texts.append(decode(value + "=" * (-len(value) % 4)))
        except (binascii.Error, ValueError):
            continue
    for text in texts:
        # No two tokens of the simulator's begin alike for so long.
        for at in {0, max(0, len(text) // 2 - PIECE), max(0, len(text) - PIECE)}:
            if len(text[at:at + PIECE]) >= 16:
                yield text[at:at + PIECE]


def memory(pid):
    """Each mapping that is written to, and what is in it."""
    with open(f"/proc/{pid}/maps") as f, \
            open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for line in f:
            span, rights, _, _, _, *name = line.split()
            if "w" not in rights:
                continue
            start, end = (int(n, 16) for n in span.split("-"))
            mem.seek(start)
            try:
                yield " ".join(name) or span, mem.read(end - start)
            except OSError:
                continue


def found(pid, secrets):
    """[(kind, mapping)] of the secrets whose parts are there."""
    return sorted({(s["kind"], where) for where, data in memory(pid)
                   for s in secrets for p in pieces(s["value"]) if p in data})


def long_enough(sim):
    # What begins in common with all others is no secret.
    return [s for s in sim.secrets() if len(s["value"]) >= 32]


@pytest.mark.parametrize("name", ["supervisor", "spawner", "broker"])
def test_no_secret_is_left_in_memory_at_rest(world, name):
    sim, agent = world
    secrets = long_enough(sim)
    assert len(secrets) > 10
    assert found(processes(agent)[name], secrets) == []


def test_a_fetcher_that_polls_holds_its_own_login_alone(world, pending):
    sim, agent = world

    def seen():
        there = b"\0".join(data for _, data in memory(pending))
        return [s for s in long_enough(sim) if s["value"].encode() in there]
    # The scan sees something, once this very fetcher was told what it needs.
    mine = until(seen, why="a fetcher that polls without a code")
    assert {s["kind"] for s in mine} <= {"deviceCode", "clientSecret"}, mine
    assert len(mine) <= 2


@pytest.mark.parametrize("uid", [None, UID], ids=["root", "user"])
def test_where_a_fetcher_has_secrets_is_locked(uid):
    """Under the limit that an ordinary user has, too."""
    with Simulator(interval=1, accounts=2, roles=1) as sim, \
            Agent(sim, uid=uid).install() as agent:
        sim.dir.chmod(0o755)
        with agent.polling() as pid:
            device = [s["value"].encode() for s in sim.secrets()
                      if s["kind"] == "deviceCode"]
            held = {where for where, data in memory(pid)
                    if any(d in data for d in device)}
            assert held and held <= locked(pid), held


def locked(pid):
    """The mappings that have all that they have of memory locked."""
    text = pathlib.Path(f"/proc/{pid}/smaps").read_text()
    names, name, size = set(), None, {}
    for line in text.splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            name = " ".join(words[5:]) or words[0]
        elif words[0] in ("Pss:", "Locked:"):
            size[words[0]] = int(words[1])
            if words[0] == "Locked:" and size["Locked:"] >= size["Pss:"] > 0:
                names.add(name)
    return names


def test_processes_are_neither_dumpable_nor_leave_a_core():
    """The kernel shows the memory of who is not dumpable as root's, and makes
    no core of it, whatever core_pattern says."""
    with Agent(uid=UID).install() as agent:
        all_of_them(agent)
    plain = subprocess.Popen(["/bin/sleep", "60"], user=UID)
    try:
        assert os.stat(f"/proc/{plain.pid}/mem").st_uid == UID
    finally:
        plain.kill()
        plain.wait()


def all_of_them(agent):
    for name, pid in processes(agent).items():
        assert os.stat(f"/proc/{pid}/mem").st_uid == 0, name
        limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
        core, = (l for l in limits.splitlines() if "core file" in l)
        assert core.split()[4:6] == ["0", "0"], (name, core)
