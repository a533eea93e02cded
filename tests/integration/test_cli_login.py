# SPDX-License-Identifier: ISC
"""How a login looks and goes, with and without a terminal."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

import wire
from agent import BUILD, until
from fake_agent import CLOSE, KEY, URL, FakeAgent, qr
from terminal import Terminal

AWSENV = str(BUILD / "awsenv")
NEEDED = {"error": wire.AW_LOGIN}


@pytest.fixture
def agent(tmp_path):
    with FakeAgent(tmp_path) as fake:
        fake.on("creds@awsenv", NEEDED, fake.creds())
        fake.on("login@awsenv", fake.login())
        fake.on("wait@awsenv", held(fake, wire.LOGIN_DONE))
        yield fake


def held(fake, state, seconds=0.3, **fields):
    """The answer to a wait, after a while."""
    def answer(_):
        time.sleep(seconds)
        return fake.login(state=state, **fields)
    return answer


def run(agent, *argv, env=None, **options):
    return subprocess.run([AWSENV, *argv], env=agent.env(**env or {}), text=True,
                          stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=60, **options)


def terminal(agent, *argv, env=None, **options):
    env = {"LANG": "C.UTF-8", **(env or {})}
    return Terminal([AWSENV, *argv], agent.env(**env), **options)


# Without a terminal


def test_a_command_fails_at_once_and_says_what_to_do(agent):
    done = run(agent, "-p", "marketing", "true")
    assert done.returncode == 125
    assert done.stderr == ("awsenv: profile marketing: a login is needed; "
                           "run: awsenv login -p marketing\n")
    assert agent.seen("login@awsenv") == agent.seen("wait@awsenv") == []


@pytest.mark.parametrize("words", [
    ["echo", "ran"], ["export", "--format", "env-no-export"],
    ["whoami"], ["process"]])
def test_wait_shows_the_login_waits_and_goes_on(agent, words):
    agent.on("whoami@awsenv", NEEDED, {"person": "ran"})
    verb = words[0] if words[0] != "echo" else None
    argv = [verb, "--wait", "20", *words[1:]] if verb else [
        "--wait", "20", *words]
    done = run(agent, *argv)
    assert done.returncode == 0, done.stderr
    assert "ran" in done.stdout or KEY in done.stdout
    for part in (f"\n{URL}\n", "ABCD-EFGH", "corp", "desk", "(10 min left)",
                 "approved by jane@example.com"):
        assert part in done.stderr, part
    assert "\x1b" not in done.stderr and done.stderr.count(URL) == 1


def test_the_verb_login_shows_and_waits_without_a_terminal(agent):
    done = run(agent, "login", "-p", "marketing")
    assert done.returncode == 0 and done.stdout == ""
    assert URL in done.stderr and "approved by jane@example.com" in done.stderr
    assert agent.seen("login@awsenv")[0]["ask.profile"] == b"marketing"
    assert agent.seen("wait@awsenv")[0].ticket == 7
    assert agent.seen("wait@awsenv")[0].seen == wire.LOGIN_PENDING


def test_a_login_that_is_there_is_said_and_nothing_awaited(agent):
    agent.on("login@awsenv", agent.login(state=wire.LOGIN_DONE))
    done = run(agent, "login")
    assert done.returncode == 0
    assert "logged in to corp as jane@example.com until" in done.stderr
    assert agent.seen("wait@awsenv") == []


def test_a_session_is_named_instead_of_a_profile(agent):
    run(agent, "login", "--sso-session", "corp", env={"AWS_PROFILE": "x"})
    ask, = agent.seen("login@awsenv")
    assert (ask["ask.session"], ask["ask.profile"]) == (b"corp", b"")


def test_no_wait_shows_the_code_and_ends_well(agent):
    agent.on("login@awsenv", agent.login(state=wire.LOGIN_STARTING))
    agent.on("wait@awsenv", agent.login(state=wire.LOGIN_STARTING),
             agent.login())
    done = run(agent, "login", "--no-wait")
    assert done.returncode == 0 and "ABCD-EFGH" in done.stderr
    assert "waiting" not in done.stderr and "10 min left" in done.stderr
    assert len(agent.seen("wait@awsenv")) == 2


def test_no_wait_forbids_a_command_to_start_a_login(agent):
    with terminal(agent, "--no-wait", "true") as t:
        assert t.wait() == 125
    assert agent.seen("login@awsenv") == []


@pytest.mark.parametrize("state, words", [
    (wire.LOGIN_PENDING, "the code stays valid until"),
    (wire.LOGIN_STARTING, "AWS gave no code within 1 s")])
def test_wait_ends_after_its_seconds(agent, state, words):
    def waits(ask):
        time.sleep(min(ask.seconds, 1))
        return agent.login(state=state)
    agent.on("login@awsenv", agent.login(state=state))
    agent.on("wait@awsenv", waits)
    done = run(agent, "--wait", "1", "true")
    assert done.returncode == 125 and words in done.stderr
    waits = agent.seen("wait@awsenv")
    assert waits and all(w.seconds <= 1 for w in waits)
    assert run(agent, "login", "--wait", "1").returncode == 3


# How it goes


def test_a_login_that_fails_says_why(agent):
    agent.on("wait@awsenv", agent.login(
        state=wire.LOGIN_FAILED, url="", code="",
        text="the request was denied in the browser"))
    done = run(agent, "login", "-p", "m")
    assert done.returncode == 3
    assert done.stderr.endswith(
        "awsenv: profile m: the request was denied in the browser\n")
    assert run(agent, "--wait", "9", "true").returncode == 125


@pytest.mark.parametrize("error, status", [
    (wire.AW_NETWORK, 6), (wire.AW_AWS, 5), (wire.AW_CONFIG, 4)])
def test_a_login_that_cannot_start_has_its_errors_status(agent, error, status):
    agent.on("login@awsenv", agent.login(state=wire.LOGIN_STARTING))
    agent.on("wait@awsenv", agent.login(
        state=wire.LOGIN_FAILED, error=error, text="no such host"))
    done = run(agent, "login", "-p", "m")
    assert done.returncode == status and "no such host" in done.stderr


def test_a_ticket_that_is_gone_is_asked_for_anew(agent):
    agent.on("wait@awsenv", {"error": wire.AW_GONE},
             agent.login(state=wire.LOGIN_DONE))
    done = run(agent, "login")
    assert done.returncode == 0 and done.stderr.count(URL) == 1
    assert len(agent.seen("login@awsenv")) == 2
    agent.on("wait@awsenv", {"error": wire.AW_GONE, "text": "gone"})
    done = run(agent, "login")
    assert done.returncode == 1 and "gone" in done.stderr


def test_brokers_may_die_while_a_person_decides(agent):
    agent.on("login@awsenv", CLOSE, agent.login())
    agent.on("wait@awsenv", CLOSE, CLOSE, agent.login(), CLOSE,
             agent.login(state=wire.LOGIN_DONE))
    done = run(agent, "login")
    assert done.returncode == 0 and done.stderr.count(URL) == 1


def test_a_new_code_is_shown_when_the_old_one_ran_out(agent):
    agent.on("wait@awsenv", agent.login(code="WXYZ-WXYZ"),
             agent.login(state=wire.LOGIN_DONE))
    done = run(agent, "login")
    assert "no longer good" in done.stderr
    assert "ABCD-EFGH" in done.stderr and "WXYZ-WXYZ" in done.stderr


def test_what_is_not_aws_is_said_before_the_address(agent):
    agent.on("login@awsenv", agent.login(
        notice="NOT AWS: endpoint https://evil.example"))
    text = run(agent, "login").stderr
    assert text.index("*** NOT AWS: endpoint https://evil.example ***") < \
        text.index(URL)


def test_what_is_written_over_does_not_wrap(agent):
    agent.on("wait@awsenv", agent.login(), agent.login(state=wire.LOGIN_DONE))
    with terminal(agent, "login", cols=40) as t:
        assert t.wait() == 0
        lines = [part for part in t.text.split("\r\x1b[K")
                 if "Valid until" in part]
        assert len(lines) == 2
        for line in lines:
            assert line.startswith("\x1b[?7l") and line.endswith("\x1b[?7h")


@pytest.mark.parametrize("fields, warning", [
    ({"before": "joe@example.com"}, "the last time it was joe@example.com"),
    ({"expected": "joe@example.com"}, "expects joe@example.com"),
    ({"before": "jane@example.com", "expected": "Jane@Example.com"}, None),
    ({"before": "joe@example.com", "person": ""}, None)])
def test_an_unexpected_person_is_warned_of(agent, fields, warning):
    agent.on("wait@awsenv", agent.login(state=wire.LOGIN_DONE, **fields))
    done = run(agent, "login")
    assert done.returncode == 0
    if warning:
        assert "WARNING" in done.stderr and warning in done.stderr
    else:
        assert "WARNING" not in done.stderr


@pytest.mark.parametrize("fields", [
    {"url": "javascript:alert(1)"}, {"url": "http://evil.example/"},
    {"url": "https://x/\x1b[2J"}, {"url": "https://" + "x" * 2050},
    {"url": ""}, {"code": "AB\nCD"}, {"code": "x" * 65}])
def test_addresses_and_codes_that_must_not_be_shown_are_not(agent, fields):
    agent.on("login@awsenv", agent.login(**fields))
    done = run(agent, "login", env={"DISPLAY": ":0", "BROWSER": "touch"})
    assert done.returncode == 1 and "not fit to be shown" in done.stderr
    assert "javascript" not in done.stderr and "evil" not in done.stderr


# For a script

STEADY = ["state", "session", "url", "code", "until", "person", "expires",
          "notice", "host", "error"]


def events(done):
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(list(row) == STEADY for row in rows)
    return rows


def test_json_is_a_line_for_each_thing_that_happens(agent):
    agent.on("wait@awsenv", agent.login(), agent.login(code="WXYZ-WXYZ"),
             agent.login(state=wire.LOGIN_DONE, notice="proxy x"))
    done = run(agent, "login", "--json")
    assert done.returncode == 0 and done.stderr == ""
    first, second, third = events(done)
    assert (first["state"], first["url"], first["code"], first["host"]) == (
        "pending", URL, "ABCD-EFGH", "desk")
    assert first["until"].endswith("Z") and first["expires"] is None
    assert (second["state"], second["code"]) == ("pending", "WXYZ-WXYZ")
    assert (third["state"], third["person"], third["session"]) == (
        "done", "jane@example.com", "corp")
    assert (third["url"], third["code"], third["until"]) == ("", "", None)
    assert third["expires"].endswith("Z") and third["notice"] == "proxy x"
    assert first["error"] is third["error"] is None


def test_json_of_a_login_that_is_there_is_one_line(agent):
    agent.on("login@awsenv", agent.login(state=wire.LOGIN_DONE))
    done = run(agent, "login", "--json")
    assert [e["state"] for e in events(done)] == ["done"]
    assert done.returncode == 0 and not agent.seen("wait@awsenv")


def test_json_without_waiting_is_the_code(agent):
    done = run(agent, "login", "--json", "--no-wait")
    assert [e["code"] for e in events(done)] == ["ABCD-EFGH"]
    assert done.returncode == 0 and not agent.seen("wait@awsenv")


@pytest.mark.parametrize("fields, status, error", [
    ({"text": "it was denied"}, 3, "it was denied"),
    ({}, 3, "the login failed"),
    ({"error": wire.AW_NETWORK, "text": "no such host"}, 6, "no such host"),
    # Its state is what it last was, and no longer counts.
    ({"state": wire.LOGIN_PENDING, "error": wire.AW_NETWORK,
      "text": "no such host"}, 6, "no such host")])
def test_json_of_a_failure_is_a_line_and_the_words_are_kept(
        agent, fields, status, error):
    agent.on("wait@awsenv",
             agent.login(**{"state": wire.LOGIN_FAILED, **fields}))
    done = run(agent, "login", "--json")
    pending, failed = events(done)
    assert (failed["state"], failed["error"]) == ("failed", error)
    assert (failed["url"], failed["code"]) == ("", "")
    assert done.returncode == status and error in done.stderr


def test_json_warns_of_a_person_and_shows_nothing_unfit(agent):
    agent.on("wait@awsenv", agent.login(
        state=wire.LOGIN_DONE, expected="joe@example.com"))
    assert "WARNING" in run(agent, "login", "--json").stderr
    agent.on("login@awsenv", agent.login(url="javascript:alert(1)"))
    done = run(agent, "login", "--json")
    assert done.returncode == 1 and done.stdout == ""
    assert "not fit to be shown" in done.stderr


def test_json_that_nobody_can_read_is_a_failure(agent):
    with open("/dev/full", "w") as full:
        done = subprocess.run([AWSENV, "login", "--json"], env=agent.env(),
                              stdout=full, stderr=subprocess.PIPE, text=True,
                              stdin=subprocess.DEVNULL, timeout=60)
    assert done.returncode == 1 and done.stderr.startswith("awsenv: ")
    assert not agent.seen("wait@awsenv"), "it does not wait for what was lost"


def test_json_is_not_for_a_desktop(agent):
    done = run(agent, "login", "--json", "--desktop")
    assert (done.returncode, done.stderr) == (
        2, "awsenv: either --json or --desktop\n")


# On a terminal


def test_a_command_shows_the_login_waits_and_runs(agent, tmp_path):
    """What it prints goes to standard output, the login does not."""
    out = tmp_path / "out"
    with open(out, "wb") as stdout, terminal(
            agent, "-p", "marketing", "echo", "ran", stdout=stdout) as t:
        assert t.wait() == 0, t.text
    assert out.read_text() == "ran\n"
    assert URL in t.text and "waiting for the approval" in t.text
    # The line that was written over is gone when the answer comes.
    assert "\r\x1b[Kawsenv: approved by jane@example.com" in t.text


def modules(text):
    """The drawn QR code as rows of booleans, dark is true."""
    rows = []
    for line in text.split("\n"):
        if line.startswith("\x1b[40;37;1m"):
            blocks = [" ▄▀█".index(c) for c in line[10:].split("\x1b")[0]]
            rows.append([not b >> 1 for b in blocks])
            rows.append([not b & 1 for b in blocks])
    return rows


@pytest.mark.parametrize("rows, cols, fits", [
    (60, 80, True), (60, 40, False), (30, 80, False), (0, 0, False)])
def test_a_qr_code_is_drawn_where_it_fits_whole(agent, rows, cols, fits):
    agent.on("login@awsenv", agent.login(**qr(33)))
    with terminal(agent, "login", rows=rows, cols=cols) as t:
        assert t.wait() == 0, t.text
    drawn = modules(t.text)
    if not fits:
        assert drawn == [] and "QR code needs a window" in t.text
        return
    assert len(drawn) == 42 and {len(r) for r in drawn} == {41}
    for y, row in enumerate(drawn):
        for x, dark in enumerate(row):
            inside = 4 <= x < 37 and 4 <= y < 37
            assert dark == (inside and (x - 4) % 2 == 0), (x, y)


@pytest.mark.parametrize("env", [{"LANG": "C"}, {"TERM": "dumb"},
                                 {"LC_ALL": "de_DE.ISO-8859-1"}])
def test_no_blocks_are_drawn_for_who_cannot_show_them(agent, env):
    agent.on("login@awsenv", agent.login(**qr(33)))
    with terminal(agent, "login", rows=60, env=env) as t:
        assert t.wait() == 0
    assert modules(t.text) == [] and URL in t.text
    if "TERM" in env:
        assert "\x1b" not in t.text


def test_ctrl_c_ends_the_waiting_and_says_the_login_goes_on(agent):
    agent.on("wait@awsenv", held(agent, wire.LOGIN_PENDING, 20))
    with terminal(agent, "sh", "-c", "echo ran") as t:
        t.until("waiting for the approval")
        until(lambda: agent.seen("wait@awsenv"))
        t.press(b"\x03")
        assert t.wait() == -signal.SIGINT
    assert "the code stays valid until" in t.text and "ran" not in t.text


def test_an_interrupt_that_is_ignored_stays_ignored(agent):
    agent.on("wait@awsenv", held(agent, wire.LOGIN_DONE, 1.5))
    child = subprocess.Popen(
        [AWSENV, "--wait", "20", sys.executable, "-c",
         "import signal as s; print(s.getsignal(s.SIGINT) == s.SIG_IGN)"],
        env=agent.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    until(lambda: agent.seen("wait@awsenv"))
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=30)
    assert (child.returncode, out) == (0, b"True\n")
    assert b"stays valid" not in err


def test_the_command_has_the_interrupt_it_would_have_had(agent):
    done = run(agent, "--wait", "20", sys.executable, "-c",
               "import signal; print(signal.getsignal(signal.SIGINT))")
    assert "default_int_handler" in done.stdout


# Browsers


@pytest.fixture
def browser(tmp_path):
    """A program that writes down its words, one in a line."""
    program = tmp_path / "browse"
    program.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" >> {tmp_path}/words\n"
                       "echo noise; echo noise >&2\n")
    program.chmod(0o755)
    return program


def desktop(agent, browser, *argv, **env):
    """The words of the browser, which has ended; None: there was none."""
    words = pathlib.Path(agent.path).parent / "words"
    words.unlink(missing_ok=True)
    with terminal(agent, *argv, env={"DISPLAY": ":9", "BROWSER": str(browser),
                                     **env}) as t:
        assert t.wait_for_all() == 0, t.text
    assert "noise" not in t.text
    return words.read_text().splitlines() if words.exists() else None


def test_a_desktop_opens_the_page_without_a_shell(agent, browser):
    odd = URL + "&a=$(touch%20/tmp/x);`id`'"
    agent.on("login@awsenv", agent.login(url=odd))
    assert desktop(agent, browser, "login") == [odd]


@pytest.mark.parametrize("value, expected", [
    ("{b} --new-window %s", ["--new-window", URL]),
    ("{b} --url=%s -x", [f"--url={URL}", "-x"]),
    ("{b} 100%", ["100%", URL]),
    ("/no/such/browser:{b}", [URL])])
def test_the_words_of_browser_are_a_list_with_a_place_for_the_url(
        agent, browser, value, expected):
    assert desktop(agent, value.format(b=browser), "login") == expected


@pytest.mark.parametrize("words, env", [
    (["login", "--no-browser"], {}), (["login"], {"DISPLAY": ""}),
    (["login"], {"SSH_CONNECTION": "a 1 b 2"})])
def test_no_browser_is_opened_where_it_would_be_wrong(agent, browser, words,
                                                      env):
    assert desktop(agent, browser, *words, **env) is None


def test_no_browser_is_opened_without_a_terminal(agent, browser):
    alive, left = os.pipe()
    run(agent, "login", env={"DISPLAY": ":9", "BROWSER": str(browser)},
        pass_fds=(left,))
    os.close(left)
    assert os.read(alive, 1) == b""     # whatever was begun has ended
    os.close(alive)
    assert not (browser.parent / "words").exists()


def test_our_own_variable_beats_browser(agent, browser):
    assert desktop(agent, "/no/such", "login", AWSENV_BROWSER=str(browser))


def test_the_configs_browser_stands_between_the_variables(agent, browser):
    agent.on("login@awsenv", agent.login(browser=f"/no/such:{browser} -n %s"))
    assert desktop(agent, "/no/such", "login") == ["-n", URL]
    agent.on("login@awsenv", agent.login(browser="/no/such", ticket=8))
    assert desktop(agent, browser, "login", AWSENV_BROWSER=str(browser))
    agent.on("login@awsenv", agent.login(browser="/no/such", ticket=9))
    assert desktop(agent, browser, "login") is None


def test_a_browser_that_fails_does_not_fail_the_login(agent):
    desktop(agent, "/no/such/browser", "login", PATH="/nowhere")


def test_commands_that_share_a_login_open_one_page(agent, browser, tmp_path):
    runtime = tmp_path / "run"
    (runtime / "awsenv").mkdir(parents=True)
    for folder in (runtime, runtime / "awsenv"):
        folder.chmod(0o700)

    def pages(*argv):
        agent.on("creds@awsenv", NEEDED, agent.creds())
        return desktop(agent, browser, *argv, XDG_RUNTIME_DIR=str(runtime))
    assert pages("true")
    assert not pages("true")
    # Who types the verb wants to see it.
    assert pages("login")
    agent.on("login@awsenv", agent.login(ticket=8))
    assert pages("true")
    assert os.stat(runtime / "awsenv/desktop").st_mode & 0o777 == 0o600
