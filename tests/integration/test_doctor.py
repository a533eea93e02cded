# SPDX-License-Identifier: ISC
"""awsenv doctor: what is broken is seen, and the printed cure, run as it is
printed, makes it go away."""
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

import etc
import wire
from agent import BUILD
from fake_agent import FakeAgent
from journey import Person

ROOT = os.geteuid() == 0
EXIT_CONFIG = 4
KEY = "AKIAEXAMPLE123456789"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

needs_root = pytest.mark.skipif(not ROOT or bool(etc.missing()),
                                reason="needs root, and a mount namespace")


class Patient:
    """Somebody with a home and a runtime directory; perhaps in a namespace."""

    def __init__(self, folder, world=None):
        self.world = world
        self.home, self.runtime = folder / "home", folder / "run"
        for path in (self.home / ".aws", self.runtime):
            path.mkdir(parents=True, mode=0o700)
        self.env = {"HOME": str(self.home), "LANG": "C.UTF-8",
                    "XDG_RUNTIME_DIR": str(self.runtime),
                    "PATH": f"{BUILD}:/usr/sbin:/usr/bin:/sbin:/bin"}

    def sh(self, script, check=True, **env):
        env = {k: v for k, v in {**self.env, **env}.items() if v is not None}
        done = subprocess.run(
            ["sh", "-c", script], env=env, cwd="/", capture_output=True,
            text=True, timeout=90,
            preexec_fn=self.world.enter if self.world else None)
        assert not check or done.returncode == 0, done.stderr
        return done

    def look(self, check, before="", words="", **env):
        """Findings of one check, which are not fine."""
        done = self.sh(f"{{ :; {before}\n}} >&2\nawsenv doctor --json {words}",
                       False, **env)
        assert done.returncode in (0, 1, EXIT_CONFIG), done.stderr
        report = json.loads(done.stdout)
        found = [f for f in report["checks"] if f["check"] == check]
        assert found, f"{check} says nothing"
        problems = [f for f in report["checks"] if f["grade"] == "problem"]
        assert report["problems"] == len(problems)
        assert (done.returncode != 0) == bool(problems)
        return [f for f in found if f["grade"] != "ok"]

    def cured(self, check, part, words="", **env):
        """The finding whose text has that part; its cure has helped."""
        found = [f for f in self.look(check, words=words, **env)
                 if part in f["text"]]
        assert len(found) == 1, (part, found)
        after = self.look(check, found[0]["cure"], words, **env)
        assert not [f for f in after if part in f["text"]], after
        return found[0]


@pytest.fixture
def ann(tmp_path):
    return Patient(tmp_path)


@pytest.fixture
def inside(tmp_path):
    """Root, with an /etc of the test's own."""
    folder = tmp_path / "awsenv"
    folder.mkdir(mode=0o755)
    with etc.World(folder) as world:
        patient = Patient(tmp_path, world)
        patient.etc = folder
        yield patient


# ---- how it speaks

def test_it_says_for_people_what_it_says_for_programs(ann):
    # The machine's own PAM, sshd and units may be as they like.
    done = ann.sh("awsenv doctor", False, AWS_SECURITY_TOKEN="x")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    at = next(i for i, l in enumerate(lines) if "AWS_SECURITY_TOKEN" in l)
    assert lines[at].startswith("problem  variables ")
    assert lines[at + 1] == "         cure: unset AWS_SECURITY_TOKEN"
    assert lines[-1].endswith("problem") or lines[-1].endswith("problems")


@pytest.mark.parametrize("words", ["x", "--keyring", "--account 1"])
def test_wrong_words_are_a_usage_error(ann, words):
    assert ann.sh(f"awsenv doctor {words}", False).returncode == 2


# ---- the agent

def test_a_socket_that_nobody_listens_on(ann):
    ann.cured("agent", "no such file", AWSENV_SOCK="/nowhere/agent.sock")


def test_a_socket_that_has_no_absolute_path(ann):
    ann.cured("agent", "absolute path", AWSENV_SOCK="agent.sock")


def test_a_directory_that_is_open_to_others(ann):
    (ann.runtime / "awsenv").mkdir(mode=0o755)
    (ann.runtime / "awsenv").chmod(0o755)
    ann.cured("agent", "is not private")
    assert (ann.runtime / "awsenv").stat().st_mode & 0o777 == 0o700


def test_a_runtime_directory_that_is_open_to_others(ann):
    ann.runtime.chmod(0o755)
    ann.cured("agent", "is not private")


