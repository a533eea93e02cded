# SPDX-License-Identifier: ISC
"""Every hand-out and every refusal is a line: in the journal, and in what the
agent remembers and `awsenv log` shows."""
import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

import wire
from agent import BUILD, children, until
from etc import Namespace

JOURNAL = ('mount -t tmpfs none /run && mkdir -p /run/systemd/journal && '
           'mount --bind "$0" /run/systemd/journal\n')


def lines(agent, start=0, seconds=0, sock=None):
    """(the lines from that number on, the number to go on with)."""
    reply = agent.ask("log@awsenv", {"from": start, "seconds": seconds}, sock)
    return wire.unpack("MSG_LOG_ITEM", reply["items"]), reply.next


def all_lines(agent):
    found, start = [], 0
    while True:
        page, start = lines(agent, start)
        if not page:
            return found
        found += page


class Journal:
    """What journald would get, in the place of its socket."""

    def __init__(self, folder):
        self.path = folder / "socket"
        self.entries, self.paused = [], threading.Event()
        self.open()

    def open(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
        self.socket.bind(str(self.path))
        self.path.chmod(0o666)
        self.socket.settimeout(0.1)
        self.thread = threading.Thread(target=self._read, args=[self.socket])
        self.thread.start()

    def _read(self, mine):
        while mine is self.socket:
            try:
                data = mine.recv(65536) if not self.paused.is_set() else (
                    time.sleep(0.01))
            except TimeoutError:
                continue
            if data:
                self.entries.append(dict(
                    line.split("=", 1)
                    for line in data.decode("ascii").splitlines()))
        mine.close()

    def close(self):
        self.socket = None
        self.thread.join()


@pytest.fixture
def journal(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can put a socket in the journal's place")
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent.stat().st_mode & 0o001 == 0:
            parent.chmod(0o711)
    folder = tmp_path / "journal"
    folder.mkdir(mode=0o755)
    journal = Journal(folder)
    with Namespace(JOURNAL, folder) as world:
        journal.world = world
        yield journal
    journal.close()


@pytest.fixture
def heard(sim, make_agent, journal):
    """An agent whose journal we are."""
    agent = make_agent(sim, profiles=("marketing", "platform"), start=False)
    become = agent.become

    def enter():
        journal.world.enter()
        become()
    agent.become = enter
    agent.start()
    return agent


def test_a_hand_out_is_remembered(sim, agent):
    agent.log_in("marketing")
    key = agent.keys("marketing").access_key
    line, = all_lines(agent)
    assert line.error == 0 and line.access_key == key
    assert line.profile == b"marketing" and line.request == b"creds@awsenv"
    assert line.account.decode() == sim.info["accounts"][0]["id"]
    assert line.role and line.origin == b"local" and line.pid == os.getpid()
    assert abs(line.time - time.time()) < 60
    line = until(lambda: next((x for x in all_lines(agent) if x.program), None))
    assert os.fsencode(os.path.realpath("/proc/self/exe")) == line.program


def test_a_refusal_is_remembered_and_what_is_none_is_not(sim, agent):
    agent.creds("marketing", check=False)       # a login is needed
    agent.creds("nosuch", check=False)
    agent.status("marketing")
    assert all_lines(agent) == []
    agent.log_in("marketing")
    with agent.connect() as s:
        s.sendall(wire.frame("session-bind@openssh.com", b"junk"))
        wire.read_frame(s)
    forward = str(agent.sock).replace("agent.sock", "forward.sock")
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(forward)
        assert agent.status("marketing").error == 0
        refused = agent.ask("whoami@awsenv", agent.asking("marketing"), s,
                            check=False)
        assert refused.error == wire.AW_DENIED
        # Nor may it read what was.
        assert agent.ask("log@awsenv", {}, s, check=False).error \
            == wire.AW_DENIED
    first, second = all_lines(agent)
    assert (first.error, first.origin) == (wire.AW_DENIED, b"remote")
    assert first.request == b"whoami@awsenv" and first.profile == b"marketing"
    assert first.access_key == b"" and second.request == b"log@awsenv"


def test_hostile_names_do_no_harm(sim, agent):
    forward = str(agent.sock).replace("agent.sock", "forward.sock")
    name = "x\n\x1b]0;evil\x07AWSENV_ORIGIN=local\0" + "y" * 70000
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(forward)
        agent.ask("creds@awsenv", agent.asking(name), s, check=False)
    line, = all_lines(agent)
    assert line.profile.startswith(b"x??]0;evil?AWSENV_ORIGIN=local?yyy")
    assert len(line.profile) < 100
    done = agent.run("log")
    assert done.returncode == 0 and "\x1b" not in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_it_outlives_the_broker(sim, agent):
    agent.log_in("marketing")
    agent.creds("marketing")
    before = all_lines(agent)
    agent.kill_broker()
    agent.creds("marketing")
    after = all_lines(agent)
    assert [x.number for x in after] == [1, 2]
    assert after[0].access_key == before[0].access_key


def test_a_thousand_are_kept_in_pages(sim, agent):
    agent.log_in("marketing")
    with agent.connect() as s:
        for _ in range(1100):
            agent.creds("marketing", sock=s)
    found = all_lines(agent)
    assert [x.number for x in found] == list(range(77, 1101))
    # Of lines that are gone, and of lines that no agent had, the oldest.
    assert lines(agent, 5)[0][0].number == 77
    assert lines(agent, 2 ** 60)[0][0].number == 77


def test_who_waits_for_a_line_gets_it(sim, agent):
    agent.log_in("marketing")
    agent.creds("marketing")
    _, start = lines(agent)
    with agent.connect() as s:
        s.sendall(wire.frame("log@awsenv", wire.encode(
            "MSG_LOG_REQ", {"from": start, "seconds": 60})))
        agent.creds("marketing")
        assert wire.read_frame(s)[:1] == b"\x1d"
    assert lines(agent, start, 0)[0][0].number == 2


def test_the_verb(sim, agent):
    agent.log_in("marketing")
    for profile in ("marketing", "platform", "marketing"):
        assert agent.run("-p", profile, "--", "true").returncode == 0
    done = agent.run("log")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 3
    key = agent.keys("marketing").access_key.decode()
    assert f": {key}\n" in done.stdout and " gave marketing " in done.stdout
    done = agent.run("log", "--json", "--profile", "platform")
    line = json.loads(done.stdout)
    assert line["profile"] == "platform" and line["error"] is None
    assert line["origin"] == "local" and line["access_key_id"]
    assert set(line) == {
        "time", "request", "profile", "account", "role", "access_key_id",
        "origin", "pid", "program", "host_key", "claimed_hops", "error"}
    creds = agent.keys("marketing")
    for secret in (creds.secret_key, creds.session_token):
        assert secret.decode() not in agent.run("log", "--json").stdout


def test_the_journal_gets_every_line(sim, heard, journal):
    heard.log_in("marketing")
    key = heard.keys("marketing").access_key.decode()
    with heard.connect() as s:
        for _ in range(800):
            heard.creds("marketing", sock=s)
    until(lambda: len(journal.entries) >= 801, 30, "lines are missing")
    assert len(journal.entries) == 801
    for entry in journal.entries:
        assert entry["AWSENV_EVENT"] == "gave"
        assert entry["AWSENV_ACCESS_KEY_ID"] == key
        assert entry["SYSLOG_FACILITY"] == "10"


JOURNALD = "/lib/systemd/systemd-journald"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a journald")
@pytest.mark.skipif(not os.path.exists(JOURNALD), reason="there is no journald")
def test_journald_has_ten_thousand_in_ten_seconds(sim, make_agent):
    agent = make_agent(sim, start=False)
    script = f"""mount -t tmpfs none /run &&
        mkdir -p /run/systemd/journal /run/log/journal || exit 1
        {JOURNALD} >&2 &
        while [ ! -S /run/systemd/journal/socket ]; do sleep 0.05; done\n"""
    with Namespace(script) as world, contextlib.ExitStack() as stack:
        daemon, = until(lambda: children(world.holder.pid, "systemd-journal"))
        stack.callback(os.kill, daemon, signal.SIGKILL)
        become = agent.become
        agent.become = lambda: (world.enter(), become())
        agent.start()
        agent.log_in("marketing")
        begun = time.monotonic()
        with agent.connect() as s:
            for n in range(10000):
                reply = agent.creds("marketing", sock=s)
                # Not faster than that, or this is another test.
                ahead = begun + n / 1000 - time.monotonic()
                if ahead > 0.01:
                    time.sleep(ahead)
        key = wire.decode("MSG_CREDS", reply.sealed).access_key.decode()

        def written():
            return subprocess.run(
                ["journalctl", "-D", "/run/log/journal", "-o", "cat", "-q",
                 "SYSLOG_FACILITY=10", f"AWSENV_ACCESS_KEY_ID={key}",
                 "--output-fields=MESSAGE"], preexec_fn=world.enter,
                capture_output=True, text=True, timeout=60).stdout.splitlines()
        until(lambda: len(written()) >= 10000, 30, "lines are missing")
        found = written()
        assert len(found) == 10000
        assert found[0].startswith(f"gave {key} of marketing (account ")


def test_a_journal_that_hangs_delays_nobody(sim, heard, journal):
    heard.log_in("marketing")
    heard.creds("marketing")
    until(lambda: len(journal.entries) == 1)
    journal.paused.set()
    with heard.connect(10) as s:
        for _ in range(3000):
            heard.creds("marketing", sock=s)
    # The spawner, which has the line in hand, starts programs as ever.
    heard.logout(what=wire.LOGOUT_CREDS)
    heard.creds("marketing")
    if b"__asan_init" not in (BUILD / "awsenv-broker").read_bytes():
        with open(f"/proc/{heard.broker_pid()}/statm", encoding="ascii") as f:
            pages = int(f.read().split()[1])
        assert pages * os.sysconf("SC_PAGESIZE") < 16 << 20
    journal.paused.clear()

    def counted():
        lost = sum(int(e.get("AWSENV_LOST", 0)) for e in journal.entries)
        gave = sum(e["AWSENV_EVENT"] == "gave" for e in journal.entries)
        return lost and lost + gave == 3002
    until(counted, 30, "neither there nor counted as lost")


def test_the_journal_and_the_broker_may_be_replaced(sim, heard, journal):
    heard.log_in("marketing")
    heard.creds("marketing")
    until(lambda: len(journal.entries) == 1)
    journal.close()
    heard.creds("marketing")
    heard.kill_broker()
    heard.creds("platform")
    journal.open()
    until(lambda: len(journal.entries) == 3)
    assert [e["AWSENV_PROFILE"] for e in journal.entries] == [
        "marketing", "marketing", "platform"]


def test_the_spawner_may_be_replaced(sim, heard, journal):
    heard.log_in("marketing")
    heard.creds("marketing")
    until(lambda: len(journal.entries) == 1)
    pid, = children(heard.pid, "awsenv-spawner")
    os.kill(pid, signal.SIGKILL)
    until(lambda: children(heard.pid, "awsenv-spawner") not in ([], [pid]))
    heard.creds("platform")
    until(lambda: len(journal.entries) == 2)
