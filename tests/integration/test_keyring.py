# SPDX-License-Identifier: ISC
"""The ring: who gets at it, who does not, and what is left of it."""
# Runs alone, unless as root: it reads what the user is charged for.
import contextlib
import ctypes
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

import pytest

import fake_broker
import wire
from supervised import (BUILD, HERE, KEYS, LIBC, LINK_H, TOP, UID, Agent,
                        as_user, become, is_alive, quota, until)

FETCH = 2
EACCES, EPERM, ENOSYS = 13, 1, 38
root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def agent():
    a = Agent()
    yield a
    a.close()


@pytest.fixture(scope="module")
def intruder():
    """Not in pytest's folder: that is closed to others again and again."""
    with tempfile.TemporaryDirectory(prefix="awsenv-test-") as folder:
        os.chmod(folder, 0o755)
        program = os.path.join(folder, "intruder")
        subprocess.run(["gcc", "-O2", "-D_GNU_SOURCE", "-o", program,
                        os.path.join(HERE, "intruder.c")], check=True)
        yield program


def status(agent):
    """What the real broker says; repeated while brokers die."""
    def answer():
        with contextlib.suppress(EOFError, OSError), agent.connect() as s:
            return wire.ask(s, "status@awsenv", "MSG_STATUS_REQ", "MSG_STATUS_REP")
    return until(answer, 15)


# ---- an installation ----

LAUNCHER = """#include <unistd.h>
int main(void) {
	char *argv[] = {"python3", SCRIPT, NAME, NULL};
	return execv("/usr/bin/python3", argv);
}
"""


class Installed(Agent):
    """make install, root's and 0711, in a folder that only root may write."""

    def __init__(self, fake=False):
        super().__init__(fake=False, base="/var/tmp")
        os.chown(self.bin, 0, 0)
        try:
            self.install(fake)
        except BaseException:
            self.close()
            raise

    def install(self, fake):
        subprocess.run(["make", "-s", "-C", TOP, "B=" + BUILD, "-o", "all", "install",
                        "DESTDIR=" + self.top, "PREFIX=/usr",
                        "LIBEXECDIR=/usr/local/libexec/awsenv"],
                       check=True, capture_output=True)
        os.rmdir(self.bin)
        self.bin = os.path.join(self.top, "usr", "bin")
        # Not where LIBEXECDIR is: helpers are looked for beside it, too.
        libexec = os.path.join(self.top, "usr/local/libexec/awsenv")
        for name in os.listdir(libexec):
            os.link(os.path.join(libexec, name), os.path.join(self.bin, name))
        self.program = os.path.join(self.bin, "awsenv-agent")
        if fake:
            self.launch_fakes()

    def launch_fakes(self):
        """Programs of one's own in place of the helpers, unreadable as they."""
        script = os.path.join(self.top, "fake_broker.py")
        shutil.copy(LINK_H, self.top)
        shutil.copy(os.path.join(HERE, "fake_broker.py"), script)
        for name in ("awsenv-broker", "awsenv-fetch", "awsenv-profile"):
            path = os.path.join(self.bin, name)
            os.unlink(path)
            subprocess.run(["gcc", "-x", "c", "-", "-o", path,
                            '-DSCRIPT="%s"' % script, '-DNAME="%s"' % name],
                           input=LAUNCHER, text=True, check=True)
            os.chmod(path, 0o711)


@pytest.fixture
def installed():
    a = Installed()
    yield a
    a.close()


@pytest.fixture
def installed_fake():
    a = Installed(fake=True)
    yield a
    a.close()


# ---- who gets at a key ----

def attempts(serials):
    """Everything one can try with serials in hand; what succeeded."""
    KEYS.keyctl_join_session_keyring(None)
    done, text = [], ctypes.create_string_buffer(4096)
    for k in serials:
        for name, arguments in (
                ("read", (k, text, 4096)), ("describe", (k, text, 4096)),
                ("setperm", (k, 0x3f3f3f3f)), ("link", (k, -3)),
                ("invalidate", (k,)), ("revoke", (k,)), ("set_timeout", (k, 1)),
                ("update", (k, b"x", 1)), ("chown", (k, UID, -1)),
                ("clear", (k,)), ("search", (k, b"user", b"awsenv:1:tok:0", 0)),
                ("get_security", (k, text, 4096))):
            if getattr(KEYS, "keyctl_" + name)(*arguments) >= 0:
                done.append(name)
    with open("/proc/keys") as f:
        listed = f.read()
    done += ["listed" for k in serials if "%08x" % k in listed]
    return done


