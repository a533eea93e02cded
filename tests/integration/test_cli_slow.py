# SPDX-License-Identifier: ISC
"""What the wrapper does when its patience ends."""
import socket
import subprocess
import time

import pytest

import wire
from fake_agent import SILENCE
from test_cli import agent, run, starter  # noqa: F401


def test_an_agent_that_says_nothing_is_given_up(agent):
    agent.on("status@awsenv", SILENCE)
    begun = time.monotonic()
    done = run(agent, "status")
    assert done.returncode == 6 and "did not answer" in done.stderr
    assert 9 < time.monotonic() - begun < 60


def test_an_agent_that_takes_no_connection_is_given_up(agent, tmp_path):
    path = str(tmp_path / "full")
    with socket.socket(socket.AF_UNIX) as full, \
            socket.socket(socket.AF_UNIX) as one:
        full.bind(path)
        full.listen(0)
        one.connect(path)
        begun = time.monotonic()
        done = run(agent, "status", env={"AWSENV_SOCK": path})
    assert done.returncode == 1 and "does not accept" in done.stderr
    assert 4 < time.monotonic() - begun < 60


@pytest.mark.parametrize("script, words", [
    ("kill -9 $$", "was killed by signal 9"),
    ("exit 0", "was started, but cannot be reached")])
def test_an_agent_that_does_not_come_up_is_reported(tmp_path, script, words):
    program, env = starter(tmp_path, f"#!/bin/sh\n{script}\n")
    begun = time.monotonic()
    done = subprocess.run([program, "true"], env=env, text=True,
                          capture_output=True, timeout=60)
    assert done.returncode == 125 and words in done.stderr


def test_agent_stop_says_when_the_agent_goes_on(agent):
    agent.on("stop@awsenv", {})
    done = run(agent, "agent", "stop")
    assert done.returncode == 6 and "still runs" in done.stderr
    agent.on("stop@awsenv", {"error": wire.AW_DENIED, "text": "not for you"})
    done = run(agent, "agent", "stop")
    assert done.returncode == 5 and "not for you" in done.stderr
