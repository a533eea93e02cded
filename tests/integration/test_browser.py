# SPDX-License-Identifier: ISC
"""The address on the screen, opened in a real browser, approved by a click."""

import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile

import pytest

from agent import until
from journey import Person
from simulator.client import Simulator

pytestmark = pytest.mark.skipif(
    not shutil.which("chromedriver") or not shutil.which("chromium"),
    reason="chromium and chromium-driver are not installed")


class Browser:
    """WebDriver, as much of it as a person does here."""

    def __init__(self):
        self.home = tempfile.mkdtemp(prefix="awsenv-browser.")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.driver = subprocess.Popen(
            ["chromedriver", f"--port={self.port}"], cwd=self.home,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin", "HOME": self.home,
                 "LANG": "C.UTF-8"}, start_new_session=True)
        self.session = ""
        try:
            until(self._ready, 30, "chromedriver does not answer")
            answer = self.ask("POST", "", {"capabilities": {
                "alwaysMatch": {"goog:chromeOptions": self.options()}}})
            self.session = "/" + answer["sessionId"]
        except BaseException:
            self.close()
            raise

    def options(self):
        return {"binary": shutil.which("chromium"), "args": [
            "--headless=new", "--no-sandbox", "--disable-gpu",
            "--disable-dev-shm-usage", "--no-first-run",
            f"--user-data-dir={self.home}/profile"]}

    def _ready(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def ask(self, method, path, body=None):
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=90)
        link.request(method, f"/session{self.session}{path}",
                     None if body is None else json.dumps(body),
                     {"Content-Type": "application/json"})
        answer = link.getresponse()
        value = json.loads(answer.read())["value"]
        link.close()
        assert answer.status == 200, value
        return value

    def open(self, url):
        self.ask("POST", "/url", {"url": url})

    def text(self):
        return self.ask("POST", "/execute/sync", {
            "script": "return document.body.innerText", "args": []})

    def until(self, words):
        """A click leads to the next page, but not at once."""
        seen = []

        def shown():
            with contextlib.suppress(AssertionError):   # between two pages
                seen.append(self.text())
            return seen and words in seen[-1]
        until(shown, 30, seen)

    def click(self, css):
        found = self.ask("POST", "/element",
                         {"using": "css selector", "value": css})
        self.ask("POST", f"/element/{next(iter(found.values()))}/click", {})

    def close(self):
        try:
            if self.session:
                self.ask("DELETE", "")
        finally:
            os.killpg(self.driver.pid, 9)
            self.driver.wait()
            shutil.rmtree(self.home, ignore_errors=True)


@pytest.fixture
def browser():
    one = Browser()
    yield one
    one.close()


@pytest.mark.parametrize("kind", ["long", "code"])
def test_a_person_approves_by_a_click(browser, kind):
    with Simulator(interval=1, url=kind) as sim, Person(sim) as ann:
        done = ann.run("login", "--no-wait", "-p", "marketing")
        url = re.search(r"^(http\S+)$", done.stderr, re.M)[1]
        code = re.search(r"this code:\s+(\S+)", done.stderr)[1]
        browser.open(url)
        assert code in browser.text(), "the page shows what the screen says"
        assert "awsenv on " in browser.text()
        browser.click("button[value=approve]")
        browser.until("Request approved")
        assert ann.run("login", "--wait", "30", "-p",
                       "marketing").returncode == 0
        assert ann.run("-p", "marketing", "--", "true").returncode == 0


def test_a_person_denies_by_a_click(browser, sim):
    with Person(sim) as ann:
        child = ann.popen("login", "-p", "marketing")
        row = sim.wait_pending()
        browser.open(row["url_complete"])
        browser.click("button[value=deny]")
        browser.until("denied")
        _, err = child.communicate(timeout=60)
        assert child.returncode == 5 and "the login was refused" in err


@pytest.mark.parametrize("button, words, status", [
    ("approve", "awsenv has its login", 0), ("deny", "Not signed in", 5)])
def test_a_browser_on_this_machine_comes_back_with_the_code(
        browser, sim, button, words, status):
    with Person(sim) as ann:
        # chromium does not know the CA of the tests.
        ann.env.update(sim.env(listener="http"))
        with ann.terminal("awsenv", "login", "-p", "marketing", cols=200,
                          DISPLAY=":0", AWSENV_BROWSER="true") as t:
            browser.open(t.until(r"(?m)^(http\S+/authorize\S+)$")[1])
            assert "awsenv on " in browser.text()
            browser.click(f"button[value={button}]")
            browser.until(words)
            assert t.exit_status() == status
