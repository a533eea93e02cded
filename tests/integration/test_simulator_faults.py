# SPDX-License-Identifier: ISC
"""Each fault of the simulator, seen by clients that are not awsenv."""

import http.client
import json
import pathlib
import socket
import ssl
import subprocess
import time
import urllib.parse

import botocore.exceptions
import pytest
import urllib3

from simulator import cases
from simulator.client import Simulator, SimulatorError
from simulator.faults import KINDS
from simulator.visitor import Visitor, client

CURL = "/usr/bin/curl"
MIB = 1 << 20

# What curl's exit statuses mean here.
REFUSED, HANDSHAKE, TIMEOUT, EMPTY, RESET = 7, 35, 28, 52, 56
CERTIFICATE, PARTIAL = 60, 18


@pytest.fixture(scope="module")
def visitor():
    with Simulator() as sim:
        yield Visitor(sim).login()


@pytest.fixture
def sim(visitor):
    """The simulator with a login, and no fault left from the last test."""
    visitor.sim.clear_faults()
    yield visitor.sim
    visitor.sim.clear_faults()
    visitor.sim.release()
    visitor.sim.skew(0)
    visitor.sim.proxy_only(False)


class Curl:
    """GetRoleCredentials by curl."""

    def __init__(self, visitor, *words, url=None, listener="https"):
        sim = visitor.sim
        account = sim.info["accounts"][0]["id"]
        done = subprocess.run(
            [CURL, "-sS", "--cacert", sim.ca, "-D", "-", "-m", "20", "-H",
             "x-amz-sso_bearer_token: " + visitor.token["accessToken"],
             *words, url or f"{sim.urls[listener]}/federation/credentials?"
             f"account_id={account}&role_name=ReadOnly"],
            capture_output=True, timeout=60)
        self.exit = done.returncode
        head, _, self.body = done.stdout.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1]) if lines[0] else None
        self.headers = {k.lower(): v.strip() for k, _, v in (
            line.partition(":") for line in lines[1:])}


@pytest.mark.quick
def test_every_kind_has_a_test():
    text = pathlib.Path(__file__).read_text()
    assert [k for k in KINDS if f'"{k}"' not in text] == []


@pytest.mark.quick
def test_nothing_is_wrong_without_a_fault(visitor, sim):
    answer = Curl(visitor)
    assert (answer.exit, answer.status) == (0, 200)
    assert json.loads(answer.body)["roleCredentials"]["sessionToken"]
    date = urllib3.util.Retry().parse_retry_after(answer.headers["date"])
    assert date < 10


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
@pytest.mark.parametrize("retry_after", [None, 3])
def test_a_front_end_says_so(visitor, sim, status, retry_after):
    sim.fault("GetRoleCredentials", "status", status=status,
              retry_after=retry_after, body="html", count=1)
    answer = Curl(visitor)
    assert answer.status == status
    assert answer.headers.get("retry-after") == (retry_after and "3")
    assert Curl(visitor).status == 200


def test_botocore_tries_again_after_a_503_and_gets_through(visitor, sim):
    sim.fault("GetRoleCredentials", "status", status=503, count=2)
    retrying = Visitor.__new__(Visitor)
    retrying.__dict__.update(visitor.__dict__)
    retrying.sso = client(sim, "sso", attempts=3)
    before = sim.counts()["GetRoleCredentials"]
    assert retrying.credentials()
    assert sim.counts()["GetRoleCredentials"] == before + 3


def test_an_error_of_the_model(visitor, sim):
    sim.fault("sso", "error", code="TooManyRequestsException", count=1)
    with pytest.raises(visitor.sso.exceptions.TooManyRequestsException):
        visitor.credentials()
    with pytest.raises(SimulatorError, match="cannot answer"):
        sim.fault("Logout", "error", code="SlowDownException")
    # A fault of the whole service meets only those who know the error.
    sim.fault("sso", "error", code="ResourceNotFoundException")
    other = Visitor(sim).login()
    token = {"accessToken": other.token["accessToken"]}
    with pytest.raises(other.sso.exceptions.ResourceNotFoundException):
        other.sso.list_accounts(**token)
    other.sso.logout(**token)
    with pytest.raises(SimulatorError, match="no fault"):
        sim.fault("Logout", "earthquake")


