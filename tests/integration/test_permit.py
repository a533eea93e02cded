# SPDX-License-Identifier: ISC
"""`awsenv forward`: a further socket for one purpose, with real ssh and sshd."""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess

import pytest

import wire
from agent import BUILD, Agent, until
from simulator.client import Simulator

SSHD = "/usr/sbin/sshd"
NO_SSH = not (shutil.which("ssh") and os.path.exists(SSHD))


def ready(sim):
    """With the endpoints in the file: a far side's variables do not count."""
    keys = {"endpoint_url": sim.urls["https"], "ca_bundle": sim.ca}
    agent = Agent(sim, profiles=[
        {"name": name, **keys} for name in ("marketing", "platform")],
        env={name: None for name in sim.env()})
    agent.start().log_in("marketing")
    return agent


@pytest.fixture(scope="module")
def sim():
    with Simulator(accounts=3, interval=1) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def shared(sim):
    agent = ready(sim)
    yield agent
    agent.close()


@pytest.fixture
def agent(shared):
    """With no socket of the case before."""
    text = shared.config.read_text()
    yield shared
    print("--- the agent's log:\n" + shared.logged()[-8000:])
    shared.config.write_text(text)

    def none_is_left():
        for line in listed(shared):
            forward(shared, "--end", line.split()[0])
        return not listed(shared)
    until(none_is_left)


@pytest.fixture
def own(sim):
    """For who ends it."""
    agent = ready(sim)
    yield agent
    agent.close()


def forward(agent, *words, **options):
    return agent.run("forward", *words, **options)


def opened(agent, *words):
    done = forward(agent, *words)
    assert done.returncode == 0, done.stderr
    path = done.stdout.strip()
    assert re.fullmatch(r".*/awsenv/forward-[0-9a-f]{8}\.sock", path)
    return path


def through(path):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(30)
    s.connect(path)
    return s


def error(agent, path, profile):
    with through(path) as s:
        return agent.creds(profile, check=False, sock=s).error


def listed(agent):
    return forward(agent, "--list").stdout.splitlines()


def test_only_these_profiles_and_nothing_else(agent):
    path = opened(agent, "--profile", "marketing")
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert error(agent, path, "marketing") == 0
    for profile in ("platform", "nosuch"):
        assert error(agent, path, profile) == wire.AW_DENIED
    with through(path) as s:
        for name in ("login@awsenv", "logout@awsenv", "log@awsenv"):
            assert agent.ask(name, {}, s, check=False).error == wire.AW_DENIED
        refused = agent.ask("creds@awsenv", {
            **agent.asking(), "ask.account": "100000000001",
            "ask.role": "Developer"}, s, check=False)
        assert refused.error == wire.AW_DENIED
    # Nor may one who came through it open another.
    with through(path) as s:
        assert agent.ask("forward@awsenv", {"what": 1}, s, check=False
                         ).error == wire.AW_DENIED
    lines = agent.run("log").stdout.splitlines()
    name = pathlib.Path(path).stem
    assert sum(f", {name}: ASIA" in line for line in lines) == 1
    assert sum(f", {name}: creds@awsenv:" in line for line in lines) == 3


def test_it_lists_and_ends(agent):
    one = opened(agent, "--profile", "marketing", "-p", "platform",
                 "--confirm", "--for", "2h")
    two = opened(agent, "--profile", "marketing",
                 "--host", "SHA256:" + "a" * 43)
    lines = sorted(listed(agent))
    assert len(lines) == 2
    first = next(line for line in lines if line.startswith(one))
    second = next(line for line in lines if line.startswith(two))
    assert "--profile marketing --profile platform --confirm, until" in first
    assert f"--host SHA256:{'a' * 43}" in second
    with through(one) as s:
        assert forward(agent, "--end", one).returncode == 0
        assert s.recv(1) == b""         # who was there is cut off
    until(lambda: not os.path.exists(one))
    assert forward(agent, "--end", pathlib.Path(two).stem).returncode == 0
    assert listed(agent) == []
    again = forward(agent, "--end", one)
    assert again.returncode == 1 and "no such socket" in again.stderr


