# SPDX-License-Identifier: ISC
"""pam_awsenv.so through real libpam, as root and as anybody."""
import contextlib
import fcntl
import glob
import grp
import os
import pathlib
import pty
import re
import shutil
import signal
import socket
import struct
import subprocess
import termios
import threading
import time

import pytest

from stack import (AGENT, BUILD, DEBUG, DELETE, ERR, IGNORE, MODULE,
                   PERM_DENIED, PYTHON, REFRESH, REINITIALIZE, SERVICE_ERR,
                   SILENT, SUCCESS, TEXT_INFO, WARNING, HERE, Account, Stack)
import etc
import wire
from fake_agent import qr

ROOT = os.geteuid() == 0
root_only = pytest.mark.skipif(not ROOT, reason="only root can do that")
LONG = 20       # seconds; generous, and far below what hangs
IUTF8 = 0o40000     # Python has no name for it
NSS_WRAPPER = "/usr/lib/*/libnss_wrapper.so"
URL = "https://eu-west-1.signin.aws/platform/authorize?request_uri=abc"


@pytest.fixture
def ann():
    with Account() as account:
        yield account


@contextlib.contextmanager
def fake(account, how="reply", data=b"", owner=True):
    """Something at the user's socket; the list of its requests."""
    account.sock.parent.mkdir(mode=0o700, exist_ok=True)
    account.give()
    log = account.dir / "requests"
    log.write_text("")
    log.chmod(0o666)
    child = subprocess.Popen(
        [PYTHON, str(HERE / "fake.py"), str(account.sock), str(log), how,
         data.hex()], stdout=subprocess.PIPE,
        preexec_fn=account.become if owner else None)
    assert child.stdout.readline() == b"ready\n"

    def requests():
        found = []
        for line in log.read_text().split():
            raw = bytes.fromhex(line)
            size, = struct.unpack(">I", raw[5:9])
            assert raw[9:9 + size] == b"nudge@awsenv"
            found.append(wire.decode("MSG_NUDGE_REQ", raw[9 + size:]))
        return found
    try:
        yield requests
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def reply(**fields):
    body = wire.encode("MSG_LOGIN_REP", fields)
    name = b"nudge@awsenv"
    payload = b"\x1d" + struct.pack(">I", len(name)) + name + body
    return struct.pack(">I", len(payload)) + payload


def pending(**more):
    return reply(**{"state": wire.LOGIN_PENDING, "url": URL,
                    "code": "ABCD-EFGH", "session": "corp",
                    "until": int(time.time()) + 540, "host": "box", **more})


# What it is

def test_it_exports_six_functions_and_needs_libpam():
    out = subprocess.run(["nm", "-D", "--defined-only", MODULE],
                         capture_output=True, text=True).stdout
    assert sorted(re.findall(r" T (\w+)", out)) == [
        "pam_sm_" + n for n in ("acct_mgmt", "authenticate", "chauthtok",
                                "close_session", "open_session", "setcred")]
    assert len(out.splitlines()) == 6
    out = subprocess.run(["nm", "-D", "--undefined-only", MODULE],
                         capture_output=True, text=True).stdout
    assert not set(re.findall(r" U (\w+)", out)) & {
        "getenv", "secure_getenv", "exit", "abort", "__assert_fail", "openlog",
        "syslog", "setlocale", "getpwnam", "getpwuid", "system", "popen",
        "dlopen", "pthread_create", "atexit", "putenv", "setenv", "strtok"}
    out = subprocess.run(["readelf", "-dW", MODULE], capture_output=True,
                         text=True).stdout
    needed = {n for n in re.findall(r"NEEDED.*\[(.*?)\.so", out)
              if "san" not in n}
    assert needed <= {"libpam", "libc", "libm", "libgcc_s"}
    assert "NOW" in out
    out = subprocess.run(["readelf", "-lW", MODULE], capture_output=True,
                         text=True).stdout
    assert "GNU_RELRO" in out and not re.search(r"GNU_STACK.*RWE", out)


# Verdicts

@pytest.mark.parametrize("lines, allowed", [
    (["auth required MODULE"], False),
    (["auth optional MODULE"], False),
    (["auth sufficient MODULE"], False),
    (["auth optional MODULE", "auth sufficient pam_deny.so"], False),
    (["auth [success=1 default=ignore] pam_deny.so",
      "auth requisite pam_deny.so", "auth required pam_permit.so",
      "auth optional MODULE"], False),
    (["auth required pam_permit.so", "auth optional MODULE"], True),
    (["auth required MODULE", "auth required pam_permit.so"], True),
])
def test_it_lets_nobody_in_and_keeps_nobody_out(ann, lines, allowed):
    done = Stack(lines=lines).call(ann, "auth")
    assert (done.codes == [SUCCESS]) == allowed


