# SPDX-License-Identifier: ISC
"""The reader as a process: files that are not there, odd, huge or hanging."""

import os
import pathlib
import resource
import shutil
import signal
import subprocess
import time

import pytest

import etc
import hangfs
import reader
import wire
from agent import until_asleep

SSO = """sso_start_url = https://corp.awsapps.com/start
sso_region = eu-west-1
sso_account_id = 111111111111
sso_role_name = Dev
"""
ONE = f"[profile one]\n{SSO}"
ORDINARY = 1540     # a uid that nobody has

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
needs_etc = pytest.mark.skipif(bool(etc.missing()), reason=etc.missing())


def sanitized():
    return b"__asan_init" in reader.PROGRAM.read_bytes()


def as_user(uid):
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]


def stamp_of(path):
    st = os.stat(path)
    return {"stamp.dev": st.st_dev, "stamp.ino": st.st_ino,
            "stamp.size": st.st_size, "stamp.mtime": st.st_mtime_ns}


def stamp_in(table):
    return {k: v for k, v in table.end.items() if k.startswith("stamp.")}


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config"
    path.write_text(ONE)
    return path


def put_home(home, text=ONE):
    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_text(text)
    return home / ".aws" / "config"


# ---- which file

@pytest.mark.quick
def test_the_stamp_is_that_of_the_file_that_was_read(config):
    table = reader.read(config)
    assert list(table.profiles) == ["one"]
    assert stamp_in(table) == stamp_of(config)


@pytest.mark.quick
def test_the_example_that_people_copy_is_without_a_fault():
    example = pathlib.Path(__file__).parents[2] / "examples/aws-config"
    table = reader.read(example)
    assert table.problems == []
    assert set(table.profiles) == {"default", "marketing", "marketing-deploy",
                                   "marketing-process"}
    for row in table.profiles.values():
        assert row.error == 0, row.text


@pytest.mark.quick
def test_without_a_path_it_is_the_homes(tmp_path):
    path = put_home(tmp_path)
    table = reader.read(home=tmp_path)
    assert list(table.profiles) == ["one"]
    assert stamp_in(table) == stamp_of(path)


@pytest.mark.quick
def test_a_file_that_is_not_there_is_an_empty_table_with_stamp_zero(tmp_path):
    table = reader.read(tmp_path / "none")
    assert table.order == ["MSG_TABLE_END"]
    assert not any(table.end.values())


@pytest.mark.quick
def test_a_home_that_is_not_there_is_told(tmp_path):
    table = reader.read(home="")
    assert not any(table.end.values())
    assert b"no home" in table.problems[0].text


@pytest.mark.quick
def test_symbolic_links_into_a_dotfiles_folder_are_followed(tmp_path):
    real = tmp_path / "dotfiles" / "aws"
    real.mkdir(parents=True)
    (real / "config").write_text(ONE)
    (tmp_path / ".aws").symlink_to("dotfiles/aws")
    table = reader.read(home=tmp_path)
    assert stamp_in(table) == stamp_of(real / "config")
    assert list(table.profiles) == ["one"]


@pytest.mark.quick
def test_dev_null_is_an_empty_file():
    table = reader.read("/dev/null")
    assert not table.profiles and not table.problems
    assert stamp_in(table) == stamp_of("/dev/null")


@pytest.mark.quick
@pytest.mark.parametrize("kind", ["folder", "fifo", "device", "relative",
                                  "large", "socket"])
def test_what_cannot_be_read_ends_without_a_table(tmp_path, kind):
    path = tmp_path / "config"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path = "/dev/zero"
    elif kind == "relative":
        path = "aws/config"
    elif kind == "large":
        with open(path, "wb") as f:
            f.truncate(16 * 1024 * 1024 + 1)
    else:
        import socket
        socket.socket(socket.AF_UNIX).bind(str(path))
    table = reader.read(path)
    assert table.end is None and not table.profiles
    problem, = table.problems
    assert problem.line == 0 and problem.file.decode() == str(path)
    assert problem.text