def test_what_cannot_be_is_told_at_once(agent):
    unknown = forward(agent, "--profile", "nosuch")
    assert unknown.returncode == 4 and "nosuch" in unknown.stderr
    assert forward(agent).returncode == 2
    assert forward(agent, "--list", "--profile", "x").returncode == 2
    assert forward(agent, "--end", "/etc/passwd").returncode == 2
    assert forward(agent, "-p", "marketing", "--host", "-oProxyCommand=x"
                   ).returncode == 4
    text = agent.config.read_text().replace(
        "[profile platform]", "[profile platform]\nawsenv_forward = deny")
    agent.config.write_text(text)
    denied = forward(agent, "--profile", "platform")
    assert denied.returncode == 5 and "denies" in denied.stderr
    assert agent.run("--profile", "a", "-p", "b", "ls").returncode == 2
    assert agent.run("ls", "-p", "a", "-p", "b").returncode == 2
    assert listed(agent) == []


def test_a_later_deny_wins(agent):
    path = opened(agent, "--profile", "platform")
    assert error(agent, path, "platform") == 0
    with agent.config.open("a") as f:
        f.write("\n")
    agent.config.write_text(agent.config.read_text().replace(
        "[profile platform]", "[profile platform]\nawsenv_forward = deny"))
    until(lambda: error(agent, path, "platform") == wire.AW_DENIED)


def test_it_ends_at_its_time_also_without_a_broker(agent):
    path = opened(agent, "--profile", "marketing", "--for", "2s")
    until(lambda: not os.path.exists(path))
    assert listed(agent) == []
    path = opened(agent, "--profile", "marketing", "--for", "2s")
    agent.kill_broker()
    until(lambda: not os.path.exists(path))
    assert listed(agent) == []


def test_it_survives_the_broker(agent):
    path = opened(agent, "--profile", "marketing", "--for", "2h")
    before = listed(agent)
    for _ in range(3):
        agent.kill_broker()
        assert error(agent, path, "marketing") == 0
        assert error(agent, path, "platform") == wire.AW_DENIED
    assert listed(agent) == before


def test_a_request_that_is_repeated_makes_one(agent):
    fields = {**agent.asking(), "id": 7, "profiles": wire.join(["marketing"])}
    for _ in range(3):
        agent.ask("forward@awsenv", fields)
    assert len(listed(agent)) == 1


def test_sixteen_are_enough(agent):
    for _ in range(16):
        opened(agent, "--profile", "marketing")
    done = forward(agent, "--profile", "marketing")
    assert done.returncode == 1 and "--list" in done.stderr
    assert forward(agent, "--end", listed(agent)[0].split()[0]).returncode == 0
    opened(agent, "--profile", "marketing")


@pytest.mark.parametrize("profiles, hosts", [
    ([], []), (["a\nb"], []), (["a"] * 17, []), (["a"], ["h"] * 17),
    ([""], []), (["a" * 300], [])])
def test_hostile_lists_are_refused(agent, profiles, hosts):
    reply = agent.ask("forward@awsenv", {
        **agent.asking(), "id": 1, "profiles": wire.join(profiles),
        "hosts": wire.join(hosts)}, check=False)
    assert reply.error == wire.AW_PROTO
    assert listed(agent) == []


def test_the_next_agent_removes_what_a_killed_one_left(own):
    path = opened(own, "--profile", "marketing")
    other = pathlib.Path(path).parent / "forward-notes.sock"
    other.touch()
    own.process.kill()
    own.process.wait()
    assert os.path.exists(path)
    own.start()
    assert not os.path.exists(path) and other.exists()


def test_an_agent_that_ends_leaves_none(own):
    path = opened(own, "--profile", "marketing")
    own.stop()
    assert not os.path.exists(path)


