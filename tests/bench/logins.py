# SPDX-License-Identifier: ISC
"""What the PAM module costs at a login by ssh: real sshd with its line and
without, in two mount namespaces, one login by each in turn."""
import os
import pathlib
import signal
import statistics
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests/pam"), str(TOP / "tests")]
from simulator.client import Simulator  # noqa: E402

COPIES, LOGINS, COLD = 300, 60, 15


def milliseconds(values):
    low, middle, high = statistics.quantiles([v / 1e6 for v in values], n=4)
    return "%.0f ms (%.0f-%.0f)" % (middle, low, high)


def timed(call):
    begun = time.monotonic_ns()
    done = call()
    assert done.returncode == 0, done
    return time.monotonic_ns() - begun


class Pairs:
    """Logins with the module and without it, first one, then the other."""

    def __init__(self, table, with_us, without):
        self.table, self.with_us, self.without = table, with_us, without

    def ssh(self, world):
        return timed(lambda: world.ssh("true"))

    def scp(self, world, file=None):
        return timed(lambda: world.scp(file, "copy"))

    def add(self, what, count, aim, login, before=None):
        ours, theirs = [], []
        for i in range(count):
            if before:
                before()
            pair = [(ours, self.with_us), (theirs, self.without)]
            for times, world in pair if i % 2 else reversed(pair):
                times.append(login(world))
        each = [(a - b) / 1e6 for a, b in zip(ours, theirs)]
        self.table.add(what, milliseconds(ours), milliseconds(theirs),
                       "%+.1f ms" % statistics.median(each), aim)


def measure(table, account, sim):
    from stack import stat
    from world import World
    with World(account, sim) as with_us, \
            World(account, line=False) as without, \
            tempfile.NamedTemporaryFile() as file:
        file.write(b"x" * 1000)
        file.flush()
        for world in (with_us, without):
            world.sshd()
            world.ssh("true")
        pairs = Pairs(table, with_us, without)
        pairs.add("scp, no token (%d)" % COPIES, COPIES, "+2 ms",
                  lambda w: pairs.scp(w, file.name))
        started = sim.counts()["StartDeviceAuthorization"]
        table.add("  logins to AWS begun by them", str(started), aim="2")
        sim.approve(sim.wait_pending()["user_code"])
        assert with_us.awsenv("-p", "marketing", "login").returncode == 0
        pairs.add("ssh, token good", LOGINS, "+2 ms", pairs.ssh)
        sim.fault("*", "hang", seconds=3600)
        pairs.add("ssh, agent cold, network dead", COLD, "", pairs.ssh,
                  account.kill)
        with_us.ssh("true")
        for pid in account.processes():
            if stat(pid)[0].startswith("awsenv"):
                os.kill(pid, signal.SIGSTOP)
        pairs.add("ssh, agent and network dead", LOGINS, "+60 ms", pairs.ssh)
        sim.clear_faults()


def logins(table):
    sys.path.insert(0, str(TOP / "tests/pam"))
    from test_programs import missing
    if missing():
        table.add("logins by ssh, with the module : without", missing())
        return
    from stack import Account
    with Account() as account, Simulator() as sim:
        measure(table, account, sim)