@needs_root
def test_a_file_that_this_user_may_not_read_is_told_and_not_taken_for_empty(
        tmp_path):
    config = pathlib.Path(tmp_path) / "config"
    config.write_text(ONE)
    config.chmod(0o600)
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(folder.stat().st_mode | 0o011)
    table = reader.read(config, prefix=as_user(ORDINARY))
    assert table.end is None
    assert b"permission denied" in table.problems[0].text
    os.chown(config, ORDINARY, ORDINARY)
    assert list(reader.read(config, prefix=as_user(ORDINARY)).profiles) == ["one"]


@pytest.mark.quick
def test_a_file_rewritten_while_it_is_read_has_the_older_stamp(config):
    """So that the client's next request, with the newer one, reads again."""
    config.write_text(ONE + "# x\n" * 400000)
    before = stamp_of(config)
    one = reader.Reader(config)
    time.sleep(0.002)
    os.truncate(config, 100)
    table = one.collect()
    # In the middle of truncate(2) the size is new and the time still old.
    assert stamp_in(table)["stamp.mtime"] in (
        before["stamp.mtime"], stamp_of(config)["stamp.mtime"])
    if stamp_in(table) == stamp_of(config):
        assert table.end["stamp.size"] == 100


# ---- the administrator's files

def with_etc(tmp_path, files, user, **more):
    """Read with /etc/awsenv replaced, in a mount namespace of its own."""
    folder = tmp_path / "etc-awsenv"
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    config = tmp_path / "config"
    config.write_text(user)
    return reader.read(config, prefix=etc.prefix(folder), **more)


@needs_etc
def test_the_administrators_files_are_defaults_below_the_users(tmp_path):
    table = with_etc(tmp_path, {
        "config": "[sso-session corp]\nsso_region = eu-west-1\n"
                  "sso_start_url = https://corp.awsapps.com/start\n"
                  "[profile shared]\nsso_session = corp\n"
                  "sso_account_id = 111111111111\nsso_role_name = Dev\n"
                  "region = eu-west-1\n",
        "config.d/20-more.conf": "[profile shared]\nregion = eu-west-2\n"
                                 "output = json\n",
        "config.d/10-first.conf": "[profile shared]\nregion = eu-west-3\n",
        "config.d/ignored.bak": "[profile ghost]\n" + SSO,
        "config.d/.hidden.conf": "[profile ghost]\n" + SSO,
    }, "[profile shared]\nsso_role_name = Mine\n"
       "[profile own]\nsso_session = corp\nsso_account_id = 222222222222\n"
       "sso_role_name = Dev\n")
    assert sorted(table.profiles) == ["own", "shared"]
    shared = table.profiles["shared"]
    assert shared.role == b"Mine" and shared.account == b"111111111111"
    assert shared.region == b"eu-west-2"
    assert shared.settings == {"AWS_DEFAULT_OUTPUT": "json"}
    assert table.session_of("own") is table.session_of("shared")
    assert not table.problems


@needs_etc
@pytest.mark.parametrize("word", ["true", "TRUE", "yes"])
def test_what_is_enforced_is_the_only_truth(tmp_path, word):
    table = with_etc(tmp_path, {
        "config": "[sso-session corp]\nsso_region = eu-west-1\n"
                  "sso_start_url = https://corp.awsapps.com/start\n"
                  f"awsenv_enforce = {word}\n"},
        "[DEFAULT]\nsso_region = us-west-2\n"
        "[sso-session corp]\nsso_start_url = https://evil.example/start\n"
        "sso_registration_scopes = all\n"
        "[profile p]\nsso_session = corp\nsso_account_id = 222222222222\n"
        "sso_role_name = Dev\nsso_region = eu-west-1\n")
    facts = table.session_of("p").facts
    assert facts.start_url == b"https://corp.awsapps.com/start"
    assert facts.region == b"eu-west-1"
    assert facts.scopes == b"sso:account:access"
    told = {p.line: p.text for p in table.problems if b"config" in p.file}
    assert b"counts for nothing" in told[3]


@needs_etc
def test_the_administrators_file_that_cannot_be_read_is_not_left_out(tmp_path):
    (tmp_path / "etc-awsenv" / "config.d" / "b.conf").mkdir(parents=True)
    table = with_etc(tmp_path, {"config.d/a.conf": "junk\n",
                                "config.d/c.conf": "junk\n"}, "junk\n" + ONE)
    assert table.end is None and not table.profiles
    # The reason is the last one told: the broker shows that.
    assert [p.file[-6:] for p in table.problems] == [b"a.conf", b"b.conf"]


