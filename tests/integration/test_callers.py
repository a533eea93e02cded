# SPDX-License-Identifier: ISC
"""Callers that take all they can get, and a machine that has nothing left: no
descriptors, no room in /run, none on the disk, no directory to trust."""

import contextlib
import os
import resource
import socket
import threading

import pytest

import wire
from agent import Agent, until
from etc import Namespace
from journey import Person
from simulator.client import Simulator

ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(
    not ROOT, reason="needs root to mount, and to be other users")
UID, OTHER = (62011, 62012) if ROOT else (None, None)
GREEDY = 60


def accounts(number):
    return [{"name": f"p{n:03d}", "sso_session": "sim",
             "sso_account_id": f"{n * 7919:012d}", "sso_role_name": "ReadOnly"}
            for n in range(4, number + 4)]


# ---- one client and the others

def test_who_asks_for_everything_leaves_room_for_others(make_agent):
    """While AWS answers nobody, one process wants 60 roles, then comes a
    second one that wants just one."""
    rows = accounts(GREEDY)
    with Simulator(interval=1, accounts=GREEDY + 3, roles=1) as sim, \
            contextlib.ExitStack() as stack:
        agent = make_agent(sim, profiles=rows)
        agent.log_in("p004")
        sim.hold("GetRoleCredentials")
        for row in rows[2:]:
            s = stack.enter_context(agent.connect())
            s.sendall(wire.frame("creds@awsenv", wire.encode(
                "MSG_CREDS_REQ", agent.asking(row["name"]))))
        sim.wait_in_flight("GetRoleCredentials", 16)
        other = []
        thread = threading.Thread(target=lambda: other.append(
            agent.run("process", "-p", "p005")))
        thread.start()
        sim.wait_in_flight("GetRoleCredentials", 17)
        assert sim.in_flight("GetRoleCredentials")["most"] == 17
        sim.release()
        thread.join()
        assert other[0].returncode == 0, other[0].stderr
        # And who was greedy is served as well, one after the other.
        until(lambda: sim.counts()["GetRoleCredentials"] >= GREEDY - 1, 60)


def connected(agent, number):
    """Connections that the agent did not end."""
    links = [agent.connect() for _ in range(number)]
    alive = []
    for s in links:
        with contextlib.suppress(OSError, EOFError):
            s.sendall(wire.frame("query"))
            if wire.read_frame(s)[:1] == b"\x1d":
                alive.append(s)
                continue
        s.close()
    return alive


class Small(Agent):
    """One that may have few descriptors."""

    def become(self):
        resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300))
        super().become()


def test_with_few_descriptors_one_client_has_half_of_them(sim):
    with Small(sim) as agent:
        agent.log_in("marketing")
        alive = connected(agent, 250)
        assert 100 <= len(alive) <= 110
        done = agent.run("process", "-p", "marketing")
        assert done.returncode == 0, done.stderr
        assert agent.logged().count("too many connections") == 1
        for s in alive:
            s.close()
        # Who closes may come again.
        for s in until(lambda: connected(agent, 3)):
            s.close()


# ---- no room

class Cramped(Person):
    """Sees a full file system at one of its folders."""

    def __init__(self, sim, folder, options, stack, fill=True):
        super().__init__(sim, uid=UID)
        where = getattr(self, folder)
        script = ('cp -a "$0" /mnt/kept && mount -t tmpfs -o "$1" none "$0" && '
                  'cp -a /mnt/kept/. "$0"\n')
        if fill:
            script += 'cat /dev/zero >"$0/full" 2>/dev/null\n'
        keep = "mount -t tmpfs none /mnt || exit 1\n"
        self.space = stack.enter_context(Namespace(
            keep + script, where, f"{options},mode=0700,uid={UID},gid={UID}"))

    def become(self):
        self.space.enter()
        super().become()

    def seen(self, path):
        return f"/proc/{self.space.holder.pid}/root{path}"


@needs_root
def test_a_run_without_inodes_is_told(sim):
    with contextlib.ExitStack() as stack:
        ann = stack.enter_context(
            Cramped(sim, "runtime", "nr_inodes=2", stack, fill=False))
        open(ann.seen(ann.runtime / "last"), "w").close()
        done = ann.run("login", "-p", "marketing")
        assert done.returncode == 7, done
        assert "No space left" in done.stderr, done.stderr
        assert done.stderr.count("\n") <= 3 and sim.counts()["total"] == 0


@needs_root
def test_a_run_without_room_is_enough(sim):
    with contextlib.ExitStack() as stack:
        ann = stack.enter_context(Cramped(sim, "runtime", "size=64k", stack))
        ann.log_in()
        done = ann.run("-p", "marketing", "--", "true")
        assert done.returncode == 0, done.stderr
        os.kill(ann.broker_pid(), 9)
        assert ann.run("process", "-p", "platform").returncode == 0


