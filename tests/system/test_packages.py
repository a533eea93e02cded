# SPDX-License-Identifier: ISC
"""From the first installation to a purge: at every moment people can log in,
and what they have stays as long as it can."""
import contextlib
import threading

import pytest

import container
from agent import children, stat, until

# What differs after a purge is not ours: logs, caches and what dpkg keeps.
OTHERS = ("/proc", "/sys", "/run", "/dev", "/tmp", "/home", "/debs", "/tests",
          "/var/log", "/var/cache", "/var/lib/dpkg", "/var/lib/systemd",
          "/var/tmp", "/root")


@pytest.fixture
def bare():
    """A system for each test, on which nothing of ours ever was."""
    if container.missing():
        pytest.skip(container.missing())
    with container.Container() as box:
        yield box


@contextlib.contextmanager
def logging_in(user):
    """Somebody does so again and again; none may fail, nor miss the module."""
    codes, over = [], threading.Event()

    def again():
        while not over.is_set():
            codes.append(user.ssh("true", check=False).returncode)

    thread = threading.Thread(target=again)     # in the network of this one
    thread.start()
    until(lambda: codes, 20)
    try:
        yield
    finally:
        over.set()
        thread.join()
    codes.append(user.ssh("true", check=False).returncode)
    assert len(codes) > 1 and set(codes) == {0}
    assert "pam_awsenv.so" not in user.box.journal()    # "unable to dlopen"


def version(user):
    """Of the agent that runs."""
    return user.ssh("awsenv status").stdout.split(",")[0].split()[-1]


def has_credentials(user, wrapper="awsenv"):
    done = user.ssh(f"{wrapper} -p marketing env")
    return "AWS_ACCESS_KEY_ID=ASIA" in done.stdout


def common_session(box):
    return [line.split()[2] for line in box.path(
        "/etc/pam.d/common-session").read_text().splitlines()
        if line.startswith("session")]


def snapshot(box):
    """Every file: mode, owner, target; and the text of those in /etc."""
    pruned = " -o ".join(f"-path {path}" for path in OTHERS)
    names = box.run("sh", "-c", rf"find / \( {pruned} \) -prune -o "
                    r"-printf '%p %M %U %G %l\n'").stdout.splitlines()
    sums = box.run("sh", "-c", "find /etc /var/lib/pam -type f "
                   "! -name '*-' | xargs sha256sum").stdout.splitlines()
    # Backups of passwd and the like, and stamps, of the tools that change them.
    return {line for line in names + sums if not any(
        word in line for word in ("/etc/.pwd.lock", "- -rw", "/.updated"))}


def test_from_installation_to_purge(bare, sim, ann):
    before, stack = snapshot(bare), common_session(bare)
    with logging_in(ann):
        bare.install(bare.debs)
    assert common_session(bare) == [*stack, "pam_awsenv.so"]
    assert stack[-1] == "pam_systemd.so"
    assert bare.run("getent", "passwd", "awsenv-factor").stdout.endswith(
        ":/:/usr/sbin/nologin\n")
    assert bare.run("stat", "-c", "%U %a", "/run/awsenv").stdout == "root 755\n"
    with ann.session():
        ann.log_in_at_aws(sim)
        assert has_credentials(ann)
        programs = [ann.agent(), *children(ann.agent())]
        with logging_in(ann):
            bare.dpkg("-r", "libpam-awsenv", "awsenv")
        assert common_session(bare) == stack
        until(lambda: not any(map(stat, programs)), 10, "an agent is left")
        assert ann.ssh("echo $AWSENV_SOCK").stdout == "\n"
        assert not bare.path(ann.sock).exists()
    with logging_in(ann):
        bare.dpkg("-P", "libpam-awsenv", "awsenv")
    after = snapshot(bare)
    assert after == before, sorted(after ^ before)
    # And again, since something may have remembered the first time.
    bare.install(bare.debs)
    assert common_session(bare) == [*stack, "pam_awsenv.so"]
    assert ann.ssh("echo $AWSENV_SOCK").stdout == f"{ann.sock}\n"