def test_slow_down_is_five_seconds_more_for_good(sim):
    other = Visitor(sim)
    other.begin()
    sim.fault("CreateToken", "error", code="SlowDownException", count=1)
    with pytest.raises(other.oidc.exceptions.SlowDownException):
        other.poll()
    assert sim.pending()[-1]["interval"] == 6
    sim.deny(other.device["userCode"])


def test_which_requests_a_fault_meets(visitor, sim):
    def met(number):
        return [Curl(visitor).status != 200 for _ in range(number)]
    sim.fault("GetRoleCredentials", "status", skip=1, count=2)
    assert met(5) == [False, True, True, False, False]
    sim.clear_faults()
    sim.fault("*", "status", every=3)
    assert met(6) == [True, False, False, True, False, False]
    assert sim.faults()[0]["fired"] == 2
    sim.clear_faults()
    sim.fault("ListAccounts", "status")
    assert met(2) == [False, False]
    sim.clear_faults()
    sim.fault("sso", "status", probability=0.5)
    assert 0 < sum(met(40)) < 40


def test_a_quota_of_calls_each_second(visitor, sim):
    sim.fault("GetRoleCredentials", "quota", rate=20, seconds=600)
    pool = urllib3.PoolManager(ca_certs=sim.ca, retries=False)
    url = (sim.urls["https"] + "/federation/credentials?role_name=ReadOnly&"
           f"account_id={sim.info['accounts'][0]['id']}")
    head = {"x-amz-sso_bearer_token": visitor.token["accessToken"]}

    def statuses(number):
        return [pool.request("GET", url, headers=head).status
                for _ in range(number)]
    assert statuses(40) == [200] * 20 + [429] * 20
    sim.clear_faults()
    sim.fault("GetRoleCredentials", "quota", rate=1, seconds=3)
    while statuses(1) == [200]:
        pass
    while statuses(1) == [429]:     # who waits gets through
        time.sleep(0.1)


def test_a_reset_before_anything_happened(visitor, sim):
    sim.fault("GetRoleCredentials", "reset", count=1)
    before = len(sim.secrets())
    assert Curl(visitor).exit == RESET
    assert len(sim.secrets()) == before


def test_a_reset_after_it_took_effect(visitor, sim):
    sim.fault("GetRoleCredentials", "lost", count=1)
    before = len(sim.secrets())
    assert Curl(visitor).exit == RESET
    assert len(sim.secrets()) == before + 2


def test_a_refresh_whose_answer_is_lost_has_spent_the_token(sim):
    other = Visitor(sim).login()
    sim.fault("CreateToken", "lost", count=1)
    old = other.token["refreshToken"]
    with pytest.raises(botocore.exceptions.ConnectionClosedError):
        other.refresh()
    with pytest.raises(other.oidc.exceptions.InvalidGrantException):
        other.refresh(old)


def test_a_connection_closed_without_a_word(visitor, sim):
    sim.fault("GetRoleCredentials", "close", count=1)
    assert Curl(visitor).exit in (EMPTY, RESET)


def test_a_truncated_answer(visitor, sim):
    sim.fault("GetRoleCredentials", "truncated", count=1)
    answer = Curl(visitor)
    assert answer.exit in (PARTIAL, RESET) and answer.status == 200
    assert answer.body.startswith(b'{"roleCredentials"')


@pytest.mark.parametrize("headers", [False, True])
def test_an_answer_that_never_comes(visitor, sim, headers):
    sim.fault("GetRoleCredentials", "hang", headers=headers, count=1)
    answer = Curl(visitor, "-m", "1")
    assert answer.exit == TIMEOUT
    assert (answer.status == 200) == headers


