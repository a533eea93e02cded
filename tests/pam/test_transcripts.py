# SPDX-License-Identifier: ISC
"""What appears at a login, and when: before which prompt, after which answer
of AWS. Each is compared with a file below transcripts/."""
# Starts first: it waits for what must not appear.
import os
import shutil

import pytest

from simulator.client import Simulator
from stack import Account
from test_programs import missing
from transcript import Transcript
from world import MOTD, PASSWORD, World

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())
PROMPT = "ready$ "
ASKED, GIVEN = "AWS is asked for a code", "AWS gives it"
START = "StartDeviceAuthorization"


@pytest.fixture
def sim():
    with Simulator(accounts=3, interval=1) as simulator:
        yield simulator


@pytest.fixture
def ann():
    with Account() as account:
        for name in (".profile", ".bashrc"):
            (account.home / name).write_text(f"PS1='{PROMPT}'\n")
        account.give()
        yield account


@pytest.fixture
def world(ann, sim):
    with World(ann, sim) as w:
        w.sshd()
        yield w


def starts(sim):
    return sim.counts()[START]


def ask(t, sim):
    """What the machine says of itself may come before or after that."""
    sim.wait_in_flight(START)
    t.sees(MOTD)
    t.happens(ASKED)


def answer(t, sim):
    """AWS takes its time, and then has a code."""
    ask(t, sim)
    t.happens(GIVEN, sim.release)


def leave(t):
    t.types("exit", after=PROMPT)
    t.ends()


def know(world, sim):
    """A login that waits already."""
    assert world.ssh("true").returncode == 0
    return sim.wait_pending()["user_code"]


@pytest.mark.parametrize("method", ["keyboard-interactive", "password",
                                    "publickey"])
def test_the_first_login_by_ssh(world, sim, ann, method):
    sim.hold(START)
    with world.ssh_terminal(method=method, typed=True) as terminal, \
            Transcript(terminal, ann) as t:
        if method != "publickey":
            t.types(PASSWORD, after="assword:", show="(the password)")
        answer(t, sim)
        leave(t)
        t.compare("ssh-" + method)
    assert starts(sim) == 1


def test_another_login_by_ssh_while_the_code_waits(world, sim, ann):
    know(world, sim)
    with world.ssh_terminal() as terminal, Transcript(terminal, ann) as t:
        leave(t)
        t.compare("ssh-again")
    assert starts(sim) == 1


def test_a_login_by_ssh_with_a_good_token(world, sim, ann):
    sim.approve(know(world, sim))
    world.awsenv_is_logged_in()
    with world.ssh_terminal() as terminal, Transcript(terminal, ann) as t:
        leave(t)
        t.compare("ssh-good")
    assert starts(sim) == 1


def test_a_login_by_ssh_while_aws_says_nothing(world, sim, ann):
    sim.hold(START)
    with world.ssh_terminal() as terminal, Transcript(terminal, ann) as t:
        ask(t, sim)
        t.sees(PROMPT)
        t.happens(GIVEN, sim.release)
        sim.wait_pending()
        t.types("awsenv login -p marketing --no-wait", after="")
        leave(t)
        t.compare("ssh-slow")
    assert starts(sim) == 1


def test_ctrl_c_during_the_wait(world, sim, ann):
    sim.hold(START)
    with world.ssh_terminal() as terminal, Transcript(terminal, ann) as t:
        ask(t, sim)
        sim.until(lambda: ann.processes("awsenv-ctl"), 20, "snippet")
        t.happens("Ctrl-C", lambda: terminal.press(b"\x03"))
        t.sees(PROMPT)
        t.happens(GIVEN, sim.release)
        sim.wait_pending()
        t.types("exit", after="")
        t.ends()
        t.compare("ssh-interrupt")


def test_a_hushed_login_by_ssh(world, sim, ann):
    """sshd keeps its own text and PAM's back; the shell's profile does not."""
    know(world, sim)
    (ann.home / ".hushlogin").touch()
    ann.give()
    with world.ssh_terminal() as terminal, Transcript(terminal, ann) as t:
        leave(t)
        t.compare("ssh-hushed")


