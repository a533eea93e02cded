# SPDX-License-Identifier: ISC
"""Sudden ends and upgrades of a whole installation, run by an ordinary user
under load: nobody notices, and nobody logs in again."""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import pytest

from agent import BUILD, TOP, children, key_quota, read_key, stat, until
from journey import Person
from simulator.client import Simulator

ROOT = os.geteuid() == 0
UID = 62006 if ROOT else None
PROFILES = ("marketing", "platform", "sandbox")
CLIENTS, SECONDS = 20, 12
SANITIZED = b"__asan_init" in (BUILD / "awsenv-broker").read_bytes()


def install(folder, build=BUILD, *words):
    """As make install does, all in one folder that only root may write."""
    done = subprocess.run(
        ["make", "--no-print-directory", "-o", "all", f"B={build}",
         f"DESTDIR={folder}", "BINDIR=/bin", "LIBEXECDIR=/bin",
         "MANDIR=/man", *words, "install"], cwd=TOP, capture_output=True,
        text=True, env={"PATH": os.environ["PATH"], "LANG": "C"})
    assert done.returncode == 0, done.stderr
    return folder / "bin"


@pytest.fixture
def programs():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="awsenv-installed."))
    folder.chmod(0o755)
    try:
        # Stripped, a sanitized program would lose its runtime's symbols.
        yield install(folder, BUILD, *(["STRIP="] if SANITIZED else []))
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def ann(programs):
    with Simulator(interval=1) as sim, \
            Person(sim, PROFILES, uid=UID, programs=programs) as person:
        yield person


class Load:
    """Clients that ask all the time, and somebody who drops credentials."""

    def __init__(self, ann, clients=CLIENTS):
        self.ann, self.over = ann, threading.Event()
        self.done, self.wrong = 0, []
        self.pool = concurrent.futures.ThreadPoolExecutor(clients + 1)
        for n in range(clients):
            self.pool.submit(self._ask, n)
        self.pool.submit(self._drop)

    def _ask(self, n):
        while not self.over.is_set():
            try:
                done = self.ann.run("process", "-p", PROFILES[n % 3])
                keys = json.loads(done.stdout)
                assert keys["AccessKeyId"].startswith("ASIA")
                self.done += 1
            except Exception as problem:
                self.wrong.append((repr(problem), done))

    def _drop(self):
        while not self.over.wait(1):
            self.ann.run("logout", "--credentials")

    def stop(self):
        self.over.set()
        self.pool.shutdown()


@contextlib.contextmanager
def load(ann, **options):
    running = Load(ann, **options)
    try:
        yield running
    finally:
        running.stop()
    assert not running.wrong, running.wrong[:3]