@pytest.mark.quick
def test_nobody_else_reads_anything_with_the_serials_in_hand(agent):
    agent.start()
    info = agent.ask("info")
    key = agent.ask("add", name="awsenv:1:tok:0", text="secret")["serial"]
    serials = [key, info["ring"], info["session"]]
    assert as_user(lambda: attempts(serials)) == []
    if os.geteuid() == 0:
        assert as_user(lambda: attempts(serials), uid=0) == []
        assert as_user(lambda: attempts(serials), uid=UID + 1) == []
    assert agent.ask("read", serial=key) == {"text": "secret"}


def test_the_attempts_would_succeed_on_an_open_key():
    def own():
        KEYS.keyctl_join_session_keyring(None)
        k = KEYS.add_key(b"user", b"open", b"secret", 6, -3)
        KEYS.keyctl_setperm(k, 0x3f3f0000)
        pid = os.fork()
        if pid == 0:
            os._exit(0 if {"read", "describe", "setperm"} <= set(attempts([k])) else 1)
        return os.waitpid(pid, 0)[1]
    assert as_user(own) == 0


# ---- a ring that somebody plants ----

@pytest.mark.quick
def test_a_child_cannot_plant_a_ring_in_the_supervisor(agent):
    """KEYCTL_SESSION_TO_PARENT, from a hostile program in the broker's place."""
    agent.start()
    before = agent.ask("info")
    planted = agent.ask("session_to_parent")
    assert planted["result"] == -1 and planted["errno"] == EPERM
    os.kill(before["broker"], signal.SIGKILL)
    after = agent.ask("info")
    assert after["session"] == before["session"] != planted["session"]
    key = agent.ask("add", name="awsenv:1:tok:0", text="s")
    assert key["errno"] == 0
    assert agent.ask("read", serial=key["serial"]) == {"text": "s"}


def test_planting_does_work_where_nobody_guards_against_it():
    def parent():
        mine = KEYS.keyctl_join_session_keyring(None)
        pid = os.fork()
        if pid == 0:
            KEYS.keyctl_join_session_keyring(None)
            os._exit(0 if KEYS.keyctl_session_to_parent() == 0 else 1)
        assert os.waitpid(pid, 0)[1] == 0
        return KEYS.keyctl_get_keyring_ID(-3, 0) != mine
    assert as_user(parent) is True


def empty_audit():
    """As audit_make() of agent/common/audit.c makes it."""
    line, fd = 512, os.memfd_create("audit")
    os.ftruncate(fd, 24 + 1024 * line)
    os.pwrite(fd, struct.pack("=IIQQ", 1, line, 1, 1), 0)
    return fd


def broker_with(session_of):
    """The real broker with a ring of this process; its status after a while."""
    session = KEYS.keyctl_join_session_keyring(None)
    KEYS.keyctl_setperm(session, 0x3f000000)
    ring = KEYS.add_key(b"keyring", b"awsenv:v1", None, 0, session)
    KEYS.keyctl_setperm(ring, 0x3f000000)
    vault = KEYS.add_key(b"user", b"awsenv:vault", b"k" * 32, 32, ring)
    KEYS.keyctl_setperm(vault, 0x3f000000)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    spawner = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.setblocking(False)
    pid = os.fork()
    if pid == 0:
        os.dup2(theirs.fileno(), 3, inheritable=True)
        os.execve(os.path.join(BUILD, "awsenv-broker"), ["awsenv-broker"], {})
    theirs.close()
    hello = fake_broker.pack(fake_broker.HELLO, ring=ring, flags=2,
                             session=session_of(session), nfds=3)
    socket.send_fds(ours, [hello],
        [spawner[0].fileno(), empty_audit(), os.memfd_create("vault")])
    time.sleep(0.5)
    done, status = os.waitpid(pid, os.WNOHANG)
    if not done:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return "runs"
    return os.waitstatus_to_exitcode(status)


