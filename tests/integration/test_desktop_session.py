# SPDX-License-Identifier: ISC
"""login --desktop: the page, the notifications, and when it does nothing.

The buses are private, what is on them a stand-in for a desktop and logind;
tests/desktop does it with real ones.
"""

import os
import shutil
import subprocess
import threading
import time

import pytest

import wire
from agent import stat, until, until_asleep
from desktop import PYTHON, Desktop
from fake_agent import CLOSE, FAILURE, SILENCE, FakeAgent
from journey import Person
from simulator.client import Simulator

pytestmark = pytest.mark.skipif(
    not shutil.which("dbus-daemon") or subprocess.run(
        [PYTHON, "-c", "import dbus, gi.repository.GLib"],
        capture_output=True).returncode != 0,
    reason="dbus, python3-dbus or python3-gi is not installed")


@pytest.fixture
def ann(sim):
    with Person(sim) as person:
        yield person


@pytest.fixture
def desktop(ann):
    with Desktop(ann) as one:
        yield one


def begin(person, *words):
    """A login that waits for somebody."""
    done = person.run("login", "--no-wait", "--no-browser", "-p", "marketing",
                      *words)
    assert done.returncode == 0, done.stderr
    return person.sim.wait_pending()


def quiet(desktop, pages=0, seconds=1):
    """Nothing more is opened or shown meanwhile."""
    time.sleep(seconds)
    assert len(desktop.opened()) == pages
    while not desktop.heard.empty():
        desktop._hear(1)
    assert desktop.notes == []


@pytest.mark.quick
def test_a_pending_login_is_opened_once_and_told_when_done(ann, desktop):
    row = begin(ann)
    desktop.start()
    assert desktop.pages(1) == [row["url_complete"]]
    note = desktop.notification("AWS login: sim")
    assert row["user_code"] in note["text"] and note["app"] == "awsenv"
    ann.sim.approve(row["user_code"])
    done = desktop.notification("Logged in to AWS: sim")
    assert "Approved by ann@example.com." in done["text"]
    assert done["id"] == note["id"], "it takes the place of the first"
    quiet(desktop, 1)


def test_one_that_begins_later_is_opened_too(ann, desktop):
    ann.run("agent", "start")
    desktop.start_ready()
    quiet(desktop)
    row = begin(ann)
    assert desktop.pages(1) == [row["url_complete"]]


def test_the_agent_may_come_later(ann, desktop):
    desktop.start_ready()
    row = begin(ann)
    assert desktop.pages(1) == [row["url_complete"]]


@pytest.mark.parametrize("why", ["LockedHint", "Active", "saver"])
def test_nothing_is_opened_before_the_person_is_there(ann, desktop, why):
    def away(on):
        if why == "saver":
            desktop.say("saver", on)
        else:
            desktop.change(**{why: on == (why == "LockedHint")})
    away(True)
    row = begin(ann)
    desktop.start_ready()
    quiet(desktop)
    away(False)
    assert desktop.pages(1) == [row["url_complete"]]
    away(True)
    away(False)
    quiet(desktop, 1) if desktop.notification("AWS login") else None


def test_a_screensaver_that_answers_late_is_waited_for(ann, desktop):
    desktop.say("slow", 2)
    desktop.say("saver", True)
    row = begin(ann)
    desktop.start_ready()
    quiet(desktop, seconds=4)
    desktop.say("saver", False)
    assert desktop.pages(1) == [row["url_complete"]]


def test_what_was_approved_meanwhile_is_not_opened(ann, desktop):
    desktop.change(LockedHint=True)
    row = begin(ann)
    desktop.start_ready()
    ann.sim.approve(row["user_code"])
    until(lambda: ann.status()["logins"][0]["state"] == "done", 60)
    desktop.change(LockedHint=False)
    quiet(desktop)


def test_two_desktops_of_one_person_do_it_once(ann):
    with Desktop(ann, 1) as one, Desktop(ann, 2) as two:
        two.change(Active=False)
        for desktop in (one, two):
            desktop.start_ready()
        row = begin(ann)
        one.pages(1)
        two.change(Active=True)
        quiet(two)
        ann.sim.approve(row["user_code"])
        until(lambda: ann.status()["logins"][0]["state"] == "done", 60)
        # Whichever was first.
        until(lambda: sum("Logged in" in n["notification"] for d in (one, two)
                          for n in d.notes) or
              [d._hear(0.1) for d in (one, two) if not d.heard.empty()] and 0)
        time.sleep(0.5)
        for desktop in (one, two):
            while not desktop.heard.empty():
                desktop._hear(1)
        assert sum("Logged in" in n["notification"]
                   for d in (one, two) for n in d.notes) == 1


