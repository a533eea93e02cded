# SPDX-License-Identifier: ISC
"""Every fault of the simulator, and what awsenv-fetch says of it."""
# Starts first: it takes minutes.

import concurrent.futures
import os
import pathlib
import subprocess
import sys
import time

import pytest

import wire
from fetcher import Fetcher, closed_port
from simulator import models
from simulator.client import Simulator
from simulator.faults import KINDS

LOGIN_CALLS = ("RegisterClient", "StartDeviceAuthorization")
NOT_AWS = b"something that is not AWS"


@pytest.fixture(scope="module")
def shared():
    with Simulator(accounts=3, roles=2, interval=1) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def login(shared):
    """A token and credentials for all tests of this file."""
    with Fetcher.of(shared).order(
            "FETCH_LOGIN", account="marketing", role="ReadOnly",
            waiting=1) as talk:
        shared.approve(talk.answer().code.decode())
        return talk.answers()


@pytest.fixture
def sim(shared, login):
    shared.clear_faults()
    yield shared
    shared.clear_faults()
    bugs = shared.bugs()
    assert not bugs, bugs


@pytest.fixture
def reach(sim, login):
    """Drive a conversation that comes to that operation; its answer."""
    account = sim.info["accounts"][0]["id"]
    token, last = login[0], login[1]
    step = {"role_arn": f"arn:aws:iam::{account}:role/Deploy",
            "session_name": "test"}

    def ask(operation, seconds=60, **facts):
        fetch = Fetcher.of(sim, **facts)
        ways = {
            "CreateToken": lambda: fetch.ask(
                "FETCH_REFRESH", seconds, ref=token.ref),
            "GetRoleCredentials": lambda: fetch.ask(
                "FETCH_ROLE", seconds, tok=token.tok, account=account,
                role="ReadOnly"),
            "ListAccounts": lambda: fetch.ask(
                "FETCH_ROLE", seconds, tok=token.tok, account="marketing",
                role="ReadOnly"),
            "AssumeRole": lambda: fetch.ask(
                "FETCH_ROLE", seconds, tok=token.tok, account=account,
                role="ReadOnly", chain=[step]),
            "GetCallerIdentity": lambda: fetch.ask(
                "FETCH_IDENTITY", seconds, creds=last.creds),
            "Logout": lambda: fetch.ask(
                "FETCH_LOGOUT", seconds, tok=token.tok),
        }
        if operation in ways:
            return ways[operation]()
        with fetch.order("FETCH_LOGIN") as talk:
            return talk.answer(seconds)
    return ask


OPERATIONS = (*LOGIN_CALLS, "CreateToken", "GetRoleCredentials",
              "ListAccounts", "AssumeRole", "GetCallerIdentity", "Logout")
SOME = ("StartDeviceAuthorization", "GetRoleCredentials", "AssumeRole")

# What becomes of a modelled error that is not simply told with its name.
SPECIAL = {
    ("CreateToken", "ExpiredTokenException"): (wire.AW_GRANT, b"log in again"),
    ("CreateToken", "InvalidGrantException"): (wire.AW_GRANT, b"log in again"),
    ("CreateToken", "InvalidClientException"):
        (wire.AW_GRANT, b"log in again"),
    ("CreateToken", "UnauthorizedClientException"):
        (wire.AW_GRANT, b"log in again"),
    ("CreateToken", "UnsupportedGrantTypeException"):
        (wire.AW_GRANT, b"log in again"),
    ("CreateToken", "AccessDeniedException"): (wire.AW_AWS, b"was refused"),
    ("CreateToken", "SlowDownException"): (wire.AW_NETWORK, b"SlowDown"),
    ("GetRoleCredentials", "ForbiddenException"):
        (wire.AW_AWS, b"no access to role ReadOnly in account"),
    ("GetRoleCredentials", "ResourceNotFoundException"):
        (wire.AW_AWS, b"there is no role ReadOnly in account"),
    ("AssumeRole", "AccessDenied"): (wire.AW_AWS, b"not allowed to assume"),
    ("AssumeRole", "ExpiredToken"): (wire.AW_AWS, b"have run out"),
    ("AssumeRole", "ExpiredTokenException"): (wire.AW_AWS, b"have run out"),
    ("AssumeRole", "RegionDisabledException"):
        (wire.AW_AWS, b"use another region"),
    ("Logout", "UnauthorizedException"): (wire.AW_OK, b""),
}


