# SPDX-License-Identifier: ISC
"""The wrapper against an agent that says what each test tells it to."""
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import time

import pytest

import wire
from agent import BUILD, TOP
from fake_agent import (CLOSE, FAILURE, KEY, SECRET, SILENCE, TOKEN, URL,
                        FakeAgent)

AWSENV = str(BUILD / "awsenv")
PYTHON = "/usr/bin/python3"
pytestmark = pytest.mark.quick


@pytest.fixture
def agent(tmp_path):
    with FakeAgent(tmp_path) as fake:
        fake.on("creds@awsenv", fake.creds())
        yield fake


def run(agent, *argv, env=None, **options):
    """awsenv to its end, without a terminal; output as text."""
    options.setdefault("timeout", 60)
    return subprocess.run(
        [AWSENV, *argv], env=agent.env(**env or {}), capture_output=True,
        stdin=subprocess.DEVNULL, text=True, **options)


def environment(agent, *argv, env=None):
    """What a command is given."""
    done = run(agent, *argv, "/usr/bin/env", "-0", env=env)
    assert done.returncode == 0, done.stderr
    pairs = [e.split("=", 1) for e in done.stdout.split("\0")[:-1]]
    assert len(pairs) == len(dict(pairs))
    return dict(pairs)


# Running a command


def test_a_command_is_given_credentials_and_nothing_that_beats_them(agent):
    before = {"AWS_PROFILE": "other", "AWS_SECURITY_TOKEN": "stale",
              "AWS_ACCESS_KEY_ID": "OLD", "AWS_ROLE_ARN": "arn",
              "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://x", "KEPT": "1"}
    got = environment(agent, "-p", "marketing", env=before)
    for name in ("PATH", "HOME", "AWSENV_SOCK"):
        del got[name]
    expires = got.pop("AWS_CREDENTIAL_EXPIRATION")
    assert 3500 < time.mktime(time.strptime(
        expires + " GMT", "%Y-%m-%dT%H:%M:%SZ %Z")) - time.timezone \
        - time.time() < 3700
    assert got == {
        "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": TOKEN, "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1", "AWS_ACCOUNT_ID": "123456789012",
        "AWSENV_PROFILE": "marketing", "KEPT": "1"}
    ask, = agent.seen("creds@awsenv")
    assert ask["ask.profile"] == b"marketing" and ask.half == 1


@pytest.mark.parametrize("words, env, profile", [
    (["-p", "a"], {"AWS_PROFILE": "b"}, b"a"),
    ([], {"AWS_PROFILE": "b", "AWS_DEFAULT_PROFILE": "c"}, b"b"),
    ([], {"AWS_PROFILE": "", "AWS_DEFAULT_PROFILE": "c"}, b"c"),
    ([], {"AWS_DEFAULT_PROFILE": "c", "AWSENV_PROFILE": "d"}, b"c"),
    ([], {"AWSENV_PROFILE": "d"}, b"d"),
    ([], {}, b""),
    (["--account", "1", "--role", "r"], {"AWS_PROFILE": "b"}, b""),
])
def test_the_profile_is_the_one_named_first(agent, words, env, profile):
    environment(agent, *words, env=env)
    assert agent.seen("creds@awsenv")[0]["ask.profile"] == profile


def test_account_role_and_session_are_asked_for_instead_of_a_profile(agent):
    agent.on("creds@awsenv", agent.creds(profile=""))
    got = environment(agent, "--account", "platform", "--role", "Admin",
                      "--sso-session", "corp", env={"AWSENV_PROFILE": "old"})
    ask, = agent.seen("creds@awsenv")
    assert (ask["ask.account"], ask["ask.role"], ask["ask.session"]) == (
        b"platform", b"Admin", b"corp")
    # A nested awsenv would take the wrong profile.
    assert "AWSENV_PROFILE" not in got


@pytest.mark.parametrize("words, env, region", [
    (["--region", "us-east-1"], {"AWS_REGION": "b"}, "us-east-1"),
    ([], {"AWS_REGION": "b", "AWS_DEFAULT_REGION": "c"}, "b"),
    ([], {"AWS_REGION": "", "AWS_DEFAULT_REGION": "c"}, "c"),
    ([], {}, "eu-central-1"),
])
def test_both_region_variables_are_the_region_named_first(agent, words, env,
                                                          region):
    got = environment(agent, *words, env=env)
    assert got["AWS_REGION"] == got["AWS_DEFAULT_REGION"] == region


def test_without_any_region_the_variables_are_unset(agent):
    agent.on("creds@awsenv", agent.creds(region=""))
    got = environment(agent, env={"AWS_REGION": "", "AWS_DEFAULT_REGION": ""})
    assert "AWS_REGION" not in got and "AWS_DEFAULT_REGION" not in got


def test_settings_of_the_profile_become_variables(agent):
    agent.on("creds@awsenv", agent.creds(settings=wire.join([
        "AWS_DEFAULT_OUTPUT=json", "AWS_MAX_ATTEMPTS=7", "LD_PRELOAD=/evil"])))
    got = environment(agent, env={"AWS_DEFAULT_OUTPUT": "text"})
    assert got["AWS_DEFAULT_OUTPUT"] == "text"
    assert got["AWS_MAX_ATTEMPTS"] == "7"
    assert "LD_PRELOAD" not in got


