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
import time

import pytest

import wire
from agent import BUILD, until
from fake_agent import CLOSE, FAILURE, KEY, SILENCE, FakeAgent
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

        found(usual, "the usual place")
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


# Another version


def bytes_of(name, more=b""):
    """An answer to a request of that name, as it is on the wire."""
    return (bytes([wire.SSH_AGENT_EXTENSION_RESPONSE]) +
            struct.pack(">I", len(name)) + name.encode() + more)


QUERY = bytes_of("query", b"".join(
    struct.pack(">I", len(n)) + n for n in (b"creds-2@awsenv",
                                            b"status@awsenv")))
MALFORMED = bytes([wire.SSH_AGENT_EXTENSION_FAILURE])
LONGER = bytes_of("creds@awsenv", b"\0" * 4096)


@pytest.mark.parametrize("answer, what", [
    (FAILURE, "does not know"), (MALFORMED, "gave a malformed answer to"),
    (LONGER, "gave a malformed answer to")])
def test_an_older_or_newer_agent_is_told_with_both_versions(agent, answer,
                                                            what):
    serve(agent, version="0.0.9")
    agent.on("creds@awsenv", answer)
    done = run(BUILD / "awsenv", "--socket", agent.path, "--", "true")
    assert (done.returncode, done.stderr) == (
        125, f"awsenv: the agent on {agent.path} is awsenv 0.0.9, and this is "
        f"{version()}: it {what} creds@awsenv; upgrade the older one\n")
    # One of the same version only breaks the protocol.
    serve(agent)
    agent.on("creds@awsenv", answer)
    done = run(BUILD / "awsenv", "--socket", agent.path, "--", "true")
    assert done.stderr == (
        f"awsenv: the agent on {agent.path} {what} creds@awsenv\n")


def test_an_agent_whose_status_is_not_understood_says_by_query_what_it_is(
        agent):
    agent.on("query", QUERY)
    for answer in (FAILURE, MALFORMED, bytes_of("status@awsenv", b"\0" * 999)):
        agent.on("creds@awsenv", FAILURE)
        agent.on("status@awsenv", answer)
        done = run(BUILD / "awsenv", "--socket", agent.path, "--", "true")
        assert done.stderr == (
            f"awsenv: the agent on {agent.path} is awsenv of another version, "
            f"and this is {version()}: it does not know creds@awsenv; upgrade "
            "the older one\n")


def test_one_that_ssh_forwards_is_passed_over_and_told(agent, tmp_path,
                                                       program):
    (tmp_path / "other").mkdir()
    why = ("is another version of awsenv than this, which is "
           f"{version()}; upgrade the older one")
    with FakeAgent(tmp_path / "other") as other:
        other.on("status@awsenv", bytes_of("status@awsenv", b"\0" * 999))
        other.on("query", QUERY)
        env = {**SSH, "SSH_AUTH_SOCK": other.path}
        done = run(program, "--", "true", **env)
        assert (done.returncode, done.stderr) == (
            125, f"awsenv: the agent that ssh forwards {why}; see "
            "awsenv-forwarding(7)\n")
        told = of(run(program, "status", AWSENV_SOCK=agent.path, **env))
        assert told["not used"] == f"what ssh forwards: it {why}"


def test_versions_that_do_understand_each_other_are_told_by_status(agent,
                                                                   program):
    serve(agent, version="9.9.9")
    done = run(program, "--socket", agent.path, "--", "env")
    assert KEY in done.stdout and done.stderr == ""
    assert of(run(program, "status", "--socket", agent.path))["agent"] == (
        f"awsenv 9.9.9, on another host; this is awsenv {version()}")
    if (program.parent / "awsenv-ctl").exists():
        done = run(program, "doctor", "--socket", agent.path)
        line, = [line for line in done.stdout.splitlines()
                 if line.split()[1:2] == ["agent"]]
        assert line.split()[0] == "note" and "version 9.9.9" in line


def test_an_error_that_is_not_known_yet_is_a_failure_with_its_text(agent):
    agent.on("creds@awsenv", {"error": 77, "text": "a quota of the moon"})
    done = run(BUILD / "awsenv", "--socket", agent.path, "-p", "x", "--",
               "true")
    assert done.returncode == 125 and "a quota of the moon" in done.stderr
    agent.on("whoami@awsenv", {"error": 77})
    done = run(BUILD / "awsenv", "whoami", "--socket", agent.path, "-p", "x")
    assert (done.returncode, done.stderr) == (
        1, "awsenv: profile x: unknown error\n")


# No agent of ours


class Counter:
    """Between a client and an ssh-agent: counts connections and frames."""

    def __init__(self, path, upstream):
        self.path, self.upstream = str(path), str(upstream)
        self.connections = self.requests = 0

    def __enter__(self):
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                s, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(s,),
                                 daemon=True).start()

    def _serve(self, client):
        with client, socket.socket(socket.AF_UNIX) as agent:
            with contextlib.suppress(OSError, EOFError):
                agent.connect(self.upstream)
                while True:
                    for there, here in ((agent, client), (client, agent)):
                        data = wire.read_frame(here)
                        self.requests += here is client
                        there.sendall(struct.pack(">I", len(data)) + data)