def expected(operation, code, status):
    if (operation, code) in SPECIAL:
        return SPECIAL[operation, code]
    if code == "UnauthorizedException":
        return wire.AW_TOKEN, b"log in again"
    if status == 429 or code in ("Throttling", "SlowDownException"):
        return wire.AW_NETWORK, b"asked too often"
    if status >= 500:
        return wire.AW_NETWORK, b"out of order"
    return wire.AW_AWS, code.encode()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_each_modelled_error_has_its_sentence(sim, reach, operation):
    wrong = []
    for code, status in models.errors_of(operation).items():
        sim.clear_faults()
        sim.fault(operation, "error", code=code)
        answer = reach(operation)
        error, text = expected(operation, code, status)
        if answer.error != error or text not in answer.text:
            wrong.append((code, answer.error, answer.text, error, text))
    assert not wrong


# Throttled, or in trouble

@pytest.mark.parametrize("status, body, operation", [
    (429, "json", "GetRoleCredentials"), (429, "empty", "AssumeRole"),
    (500, "json", "StartDeviceAuthorization"), (500, "html", "AssumeRole"),
    (502, "html", "GetRoleCredentials"), (502, "empty", "RegisterClient"),
    (503, "json", "GetCallerIdentity"), (503, "empty", "GetRoleCredentials"),
    (504, "json", "Logout"), (504, "html", "ListAccounts")])
def test_trouble_is_tried_three_times_and_told(
        sim, reach, status, body, operation):
    before = sim.counts()[operation]
    sim.fault(operation, "status", status=status, body=body)
    answer = reach(operation)
    assert answer.error == wire.AW_NETWORK
    assert f"HTTP {status}".encode() in answer.text
    assert b"try again later" in answer.text
    assert sim.counts()[operation] == before + 3


@pytest.mark.parametrize("operation", SOME)
def test_trouble_that_passes_is_not_noticed(sim, reach, operation):
    sim.fault(operation, "status", status=503, count=2)
    assert reach(operation).error == wire.AW_OK


def test_what_aws_asks_us_to_wait_is_waited(sim, reach):
    sim.fault("GetRoleCredentials", "status", status=429, retry_after=3,
              count=1)
    begun = time.monotonic()
    assert reach("GetRoleCredentials").error == wire.AW_OK
    assert 3 <= time.monotonic() - begun < 60


def test_what_is_too_long_to_wait_is_told_at_once(sim, reach):
    sim.fault("GetRoleCredentials", "status", status=503, retry_after=120)
    begun = time.monotonic()
    answer = reach("GetRoleCredentials")
    assert answer.error == wire.AW_NETWORK and b"503" in answer.text
    assert time.monotonic() - begun < 100


def test_a_quota_lets_us_through_in_the_end(sim, reach):
    sim.fault("sso", "quota", rate=3)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(reach, ["GetRoleCredentials"] * 6))
    assert {a.error for a in answers} <= {wire.AW_OK, wire.AW_NETWORK}
    assert sum(a.error == wire.AW_OK for a in answers) >= 3


# Broken connections

@pytest.mark.parametrize("operation", SOME)
@pytest.mark.parametrize("kind", ["reset", "close", "truncated"])
def test_a_connection_that_breaks_is_told_after_three_times(
        sim, reach, operation, kind):
    before = sim.counts()[operation]
    sim.fault(operation, kind)
    answer = reach(operation)
    assert answer.error == wire.AW_NETWORK
    assert b"localhost:" in answer.text
    assert b"broke off, try again" in answer.text
    # One more where the connection was not a new one: it may just have ended.
    assert sim.counts()[operation] - before in (3, 4)
    sim.clear_faults()
    sim.fault(operation, kind, count=2)
    assert reach(operation).error == wire.AW_OK


@pytest.mark.parametrize("kind", ["reset", "close", "truncated", "lost"])
def test_a_refresh_is_sent_once_where_it_may_have_been_seen(
        sim, reach, kind):
    before = sim.counts()["CreateToken"]
    # skip the lasting kind: the token of this file would be rotated away
    if kind in ("lost", "truncated"):
        sim.settings(refresh="keep")
    sim.fault("CreateToken", kind)
    try:
        answer = reach("CreateToken")
    finally:
        sim.settings(refresh="rotate")
    assert answer.error == wire.AW_NETWORK
    assert sim.counts()["CreateToken"] == before + 1


def test_nobody_listens_there(reach):
    nowhere = f"https://127.0.0.1:{closed_port()}"
    answer = reach("GetRoleCredentials", portal=nowhere)
    assert answer.error == wire.AW_NETWORK
    assert b"cannot connect to 127.0.0.1:" in answer.text


