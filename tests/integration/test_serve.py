# SPDX-License-Identifier: ISC
"""An endpoint for one command, with an agent that says what a test wants."""
import contextlib
import json
import os
import pathlib
import re
import resource
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time

import pytest

import wire
from agent import BUILD, TOP, until
from agent import stat as process
from fake_agent import CLOSE, KEY, SECRET, SILENCE, TOKEN, FakeAgent
from served import Served, servers
from terminal import Terminal

AWSENV = str(BUILD / "awsenv")
PYTHON = "/usr/bin/python3"
OTHER = "ASIAOTHER00000000000"
USER = 62000
pytestmark = pytest.mark.quick
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def agent(tmp_path):
    with FakeAgent(tmp_path) as fake:
        fake.on("creds@awsenv", fake.creds())
        yield fake


def become():
    os.setgroups([])
    os.setresgid(*[USER] * 3)
    os.setresuid(*[USER] * 3)


def end_of(pid):
    until(lambda: (process(pid) or "Z")[1:2] in ("", "Z"),
          why=f"{pid} did not end")


def run(agent, *argv, env=None, **options):
    return subprocess.run([AWSENV, *argv], env=agent.env(**env or {}),
                          capture_output=True, stdin=subprocess.DEVNULL,
                          text=True, timeout=60, **options)


# ---- what the command is given, and what it gets


def test_the_command_has_an_endpoint_and_no_keys(agent):
    env = agent.env(
        AWS_PROFILE="other", AWS_ACCESS_KEY_ID="OLD", AWS_SESSION_TOKEN="old",
        AWS_CONTAINER_CREDENTIALS_RELATIVE_URI="/x", KEPT="1",
        AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE="/x", AWS_ROLE_ARN="arn",
        AWS_CONTAINER_CREDENTIALS_FULL_URI="http://x",
        AWS_WEB_IDENTITY_TOKEN_FILE="/x", AWS_CREDENTIAL_EXPIRATION="x")
    with Served(env, "-p", "marketing") as served:
        got = served.given
    for name in ("PATH", "HOME", "AWSENV_SOCK", "PWD"):
        got.pop(name, None)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/credentials",
                        got.pop("AWS_CONTAINER_CREDENTIALS_FULL_URI"))
    assert re.fullmatch(r"[0-9a-f]{64}",
                        got.pop("AWS_CONTAINER_AUTHORIZATION_TOKEN"))
    got.pop("_", None)
    assert got == {
        "AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCOUNT_ID": "123456789012", "AWSENV_PROFILE": "marketing",
        "AWS_EC2_METADATA_DISABLED": "true", "KEPT": "1"}


def test_the_endpoint_answers_in_the_form_that_all_sdks_take(agent):
    until_ = int(time.time()) + 3600
    agent.on("creds@awsenv", agent.creds(expires=until_))
    with Served(agent.env(), "-p", "marketing") as served:
        answer = served.get()
    assert answer.status == 200
    assert answer.json == {
        "AccessKeyId": KEY, "SecretAccessKey": SECRET, "Token": TOKEN,
        "Expiration": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until_)),
        "AccountId": "123456789012"}


def test_two_commands_have_two_tokens_and_neither_opens_the_other(agent):
    with Served(agent.env()) as one, Served(agent.env()) as two:
        assert one.token != two.token and one.port != two.port
        assert one.get(Authorization=two.token).status == 403


def test_an_answer_is_what_the_agent_has_now(agent):
    agent.on("creds@awsenv", agent.creds(), agent.creds(key=OTHER))
    with Served(agent.env(), "-p", "marketing") as served:
        assert served.key() == OTHER
    first, second = agent.seen("creds@awsenv")
    assert second["ask.profile"] == b"marketing"
    assert not first.half and not second.half


def test_while_the_agent_is_busy_the_old_ones_are_given(agent):
    agent.on("creds@awsenv", agent.creds(), SILENCE)
    with Served(agent.env()) as served:
        assert served.key() == KEY
        assert served.key() == KEY
        # The second asked nobody: one question is enough.
        assert len(agent.seen("creds@awsenv")) == 2