def test_a_command_has_it_while_it_runs(agent):
    done = forward(agent, "--profile", "marketing", "--", "sh", "-c",
                   f"echo $AWSENV_SOCK; {BUILD}/awsenv -p marketing env; "
                   f"{BUILD}/awsenv -p platform env; exit 37")
    path, *env = done.stdout.splitlines()
    assert done.returncode == 37
    assert any(line.startswith("AWS_ACCESS_KEY_ID=ASIA") for line in env)
    assert "platform" in done.stderr
    until(lambda: not os.path.exists(path))
    assert listed(agent) == []
    assert forward(agent, "-p", "marketing", "--", "/no/such").returncode \
        == 127
    assert forward(agent, "-p", "marketing", "--", "sh", "-c", "kill -9 $$"
                   ).returncode == 128 + signal.SIGKILL
    assert listed(agent) == []


@pytest.fixture
def running(agent):
    """A command that has a socket, and awsenv, which waits for it."""
    child = subprocess.Popen(
        [BUILD / "awsenv", "forward", "-p", "marketing", "--for", "2h", "--",
         "sh", "-c", "echo $AWSENV_SOCK; read x; exit 37"],
        env=agent.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True)
    child.path = child.stdout.readline().strip()
    yield child
    child.kill()
    child.wait()
    child.stdin.close()         # and with that the command ends
    child.stdout.close()


def test_killed_it_takes_the_socket_along(agent, running):
    """What the command may go on doing, it does without."""
    assert ", while its command runs" in listed(agent)[0]
    with through(running.path) as s:
        running.kill()
        assert s.recv(1) == b""
    until(lambda: not os.path.exists(running.path))
    assert running.wait(60) == -signal.SIGKILL and listed(agent) == []


def test_the_next_broker_knows_whose_it_is(agent, running):
    for _ in range(3):
        agent.kill_broker()
        assert error(agent, running.path, "marketing") == 0
    running.kill()
    until(lambda: not os.path.exists(running.path), 60)
    assert listed(agent) == []


def test_a_broker_that_dies_is_nothing_to_the_command(agent, running):
    agent.kill_broker()
    assert error(agent, running.path, "marketing") == 0
    running.stdin.close()
    assert running.wait(60) == 37
    until(lambda: not os.path.exists(running.path))


# Real ssh, whose sshd runs behind a ProxyCommand: no port, no root.


class Far:
    def __init__(self, folder, agent):
        self.dir, self.agent = folder, agent
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "",
                            "-f", folder / key], check=True)
        (folder / "authorized").write_text((folder / "user.pub").read_text())
        (folder / "authorized").chmod(0o600)
        (folder / "sshd_config").write_text(
            f"HostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
            "StrictModes no\nUsePAM no\nPidFile none\nLogLevel ERROR\n"
            "PermitUserEnvironment no\n")
        kind, key, *_ = (folder / "host.pub").read_text().split()
        (folder / "known").write_text(f"far.example {kind} {key}\n")
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", folder / "known"],
                       check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        self.ssh_config = folder / "ssh_config"
        self.ssh_config.write_text(
            "Host jump\n  HostName far.example\n"
            # ssh ends the shell; sshd would leave its agent's socket behind.
            f"  ProxyCommand sh -c '{SSHD} -i -f {folder}/sshd_config; exit'\n"
            f"  IdentityFile {folder}/user\n  IdentitiesOnly yes\n"
            f"  UserKnownHostsFile {folder}/known\n"
            "  GlobalKnownHostsFile /dev/null\n  LogLevel ERROR\n")
        # What finds ssh finds one that reads this file alone.
        bin = folder / "bin"
        bin.mkdir()
        (bin / "ssh").write_text(
            f'#!/bin/sh\nexec /usr/bin/ssh -F {self.ssh_config} "$@"\n')
        (bin / "ssh").chmod(0o755)
        self.env = {"PATH": f"{bin}:/usr/bin:/bin", "SSH_AUTH_SOCK": None}
        self.fingerprint = subprocess.run(
            ["ssh-keygen", "-lf", folder / "host.pub"], check=True,
            capture_output=True, text=True).stdout.split()[1]

    def forward(self, *words, **env):
        env = {k: v for k, v in {**self.env, **env}.items() if v is not None}
        return self.agent.run("forward", *words, env=env)


def far_command(profile):
    return (f"AWSENV_SOCK=$SSH_AUTH_SOCK {BUILD}/awsenv -p {profile} env "
            "</dev/null 2>&1 | grep -E 'AWS_ACCESS_KEY_ID|awsenv:'")


