# SPDX-License-Identifier: ISC
"""How the login of a factor gets to the agent: a key of root's, for a minute."""
import pathlib
import re
import subprocess

import pytest

from simulator.client import Simulator
from stack import BUILD, DEBUG, IGNORE, SUCCESS, WARNING, Account
from test_factor import approved, at_aws, log_in, ours, root_only
from agent import until
import wire

pytestmark = root_only


@pytest.fixture
def ann():
    with Account() as account:
        account.run = account.dir / "run-of-root"
        account.run.mkdir(mode=0o755)
        yield account
        for key in kept(account):
            keyctl("revoke", key["serial"])


@pytest.fixture(scope="module")
def shared():
    with Simulator(accounts=1, interval=1) as simulator:
        simulator.dir.chmod(0o755)
        yield simulator


@pytest.fixture
def sim(shared):
    shared.reset()
    return shared


def keyctl(*words, **options):
    return subprocess.run(["keyctl", *map(str, words)], capture_output=True,
                          **options)


def kept(account):
    """Keys that wait for a session of this user."""
    found = []
    for line in pathlib.Path("/proc/keys").read_text().splitlines():
        part = line.split()
        if f"awsenv:factor:{account.uid}:" in line and \
                "R" not in part[1] and part[3] != "expd":
            found.append({"serial": int(part[0], 16), "life": part[3],
                          "mask": part[4], "uid": part[5], "name": part[8]})
    return found


def passed(account, options="", *calls, **order):
    """A factor that was passed, with a fetcher that brings a login."""
    steps = approved(account.name)
    facts = wire.encode("MSG_FACTS", {"start_url": "https://x/start"})
    steps[1]["send"].update(tok="sealed token", ref="sealed registration",
                            tok_expires=2**40, ref_expires=2**40,
                            refreshable=1, facts=facts.decode("latin-1"))
    done = log_in(account, options, steps, *(calls or ("auth",)), **order)
    assert done.codes[0] in (SUCCESS, IGNORE)
    return done


def session(account, options="debug", **order):
    return log_in(account, options, None, "open", **order)


# The key

def test_it_is_a_key_that_root_alone_can_reach(ann):
    passed(ann)
    key, = kept(ann)
    assert key["mask"] == "003f0000" and key["uid"] == "0"
    seconds = int(re.fullmatch(r"(\d+)s|1m", key["life"])[1] or 60)
    assert 0 < seconds <= 60
    assert re.fullmatch(rf"awsenv:factor:{ann.uid}:\d+:\d+:?", key["name"])
    assert b"sealed token" in keyctl("pipe", key["serial"]).stdout
    for word in ("pipe", "describe", "revoke", "invalidate"):
        done = keyctl(word, key["serial"], preexec_fn=ann.become)
        assert done.returncode != 0
    assert len(kept(ann)) == 1
    assert str(key["serial"]).encode() in keyctl("rlist", "@u").stdout


@pytest.mark.parametrize("options", ["handover=no", "enforce=no handover=no"])
def test_there_is_none_where_it_is_not_wanted(ann, options):
    passed(ann, options)
    assert kept(ann) == []


def test_there_is_none_of_somebody_elses_approval(ann):
    log_in(ann, "", approved("bob"))
    assert kept(ann) == []


def test_there_is_none_in_su(ann):
    """Where the keyring would be the caller's."""
    with Account() as bob:
        passed(ann, service="su", uids=[bob.uid, 0, 0])
        assert kept(ann) == []


def test_the_last_one_counts(ann):
    first, = passed(ann) and kept(ann)
    passed(ann)
    until(lambda: len(kept(ann)) == 1)      # the kernel tidies up in its time
    second, = kept(ann)
    assert first["serial"] != second["serial"]


# The claim

def test_another_process_of_the_same_login_finds_it_once(ann):
    passed(ann)
    done = session(ann)
    assert done.codes == [SUCCESS] and kept(ann) == []
    # To an agent that is the real one; nothing in its config is bound alike.
    assert "handed to the agent: success" in "".join(ours(done, DEBUG))
    done = session(ann)
    assert "handed to the agent" not in "".join(ours(done))


