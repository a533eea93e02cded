# SPDX-License-Identifier: ISC
"""awsenv for arm64, cross-built and run by qemu, with the agent of this machine at
the other end of the socket."""
import os
import platform
import shutil
import subprocess

import pytest

from agent import TOP, Agent
from simulator.client import Simulator

CC, QEMU = "aarch64-linux-gnu-gcc", "qemu-aarch64"
LIBC = "/usr/aarch64-linux-gnu"
MISSING = [p for p in (CC, QEMU) if not shutil.which(p)]
pytestmark = pytest.mark.skipif(
    bool(MISSING) or not os.path.exists(f"{LIBC}/include/stdio.h"),
    reason="no " + ", ".join(MISSING or ["libc for arm64"]))


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """As the manual has it made."""
    folder = tmp_path_factory.mktemp("arm64")
    done = subprocess.run(
        ["make", "awsenv", f"CC={CC}", f"B={folder}", "WERROR=1"], cwd=TOP,
        capture_output=True, text=True, timeout=600,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"})
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "awsenv"


@pytest.fixture(scope="module")
def agent():
    with Simulator(interval=1) as sim, Agent(sim) as started:
        started.log_in()
        yield started


def run(agent, program, *words, **env):
    return subprocess.run(
        [QEMU, "-L", LIBC, program, *words], capture_output=True, text=True,
        timeout=120, env={**agent.env, **env})


def test_it_is_of_that_machine_and_needs_a_libc_only(program):
    head = subprocess.run(["readelf", "-hdW", program], capture_output=True,
                          text=True, check=True).stdout
    assert "AArch64" in head
    needed = [line.split()[-1] for line in head.splitlines()
              if "(NEEDED)" in line]
    assert set(needed) <= {"[libc.so.6]", "[ld-linux-aarch64.so.1]"}


def test_a_command_has_credentials_of_this_machines_agent(agent, program):
    keys = agent.keys("marketing")
    for words in (["-p", "marketing"],
                  ["--socket", str(agent.sock), "-p", "marketing"]):
        # It executes a program of whatever machine this is.
        done = run(agent, program, *words, "--", "sh", "-c",
                   "echo $AWS_ACCESS_KEY_ID $AWS_SECRET_ACCESS_KEY; uname -m")
        assert (done.returncode, done.stderr) == (0, "")
        key, secret, machine = done.stdout.split()
        assert (key, secret) == (keys.access_key.decode(),
                                 keys.secret_key.decode())
        assert machine == platform.machine()


def test_it_tells_as_it_does_elsewhere(agent, program):
    """But no endpoint: qemu does not know all that its socket is asked."""
    done = run(agent, program, "process", "-p", "marketing")
    assert agent.keys("marketing").access_key.decode() in done.stdout
    done = run(agent, program, "status", "--socket", str(agent.sock))
    assert done.returncode == 0, done.stderr
    assert "since --socket names it" in done.stdout
    done = run(agent, program, "-p", "nothing", "--", "true")
    assert done.returncode == 125 and "nothing" in done.stderr
    done = run(agent, program, "-p", "marketing", "--", "false")
    assert done.returncode == 1
