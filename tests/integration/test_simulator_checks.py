# SPDX-License-Identifier: ISC
"""The simulator's checks of itself, its gates, records and cases."""

import concurrent.futures
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import botocore.exceptions
import pytest

from agent import until_asleep
from simulator import cases, judge, models
from simulator.client import Simulator, SimulatorBug, SimulatorError
from simulator.visitor import Visitor

TESTS = pathlib.Path(__file__).resolve().parents[1]
CASES = cases.load()


@pytest.fixture
def sim():
    with Simulator() as simulator:
        yield simulator


# Its own answers are checked

@pytest.mark.parametrize("change, words", [
    ({"set": {"roleCredentials.expiration": "soon"}}, "not of type long"),
    ({"set": {"roleCredentials.expiration": 1795228064}}, "milliseconds"),
    ({"set": {"roleCredentials.sessionToken": "a\nb"}}, "printable"),
    ({"set": {"roleCredentials.sessionTokens": "a"}}, "unknown"),
    ({"set": {"roleCredentials": None}}, "missing"),
    ({"drop": ["roleCredentials.secretAccessKey"]}, "missing"),
    ({"set": {"roleCredentials": []}}, "not an object"),
])
def test_an_answer_that_aws_could_not_give_is_a_bug(change, words):
    with pytest.raises(SimulatorBug, match=words):
        with Simulator() as sim:
            visitor = Visitor(sim).login()
            sim.fault("GetRoleCredentials", "change", **change, count=1)
            with pytest.raises(botocore.exceptions.ClientError) as caught:
                visitor.credentials()
            assert caught.value.response["ResponseMetadata"][
                "HTTPStatusCode"] == 599
            assert sim.requests()[-1]["error"] == "simulator_bug"
            assert visitor.credentials()


@pytest.mark.parametrize("name, other", [
    ("CreateToken refused: SlowDownException", {"status": 429}),
    ("CreateToken refused: SlowDownException",
     {"operation": "ListAccounts"}),
    ("CreateToken refused: SlowDownException", {"body": "{}"}),
    ("GetRoleCredentials refused: UnauthorizedException", {"status": 403}),
    ("AssumeRole refused: AccessDenied", {"status": 400}),
    ("logout", {"body": "{}"}), ("caller", {"operation": "AssumeRole"}),
    ("role credentials", {"operation": "CreateToken"}),
    ("role credentials", {"headers": {"Content-Type": "application/json"}}),
])
def test_an_answer_for_another_occasion_is_none(name, other):
    case = next(c for c in CASES if c["name"] == name)
    assert judge.answer_problems(case["operation"], cases.answer(case)) == []
    wrong = {**case, **other}
    assert judge.answer_problems(wrong["operation"], cases.answer(wrong))


def test_an_xml_answer_that_aws_could_not_give_is_a_bug():
    with pytest.raises(SimulatorBug, match="not like"):
        with Simulator() as sim:
            sts = Visitor(sim).login().sts()
            sim.fault("AssumeRole", "change",
                      set={"Credentials.AccessKeyId": "no good"})
            with pytest.raises(Exception):
                sts.assume_role(RoleArn="arn:aws:iam::012345678901:role/"
                                "Deploy", RoleSessionName="ann")


@pytest.mark.quick
def test_unchecked_lets_a_hostile_value_through(sim):
    visitor = Visitor(sim)
    sim.fault("StartDeviceAuthorization", "change", unchecked=True,
              set={"verificationUriComplete": "javascript:alert(1)"})
    assert visitor.begin()["verificationUriComplete"].startswith("javascript")
    assert sim.bugs() == []


# The cases


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["name"])
def test_a_case_is_what_it_says(case):
    found = judge.answer_problems(case["operation"], cases.answer(case))
    assert (found == []) == case["aws"], found
    verdict = cases.botocore_verdict(case)
    assert set(verdict) in ({"value"}, {"error", "status"}, {"unreadable"})
    if case["aws"] and case["status"] == 200:
        assert "value" in verdict
    if case["aws"] and " refused: " in case["name"]:
        assert verdict == {"error": case["name"].split(": ")[1],
                           "status": case["status"]}


@pytest.mark.quick
def test_the_cases_cover_every_operation_and_every_error():
    names = {c["name"] for c in CASES}
    assert len(names) == len(CASES)
    for operation in models.SERVICE_OF:
        assert any(c["operation"] == operation and c["status"] == 200
                   for c in CASES)
        for code in models.errors_of(operation):
            assert f"{operation} refused: {code}" in names