@pytest.mark.parametrize("lines", [
    ["auth required pam_permit.so", "auth optional MODULE"],
    ["auth optional MODULE", "auth required pam_permit.so"],
    ["auth [success=1 default=ignore] pam_permit.so",
     "auth requisite pam_deny.so", "auth required pam_permit.so",
     "auth optional MODULE"]])
def test_setcred_after_it_works_in_one_process_and_in_two(ann, lines):
    done = Stack(lines=lines).call(ann, "auth", "setcred",
                                   ("setcred", DELETE))
    assert done.codes == [SUCCESS] * 3
    done = Stack(lines=lines).call(ann, ("setcred", 2))
    assert done.codes == [SUCCESS]


def test_each_phase_has_its_verdict(ann):
    done = Stack().call(ann, "auth", "acct", "setcred", "open",
                        ("setcred", REINITIALIZE), "close", "chauthtok")
    assert done.codes == [IGNORE] * 3 + [SUCCESS, IGNORE, SUCCESS, IGNORE]
    assert done.messages == []
    assert done.logged(ERR)[1:] == []   # libpam misses the service "other"


SITUATIONS = {
    "as usual": {},
    "a login that waits": {"data": True},
    "its agent does not accept": {"how": "deaf"},
    "its agent does not answer": {"how": "silent"},
    "its agent talks nonsense": {"data": b"HTTP/1.1 200 OK\r\n\r\n"},
    "its program is missing": {"options": "agent=/nowhere/awsenv-agent"},
    "nobody of that name": {"user": "no-such-user"},
    "another service": {"service": "chsh"},
    "exempt": {"options": "exempt=*"},
    "below the minimum": {"options": "minimum_uid=4294967294"},
    "a word that it does not know": {"options": "nonsense"},
    "nobody can be asked": {"conv": "none"},
    "nobody wants to be asked": {"conv": "error"},
    "nobody answers": {"conv": "null"},
    "silent": {"flags": SILENT},
    "an empty password is not allowed": {"flags": 1},
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_authenticate_decides_nothing_whatever_there_is(ann, situation):
    """At once, without a word, and the agent is not even asked."""
    more = dict(SITUATIONS[situation])
    data, how = more.pop("data", b""), more.pop("how", "reply")
    flags, stack = more.pop("flags", 0), Stack(
        more.pop("options", ""), service=more.pop("service", "sshd"))
    with fake(ann, how, pending() if data is True else data) as got:
        done = stack.call(ann, ("auth", flags), ("acct", flags), "setcred",
                          **more)
        assert done.codes == [IGNORE] * 3 and max(done.seconds) < LONG
        assert done.messages == [] and got() == []
        # As the stack has it: no verdict is a refusal, a permit stays one.
        for control in ("optional", "required"):
            stack.lines = [f"auth {control} MODULE {stack.options}"]
            done = stack.call(ann, ("auth", flags), **more)
            assert done.codes == [PERM_DENIED]
            stack.lines.append("auth required pam_permit.so")
            done = stack.call(ann, ("auth", flags), **more)
            assert done.codes == [SUCCESS]


@pytest.mark.parametrize("options, control, code", [
    ("login=lazy", "required", SUCCESS), ("login=lazy", "optional", SUCCESS),
    ("login=lazy wit=1", "required", SUCCESS),
    ("login=lazy exempt=*", "required", PERM_DENIED),
    ("exempt=*", "optional", PERM_DENIED), ("login=x", "required", PERM_DENIED)])
def test_a_session_where_it_stands_alone_and_where_not(
        ann, options, control, code):
    options += f" minimum_uid={min(ann.uid, 1000)}"
    stack = Stack(lines=[f"session {control} MODULE {options}"])
    assert stack.call(ann, "open", "close").codes == [code] * 2
    stack.lines.append("session required pam_permit.so")
    assert stack.call(ann, "open", "close").codes == [SUCCESS] * 2


def test_a_required_line_that_stands_alone_opens_the_session(ann):
    lines = [f"session required MODULE login=lazy minimum_uid={ann.uid}"]
    assert Stack(lines=lines).call(ann, "open", "close").codes == [0, 0]


# Options

def ours(done, level):
    return [t for t in done.logged(level) if "pam_awsenv" in t]


def test_an_unknown_option_is_logged_once_and_the_rest_counts(ann):
    done = Stack("nonsense login=lazy wit=3").call(
        ann, "auth", "setcred", "open", "close")
    assert done.codes == [IGNORE, IGNORE, SUCCESS, SUCCESS]
    assert len(ours(done, ERR)) == 2
    assert "unknown option nonsense" in ours(done, ERR)[0]
    assert "unknown option wit=3" in ours(done, ERR)[1]


@pytest.mark.parametrize("option", [
    "login=lzy", "login", "wait=", "wait=-1", "wait=3s", "minimum_uid=1e3",
    "minimum_uid=99999999999999999999", "debug=1", "quiet=yes", "agent=bin/x",
    "services"])
def test_a_value_that_is_none_turns_it_off_and_is_logged_once(ann, option):
    done = Stack(option).call(ann, "auth", "open", ("setcred", REFRESH),
                              "close")
    assert done.codes == [IGNORE] * 4
    assert len(ours(done, ERR)) == 1 and option in ours(done, ERR)[0]
    assert "AWSENV_SOCK" not in done.env and not ann.processes("awsenv-agent")


@pytest.mark.parametrize("mode", ["trigger", "Session", "factor2", ""])
def test_a_mode_that_is_not_there_is_an_error_and_no_silence(ann, mode):
    done = Stack("mode=" + mode).call(ann, "auth", "acct", "open", "close")
    assert done.codes == [SERVICE_ERR, IGNORE, IGNORE, IGNORE]
    assert len(ours(done, ERR)) == 1
    done = Stack(lines=[f"auth required MODULE mode={mode}",
                        "auth required pam_permit.so"]).call(ann, "auth")
    assert done.codes == [SERVICE_ERR]


def test_options_may_come_in_any_order_and_twice(ann):
    done = Stack("login=off quiet debug login=lazy").call(ann, "open")
    assert done.codes == [SUCCESS] and not ours(done, ERR)


# Scope

def scope(account, options, service="sshd", **more):
    done = Stack("login=lazy " + options, service=service).call(
        account, "open", **more)
    assert done.codes[0] in (SUCCESS, IGNORE)
    assert ("AWSENV_SOCK" in done.env) == (done.codes == [SUCCESS])
    return done.codes == [SUCCESS]


@pytest.mark.parametrize("service, acts", [
    ("sshd", True), ("login", True), ("remote", True), ("gdm-password", True),
    ("lightdm", True), ("sddm", True), ("su", False), ("su-l", False),
    ("sudo", False), ("sudo-i", False), ("cron", False), ("atd", False),
    ("runuser", False), ("polkit-1", False), ("chsh", False),
    ("systemd-user", False), ("gdm-launch-environment", False),
    ("lightdm-greeter", False), ("other", False), ("sshd2", False)])
def test_where_it_acts_by_itself(ann, service, acts):
    assert scope(ann, "", service) == acts


@pytest.mark.parametrize("options, service, acts", [
    ("services=su", "su", True), ("services=su", "sshd", False),
    ("services=cron,su-*", "su-l", True), ("services=*", "anything", True),
    ("services=*", "systemd-user", False),
    ("services=systemd-user", "systemd-user", False),
    ("services=", "sshd", False), ("services=,,", "sshd", False)])
def test_services_can_be_named(ann, options, service, acts):
    assert scope(ann, options, service) == acts


def test_users_and_groups_can_be_named(ann):
    group = grp.getgrgid(ann.gid).gr_name
    assert scope(ann, f"users=somebody,{ann.name}")
    assert not scope(ann, f"users=somebody,{ann.name}2")
    assert not scope(ann, f"users=x{ann.name}")
    assert scope(ann, f"groups=nobody,{group}")
    assert not scope(ann, "groups=no-such-group")
    assert scope(ann, f"users=somebody groups={group}")
    assert not scope(ann, f"exempt={ann.name}")
    assert not scope(ann, f"exempt=@{group}")
    assert not scope(ann, f"users={ann.name} exempt={ann.name}")
    assert scope(ann, "exempt=@no-such-group")


def test_uids_below_the_minimum_are_left_alone(ann):
    assert not scope(ann, f"minimum_uid={ann.uid + 1}")
    assert scope(ann, f"minimum_uid={ann.uid}")


@pytest.mark.parametrize("user", [
    "no-such-user", "DOM\\user", "user@dom", "a" * 300, "x\ny", "-D", "*"])
def test_a_name_without_an_entry_means_nothing(ann, user):
    done = Stack().call(ann, "auth", "open", "close", user=user)
    assert done.codes == [IGNORE] * 3
    assert "AWSENV_SOCK" not in done.env and not ours(done, ERR)


@pytest.mark.parametrize("user", ["DOM\\ann", "ann@dom.example"])
def test_names_of_a_domain_are_names_like_others(ann, user):
    """Where NSS knows them, as winbind and sssd have it."""
    if not glob.glob(NSS_WRAPPER):
        pytest.skip("libnss-wrapper is not installed")
    passwd, group = ann.dir / "passwd", ann.dir / "group"
    passwd.write_text(f"{user}:x:{ann.uid}:{ann.gid}::{ann.home}:/bin/sh\n")
    group.write_text(f"{user.swapcase()}:x:{ann.gid}:\n")
    nss = {"user": user, "preload": glob.glob(NSS_WRAPPER),
           "env": {"NSS_WRAPPER_PASSWD": str(passwd),
                   "NSS_WRAPPER_GROUP": str(group)}}
    done = Stack().call(ann, "open", "close", **nss)
    assert done.codes == [SUCCESS] * 2 and not ours(done, ERR)
    assert done.env["AWSENV_SOCK"] == str(ann.sock)
    assert ann.processes("awsenv-agent")
    if ROOT:
        env = proc(ann.processes("awsenv-agent")[0], "environ").split("\0")
        assert f"USER={user}" in env and f"LOGNAME={user}" in env
    ann.kill()
    for options, acts in ((f"users={user}", True), ("users=ann", False),
                          (f"groups={user.swapcase()}", True),
                          (f"groups={user}", False), (f"exempt={user}", False),
                          (f"exempt=@{user.swapcase()}", False)):
        assert scope(ann, options, **nss) == acts, options


@contextlib.contextmanager
def below_run(uid):
    """/run/awsenv/UID, and afterwards /run as it was."""
    there = pathlib.Path("/run/awsenv")
    try:
        yield there / str(uid)
    finally:
        shutil.rmtree(there / str(uid), ignore_errors=True)
        with contextlib.suppress(OSError):
            there.rmdir()


@root_only
@pytest.mark.skipif(not ROOT or bool(etc.missing()),
                    reason="needs root, and a mount namespace")
def test_switched_off_it_does_nothing_and_lets_everybody_in(ann, tmp_path):
    (tmp_path / "config").write_text("[awsenv]\nenabled = false\n")
    with etc.World(tmp_path) as world, fake(ann, data=pending()) as requests:
        done = Stack("debug").call(ann, "open", ("setcred", REFRESH), "close",
                                   enter=world.enter)
        assert done.codes == [SUCCESS, IGNORE, SUCCESS]
        assert done.env.keys().isdisjoint({"AWSENV_SOCK"}) and not done.text
        assert not requests() and "switched off" in done.logged(DEBUG)[0]
        # Alone and required, it must not be what keeps people out.
        alone = [line for kind in ("auth", "account", "password")
                 for line in [f"{kind} required pam_permit.so"]]
        done = Stack(lines=[*alone, "session required MODULE"]).call(
            ann, "open", enter=world.enter)
        assert done.codes == [SUCCESS]
        (tmp_path / "config").write_text("[awsenv]\nenabled = true\n")
        assert "AWSENV_SOCK" in Stack().call(ann, "open",
                                             enter=world.enter).env
        assert len(requests()) == 1


def test_root_only_where_root_is_named():
    with Account() as ann, below_run(0):
        for options, acts in (("", False), ("minimum_uid=0", False),
                              ("users=root", False),
                              ("minimum_uid=0 users=*", True),
                              ("minimum_uid=0 users=root", True)):
            done = Stack("login=lazy " + options).call(
                ann, "open", user="root",
                putenv=["XDG_RUNTIME_DIR=" + str(ann.dir / "root")])
            assert (done.codes == [SUCCESS]) == acts, options


# The agent that it starts

def proc(pid, name):
    return pathlib.Path(f"/proc/{pid}/{name}").read_bytes().decode()


def test_the_agent_that_it_starts_is_the_users_and_nothing_elses(ann):
    done = Stack().call(
        ann, "open", keepfd=True,
        env={"SSH_CLIENT": "1", "NOTIFY_SOCKET": "/x", "LISTEN_FDS": "1",
             "LD_LIBRARY_PATH": "/nowhere", "AWS_PROFILE": "evil"})
    assert done.codes == [SUCCESS] and done.seconds[0] < LONG
    assert done.env["AWSENV_SOCK"] == str(ann.sock)
    forward = pathlib.Path(done.env["AWSENV_FORWARD_SOCK"])
    assert forward == ann.sock.parent / "forward.sock" and forward.is_socket()
    pid, = [p for p in ann.processes("awsenv-agent") if os.getsid(p) == p]
    status = dict(line.split(":\t", 1) for line in
                  proc(pid, "status").splitlines() if ":\t" in line)
    assert status["Uid"].split() == [str(ann.uid)] * 4
    assert status["NoNewPrivs"] == "1"
    # SIGPIPE is its own choice; nothing else is ignored, but for the two
    # signals that libc keeps to itself and lets nobody set.
    own = 1 << (signal.SIGPIPE - 1) | 1 << (32 - 1) | 1 << (33 - 1)
    assert int(status["SigIgn"], 16) & ~own == 0
    if not ROOT:
        return      # the rest of it is not for its user to read
    assert status["Gid"].split() == [str(ann.gid)] * 4
    assert status["Groups"].split() == [str(ann.gid)]
    assert int(status["CapPrm"], 16) == int(status["CapEff"], 16) == 0
    env = set(proc(pid, "environ").split("\0")) - {""}
    assert {e.split("=")[0] for e in env} == {
        "HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG", "XDG_RUNTIME_DIR"}
    assert f"HOME={ann.home}" in env
    fds = {fd: os.readlink(f"/proc/{pid}/fd/{fd}")
           for fd in os.listdir(f"/proc/{pid}/fd")}
    assert {fds[n] for n in "012"} == {"/dev/null"}
    assert not [t for t in fds.values() if "kept-by-the-host" in t]
    assert os.readlink(f"/proc/{pid}/cwd") == "/"


@root_only
def test_in_su_the_callers_environment_counts_for_nothing(ann):
    with Account() as bob:
        hostile = {"XDG_RUNTIME_DIR": str(bob.runtime), "HOME": str(bob.home),
                   "AWSENV_SOCK": str(bob.sock), "PATH": str(bob.home),
                   "TZ": ":/etc/shadow"}
        done = Stack("services=su", service="su").call(
            ann, "open", "close", env=hostile, uids=[bob.uid, 0, 0])
        assert done.codes == [SUCCESS, SUCCESS]
        assert done.env["AWSENV_SOCK"] == str(ann.sock)
        pids = ann.processes("awsenv-agent")
        assert pids and not bob.processes()
        assert not list(bob.runtime.iterdir())
        env = proc(pids[0], "environ")
        assert str(bob.dir) not in env and "shadow" not in env


@pytest.mark.parametrize("sigchld", ["ignore", "handler"])
def test_the_hosts_sigchld_does_not_matter_and_stays(ann, sigchld):
    done = Stack().call(ann, "open", sigchld=sigchld)
    assert done.codes == [SUCCESS] and ann.processes("awsenv-agent")
    assert not ours(done, ERR)


def test_two_logins_at_once_share_one_agent(ann):
    results = []
    other = Account.__new__(Account)
    other.__dict__.update(ann.__dict__)
    other.dir = ann.dir / "second"
    other.dir.mkdir()

    def log_in(account):
        results.append(Stack().call(account, "open"))
    threads = [threading.Thread(target=log_in, args=[a])
               for a in (ann, other)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert [r.codes for r in results] == [[SUCCESS]] * 2
    leaders = [p for p in ann.processes("awsenv-agent") if os.getsid(p) == p]
    assert len(leaders) == 1


def script(account, text):
    path = account.dir / "helper"
    path.write_text(f"#!/bin/sh\necho $$ >{account.home}/pid\n{text}")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("text, said", [
    (None, "cannot be run"), ("exit 3\n", "status 3"),
    ("kill -SEGV $$\n", "status"), ("sleep 60\n", "does not get ready"),
    ("echo hello\nexit 0\n", None), ("kill -STOP $$\n", "not get ready")])
def test_a_helper_that_fails_is_one_line_in_the_log(ann, text, said):
    path = script(ann, text) if text else ann.dir / "missing"
    done = Stack(f"agent={path}").call(ann, "open", "close")
    # Its time runs out by itself, but not while it is stopped.
    if text:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int((ann.home / "pid").read_text()), signal.SIGKILL)
    assert done.codes == [SUCCESS, SUCCESS] and sum(done.seconds) < LONG
    assert done.env["AWSENV_SOCK"] == str(ann.sock)
    assert done.messages == []
    told = ours(done, ERR)
    assert len(told) == (said is not None)
    if said:
        assert said in told[0]


# Where the socket is

def bad_runtime(account, how):
    run = account.runtime
    if how == "missing":
        run.rmdir()
    elif how == "mode":
        run.chmod(0o755)
    elif how == "link":
        run.rename(account.dir / "real")
        run.symlink_to(account.dir / "real")
    elif how == "fifo":
        run.rmdir()
        os.mkfifo(run, 0o700)
    elif how == "owner":
        os.chown(run, 0, 0)
    account.give() if how != "owner" else None


@root_only
@pytest.mark.parametrize("how", ["missing", "mode", "link", "fifo", "owner"])
def test_without_a_sound_runtime_directory_root_makes_one(ann, how):
    bad_runtime(ann, how)
    with below_run(ann.uid) as own:
        done = Stack().call(ann, "open", "close", putenv=[
            f"XDG_RUNTIME_DIR={ann.runtime}"])
        assert done.codes == [SUCCESS, SUCCESS] and max(done.seconds) < LONG
        assert done.env["AWSENV_SOCK"] == f"{own}/agent.sock"
        st = own.stat()
        assert (st.st_uid, st.st_mode & 0o7777) == (ann.uid, 0o700)
        assert own.parent.stat().st_mode & 0o7777 == 0o755
        assert (own / "agent.sock").is_socket() and not ours(done, ERR)
        assert done.env["AWSENV_FORWARD_SOCK"] == f"{own}/forward.sock"
        assert (own / "forward.sock").is_socket()
        again = Stack("debug").call(ann, "open", putenv=[
            f"XDG_RUNTIME_DIR={ann.runtime}"])
        assert again.codes == [SUCCESS]
        assert "success" in again.logged(DEBUG)[0]
        ann.kill()


@root_only
def test_a_planted_directory_is_not_entered(ann):
    """What somebody put below /run/awsenv/UID or awsenv/ is not followed."""
    with Account() as bob:
        os.symlink(bob.runtime, ann.runtime / "awsenv")
        (bob.runtime / "awsenv").mkdir(mode=0o700)
        done = Stack().call(ann, "open")
        assert done.codes == [SUCCESS] and max(done.seconds) < LONG
        assert not [p for p in bob.runtime.rglob("*") if p.is_socket()]


# What may listen there

def fast_and_silent(call):
    """One time of twenty at least: this machine does other work, too."""
    for _ in range(20):
        done = call()
        assert done.codes == [SUCCESS] * len(done.codes)
        assert done.messages == []
        if max(done.seconds) < 0.5:
            return done
    raise AssertionError(f"it takes {done.seconds} s")


@root_only
def test_a_socket_of_another_user_gets_no_byte(ann):
    with fake(ann, data=pending(), owner=False) as requests:
        done = fast_and_silent(lambda: Stack().call(ann, "open", "close"))
        assert requests() == []
        assert "not a socket of uid" in ours(done, WARNING)[0]
        assert not ann.processes("awsenv-agent")


@root_only
def test_a_link_to_a_daemon_of_root_gets_no_byte(ann):
    path = ann.dir / "daemon"
    got = []
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen(5)
    server.settimeout(1)
    ann.sock.parent.mkdir(mode=0o700)
    ann.sock.symlink_to(path)
    ann.give()
    fast_and_silent(lambda: Stack().call(ann, "open"))
    client, _ = server.accept()
    got = client.recv(100)
    assert got == b""
    server.close()


def test_a_fifo_in_its_place_does_not_hold_the_login(ann):
    ann.sock.parent.mkdir(mode=0o700)
    os.mkfifo(ann.sock)
    ann.give()
    done = Stack(f"agent={ann.dir / 'missing'}").call(ann, "open", "close")
    assert done.codes == [SUCCESS] * 2 and max(done.seconds) < LONG


@pytest.mark.parametrize("how", ["deaf", "silent", "drip"])
def test_one_that_does_not_answer_costs_fifty_milliseconds(ann, how):
    with fake(ann, how, pending()):
        done = fast_and_silent(lambda: Stack().call(ann, "open", "close"))
        if how == "deaf":
            assert "does not accept" in ours(done, WARNING)[0]


@pytest.mark.parametrize("data", [
    b"", b"\0", b"\0\0\0\0", b"\xff\xff\xff\xff" * 100, b"\0\0\0\1\5",
    b"\0\0\0\1\x1c", b"HTTP/1.1 200 OK\r\n\r\n", pending()[:-1],
    reply()[:20] + b"\xff" * 400, pending()[:-4] + b"\0\0\0\xff"],
    ids=lambda data: str(len(data)))
def test_garbage_is_not_believed(ann, data):
    with fake(ann, data=data):
        fast_and_silent(lambda: Stack().call(ann, "open", "close"))


@pytest.mark.parametrize("fields", [
    {"url": "javascript:alert(1)"}, {"url": "http://evil.example/"},
    {"url": "https://a/\033[2J"}, {"url": "https://a/ b"},
    {"url": "https://a/" + "x" * 2100}, {"url": ""}, {"code": ""},
    {"code": "AB\nCD"}, {"code": "A\033[31m"}, {"code": "x" * 100},
    {"state": 77}, {"state": wire.LOGIN_DONE}, {"error": 4}])
def test_what_must_not_be_shown_is_not(ann, fields):
    with fake(ann, data=pending(**fields)):
        fast_and_silent(lambda: Stack("wait=1").call(ann, "open"))


def test_names_are_shown_without_what_a_terminal_would_obey(ann):
    bad = "x\033]0;owned\a\n\r\u202e\x9b2J%s%n"
    with fake(ann, data=pending(session=bad, host=bad, notice=bad)):
        done = Stack("wait=1").call(ann, "open", items={
            "rhost": bad.encode().decode("latin-1"), "tty": "a\nb"})
    (style, text), = done.messages
    assert style == TEXT_INFO and "x?]0;owned???" in text
    assert all(c == "\n" or " " <= c <= "~" for c in text)
    assert "owned" not in "".join(t for _, t in done.log)


# What is said

def test_a_known_login_is_one_line_with_its_code(ann):
    with fake(ann, data=pending()):
        done = Stack().call(ann, "open")
    (style, text), = done.messages
    assert style == TEXT_INFO and "\n" not in text
    assert "ABCD-EFGH" in text and "awsenv login" in text
    assert re.search(r"\b9 minutes", text) and len(text) < 200
    assert "AWSENV_SHOWN" not in done.env


def test_with_wait_it_is_all_there_and_not_said_again(ann):
    with fake(ann, data=pending(
            notice="NOT AWS: endpoint https://x; CA bundle /ca")) as got:
        done = Stack("wait=2").call(ann, "open")
        assert [r.ms for r in got()] == [2000]
    (style, text), = done.messages
    assert f"\n{URL}\n" in text and "ABCD-EFGH" in text and "corp" in text
    assert "\n  *** NOT AWS: endpoint https://x ***\n  CA bundle /ca\n" in text
    assert done.env["AWSENV_SHOWN"] == "1"


@pytest.mark.parametrize("rhost, said", [(None, False), ("", False),
                                         ("10.0.0.1", True)])
@pytest.mark.parametrize("options", ["", "wait=1"])
def test_who_comes_from_elsewhere_is_told_who_will_hold_it(
        ann, options, rhost, said):
    with fake(ann, data=pending()):
        done = Stack(options).call(ann, "open", items={} if rhost is None else
                                   {"rhost": rhost})
    assert ("root of box will hold it" in done.text) == said


def test_a_proxy_is_said_and_not_shouted(ann):
    with fake(ann, data=pending(notice="through proxy p.example; CA bundle /ca")):
        done = Stack("wait=2").call(ann, "open")
    (_, text), = done.messages
    assert "\n  through proxy p.example\n  CA bundle /ca\n" in text
    assert "***" not in text


@contextlib.contextmanager
def terminal(rows, cols, utf8):
    """A terminal's name, as login(1) would give it."""
    ours, theirs = pty.openpty()
    try:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ,
                    struct.pack("HHHH", rows, cols, 0, 0))
        modes = termios.tcgetattr(theirs)
        modes[0] = modes[0] & ~IUTF8 | (IUTF8 if utf8 else 0)
        termios.tcsetattr(theirs, termios.TCSANOW, modes)
        os.fchmod(theirs, 0o666)
        yield os.ttyname(theirs)
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize("rows, cols, utf8, service, drawn", [
    (60, 80, True, "login", True), (60, 80, False, "login", False),
    (60, 40, True, "login", False), (30, 80, True, "login", False),
    (60, 80, True, "sshd", False)])
