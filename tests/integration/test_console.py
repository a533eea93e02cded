# SPDX-License-Identifier: ISC
"""awsenv console: the browser is signed in as the role, by nobody's argv."""

import contextlib
import os
import pathlib
import re
import socket
import subprocess
import sys
import urllib.parse

import pytest

import wire
from agent import children, until
from fetcher import Fetcher, creds
from journey import Person
from simulator import federation
from simulator.client import Simulator
from simulator.visitor import Visitor, browse

ROOT = os.geteuid() == 0
PROFILES = ["marketing", {"name": "home", "region": "us-east-1"},
            {"name": "beijing", "region": "cn-north-1"},
            {"name": "painted", "awsenv_browser": "HERE/browser"}]


@pytest.fixture(scope="module")
def sim():
    with Simulator(accounts=3, roles=2, interval=1) as simulator:
        yield simulator
        assert not simulator.bugs()


class Desk(Person):
    """Logged in, at a desk, with a browser that notes where it is sent."""

    def __init__(self, sim):
        super().__init__(sim, profiles=PROFILES, via="proxy")
        self.visited = self.dir / "visited"
        script = self.dir / "browser"
        script.write_text(f'#!/bin/sh\necho "$1" >>{self.visited}\n'
                          f'cat /proc/$$/cmdline >>{self.visited}.argv\n')
        script.chmod(0o755)
        self.config.write_text(self.config.read_text().replace(
            "HERE", str(self.dir)))
        self.desktop = {"DISPLAY": ":0", "AWSENV_BROWSER": str(script)}

    def at_desk(self, *argv, cols=100, **env):
        return self.terminal("awsenv", *argv, cols=cols,
                             **{**self.desktop, **env})

    def opened(self):
        until(lambda: self.visited.exists() and
              self.visited.read_text().endswith("\n"), 30,
              "no browser was opened")
        return self.visited.read_text().strip()

    def browse(self, url):
        return browse(url, self.sim.ca, proxy=self.sim.urls["proxy"])


@pytest.fixture(scope="module")
def logged_in(sim):
    with Desk(sim) as ann:
        ann.log_in()
        yield ann


@pytest.fixture
def ann(logged_in):
    for path in logged_in.dir.glob("visited*"):
        path.unlink()
    return logged_in


def test_the_browser_is_led_on_and_signed_in(ann, sim):
    with ann.at_desk("console", "marketing") as t:
        url = ann.opened()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{64}", url)
        where, status, page = ann.browse(url)
        assert t.exit_status() == 0
    assert status == 200 and "assumed-role/AWSReservedSSO_ReadOnly" in page
    asked = urllib.parse.parse_qs(urllib.parse.urlsplit(where).query)
    assert where.startswith(f"https://{sim.region}.signin.aws.amazon.com/")
    assert asked["Destination"] == [
        f"https://{sim.region}.console.aws.amazon.com/console/home?"
        f"region={sim.region}"]
    # Once: whoever comes later finds nobody.
    with pytest.raises(OSError):
        ann.browse(url)


@pytest.mark.parametrize("words", [[], ["--logout"]])
def test_the_profiles_own_browser_is_opened(ann, words):
    """AWSENV_BROWSER overrules it, and BROWSER does not."""
    with ann.at_desk("console", "painted", *words, AWSENV_BROWSER=None,
                     BROWSER="/bin/false") as t:
        url = ann.opened()
        if not words:
            assert ann.browse(url)[1] == 200
        assert t.exit_status() == 0


def test_no_secret_stands_in_any_argv_or_file(ann, sim):
    with ann.at_desk("console", "marketing") as t:
        ann.browse(ann.opened())
        assert t.exit_status() == 0
        shown = t.text()
    argv = pathlib.Path(f"{ann.visited}.argv").read_text()
    for row in sim.secrets():
        assert row["value"] not in argv + shown, row["kind"]
        if row["kind"] == "SigninToken":
            found = subprocess.run(
                ["grep", "-rlF", "-e", row["value"], str(ann.home),
                 str(ann.runtime)], capture_output=True, text=True).stdout
            assert found == ""


@pytest.mark.parametrize("words, there", [
    ([], "/console/home?region={0}"),
    (["--service", "s3"], "/s3/home?region={0}"),
    (["--service", "dynamodb"], "/dynamodbv2/home?region={0}"),
    (["--path", "/lambda/home#/functions"], "/lambda/home#/functions"),
    (["--region", "us-east-1"], "/console/home?region=us-east-1")])
