# SPDX-License-Identifier: ISC
"""The user's own ssh-agent behind forward.sock, with OpenSSH's own programs."""

import os
import shutil
import socket
import subprocess
import threading
import time

import pytest

import wire
from agent import until
from openssh import FakeSshAgent, Hosts, SshAgent, bind, make_key, string

IDENTITIES, ANSWER, SIGN = 11, 12, 13
NO_KEYS = bytes([ANSWER, 0, 0, 0, 0])
FAILURE = b"\5"


class Place:
    """An agent of ours, and the socket that it is to relay to."""

    def __init__(self, make_agent, settings=None):
        self.agent = make_agent(start=False)
        self.upstream = self.agent.dir / "upstream.sock"
        self.agent.config.parent.mkdir(exist_ok=True)
        self.set(f"awsenv_ssh_agent = {self.upstream}" if settings is None
                 else settings)
        self.forward = self.agent.runtime / "awsenv" / "forward.sock"

    def set(self, text):
        self.agent.config.write_text(f"[awsenv]\n{text}\n")

    def start(self, **env):
        self.agent.start(**env)
        return self

    def connect(self, path=None):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(20)
        s.connect(str(path or self.forward))
        return s

    def ask(self, *payloads, path=None):
        """On one connection; the answers."""
        with self.connect(path) as s:
            return [self.agent.raw(p, s) for p in payloads]


@pytest.fixture
def place(make_agent):
    return Place(make_agent)


@pytest.fixture
def fake(place):
    agents = []

    def make(answer):
        agents.append(FakeSshAgent(place.upstream, answer))
        return agents[-1]
    yield make
    for agent in agents:
        agent.close()


def keys_seen(text):
    return sorted(line.split()[-1] for line in text.splitlines()
                  if line.startswith("ssh-"))


# ---- as ssh-agent itself


@pytest.fixture(scope="module")
def hosts():
    with Hosts("a", "b", "c") as those:
        yield those


def load(agent, hosts):
    """plain: for everything; near: from here to b; far: by way of a to b."""
    for name, constraints in (("plain", []), ("near", ["b"]),
                              ("far", ["a", "a>b"])):
        key = hosts.dir / name
        if not key.exists():
            hosts.make_key(name)
        argv = [word for c in constraints for word in ("-h", c)]
        agent.add(*argv, *(["-H", hosts.known] if argv else []), key)


def login_with(hosts, key, host):
    return hosts.hop(host, "true", "-o", "IdentitiesOnly=yes", "-o",
                     f"IdentityFile={hosts.dir / key}.pub").replace(
                         "-o IdentityFile=none ", "")


def behaviour(hosts, path, login):
    """What of the keys can be used from where, through the agent on `path`."""
    seen = {}
    forward = ["-o", f"ForwardAgent={path}"]
    done = hosts.ssh("a", "ssh-add -L", *forward, SSH_AUTH_SOCK=login)
    seen["listed on a"] = keys_seen(done.stdout)
    for key, first, last in ("plain", "c", "b"), ("near", "a", "b"), (
            "far", "a", "b"), ("far", "c", "b"):
        done = hosts.ssh(first, login_with(hosts, key, last), *forward,
                         SSH_AUTH_SOCK=login)
        seen[f"{key} from {first} to {last}"] = done.returncode == 0
    two = hosts.hop("b", "ssh-add -L", "-A")
    done = hosts.ssh("a", two, *forward, SSH_AUTH_SOCK=login)
    seen["listed on a, b"] = keys_seen(done.stdout)
    done = hosts.ssh("a", "ssh-add -s /usr/lib/none.so", *forward,
                     SSH_AUTH_SOCK=login)
    seen["a provider"] = done.returncode == 0
    return seen


