# SPDX-License-Identifier: ISC
"""A login by a browser on this machine: the authorization code with PKCE."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.parse

import pytest

import wire
from agent import children, until
from fetcher import Fetcher
from journey import Person
from simulator.client import Simulator
from simulator.visitor import allow, browse

ROOT = os.geteuid() == 0
SETTINGS = {"code_life": 60, "token_life": 3600, "refresh": "rotate"}


@pytest.fixture(scope="module")
def shared():
    with Simulator(accounts=3, roles=2, interval=1) as simulator:
        yield simulator


@pytest.fixture
def sim(shared):
    shared.clear_faults()
    shared.settings(**SETTINGS)
    shared.reset()
    yield shared
    assert not shared.bugs()


class Page:
    """What is to be opened, and where it leads back to."""

    def __init__(self, url):
        self.url = url
        self.asked = dict(urllib.parse.parse_qsl(
            urllib.parse.urlsplit(url).query))
        self.back = self.asked["redirect_uri"]
        self.host = urllib.parse.urlsplit(self.back).netloc
        self.port = int(self.host.split(":")[1])
        self.state = self.asked["state"]

    def say(self, words):
        """The answer to raw bytes; b"" if the door was shut."""
        with socket.create_connection(("127.0.0.1", self.port), 20) as s:
            with contextlib.suppress(ConnectionError):
                s.sendall(words)
            answer = b""
            with contextlib.suppress(ConnectionError):
                while more := s.recv(4096):
                    answer += more
        return answer

    def get(self, path="/oauth/callback", query=None, host=None, more="",
            method="GET"):
        if query is None:
            query = f"?code=x&state={self.state}"
        host = f"Host: {self.host}\r\n" if host is None else host
        return self.say(f"{method} {path}{query} HTTP/1.1\r\n{host}{more}"
                        "Accept: */*\r\n\r\n".encode())


@contextlib.contextmanager
def begun(sim, **fields):
    with Fetcher.of(sim).order("FETCH_LOGIN", desktop=1, waiting=1,
                               **fields) as talk:
        shown = talk.answer()
        assert not shown.code and not shown.dev and not shown.qr_width
        yield talk, Page(shown.url.decode())


# The conversation

@pytest.mark.quick
def test_a_browser_brings_the_code_and_hears_how_it_ends(sim):
    account = sim.info["accounts"][0]["id"]
    with begun(sim, account=account, role="ReadOnly") as (talk, page):
        where, status, text = allow(page.url, sim.ca)
        token, last = talk.answers()
    assert where.startswith(page.back) and status == 200
    assert "awsenv has its login" in text and "<script" not in text
    assert token.tok and token.refreshable and not token.last
    assert last.person == b"ann@example.com" and last.creds
    counts = sim.counts()
    assert counts["RegisterClient"] == counts["CreateToken"] == 1
    assert counts["StartDeviceAuthorization"] == 0
    # What it brought is renewed by the client that it was given to.
    again = Fetcher.of(sim).ask("FETCH_REFRESH", ref=token.ref)
    assert again.error == wire.AW_OK and again.tok != token.tok


def test_each_attempt_has_secrets_of_its_own(sim):
    with begun(sim) as (_, one), begun(sim) as (_, two):
        for name in ("state", "code_challenge", "client_id", "redirect_uri"):
            assert one.asked[name] != two.asked[name], name
        assert len(one.state) == 64


def test_the_page_is_for_this_user_on_this_machine_only(sim):
    with begun(sim) as (talk, page):
        rows = [line.split() for line in open(
            f"/proc/{talk.process.pid}/net/tcp", encoding="ascii")]
        mine = [r[1] for r in rows if r[1].endswith(f":{page.port:04X}") and
                r[3] == "0A"]
        assert mine == [f"0100007F:{page.port:04X}"]


def test_who_refuses_ends_it(sim):
    with begun(sim) as (talk, page):
        _, _, text = allow(page.url, sim.ca, deny=True)
        last, = talk.answers()
    assert "Not signed in" in text
    assert last.error == wire.AW_AWS
    assert last.text == b"the login was refused in the browser (access_denied)"


STRANGERS = {
    "another state": (403, dict(query="?code=x&state=guessed")),
    "no state": (403, dict(query="?code=x")),
    "an empty state": (403, dict(query="?code=x&state=")),
    "an error of nobody": (403, dict(query="?error=access_denied")),
    "another machine": (400, dict(host="Host: evil.example\r\n")),
    "a name for this machine": (400, dict(host="Host: localhost:1\r\n")),
    "a host without the port": (400, dict(host="Host: 127.0.0.1\r\n")),
    "no host": (400, dict(host="")),
    "a page of another site": (403, dict(more="Origin: https://evil\r\n")),
    "a page that hides its origin": (403, dict(more="origin: null\r\n")),
    "another path": (404, dict(path="/favicon.ico", query="")),
    "the path with a tail": (404, dict(path="/oauth/callback/x")),
    "another method": (405, dict(method="POST")),
    "a question about it": (405, dict(method="OPTIONS")),
}


@pytest.mark.parametrize("who", STRANGERS)
def test_a_stranger_is_turned_away_and_changes_nothing(sim, who):
    status, how = STRANGERS[who]
    with begun(sim) as (talk, page):
        answer = page.get(**how)
        assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer
        assert page.state.encode() not in answer
        allow(page.url, sim.ca)
        assert talk.answers()[-1].error == wire.AW_OK


@pytest.mark.parametrize("query", [
    "?code=&state={0}", "?state={0}", "?code=a%20b&state={0}",
    "?code=%zz&state={0}", "?code=a%0&state={0}", "?code=a&code=b&state={0}",
    "?code=a%00b&state={0}"])
def test_a_code_that_cannot_be_one_is_not_sent_on(sim, query):
    with begun(sim) as (talk, page):
        answer = page.get(query=query.format(page.state))
        assert answer.startswith(b"HTTP/1.1 400 "), answer
        assert sim.counts()["CreateToken"] == 0
        allow(page.url, sim.ca)
        assert talk.answers()[-1].error == wire.AW_OK


@pytest.mark.parametrize("words", [
    b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/2.0\r\n\r\n", b"\0" * 100 +
    b"\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\r\n\r\n"])
def test_what_is_no_request_is_answered_so(sim, words):
    with begun(sim) as (talk, page):
        assert page.say(words).startswith(b"HTTP/1.1 400 ")
        allow(page.url, sim.ca)
        assert talk.answers()[-1].error == wire.AW_OK


def test_two_hosts_are_none(sim):
    with begun(sim) as (_, page):
        host = f"Host: {page.host}\r\n"
        assert page.get(host=host * 2).startswith(b"HTTP/1.1 400 ")


def test_headers_have_an_end(sim):
    with begun(sim) as (talk, page):
        answer = page.get(more=f"Cookie: {'x' * 200000}\r\n")
        assert answer in (b"", answer) and b" 200 " not in answer[:20]
        allow(page.url, sim.ca)
        assert talk.answers()[-1].error == wire.AW_OK


def test_other_servers_cookies_are_no_matter(sim):
    with begun(sim) as (talk, page):
        answer = page.get(query="?code=x&state=y",
                          more=f"Cookie: {'x' * 30000}\r\n")
        assert answer.startswith(b"HTTP/1.1 403 ")


def test_those_who_say_nothing_keep_nobody_out(sim):
    with begun(sim) as (talk, page), contextlib.ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(socket.create_connection(
                ("127.0.0.1", page.port), 20)).sendall(b"GET /oauth")
        allow(page.url, sim.ca)
        assert talk.answers()[-1].error == wire.AW_OK


@pytest.mark.skipif(not ROOT, reason="becomes another user")
@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6"])
def test_another_user_is_not_listened_to(sim, family):
    address = "127.0.0.1" if family == "AF_INET" else "::ffff:127.0.0.1"
    program = (
        "import os, socket, sys\n"
        "os.setgroups([]); os.setgid(int(sys.argv[3]))\n"
        "os.setuid(int(sys.argv[3]))\n"
        f"s = socket.socket(socket.{family})\n"
        f"s.connect(({address!r}, int(sys.argv[1])))\n"
        "try:\n"
        "    s.sendall(sys.argv[2].encode())\n"
        "    print(s.recv(4096))\n"
        "except ConnectionError: print(b'')\n")
    with begun(sim) as (talk, page):
        words = (f"GET /oauth/callback?error=x&state={page.state} HTTP/1.1"
                 f"\r\nHost: {page.host}\r\n\r\n")

        def ask(uid):
            return subprocess.run(
                [sys.executable, "-c", program, str(page.port), words, uid],
                capture_output=True, text=True, timeout=30).stdout
        assert ask("62001") == "b''\n"
        assert "Not signed in" in ask("0"), "the same, from its own user"
        assert talk.answers()[-1].error == wire.AW_AWS


def test_a_code_that_aws_refuses_is_told_on_both_sides(sim):
    sim.settings(code_life=-1)
    with begun(sim) as (talk, page):
        _, _, text = allow(page.url, sim.ca)
        last, = talk.answers()
    assert "Not signed in" in text and "your terminal says why" in text
    assert last.error == wire.AW_EXPIRED
    assert b"did not take the code" in last.text


def test_a_code_whose_answer_is_lost_is_not_sent_twice(sim):
    sim.fault("CreateToken", "lost", count=1)
    with begun(sim) as (talk, page):
        allow(page.url, sim.ca)
        last, = talk.answers()
    assert last.error == wire.AW_NETWORK
    assert sim.counts()["CreateToken"] == 1


def test_a_wrong_region_is_seen_in_the_browser_only(sim):
    with begun(sim) as (_, page):
        pass
    url = page.url.replace(sim.urls["https"], sim.urls["other_region"])
    assert browse(url, sim.ca)[1] == 400


# Where it cannot be

def device(talk):
    answer = talk.answer()
    assert answer.code and answer.dev and b"/authorize?" not in answer.url


@pytest.mark.parametrize("code", [
    "UnsupportedGrantTypeException", "InvalidRequestException",
    "InvalidRedirectUriException"])
def test_where_aws_does_not_offer_it_there_is_a_code(sim, code):
    sim.fault("RegisterClient", "error", code=code, count=1)
    with Fetcher.of(sim).order("FETCH_LOGIN", desktop=1, waiting=1) as talk:
        device(talk)
    assert sim.counts()["RegisterClient"] == 2


def test_without_scopes_there_is_a_code(sim):
    with Fetcher.of(sim, scopes="").order("FETCH_LOGIN", desktop=1) as talk:
        device(talk)


def test_its_registration_is_not_used_for_a_code(sim):
    with begun(sim) as (talk, page):
        allow(page.url, sim.ca)
        ref = talk.answers()[0].ref
    with Fetcher.of(sim).order("FETCH_LOGIN", ref=ref, waiting=1) as talk:
        device(talk)
    assert not [r for r in sim.requests() if r["error"] and
                r["error"] != "AuthorizationPendingException"]


def test_no_network_is_told_as_such(sim):
    sim.fault("RegisterClient", "status", status=503)
    last = Fetcher.of(sim).ask("FETCH_LOGIN", desktop=1)
    assert last.error == wire.AW_NETWORK


# Who asked

def test_a_hint_shows_it_once_more(sim):
    with begun(sim) as (talk, page):
        talk.hint(waiting=1)
        assert talk.answer().url.decode() == page.url
        allow(page.url, sim.ca)
        assert talk.answers()[-1].error == wire.AW_OK


def test_it_ends_when_nobody_wants_it_any_more(sim):
    with begun(sim) as (talk, page):
        talk.hang_up()
        talk.end()
        with pytest.raises(OSError):
            page.get()


# People

class Desk(Person):
    """One in a graphical session, whose browser only notes where to go."""

    def __init__(self, sim, **options):
        super().__init__(sim, **options)
        self.visited = self.dir / "visited"
        script = self.dir / "browser"
        script.write_text(f'#!/bin/sh\necho "$1" >>{self.visited}\n')
        script.chmod(0o755)
        self.visited.touch()
        self.visited.chmod(0o666)
        self.desktop = {"DISPLAY": ":0", "AWSENV_BROWSER": str(script),
                        "SSH_CONNECTION": None}

    def at_desk(self, *argv, **env):
        return self.terminal("awsenv", *argv, cols=120,
                             **{**self.desktop, **env})

    def opened(self, number=1):
        until(lambda: self.visited.read_text().count("\n") >= number, 30,
              "no browser was opened")
        return Page(self.visited.read_text().split("\n")[number - 1])


@pytest.mark.parametrize("argv", [
    ["login", "-p", "marketing"], ["-p", "marketing", "--", "echo", "ran"]])
def test_at_a_desk_the_browser_is_all_it_takes(sim, argv):
    with Desk(sim) as ann, ann.at_desk(*argv) as t:
        page = ann.opened()
        shown = t.until("Your browser opens this page").string
        assert page.url in shown and "this code" not in shown
        assert "awsenv login --use-device-code" in shown
        allow(page.url, sim.ca)
        t.until("approved by ann@example.com")
        assert t.exit_status() == 0
        assert sim.counts()["StartDeviceAuthorization"] == 0
        assert ann.run("-p", "marketing", "--", "true").returncode == 0


@pytest.mark.parametrize("argv, env", [
    (["--use-device-code"], {}), (["--no-browser"], {}),
    ([], {"DISPLAY": ""}), ([], {"SSH_CONNECTION": "192.0.2.1 1 192.0.2.2 2",
                                 "AWSENV_SOCK": "{sock}"})])
def test_elsewhere_it_takes_a_code(sim, argv, env):
    with Desk(sim) as ann:
        ann.run("agent", "start")
        env = {k: v.format(sock=ann.runtime / "awsenv/agent.sock")
               for k, v in env.items()}
        with ann.at_desk("login", "-p", "marketing", *argv, **env) as t:
            t.until("allow it only if it shows this code")
            sim.approve(sim.wait_pending()["user_code"])
            assert t.exit_status() == 0


def test_who_has_no_browser_takes_the_login_over(sim):
    with Desk(sim) as ann, ann.at_desk("login", "-p", "marketing") as t:
        page = ann.opened()
        other = ann.popen("login", "-p", "marketing")
        code = sim.wait_pending()["user_code"]
        t.until("that page is no longer good; here is a new one")
        t.until(f"this code:  {code}")
        sim.approve(code)
        assert t.exit_status() == 0
        _, shown = other.communicate(timeout=60)
        assert other.returncode == 0
        assert "allow it only if it shows this code" in shown
        with pytest.raises(OSError):
            page.get()


def test_at_a_desk_a_code_that_is_there_does(sim):
    with Desk(sim) as ann:
        ann.run("login", "-p", "marketing", "--no-wait")
        code = sim.wait_pending()["user_code"]
        with ann.at_desk("login", "-p", "marketing") as t:
            t.until(f"this code:  {code}")
            sim.approve(code)
            assert t.exit_status() == 0


def test_a_second_shell_is_not_shown_what_is_for_the_browser(sim):
    with Desk(sim) as ann, ann.at_desk("login", "-p", "marketing") as t:
        page = ann.opened()
        done = ann.run("login", "--show-pending")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        allow(page.url, sim.ca)
        assert t.exit_status() == 0


def test_a_fetcher_that_is_killed_costs_that_attempt_only(sim):
    with Desk(sim) as ann, ann.at_desk("login", "-p", "marketing") as t:
        first = ann.opened()
        agent = ann.agent_pid()
        spawned = [f for p in children(agent)
                   for f in [p, *children(p)]
                   if f in children(p, "awsenv-fetch") or
                   f in children(agent, "awsenv-fetch")]
        assert len(spawned) == 1
        os.kill(spawned[0], signal.SIGKILL)
        t.until("that page is no longer good; here is a new one")
        second = ann.opened(2)
        assert second.state != first.state
        allow(second.url, sim.ca)
        assert t.exit_status() == 0


def test_a_broker_that_is_killed_costs_nothing(sim):
    with Desk(sim) as ann, ann.at_desk("login", "-p", "marketing") as t:
        page = ann.opened()
        old = ann.broker_pid()
        os.kill(old, signal.SIGKILL)
        ann.broker_pid(other_than=old)
        allow(page.url, sim.ca)
        assert t.exit_status() == 0
        assert "no longer good" not in t.text()


def test_a_refusal_in_the_browser_is_told(sim):
    with Desk(sim) as ann, ann.at_desk("login", "-p", "marketing") as t:
        allow(ann.opened().url, sim.ca, deny=True)
        assert t.exit_status() == 5
        t.until("the login was refused in the browser")


def test_it_outlives_who_asked(sim):
    with Desk(sim) as ann, ann.at_desk("login", "-p", "marketing") as t:
        page = ann.opened()
        t.until("waiting for the approval")
        t.press("C-c")
        t.until(r"the page stays valid until .*\n?.*shows it again")
        allow(page.url, sim.ca)
        until(lambda: ann.run("login", "--no-wait", "-p",
                              "marketing").returncode == 0)
        assert ann.run("-p", "marketing", "--", "true").returncode == 0
        assert sim.counts()["RegisterClient"] == 1


def test_nothing_of_it_is_written_or_logged(sim):
    with Desk(sim) as ann, ann.at_desk("login", "-p", "marketing") as t:
        page = ann.opened()
        allow(page.url, sim.ca)
        assert t.exit_status() == 0
        code = next(s["value"] for s in sim.secrets() if s["kind"] == "code")
        found = subprocess.run(
            ["grep", "-rlF", "-e", code, "-e", page.state, str(ann.home),
             str(ann.runtime)], capture_output=True, text=True).stdout
        assert found == "", re.sub(r"\s+", " ", found)