def test_a_qr_code_where_the_terminal_has_room(
        ann, rows, cols, utf8, service, drawn):
    with fake(ann, data=pending(**qr())), terminal(rows, cols, utf8) as tty:
        for name in (tty, tty.removeprefix("/dev/")):
            done = Stack(service=service).call(ann, "open",
                                               items={"tty": name})
            (_, text), = done.messages
            text = text.encode("latin-1").decode()
            assert ("\u2588" in text) == drawn
            if drawn:       # above what follows, and between calm colours
                assert re.search("\033\\[0m\n\n  Valid for", text)
                assert len(text.split("\033[40;37;1m")) == 1 + (33 + 9) // 2


@pytest.mark.parametrize("tty", ["ssh", ":0", "", "null", "/dev/null",
                                 "/etc/passwd", "tty/../../etc/passwd",
                                 "pts/999999", "tty" + "x" * 99])
def test_no_qr_code_on_what_is_no_terminal(ann, tty):
    with fake(ann, data=pending(**qr())):
        done = Stack(service="login").call(ann, "open", items={"tty": tty})
    (_, text), = done.messages
    assert "\033" not in text and "ABCD-EFGH" in text


def test_login_waits_three_seconds_and_others_do_not(ann):
    with fake(ann, data=reply()) as got:
        Stack(service="login").call(ann, "open")
        Stack(service="sshd").call(ann, "open")
        Stack("wait=0", service="login").call(ann, "open")
        Stack("quiet", service="login").call(ann, "open")
        Stack(service="login").call(ann, ("open", SILENT))
        Stack("wait=9999").call(ann, "open")
        assert [r.ms for r in got()] == [3000, 0, 0, 0, 0, 10000]