def test_keys_and_their_constraints_are_as_with_ssh_agent_itself(place, hosts):
    """ssh -A, logins to further hosts with the relayed keys, ssh-add -h."""
    with SshAgent(place.upstream) as agent:
        load(agent, hosts)
        place.start()
        direct = behaviour(hosts, agent.path, agent.path)
        assert direct["listed on a"] == ["far", "plain"]
        assert direct["far from a to b"] and direct["plain from c to b"]
        assert not direct["near from a to b"]
        assert not direct["far from c to b"]
        assert behaviour(hosts, place.forward, agent.path) == direct


def test_from_afar_nothing_is_added_or_taken_away(place, hosts):
    with SshAgent(place.upstream) as agent:
        load(agent, hosts)
        place.start()
        door = hosts.door
        for command in (f"ssh-add {door}", "ssh-add -D", "ssh-add -d "
                        f"{hosts.dir / 'plain'}.pub",
                        "ssh-add -s /usr/lib/none.so"):
            done = hosts.ssh("a", command, "-o", f"ForwardAgent={place.forward}",
                             SSH_AUTH_SOCK=agent.path)
            assert done.returncode != 0, command
        lock = b"\x16" + string(b"word")
        assert place.ask(bind(), lock) == [b"\6", FAILURE]
        listed = subprocess.run(["ssh-add", "-L"], capture_output=True,
                                text=True, check=True, env={
                                    **os.environ,
                                    "SSH_AUTH_SOCK": str(agent.path)})
        assert keys_seen(listed.stdout) == ["far", "near", "plain"]


def test_all_of_it_is_relayed_where_the_config_says_so(place, hosts):
    place.set(f"awsenv_ssh_agent = {place.upstream}\nawsenv_ssh_relay = all")
    with SshAgent(place.upstream) as agent:
        place.start()
        for path in (agent.path, place.forward):
            forward = ["-o", f"ForwardAgent={path}"]
            done = hosts.ssh("a", f"ssh-add -q {hosts.door}; ssh-add -L; "
                             "ssh-add -s /usr/lib/none.so; echo $?; ssh-add -D",
                             *forward, SSH_AUTH_SOCK=agent.path)
            assert keys_seen(done.stdout) == ["door"]
            # ... but it knows a far host when it sees one.
            assert "1" in done.stdout.splitlines()
        unknown = b"\x1b" + string(b"nothing@awsenv")
        assert place.ask(bind(), unknown)[1] == FAILURE


@pytest.mark.parametrize("first", ["nothing", "its own bind"])
def test_a_key_for_another_host_is_not_to_be_had_by_a_wrong_forwarding(
        place, hosts, first):
    """RemoteForward that leads to forward.sock, where the far host is the one
    that writes the first message, and may be the bind of another one."""
    with SshAgent(place.upstream) as agent:
        load(agent, hosts)
        place.start()
        command = ("ssh-add -L" if first == "nothing"
                   else login_with(hosts, "near", "b"))
        seen = {}
        for name, path in (("direct", agent.path), ("ours", place.forward)):
            sock = hosts.dir / f"relayed-{first[0]}-{name}"
            done = hosts.ssh("a", f"SSH_AUTH_SOCK={sock} {command}", "-R",
                             f"{sock}:{path}", "-o", "ExitOnForwardFailure=yes")
            seen[name] = (keys_seen(done.stdout), done.returncode)
        # The attack is one: it works where nobody is in between.
        assert seen["direct"][1] == 0
        if first == "nothing":
            assert seen["direct"][0] == ["far", "near", "plain"]
            assert seen["ours"][0] == ["plain"]
        else:
            assert seen["ours"][1] != 0


# ---- the two ends of it


def test_without_one_there_are_no_keys(place, fake):
    place.start()
    requests = bind(), bytes([IDENTITIES]), bytes([SIGN]) + b"x", b"\x13"
    assert place.ask(*requests) == [b"\6", NO_KEYS, FAILURE, FAILURE]
    fake(lambda frame: bytes([frame[0] + 1]))
    assert place.ask(*requests) == [b"\6", b"\x0c", b"\x0e", FAILURE]
    place.set("awsenv_ssh_agent = none")
    until(lambda: place.ask(*requests)[1] == NO_KEYS)
    assert place.ask(*requests) == [b"\6", NO_KEYS, FAILURE, FAILURE]


