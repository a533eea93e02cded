# SPDX-License-Identifier: ISC
"""The broker among its real neighbours: logins, credentials, what is told."""

import pytest

import wire
from agent import Refused


def test_the_main_job_from_login_to_credentials(sim, agent):
    with pytest.raises(Refused) as refused:
        agent.creds("marketing")
    assert refused.value.error == wire.AW_LOGIN
    assert refused.value.text == (
        "login needed for sim: awsenv login --profile marketing")
    done = agent.log_in("marketing")
    assert done.person == b"ann@example.com"
    assert done.session == b"sim"
    reply = agent.creds("marketing")
    keys = wire.decode("MSG_CREDS", reply.sealed)
    assert reply.account.decode() == sim.info["accounts"][0]["id"]
    assert keys.access_key.startswith(b"ASIA")
    counts = sim.counts()
    assert agent.creds("marketing").sealed == reply.sealed
    assert sim.counts() == counts
    assert counts["RegisterClient"] == 1
    assert counts["StartDeviceAuthorization"] == 1