def test_another_login_does_not(ann):
    passed(ann)
    done = session(ann, run_in="setsid")
    assert "handed to the agent" not in "".join(ours(done))
    assert len(kept(ann)) == 1
    with Account() as bob:
        bob.run = ann.run
        assert "handed to" not in "".join(ours(session(bob)))
    assert len(kept(ann)) == 1


@pytest.mark.parametrize("options", ["login=lazy", "login=off", "handover=no"])
def test_a_session_without_an_agent_drops_it(ann, options):
    passed(ann)
    done = session(ann, "debug " + options)
    assert done.codes == [SUCCESS] and kept(ann) == []
    assert "handed to the agent" not in "".join(ours(done))


@pytest.mark.parametrize("change", ["mask", "payload", "uid", "version"])
def test_a_key_that_is_not_as_we_make_it_is_none(ann, change):
    passed(ann)
    key, = kept(ann)
    if change == "mask":
        keyctl("setperm", key["serial"], "0x003f3f00")
    else:
        data = bytearray(keyctl("pipe", key["serial"]).stdout)
        if change == "payload":
            data = data[:-1]
        else:
            data[0 if change == "version" else 7] ^= 1
        assert keyctl("pupdate", key["serial"],
                      input=bytes(data)).returncode == 0
    done = session(ann)
    assert done.codes == [SUCCESS]
    assert "handed to the agent" not in "".join(ours(done))


def test_an_agent_that_is_not_the_users_gets_no_login(ann):
    """Nor does one that answers nonsense make the session fail."""
    passed(ann)
    ann.sock.parent.mkdir(mode=0o700)
    ann.give()
    path = ann.dir / "server.py"
    path.write_text(
        "import socket, sys\ns = socket.socket(socket.AF_UNIX)\n"
        f"s.bind({str(ann.sock)!r})\ns.listen(5)\nprint('ready', flush=True)\n"
        "c, _ = s.accept()\nprint(c.recv(65536).hex(), flush=True)\n")
    child = subprocess.Popen(["/usr/bin/python3", path],
                             stdout=subprocess.PIPE)     # root's
    assert child.stdout.readline() == b"ready\n"
    done = session(ann)
    assert done.codes == [SUCCESS]
    assert child.stdout.readline() == b"\n"             # not a byte
    child.wait()
    child.stdout.close()
    assert "not a socket of uid" in "".join(ours(done, WARNING))


# The whole of it, with the real fetcher and agent

def awsenv(account, *words):
    return subprocess.run(
        [BUILD / "awsenv", *words], env={
            "HOME": str(account.home), "AWSENV_SOCK": str(account.sock),
            "PATH": "/usr/bin:/bin"}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=60,
        preexec_fn=account.become)


def configure(account, sim, **profile):
    config = account.home / ".aws/config"
    config.parent.mkdir()
    config.write_text(sim.config_text({
        "name": "marketing", "endpoint_url": sim.urls["https"],
        "ca_bundle": sim.ca, **profile}))
    account.give()


def test_one_approval_serves_both(ann, sim):
    configure(ann, sim)
    done = at_aws(ann, sim, "", [("approve",)], calls=("auth", "setcred",
                                                       "open"))
    assert done.codes == [SUCCESS] * 3
    done = awsenv(ann, "-p", "marketing", "whoami")
    assert done.returncode == 0 and "ann@example.com" in done.stdout
    assert sim.counts()["StartDeviceAuthorization"] == 1
    done = awsenv(ann, "status")
    assert "ann@example.com" in done.stdout
    # It renews itself as any other, and ends as any other.
    sim.expire("access_token")
    assert awsenv(ann, "-p", "marketing", "whoami").returncode == 0
    assert awsenv(ann, "-p", "marketing", "logout").returncode == 0
    assert awsenv(ann, "-p", "marketing", "whoami").returncode == 3


def test_it_goes_nowhere_else_than_where_it_was_made(ann, sim):
    """The same Identity Center behind another endpoint is another login."""
    configure(ann, sim, endpoint_url=sim.urls["http"])
    done = at_aws(ann, sim, "", [("approve",)], calls=("auth", "open"))
    assert done.codes == [SUCCESS] * 2
    assert awsenv(ann, "-p", "marketing", "whoami").returncode == 3
    assert sim.counts()["GetRoleCredentials"] == 1      # the factor's own