def test_a_slow_agent_is_waited_for_and_then_its_answer_is_given(agent):
    go = threading.Event()

    def slow(_):
        go.wait(20)
        return agent.creds(key=OTHER)
    agent.on("creds@awsenv", agent.creds(), slow)
    with Served(agent.env()) as served:
        assert served.key() == KEY
        go.set()
        until(lambda: served.key() == OTHER)


def test_a_broker_that_dies_is_asked_again(agent):
    agent.on("creds@awsenv", agent.creds(), CLOSE, CLOSE,
             agent.creds(key=OTHER))
    with Served(agent.env()) as served:
        assert served.key() == OTHER


@pytest.mark.parametrize("error", [wire.AW_LOGIN, wire.AW_NETWORK])
def test_what_cannot_be_renewed_is_good_to_its_end(agent, error):
    no = {"error": error, "text": "no luck"}
    agent.on("creds@awsenv", agent.creds(expires=int(time.time()) + 6), no)
    with Served(agent.env(), "-p", "marketing") as served:
        assert served.key() == KEY
        answer = until(lambda: (a := served.get()).status != 200 and a)
        assert answer.status == 403
        told = answer.json["message"]
        assert told == answer.json["Message"]
        assert ("awsenv login -p marketing" if error == wire.AW_LOGIN
                else "no luck") in told
        # Somebody logged in meanwhile.
        agent.on("creds@awsenv", agent.creds(key=OTHER))
        assert served.key() == OTHER


@pytest.mark.parametrize("error", [wire.AW_DENIED, wire.AW_AWS])
def test_what_is_refused_is_not_given_any_more(agent, error):
    agent.on("creds@awsenv", agent.creds(),
             {"error": error, "text": "not you"})
    with Served(agent.env()) as served:
        answer = served.get()
        assert answer.status == 403 and "not you" in answer.json["message"]


def test_an_agent_that_went_is_told(agent):
    agent.on("creds@awsenv", agent.creds(expires=int(time.time()) + 3))
    with Served(agent.env()) as served:
        agent.__exit__()
        answer = until(lambda: (a := served.get()).status != 200 and a)
        assert "no agent answers" in answer.json["message"]


def test_a_config_that_means_another_role_now_is_not_followed(agent):
    agent.on("creds@awsenv", agent.creds(expires=int(time.time()) + 3),
             agent.creds(key=OTHER, account="999999999999"))
    with Served(agent.env()) as served:
        assert served.key() == KEY
        answer = until(lambda: (a := served.get()).status != 200 and a)
        assert "account 999999999999" in answer.json["message"]


def test_credentials_of_another_form_are_not_handed_on(agent):
    agent.on("creds@awsenv", agent.creds(expires=int(time.time()) + 3),
             agent.creds(key="short"))
    with Served(agent.env()) as served:
        answer = until(lambda: (a := served.get()).status != 200 and a)
        assert "AWS's form" in answer.json["message"]
        assert b"short" not in answer.body


# ---- who else may ask


@pytest.mark.parametrize("change, status", [
    ({"Authorization": None}, 403), ({"Authorization": "0" * 64}, 403),
    ({"Authorization": ""}, 403), ({"Origin": "http://127.0.0.1"}, 403),
    ({"Host": "localhost:80"}, 403), ({"Host": "evil.example"}, 403),
    ({"Host": None}, 403), ({"path": "/"}, 404), ({"method": "POST"}, 405),
    ({"X-Long": "x" * 5000}, 431)])
def test_other_requests_are_refused_and_the_agent_not_asked(agent, change,
                                                            status):
    with Served(agent.env()) as served:
        answer = served.get(**change)
        assert answer.status == status
        assert SECRET.encode() not in answer.body
        assert json.loads(answer.body)["code"] == "awsenv"
        assert len(agent.seen("creds@awsenv")) == 1
        assert served.key() == KEY


@as_root
def test_another_user_with_the_token_gets_nothing(agent):
    asks = ("import sys, urllib.request as u, urllib.error as e\n"
            "q = u.Request(sys.argv[1], headers={'Authorization': "
            "sys.argv[2]})\n"
            "try: print(u.urlopen(q).status)\n"
            "except e.HTTPError as x: print(x.code)\n")
    with Served(agent.env()) as served:
        argv = [PYTHON, "-c", asks, served.uri, served.token]
        theirs = subprocess.run(
            argv, text=True, capture_output=True, timeout=30,
            preexec_fn=become)
        assert theirs.stdout == "403\n", theirs.stderr
        ours = subprocess.run(argv, text=True, capture_output=True, timeout=30)
        assert ours.stdout == "200\n"