@needs_root
def test_no_directory_for_the_socket_at_all(tmp_path):
    run = tmp_path / "emptyrun"
    run.mkdir()
    with etc.Namespace('mount --bind "$0" /run && ', run) as world:
        ann = Patient(tmp_path, world)
        found = ann.cured("agent", "no directory", XDG_RUNTIME_DIR=None)
        assert "/run/awsenv/0" in found["text"]


def test_an_agent_of_another_version_is_told_to_renew_itself(ann):
    folder = ann.runtime / "awsenv"
    folder.mkdir(mode=0o700)
    child = subprocess.Popen([sys.executable, "-c",
                              "import time; time.sleep(100)"])
    with FakeAgent(folder) as agent:
        def answer(_):
            new = child.poll() is not None
            return {"version": "0.1.0" if new else "0.0.9",
                    "agent_pid": child.pid, "protected_": 1}
        agent.on("status@awsenv", answer)
        try:
            found = [f for f in ann.look("agent") if "0.0.9" in f["text"]]
            assert found[0]["cure"] == f"kill -HUP {child.pid}"
            ann.sh(found[0]["cure"])
            child.wait(20)
            assert not ann.look("agent")
        finally:
            child.kill()
            child.wait()


def test_a_clock_that_is_off(ann):
    folder = ann.runtime / "awsenv"
    folder.mkdir(mode=0o700)
    skew = [2 ** 32 - 400]
    with FakeAgent(folder) as agent:
        agent.on("status@awsenv", lambda _: {
            "version": "0.1.0", "skew": skew[0], "protected_": 1,
            "agent_pid": 7})
        found, = ann.look("clock")
        assert "400 seconds ahead of AWS's" in found["text"]
        assert found["cure"].endswith("timedatectl set-ntp true")
        skew[0] = 300
        assert "300 seconds behind" in ann.look("clock")[0]["text"]
        skew[0] = 2 ** 32 - 5       # the cure, which is not ours to run
        assert not ann.look("clock")


@pytest.mark.skipif(not ROOT or not shutil.which("sudo"),
                    reason="needs root, and sudo")
def test_programs_that_their_user_can_read(tmp_path, sim):
    uid = 65300
    programs = pathlib.Path(subprocess.run(
        ["mktemp", "-d", "/tmp/awsenv-doctor.XXXXXX"], capture_output=True,
        text=True, check=True).stdout.strip())
    try:
        programs.chmod(0o755)
        for name in ("awsenv", "awsenv-ctl", "awsenv-agent", "awsenv-broker",
                     "awsenv-profile", "awsenv-fetch"):
            shutil.copy(BUILD / name, programs)
            (programs / name).chmod(
                0o755 if name in ("awsenv", "awsenv-ctl") else 0o711)
        (programs / "awsenv-broker").chmod(0o755)
        with Person(sim, uid=uid, programs=programs, base="/tmp") as ann:
            def look():
                done = ann.run("doctor", "--json")
                return [f for f in json.loads(done.stdout)["checks"]
                        if f["check"] == "protection"]
            assert ann.run("agent", "start").returncode == 0
            found, = look()
            assert found["grade"] == "problem"
            # What it says after sudo is root's, the last command the user's.
            *roots, users = found["cure"].split(" && ")
            for command in roots:
                subprocess.run(["sh", "-c", command], check=True)
            assert users == "awsenv agent stop"
            assert ann.run(*users.split()[1:]).returncode == 0
            assert ann.run("agent", "start").returncode == 0
            found, = look()
            assert found["grade"] == "ok", found
    finally:
        shutil.rmtree(programs)


# ---- the kernel's keys

@needs_root
@pytest.mark.parametrize("used", ["190/200 500/20000", "20/200 19000/20000"])
def test_a_quota_that_is_almost_used_up(tmp_path, used):
    """With files in the place of the kernel's, which others need as it is."""
    kernel = tmp_path / "kernel"
    kernel.mkdir()
    (kernel / "key-users").write_text(
        f"    0:     3 3/3 {used}\n 1000:     1 1/1 1/200 9/20000\n")
    for name, n in (("root_maxkeys", 200), ("root_maxbytes", 20000)):
        (kernel / name).write_text(f"{n}\n")
    script = ('mount --bind "$0/key-users" /proc/key-users && '
              'for f in root_maxkeys root_maxbytes; do mount --bind "$0/$f" '
              '/proc/sys/kernel/keys/$f || exit 1; done && ')
    with etc.Namespace(script, kernel) as world:
        found = Patient(tmp_path, world).cured("keyring", "almost full")
    assert "sysctl -w" in found["cure"]
    assert (kernel / "root_maxkeys").read_text() == "2000\n"


