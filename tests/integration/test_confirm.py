# SPDX-License-Identifier: ISC
"""awsenv_confirm and awsenv confirm: a person on another terminal says yes."""
import concurrent.futures
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import time

import pytest

import wire
from agent import BUILD, children, until
from terminal import Terminal

AWSENV = str(BUILD / "awsenv")
LOCAL = 1 << 0 | 1 << 1 | 1 << 3
NO, ONCE, PEER, HOUR = range(4)


@pytest.fixture
def agent(sim, make_agent):
    """Logged in; marketing needs a yes, platform none."""
    a = make_agent(sim, profiles=(
        {"name": "marketing", "awsenv_confirm": "true"}, "platform"))
    a.log_in("platform")
    return a


@contextlib.contextmanager
def person(agent, *argv, **options):
    """awsenv confirm, on a terminal of its own."""
    with Terminal([AWSENV, "confirm", *argv], agent.env, **options) as t:
        yield t


def use(agent, profile="marketing", *argv, **options):
    """A command without a terminal that needs credentials; not waited for.

    By a shell, as people do it: of awsenv itself, which is not dumpable, only
    root may see where it works.
    """
    return subprocess.Popen(
        ["sh", "-c", '"$@"; exit $?', "sh", AWSENV, "-p", profile, *argv, "--",
         "sh", "-c", 'test "$AWS_ACCESS_KEY_ID" && echo ran'], env=agent.env,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True, **options)


def end(command):
    out, err = command.communicate(timeout=60)
    return command.returncode, out, err


def questions(agent, sock, seen=0, seconds=0):
    reply = agent.ask("questions@awsenv", {"seen": seen, "seconds": seconds},
                      sock)
    return reply, wire.unpack("MSG_QUESTION_ITEM", reply["items"])


def until_asked(agent, sock, n=1):
    return until(lambda: (q := questions(agent, sock)[1]) and len(q) == n and q,
                 why="no question came")


def test_with_nobody_to_ask_it_is_refused_with_one_line(agent):
    status, out, err = end(use(agent))
    assert (status, out) == (125, "")
    assert err.count("\n") == 1 and "awsenv confirm" in err
    done = agent.run("export", "-p", "marketing")
    assert done.returncode == 5 and done.stdout == ""
    assert end(use(agent, "platform"))[:2] == (0, "ran\n")


@pytest.mark.parametrize("key, passes", [
    (b"y", True), (b"n", False), (b"\r", False), (b"\x1b", False),
    (b"xc\x01Y", True)])
def test_a_key_is_the_answer(agent, key, passes):
    with person(agent) as t:
        t.until("waiting for questions")
        command = use(agent, cwd="/usr/share")
        text = t.until("answer [n]: ")
        known, claimed = text.split("It says of itself, true or not:")
        assert "profile   marketing" in known and "by        a program" in known
        assert agent.sim.info["accounts"][0]["id"] in known
        assert "/usr/share" in claimed and "awsenv < " in claimed
        assert "for an hour" in claimed and "ssh connection" not in claimed
        t.press(key)
        status, out, err = end(command)
        t.until("yes, once" if passes else "no\n")
        assert (status, out) == ((0, "ran\n") if passes else (125, ""))
        if not passes:
            assert "the answer was no" in err and err.count("\n") == 1
        # Another use is another question.
        second = use(agent)
        until(lambda: t.read(0.1) and t.text.count("answer [n]: ") == 2)
        t.press(b"y")
        assert end(second)[0] == 0
        t.press(b"\x03")
        assert t.wait() == 0


def test_an_hour_is_not_asked_again_until_the_logout(agent):
    with person(agent) as t:
        t.until("waiting for questions")
        first = use(agent)
        t.until("answer [n]: ")
        t.press(b"h")
        assert end(first)[0] == 0
        assert end(use(agent))[0] == 0
        agent.logout("marketing")
        agent.log_in("platform")
        third = use(agent)
        until(lambda: t.read(0.1) and t.text.count("answer [n]: ") == 2)
        t.press(b"n")
        assert end(third)[0] == 125


