# SPDX-License-Identifier: ISC
"""Memory is short: what of the processes that see secrets gets to a swap file.

There is one for a moment, with a priority above all others; the kernel is told
to take every page of ours out, and then the file is searched.
"""

import contextlib
import ctypes
import os
import pathlib
import struct
import subprocess
import sys

import pytest

from agent import BUILD, Agent, children
from simulator.client import Simulator

LIBC = ctypes.CDLL(None, use_errno=True)
PIDFD_OPEN, PROCESS_MADVISE, PAGEOUT = 434, 440, 21
UID = 63600 + os.getpid() % 300
PLANTED = "planted-" + os.urandom(16).hex()
SANITIZED = b"__asan_init" in (BUILD / "awsenv-broker").read_bytes()
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to add swap"),
    pytest.mark.skipif(not os.path.exists("/sbin/swapon"),
                       reason="there is no swapon"),
    pytest.mark.skipif(SANITIZED, reason="sanitizers have a heap of their own"),
]


@contextlib.contextmanager
def swap_file():
    """Yields a function that takes it away again and gives what was in it."""
    path = pathlib.Path(f"/var/tmp/awsenv-swap.{os.getpid()}")
    on = False
    try:
        path.touch(mode=0o600)
        path.write_bytes(bytes(32 << 20))
        subprocess.run(["/sbin/mkswap", path], check=True, capture_output=True)
        done = subprocess.run(["/sbin/swapon", "-p", "32767", path], text=True,
                              capture_output=True)
        if done.returncode != 0:
            pytest.skip("no swap file can be used here: " + done.stderr)
        on = True

        def end():
            nonlocal on
            subprocess.run(["/sbin/swapoff", path], check=True)
            on = False
            fd = os.open(path, os.O_RDONLY)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            with open(fd, "rb") as f:
                return f.read()
        yield end
    finally:
        if on:
            subprocess.run(["/sbin/swapoff", path], check=True)
        path.unlink()


def page_out(pid):
    """All that it may write to; how much of it is in swap then."""
    pidfd = LIBC.syscall(PIDFD_OPEN, pid, 0)
    assert pidfd >= 0
    for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
        span, rights = line.split()[:2]
        if "w" not in rights:
            continue
        start, end = (int(n, 16) for n in span.split("-"))
        vector = ctypes.create_string_buffer(struct.pack("QQ", start,
                                                         end - start))
        # What is locked is refused.
        LIBC.syscall(PROCESS_MADVISE, pidfd, vector, 1, PAGEOUT, 0)
    os.close(pidfd)
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmSwap:")[1].split()[0])


def test_no_secret_gets_to_swap():
    with Simulator(interval=1, accounts=2, roles=1) as sim, \
            Agent(sim, uid=UID).install() as agent, \
            subprocess.Popen([sys.executable, "-c",
                              "import sys, time; kept = sys.argv[1] * 64\n"
                              "print(flush=True); time.sleep(60)", PLANTED],
                             stdout=subprocess.PIPE) as other:
        sim.dir.chmod(0o755)
        other.stdout.readline()
        try:
            with agent.polling() as fetcher, swap_file() as end:
                spawner, = children(agent.pid, "awsenv-spawner")
                for pid in (fetcher, agent.broker_pid(), spawner, agent.pid,
                            other.pid):
                    assert page_out(pid) > 0, pid
                text = end()
        finally:
            other.kill()
        # It was to be found there: who does not lock it has it in swap.
        assert PLANTED.encode() in text
        secrets = [s for s in sim.secrets() if len(s["value"]) >= 32]
        assert {"deviceCode", "clientSecret"} <= {s["kind"] for s in secrets}
        for secret in secrets:
            value = secret["value"].encode()
            for at in range(0, len(value) - 31, 16):
                # What all tokens of a kind begin with says nothing.
                part = value[at:at + 32] if at else value[-32:]
                assert part not in text, secret["kind"]
