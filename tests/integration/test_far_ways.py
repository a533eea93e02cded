# SPDX-License-Identifier: ISC
"""The ways to a far side that awsenv-forwarding(7) tells of, by OpenSSH, sudo
and tmux themselves, and what happens where a forwarding fails."""

import os
import pathlib
import re
import shlex
import shutil
import socket
import subprocess
import sys

import pytest

import far
from agent import BUILD, until
from simulator.client import Simulator

pytestmark = pytest.mark.skipif(far.missing() is not None,
                                reason=far.missing() or "")
TOP = pathlib.Path(__file__).resolve().parents[2]
PAGE = (TOP / "agent/cli/awsenv-forwarding.7").read_text()
ROOT = os.geteuid() == 0
OPEN = {"awsenv_forward": "allow"}


@pytest.fixture(scope="module")
def sim():
    with Simulator(accounts=3, interval=1) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def ws(sim):
    """Hosts as they mostly are: what a session left behind stays."""
    with far.Workstation(sim, lines=(), open=OPEN) as workstation:
        workstation.write_config({"open": OPEN, "of-a": {
            **OPEN, "sso_account_id": sim.info["accounts"][1]["id"],
            "awsenv_forward_hosts": workstation.fingerprint("a")}})
        workstation.log_in("open")
        yield workstation


def use(profile="open"):
    return ("awsenv", "-p", profile, "--", "sh", "-c",
            "echo $AWS_ACCESS_KEY_ID")


def key_of(ws, profile="open"):
    return ws.agent.keys(profile).access_key.decode() + "\n"


def good(ws, done, profile="open"):
    assert (done.returncode, done.stdout, done.stderr) == (
        0, key_of(ws, profile), "")


def not_for_it(done):
    assert done.returncode == 125 and done.stdout == ""
    assert "is not for use from here" in done.stderr


# By way of another host.

def test_a_jump_host_has_no_part_in_it(ws):
    """ssh -J a b: b is the first host, and all that a has is ciphertext."""
    options = [*ws.recipe(), "-J", "a"]
    good(ws, ws.ssh("b", *use(), options=options))
    not_for_it(ws.ssh("b", *use("of-a"), options=options))
    good(ws, ws.ssh("a", *use("of-a"), options=[*ws.recipe(), "-J", "b"]),
         "of-a")
    assert f"another host ({ws.fingerprint('b')}, by pid " in ws.agent.logged()


# Relays that are no ssh.

RELAY = '''
import os, socket, sys, threading
def pump(read, write, end):
    while data := read(65536):
        write(data)
    end()
def join(s, source, sink, end):
    """What comes from `source` into s, and what s says into `sink`."""
    threading.Thread(target=pump, daemon=True, args=(
        lambda n: os.read(source, n), s.sendall,
        lambda: s.shutdown(socket.SHUT_WR))).start()
    pump(s.recv, lambda data: os.write(sink, data), end)
'''
# An editor's, on the far side: whatever comes to its socket goes to its window.
SERVER = RELAY + '''
l = socket.socket(socket.AF_UNIX)
l.bind(sys.argv[1])
l.listen(1)
join(l.accept()[0], 0, 1, lambda: os.close(1))
'''
# ... and its window, at the workstation, where it has SSH_AUTH_SOCK from.
WINDOW = RELAY + '''
s = socket.socket(socket.AF_UNIX)
s.connect(os.environ["SSH_AUTH_SOCK"])
join(s, 0, 1, lambda: os.close(1))
'''
# What containers have: a socket there is passed on to another one there.
BESIDE = RELAY + '''
l = socket.socket(socket.AF_UNIX)
l.bind(sys.argv[1])
l.listen(8)
while True:
    c, _ = l.accept()
    s = socket.socket(socket.AF_UNIX)
    s.connect(os.environ["SSH_AUTH_SOCK"])
    threading.Thread(target=join, daemon=True, args=(
        s, c.fileno(), c.fileno(), c.close)).start()
'''


def through_editor(ws, name, *argv):
    """By ssh without any forwarding, as an editor's own channel."""
    there = ws.dir / name
    ours, theirs = socket.socketpair()
    server = subprocess.Popen(
        ws.words("a") + [ws.far([sys.executable, "-c", SERVER, there])],
        stdin=ours, stdout=ours)
    window = subprocess.Popen(
        [sys.executable, "-c", WINDOW], stdin=theirs, stdout=theirs,
        env={**os.environ, "SSH_AUTH_SOCK": str(ws.forward)})
    ours.close()
    theirs.close()
    try:
        until(there.exists)
        return ws.ssh("a", *argv, options=[], SSH_AUTH_SOCK=there)
    finally:
        for child in (server, window):
            child.kill()
            child.wait()


