# SPDX-License-Identifier: ISC
"""Fixtures of the tests on a booted system."""
import itertools

import pytest

import container
from simulator.client import Simulator

numbers = itertools.count(1)


@pytest.fixture(scope="module")
def bare():
    """A booted system without the packages."""
    if container.missing():
        pytest.skip(container.missing())
    with container.Container() as box:
        yield box


@pytest.fixture(scope="module")
def box(bare):
    """With the packages; who logged out is gone after a second, not ten."""
    bare.install(bare.debs)
    conf = bare.path("/etc/systemd/logind.conf.d/soon.conf")
    conf.parent.mkdir()
    conf.write_text("[Login]\nUserStopDelaySec=1\n")
    bare.run("systemctl", "restart", "systemd-logind")
    return bare


@pytest.fixture
def sim(bare):
    """A local Identity Center, in the system's network."""
    with Simulator(accounts=3, interval=1) as simulator:
        yield simulator


@pytest.fixture(autouse=True)
def journal(bare):
    """What the system said meanwhile, for the log of a failure."""
    bare.run("journalctl", "--rotate")
    since = bare.run("date", "+@%s").stdout.strip()
    yield
    print(bare.journal(f"--since={since}")[-8000:])


@pytest.fixture
def ann(bare, sim):
    """Somebody who may use AWS; each test has another."""
    user = bare.user(f"ann{next(numbers)}", sim)
    yield user
    bare.run("loginctl", "disable-linger", user.name, check=False)
    bare.run("loginctl", "terminate-user", user.name, check=False)
