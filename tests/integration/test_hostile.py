# SPDX-License-Identifier: ISC
"""Where a live login must not go: endpoints, proxies and CA bundles that a
config file or an environment names receive no byte of it, and the screen of
the login that they would need says what is not AWS."""

import base64
import contextlib
import json
import re
import shutil
import socket
import threading
import urllib.parse

import pytest

from journey import HANGS, Person
from simulator.ca import Authority
from simulator.client import Simulator

AWS_HOSTS = ["localhost"] + [f"{s}.eu-central-1.amazonaws.com" for s in
                             ("oidc", "portal.sso", "sts")]


class Recorder:
    """Listens, as anything, and keeps every byte that it is sent.

    It speaks TLS where that is asked of it, with a CA of its own, as whatever
    host it is asked for. A CONNECT is agreed to, and what follows listened to.
    """

    def __init__(self, folder):
        ca = Authority("hostile")
        self.bundle = folder / "hostile-ca.pem"
        self.bundle.write_bytes(ca.pem())
        self.context = ca.context(folder, "hostile", AWS_HOSTS)
        self.data, self.visits = b"", 0
        self.server = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.host = f"localhost:{self.server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                link = self.server.accept()[0]
                self.visits += 1
                threading.Thread(target=self._listen, args=(link,),
                                 daemon=True).start()

    def _listen(self, link):
        with contextlib.suppress(OSError, ValueError), link:
            while True:
                link.settimeout(5)
                if link.recv(1, socket.MSG_PEEK) == b"\x16":
                    link = self.context.wrap_socket(link, server_side=True)
                    continue
                break
            while got := link.recv(65536):
                self.data += got
                if got.startswith(b"CONNECT"):
                    link.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                    link = self.context.wrap_socket(link, server_side=True)
                    continue
                link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
                             b"Content-Type: application/json\r\n\r\n{}")

    def close(self):
        self.server.close()


@pytest.fixture
def thief(tmp_path):
    tmp_path.chmod(0o755)
    recorder = Recorder(tmp_path)
    yield recorder
    recorder.close()


class Home(Person):
    """All that leads to AWS stands in the config, nothing in the environment."""

    def __init__(self, sim):
        super().__init__(sim)
        for name in sim.env():
            self.env.pop(name)
        self.ca = self.home / "ca.pem"
        shutil.copy(sim.ca, self.ca)
        self.write(endpoint_url=sim.urls["https"], ca_bundle=self.ca)

    def text(self, more="", **keys):
        return self.sim.config_text(
            {"name": "marketing", **keys}, "platform") + more

    def write(self, more="", **keys):
        self.config.write_text(self.text(more, **keys))


def spellings(secret):
    raw = secret.encode()
    yield from (raw, raw.hex().encode(), base64.b64encode(raw),
                urllib.parse.quote(secret, safe="").encode())


def services(url, *names):
    return "\n[services theirs]\n" + "".join(
        f"{name} =\n  endpoint_url = {url}\n" for name in names)


def by_config(**keys):
    def change(home, sim, thief):
        values = {"endpoint_url": sim.urls["https"], "ca_bundle": home.ca}
        for key, value in keys.items():
            values[key] = value.format(host=thief.host, ca=thief.bundle)
        more = services(f"https://{thief.host}", "sso", "sso_oidc", "sts")
        home.write(more if "services" in keys else "", **values)
        return {}
    return change


def by_environment(**variables):
    def change(home, sim, thief):
        return {name: value.format(host=thief.host, ca=thief.bundle)
                for name, value in variables.items()}
    return change


def another_config(home, sim, thief):
    other = home.home / "other-config"
    other.write_text(home.text(endpoint_url=f"https://{thief.host}",
                               ca_bundle=thief.bundle))
    return {"AWS_CONFIG_FILE": other}


def bundle_in_place(home, sim, thief):
    """The file keeps its name; what it says is another."""
    shutil.copy(thief.bundle, home.ca)
    return {"HTTPS_PROXY": f"http://{thief.host}"}


def bundle_alone(home, sim, thief):
    shutil.copy(thief.bundle, home.ca)
    return {}