def test_a_client_may_have_a_socket_of_ipv6(agent):
    with Served(agent.env()) as served:
        try:
            s = socket.create_connection(
                ("::ffff:127.0.0.1", served.port), 20)
        except OSError:
            pytest.skip("no IPv6 here")
        with s:
            s.sendall(f"GET /credentials HTTP/1.1\r\nHost: 127.0.0.1:"
                      f"{served.port}\r\nAuthorization: {served.token}\r\n\r\n"
                      .encode())
            assert s.recv(15) == b"HTTP/1.1 200 OK"


def test_a_request_in_pieces_is_put_together(agent):
    text = "GET /credentials HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n" \
           "Authorization: {}\r\n\r\n"
    with Served(agent.env()) as served, served.connect() as s:
        for c in text.format(served.port, served.token):
            s.sendall(c.encode())
        assert s.recv(15) == b"HTTP/1.1 200 OK"


def test_a_thousand_idle_connections_keep_nobody_out(agent):
    with Served(agent.env()) as served, contextlib.ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(served.connect())
        assert served.key() == KEY
        assert served.key() == KEY


def test_who_says_nothing_is_hung_up_on(agent):
    with Served(agent.env()) as served, served.connect() as s:
        s.sendall(b"GET ")
        assert s.recv(1) == b""


def test_who_goes_away_while_waiting_harms_nobody(agent):
    agent.on("creds@awsenv", agent.creds(), SILENCE)
    text = "GET /credentials HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n" \
           "Authorization: {}\r\n\r\n"
    with Served(agent.env()) as served:
        for _ in range(40):
            with served.connect() as s:
                s.sendall(text.format(served.port, served.token).encode())
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             b"\1\0\0\0\0\0\0\0")
        assert served.key() == KEY


# ---- as if awsenv were not there


@as_root
def test_the_endpoint_holds_nothing_of_the_commands(agent, tmp_path):
    held = os.open(tmp_path / "held", os.O_CREAT | os.O_RDWR)
    with Served(agent.env(), pass_fds=(held,)) as served:
        server = served.server()
        # It is its own before the command is; then it forgets the rest.
        until(lambda: len(os.listdir(f"/proc/{server}/fd")) == 5)
        files = [os.readlink(f"/proc/{server}/fd/{n}")
                 for n in os.listdir(f"/proc/{server}/fd")]
        assert files.count("/dev/null") == 3
        assert sum(f.startswith("socket:") for f in files) == 1
        assert "anon_inode:[pidfd]" in files
        assert os.getsid(server) != os.getsid(served.child.pid)
        assert os.getpgid(server) != os.getpgid(served.child.pid)
        assert process(server)[2] != served.child.pid
        argv = pathlib.Path(f"/proc/{server}/cmdline").read_text()
        assert served.token not in argv and SECRET not in argv
        status = pathlib.Path(f"/proc/{server}/status").read_text()
        assert "TracerPid:\t0\n" in status
    os.close(held)
    end_of(server)


@as_root
def test_nobody_looks_into_the_endpoint():
    """Not dumpable: its files in /proc are root's."""
    with tempfile.TemporaryDirectory(prefix="awsenv-serve.") as folder, \
            FakeAgent(folder) as agent, contextlib.ExitStack() as stack:
        agent.on("creds@awsenv", agent.creds())
        for path in (folder, agent.path):
            os.chown(path, USER, USER)
        served = stack.enter_context(
            Served(agent.env(), preexec_fn=become, cwd="/"))
        server = served.server()
        assert os.stat(f"/proc/{server}/environ").st_uid == 0
        assert os.stat(f"/proc/{served.child.pid}/environ").st_uid == USER
        assert served.get().status == 403       # root is another user
        seen = subprocess.run(["cat", f"/proc/{server}/environ"],
                              preexec_fn=become, capture_output=True)
        assert b"ermission denied" in seen.stderr


