# SPDX-License-Identifier: ISC
"""sshd and login(1) with the module as a factor, as root, on loopback: who gets
in, what becomes of the login, and that one approval is enough for both."""
import contextlib
import os
import pathlib
import re
import time

import pytest

from simulator.client import Simulator
from stack import Account
from test_handover import kept
from test_programs import missing
from world import PASSWORD, World

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())
BEHIND = "@include common-auth\nauth required FACTOR"
ALONE = "auth required FACTOR"
KEY_FIRST = "AuthenticationMethods publickey,keyboard-interactive:pam"
PAM_ONLY = "AuthenticationMethods keyboard-interactive:pam"
KBD = "KbdInteractiveAuthentication yes"
BOTH = "publickey,keyboard-interactive"


@pytest.fixture
def sim():
    with Simulator(accounts=2, interval=1) as simulator:
        yield simulator


@pytest.fixture
def ann():
    with Account() as account:
        yield account


def starts(sim):
    return sim.counts()["StartDeviceAuthorization"]


def approve(t, sim, user=None):
    """What the person does at the prompt, with a browser."""
    text = t.until("Press Enter when it is approved")
    code = sim.wait_pending()["user_code"]
    shown = sim.pending()[-1]
    assert code in text and shown["url_complete"] in text
    sim.approve(code, user=user)
    t.press(b"\n")
    return text, shown


def runs_aws(t, sim):
    """In the shell that came: credentials, and no other approval."""
    t.until("$ ")       # login(1) throws away what was typed before
    t.press(b"awsenv -p marketing aws sts get-caller-identity; echo S$?.\n")
    text = t.until("S0.", 60)
    assert "/ann@example.com" in text and "waits for" not in text
    assert starts(sim) == 1 and sim.pending() == []


def leave(t):
    t.press(b"exit\n")
    t.wait()


def test_a_password_and_an_approval_by_ssh(ann, sim):
    with World(ann, sim, auth=BEHIND) as world:
        world.sshd(KBD, PAM_ONLY)
        with world.ssh_terminal(method="keyboard-interactive",
                                typed=True) as t:
            t.until("assword:")
            t.press(PASSWORD.encode() + b"\n")
            text, shown = approve(t, sim)
            assert f"AWS login of {ann.name} on " in text
            assert "from 127.0.0.1" in text
            assert shown["client_name"].endswith(
                f" for {ann.name} from 127.0.0.1")
            runs_aws(t, sim)
            assert "Later: awsenv login" not in t.text
            leave(t)
        assert kept(ann) == []
        lines = [l for l in world.logged() if "login of" in l]
        assert len(lines) == 1 and "approved: ann@example.com" in lines[0]


def test_a_key_and_an_approval_by_ssh(ann, sim):
    with World(ann, sim, auth=ALONE) as world:
        world.sshd(KBD, KEY_FIRST)
        with world.ssh_terminal(method=BOTH, typed=True) as t:
            approve(t, sim)
            runs_aws(t, sim)
            t.press(b"env | cat; echo E''ND\n")
            text = t.until("END\n")
            for secret in sim.secrets():
                assert secret["value"] not in text, secret["kind"]
            assert "awsenv:factor" not in text
            leave(t)


def test_without_the_key_no_code_is_to_be_had(ann, sim):
    with World(ann, sim, auth=ALONE) as world:
        world.sshd(KBD, KEY_FIRST)
        done = world.ssh("true", method="keyboard-interactive")
        assert done.returncode == 255 and starts(sim) == 0


def test_without_the_password_no_code_is_to_be_had(ann, sim):
    with World(ann, sim, auth=BEHIND) as world:
        world.sshd(KBD, PAM_ONLY)
        world.ask.write_text("#!/bin/sh\necho wrong\n")
        done = world.ssh("true", method="keyboard-interactive", timeout=60)
        assert done.returncode == 255 and starts(sim) == 0


def test_somebody_elses_approval_ends_the_connection(ann, sim):
    with World(ann, sim, auth=ALONE) as world:
        world.sshd(KBD, KEY_FIRST)
        with world.ssh_terminal(method=BOTH, typed=True) as t:
            approve(t, sim, "bob@example.com")
            assert t.wait() == 255
            assert t.text.count("Press Enter") == 1
        assert starts(sim) == 1 and kept(ann) == []
        assert [l for l in world.logged() if l.startswith("1 ") and
                "bob@example.com" in l and ann.name in l]


def test_a_refusal_ends_the_connection(ann, sim):
    with World(ann, sim, auth=ALONE) as world:
        world.sshd(KBD, KEY_FIRST)
        with world.ssh_terminal(method=BOTH, typed=True) as t:
            t.until("Press Enter")
            sim.deny(sim.wait_pending()["user_code"])
            t.press(b"\n")
            assert t.wait() == 255
        assert starts(sim) == 1


