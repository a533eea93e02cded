# SPDX-License-Identifier: ISC
"""Who makes trouble, each in a thread of its own, until told to stop."""

import collections
import contextlib
import os
import random
import signal
import threading
import time

from agent import children, stat, until
from hog import Hog

# What AWS, a network or a portal may do, at any call: (kind, parameters).
ANYWHERE = [
    ("status", {"status": 500}), ("status", {"status": 502, "body": "html"}),
    ("status", {"status": 503, "body": "empty"}),
    ("status", {"status": 429, "retry_after": 1}),
    ("reset", {}), ("lost", {}), ("close", {}), ("truncated", {}),
    ("hang", {"seconds": 20}), ("hang", {"seconds": 20, "headers": True}),
    ("trickle", {"seconds": 0.002}), ("huge", {"bytes": 2 << 20}),
    ("nested", {"depth": 20000}), ("html", {}),
    ("redirect", {"to": "elsewhere"}), ("redirect", {"to": "http"}),
    ("headers", {"bytes": 1 << 20}), ("gzip", {"bytes": 1 << 20}),
    ("raw", {"status": 200, "body": "{"}),
    ("raw", {"status": 200, "body": ""}),
    ("raw", {"status": 400, "body": "\x1b]0;owned\x07"}),
]
# What it may answer in so many words.
SAID = {
    "GetRoleCredentials": [
        "InternalServerException", "TooManyRequestsException",
        "ForbiddenException", "InvalidRequestException",
        "ResourceNotFoundException", "UnauthorizedException"],
    "CreateToken": ["InternalServerException", "SlowDownException",
                    "TooManyRequestsException"],
}
SPOILT = [{"drop": ["roleCredentials.sessionToken"]},
          {"drop": ["roleCredentials"]},
          {"set": {"roleCredentials.expiration": -1}},
          {"set": {"roleCredentials.expiration": "soon"}},
          {"set": {"roleCredentials.accessKeyId": "\x1b[31m"}}]
OFTEN = 0.2     # that share of all calls meets a fault
RARELY = 0.02   # ... and of those that renew a login, which may cost it


def ports_of(pid):
    """This end's of its connections."""
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            inodes.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
    with open("/proc/net/tcp", encoding="ascii") as f:
        rows = [line.split() for line in f][1:]
    return [int(row[1].split(":")[1], 16) for row in rows
            if f"socket:[{row[9]}]" in inodes]


class Home:
    """The config file of a home, which may be one that hangs."""

    def __init__(self, person):
        self.person, self.mount, self.n = person, None, 0
        self.text = person.config.read_text()

    def rewrite(self):
        self.n += 1
        text = f"{self.text}# {self.n}\n"
        if self.mount:
            self.mount.write(".aws/config", text.encode())
            return
        new = self.person.config.with_suffix(".new")
        new.write_text(text)
        new.rename(self.person.config)


class Makers:
    def __init__(self, sim, home, agent, uid, seed):
        self.sim, self.home, self.agent, self.uid = sim, home, agent, uid
        self.dice = random.Random(seed)
        self.over, self.calm = threading.Event(), threading.Event()
        self.killed = collections.Counter()
        self.cut = collections.defaultdict(list)    # port: when
        self.blind = False      # it cannot be seen what a kill cuts
        self.wrong = []
        self.threads = [threading.Thread(target=self._until_over, args=(one,))
                        for one in (self._kill, self._fill, self._home)]

    def start(self):
        self._throw()
        for thread in self.threads:
            thread.start()

    def spare_brokers(self):
        self.calm.set()

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()
        if self.wrong:
            raise self.wrong[0]

    def _until_over(self, one):
        try:
            while not self.over.is_set():
                one()
        except Exception as problem:
            self.wrong.append(problem)

    def _throw(self):
        for operation, share in (("GetRoleCredentials", OFTEN),
                                 ("CreateToken", RARELY),
                                 ("RegisterClient", RARELY),
                                 ("StartDeviceAuthorization", RARELY)):
            faults = [*ANYWHERE, *(("error", {"code": c})
                                   for c in SAID.get(operation, ()))]
            if operation == "GetRoleCredentials":
                faults += [("change", {**s, "unchecked": True}) for s in SPOILT]
            for kind, more in faults:
                self.sim.fault(operation, kind, **more,
                               probability=share / len(faults))

    def _kill(self):
        self.over.wait(self.dice.uniform(0.05, 2))
        names = ["awsenv-fetch", "awsenv-profile"]
        if not self.calm.is_set():
            names += 2 * ["awsenv-broker"]
        name = self.dice.choice(names)
        tree = children(self.agent)
        for pid in tree[:]:
            tree += children(pid)
        for pid in tree:
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/comm", encoding="ascii") as f:
                    if f.read().strip() != name:
                        continue
                self._cut(pid)
                os.kill(pid, signal.SIGKILL)
                self.killed[name] += 1

    def _cut(self, pid):
        """Which connections end with it: it makes no more of them."""
        os.kill(pid, signal.SIGSTOP)
        until(lambda: (stat(pid) or " T")[1] in "TZ")
        try:
            ports = ports_of(pid)
        except PermissionError:
            self.blind = True
            return
        for port in ports:
            self.cut[port].append(time.time())

    def _fill(self):
        self.over.wait(self.dice.uniform(3, 10))
        hog = Hog(self.uid)
        self.over.wait(self.dice.uniform(1, 4))
        hog.close()
        self.killed["key quota filled"] += 1

    def _home(self):
        self.over.wait(self.dice.uniform(0.5, 3))
        if self.home.mount and self.dice.random() < 0.3:
            self.home.mount.hang()
            self.over.wait(self.dice.uniform(0.2, 4))
            self.home.mount.release()
            self.killed["home hung"] += 1
        self.home.rewrite()
        self.killed["config rewritten"] += 1
