# SPDX-License-Identifier: ISC
"""nudge@awsenv: what a login to the machine begins, and what it does not.

The endpoints stand in the config file, since a nudge comes with no variables.
"""

import time

import pytest

import wire
from agent import until

OPENED, UNLOCKED, GONE, LOOK = range(4)
EAGER, LAZY, OFF = range(3)


def reach(sim, name, **keys):
    """A profile that finds the simulator without any variable."""
    return {"name": name, "endpoint_url": sim.urls["https"],
            "ca_bundle": sim.ca, **keys}


@pytest.fixture
def idle(sim, make_agent):
    """An agent that has the profile marketing, and was asked nothing."""
    agent = make_agent(sim, profiles=(), start=False)
    agent.config.write_text(sim.config_text(reach(sim, "marketing")))
    return agent.start()


def nudge(agent, what=OPENED, start=EAGER, ms=0, **fields):
    return agent.ask("nudge@awsenv", {"what": what, "start": start, "ms": ms,
                                      "service": "sshd", **fields})


def starts(sim):
    return sim.counts()["StartDeviceAuthorization"]


def quiet(sim, seconds=1.5):
    """Nothing is begun meanwhile."""
    before = starts(sim)
    time.sleep(seconds)
    assert starts(sim) == before


@pytest.mark.quick
def test_a_nudge_answers_at_once_and_the_login_begins_by_itself(idle, sim):
    sim.hold("StartDeviceAuthorization")
    reply = nudge(idle)
    assert reply.state in (wire.LOGIN_NONE, wire.LOGIN_STARTING)
    sim.release("StartDeviceAuthorization")
    row = sim.wait_pending()
    shown = until(lambda: (r := nudge(idle)).code and r)
    assert shown.code.decode() == row["user_code"]
    assert shown.url.decode().startswith("http")


def test_thirty_nudges_are_one_login(idle, sim):
    for _ in range(30):
        nudge(idle)
    sim.wait_pending()
    quiet(sim)
    assert starts(sim) == 1


def test_a_later_request_shows_the_same_code(idle, sim):
    code = nudge(idle, ms=10000).code
    assert code
    mine = idle.until_state(idle.login("marketing", env=dict.fromkeys(
        sim.env(), None)), wire.LOGIN_PENDING)
    assert mine.code == code
    assert starts(sim) == 1


def test_it_waits_for_the_code_as_long_as_it_was_told(idle, sim):
    sim.hold("StartDeviceAuthorization")
    begun = time.monotonic()
    assert not nudge(idle, ms=700).code
    assert time.monotonic() - begun > 0.6
    sim.release()
    assert nudge(idle, what=LOOK, ms=9000).code


@pytest.mark.parametrize("start", [LAZY, OFF])
def test_lazy_and_off_begin_and_show_nothing(idle, sim, start):
    assert nudge(idle, start=start, ms=300).state == wire.LOGIN_NONE
    quiet(sim)
    assert starts(sim) == 0
    assert nudge(idle, ms=9000).code
    assert not nudge(idle, start=start).code


@pytest.mark.parametrize("what", [GONE, LOOK])
def test_an_end_and_a_look_begin_nothing(idle, sim, what):
    assert nudge(idle, what=what).state == wire.LOGIN_NONE
    quiet(sim)
    assert starts(sim) == 0


def test_an_unlocked_screen_begins_one(idle, sim):
    nudge(idle, what=UNLOCKED)
    sim.wait_pending()


def test_with_a_good_token_nothing_is_said_or_begun(idle, sim):
    sim.approve(nudge(idle, ms=9000).code.decode())
    until(lambda: nudge(idle).state == wire.LOGIN_NONE)
    quiet(sim)
    assert starts(sim) == 1


def test_a_refused_login_is_not_begun_again_within_ten_minutes(idle, sim):
    sim.deny(nudge(idle, ms=9000).code.decode())
    until(lambda: not nudge(idle).code)
    quiet(sim)
    assert starts(sim) == 1


def test_a_new_broker_does_not_forget_that(idle, sim):
    code = nudge(idle, ms=9000).code
    idle.kill_broker()
    until(lambda: nudge(idle, ms=1000).code == code)
    sim.deny(code.decode())
    until(lambda: not nudge(idle).code)
    quiet(sim)
    assert starts(sim) == 1


def test_after_logout_the_next_login_begins_one(idle, sim):
    sim.approve(nudge(idle, ms=9000).code.decode())
    until(lambda: nudge(idle).state == wire.LOGIN_NONE)
    idle.ask("logout@awsenv", {"what": 1})
    nudge(idle)
    sim.wait_pending()
    assert starts(sim) == 2


def sections(sim, *marked, default=None):
    """Sessions one and two, each used by a profile of its name."""
    text = ""
    for name in ("one", "two"):
        text += sim.config_text(
            reach(sim, name, sso_session=name), session=name,
            **({"awsenv_login": "true"} if name in marked else {}),
            sso_region="us-east-1" if name == "two" else sim.region) + "\n"
    if default:
        text += f"[default]\nsso_session = {default}\n" + \
            f"endpoint_url = {sim.urls['https']}\nca_bundle = {sim.ca}\n" + \
            "sso_account_id = 111122223333\nsso_role_name = ReadOnly\n"
    return text


@pytest.mark.parametrize("marked, default, expected", [
    ((), None, []),
    (("one",), None, ["one"]),
    (("two",), "one", ["two"]),
    (("one", "two"), None, ["one", "two"]),
    ((), "two", ["two"]),
])
def test_which_session_is_begun(sim, make_agent, marked, default, expected):
    agent = make_agent(sim, profiles=(), start=False)
    agent.config.write_text(sections(sim, *marked, default=default))
    agent.start()
    nudge(agent)
    if expected:
        sim.until(lambda: starts(sim) >= len(expected), 15, "a start")
    quiet(sim)
    assert starts(sim) == len(expected)
    begun = sorted(i.session.decode() for i in agent.list(wire.LIST_LOGINS))
    assert begun == expected


def test_without_a_config_file_nothing_happens(sim, make_agent):
    agent = make_agent()
    assert nudge(agent, ms=300).state == wire.LOGIN_NONE
    until(lambda: "nudge@awsenv" in agent.logged())


def test_a_name_from_outside_cannot_write_into_the_log(idle):
    nudge(idle, rhost="a\nforged line\033[2J")
    assert "\nforged" not in idle.logged() and "\033" not in idle.logged()


@pytest.mark.parametrize("fields", [{"what": 4}, {"start": 3}])
def test_numbers_that_mean_nothing_are_refused(idle, fields):
    reply = idle.ask("nudge@awsenv", fields, check=False)
    assert reply.error == wire.AW_PROTO
