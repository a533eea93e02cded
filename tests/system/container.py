# SPDX-License-Identifier: ISC
"""A booted system of its own: systemd, logind, sshd, and the packages.

    with Container() as box:
        box.install(box.debs)
        ann = box.user("ann", sim)
        ann.ssh("awsenv status")

It is a systemd-nspawn container on the file system that tests/system/rootfs
made, which stays as it is: what is written goes to memory. Its network is
nothing but a loopback device, and this process enters that network too, so
ssh, the simulator and who controls it run outside of the container and meet
it at 127.0.0.1. Commands run in it as services (`service`) or, where it does
not matter whose children they are, by nsenter (`run`).
"""
import contextlib
import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
sys.path.insert(0, str(TOP / "tests/integration"))

from agent import BUILD, children, stat, until  # noqa: E402
from terminal import Terminal                   # noqa: E402

ROOT = BUILD / "system/root"
DEBS = sorted(BUILD.glob("deb/*awsenv_*.deb"))
NEWER = sorted(BUILD.glob("system/newer/*awsenv_*.deb"))
FIRST_UID = 62500
PASSWORD = "correct horse"
CLONE_NEWNET = 0x40000000
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def missing():
    """Why there can be no such system here, if there cannot."""
    if os.geteuid() != 0:
        return "only root can boot a container"
    if not shutil.which("systemd-nspawn"):
        return "systemd-nspawn is not installed"
    if not cgroups():
        return "no cgroup file system of version 2 is mounted"
    if not ROOT.exists() or not DEBS or not NEWER:
        return "make check-system makes what these tests need"
    return ""


def cgroups():
    for line in open("/proc/mounts"):
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            return pathlib.Path(where)
    return None


