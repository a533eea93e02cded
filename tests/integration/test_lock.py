# SPDX-License-Identifier: ISC
"""awsenv lock and unlock: nothing is handed out meanwhile, nothing is lost."""

import os
import signal
import subprocess

import pytest

import wire
from agent import BUILD, until
from journey import Person

WORDS = "correct horse\n"


@pytest.fixture
def ann(sim):
    with Person(sim) as person:
        person.log_in()
        yield person


def say(person, verb, words=WORDS):
    """awsenv lock --stdin, with that passphrase."""
    return subprocess.run(
        [str(person.programs / "awsenv"), verb, "--stdin"], input=words,
        text=True, capture_output=True, timeout=60, env=person.environ())


def creds(person, *argv):
    return person.run("-p", "marketing", *argv, "--", "printenv",
                      "AWS_ACCESS_KEY_ID")


def locked(person):
    return person.status()["agent"]["locked"]


def test_nothing_is_handed_out_until_the_passphrase_is_said_again(sim, ann):
    before = creds(ann).stdout
    assert before.startswith("ASIA") and not locked(ann)
    done = say(ann, "lock")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert locked(ann)
    assert "locked      by a passphrase" in ann.run("status").stdout
    for words in (["-p", "marketing", "--", "true"], ["whoami"],
                  ["login", "-p", "marketing"], ["export"], ["ls", "--roles"]):
        done = ann.run(*words)
        assert done.returncode in (5, 125), (words, done)
        assert "the agent is locked: awsenv unlock" in done.stderr, words
        assert not done.stdout
    done = say(ann, "lock")
    assert done.returncode == 5 and "locked already" in done.stderr
    done = say(ann, "unlock", "wrong\n")
    assert done.returncode == 5 and "wrong passphrase" in done.stderr
    assert locked(ann)
    until(lambda: say(ann, "unlock").returncode == 0)
    assert not locked(ann)
    assert creds(ann).stdout == before
    assert say(ann, "unlock").returncode == 0   # and once more
    assert sim.counts()["StartDeviceAuthorization"] == 1


def test_a_killed_broker_comes_back_locked_and_knows_who_guessed(ann):
    assert say(ann, "lock").returncode == 0
    for wrong in range(1, 4):
        until(lambda: "wrong passphrase" in say(ann, "unlock", "x\n").stderr,
              20)
        os.kill(ann.broker_pid(), signal.SIGKILL)
        assert locked(ann)
    # After three wrong ones even the right one waits.
    done = say(ann, "unlock")
    assert done.returncode == 1 and "wrong 3 times" in done.stderr
    assert creds(ann).returncode == 125
    until(lambda: say(ann, "unlock").returncode == 0, 20)
    assert creds(ann).returncode == 0
    # The count is forgotten with the lock.
    assert say(ann, "lock").returncode == 0
    assert say(ann, "unlock").returncode == 0


def test_what_waits_at_the_time_is_not_answered_afterwards(sim, ann):
    ann.run("logout", "--credentials")
    sim.hold("GetRoleCredentials")
    child = ann.popen("-p", "marketing", "--", "true")
    sim.wait_in_flight("GetRoleCredentials")
    assert say(ann, "lock").returncode == 0
    sim.release()
    _, err = child.communicate(timeout=60)
    assert child.returncode == 125 and "the agent is locked" in err
    assert say(ann, "unlock").returncode == 0


def test_the_terminal_asks_twice_and_shows_nothing(ann):
    with ann.terminal("awsenv", "lock") as t:
        t.until("Passphrase:")
        t.press("correct horse", "Enter")
        t.until("Once more:")
        t.press("correct horse", "Enter")
        assert t.exit_status() == 0
        assert "correct" not in t.text()
    until(lambda: locked(ann))
    assert say(ann, "unlock").returncode == 0


@pytest.mark.parametrize("words", ["", "\n", "x" * 1025 + "\n"])
def test_a_passphrase_that_is_none_locks_nothing(ann, words):
    done = say(ann, "lock", words)
    assert done.returncode == 4 and "no passphrase of 1 to 1024" in done.stderr
    assert not locked(ann)


def test_the_passphrase_is_nowhere(ann):
    """Not in the ring, not in the memory of who is left."""
    assert say(ann, "lock", "a-rare-passphrase\n").returncode == 0
    keys = ann.status("--keyring")["keys"]
    assert [k["label"] for k in keys if k["kind"] == "lock"] == ["awsenv lock"]
    if os.geteuid() != 0:
        pytest.skip("needs root to read the memory of daemons")
    if b"__asan_init" in (BUILD / "awsenv-broker").read_bytes():
        pytest.skip("sanitizers keep what was freed, in terabytes of shadow")
    for pid in (ann.agent_pid(), ann.broker_pid()):
        assert b"a-rare-passphrase" not in memory(pid)


def memory(pid):
    """All of it that can be read."""
    parts = []
    with open(f"/proc/{pid}/maps") as maps, \
            open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            span, mode = line.split()[:2]
            if "w" not in mode:
                continue
            start, end = (int(x, 16) for x in span.split("-"))
            try:
                mem.seek(start)
                parts.append(mem.read(end - start))
            except OSError:
                pass
    return b"".join(parts)
