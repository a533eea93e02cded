# SPDX-License-Identifier: ISC
"""The screen is locked, or the machine suspended: nothing new is handed out,
and nothing is lost. The desktop's session program is real, its buses are
private, and a stand-in for logind is on them; tests/system does it with logind
itself."""

import os
import shutil
import signal
import subprocess

import pytest

import wire
from agent import our_session, until
from desktop import PYTHON, Desktop
from journey import Person
from served import Served

pytestmark = pytest.mark.skipif(
    not shutil.which("dbus-daemon") or subprocess.run(
        [PYTHON, "-c", "import dbus, gi.repository.GLib"],
        capture_output=True).returncode != 0,
    reason="dbus, python3-dbus or python3-gi is not installed")

LOCKED = "the screen where the agent runs is locked; unlock it"


@pytest.fixture
def ann(sim):
    """All that leads to the simulator stands in the file, so that another host
    means the same login."""
    profile = {"name": "marketing", "awsenv_forward": "allow",
               "endpoint_url": sim.urls["https"], "ca_bundle": sim.ca}
    with Person(sim, (profile,)) as person:
        for name in sim.env():
            del person.env[name]
        person.log_in()
        yield person


@pytest.fixture
def desktop(ann):
    with Desktop(ann, our_session()) as one:
        one.start_ready()
        yield one


def setting(person, line):
    """In the section [awsenv]."""
    text = person.config.read_text()
    person.config.write_text(f"[awsenv]\n{line}\n\n{text}")


def creds(person, *words):
    return person.run("-p", "marketing", *words, "--", "printenv",
                      "AWS_ACCESS_KEY_ID")


def is_locked(person):
    return person.status()["agent"]["screen_locked"]


def lock(desktop, on=True):
    desktop.change(LockedHint=on)
    until(lambda: is_locked(desktop.person) == on)


@pytest.mark.quick
def test_while_the_screen_is_locked_nothing_new_is_handed_out(
        sim, ann, desktop):
    before = creds(ann).stdout
    assert before.startswith("ASIA")
    lock(desktop)
    assert creds(ann).returncode == 125
    for words in (["whoami"], ["login"], ["export"], ["ls", "--roles"]):
        done = ann.run(*words, "-p", "marketing")
        assert done.returncode == 5, (words, done)
        assert LOCKED in done.stderr and not done.stdout, words
    # The agent itself answers, and tells how to get out of it.
    assert "with the screen; unlock that" in ann.run("status").stdout
    assert "screen is locked" in ann.run("doctor").stdout
    lock(desktop, False)
    assert creds(ann).stdout == before
    assert "screen" not in ann.run("status").stdout
    assert sim.counts()["StartDeviceAuthorization"] == 1


def test_another_host_has_nothing_either(ann, desktop):
    far = {"AWSENV_SOCK": ann.runtime / "awsenv/forward.sock"}
    words = ("-p", "marketing", "--", "true")
    assert ann.run(*words, env=far).returncode == 0
    lock(desktop)
    done = ann.run(*words, env=far)
    assert done.returncode == 125 and LOCKED in done.stderr
    done = ann.run("unlock", env=far)
    assert done.returncode == 5 and is_locked(ann)
    lock(desktop, False)
    assert ann.run(*words, env=far).returncode == 0


def test_an_endpoint_goes_on(sim, ann, desktop):
    with Served(ann.environ(), "-p", "marketing") as served:
        before = served.key()
        lock(desktop)
        # What it gets now AWS has just made.
        ann.run("logout", "--credentials")
        until(lambda: served.key() != before)
        assert creds(ann).returncode == 125
        os.kill(ann.broker_pid(), signal.SIGKILL)
        before = served.key()
        ann.run("logout", "--credentials")
        until(lambda: served.key() != before)
        assert is_locked(ann)
    done = ann.run("--serve", "-p", "marketing", "--", "true")
    assert done.returncode == 125 and LOCKED in done.stderr


def test_what_waits_at_the_time_is_not_answered_afterwards(sim, ann, desktop):
    ann.run("logout", "--credentials")
    sim.hold("GetRoleCredentials")
    child = ann.popen("-p", "marketing", "--", "true")
    sim.wait_in_flight("GetRoleCredentials")
    lock(desktop)
    sim.release()
    _, err = child.communicate(timeout=60)
    assert child.returncode == 125 and LOCKED in err