def test_a_verdict_depends_on_the_answer():
    case = next(c for c in CASES if c["name"] == "role credentials")
    value = cases.botocore_verdict(case)["value"]["roleCredentials"]
    assert value["expiration"] == 4102444800000
    other = {**case, "body": case["body"].replace("4102", "4103")}
    assert cases.botocore_verdict(other) != cases.botocore_verdict(case)


def test_real_host_names_say_which_region_is_meant(sim, tmp_path):
    for region in (sim.region, sim.info["other_region"]):
        subprocess.run(
            ["/usr/bin/curl", "-sS", "-f", "--cacert", sim.ca, "--proxy",
             sim.urls["proxy"], "-H", "Content-Type: application/json",
             "-d", '{"clientName":"x","clientType":"public"}',
             f"https://oidc.{region}.amazonaws.com/client/register"],
            check=True, stdout=subprocess.DEVNULL)
        assert sim.requests()[-1]["region"] == region


# Gates and records

def test_held_requests_overlap_and_are_counted(sim):
    visitor = Visitor(sim).login()
    sim.hold("GetRoleCredentials")
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        jobs = [pool.submit(Visitor.credentials, visitor) for _ in range(10)]
        sim.wait_in_flight("GetRoleCredentials", 10)
        assert not any(job.done() for job in jobs)
        sim.release()
        assert all(job.result() for job in jobs)
    assert sim.in_flight("GetRoleCredentials") == {"now": 0, "most": 10}
    assert sim.counts()["GetRoleCredentials"] == 10


@pytest.mark.quick
def test_held_after_it_took_effect(sim):
    visitor = Visitor(sim).login()
    sim.hold("CreateToken", when="after")
    known = len(sim.secrets())
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        job = pool.submit(visitor.refresh)
        Simulator.until(lambda: len(sim.secrets()) > known, 10, "secret")
        assert not job.done()
        assert sim.requests("CreateToken")[-1]["status"] is None
        sim.release("CreateToken")
        assert job.result()["refreshToken"]
    assert sim.requests("CreateToken")[-1]["status"] == 200


def test_a_delay_is_kept(sim):
    sim.delay("RegisterClient", 0.5)
    start = time.monotonic()
    Visitor(sim)
    assert time.monotonic() - start >= 0.5


def test_the_record_has_every_request_and_no_secret(sim):
    visitor = Visitor(sim).login()
    visitor.credentials()
    visitor.sts().get_caller_identity()
    text = (sim.dir / "requests.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    assert [r["operation"] for r in rows] == [
        "RegisterClient", "StartDeviceAuthorization", "CreateToken",
        "GetRoleCredentials", "GetRoleCredentials", "GetCallerIdentity"]
    assert [r["number"] for r in rows] == list(range(1, 7))
    secrets = [s["value"] for s in sim.secrets()]
    assert len(secrets) == 8
    assert not any(secret in text for secret in secrets)


def test_the_record_has_secrets_where_they_were_asked_for():
    with Simulator(record_secrets=True) as sim:
        visitor = Visitor(sim).login()
        visitor.credentials()
        text = (sim.dir / "requests.jsonl").read_text()
        for value in (visitor.token["accessToken"],
                      visitor.registration["clientSecret"]):
            assert value in text


def test_five_hundred_requests_at_once(sim):
    sim.hold("RegisterClient")
    body = '{"clientName":"x","clientType":"public"}'
    head = ("POST /client/register HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}").encode()
    port = int(sim.urls["http"].rpartition(":")[2])
    links = [socket.create_connection(("127.0.0.1", port))
             for _ in range(500)]
    for _ in range(2):
        for link in links:
            link.sendall(head)
        sim.wait_in_flight("RegisterClient", 500)
        sim.release()
        for link in links:
            assert link.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
        sim.hold("RegisterClient")
    for link in links:
        link.close()
    assert sim.counts()["RegisterClient"] == 1000