@pytest.mark.parametrize("options, flags", [("quiet", 0), ("", SILENT)])
def test_quiet_and_silent_are_obeyed(ann, options, flags):
    with fake(ann, data=pending()):
        done = Stack(options).call(ann, ("open", flags))
        assert done.codes == [SUCCESS] and done.messages == []


@pytest.mark.parametrize("conv", ["null", "error", "none"])
def test_an_application_that_shows_nothing_is_no_failure(ann, conv):
    with fake(ann, data=pending()):
        done = Stack().call(ann, "open", "close", conv=conv)
        assert done.codes == [SUCCESS, SUCCESS]


def test_the_agent_is_told_who_came(ann):
    with fake(ann, data=reply()) as got:
        Stack().call(ann, "auth", "acct", "setcred", "open", "close",
                     ("setcred", DELETE),
                     items={"tty": "ssh", "rhost": "10.0.0.1"})
        said = got()
    assert [r.what for r in said] == [wire.NUDGE_LOGIN, wire.NUDGE_GONE]
    assert {(r.service, r.tty, r.rhost, r.start) for r in said} == {
        (b"sshd", b"ssh", b"10.0.0.1", wire.NUDGE_EAGER)}


CAME_BACK, CAME = wire.NUDGE_UNLOCK, wire.NUDGE_LOGIN
AGAIN = ("setcred", REINITIALIZE)


