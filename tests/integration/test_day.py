# SPDX-License-Identifier: ISC
"""A day of a person who logs in once: eight hours, in each of which the token
ends, with people coming by ssh, locks, suspends, commands and a broker that
dies."""

import os
import signal
import subprocess

import wire
from agent import BUILD, Agent, our_session
from simulator.client import Simulator

HOURS, LOCKS, LOGINS, COMMANDS = 8, 10, 40, 300
SUSPENDS = (2, 5)   # at the end of these hours
PROFILES = ("marketing", "platform", "sandbox")


class Day:
    def __init__(self, sim, agent):
        self.sim, self.agent = sim, agent
        self.logins = self.commands = self.locks = self.suspends = 0

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
        """In turn by a passphrase, and by the desktop with its screen."""
        self.locks += 1
        by_hand = self.locks % 2
        self.say("lock") if by_hand else self.screen(True)
        self.nothing_is_given()
        assert self.nudge().error == wire.AW_OK
        self.say("unlock") if by_hand else self.screen(False)

    def suspend(self):
        """The desktop says so before; the broker does not live to the end."""
        self.suspends += 1
        self.screen(True)
        os.kill(self.agent.broker_pid(), signal.SIGKILL)
        self.nothing_is_given()
        self.screen(False)

    def nothing_is_given(self):
        """To a program; this one is a fork that was there before."""
        done = self.agent.run("-p", "marketing", "--", "true")
        assert done.returncode == 125 and "locked" in done.stderr, done

    def screen(self, locked):
        """As awsenv login --desktop does; of this very session, if any."""
        self.agent.ask("screen@awsenv", {"locked": locked,
                                         "session": our_session()})

    def say(self, verb):
        done = subprocess.run(
            [str(BUILD / "awsenv"), verb, "--stdin"], input="words\n",
            text=True, capture_output=True, timeout=60, env=self.agent.env)
        assert done.returncode == 0, done.stderr

    def hour_ends(self, hour):
        """AWS takes the token for over; credentials are asked for anew."""
        self.sim.expire("access_token")
        self.agent.logout(what=wire.LOGOUT_CREDS)
        if hour in SUSPENDS:
            self.suspend()
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
        assert day.logins >= LOGINS and day.suspends == len(SUSPENDS)
        calls = sim.counts()
        assert calls["StartDeviceAuthorization"] == 1, calls
        assert calls["RegisterClient"] == 1, calls
        assert calls["GetRoleCredentials"] >= HOURS * len(PROFILES), calls
