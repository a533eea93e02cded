# SPDX-License-Identifier: ISC
"""Which agent awsenv finds, what it says of that, and of one that is no agent of
ours or one of another version."""
import contextlib
import json
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import threading

import pytest

import wire
from agent import BUILD, until
from fake_agent import FAILURE, KEY, FakeAgent
from openssh import SshAgent

pytestmark = pytest.mark.quick
SSH = {"SSH_CONNECTION": "192.0.2.1 1 192.0.2.2 22"}
PROFILES = [{"name": "marketing", "account": "123456789012", "role": "Editor"},
            {"name": "dev", "account": "123456789013", "role": "Admin",
             "chain": "arn:aws:iam::123456789014:role/Deploy"}]


@pytest.fixture
def agent(tmp_path):
    with FakeAgent(tmp_path) as fake:
        serve(fake)
        yield fake


def serve(fake, **status):
    """As an agent on another host answers."""
    fake.on("creds@awsenv", fake.creds())
    fake.on("status@awsenv", {"version": version(), "profiles": 2, **status})
    fake.on("profiles@awsenv", lambda ask: {
        "items": wire.pack("MSG_PROFILE_ITEM", PROFILES[ask["from"]:][:1]),
        "next": 0 if ask["from"] else 1})


def version():
    return subprocess.run([BUILD / "awsenv", "version"], capture_output=True,
                          text=True, check=True).stdout.split()[1]


