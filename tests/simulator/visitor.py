# SPDX-License-Identifier: ISC
"""A login made by boto3, for tests that need tokens and no awsenv; and what a
person does in a browser."""

import re
import ssl
import urllib.error
import urllib.parse
import urllib.request

import boto3
import botocore.config

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
SCOPES = ["sso:account:access"]


def client(sim, service, listener="https", key=None, attempts=1, **config):
    """A boto3 client of the simulator; key: roleCredentials to sign with.
    It sends whatever it is given, so that it is the simulator who refuses."""
    key = key or {"accessKeyId": "ASIANOBODY", "secretAccessKey": "none",
                  "sessionToken": "none"}
    session = boto3.session.Session(
        key["accessKeyId"], key["secretAccessKey"], key["sessionToken"],
        region_name=sim.region)
    return session.client(
        service, endpoint_url=sim.urls[listener], verify=sim.ca,
        config=botocore.config.Config(
            # Old models want a device code with a refresh token.
            parameter_validation=False,
            retries={"total_max_attempts": attempts, "mode": "standard"},
            **config))


class Visitor:
    def __init__(self, sim, listener="https", scopes=SCOPES):
        self.sim = sim
        self.oidc = client(sim, "sso-oidc", listener)
        self.sso = client(sim, "sso", listener)
        self.registration = self.oidc.register_client(
            clientName="visitor", clientType="public", scopes=scopes)

    @property
    def who(self):
        return {name: self.registration[name]
                for name in ("clientId", "clientSecret")}

    def begin(self, start_url=None):
        self.device = self.oidc.start_device_authorization(
            startUrl=start_url or self.sim.start_url, **self.who)
        return self.device

    def poll(self):
        return self._keep(self.oidc.create_token(
            grantType=GRANT, deviceCode=self.device["deviceCode"],
            **self.who))

    def refresh(self, token=None):
        return self._keep(self.oidc.create_token(
            grantType="refresh_token",
            refreshToken=token or self.token["refreshToken"], **self.who))

    def _keep(self, token):
        self.token = token
        return token

    def login(self, user=None):
        """The whole way, approved through the control API."""
        self.begin()
        self.sim.approve(self.device["userCode"], user)
        self.poll()
        return self

    def credentials(self, account=None, role=None):
        info = self.sim.info
        return self.sso.get_role_credentials(
            accessToken=self.token["accessToken"],
            accountId=account or info["accounts"][0]["id"],
            roleName=role or info["roles"][0])["roleCredentials"]

    def sts(self, **config):
        return client(self.sim, "sts", key=self.credentials(), **config)


def browse(url, ca, data=None, proxy=None):
    """(where it led, status, page), through all redirects."""
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({"https": proxy} if proxy else {}),
        urllib.request.HTTPSHandler(
            context=ssl.create_default_context(cafile=ca)))
    try:
        answer = opener.open(url, data, timeout=60)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return answer.url, answer.status, answer.read().decode()


def allow(url, ca, user="ann@example.com", deny=False):
    """Open the address, sign in, press the button; see browse()."""
    where, status, page = browse(url, ca)
    assert status == 200, (status, page)
    handle = re.search(r'name="handle" value="([^"]+)"', page)[1]
    form = {"handle": handle, "user": user,
            "action": "deny" if deny else "approve"}
    return browse(urllib.parse.urljoin(where, "/authorize"), ca,
                  urllib.parse.urlencode(form).encode())
