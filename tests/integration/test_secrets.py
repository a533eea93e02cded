# SPDX-License-Identifier: ISC
"""No secret reaches a file, a log, an argument or a daemon's environment.

One long session runs under strace: login, many roles, refreshes, errors,
kill -9 of broker and fetchers, logout. Then everything that was written, and
every file that changed meanwhile, is searched for each secret that AWS handed
out, as it is, in base64, in hex and URL-encoded. Planted ones must be found.
"""

import base64
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
import urllib.parse

import pytest

from agent import children, until
from journey import Person, approving, processes_of
from simulator.client import Simulator

pytestmark = pytest.mark.skipif(not shutil.which("strace"),
                                reason="strace is not installed")

PLACES = ["/tmp", "/var/tmp", "/run", "/dev/shm", "/var/log", "/var/crash",
          "/var/lib/systemd/coredump", os.path.expanduser("~")]
CALLS = "write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,execve,execveat"
ACCOUNTS, ROLES = 6, 3


def spellings(secret):
    raw = secret.encode()
    yield from (raw, raw.hex().encode(), raw.hex().upper().encode(),
                urllib.parse.quote(secret, safe="").encode(),
                urllib.parse.quote(secret, safe="").lower().encode())
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for shift in range(3):      # at any offset in something longer
            text = encode(b"\0" * shift + raw)
            yield text[(0, 2, 3)[shift]:len(text) - 4]


class Session:
    """The traced processes of one person, and what they did."""

    def __init__(self, sim, person, folder):
        self.sim, self.person = sim, person
        self.traces = folder / "traces"
        self.traces.mkdir()
        if person.uid is not None:
            os.chown(self.traces, person.uid, -1)
        self.log = person.dir / "agent.log"
        self.began = time.time() - 1

    def traced(self, *argv, **options):
        """A command that is traced with all that it starts."""
        trace = self.traces / str(len(os.listdir(self.traces)))
        return self.person.popen(
            "-f", "-yy", "-xx", "-v", "-s", "1000000", "-e", f"trace={CALLS}",
            "-e", "signal=none", "-o", trace, *argv,
            # LeakSanitizer, in builds that have it, cannot work there.
            env={"ASAN_OPTIONS": "detect_leaks=0"},
            program="/usr/bin/strace", **options)

    def run(self, *argv):
        child = self.traced(self.person.programs / "awsenv", *argv)
        out, err = child.communicate(timeout=120)
        return child.returncode, out, err

    def start(self):
        """An agent that says all it can say, to a file."""
        with open(self.log, "wb") as log:
            self.child = self.traced(
                self.person.programs / "awsenv-agent", "-D", "-d",
                stdout=log, stderr=log)
        until(lambda: self.person.agent_pid(), 20, "no agent")
        return self.person.agent_pid()


def the_session(session, sim, ann):
    """All that ever brings a secret into our processes."""
    agent = session.start()
    pids = set()
    with approving(sim):
        status, _, err = session.run("login", "-p", "marketing")
        assert status == 0, err
        for name in (a["name"] for a in sim.info["accounts"]):
            for role in sim.info["roles"]:
                status, out, err = session.run(
                    "export", "--account", name, "--role", role)
                assert status == 0 and "AWS_SECRET_ACCESS_KEY" in out, err
        assert session.run("whoami", "-p", "deploy")[0] == 0
        assert session.run("-p", "deploy", "--", "true")[0] == 0
        pids |= set(processes_of(agent))
        # Refreshes, by AWS's refusal of the token.
        for _ in range(2):
            sim.expire("access_token")
            session.run("logout", "--credentials")
            assert session.run("-p", "marketing", "--", "true")[0] == 0
        # Errors of each kind, with what AWS says in them.
        for kind, options in (("html", {}), ("truncated", {}), ("lost", {}),
                              ("nested", {}), ("status", {"status": 503}),
                              ("error", {"code": "ForbiddenException"})):
            session.run("logout", "--credentials")
            sim.fault("GetRoleCredentials", kind, **options)
            assert session.run("export", "-p", "marketing")[0] in (5, 6)
            sim.clear_faults()
        # Sudden ends, with secrets under way.
        sim.delay("GetRoleCredentials", 1)
        for victim in ("awsenv-broker", "awsenv-fetch"):
            session.run("logout", "--credentials")
            child = session.traced(session.person.programs / "awsenv", "-p",
                                   "marketing", "--", "true")
            sim.wait_in_flight("GetRoleCredentials")
            for pid in processes_of(agent):
                with_name = pathlib.Path(f"/proc/{pid}/comm").read_text()
                if with_name.strip() == victim:
                    os.kill(pid, signal.SIGKILL)
            assert child.wait(90) == 0, child.stderr.read()
            pids |= set(processes_of(agent))
        sim.delay("GetRoleCredentials", 0)
        look_into(processes_of(agent), sim)
        assert session.run("status", "--keyring", "-p", "marketing")[0] == 0
        assert session.run("logout", "--all")[0] == 0
        assert session.run("login", "-p", "marketing")[0] == 0
        look_into(processes_of(agent), sim)
    assert session.run("agent", "stop")[0] == 0
    session.child.wait(20)


def look_into(pids, sim):
    """Nothing in what other programs may see of ours."""
    wanted = patterns(sim)
    for pid in pids:
        for name in ("cmdline", "environ", "comm"):
            try:
                data = pathlib.Path(f"/proc/{pid}/{name}").read_bytes()
            except (PermissionError, FileNotFoundError, ProcessLookupError):
                continue
            assert not any(w in data for w in wanted), (pid, name)


