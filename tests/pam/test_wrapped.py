# SPDX-License-Identifier: ISC
"""Real applications with stacks of the test's own and without root: sshd and
pamtester over pam_wrapper, as the user whose login it is."""
import contextlib
import glob
import os
import shutil
import socket
import subprocess
import time

import pytest

from simulator.client import Simulator
from stack import AGENT, MODULE, Account, sanitizer
from world import PASSWORD, free_port

WRAPPER = glob.glob("/usr/lib/*/libpam_wrapper.so")
MATRIX = glob.glob("/usr/lib/*/pam_wrapper/pam_matrix.so")


def missing():
    if not WRAPPER or not MATRIX:
        return "libpam-wrapper is not installed"
    for program in ("sshd", "pamtester"):
        if not shutil.which(program, path="/usr/sbin:/usr/bin"):
            return f"{program} is not installed"
    return ""


pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


class Wrapped:
    """Service files, who may log in, and an sshd of the user himself."""

    def __init__(self, account):
        self.account, self.dir = account, account.home / "wrapped"
        self.dir.mkdir()
        self.children = []
        matrix = f"required {MATRIX[0]} passdb={self.dir}/passdb"
        ours = (f"{MODULE} agent={AGENT} "
                f"minimum_uid={min(1000, account.uid)}")
        self.lines = [f"auth {matrix}", f"auth optional {ours}",
                      f"account {matrix}", f"account optional {ours}",
                      f"session required pam_env.so readenv=0 "
                      f"envfile=/dev/null conffile={self.dir}/env",
                      f"session optional {ours}"]
        (self.dir / "env").write_text(
            f"XDG_RUNTIME_DIR DEFAULT={account.runtime}\n")
        self.service("sshd", *self.lines)
        self.service("other", "auth required pam_deny.so")

    def service(self, name, *lines):
        """Such a stack; and who may log in, may there."""
        if name != "other":
            (self.dir / "passdb").write_text(
                f"{self.account.name}:{PASSWORD}:{name}\n")
        folder = self.dir / "services"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text("\n".join(lines) + "\n")

    def env(self):
        env = {"PATH": "/usr/bin:/bin", "HOME": str(self.account.home),
               "LD_PRELOAD": ":".join([*sanitizer(), *WRAPPER]),
               "ASAN_OPTIONS": "detect_leaks=0:verify_asan_link_order=0",
               "PAM_WRAPPER": "1",
               "PAM_WRAPPER_SERVICE_DIR": str(self.dir / "services")}
        if sanitizer():
            env["PAM_WRAPPER_DISABLE_DEEPBIND"] = "1"
        return env

    def run(self, *argv, **options):
        return subprocess.run(
            [str(a) for a in argv], env=self.env(), text=True, timeout=60,
            capture_output=True, preexec_fn=self.account.become, **options)

    def sshd(self):
        key = self.dir / "key"
        self.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
        self.port = free_port()
        (self.dir / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {key}\n"
            f"UsePAM yes\nStrictModes no\nPidFile none\nLogLevel DEBUG1\n"
            f"AcceptEnv AWSENV_*\nAuthorizedKeysFile {key}.pub\n")
        self.account.give()
        self.children.append(subprocess.Popen(
            ["/usr/sbin/sshd", "-D", "-f", str(self.dir / "sshd_config"), "-E",
             str(self.dir / "log")], env=self.env(),
            preexec_fn=self.account.become))
        end = time.monotonic() + 10
        while True:
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", self.port)) == 0:
                    break
            assert time.monotonic() < end, "sshd does not listen"
            time.sleep(0.05)

    def ssh(self, *words, method="keyboard-interactive", env=None):
        ask = self.dir / "ask"
        ask.write_text(f"#!/bin/sh\necho '{PASSWORD}'\n")
        ask.chmod(0o755)
        return subprocess.run(
            ["ssh", "-T", "-F", "/dev/null", "-o", "StrictHostKeyChecking=no",
             "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o",
             f"PreferredAuthentications={method}", "-i", str(self.dir / "key"),
             "-o", "SendEnv=AWSENV_*", "-p", str(self.port),
             f"{self.account.name}@127.0.0.1", *words],
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.account.home),
                 "SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force",
                 "DISPLAY": ":none", **(env or {})}, capture_output=True,
            text=True, timeout=60, stdin=subprocess.DEVNULL,
            preexec_fn=self.account.become)

    def close(self):
        for child in self.children:
            child.terminate()
            child.wait()


