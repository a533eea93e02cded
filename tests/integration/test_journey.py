# SPDX-License-Identifier: ISC
"""The main job as a person does it: the real awsenv, agent and terminal."""

import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import pytest

import hangfs
from agent import until
from journey import AWS, PYTHON, Person, approving
from simulator.client import Simulator

CALLER = ("sts", "get-caller-identity", "--output", "json")
needs_aws = pytest.mark.skipif(not os.path.exists(AWS),
                               reason="Debian's awscli is not installed")
needs_tmux = pytest.mark.skipif(not shutil.which("tmux"),
                                reason="tmux is not installed")


@pytest.fixture
def ann(sim):
    with Person(sim) as person:
        yield person


def shown(text):
    """URL and code on a login's screen."""
    found = re.search(r"any machine:\s+(\S+)\s+and allow it only if it shows "
                      r"this code:\s+(\S+)", text)
    assert found, text
    return found[1], found[2]


# ---- by a script

def test_a_script_reads_the_code_while_the_login_waits(sim, ann):
    child = ann.popen("login", "-p", "marketing", "--json")
    begun = json.loads(child.stdout.readline())
    assert begun["state"] == "pending" and begun["url"].startswith("http")
    assert child.poll() is None, "it waits for the approval"
    sim.approve(begun["code"])
    out, err = child.communicate(timeout=60)
    ended = json.loads(out)
    assert (ended["state"], ended["person"]) == ("done", "ann@example.com")
    assert (child.returncode, err) == (0, "")


# ---- on a terminal

def qr_of(text):
    """The library's QR code of a text: rows of booleans, true is dark."""
    class Code(ctypes.Structure):
        _fields_ = [("version", ctypes.c_int), ("width", ctypes.c_int),
                    ("data", ctypes.POINTER(ctypes.c_ubyte))]
    library = ctypes.CDLL("libqrencode.so.4")
    library.QRcode_encodeString8bit.restype = ctypes.POINTER(Code)
    code = library.QRcode_encodeString8bit(text.encode(), 0, 0).contents
    w = code.width
    return [[bool(code.data[y * w + x] & 1) for x in range(w)]
            for y in range(w)]


def qr_on(lines):
    """What stands on the screen, without its light frame."""
    blocks = [line for line in lines if re.fullmatch("█{4}[█▀▄ ]+", line)]
    width = len(blocks[0])
    light = []
    for line in blocks:
        line = line.ljust(width)
        light.append([c in "█▀" for c in line])
        light.append([c in "█▄" for c in line])
    assert all(light[0]) and all(all(row) for row in light[:4])
    assert all(row[0] and row[-1] for row in light[:width])
    return [[not bit for bit in row[4:-4]] for row in light[4:width - 4]]


@pytest.mark.quick
@needs_tmux
@pytest.mark.parametrize("rows, whole", [(60, True), (24, False)])
def test_a_terminal_shows_url_and_code_and_a_qr_code_that_fits(rows, whole):
    with Simulator(interval=1, url="code") as sim, Person(sim) as ann, \
            ann.terminal("awsenv", "-p", "marketing", "--", "sh", "-c",
                         "echo key=$AWS_ACCESS_KEY_ID", rows=rows) as t:
        t.until("waiting for the approval")
        url, code = shown(t.text())
        pending = sim.wait_pending()
        assert (url, code) == (pending["url_complete"], pending["user_code"])
        assert "NOT AWS: endpoint " + sim.urls["https"] in t.text()
        assert re.search(
            r"Valid until ([\d-]{10} )?\d\d:\d\d \(\d+ min left\)", t.text())
        lines = t.screen()
        assert len(lines) - 1 == rows
        if whole:
            assert qr_on(lines) == qr_of(url)
        else:
            assert not re.search("[█▀▄]{4}", t.text())
            assert "A QR code needs a window of" in t.text()
        # All of it is to be seen at once.
        assert any("a login is needed: sim" in line for line in lines)
        sim.approve(code, "ann@example.com")
        assert re.match("ASIA", t.until(r"key=(\w+)")[1])
        assert "approved by ann@example.com; logged in to sim" in t.text()
        assert t.exit_status() == 0


@needs_tmux
def test_todays_long_address_is_whole_and_needs_no_qr_code(sim, ann):
    with ann.terminal("awsenv", "-p", "marketing", "--", "true") as t:
        t.until("waiting for the approval")
        url, code = shown(t.text())
        assert len(url) == 1000 and code not in url
        assert url == sim.wait_pending()["url_complete"]
        assert not re.search("[█▀▄]{4}", t.text())
        sim.approve(code)
        assert t.exit_status() == 0