def test_the_endpoint_ends_with_the_command_however_that_ends(agent):
    for how in (signal.SIGKILL, signal.SIGTERM, None):
        served = Served(agent.env()).__enter__()
        server = served.server()
        if how:
            served.child.send_signal(how)
        served.end()
        assert served.child.returncode == (-how if how else 0)
        end_of(server)
        with pytest.raises(OSError):
            served.connect(2)


def test_sigterm_to_all_of_a_service_leaves_the_command_its_endpoint(agent):
    with Served(agent.env()) as served:
        os.kill(served.server(), signal.SIGTERM)
        assert served.key() == KEY


def test_a_pipe_ends_with_the_command(agent):
    done = subprocess.run(f"{AWSENV} --serve echo hi | cat", shell=True,
                          env=agent.env(), capture_output=True, text=True,
                          timeout=30)
    assert (done.stdout, done.stderr) == ("hi\n", "")


def test_the_command_has_no_child_that_it_did_not_make(agent):
    code = ("import os\n"
            "try: os.waitpid(-1, 0x40000000)\n"     # __WALL
            "except ChildProcessError: print('none')\n")
    assert run(agent, "--serve", PYTHON, "-c", code).stdout == "none\n"


def test_exit_status_and_signals_are_the_commands_own(agent):
    assert run(agent, "--serve", "sh", "-c", "exit 42").returncode == 42
    assert run(agent, "--serve", "sh", "-c", "kill -TERM $$").returncode == -15
    assert run(agent, "--serve", "no-such-command").returncode == 127


def test_where_nothing_can_be_served_the_command_is_not_run(agent, tmp_path):
    ran = tmp_path / "ran"
    # The agent's connection is the one descriptor more that there may be; a
    # search for leaks would want more.
    done = run(agent, "--serve", "touch", str(ran),
               env={"ASAN_OPTIONS": "detect_leaks=0"}, preexec_fn=lambda:
               resource.setrlimit(resource.RLIMIT_NOFILE, (4, 4)))
    assert done.returncode == 125 and not ran.exists()
    assert "cannot serve" in done.stderr and "too many open" in done.stderr


def test_serve_and_env_contradict(agent):
    done = run(agent, "--serve", "--env", "true")
    assert done.returncode == 2 and "either --env or --serve" in done.stderr


def shell(agent):
    return Terminal(["bash", "--norc", "-i"], agent.env(PS1="$ ", HISTFILE=""))


def test_ctrl_c_ends_the_command_and_the_endpoint(agent, tmp_path):
    with shell(agent) as t:
        t.press(f"{AWSENV} --serve sh -c 'echo up=$$; exec sleep 1000' {tmp_path}\n"
                .encode())
        pid = int(until(lambda: (t.read(0.1), re.search(
            r"up=(\d+)\n", t.text))[1])[1])
        server = until(lambda: next(iter(servers(str(tmp_path))), None))
        t.press(b"\x03")
        end_of(pid)
        end_of(server)
        t.press(b"echo status=$?\n")
        t.until("status=130")


def test_ctrl_z_stops_the_command_and_not_its_endpoint(agent, tmp_path):
    with shell(agent) as t:
        t.press(f"{AWSENV} --serve sh -c 'echo up=$$; exec sleep 1000' {tmp_path}\n"
                .encode())
        pid = int(until(lambda: (t.read(0.1), re.search(
            r"up=(\d+)\n", t.text))[1])[1])
        server = until(lambda: next(iter(servers(str(tmp_path))), None))
        t.press(b"\x1a")
        t.until("Stopped")
        assert process(pid)[1] == "T" and process(server)[1] == "S"
        t.press(b"fg\n")
        until(lambda: process(pid)[1] == "S")
        t.press(b"\x03")
        end_of(server)


# ---- what stands in [default]


