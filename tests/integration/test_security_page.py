# SPDX-License-Identifier: ISC
"""SECURITY.md: each row of its table has a test, and that test a mutant."""
import os
import re
import shutil
import subprocess

import pytest

import wire
from agent import BUILD, TOP
from journey import AWS, PYTHON
from simulator.client import Simulator

PAGE = (TOP / "SECURITY.md").read_text()
ROWS = re.findall(r"^\| (\d+) \|.*\| `(test_\w+\.py)::(test_\w+)` \|$", PAGE,
                  re.M)
MUTANTS = {path.stem: path.read_text()
           for path in (TOP / "tests/mutants").glob("*.patch")}
# What the reader is told that there is no protection against.
UNPROTECTED = {"test_the_intruder_does_get_in_where_programs_are_readable"}


def test_the_rows_are_all_there_and_the_same_for_others():
    numbers = [int(n) for n, _, _ in ROWS]
    assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) > 15
    others = PAGE.split("The same attackers with other tools")[1]
    compared = [int(n) for cell in re.findall(r"^\| ([\d, ]+) \|", others, re.M)
                for n in cell.split(",")]
    assert compared == numbers


@pytest.mark.parametrize("number, file, name", ROWS)
def test_its_test_is_there_and_noticed_a_mutant(number, file, name):
    path, = TOP.glob(f"tests/*/{file}")
    assert re.search(rf"^def {name}\(", path.read_text(), re.M)
    wanted = f"Test: {path.relative_to(TOP)}::{name}\n"
    assert name in UNPROTECTED or any(
        wanted in text for text in MUTANTS.values()), "it has no mutant"


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mutant_is_of_a_row(mutant):
    test = re.search(r"^Test: \S+/(\S+)::(\S+)$", MUTANTS[mutant], re.M)
    assert test.groups() in [(file, name) for _, file, name in ROWS]


@pytest.mark.skipif(not os.path.exists(AWS) or not shutil.which("ssh-agent"),
                    reason="awscli or ssh-agent is not installed")
def test_make_attack_says_what_the_table_says():
    done = subprocess.run([PYTHON, TOP / "tests/attack"], text=True,
                          capture_output=True, timeout=120,
                          env={**os.environ, "B": str(BUILD)})
    assert done.returncode == 0, done.stdout + done.stderr
    told = {line[:27].strip(): [line[28 + 20 * i:47 + 20 * i].strip()
                                for i in range(4)]
            for line in done.stdout.splitlines()[3:9]}
    assert told["files of the home"] == [
        "the keys, for good", "tokens and keys", "nothing", "nothing"]
    assert told["environment of a command"][3] == "its keys"
    assert told["its socket"][2:] == ["signatures", "keys for an hour"]
    assert told["proxy and CA bundle"][1::2] == ["the token", "nothing"]
    assert told["memory of its daemon"][2:] == ["nothing", "nothing"]


@pytest.fixture
def sim():
    with Simulator(accounts=3, interval=1, record_secrets=True) as one:
        yield one


def test_the_socket_gives_role_credentials_and_no_token(sim, agent,
                                                        monkeypatch):
    heard = []
    read_frame = wire.read_frame
    monkeypatch.setattr(wire, "read_frame",
                        lambda s: heard.append(read_frame(s)) or heard[-1])
    ticket = agent.log_in("marketing").ticket
    agent.creds("marketing")
    agent.login("marketing")
    agent.wait(ticket, wire.LOGIN_DONE, 0, check=False)
    agent.status("marketing")
    agent.whoami("marketing")
    for what in range(4):
        agent.list(what)
    for name in ("profiles@awsenv", "grants@awsenv"):
        agent.ask(name, agent.asking("marketing"))
    agent.logout("marketing")
    told = b"".join(heard)
    kinds = {}
    for secret in sim.secrets():
        kinds.setdefault(secret["kind"], []).append(secret["value"].encode())
    given = {kind for kind, values in kinds.items()
             if any(value in told for value in values)}
    assert given == {"secretAccessKey", "sessionToken"}
    assert {"accessToken", "refreshToken", "clientSecret"} <= set(kinds)