def test_the_password_method_cannot_ask_and_is_no_way_in(ann, sim):
    with World(ann, sim, auth=BEHIND) as world:
        world.sshd("PasswordAuthentication yes")
        done = world.ssh("echo in", method="password", timeout=60)
        assert done.returncode == 255 and b"in" not in done.stdout
        assert "nobody can be asked there" in "".join(world.logged())


@pytest.mark.parametrize("auth", [
    "auth required FACTOR", "auth sufficient FACTOR\nauth required pam_deny.so",
    "auth [success=1 default=ignore] FACTOR\nauth requisite pam_deny.so\n"
    "auth required pam_permit.so",
    "auth required pam_permit.so\nauth required FACTOR"])
def test_stacks_whose_setcred_matters(ann, sim, auth):
    """It is called in another process, where nobody has authenticated."""
    with World(ann, sim, auth=auth) as world:
        world.sshd(KBD, PAM_ONLY)
        with world.ssh_terminal("echo", "I am in",
                                method="keyboard-interactive",
                                typed=True) as t:
            approve(t, sim)
            t.until("I am in\n")
            assert t.wait() == 0


def test_a_command_by_ssh_has_credentials_too(ann, sim):
    with World(ann, sim, auth=ALONE) as world:
        world.sshd(KBD, KEY_FIRST)
        with world.ssh_terminal(world.dir / "tools/none;", "true", method=BOTH,
                                typed=True) as t:
            approve(t, sim)
            t.wait()
        world.awsenv_is_logged_in()
        assert starts(sim) == 1


def test_a_hand_over_that_is_not_wanted_is_none(ann, sim):
    with World(ann, sim, auth=f"{ALONE} handover=no") as world:
        world.sshd(KBD, KEY_FIRST)
        with world.ssh_terminal(method=BOTH, typed=True) as t:
            approve(t, sim)
            # What the session would have begun anyway.
            t.until("Later: awsenv login")
            leave(t)
        assert starts(sim) == 2 and kept(ann) == []


def test_a_trial_lets_in_whoever_approves(ann, sim):
    with World(ann, sim, auth=f"{ALONE} enforce=no\nauth required "
               "pam_permit.so") as world:
        world.sshd(KBD, KEY_FIRST)
        with world.ssh_terminal("echo", "I am in", method=BOTH,
                                typed=True) as t:
            approve(t, sim, "bob@example.com")
            t.until("I am in\n")
            assert t.wait() == 0
        assert kept(ann) == []
        assert "enforce=no: this decides nothing" in "".join(world.logged())


def test_whoever_hangs_up_leaves_nothing_behind(ann, sim):
    with World(ann, sim, auth=ALONE) as world:
        world.sshd(KBD, KEY_FIRST)
        with world.ssh_terminal(method=BOTH, typed=True) as t:
            t.until("Press Enter")
            code = sim.wait_pending()["user_code"]
            assert fetchers(world)
        sim.until(lambda: not fetchers(world), 20, "end of the fetcher")
        sim.approve(code)
        time.sleep(2)
        assert kept(ann) == [] and sim.counts()["GetRoleCredentials"] == 0


def fetchers(world):
    """Those of the module's in there, by what the kernel says of each."""
    place = os.readlink(f"/proc/{world.holder.pid}/ns/mnt")
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            text = path.read_text()
            if re.search(r"\(awsenv-fetch\) [^Z] 1 ", text) and os.readlink(
                    path.with_name("ns") / "mnt") == place:
                found.append(text)
    return found


def test_login_on_a_terminal(ann, sim):
    with World(ann, sim, auth=BEHIND) as world:
        with world.terminal("login") as t:
            t.until("login:")
            t.press(ann.name.encode() + b"\n")
            t.until("assword:")
            t.press(PASSWORD.encode() + b"\n")
            text, _ = approve(t, sim)
            assert ", from here, " in text
            runs_aws(t, sim)
            leave(t)
        assert kept(ann) == []


def test_login_with_a_hushed_person_asks_all_the_same(ann, sim):
    (ann.home / ".hushlogin").touch()
    ann.give()
    with World(ann, sim, auth=BEHIND) as world:
        with world.terminal("login") as t:
            t.until("login:")
            t.press(ann.name.encode() + b"\n")
            t.until("assword:")
            t.press(PASSWORD.encode() + b"\n")
            approve(t, sim)
            t.until("$ ")
            t.press(b"echo I am ''in\n")
            t.until("I am in\n")
            leave(t)