def test_it_leads_to_the_page_that_was_asked_for(ann, sim, words, there):
    done = ann.run("console", "marketing", *words, "--print")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "" and done.stdout.count("\n") == 1
    region = words[1] if words[:1] == ["--region"] else sim.region
    url = done.stdout.strip()
    asked = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)
    host = federation.hosts(region)[1]
    assert asked["Destination"] == [f"https://{host}" + there.format(region)]
    assert asked["Issuer"] and url.isprintable()
    assert ann.browse(url)[1] == 200


def test_the_main_region_has_no_name_in_its_hosts(sim):
    key = Visitor(sim).login().credentials()
    facts = dict(ca=sim.ca, proxy=sim.urls["proxy"])
    sealed = creds(key["accessKeyId"], key["secretAccessKey"],
                   key["sessionToken"])
    seen = []
    for region in ("us-east-1", "eu-central-1"):
        answer = Fetcher(**facts).ask(
            "FETCH_CONSOLE", creds=sealed, sts_region=region, page="/x")
        assert answer.error == wire.AW_OK, answer.text
        seen.append(urllib.parse.urlsplit(answer.url.decode()).hostname)
    assert seen == ["signin.aws.amazon.com",
                    "eu-central-1.signin.aws.amazon.com"]


@pytest.mark.parametrize("region", [
    "cn-north-1", "cn-northwest-1", "us-gov-west-1", "us-gov-east-1",
    "eusc-de-east-1"])
def test_other_partitions_have_hosts_of_their_own(region):
    signin, console = federation.hosts(region)
    with Simulator(region=region, interval=1) as sim:
        key = Visitor(sim).login().credentials()
        answer = Fetcher(ca=sim.ca, proxy=sim.urls["proxy"]).ask(
            "FETCH_CONSOLE", sts_region=region, page="/s3/home", creds=creds(
                key["accessKeyId"], key["secretAccessKey"],
                key["sessionToken"]))
        assert answer.error == wire.AW_OK, answer.text
        url = urllib.parse.urlsplit(answer.url.decode())
        assert url.hostname == signin
        assert urllib.parse.parse_qs(url.query)["Destination"] == [
            f"https://{console}/s3/home"]
        assert browse(answer.url.decode(), sim.ca,
                      proxy=sim.urls["proxy"])[1] == 200
        assert {row["host"] for row in sim.proxied()} == {signin}


def test_where_no_console_is_known_that_is_said():
    answer = Fetcher().ask("FETCH_CONSOLE", sts_region="us-iso-east-1",
                           page="/x", creds=creds())
    assert answer.error == wire.AW_CONFIG
    assert b"partition aws-iso has no address" in answer.text


def test_credentials_that_may_not_are_told_so(sim):
    answer = Fetcher(ca=sim.ca, proxy=sim.urls["proxy"]).ask(
        "FETCH_CONSOLE", sts_region=sim.region, page="/x", creds=creds())
    assert answer.error == wire.AW_AWS
    assert answer.text == (b"AWS does not let these credentials sign in to the "
                           b"console (HTTP 400)")


@pytest.mark.parametrize("path, host, more", [
    ("/guessed", None, ""), ("/{0}x", None, ""), ("/", None, ""),
    ("/{0}", "localhost", ""), ("/{0}", None, "Origin: https://evil\r\n")])
def test_a_stranger_is_not_led_anywhere(ann, path, host, more):
    with ann.at_desk("console", "marketing") as t:
        url = urllib.parse.urlsplit(ann.opened())
        with socket.create_connection((url.hostname, url.port), 20) as s:
            s.sendall((f"GET {path.format(url.path[1:])} HTTP/1.1\r\nHost: "
                       f"{host or url.netloc}\r\n{more}\r\n").encode())
            answer = b""
            with contextlib.suppress(ConnectionError):
                while got := s.recv(4096):
                    answer += got
        assert b"HTTP/1.1 40" in answer and b"signin" not in answer
        assert ann.browse(url.geturl())[1] == 200
        assert t.exit_status() == 0