def test_other_sockets_relay_nothing(place, fake):
    upstream = fake(lambda frame: b"\x0c\0\0\0\0")
    remote = place.agent.dir / "remote.sock"
    unknown = place.agent.dir / "unknown.sock"
    listeners = []
    for path in (place.agent.sock, remote, unknown):
        path.parent.mkdir(mode=0o700, exist_ok=True)
        listeners.append(socket.socket(socket.AF_UNIX))
        listeners[-1].bind(str(path))
        listeners[-1].listen(8)
    fds = [os.dup(s.fileno()) for s in listeners]

    def activate():
        for to, fd in enumerate(fds, 3):
            os.dup2(fd, to)
        os.environ["LISTEN_PID"] = str(os.getpid())

    agent = place.agent
    agent.process = subprocess.Popen(
        ["/bin/sh", "-c", 'LISTEN_PID=$$ exec "$0" -D',
         str(agent.programs / "awsenv-agent")],
        env={**agent.env, "LISTEN_FDS": "3",
             "LISTEN_FDNAMES": "agent:remote:other"},
        preexec_fn=activate, close_fds=False, cwd="/",
        stdin=subprocess.DEVNULL, stdout=open(agent.log, "ab"),
        stderr=subprocess.STDOUT)
    for s in listeners:
        s.close()
    for fd in fds:
        os.close(fd)
    until(agent._answers)
    for path in (agent.sock, remote, unknown):
        assert place.ask(bind(), bytes([IDENTITIES]), bytes([SIGN]) + b"data",
                         path=path) == [b"\6", FAILURE, FAILURE]
    assert upstream.connections == []


def test_binds_come_first_and_everything_byte_for_byte(place, fake):
    sizes = [1, 4, 5, 1000, 65536, 200000, 262139, 260000, 262139]
    upstream = fake(lambda f: b"\6" if f[0] == 27 else b"\x0e" + f[1:])
    place.start()
    blobs = [os.urandom(n) for n in sizes]
    assert sum(map(len, blobs)) > 1 << 20
    with place.connect() as s:
        # All at once: the agent takes the next when one is answered.
        sender = threading.Thread(target=s.sendall, args=(b"".join(
            map(string, [bind(), *(bytes([SIGN]) + b for b in blobs),
                         bind(b"another", b"id"), bytes([SIGN])])),))
        sender.start()
        assert wire.read_frame(s) == b"\6"
        for blob in blobs:
            assert wire.read_frame(s) == b"\x0e" + blob
        assert wire.read_frame(s) == b"\6"
        assert wire.read_frame(s) == b"\x0e"
        sender.join()
    seen, = upstream.connections
    # The peer is no ssh: what it binds to comes behind one to nobody.
    assert b"from a host that did not say" in seen[0]
    assert seen[1:] == [bind(), *(bytes([SIGN]) + b for b in blobs),
                        bind(b"another", b"id"), bytes([SIGN])]


def test_requests_of_ours_have_their_place_among_the_others(place, fake):
    fake(lambda f: b"\6" if f[0] == 27 else b"\x0e" + f[1:])
    place.start()
    query = wire.frame("query")[4:]
    stop = wire.frame("stop@awsenv")[4:]
    with place.connect() as s:
        s.sendall(b"".join(map(string, [
            bind(), query, bytes([SIGN]) + b"one", stop,
            bytes([SIGN]) + b"two", query])))
        replies = [wire.read_frame(s) for _ in range(6)]
    assert replies[0] == b"\6"
    assert b"creds@awsenv" in replies[1] and replies[5] == replies[1]
    assert replies[2] == b"\x0eone" and replies[4] == b"\x0etwo"
    assert b"stop@awsenv" in replies[3]
    assert wire.decode("MSG_DONE_REP", replies[3].split(b"stop@awsenv")[1]
                       ).error == wire.AW_DENIED