@pytest.fixture
def home(agent, tmp_path):
    """A person whose [default] has keys; what leads there."""
    aws = tmp_path / ".aws"
    aws.mkdir()
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    (aws / "credentials").write_text(
        "# aws_secret_access_key = ancient\n[default]\n"
        "aws_access_key_id = AKIAUSERSOWN00000000\n"
        "aws_secret_access_key = usersownsecret\n[other]\n"
        "aws_access_key_id = AKIAOTHER\naws_secret_access_key = othersecret\n")
    (aws / "config").write_text(
        "[default]\nregion = us-east-1\nretry_mode = adaptive\ns3 =\n"
        "  addressing_style = path\nsso_session = corp\n"
        "sso_account_id = 1\nsso_role_name = r\n\n[profile x]\n"
        "role_arn = arn\nsource_profile = other\n"
        "[sso-session corp]\nsso_start_url = https://x\nsso_region = y\n")
    return tmp_path, {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(runtime)}


def test_a_default_profile_with_keys_does_not_get_in_the_way(agent, home):
    pytest.importorskip("boto3")
    code = ("import boto3; s = boto3.Session(); c = s.get_credentials()\n"
            "print(c.method, c.access_key, s.region_name)\n"
            "f = s._session.full_config['profiles']\n"
            "print(f['default'], f['x'])\n")
    done = run(agent, "--serve", PYTHON, "-c", code, env=home[1])
    assert done.stdout == (
        f"container-role {KEY} eu-central-1\n"
        "{'region': 'us-east-1', 'retry_mode': 'adaptive', 's3': "
        "{'addressing_style': 'path'}} "
        "{'role_arn': 'arn', 'source_profile': 'other'}\n"), done.stderr


