# SPDX-License-Identifier: ISC
"""sshd, login and su with the module in their stacks, as root, on loopback."""
import os
import re
import shlex
import shutil
import socket
import subprocess
import time

import pytest

from simulator.client import Simulator
from stack import Account, sanitizer, stat
from world import PASSWORD, World


def missing():
    """Why these tests cannot run here, if they cannot."""
    if os.geteuid() != 0:
        return "only root can make users and namespaces"
    for program in ("sshd", "login", "su", "useradd"):
        if not shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin"):
            return f"{program} is not installed"
    if sanitizer():
        return "sshd, login and su cannot load a module with sanitizers"
    if subprocess.run(["unshare", "-m", "true"],
                      capture_output=True).returncode:
        return "this container may make no mount namespace"
    return ""


pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


@pytest.fixture
def sim():
    with Simulator(accounts=3, interval=1) as simulator:
        yield simulator


@pytest.fixture
def ann():
    with Account() as account:
        yield account


@pytest.fixture
def world(ann, sim):
    with World(ann, sim) as w:
        w.sshd()
        yield w


def starts(sim):
    return sim.counts()["StartDeviceAuthorization"]


@pytest.mark.parametrize("method", ["publickey", "password",
                                    "keyboard-interactive"])
def test_a_login_by_ssh_brings_aws_into_its_shell(world, sim, method):
    with world.ssh_terminal(method=method) as t:
        text = t.until("Later: awsenv login")
        code = sim.pending()[-1]["user_code"]
        assert code in text and sim.pending()[-1]["url_complete"] in text
        assert f"Root of {socket.gethostname()} will hold the login" in text
        assert starts(sim) == 1
        sim.approve(code)
        t.press(b"awsenv -p marketing aws sts get-caller-identity; "
                b"echo S$?=$AWSENV_SOCK.\n")
        text = t.until(f"S0={world.sock}.", 40)
        assert re.search(r'"Arn": "arn:aws:sts::\d+:assumed-role/', text)
        assert "ann@example.com" in text
        t.press(b"exit\n")
    # A second login has nothing to show.
    with world.ssh_terminal() as t:
        t.press(b"echo re''ady\n")
        text = t.until("ready")
        assert "awsenv:" not in text and code not in text
    assert starts(sim) == 1


def test_a_pending_login_is_seen_at_the_next_login_too(world, sim):
    assert world.ssh("true").returncode == 0
    code = sim.wait_pending()["user_code"]
    with world.ssh_terminal() as t:
        text = t.until("Later: awsenv login")
        assert text.count("Open this page") == 1 and code in text
    assert starts(sim) == 1


def test_ctrl_c_skips_the_wait_and_the_shell_comes(world, sim):
    sim.hold("StartDeviceAuthorization")
    with world.ssh_terminal() as t:
        time.sleep(1)
        t.press(b"\x03")
        t.press(b"echo re''ady\n")
        t.until("ready")
        assert "awsenv:" not in t.text
    sim.release()


def test_commands_and_copies_see_nothing_of_it(world, sim, tmp_path):
    data = os.urandom(300000)
    (tmp_path / "data").write_bytes(data)
    for _ in range(2):      # nothing known yet; a login that waits
        done = world.ssh("printf", "'a\\0b'")
        assert (done.returncode, done.stdout, done.stderr) == (0, b"a\0b", b"")
        for mode in ((), ("-O",)):
            done = world.scp(tmp_path / "data", "copy", *mode)
            assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
            assert (world.account.home / "copy").read_bytes() == data
        done = world.ssh("-s", "sftp")      # no subsystem word, but a session
        assert done.stderr == b""
        sim.wait_pending()
    done = world.ssh("exit 7", method="password")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"", b"")
    assert starts(sim) == 1