# ---- the configuration

def test_mistakes_in_the_config_line_by_line(ann):
    config = ann.home / ".aws/config"
    config.write_text("[profile one]\n// no comment\nsso_session = gone\n"
                      "sso_account_id = 123456789012\nsso_role_name = Dev\n")
    found = ann.look("config")
    texts = [f["text"] for f in found]
    assert any(t.startswith("~/.aws/config:2: ") or
               t.startswith(f"{config}:2: ") for t in texts), texts
    assert any("no [sso-session gone]" in t for t in texts)
    config.write_text(
        "[sso-session gone]\nsso_region = eu-west-1\n"
        "sso_start_url = https://corp.awsapps.com/start\n"
        "[profile one]\nsso_session = gone\n"
        "sso_account_id = 123456789012\nsso_role_name = Dev\n")
    assert not ann.look("config")


def test_of_a_thousand_broken_profiles_fifty_are_named(ann):
    (ann.home / ".aws/config").write_text("".join(
        f"[profile p{i}]\nregion = eu-west-1\n" for i in range(1000)))
    found = ann.look("config")
    assert len(found) == 51 and found[-1]["text"].startswith("and 950 more")


@needs_root
@pytest.mark.parametrize("words", ["", "--config"])
@pytest.mark.parametrize("mode,part", [
    (0o600, "not readable for everybody"), (0o666, "can be written")])
def test_an_administrators_file_with_a_wrong_mode(inside, words, mode, part):
    config = inside.etc / "config"
    config.write_text("[awsenv]\nenabled = true\n")
    config.chmod(mode)
    inside.cured("admin", part, words)
    assert config.stat().st_mode & 0o777 == 0o644


@needs_root
def test_an_administrators_file_of_somebody_else(inside):
    config = inside.etc / "config"
    config.write_text("")
    os.chown(config, 65300, 0)
    inside.cured("admin", "belongs to uid 65300", "--config")


@needs_root
def test_what_is_wrong_in_etc_is_told_before_it_is_rolled_out(inside):
    (inside.etc / "config.d").mkdir()
    piece = inside.etc / "config.d/10-corp.conf"
    piece.write_text("[sso-session corp]\nsso_region = nowhere\n"
                     "sso_start_url = https://corp.awsapps.com/start\n"
                     "awsenv_enforced = true\n")
    (inside.etc / "config.d/20-more").write_text("")
    done = inside.sh("awsenv doctor --config", False)
    assert done.returncode == EXIT_CONFIG
    assert "10-corp.conf:4: awsenv_enforced is no key" in done.stdout
    assert "is not a region" in done.stdout
    assert "20-more is not read" in done.stdout
    piece.write_text("[sso-session corp]\nsso_region = eu-west-1\n"
                     "sso_start_url = https://corp.awsapps.com/start\n"
                     "awsenv_enforce = true\n")
    assert inside.sh("awsenv doctor --config", False).returncode == 0
    # The user's own is not what is checked here.
    (inside.home / ".aws/config").write_text("junk\n")
    assert inside.sh("awsenv doctor --config", False).returncode == 0
    assert inside.look("config")


# ---- variables

def test_keys_in_the_environment(ann):
    found = ann.cured("variables", "take these before",
                      AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET,
                      AWS_WEB_IDENTITY_TOKEN_FILE="/x")
    assert SECRET not in str(found)


def test_profiles_that_sdks_disagree_about(ann):
    ann.cured("variables", "it is empty", AWS_PROFILE="")
    ann.cured("variables", "it is empty", AWS_DEFAULT_PROFILE="")
    ann.cured("variables", "another profile", AWS_PROFILE="a",
              AWS_DEFAULT_PROFILE="b")
    assert not ann.look("variables", AWS_PROFILE="a", AWS_DEFAULT_PROFILE="a")


# ---- the way to AWS

def test_a_portal_that_answers_and_a_proxy_that_does_not(ann, sim):
    sim.write_config(ann.home / ".aws/config", "marketing")
    env = sim.env(via="endpoint")
    assert not ann.look("portal", **env)
    assert not sim.counts()["RegisterClient"]
    proxied = {k: v for k, v in sim.env(via="proxy").items()}
    assert not ann.look("portal", **proxied)
    broken = {**proxied, "HTTPS_PROXY": "http://me:geheim@127.0.0.1:9"}
    found = [f for f in ann.look("portal", **broken)]
    assert "through the proxy 127.0.0.1:9" in found[0]["text"]
    assert "geheim" not in str(found)
    # Without a proxy it is the endpoint itself that is reached.
    direct = {**broken, **sim.env(via="endpoint")}
    assert not ann.look("portal", found[0]["cure"], **direct)


