# SPDX-License-Identifier: ISC
"""login --desktop asks for what needs the person's yes, while he is there."""

import subprocess

import pytest

from agent import until
from desktop import Desktop
from journey import Person
from test_desktop_session import pytestmark  # noqa: F401

ASKED = "Give AWS credentials? marketing"


@pytest.fixture
def ann(sim):
    with Person(sim, profiles=({"name": "marketing", "awsenv_confirm": "true"},
                               "platform")) as person:
        person.run("login", "--no-wait", "--no-browser", "-p", "platform")
        sim.approve(sim.wait_pending()["user_code"])
        until(lambda: person.status()["logins"][0]["state"] == "done", 60)
        yield person


@pytest.fixture
def desktop(ann):
    with Desktop(ann) as one:
        one.start_ready()
        yield one


def use(person, *argv):
    return person.popen("-p", "marketing", *argv, "--", "true")


def asked(person):
    """... once there is somebody who can be asked."""
    def begun():
        command = use(person)
        try:
            command.communicate(timeout=0.5)
        except subprocess.TimeoutExpired:
            return command
        return None
    return until(begun, 30, "nobody can be asked")


def end(command):
    err = command.communicate(timeout=60)[1]
    return command.returncode, err


@pytest.mark.parametrize("button, status", [("once", 0), ("hour", 0),
                                            ("no", 125), ("evil", None)])
def test_a_button_is_the_answer(ann, desktop, button, status):
    command = asked(ann)
    note = desktop.notification(ASKED)
    assert note["urgency"] == 2 and note["buttons"] == ["no", "once", "hour"]
    known, claimed = note["text"].split("It says of itself, true or not:")
    assert ann.sim.info["accounts"][0]["id"] in known
    assert "awsenv &lt; " in claimed
    desktop.say("press", note["id"], button)
    if status is None:
        desktop.say("press", note["id"], "no")
    assert end(command)[0] == (125 if status is None else status)
    desktop.until("closed", note["id"])
    if button == "hour":
        assert end(use(ann))[0] == 0


def test_what_waits_no_more_is_taken_away(ann, desktop):
    command = asked(ann)
    note = desktop.notification(ASKED)
    command.kill()
    end(command)
    desktop.until("closed", note["id"])


def test_a_desktop_without_buttons_says_where_to_answer(ann):
    with Desktop(ann) as desktop:
        desktop.say("buttons", False)
        desktop.start_ready()
        command = asked(ann)
        note = desktop.notification(ASKED)
        assert note["buttons"] == [] and "awsenv confirm" in note["text"]
        command.kill()
        end(command)


@pytest.mark.parametrize("why", ["Active", "daemon"])
def test_who_is_away_is_not_asked(ann, desktop, why):
    def away(on):
        if why == "daemon":
            desktop.say("notifications", not on)
        else:
            desktop.change(**{why: not on})
    command = asked(ann)
    note = desktop.notification(ASKED)
    away(True)
    if why == "Active":
        desktop.until("closed", note["id"])
    command.kill()
    end(command)
    until(lambda: "nobody can be asked" in end(use(ann))[1], 30)
    away(False)
    command = asked(ann)
    desktop.say("press", desktop.notification(ASKED)["id"], "once")
    assert end(command)[0] == 0


def test_a_question_ends_when_the_screen_is_locked(ann, desktop):
    command = asked(ann)
    note = desktop.notification(ASKED)
    desktop.change(LockedHint=True)
    desktop.until("closed", note["id"])
    command.kill()
    end(command)
    until(lambda: "screen where the agent runs" in end(use(ann))[1], 30)
    desktop.change(LockedHint=False)
    command = asked(ann)
    desktop.say("press", desktop.notification(ASKED)["id"], "once")
    assert end(command)[0] == 0


def test_another_broker_asks_anew(ann, desktop):
    command = asked(ann)
    note = desktop.notification(ASKED)
    subprocess.run(["kill", "-9", str(ann.status()["agent"]["broker_pid"])],
                   check=True)
    again = desktop.notification(ASKED)
    assert again["id"] != note["id"]
    desktop.say("press", again["id"], "once")
    assert end(command)[0] == 0