def test_sftp_a_shared_connection_and_one_without_command(world, sim, tmp_path):
    data = os.urandom(200000)
    (tmp_path / "data").write_bytes(data)
    (tmp_path / "batch").write_text(f"put {tmp_path}/data there\n")
    done = subprocess.run(
        ["sftp", "-q", *map(str, world.options_of()), "-P", str(world.port),
         "-b", str(tmp_path / "batch"),
         f"{world.account.name}@127.0.0.1"], env=world.client_env(),
        capture_output=True, timeout=30)
    assert done.returncode == 0 and done.stderr == b"", done.stderr
    assert (world.account.home / "there").read_bytes() == data
    sim.wait_pending()
    shared = ["-o", f"ControlPath={tmp_path}/master"]
    master = subprocess.Popen(
        ["ssh", "-M", "-N", *shared, *map(str, world.options_of()), "-p",
         str(world.port), f"{world.account.name}@127.0.0.1"],
        env=world.client_env(), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    sim.until((tmp_path / "master").exists, 20, "a master")
    for _ in range(3):
        done = world.ssh("echo $AWSENV_SOCK", options=shared)
        assert done.stdout.decode().strip() == str(world.sock)
        assert done.stderr == b""
    master.terminate()
    out, err = master.communicate(timeout=20)
    assert out == b"" and err == b""
    assert starts(sim) == 1


def test_a_killed_sshd_leaves_agent_and_login(world, sim):
    child = subprocess.Popen(
        ["ssh", *map(str, world.options_of()), "-p", str(world.port),
         f"{world.account.name}@127.0.0.1", "echo up; sleep 30"],
        env=world.client_env(), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout.readline() == b"up\n"
    code = sim.wait_pending()["user_code"]
    session = int(re.search(r"User child is on pid (\d+)",
                            world.log_of_sshd())[1])
    for pid in (stat(session)[2], session):     # root's part first
        os.kill(pid, 9)
    child.communicate(timeout=20)
    with world.ssh_terminal() as t:
        assert code in t.until("Later: awsenv login")
    assert starts(sim) == 1


def test_sixty_copies_without_a_token_are_one_login(world, sim, tmp_path):
    """The 300 are in the bench."""
    (tmp_path / "data").write_bytes(b"x" * 1000)
    for _ in range(60):
        done = world.scp(tmp_path / "data", "copy")
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    sim.wait_pending()
    assert starts(sim) <= 2


def test_rsync_moves_every_byte_both_ways(world, sim, tmp_path):
    if not shutil.which("rsync"):
        pytest.skip("rsync is not installed")
    ssh = shlex.join(["ssh", *map(str, world.options_of()), "-p",
                      str(world.port)])
    there = f"{world.account.name}@127.0.0.1:tree/"
    (tmp_path / "tree/deep").mkdir(parents=True)
    for name, size in (("a", 0), ("b", 1), ("deep/c", 300000)):
        (tmp_path / "tree" / name).write_bytes(os.urandom(size))
    for turn in range(2):       # nothing known yet; a login that waits
        shutil.rmtree(world.account.home / "tree", ignore_errors=True)
        for source, target in ((tmp_path / "tree/", there),
                               (there, tmp_path / f"back{turn}/")):
            done = subprocess.run(
                ["rsync", "-rc", "-e", ssh, f"{source}/", f"{target}/"],
                env=world.client_env(), capture_output=True, timeout=60)
            assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        for name in ("a", "b", "deep/c"):
            assert (tmp_path / f"back{turn}" / name).read_bytes() == \
                (tmp_path / "tree" / name).read_bytes()
        sim.wait_pending()
    assert starts(sim) == 1


def forwarding(tmp_path):
    """An ssh-agent of the client's, as `ssh -A` wants one."""
    sock = tmp_path / "ssh-agent"
    child = subprocess.Popen(["ssh-agent", "-D", "-a", str(sock)],
                             stdout=subprocess.DEVNULL)
    Simulator.until(sock.exists, 10, "ssh-agent")
    return child, ["-A", "-o", f"IdentityAgent={sock}", "-o",
                   f"ForwardAgent={sock}"]


def test_onto_a_lazy_host_nothing_is_shown_or_begun(ann, sim, tmp_path):
    """Before somebody there wants it; then it is said who will hold it."""
    child, options = forwarding(tmp_path)
    try:
        with World(ann, sim, "login=lazy") as world:
            world.sshd()
            with world.ssh_terminal(options=options) as t:
                t.press(b"test -S $SSH_AUTH_SOCK && echo for''warded; "
                        b"echo sock''=$AWSENV_SOCK.\n")
                text = t.until(f"sock={world.sock}.")
                assert "\nforwarded\n" in text.replace("\r", "\n")
                assert "awsenv:" not in text
                assert not ann.processes("awsenv-agent")
                assert sim.counts()["total"] == 0
                t.press(b"awsenv login -p marketing --no-wait; echo do''ne\n")
                text = t.until("\ndone")
                assert sim.pending()[-1]["user_code"] in text
                assert (f"Root of {socket.gethostname()} will hold the login"
                        in text)
                assert starts(sim) == 1
                t.press(b"exit\n")
    finally:
        child.terminate()
        child.wait()


def test_a_connection_for_forwarding_alone_says_nothing(world, sim):
    """ssh -N, and -T with what comes from a file."""
    for words in (("-N",), ("-T",)):
        child = subprocess.Popen(
            ["ssh", *words, *map(str, world.options_of()), "-p",
             str(world.port), f"{world.account.name}@127.0.0.1"],
            env=world.client_env(), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if words == ("-N",):
            sim.wait_pending()      # so the session is open
            child.terminate()
        out, err = child.communicate(b"echo only''this\n", timeout=30)
        if words == ("-N",):
            assert (out, err) == (b"", b"")
        else:       # what PAM stored comes before the script's output
            *first, last = out.decode().splitlines()
            assert last == "onlythis" and err == b""
            assert [line for line in first if "awsenv" in line] == [
                line for line in first if "awsenv: an AWS login waits" in line]
    assert starts(sim) == 1


@pytest.mark.parametrize("named", [False, True])
def test_a_job_of_cron(ann, sim, named):
    """No conversation, nobody who could look; where it is named, the path."""
    if not shutil.which("cron"):
        pytest.skip("cron is not installed")
    with World(ann, sim, "services=cron" if named else "",
               ("cron",)) as world:
        tabs = world.dir / "cron/crontabs"
        tabs.mkdir(parents=True)
        (tabs / ann.name).write_text(
            "SHELL=/bin/sh\n@reboot env >$HOME/env.part && "
            "mv $HOME/env.part $HOME/env\n")
        os.chown(tabs / ann.name, ann.uid, ann.gid)
        (tabs / ann.name).chmod(0o600)
        assert world.run("mount", "--bind", tabs.parent,
                         "/var/spool/cron").returncode == 0
        cron = subprocess.Popen(world.inside("cron", "-f"),
                                stderr=subprocess.PIPE)
        try:
            sim.until((ann.home / "env").exists, 30, "a job that ran")
        finally:
            cron.terminate()
            _, told = cron.communicate(timeout=20)
        env = (ann.home / "env").read_text()
        assert (f"AWSENV_SOCK={world.sock}\n" in env) == named
        assert ("AWSENV" in env) == named and told == b""
        assert bool(ann.processes("awsenv-agent")) == named


def test_the_user_managers_stack_is_left_alone(ann, sim):
    """It runs inside the login, which waits for it."""
    if not shutil.which("pamtester"):
        pytest.skip("pamtester is not installed")
    with World(ann, sim, "services=*", ("systemd-user", "sshd")) as world:
        done = world.run("pamtester", "systemd-user", ann.name, "acct_mgmt",
                         "setcred(0)", "open_session", "close_session")
        assert done.returncode == 0, done
        assert not ann.processes() and sim.counts()["total"] == 0


def test_a_hushed_login_and_one_without_terminal(world, sim):
    (world.account.home / ".hushlogin").touch()
    world.account.give()
    assert world.ssh("true").returncode == 0
    sim.wait_pending()
    read, write = os.pipe()
    os.write(write, b"echo only this\n")
    os.close(write)
    done = world.ssh("-T", stdin=read)
    os.close(read)
    assert done.stdout == b"only this\n" and done.stderr == b""


def test_without_aws_the_login_is_as_fast_as_ever(world, sim):
    sim.fault("*", "hang", seconds=30)
    world.ssh("true")
    times = []
    for _ in range(5):
        begun = time.monotonic()
        assert world.ssh("true").returncode == 0
        times.append(time.monotonic() - begun)
    assert min(times) < 3
    sim.clear_faults()


def test_without_an_agent_program_the_login_goes_on(ann):
    with World(ann, options="agent=/nowhere/awsenv-agent") as world:
        world.sshd()
        done = world.ssh("echo $AWSENV_SOCK")
        assert done.returncode == 0 and done.stderr == b""
        assert done.stdout.decode().strip() == str(world.sock)


def test_one_agent_however_many_sessions_and_it_stays(world):
    agents = set()
    for _ in range(3):
        assert world.ssh("true").returncode == 0
        agents.add(tuple(p for p in world.account.processes("awsenv-agent")
                         if os.getsid(p) == p))
    assert len(agents) == 1 and len(agents.pop()) == 1


def test_the_agent_keeps_no_connection_of_sshd(world):
    """A descriptor left open would make the client hang at its end."""
    assert world.ssh("true", timeout=60).returncode == 0
    for pid in world.account.processes():
        for fd in os.listdir(f"/proc/{pid}/fd"):
            assert "inet" not in os.readlink(f"/proc/{pid}/fd/{fd}")
    out = subprocess.run(["ss", "-tnp", f"( sport = :{world.port} )"],
                         capture_output=True, text=True).stdout
    assert "awsenv" not in out


def test_login_shows_it_once_before_the_shell(world, sim):
    with world.terminal("login") as t:
        t.until("login:")
        t.press(world.account.name.encode() + b"\n")
        t.until("assword:")
        t.press(PASSWORD.encode() + b"\n")
        text = t.until("Later: awsenv login")
        code = sim.wait_pending()["user_code"]
        assert code in text
        t.press(b"echo re''ady; env | grep -c AWSENV_SHOWN\n")
        text = t.until("ready\n0\n")
        assert text.count("Open this page") == 1
        assert f"AWS login of {world.account.name}" in text
        t.press(b"exit\n")


def test_login_without_a_password_shows_it_too(world, sim):
    with world.terminal("login", "-f", world.account.name) as t:
        text = t.until("Later: awsenv login")
        assert sim.wait_pending()["user_code"] in text
        t.press(b"exit\n")


@pytest.mark.parametrize("argv, services, acts", [
    (["su"], ("su",), False), (["su", "-"], ("su-l",), False),
    (["su"], ("su",), True), (["su", "-"], ("su-l",), True),
    (["runuser", "-u"], ("runuser",), False)])
def test_su_only_where_it_is_named(ann, sim, argv, services, acts):
    options = "services=su,su-l" if acts else ""
    with World(ann, sim, options, services) as world:
        command = ["sh", "-c", "echo =$AWSENV_SOCK="]
        if argv[0] == "runuser":
            argv = [*argv, ann.name, "--", *command]
        else:
            argv = [*argv, ann.name, "-c", command[2]]
        done = world.run(*argv, env={
            "PATH": "/usr/sbin:/usr/bin:/bin", "HOME": "/root",
            "XDG_RUNTIME_DIR": "/run/user/0"})
        assert done.returncode == 0 and done.stderr == ""
        assert done.stdout == f"={world.sock if acts else ''}=\n"
        assert bool(ann.processes("awsenv-agent")) == acts