@pytest.mark.parametrize("bad", [
    {"key": "ASIA'; rm -rf /;'AAAAAAAAA"}, {"key": "short"}, {"key": ""},
    {"secret": "x" * 30 + "\n"}, {"secret": "`id`" + "x" * 20},
    {"token": "a b"}, {"token": "a\0b"}, {"token": "a\"b"},
    {"account": "12345678901x"}, {"account": "1"}, {"region": "a;b"},
    {"region": "x" * 64}, {"sealed": b""}, {"sealed": b"\0" * 7}])
def test_credentials_of_another_form_are_not_handed_on(agent, bad):
    agent.on("creds@awsenv", agent.creds(**bad))
    done = run(agent, "--", "touch", agent.path + ".ran")
    assert done.returncode == 125 and not os.path.exists(agent.path + ".ran")
    assert "no credentials of AWS's form" in done.stderr
    for verb in ("export", "process"):
        done = run(agent, verb)
        assert (done.returncode, done.stdout) == (1, "")


def test_exit_status_and_signals_are_the_commands_own(agent):
    assert run(agent, "sh", "-c", "exit 42").returncode == 42
    assert run(agent, "sh", "-c", "kill -TERM $$").returncode == -15


def test_a_command_that_cannot_be_run_gives_126_or_127(agent, tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("echo no\n")
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "tool").write_text("echo no\n")
    done = run(agent, str(plain))
    assert done.returncode == 126 and "ermission denied" in done.stderr
    assert run(agent, str(folder)).returncode == 126
    done = run(agent, "no-such-command")
    assert done.returncode == 127 and "not found" in done.stderr
    assert run(agent, "/no/such/command").returncode == 127
    assert run(agent, "").returncode == 127
    path = f"{folder}:/nowhere"
    assert run(agent, "tool", env={"PATH": path}).returncode == 126
    assert run(agent, "x" * 5000).returncode == 127
    # Without PATH there is a usual one.
    env = agent.env()
    del env["PATH"]
    assert subprocess.run([AWSENV, "true"], env=env, timeout=30).returncode == 0
    if os.geteuid() != 0:
        closed = tmp_path / "closed"
        closed.mkdir(mode=0)
        path = f"{closed}:/usr/bin:/bin"
        assert run(agent, "nothing", env={"PATH": path}).returncode == 127
    # A later place in PATH is tried still.
    (folder / "true").write_text("")
    path = f"{folder}:/usr/bin:/bin"
    assert run(agent, "true", env={"PATH": path}).returncode == 0


def test_a_script_without_an_interpreter_is_the_shells(agent, tmp_path):
    script = tmp_path / "script"
    script.write_text('echo "got $1 and $AWS_ACCESS_KEY_ID"\n')
    script.chmod(0o755)
    assert run(agent, str(script), "it").stdout == f"got it and {KEY}\n"


def test_the_words_after_two_dashes_are_always_the_command(agent, tmp_path):
    login = tmp_path / "login"
    login.write_text("#!/bin/sh\necho mine $*\n")
    login.chmod(0o755)
    path = f"{tmp_path}:/usr/bin:/bin"
    done = run(agent, "--", "login", "--x", "--", "y", env={"PATH": path})
    assert done.stdout == "mine --x -- y\n"


def test_exec_takes_a_profile_then_a_command_or_a_shell(agent, tmp_path):
    for words in (["exec", "marketing", "--", "echo", "hi"],
                  ["exec", "marketing", "echo", "hi"],
                  ["exec", "-p", "marketing", "--", "echo", "hi"],
                  ["-p", "marketing", "exec", "--", "echo", "hi"]):
        assert run(agent, *words).stdout == "hi\n", words
        assert agent.seen("creds@awsenv")[-1]["ask.profile"] == b"marketing"
    shell = tmp_path / "shell"
    shell.write_text("#!/bin/sh\necho shell of $AWSENV_PROFILE\n")
    shell.chmod(0o755)
    done = run(agent, "exec", "marketing", env={"SHELL": str(shell)})
    assert done.stdout == "shell of marketing\n"
    done = run(agent, "exec", "-p", "a", "b", "--", "true")
    assert done.returncode == 2 and "twice" in done.stderr


def test_a_profile_among_the_commands_arguments_is_warned_of_once(agent):
    for words in (["--profile", "x"], ["--profile=x"]):
        done = run(agent, "echo", *words)
        assert done.returncode == 0
        assert done.stderr.count("--profile among the arguments") == 1
    assert run(agent, "echo", "--", "--profile", "x").stderr == ""


def test_the_command_writes_no_core_file_unless_asked(agent):
    limit = "import resource; print(resource.getrlimit(resource.RLIMIT_CORE))"

    def large():
        resource.setrlimit(resource.RLIMIT_CORE, (4096, 8192))
    options = {"preexec_fn": large,
               "env": {"ASAN_OPTIONS": "disable_coredump=0"}}
    assert run(agent, PYTHON, "-c", limit, **options).stdout == "(1, 8192)\n"
    assert run(agent, "--core", PYTHON, "-c", limit,
               **options).stdout == "(4096, 8192)\n"


@pytest.mark.parametrize("ignored", [False, True])
def test_the_command_inherits_no_trace_of_us(agent, ignored):
    """Signals, descriptors, umask and children are as they were."""
    code = ("import os, re\n"
            "s = open('/proc/self/status').read()\n"
            "print(re.search('SigIgn:\\t(.*)', s)[1], sorted(\n"
            "    int(f) for f in os.listdir('/proc/self/fd'))[:4],\n"
            "    oct(os.umask(0)), re.search('SigBlk:\\t(.*)', s)[1],\n"
            "    os.access('/proc/self/environ', os.R_OK))\n"
            "try: print(os.waitpid(-1, os.WNOHANG))\n"
            "except ChildProcessError: print('no child')\n")

    def before():
        signal.signal(signal.SIGPIPE,
                      signal.SIG_IGN if ignored else signal.SIG_DFL)
        os.umask(0o027)
    options = {"preexec_fn": before, "restore_signals": False}
    ours = run(agent, "/usr/bin/python3", "-c", code, **options)
    plain = subprocess.run(["/usr/bin/python3", "-c", code], text=True,
                           stdin=subprocess.DEVNULL, capture_output=True,
                           env=agent.env(), **options)
    assert ours.stdout == plain.stdout and "no child" in ours.stdout