def test_account_and_role_are_no_way_around(agent):
    account = agent.sim.info["accounts"][0]
    status = agent.status("marketing")
    for name in (account["id"], account["name"]):
        done = agent.run("export", "--account", name, "--role",
                         status.role.decode())
        assert done.returncode == 5, done.stderr
    session = re.search("sso_session = .*\n", agent.config.read_text())[0]
    with open(agent.config, "a") as f:
        f.write(f"[profile other]\n{session}sso_account_id = "
                f"{account['id']}\nsso_role_name = {status.role.decode()}\n")
    assert agent.run("export", "-p", "other").returncode == 5


def test_once_tells_by_its_status(agent):
    with person(agent, "--once") as t:
        t.until("waiting for questions")
        command = use(agent)
        t.until("answer [n]: ")
        t.press(b"n")
        assert t.wait() == 5
        end(command)
    with person(agent, "--once", "--wait", "1") as t:
        assert t.wait() == 1
    with person(agent, "--no-wait") as t:
        assert t.wait() == 0


def test_scripts_get_a_list(agent):
    with agent.connect() as sock:
        questions(agent, sock)
        command = use(agent, cwd="/usr")
        until_asked(agent, sock)
        done = agent.run("confirm", stdin=subprocess.DEVNULL)
        assert done.returncode == 1 and "profile   marketing" in done.stdout
        one, = json.loads(agent.run("confirm", "--json").stdout)
        assert one["profile"] == "marketing" and one["remote"] is False
        assert one["folder"] == "/usr" and one["next_hosts"] == []
        os.killpg(command.pid, signal.SIGKILL)
        end(command)
        until(lambda: not questions(agent, sock)[1])
        done = agent.run("confirm", stdin=subprocess.DEVNULL)
        assert (done.returncode, done.stdout) == (0, "")
        assert json.loads(agent.run("confirm", "--json").stdout) == []


def test_lines_of_a_narrow_terminal_fit(agent):
    deep = agent.dir / ("d" * 60)
    deep.mkdir()
    with person(agent, cols=40) as t:
        t.until("waiting for questions")
        command = use(agent, cwd=deep)
        text = t.until("answer [n]: ")
        assert max(map(len, text.splitlines())) < 40, text
        assert "d" * 60 in text.replace("\n" + " " * 12, "")
        t.press(b"y")
        assert end(command)[0] == 0


def test_names_cannot_paint_the_terminal(agent):
    evil = agent.dir / "x\x1b]0;pwned\x07\x1b[2J\n  profile   harmless\u202e"
    evil.mkdir()
    with person(agent) as t:
        t.until("waiting for questions")
        command = use(agent, cwd=evil)
        text = t.until("answer [n]: ")
        assert "\x1b" not in text and "\x07" not in text
        assert "\u202e" not in text and "\n  profile   harmless" not in text
        t.press(b"n")
        end(command)


def test_no_answer_from_the_terminal_of_an_ssh(agent, tmp_path):
    ssh = tmp_path / "ssh"
    shutil.copy("/bin/sleep", ssh)
    script = (f"{ssh} 60 & until grep -qx ssh /proc/$!/comm; do :; done; "
              f"{AWSENV} confirm; kill $!")
    with Terminal(["/bin/sh", "-c", script], agent.env) as t:
        text = t.until("an ssh runs on this terminal")
    assert "waiting" not in text
    # One that comes while a question is shown: the answer is not taken.
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    script = (f"(read go <{gate}; exec {ssh} 60) & {AWSENV} confirm; "
              "echo status $?; kill $!")
    with Terminal(["/bin/sh", "-c", script], agent.env) as t:
        t.until("waiting for questions")
        command = use(agent)
        t.until("answer [n]: ")
        gate.write_text("go\n")
        # It may be seen by the next look, before the key is pressed.
        until(lambda: children(t.child.pid, "ssh") or
              (t.read(0.01), "status 5" in t.text)[1])
        with contextlib.suppress(OSError):
            t.press(b"y")
        t.until("status 5")
        assert "an ssh runs on this terminal" in t.text
        os.killpg(command.pid, signal.SIGKILL)
        end(command)


def test_the_terminal_that_asks_cannot_answer(agent):
    """Both in one terminal, as a program that plays its own person."""
    script = (f"{AWSENV} confirm & sleep 1; "
              f"{AWSENV} -p marketing true; echo status $?")
    with Terminal(["/bin/sh", "-c", script], agent.env) as t:
        with agent.connect() as sock:
            questions(agent, sock)
            one, = until_asked(agent, sock)
            agent.ask("answer@awsenv", {"id": one.id, "answer": NO}, sock)
        t.until("status 125")