def test_a_hanging_answer_ends_when_it_says(visitor, sim):
    sim.fault("GetRoleCredentials", "hang", seconds=0.3, count=1)
    assert Curl(visitor).exit in (EMPTY, RESET)


def test_a_trickle(visitor, sim):
    sim.fault("GetRoleCredentials", "trickle", seconds=0.001, count=1)
    start = time.monotonic()
    answer = Curl(visitor)
    assert json.loads(answer.body)["roleCredentials"]
    assert time.monotonic() - start > 0.5


def test_an_answer_of_64_mib(visitor, sim, tmp_path):
    sim.fault("GetRoleCredentials", "huge", count=1)
    answer = Curl(visitor, "--max-filesize", str(MIB))
    assert answer.exit == 63
    assert int(answer.headers["content-length"]) > 64 * MIB
    sim.fault("GetRoleCredentials", "huge", bytes=MIB, count=1)
    value = json.loads(Curl(visitor).body)
    assert len(value["padding"]) == MIB and value["roleCredentials"]


def test_an_xml_answer_of_a_mebibyte(visitor, sim):
    sim.fault("GetCallerIdentity", "huge", bytes=MIB, count=1)
    assert visitor.sts().get_caller_identity()["Account"]


def test_a_deeply_nested_answer(visitor, sim):
    sim.fault("GetRoleCredentials", "nested", count=1)
    answer = Curl(visitor)
    assert answer.body.startswith(b'{"padding":[[[[')
    assert answer.body.count(b"[") == 100000
    with pytest.raises(RecursionError):
        json.loads(answer.body)
    sim.fault("GetRoleCredentials", "nested", depth=5, count=1)
    assert json.loads(Curl(visitor).body)["padding"] == [[[[[]]]]]
    sim.fault("GetCallerIdentity", "nested", depth=50, count=1)
    assert visitor.sts().get_caller_identity()["Account"]


@pytest.mark.parametrize("status", [200, 400])
def test_a_captive_portal(visitor, sim, status):
    sim.fault("GetRoleCredentials", "html", status=status, count=1)
    answer = Curl(visitor)
    assert answer.status == status
    assert b"<form" in answer.body


@pytest.mark.parametrize("to", ["http", "elsewhere"])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_leads_somewhere_and_is_noticed(visitor, sim, to, status):
    sim.fault("GetRoleCredentials", "redirect", to=to, status=status, count=1)
    before = sim.requests()[-1]["number"]
    answer = Curl(visitor)
    assert answer.status == status
    assert answer.headers["location"].startswith(sim.urls[to] + "/feder")
    assert [r["listener"] for r in sim.requests(since=before)] == ["https"]
    sim.fault("GetRoleCredentials", "redirect", to=to, status=status, count=1)
    before = sim.requests()[-1]["number"]
    assert Curl(visitor, "-L").exit == 0
    assert [r["listener"] for r in sim.requests(since=before)] == [
        "https", to]


def test_a_redirect_in_a_circle(visitor, sim):
    sim.fault("GetRoleCredentials", "redirect", to="loop")
    assert Curl(visitor, "-L", "--max-redirs", "5").exit == 47


def test_endless_headers(visitor, sim):
    sim.fault("GetRoleCredentials", "headers", bytes=10 * MIB, count=1)
    assert Curl(visitor).exit not in (0, TIMEOUT)


def test_a_gzip_bomb(visitor, sim):
    sim.fault("GetRoleCredentials", "gzip", count=1)
    answer = Curl(visitor)
    assert answer.headers["content-encoding"] == "gzip"
    assert len(answer.body) < MIB


def test_a_raw_answer_and_a_case(visitor, sim):
    sim.fault("GetRoleCredentials", "raw", status=418,
              headers={"X-Tea": "yes"}, body="short", count=1)
    answer = Curl(visitor)
    assert (answer.status, answer.body) == (418, b"short")
    assert answer.headers["x-tea"] == "yes"
    for case in cases.load()[:50]:
        sim.fault("GetRoleCredentials", "raw", case=case["name"], count=1)
        answer = Curl(visitor)
        assert answer.status == case["status"]
        assert answer.body == cases.body(case)


