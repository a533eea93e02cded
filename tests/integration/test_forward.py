# SPDX-License-Identifier: ISC
"""The agent of a workstation, used on hosts behind real ssh."""

import base64
import os
import re
import shlex
import socket
import subprocess

import pytest

import far
import wire
from agent import BUILD, until
from openssh import bind
from simulator.client import Simulator

pytestmark = pytest.mark.skipif(far.missing() is not None,
                                reason=far.missing() or "")
KEY = ("sh", "-c", "echo $AWS_ACCESS_KEY_ID")
OPEN = {"awsenv_forward": "allow"}
SHUT = {"awsenv_forward": "deny", "sso_role_name": "Auditor"}


@pytest.fixture(scope="module")
def sim():
    with Simulator(accounts=3, interval=1) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def ws(sim):
    shut = {**SHUT, "sso_role_name": sim.info["roles"][-1]}
    with far.Workstation(sim, open=OPEN, payroll=shut) as workstation:
        account = sim.info["accounts"][1]["id"]
        hosts = {**OPEN, "sso_account_id": account,
                 "awsenv_forward_hosts": workstation.fingerprint("a")}
        workstation.write_config({"open": OPEN, "payroll": shut,
                                  "of-a": hosts})
        workstation.log_in("open")
        yield workstation


def key_of(ws, profile="open"):
    return ws.agent.keys(profile).access_key.decode()


def good(ws, done, said="", profile="open"):
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == key_of(ws, profile)
    assert re.fullmatch(said, done.stderr)


def use(*more):
    return ("awsenv", *more, "-p", "open", "--", *KEY)


def test_an_allowed_profile_works_on_the_far_side(ws):
    good(ws, ws.ssh("a", *use()))