WAYS = {
    "endpoint_url": by_config(endpoint_url="https://{host}", ca_bundle="{ca}"),
    "endpoint_url without TLS": by_config(endpoint_url="http://{host}"),
    "services": by_config(services="theirs", ca_bundle="{ca}"),
    "ca_bundle": by_config(ca_bundle="{ca}"),
    "another bundle in its place": bundle_alone,
    "another bundle in its place, and a proxy": bundle_in_place,
    "AWS_CONFIG_FILE": another_config,
    "AWS_ENDPOINT_URL": by_environment(AWS_ENDPOINT_URL="https://{host}",
                                       AWS_CA_BUNDLE="{ca}"),
    "AWS_ENDPOINT_URL_SSO": by_environment(
        AWS_ENDPOINT_URL_SSO="http://{host}"),
    "AWS_ENDPOINT_URL_SSO_OIDC": by_environment(
        AWS_ENDPOINT_URL_SSO_OIDC="http://{host}"),
    "AWS_ENDPOINT_URL_STS": by_environment(
        AWS_ENDPOINT_URL_STS="http://{host}"),
    "AWS_CA_BUNDLE": by_environment(AWS_CA_BUNDLE="{ca}"),
    "HTTPS_PROXY": by_environment(HTTPS_PROXY="http://{host}"),
    "HTTPS_PROXY and AWS_CA_BUNDLE": by_environment(
        HTTPS_PROXY="http://{host}", AWS_CA_BUNDLE="{ca}"),
    "https_proxy": by_environment(https_proxy="http://{host}"),
    "ALL_PROXY": by_environment(ALL_PROXY="socks5h://{host}",
                                AWS_CA_BUNDLE="{ca}"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_live_login_does_not_go_there(sim, thief, way):
    with Home(sim) as ann:
        before = ann.text(endpoint_url=sim.urls["https"], ca_bundle=ann.ca)
        ann.log_in()
        assert ann.run("export", "-p", "marketing").returncode == 0
        # So that there is something to be fetched, with the token.
        ann.run("logout", "--credentials")
        env = WAYS[way](ann, sim, thief)
        for words, status in ((["-p", "marketing", "--", "true"], 125),
                              (["export", "-p", "marketing"], 3),
                              (["process", "-p", "marketing"], 3),
                              (["whoami", "-p", "marketing"], 3),
                              (["logout", "-p", "marketing"], 0)):
            done = ann.run(*words, env=env)
            assert done.returncode == status, (words, done)
            assert done.stdout == "" or words[0] == "logout"
        # Nobody was even asked: this needs a login of its own ...
        assert thief.visits == 0 and sim.counts()["Logout"] == 0
        # ... which, when a person wants it, tells them nothing of the other.
        ann.run("login", "--wait", "2", "-p", "marketing", env=env)
        told = thief.data
        for secret in {s["value"] for s in sim.secrets()}:
            assert not any(s in told for s in spellings(secret))
        # And back as it was, the login is there.
        ann.config.write_text(before)
        shutil.copy(sim.ca, ann.ca)
        done = ann.run("-p", "marketing", "--", "true")
        assert done.returncode == 0, done.stderr


def test_the_recorder_hears_what_is_said(sim, thief):
    """The same thief, where a person chose to go: it does hear it all."""
    with Home(sim) as ann:
        env = WAYS["HTTPS_PROXY and AWS_CA_BUNDLE"](ann, sim, thief)
        ann.write()     # Amazon's own hosts, through the proxy
        ann.run("login", "--wait", "2", "-p", "marketing", env=env)
        assert b"CONNECT oidc.eu-central-1.amazonaws.com:443" in thief.data
        assert b"POST /client/register" in thief.data


# ---- what the screen says

@pytest.mark.parametrize("keys, env, says", [
    ({"endpoint_url": "{url}"}, {"AWS_CA_BUNDLE": "{ca}"},
     r"\*\*\* NOT AWS: endpoint {url} \*\*\*\n  CA bundle {ca}\n"),
    ({"ca_bundle": "{ca}"}, {"HTTPS_PROXY": "{proxy}"},
     r"\n\n  CA bundle {ca}\n  through proxy 127\.0\.0\.1\n"),
    ({"ca_bundle": "{ca}"}, {"AWS_ENDPOINT_URL_SSO_OIDC": "{url}"},
     r"NOT AWS: endpoint {url}"),
])
def test_the_new_logins_screen_says_what_is_not_aws(sim, keys, env, says):
    with Simulator(interval=1) as evil, Home(sim) as ann:
        ann.log_in()
        fill = lambda text: text.format(
            url=evil.urls["https"], ca=evil.ca, proxy=evil.urls["proxy"])
        ann.write(**{k: fill(v) for k, v in keys.items()})
        done = ann.run("login", "--no-wait", "-p", "marketing",
                       env={k: fill(v) for k, v in env.items()})
        assert done.returncode == 0, done.stderr
        quoted = says.format(url=re.escape(evil.urls["https"]),
                             ca=re.escape(evil.ca), proxy="")
        assert re.search(quoted, done.stderr), done.stderr
        # Before the address, not below it.
        at = re.search(quoted, done.stderr).start()
        assert at < done.stderr.index("Open this page")


def test_http_is_for_loopback_only(sim):
    with Home(sim) as ann:
        ann.write(endpoint_url="http://sso.example.com")
        done = ann.run("login", "-p", "marketing")
        assert done.returncode == 4, done.stderr
        assert "http" in done.stderr and done.stderr.count("\n") <= 2


# ---- what would write to the terminal

EVIL = "\x1b]0;owned\x07\x1b[31mbad\u202edab\u2066\x9b1m\r\nawsenv: all is well"
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u061c"
                      "\u202a-\u202e\u2066-\u2069]")


def raw(status, **members):
    return {"status": status, "body": json.dumps(members),
            "headers": {"Content-Type": "application/json"}}


@pytest.mark.parametrize("operation, fault, words", [
    ("RegisterClient", raw(400, error="no", error_description=EVIL), ["login"]),
    ("RegisterClient", raw(400, __type=EVIL, message=EVIL), ["login"]),
    ("StartDeviceAuthorization", raw(400, error=EVIL), ["login"]),
    ("CreateToken", raw(400, error="access_denied", error_description=EVIL),
     ["login"]),
    ("GetRoleCredentials", raw(403, __type="ForbiddenException", message=EVIL),
     ["export"]),
    ("GetCallerIdentity",
     {"status": 403, "headers": {"Content-Type": "text/xml"}, "body":
      "<ErrorResponse><Error><Code>AccessDenied</Code><Message>&#x9b;31m"
      "&#x202e;bad</Message></Error></ErrorResponse>"}, ["whoami"]),
    ("ListAccounts", raw(200, accountList=[
        {"accountId": "012345678901", "accountName": EVIL}]),
     ["export", "--account", "none", "--role", "ReadOnly"]),
    ("StartDeviceAuthorization", {"case": "URL with an escape sequence"},
     ["login"]),
    ("StartDeviceAuthorization", {"case": "user code with an escape sequence"},
     ["login"]),
])
def test_what_aws_says_writes_no_commands_to_the_terminal(
        sim, operation, fault, words):
    with Person(sim) as ann:
        if words[0] != "login":
            ann.log_in()
            ann.run("logout", "--credentials")
        sim.fault(operation, "raw", **fault)
        profile = [] if "--account" in words else ["-p", "marketing"]
        done = ann.run(*words, *profile, timeout=HANGS)
        assert done.returncode in (3, 5, 6), done
        assert not CONTROLS.search(done.stdout + done.stderr), done
        assert done.stderr.count("\n") <= 2
        assert not re.search("^awsenv: all is well", done.stderr, re.M)


def test_a_person_and_accounts_of_any_name_are_shown_harmlessly():
    """What an organisation may really contain."""
    name = "eve\u202e@example.com"
    organisation = {
        "users": [{"name": name, "assignments": [
            {"account": "012345678901", "role": "ReadOnly"}]}],
        "accounts": [{"id": "012345678901", "name": "prod\u202eved\u2066",
                      "email": "a@example.com"}],
        "roles": [{"name": "ReadOnly", "duration": 3600}]}
    with Simulator(interval=1, organisation=organisation) as sim, \
            Person(sim, [{"name": "marketing", "sso_session": "sim",
                          "sso_account_id": "012345678901",
                          "sso_role_name": "ReadOnly"}]) as ann:
        done = ann.log_in(user=name)
        more = [ann.run("status"), ann.run("whoami", "-p", "marketing"),
                ann.run("export", "--account", "x", "--role", "ReadOnly"),
                ann.run("logout", "-p", "marketing")]
        for one in (done, *more):
            assert not CONTROLS.search(one.stdout + one.stderr), one


def test_names_in_the_config_write_no_commands_either(sim):
    with Person(sim) as ann:
        text = ann.config.read_text()
        ann.config.write_text(
            text + "\n[profile \x1b[31mred\u202e]\nregion = x\n"
            "sso_session = \x1b]0;t\x07\n[\x1b[2J]\nfoo = bar\n")
        for words in (["status"], ["export", "-p", "\x1b[31mred\u202e"],
                      ["export", "-p", "\x1b[31m"]):
            done = ann.run(*words)
            assert not CONTROLS.search(done.stdout + done.stderr), done