def patterns(sim):
    secrets = {s["value"] for s in sim.secrets() if len(s["value"]) >= 16}
    return sorted({p for s in secrets for p in spellings(s)})


# ---- what was written

def changed_files(since, places, without=()):
    """Regular files that were written to or made since then."""
    seen = set()
    for place in map(str, places):
        for folder, folders, names in os.walk(place):
            folders[:] = [f for f in folders
                          if os.path.join(folder, f) not in without and
                          not os.path.ismount(os.path.join(folder, f))]
            for name in names:
                path = os.path.join(folder, name)
                try:
                    st = os.lstat(path)
                except OSError:
                    continue
                if (os.path.isfile(path) and not os.path.islink(path) and
                        max(st.st_mtime, st.st_ctime) >= since and
                        (st.st_dev, st.st_ino) not in seen and
                        path not in without):
                    seen.add((st.st_dev, st.st_ino))
                    yield path


def files_with(wanted, paths):
    """Those of the files that hold one of the patterns."""
    found = []
    for at in range(0, len(paths), 500):
        done = subprocess.run(
            ["grep", "-aFl", "-f", "-", "--", *paths[at:at + 500]],
            input=b"\n".join(wanted) + b"\n", stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env={"LC_ALL": "C"})
        found += done.stdout.decode(errors="surrogateescape").splitlines()
    return found


# With -xx also the paths are in hexadecimal.
CALL = re.compile(r'^\d+ +(\w+)\((\d+)?(?:<(.*?)>)?[,)"]')
STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


def text_of(string):
    return bytes.fromhex(string.replace("\\x", ""))


def writes(folder):
    """(where, data) of all that went into files and logs, (program, words) of
    the programs of ours that were started."""
    for trace in folder.iterdir():
        lines = trace.read_text(errors="replace").splitlines()
        for line in lines:
            call = CALL.match(line)
            if not call:
                continue
            name, fd, where = call[1], call[2], call[3] or ""
            data = b"\n".join(map(text_of, STRING.findall(
                line[call.end() - 1:])))
            if name.startswith("execve"):
                words = [text_of(s) for s in STRING.findall(line)]
                if words and os.path.basename(words[0]).startswith(b"awsenv"):
                    yield "execve " + words[0].decode(), b"\0".join(words)
                continue
            if "\\x" in where:
                where = text_of("".join(re.findall(r"\\x..", where))).decode(
                    errors="replace")
            if name.startswith("send"):
                if re.match(rb"<\d+>", data):
                    yield "syslog", data
            elif where.startswith(("/", "char", "block")) or "/" in where:
                if not where.startswith(("pipe:", "socket:", "UNIX", "TCP",
                                         "UDP", "anon_inode")):
                    yield where, data


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    folder = tmp_path_factory.mktemp("secrets")
    profiles = ["marketing", {
        "name": "deploy", "source_profile": "marketing",
        "role_arn": "arn:aws:iam::012345678901:role/Deploy"}]
    with Simulator(interval=1, accounts=ACCOUNTS, roles=ROLES) as sim, \
            Person(sim, profiles) as ann:
        session = Session(sim, ann, folder)
        the_session(session, sim, ann)
        yield session


def test_the_session_was_worth_searching(session):
    kinds = {s["kind"] for s in session.sim.secrets()}
    assert len(kinds) >= 4, kinds
    assert len(session.sim.secrets()) > 3 * ACCOUNTS * ROLES
    assert session.sim.counts()["CreateToken"] >= 4     # logins and refreshes
    assert sum(p.stat().st_size for p in session.traces.iterdir()) > 100000
    assert b"awsenv-broker" in session.log.read_bytes()


def test_no_file_that_changed_meanwhile_holds_a_secret(session):
    wanted = patterns(session.sim)
    without = {str(session.traces)}
    places = [*PLACES, session.person.dir, session.sim.dir]
    files = list(changed_files(session.began, places, without))
    assert str(session.log) in files and str(session.person.config) in files
    found = files_with(wanted, files)
    assert not found, (found, len(files))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to see into which "
                    "files programs write that are not dumpable")
def test_no_process_of_ours_wrote_a_secret_to_a_file(session):
    wanted = patterns(session.sim)
    seen = set()
    for where, data in writes(session.traces):
        seen.add(where)
        assert not any(w in data for w in wanted), where
    assert str(session.log) in seen
    assert any(w.startswith("execve") and w.endswith("awsenv-fetch")
               for w in seen), seen
    assert any(w.endswith("agent.sock.lock") for w in seen), seen


@pytest.mark.parametrize("how", ["plain", "base64", "hex", "url"])
def test_a_planted_secret_is_found(session, how):
    """In a file that is there, and in one that was written and removed."""
    value = max((s["value"] for s in session.sim.secrets()), key=len)
    text = {"plain": value, "hex": value.encode().hex(),
            "base64": base64.b64encode(b"x" + value.encode() + b"yz").decode(),
            "url": urllib.parse.quote(value, safe="")}[how]
    planted = session.person.dir / "planted"
    planted.write_text("before " + text + " after")
    wanted = patterns(session.sim)
    files = list(changed_files(session.began, [session.person.dir]))
    assert files_with(wanted, files) == [str(planted)]
    planted.unlink()
    child = session.traced(
        "/bin/sh", "-c", 'printf "%s" "$1" >"$2"; rm "$2"', "sh", text, planted)
    assert child.wait(30) == 0, child.stderr.read()
    found = {where for where, data in writes(session.traces)
             if any(w in data for w in wanted)}
    assert found == {str(planted)}
    max(session.traces.iterdir(), key=lambda p: int(p.name)).unlink()