@pytest.fixture(params=["awsenv", "awsenv-ctl"])
def program(tmp_path, request):
    """As it is copied to a host, alone; and with the program beside it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in {"awsenv", request.param}:
        # Nothing may be found where it would be installed.
        data = (BUILD / name).read_bytes()
        (folder / name).write_bytes(data.replace(b"/usr/local/",
                                                 b"/nowhere../"))
        (folder / name).chmod(0o755)
    return folder / "awsenv"


def run(program, *words, timeout=60, **env):
    return subprocess.run([program, *words], capture_output=True, text=True,
                          timeout=timeout, stdin=subprocess.DEVNULL,
                          env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent",
                               "LANG": "C.UTF-8", **{
                                   k: str(v) for k, v in env.items()}})


def of(done):
    """The words of a status, by the first one of each line."""
    assert done.returncode == 0, done.stderr
    return {line[:12].strip(): line[12:] for line in done.stdout.splitlines()
            if line[:1] not in (" ", "")}


# Which one


def test_the_order_of_the_search(agent, tmp_path, program):
    def place(name):
        (tmp_path / name).mkdir(parents=True, mode=0o700)
        fake = places.enter_context(FakeAgent(tmp_path / name))
        serve(fake)
        return fake.path
    with contextlib.ExitStack() as places:
        run_dir = tmp_path / "run"
        run_dir.mkdir(mode=0o700)
        env = {"XDG_RUNTIME_DIR": run_dir}
        usual = place("run/awsenv")
        words = {}

        def found(path, how, *options):
            done = run(program, "status", *options, **env)
            assert of(done)["socket"] == f"{path}, {how}"
            got = json.loads(run(program, "status", "--json", *options,
                                 **env).stdout)
            assert got["socket"] == path
            words[got["found"]] = how
            done = run(program, *options, "--", "env", **env)
            assert KEY in done.stdout, done.stderr

        found(usual, "where it is by itself")
        env["AWSENV_SOCK"] = place("variable")
        found(env["AWSENV_SOCK"], "since AWSENV_SOCK names it")
        env["SSH_AUTH_SOCK"] = place("ssh")
        found(env["AWSENV_SOCK"], "since AWSENV_SOCK names it")
        env.update(SSH)             # else it is a desktop's
        found(env["SSH_AUTH_SOCK"], "since ssh forwards it")
        found(agent.path, "since --socket names it", "--socket", agent.path)
        assert list(words) == ["usual", "variable", "forwarded", "option"]


def test_status_tells_what_may_be_used_from_here(agent, program):
    done = run(program, "status", "--socket", agent.path)
    assert of(done) == {
        "agent": f"awsenv {version()}, on another host",
        "socket": f"{agent.path}, since --socket names it",
        "profiles": "2 to be used from here"}
    assert done.stdout.splitlines()[3:] == [
        "  marketing        123456789012 Editor",
        "  dev              123456789013 "
        "arn:aws:iam::123456789014:role/Deploy"]


def test_status_as_json_has_members_that_stay(agent, program):
    got = json.loads(run(program, "status", "--json", "--socket",
                         agent.path).stdout)
    assert (got["socket"], got["found"], got["awsenv"], got["usable"],
            got["agent"]["version"]) == (
        agent.path, "option", version(), 2, version())
    if not (program.parent / "awsenv-ctl").exists():
        assert got["profiles"][1] == {
            "profile": "dev", "account": "123456789013", "role": "Admin",
            "chain": "arn:aws:iam::123456789014:role/Deploy", "error": ""}


def test_status_of_a_profile_that_may_not_be_used(agent, program):
    serve(agent, profile_error=wire.AW_DENIED,
          profile_text='profile "x" is not for use from here')
    done = run(program, "status", "-p", "x", "--socket", agent.path)
    assert done.returncode == 5
    assert done.stderr == 'awsenv: profile "x" is not for use from here\n'


def test_an_agent_that_lets_nothing_be_used_is_passed_over(agent, tmp_path,
                                                           program):
    (tmp_path / "other").mkdir()
    with FakeAgent(tmp_path / "other") as shut:
        serve(shut, profiles=0)
        env = {**SSH, "SSH_AUTH_SOCK": shut.path, "AWSENV_SOCK": agent.path}
        told = of(run(program, "status", **env))
        assert told["socket"] == f"{agent.path}, since AWSENV_SOCK names it"
        assert told["not used"] == (
            "what ssh forwards: it lets no profile be used from here")
        del env["AWSENV_SOCK"]
        done = run(program, "--", "true", **env)
        assert done.returncode == 125 and done.stderr == (
            "awsenv: the agent that ssh forwards lets no profile be used from "
            "here; see awsenv-forwarding(7)\n")


def test_help_has_status_once(program):
    for words in (["help"], ["--help"]):
        done = run(program, *words)
        assert done.returncode == 0
        assert done.stdout.count("\n  status ") == 1
    assert run(program, "help", "status").stdout.startswith(
        "usage: awsenv status [OPTION...]")
    done = run(program, "status", "--no-such")
    assert done.returncode == 2 and "unknown option" in done.stderr


# --socket


@pytest.mark.parametrize("words, status", [
    (["status"], 7), (["--", "true"], 125), (["whoami"], 7)])
def test_a_socket_that_is_none_is_told_in_a_line(tmp_path, words, status):
    (tmp_path / "file").touch()
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(tmp_path / "old"))
    for name, why in (("file", "it is no socket"),
                      ("old", "nobody listens there"),
                      ("none", "no such file or directory")):
        path = tmp_path / name
        done = run(BUILD / "awsenv", f"--socket={path}", *words,
                   AWSENV_SOCK="/elsewhere", **SSH)
        assert (done.returncode, done.stderr) == (
            status, f"awsenv: no agent answers on --socket {path}: {why}\n")


@pytest.mark.parametrize("path", ["agent.sock", "", "/" + "x" * 107])
def test_a_socket_is_named_by_a_path_that_is_one(path):
    done = run(BUILD / "awsenv", "--socket", path, "--", "true")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("awsenv: --socket ")
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs two users")
def test_somebody_elses_socket_is_not_spoken_to(agent, tmp_path):
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and folder != pathlib.Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    shutil.copy(BUILD / "awsenv", tmp_path / "awsenv")

    def become():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)

    def ask():
        return subprocess.run(
            [tmp_path / "awsenv", "--socket", agent.path, "--", "true"],
            env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True,
            timeout=30, preexec_fn=become)
    refusal = f"awsenv: the socket {agent.path} is not of an agent of yours\n"
    os.chmod(agent.path, 0o600)
    done = ask()
    assert (done.returncode, done.stderr) == (125, refusal)
    # One that lets others in is not asked either, unless it is root's.
    assert agent.seen("creds@awsenv") == []


def test_a_socket_of_something_else_is_told(tmp_path):
    if not shutil.which("ssh-agent"):
        pytest.skip("no ssh-agent")
    with SshAgent(tmp_path / "ssh-agent") as other:
        done = run(BUILD / "awsenv", "--socket", other.path, "--", "true")
    assert (done.returncode, done.stderr) == (
        125, f"awsenv: the agent on {other.path} is none of awsenv's: it does "
        "not know creds@awsenv\n")


def test_all_verbs_that_ask_an_agent_take_a_socket(agent):
    agent.on("list@awsenv", {})
    agent.on("whoami@awsenv", {"account": "123456789012"})
    agent.on("stop@awsenv", {"error": wire.AW_SYSTEM, "text": "not now"})
    for words in (["whoami"], ["export"], ["process"], ["ls"], ["prompt"],
                  ["agent", "status"], ["agent", "stop"], ["status"],
                  ["doctor"], ["exec", "--", "true"]):
        before = len(agent.requests)
        run(BUILD / "awsenv", *words[:1], "--socket", agent.path, *words[1:])
        assert len(agent.requests) > before, words
    for verb in ("login", "logout", "console", "shell", "confirm", "lock",
                 "unlock", "log", "forward", "configure"):
        done = run(BUILD / "awsenv", verb, "--help")
        assert "--socket PATH" in done.stdout, verb
