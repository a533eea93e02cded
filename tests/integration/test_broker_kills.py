# SPDX-License-Identifier: ISC
"""kill -9 of broker and fetchers, with requests under way that are counted.

No client may see an error, no credential may be lost, nobody may have to log
in again.
"""

import concurrent.futures
import os
import random
import signal
import threading
import time

import pytest

import wire
from agent import until

CLIENTS = 40


@pytest.fixture
def ready(sim, agent):
    """Logged in, with no role credentials."""
    agent.log_in("marketing")
    agent.logout(what=wire.LOGOUT_CREDS)
    return agent


def ask_many(pool, agent, number=CLIENTS, profile="marketing"):
    return [pool.submit(agent.creds, profile) for _ in range(number)]


def logins(sim):
    return sim.counts()["StartDeviceAuthorization"]


def test_a_fetch_under_way_is_taken_over(sim, ready):
    before = sim.counts()["GetRoleCredentials"]
    sim.hold("GetRoleCredentials")
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        asked = ask_many(pool, ready)
        sim.wait_in_flight("GetRoleCredentials")
        for _ in range(3):
            ready.kill_broker()
            assert sim.in_flight("GetRoleCredentials")["now"] == 1
        sim.release()
        answers = {f.result().sealed for f in asked}
    assert len(answers) == 1
    assert sim.counts()["GetRoleCredentials"] == before + 1
    assert ready.status("marketing").restarts == 3


def test_a_dead_fetcher_is_replaced(sim, ready):
    before = sim.counts()["GetRoleCredentials"]
    sim.hold("GetRoleCredentials")
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        asked = ask_many(pool, ready)
        sim.wait_in_flight("GetRoleCredentials")
        pid, = ready.helpers("awsenv-fetch")
        os.kill(pid, signal.SIGKILL)
        until(lambda: ready.helpers("awsenv-fetch") not in ([], [pid]))
        sim.release()
        assert len({f.result().sealed for f in asked}) == 1
    assert sim.counts()["GetRoleCredentials"] == before + 2
    told = f"awsenv-fetch {pid} was killed by signal {signal.SIGKILL:d}\n"
    until(lambda: told in ready.logged(), why="nobody told that it was killed")


def test_fetcher_and_broker_may_die_together(sim, ready):
    sim.hold("GetRoleCredentials")
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        asked = ask_many(pool, ready)
        sim.wait_in_flight("GetRoleCredentials")
        pid, = ready.helpers("awsenv-fetch")
        ready.kill_broker(wait=False)
        os.kill(pid, signal.SIGKILL)
        sim.release()
        assert len({f.result().sealed for f in asked}) == 1


def test_fetchers_that_always_die_are_told(sim, ready):
    sim.hold("GetRoleCredentials")
    stop = threading.Event()

    def slay():
        while not stop.is_set():
            for pid in ready.helpers("awsenv-fetch"):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
    slayer = threading.Thread(target=slay)
    slayer.start()
    try:
        reply = ready.creds("marketing", check=False)
    finally:
        stop.set()
        slayer.join()
        sim.release()
    assert reply.error == wire.AW_NETWORK
    assert b"helper ended early" in reply.text
    assert ready.keys("marketing").access_key


def test_a_refresh_under_way_is_taken_over(sim, ready):
    sim.expire("access_token")
    sim.hold("CreateToken")
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        asked = ask_many(pool, ready)
        sim.wait_in_flight("CreateToken")
        ready.kill_broker()
        assert sim.in_flight("CreateToken")["now"] == 1
        sim.release()
        assert len({f.result().sealed for f in asked}) == 1
    assert logins(sim) == 1
    assert ready.status("marketing").refreshable == 1


