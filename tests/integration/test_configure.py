# SPDX-License-Identifier: ISC
"""awsenv configure: profiles for what AWS lists, in somebody's config file."""
# Starts first: it is killed at every system call of interest in turn.

import configparser
import json
import os
import re
import shutil
import stat
import subprocess

import pytest

from journey import AWS, PYTHON, Person
from simulator.client import Simulator

# What hardened itself can be read by root's strace alone; and no leaks can be
# looked for under it.
TRACES = bool(shutil.which("strace")) and os.geteuid() == 0
UNTRACED = {"ASAN_OPTIONS": "detect_leaks=0"}
needs_strace = pytest.mark.skipif(
    not TRACES, reason="needs root" if os.geteuid() else
    "strace is not installed")


@pytest.fixture
def sim():
    with Simulator(accounts=3, roles=2, interval=1, pre_approved=True) as one:
        yield one


@pytest.fixture
def ann(sim):
    """Somebody without any config file, as most begin."""
    with Person(sim, via="proxy") as one:
        shutil.rmtree(one.config.parent)
        yield one


def words(sim, *more):
    return ["configure", "--start-url", sim.start_url, "--sso-region",
            sim.region, "--wait", "60", *more]


def configure(ann, *more):
    done = ann.run(*words(ann.sim, *more))
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    return done.stderr


def sections(path):
    """As botocore reads it, which wants no name twice."""
    parser = configparser.RawConfigParser()
    parser.read_string(path.read_text())
    return {name: dict(parser[name]) for name in parser.sections()}


def write(ann, text, mode=0o600):
    ann.config.parent.mkdir(exist_ok=True)
    ann.config.write_bytes(text.encode())
    ann.config.chmod(mode)
    return ann.config.read_bytes()


MINE = """; my own
[default]
region=us-east-1
s3 =
  max_concurrent_requests = 20

[profile  \"with blanks\"]
output : json
"""


# A block for all


def test_a_start_url_is_enough_for_a_whole_file(sim, ann):
    told = configure(ann, "--all")
    assert "6 profiles of sso-session example" in told
    found = sections(ann.config)
    assert found.pop("sso-session example") == {
        "sso_start_url": sim.start_url, "sso_region": sim.region,
        "sso_registration_scopes": "sso:account:access"}
    assert found == {
        f"profile {a['name']}-{role}": {
            "sso_session": "example", "sso_account_id": a["id"],
            "sso_role_name": role, "region": sim.region}
        for a in sim.info["accounts"] for role in sim.info["roles"]}
    assert stat.S_IMODE(ann.config.stat().st_mode) == 0o600
    assert stat.S_IMODE(ann.config.parent.stat().st_mode) == 0o700
    # One login: the session that was written is the one that was used.
    assert ann.run("-p", "platform-Developer", "--", "true").returncode == 0
    assert sim.counts()["StartDeviceAuthorization"] == 1
    assert os.listdir(ann.config.parent) == ["config"]
    assert not [n for n in os.listdir(ann.runtime / "awsenv")
                if "configure" in n]


def test_programs_are_told_what_changed(sim, ann):
    def told(*more):
        done = ann.run(*words(sim, "--json", *more))
        assert done.returncode == 0 and done.stderr == "", done.stderr
        got = json.loads(done.stdout)
        assert got.pop("file") == str(ann.config)
        return got
    names = [f"{a['name']}-{r}" for a in sim.info["accounts"]
             for r in sim.info["roles"]]
    nothing = {"written": False, "added": [], "changed": [], "removed": []}
    write(ann, MINE + "[profile mine]\n")
    got = told("--all", "--diff")
    assert sorted(got.pop("added")) == sorted(names)
    assert got == {"written": False, "changed": [], "removed": []}
    assert ann.config.read_bytes().endswith(b"[profile mine]\n")
    got = told("--all")
    assert got["written"] and sorted(got["added"]) == sorted(names)
    assert told("--all") == nothing
    got = told("--all", "--region", "us-east-1")
    assert sorted(got["changed"]) == sorted(names) and not got["added"]
    done = ann.run("configure", "--undo", "--json")
    got = json.loads(done.stdout)
    assert sorted(got["removed"]) == sorted(names) and got["written"]
    assert not got["added"] and not got["changed"], "what follows a block"
    ann.run(*words(sim, "--all"))
    done = ann.run("configure", "--credential-process", "-p", names[0],
                   "--json")
    assert json.loads(done.stdout)["changed"] == [names[0]]


