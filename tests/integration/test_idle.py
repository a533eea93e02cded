# SPDX-License-Identifier: ISC
"""What nobody asks for is forgotten, where the config file wants that. When, is
for tests/unit/test_idle.c, which has a clock of its own."""

import os
import signal

import pytest

from agent import until
from journey import Person


@pytest.fixture
def ann(sim):
    with Person(sim) as person:
        person.log_in()
        person.config.write_text(
            f"[awsenv]\nawsenv_idle = 1s\n\n{person.config.read_text()}")
        yield person


def is_forgotten(person):
    kinds = {k["kind"] for k in person.status("--keyring")["keys"]}
    return not kinds & {"role", "tok", "ref"}


def test_unused_everything_is_forgotten(sim, ann):
    assert ann.run("-p", "marketing", "--", "true").returncode == 0
    until(lambda: is_forgotten(ann), 60)
    done = ann.run("-p", "marketing", "--no-wait", "--", "true")
    assert done.returncode == 125 and "a login is needed" in done.stderr
    # Another login is as any, and AWS was not told of the end of the first.
    ann.log_in()
    assert "Logout" not in sim.counts()


def test_a_new_broker_counts_too(ann):
    os.kill(ann.broker_pid(), signal.SIGKILL)
    until(lambda: is_forgotten(ann), 60)
