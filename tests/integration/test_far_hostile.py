# SPDX-License-Identifier: ISC
"""A far side that is hostile, on real ssh connections: what it gets is nothing,
whom it harms is nobody, and the person's own sessions never stall.

A session here is an ssh of the person's, whose far end is in hostile hands:
they have its socket. The person types on; what that shows is order, not time.
"""

import base64
import contextlib
import errno
import hashlib
import os
import resource
import shlex
import socket
import struct
import subprocess
import threading
import time

import pytest

import far
import hangfs
import wire
from agent import REQUESTS, Agent, until
from openssh import FakeSshAgent, bind, string
from simulator.client import Simulator

pytestmark = pytest.mark.skipif(far.missing() is not None,
                                reason=far.missing() or "")
OPEN = {"awsenv_forward": "allow"}
SUCCESS, FAILURE, EXTENSION_FAILURE = b"\6", b"\5", b"\x1c"
QUERY = b"\x1b" + string(b"query")
IDENTITIES, SIGN = 11, 13
LOCK_WORDS = "correct horse\n"


@pytest.fixture(scope="module", autouse=True)
def descriptors():
    """For a thousand connections, here and in the ssh that carries them."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture(scope="module")
def sim():
    with Simulator(accounts=5, interval=1) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def ws(sim):
    accounts = [a["id"] for a in sim.info["accounts"]]
    with far.Workstation(sim, open=OPEN) as workstation:
        workstation.write_config({
            "open": OPEN,
            "denied": {"sso_account_id": accounts[1],
                       "awsenv_forward": "deny"},
            "of-b": {**OPEN, "sso_account_id": accounts[2],
                     "awsenv_forward_hosts": workstation.fingerprint("b")},
            "asked": {"sso_account_id": accounts[3],
                      "awsenv_forward": "confirm"}})
        workstation.log_in("open")
        workstation.agent.keys("open")
        yield workstation


class Session:
    """The person's ssh to a host, and the socket that its far side has."""

    def __init__(self, ws, host="a", options=None, path=None):
        self.ws, self.typed = ws, 0
        options = ws.recipe() if options is None else options
        self.child = subprocess.Popen(
            [*ws.words(host, *options), "echo $SSH_AUTH_SOCK; exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin", "HOME": str(ws.dir)})
        forwarded = self._line()
        self.path = path or forwarded

    def _line(self):
        return self.child.stdout.readline().decode().strip()

    def types(self):
        """What the person types comes back."""
        self.typed += 1
        self.child.stdin.write(b"line %d\n" % self.typed)
        self.child.stdin.flush()
        assert self._line() == f"line {self.typed}"

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(60)
        # EAGAIN: sshd, which listens there, has not taken the others yet.
        until(lambda: s.connect_ex(str(self.path)) != errno.EAGAIN, 60)
        s.getpeername()
        return s

    def says(self, *payloads):
        """On a connection of its own; the answers."""
        with self.connect() as s:
            return [self.ws.agent.raw(p, s) for p in payloads]

    def creds(self, s, profile):
        return self.ws.agent.ask_once("creds@awsenv",
                                      {"ask.profile": profile}, s)

    def is_answered(self):
        """A new connection: ssh's bind on it, then a request, then the keys."""
        assert self.says(QUERY)[0][:1] == b"\x1d"
        self.types()

    def __enter__(self):
        self.is_answered()
        return self

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait()
        self.child.stdin.close()
        self.child.stdout.close()


@contextlib.contextmanager
def remote_forward(ws, which="remote", host="a"):
    """The socket by RemoteForward, whose far end says what it wants."""
    path = ws.dir / f"far-{which}.sock"
    options = ["-o", f"RemoteForward={path} {getattr(ws, which)}",
               "-o", "ExitOnForwardFailure=yes"]
    with Session(ws, host, options, path) as session:
        yield session


@pytest.fixture(scope="module")
def session(ws):
    with Session(ws) as one:
        yield one


@pytest.fixture(scope="module")
def relayed(ws):
    with remote_forward(ws) as one:
        yield one


