# SPDX-License-Identifier: ISC
"""A person with a home, a shell and nothing else running.

    with Person(sim) as ann:
        done = ann.run("-p", "marketing", "--", "env")      # starts an agent
        with ann.terminal("awsenv", "login", rows=60) as t:
            t.until("allow it only if")

Everything goes through the real awsenv, which starts the agent by itself; it
is ended with the block. As root, uid= makes the person somebody else, with an
ordinary user's small key quota.
"""

import contextlib
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time

from agent import BUILD, children, stat, until

AWS = "/usr/bin/aws"
PYTHON = "/usr/bin/python3"
UID = 62000
HANGS = 75      # seconds; nothing of ours may take longer


class Person:
    def __init__(self, sim, profiles=("marketing", "platform"), uid=None,
                 programs=BUILD, base=None, via="endpoint", **config):
        self.sim, self.uid = sim, uid
        self.programs = pathlib.Path(programs)
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="awsenv-person.",
                                                 dir=base))
        self.dir.chmod(0o755)
        self.home, self.runtime = self.dir / "home", self.dir / "run"
        for folder in (self.home, self.runtime):
            folder.mkdir(mode=0o700)
        self.config = self.home / ".aws/config"
        self.env = {
            "HOME": str(self.home), "XDG_RUNTIME_DIR": str(self.runtime),
            "PATH": f"{self.programs}:/usr/bin:/bin", "LANG": "C.UTF-8",
            "TERM": "screen", "AWS_PAGER": "", "SHELL": "/bin/sh"}
        if sim:
            sim.write_config(self.config, *profiles, **config)
            self.env.update(sim.env(via=via))
            if uid is not None:
                sim.dir.chmod(0o755)    # of the CA bundle
        self.give()

    def give(self):
        """All of the home to its owner."""
        if self.uid is None or os.geteuid() != 0:
            return
        for folder in (self.home, self.runtime):
            for path in (folder, *folder.rglob("*")):
                os.chown(path, self.uid, self.uid, follow_symlinks=False)

    def become(self):
        if self.uid is not None and os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(self.uid, self.uid, self.uid)
            os.setresuid(self.uid, self.uid, self.uid)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        agent = self.agent_pid()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.run("agent", "stop", timeout=10)
        if agent and stat(agent):
            with contextlib.suppress(ProcessLookupError):
                os.kill(agent, signal.SIGKILL)
        shutil.rmtree(self.dir, ignore_errors=True)

    # Commands

    def environ(self, env=None):
        both = {**self.env, **(env or {})}
        return {k: str(v) for k, v in both.items() if v is not None}

    def popen(self, *argv, program=None, env=None, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        options.setdefault("cwd", "/")
        return subprocess.Popen(
            [str(program or self.programs / "awsenv"), *map(str, argv)],
            text=True, env=self.environ(env), preexec_fn=self.become, **options)

    def run(self, *argv, timeout=HANGS, **options):
        """awsenv with these words, to its end."""
        child = self.popen(*argv, **options)
        try:
            out, err = child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            raise
        return subprocess.CompletedProcess(child.args, child.returncode, out,
                                           err)

    def status(self, *argv, **options):
        return json.loads(self.run("status", "--json", *argv, **options).stdout)

    def agent_pid(self):
        done = self.run("agent", "status", timeout=20)
        found = re.search(r"pid (\d+)", done.stdout)
        return int(found[1]) if found else None

    def broker_pid(self, agent=None, other_than=None):
        agent = agent or self.agent_pid()
        return until(lambda: next(
            (p for p in children(agent, "awsenv-broker") if p != other_than),
            None), why="there is no broker")

    def log_in(self, profile="marketing", user="ann@example.com", **options):
        """awsenv login, approved as soon as it is shown."""
        with approving(self.sim, user):
            done = self.run("login", "-p", profile, **options)
        assert done.returncode == 0, done.stderr
        return done

    def terminal(self, *argv, rows=24, cols=80, **env):
        return Terminal(self, argv, rows, cols, env)


@contextlib.contextmanager
def approving(sim, user="ann@example.com", deny=False):
    """Somebody who answers every code while the block runs."""
    over = threading.Event()

    def watch():
        while not over.wait(0.05):
            with contextlib.suppress(Exception):
                for row in sim.pending():
                    if deny:
                        sim.deny(row["user_code"])
                    else:
                        sim.approve(row["user_code"], user)
    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class Terminal:
    """A command in a terminal of that size, by tmux."""

    def __init__(self, person, argv, rows, cols, env):
        self.person = person
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="awsenv-tmux."))
        conf, script = self.dir / "conf", self.dir / "script"
        conf.write_text("set -g status off\nset -g remain-on-exit on\n"
                        "set -g history-limit 5000\n")
        variables = {**person.environ(env), "TERM": "screen"}
        # A shell whose child was interrupted says no more, unless it traps.
        # tmux forgets what it has not read yet of a program that ends.
        told = (f"trap : INT; {shlex.join(argv)}; echo EXIT=$?; "
                "exec sleep 600")
        script.write_text(
            "cd /\nexec env -i " + " ".join(
                shlex.quote(f"{k}={v}") for k, v in variables.items()) +
            f" sh -c {shlex.quote(told)}\n")
        if person.uid is not None and os.geteuid() == 0:
            for path in (self.dir, conf, script):
                os.chown(path, person.uid, person.uid)
        self.conf, self.script = conf, script
        self.size = ["-x", str(cols), "-y", str(rows)]

    def tmux(self, *argv):
        return subprocess.run(
            ["tmux", "-S", str(self.dir / "socket"), "-f", str(self.conf),
             *argv], capture_output=True, text=True, timeout=20,
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TERM": "screen",
                 "HOME": str(self.dir)}, preexec_fn=self.person.become,
            cwd="/")

    def __enter__(self):
        done = self.tmux("-u", "new-session", "-d", *self.size, "sh",
                         str(self.script))
        assert done.returncode == 0, done.stderr
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            print("--- the terminal:\n" + self.text())
        self.tmux("kill-server")
        shutil.rmtree(self.dir, ignore_errors=True)

    def screen(self):
        """The lines that are seen now."""
        return self.tmux("capture-pane", "-p").stdout.split("\n")

    def text(self):
        """All that was ever written, long lines joined again."""
        return self.tmux("capture-pane", "-pJ", "-S", "-").stdout

    def raw(self):
        """The same with its escape sequences."""
        return self.tmux("capture-pane", "-peJ", "-S", "-").stdout

    def until(self, pattern, seconds=30):
        """Wait for a regular expression; its match."""
        return until(lambda: re.search(pattern, self.text()), seconds,
                     f"no {pattern!r} on the terminal")

    def press(self, *keys):
        self.tmux("send-keys", *keys)

    def exit_status(self, seconds=HANGS):
        return int(self.until(r"EXIT=(\d+)", seconds)[1])


def processes_of(agent):
    """Every process of the agent's tree, itself first."""
    found, at = [agent], 0
    while at < len(found):
        found += children(found[at])
        at += 1
    return found