def test_a_name_that_nobody_knows(reach):
    answer = reach("GetRoleCredentials", portal="https://awsenv.invalid")
    assert answer.error == wire.AW_NETWORK
    assert b"cannot resolve awsenv.invalid" in answer.text


RESOLVER = """
import os, socket, subprocess, sys
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
subprocess.run(["mount", "--bind", sys.argv[1], "/etc/resolv.conf"], check=True)
silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
silent.bind(("127.0.0.1", 53))
from fetcher import Fetcher, tok
answer = Fetcher(portal="https://portal.awsenv.example").role(
    tok(), "012345678901", "ReadOnly")
print(answer.error, answer.text.decode())
"""


@pytest.mark.root
def test_a_resolver_that_never_answers_is_given_up_too(tmp_path):
    """In a network and a mount table of its own."""
    if os.geteuid() != 0:
        pytest.skip("needs root: a network namespace")
    resolv = tmp_path / "resolv.conf"
    resolv.write_text("nameserver 127.0.0.1\n")
    here = pathlib.Path(__file__).parent
    begun = time.monotonic()
    done = subprocess.run(
        ["unshare", "-mn", sys.executable, "-c", RESOLVER, resolv],
        env={**os.environ, "PYTHONPATH": f"{here}:{here.parent}"},
        capture_output=True, text=True, timeout=100)
    assert done.stdout == (f"{wire.AW_NETWORK} cannot connect to "
                           "portal.awsenv.example: timeout\n"), done.stderr
    assert time.monotonic() - begun < 50


def test_what_hangs_is_given_up_before_the_client_gives_up(sim, reach):
    """All at once, since each takes its time."""
    sim.fault("GetRoleCredentials", "hang", seconds=100)
    sim.fault("CreateToken", "hang", seconds=100, headers=True)
    sim.fault("RegisterClient", "trickle", seconds=2)
    sim.fault("GetCallerIdentity", "trickle", seconds=3)
    begun = time.monotonic()

    def timed(operation):
        return reach(operation, seconds=110), time.monotonic() - begun

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        role, token, start, who = pool.map(timed, (
            "GetRoleCredentials", "CreateToken", "RegisterClient",
            "GetCallerIdentity"))
    for answer, seconds in (role, token, start, who):
        assert answer.error == wire.AW_NETWORK
        assert b"no answer from localhost:" in answer.text
    assert max(role[1], start[1], who[1]) < 50
    assert 29 < token[1] < 45       # once


# Answers that are none

@pytest.mark.parametrize("operation", SOME)
@pytest.mark.parametrize("status", [200, 400, 403])
def test_a_sign_in_page_of_the_network_is_not_aws(
        sim, reach, operation, status):
    sim.fault(operation, "html", status=status)
    answer = reach(operation)
    assert answer.error == wire.AW_NETWORK
    assert NOT_AWS in answer.text


@pytest.mark.parametrize("operation", SOME)
@pytest.mark.parametrize("kind, text", [
    ("huge", b"too large"), ("gzip", b"too large"), ("headers", b"too large"),
    ("nested", b"")])
def test_an_answer_that_is_too_much_is_not_swallowed(
        sim, reach, operation, kind, text):
    sim.fault(operation, kind)
    begun = time.monotonic()
    answer = reach(operation)
    assert answer.error == wire.AW_NETWORK and text in answer.text
    assert time.monotonic() - begun < 20


def test_a_small_answer_in_gzip_is_not_read(sim, reach):
    sim.fault("GetRoleCredentials", "gzip", bytes=1000)
    assert reach("GetRoleCredentials").error == wire.AW_NETWORK


@pytest.mark.parametrize("operation", SOME)
@pytest.mark.parametrize("to", ["http", "elsewhere", "loop",
                                "https://evil.example/login?x"])
def test_a_redirect_is_told_and_not_followed(sim, reach, operation, to):
    before = len([r for r in sim.requests() if r["listener"] == "elsewhere"])
    sim.fault(operation, "redirect", to=to)
    answer = reach(operation)
    assert answer.error == wire.AW_NETWORK
    assert b"redirects to " in answer.text
    assert b"does not follow" in answer.text
    if "evil" in to:
        assert b"evil.example" in answer.text
    assert len([r for r in sim.requests()
                if r["listener"] == "elsewhere"]) == before


