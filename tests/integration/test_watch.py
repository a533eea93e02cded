# SPDX-License-Identifier: ISC
"""watch@awsenv: what a desktop is told of all logins, without asking often."""

import pytest

import wire
from agent import until
from simulator.client import Simulator


class Watcher:
    """One connection, as a desktop keeps it."""

    def __init__(self, agent):
        self.agent, self.sock, self.seen = agent, agent.connect(), 0

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.sock.close()

    def next(self, seconds=30):
        """(reply, login); (reply, None) if none changed."""
        reply = self.agent.ask("watch@awsenv", {
            "seen": self.seen, "seconds": seconds}, sock=self.sock)
        self.seen = reply.change
        return reply, reply.login and wire.decode("MSG_LOGIN_REP", reply.login)

    def until(self, state):
        """Until a login is in that state."""
        def there():
            reply, login = self.next(30)
            assert login, "nothing changed"
            return login.state == state and (reply, login)
        return until(there, 60)


@pytest.fixture
def watcher(agent):
    with Watcher(agent) as one:
        yield one


@pytest.mark.quick
def test_a_login_is_told_as_it_goes_on(sim, agent, watcher):
    assert watcher.next(0)[1] == b""
    begun = agent.login("marketing")
    _, login = watcher.until(wire.LOGIN_PENDING)
    assert login.ticket == begun.ticket and login.until
    assert login.code.decode() == sim.wait_pending()["user_code"]
    sim.approve(login.code.decode())
    reply, login = watcher.until(wire.LOGIN_DONE)
    assert login.person == b"ann@example.com" and login.expires
    assert reply.refreshable
    assert watcher.next(0)[1] == b"", "it is told once"


def test_who_comes_later_is_told_how_it_stands(agent):
    agent.log_in("marketing")
    with Watcher(agent) as late:
        reply, login = late.next()
        assert login.state == wire.LOGIN_DONE and reply.refreshable
        assert late.next(0)[1] == b""


def test_several_are_told_the_one_that_changed_first_before(sim, make_agent):
    agent = make_agent(sim, profiles=(), start=False)
    agent.config.write_text("\n".join(
        sim.config_text({"name": name, "sso_session": name}, session=name,
                        sso_region=region)
        for name, region in (("one", sim.region), ("two", "us-east-1"))))
    agent.start()
    for name in ("two", "one"):
        agent.log_in(name)
    with Watcher(agent) as late:
        told = [late.next()[1].session for _ in range(2)]
        assert told == [b"two", b"one"]
        agent.ask("logout@awsenv", {**agent.asking("two"), "what": 0})
        assert late.until(wire.LOGIN_NONE)[1].ticket


@pytest.mark.parametrize("end", ["logout", "drop"])
def test_the_end_of_a_login_is_told(agent, watcher, end):
    agent.log_in("marketing")
    watcher.until(wire.LOGIN_DONE)
    if end == "logout":
        agent.ask("logout@awsenv", {"what": 1})
    else:
        agent.process.send_signal(10)
    assert watcher.until(wire.LOGIN_NONE)[1].expires == 0


def test_a_refresh_is_told_and_one_that_the_portal_refused(make_agent):
    """Where the session at AWS has ended, the token is the last one."""
    with Simulator(interval=1, token_life=8) as sim:
        with Watcher(agent := make_agent(sim)) as w:
            agent.log_in("marketing")
            _, first = w.until(wire.LOGIN_DONE)
            reply, login = w.next()
            assert reply.refreshable and login.expires > first.expires
            sim.expire("session")
            until(lambda: not w.next()[0].refreshable, 30)


def test_a_new_broker_tells_all_anew(agent, watcher):
    agent.log_in("marketing")
    watcher.until(wire.LOGIN_DONE)
    agent.kill_broker()
    with Watcher(agent) as again:
        again.seen = 1 << 40        # of another broker
        _, login = again.next()
        assert login.state == wire.LOGIN_DONE and login.person


def test_it_waits_no_longer_than_it_was_told(agent, watcher):
    reply, login = watcher.next(1)
    assert login == b"" and reply.change == 0
