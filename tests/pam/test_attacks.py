# SPDX-License-Identifier: ISC
"""What a user, or somebody beside him, may plant where a login looks, against
real sshd, login and su: it is refused, it is logged, and the login goes on."""
import contextlib
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

from simulator.client import Simulator
from stack import HERE, PYTHON, Account
from test_module import URL, pending
from test_programs import missing
from world import PASSWORD, World

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())
LONG = 20       # seconds; generous, and far below what hangs


@pytest.fixture
def ann():
    with Account() as account:
        yield account


@pytest.fixture
def bob():
    with Account() as account:
        yield account


@contextlib.contextmanager
def planted(world, path, how, data=b"", owner=None):
    """Something that listens there, in the world's mounts; its requests."""
    log = world.dir / "requests"
    log.write_text("")
    log.chmod(0o666)
    owner = owner or world.account
    child = subprocess.Popen(
        world.inside("setpriv", f"--reuid={owner.uid}", f"--regid={owner.gid}",
                     "--clear-groups", PYTHON, HERE / "fake.py", path, log, how,
                     data.hex()), stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"ready\n"
    try:
        yield lambda: log.read_text().split()
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def folder(world):
    """The user's, as his agent would make it."""
    world.run("install", "-d", "-m", "0700", "-o", str(world.account.uid), "-g",
              str(world.account.gid), world.sock.parent)


def both_ways_in(world):
    """A command sees nothing of it, a person at a terminal neither."""
    begun = time.monotonic()
    done = world.ssh("echo in")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"in\n", b"")
    with world.ssh_terminal() as t:
        t.press(b"echo sock=$AWSENV_SOCK.; exit\n")
        assert t.wait() == 0
    assert f"sock={world.sock}." in t.text and "awsenv:" not in t.text
    assert "\033]" not in t.text
    assert time.monotonic() - begun < 2 * LONG


PLANTS = {
    "one that does not accept": ("deaf", b"", "does not accept"),
    "one that does not answer": ("silent", b"", None),
    "one that answers slowly": ("drip", pending(notice="x" * 900), None),
    "one that speaks HTTP": ("reply", b"HTTP/1.1 200 OK\r\n\r\n",
                             "not an awsenv-agent of this version"),
    "one that answers half": ("reply", pending()[:-9], None),
    "one that refuses": ("reply", b"\0\0\0\1\5",
                         "not an awsenv-agent of this version"),
    "one with an evil page": ("reply", pending(url="http://evil.example/"),
                              None),
    "one with a page that types": ("reply", pending(url="https://a/\033[2J"),
                                   None),
    "one with a code that types": ("reply", pending(code="A\033]0;x\a"), None),
}


@pytest.mark.parametrize("plant", PLANTS)
def test_in_the_agents_place(ann, plant):
    how, data, logged = PLANTS[plant]
    with World(ann) as world:
        world.sshd()
        folder(world)
        with planted(world, world.sock, how, data):
            both_ways_in(world)
        found = world.logged()
        assert all(line[0] in "34" for line in found)
        assert bool(found) == bool(logged)
        assert all(logged in line for line in found)
        assert not ann.processes("awsenv-agent")


def test_names_from_it_are_shown_without_what_a_terminal_would_obey(ann):
    bad = "x\033]0;owned\a\r\n\u202ey"
    with World(ann) as world:
        world.sshd()
        folder(world)
        with planted(world, world.sock, "reply",
                     pending(session=bad, host=bad, notice=bad)):
            with world.ssh_terminal() as t:
                t.press(b"exit\n")
                t.wait()
    assert "awsenv: an AWS login waits" in t.text and "ABCD-EFGH" in t.text
    assert "\033]0;owned" not in t.text and "\u202e" not in t.text
    assert URL in t.text        # the snippet, from the same place


@pytest.mark.parametrize("what", ["socket of another", "fifo", "file", "link",
                                  "folder is a link", "folder of another"])
def test_what_is_no_socket_of_his(ann, bob, what):
    """Nothing is written to it, and the login is not held."""
    with World(ann) as world:
        world.sshd()
        theirs = "/run/theirs/sock"
        world.run("install", "-d", "-o", str(bob.uid), "/run/theirs")
        with planted(world, theirs, "reply", pending(), owner=bob) as requests:
            if what.startswith("folder"):
                world.run("ln", "-s", bob.runtime, world.sock.parent)
                if what.endswith("another"):
                    world.run("rm", world.sock.parent)
                    world.run("install", "-d", "-m", "0777", "-o",
                              str(bob.uid), world.sock.parent)
            else:
                folder(world)
                world.run(*{
                    "socket of another": ["mv", theirs, world.sock],
                    "link": ["ln", "-s", theirs, world.sock],
                    "fifo": ["mkfifo", world.sock],
                    "file": ["touch", world.sock]}[what])
            both_ways_in(world)
            assert requests() == []
        if what in ("socket of another", "link"):
            assert any(f"not a socket of uid {ann.uid}: not used" in line
                       for line in world.logged())
        elif what.startswith("folder"):
            assert world.logged()