def test_an_editor_that_relays_by_itself_is_a_host_that_is_not_known(ws):
    good(ws, through_editor(ws, "editor-1", *use()))
    not_for_it(through_editor(ws, "editor-2", *use("of-a")))
    assert "to another host (which one is not known, by pid " in \
        ws.agent.logged()


def test_a_relay_behind_ssh_is_that_host(ws):
    """What ssh itself forwards it has said a bind for, whoever connects."""
    there = ws.dir / "beside"
    script = (f"{shlex.join([sys.executable, '-c', BESIDE, str(there)])} & "
              f"while ! [ -S {there} ]; do sleep 0.05; done; "
              f"export SSH_AUTH_SOCK={there}; "
              + "; ".join(shlex.join(use(p)) for p in ("open", "of-a"))
              + "; kill $!")
    done = ws.ssh("a", "sh", "-c", script)
    assert done.stdout == key_of(ws) + key_of(ws, "of-a"), done.stderr
    there.unlink()
    done = ws.ssh("b", "sh", "-c", script)
    assert done.stdout == key_of(ws), done.stderr
    assert "is not for use from here" in done.stderr


# Where a forwarding fails.

def test_a_socket_that_is_not_there_stops_it_only_where_ssh_is_told_so(ws):
    """Else it goes on, and awsenv says what lacks."""
    missing = ws.dir / "no.sock"
    options = ["-o", f"ForwardAgent={missing}", "-o", f"IdentityAgent={missing}"]
    done = ws.ssh("a", *use(), options=options)
    assert (done.returncode, done.stdout) == (125, "")
    assert "agent not forwarded to this host" in done.stderr
    done = ws.ssh("a", *use(), options=[*options, "-o",
                                        "ExitOnForwardFailure=yes"])
    assert (done.returncode, done.stdout) == (255, "")
    assert f'Cannot forward agent socket path "{missing}"' in done.stderr
    # OpenSSH before 9.3 takes the variable's name for a missing file.
    done = ws.ssh("a", *use(), env={"AWSENV_FORWARD_SOCK": str(ws.forward)},
                  options=["-o", "ForwardAgent=$AWSENV_FORWARD_SOCK",
                           "-o", f"IdentityAgent={ws.forward}",
                           "-o", "ExitOnForwardFailure=yes"])
    if done.returncode == 255:
        assert 'path "$AWSENV_FORWARD_SOCK"' in done.stderr
    else:
        good(ws, done)


def test_a_port_that_is_taken_stops_it_only_where_ssh_is_told_so(ws):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        options = [*ws.recipe(), "-o", "LocalForward=127.0.0.1:"
                   f"{taken.getsockname()[1]} 127.0.0.1:1"]
        done = ws.ssh("a", *use(), options=options)
        assert (done.returncode, done.stdout) == (0, key_of(ws))
        done = ws.ssh("a", *use(), options=[*options, "-o",
                                            "ExitOnForwardFailure=yes"])
        assert (done.returncode, done.stdout) == (255, "")


def test_a_socket_that_was_left_behind_stops_the_next_one(ws):
    """On a server without StreamLocalBindUnlink."""
    there = ws.dir / "left.sock"
    options = ["-o", f"RemoteForward={there} {ws.remote}"]
    good(ws, ws.ssh("a", *use(), options=options, AWSENV_SOCK=there))
    assert there.is_socket()
    done = ws.ssh("a", *use(), options=options, AWSENV_SOCK=there)
    assert (done.returncode, done.stdout) == (125, "")
    assert f"no agent answers on AWSENV_SOCK={there}: nobody listens there" \
        in done.stderr
    done = ws.ssh("a", *use(), AWSENV_SOCK=there, options=[
        *options, "-o", "ExitOnForwardFailure=yes"])
    assert (done.returncode, done.stdout) == (255, "")
    assert "remote port forwarding failed" in done.stderr
    there.unlink()
    good(ws, ws.ssh("a", *use(), options=options, AWSENV_SOCK=there))


