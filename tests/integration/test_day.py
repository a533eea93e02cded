# SPDX-License-Identifier: ISC
"""A day of a person who logs in once: eight hours, in each of which the token
ends, with people coming by ssh, locks, commands and a broker that dies."""

import os
import signal
import subprocess

import wire
from agent import BUILD, Agent
from simulator.client import Simulator

HOURS, LOCKS, LOGINS, COMMANDS = 8, 10, 40, 300
PROFILES = ("marketing", "platform", "sandbox")


class Day:
    def __init__(self, sim, agent):
        self.sim, self.agent = sim, agent
        self.logins = self.commands = self.locks = 0

    def nudge(self):
        """As pam_awsenv.so does when somebody comes by ssh."""
        self.logins += 1
        return self.agent.ask("nudge@awsenv", {
            "what": 0, "start": 0, "service": "sshd", "ms": 0})

    def command(self):
        name = PROFILES[self.commands % len(PROFILES)]
        self.commands += 1
        if self.commands % 20 == 0:
            done = self.agent.run("-p", name, "--", "true")
            assert done.returncode == 0, done.stderr
        else:
            assert self.agent.keys(name).access_key.startswith(b"ASIA")

    def lock_and_unlock(self):
        self.locks += 1
        self.say("lock")
        reply = self.agent.creds("marketing", check=False)
        assert reply.error == wire.AW_DENIED and not reply.sealed
        assert self.nudge().error == wire.AW_OK
        self.say("unlock")

    def say(self, verb):
        done = subprocess.run(
            [str(BUILD / "awsenv"), verb, "--stdin"], input="words\n",
            text=True, capture_output=True, timeout=60, env=self.agent.env)
        assert done.returncode == 0, done.stderr

    def hour_ends(self, hour):
        """AWS takes the token for over; credentials are asked for anew."""
        self.sim.expire("access_token")
        self.agent.logout(what=wire.LOGOUT_CREDS)
        if hour % 3 == 1:
            os.kill(self.agent.broker_pid(), signal.SIGKILL)


def test_a_day_takes_one_approval():
    with Simulator(interval=1) as sim:
        agent = Agent(sim, profiles=())
        agent.config.write_text(sim.config_text(*(
            {"name": name, "endpoint_url": sim.urls["https"],
             "ca_bundle": sim.ca} for name in PROFILES)))
        with agent:
            day = Day(sim, agent)
            day.nudge()
            sim.wait_pending()
            sim.approve(user="ann@example.com")
            agent.until_state(agent.login("marketing"), wire.LOGIN_DONE)
            for hour in range(HOURS):
                while day.commands < COMMANDS * (hour + 1) // HOURS:
                    day.command()
                while day.locks < LOCKS * (hour + 1) // HOURS:
                    day.lock_and_unlock()
                while day.logins < LOGINS * (hour + 1) // HOURS:
                    day.nudge()
                day.hour_ends(hour)
            day.command()
        assert (day.locks, day.commands) == (LOCKS, COMMANDS + 1)
        assert day.logins >= LOGINS
        calls = sim.counts()
        assert calls["StartDeviceAuthorization"] == 1, calls
        assert calls["RegisterClient"] == 1, calls
        assert calls["GetRoleCredentials"] >= HOURS * len(PROFILES), calls