@pytest.mark.skipif(not ROOT, reason="becomes another user")
def test_another_user_is_not_led_anywhere(ann):
    with ann.at_desk("console", "marketing") as t:
        url = ann.opened()
        other = subprocess.run(
            [sys.executable, "-c", "import os, sys, urllib.request\n"
             "os.setgroups([]); os.setgid(62001); os.setuid(62001)\n"
             "urllib.request.urlopen(sys.argv[1], timeout=20)", url],
            capture_output=True, text=True, timeout=60)
        assert other.returncode != 0 and "signin" not in other.stderr
        assert ann.browse(url)[1] == 200
        assert t.exit_status() == 0


def test_who_gives_up_leaves_no_door_open(ann):
    with ann.at_desk("console", "marketing") as t:
        url = ann.opened()
        t.press("C-c")
        t.exit_status()

        def shut():
            try:
                socket.create_connection(
                    (urllib.parse.urlsplit(url).hostname,
                     urllib.parse.urlsplit(url).port), 5).close()
                return False
            except OSError:
                return True
        until(shut, 20, "the port is still open")


@pytest.mark.parametrize("argv, status, words", [
    (["marketing"], 1, "no browser can be opened from here"),
    (["marketing", "--print", "--service", "S3!"], 2, "is no service"),
    (["marketing", "--print", "--path", "s3"], 2, "--path takes"),
    (["marketing", "--print", "--path", "//evil.example/"], 2, "--path takes"),
    (["marketing", "--print", "--path", "/x y"], 2, "--path takes"),
    (["--print", "--service", "s3", "--path", "/x"], 2, "either"),
    (["marketing", "platform"], 2, "takes one profile, and got platform"),
    (["-p", "marketing", "platform"], 2, "given twice"),
    (["marketing", "--all"], 2, "does not go with console"),
    (["nobody", "--print"], 4, "no profile"),
])
def test_what_cannot_be_is_said_in_a_line(ann, argv, status, words):
    done = ann.run("console", *argv)
    assert done.returncode == status, done.stderr
    assert words in done.stderr and done.stdout == ""
    assert done.stderr.count("\n") <= 2


def test_no_login_and_no_network(sim):
    with Desk(sim) as bob:
        done = bob.run("console", "marketing", "--print")
        assert done.returncode == 3 and "a login is needed" in done.stderr
        bob.log_in()
        bob.run("-p", "marketing", "--", "true")
        done = bob.run("console", "marketing", "--print",
                       env={"HTTPS_PROXY": "http://127.0.0.1:9"})
        assert done.returncode in (3, 6)
        done = bob.run("console", "marketing", "--print",
                       env={"AWS_CA_BUNDLE": "/nonexistent"})
        assert done.returncode != 0 and done.stdout == ""


def test_signing_out_needs_no_login(sim):
    with Desk(sim) as bob:
        done = bob.run("console", "--logout", "--print")
        assert done.returncode == 0
        assert done.stdout == (
            "https://signin.aws.amazon.com/oauth?Action=logout\n")
        done = bob.run("console", "--logout", "--print", "--region",
                       "cn-northwest-1")
        assert done.stdout.startswith(
            "https://cn-northwest-1.signin.amazonaws.cn/")
        # By whom a profile names, its partition.
        for words in (["beijing"], ["-p", "beijing"]):
            done = bob.run("console", *words, "--logout", "--print")
            assert done.stdout.startswith(
                "https://signin.amazonaws.cn/"), done.stderr
        done = bob.run("console", "--logout", "--print",
                       env={"AWS_PROFILE": "beijing"})
        assert ".amazonaws.cn/" in done.stdout
        done = bob.run("console", "nobody", "--logout", "--print")
        assert done.returncode == 4 and "no such profile" in done.stderr
        with bob.at_desk("console", "--logout") as t:
            assert bob.opened().endswith("/oauth?Action=logout")
            assert t.exit_status() == 0


def test_its_help_fits_a_narrow_terminal(ann):
    done = ann.run("console", "--help")
    assert done.returncode == 0 and "[PROFILE]" in done.stdout
    for option in ("--service", "--path", "--print", "--logout"):
        assert option in done.stdout
    assert all(len(line) < 80 for line in done.stdout.splitlines())


def test_the_fetcher_ends_with_it(ann):
    with ann.at_desk("console", "marketing") as t:
        ann.browse(ann.opened())
        assert t.exit_status() == 0
    assert not children(os.getpid(), "awsenv-fetch")
