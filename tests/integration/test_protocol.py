# SPDX-License-Identifier: ISC
"""agent/broker/PROTOCOL is complete: a client written from it alone works."""

import os
import pathlib
import re
import socket
import struct
import subprocess
import sys

import pytest

import wire
from agent import COUNTING, TOP

PAGE = (TOP / "agent/broker/PROTOCOL").read_text()

# Thirty lines, from the page alone. Nothing of ours is imported.
CLIENT = r'''
import os, socket, struct, sys
def string(b): return struct.pack(">I", len(b)) + b
def take(n):
    global reply
    head, reply = reply[:n], reply[n:]
    return head
def text(): return take(struct.unpack(">I", take(4))[0])
names = """HTTPS_PROXY https_proxy ALL_PROXY all_proxy NO_PROXY no_proxy
AWS_CA_BUNDLE AWS_ENDPOINT_URL AWS_ENDPOINT_URL_SSO AWS_ENDPOINT_URL_SSO_OIDC
AWS_ENDPOINT_URL_STS AWS_IGNORE_CONFIGURED_ENDPOINT_URLS AWS_USE_FIPS_ENDPOINT
AWS_USE_DUALSTACK_ENDPOINT AWS_STS_REGIONAL_ENDPOINTS AWS_REGION
AWS_DEFAULT_REGION""".split()
env = b"".join(f"{n}={os.environ[n]}\0".encode() for n in names
               if os.environ.get(n))
config, st = os.environ["AWS_CONFIG_FILE"], os.stat(os.environ["AWS_CONFIG_FILE"])
ask = (string(config.encode()) +
       struct.pack(">4Q", st.st_dev, st.st_ino, st.st_size, st.st_mtime_ns) +
       string(env) + string(sys.argv[1].encode()) + 3 * string(b""))
body = b"\x1b" + string(b"creds@awsenv") + ask + struct.pack(">IB", 900, 1)
s = socket.socket(socket.AF_UNIX)
s.connect(os.environ["AWSENV_SOCK"])
s.sendall(string(body))
f = s.makefile("rb")
reply = f.read(struct.unpack(">I", f.read(4))[0])
assert take(1) == b"\x1d" and text() == b"creds@awsenv"
error, why = struct.unpack(">I", take(4))[0], text()
if error: sys.exit(f"{error} {why.decode()}")
profile, account, role, region, settings, notice, reply = (text() for _ in range(7))
expires, key, secret, token = struct.unpack(">Q", take(8))[0], text(), text(), text()
print(account.decode(), role.decode(), expires, key.decode(), secret.decode(), token.decode())
'''


def client(agent, profile):
    return subprocess.run(
        [sys.executable, "-c", CLIENT, profile], capture_output=True, text=True,
        env={**agent.env, "AWSENV_SOCK": str(agent.sock)}, timeout=70)


def test_a_thirty_line_client_gets_credentials(sim, agent):
    assert len(CLIENT.strip().splitlines()) <= 30
    refused = client(agent, "marketing")
    assert refused.returncode == 1
    assert refused.stderr.startswith("7 login needed")
    agent.log_in("marketing")
    done = client(agent, "marketing")
    assert done.returncode == 0, done.stderr
    account, role, expires, *keys = done.stdout.split()
    assert account == sim.info["accounts"][0]["id"]
    ours = agent.keys("marketing")
    assert [k.encode() for k in keys] == [
        ours.access_key, ours.secret_key, ours.session_token]
    assert int(expires) == ours.expires
    aws = subprocess.run(
        ["/usr/bin/python3", "-c", """
import botocore.session
s = botocore.session.get_session()
print(s.create_client("sts").get_caller_identity()["Account"])"""],
        capture_output=True, text=True, timeout=60,
        env={**sim.env(via="proxy"), "AWS_ACCESS_KEY_ID": keys[0],
             "AWS_SECRET_ACCESS_KEY": keys[1], "AWS_SESSION_TOKEN": keys[2],
             "AWS_DEFAULT_REGION": sim.region, "HOME": str(agent.home)})
    assert aws.stdout.strip() == account, aws.stderr


def section(number):
    return re.search(r"^%s .*?(?=^4\.\d+ |^\d\. |\Z)" % re.escape(number), PAGE,
                     re.M | re.S)[0]


def fields(text):
    """The types of the tables of fields in a piece of the page."""
    found = re.findall(r"^\t(byte|boolean|uint32|uint64|string|ask)\t", text,
                       re.M)
    return [{"byte": "U8", "boolean": "BOOL", "uint32": "U32",
             "uint64": "U64", "string": "VIEW", "ask": "ask"}[t]
            for t in found]


def row(kind):
    types = [form for form, member in wire.ROWS[kind]]
    return types


ASK = fields(section("4.1"))