@needs_tmux
def test_ctrl_c_ends_the_waiting_and_not_the_login(sim, ann):
    with ann.terminal("awsenv", "-p", "marketing", "--", "true") as t:
        t.until("waiting for the approval")
        code = shown(t.text())[1]
        t.press("C-c")
        t.until("the code stays valid until .* awsenv login shows it again")
        assert t.exit_status() == 130
    with ann.terminal("awsenv", "login", "-p", "marketing") as t:
        t.until("waiting for the approval")
        assert shown(t.text())[1] == code
        sim.approve(code)
        assert t.exit_status() == 0
    assert sim.counts()["StartDeviceAuthorization"] == 1
    assert ann.run("-p", "marketing", "--", "true").returncode == 0


@needs_tmux
def test_a_login_approved_after_ctrl_c_is_there_for_the_next_command(sim, ann):
    with ann.terminal("awsenv", "-p", "marketing", "--", "true") as t:
        t.until("waiting for the approval")
        t.press("C-c")
        t.exit_status()
    sim.approve(sim.wait_pending()["user_code"])
    until(lambda: ann.run("-p", "marketing", "--", "true").returncode == 0, 30)
    assert sim.counts()["StartDeviceAuthorization"] == 1


@needs_tmux
def test_another_person_than_the_last_time_is_warned_of(sim, ann):
    ann.log_in()
    ann.run("logout", "-p", "marketing")
    ann.log_in(user="ann@example.com")
    sim.expire("session")
    sim.expire("access_token")
    ann.run("logout", "--credentials")
    with approving(sim, "bob@example.com"), \
            ann.terminal("awsenv", "-p", "marketing", "--", "true") as t:
        assert t.exit_status() == 0
        assert "approved by bob@example.com" in t.text()
        assert "WARNING: the last time it was ann@example.com" in t.text()


@needs_tmux
def test_an_identity_that_was_not_expected_is_warned_of(sim):
    with Person(sim, [{"name": "marketing",
                       "awsenv_identity": "ann@example.com"}]) as ann, \
            approving(sim, "bob@example.com"), \
            ann.terminal("awsenv", "-p", "marketing", "--", "true") as t:
        assert t.exit_status() == 0
        assert re.search(r"WARNING: profile marketing expects ann@example.com "
                         r"\(awsenv_identity\), not bob@example.com", t.text())


@pytest.mark.quick
def test_without_a_terminal_a_command_fails_at_once_and_says_how(sim, ann):
    done = ann.run("-p", "marketing", "--", "true")
    assert done.returncode == 125 and done.stdout == ""
    assert done.stderr == ("awsenv: profile marketing: a login is needed; run: "
                           "awsenv login -p marketing\n")
    assert sim.counts()["total"] == 0
    assert ann.run("process", "-p", "marketing").returncode == 3


def test_wait_waits_so_long_and_leaves_the_login_alone(sim, ann):
    done = ann.run("--wait", "2", "-p", "marketing", "--", "true")
    assert done.returncode == 125
    code = shown(done.stderr)[1]
    assert "not approved within 2 s; the code stays valid until" in done.stderr
    sim.approve(code)
    done = ann.run("--wait", "30", "-p", "marketing", "--", "true")
    assert done.returncode == 0
    assert sim.counts()["StartDeviceAuthorization"] == 1


def test_login_without_waiting_shows_the_code_and_ends(sim, ann):
    done = ann.run("login", "--no-wait", "-p", "marketing")
    assert done.returncode == 0
    assert shown(done.stderr)[1] == sim.wait_pending()["user_code"]


# ---- other people's programs

@needs_aws
def test_debians_aws_runs_with_credentials(sim):
    with Person(sim, via="proxy") as ann:
        ann.log_in()
        done = ann.run("--profile", "marketing", AWS, *CALLER)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["Account"] == "012345678901"
        assert "/ann@example.com" in json.loads(done.stdout)["Arn"]


BOTO = """
import boto3
print(boto3.client("sts").get_caller_identity()["Account"])
"""


def has_boto3():
    return subprocess.run([PYTHON, "-c", "import boto3"],
                          stderr=subprocess.DEVNULL).returncode == 0


@pytest.mark.skipif(not has_boto3(), reason="python3-boto3 is not installed")
def test_a_boto3_script_runs_with_credentials(sim):
    with Person(sim, via="proxy") as ann:
        ann.log_in()
        done = ann.run("-p", "platform", PYTHON, "-c", BOTO)
        assert done.stdout == "210987654321\n", done.stderr