def test_a_portal_that_is_not_there(ann, sim):
    sim.write_config(ann.home / ".aws/config", "marketing")
    env = sim.env(via="endpoint")
    with open(sim.ca, "rb") as f:
        (ann.home / "ca.pem").write_bytes(f.read())
    sim.stop()
    found, = ann.look("portal", **{
        **env, "AWS_CA_BUNDLE": str(ann.home / "ca.pem")})
    assert sim.urls["https"] in found["text"]


# ---- what other tools left

CREDENTIALS = f"""# mine
[default]
aws_access_key_id = {KEY}
aws_secret_access_key = {SECRET}
region = eu-west-1

[my.team-1]
AWS_ACCESS_KEY_ID={KEY}
aws_secret_access_key: {SECRET}
aws_session_token = IQoJ{SECRET}
output = json
[keep]
role_arn = arn:aws:iam::123456789012:role/x
"""


def test_keys_in_the_credentials_file(ann):
    path = ann.home / ".aws/credentials"
    path.write_text(CREDENTIALS)
    found = ann.look("plaintext")
    assert [f["text"].split(":")[1] for f in found] == ["3", "8"]
    assert "yawsso" in found[1]["text"] and SECRET not in str(found)
    assert KEY not in str(found)
    # One section's cure leaves the other alone.
    assert len(ann.look("plaintext", found[1]["cure"])) == 1
    ann.cured("plaintext", "[default]")
    assert path.read_text() == (
        "# mine\n[default]\nregion = eu-west-1\n\n[my.team-1]\noutput = json\n"
        "[keep]\nrole_arn = arn:aws:iam::123456789012:role/x\n")


def test_keys_in_the_config_file_and_in_one_that_a_variable_names(ann, tmp_path):
    named = tmp_path / "odd 'name"
    named.write_text(f"[x]\naws_secret_access_key = {SECRET}\n")
    (ann.home / ".aws/config").write_text(
        f"[profile old]\naws_access_key_id = {KEY}\n"
        f"aws_secret_access_key = {SECRET}\n")
    env = {"AWS_SHARED_CREDENTIALS_FILE": str(named)}
    ann.cured("plaintext", "[x]", **env)
    ann.cured("plaintext", "[profile old]", **env)
    assert not ann.look("plaintext", **env)


@pytest.mark.parametrize("folder", [".aws/sso/cache", ".aws/cli/cache"])
def test_caches_of_the_aws_cli(ann, folder):
    cache = ann.home / folder
    cache.mkdir(parents=True)
    for name in ("a.json", "b.json", "notes.txt"):
        (cache / name).write_text("{}")
    found = ann.cured("plaintext", folder)
    assert "2 files" in found["text"]
    assert [p.name for p in cache.iterdir()] == ["notes.txt"]


# ---- PAM

def stack(inside, name, *lines):
    """A service of the namespace's own, with what every login needs."""
    text = "\n".join(lines) + "\n"
    inside.sh(f"rm -f /etc/pam.d/{name} && cat >/etc/pam.d/{name} <<'.'\n"
              f"{text}.\n")


OTHERS = ("sshd", "login", "remote", "gdm-password", "lightdm", "sddm",
          "cockpit", "xrdp-sesman")
GOOD = ("auth required pam_unix.so", "session required pam_unix.so",
        "session optional pam_systemd.so")


@pytest.fixture
def doors(inside):
    """sshd and login as they should be, and no other way in."""
    inside.sh("cd /etc/pam.d && rm -f " + " ".join(OTHERS))
    line = f"session optional {BUILD}/pam_awsenv.so quiet"
    for name in ("sshd", "login"):
        stack(inside, name, *GOOD, line)
    assert not inside.look("pam")
    return line


@needs_root
@pytest.mark.parametrize("control", ["required", "requisite",
                                     "[success=ok default=die]"])
def test_a_session_line_that_could_keep_people_out(inside, doors, control):
    stack(inside, "sshd", *GOOD, doors.replace("optional", control))
    inside.cured("pam", "nobody gets in")
    assert doors in inside.sh("cat /etc/pam.d/sshd").stdout