# ---- the process

@pytest.mark.quick
def test_it_ends_by_itself_without_a_request():
    ours, theirs = wire.Link.pair()
    start = time.monotonic()
    process = subprocess.Popen(
        [reader.PROGRAM], close_fds=False, stderr=subprocess.DEVNULL,
        preexec_fn=lambda: os.dup2(theirs.fileno(), wire.LINK_FD))
    assert process.wait(20) != 0
    assert time.monotonic() - start > 1.5
    ours.close()
    theirs.close()


@pytest.mark.quick
@pytest.mark.parametrize("packet", [
    b"\xff", bytes([wire.MSG_READ]), bytes([wire.MSG_READ]) + b"\0" * 400,
    bytes([wire.MSG_READ]) + wire.encode("MSG_READ", version=99),
    bytes([wire.MSG_HINT]) + wire.encode("MSG_HINT", version=wire.MSG_VERSION)])
def test_it_refuses_what_is_not_a_request(packet):
    ours, theirs = wire.Link.pair()
    ours.socket.sendall(packet)
    done = subprocess.run(
        [reader.PROGRAM], close_fds=False, timeout=10, capture_output=True,
        preexec_fn=lambda: os.dup2(theirs.fileno(), wire.LINK_FD))
    assert done.returncode == 1
    theirs.close()
    with pytest.raises((EOFError, ConnectionResetError)):
        ours.receive(1)
    ours.close()


@pytest.mark.quick
def test_it_ends_quietly_when_nobody_listens_any_more(config):
    config.write_text("".join(f"[profile p{i}]\n{SSO}" for i in range(5000)))
    one = reader.Reader(config)
    one.link.receive()
    one.link.close()
    assert one.process.wait(10) == 1


@pytest.mark.quick
def test_a_broker_that_takes_its_time_gets_everything(config):
    config.write_text("".join(f"[profile p{i}]\n{SSO}" for i in range(5000)))
    one = reader.Reader(config)
    time.sleep(0.5)
    assert one.process.poll() is None      # it waits, for the pair is full
    table = one.collect()
    assert len(table.profiles) == 5000 and len(table.sessions) == 1


@pytest.mark.quick
def test_it_waits_without_burning_time(config):
    config.write_text("".join(f"[profile p{i}]\n{SSO}" for i in range(5000)))
    one = reader.Reader(config)
    until_asleep(one.process.pid, seconds=1)
    assert one.process.poll() is None
    one.kill()


@pytest.mark.quick
def test_it_can_gain_nothing_and_leaves_no_core(config):
    config.write_text("".join(f"[profile p{i}]\n{SSO}" for i in range(5000)))
    one = reader.Reader(config)
    one.link.receive()
    status = pathlib.Path(f"/proc/{one.process.pid}/status").read_text()
    limits = pathlib.Path(f"/proc/{one.process.pid}/limits").read_text()
    one.kill()
    assert "NoNewPrivs:\t1" in status
    assert limits.split("Max core file size")[1].split()[:2] == ["0", "0"]


@needs_root     # else strace cannot read the memory of what hardened itself
def test_it_opens_its_files_and_nothing_else(config, tmp_path):
    """No other file than system libraries, no program, nobody but the log."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    if sanitized():
        pytest.skip("the leak sanitizer does not run under strace")
    log = tmp_path / "trace"
    config.write_text(ONE + f"ca_bundle = {tmp_path}/ca.pem\n")
    (tmp_path / "ca.pem").write_text("x")
    table = reader.read(config, prefix=[
        "strace", "-f", "-o", log, "-e", "trace=open,openat,connect,socket,execve"])
    assert table.profiles["one"].error == wire.AW_OK
    lines = [l for l in log.read_text().splitlines() if " = -1 " not in l]
    calls = [l.split(None, 1)[1] for l in lines if "exited with" not in l]
    # Landlock takes the root as it is, unread.
    opened = [c.split('"')[1] for c in calls if c.startswith("open") and
              "O_PATH" not in c]
    assert str(config) in opened and f"{tmp_path}/ca.pem" in opened
    strange = [p for p in opened if not p.startswith(
        (str(tmp_path), "/etc/awsenv", "/etc/ld.so", "/lib", "/usr/lib",
         "/etc/ssl/openssl.cnf", "/dev/null", "/proc/sys/", "/sys/"))]
    assert not strange
    assert sum(c.startswith("execve") for c in calls) == 1
    spoken = [c for c in calls if c.startswith(("connect", "socket"))]
    assert not [c for c in spoken if not c.startswith("socket(AF_UNIX, SOCK_DGRAM")
                and '"/dev/log"' not in c]


# ---- size

def seconds_for(path, text):
    """Of the reader's own, whatever else this machine does."""
    path.write_text(text)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    table = reader.Reader(path).collect(120)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
            table)