@pytest.mark.parametrize("number, request_kind, reply_kind", [
    ("4.2", "MSG_CREDS_REQ", "MSG_CREDS_REP"),
    ("4.3", "MSG_LOGIN_REQ", "MSG_LOGIN_REP"),
    ("4.4", "MSG_WAIT_REQ", None),
    ("4.5", "MSG_STATUS_REQ", "MSG_STATUS_REP"),
    ("4.7", "MSG_LOGOUT_REQ", "MSG_LOGOUT_REP"),
    ("4.8", "MSG_WHOAMI_REQ", "MSG_WHOAMI_REP"),
    ("4.9", None, "MSG_DONE_REP"),
    ("4.10", "MSG_NUDGE_REQ", None),
    ("4.16", "MSG_ANSWER_REQ", "MSG_DONE_REP"),
    ("4.19", "MSG_LOCK_REQ", "MSG_DONE_REP"),
    ("4.21", "MSG_SCREEN_REQ", "MSG_DONE_REP"),
])
def test_the_page_has_the_fields_of_the_code(number, request_kind, reply_kind):
    asked, _, replied = section(number).partition("\nReply")
    if number == "4.9":
        asked, replied = "", section(number)
    expected = []
    for form in fields(asked):
        expected += ASK if form == "ask" else [form]
    if request_kind:
        assert expected == row(request_kind)
    if reply_kind:
        assert fields(replied) == row(reply_kind)


@pytest.mark.parametrize("title, kind", [
    ("A login:", "MSG_LOGIN_ITEM"), ("Role credentials:", "MSG_ROLE_ITEM"),
    ("A record,", "MSG_KEY_ITEM"), ("A problem:", "MSG_PROBLEM_ITEM")])
def test_the_page_has_the_entries_of_lists(title, kind):
    text = section("4.6")
    table = text[text.index("\n" + title):].split("\n\n")[1]
    assert fields("\n" + table) == row(kind)


def test_the_page_has_what_a_question_is():
    asked, _, replied = section("4.15").partition("\nReply")
    replied, _, question = replied.partition("\nA question:")
    assert fields(asked) == row("MSG_QUESTIONS_REQ")
    assert fields(replied) == row("MSG_QUESTIONS_REP")
    assert fields(question) == row("MSG_QUESTION_ITEM")


def test_the_page_has_all_errors_and_requests(agent):
    for value, name in sorted(wire.ERRORS.items()):
        if value < wire.AW_PRIVATE:
            assert re.search(r"^\t%d\t" % value, PAGE, re.M), name
    frame = agent.raw(b"\x1b\0\0\0\5query")
    names, at = [], 1
    while at < len(frame):
        n, = struct.unpack_from(">I", frame, at)
        names.append(frame[at + 4:at + 4 + n].decode())
        at += 4 + n
    assert names[0] == "query"
    assert set(re.findall(r"^\t(\w+@awsenv)\t", PAGE, re.M)) == {
        n for n in names if n.endswith("@awsenv")}
    assert re.search(r"no others:\n\n(.*?)\n\n", PAGE, re.S)[1].split() \
        == COUNTING


# What section 2 says of frames.

def test_other_messages_and_names_fail_with_5(agent):
    for payload in (b"\x0b", b"\x0d" + bytes(12), b"\xff",
                    b"\x1b", b"\x1b\0\0\0\x09no@awsenv",
                    b"\x1b\0\0\0\xffquery"):
        assert agent.raw(payload) == b"\x05"


def test_malformed_requests_of_ours_get_28(agent):
    name = b"\x1b" + struct.pack(">I", 11) + b"list@awsenv"
    assert agent.raw(name) == b"\x1c"
    assert agent.raw(name + b"\0\0\0\0\0\0") == b"\x1c"     # one too many
    assert agent.raw(name + b"\0\0\0\0\0")[:1] == b"\x1d"
    wrong = agent.ask("list@awsenv", {"what": 9}, check=False)
    assert wrong.error == wire.AW_PROTO


@pytest.mark.parametrize("length", [0, 262145, 0xffffffff])
def test_impossible_lengths_end_the_connection(agent, length):
    with agent.connect() as s:
        s.sendall(struct.pack(">I", length) + b"\x1b")
        assert s.recv(1) == b""


def test_the_longest_frame_is_read(agent):
    payload = b"\x1b" + struct.pack(">I", 5) + b"query"
    assert agent.raw(payload + bytes(262144 - len(payload)))[:1] == b"\x1d"


def test_requests_may_come_together_and_in_pieces(agent):
    one = wire.frame("list@awsenv", wire.encode("MSG_LIST_REQ"))
    with agent.connect() as s:
        s.sendall(one * 500)
        assert len({wire.read_frame(s) for _ in range(500)}) == 1
        for byte in one:
            s.send(bytes([byte]))
        assert wire.read_frame(s)[:1] == b"\x1d"


def test_a_client_that_stops_writing_still_gets_its_answer(sim, agent):
    agent.log_in("marketing")
    agent.logout(what=wire.LOGOUT_CREDS)
    sim.hold("GetRoleCredentials")
    with agent.connect() as s:
        s.sendall(wire.frame("creds@awsenv", wire.encode(
            "MSG_CREDS_REQ", agent.asking("marketing"))))
        s.shutdown(socket.SHUT_WR)
        sim.wait_in_flight("GetRoleCredentials")
        sim.release()
        assert wire.read_frame(s)[:1] == b"\x1d"


def test_a_slow_reader_does_not_stall_others(agent):
    one = wire.frame("query")
    with agent.connect() as slow:
        slow.setblocking(False)
        sent = 0
        try:
            while sent < 64 << 20:
                sent += slow.send(one * 1000)
        except BlockingIOError:
            pass
        assert sent < 64 << 20      # the agent stopped reading
        assert agent.raw(b"\x1b\0\0\0\5query")[:1] == b"\x1d"
        rss = pathlib.Path(f"/proc/{agent.broker_pid()}/statm").read_text()
        assert int(rss.split()[1]) * os.sysconf("SC_PAGESIZE") < 16 << 20