def test_standard_input_is_the_commands(agent):
    done = subprocess.run([AWSENV, "cat"], env=agent.env(), input=b"in\0put",
                          capture_output=True, timeout=30)
    assert done.stdout == b"in\0put"


def test_closed_descriptors_do_not_lead_to_the_agent(agent):
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" 0<&- 1>&- 2>&-', "sh", AWSENV, "sh", "-c",
         "echo out; echo err >&2; exit 5"], env=agent.env(), timeout=30)
    assert done.returncode == 5
    assert len(agent.requests) == 1


# What is sent


def test_the_config_file_is_named_absolutely_and_stamped(agent, tmp_path):
    config = tmp_path / ".aws" / "config"
    config.parent.mkdir()
    config.write_text("[default]\n")
    seen = os.stat(config)
    stamp = {"ask.stamp.dev": seen.st_dev, "ask.stamp.ino": seen.st_ino,
             "ask.stamp.size": seen.st_size,
             "ask.stamp.mtime": seen.st_mtime_ns}
    for named, sent in ((None, ""), ("", ""), (str(config), str(config)),
                        ("~/.aws/config", str(config)),
                        (".aws/config", str(config))):
        env = {} if named is None else {"AWS_CONFIG_FILE": named}
        run(agent, "true", env=env, cwd=tmp_path)
        ask = agent.seen("creds@awsenv")[-1]
        assert ask["ask.config"] == sent.encode()
        assert {k: ask[k] for k in stamp} == stamp


def test_a_config_file_that_is_not_there_has_a_stamp_of_zeros(agent):
    run(agent, "true")
    ask, = agent.seen("creds@awsenv")
    assert [ask[f"ask.stamp.{n}"] for n in ("dev", "ino", "size", "mtime")] \
        == [0, 0, 0, 0]


def test_what_counts_of_the_environment_is_sent_and_nothing_else(agent,
                                                                 tmp_path):
    env = {"HTTPS_PROXY": "http://p", "no_proxy": "x", "ALL_PROXY": "",
           "AWS_ENDPOINT_URL_SSO_OIDC": "https://e", "AWS_REGION": "r-1",
           "AWS_CA_BUNDLE": "ca.pem", "AWS_SECRET_ACCESS_KEY": "no",
           "AWS_ENDPOINT_URL_S3": "https://s3"}
    run(agent, "true", env=env, cwd=tmp_path)
    ask, = agent.seen("creds@awsenv")
    assert wire.texts(ask["ask.env"]) == [
        b"HTTPS_PROXY=http://p", b"no_proxy=x",
        f"AWS_CA_BUNDLE={tmp_path}/ca.pem".encode(),
        b"AWS_ENDPOINT_URL_SSO_OIDC=https://e", b"AWS_REGION=r-1"]
    run(agent, "--region", "r-2", "true", env=env)
    assert b"AWS_REGION=r-2" in wire.texts(
        agent.seen("creds@awsenv")[1]["ask.env"])


def test_no_secret_stands_in_any_argument(agent):
    done = run(agent, "sh", "-c", "cat /proc/$$/cmdline")
    assert SECRET not in done.stdout and TOKEN not in done.stdout


# Agents that come, go and lie


def test_a_request_is_repeated_while_brokers_die(agent):
    agent.on("creds@awsenv", CLOSE, CLOSE, CLOSE, agent.creds())
    assert run(agent, "true").returncode == 0
    assert agent.connections == 4
    asked = agent.seen("creds@awsenv")
    assert len(asked) == 4 and all(a == asked[0] for a in asked)


def test_an_agent_that_goes_for_good_is_reported_at_once(agent):
    def leave(_):
        agent._listener.shutdown(socket.SHUT_RDWR)
        os.unlink(agent.path)
        return CLOSE
    agent.on("creds@awsenv", leave)
    begun = time.monotonic()
    done = run(agent, "true")
    assert done.returncode == 125 and "went away" in done.stderr
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize("answer, words", [
    (FAILURE, "does not know creds@awsenv"),
    (bytes([wire.SSH_AGENT_EXTENSION_FAILURE]), "malformed"),
    (b"\x06", "malformed"), (b"\x1d", "malformed"),
    (b"\x1d\0\0\0\x0clogin@awsenv", "malformed"),
    (b"\x1d\0\0\0\x0ccreds@awsenv", "malformed"),
    (b"\x1d\0\0\0\x0ccreds@awsenv" + b"\0" * 35, "malformed"),
    (b"\x1d\0\0\0\x0ccreds@awsenv" + b"\xff" * 36, "malformed"),
    (b"\x1d\xff\xff\xff\xff", "malformed"),
])
def test_answers_that_break_the_protocol_are_told(agent, answer, words):
    agent.on("creds@awsenv", answer)
    done = run(agent, "true")
    assert done.returncode == 125 and words in done.stderr
    assert done.stderr.count("\n") <= 2