@pytest.mark.parametrize("waits", [False, True])
def test_a_command_by_ssh_on_a_terminal(world, sim, ann, waits):
    if waits:
        know(world, sim)
    with world.ssh_terminal("echo $AWSENV_SOCK") as terminal, \
            Transcript(terminal, ann) as t:
        t.ends()
        t.compare("ssh-command")
    sim.wait_pending()


def test_the_first_use_waits_for_the_same_code(world, sim, ann):
    code = know(world, sim)
    with world.ssh_terminal() as terminal, Transcript(terminal, ann) as t:
        t.types("awsenv -p marketing echo used", after=PROMPT)
        t.sees("waiting for the approval")
        t.happens("the person approves", lambda: sim.approve(code))
        t.sees("used\n")
        leave(t)
        t.compare("ssh-use")
    assert starts(sim) == 1


def test_a_code_that_expired_is_followed_by_one_on_demand(world, sim, ann):
    know(world, sim)
    sim.expire("device")
    world.until_no_login_waits()
    with world.ssh_terminal() as terminal, Transcript(terminal, ann) as t:
        t.sees(PROMPT)
        t.happens("the code is void; nobody asks for another")
        assert starts(sim) == 1
        t.types("awsenv login -p marketing --no-wait", after="")
        leave(t)
        t.compare("ssh-expired")
    assert starts(sim) == 2


# login(1): always a person at a terminal

def log_in(t, account):
    t.types(account.name, after="login: ", show="(the name)")
    t.types(PASSWORD, after="assword: ", show="(the password)")


def test_the_first_login_at_a_terminal(world, sim, ann):
    sim.hold(START)
    with world.terminal("login") as terminal, Transcript(terminal, ann) as t:
        log_in(t, ann)
        answer(t, sim)
        leave(t)
        t.compare("login")
    assert starts(sim) == 1


def test_a_login_without_a_password(world, sim, ann):
    sim.hold(START)
    with world.terminal("login", "-f", ann.name) as terminal, \
            Transcript(terminal, ann) as t:
        answer(t, sim)
        leave(t)
        t.compare("login-f")


def test_a_login_at_a_terminal_while_the_code_waits(world, sim, ann):
    know(world, sim)
    with world.terminal("login") as terminal, Transcript(terminal, ann) as t:
        log_in(t, ann)
        leave(t)
        t.compare("login-again")


def test_a_login_at_a_terminal_while_aws_says_nothing(world, sim, ann):
    sim.hold(START)
    with world.terminal("login") as terminal, Transcript(terminal, ann) as t:
        log_in(t, ann)
        ask(t, sim)
        t.sees(PROMPT)
        t.happens(GIVEN, sim.release)
        sim.wait_pending()
        t.types("exit", after="")
        t.ends()
        t.compare("login-slow")


# Those who change into the same person or another

SWITCHES = {
    "su": (["su", "{}"], "su"),
    "su-login": (["su", "-", "{}"], "su-l"),
    "runuser": (["runuser", "-u", "{}", "--", "bash", "-i"], "runuser"),
    "runuser-login": (["runuser", "-l", "{}"], "runuser-l"),
    "sudo": (["sudo", "-u", "{}", "bash", "-i"], "sudo"),
    "sudo-login": (["sudo", "-i", "-u", "{}"], "sudo-i"),
}


@pytest.mark.parametrize("how", SWITCHES)
@pytest.mark.parametrize("named", [False, True])
def test_those_who_change_into_somebody(ann, sim, how, named):
    argv, service = SWITCHES[how]
    if not shutil.which(argv[0]):
        pytest.skip(f"{argv[0]} is not installed")
    if not os.path.exists("/etc/pam.d/" + service):
        pytest.skip(f"there is no /etc/pam.d/{service}")
    with World(ann, sim, f"services=sshd,{service}" if named else "",
               ("sshd", service)) as world:
        world.sshd()
        code = know(world, sim)
        with world.terminal(*(w.format(ann.name) for w in argv), TMPDIR="/tmp",
                            XDG_RUNTIME_DIR="/run/user/0",
                            AWSENV_SOCK="/run/of/the/caller") as terminal, \
                Transcript(terminal, ann) as t:
            t.types("echo $AWSENV_SOCK", after=PROMPT)
            leave(t)
            t.compare(how + ("-named" if named else ""))
        assert sim.pending()[-1]["user_code"] == code and starts(sim) == 1
    assert MOTD not in terminal.text