@needs_root
def test_a_full_disk_stops_nothing_but_what_writes(sim):
    with contextlib.ExitStack() as stack:
        ann = stack.enter_context(Cramped(sim, "home", "size=64k", stack))
        with open(ann.seen(ann.config), "rb") as f:
            before = f.read()
        ann.log_in()
        assert ann.run("-p", "marketing", "--", "true").returncode == 0
        done = ann.run("configure", "--all", "--sso-session", "sim")
        assert done.returncode == 1 and "No space left" in done.stderr, done
        with open(ann.seen(ann.config), "rb") as f:
            assert f.read() == before
        assert os.listdir(ann.seen(ann.config.parent)) == ["config"]


# ---- no directory, no socket to trust

def own(path):
    if ROOT:
        os.chown(path, UID, UID)


def plain_file(folder, ann):
    (folder / "awsenv").write_text("")
    own(folder / "awsenv")


def open_to_all(folder, ann):
    folder.chmod(0o755)


def symlink(folder, ann):
    folder.rmdir()
    elsewhere = ann.dir / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    own(elsewhere)
    folder.symlink_to(elsewhere)


def someone_elses(folder, ann):
    os.chown(folder, OTHER, OTHER)
    folder.chmod(0o777)


def gone(folder, ann):
    folder.rmdir()


def name_too_long(folder, ann):
    deep = folder / ("x" * 60) / ("y" * 60)
    deep.mkdir(parents=True, mode=0o700)
    own(deep.parent)
    own(deep)
    ann.env["XDG_RUNTIME_DIR"] = str(deep)


@pytest.mark.parametrize("harm", [
    plain_file, open_to_all, symlink, gone, name_too_long,
    pytest.param(someone_elses, marks=needs_root)])
def test_a_runtime_directory_that_is_not_private_is_not_used(sim, harm):
    """Nothing is written there, nobody is asked, and it is said what to do."""
    with Person(sim, uid=UID) as ann:
        harm(ann.runtime, ann)
        done = ann.run("login", "-p", "marketing")
        assert done.returncode == 7, done
        assert "XDG_RUNTIME_DIR" in done.stderr, done.stderr
        assert done.stderr.count("\n") <= 3
        assert sim.counts()["total"] == 0
        found = [p for p in ann.dir.rglob("*") if p.is_socket()]
        assert found == []


# ---- whose they are

@needs_root
@pytest.mark.parametrize("name", ["agent", "forward", "remote"])
def test_another_user_whom_the_modes_let_in_gets_no_word(make_agent, sim, name):
    """A chmod 777, or a descriptor that was left to somebody: what counts is
    the uid of who connects."""
    agent = make_agent(sim, uid=UID)
    path = agent.sock.with_name(f"{name}.sock")
    path.chmod(0o777)
    for folder in path.parents:
        if not folder.stat().st_mode & 0o001:
            folder.chmod(0o755)
    assert heard_by(OTHER, path) == b""
    # Whose it is gets an answer, by the same question.
    assert heard_by(UID, path)[4:5] == b"\x1d"


def heard_by(uid, path):
    """What a process of that user hears to "query"; nothing: it was sent away."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(60)
                s.connect(str(path))
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    s.sendall(b"\0\0\0\x0a\x1b\0\0\0\5query")
                    os.write(write, s.recv(4096))
            os._exit(0)
        finally:
            os._exit(1)
    os.close(write)
    with os.fdopen(read, "rb") as f:
        heard = f.read()
    assert os.waitpid(pid, 0)[1] == 0
    return heard


class Impostor:
    """Listens as another user where everybody may connect, and keeps what it
    is told."""

    def __init__(self, folder):
        self.path, self.told = folder / "agent.sock", b""
        folder.mkdir(mode=0o755)
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(self.path))
        self.path.chmod(0o777)
        out, self.end = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            # SO_PEERCRED is of who called listen().
            os.setresuid(OTHER, OTHER, OTHER)
            self.server.listen(8)
            os.write(self.end, b".")
            while True:
                link = self.server.accept()[0]
                os.write(self.end, link.recv(4096))
        os.read(out, 1)
        os.set_blocking(out, False)
        self.out = out

    def close(self):
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)
        with contextlib.suppress(BlockingIOError):
            self.told = os.read(self.out, 65536)


@needs_root
def test_a_socket_that_another_user_planted_is_told_nothing(sim):
    with Person(sim, uid=UID) as ann:
        bob = Impostor(ann.dir / "bob")
        try:
            for words, status in ((["process", "-p", "marketing"], 5),
                                  (["status"], 5), (["login"], 5),
                                  (["-p", "marketing", "--", "true"], 125)):
                done = ann.run(*words, env={"AWSENV_SOCK": bob.path})
                assert done.returncode == status, (words, done)
                assert done.stdout == ""
                assert "not of an agent of yours" in done.stderr
        finally:
            bob.close()
        assert bob.told == b"" and sim.counts()["total"] == 0