def test_who_never_looked_cannot_answer(agent):
    with agent.connect() as sock, agent.connect() as other:
        questions(agent, sock)
        command = use(agent)
        one, = until_asked(agent, sock)
        assert one.answers == LOCAL and not one.remote
        refused = agent.ask("answer@awsenv", {"id": one.id, "answer": ONCE},
                            other, check=False)
        assert refused.error == wire.AW_DENIED
        for what in (PEER, 9):
            assert agent.ask("answer@awsenv", {"id": one.id, "answer": what},
                             sock, check=False).error == wire.AW_PROTO
        agent.ask("answer@awsenv", {"id": one.id, "answer": ONCE}, sock)
        assert end(command)[0] == 0
        assert agent.ask("answer@awsenv", {"id": one.id, "answer": ONCE},
                         sock, check=False).error == wire.AW_GONE


def test_forty_that_ask_are_one_question_and_harm_nobody(agent):
    with agent.connect() as sock:
        questions(agent, sock)
        commands = [use(agent) for _ in range(40)]
        one, = until_asked(agent, sock)
        # Meanwhile nobody else waits, least of all an ssh's bind.
        with agent.connect() as bind:
            body = struct.pack(">I", 1) + b"k"
            payload = (b"\x1b" + struct.pack(">I", 24) +
                       b"session-bind@openssh.com" + 3 * body + b"\0")
            assert agent.raw(payload, bind) == b"\x06"
        assert end(use(agent, "platform"))[0] == 0
        with open("/proc/net/unix", encoding="utf-8") as sockets:
            until(lambda: sockets.seek(0) or
                  sockets.read().count(f" {agent.sock}\n") > 30)
        assert len(questions(agent, sock)[1]) == 1
        agent.ask("answer@awsenv", {"id": one.id, "answer": ONCE}, sock)
        # Who came after that answer asks anew, all of them at once.
        while any(c.poll() is None for c in commands):
            for late in questions(agent, sock)[1]:
                agent.ask("answer@awsenv", {"id": late.id, "answer": ONCE}, sock)
            time.sleep(0.05)
        assert {end(c)[:2] for c in commands} == {(0, "ran\n")}


def test_a_broker_that_dies_is_asked_again_by_both(agent):
    with person(agent) as t:
        t.until("waiting for questions")
        command = use(agent)
        t.until("answer [n]: ")
        agent.kill_broker()
        until(lambda: t.read(0.1) and t.text.count("answer [n]: ") == 2)
        t.press(b"y")
        assert end(command)[:2] == (0, "ran\n")


def test_far_clients_see_no_questions(agent):
    far = agent.sock.with_name("forward.sock")
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(far))
        for name, fields in (("questions@awsenv", {}),
                             ("answer@awsenv", {"id": 1, "answer": ONCE})):
            assert agent.ask(name, fields, s,
                             check=False).error == wire.AW_DENIED


def test_what_may_be_had_from_afar_needs_the_yes_as_well(sim, make_agent):
    # Of a far client no variable counts, so what leads here is in the file.
    agent = make_agent(sim, env=dict.fromkeys(sim.env()), profiles=(
        {"name": "marketing", "awsenv_confirm": "true",
         "awsenv_forward": "allow", "endpoint_url": sim.urls["https"],
         "ca_bundle": sim.ca},))
    agent.log_in("marketing")
    far = agent.sock.with_name("forward.sock")

    def ask(s):
        s.settimeout(60)
        s.connect(str(far))
        return agent.ask("creds@awsenv", agent.asking("marketing"), s,
                         check=False)

    with socket.socket(socket.AF_UNIX) as s:
        assert ask(s).error == wire.AW_DENIED
    with person(agent) as t, socket.socket(socket.AF_UNIX) as s, \
            concurrent.futures.ThreadPoolExecutor() as pool:
        t.until("waiting for questions")
        reply = pool.submit(ask, s)
        text = t.until("answer [n]: ")
        assert "by        a host that is not known" in text
        assert "yes, once" in text and "hour" not in text
        t.press(b"h")       # which is not offered
        t.press(b"y")
        assert reply.result().sealed