def test_a_second_run_changes_nothing(ann):
    write(ann, MINE)
    configure(ann, "--all")
    before = ann.config.stat()
    text = ann.config.read_bytes()
    assert "nothing to change" in configure(ann, "--all")
    after = ann.config.stat()
    assert ann.config.read_bytes() == text
    assert (after.st_ino, after.st_mtime_ns, after.st_ctime_ns) == \
        (before.st_ino, before.st_mtime_ns, before.st_ctime_ns)


@pytest.mark.parametrize("mine", [
    MINE, MINE.replace("\n", "\r\n"), MINE.rstrip("\n"), "\ufeff" + MINE,
    "no section = 1\n\0\n[profile \0]\n=\n" + MINE])
def test_the_rest_of_the_file_is_left_as_it_is(ann, mine):
    before = write(ann, mine, 0o644)
    configure(ann, "--all")
    text = ann.config.read_bytes()
    assert text.startswith(before) and b"marketing-ReadOnly" in text
    assert stat.S_IMODE(ann.config.stat().st_mode) == 0o644
    behind = text + b"# mine too\n[profile last]\nregion = x"
    ann.config.write_bytes(behind)
    configure(ann, "--all", "--template", "{role}.{account_id}")
    text = ann.config.read_bytes()
    assert text.startswith(before)
    assert text.endswith(b"<<<\n# mine too\n[profile last]\nregion = x")
    assert b"ReadOnly.012345678901" in text
    assert b"marketing-ReadOnly" not in text
    assert ann.run("configure", "--undo").returncode == 0
    assert ann.config.read_bytes() == \
        before + b"# mine too\n[profile last]\nregion = x"


def test_a_link_stays_a_link(ann, tmp_path):
    real = ann.dir / "dotfiles"
    real.mkdir()
    (real / "aws").write_text(MINE)
    (real / "aws").chmod(0o640)
    ann.config.parent.mkdir()
    ann.config.symlink_to("../../dotfiles/aws")
    configure(ann, "--all")
    assert os.readlink(ann.config) == "../../dotfiles/aws"
    assert (real / "aws").read_text().startswith(MINE)
    assert stat.S_IMODE((real / "aws").stat().st_mode) == 0o640
    assert os.listdir(real) == ["aws"]
    ann.config.unlink()
    ann.config.symlink_to("nowhere")
    done = ann.run(*words(ann.sim, "--all"))
    assert done.returncode == 1 and "leads nowhere" in done.stderr


def test_what_aws_does_not_list_any_more_goes_if_wanted(sim, ann):
    configure(ann, "--all")
    sim.assign("ann@example.com", "platform", "ReadOnly", remove=True)
    ann.run("agent", "stop")        # and with it what it has listed
    assert "nothing to change" in configure(ann, "--all")
    told = configure(ann, "--all", "--prune")
    assert "does not list any more" in told
    assert "profile platform-ReadOnly" not in sections(ann.config)
    assert len(sections(ann.config)) == 1 + 5


def test_one_role_is_added_to_those_that_are_there(sim, ann):
    configure(ann, "--account", "marketing", "--role", "ReadOnly")
    assert set(sections(ann.config)) == {
        "sso-session example", "profile marketing-ReadOnly"}
    configure(ann, "--account", "210987654321", "--role", "Developer",
              "--region", "us-west-2")
    found = sections(ann.config)
    assert found["profile platform-Developer"]["region"] == "us-west-2"
    assert found["profile marketing-ReadOnly"]["region"] == sim.region
    done = ann.run(*words(sim, "--account", "marketing", "--role", "Owner"))
    assert done.returncode == 5 and "no account marketing" in done.stderr


def test_a_profile_of_that_name_is_the_persons_own(ann):
    mine = "[profile marketing-ReadOnly]\nregion = mine\n"
    write(ann, mine)
    told = configure(ann, "--all")
    assert "marketing-ReadOnly is there already" in told
    assert sections(ann.config)["profile marketing-ReadOnly"] == {
        "region": "mine"}


def test_a_session_that_is_there_is_used(sim, ann):
    write(ann, f"[sso-session mine]\nsso_start_url = {sim.start_url}/\n"
          f"sso_region = {sim.region}\n")
    configure(ann, "--all")
    found = sections(ann.config)
    assert "sso-session example" not in found
    assert found["profile marketing-ReadOnly"]["sso_session"] == "mine"
    # Its name is enough then.
    done = ann.run("configure", "--sso-session", "mine", "--all")
    assert done.returncode == 0 and "nothing to change" in done.stderr
    done = ann.run("configure", "--sso-session", "mine", "--all",
                   "--start-url", "https://other.awsapps.com/start")
    assert done.returncode == 4 and "another start URL" in done.stderr


