# SPDX-License-Identifier: ISC
"""A desktop for tests: buses of its own with what is usually on them, a
browser that writes down what it is to open, and awsenv login --desktop.

    with Desktop(person) as desktop:
        desktop.start()
        page, = desktop.pages(1)
        note = desktop.notification("Logged in")
"""

import contextlib
import json
import os
import pathlib
import queue
import signal
import subprocess
import tempfile
import threading

from agent import until

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = "/usr/bin/python3"

BUS = """<busconfig>
 <type>session</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
 <policy context="default"><allow send_destination="*" eavesdrop="true"/>
 <allow eavesdrop="true"/><allow own="*"/></policy>
</busconfig>
"""


class Desktop:
    """session, system: is there such a bus?"""

    def __init__(self, person, number=1, session=True, system=True):
        self.person, self.number = person, str(number)
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="desktop.",
                                                 dir=person.dir))
        self.dir.chmod(0o777)
        self.processes, self.programs = [], []
        self.heard, self.notes = queue.Queue(), []
        self.buses = {}
        for name, wanted in (("session", session), ("system", system)):
            if wanted:
                self.bus(name)
        browser = self.dir / "browser"
        browser.write_text(f'#!/bin/sh\necho "$1" >> {self.dir}/pages\n')
        browser.chmod(0o755)
        self.env = {
            "DISPLAY": ":99", "AWSENV_BROWSER": str(browser),
            "XDG_SESSION_ID": self.number,
            "DBUS_SESSION_BUS_ADDRESS":
                self.buses.get("session", f"unix:path={self.dir}/none"),
            "DBUS_SYSTEM_BUS_ADDRESS":
                self.buses.get("system", f"unix:path={self.dir}/none")}
        self.leader = self.spawn(["sleep", "600"])
        if self.buses:
            self.fake = self.spawn(
                [PYTHON, HERE / "fake_desktop.py",
                 self.buses.get("session", ""), self.buses.get("system", "")],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            threading.Thread(target=self._read, daemon=True).start()
            self.until("ready", True)
        if system:
            self.say("session", self.number, {"Leader": self.leader.pid})

    def spawn(self, argv, **options):
        child = subprocess.Popen(
            [str(a) for a in argv], preexec_fn=self.person.become, cwd="/",
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.person.home),
                 "LANG": "C.UTF-8"}, **options)
        self.processes.append(child)
        return child

    def bus(self, name):
        conf, path = self.dir / f"{name}.conf", self.dir / f"{name}.bus"
        conf.write_text(BUS.format(path=path))
        daemon = self.spawn(["dbus-daemon", f"--config-file={conf}",
                             "--nofork", "--nopidfile", "--print-address"],
                            stdout=subprocess.PIPE, text=True)
        self.buses[name] = daemon.stdout.readline().strip()
        setattr(self, name + "_daemon", daemon)

    def _read(self):
        for line in self.fake.stdout:
            self.heard.put(json.loads(line))

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            print("--- the desktop:\n" + self.errors(), self.notes)
        for child in (*self.programs, *reversed(self.processes)):
            child.kill()
            child.wait()
            for stream in (child.stdin, child.stdout):
                if stream:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()

    # What happens to it

    def say(self, *words):
        self.fake.stdin.write(json.dumps(words) + "\n")
        self.fake.stdin.flush()
        self.until("did", words[0])

    def change(self, **values):
        """Properties of its session at logind."""
        self.say("session", self.number, values)

    def start(self, *words, env=None):
        """awsenv login --desktop"""
        with open(self.dir / "errors", "ab") as errors:
            self.programs.append(self.person.popen(
                "login", "--desktop", *words, env={**self.env, **(env or {})},
                stdout=errors, stderr=errors))
        return self.programs[-1]

    def start_ready(self, *words, **options):
        """... and it knows who is where."""
        child = self.start(*words, **options)
        self.until("asked", "GetAll")
        return child

    def end(self):
        os.kill(self.leader.pid, signal.SIGKILL)
        self.leader.wait()

    # What is seen of it

    def errors(self):
        with contextlib.suppress(FileNotFoundError):
            return (self.dir / "errors").read_text()
        return ""

    def _hear(self, seconds):
        said = self.heard.get(timeout=seconds)
        if "notification" in said:
            self.notes.append(said)
        return said

    def until(self, key, value, seconds=30):
        while (said := self._hear(seconds)).get(key) != value:
            pass
        return said

    def notification(self, start, seconds=30):
        """The next one whose title starts so."""
        while True:
            for note in self.notes:
                if note["notification"].startswith(start):
                    self.notes.remove(note)
                    return note
            self._hear(seconds)

    def opened(self):
        with contextlib.suppress(FileNotFoundError):
            return (self.dir / "pages").read_text().split()
        return []

    def pages(self, number, seconds=30):
        return until(lambda: len(self.opened()) >= number and self.opened(),
                     seconds, f"pages: {self.opened()} {self.errors()}")
