# SPDX-License-Identifier: ISC
"""awsenv ls: what there is to use, and what of it is live."""

import csv
import io
import json
import os
import re
import signal
import subprocess

import pytest

import wire
from agent import BUILD, until
from fake_agent import FakeAgent
from journey import Person
from simulator.client import Simulator

CHAIN = {"name": "deploy", "source_profile": "marketing",
         "role_arn": "arn:aws:iam::210987654321:role/path/Deploy"}
BROKEN = {"name": "broken", "sso_session": "nowhere"}


@pytest.fixture
def ann(sim):
    with Person(sim, profiles=("marketing", "platform", CHAIN, BROKEN)) as one:
        yield one


def rows(done):
    assert done.returncode == 0, done.stderr
    return [re.split(r"  +", line) for line in done.stdout.splitlines()]


# Profiles


def test_profiles_are_told_without_the_network(ann, sim):
    title, *found = rows(ann.run("ls"))
    assert title == ["PROFILE", "ACCOUNT", "ROLE", "SESSION", "REGION", "LIVE"]
    assert found == [
        ["marketing", "012345678901", "ReadOnly", "sim", "eu-central-1", "-"],
        ["platform", "210987654321", "ReadOnly", "sim", "eu-central-1", "-"],
        ["deploy", "210987654321", "Deploy", "sim", "eu-central-1", "-"],
        ["broken", "-", "-", "-", "-", "cannot be used"]]
    assert sim.counts()["total"] == 0


def test_what_is_live_is_told_and_for_how_long(ann):
    ann.log_in()
    assert ann.run("-p", "marketing", "--", "true").returncode == 0
    live = {row[0]: row[-1] for row in rows(ann.run("ls"))}
    assert re.fullmatch(r"\d+ min", live["marketing"])
    assert live["platform"] == live["deploy"] == "logged in"
    found = {p["profile"]: p for p in json.loads(ann.run(
        "ls", "--json").stdout)}
    assert found["marketing"]["expires"] and found["marketing"]["logged_in"]
    assert not found["platform"]["expires"] and found["platform"]["error"] is None
    assert "nowhere" in found["broken"]["error"]
    assert ann.run("logout").returncode == 0
    assert {row[-1] for row in rows(ann.run("ls"))} == {
        "LIVE", "-", "cannot be used"}


def test_programs_get_json_and_csv(ann):
    found = json.loads(ann.run("ls", "--json").stdout)
    assert [p["profile"] for p in found] == [
        "marketing", "platform", "deploy", "broken"]
    assert set(found[0]) == {
        "profile", "account", "role", "session", "start_url", "region",
        "logged_in", "login_expires", "expires", "error"}
    table = list(csv.DictReader(io.StringIO(ann.run("ls", "--csv").stdout)))
    assert [p["profile"] for p in table] == [p["profile"] for p in found]
    assert [p["role"] for p in table] == [p["role"] for p in found]
    assert "nowhere" in table[3]["error"]


def test_what_makes_no_sense_is_refused(ann):
    for words in (["--json", "--csv"], ["marketing"], ["-p", "marketing"],
                  ["--region", "x"]):
        done = ann.run("ls", *words)
        assert done.returncode == 2 and done.stdout == "", words
        assert done.stderr.startswith("awsenv: ")
    ann.config.write_text("")
    done = ann.run("ls")
    assert done.returncode == 0 and "has no profile" in done.stderr
    assert json.loads(ann.run("ls", "--json").stdout) == []


def test_a_narrow_terminal_keeps_name_and_time(ann):
    with ann.terminal("awsenv", "ls", cols=36) as t:
        assert t.exit_status() == 0
        lines = [l.rstrip() for l in t.text().splitlines()]
        raw = t.raw()
    assert re.fullmatch(r"PROFILE +ROLE +LIVE", lines[0])
    assert all(len(line) <= 36 for line in lines[:5])
    assert "\033[1m" in raw
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        with ann.terminal("sh", "-c", f"TERM={env.get('TERM', 'screen')} "
                          "awsenv ls; echo", cols=80, **env) as t:
            assert t.exit_status() == 0
            assert "\033[" not in t.raw().split("PROFILE")[1].split("broken")[0]