@pytest.mark.parametrize("operation, drop", [
    ("RegisterClient", "clientSecret"),
    ("StartDeviceAuthorization", "deviceCode"),
    ("StartDeviceAuthorization", "userCode"),
    ("CreateToken", "accessToken"),
    ("GetRoleCredentials", "roleCredentials.sessionToken"),
    ("GetRoleCredentials", "roleCredentials"),
    ("AssumeRole", "Credentials.SecretAccessKey"),
    ("GetCallerIdentity", "Arn"),
])
def test_an_answer_that_lacks_something_is_not_taken(
        sim, reach, operation, drop):
    sim.fault(operation, "change", drop=[drop], unchecked=True)
    sim.settings(refresh="keep")
    answer = reach(operation)
    sim.settings(refresh="rotate")
    assert answer.error == wire.AW_NETWORK and answer.text


@pytest.mark.parametrize("member, value", [
    ("verificationUriComplete", "http://portal.example/"),
    ("verificationUriComplete", "javascript:alert(1)"),
    ("verificationUriComplete", "https://x/\u001b]0;x\u0007"),
    ("verificationUriComplete", "https://x/" + "y" * 2048),
    ("userCode", "AB\u001b[31m"),
])
def test_what_must_not_be_shown_is_not(sim, reach, member, value):
    sim.fault("StartDeviceAuthorization", "change", set={member: value},
              unchecked=True)
    answer = reach("StartDeviceAuthorization")
    assert answer.error == wire.AW_AWS and b"that was sent" in answer.text


# Certificates and proxies

@pytest.mark.parametrize("listener, text", [
    ("wrong_name", b"is for another host"),
    ("untrusted", b"is not trusted"),
    ("expired", b"expired")])
def test_a_wrong_certificate_gets_nothing(sim, reach, listener, text):
    before, took = sim.counts()["total"], []
    while len(took) < 20 and min(took, default=1) >= 1:
        begun = time.monotonic()
        answer = reach("GetRoleCredentials", portal=sim.urls[listener])
        took.append(time.monotonic() - begun)
        assert answer.error == wire.AW_NETWORK and text in answer.text
        assert b"certificate of localhost:" in answer.text
        assert sim.counts()["total"] == before
    assert took[-1] < 1, "it was tried again in vain"


def test_a_proxy_that_is_not_there(reach):
    dead = closed_port()
    answer = reach("GetRoleCredentials",
                   proxy=f"http://ann:hush@127.0.0.1:{dead}")
    assert answer.error == wire.AW_NETWORK and b"hush" not in answer.text
    through = f"through the proxy 127.0.0.1:{dead}".encode()
    assert through in answer.text
    answer = reach("GetRoleCredentials", no_proxy="elsewhere.example",
                   proxy=f"http://ann:hush@127.0.0.1:{dead}")
    assert through in answer.text
    answer = reach("GetRoleCredentials", no_proxy="127.0.0.1",
                   portal=f"https://127.0.0.1:{dead}",
                   proxy="http://proxy.invalid:3128")
    assert answer.error == wire.AW_NETWORK
    assert b"127.0.0.1" in answer.text and b"proxy" not in answer.text


def test_a_proxy_with_a_name_that_nobody_knows(reach):
    answer = reach("GetRoleCredentials", proxy="http://proxy.invalid:3128")
    assert answer.error == wire.AW_NETWORK
    assert b"the proxy proxy.invalid:3128" in answer.text


def test_only_the_proxy_leads_there(sim, reach):
    sim.proxy_only(True)
    try:
        assert reach("GetRoleCredentials").error == wire.AW_NETWORK
        answer = reach("GetRoleCredentials", proxy=sim.urls["proxy"])
        assert answer.error == wire.AW_OK, answer.text
    finally:
        sim.proxy_only(False)


def test_a_proxy_that_wants_a_password():
    with Simulator(proxy_auth="ann:hush") as sim:
        fetch = Fetcher.of(sim, proxy=sim.urls["proxy"])
        answer = fetch.ask("FETCH_LOGIN")
        assert answer.error == wire.AW_NETWORK
        assert b"wants a user name and password" in answer.text
        host = sim.urls["proxy"].partition("//")[2]
        fetch = Fetcher.of(sim, proxy=f"http://ann:hush@{host}")
        with fetch.order("FETCH_LOGIN") as talk:
            assert talk.answer().code
        fetch = Fetcher.of(sim, proxy=f"http://ann:wrong@{host}")
        answer = fetch.ask("FETCH_LOGIN")
        assert b"wrong" not in answer.text and host.encode() in answer.text


def test_no_kind_of_fault_is_left_out():
    """A kind that the simulator learns wants a test here."""
    assert set(KINDS) == {
        "error", "status", "quota", "reset", "lost", "close", "truncated",
        "hang", "trickle", "huge", "nested", "html", "redirect", "headers",
        "gzip", "raw", "change"}        # raw: test_fetch_cases.py