def test_a_broker_with_the_wrong_session_exits_70():
    assert as_user(lambda: broker_with(lambda s: s + 1)) == 70
    assert as_user(lambda: broker_with(lambda s: s)) == "runs"


# ---- what is left ----

@pytest.mark.quick
def test_sigterm_leaves_no_key_behind(agent):
    until(lambda: quota()[1] < 100)
    before = quota()
    agent.start()
    keys = [agent.ask("add", name="awsenv:1:role:%d" % n, text="x" * 1500)["serial"]
            for n in range(8)]
    assert quota()[1] > before[1] + 8 * 1500
    os.kill(agent.pid, signal.SIGTERM)
    until(lambda: not is_alive(agent.pid))
    # Revoked: the bytes come back at once, the rest with the collector.
    assert quota()[1] < before[1] + 1500
    until(lambda: quota() <= before, 20, "%s, %s" % (quota(), before))

    def rest():
        with open("/proc/keys") as f:
            text = f.read()
        return [k for k in keys if "%08x" % k in text] + re.findall("awsenv:.*", text)
    assert as_user(rest) == []


def test_kill_9_of_all_leaves_no_key_behind(agent):
    until(lambda: quota()[1] < 100)
    before = quota()
    agent.start()
    for n in range(8):
        agent.ask("add", name="awsenv:1:role:%d" % n, text="x" * 1500)
    for pid in (agent.spawner(), agent.pid, agent.broker()):
        with contextlib.suppress(ProcessLookupError):   # it saw the others go
            os.kill(pid, signal.SIGKILL)
    until(lambda: quota() <= before, 20, "%s, %s" % (quota(), before))


# ---- a keyring that is full or forbidden ----

def fill():
    """Use up all that this user may have, until the process ends."""
    KEYS.keyctl_join_session_keyring(None)
    n = 0
    for size in (4096, 256, 16, 1):
        while KEYS.add_key(b"user", b"%d" % n, b"x" * size, size, -3) >= 0:
            n += 1


@root
@pytest.mark.parametrize("seconds", [1, 60])
def test_a_full_quota_is_waited_for_and_then_told(agent, seconds):
    until(lambda: quota() == (0, 0), why="%s" % (quota(),))
    ready, done = os.pipe()
    free = time.monotonic() + seconds
    holder = os.fork()
    if holder == 0:
        become(UID)()
        fill()
        os.write(done, b"x")
        time.sleep(seconds)
        os._exit(0)
    os.read(ready, 1)
    # A zombie's keys are still charged.
    reaper = threading.Thread(target=os.waitpid, args=(holder, 0))
    reaper.start()
    begun = time.monotonic()
    result = agent.call("-s")
    ended = time.monotonic()
    with contextlib.suppress(ProcessLookupError):
        os.kill(holder, signal.SIGKILL)
    reaper.join()
    if seconds == 1:        # freed while we wait
        assert result.returncode == 0 and ended > free, result
    else:
        assert result.returncode == 1 and ended - begun > 1.9, result
        assert "kernel.keys.maxbytes" in result.stderr
        assert "/proc/key-users" in result.stderr


@root
def test_a_spawner_can_be_replaced_when_the_quota_is_full(agent):
    agent.start()
    agent.ask("info")
    ready, done = os.pipe()
    holder = os.fork()
    if holder == 0:
        become(UID)()
        fill()
        os.write(done, b"x")
        time.sleep(60)
        os._exit(0)
    os.read(ready, 1)
    try:
        for _ in range(3):
            before = agent.spawner()
            os.kill(before, signal.SIGKILL)
            until(lambda: agent.spawner() != before)
            answer = agent.ask("spawn", program=FETCH)
            assert answer["type"] == fake_broker.SPAWNED
            assert agent.ask("talk", pid=answer["pid"], text="x")["answer"] == "echo:x"
    finally:
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)