def test_a_slow_one_keeps_nobody_waiting_for_a_bind(place, fake):
    go = threading.Event()

    def answer(frame):
        assert go.wait(30)
        return b"\6" if frame[0] == 27 else b"\x0e" + frame[1:]

    upstream = fake(answer)
    place.start()
    with place.connect() as s:
        assert place.agent.raw(bind(), s) == b"\6"
        s.sendall(string(bytes([SIGN]) + b"data"))
        seen = until(lambda: upstream.connections)[0]
        # Neither this one's further binds nor other clients notice.
        for _ in range(20):
            assert place.ask(bind()) == [b"\6"]
        assert place.agent.raw(b"\x1b" + string(b"query"))[:1] == b"\x1d"
        assert len(seen) == 1, "relayed before the bind was answered"
        go.set()
        assert wire.read_frame(s) == b"\x0edata"
    assert [f[0] for f in seen] == [27, 27, SIGN]


def test_a_client_ends_with_its_upstream_and_the_next_has_a_new_one(
        place, fake):
    upstream = fake(lambda f: b"\6" if f[0] == 27 else
                    None if f[1:] == b"die" else b"\x0e" + f[1:])
    place.start()
    with place.connect() as s:
        assert place.agent.raw(bytes([SIGN]) + b"a", s) == b"\x0ea"
        with pytest.raises(EOFError):
            place.agent.raw(bytes([SIGN]) + b"die", s)
    with place.connect() as idle:
        assert place.agent.raw(bytes([SIGN]) + b"b", idle) == b"\x0eb"
        upstream.close()
        os.unlink(place.upstream)
        # Lost: an empty list for who comes now ...
        assert place.ask(bind(), bytes([IDENTITIES])) == [b"\6", NO_KEYS]
        # ... and again keys, once there is one.
        fake(lambda f: b"\6" if f[0] == 27 else b"\x0e" + f[1:])
        assert place.ask(bytes([SIGN]) + b"c") == [b"\x0ec"]


def test_a_client_that_goes_takes_its_connection_along(place, fake):
    ended = threading.Event()

    class Ending(FakeSshAgent):
        def _serve(self, s):
            super()._serve(s)
            if any(c for c in self.connections):
                ended.set()

    upstream = Ending(place.upstream, lambda f: b"\6" if f[0] == 27
                      else time.sleep(0.2) or b"\x0e")
    place.start()
    with place.connect() as s:
        s.sendall(string(bytes([SIGN]) + b"data"))
        until(lambda: upstream.connections)
    assert ended.wait(20)
    upstream.close()


# ---- which one it is


def test_the_one_that_the_agent_was_started_with(place):
    place.set("")
    with SshAgent(place.agent.dir / "given.sock") as given:
        given.add(key_of(place, "given"))
        place.start(SSH_AUTH_SOCK=str(given.path))
        assert b"given" in place.ask(bytes([IDENTITIES]))[0]
        # It is known to those who come after a broker's death, too.
        place.agent.kill_broker()
        assert b"given" in until(lambda: ask_again(place))


def ask_again(place):
    try:
        return place.ask(bytes([IDENTITIES]))[0]
    except (EOFError, OSError):
        return None


def key_of(place, name):
    return make_key(place.agent.dir / name)


@pytest.mark.parametrize("name", ["gcr/ssh", "keyring/ssh", "ssh-agent.socket",
                                  "openssh_agent", "gnupg/S.gpg-agent.ssh"])
def test_else_the_first_that_answers_where_they_mostly_are(place, name):
    place.set("")
    path = place.agent.runtime / name
    path.parent.mkdir(exist_ok=True)
    # One that was left behind, and one of another kind, are passed over.
    for other in ("gcr/ssh", "keyring/ssh"):
        stale = place.agent.runtime / other
        if other != name:
            stale.parent.mkdir(exist_ok=True)
            with socket.socket(socket.AF_UNIX) as s:
                s.bind(str(stale))
    with SshAgent(path) as usual:
        usual.add(key_of(place, "usual"))
        place.start(SSH_AUTH_SOCK=str(place.agent.dir / "gone"))
        assert b"usual" in place.ask(bytes([IDENTITIES]))[0]


