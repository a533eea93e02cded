# SPDX-License-Identifier: ISC
"""The screen is locked and the machine sleeps, as logind itself tells it. The
kernel's part of a suspend is a file here; all before and after is systemd's."""
import contextlib
import re

import pytest

from agent import until

LOCKED = "the screen where the agent runs is locked; unlock it"
LOGIND = ("org.freedesktop.login1", "/org/freedesktop/login1",
          "org.freedesktop.login1.Manager")


class Desktop:
    """A session of a person's with the desktop's program of ours in it."""

    def __init__(self, box, user, shell):
        self.box, self.user, self.shell = box, user, shell
        self.lines = 0
        self.id = re.search(r"id=(\d+)", self.type("echo id=$XDG_SESSION_ID"))[1]
        self.type("DISPLAY=:0 awsenv login --desktop >desktop.log 2>&1 &")
        until(self.delays_sleep, 60, "it does not hold up a suspend")

    def delays_sleep(self):
        return "awsenv" in self.box.run(
            "systemd-inhibit", "--list", "--no-legend").stdout

    def type(self, command):
        """What it printed; the quotes keep its echo from looking like its end."""
        self.lines += 1
        self.shell.text = ""
        self.shell.press(f"{command}\necho e''nd{self.lines}.\n".encode())
        return self.shell.until(f"end{self.lines}.").split(f"end{self.lines}.")[0]

    def screen(self, locked):
        """What a screen locker says, when it has covered the screen."""
        path = self.box.run("busctl", "call", *LOGIND, "GetSession", "s",
                            self.id).stdout.split('"')[1]
        self.box.run("busctl", "call", "org.freedesktop.login1", path,
                     "org.freedesktop.login1.Session", "SetLockedHint", "b",
                     "true" if locked else "false")
        self.is_told(locked)

    def is_told(self, locked):
        until(lambda: self.is_locked() == locked, 60,
              f"the agent does not hear that locked is {locked}")

    def is_locked(self):
        return "locked      with the screen" in self.user.ssh(
            "awsenv status").stdout

    def use(self):
        """What a command has, that somebody left running at this desktop."""
        return self.type("awsenv -p marketing -- printenv AWS_ACCESS_KEY_ID")


@contextlib.contextmanager
def desktop(box, user, sim):
    with user.session() as shell:
        user.log_in_at_aws(sim)
        there = Desktop(box, user, shell)
        assert "ASIA" in there.use()
        yield there


def test_the_screen_is_locked_and_unlocked(box, sim, ann):
    with desktop(box, ann, sim) as there:
        there.screen(True)
        assert LOCKED in there.use()
        # Who came in by another way is there.
        assert "ASIA" in ann.ssh("awsenv -p marketing env").stdout
        there.screen(False)
        assert "ASIA" in there.use()
    assert sim.counts()["StartDeviceAuthorization"] == 1


@pytest.fixture
def power(box):
    """The file to which systemd writes how the kernel is to sleep."""
    box.run("mount", "-o", "remount,rw", "/sys")
    state = box.path("/sys/power/state")
    state.parent.mkdir(exist_ok=True)
    state.write_text("mem freeze\n")
    box.run("systemctl", "restart", "systemd-logind")
    return state


def test_it_awakes_as_locked_as_its_screen_is(box, sim, ann, power):
    with desktop(box, ann, sim) as there:
        for locked in (True, False):
            power.write_text("mem freeze\n")
            there.screen(locked)
            box.run("systemctl", "suspend")
            until(lambda: "freeze" not in power.read_text(), 60, "it did not sleep")
            there.is_told(locked)
    # From before it slept until it was known that nothing covers the screen.
    assert re.findall(r"the screen is (\w+)", box.journal(
        "-o", "cat", f"_UID={ann.uid}")) == ["locked", "unlocked"] * 2
