# SPDX-License-Identifier: ISC
"""An agent for the wrapper's tests: it says what the test tells it to.

    with FakeAgent(folder) as agent:
        agent.creds(profile="marketing")
        agent.on("wait@awsenv", lambda ask: agent.login(state=wire.LOGIN_DONE))
        run(agent.env(), "awsenv", "--", "env")
        assert agent.seen("creds@awsenv")[0].half == 1

An answer is a dict of the reply's fields, a function of the request that makes
one, or one of CLOSE, SILENCE, FAILURE, or bytes that are sent as they are.
"""
import contextlib
import os
import pathlib
import socket
import struct
import threading
import time

import wire

CLOSE, SILENCE, FAILURE = object(), object(), object()
KINDS = {
    "creds@awsenv": ("MSG_CREDS_REQ", "MSG_CREDS_REP"),
    "login@awsenv": ("MSG_LOGIN_REQ", "MSG_LOGIN_REP"),
    "wait@awsenv": ("MSG_WAIT_REQ", "MSG_LOGIN_REP"),
    "status@awsenv": ("MSG_STATUS_REQ", "MSG_STATUS_REP"),
    "list@awsenv": ("MSG_LIST_REQ", "MSG_LIST_REP"),
    "logout@awsenv": ("MSG_LOGOUT_REQ", "MSG_LOGOUT_REP"),
    "whoami@awsenv": ("MSG_WHOAMI_REQ", "MSG_WHOAMI_REP"),
    "stop@awsenv": ("MSG_EMPTY", "MSG_DONE_REP"),
    "nudge@awsenv": ("MSG_NUDGE_REQ", "MSG_LOGIN_REP"),
    "profiles@awsenv": ("MSG_PROFILES_REQ", "MSG_PROFILES_REP"),
    "grants@awsenv": ("MSG_GRANTS_REQ", "MSG_GRANTS_REP"),
    "relay@awsenv": ("MSG_EMPTY", "MSG_RELAY_REP"),
    "questions@awsenv": ("MSG_QUESTIONS_REQ", "MSG_QUESTIONS_REP"),
    "answer@awsenv": ("MSG_ANSWER_REQ", "MSG_DONE_REP"),
    "watch@awsenv": ("MSG_WATCH_REQ", "MSG_WATCH_REP"),
}

KEY = "ASIAEXAMPLE123456789"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "IQoJb3JpZ2luX2VjEXAMPLE//token+" + "x" * 600 + "=="
URL = "https://device.sso.eu-central-1.amazonaws.com/?long=" + "a" * 120


def qr(width=33):
    """A pattern of that many modules: the upper left one is dark."""
    row = bytes([0xaa] * ((width + 7) // 8))
    return {"qr_width": width, "qr": row * width}


class FakeAgent:
    def __init__(self, folder):
        self.path = str(pathlib.Path(folder) / "agent.sock")
        self.answers, self.requests = {}, []
        self.connections = 0
        self._lock = threading.Lock()
        self._open = []

    def __enter__(self):
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(200)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with contextlib.suppress(OSError):
            os.unlink(self.path)
        for s in self._open:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def env(self, **more):
        """An environment that leads here, and nowhere else."""
        return {"PATH": os.environ["PATH"], "HOME": str(pathlib.Path(self.path).parent),
                "AWSENV_SOCK": self.path, **more}

    def on(self, name, *answers):
        """One answer after the other; the last one goes on."""
        self.answers[name] = list(answers)

    def seen(self, name):
        with self._lock:
            return [fields for n, fields in self.requests if n == name]

    def _accept(self):
        while True:
            try:
                s, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(s)
            threading.Thread(target=self._serve, args=(s,), daemon=True).start()

    def _serve(self, s):
        with s, contextlib.suppress(OSError, EOFError):
            while self._answer(s, wire.read_frame(s)):
                pass

    def _answer(self, s, frame):
        size, = struct.unpack_from(">I", frame, 1)
        name, body = frame[5:5 + size].decode(), frame[5 + size:]
        request, reply = KINDS.get(name, ("MSG_EMPTY", None))
        fields = wire.decode(request, body) if name in KINDS else body
        with self._lock:
            self.requests.append((name, fields))
            left = self.answers.get(name, [FAILURE])
            answer = left.pop(0) if len(left) > 1 else left[0]
        if callable(answer):
            answer = answer(fields)
        if answer is CLOSE:
            s.shutdown(socket.SHUT_RDWR)
            return False
        if answer is SILENCE:
            return True
        if answer is FAILURE:
            answer = bytes([wire.SSH_AGENT_FAILURE])
        if isinstance(answer, dict):
            answer = (bytes([wire.SSH_AGENT_EXTENSION_RESPONSE]) +
                      struct.pack(">I", len(name)) + name.encode() +
                      wire.encode(reply, answer))
        s.sendall(struct.pack(">I", len(answer)) + answer)
        return True

    # What an agent would say; each takes the fields that matter to the test.

    def creds(self, *, key=KEY, secret=SECRET, token=TOKEN, expires=None, **rep):
        if expires is None:
            expires = int(time.time()) + 3600
        sealed = wire.encode("MSG_CREDS", access_key=key, secret_key=secret,
                             session_token=token, expires=expires)
        answer = {"profile": "marketing", "account": "123456789012",
                  "role": "Editor", "region": "eu-central-1", "sealed": sealed}
        answer.update(rep)
        return answer

    def change(self, number=1, refreshable=1, **login):
        """watch@: the change of that number is to such a login."""
        return {"change": number, "refreshable": refreshable,
                "login": wire.encode("MSG_LOGIN_REP", self.login(**login))}

    def login(self, state=wire.LOGIN_PENDING, **rep):
        answer = {"state": state, "ticket": 7, "session": "corp", "url": URL,
                  "code": "ABCD-EFGH", "until": int(time.time()) + 630,
                  "host": "desk"}
        if state == wire.LOGIN_DONE:
            answer.update(url="", code="", person="jane@example.com",
                          expires=int(time.time()) + 28800)
        answer.update(rep)
        return answer

    def status(self, **rep):
        answer = {"version": "0.1.0", "agent_pid": 101, "broker_pid": 102,
                  "started": int(time.time()) - 60, "keys_used": 12,
                  "keys_max": 200, "bytes_used": 9000, "bytes_max": 20000,
                  "ring": 77, "sandbox": "seccomp, landlock",
                  "profile": "marketing", "session": "corp",
                  "account": "123456789012", "role": "Editor",
                  "login_state": wire.LOGIN_DONE,
                  "login_expires": int(time.time()) + 3600}
        answer.update(rep)
        return answer