def forbid(numbers, error):
    """A filter as containers have it: these system calls give that errno."""
    code = [(0x20, 0, 0, 0)]
    for number in numbers:
        code += [(0x15, 0, 1, number), (0x06, 0, 0, 0x00050000 | error)]
    code += [(0x06, 0, 0, 0x7fff0000)]
    program = b"".join(struct.pack("=HBBI", *line) for line in code)
    room = ctypes.create_string_buffer(program)

    class Program(ctypes.Structure):
        _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
    LIBC.prctl(38, 1, 0, 0, 0)      # PR_SET_NO_NEW_PRIVS
    assert LIBC.prctl(22, 2, ctypes.byref(Program(
        len(code), ctypes.addressof(room))), 0, 0) == 0


ADD_KEY, KEYCTL = {"x86_64": (248, 250), "aarch64": (217, 219)}[os.uname().machine]


@pytest.mark.parametrize("calls, error", [
    ([ADD_KEY, KEYCTL], EPERM),         # Docker
    ([ADD_KEY], ENOSYS),                # Podman's default of some years
    ([KEYCTL], ENOSYS)])
def test_a_container_that_forbids_the_keyring_is_named(agent, calls, error):
    def prepare():
        become(UID)()
        forbid(calls, error)
    done = subprocess.run([agent.program, "-s"], env=agent.environ(), text=True,
                          capture_output=True, preexec_fn=prepare, timeout=20)
    assert done.returncode == 1 and not done.stdout
    assert "container" in done.stderr and "seccomp" in done.stderr
    assert os.strerror(error) in done.stderr


# ---- with the programs installed as they should be ----

@root
def test_nobody_gets_into_the_successor_of_a_broker_that_was_killed(
        installed, intruder):
    with open(os.path.join(BUILD, "awsenv-broker"), "rb") as program:
        if b"__asan_init" in program.read():
            pytest.skip("LeakSanitizer makes itself traceable as it ends")
    installed.start()
    before = status(installed)
    assert before.protected_
    done = subprocess.run([intruder, str(installed.pid), "40"], text=True,
                          capture_output=True, preexec_fn=become(UID),
                          timeout=600)
    kills, tries, traced, memory, files = map(int, done.stdout.split())
    assert (traced, memory, files) == (0, 0, 0)
    assert kills == 40 and tries > 40000, done.stdout
    after = status(installed)
    assert after.ring == before.ring and after.restarts > 20
    assert after.agent_pid == before.agent_pid == installed.pid


@root
def test_the_intruder_does_get_in_where_programs_are_readable(intruder):
    agent = Agent(fake=False)
    try:
        for name in ("awsenv-agent", "awsenv-broker", "awsenv-fetch", "awsenv-profile"):
            subprocess.run(["install", "-m", "755", "-o", str(UID),
                            os.path.join(BUILD, name), agent.bin], check=True)
        agent.start()
        assert not status(agent).protected_
        done = subprocess.run([intruder, str(agent.pid), "100000"], text=True,
                              capture_output=True, preexec_fn=become(UID),
                              timeout=600)
        assert int(done.stdout.split()[2]) > 0, done.stdout
    finally:
        agent.close()


@root
def test_an_upgrade_keeps_ring_jobs_and_options(installed_fake):
    agent = installed_fake
    agent.start("-t", "1h")
    before = agent.ask("info")
    assert before["flags"] & 1
    job = agent.ask("spawn", program=FETCH, tag="kept")["pid"]
    key = agent.ask("add", name="awsenv:1:tok:0", text="kept")["serial"]
    os.kill(before["broker"], signal.SIGKILL)
    spawner = agent.spawner()
    for _ in range(3):
        broker = agent.ask("info")["broker"]
        os.kill(agent.pid, signal.SIGHUP)
        until(lambda: agent.ask("info")["broker"] != broker)
    after = agent.ask("info")
    for same in ("ring", "session", "started", "supervisor", "flags", "lifetime"):
        assert after[same] == before[same], same
    assert after["restarts"] >= 1 and after["jobs"] == {str(job): "kept"}
    assert agent.ask("talk", pid=job, text="hi")["answer"] == "echo:hi"
    assert agent.ask("read", serial=key) == {"text": "kept"}
    until(lambda: not is_alive(spawner))
    new = agent.ask("spawn", program=FETCH)["pid"]
    for serial in (key, after["ring"], after["session"]):
        assert agent.ask("talk", pid=new, text="read:%d" % serial)["answer"] == "EACCES"
    planted = agent.ask("session_to_parent")
    assert planted["errno"] == EPERM
    with open("/proc/%d/environ" % agent.pid) as f:
        assert sorted(f.read().strip("\0").split("\0")) == [
            "HOME=" + agent.top, "LANG=C"]
    # And it is still the one that a second start finds, and -k ends.
    assert "AWSENV_AGENT_PID=%d;" % agent.pid in agent.call("-s").stdout
    assert agent.call("-k").returncode == 0
    until(lambda: not is_alive(agent.pid))
    assert not os.path.exists(agent.sock)