def test_ten_thousand_profiles_cost_one_quick_parse(config):
    text = "[sso-session corp]\nsso_start_url = https://corp.awsapps.com/start" \
           "\nsso_region = eu-west-1\n" + "".join(
               f"[profile team-{i}/role]\nsso_session = corp\n"
               f"sso_account_id = {i:012}\nsso_role_name = Dev\n"
               f"region = eu-west-1\noutput = json\n" for i in range(10000))
    seconds, table = seconds_for(config, text)
    assert len(table.profiles) == 10000 and len(table.sessions) == 1
    assert table.profiles["team-42/role"].account == b"000000000042"
    assert seconds < 5


def test_a_hundred_thousand_profiles_are_the_most(config):
    text = "".join(f"[profile p{i}]\n" for i in range(100010))
    _, table = seconds_for(config, text)
    assert len(table.profiles) == 100000
    assert "p99999" in table.profiles and "p100000" not in table.profiles
    assert len(table.problems) == 10


@pytest.mark.parametrize("what", [
    "keys", "duplicates", "continuation", "block", "junk", "sections",
    "includes", "chain", "services", "quotes", "bundles"])
def test_no_file_is_worse_than_its_size(config, what):
    """Each is near the limit of 16 MiB; quadratic behaviour would take hours."""
    n = 300000
    text = {
        "keys": ONE + "".join(f"k{i} = v\n" for i in range(n)),
        "duplicates": ONE + "k = v\n" * n,
        "continuation": ONE + "k = v\n" + "  more of it\n" * n,
        "block": ONE + "s3 =\n" + "  a = b\n" * n,
        "junk": ONE + "junk\n" * n,
        "sections": ONE + "[profile one]\n" * n,
        "includes": ONE + "".join(
            f"[profile p{i}]\ninclude_profile = p{i - 1}\n" for i in range(90000)),
        "chain": ONE + "".join(
            f"[profile p{i}]\nrole_arn = arn:aws:iam::111111111111:role/R\n"
            f"source_profile = p{i - 1}\n" for i in range(90000)),
        "services": "[DEFAULT]\nservices = s\n" + ONE + "".join(
            f"[profile p{i}]\n{SSO}" for i in range(20000)) +
                    "[services s]\nsso =\n" + "  a = b\n" * 200000 +
                    "".join(f"s{i} =\n  endpoint_url = https://x\n"
                            for i in range(100000)),
        "quotes": ONE + "credential_process = " + "'" * 60000 + "\n" +
                  "".join(f"[profile p{i}]\ncredential_process = awsenv "
                          f"process --profile one {'x ' * 20}\n"
                          for i in range(50000)),
        "bundles": ONE + "".join(
            f"[profile p{i}]\n{SSO}ca_bundle = /dev/null\n" for i in range(40000)),
    }[what]
    seconds, table = seconds_for(config, text)
    assert seconds < 20
    assert table.end is not None
    assert "one" in table.profiles
    assert len(table.problems) <= 101


def test_what_is_said_once_and_used_often_does_not_take_the_machine(config):
    """8 settings of 4 kB in each of 50,000 profiles would be 1.6 GB."""
    config.write_text("[DEFAULT]\n" + SSO + "".join(
        f"{key} = {'x' * 4000}\n" for key in (
            "output", "retry_mode", "max_attempts", "use_fips_endpoint",
            "sts_regional_endpoints", "use_dualstack_endpoint",
            "ignore_configured_endpoint_urls")) + "".join(
                f"[profile p{i}]\n" for i in range(50000)))
    one = reader.Reader(config, stderr=subprocess.DEVNULL)
    one.collect(60)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert one.status == 1 or sanitized()
    assert peak < 800 * 1024 or sanitized()