def test_brokers_killed_under_load_are_not_noticed(ann):
    sim = ann.sim
    ann.log_in()
    agent = ann.agent_pid()
    sim.delay("GetRoleCredentials", 0.4)
    killed, dice = 0, random.Random(1)
    end = time.monotonic() + SECONDS
    with load(ann) as running:
        while time.monotonic() < end:
            time.sleep(dice.uniform(0.05, 0.3))
            for pid in children(agent, "awsenv-broker"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
    assert killed >= SECONDS and running.done > CLIENTS
    # The kills did hit requests that were under way ...
    assert sim.in_flight("GetRoleCredentials")["most"] >= 2
    # ... and what was under way was taken over, not begun again each time.
    counts = sim.counts()
    assert counts["StartDeviceAuthorization"] == 1
    assert counts["GetRoleCredentials"] <= 3 * (SECONDS + 2) * 2
    assert ann.agent_pid() == agent


@pytest.mark.skipif(not ROOT, reason="needs root to install as root's")
def test_an_installation_protects_itself(ann):
    ann.log_in()
    status = ann.status("--keyring")
    assert status["agent"]["protected"] is True
    # Not even root reads a key, with its serial in hand.
    for key in status["keys"]:
        assert isinstance(read_key(key["serial"]), int)


def hang_up(ann, agent):
    """SIGHUP, and the broker that follows."""
    broker = ann.broker_pid(agent)
    os.kill(agent, signal.SIGHUP)
    return ann.broker_pid(agent, other_than=broker)


@pytest.mark.skipif(not ROOT, reason="needs root to install as root's")
def test_sighup_keeps_everything_under_load(ann):
    ann.log_in()
    agent = ann.agent_pid()
    ann.sim.delay("GetRoleCredentials", 0.3)
    with load(ann, clients=6) as running:
        for _ in range(5):
            hang_up(ann, agent)
            time.sleep(0.5)
    assert running.done > 6
    assert ann.agent_pid() == agent
    assert ann.sim.counts()["StartDeviceAuthorization"] == 1


@pytest.mark.skipif(not ROOT, reason="needs root to install as root's")
@pytest.mark.skipif(not shutil.which("gcc") or not shutil.which("make"),
                    reason="gcc and make are not installed")
def test_an_upgrade_to_another_version_keeps_everything(ann, programs, tmp_path):
    """With a code that waits for its approval, too."""
    ann.log_in()
    assert ann.run("-p", "marketing", "--", "true").returncode == 0
    before = serials(ann)
    waiting = ann.run("login", "--no-wait", "-p", "marketing", env={
        "AWS_ENDPOINT_URL_STS": ann.sim.urls["http"]})
    assert waiting.returncode == 0, waiting.stderr
    agent = ann.agent_pid()
    done = subprocess.run(
        ["make", "--no-print-directory", "-j2", f"B={tmp_path}/build",
         "VERSION=9.8.7", "LIBEXECDIR=/bin", "all"], cwd=TOP, text=True,
        capture_output=True, env={"PATH": os.environ["PATH"], "LANG": "C"})
    assert done.returncode == 0, done.stderr
    install(programs.parent, f"{tmp_path}/build", "VERSION=9.8.7")
    hang_up(ann, agent)
    status = ann.status()["agent"]
    assert (status["version"], status["pid"]) == ("9.8.7", agent)
    assert set(before) <= set(serials(ann))
    assert status["protected"] is True
    assert ann.run("-p", "marketing", "--", "true").returncode == 0
    counts = ann.sim.counts()
    assert counts["StartDeviceAuthorization"] == 2
    ann.sim.approve(ann.sim.wait_pending()["user_code"])
    until(lambda: ann.run(
        "-p", "marketing", "--", "true",
        env={"AWS_ENDPOINT_URL_STS": ann.sim.urls["http"]}).returncode == 0, 30)
    assert ann.sim.counts()["StartDeviceAuthorization"] == 2


def serials(ann):
    return [k["serial"] for k in ann.status("--keyring")["keys"]]


@pytest.mark.parametrize("how", ["SIGTERM", "awsenv agent stop"])
def test_the_end_revokes_every_key(ann, how):
    ann.log_in()
    for profile in PROFILES:
        assert ann.run("-p", profile, "--", "true").returncode == 0
    keys, agent = serials(ann), ann.agent_pid()
    assert len(keys) == 5
    if how == "SIGTERM":
        os.kill(agent, signal.SIGTERM)
    else:
        assert ann.run("agent", "stop").returncode == 0
    until(lambda: not stat(agent) or stat(agent)[1] == "Z")
    # What root still sees of them before the kernel has swept is revoked.
    rows = [row.split() for row in open("/proc/keys")]
    assert not [row for row in rows if int(row[0], 16) in keys
                and "R" not in row[1]]
    if UID:
        until(lambda: key_quota(UID)[1] < 200, 20, "it is still charged")
    done = ann.run("process", "-p", "marketing")
    assert done.returncode == 3 and done.stdout == ""


def test_sigusr1_drops_all_credentials(ann):
    ann.log_in()
    assert ann.run("-p", "marketing", "--", "true").returncode == 0
    os.kill(ann.agent_pid(), signal.SIGUSR1)
    until(lambda: serials(ann) == [])
    assert ann.run("process", "-p", "marketing").returncode == 3
    ann.log_in()


def test_sigusr1_is_for_the_next_broker_where_one_has_died(ann):
    ann.log_in()
    assert ann.run("-p", "marketing", "--", "true").returncode == 0
    agent = ann.agent_pid()
    broker, = [pid for pid in children(agent)
               if (stat(pid) or [""])[0] == "awsenv-broker"]
    os.kill(agent, signal.SIGSTOP)
    os.kill(broker, signal.SIGKILL)
    os.kill(agent, signal.SIGUSR1)
    os.kill(agent, signal.SIGCONT)
    until(lambda: serials(ann) == [])
    assert ann.run("process", "-p", "marketing").returncode == 3
    ann.log_in()


def test_a_code_survives_broker_and_fetcher_and_its_waiters_go_on(ann):
    child = ann.popen("--wait", "60", "-p", "marketing", "--", "true")
    code = ann.sim.wait_pending()["user_code"]
    agent = ann.agent_pid()
    for victim in ("awsenv-broker", "awsenv-fetch", "awsenv-broker"):
        tree = [agent]
        for pid in tree:
            tree += children(pid)
        for pid in tree:
            if (stat(pid) or [""])[0] == victim:
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.7)
    ann.sim.approve(code)
    out, err = child.communicate(timeout=70)
    assert child.returncode == 0, err
    assert ann.sim.counts()["StartDeviceAuthorization"] == 1
