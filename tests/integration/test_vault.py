# SPDX-License-Identifier: ISC
"""What the kernel's key quota has no room for: sealed, in memory that outlives
the broker.

# Runs alone, unless as root: it fills the user's key quota.
"""

import collections
import concurrent.futures
import contextlib
import os
import pathlib
import re
import signal
import subprocess
import threading

import pytest

import wire
from agent import BUILD, Agent, children, until
from simulator.client import Simulator

ROOT = os.geteuid() == 0
UID = 62010 if ROOT else None
CLIENTS = 8
QUOTA = int(pathlib.Path("/proc/sys/kernel/keys/maxbytes").read_text())


def accounts(number):
    return [{"name": f"team-{n:04d}", "sso_session": "sim",
             "sso_account_id": f"{n * 7919:012d}",
             "sso_role_name": "ReadOnly"} for n in range(4, number + 4)]


class Team:
    """One agent, and the profiles of many accounts of one login."""

    def __init__(self, sim, number):
        self.sim = sim
        self.profiles = accounts(number)
        self.agent = Agent(sim, self.profiles, uid=UID)
        self.connect = self.agent.connect
        self.agent.connect = self.connect_as_the_user
        self.one_at_a_time = threading.Lock()
        if ROOT:
            self.agent.install()

    def connect_as_the_user(self, seconds=65):
        with self.one_at_a_time:
            if ROOT:
                os.seteuid(UID)
            try:
                return self.connect(seconds)
            finally:
                if ROOT:
                    os.seteuid(0)

    def __enter__(self):
        self.agent.__enter__()
        self.agent.log_in(self.profiles[0]["name"])
        return self

    def __exit__(self, *error):
        self.agent.__exit__(*error)

    def all(self):
        """{profile: access key} of each, by several clients at once."""
        names = [row["name"] for row in self.profiles]

        def ask(n):
            with self.agent.connect() as sock:
                return {name: self.agent.keys(name, sock=sock).access_key
                        for name in names[n::CLIENTS]}
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            return dict(collections.ChainMap(*pool.map(ask, range(CLIENTS))))

    def calls(self):
        return self.sim.counts()["GetRoleCredentials"]

    def places(self):
        """How many role credentials are in the ring, and how many are not."""
        keys = self.agent.list(wire.LIST_KEYS)
        assert all(k.serial for k in keys if k.kind != b"role")
        roles = [k.serial for k in keys if k.kind == b"role"]
        return sum(map(bool, roles)), roles.count(0)

    def vaults(self):
        """{pid: path of its descriptor} of all processes of this agent."""
        agent = self.agent.pid
        found = {}
        for pid in (agent, *children(agent), *self.agent.helpers()):
            # A helper may end, and a descriptor be closed, while it is looked at.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                for fd in list(pathlib.Path("/proc", str(pid), "fd").iterdir()):
                    with contextlib.suppress(FileNotFoundError):
                        if "awsenv-vault" in os.readlink(fd):
                            found[pid] = fd
        return found


@pytest.fixture
def team(request):
    number = request.param
    with Simulator(interval=1, accounts=number + 3, roles=1) as sim, \
            Team(sim, number) as team:
        yield team


@pytest.mark.parametrize("team", [1000], indirect=True)
def test_a_thousand_roles_are_served_before_and_after_a_killed_broker(team):
    first = team.all()
    assert len(set(first.values())) == team.calls() == 1000
    ring, vault = team.places()
    assert ring and ring + vault == 1000
    if QUOTA == 20000:
        assert vault > 1000 - 20
    team.agent.kill_broker()
    assert team.all() == first
    assert team.places() == (ring, vault)
    assert team.calls() == 1000
    assert team.sim.counts()["StartDeviceAuthorization"] == 1


@pytest.mark.parametrize("team", [40], indirect=True)
def test_what_was_dropped_is_not_found_by_the_next_broker(team):
    first = team.all()
    assert sum(team.places()) == 40
    team.agent.logout(what=wire.LOGOUT_CREDS)
    assert team.places() == (0, 0)
    team.agent.kill_broker()
    assert team.places() == (0, 0)
    assert not set(team.all().values()) & set(first.values())
    os.kill(team.agent.pid, signal.SIGUSR1)
    until(lambda: team.places() == (0, 0))
    team.agent.kill_broker()
    assert team.places() == (0, 0)


@pytest.mark.skipif(not ROOT, reason="needs root to install as root")
@pytest.mark.parametrize("team", [40], indirect=True)
def test_an_upgrade_keeps_the_vault_and_nobody_else_has_it(team):
    first = team.all()
    broker = team.agent.broker_pid()
    # Supervisor and broker; not the spawner, nor what that starts.
    assert set(team.vaults()) == {team.agent.pid, broker}
    for path in team.vaults().values():
        assert os.stat(path).st_blocks
        done = subprocess.run(["head", "-c1", path], capture_output=True,
                              preexec_fn=team.agent.become, text=True)
        assert "Permission denied" in done.stderr and not done.stdout
    os.kill(team.agent.pid, signal.SIGHUP)
    until(lambda: "goes on for version" in team.agent.logged())
    team.agent.broker_pid(other_than=broker)
    assert team.all() == first and team.calls() == 40
    team.agent.logout(what=wire.LOGOUT_ALL)
    assert not any(os.stat(p).st_blocks for p in team.vaults().values())


@pytest.mark.parametrize("team", [40], indirect=True)
def test_status_says_where_each_is(team):
    team.all()
    ring, vault = team.places()
    team.agent.programs = BUILD
    said = team.agent.run("status", "--keyring").stdout
    assert len(re.findall(r"^ +sealed role ", said, re.M)) == vault
    assert len(re.findall(r"^ +\d+ role ", said, re.M)) == ring
    assert said.count(", sealed in memory") == vault