@pytest.mark.parametrize("leaves", [True, False])
def test_who_left_before_the_answer_is_known(sim, leaves):
    sim.hold("RegisterClient")
    body = b'{"clientName":"x","clientType":"public"}'
    port = int(sim.urls["http"].rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.sendall(b"POST /client/register HTTP/1.1\r\nHost: localhost\r\n"
                     b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        sim.wait_in_flight("RegisterClient")
        if leaves:
            link.shutdown(socket.SHUT_WR)
        sim.release()
        sim.until(lambda: sim.in_flight("RegisterClient")["now"] == 0, 30,
                  "the end of it")
    assert sim.requests("RegisterClient")[-1]["gone"] is leaves


def test_secrets_are_all_that_were_handed_out(sim):
    visitor = Visitor(sim).login()
    key = visitor.credentials()
    known = {s["value"] for s in sim.secrets()}
    assert known == {
        visitor.registration["clientSecret"], visitor.device["deviceCode"],
        visitor.token["accessToken"], visitor.token["refreshToken"],
        key["secretAccessKey"], key["sessionToken"]}


def test_reset_forgets(sim):
    visitor = Visitor(sim).login()
    sim.fault("*", "reset")
    sim.reset()
    assert sim.secrets() == [] and sim.requests() == []
    with pytest.raises(visitor.sso.exceptions.UnauthorizedException):
        visitor.credentials()


def test_a_wrong_order_is_told(sim):
    for order in (lambda: sim.approve("ABCD-EFGH"), lambda: sim.approve(),
                  lambda: sim.control("nonsense"),
                  lambda: sim.settings(nonsense=1),
                  lambda: sim.expire("nonsense"),
                  lambda: sim.assign("nobody", "marketing", "ReadOnly"),
                  lambda: sim.hold("CreateToken", when="never")):
        with pytest.raises(SimulatorError):
            order()


def test_an_organisation_of_ones_own():
    with Simulator(organisation={
            "users": [{"name": "eve", "assignments": [
                {"account": "999999999999", "role": "Root"}]}],
            "accounts": [{"id": "999999999999"}],
            "roles": [{"name": "Root", "duration": 900}]}) as sim:
        visitor = Visitor(sim).login("eve")
        account, = visitor.sso.list_accounts(
            accessToken=visitor.token["accessToken"])["accountList"]
        assert account == {"accountId": "999999999999"}
        key = visitor.credentials()
        assert abs(key["expiration"] / 1000 - time.time() - 900) < 60


@pytest.mark.parametrize("region, arn", [
    ("cn-north-1", "arn:aws-cn:"), ("us-gov-west-1", "arn:aws-us-gov:"),
    ("eusc-de-east-1", "arn:aws-eusc:")])
def test_other_partitions(region, arn):
    with Simulator(region=region) as sim:
        sts = Visitor(sim).login().sts()
        assert sts.get_caller_identity()["Arn"].startswith(arn)


# The program

def test_it_starts_by_path_and_by_name_and_says_when_it_is_ready(tmp_path):
    for number, words in enumerate(([str(TESTS / "simulator")],
                                    ["-m", "simulator"])):
        directory = tmp_path / str(number)
        process = subprocess.Popen(
            [sys.executable, *words, "--dir", str(directory)], cwd=TESTS,
            stdout=subprocess.PIPE)
        try:
            assert process.stdout.readline() == b"ready\n"
            info = json.loads((directory / "simulator.json").read_text())
            assert info["pid"] == process.pid
            assert not list(directory.glob("server-*"))
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
            process.stdout.close()


def test_it_ends_with_the_test_that_started_it(tmp_path):
    code = ("import os, sys\n"
            f"sys.path.insert(0, {str(TESTS)!r})\n"
            "from simulator.client import Simulator\n"
            f"sim = Simulator({str(tmp_path)!r}).start()\n"
            "os.write(1, str(sim.pid).encode())\n"
            "os._exit(1)\n")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    pid = int(done.stdout)
    Simulator.until(lambda: not os.path.exists(f"/proc/{pid}"), 10, "end")


def test_it_says_why_it_does_not_start(tmp_path):
    with pytest.raises(SimulatorError, match="no-such-option"):
        Simulator(tmp_path, no_such_option="1").start()


def test_it_sleeps_while_nobody_asks(sim):
    Visitor(sim).login()
    # boto3's connections were dropped with the visitor.
    until_asleep(sim.pid, seconds=2)


def test_a_thousand_requests_take_seconds(sim):
    sts = Visitor(sim).login().sts()
    start = time.process_time()
    for _ in range(1000):
        sts.get_caller_identity()
    assert time.process_time() - start < 30
    assert sim.counts()["GetCallerIdentity"] == 1000