@pytest.mark.parametrize("service, as_user, calls, nudges", [
    ("gdm-password", False, ["auth", "acct", AGAIN, ("setcred", DELETE)],
     [CAME_BACK]),
    ("gdm-password", False, [("auth", SILENT), ("acct", SILENT),
                             ("setcred", REINITIALIZE | SILENT)], [CAME_BACK]),
    ("lightdm", False, ["auth", "acct", AGAIN], [CAME_BACK]),
    ("light-locker", False, ["auth", "acct", AGAIN], [CAME_BACK]),
    ("xscreensaver", False, ["auth", "acct", AGAIN], [CAME_BACK]),
    ("cinnamon-screensaver", True, ["auth", "acct", AGAIN], [CAME_BACK]),
    ("swaylock", True, ["auth", ("setcred", REFRESH)], [CAME_BACK]),
    ("i3lock", True, ["auth", ("setcred", REFRESH)], [CAME_BACK]),
    ("kde", True, ["auth"], []),
    ("kde", True, ["auth", ("setcred", REFRESH)], [CAME_BACK]),
    # As they might, and as a login by util-linux does.
    ("swaylock", True, ["auth", AGAIN, ("setcred", REFRESH)], [CAME_BACK]),
    ("login", False, ["auth", "acct", "setcred", "open", AGAIN], [CAME]),
    # Its handle lives as long as the desktop does.
    ("lightdm", False, ["auth", "setcred", "open", ("sleep", 5.2), AGAIN],
     [CAME, CAME_BACK]),
    ("sudo", False, ["acct", AGAIN, "open"], []),
    ("systemd-user", False, ["acct", AGAIN, "open"], []),
])
def test_who_comes_is_one_nudge(ann, service, as_user, calls, nudges):
    with fake(ann, data=reply()) as got:
        done = Stack("wait=0", service=service).call(ann, *calls,
                                                     as_user=as_user)
        assert set(done.codes) <= {IGNORE, SUCCESS}
        assert done.messages == [] and max(done.seconds) < LONG
        assert [r.what for r in got()] == nudges


