# SPDX-License-Identifier: ISC
"""awsenv_forward_duration and awsenv_forward_policy: what is handed to a far
side is shorter and narrower than what is used here. With real ssh."""

import json
import time

import pytest

import far
import wire
from agent import until
from simulator.client import Simulator

pytestmark = pytest.mark.skipif(far.missing() is not None,
                                reason=far.missing() or "")
KEY = ("sh", "-c", "echo $AWS_ACCESS_KEY_ID")
OPEN = {"awsenv_forward": "allow"}
POLICY = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}]}
# As a person writes it: below the key, indented.
LINES = json.dumps(POLICY, indent=2).replace("\n", "\n    ")


@pytest.fixture(scope="module")
def sim():
    with Simulator(accounts=1, interval=1) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def narrow(sim):
    account = sim.info["accounts"][0]["id"]
    role = {"role_arn": f"arn:aws:iam::{account}:role/Deploy",
            "source_profile": "base"}
    with far.Workstation(
            sim, hosts=("a",), base={},
            deploy={**role, **OPEN, "awsenv_forward_duration": "20m",
                    "awsenv_forward_policy": LINES},
            alias={**role, **OPEN},
            plain={**OPEN, "awsenv_forward_duration": "15m",
                   "sso_role_name": sim.info["roles"][-1]}) as workstation:
        workstation.log_in("base")
        yield workstation


def of(sim, key_id):
    return next(key for key in sim.keys() if key["id"] == key_id.strip())


def test_roles_on_top_are_shorter_and_narrower_there(narrow, sim):
    """As AWS is asked: and neither side ever has the keys of the other."""
    before = time.time()
    here = narrow.agent.keys("deploy").access_key.decode()
    assert of(sim, here)["policy"] == ""
    seen = set()
    for profile in ("deploy", "alias", "deploy"):
        done = narrow.ssh("a", "awsenv", "-p", profile, "--", *KEY)
        assert done.returncode == 0, done.stderr
        seen.add(done.stdout.strip())
        key = of(sim, done.stdout)
        assert json.loads(key["policy"]) == POLICY and " " not in key["policy"]
        assert key["expires"] <= time.time() + 1200
        assert key["expires"] >= before + 1199
        assert narrow.agent.keys(profile).access_key.decode() == here
    assert len(seen) == 1 and here not in seen, "held, as ours are"
    # Real aws uses them.
    done = narrow.ssh("a", "awsenv", "-p", "deploy", "aws", "sts",
                      "get-caller-identity", "--query", "Arn", "--output",
                      "text", **sim.env(via="proxy"))
    assert done.stdout.strip() == key["arn"], done.stderr


def test_what_cannot_be_narrower_is_denied_and_told_of(narrow):
    done = narrow.ssh("a", "awsenv", "-p", "plain", "--", *KEY)
    assert done.returncode == 125 and done.stdout == ""
    assert "is not for use from here" in done.stderr
    line = next(n for n, text in enumerate(
        narrow.agent.config.read_text().splitlines(), 1)
        if text == "awsenv_forward_duration = 15m")
    told = "awsenv_forward_duration: AWS lets no permission set's"
    until(lambda: f"see ~/.aws/config:{line}" in narrow.agent.logged())
    problem, = (p for p in narrow.agent.list(wire.LIST_PROBLEMS)
                if p.text.decode().startswith(told))
    assert problem.line == line