@pytest.fixture(scope="module")
def other_version(tmp_path_factory):
    """awsenv-agent as another release would be."""
    out = str(tmp_path_factory.mktemp("other"))
    subprocess.run(["make", "-s", "-C", TOP, "B=" + out, "VERSION=9.9.9",
                    os.path.join(out, "awsenv-agent")], check=True, capture_output=True)
    return os.path.join(out, "awsenv-agent")


@root
def test_an_upgrade_to_another_version_keeps_it_all(installed_fake, other_version):
    agent = installed_fake
    child = agent.popen("-D", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    agent.up()
    before = agent.ask("info")
    job = agent.ask("spawn", program=FETCH, tag="kept")["pid"]
    key = agent.ask("add", name="awsenv:1:tok:0", text="kept")["serial"]
    # As package managers do: another file takes the name.
    subprocess.run(["install", "-m", "711", other_version, agent.program + ".new"],
                   check=True)
    os.rename(agent.program + ".new", agent.program)
    child.send_signal(signal.SIGHUP)
    until(lambda: agent.ask("info")["broker"] != before["broker"])
    after = agent.ask("info")
    assert (after["ring"], after["supervisor"]) == (before["ring"], child.pid)
    assert after["jobs"] == {str(job): "kept"}
    assert agent.ask("talk", pid=job, text="hi")["answer"] == "echo:hi"
    assert agent.ask("read", serial=key) == {"text": "kept"}
    child.terminate()
    assert "version 9.9.9 goes on for version" in child.communicate(timeout=10)[1]
    assert child.returncode == 0


@root
def test_a_broker_of_another_version_makes_the_agent_re_execute(installed_fake):
    agent = installed_fake
    child = agent.popen("-D", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    agent.up()
    before = agent.ask("info")
    agent.tell("other_version")
    after = until(lambda: (i := agent.ask("info"))["broker"] != before["broker"] and i)
    assert (after["ring"], after["supervisor"]) == (before["ring"], child.pid)
    agent.tell("exit", status=71)
    agent.ask("info")
    child.terminate()
    said = child.communicate(timeout=10)[1]
    assert said.count("the broker is of another version: re-executing") == 2
    assert said.count("goes on for version") == 2


@root
def test_an_upgraded_agent_still_ends_with_its_command(installed_fake):
    agent = installed_fake
    command = agent.popen("sh", "-c", "echo $AWSENV_AGENT_PID; exec sleep 60",
                          stdout=subprocess.PIPE)
    pid = int(command.stdout.readline())
    broker = agent.ask("info")["broker"]
    os.kill(pid, signal.SIGHUP)
    until(lambda: agent.ask("info")["broker"] != broker)
    assert is_alive(pid)
    command.terminate()
    command.wait()
    until(lambda: not is_alive(pid))
    assert not os.path.exists(agent.sock)


@root
def test_an_upgrade_that_became_readable_is_not_executed(installed_fake):
    agent = installed_fake
    agent.start()
    before = agent.ask("info")
    os.chmod(agent.program, 0o755)
    os.kill(agent.pid, signal.SIGHUP)
    until(lambda: agent.ask("info")["broker"] != before["broker"])
    with open("/proc/%d/cmdline" % agent.pid) as f:
        assert "-R" not in f.read().split("\0")
    assert agent.ask("info")["ring"] == before["ring"]