@pytest.mark.parametrize("login", ["lazy", "off"])
def test_lazy_and_off_touch_no_agent(ann, login):
    done = Stack("login=" + login).call(ann, "open", "close")
    assert done.codes == [SUCCESS] * 2 and not ann.processes("awsenv-agent")
    assert done.env["AWSENV_SOCK"] == str(ann.sock)
    assert done.env["AWSENV_FORWARD_SOCK"] == str(
        ann.sock.parent / "forward.sock")
    with fake(ann, data=pending()) as got:
        done = Stack("login=" + login).call(
            ann, "open", ("setcred", REFRESH), "close")
        assert got() == [] and done.messages == []


def test_a_locker_starts_no_agent_and_runs_as_the_user(ann):
    stack = Stack(service="swaylock")
    done = stack.call(ann, "auth", ("setcred", REFRESH), as_user=True)
    assert done.codes == [IGNORE, IGNORE]
    assert not ann.processes("awsenv-agent")
    with fake(ann, data=reply()) as got:
        done = stack.call(ann, "auth", ("setcred", REFRESH), as_user=True)
        assert max(done.seconds) < LONG
        assert [r.what for r in got()] == [wire.NUDGE_UNLOCK]


def test_data_is_freed_in_a_child_without_doing_anything(ann):
    with fake(ann, data=reply()) as got:
        done = Stack("nonsense").call(ann, "open", end=0x40000000)
        assert done.codes == [SUCCESS] and len(got()) == 1


def test_an_open_takes_a_few_milliseconds(ann):
    Stack().call(ann, "open")
    done = Stack().call(ann, *["open"] * 30)
    assert done.codes == [SUCCESS] * 30
    assert min(done.seconds) < 0.05