@needs_root
def test_a_line_before_pam_systemd(inside, doors):
    stack(inside, "sshd", doors, "@include common-ours")
    stack(inside, "common-ours", *GOOD)
    inside.cured("pam", "before pam_systemd")
    assert inside.sh("cat /etc/pam.d/sshd").stdout.endswith(doors + "\n")


@needs_root
def test_a_cure_is_the_same_in_words_as_in_json(inside, doors):
    """Stacks have tabs in them, which no terminal is sent."""
    stack(inside, "sshd", doors.replace(" ", "\t", 2), *GOOD)
    text = inside.sh("awsenv doctor", False).stdout
    at = text.index("before pam_systemd")
    cure = text[text.index("cure: ", at):].splitlines()[0][len("cure: "):]
    assert cure in [f["cure"] for f in inside.look("pam")]
    inside.sh(cure)
    assert not inside.look("pam")


@needs_root
def test_a_service_without_the_line(inside, doors):
    stack(inside, "login", *GOOD)
    inside.cured("pam", "login has no line of ours")


@needs_root
def test_a_line_whose_module_is_gone(inside, doors):
    stack(inside, "sshd", *GOOD, "session optional /gone/pam_awsenv.so")
    inside.cured("pam", "is not installed")
    assert "awsenv" not in inside.sh("cat /etc/pam.d/sshd").stdout


@needs_root
def test_a_door_without_the_factor(inside, doors):
    factor = f"auth required {BUILD}/pam_awsenv.so mode=factor role=x"
    stack(inside, "sshd", *GOOD, doors, factor)
    inside.cured("pam", "login lets people in")
    text = inside.sh("cat /etc/pam.d/login").stdout
    assert text.endswith(factor + "\n")
    assert any("login -f" in f["text"] for f in inside.look("pam"))


@needs_root
def test_without_any_line_it_is_no_problem(inside, doors):
    for name in ("sshd", "login"):
        stack(inside, name, *GOOD)
    found, = inside.look("pam")
    assert found["grade"] == "note" and "not set up" in found["text"]


# ---- sshd

@pytest.fixture
def sshd(inside, doors):
    if not os.access("/usr/sbin/sshd", os.X_OK):
        pytest.skip("sshd is not installed")
    inside.sh("rm -rf /etc/ssh/sshd_config.d; mkdir -p /run/sshd; "
              "rm -f /etc/ssh/k; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/k")

    def put(*lines):
        text = "\n".join(("HostKey /etc/ssh/k", *lines))
        inside.sh(f"cat >/etc/ssh/sshd_config <<'.'\n{text}\n.\n")
    return put


@needs_root
def test_an_sshd_that_does_not_use_pam(inside, sshd):
    sshd("UsePAM no")
    inside.cured("sshd", "UsePAM is off")


@needs_root
def test_an_sshd_with_ways_around_the_factor(inside, doors, sshd):
    stack(inside, "sshd", *GOOD, doors,
          f"auth required {BUILD}/pam_awsenv.so mode=factor")
    sshd("UsePAM yes", "KbdInteractiveAuthentication no")
    inside.cured("sshd", "the factor cannot ask")
    inside.cured("sshd", "a public key alone")
    assert not inside.look("sshd")
    sshd("UsePAM yes", "KbdInteractiveAuthentication yes",
         "AuthenticationMethods publickey,keyboard-interactive:pam publickey")
    inside.cured("sshd", "a public key alone")


# ---- systemd

@pytest.fixture
def units(inside):
    if not shutil.which("systemctl"):
        pytest.skip("systemd is not installed")
    top = wire.TOP / "examples/systemd"
    inside.sh("mkdir -p /etc/systemd/user")
    for name in ("awsenv-agent.socket", "awsenv-agent.service"):
        text = (top / name).read_text().replace(
            "/usr/bin/awsenv-agent", str(BUILD / "awsenv-agent"))
        inside.sh(f"cat >/etc/systemd/user/{name} <<'.'\n{text}.\n")
    return inside


@needs_root
def test_units_that_are_not_enabled(units):
    units.cured("systemd", "is not enabled")
    assert not units.look("systemd")


@needs_root
def test_a_unit_that_starts_a_program_which_is_gone(units):
    units.sh("sed -i 's|^ExecStart=.*|ExecStart=/gone/awsenv-agent -D|' "
             "/etc/systemd/user/awsenv-agent.service")
    units.cured("systemd", "which is not there")
    text = units.sh("cat /etc/systemd/user/awsenv-agent.service").stdout
    assert f"ExecStart={BUILD}/awsenv-agent -D\n" in text