def test_a_second_login_is_opened_as_the_first_was(ann, desktop):
    """It has the ticket of the first: they are of one identity."""
    desktop.start()
    for number in (1, 2):
        row = begin(ann)
        assert desktop.pages(number)[-1] == row["url_complete"]
        ann.sim.approve(row["user_code"])
        desktop.notification("Logged in")
        ann.run("logout")


def test_awsenv_login_in_a_terminal_opens_no_second_page(ann, desktop):
    desktop.start_ready()
    with ann.terminal("awsenv", "login", "--use-device-code", "-p",
                      "marketing", rows=50, **desktop.env) as t:
        t.until("this code")
        row = ann.sim.wait_pending()
        assert desktop.pages(1) == [row["url_complete"]]
        time.sleep(1)
        assert len(desktop.opened()) == 1
        ann.sim.approve(row["user_code"])
        assert t.exit_status() == 0


def test_brokers_and_agents_come_and_go(ann, desktop):
    ann.run("agent", "start")
    program = desktop.start_ready()
    os.kill(ann.broker_pid(), 9)
    row = begin(ann)
    desktop.pages(1)
    os.kill(ann.broker_pid(), 9)
    desktop.notification("AWS login")
    ann.sim.approve(row["user_code"])
    desktop.notification("Logged in")
    ann.run("agent", "stop")
    row = begin(ann)        # which starts another
    assert desktop.pages(2)[1] == row["url_complete"]
    assert program.poll() is None and desktop.errors() == ""


def test_one_that_is_refused_is_told(ann, desktop):
    desktop.start()
    row = begin(ann)
    desktop.notification("AWS login")
    ann.sim.deny(row["user_code"])
    note = desktop.notification("No AWS login: sim")
    assert "refused" in note["text"]


def test_the_end_is_told_where_aws_refuses_to_go_on():
    with Simulator(interval=1, token_life=60) as sim, \
            Person(sim) as ann, Desktop(ann) as desktop:
        desktop.start_ready()
        ann.log_in()
        assert "until" not in desktop.notification("Logged in")["text"]
        assert ann.status()["logins"][0]["state"] == "done"
        sim.expire("session")
        note = desktop.notification("The AWS login ends at ", 90)
        assert "awsenv login" in note["text"]


@pytest.fixture
def told(tmp_path):
    """An agent that tells what the test wants, and its desktop."""
    with Person(None) as bob, FakeAgent(tmp_path) as agent, \
            Desktop(bob) as desktop:
        agent.desktop = desktop
        agent.start = lambda *changes: (
            agent.on("wait@awsenv", SILENCE),
            agent.on("watch@awsenv", *changes, SILENCE),
            desktop.start_ready(env={"AWSENV_SOCK": agent.path}))[2]
        yield agent


def test_who_was_away_is_told_of_the_end_when_back(told):
    told.desktop.change(LockedHint=True)
    told.start(told.change(refreshable=0, state=wire.LOGIN_DONE,
                           expires=int(time.time()) + 20))
    quiet(told.desktop, seconds=11)
    told.desktop.change(LockedHint=False)
    told.desktop.notification("The AWS login ends at ")


def test_the_end_of_one_that_goes_on_is_not_told(told):
    told.start(told.change(refreshable=1, state=wire.LOGIN_DONE,
                           expires=int(time.time()) + 4))
    quiet(told.desktop, seconds=5)


def test_names_cannot_write_markup_or_commands(told):
    evil = "<b>R&D</b>\x1b[2J\n\u202egnp"
    shown = threading.Event()
    told.start(
        told.change(1, session=evil, notice=evil),
        lambda ask: shown.wait(60) and told.change(
            2, state=wire.LOGIN_DONE, session=evil, person=evil,
            expires=int(time.time()) + 3600))
    for title in ("AWS login: ", "Logged in to AWS: "):
        note = told.desktop.notification(title)
        shown.set()
        assert note["notification"] == title + "<b>R&D</b>?[2J??gnp"
        assert "&lt;b&gt;R&amp;D&lt;/b&gt;?[2J??gnp" in note["text"]


def test_a_page_that_needs_no_code_is_opened_without(told):
    told.start(told.change(code=""))
    assert told.desktop.pages(1)
    assert "code" not in told.desktop.notification("AWS login")["text"]


@pytest.mark.parametrize("wrong", [
    {"url": "javascript:alert(1)"}, {"url": "file:///etc/passwd"},
    {"url": "http://example.com/"}, {"url": "https://a/\x1b[2J"}, {"url": ""},
    {"url": "--help"}, {"code": "A\nB"}])
def test_what_is_no_sign_in_page_is_not_opened(told, wrong):
    told.start(told.change(**wrong))
    until(lambda: "not fit to be shown" in told.desktop.errors())
    quiet(told.desktop)