def test_never_itself_nor_another_of_ours(place, make_agent):
    other = Place(make_agent, "")
    with SshAgent(other.agent.dir / "real.sock") as real:
        real.add(key_of(other, "real"))
        other.start(SSH_AUTH_SOCK=str(real.path))
        place.set(f"awsenv_ssh_agent = {other.forward}")
        link = place.agent.dir / "link"
        link.symlink_to(place.forward)
        place.start(SSH_AUTH_SOCK=str(link))
        assert place.ask(bytes([IDENTITIES])) == [NO_KEYS]
        logged = place.agent.logged()
        assert f"{other.forward}: it is an agent of awsenv's own" in logged
        place.set("")
        until(lambda: place.ask(bytes([IDENTITIES])) == [NO_KEYS] and
              f"{link}: it is an agent of awsenv's own" in
              place.agent.logged())


@pytest.mark.skipif(os.geteuid() != 0, reason="another user's needs root")
def test_never_another_users(place):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(place.upstream))
        os.chmod(place.upstream, 0o777)
        os.chmod(place.upstream.parent, 0o755)
        # The credentials are those of who called listen.
        if (pid := os.fork()) == 0:
            os.setresuid(64321, 64321, 64321)
            s.listen(8)
            os._exit(0)
        os.waitpid(pid, 0)
        place.start()
        assert place.ask(bytes([IDENTITIES])) == [NO_KEYS]
    assert "another user's" in place.agent.logged()


def test_it_says_which_it_is(place, fake):
    place.start()
    reply = place.agent.ask("relay@awsenv")
    assert reply.path == str(place.upstream).encode()
    assert (reply.how, reply.why) == (1, b"nobody listens")
    upstream = fake(lambda frame: FAILURE)
    reply = place.agent.ask("relay@awsenv")
    assert (reply.how, reply.why, reply["all"], reply.proxy) == (1, b"", 0, 0)
    assert upstream.connections == []
    place.set("awsenv_ssh_agent = none\nawsenv_ssh_relay = all\n"
              "awsenv_ssh_proxy = true")
    reply = until(lambda: (r := place.agent.ask("relay@awsenv")).proxy and r)
    assert (reply.path, reply.how, reply["all"]) == (b"", 0, 1)
    assert b"config" in reply.why


def doctor(place):
    done = place.agent.run("doctor")
    return [line for line in done.stdout.splitlines()
            if line.split()[1:2] == ["ssh-agent"]]


def test_doctor_looks_at_it(place, fake):
    place.start()
    line, = doctor(place)
    assert line.startswith("problem") and "nobody listens" in line
    fake(lambda frame: FAILURE)
    line, = doctor(place)
    assert line.startswith("ok") and str(place.upstream) in line


# ---- in its place


def tool(place, *argv):
    return subprocess.run(argv, capture_output=True, text=True, env={
        **place.agent.env, "SSH_AUTH_SOCK": str(place.forward)}, timeout=30)