def enter_network(fd):
    if ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Container:
    uids = iter(range(FIRST_UID + 20 * (os.getpid() % 20),
                      FIRST_UID + 500))

    def __init__(self):
        self.name = f"awsenv-{os.getpid()}"
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="awsenv-system."))
        self.debs, self.newer = DEBS, NEWER
        self.outside = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.cgroup = None

    # Life

    def _argv(self):
        argv = ["systemd-nspawn", "--quiet", f"--directory={ROOT}",
                f"--machine={self.name}", "--volatile=overlay", "--boot",
                "--private-network", "--system-call-filter=@keyring",
                "--register=no", "--console=pipe",
                f"--bind-ro={TOP}/tests:/tests"]
        for deb in (*self.debs, *self.newer):
            argv.append(f"--bind-ro={deb}:{self.inner(deb)}")
        # Without a systemd of the machine's nobody makes the scope.
        if not os.path.isdir("/run/systemd/system"):
            argv.append("--keep-unit")
            self.cgroup = cgroups() / self.name
            self.cgroup.mkdir()
        return argv

    def _lead(self):
        os.setsid()
        if self.cgroup:
            (self.cgroup / "cgroup.procs").write_text(str(os.getpid()))

    @staticmethod
    def inner(deb):
        """Where a package is found inside."""
        return f"/debs/{deb.parent.name}/{deb.name}"

    def __enter__(self):
        self.log = open(self.dir / "console", "wb")
        self.nspawn = subprocess.Popen(
            self._argv(), stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=self.log, preexec_fn=self._lead,
            # What version is mounted depends on the machine's otherwise.
            env={"PATH": PATH, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"})
        try:
            self._wait_until_booted()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait_until_booted(self):
        def leader():
            assert self.nspawn.poll() is None, self.console()
            return children(self.nspawn.pid, "systemd")
        self.leader = until(leader, 60, "no init")[0]
        # Only pid 1 of a booted system answers there.
        until(lambda: self.run("systemctl", "is-system-running", check=False)
              .stdout.strip() in ("running", "degraded"), 60, "not booted")
        failed = self.run("systemctl", "--failed", "--no-legend").stdout
        assert not failed, failed
        fd = os.open(f"/proc/{self.leader}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        enter_network(fd)
        os.close(fd)
        self.key = self.dir / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
                        str(self.key)], check=True)

    def __exit__(self, *_):
        enter_network(self.outside)
        os.close(self.outside)
        if hasattr(self, "leader"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.leader, signal.SIGKILL)
        else:
            self.nspawn.terminate()
        try:
            self.nspawn.wait(20)
        except subprocess.TimeoutExpired:
            self.nspawn.kill()
            self.nspawn.wait()
        self.log.close()
        if self.cgroup:
            self._remove_cgroup()
        shutil.rmtree(self.dir, ignore_errors=True)

    def _remove_cgroup(self):
        """Its last processes may still be on their way out."""
        def empty():
            try:
                for folder in sorted(filter(
                        pathlib.Path.is_dir, self.cgroup.rglob("*")),
                        reverse=True):
                    folder.rmdir()
                self.cgroup.rmdir()
            except OSError:
                return False
            return True
        until(empty, 10, "processes are left in the container's cgroup")

    # To see

    def console(self):
        return (self.dir / "console").read_text(errors="replace")

    def path(self, name):
        """A file of its, seen from here."""
        return pathlib.Path(f"/proc/{self.leader}/root/{name.lstrip('/')}")

    def journal(self, *words):
        return self.run("journalctl", "--no-pager", *words).stdout

    # To do

    def enter(self, *argv):
        return ["nsenter", "--target", str(self.leader), "--all", "--",
                *map(str, argv)]

    def run(self, *argv, check=True, **options):
        done = subprocess.run(
            self.enter(*argv), capture_output=True, text=True, timeout=120,
            env={"PATH": PATH, "LANG": "C.UTF-8", "TERM": "dumb",
                 "DEBIAN_FRONTEND": "noninteractive"}, **options)
        if check:
            assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done

    def service(self, *argv, check=True, **options):
        return self.run("systemd-run", "--quiet", "--pipe", "--wait",
                        "--collect", "-E", "DEBIAN_FRONTEND=noninteractive",
                        "-E", "LANG=C.UTF-8", *argv, check=check, **options)

    def terminal(self, *argv):
        return Terminal(self.enter(
            "systemd-run", "--quiet", "--pty", "--wait", "--collect", *argv),
            {"PATH": PATH, "LANG": "C.UTF-8"}, rows=60)

    def dpkg(self, *words, check=True):
        return self.service("dpkg", *words, check=check)

    def install(self, debs):
        return self.dpkg("-i", *map(self.inner, debs))

    # People

    def user(self, name, sim=None):
        return User(self, name, next(self.uids), sim)

    def agents(self, user=None):
        """Supervisors; pids as they are seen from here."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if (os.readlink(f"/proc/{pid}/ns/pid") == os.readlink(
                        f"/proc/{self.leader}/ns/pid") and
                        (stat(int(pid)) or [""])[0] == "awsenv-agent" and
                        user in (None, os.stat(f"/proc/{pid}").st_uid)):
                    found.append(int(pid))
        return found


class User:
    """Somebody with an account, a key, a password and perhaps AWS profiles."""

    def __init__(self, box, name, uid, sim):
        self.box, self.name, self.uid = box, name, uid
        self.runtime = f"/run/user/{uid}"
        self.sock = f"{self.runtime}/awsenv/agent.sock"
        box.run("useradd", "--uid", str(uid), "--user-group", "--create-home",
                "--shell", "/bin/bash", "-K", "UID_MAX=65000", name)
        box.run("chpasswd", input=f"{name}:{PASSWORD}\n")
        home = box.path(f"/home/{name}")
        (home / ".ssh").mkdir()
        shutil.copy(f"{box.key}.pub", home / ".ssh/authorized_keys")
        if sim:
            (home / ".aws").mkdir()
            shutil.copy(sim.ca, home / ".aws/ca.pem")
            (home / ".aws/config").write_text(sim.config_text(
                {"name": "marketing", "endpoint_url": sim.urls["https"],
                 "ca_bundle": f"/home/{name}/.aws/ca.pem"}))
        box.run("chown", "-R", f"{name}:", f"/home/{name}")

    def _ssh(self, *words):
        return [str(w) for w in (
            "ssh", "-F", "/dev/null", "-o", "StrictHostKeyChecking=no", "-o",
            "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o",
            "PreferredAuthentications=publickey", "-i", self.box.key, *words)]

    def ssh(self, command, check=True):
        done = subprocess.run(
            self._ssh(f"{self.name}@127.0.0.1", command), timeout=60,
            stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if check:
            assert done.returncode == 0, f"{done.stdout}{done.stderr}"
        return done

    def session(self):
        """A login that lasts: a shell on a terminal."""
        t = Terminal(self._ssh("-tt", f"{self.name}@127.0.0.1"),
                     {"PATH": PATH, "LANG": "C.UTF-8"}, rows=60)
        t.press(b"PS1= ; echo re''ady\n")
        t.until("ready")
        return t

    def agent(self):
        """The pid of the only one."""
        pid, = self.box.agents(self.uid)
        return pid

    def is_gone(self):
        """Logged out, the user manager ended and everything with it."""
        return (not self.box.path(self.runtime).exists() and
                not self.box.agents(self.uid))

    def log_in_at_aws(self, sim):
        """The login that the last login to the machine began is approved."""
        sim.approve(sim.wait_pending()["user_code"])
        self.ssh("awsenv login -p marketing --no-browser")