def test_it_lasts_until_somebody_unlocks(ann, desktop):
    lock(desktop)
    os.kill(ann.broker_pid(), signal.SIGKILL)
    assert is_locked(ann)
    program = desktop.programs[-1]
    program.kill()
    program.wait()
    desktop.change(LockedHint=False)
    assert is_locked(ann) and creds(ann).returncode == 125
    # By the next program, which sees that it is not so ...
    desktop.start()
    until(lambda: not is_locked(ann))
    assert creds(ann).returncode == 0
    # ... or by hand.
    lock(desktop)
    done = ann.run("unlock")
    assert (done.returncode, done.stderr) == (0, "")
    assert not is_locked(ann) and creds(ann).returncode == 0


def test_another_agent_is_told_too(ann, desktop):
    lock(desktop)
    ann.run("agent", "stop")
    ann.run("agent", "start")
    until(lambda: is_locked(ann))
    lock(desktop, False)


def test_a_bus_that_ends_unlocks_nothing(ann, desktop):
    lock(desktop)
    desktop.system_daemon.kill()
    desktop.system_daemon.wait()
    os.kill(ann.broker_pid(), signal.SIGKILL)
    assert is_locked(ann)
    # Something that comes later than whatever it may have said of that.
    desktop.say("saver", True)
    desktop.say("saver", False)
    ann.run("logout")
    ann.run("login", "--no-wait", "--no-browser", "-p", "marketing")
    assert is_locked(ann)


def test_a_suspend_waits_for_the_agent(ann, desktop):
    desktop.say("sleep", True)
    desktop.until("released", True)
    assert is_locked(ann) and creds(ann).returncode == 125
    # A desktop that locks when it sleeps is locked when it wakes up.
    desktop.change(LockedHint=True)
    desktop.say("sleep", False)
    assert desktop.until("inhibited", "sleep")["mode"] == "delay"
    desktop.until("asked", "GetAll")
    assert is_locked(ann)
    lock(desktop, False)
    assert creds(ann).returncode == 0
    # Of one that does not, whoever opens the lid has the screen.
    desktop.say("sleep", True)
    desktop.until("released", True)
    assert is_locked(ann)
    desktop.say("sleep", False)
    until(lambda: not is_locked(ann))
    assert creds(ann).returncode == 0


def test_without_an_agent_nothing_delays_a_suspend(ann, desktop):
    ann.run("agent", "stop")
    desktop.say("sleep", True)
    desktop.until("released", True)
    desktop.say("sleep", False)
    desktop.until("inhibited", "sleep")


def test_hard_forgets_everything(sim, ann, desktop):
    setting(ann, "awsenv_lock = hard")
    with Served(ann.environ(), "-p", "marketing") as served:
        lock(desktop)
        until(lambda: served.get().status == 403)
        lock(desktop, False)
        kinds = {k["kind"] for k in ann.status("--keyring")["keys"]}
        assert not kinds & {"role", "tok", "ref"}
        done = creds(ann, "--no-wait")
        assert done.returncode == 125 and "a login is needed" in done.stderr
        assert served.get().status == 403


def test_off_leaves_all_as_it_was(ann, desktop):
    setting(ann, "awsenv_lock = off")
    creds(ann)
    desktop.say("sleep", True)
    desktop.until("released", True)     # so it was told
    assert creds(ann).returncode == 0 and not is_locked(ann)
    desktop.change(LockedHint=True)
    desktop.say("sleep", False)
    desktop.until("inhibited", "sleep")
    assert creds(ann).returncode == 0 and not is_locked(ann)


def test_a_word_that_is_none_counts_as_the_strictest(ann, desktop):
    setting(ann, "awsenv_lock = maybe")
    lock(desktop)
    assert creds(ann).returncode == 125
    lock(desktop, False)
    assert "a login is needed" in creds(ann, "--no-wait").stderr
    assert "awsenv_lock counts as hard: write off, soft or hard" in \
        ann.run("doctor").stdout
