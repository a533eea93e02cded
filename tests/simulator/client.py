# SPDX-License-Identifier: ISC
"""What tests hold in their hands: one Simulator is one local Identity Center.

    with Simulator(accounts=3, interval=1) as sim:
        env = {**os.environ, **sim.env()}
        sim.write_config(path, "marketing", "platform")
        ...
        sim.approve(sim.wait_pending()["user_code"])
        assert sim.counts()["CreateToken"] == 2

Keyword arguments of Simulator() are the options of `python3 -m simulator`
(see options.py) with underscores for dashes; True gives a bare flag, and
`organisation=` takes a dict. Leaving the block ends the process and fails
if the simulator caught itself in an answer that AWS could not give.
"""

import http.client
import json
import os
import pathlib
import select
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = "/usr/bin/python3"


class SimulatorError(Exception):
    """The control API refused, or the simulator did not start."""


class SimulatorBug(AssertionError):
    """The simulator was about to say what AWS could not say."""


class Simulator:
    def __init__(self, directory=None, **options):
        self._made = directory is None
        self.dir = pathlib.Path(directory or
                                tempfile.mkdtemp(prefix="awsenv-simulator."))
        self._options = options
        self._process = None
        self.info = {}

    # Life

    def start(self):
        self.dir.mkdir(parents=True, exist_ok=True)
        command = [PYTHON, str(HERE), "--dir", str(self.dir), "--until-eof"]
        for name, value in self._options.items():
            command += self._option(name, value)
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=open(self.dir / "stderr", "wb"))
        line = self._first_line(20)
        if line != b"ready\n":
            self.stop(check=False, keep=True)
            raise SimulatorError("the simulator did not start: " +
                                 (self.dir / "stderr").read_text())
        self.info = json.loads((self.dir / "simulator.json").read_text())
        return self

    def _option(self, name, value):
        flag = "--" + name.replace("_", "-")
        if name == "organisation" and isinstance(value, dict):
            path = self.dir / "organisation.json"
            path.write_text(json.dumps(value))
            value = path
        if value is True:
            return [flag]
        if value is None or value is False:
            return []
        return [flag, str(value)]

    def _first_line(self, seconds):
        """Read until the newline or the end, so that a crash is not a wait."""
        line, end = b"", time.monotonic() + seconds
        fd = self._process.stdout.fileno()
        while not line.endswith(b"\n"):
            if not select.select([fd], [], [], end - time.monotonic())[0]:
                break
            more = os.read(fd, 64)
            if not more:
                break
            line += more
        return line

    def stop(self, check=True, keep=False):
        """End the process; SimulatorBug if it caught itself in a mistake."""
        if self._process is None:
            return
        bugs = []
        try:
            if check and self._process.poll() is None:
                bugs = self.bugs()
        finally:
            self._process.stdin.close()
            self._process.stdout.close()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
            if self._made and not keep:
                shutil.rmtree(self.dir, ignore_errors=True)
        if bugs:
            raise SimulatorBug(json.dumps(bugs, indent=1))

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, value, trace):
        self.stop(check=kind is None)

    @property
    def pid(self):
        return self._process.pid

    # Where things are

    @property
    def urls(self):
        """https, http, wrong_name, untrusted, expired, elsewhere,
        other_region, page, control, proxy."""
        return self.info["urls"]

    @property
    def ca(self):
        return self.info["ca"]

    @property
    def start_url(self):
        return self.info["start_url"]

    @property
    def region(self):
        return self.info["region"]

    def env(self, via="endpoint", listener="https"):
        """The variables that lead a client here and nowhere else.

        via="endpoint": AWS_ENDPOINT_URL_* (awsenv, newer SDKs);
        via="proxy": the real host names through our CONNECT proxy, which
        leads to this simulator whatever it is asked for. Debian's botocore
        and CLI know no AWS_ENDPOINT_URL and need this one.
        """
        env = {"AWS_CA_BUNDLE": self.ca, "AWS_EC2_METADATA_DISABLED": "true"}
        if via == "proxy":
            env["HTTPS_PROXY"] = self.urls["proxy"]
        else:
            url = self.urls[listener]
            env.update({"AWS_ENDPOINT_URL_SSO_OIDC": url,
                        "AWS_ENDPOINT_URL_SSO": url,
                        "AWS_ENDPOINT_URL_STS": url})
        return env

    def config_text(self, *profiles, session="sim", legacy=False,
                    scopes="sso:account:access", **session_keys):
        """An ~/.aws/config for profiles that are names or dicts.

        A name gives the account of that name (else the first account) with
        the first role. A dict has `name` and any config keys; what of
        sso_account_id, sso_role_name and region it lacks is filled in,
        unless it has a role_arn or a credential_process.
        """
        blocks = []
        if not legacy:
            block = {"sso_start_url": self.start_url, "sso_region": self.region}
            if scopes:
                block["sso_registration_scopes"] = scopes
            blocks.append((f"sso-session {session}", {**block, **session_keys}))
        for profile in profiles:
            keys = ({"name": profile} if isinstance(profile, str)
                    else dict(profile))
            name = keys.pop("name")
            header = name if name == "default" else f"profile {name}"
            if "role_arn" not in keys and "credential_process" not in keys:
                keys = {**self._sso_keys(name, session, legacy), **keys}
            keys.setdefault("region", self.region)
            blocks.append((header, keys))
        return "\n".join(
            f"[{header}]\n" + "".join(f"{k} = {v}\n" for k, v in keys.items())
            for header, keys in blocks)

    def _sso_keys(self, name, session, legacy):
        accounts = self.info["accounts"]
        account = next((a for a in accounts if a["name"] == name), accounts[0])
        keys = ({"sso_start_url": self.start_url, "sso_region": self.region}
                if legacy else {"sso_session": session})
        return {**keys, "sso_account_id": account["id"],
                "sso_role_name": self.info["roles"][0]}

    def write_config(self, path, *profiles, **options):
        path = pathlib.Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.config_text(*profiles, **options))
        return path

    # The control API

    def control(self, verb, **arguments):
        host = self.info["control"]
        link = http.client.HTTPConnection(host["host"], host["port"],
                                          timeout=60)
        try:
            link.request("POST", "/" + verb, json.dumps(arguments),
                         {"Content-Type": "application/json"})
            answer = link.getresponse()
            body = json.loads(answer.read())
        finally:
            link.close()
        if answer.status != 200:
            raise SimulatorError(f"{verb}: {body.get('error', body)}")
        return body

    def pending(self):
        """Device authorizations that nobody has answered yet, oldest first:
        user_code, url, url_complete, client_name, region, interval,
        expires_in."""
        return self.control("pending")["pending"]

    def wait_pending(self, number=1, seconds=20):
        """Wait for that many open authorizations; returns the latest."""
        self.until(lambda: len(self.pending()) >= number, seconds,
                    f"{number} pending device authorization(s)")
        return self.pending()[-1]

    def approve(self, user_code=None, user=None):
        """Approve that code (any spelling), or the only one there is."""
        return self.control("approve", user_code=user_code, user=user)

    def deny(self, user_code=None):
        return self.control("deny", user_code=user_code)

    def counts(self):
        """Requests that arrived, by operation (and "total")."""
        return _Counts(self.control("counts")["counts"])

    def in_flight(self, operation=None):
        """{operation: {"now": n, "most": n}}, or that of one operation."""
        flights = self.control("in_flight")["in_flight"]
        if operation is None:
            return flights
        return flights.get(operation, {"now": 0, "most": 0})

    def wait_in_flight(self, operation, number=1, seconds=20):
        self.until(lambda: self.in_flight(operation)["now"] >= number,
                    seconds, f"{number} {operation} in flight")

    def requests(self, operation=None, since=0):
        """Every request with number > since: number, time, operation,
        listener, status, error, fault, region, in_flight, gone, port. Status
        is None while it is under way and where no answer was sent; gone is who
        asked and had left before there was one; port is that of his end."""
        rows = self.control("requests", since=since)["requests"]
        return [r for r in rows if operation in (None, r["operation"])]

    def proxied(self):
        """What the CONNECT proxy was asked for: host, port, time, status."""
        return self.control("proxied")["proxied"]

    def secrets(self):
        """Every secret handed out: [{"kind", "value", "operation"}]."""
        return self.control("secrets")["secrets"]

    def keys(self):
        """Role credentials handed out: [{"id", "secret", "token", ...}]."""
        return self.control("keys")["keys"]

    def bugs(self):
        """Answers that the simulator refused to itself."""
        return self.control("bugs")["bugs"]

    def fault(self, operation, kind, **parameters):
        """Add a fault; see README.md. Returns its id."""
        return self.control("fault", operation=operation, kind=kind,
                            **parameters)["id"]

    def faults(self):
        """The faults in force, each with how often it has `fired`."""
        return self.control("faults")["faults"]

    def clear_faults(self):
        self.control("clear_faults")

    def delay(self, operation, seconds, when="before"):
        """Hold each answer so long, before or after it took effect."""
        self.control("delay", operation=operation, seconds=seconds, when=when)

    def hold(self, operation, when="before"):
        """Keep every such request in flight until release()."""
        self.control("hold", operation=operation, when=when)

    def release(self, operation=None):
        self.control("release", operation=operation)

    def settings(self, **changes):
        """Change options while it runs; returns all of them."""
        return self.control("settings", **changes)["settings"]

    def skew(self, seconds):
        """Set AWS's clock that far ahead (or, negative, behind) of ours."""
        self.control("skew", seconds=seconds)

    def expire(self, what, **which):
        """what: access_token, refresh_token, registration, device,
        role, session (sign-in); which: user=, user_code=. All by default."""
        return self.control("expire", what=what, **which)["changed"]

    def assign(self, user, account, role, remove=False):
        """Give or take away a role; account by id or name."""
        self.control("assign", user=user, account=account, role=role,
                     remove=remove)

    def proxy_only(self, on=True):
        """Refuse connections to the https port; the proxy still leads in."""
        self.control("proxy_only", on=on)

    def reset(self):
        """Forget everything that happened; options and users stay."""
        self.control("reset")

    @staticmethod
    def until(condition, seconds, what):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise SimulatorError(f"no {what} after {seconds} s")
            time.sleep(0.02)


class _Counts(dict):
    def __missing__(self, operation):
        return 0


if __name__ == "__main__":
    sys.exit("this is a module for tests; run the folder above it")
