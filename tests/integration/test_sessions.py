# SPDX-License-Identifier: ISC
"""The last session of a user has ended, as logind writes it down.

Its file is written by the test, in a mount namespace of its own.
"""

import os
import pathlib
import socket
import subprocess
import time

import pytest

import wire
from agent import stat, until
from journey import Person

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or subprocess.run(
        ["unshare", "-m", "true"], capture_output=True).returncode != 0,
    reason="a mount namespace of its own takes root")


class Machine(Person):
    """A person on a machine whose logind is the test."""

    def __enter__(self):
        self.holder = subprocess.Popen(
            ["unshare", "-m", "--propagation", "private", "sh", "-c",
             "mkdir -p /run/systemd /var/lib/systemd && "
             "mount -t tmpfs none /run/systemd && "
             "mount -t tmpfs none /var/lib/systemd && "
             "mkdir /run/systemd/users /var/lib/systemd/linger && "
             "echo ready && exec sleep 1000"], stdout=subprocess.PIPE)
        assert self.holder.stdout.readline() == b"ready\n"
        self.root = pathlib.Path(f"/proc/{self.holder.pid}/root")
        return super().__enter__()

    def __exit__(self, *what):
        super().__exit__(*what)
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()

    def popen(self, *argv, program=None, **options):
        return super().popen(
            "-t", self.holder.pid, "-m", program or self.programs / "awsenv",
            *argv, program="/usr/bin/nsenter", **options)

    def sessions(self, *online, closing=()):
        users = self.root / "run/systemd/users"
        new = users / ".#new"
        new.write_text(
            "# This is private data. Do not parse.\nNAME=root\n"
            f"STATE={'active' if online else 'closing'}\n"
            f"SESSIONS={' '.join([*online, *closing])}\n"
            f"ONLINE_SESSIONS={' '.join(online)}\n")
        new.rename(users / "0")

    def linger(self):
        (self.root / "var/lib/systemd/linger/root").touch()

    def nudge(self, **fields):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(self.runtime / "awsenv/agent.sock"))
            return wire.ask(s, "nudge@awsenv", "MSG_NUDGE_REQ",
                            "MSG_LOGIN_REP", fields)


@pytest.fixture
def ann(sim):
    with Machine(sim) as one:
        yield one


def test_an_agent_that_nobody_manages_ends_with_the_last_session(ann):
    ann.sessions("c1", "c2")
    ann.run("agent", "start")
    agent = ann.agent_pid()
    ann.sessions("c2")
    ann.sessions(closing=["c2"])        # something runs on in it: we do
    until(lambda: not stat(agent), 40, "the agent is left")
    assert not (ann.runtime / "awsenv/agent.sock").exists()


def test_scp_after_scp_does_not_end_it(ann):
    ann.sessions("c1")
    ann.run("agent", "start")
    agent = ann.agent_pid()
    ann.sessions()
    time.sleep(4)
    ann.sessions("c2")
    time.sleep(14)
    assert stat(agent)


def test_where_no_session_ever_was_it_goes_on(ann):
    ann.run("agent", "start")
    agent = ann.agent_pid()
    ann.sessions()
    time.sleep(17)
    assert stat(agent)


@pytest.mark.parametrize("broker", ["lives", "dies"])
def test_logout_last_drops_the_login_and_tells_aws(sim, ann, broker):
    ann.linger()
    ann.sessions("c1")
    ann.log_in()
    ann.nudge(what=wire.NUDGE_GONE, last=1)
    agent = ann.agent_pid()
    if broker == "dies":
        old = ann.broker_pid()
        os.kill(old, 9)
        ann.broker_pid(other_than=old)
    ann.sessions()
    until(lambda: sim.counts()["Logout"] == 1, 40, "AWS was not told")
    assert not any(row["state"] == "done" for row in ann.status()["logins"])
    time.sleep(6)
    assert stat(agent), "who lingers keeps the agent"


def test_without_it_who_lingers_keeps_the_login(ann):
    ann.linger()
    ann.sessions("c1")
    ann.log_in()
    ann.sessions()
    time.sleep(17)
    assert ann.status()["logins"][0]["state"] == "done"