def test_what_a_client_sends_or_a_file_sets_does_not_count(ann, bob):
    hostile = {"AWSENV_SOCK": str(bob.sock), "AWSENV_FORWARD_SOCK": "/x",
               "XDG_RUNTIME_DIR": str(bob.runtime), "AWSENV_SHOWN": "1"}
    with World(ann) as world:
        world.sshd("AcceptEnv *", "PermitUserEnvironment yes")
        (ann.home / ".ssh/environment").write_text(
            "".join(f"{k}={v}\n" for k, v in hostile.items()))
        ann.give()
        sent = [w for k, v in hostile.items() for w in ("-o", f"SetEnv={k}={v}")]
        done = world.ssh("echo $AWSENV_SOCK $AWSENV_FORWARD_SOCK",
                         options=sent)
        assert done.stdout.decode().split() == [
            str(world.sock), str(world.sock.parent / "forward.sock")]
        assert world.run("test", "-S", world.sock).returncode == 0
        assert ann.processes("awsenv-agent") and not bob.processes()
        assert not list(bob.runtime.iterdir())


@pytest.mark.parametrize("command", [["su", "{}"], ["su", "-", "{}"]])
def test_in_su_by_another_person(ann, bob, command):
    """The real user is the caller, and so is the whole environment."""
    with World(ann, options="services=su,su-l wait=1",
               services=("su", "su-l")) as world:
        world.run("install", "-d", "-m", "0700", "-o", str(bob.uid),
                  f"/run/user/{bob.uid}", f"/run/user/{bob.uid}/awsenv")
        trap = f"/run/user/{bob.uid}/awsenv/agent.sock"
        with planted(world, trap, "reply", pending(), owner=bob) as requests, \
                world.terminal(
                    "setpriv", f"--reuid={bob.uid}", f"--regid={bob.gid}",
                    "--clear-groups", *(w.format(ann.name) for w in command),
                    HOME=str(bob.home), XDG_RUNTIME_DIR=f"/run/user/{bob.uid}",
                    AWSENV_SOCK=trap, TZ=":/etc/shadow") as t:
            t.until("assword:")
            t.press(PASSWORD.encode() + b"\n")
            t.until("$ ")
            t.press(b"echo sock=$AWSENV_SOCK.\n")
            t.until(f"sock={world.sock}.")
            assert "ABCD-EFGH" not in t.text and requests() == []
            t.press(b"exit\n")
            t.wait()
        for pid in ann.processes("awsenv-agent"):
            env = pathlib.Path(f"/proc/{pid}/environ").read_text()
            assert str(bob.uid) not in env and "shadow" not in env
        assert ann.processes("awsenv-agent") and not bob.processes()


def test_a_host_name_that_types_reaches_no_terminal(ann):
    """PAM_RHOST of login(1) is what its caller says."""
    with World(ann, options="agent=/nowhere/awsenv-agent") as world:
        folder(world)
        with planted(world, world.sock, "reply", pending()) as requests, \
                world.terminal("login", "-h", "h\033]0;owned\a", "-f",
                               ann.name) as t:
            t.until("ABCD-EFGH")
            assert b"h\033]0;owned\a".hex() in requests()[0]
            t.press(b"exit\n")
            t.wait()
    assert "]0;owned" not in t.text


@pytest.mark.parametrize("case", ["URL with an escape sequence",
                                  "user code with an escape sequence"])
def test_a_portal_that_types(ann, case):
    with Simulator(interval=1) as sim, World(ann, sim) as world:
        world.sshd()
        sim.fault("StartDeviceAuthorization", "raw", case=case)
        for _ in range(2):
            done = world.ssh("true")
            assert (done.stdout, done.stderr) == (b"", b"")
        sim.until(lambda: sim.counts()["StartDeviceAuthorization"], 20,
                  "a start")
        with world.ssh_terminal() as t:
            t.press(b"exit\n")
            t.wait()
        with world.terminal("login", "-f", ann.name) as other:
            other.press(b"exit\n")
            other.wait()
    for text in (t.text, other.text):
        assert "awsenv:" not in text
        assert not re.search("\033(?!\\[\\?2004)", text)


HELPERS = {
    "missing": (None, "cannot be run"),
    "not a program": ("\177nonsense", "cannot be run"),
    "failing": ("#!/bin/sh\nexit 3\n", "ended with status 3"),
    "crashing": ("#!/bin/sh\nkill -SEGV $$\n", "ended with status"),
    "hanging": ("#!/bin/sh\nexec sleep 60\n", "does not get ready"),
    "talking": ("#!/bin/sh\necho hello; echo hello >&2; exit 1\n",
                "ended with status 1"),
}


@pytest.mark.parametrize("how", HELPERS)
def test_a_helper_that_is(ann, how):
    text, said = HELPERS[how]
    path = ann.dir / "helper"
    if text:
        path.write_text(text)
        path.chmod(0o755)
    with World(ann, options=f"agent={path}") as world:
        world.sshd()
        both_ways_in(world)
        assert len(world.logged()) == 2     # one for each session
        assert all(said in line and line[0] == "3" for line in world.logged())
        for pid in ann.processes("sleep"):
            os.kill(pid, signal.SIGKILL)


def test_ten_logins_at_once_are_one_agent(ann):
    with World(ann) as world:
        world.sshd()
        children = [subprocess.Popen(
            ["ssh", *map(str, world.options_of()), "-p", str(world.port),
             f"{ann.name}@127.0.0.1", "echo $AWSENV_SOCK"],
            env=world.client_env(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for _ in range(10)]
        for child in children:
            out, err = child.communicate(timeout=60)
            assert (out.decode(), err) == (f"{world.sock}\n", b"")
        assert len([p for p in ann.processes("awsenv-agent")
                    if os.getsid(p) == p]) == 1
        assert world.logged() == []
