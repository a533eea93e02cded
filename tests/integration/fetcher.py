# SPDX-License-Identifier: ISC
"""The real awsenv-fetch, with a test in the place of the broker.

    fetch = Fetcher(oidc=url, portal=url, sts=url, ca=path)
    answer, = fetch.role(tok, account="012345678901", role="ReadOnly")
    with fetch.order("FETCH_LOGIN", client_name="awsenv on here") as talk:
        shown = talk.answer()                   # Fields of MSG_ANSWER
        talk.hint(waiting=1)
"""

import hashlib
import os
import pathlib
import socket
import subprocess

import wire

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.path.abspath(os.environ.get("B", TOP / "build")))
PROGRAM = BUILD / "awsenv-fetch"


class Talk:
    """One awsenv-fetch at work."""

    def __init__(self, what, order, env=None):
        assert PROGRAM.exists(), f"{PROGRAM} is not built"
        self.what = what
        self.link, theirs = wire.Link.pair()
        with theirs:
            fd = theirs.fileno()
            self.process = subprocess.Popen(
                ["/bin/bash", "-c", f'exec "$0" {wire.LINK_FD}<&{fd}', PROGRAM],
                stdin=subprocess.DEVNULL, env=env or {}, pass_fds=[fd],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if order is not None:
            self.link.send("MSG_FETCH", order)

    def answer(self, seconds=30):
        kind, answer = self.link.receive(seconds)
        assert kind == "MSG_ANSWER"
        assert answer.version == wire.MSG_VERSION
        assert answer.tag == b"the tag"
        assert all(32 <= byte < 127 for byte in answer.text)
        assert bool(answer.text) == (answer.error != wire.AW_OK)
        return answer

    def answers(self, seconds=30):
        """All that come, to the last one, and the end of the program."""
        found = [self.answer(seconds)]
        while not found[-1].last:
            found.append(self.answer(seconds))
        self.end()
        return found

    def hint(self, waiting):
        self.link.send("MSG_HINT", version=wire.MSG_VERSION, waiting=waiting)

    def end(self, seconds=10):
        """Its exit status; it must have printed nothing."""
        output, _ = self.process.communicate(timeout=seconds)
        assert output == b"", output
        return self.process.returncode

    def hang_up(self):
        self.link.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.link.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


class Fetcher:
    """Orders for one login; keywords are fields of struct facts, and ca."""

    def __init__(self, ca=None, env=None, **facts):
        self.env = env
        self.facts = {
            "session": "sim", "region": "eu-central-1",
            "start_url": "https://example.awsapps.com/start",
            "scopes": "sso:account:access", **facts}
        if ca:
            self.facts["ca_path"] = str(ca)
            self.facts.setdefault("ca_digest", hashlib.sha256(
                pathlib.Path(ca).read_bytes()).digest())

    @classmethod
    def of(cls, sim, listener="https", **facts):
        url = sim.urls[listener]
        return cls(**{**dict(oidc=url, portal=url, sts=url, region=sim.region,
                             start_url=sim.start_url, ca=sim.ca), **facts})

    def order(self, what, **fields):
        steps = [{"sts": self.facts.get("sts", ""),
                  "sts_region": self.facts["region"], **step}
                 for step in fields.pop("chain", [])]
        return Talk(what, {
            "version": wire.MSG_VERSION, "what": wire.CONSTANTS[what],
            "tag": b"the tag", "facts": wire.encode("MSG_FACTS", self.facts),
            "sts": self.facts.get("sts", ""),
            "sts_region": self.facts["region"],
            "client_name": "awsenv on here",
            "chain": wire.pack("MSG_STEP", steps), **fields}, self.env)

    def ask(self, what, seconds=60, **fields):
        """The one and last answer."""
        with self.order(what, **fields) as talk:
            answer, = talk.answers(seconds)
        return answer

    def role(self, tok, account, role, **fields):
        return self.ask("FETCH_ROLE", tok=tok, account=account, role=role,
                        **fields)


def tok(token="aoaEXAMPLE", expires=4000000000):
    return wire.encode("MSG_TOK", access_token=token, expires=expires)


def ref(refresh="aorEXAMPLE", client="client", secret="secret",
        expires=4000000000):
    return wire.encode("MSG_REF", client_id=client, client_secret=secret,
                       refresh_token=refresh, client_expires=expires)


def creds(access_key="ASIAEXAMPLE", secret="secret", session="session",
          expires=4000000000):
    return wire.encode("MSG_CREDS", access_key=access_key, secret_key=secret,
                       session_token=session, expires=expires)


def closed_port():
    """A port of this machine where nobody listens."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
