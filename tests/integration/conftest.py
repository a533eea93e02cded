# SPDX-License-Identifier: ISC
"""Fixtures that the integration tests share."""

import pytest

from agent import BUILD, HELPERS, Agent
from simulator.client import Simulator


@pytest.fixture
def sim():
    """A local Identity Center that asks to be polled each second."""
    with Simulator(accounts=3, interval=1) as simulator:
        yield simulator


@pytest.fixture
def make_agent(request):
    """Agent(...) that is started, and ended with the test."""
    agents = []

    def make(*args, start=True, **options):
        for name in HELPERS:
            assert (BUILD / name).exists(), f"{name} is not built in {BUILD}"
        agent = Agent(*args, **options)
        agents.append(agent)
        return agent.start() if start else agent

    yield make
    for agent in agents:
        print(f"--- log of {agent.dir}:\n{agent.logged()[-8000:]}")
        agent.close()


@pytest.fixture
def agent(sim, make_agent):
    """An agent whose config has the profiles marketing and platform."""
    return make_agent(sim, profiles=("marketing", "platform"))