def test_it_stands_in_for_it_where_that_is_wanted(place, hosts):
    """Plain ssh -A, and all that programs of this machine do with one."""
    place.set(f"awsenv_ssh_agent = {place.upstream}\nawsenv_ssh_proxy = true")
    with SshAgent(place.upstream) as agent:
        load(agent, hosts)
        place.start()
        done = place.agent.run("agent", "env")
        assert done.stdout == f"export SSH_AUTH_SOCK='{place.forward}'\n"
        done = place.agent.run("agent", "env",
                               env={"SSH_CONNECTION": "1 2 3 4"})
        assert (done.returncode, done.stdout) == (0, "")
        listed = tool(place, "ssh-add", "-L").stdout
        assert keys_seen(listed) == ["far", "near", "plain"]
        assert tool(place, "ssh-add", "-q", hosts.door).returncode == 0
        assert "door" in tool(place, "ssh-add", "-L").stdout
        assert tool(place, "ssh-add", "-d", hosts.door).returncode == 0
        # It logs in with a key for that host only, ...
        key = ["-o", f"IdentityFile={hosts.dir / 'near'}.pub"]
        direct = hosts.argv("b", "true", *key, "-o", "IdentitiesOnly=yes")
        assert tool(place, *direct).returncode == 0
        direct[-2] = "a"
        assert tool(place, *direct).returncode != 0
        # ... and forwards itself.
        done = hosts.ssh("a", f"ssh-add -L; ssh-add -D; ssh-add {hosts.door}; "
                         "ssh-add -s /usr/lib/none.so", "-A",
                         SSH_AUTH_SOCK=place.forward)
        assert keys_seen(done.stdout) == ["far", "plain"]
        assert done.returncode != 0
        listed = tool(place, "ssh-add", "-L").stdout
        assert keys_seen(listed) == ["far", "near", "plain"]
        place.set(f"awsenv_ssh_agent = {place.upstream}")
        until(lambda: not place.agent.run("agent", "env").stdout)
        until(lambda: "near" not in tool(place, "ssh-add", "-L").stdout)
        assert tool(place, "ssh-add", "-q", hosts.door).returncode != 0


def test_keys_and_credentials_come_through_one_socket(sim, make_agent, hosts):
    agent = make_agent(start=False)
    upstream = agent.dir / "upstream.sock"
    # Nothing of the environment counts from afar: it is all in there.
    sim.write_config(agent.config, {
        "name": "open", "awsenv_forward": "allow", "ca_bundle": sim.ca,
        "endpoint_url": sim.urls["https"]})
    with open(agent.config, "a") as f:
        f.write(f"\n[awsenv]\nawsenv_ssh_agent = {upstream}\n")
    forward = agent.runtime / "awsenv" / "forward.sock"
    with SshAgent(upstream) as own:
        load(own, hosts)
        agent.start()
        reply = agent.until_state(agent.login("open"), wire.LOGIN_PENDING)
        sim.approve(reply.code.decode(), "ann@example.com")
        agent.until_state(reply, wire.LOGIN_DONE)
        awsenv = agent.programs / "awsenv"
        done = hosts.ssh(
            "a", f"{awsenv} -p open -- sh -c 'echo $AWS_ACCESS_KEY_ID' && "
            f"{login_with(hosts, 'far', 'b')} && ssh-add -L && "
            f"{hosts.hop('b', 'ssh-add -L', '-A')}",
            "-o", f"ForwardAgent={forward}", SSH_AUTH_SOCK=own.path)
        key = agent.keys("open").access_key.decode()
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[0] == key
        # From a and from b: what each may use.
        assert keys_seen(done.stdout) == ["far", "plain", "plain"]


def test_gpg_agent_knows_of_no_binds_and_will_do(place, hosts):
    if not shutil.which("gpg-agent"):
        pytest.skip("no gpg-agent")
    home = place.agent.home / ".gnupg"
    home.mkdir(mode=0o700)
    env = {**place.agent.env, "GNUPGHOME": str(home)}
    sock = subprocess.run(["gpgconf", "--list-dirs", "agent-ssh-socket"],
                          env=env, capture_output=True, text=True, check=True
                          ).stdout.strip()
    gpg = subprocess.Popen(["gpg-agent", "--enable-ssh-support", "--daemon",
                            "sleep", "60"], env=env, stdout=subprocess.DEVNULL)
    try:
        until(lambda: os.path.exists(sock))
        place.set(f"awsenv_ssh_agent = {sock}")
        place.start()
        reply = place.agent.ask("relay@awsenv")
        assert (reply.how, reply.why) == (1, b"")
        assert place.ask(bind(), bytes([IDENTITIES]),
                         bytes([SIGN]) + string(b"key") + string(b"data") +
                         bytes(4)) == [b"\6", NO_KEYS, FAILURE]
    finally:
        gpg.terminate()
        gpg.wait()