def test_who_is_logged_in_already_gets_the_agent_of_the_units(bare, sim, ann):
    with ann.session():
        bare.install(bare.debs)
        assert not bare.agents(ann.uid)
        assert ann.ssh("echo $AWSENV_SOCK").stdout == f"{ann.sock}\n"
        assert "/awsenv-agent.service" in open(
            f"/proc/{ann.agent()}/cgroup").read()


def test_an_upgrade_loses_nothing(bare, sim, ann):
    bare.install(bare.debs)
    old = bare.run("awsenv", "version").stdout.split()[-1]
    bare.run("cp", "/usr/bin/awsenv", "/usr/bin/old-awsenv")
    with ann.session():
        ann.log_in_at_aws(sim)
        assert has_credentials(ann) and version(ann) == old
        pid, asked = ann.agent(), sim.counts()["GetRoleCredentials"]
        with logging_in(ann):
            bare.install(bare.newer)
        new = bare.run("awsenv", "version").stdout.split()[-1]
        assert new != old
        until(lambda: version(ann) == new, 20, "the agent is the old one")
        assert ann.agent() == pid
        assert has_credentials(ann)
        assert has_credentials(ann, "old-awsenv")
        # And back.
        bare.install(bare.debs)
        until(lambda: version(ann) == old, 20, "the agent is the new one")
        assert ann.agent() == pid and has_credentials(ann)
    assert sim.counts()["GetRoleCredentials"] == asked
    assert sim.counts()["StartDeviceAuthorization"] == 1


def test_an_upgrade_that_stops_halfway(bare, sim, ann):
    """The new files are there, and nobody told the agent."""
    bare.install(bare.debs)
    with ann.session():
        ann.log_in_at_aws(sim)
        pid, old = ann.agent(), version(ann)
        with logging_in(ann):
            bare.dpkg("--unpack", *map(bare.inner, bare.newer))
        assert version(ann) == old and has_credentials(ann)
        # A broker that is of another version has the agent execute its own.
        broker, = (p for p in children(pid) if stat(p)[0] == "awsenv-broker")
        bare.run("pkill", "-KILL", "-u", ann.name, "awsenv-broker")
        until(lambda: stat(broker) is None)
        assert has_credentials(ann)
        assert version(ann) != old and ann.agent() == pid
        with logging_in(ann):
            bare.dpkg("--configure", "-a")
        assert has_credentials(ann) and ann.agent() == pid
    assert sim.counts()["StartDeviceAuthorization"] == 1


def test_an_upgrade_that_is_killed_can_be_repeated(bare, sim, ann):
    """dpkg dies as it puts a file in its place, the next time at another."""
    bare.install(bare.debs)
    with ann.session():
        ann.log_in_at_aws(sim)
        pid = ann.agent()
        for number in (1, 4, 9, 15):
            done = bare.service(
                "strace", "-qq", "-o", "/dev/null", "-e", "trace=rename",
                "-e", f"inject=rename:signal=KILL:when={number}", "dpkg", "-i",
                *map(bare.inner, bare.newer), check=False)
            assert done.returncode != 0
            assert "unmet" not in done.stderr, done.stderr
            assert ann.ssh("true").returncode == 0
            assert has_credentials(ann)
        with logging_in(ann):
            bare.install(bare.newer)
        new = bare.run("awsenv", "version").stdout.split()[-1]
        until(lambda: version(ann) == new, 20, "the agent is the old one")
        assert ann.agent() == pid and has_credentials(ann)
    assert sim.counts()["StartDeviceAuthorization"] == 1


def test_what_the_administrator_took_out_stays_out(bare, ann):
    bare.install(bare.debs)
    bare.service("pam-auth-update", "--disable", "awsenv")
    bare.run("systemctl", "--global", "disable", "awsenv-agent.service")
    assert "pam_awsenv.so" not in common_session(bare)
    bare.install(bare.newer)
    assert "pam_awsenv.so" not in common_session(bare)
    assert ann.ssh("echo $AWSENV_SOCK").stdout == "\n"
    assert not bare.path(f"{ann.runtime}/awsenv").exists()