def test_a_changed_value(visitor, sim):
    sim.fault("GetRoleCredentials", "change", count=1,
              set={"roleCredentials.expiration": 4102444800000})
    assert json.loads(Curl(visitor).body)["roleCredentials"][
        "expiration"] == 4102444800000
    sim.fault("GetRoleCredentials", "change", count=1, unchecked=True,
              drop=["roleCredentials.sessionToken"])
    assert "sessionToken" not in json.loads(
        Curl(visitor).body)["roleCredentials"]


@pytest.mark.parametrize("listener, words", [
    ("wrong_name", "subject name"), ("untrusted", "unable to get|self.signed"),
    ("expired", "expired")])
def test_a_wrong_certificate(visitor, sim, listener, words):
    before = sim.counts()["total"]
    assert Curl(visitor, listener=listener).exit == CERTIFICATE
    assert sim.counts()["total"] == before
    assert Curl(visitor, "-k", listener=listener).status == 200


def test_the_good_certificate_has_the_real_names(visitor, sim):
    proxy = urllib.parse.urlparse(sim.urls["proxy"])
    for host in ("oidc", "portal.sso", "sts", "oidc-fips", "sts-fips"):
        for suffix in ("amazonaws.com", "api.aws"):
            name = f"{host}.{sim.region}.{suffix}"
            raw = socket.create_connection((proxy.hostname, proxy.port))
            raw.sendall(f"CONNECT {name}:443 HTTP/1.1\r\n\r\n".encode())
            assert b" 200 " in raw.recv(100)
            context = ssl.create_default_context(cafile=sim.ca)
            context.wrap_socket(raw, server_hostname=name).close()


@pytest.mark.parametrize("seconds", [-900, 900])
def test_a_clock_that_is_off(visitor, sim, seconds):
    sim.skew(seconds)
    answer = Curl(visitor)
    date = urllib3.util.Retry().parse_retry_after(answer.headers["date"])
    if seconds > 0:
        assert abs(date - seconds) < 300
    else:
        assert date == 0
    expiration = json.loads(answer.body)["roleCredentials"]["expiration"]
    assert abs(expiration / 1000 - time.time() - 3600 - seconds) < 300


def test_the_proxy_is_the_only_way(visitor, sim):
    assert Curl(visitor).status == 200
    sim.proxy_only()
    assert Curl(visitor).exit == REFUSED
    before = len(sim.proxied())
    answer = Curl(visitor, "--proxy", sim.urls["proxy"])
    assert answer.exit == 0 and b"roleCredentials" in answer.body
    port = urllib.parse.urlparse(sim.urls["https"]).port
    assert [(r["host"], r["port"]) for r in sim.proxied()[before:]] == [
        ("localhost", port)]
    sim.proxy_only(False)
    assert Curl(visitor).status == 200


def test_the_proxy_is_the_only_way_from_the_start():
    with Simulator(proxy_only=True, proxy_auth="ann:pass word") as sim:
        port = urllib.parse.urlparse(sim.urls["https"]).port
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        words = [CURL, "-sS", "-o", "/dev/null", "--cacert", sim.ca,
                 sim.urls["https"]]
        refused = subprocess.run(words + ["--proxy", sim.urls["proxy"]],
                                 capture_output=True)
        assert b"407" in refused.stderr
        subprocess.run(words + ["--proxy", sim.urls["proxy"],
                                "--proxy-user", "ann:pass word"], check=True)
        assert [r["status"] for r in sim.proxied()] == [407, 200]


def test_the_proxy_does_nothing_but_connect(sim):
    proxy = urllib.parse.urlparse(sim.urls["proxy"])
    link = http.client.HTTPConnection(proxy.hostname, proxy.port)
    link.request("GET", "http://example.com/")
    assert link.getresponse().status == 405


def test_nobody_met_a_mistake_of_the_simulators_own(sim):
    assert sim.bugs() == []
