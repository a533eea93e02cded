# SPDX-License-Identifier: ISC
"""A command that awsenv serves, and whatever asks its endpoint.

    with Served(agent.env(), "-p", "marketing") as served:
        assert served.get().json["AccessKeyId"] == KEY

The command is a shell that tells its environment and then waits for the end
of the block.
"""
import contextlib
import http.client
import json
import os
import pathlib
import socket
import subprocess
import urllib.parse
import uuid

from agent import BUILD, stat, until

SHELL = 'env -0; printf "\\0"; exec cat'


class Answer:
    def __init__(self, status, body):
        self.status, self.body = status, body

    @property
    def json(self):
        return json.loads(self.body)


class Served:
    def __init__(self, env, *words, program=BUILD / "awsenv", shell=SHELL,
                 **options):
        self.tag = uuid.uuid4().hex
        self.words = [str(program), "--serve", *words, "sh", "-c", shell,
                      self.tag]
        self.env, self.options = env, options

    def __enter__(self):
        self.child = subprocess.Popen(
            self.words, env=self.env, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **self.options)
        text = b""
        while not text.endswith(b"\0\0"):
            got = os.read(self.child.stdout.fileno(), 65536)
            assert got, self.child.stderr.read()
            text += got
        self.given = dict(e.split("=", 1) for e in
                          text.decode().rstrip("\0").split("\0"))
        self.uri = self.given["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
        self.token = self.given["AWS_CONTAINER_AUTHORIZATION_TOKEN"]
        self.port = urllib.parse.urlsplit(self.uri).port
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        """The command ends; what it had to say on standard error."""
        _, said = self.child.communicate(timeout=30)
        return said.decode()

    def connect(self, seconds=20):
        s = socket.create_connection(("127.0.0.1", self.port), seconds)
        return s

    def get(self, method="GET", path=None, **headers):
        """What the endpoint answers; a header that is None is left out."""
        uri = urllib.parse.urlsplit(self.uri)
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        c.putrequest(method, path or uri.path, skip_host=True,
                     skip_accept_encoding=True)
        for name, value in {"Host": uri.netloc, "Authorization": self.token,
                            **headers}.items():
            if value is not None:
                c.putheader(name, value)
        c.endheaders()
        answer = c.getresponse()
        body = answer.read()
        c.close()
        return Answer(answer.status, body)

    def key(self):
        answer = self.get()
        assert answer.status == 200, answer.body
        return answer.json["AccessKeyId"]

    def server(self):
        """Pid of the endpoint's process."""
        return until(lambda: next(iter(servers(self.tag)), None),
                     why="there is no endpoint")


def servers(tag):
    """Processes that serve a command with that word among its own."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        s = stat(int(entry))
        if not s or s[0] != "awsenv-serve" or s[1] == "Z":
            continue
        with contextlib.suppress(OSError):
            argv = pathlib.Path(f"/proc/{entry}/cmdline").read_text()
            if tag in argv.split("\0"):
                found.append(int(entry))
    return found