def sweep(uid):
    """pam_wrapper takes one of 62 folders for all who run it, and leaves it
    where the process that took it ends by a signal."""
    for folder in glob.glob("/tmp/pam.?"):
        with contextlib.suppress(OSError, ValueError):
            if os.stat(folder).st_uid != uid:
                continue
            with open(folder + "/pid") as pid:
                if not os.path.exists(f"/proc/{int(pid.read())}"):
                    shutil.rmtree(folder)


@pytest.fixture
def wrapped():
    with Account() as account:
        w = Wrapped(account)
        account.give()
        yield w
        w.close()
    sweep(account.uid)


def log_of(wrapped):
    return (wrapped.dir / "log").read_text(errors="replace")


@pytest.mark.parametrize("method", ["keyboard-interactive", "password",
                                    "publickey"])
def test_a_session_of_sshd_has_the_socket_and_no_other_word(wrapped, method):
    """With the first, authenticate and setcred run in different processes."""
    wrapped.sshd()
    done = wrapped.ssh("echo $AWSENV_SOCK=$AWSENV_FORWARD_SOCK=$AWSENV_SHOWN",
                       method=method, env={"AWSENV_SOCK": "/tmp/of-the-client",
                                           "AWSENV_SHOWN": "1"})
    assert (done.returncode, done.stderr) == (0, ""), log_of(wrapped)
    sock = wrapped.account.sock
    assert done.stdout.startswith(f"{sock}={sock.parent}/forward.sock=")
    assert wrapped.account.processes("awsenv-agent")
    assert "pam_setcred" not in log_of(wrapped)


def test_it_lets_nobody_in(wrapped):
    """Its line alone, and after one that refuses."""
    wrapped.sshd()
    for lines in (wrapped.lines[1:],
                  ["auth required pam_deny.so", *wrapped.lines[1:]]):
        wrapped.service("sshd", *lines)
        done = wrapped.ssh("echo in")
        assert done.returncode == 255 and done.stdout == ""
    assert not wrapped.account.processes("awsenv-agent")


def test_a_login_that_waits_is_in_the_text_of_a_shell_alone(wrapped):
    if not wrapped.account.made:
        pytest.skip("the agent reads the home of whoever runs this")
    wrapped.sshd()
    with Simulator(interval=1) as sim:
        sim.dir.chmod(0o755)
        config = wrapped.account.home / ".aws/config"
        config.parent.mkdir()
        config.write_text(sim.config_text(
            {"name": "marketing", "endpoint_url": sim.urls["https"],
             "ca_bundle": sim.ca}))
        wrapped.account.give()
        assert wrapped.ssh("true").returncode == 0
        code = sim.wait_pending()["user_code"]
        done = wrapped.ssh("true")
        assert (done.stdout, done.stderr) == ("", "")
        done = wrapped.ssh()        # no command: what sshd stored comes first
        line, = done.stdout.splitlines()[:1]
        assert code in line and "awsenv login shows its page" in line
        assert sim.counts()["StartDeviceAuthorization"] == 1


# pamtester: an application that does nothing else

ORDERS = {
    "sshd": ["authenticate(0)", "acct_mgmt(0)", "setcred(PAM_ESTABLISH_CRED)",
             "open_session(0)", "setcred(PAM_ESTABLISH_CRED)",
             "close_session(PAM_SILENT)", "setcred(4)"],
    "login": ["authenticate(0)", "acct_mgmt(0)",
              "setcred(PAM_ESTABLISH_CRED)", "open_session(PAM_SILENT)",
              "setcred(PAM_REINITIALIZE_CRED)", "close_session(0)"],
    "su": ["authenticate(0)", "acct_mgmt(0)", "setcred(PAM_ESTABLISH_CRED)",
           "open_session(0)", "close_session(0)", "setcred(4)"],
}


@pytest.mark.parametrize("service", ORDERS)
def test_in_each_order_of_calls_every_one_is_good(wrapped, service):
    wrapped.service(service, *wrapped.lines)
    done = wrapped.run("pamtester", service, wrapped.account.name,
                       *ORDERS[service], input=PASSWORD + "\n")
    assert done.returncode == 0, done
    assert "awsenv" not in done.stdout + done.stderr
    assert bool(wrapped.account.processes("awsenv-agent")) == (service != "su")


@pytest.mark.parametrize("control", ["optional", "required", "sufficient"])
def test_a_wrong_password_stays_wrong(wrapped, control):
    lines = [wrapped.lines[0], f"auth {control} {MODULE}"]
    wrapped.service("sshd", *lines)
    name = wrapped.account.name
    done = wrapped.run("pamtester", "sshd", name, "authenticate",
                       input="wrong\n")
    assert done.returncode != 0
    done = wrapped.run("pamtester", "sshd", name, "authenticate",
                       input=PASSWORD + "\n")
    assert done.returncode == 0, done