def test_names_are_reduced_to_a_safe_alphabet(tmp_path):
    evil = ["a]\n[default", "$(id)", "../x y", "Ünï", "", "same", "same",
            "default"]
    accounts = [{"id": f"{n:012d}", "name": name, "email": "x@example.com"}
                for n, name in enumerate(evil, 1)]
    file = tmp_path / "organisation.json"
    file.write_text(json.dumps({
        "users": [{"name": "ann@example.com", "assignments": [
            {"account": a["id"], "role": "Dev"} for a in accounts]}],
        "accounts": accounts, "roles": [{"name": "Dev", "duration": 3600}],
        "assumable": []}))
    with Simulator(organisation=file, interval=1, pre_approved=True) as sim, \
            Person(sim, profiles=(), via="proxy") as ann:
        before = write(ann, MINE)
        configure(ann, "--all", "--template", "{account_name}")
        assert ann.config.read_bytes().startswith(before)
        names = [n[len("profile "):] for n in sections(ann.config)
                 if "sso_session" in sections(ann.config)[n]]
        assert sorted(names) == sorted([
            "a-default", "id", "..-x-y", "n", "000000000005",
            "same-000000000006", "same-000000000007", "default-000000000008"])


@pytest.mark.parametrize("damage", [
    lambda text: text.replace(b"# <<<", b"# ---"),
    lambda text: text.replace(b"# >>>", b"# ---"),
    lambda text: text + text])
def test_a_damaged_block_is_told_with_its_line(ann, damage):
    configure(ann, "--all")
    ann.config.write_bytes(damage(ann.config.read_bytes()))
    before = ann.config.read_bytes()
    done = ann.run(*words(ann.sim, "--all"))
    assert done.returncode == 4, done.stderr
    assert re.search(r"config:\d+: the block of .* is damaged", done.stderr)
    assert ann.config.read_bytes() == before


def test_a_diff_shows_what_would_change_and_changes_nothing(ann):
    before = write(ann, MINE)
    done = ann.run(*words(ann.sim, "--all", "--diff"))
    assert done.returncode == 0, done.stderr
    assert "+[profile marketing-ReadOnly]" in done.stdout
    assert " output : json" in done.stdout.splitlines()
    assert not re.search(r"^-[^-]", done.stdout, re.M)
    assert ann.config.read_bytes() == before
    configure(ann, "--all")
    done = ann.run(*words(ann.sim, "--all", "--diff"))
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("wrong, status", [
    ([], 2), (["--all", "--account", "1", "--role", "x"], 2),
    (["--all", "--sso-region", "no region"], 2), (["--undo", "--all"], 2),
    (["--all", "--start-url", "ftp://x", "--sso-region", "r"], 2),
    (["--from", "leapp"], 2), (["--all", "-p", "x"], 2), (["x", "--all"], 2),
    (["--all"], 2), (["--all", "--sso-session", "none"], 2),
    (["--undo", "--sso-session", "none"], 4),
    (["--all", "--sso-session", "x y", "--start-url", "https://x",
      "--sso-region", "r"], 2)])
def test_what_makes_no_sense_is_refused(ann, wrong, status):
    before = write(ann, MINE)
    done = ann.run("configure", *wrong)
    assert done.returncode == status, done.stderr
    assert done.stderr.count("\n") == 1
    assert ann.config.read_bytes() == before


def test_a_template_has_four_words(ann):
    done = ann.run(*words(ann.sim, "--all", "--template", "{acount}"))
    assert done.returncode == 2 and "{account_name}" in done.stderr
    assert not ann.config.exists()
    configure(ann, "--all", "--template", "{session}/{account_id}.{role}")
    assert "profile example-012345678901.ReadOnly" in sections(ann.config)


def test_without_a_login_nothing_is_written(sim, ann):
    sim.settings(approve_after=1000)
    done = ann.run("configure", "--start-url", sim.start_url, "--sso-region",
                   sim.region, "--all")
    assert done.returncode == 3 and "login" in done.stderr
    assert not ann.config.exists()


# Killed, full, changed