@pytest.fixture
def far(agent, tmp_path):
    if NO_SSH:
        pytest.skip("openssh-client and openssh-server are not installed")
    return Far(tmp_path, agent)


def test_ssh_forwards_it(far, agent):
    done = far.forward("--profile", "marketing", "--host", "jump", "--",
                       "ssh", "jump", far_command("marketing"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "AWS_ACCESS_KEY_ID=ASIA" in done.stdout
    done = far.forward("--profile", "marketing", "--host", "jump", "--",
                       "ssh", "jump", far_command("platform"))
    assert "AWS_ACCESS_KEY_ID" not in done.stdout
    assert "awsenv:" in done.stdout
    assert far.forward("-p", "marketing", "--", "ssh", "jump", "exit 5"
                       ).returncode == 5
    assert listed(agent) == []
    line = next(line for line in agent.run("log", "--json").stdout.splitlines()
                if f'"host_key": "{far.fingerprint}"' in line)
    # Of one that is at its end only the name is left.
    assert re.search(r'"program": "([^"]*/)?ssh"', line)


def test_ssh_keeps_its_own_agent_for_the_login(far, agent):
    """Where there is one, our socket is forwarded and it is asked for keys."""
    sock = str(far.dir / "keys.sock")
    keys = subprocess.Popen(["ssh-agent", "-D", "-a", sock],
                            stdout=subprocess.DEVNULL)
    try:
        until(lambda: os.path.exists(sock))
        subprocess.run(["ssh-add", "-q", far.dir / "user"], check=True,
                       env={**os.environ, "SSH_AUTH_SOCK": sock})
        (far.dir / "user").unlink()
        done = far.forward("--profile", "marketing", "--", "ssh", "jump",
                           far_command("marketing"), SSH_AUTH_SOCK=sock)
        assert "AWS_ACCESS_KEY_ID=ASIA" in done.stdout, done.stderr
    finally:
        keys.terminate()
        keys.wait()


def test_another_host_gets_nothing(far, agent):
    other = "SHA256:" + "b" * 43
    done = far.forward("--profile", "marketing", "--host", other, "--",
                       "ssh", "jump", far_command("marketing"))
    assert "AWS_ACCESS_KEY_ID" not in done.stdout
    # Nor a local program that says it is one.
    path = opened(agent, "-p", "marketing", "--host", far.fingerprint)
    assert error(agent, path, "marketing") == wire.AW_DENIED
    key = wire.struct.pack(">I", 3) + b"key"
    with through(path) as s:
        s.sendall(wire.frame("session-bind@openssh.com", key * 3 + b"\1"))
        assert wire.read_frame(s) == b"\x06"
        assert agent.creds("marketing", check=False, sock=s).error \
            == wire.AW_DENIED


def test_a_host_is_found_by_the_name_that_ssh_config_gives(far, agent):
    for name in ("jump", "far.example"):
        done = far.forward("--profile", "marketing", "--host", name)
        if name == "jump":
            assert done.returncode == 0, done.stderr
            assert far.fingerprint in "".join(listed(agent))
    unknown = far.forward("--profile", "marketing", "--host", "nowhere")
    assert unknown.returncode == 4 and "known_hosts" in unknown.stderr


def test_the_broker_may_die_while_ssh_runs(far, agent):
    path = opened(agent, "--profile", "marketing")
    env = {**agent.env, "PATH": far.env["PATH"], "SSH_AUTH_SOCK": path}
    far_side = subprocess.Popen(
        ["ssh", "-o", f"ForwardAgent={path}", "jump",
         f"export AWSENV_SOCK=$SSH_AUTH_SOCK; while read x; do "
         f"{BUILD}/awsenv -p marketing env | grep -c KEY_ID=ASIA; done"],
        env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    for _ in range(3):
        far_side.stdin.write("go\n")
        far_side.stdin.flush()
        assert far_side.stdout.readline() == "1\n"
        agent.kill_broker()
    far_side.stdin.close()
    assert far_side.wait(20) == 0