@needs_aws
@pytest.mark.skipif(not has_boto3(), reason="python3-boto3 is not installed")
def test_credential_process_serves_aws_and_boto3(sim):
    """In a config of its own: what is AWS's profile is not ours."""
    with Person(sim, via="proxy") as ann:
        ann.log_in()
        other = ann.dir / "tools"
        other.write_text(
            "[profile tool]\nregion = eu-central-1\ncredential_process = env "
            f"AWS_CONFIG_FILE={ann.config} {ann.programs}/awsenv process "
            "-p marketing\n")
        env = {"AWS_CONFIG_FILE": other, "AWS_PROFILE": "tool"}
        done = ann.run(*CALLER, program=AWS, env=env)
        assert json.loads(done.stdout)["Account"] == "012345678901", done.stderr
        done = ann.run("-c", BOTO, program=PYTHON, env=env)
        assert done.stdout == "012345678901\n", done.stderr


# ---- which profile

@pytest.fixture(scope="module")
def logged_in():
    with Simulator(interval=1) as sim, \
            Person(sim, ("default", "marketing", "platform")) as ann:
        ann.log_in("default")
        yield ann


@pytest.mark.parametrize("words, env, account", [
    (["-p", "platform"], {"AWS_PROFILE": "marketing"}, "210987654321"),
    ([], {"AWS_PROFILE": "platform"}, "210987654321"),
    ([], {"AWS_DEFAULT_PROFILE": "platform"}, "210987654321"),
    ([], {"AWS_PROFILE": "platform", "AWS_DEFAULT_PROFILE": "marketing"},
     "210987654321"),
    ([], {"AWSENV_PROFILE": "platform"}, "210987654321"),
    ([], {}, "012345678901"),
])
def test_the_profile_is_the_one_that_is_named_first(logged_in, words, env,
                                                    account):
    done = logged_in.run(*words, "--", "env", env=env)
    given = dict(l.split("=", 1) for l in done.stdout.splitlines())
    assert given["AWS_ACCOUNT_ID"] == account
    assert "AWS_PROFILE" not in given and "AWS_DEFAULT_PROFILE" not in given


def test_a_profile_in_the_commands_own_arguments_is_warned_of(ann):
    ann.log_in()
    done = ann.run("-p", "marketing", "--", "echo", "--profile", "x")
    assert done.returncode == 0 and done.stdout == "--profile x\n"
    assert "--profile among the arguments of echo may beat" in done.stderr


def test_a_missing_profile_is_answered_with_the_nearest_names(ann):
    done = ann.run("export", "-p", "marketting")
    assert done.returncode == 4 and done.stdout == ""
    assert "marketting" in done.stderr and "marketing" in done.stderr
    assert done.stderr.count("\n") <= 2


@pytest.mark.quick
def test_the_commands_exit_status_is_awsenvs(ann):
    ann.log_in()
    run = lambda *argv: ann.run("-p", "marketing", "--", *argv).returncode
    assert run("sh", "-c", "exit 42") == 42
    assert run("sh", "-c", "kill -9 $$") == -9
    assert run("/etc/passwd") == 126
    assert run("no-such-program") == 127


# ---- many at once

def test_a_hundred_at_once_without_a_token_share_one_login(sim, ann):
    children_ = [ann.popen("--wait", "60", "-p", "marketing", "--", "sh", "-c",
                           "echo $AWS_ACCESS_KEY_ID", stdin=None)
                 for _ in range(100)]
    sim.until(lambda: sim.counts()["CreateToken"] >= 2, 60, "polling")
    code = sim.wait_pending()["user_code"]
    sim.approve(code)
    done = [child.communicate(timeout=90) for child in children_]
    assert [child.returncode for child in children_] == [0] * 100, done
    keys = {out for out, _ in done}
    assert len(keys) == 1 and keys.pop().startswith("ASIA")
    for _, err in done:
        if "allow it only if" in err:
            assert shown(err)[1] == code
    counts = sim.counts()
    assert counts["RegisterClient"] == counts["StartDeviceAuthorization"] == 1
    # The login asks once, to know who approved; all others share one at most.
    assert counts["GetRoleCredentials"] <= 2


def test_ten_starts_at_once_give_one_agent(sim, ann):
    started = [ann.popen("agent", "start") for _ in range(10)]
    for child in started:
        out, err = child.communicate(timeout=60)
        assert child.returncode == 0, err
    pids = {re.search(r"pid (\d+)", ann.run("agent", "status").stdout)[1]
            for _ in range(3)}
    assert len(pids) == 1
    if os.geteuid() != 0:
        return      # nobody else sees into one to tell whose it is
    mine = [p for p in os.listdir("/proc") if p.isdigit() and _agent_of(p, ann)]
    assert mine == list(pids)