def test_a_line_over_64_kib_is_left_out_and_told(config):
    config.write_text(f"[profile one]\n{SSO}output = {'x' * 70000}\n"
                      "region = eu-west-1\n")
    table = reader.read(config)
    assert table.profiles["one"].region == b"eu-west-1"
    assert table.profiles["one"].settings == {}
    assert [p.line for p in table.problems] == [6]


def test_settings_that_fit_no_message_are_that_profiles_error(config):
    config.write_text(ONE + "services = s\n[services s]\n" + "".join(
        f"service{i} =\n  endpoint_url = https://{'x' * 200}.example\n"
        for i in range(1000)) + f"[profile two]\n{SSO}")
    table = reader.read(config)
    assert table.profiles["one"].error == wire.AW_CONFIG
    assert b"too long" in table.profiles["one"].text
    assert table.profiles["two"].error == wire.AW_OK


# ---- identity of a login

@pytest.mark.quick
def test_whatever_a_login_is_bound_to_changes_its_identity(config, tmp_path):
    (tmp_path / "a.pem").write_text("a")
    (tmp_path / "b.pem").write_text("b")
    (tmp_path / "a-again.pem").write_text("a")

    def login(env=(), extra="", text=ONE):
        config.write_text(text + extra)
        return reader.read(config, env).session_of("one").login

    base = login()
    others = [
        login(text=ONE.replace("corp", "other")),
        login(text=ONE.replace("eu-west-1", "eu-west-2")),
        login(extra="sso_registration_scopes = sso:account:access,x:y\n"),
        login(extra="endpoint_url = https://lab.example\n"),
        login(extra="use_fips_endpoint = true\n"),
        login(extra="use_dualstack_endpoint = true\n"),
        login(extra=f"ca_bundle = {tmp_path}/a.pem\n"),
        login(extra=f"ca_bundle = {tmp_path}/b.pem\n"),
        login({"HTTPS_PROXY": "http://p:1"}),
        login({"HTTPS_PROXY": "http://p:2"}),
        login({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "x"}),
        login({"AWS_ENDPOINT_URL_SSO": "https://lab.example"}),
        login({"AWS_ENDPOINT_URL_SSO_OIDC": "https://lab.example"}),
        login({"AWS_ENDPOINT_URL_STS": "https://lab.example"}),
        login(extra="[sso-session n]\nsso_region = eu-west-1\n"
                    "sso_start_url = https://corp.awsapps.com/start\n"),
    ]
    assert len({base, *others}) == 1 + len(others)
    # ... and nothing else does.
    same = [
        login(), login({"NO_PROXY": "x"}), login({"AWS_REGION": "us-east-1"}),
        login(extra="region = us-east-1\noutput = json\nawsenv_login = true\n"),
        login(text=ONE.replace("Dev", "Ops")),
        login(extra="endpoint_url = https://lab.example\n"
                    "ignore_configured_endpoint_urls = true\n"),
    ]
    assert set(same) == {base}
    assert login(extra=f"ca_bundle = {tmp_path}/a-again.pem\n") == others[6]


# ---- a home that hangs

@hangfs.needs_fuse
def test_a_home_that_hangs_hangs_the_reader_alone_and_it_can_be_killed(tmp_path):
    with hangfs.HangFS(tmp_path, {".aws/config": ONE.encode()}) as fs:
        assert list(reader.read(home=tmp_path).profiles) == ["one"]
        fs.hang()
        one = reader.Reader(home=tmp_path)
        with pytest.raises(TimeoutError):
            one.link.receive(1.5)
        assert one.process.poll() is None
        other = tmp_path.parent / "config-elsewhere"
        other.write_text(ONE)
        assert list(reader.read(other).profiles) == ["one"]
        one.process.send_signal(signal.SIGKILL)
        one.process.wait(60)
        with pytest.raises(EOFError):
            one.link.receive(1)
        one.link.close()
        two = reader.Reader(home=tmp_path)
        time.sleep(0.2)
        fs.release()
        assert list(two.collect().profiles) == ["one"]
        fs.write(".aws/config", ONE.replace("one", "new").encode())
        assert list(reader.read(home=tmp_path).profiles) == ["new"]