@pytest.fixture(params=["session", "relayed"])
def hostile(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(autouse=True)
def nothing_changed(ws):
    """Whatever they try: the same broker, login and keys, before and after."""
    def state():
        logins = ws.agent.list(wire.LIST_LOGINS)
        return (ws.agent.broker_pid(), ws.agent.status().locked,
                [(login.session, login.state) for login in logins],
                ws.agent.creds("open").error, ws.sim.pending())
    before = state()
    yield
    assert state() == before


# ---- what it says first is not what it gets

INVENTED = bind(string(b"ssh-ed25519") + string(b"k" * 32), b"i" * 64)


def genuine(ws, host):
    """What that host was really told: its key, an id, and its signature."""
    key = base64.b64decode(ws.hosts[host].public.split()[1])
    return bind(key, hashlib.sha512(b"session").digest())


BEFORE = {
    "no bind": [],
    "an invented one": [INVENTED],
    "a replayed one": ["b"],
    "many": ["b", INVENTED, "b", INVENTED],
    "its flag 0": [bind(forwarding=0)],
    "flag 2": [bind(forwarding=2)],
    "half of one": [INVENTED[:60]],
    "more than one": [INVENTED + b"more"],
    "an id of 129 bytes": [bind(sid=b"i" * 129)],
    "seventeen": 17 * [INVENTED],
    "a large one": [bind(b"k" * 262000)],
}
POISON = list(BEFORE)[4:]


@pytest.mark.parametrize("before", BEFORE)
def test_what_is_not_for_it_is_not_to_be_had(ws, hostile, before):
    with hostile.connect() as s:
        for payload in BEFORE[before]:
            payload = genuine(ws, "b") if payload == "b" else payload
            assert ws.agent.raw(payload, s) == SUCCESS
        if before in POISON:
            for name, (kind, _) in REQUESTS.items():
                frame = wire.frame(name, wire.encode(kind))[4:]
                assert ws.agent.raw(frame, s) == FAILURE, name
        else:
            for profile in ("denied", "of-b", "asked", "nothing"):
                reply = hostile.creds(s, profile)
                assert (reply.error, reply.sealed) == (wire.AW_DENIED, b"")
            assert hostile.creds(s, "open").error == wire.AW_OK
    hostile.is_answered()


def test_nothing_is_managed_from_there(ws, hostile):
    """Each request that the agent knows, but those for remote clients, and
    all that an ssh-agent may be told."""
    query = ws.agent.raw(QUERY)
    rest, names = query[len(string(b"query")) + 1:], []
    while rest:
        size, = struct.unpack_from(">I", rest)
        names.append(rest[4:4 + size].decode())
        rest = rest[4 + size:]
    managing = {n for n in names if n.endswith("@awsenv")} - {
        "creds@awsenv", "whoami@awsenv", "status@awsenv", "profiles@awsenv"}
    assert len(managing) >= 16
    for name in sorted(managing):
        kind = REQUESTS.get(name, ("MSG_%s_REQ" % name.removeprefix("un").split(
            "@")[0].upper(),))[0]
        frame = wire.frame(name, wire.encode(kind))[4:]
        head = b"\x1d" + string(name.encode())
        reply, = hostile.says(frame)
        assert reply.startswith(head), (name, reply)
        error, = struct.unpack_from(">I", reply, len(head))
        assert error == wire.AW_DENIED, name
    for kind in (*range(1, 11), *range(14, 27), *range(28, 256)):
        assert hostile.says(bytes([kind]) + string(b"data")) == [FAILURE], kind
    hostile.is_answered()


# ---- what are no messages

@pytest.mark.parametrize("data", [
    b"\0\0\0\0", b"\0\4\0\1\x1b", b"\xff\xff\xff\xff", b"SSH-2.0-x\r\n",
    struct.pack(">I", 262144) + bytes(262144) + b"\0\0\0\0",
], ids=["empty", "too long", "longest", "text", "then empty"])
def test_what_is_no_frame_ends_its_own_connection_alone(hostile, data):
    with hostile.connect() as bystander, hostile.connect() as s:
        with contextlib.suppress(OSError):
            s.sendall(data)
        left = b"start"
        with contextlib.suppress(ConnectionResetError):
            while left:
                left = s.recv(65536)
        assert hostile.ws.agent.raw(QUERY, bystander)[:1] == b"\x1d"
    hostile.is_answered()


@pytest.mark.parametrize("part", [1, 4, 5, 40, 200])
def test_half_a_message_keeps_nobody_waiting(hostile, part):
    frame = string(INVENTED) + wire.frame("creds@awsenv", wire.encode(
        "MSG_CREDS_REQ", {"ask.profile": "open"}))
    with hostile.connect() as open_end, hostile.connect() as s:
        for end in (open_end, s):
            end.sendall(frame[:part])
        s.shutdown(socket.SHUT_WR)
        # It ends with no more than what whole messages were answered with.
        answers = b""
        while more := s.recv(65536):
            answers += more
        assert answers in (b"", string(SUCCESS))
        hostile.is_answered()


def test_who_does_not_read_keeps_nobody_waiting(ws, hostile):
    """It asks and asks. What is unread stays on its side; then it reads."""
    number = 5000
    sender = None
    with hostile.connect() as s:
        sender = threading.Thread(target=s.sendall, args=(
            number * string(QUERY),))
        sender.start()
        hostile.is_answered()
        assert ws.agent.keys("open").access_key
        size = len(string(ws.agent.raw(QUERY)))
        left = number * size
        while left:
            left -= len(s.recv(min(left, 65536)))
        sender.join()
    hostile.is_answered()


# ---- the person's sessions go on: nobody's bind waits for what hangs

@contextlib.contextmanager
def held(session, profile):
    """Credentials are asked for, and are not there yet."""
    with session.connect() as s:
        # Whole and answered: what the next waits for is not ssh.
        assert session.ws.agent.raw(QUERY, s)[:1] == b"\x1d"
        s.sendall(wire.frame("creds@awsenv", wire.encode(
            "MSG_CREDS_REQ", {"ask.profile": profile})))
        yield s


def is_silent(s):
    s.setblocking(False)
    try:
        with pytest.raises(BlockingIOError):
            s.recv(1)
    finally:
        s.settimeout(60)


def answer_of(s):
    head = b"\x1d" + string(b"creds@awsenv")
    data = wire.read_frame(s)
    assert data.startswith(head)
    return wire.decode("MSG_CREDS_REP", data[len(head):])


def sessions_go_on(ws, session):
    """One that is there, with new connections, and one that begins."""
    for _ in range(3):
        session.is_answered()
    with Session(ws, "b"):
        pass


def test_a_question_stops_no_session(ws, session):
    agent = ws.agent
    with agent.connect() as person:
        def questions():
            reply = agent.ask("questions@awsenv", {}, person)
            return wire.unpack("MSG_QUESTION_ITEM", reply["items"])
        assert questions() == []
        with held(session, "asked") as s:
            one, = until(questions, 60)
            sessions_go_on(ws, session)
            is_silent(s)
            assert questions() == [one]
            # By now the config file would be read again for a new request.
            time.sleep(1.5)
            agent.ask("answer@awsenv", {"id": one.id, "answer": 1}, person)
            assert answer_of(s).error == wire.AW_OK


def test_a_lock_stops_no_session(ws, session):
    def say(verb):
        return subprocess.run(
            [far.BUILD / "awsenv", verb, "--stdin"], input=LOCK_WORDS,
            text=True, capture_output=True, env=ws.agent.env, timeout=60)
    assert say("lock").returncode == 0
    try:
        sessions_go_on(ws, session)
        with session.connect() as s:
            reply = session.creds(s, "open")
            assert (reply.error, reply.sealed) == (wire.AW_DENIED, b"")
        # What was bound while it was locked is remote for ever.
        early = session.connect()
        assert ws.agent.raw(QUERY, early)[:1] == b"\x1d"
    finally:
        done = say("unlock")
    assert done.returncode == 0, done.stderr
    with early:
        assert session.creds(early, "denied").error == wire.AW_DENIED
        assert session.creds(early, "open").error == wire.AW_OK


def test_an_aws_that_is_silent_stops_no_session(ws, session, sim):
    ws.agent.logout("open", wire.LOGOUT_CREDS)
    sim.hold("GetRoleCredentials")
    with held(session, "open") as s:
        sim.wait_in_flight("GetRoleCredentials", 1)
        sessions_go_on(ws, session)
        is_silent(s)
        sim.release()
        assert answer_of(s).error == wire.AW_OK


@hangfs.needs_fuse
def test_a_home_that_hangs_stops_no_session(ws, session, tmp_path):
    """The config file is in it, and the socket of the person's ssh-agent."""
    config = ws.agent.config
    text = config.read_text()
    keys = f"[awsenv]\nawsenv_ssh_agent = {tmp_path}/home/keys.sock\n"
    home = tmp_path / "home"
    home.mkdir()
    with hangfs.HangFS(home, {"config": (text + keys).encode()}) as fs:
        config.unlink()
        config.symlink_to(home / "config")
        try:
            # Now it is known where the keys would be: nowhere.
            no_keys = bytes([12, 0, 0, 0, 0])
            until(lambda: "keys.sock" in ws.agent.run("doctor").stdout, 60)
            assert session.says(bytes([IDENTITIES])) == [no_keys]
            fs.hang()
            try:
                with session.connect() as s:
                    s.sendall(string(bytes([IDENTITIES])))
                    with held(session, "open") as creds:
                        # To begin one takes 20 s: ssh asks for keys first.
                        sessions_go_on(ws, session)
                        assert answer_of(creds).error == wire.AW_OK
                    session.is_answered()
                    fs.release()
                    assert wire.read_frame(s) == no_keys
            finally:
                fs.release()
        finally:
            config.unlink()
            config.write_text(text)
            until(lambda: "keys.sock" not in ws.agent.run("doctor").stdout, 60)


def test_a_thousand_connections_stop_no_session(ws, session):
    with contextlib.ExitStack() as stack:
        many = []
        for n in range(1000):
            s = stack.enter_context(session.connect())
            many.append(s)
            # A third is idle, the others say half of something.
            s.sendall(string(INVENTED)[:n % 3 * 30])
            if n % 250 == 0:
                session.is_answered()
        sessions_go_on(ws, session)
        assert ws.agent.keys("open").access_key
        with session.connect() as s:
            assert session.creds(s, "open").error == wire.AW_OK
        # All are served: who was idle gets its answers as well.
        for s in many[::3]:
            assert ws.agent.raw(QUERY, s)[:1] == b"\x1d"
    session.is_answered()


# ---- RemoteForward, and what else there is on the wire

def test_remote_forwarding_relays_no_keys(ws, relayed):
    done = ws.ssh("a", "ssh-add", "-L", options=[], SSH_AUTH_SOCK=relayed.path)
    assert done.returncode != 0 and done.stdout == ""
    assert relayed.says(INVENTED, bytes([IDENTITIES]),
                        bytes([SIGN]) + string(b"key") + string(b"data")
                        ) == [SUCCESS, FAILURE, FAILURE]


def test_forty_at_once_by_remote_forwarding(ws, relayed):
    key = ws.agent.keys("open").access_key.decode()
    script = "for i in $(seq 40); do " + shlex.join(
        ["awsenv", "-p", "open", "--", "printenv", "AWS_ACCESS_KEY_ID"]
    ) + " & done; wait"
    done = ws.ssh("a", "sh", "-c", script, options=[],
                  AWSENV_SOCK=relayed.path)
    assert done.stderr == ""
    assert done.stdout.split() == 40 * [key]
    relayed.types()


def test_a_megabyte_of_other_traffic_comes_through_intact(sim):
    """Sign requests, mixed with ours, by way of ssh to the ssh-agent."""
    upstream = Agent()      # a folder for the socket
    with contextlib.closing(upstream), far.Workstation(sim, ("a",),
                                                       open=OPEN) as ws:
        path = upstream.dir / "keys.sock"
        keys = FakeSshAgent(path, lambda f: SUCCESS if f[0] == 27
                            else b"\x0e" + f[1:])
        with contextlib.closing(keys):
            text = ws.agent.config.read_text()
            ws.agent.config.write_text(
                f"{text}\n[awsenv]\nawsenv_ssh_agent = {path}\n")
            ws.log_in("open")
            with Session(ws) as session, session.connect() as s:
                blobs = [os.urandom(n) for n in
                         (1, 200000, 65536, 262139, 262139, 262139, 1000)]
                assert sum(map(len, blobs)) > 1 << 20
                for blob in blobs:
                    assert ws.agent.raw(bytes([SIGN]) + blob, s
                                        ) == b"\x0e" + blob
                    assert session.creds(s, "open").error == wire.AW_OK
                session.types()
            said = next(c for c in keys.connections if SIGN in
                        [f[0] for f in c])
            # ssh's own bind came first, then all as it was said.
            assert said[0].startswith(b"\x1b" + string(
                b"session-bind@openssh.com"))
            assert said[1:] == [bytes([SIGN]) + b for b in blobs]


def test_a_broker_that_dies_ends_connections_and_no_session(sim):
    """One retry is what it costs: who asks again has the same answer."""
    with far.Workstation(sim, ("a",), open=OPEN) as ws:
        ws.log_in("open")
        key = ws.agent.keys("open").access_key
        asked = sim.counts()
        with Session(ws) as session:
            for _ in range(3):
                with session.connect() as s:
                    assert ws.agent.raw(QUERY, s)[:1] == b"\x1d"
                    ws.agent.kill_broker()
                    assert s.recv(1) == b""
                session.types()
                with session.connect() as s:
                    reply = session.creds(s, "open")
                    assert wire.decode("MSG_CREDS", reply.sealed
                                       ).access_key == key
                session.types()
        assert sim.counts() == asked