def gpg_agent(folder, env):
    path = subprocess.run(["gpgconf", "--list-dirs", "agent-ssh-socket"],
                          env=env, capture_output=True, text=True, check=True)
    return path.stdout.strip(), ["gpg-agent", "--enable-ssh-support",
                                 "--daemon", "sleep", "600"]


OTHERS = {
    "ssh-agent": lambda folder, env: (
        folder / "agent", ["ssh-agent", "-D", "-a", str(folder / "agent")]),
    "gpg-agent": gpg_agent,
    "gnome-keyring-daemon": lambda folder, env: (
        folder / "ring/ssh", ["gnome-keyring-daemon", "--foreground",
                              "--components=ssh", "-C", str(folder / "ring")]),
}


@pytest.mark.parametrize("name", OTHERS)
def test_any_other_ssh_agent_is_noticed_in_one_round_trip(agent, tmp_path,
                                                          name):
    if not shutil.which(name):
        pytest.skip(f"no {name}")
    folder = tmp_path / "other"
    (folder / "gnupg").mkdir(parents=True, mode=0o700)
    (folder / "ring").mkdir(mode=0o700)
    env = {"PATH": os.environ["PATH"], "HOME": str(folder),
           "GNUPGHOME": str(folder / "gnupg"), "XDG_RUNTIME_DIR": str(folder)}
    path, argv = OTHERS[name](folder, env)
    child = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    try:
        with Counter(tmp_path / "counted", path) as counted:
            def answers():
                with socket.socket(socket.AF_UNIX) as s:
                    return s.connect_ex(str(path)) == 0
            until(answers, 60, f"{name} does not listen on {path}")
            env = {**SSH, "SSH_AUTH_SOCK": counted.path,
                   "AWSENV_SOCK": agent.path}
            done = run(BUILD / "awsenv", "--", "env", **env)
            assert KEY in done.stdout and done.stderr == ""
            assert (counted.connections, counted.requests) == (1, 1)
            assert "not used" not in of(run(BUILD / "awsenv", "status", **env))
            env.pop("AWSENV_SOCK")
            done = run(BUILD / "awsenv", "--", "true", **env)
            assert "agent not forwarded to this host" in done.stderr
            assert (counted.connections, counted.requests) == (3, 3)
    finally:
        child.terminate()
        child.wait()


def test_a_prompt_takes_the_agent_that_commands_take(agent, tmp_path):
    """With so little patience that a machine with much to do may need several
    prompts."""
    (tmp_path / "far").mkdir()
    with FakeAgent(tmp_path / "far") as far:
        def shows(*answers):
            far.on("status@awsenv", *answers)
            line = []

            def prompt():
                done = run(BUILD / "awsenv", "prompt", "-p", "x", **SSH,
                           SSH_AUTH_SOCK=far.path, AWSENV_SOCK=agent.path)
                assert done.stderr == ""
                line[:] = [done.stdout]
                return done.returncode == 0
            until(prompt, 60, "no prompt shows anything")
            return line[0]
        good = {"version": version(), "refreshable": 1}
        serve(agent, profile="near", **good)
        assert shows({"profiles": 1, "profile": "far", **good}) == "far\n"
        assert far.seen("status@awsenv")[-1]["ask.profile"] == b"x"
        assert shows({"profiles": 0, "profile": "far", **good}) == "near\n"
        assert shows(FAILURE) == shows(CLOSE) == "near\n"
        # One that does not answer is the one that commands would wait for.
        far.on("status@awsenv", SILENCE)
        done = run(BUILD / "awsenv", "prompt", **SSH, SSH_AUTH_SOCK=far.path,
                   AWSENV_SOCK=agent.path)
        assert (done.returncode, done.stdout, done.stderr) == (7, "", "")


@pytest.mark.parametrize("variable", ["SSH_AUTH_SOCK", "AWSENV_SOCK"])
def test_two_brokers_that_end_late_make_no_command_fail(agent, variable):
    """In an SSH session, where a socket that leads nowhere is soon given up."""
    def late(_):
        time.sleep(0.6)  # longer than that
        return CLOSE
    status = {"version": version(), "profiles": 2}
    agent.on("status@awsenv", late, late, status)
    agent.on("creds@awsenv", late, late, agent.creds())
    done = run(BUILD / "awsenv", "--", "env", **SSH, **{variable: agent.path})
    assert KEY in done.stdout and done.stderr == ""


def test_one_that_hangs_up_does_not_keep_anybody(agent, tmp_path):
    (tmp_path / "other").mkdir()
    with FakeAgent(tmp_path / "other") as other:
        other.on("status@awsenv", CLOSE)
        done = run(BUILD / "awsenv", "--", "env", **SSH,
                   SSH_AUTH_SOCK=other.path, AWSENV_SOCK=agent.path)
        assert KEY in done.stdout and done.stderr == ""
        assert 1 < len(other.seen("status@awsenv")) < 50