def test_a_frame_that_claims_to_be_huge_is_not_waited_for(agent):
    def claim(_):
        agent._open[-1].sendall(b"\xff\xff\xff\xff")
        return SILENCE
    agent.on("creds@awsenv", claim)
    assert run(agent, "true", timeout=10).returncode == 125


@pytest.mark.skipif(os.geteuid() != 0, reason="needs two users")
def test_somebody_elses_socket_is_not_spoken_to(agent, tmp_path):
    path = str(tmp_path / "theirs")
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        s = socket.socket(socket.AF_UNIX)
        s.bind(path)
        os.setresuid(61999, 61999, 61999)
        s.listen(5)
        theirs.send(b"x")
        ours.close()
        s.accept()[0].recv(1)
        os._exit(0)
    try:
        assert ours.recv(1) == b"x"
        done = run(agent, "true", env={"AWSENV_SOCK": path})
        assert done.returncode == 125
        assert "not of an agent of yours" in done.stderr
        assert agent.requests == []
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_without_an_agent_the_variable_that_names_it_is_told(agent, tmp_path):
    env = {"AWSENV_SOCK": str(tmp_path / "none")}
    done = run(agent, "true", env=env)
    assert done.returncode == 125 and "AWSENV_SOCK=" in done.stderr
    for words in (["status"], ["whoami"], ["export"], ["process"], ["logout"],
                  ["login"], ["agent", "stop"], ["agent", "status"]):
        done = run(agent, *words, env=env)
        assert done.returncode == 7, words
        assert "no agent answers on AWSENV_SOCK" in done.stderr
    for bad in ("relative", "/" + "x" * 108):
        done = run(agent, "status", env={"AWSENV_SOCK": bad})
        assert done.returncode == 4 and "absolute" in done.stderr


