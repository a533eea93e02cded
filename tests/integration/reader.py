# SPDX-License-Identifier: ISC
"""Runs awsenv-profile as the spawner does, and collects what it says."""

import os
import pathlib
import subprocess

import wire

BUILD = pathlib.Path(os.environ.get("B", wire.TOP / "build"))
PROGRAM = BUILD / "awsenv-profile"


class Table:
    """What one reader handed over: sessions and profiles by position and name."""

    def __init__(self):
        self.sessions, self.profiles, self.problems = [], {}, []
        self.end = None
        self.order = []     # kinds, as they came

    def add(self, kind, message):
        self.order.append(kind)
        if kind == "MSG_SESSION":
            assert message.index == len(self.sessions)
            message["facts"] = wire.decode("MSG_FACTS", message.facts)
            self.sessions.append(message)
        elif kind == "MSG_PROFILE":
            name = message.name.decode()
            assert name not in self.profiles
            message["chain"] = wire.unpack("MSG_STEP", message.chain)
            message["far_chain"] = wire.unpack("MSG_STEP", message.far_chain)
            message["settings"] = dict(
                entry.decode().split("=", 1)
                for entry in wire.texts(message.settings))
            self.profiles[name] = message
        elif kind == "MSG_PROBLEM_ITEM":
            self.problems.append(message)
        else:
            assert kind == "MSG_TABLE_END"
            self.end = message

    def session_of(self, name):
        profile = self.profiles[name]
        assert profile.error == wire.AW_OK, profile.text
        return self.sessions[profile.session]


class Reader:
    """One awsenv-profile that has been given its request."""

    def __init__(self, config="", env=(), home="/nonexistent", prefix=(), **more):
        self.link, theirs = wire.Link.pair()
        theirs.setblocking(False)       # as link_pair() makes it

        def give():
            os.dup2(theirs.fileno(), wire.LINK_FD)

        environment = {"PATH": "/usr/bin:/bin"}
        if home:
            environment["HOME"] = str(home)
        self.process = subprocess.Popen(
            [*prefix, PROGRAM], preexec_fn=give, close_fds=False,
            env=environment, stdin=subprocess.DEVNULL, **more)
        theirs.close()
        env = env.items() if isinstance(env, dict) else env
        self.link.send("MSG_READ", version=wire.MSG_VERSION, config=str(config),
                       env=wire.join(f"{k}={v}" for k, v in env))

    def collect(self, seconds=30):
        """The table, when the reader has ended."""
        table = Table()
        try:
            while True:
                table.add(*self.link.receive(seconds))
        except EOFError:
            pass
        finally:
            self.link.close()
        self.status = self.process.wait(seconds)
        assert (self.status == 0) == (table.end is not None), self.status
        return table

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.link.close()


def read(config="", env=(), home="/nonexistent", **more):
    return Reader(config, env, home, **more).collect()