@needs_strace
@pytest.mark.parametrize("call", [
    "flock", "ftruncate", "write", "fsync", "fchmod", "rename", "unlink"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_moment_it_leaves_the_old_file_or_the_new(
        ann, call, when):
    before = write(ann, MINE)
    configure(ann, "--all")
    whole = ann.config.read_bytes()
    write(ann, MINE)
    # Of every such call in turn, until it ends by itself.
    for number in range(1, 60):
        # The signal alone comes when the call is over; one that is refused
        # stands for one that never began.
        inject = f"inject={call}:signal=KILL:when={number}" + (
            ":error=EINTR" if when == "before" else "")
        child = ann.popen(
            "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e",
            inject, str(ann.programs / "awsenv"), *words(ann.sim, "--all"),
            program=shutil.which("strace"), env=UNTRACED)
        child.communicate(timeout=60)
        assert ann.config.read_bytes() in (before, whole)
        if child.returncode == 0:
            break
    else:
        pytest.fail("it never ended")
    configure(ann, "--all")
    assert ann.config.read_bytes() == whole
    assert os.listdir(ann.config.parent) == ["config"]


@needs_strace
@pytest.mark.parametrize("call, error, words_", [
    ("fsync", "EIO", "cannot write"), ("rename", "EACCES", "cannot replace"),
    ("fchmod", "EPERM", "cannot write")])
def test_what_the_disk_refuses_is_told_and_the_file_stays(
        ann, call, error, words_):
    before = write(ann, MINE)
    configure(ann, "--all")     # so that an agent runs
    write(ann, MINE)
    child = ann.popen(
        "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e",
        f"inject={call}:error={error}:when=1", str(ann.programs / "awsenv"),
        *words(ann.sim, "--all"), program=shutil.which("strace"), env=UNTRACED)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 1 and words_ in err
    assert ann.config.read_bytes() == before
    assert os.listdir(ann.config.parent) == ["config"]


@pytest.mark.parametrize("mine, told", [
    ("[sso-session mine]\nsso_start_url = {0}\nsso_region = {1}\n",
     "cannot write"), ("", "beside the agent's socket")])
def test_a_full_disk_is_told_and_the_file_stays(sim, ann, mine, told):
    configure(ann, "--all")
    before = write(ann, mine.format(sim.start_url, sim.region))
    child = ann.popen(
        "-c", 'trap "" XFSZ; ulimit -f 0; exec "$@"', "sh",
        str(ann.programs / "awsenv"), *words(sim, "--all"), program="/bin/sh")
    _, err = child.communicate(timeout=60)
    assert child.returncode == 1 and told in err
    assert err.count("\n") == 1
    assert ann.config.read_bytes() == before
    assert os.listdir(ann.config.parent) == ["config"]


def test_a_file_that_cannot_be_is_told(ann):
    ann.config.mkdir(parents=True)
    done = ann.run(*words(ann.sim, "--all"))
    assert done.returncode == 1 and "not a file" in done.stderr
    ann.config.rmdir()
    os.mkfifo(ann.config)
    done = ann.run(*words(ann.sim, "--all"))
    assert done.returncode == 1 and "not a file" in done.stderr


# In another form


def identity(ann, profile):
    """By the CLI and by boto3, neither of which has a token of its own."""
    cli = subprocess.run(
        [AWS, "--profile", profile, "sts", "get-caller-identity"],
        env=ann.environ(), capture_output=True, text=True)
    assert cli.returncode == 0, cli.stderr
    sdk = subprocess.run(
        [PYTHON, "-c", "import boto3, sys, json\n"
         "s = boto3.Session(profile_name=sys.argv[1])\n"
         "json.dump(s.client('sts').get_caller_identity(), sys.stdout, "
         "default=str)", profile],
        env=ann.environ(), capture_output=True, text=True)
    assert sdk.returncode == 0, sdk.stderr
    arns = [json.loads(out)["Arn"] for out in (cli.stdout, sdk.stdout)]
    assert arns[0] == arns[1]
    return arns[0]


needs_aws = pytest.mark.skipif(not os.path.exists(AWS),
                               reason="awscli is not installed")


@needs_aws
def test_every_sdk_has_credentials_by_what_was_written(sim, ann):
    configure(ann, "--all", "--credential-process")
    found = sections(ann.config)
    assert set(found["profile platform-Developer"]) == {
        "credential_process", "region"}
    arn = identity(ann, "platform-Developer")
    assert "210987654321" in arn and "Developer" in arn
    # It is awsenv's own profile still.
    done = ann.run("whoami", "--json", "-p", "platform-Developer")
    assert json.loads(done.stdout)["role"] == "Developer"
    assert not (ann.home / ".aws/sso").exists()


@needs_aws
def test_profiles_that_are_there_become_a_credential_process(sim, ann):
    text = sim.config_text("marketing", "platform", {
        "name": "deploy", "source_profile": "marketing",
        "role_arn": "arn:aws:iam::012345678901:role/Deploy"})
    before = write(ann, text.replace("[profile platform]", "[default]\n"
                                     "region = x\n[profile platform]"))
    assert ann.run("login", "--sso-session", "sim").returncode == 0
    assert ann.run("configure", "--credential-process", "-p",
                   "marketing").returncode == 0
    assert "ReadOnly" in identity(ann, "marketing")
    found = sections(ann.config)
    assert "sso_session" in found["profile platform"]
    done = ann.run("configure", "--credential-process")
    assert done.returncode == 0 and "1 profile changed" in done.stderr
    assert "210987654321" in identity(ann, "platform")
    assert ann.run("-p", "platform", "--", "true").returncode == 0
    done = ann.run("configure", "--credential-process")
    assert "nothing to change" in done.stderr
    # What was written since stays.
    with ann.config.open("a") as file:
        file.write("# more\n")
    assert ann.run("configure", "--undo").returncode == 0
    assert ann.config.read_bytes() == before + b"# more\n"


def test_a_start_url_without_a_name_is_told(sim, ann):
    before = write(ann, sim.config_text("marketing", legacy=True))
    done = ann.run("configure", "--credential-process")
    assert done.returncode == 0
    assert "marketing is left as it is" in done.stderr
    assert ann.config.read_bytes() == before


FOREIGN = {
    "granted": """
[profile marketing]
granted_sso_start_url = {url}
granted_sso_region = {region}
granted_sso_account_id = 012345678901
granted_sso_role_name = ReadOnly
credential_process = /usr/bin/granted credential-process --profile marketing
region = eu-west-1
""",
    "aws-vault": """
[sso-session mine]
sso_start_url = {url}
sso_region = {region}
[profile base]
sso_session = mine
region = eu-west-1
[profile marketing]
include_profile = base
sso_account_id = 012345678901
sso_role_name = ReadOnly
""",
    "aws-sso-cli": """
[sso-session mine]
sso_start_url = {url}
sso_region = {region}
[profile marketing]
credential_process = aws-sso -S Default process --arn arn:aws:iam::012345678901:role/ReadOnly
region = eu-west-1
""",
}


@pytest.mark.parametrize("tool", FOREIGN)
def test_what_other_tools_wrote_becomes_what_sdks_read(sim, ann, tool):
    before = write(ann, FOREIGN[tool].format(url=sim.start_url,
                                             region=sim.region))
    done = ann.run("configure", "--from", tool)
    assert done.returncode == 0, done.stderr
    found = sections(ann.config)["profile marketing"]
    assert found["sso_account_id"] == "012345678901"
    assert found["sso_role_name"] == "ReadOnly"
    assert found["region"] == "eu-west-1"
    assert not [k for k in found if k.startswith(("granted", "include", "cred"))]
    if tool == "granted":
        assert found["sso_start_url"] == sim.start_url
        assert found["sso_region"] == sim.region
    else:
        assert found["sso_session"] == "mine"
    assert ann.run("-p", "marketing", "--wait", "60", "--",
                   "true").returncode == 0
    assert ann.run("configure", "--undo").returncode == 0
    assert ann.config.read_bytes() == before


# By questions


def test_a_person_is_asked(sim, ann):
    sim.settings(approve_after=1000)
    with ann.terminal("awsenv", "configure", rows=50, cols=60) as t:
        t.until("Start URL: ")
        t.press("not a url", "Enter")
        t.until("is none")
        t.press(sim.start_url, "Enter")
        t.until(r"Region of the portal \[us-east-1\]: ")
        t.press(sim.region, "Enter")
        t.until("allow it only if")
        sim.approve(sim.wait_pending()["user_code"], "ann@example.com")
        t.until("6 roles")
        t.press("nothing-like-it", "Enter")
        t.until("There is none with")
        t.press("platform", "Enter")
        t.until("platform-Developer")
        t.press("", "Enter")
        t.until("Region of the profiles")
        t.press("eu-west-1", "Enter")
        assert t.exit_status() == 0
    found = sections(ann.config)
    assert set(found) == {"sso-session example", "profile platform-Developer",
                          "profile platform-ReadOnly"}
    assert found["profile platform-ReadOnly"]["region"] == "eu-west-1"


def test_a_person_may_give_up(ann):
    before = write(ann, MINE)
    for keys in (["C-d"], ["C-c"]):
        with ann.terminal("awsenv", "configure") as t:
            t.until("Start URL: ")
            t.press(*keys)
            assert t.exit_status() in (1, 130)
        assert ann.config.read_bytes() == before