def test_many_profiles_come_in_pages(tmp_path):
    items = b""
    for i in range(3000):
        item = wire.encode("MSG_PROFILE_ITEM", {"name": f"p{i:05d}",
                                                "account": "1" * 12})
        items += len(item).to_bytes(4, "big") + item
    size = len(items) // 3000
    with FakeAgent(tmp_path) as fake:
        fake.on("profiles@awsenv", *(
            {"items": items[k * size:(k + 1000) * size],
             "next": k + 1000 if k < 2000 else 0}
            for k in (0, 1000, 2000)))
        done = subprocess.run([BUILD / "awsenv", "ls", "--csv"],
                              env=fake.env(), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        names = [l.split(",")[0] for l in done.stdout.splitlines()[1:]]
        assert names == [f"p{i:05d}" for i in range(3000)]
        assert [r["from"] for r in fake.seen("profiles@awsenv")] == [
            0, 1000, 2000]


# Accounts and roles


@pytest.fixture
def many():
    with Simulator(accounts=25, roles=3, interval=1, pre_approved=True) as one:
        yield one


@pytest.fixture
def bob(many):
    with Person(many) as one:
        yield one


def expected(sim):
    return sorted((a["id"], r) for a in sim.info["accounts"]
                  for r in sim.info["roles"])


def pairs(done):
    assert done.returncode == 0, done.stderr
    return sorted((g["account"], g["role"]) for g in json.loads(done.stdout))


def test_every_account_and_role_is_told_page_by_page(many, bob):
    many.settings(page_size=2)
    assert bob.run("login", "-p", "marketing").returncode == 0
    done = bob.run("ls", "--roles", "--json")
    assert pairs(done) == expected(many)
    names = [g["name"] for g in json.loads(done.stdout)]
    assert names == sorted(names)
    table = list(csv.reader(io.StringIO(bob.run(
        "ls", "--roles", "--csv").stdout)))
    assert table[0] == ["account", "name", "email", "role", "expires"]
    assert len(table) == 1 + 75
    # All that is kept for a while; nobody asks twice for it.
    assert many.counts()["ListAccountRoles"] == 25


def test_a_login_is_had_first_where_one_is_needed(sim, ann):
    done = ann.run("ls", "--roles")
    assert done.returncode == 3 and "awsenv login" in done.stderr
    assert done.stdout == ""
    with ann.terminal("awsenv", "ls", "--roles") as t:
        t.until("allow it only if")
        sim.approve(sim.wait_pending()["user_code"], "bob@example.com")
        assert t.exit_status() == 0
        assert re.search(r"012345678901 +marketing +ReadOnly", t.text())


def test_a_quota_slows_and_stops_nothing(many, bob):
    assert bob.run("login", "-p", "marketing").returncode == 0
    many.fault("sso", "quota", rate=8)
    assert pairs(bob.run("ls", "--roles", "--json")) == expected(many)
    assert any(f["fired"] for f in many.faults())


def test_no_more_is_asked_in_a_second_than_aws_allows(many, bob):
    assert bob.run("login", "-p", "marketing").returncode == 0
    assert pairs(bob.run("ls", "--roles", "--json")) == expected(many)
    times = sorted(r["time"] for r in many.requests("ListAccountRoles"))
    assert len(times) == 25
    # A little more than it says: a request takes a while to arrive.
    assert all(later - earlier > 0.5
               for earlier, later in zip(times, times[20:]))


def test_the_first_rows_are_shown_while_others_are_asked_for(many, bob):
    assert bob.run("login", "-p", "marketing").returncode == 0
    many.fault("ListAccountRoles", "quota", rate=1)
    with bob.terminal("awsenv", "ls", "--roles") as t:
        t.until(r"ACCOUNT +NAME +ROLE +LIVE\n\d{12} ")
        assert "EXIT" not in t.text()
        t.press("C-c")
        assert t.exit_status() == 130


def test_a_broker_that_dies_costs_nothing_but_time(many, bob):
    assert bob.run("login", "-p", "marketing").returncode == 0
    many.fault("ListAccountRoles", "quota", rate=6)
    child = bob.popen("ls", "--roles", "--json")
    until(lambda: many.counts()["ListAccountRoles"] >= 8)
    os.kill(bob.broker_pid(), signal.SIGKILL)
    out, err = child.communicate(timeout=70)
    assert child.returncode == 0, err
    found = [(g["account"], g["role"]) for g in json.loads(out)]
    assert sorted(found) == expected(many)


@pytest.mark.parametrize("fault, status, words", [
    (dict(kind="status", status=503), 6, "out of order"),
    (dict(kind="html"), 6, "not AWS"),
    (dict(kind="error", code="InvalidRequestException"), 5, "says no"),
])
def test_what_goes_wrong_is_told(sim, ann, fault, status, words):
    ann.log_in()
    sim.fault("ListAccounts", **fault)
    done = ann.run("ls", "--roles")
    assert done.returncode == status, done.stderr
    assert words in done.stderr and done.stdout == ""
    assert done.stderr.count("\n") == 1
    # The next one does not take that for an answer.
    sim.clear_faults()
    assert ann.run("ls", "--roles").returncode == 0


def test_an_account_that_is_gone_has_no_roles(sim, ann):
    ann.log_in()
    sim.fault("ListAccountRoles", "error", code="ResourceNotFoundException",
              count=1)
    done = ann.run("ls", "--roles", "--json")
    assert len(pairs(done)) == len(expected(sim)) - len(sim.info["roles"])


def test_a_token_that_is_refused_is_had_anew(sim, ann):
    ann.log_in()
    sim.expire("access_token")
    assert pairs(ann.run("ls", "--roles", "--json")) == expected(sim)


def test_after_a_logout_nothing_is_told_of_what_was_listed(sim, ann):
    ann.log_in()
    assert ann.run("ls", "--roles").returncode == 0
    assert ann.run("logout").returncode == 0
    assert ann.run("ls", "--roles").returncode == 3