def test_the_view_has_no_secret_and_ends_with_the_command(agent, home):
    folder, env = home
    with Served(agent.env(**env), "-p", "marketing") as served:
        config = pathlib.Path(served.given["AWS_CONFIG_FILE"])
        keys = pathlib.Path(served.given["AWS_SHARED_CREDENTIALS_FILE"])
        assert config.parent == keys.parent
        assert config.parent.parent == folder / "run/awsenv"
        assert stat.S_IMODE(config.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(keys.stat().st_mode) == 0o600
        assert keys.read_text() == "[default]\n[other]\n"
        assert "sso_session" not in config.read_text()
        assert served.given["AWSENV_CONFIG_FILE"] == str(folder / ".aws/config")
        assert served.given["AWS_SDK_LOAD_CONFIG"] == "1"
        # awsenv in there asks about the file itself.
        inner = run(agent, "-p", "inner", "true", env=served.given)
        assert inner.returncode == 0, inner.stderr
        ask = agent.seen("creds@awsenv")[-1]
        assert ask["ask.config"].decode() == str(folder / ".aws/config")
        assert ask["ask.stamp.ino"] == os.stat(folder / ".aws/config").st_ino
    until(lambda: not config.parent.exists(), why="the view is still there")


def test_files_that_are_in_nobodys_way_stay_what_they_are(agent, tmp_path):
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text(
        "[default]\nregion = x\n[profile y]\nsso_session = z\n")
    (tmp_path / "keys").write_text("[other]\naws_access_key_id = A\n")
    env = {"AWS_SHARED_CREDENTIALS_FILE": "keys", "HOME": str(tmp_path)}
    with Served(agent.env(**env), cwd=tmp_path) as served:
        assert served.given["AWS_SHARED_CREDENTIALS_FILE"] == "keys"
        assert "AWS_CONFIG_FILE" not in served.given


def test_a_file_named_by_a_variable_is_viewed_too(agent, home):
    folder, env = home
    os.rename(folder / ".aws/credentials", folder / "keys")
    env = {**env, "AWS_SHARED_CREDENTIALS_FILE": "keys"}
    with Served(agent.env(**env), cwd=folder) as served:
        view = served.given["AWS_SHARED_CREDENTIALS_FILE"]
        assert view.startswith(str(folder / "run/awsenv/serve."))


def test_without_a_place_for_a_view_it_is_said_and_nothing_run(agent, home):
    folder, env = home
    os.rmdir(folder / "run")
    if os.path.isdir(f"/run/user/{os.getuid()}") or \
            os.path.isdir(f"/run/awsenv/{os.getuid()}"):
        pytest.skip("this user has a runtime directory")
    done = run(agent, "--serve", "true", env=env)
    assert done.returncode == 125
    assert "[default] of" in done.stderr and "--env" in done.stderr


def test_a_command_that_cannot_be_run_leaves_no_view(agent, home):
    folder, env = home
    assert run(agent, "--serve", "no-such", env=env).returncode == 127
    until(lambda: not list((folder / "run/awsenv").glob("serve.*")))


# ---- who is served without asking for it


def given_to(agent, tmp_path, name, *words, **rep):
    """The variables of a command of that name, or why it was not run."""
    tool = tmp_path / name
    tool.write_text("#!/bin/sh\nenv\n")
    tool.chmod(0o755)
    agent.on("creds@awsenv", agent.creds(**rep))
    done = run(agent, *words, str(tool))
    assert done.returncode == 0, done.stderr
    return {line.split("=")[0] for line in done.stdout.splitlines()}


URI, SECRET_KEY = "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_SECRET_ACCESS_KEY"


@pytest.mark.parametrize("name, words, wish, is_served", [
    ("aws", [], None, True), ("aws", ["--env"], None, False),
    ("aws", [], "false", False), ("aws", ["--serve"], "false", True),
    ("tool", [], None, False), ("tool", ["--serve"], None, True),
    ("tool", [], "true", True), ("tool", ["--env"], "true", False),
    ("aws2", [], None, False)])
def test_options_then_the_profile_then_the_table_decide(
        agent, tmp_path, name, words, wish, is_served):
    settings = wire.join([f"AWSENV_SERVE={wish}"] if wish else [])
    got = given_to(agent, tmp_path, name, *words, settings=settings)
    assert (URI in got) == is_served and (SECRET_KEY in got) != is_served
    assert "AWSENV_SERVE" not in got


def test_the_table_is_the_manuals():
    page = (TOP / "agent/cli/awsenv.1").read_text()
    told = re.search(r"an endpoint is given to\n((?:\.Cm .*\n|and\n)+)", page)[1]
    code = (TOP / "agent/cli/run.c").read_text()
    table = re.search(r"served\[\] = ((?:\s*\"\w+\\0\")+);", code)[1]
    assert set(re.findall(r"\w+", told.replace(".Cm", ""))) - {"and"} == \
        set(re.findall(r"(\w+)\\0", table))


def test_who_did_not_ask_is_given_frozen_keys_where_none_can_be_served(
        agent, tmp_path):
    tool = tmp_path / "aws"
    tool.symlink_to("/usr/bin/env")
    # The agent's connection is the one descriptor more that there may be.
    done = run(agent, str(tool), preexec_fn=lambda: resource.setrlimit(
        resource.RLIMIT_NOFILE, (4, 4)))
    assert f"AWS_ACCESS_KEY_ID={KEY}\n" in done.stdout
    assert "cannot serve" in done.stderr and "frozen keys" in done.stderr


# ---- only if it lasts


@pytest.mark.parametrize("words, keys, login, silent, told", [
    (["--env", "--for", "50m"], 3600, 0, 0, None),
    (["--env", "--for", "2h"], 3600, 99999, 1,
     r"the keys are good until \S+ .*\((59|60) min left\), which is less than "
     r"--for asks for;\n.*--serve"),
    (["--serve", "--for", "50m"], 3600, 0, 0, None),
    (["--serve", "--for", "2h"], 3600, 7300, 0, None),
    (["--serve", "--for", "2h"], 3600, 60, 1, None),
    (["--serve", "--for", "2h"], 3600, 5400, 0,
     r"the login lasts until \S+ .*\((89|90) min left\), which is less than "
     r"--for asks for;\n.*awsenv login"),
])
def test_a_command_that_cannot_last_is_not_begun(agent, tmp_path, words, keys,
                                                 login, silent, told):
    now = int(time.time())
    agent.on("creds@awsenv", agent.creds(expires=now + keys))
    agent.on("status@awsenv", agent.status(login_expires=now + login,
                                           refreshable=silent))
    ran = tmp_path / "ran"
    done = run(agent, *words, "touch", str(ran), env={"TZ": "UTC"})
    assert ran.exists() == (told is None)
    assert done.returncode == (3 if told else 0), done.stderr
    assert re.search(told or "^$", done.stderr), done.stderr


def test_keys_that_last_are_asked_for(agent):
    run(agent, "--for", "2h", "true")
    assert agent.seen("creds@awsenv")[0].seconds == 7200
