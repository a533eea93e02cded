# SPDX-License-Identifier: ISC
"""The stacks that pam-auth-update generates and GDM's own, with real logind,
called as sshd, login, su and GDM's session worker call them."""
import contextlib
import json
import subprocess

import pytest

from agent import until
from container import PASSWORD

SUCCESS, REINITIALIZE, ESTABLISH, DELETE = 0, 0x8, 0x2, 0x4
NAMES = ("common-account", "common-auth", "common-password", "common-session",
         "common-session-noninteractive")


def stack(box, name):
    """The lines that count."""
    return [line.split() for line in box.path(f"/etc/pam.d/{name}").read_text()
            .splitlines() if line.strip() and line[0] != "#"]


def calls(box, service, user, *calls, **order):
    """As a service of the system, which GDM is; what the calls gave."""
    order = {"confdir": "/etc/pam.d", "service": service, "user": user.name,
             "answer": PASSWORD, "calls": [
                 c if isinstance(c, tuple) else (c, 0) for c in calls], **order}
    return subprocess.Popen(box.enter(
        "systemd-run", "--quiet", "--pipe", "--wait", "--collect", "python3",
        "/tests/pam/driver.py"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True), json.dumps(order)


def outcome(started):
    process, order = started
    out, err = process.communicate(order, timeout=60)
    assert process.returncode == 0, err
    done = json.loads(out)
    done["codes"] = [code for code, _ in done["calls"]]
    return done


@contextlib.contextmanager
def desktop(box, service, user):
    """A session worker of GDM from its first call to its last; logind knows a
    session that began. What the calls gave is in the dictionary afterwards."""
    end, done = f"/tmp/end-{user.name}", {}
    process, order = calls(
        box, service, user, "auth", "acct", ("setcred", ESTABLISH), "open",
        ("until", end), "close", ("setcred", DELETE), items={"tty": ":0"},
        putenv=["XDG_SESSION_TYPE=x11", "XDG_SESSION_CLASS=user",
                "XDG_SESSION_DESKTOP=gnome"])
    process.stdin.write(order)
    process.stdin.close()
    process.stdin = None
    try:
        until(lambda: process.poll() is not None or "x11" in box.run(
            "sh", "-c", f"for s in $(loginctl show-user {user.name} "
            "-P Sessions); do loginctl show-session $s -P Type; done",
            check=False).stdout, 30)
        # Until the module had its turn, too.
        until(lambda: process.poll() is not None or box.agents(user.uid), 30)
        assert process.poll() is None, process.stderr.read()
        yield done
    finally:
        box.path(end).touch()
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        done.update(json.loads(out))


def test_the_line_is_where_it_belongs_and_nowhere_else(bare):
    before = {name: stack(bare, name) for name in NAMES}
    bare.install(bare.debs)
    after = {name: stack(bare, name) for name in NAMES}
    line = ["session", "optional", "pam_awsenv.so"]
    assert after["common-session"] == [*before["common-session"], line]
    assert before["common-session"][-1][2] == "pam_systemd.so"
    assert all(after[name] == before[name]
               for name in NAMES if name != "common-session")


@pytest.mark.parametrize("service", ["gdm-password", "gdm-autologin"])
def test_a_desktop_begins_the_login(box, sim, ann, service):
    with desktop(box, service, ann) as done:
        code = sim.wait_pending()["user_code"]
        assert "/user@" in open(f"/proc/{ann.agent()}/cgroup").read()
        # The next terminal shows what the desktop began.
        assert code in ann.ssh(
            "awsenv login -p marketing --no-browser --no-wait",
            check=False).stderr
    assert [c for c, _ in done["calls"]] == [SUCCESS] * 6
    assert done["env"]["AWSENV_SOCK"] == ann.sock
    # GDM's greeter shows what a module says for a blink: nothing was said.
    assert not [text for _, text in done["messages"] if "awsenv" in text]
    assert sim.counts()["StartDeviceAuthorization"] == 1
    until(ann.is_gone, 20, "the agent stays")


def test_unlocking_is_told_to_the_agent_where_the_line_is_in_auth(box, sim, ann):
    unlock = ("auth", "acct", ("setcred", REINITIALIZE))
    with desktop(box, "gdm-password", ann):
        sim.wait_pending()
        pid = ann.agent()
        # The package's stack: it does no harm.
        assert outcome(calls(box, "gdm-password", ann, *unlock))[
            "codes"] == [SUCCESS] * 3
        said = "a screen was unlocked: gdm-unlock"
        service = box.path("/etc/pam.d/gdm-unlock")
        service.write_text(box.path("/etc/pam.d/gdm-password").read_text()
                           + "auth optional pam_awsenv.so\n")
        assert outcome(calls(box, "gdm-unlock", ann, *unlock))[
            "codes"] == [SUCCESS] * 3
        until(lambda: said in box.journal(), 20, "the agent was not told")
        assert ann.agent() == pid
    assert sim.counts()["StartDeviceAuthorization"] == 1


def test_a_wrong_password_stays_one(box, ann):
    done = outcome(calls(box, "gdm-password", ann, "auth", answer="wrong"))
    assert done["codes"] == [7]     # PAM_AUTH_ERR
    assert not box.agents(ann.uid)


def test_a_greeter_gets_no_agent(box, ann):
    done = outcome(calls(box, "gdm-launch-environment", ann, "open", "close"))
    assert done["codes"][0] == SUCCESS and "AWSENV_SOCK" not in done["env"]


def test_su_sudo_and_services_begin_nothing(box, sim, ann):
    box.service("su", "-", ann.name, "-c", "true")
    box.service("runuser", "-u", ann.name, "true")
    for service in ("su", "su-l", "runuser-l"):
        done = outcome(calls(box, service, ann, "open", "close"))
        assert done["codes"] == [SUCCESS] * 2
        assert "AWSENV_SOCK" not in done["env"]
    assert not box.agents(ann.uid)
    assert not sim.pending()