@pytest.mark.parametrize("victims", ["broker", "fetcher", "both"])
def test_a_code_that_waits_for_approval_stays_good(sim, agent, victims):
    reply = agent.until_state(agent.login("marketing"), wire.LOGIN_PENDING)
    for _ in range(2):
        fetcher, = until(lambda: agent.helpers("awsenv-fetch"))
        if victims != "fetcher":
            agent.kill_broker(wait=False)
        if victims != "broker":
            os.kill(fetcher, signal.SIGKILL)
            until(lambda: agent.helpers("awsenv-fetch") not in
                  ([], [fetcher]))
        again = agent.until_state(agent.wait(reply.ticket, 99, 0),
                                  wire.LOGIN_PENDING)
        assert (again.url, again.code) == (reply.url, reply.code)
        assert again.ticket == reply.ticket
    sim.approve(reply.code.decode())
    done = agent.until_state(reply, wire.LOGIN_DONE)
    assert done.person == b"ann@example.com"
    assert agent.keys("marketing").access_key
    assert logins(sim) == 1 and sim.counts()["RegisterClient"] == 1


@pytest.mark.parametrize("operation", ["RegisterClient",
                                       "StartDeviceAuthorization"])
def test_a_login_that_begins_is_taken_over(sim, agent, operation):
    sim.hold(operation)
    reply = agent.login("marketing")
    assert reply.state == wire.LOGIN_STARTING
    sim.wait_in_flight(operation)
    agent.kill_broker()
    assert agent.login("marketing").state == wire.LOGIN_STARTING
    sim.release()
    agent.until_state(reply, wire.LOGIN_PENDING)
    assert sim.counts()["RegisterClient"] == 1
    assert logins(sim) == 1


def test_a_login_whose_fetcher_dies_early_begins_again(sim, agent):
    sim.hold("RegisterClient")
    reply = agent.login("marketing")
    sim.wait_in_flight("RegisterClient")
    pid, = agent.helpers("awsenv-fetch")
    os.kill(pid, signal.SIGKILL)
    until(lambda: agent.helpers("awsenv-fetch") not in ([], [pid]))
    sim.release()
    agent.until_state(reply, wire.LOGIN_PENDING)
    assert logins(sim) == 1


def test_the_token_is_kept_when_the_broker_dies_at_the_approval(sim, agent):
    reply = agent.until_state(agent.login("marketing"), wire.LOGIN_PENDING)
    sim.hold("CreateToken")
    sim.approve(reply.code.decode())
    sim.wait_in_flight("CreateToken")
    agent.kill_broker(wait=False)
    sim.release()
    agent.until_state(agent.wait(reply.ticket, 99, 0), wire.LOGIN_DONE)
    assert agent.keys("marketing").access_key
    assert logins(sim) == 1


def test_brokers_that_die_at_any_moment_are_not_noticed(sim, ready):
    """Clients ask, roles are forgotten, brokers die, all at random."""
    sim.delay("GetRoleCredentials", 0.05)
    stop = time.monotonic() + 12
    chance = random.Random(4711)

    def client(number):
        done = 0
        while time.monotonic() < stop:
            profile = ("marketing", "platform")[number % 2]
            assert ready.creds(profile).error == wire.AW_OK
            done += 1
        return done

    def forget():
        while time.monotonic() < stop:
            ready.logout(what=wire.LOGOUT_CREDS)
            time.sleep(0.1)
        return 1

    with concurrent.futures.ThreadPoolExecutor(CLIENTS + 1) as pool:
        work = [pool.submit(client, n) for n in range(CLIENTS)]
        work.append(pool.submit(forget))
        kills = 0
        while time.monotonic() < stop:
            time.sleep(chance.uniform(0.0, 0.6))
            ready.kill_broker()
            kills += 1
        done = sum(w.result() for w in work)
    assert kills > 10 and done > 10 * CLIENTS
    assert logins(sim) == 1
    status = ready.status("marketing")
    assert status.login_state == wire.LOGIN_DONE
    assert status.restarts == kills


def test_sighup_keeps_requests_and_logins(sim, ready):
    ready.keys("marketing")
    before = {k.serial for k in ready.list(wire.LIST_KEYS)}
    os.kill(ready.pid, signal.SIGHUP)
    time.sleep(0.5)
    assert {k.serial for k in ready.list(wire.LIST_KEYS)} == before
    assert ready.keys("marketing").access_key
    assert logins(sim) == 1
