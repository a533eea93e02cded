# SPDX-License-Identifier: ISC
"""The module through real libpam, from a folder of service files.

    with Account() as ann:
        done = Stack("login=lazy").call(ann, "open", "close")
        assert done.codes == [SUCCESS, SUCCESS] and done.env["AWSENV_SOCK"]

As root an Account is a user made for the test and removed after it, with a
home and a runtime directory; otherwise it is whoever runs the test.
"""
import atexit
import contextlib
import fcntl
import json
import os
import pathlib
import pwd
import random
import shutil
import signal
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
sys.path.insert(0, str(TOP / "tests/integration"))

from agent import BUILD, stat  # noqa: E402

PYTHON = "/usr/bin/python3"
MODULE = BUILD / "pam_awsenv.so"
AGENT = BUILD / "awsenv-agent"
UIDS = range(63000, 64000)

SUCCESS, SERVICE_ERR, PERM_DENIED, IGNORE = 0, 3, 6, 25
SYSTEM_ERR, AUTH_ERR, AUTHINFO_UNAVAIL = 4, 7, 9
USER_UNKNOWN, MAXTRIES, CONV_ERR = 10, 11, 19
SILENT, REINITIALIZE, REFRESH, DELETE = 0x8000, 0x8, 0x10, 0x4
ECHO_OFF, ECHO_ON, ERROR_MSG, TEXT_INFO = 1, 2, 3, 4
ALERT, ERR, WARNING, NOTICE, DEBUG = 1, 3, 4, 5, 7
# What the line behind ours gives where ours gave no verdict: pam_deny, or one
# that is no module, whose code is nobody else's.
NO_MODULE, MODULE_UNKNOWN = "/no/verdict.so", 28
DENIED = {"auth": 7, "acct": 7, "setcred": 17, "open": 14, "close": 14,
          "chauthtok": 20}
TYPES = ("auth", "account", "session", "password")


@contextlib.contextmanager
def users_locked():
    """The tools give up when somebody else changes users."""
    with open("/run/awsenv-test-users", "w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def unused_uid():
    """Of no user, and of no login that an earlier test left with root."""
    keys = pathlib.Path("/proc/keys").read_text()
    taken = {user.pw_uid for user in pwd.getpwall()}
    return next(uid for uid in random.sample(UIDS, len(UIDS))
                if uid not in taken and f"awsenv:factor:{uid}:" not in keys)


class Account:
    """A user; `runtime` is his runtime directory, PAM is told of it."""

    def __init__(self):
        self.made = os.geteuid() == 0
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="awsenv-pam.",
                                                 dir="/tmp"))
        self.dir.chmod(0o755)
        # The home first: a user without one is taken for a killed test's.
        self.home, self.runtime = self.dir / "home", self.dir / "run"
        for folder in (self.home, self.runtime):
            folder.mkdir(mode=0o700)
        if self.made:
            self._make()
            atexit.register(self.remove)
        else:
            self.uid = os.geteuid()
            self.name = pwd.getpwuid(self.uid).pw_name
        self.gid = pwd.getpwnam(self.name).pw_gid
        self.sock = self.runtime / "awsenv" / "agent.sock"
        self.give()

    def _make(self):
        """The first name that is free, or whose test was killed."""
        for number in range(10):
            self.uid, self.name = unused_uid(), f"awsenv-test{number}"
            with contextlib.suppress(KeyError):
                if os.path.exists(pwd.getpwnam(self.name).pw_dir):
                    continue
                self.remove()
            with users_locked():
                made = subprocess.run(
                    ["useradd", "-u", str(self.uid), "-U", "-M", "-s",
                     "/bin/bash", "-d", str(self.home), self.name],
                    capture_output=True)
            if made.returncode == 0:
                return
        raise RuntimeError("all users for tests are taken")

    def give(self):
        if self.made:
            for top in (self.home, self.runtime):
                for path in (top, *top.rglob("*")):
                    if path.exists() or path.is_symlink():
                        os.chown(path, self.uid, self.gid,
                                 follow_symlinks=False)

    def become(self):
        if self.made:
            os.initgroups(self.name, self.gid)
            os.setresgid(self.gid, self.gid, self.gid)
            os.setresuid(self.uid, self.uid, self.uid)

    def remove(self):
        """If it is this one's still, and not of a later test."""
        with users_locked(), contextlib.suppress(KeyError):
            home = pwd.getpwnam(self.name).pw_dir
            if home == str(self.home) or not os.path.exists(home):
                subprocess.run(["userdel", self.name], capture_output=True)

    def processes(self, name=None):
        """Pids of his processes; of one that is no user of the test's, of
        the agent alone, which is what its lock file says."""
        if not self.made:
            lock = self.runtime / "awsenv/agent.sock.lock"
            with contextlib.suppress(OSError, ValueError):
                pid = int(lock.read_text())
                return [pid] if stat(pid) else []
            return []
        found = []
        for entry in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                status = pathlib.Path(f"/proc/{entry}/status").read_text()
                what = stat(int(entry))
                if what and what[1] != "Z" and name in (None, what[0]) and int(
                        status.split("\nUid:")[1].split()[0]) == self.uid:
                    found.append(int(entry))
        return found

    def kill(self):
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        if self.made:
            self.remove()
        shutil.rmtree(self.dir, ignore_errors=True)