@pytest.mark.parametrize("answer", [
    CLOSE, FAILURE, b"\x1d", b"", {"error": 4, "text": "no"},
    {"change": 1, "login": b"garbage"}])
def test_an_agent_that_talks_nonsense_is_borne(told, answer):
    program = told.start(answer, answer, told.change(3))
    assert told.desktop.pages(1)
    assert program.poll() is None


def test_one_that_talks_only_nonsense_is_asked_ever_less(told):
    program = told.start(CLOSE)
    told.on("watch@awsenv", CLOSE)
    time.sleep(3)
    assert len(told.seen("watch@awsenv")) < 9
    until(lambda: len(told.seen("watch@awsenv")) > 1, 60)
    assert program.poll() is None


def test_somebody_unexpected_is_pointed_out(sim):
    with Person(sim, profiles=({
            "name": "marketing", "awsenv_identity": "<i>eve&co</i>"},)) as ann, \
            Desktop(ann) as desktop:
        desktop.start()
        row = begin(ann)
        desktop.notification("AWS login")
        ann.sim.approve(row["user_code"])
        note = desktop.notification("Logged in")
        assert "expects &lt;i&gt;eve&amp;co&lt;/i&gt;" in note["text"]
        assert note["urgency"] == 2


def test_what_is_not_aws_is_said_first(ann, desktop):
    desktop.start()
    begin(ann)
    note = desktop.notification("AWS login")
    assert note["text"].startswith("NOT AWS: ") and note["urgency"] == 2


def test_without_a_browser_it_only_tells(ann, desktop):
    desktop.start("--no-browser")
    begin(ann)
    assert "awsenv login" in desktop.notification("AWS login")["text"]
    assert desktop.opened() == []


def test_no_daemon_for_notifications_is_said_once(ann, desktop):
    desktop.say("notifications", False)
    desktop.start()
    begin(ann)
    desktop.pages(1)
    until(lambda: "no notification is shown" in desktop.errors())
    assert desktop.errors().count("\n") == 1


# ---- its life

@pytest.mark.parametrize("how", ["leader", "bus"])
def test_it_ends_with_the_session(ann, desktop, how):
    program = desktop.start_ready()
    if how == "leader":
        desktop.end()
    else:
        desktop.session_daemon.kill()
    assert program.wait(20) == 0


def test_of_a_session_that_is_over_none_is_left(ann, desktop):
    desktop.end()
    assert desktop.start().wait(20) == 0


def test_without_logind_the_session_bus_is_enough(ann):
    with Desktop(ann, system=False) as desktop:
        program = desktop.start()
        row = begin(ann)
        assert desktop.pages(1) == [row["url_complete"]]
        desktop.session_daemon.kill()
        assert program.wait(20) == 0


def test_without_a_session_bus_logind_is_enough(ann):
    with Desktop(ann, session=False) as desktop:
        program = desktop.start_ready()
        row = begin(ann)
        assert desktop.pages(1) == [row["url_complete"]]
        ann.sim.approve(row["user_code"])
        assert "no session bus" in desktop.errors()
        desktop.end()
        assert program.wait(20) == 0


def test_without_both_it_ends_with_the_login(ann):
    with Desktop(ann, session=False, system=False) as desktop:
        row = begin(ann)
        program = desktop.start()
        assert desktop.pages(1) == [row["url_complete"]]
        time.sleep(0.5)
        assert program.poll() is None
        ann.sim.approve(row["user_code"])
        assert program.wait(40) == 0


def test_a_session_that_logind_does_not_know_is_a_desktop_too(ann, desktop):
    desktop.start(env={"XDG_SESSION_ID": "77"})
    begin(ann)
    desktop.pages(1)


def test_below_systemd_user_the_session_is_asked_for(ann, desktop):
    """There XDG_SESSION_ID is not set, nor is the process in the session."""
    desktop.say("session", "auto", {"Id": desktop.number})
    desktop.change(LockedHint=True)
    begin(ann)
    desktop.start_ready(env={"XDG_SESSION_ID": None})
    quiet(desktop)
    desktop.change(LockedHint=False)
    desktop.pages(1)


def test_it_is_for_desktops(ann):
    done = ann.run("login", "--desktop")
    assert done.returncode == 1 and "desktop session" in done.stderr


def test_idle_it_sleeps(ann, desktop):
    """Neither it nor the broker wakes while nothing happens."""
    ann.log_in()
    pids = [desktop.start_ready().pid, ann.broker_pid()]
    until_asleep(*pids, seconds=5)
    assert [stat(p)[0] for p in pids] == ["awsenv-ctl", "awsenv-broker"]
