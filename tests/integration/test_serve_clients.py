# SPDX-License-Identifier: ISC
"""Clients that nobody here wrote, served through the real agent."""
# Starts first: it waits for credentials to expire.
import json
import os
import re
import subprocess

import pytest

from agent import until
from journey import AWS, PYTHON, Person
from simulator.client import Simulator

needs_aws = pytest.mark.skipif(not os.path.exists(AWS),
                               reason="Debian's awscli is not installed")
LIFE = 10        # seconds; the agent renews at half of it

# Works on until its keys have been renewed twice.
WORK = """
import boto3
session = boto3.Session()
sts, seen = session.client("sts"), []
while len(seen) < 3:
    assert sts.get_caller_identity()["Account"]
    key = session.get_credentials().get_frozen_credentials().access_key
    if key not in seen:
        seen.append(key)
        print(key, flush=True)
"""


@pytest.fixture
def short():
    """A person at an AWS whose role credentials live for seconds."""
    with Simulator(accounts=3, interval=1, role_life=LIFE) as sim, \
            Person(sim, via="proxy") as ann:
        ann.log_in()
        yield ann


def keys_with(ann, *argv, **env):
    done = ann.run(*argv, env=env)
    assert done.returncode == 0, done.stderr
    keys = done.stdout.split()
    assert len(set(keys)) == len(keys) >= 3
    return keys


def default_with_keys(ann):
    ann.config.write_text(ann.config.read_text() + (
        "\n[default]\nregion = eu-west-1\naws_access_key_id = AKIAOLD0000\n"
        "aws_secret_access_key = x\n"))
    (ann.home / ".aws/credentials").write_text(
        "[default]\naws_access_key_id = AKIAOLDER000\n"
        "aws_secret_access_key = y\naws_session_token = z\n")


def test_boto3_outlives_its_credentials(short):
    keys_with(short, "-p", "marketing", "--serve", PYTHON, "-c", WORK)


def test_so_it_does_beside_keys_in_default(short):
    default_with_keys(short)
    keys_with(short, "-p", "marketing", "--serve", PYTHON, "-c", WORK)


def test_so_it_does_with_a_credential_process(short):
    short.config.write_text(short.config.read_text() + (
        "\n[profile bare]\nregion = eu-central-1\ncredential_process = "
        f"{short.programs}/awsenv process -p marketing\n"))
    done = subprocess.run([PYTHON, "-c", WORK], text=True, capture_output=True,
                          env=short.environ({"AWS_PROFILE": "bare"}),
                          timeout=60)
    assert len(set(done.stdout.split())) >= 3, done.stderr


def test_frozen_keys_expire_and_say_so(short):
    """What the endpoint is for."""
    done = short.run("-p", "marketing", "--env", PYTHON, "-c", WORK)
    assert done.returncode != 0 and len(done.stdout.split()) <= 1
    assert re.search("expired", done.stderr, re.I)


@needs_aws
def test_the_aws_cli_is_served(short):
    default_with_keys(short)
    done = short.run("-p", "marketing", "--serve", AWS, "sts",
                     "get-caller-identity")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["Account"]
    done = short.run("-p", "marketing", "--serve", AWS, "configure", "list")
    assert done.stdout.count("container-role") == 2


def test_the_broker_may_die_under_a_command_that_is_served(short):
    child = short.popen("-p", "marketing", "--serve", PYTHON, "-c", WORK)
    agent = short.agent_pid()
    assert child.stdout.readline()
    for _ in range(3):
        broker = short.broker_pid(agent)
        os.kill(broker, 9)
        short.broker_pid(agent, other_than=broker)
        until(lambda: short.run("status").returncode == 0)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    assert len(set(out.split())) >= 2