def _agent_of(pid, person):
    try:
        if pathlib.Path(f"/proc/{pid}/comm").read_text() != "awsenv-agent\n":
            return False
        env = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return f"XDG_RUNTIME_DIR={person.runtime}".encode() in env.split(b"\0")


# ---- the config file

def test_a_config_made_after_the_agent_started_is_read(sim, ann):
    text = ann.config.read_text()
    ann.config.unlink()
    assert ann.run("agent", "start").returncode == 0
    done = ann.run("export", "-p", "marketing")
    assert done.returncode == 4
    assert "marketing" in done.stderr and done.stderr.count("\n") <= 2
    ann.config.write_text(text)
    ann.log_in()
    assert ann.run("-p", "marketing", "--", "true").returncode == 0


def test_a_profile_that_is_added_is_there_at_once(sim, ann):
    ann.log_in()
    sim.write_config(ann.config, "marketing", "platform", "sandbox")
    done = ann.run("-p", "sandbox", "--", "sh", "-c", "echo $AWS_ACCOUNT_ID")
    assert done.stdout == "000000000042\n", done.stderr


def test_a_symbolic_link_into_a_dotfiles_folder_is_followed(sim, ann):
    dotfiles = ann.home / "dotfiles"
    dotfiles.mkdir()
    shutil.move(ann.config, dotfiles / "aws")
    ann.config.symlink_to("../dotfiles/aws")
    ann.log_in()
    assert ann.run("-p", "marketing", "--", "true").returncode == 0
    # As an editor writes: a new file in the old one's place.
    sim.write_config(dotfiles / "new", "marketing", "sandbox")
    os.replace(dotfiles / "new", dotfiles / "aws")
    done = ann.run("-p", "sandbox", "--", "sh", "-c", "echo $AWS_ACCOUNT_ID")
    assert done.stdout == "000000000042\n", done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be another user")
def test_a_config_that_may_not_be_read_is_named(sim):
    with Person(sim, uid=62001) as ann:
        ann.log_in()
        os.chown(ann.config, 0, 0)
        ann.config.chmod(0o600)
        # What is known goes on ...
        assert ann.run("-p", "marketing", "--", "true").returncode == 0
        assert ann.run("agent", "stop").returncode == 0
        # ... and who has never read it says what is wrong.
        done = ann.run("export", "-p", "marketing")
        assert done.returncode == 4, done.stderr
        assert str(ann.config) in done.stderr
        assert "ermission denied" in done.stderr


def test_ten_thousand_profiles_cost_one_parse(sim):
    profiles = [{"name": f"profile-{n:05d}",
                 "sso_session": "sim", "sso_account_id": "012345678901",
                 "sso_role_name": "ReadOnly"} for n in range(10000)]
    with Person(sim, profiles) as ann:
        ann.log_in("profile-00000")
        begun = time.monotonic()
        for n in (1, 5000, 9999):
            done = ann.run("-p", f"profile-{n:05d}", "--", "sh", "-c",
                           "echo $AWSENV_PROFILE")
            assert done.stdout == f"profile-{n:05d}\n", done.stderr
        assert time.monotonic() - begun < 30
        # One account and role: one set of credentials for all of them.
        assert sim.counts()["GetRoleCredentials"] <= 2


@hangfs.needs_fuse
def test_a_home_that_hangs_stops_nobody(sim, tmp_path):
    """Cached answers go on; new ones fail, clearly and before HANGS is over."""
    with Person(sim, ("marketing", "platform")) as ann:
        text = ann.config.read_bytes()
        with hangfs.HangFS(tmp_path, {".aws/config": text}) as fs:
            at_home = {"HOME": tmp_path}
            ann.log_in(env=at_home)
            run = lambda profile, **more: ann.run(
                "-p", profile, "--", "true", env={**at_home, **more})
            assert run("marketing").returncode == 0
            fs.hang()
            try:
                for _ in range(3):
                    done = run("marketing")
                    assert done.returncode == 0, done.stderr
                # Not cached, but the table is there and AWS can be asked.
                assert run("platform").returncode == 0
                # Another environment is another table: that would be read.
                done = run("marketing", AWS_REGION="eu-west-3",
                           AWS_ENDPOINT_URL_STS="http://127.0.0.1:9")
                assert done.returncode == 125
                assert "takes too long" in done.stderr, done.stderr
                assert "file system hang" in done.stderr
                # Others are not held up by those who wait.
                other = ann.run("-p", "marketing", "--", "true",
                                env={"AWS_CONFIG_FILE": ann.config})
                assert other.returncode == 0, other.stderr
                assert ann.run("status").returncode == 0
            finally:
                fs.release()
            until(lambda: run("marketing", AWS_REGION="eu-west-3")
                  .returncode == 0, 20)