def test_a_relay_with_nobody_at_its_other_end_is_told_soon(ws):
    """sshd listens all the same, and ssh tells of each that comes."""
    there = ws.dir / "nobody.sock"
    for words, status in (("-p", "open", "--", "true"), 125), (("status",), 7):
        there.unlink(missing_ok=True)
        done = ws.ssh("a", "awsenv", *words, AWSENV_SOCK=there, options=[
            "-o", f"RemoteForward={there} {ws.dir}/missing"])
        assert (done.returncode, done.stdout) == (status, "")
        assert f"awsenv: the agent on {there} hangs up, as a relay does that " \
            "has none at its other end\n" in done.stderr
        assert done.stderr.count("connect to") < 20


# sudo there.

@pytest.mark.skipif(not ROOT, reason="root is whom sudo asks for no password")
@pytest.mark.skipif(not shutil.which("sudo"), reason="sudo is not installed")
def test_sudo_on_the_far_side(ws):
    """It drops SSH_AUTH_SOCK, with which root's awsenv would find the agent; an
    awsenv that runs sudo has it keep what counts."""
    awsenv, *words = use()
    done = ws.ssh("a", "sudo", "-n", BUILD / awsenv, *words)
    assert (done.returncode, done.stdout) == (125, "")
    assert "run awsenv ... -- sudo -E ... instead" in done.stderr
    done = ws.ssh("a", awsenv, "-p", "open", "--", "sudo", "-n", "-E", "sh",
                  "-c", "echo $SUDO_COMMAND $AWS_ACCESS_KEY_ID")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f" {key_of(ws)}")
    assert done.stdout.startswith("/"), "it was sudo that ran it"


# tmux there.

def literal(after):
    """The text that the page has people copy."""
    text = PAGE[PAGE.index(after):]
    return re.search(r"\.Bd -literal\n(.*?)\.Ed", text, re.S)[1].replace(
        "\\-", "-").replace("\\&", "")


@pytest.mark.skipif(not ROOT, reason="sshd reads ~/.ssh/rc: only root can have "
                                     "a home of its own made there")
@pytest.mark.skipif(not shutil.which("tmux"), reason="tmux is not installed")
@pytest.mark.skipif(BUILD.resolve().is_relative_to(
    pathlib.Path("~root").expanduser()), reason="it would hide the programs")
def test_a_tmux_session_goes_on_after_a_reconnect(sim):
    """As the page has it, in ~/.ssh/rc and ~/.tmux.conf."""
    with far.Workstation(sim, hosts=("a",), home=True, open=OPEN) as ws:
        ws.log_in("open")
        home = ws.far_home
        (home / ".ssh").mkdir(mode=0o700)
        (home / ".ssh/rc").write_text(literal(".Pa ~/.ssh/rc"))
        (home / ".tmux.conf").write_text(literal(".Pa ~/.tmux.conf"))
        os.mkfifo(home / "ask")
        (home / "session").write_text(f"""
while read word <ask; do
    echo "$word $(stat -c %N $SSH_AUTH_SOCK)" >>sockets
    {shlex.join(use())} >>out 2>&1
    echo "$word" >>out
done
""")
        log = home / "out"

        def asked(word):
            with open(home / "ask", "w") as ask:
                ask.write(word + "\n")
            until(lambda: log.read_text().endswith(word + "\n"), 60)
            said = log.read_text().split("\n")
            return said[-3] + "\n"     # the last line of what it says

        def connection():
            child = ws.popen(ws.words("a", *ws.recipe()) + [ws.far(
                ["sh", "-c", "echo $SSH_AUTH_SOCK; tmux has-session || "
                 "tmux new-session -d -c $HOME sh session; exec cat"],
                HOME=home, TMUX_TMPDIR=home)], stdin=subprocess.PIPE)
            return child, child.stdout.readline().strip()

        log.touch()
        child, first = connection()
        try:
            until(lambda: (home / ".ssh/agent.sock").is_socket(), 60)
            assert asked("one") == key_of(ws)
            child.communicate()
            until(lambda: not os.path.exists(first))
            assert "awsenv login --here" in asked("between")
            child, second = connection()
            assert first != second
            assert asked("two") == key_of(ws)
            names = [line.split("->")[-1].strip(" '\"") for line in
                     (home / "sockets").read_text().splitlines()]
            assert [names[0], names[-1]] == [first, second]
        finally:
            child.communicate()
            subprocess.run(["tmux", "kill-server"], stderr=subprocess.DEVNULL,
                           env={**os.environ, "TMUX_TMPDIR": str(home)})
