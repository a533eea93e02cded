# SPDX-License-Identifier: ISC
"""SIGHUP of an installed agent: nothing that was under way is lost."""
import concurrent.futures
import os
import pathlib
import signal
import subprocess
import threading

import pytest

import wire
from agent import key_quota, until

UID = 61004
pytestmark = pytest.mark.skipif(os.geteuid() != 0,
                                reason="needs root to install as root")


@pytest.fixture
def installed(sim, make_agent):
    """The real programs, root's and unreadable, run by somebody else."""
    agent = make_agent(sim, uid=UID, start=False).install()
    connect, one_at_a_time = agent.connect, threading.Lock()

    def connect_as_the_user(seconds=65):
        with one_at_a_time:
            os.seteuid(UID)
            try:
                return connect(seconds)
            finally:
                os.seteuid(0)
    agent.connect = connect_as_the_user
    agent.start()
    assert agent.status().protected_
    return agent


def upgrade(agent):
    """SIGHUP, until the new image has started a broker."""
    before, seen = agent.broker_pid(), agent.logged().count("goes on for version")
    os.kill(agent.pid, signal.SIGHUP)
    until(lambda: agent.logged().count("goes on for version") > seen)
    agent.broker_pid(other_than=before)


def test_requests_under_way_are_answered(sim, installed):
    installed.log_in("marketing")
    installed.logout(what=wire.LOGOUT_CREDS)
    before = sim.counts()["GetRoleCredentials"]
    sim.hold("GetRoleCredentials")
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        asked = [pool.submit(installed.creds, "marketing") for _ in range(40)]
        sim.wait_in_flight("GetRoleCredentials")
        for _ in range(3):
            upgrade(installed)
            assert sim.in_flight("GetRoleCredentials")["now"] == 1
        sim.release()
        assert len({f.result().sealed for f in asked}) == 1
    assert sim.counts()["GetRoleCredentials"] == before + 1
    assert sim.counts()["StartDeviceAuthorization"] == 1
    assert installed.status("marketing").login_state == wire.LOGIN_DONE


def test_a_login_that_waits_for_its_person_goes_on(sim, installed):
    reply = installed.until_state(installed.login("marketing"), wire.LOGIN_PENDING)
    for _ in range(2):
        upgrade(installed)
    again = installed.login("marketing")
    assert (again.url, again.code) == (reply.url, reply.code)
    sim.approve(reply.code.decode(), "ann@example.com")
    done = installed.until_state(again, wire.LOGIN_DONE)
    assert done.person == b"ann@example.com"
    assert sim.counts()["StartDeviceAuthorization"] == 1


def test_what_is_in_the_ring_stays_and_nothing_of_it_after_the_end(sim, installed):
    installed.log_in("marketing")
    keys = installed.keys("marketing")
    before = {k.serial for k in installed.list(wire.LIST_KEYS)}
    assert before and 0 not in before
    upgrade(installed)
    assert {k.serial for k in installed.list(wire.LIST_KEYS)} == before
    assert installed.keys("marketing") == keys
    assert installed.stop() == 0
    until(lambda: key_quota(UID) == (0, 0), why=str(key_quota(UID)))


def test_sigterm_revokes_at_once_what_the_real_broker_kept(sim, installed):
    installed.log_in("marketing")
    installed.keys("marketing")
    used = key_quota(UID)[1]
    assert used > 1000
    assert installed.stop() == 0
    assert key_quota(UID)[1] < used / 3


def test_the_memory_of_all_processes_has_no_door(installed):
    """As the same user: mem, environ, maps and descriptors are closed."""
    processes = [installed.pid, installed.broker_pid(),
                 *map(int, subprocess.run(
                     ["pgrep", "-P", str(installed.pid)], text=True,
                     capture_output=True).stdout.split())]
    assert len(set(processes)) == 3
    for pid in processes:
        for name in ("mem", "environ", "maps", "fd/0"):
            got = subprocess.run(
                ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups",
                 "head", "-c1", str(pathlib.Path("/proc", str(pid), name))],
                capture_output=True, text=True)
            assert "Permission denied" in got.stderr, (pid, name)


def test_further_sockets_and_the_log_stay(sim, installed):
    installed.log_in("marketing")
    installed.creds("marketing")
    ask = {**installed.asking(), "id": 0x1a2b3c4d,
           "profiles": wire.join(["marketing"])}
    item, = wire.unpack("MSG_FORWARD_ITEM", installed.ask(
        "forward@awsenv", ask)["items"])
    upgrade(installed)
    after = installed.ask("forward@awsenv", {**ask, "what": 1})["items"]
    assert wire.unpack("MSG_FORWARD_ITEM", after) == [item]
    assert item.name == b"forward-1a2b3c4d" and os.path.exists(item.path)
    lines = installed.ask("log@awsenv", {})["items"]
    assert len(wire.unpack("MSG_LOG_ITEM", lines)) == 1