_shim = []


def shim():
    """The preloaded object that keeps the log, built once."""
    if not _shim:
        folder = tempfile.mkdtemp(prefix="awsenv-shim.", dir="/tmp")
        os.chmod(folder, 0o755)
        atexit.register(shutil.rmtree, folder, True)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", folder + "/shim.so",
                        str(HERE / "syslog.c")], check=True)
        _shim.append(folder + "/shim.so")
    return _shim[0]


def sanitizer():
    """Libraries that a sanitized module needs to be there first."""
    out = subprocess.run(["ldd", str(MODULE)], capture_output=True,
                         text=True).stdout
    return [line.split()[2] for line in out.splitlines()
            if "libasan" in line or "libubsan" in line]


class Done:
    def __init__(self, names, told, log, behind):
        self.codes = [IGNORE if c == (MODULE_UNKNOWN if behind == NO_MODULE
                                      else DENIED.get(n)) else c
                      for n, (c, _) in zip(names, told["calls"])]
        self.seconds = [s for _, s in told["calls"]]
        self.messages = told["messages"]
        self.env = told["env"]
        self.log = [(int(l[0]), l[2:]) for l in log.splitlines()
                    if l[1:2] == " " and l[0].isdigit()]

    def logged(self, level):
        return [text for l, text in self.log if l == level]

    @property
    def text(self):
        return "\n".join(text for _, text in self.messages)


class Stack:
    """One line of ours for each type, and another where it gave no verdict,
    so that what it returned can be told."""

    def __init__(self, options="", service="sshd", lines=None, module=MODULE,
                 agent=AGENT, minimum=None, behind="pam_deny.so"):
        self.behind = behind
        self.options, self.service, self.lines = options, service, lines
        self.module, self.agent = module, agent

    def text(self, account):
        if self.lines:
            return "".join(line.replace("MODULE", str(self.module)) + "\n"
                           for line in self.lines)
        options = self.options
        if account.uid < 1000 and "minimum_uid" not in options:
            options += f" minimum_uid={account.uid}"
        if "agent=" not in options:
            options += f" agent={self.agent}"
        return "".join(
            f"{kind} [success=done ignore=ignore default=die] {self.module} "
            f"{options}\n{kind} required {self.behind}\n" for kind in TYPES)

    def call(self, account, *calls, user=None, as_user=False, env=None,
             putenv=(), preload=(), enter=None, run=None, run_in=None, **order):
        """`run`: a folder that takes the place of /run; `run_in`: a program
        that runs it all."""
        confdir = account.dir / "pam.d"
        confdir.mkdir(exist_ok=True)
        (confdir / self.service).write_text(self.text(account))
        log = account.dir / "log"
        log.write_text("")
        log.chmod(0o666)
        calls = [c if isinstance(c, tuple) else (c, 0) for c in calls]
        if account.runtime.exists() and not any(
                p.startswith("XDG_RUNTIME_DIR=") for p in putenv):
            putenv = (*putenv, f"XDG_RUNTIME_DIR={account.runtime}")
        asan = sanitizer()
        order = {"confdir": str(confdir), "service": self.service,
                 "user": user or account.name, "putenv": list(putenv),
                 "calls": calls, "keep": str(self.module) if asan else None,
                 **order}
        command = [PYTHON, str(HERE / "driver.py")]
        if run:
            command = ["unshare", "-m", "--propagation", "private", "sh", "-c",
                       f'mount --bind {run} /run && exec "$@"', "sh", *command]
        if run_in:
            command = [run_in, *command]
        done = subprocess.run(
            command, input=json.dumps(order),
            capture_output=True, text=True, timeout=60,
            preexec_fn=account.become if as_user else enter,
            env={"PATH": "/usr/bin:/bin", "PAM_LOG": str(log),
                 "LD_PRELOAD": ":".join([*asan, *preload, shim()]),
                 "ASAN_OPTIONS": "detect_leaks=0", **(env or {})})
        assert done.returncode == 0, done.stderr
        return Done([n for n, _ in calls if n != "sleep"],
                    json.loads(done.stdout), log.read_text(), self.behind)