def test_status_and_logout_start_no_agent(tmp_path):
    tmp_path.chmod(0o700)
    env = {"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path)}
    for words in (["status"], ["logout"], ["agent", "stop"]):
        done = subprocess.run([AWSENV, *words], env=env, capture_output=True,
                              text=True, timeout=30)
        assert done.returncode == 7 and "no agent runs" in done.stderr
    assert os.listdir(tmp_path) == []


def starter(tmp_path, script):
    """awsenv beside an awsenv-agent of ours; its environment."""
    folder = tmp_path / "bin"
    folder.mkdir()
    shutil.copy(AWSENV, folder)
    shutil.copy(AWSENV + "-ctl", folder)
    (folder / "awsenv-agent").write_text(script)
    (folder / "awsenv-agent").chmod(0o755)
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    return str(folder / "awsenv"), {
        "PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "SECRET_OF_MINE": "x",
        "LD_LIBRARY_PATH": "/nowhere", "SSLKEYLOGFILE": "/tmp/x",
        "XDG_RUNTIME_DIR": str(runtime)}


def test_an_agent_is_started_with_an_environment_that_was_built(tmp_path):
    out = tmp_path / "out"
    program, env = starter(tmp_path, f"""#!/bin/sh
        env > {out}
        echo "args: $*" >> {out}
        echo 'SSH_AUTH_SOCK=x; export SSH_AUTH_SOCK;'
        mkdir -m 700 -p $XDG_RUNTIME_DIR/awsenv
        exec {PYTHON} - <<'PY'
import os, socket
s = socket.socket(socket.AF_UNIX)
s.bind(os.environ["XDG_RUNTIME_DIR"] + "/awsenv/agent.sock")
s.listen(5)
if os.fork() == 0:
    os.setsid()
    for fd in (0, 1, 2): os.close(fd)
    s.accept()
PY
        """)
    done = subprocess.run([program, "agent", "start"], env=env, text=True,
                          capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "agent.sock" in done.stderr
    names = {line.split("=")[0] for line in out.read_text().splitlines()}
    assert "HOME" in names and "XDG_RUNTIME_DIR" in names
    assert not names & {"SECRET_OF_MINE", "LD_LIBRARY_PATH", "SSLKEYLOGFILE",
                        "AWSENV_SOCK"}
    assert "args: " in out.read_text()


def test_an_agent_that_fails_to_start_is_reported(tmp_path):
    program, env = starter(tmp_path,
                           "#!/bin/sh\necho 'awsenv-agent: no room' >&2\nexit 1")
    done = subprocess.run([program, "true"], env=env, text=True,
                          capture_output=True, timeout=30)
    assert done.returncode == 125
    assert "no room" in done.stderr and "did not start" in done.stderr


def test_a_missing_agent_program_is_reported(tmp_path):
    program, env = starter(tmp_path, "")
    os.unlink(pathlib.Path(program).parent / "awsenv-agent")
    done = subprocess.run([program, "agent", "start"], env=env, text=True,
                          capture_output=True, timeout=30)
    assert done.returncode == 7
    assert "cannot start awsenv-agent: no such file" in done.stderr


def test_in_an_ssh_session_nothing_is_started_unasked(tmp_path):
    out = tmp_path / "started"
    program, env = starter(tmp_path, f"#!/bin/sh\ntouch {out}\nexit 1")
    env["SSH_CONNECTION"] = "10.0.0.1 1 10.0.0.2 22"
    for words in (["true"], ["login"], ["process"], ["whoami"]):
        done = subprocess.run([program, *words], env=env, text=True,
                              capture_output=True, timeout=30)
        assert done.returncode == (125 if words == ["true"] else 7)
        assert "agent not forwarded" in done.stderr
        assert "login --here" in done.stderr
        assert done.stderr.count("\n") <= 2
    assert not out.exists()
    done = subprocess.run([program, "login", "--here"], env=env, text=True,
                          capture_output=True, timeout=30)
    assert "its root will hold the login" in done.stderr and out.exists()


def test_in_an_ssh_session_an_agent_that_runs_is_used(agent, tmp_path):
    """But no login is started: root there would hold it."""
    runtime = tmp_path / "run"
    (runtime / "awsenv").mkdir(parents=True)
    for folder in (runtime, runtime / "awsenv"):
        folder.chmod(0o700)
    os.symlink(agent.path, runtime / "awsenv/agent.sock")
    env = {"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(runtime),
           "SSH_CONNECTION": "a 1 b 2"}
    done = subprocess.run([AWSENV, "true"], env=env, timeout=30)
    assert done.returncode == 0
    agent.on("creds@awsenv", {"error": wire.AW_LOGIN})
    done = subprocess.run([AWSENV, "--wait", "5", "true"], env=env, text=True,
                          capture_output=True, timeout=30)
    assert done.returncode == 125 and "login --here" in done.stderr
    assert agent.seen("login@awsenv") == []


# Errors


ERRORS = [
    (wire.AW_DENIED, 5), (wire.AW_NOPROFILE, 4), (wire.AW_CONFIG, 4),
    (wire.AW_LOGIN, 3), (wire.AW_NETWORK, 6), (wire.AW_AWS, 5),
    (wire.AW_TIMEOUT, 6), (wire.AW_BUSY, 1), (wire.AW_NOMEM, 1), (9999, 1)]


@pytest.mark.parametrize("error, status", ERRORS)
def test_each_error_has_its_exit_status_and_one_line(agent, error, status):
    for name, words, expected in (
            ("creds@awsenv", ["-p", "mine", "true"], 125),
            ("creds@awsenv", ["process", "-p", "mine"], status),
            ("creds@awsenv", ["export", "-p", "mine"], status),
            ("whoami@awsenv", ["whoami", "-p", "mine"], status),
            ("login@awsenv", ["login", "-p", "mine"], status)):
        agent.on(name, {"error": error, "text": "the reason"})
        done = run(agent, *words)
        assert done.returncode == expected, words
        assert done.stdout == ""
        assert "mine" in done.stderr and done.stderr.count("\n") == 1
        if error != wire.AW_LOGIN or words[0] == "login":
            assert "the reason" in done.stderr
        else:
            assert "awsenv login -p mine" in done.stderr


def test_an_error_without_text_is_still_said(agent):
    agent.on("creds@awsenv", {"error": wire.AW_NETWORK})
    done = run(agent, "-p", "mine", "true")
    assert done.stderr == "awsenv: profile mine: AWS cannot be reached\n"


@pytest.mark.parametrize("words, named, flags", [
    (["-p", "a b"], "profile a b", "-p 'a b'"), ([], "profile default", ""),
    (["--account", "dev", "--role", "r", "--sso-session", "s"],
     "account dev role r", "--account dev --role r --sso-session s")])
def test_a_needed_login_is_named_as_it_can_be_typed(agent, words, named, flags):
    agent.on("creds@awsenv", {"error": wire.AW_LOGIN})
    done = run(agent, *words, "true")
    assert done.stderr == (f"awsenv: {named}: a login is needed; run: "
                           f"awsenv login {flags}").rstrip() + "\n"


def test_what_the_agents_words_name_is_not_named_twice(agent):
    agent.on("creds@awsenv", {"error": wire.AW_NOPROFILE,
                              "text": 'no profile "mine" in ~/.aws/config'})
    done = run(agent, "-p", "mine", "true")
    assert done.stderr == 'awsenv: no profile "mine" in ~/.aws/config\n'


@pytest.mark.parametrize("name, text, told", [
    ("eu", "cannot resolve oidc.eu-central-1.amazonaws.com", False),
    ("a", "AWS says no", False), ("x", "x", True), ("x", "no x", True),
    ("x", "x: no", True), ("x", "xx 'x' x.", True)])
def test_a_name_within_other_words_is_not_named_by_them(agent, name, text, told):
    agent.on("creds@awsenv", {"error": wire.AW_NETWORK, "text": text})
    done = run(agent, "-p", name, "true")
    assert done.stderr == "awsenv: " + (
        "" if told else f"profile {name}: ") + text + "\n"


def test_a_notice_is_shown_and_the_command_run(agent):
    agent.on("creds@awsenv", agent.creds(notice="duration cut to 3600"))
    done = run(agent, "echo", "hi")
    assert done.stdout == "hi\n"
    assert done.stderr == "awsenv: duration cut to 3600\n"


HOSTILE = "\x1b]0;owned\x07\x1b[2Jx\ny\r\x9b" + "\u202e\u200b"


def test_nothing_from_the_agent_writes_to_the_terminal_raw(agent):
    def every_text(kind, **fixed):
        return {m: HOSTILE for form, m in wire.ROWS[kind]
                if form == "VIEW" and m not in ("items", "lines", "sealed",
                                                "settings", "qr")} | fixed
    agent.on("creds@awsenv", every_text("MSG_CREDS_REP", error=wire.AW_AWS))
    agent.on("whoami@awsenv", every_text("MSG_WHOAMI_REP"))
    agent.on("status@awsenv", every_text(
        "MSG_STATUS_REP", logins=1, roles=1, keys=1, problems=1,
        profile_error=wire.AW_CONFIG))
    kinds = ["MSG_LOGIN_ITEM", "MSG_ROLE_ITEM", "MSG_KEY_ITEM",
             "MSG_PROBLEM_ITEM"]
    agent.on("list@awsenv", lambda ask: {"items": wire.pack(
        kinds[ask.what], [every_text(kinds[ask.what])])})
    agent.on("logout@awsenv", {"lines": wire.join([HOSTILE])})
    agent.on("login@awsenv", every_text("MSG_LOGIN_REP",
                                        state=wire.LOGIN_PENDING))
    for words in (["true"], ["whoami"], ["whoami", "--json"], ["status"],
                  ["status", "--json", "--keyring"], ["status", "--keyring"],
                  ["logout"], ["login"], ["process"]):
        done = run(agent, *words)
        for text in (done.stdout, done.stderr):
            assert not [c for c in text if c < " " and c != "\n"], (words, text)
            assert not set(text) & set("\x7f\x9b\u202e\u200b"), words
        if "--json" in words:
            json.loads(done.stdout)
    agent.on("login@awsenv", every_text(
        "MSG_LOGIN_REP", state=wire.LOGIN_DONE))
    assert "\x1b" not in run(agent, "login").stderr


# export and process


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox", "zsh", "fish"])
def test_a_shell_evaluates_what_export_prints(agent, shell):
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    odd = "it's \"a\" $HOME `id` \\ ; é"
    agent.on("creds@awsenv", agent.creds(profile=odd))
    form = "fish" if shell == "fish" else "env"
    argv = [shell, "sh"] if shell == "busybox" else [shell]
    text = run(agent, "export", "--format", form,
               env={"AWS_PROFILE": "x"}).stdout
    gone = run(agent, "export", "--unset", "--format", form).stdout
    done = subprocess.run([*argv, "-c", f"{text}\n/usr/bin/env -0\n{gone}\n"
                           "echo; /usr/bin/env"], capture_output=True, text=True,
                          env=agent.env(AWS_PROFILE="x"), timeout=30)
    first, last = done.stdout.rsplit("\0", 1)
    got = dict(e.split("=", 1) for e in first.split("\0"))
    assert got["AWS_ACCESS_KEY_ID"] == KEY and got["AWS_SESSION_TOKEN"] == TOKEN
    assert got["AWSENV_PROFILE"] == odd and "AWS_PROFILE" not in got
    assert "AWS_SECRET" not in last and "AWSENV_PROFILE" not in last


def test_botocore_reads_what_export_prints_as_ini(agent):
    done = run(agent, "export", "--format", "ini")
    assert done.returncode == 0 and done.stdout.startswith("[marketing]\n")
    memory = os.memfd_create("credentials")
    os.write(memory, done.stdout.encode())
    found = subprocess.run(
        ["/usr/bin/python3", "-c", "import botocore.session\n"
         "s = botocore.session.Session(profile='marketing')\n"
         "c = s.get_credentials()\n"
         "print(c.access_key, c.secret_key, c.token)"],
        capture_output=True, text=True, timeout=60, pass_fds=[memory],
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent",
             "AWS_SHARED_CREDENTIALS_FILE": f"/proc/self/fd/{memory}"})
    os.close(memory)
    assert found.stdout.split() == [KEY, SECRET, TOKEN], found.stderr


def test_export_is_as_half_lived_as_a_command_and_process_is_not(agent):
    run(agent, "export")
    run(agent, "process")
    assert [a.half for a in agent.seen("creds@awsenv")] == [1, 0]


def test_export_to_a_full_or_closed_output_fails(agent):
    with open("/dev/full", "w") as full:
        done = subprocess.run([AWSENV, "export"], env=agent.env(), text=True,
                              stdout=full, stderr=subprocess.PIPE, timeout=30)
    assert done.returncode == 1 and "standard output" in done.stderr
    done = subprocess.run(["sh", "-c", f"{AWSENV} export; echo $? >&2"],
                          env=agent.env(), timeout=30, text=True,
                          stdout=closed_pipe(), stderr=subprocess.PIPE)
    assert done.stderr.endswith("\n1\n")


def closed_pipe():
    ours, theirs = os.pipe()
    os.close(ours)
    return theirs


def test_unknown_formats_are_answered_with_the_nearest(agent):
    done = run(agent, "export", "--format", "powershel")
    assert done.returncode == 2 and "did you mean powershell?" in done.stderr
    assert agent.requests == []


def test_process_prints_what_every_sdk_takes(agent):
    done = run(agent, "process", "-p", "marketing")
    got = json.loads(done.stdout)
    assert done.stderr == "" and done.stdout.count("\n") == 1
    assert got.pop("Expiration").endswith("Z")
    assert got == {"Version": 1, "AccessKeyId": KEY, "SecretAccessKey": SECRET,
                   "SessionToken": TOKEN, "AccountId": "123456789012"}


def test_process_never_waits_for_a_person_unless_told_to(agent):
    agent.on("creds@awsenv", {"error": wire.AW_LOGIN})
    done = run(agent, "process", "-p", "marketing")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.count("\n") == 1
    assert agent.seen("login@awsenv") == []


# status, whoami, logout, agent


def listed(agent, soon=3600):
    at = int(time.time()) + soon
    items = {
        wire.LIST_LOGINS: ("MSG_LOGIN_ITEM", {
            "session": "corp", "start_url": "https://corp.awsapps.com/start",
            "region": "eu-central-1", "state": wire.LOGIN_DONE, "expires": at,
            "refreshable": 1, "person": "jane@example.com"}),
        wire.LIST_ROLES: ("MSG_ROLE_ITEM", {
            "session": "corp", "account": "123456789012", "role": "Editor",
            "access_key": KEY, "obtained": at - 4000, "expires": at}),
        wire.LIST_KEYS: ("MSG_KEY_ITEM", {
            "serial": 4123456789, "kind": "role",
            "label": "123456789012/Editor", "size": 1500, "timeout": at}),
        wire.LIST_PROBLEMS: ("MSG_PROBLEM_ITEM", {
            "file": "/home/jane/.aws/config", "line": 3,
            "text": "[marketing] should be [profile marketing]"})}
    agent.on("status@awsenv", agent.status(
        logins=1, roles=1, keys=1, problems=1, skew=2**32 - 5, restarts=2))
    agent.on("list@awsenv", lambda ask: {"items": wire.pack(
        items[ask.what][0], [items[ask.what][1]])})


def test_status_tells_what_a_person_wants_to_know(agent):
    listed(agent)
    done = run(agent, "status", "--keyring")
    assert done.returncode == 0 and done.stderr == ""
    for part in ("pid 101", "pid 102", agent.path, "restarted 2 times",
                 "same-user protection: off", "12 of 200 keys",
                 "9000 of 20000 bytes", "5 s behind", "jane@example.com",
                 "then refreshed", "123456789012", KEY, "4123456789",
                 "/home/jane/.aws/config:3: [marketing] should be"):
        assert part in done.stdout, part
    assert all(len(line) <= 80 or agent.path in line
               for line in done.stdout.splitlines())


def test_status_as_json_keeps_its_members(agent):
    listed(agent)
    got = json.loads(run(agent, "status", "--json", "--keyring").stdout)
    assert set(got) == {"socket", "found", "awsenv", "usable", "agent",
                        "quota", "profile", "logins", "roles", "ring", "keys",
                        "problems"}
    assert got["agent"]["clock_skew"] == -5
    assert got["agent"]["protected"] is False
    assert got["profile"]["error"] is None
    assert got["profile"]["login"] == "done"
    assert got["logins"][0]["refreshable"] is True
    assert got["keys"][0]["serial"] == 4123456789
    assert got["problems"][0]["line"] == 3
    assert "keys" not in json.loads(run(agent, "status", "--json").stdout)


def test_long_lists_come_in_pages(agent):
    agent.on("status@awsenv", agent.status(roles=5))

    def page(ask):
        rows = [{"role": f"r{n}"} for n in range(ask["from"],
                                                 min(ask["from"] + 2, 5))]
        after = ask["from"] + 2
        return {"items": wire.pack("MSG_ROLE_ITEM", rows),
                "next": after if after < 5 else 0}
    agent.on("list@awsenv", page)
    got = json.loads(run(agent, "status", "--json").stdout)
    assert [r["role"] for r in got["roles"]] == ["r0", "r1", "r2", "r3", "r4"]


def test_a_list_that_does_not_go_on_is_not_asked_for_for_ever(agent):
    agent.on("status@awsenv", agent.status(roles=5))
    agent.on("list@awsenv", {"next": 1})
    done = run(agent, "status", timeout=20)
    assert done.returncode == 1 and "malformed" in done.stderr


@pytest.mark.parametrize("fields, duration, status", [
    ({}, "10m", 0), ({}, "2h", 3), ({"refreshable": 1}, "2h", 0),
    ({"login_state": wire.LOGIN_NONE}, "1s", 3),
    ({"login_state": wire.LOGIN_PENDING}, "1s", 3),
    ({"profile_error": wire.AW_NOPROFILE, "profile_text": "no x"}, "1s", 4)])
def test_status_check_answers_by_its_exit_status(agent, fields, duration,
                                                 status):
    agent.on("status@awsenv", agent.status(**fields))
    done = run(agent, "status", "--check", duration, "-p", "marketing")
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.count("\n") == (status != 0)


def test_status_of_a_profile_that_is_not_there_says_so(agent):
    agent.on("status@awsenv", agent.status(
        profile_error=wire.AW_NOPROFILE, profile_text="no profile \"x\""))
    done = run(agent, "status", "-p", "x")
    assert done.returncode == 4 and "no profile \"x\"" in done.stdout
    # Nobody asked for one: the agent's status is good.
    assert run(agent, "status").returncode == 0


def test_whoami_prints_what_aws_says(agent):
    agent.on("whoami@awsenv", {
        "profile": "marketing", "account": "123456789012", "role": "Editor",
        "arn": "arn:aws:sts::123456789012:assumed-role/x/jane",
        "person": "jane", "user_id": "AROA:jane",
        "expires": int(time.time()) + 600})
    text = run(agent, "whoami").stdout
    assert "arn:aws:sts::123456789012:assumed-role/x/jane" in text
    got = json.loads(run(agent, "whoami", "--json").stdout)
    assert got["user_id"] == "AROA:jane" and got["expires"].endswith("Z")
    assert got["session"] == ""


@pytest.mark.parametrize("words, what", [
    ([], wire.LOGOUT_ONE), (["--all"], wire.LOGOUT_ALL),
    (["--credentials"], wire.LOGOUT_CREDS)])
def test_logout_says_what_was_forgotten(agent, words, what):
    agent.on("logout@awsenv", {"logins": 1, "roles": 2,
                               "lines": wire.join(["corp: signed out"])})
    done = run(agent, "logout", *words)
    assert done.returncode == 0 and "corp: signed out\n" in done.stdout
    assert "1 login, 2 role credentials" in done.stdout
    assert agent.seen("logout@awsenv")[0].what == what


def test_logout_without_a_login_says_one_thing(agent):
    agent.on("logout@awsenv", {"lines": wire.join([": was not signed in"])})
    done = run(agent, "logout")
    assert (done.returncode, done.stdout) == (0, "nothing to forget\n")


def test_who_named_no_profile_is_told_how_to(agent):
    agent.on("creds@awsenv", {"error": wire.AW_NOPROFILE,
                              "text": 'no profile "default" in ~/.aws/config'})
    assert run(agent, "true").stderr == (
        'awsenv: no profile "default" in ~/.aws/config; '
        "name one with -p, or in AWS_PROFILE\n")
    assert "name one" not in run(agent, "-p", "default", "true").stderr


def test_logout_that_aws_did_not_hear_of_forgets_and_says_so(agent):
    agent.on("logout@awsenv", {"logins": 1, "error": wire.AW_NETWORK,
                               "text": "AWS was not told"})
    done = run(agent, "logout")
    assert done.returncode == 6 and "forgotten: 1 login" in done.stdout
    assert "AWS was not told" in done.stderr


def test_agent_stop_waits_for_the_end(agent):
    def stop(_):
        def leave():
            time.sleep(0.5)
            for s in agent._open:
                s.shutdown(socket.SHUT_RDWR)
        import threading
        threading.Thread(target=leave, daemon=True).start()
        return {}
    agent.on("stop@awsenv", stop)
    begun = time.monotonic()
    assert run(agent, "agent", "stop").returncode == 0
    assert time.monotonic() - begun > 0.4


# Usage


@pytest.mark.parametrize("words", [
    [], ["-p", "x"], ["--"], ["--frobnicate", "x"], ["forward"],
    ["--serve", "--env", "x"], ["--for", "x", "x"], ["status", "x"], ["login", "x"],
    ["export", "--core"], ["agent"], ["agent", "dance"], ["agent", "stop", "x"],
    ["whoami", "--all"], ["logout", "--all", "--credentials"],
    ["help", "nosuch"], ["status", "--check", "soon"],
    ["--json", "true"], ["version", "x"]])
def test_wrong_usage_exits_2_and_asks_nobody(agent, words):
    done = run(agent, *words)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr
    assert agent.requests == []


def test_help_is_on_standard_output_for_all_and_for_each_verb(agent):
    verbs = ("exec login logout status whoami export process agent help "
             "version").split()
    every = run(agent, "help").stdout
    assert every == run(agent, "--help").stdout == run(agent, "-h").stdout
    for verb in verbs:
        assert f"  {verb} " in every
        done = run(agent, verb, "--help")
        assert done.returncode == 0 and done.stderr == ""
        assert done.stdout.startswith(f"usage: awsenv {verb}")
        assert run(agent, "help", verb).stdout == done.stdout
    assert run(agent, "version").stdout == run(agent, "-V").stdout
    assert run(agent, "version").stdout.startswith("awsenv ")
    assert agent.requests == []


def test_typing_mistakes_are_answered_with_the_nearest(agent):
    assert "--profile?" in run(agent, "--profle", "x", "y").stderr
    assert "login?" in run(agent, "help", "logni").stderr


# As one of many


def test_a_hundred_at_once_are_all_served(agent):
    children = [subprocess.Popen([AWSENV, "sh", "-c", "echo $AWS_REGION"],
                                 env=agent.env(), stdout=subprocess.PIPE)
                for _ in range(100)]
    for child in children:
        assert child.communicate(timeout=60)[0] == b"eu-central-1\n"
        assert child.returncode == 0


def test_the_program_is_static_and_small_and_asks_no_user_database(tmp_path):
    small = tmp_path / "awsenv"
    subprocess.run(["strip", "-o", small, AWSENV], check=True)
    head = subprocess.run(["readelf", "-lW", AWSENV], capture_output=True,
                          text=True, check=True).stdout
    if "INTERP" in head:
        pytest.skip("built with WRAPPER=dynamic")
    assert stat.S_ISREG(small.stat().st_mode) and small.stat().st_size <= 65536
    names = subprocess.run(["nm", AWSENV], capture_output=True, text=True,
                           check=True).stdout
    assert "client_connect" in names
    assert "getpw" not in names and "getaddrinfo" not in names


def test_the_longest_address_stands_on_a_line_of_its_own(agent):
    """The longest address that AWS could give stands on a line of its own."""
    url = (URL + "b" * 2048)[:2048]
    agent.on("login@awsenv", agent.login(url=url))
    done = run(agent, "login", "--no-wait")
    assert done.returncode == 0 and f"\n{url}\n" in done.stderr


def test_the_manual_page_names_every_verb_option_and_variable(agent):
    page = (TOP / "agent/cli/awsenv.1").read_text()
    source = "".join(
        (TOP / f"agent/cli/{name}.c").read_text()
        for name in ("options", "verbs", "environ", "ask", "daemon",
                     "ctl/options"))
    options = re.findall(r'^\t\{"([a-z-]+)", .*OPT_', source, re.M)
    verbs = re.findall(r'^\t\{"([a-z]+)",[^{}"]*_verb', source, re.M)
    apart = re.search(r"apart\[\]\[\w+\] =([^;]*);", source)[1]
    verbs += re.findall(r'"([a-z]+)"', apart)
    names = re.findall(r'"((?:AWS|AMAZON)[A-Z_]+)\\0"', source)
    assert len(options) > 20 and len(verbs) >= 16 and len(names) > 35
    for option in set(options) - set(verbs):
        assert f"Fl -{option}" in page, option
    for verb in verbs:
        assert re.search(rf"^\.It Cm {verb}\b", page, re.M), verb
    for name in names:
        assert re.search(rf"\b{name}\b", page), name