def test_real_aws_works_on_the_far_side(ws, sim):
    done = ws.ssh("a", "awsenv", "-p", "open", "aws", "sts",
                  "get-caller-identity", "--query", "Account", "--output",
                  "text", **sim.env(via="proxy"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == sim.info["accounts"][0]["id"]


def test_an_endpoint_that_refreshes_works_on_the_far_side(ws, sim):
    done = ws.ssh("a", "awsenv", "--serve", "-p", "open", "sh", "-c",
                  'curl -sH "Authorization: $AWS_CONTAINER_AUTHORIZATION_TOKEN"'
                  ' "$AWS_CONTAINER_CREDENTIALS_FULL_URI"')
    assert done.returncode == 0, done.stderr
    assert key_of(ws) in done.stdout


def test_a_prompt_shows_it_on_the_far_side(ws):
    # One that was slower than a prompt may be shows nothing.
    until(lambda: ws.ssh("a", "awsenv", "prompt", "-p", "open").stdout ==
          "open\n", 60)


def test_denied_and_unknown_are_refused_alike(ws):
    said = {}
    for name in ("payroll", "nothing"):
        done = ws.ssh("a", "awsenv", "-p", name, "--", "true")
        assert done.returncode == 125
        said[name] = done.stderr.replace(name, "NAME")
    assert said["payroll"] == said["nothing"]
    assert said["payroll"] == (
        'awsenv: profile "NAME" is not for use from here: where the agent '
        'runs, write awsenv_forward = allow under [profile NAME] in '
        '~/.aws/config\n')
    # The person whose machine it is reads which line it was.
    config = ws.agent.config.read_text().split("\n")
    line = config.index("awsenv_forward = deny") + 1
    assert re.search(r"refused account \d+ role \w+ to another host .*: it is "
                     rf"denied; see ~/\.aws/config:{line}\n", ws.agent.logged())


def test_a_changed_word_counts_at_once(ws):
    good(ws, ws.ssh("a", *use()))
    text = ws.agent.config.read_text()
    ws.agent.config.write_text(text.replace("= allow", "= deny"))
    until(lambda: ws.ssh("a", *use()).returncode == 125, 10)
    ws.agent.config.write_text(text)
    until(lambda: ws.ssh("a", *use()).returncode == 0, 10)


@pytest.fixture
def logged_out(ws):
    ws.agent.ask("logout@awsenv", {**ws.agent.asking("open"),
                                   "what": wire.LOGOUT_ALL})
    yield
    ws.log_in("open")


@pytest.mark.usefixtures("logged_out")
def test_a_login_is_for_the_workstation(ws):
    done = ws.ssh("a", *use())
    assert done.returncode == 125
    assert done.stderr == ("awsenv: where the agent runs: login needed for "
                           "sim: awsenv login --profile open\n")
    assert ws.sim.pending() == []


@pytest.mark.usefixtures("logged_out")
@pytest.mark.parametrize("verb", ["", "whoami"])
def test_who_waits_there_goes_on_when_somebody_logs_in_here(ws, verb):
    wait = ("--wait", "300")
    argv = ("awsenv", verb, "-p", "open", *wait) if verb else use(*wait)
    words = ws.words("a", *ws.recipe()) + [ws.far(argv)]
    with ws.popen(words) as far_side:
        said = far_side.stderr.readline()
        assert said == ("awsenv: waiting 300 s: where the agent runs: login needed "
                        "for sim: awsenv login --profile open\n")
        assert ws.sim.pending() == []
        ws.log_in("open")
        out = far_side.stdout.read().strip()
        assert "ann@example.com" in out if verb else out == key_of(ws)
        assert far_side.wait(60) == 0


# How it is forwarded.

def test_by_a_variable(ws):
    good(ws, ws.ssh("a", *use(), options=[
        "-o", "ForwardAgent=$AWSENV_FORWARD_SOCK",
        "-o", f"IdentityAgent={ws.forward}"],
        env={"AWSENV_FORWARD_SOCK": str(ws.forward)}),
        # OpenSSH before 9.3 looks for a file of the variable's name.
        "(Cannot forward agent socket path .*\n)?")


def test_by_a_path_with_the_uid_in_it(ws):
    link = ws.dir / f"forward-{os.getuid()}.sock"
    link.symlink_to(ws.forward)
    path = link.parent / "forward-%i.sock"
    good(ws, ws.ssh("a", *use(), options=[
        "-o", f"ForwardAgent={path}", "-o", f"IdentityAgent={path}"]))


def test_by_a_name_that_stays_on_the_far_side(ws):
    """What ~/.ssh/rc does for tmux."""
    link = ws.dir / "far-agent.sock"
    script = (f'ln -sf "$SSH_AUTH_SOCK" {link}; SSH_AUTH_SOCK={link} ' +
              shlex.join(use()))
    for _ in range(2):
        good(ws, ws.ssh("a", "sh", "-c", script))


def test_as_the_agent_of_plain_ssh(ws):
    good(ws, ws.ssh("a", *use(), options=["-A"],
                    env={"SSH_AUTH_SOCK": str(ws.forward)}))


def test_beside_an_ssh_agent(ws):
    """The other one is for logging in, ours is what is forwarded."""
    sock = ws.dir / "ssh-agent"
    other = subprocess.Popen(["ssh-agent", "-D", "-a", sock],
                             stdout=subprocess.DEVNULL)
    try:
        until(sock.exists)
        env = {"SSH_AUTH_SOCK": str(sock)}
        good(ws, ws.ssh("a", *use(), env=env, options=[
            "-o", f"ForwardAgent={ws.forward}"]))
        # A plain ssh-agent is none of ours, and no error.
        done = ws.ssh("a", *use(), env=env, options=["-A"])
        assert done.returncode == 125
        assert done.stderr.startswith("awsenv: agent not forwarded to this "
                                      "host, see awsenv-forwarding(7)")
    finally:
        other.terminate()
        other.wait()


def test_not_at_all(ws):
    for options in ([], ["-o", f"ForwardAgent={ws.dir}/missing",
                         "-o", f"IdentityAgent={ws.dir}/missing"]):
        done = ws.ssh("a", *use(), options=options)
        assert done.returncode == 125
        assert "agent not forwarded to this host" in done.stderr
        assert not list(ws.far_run.iterdir()), "nothing was started"


def hops(ws, *names):
    """ssh to the first, from there to the next, ..., and the command."""
    command = ws.far(use())
    for name in reversed(names[1:]):
        command = shlex.join([*ws.words(name, "-A"), command])
    child = ws.popen(ws.words(names[0], *ws.recipe()) + [command])
    out, err = child.communicate(timeout=60)
    return subprocess.CompletedProcess(command, child.returncode, out, err)


@pytest.mark.parametrize("names", ["ab", "aba"])
def test_over_several_hosts(ws, names):
    good(ws, hops(ws, *names))


def test_over_a_host_that_only_passes_it_on(ws):
    proxy = shlex.join([*ws.words("a"), "-W", "127.0.0.1:%p"])
    good(ws, ws.ssh("b", *use(), options=[
        *ws.recipe(), "-o", f"ProxyCommand={proxy}"]))


def test_over_one_connection_for_all(ws):
    mux = ["-o", f"ControlPath={ws.dir}/mux"]
    master = ws.popen(ws.words("a", *ws.recipe(), *mux, "-M", "-N"))
    try:
        until((ws.dir / "mux").exists)
        # The first asks for forwarding; it is there for all of them then.
        for more in (ws.recipe(), []):
            good(ws, ws.ssh("a", *use(), options=[*mux, *more]))
    finally:
        master.terminate()
        master.communicate()


def test_by_remote_forwarding_of_the_socket_for_it(ws):
    there = ws.dir / "far.sock"
    options = ["-o", f"RemoteForward={there} {ws.remote}",
               "-o", "ExitOnForwardFailure=yes"]
    good(ws, ws.ssh("a", *use(), options=options, AWSENV_SOCK=there))
    # Once more, over what the first left behind.
    good(ws, ws.ssh("a", *use(), options=options, AWSENV_SOCK=there))
    done = ws.ssh("a", "awsenv", "-p", "payroll", "--", "true",
                  options=options, AWSENV_SOCK=there)
    assert "is not for use from here" in done.stderr


def test_forty_at_once(ws):
    script = "for i in $(seq 40); do " + shlex.join(
        ["awsenv", "-p", "open", "--", *KEY]) + " & done; wait"
    done = ws.ssh("a", "sh", "-c", script)
    assert done.stderr == ""
    assert done.stdout.split() == 40 * [key_of(ws)]


def test_a_broker_that_dies_costs_a_retry(ws):
    script = "for i in $(seq 200); do " + shlex.join(
        ["awsenv", "-p", "open", "--", *KEY]) + " || exit 1; done"
    child = ws.popen(ws.words("a", *ws.recipe()) + [ws.far(["sh", "-c", script])])
    first = child.stdout.readline()
    for _ in range(3):
        ws.agent.kill_broker()
        assert child.stdout.readline() == first
    out, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (0, "")
    assert set(out.split()) == {first.strip()}


# What the one file says there.

@pytest.fixture
def alone(ws, tmp_path):
    """awsenv as it is copied to a host: nothing beside it, nor installed."""
    def copy(version):
        data = (BUILD / "awsenv").read_bytes()
        here = subprocess.run([BUILD / "awsenv", "version"], check=True,
                              capture_output=True).stdout.split()[1]
        (tmp_path / "awsenv").write_bytes(
            data.replace(b"/usr/local/", b"/nowhere../").replace(
                here, version or here))
        (tmp_path / "awsenv").chmod(0o755)
        return tmp_path / "awsenv", here.decode()
    return copy


def test_status_on_the_far_side_says_which_agent_and_why(ws, sim, alone):
    program, version = alone(None)
    done = ws.ssh("a", program, "status")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == f"agent       awsenv {version}, on another host"
    assert re.fullmatch(r"socket      /\S+, since ssh forwards it", lines[1])
    # Those that host a may use, and no word of the others.
    assert lines[2] == "profiles    2 to be used from here"
    assert [line.split()[:2] for line in lines[3:]] == [
        ["open", sim.info["accounts"][0]["id"]],
        ["of-a", sim.info["accounts"][1]["id"]]]
    done = ws.ssh("b", program, "status", "-p", "of-a")
    assert done.returncode == 5 and "of-a" not in done.stdout
    assert "is not for use from here" in done.stderr
    # Whatever relays it, it is another host's.
    there = ws.dir / "status.sock"
    done = ws.ssh("a", program, "status", "--socket", there, options=[
        "-o", f"RemoteForward={there} {ws.remote}",
        "-o", "ExitOnForwardFailure=yes"])
    assert done.stdout.splitlines()[:2] == [
        lines[0], f"socket      {there}, since --socket names it"]


def test_another_version_on_the_far_side_works_and_is_told(ws, alone):
    program, version = alone(b"9.9.9")
    good(ws, ws.ssh("a", program, *use()[1:]))
    done = ws.ssh("a", program, "status")
    assert done.stdout.splitlines()[0] == (
        f"agent       awsenv {version}, on another host; this is awsenv 9.9.9")


def test_doctor_on_the_far_side_looks_at_what_ssh_forwards(ws):
    """And not at how this machine is set up, which is of no use to it."""
    done = ws.ssh("a", "awsenv", "doctor", "-p", "open")
    agent, *rest = [line.split(None, 2) for line in done.stdout.splitlines()]
    assert agent[:2] == ["ok", "agent"] and "on another host" in agent[2]
    assert [line[1] for line in rest[:-1]] == ["variables", "plaintext"]
    assert done.returncode == 0
    done = ws.ssh("a", "awsenv", "doctor", "-p", "payroll")
    assert done.returncode == 1
    assert re.search(r'^problem +agent +profile "payroll" is not for use from '
                     'here', done.stdout, re.M)


# Which host it is.

def of_a(ws, host, **more):
    return ws.ssh(host, "awsenv", "-p", "of-a", "--", *KEY, **more)


def shut_out(done):
    assert done.returncode == 125 and done.stdout == ""
    assert "is not for use from here" in done.stderr


def test_a_host_is_known_by_its_key(ws):
    good(ws, of_a(ws, "a"), profile="of-a")
    shut_out(of_a(ws, "b"))
    assert f"another host ({ws.fingerprint('b')}, by pid " in ws.agent.logged()


def test_the_first_host_is_the_one_that_counts(ws):
    """Behind it any other may be claimed."""
    command = ws.far(["awsenv", "-p", "of-a", "--", *KEY])
    for first, second, allowed in (("a", "b", True), ("b", "a", False)):
        inner = shlex.join([*ws.words(second, "-A"), command])
        child = ws.popen(ws.words(first, *ws.recipe()) + [inner])
        out, err = child.communicate(timeout=60)
        assert (child.returncode == 0) == allowed, err


def test_a_host_is_known_over_one_connection_for_all(ws):
    mux = ["-o", f"ControlPath={ws.dir}/mux2", "-o", "ControlMaster=auto",
           "-o", "ControlPersist=5"]
    try:
        for _ in range(2):
            done = of_a(ws, "a", options=[*ws.recipe(), *mux])
            good(ws, done, profile="of-a")
    finally:
        ws.popen(ws.words("a", *mux, "-O", "exit")).communicate()


@pytest.mark.parametrize("which", ["forward", "remote"])
def test_a_bind_that_a_far_side_sends_names_no_host(ws, which):
    """RemoteForward, even of the wrong socket, by an ssh that sends binds: the
    far side says first what host a was really told, and then asks."""
    there = ws.dir / f"replay-{which}.sock"
    options = ["-o", f"RemoteForward={there} {getattr(ws, which)}",
               "-o", "ExitOnForwardFailure=yes", "-N"]
    child = ws.popen(ws.words("b", *options))
    try:
        until(there.exists)
        key = base64.b64decode(ws.hosts["a"].public.split()[1])
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(str(there))
            assert ws.agent.raw(bind(key), s) == b"\6"
            fields = {"ask.profile": "of-a"}
            reply = ws.agent.ask_once("creds@awsenv", fields, s)
            assert (reply.error, reply.sealed) == (wire.AW_DENIED, b"")
            # What is for any host it may have.
            fields = {"ask.profile": "open"}
            assert ws.agent.ask_once("creds@awsenv", fields, s).error == 0
    finally:
        child.terminate()
        child.communicate()


def test_an_ssh_that_was_given_the_wrong_socket_is_another_host(ws):
    """No bind comes with it, and still it is not taken for this machine."""
    there = ws.dir / "agent-far.sock"
    options = ["-o", f"RemoteForward={there} {ws.agent.sock}",
               "-o", "ExitOnForwardFailure=yes"]
    good(ws, ws.ssh("a", *use(), options=options, AWSENV_SOCK=there))
    done = ws.ssh("a", "awsenv", "-p", "payroll", "--", "true",
                  options=options, AWSENV_SOCK=there)
    assert "is not for use from here" in done.stderr
    for words in (["status"], ["logout", "--all"], ["login", "-p", "open"]):
        done = ws.ssh("a", "awsenv", *words, options=options, AWSENV_SOCK=there)
        assert "not from another host" in done.stderr or words == ["status"]
    assert key_of(ws), "nobody was logged out"
    assert re.search(r"pid \d+ \(\S*/ssh\) came to agent.sock and counts as "
                     "another host: forward forward.sock", ws.agent.logged())


def test_whoever_is_no_ssh_is_here(ws):
    """Also who sends nothing along that only processes of this machine can."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(30)
        s.connect(str(ws.agent.sock))
        assert ws.agent.creds("payroll", sock=s, check=False).error == 0
        assert ws.agent.ask("list@awsenv", {"what": 0}, s).error == 0
