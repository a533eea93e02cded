# SPDX-License-Identifier: ISC
"""The simulator's authorization code: as strict as AWS, or stricter."""

import base64
import hashlib
import json
import secrets
import ssl
import urllib.error
import urllib.parse
import urllib.request

import botocore.exceptions
import pytest

from simulator.client import Simulator
from simulator.visitor import SCOPES, allow, browse, client

BACK = "http://127.0.0.1/oauth/callback"
GRANTS = ["authorization_code", "refresh_token"]


@pytest.fixture(scope="module")
def sim():
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def oidc(sim):
    return client(sim, "sso-oidc")


def post(sim, path, values):
    """By the wire: Debian's model of it is older than the grant."""
    request = urllib.request.Request(
        sim.urls["https"] + path, json.dumps(
            {k: v for k, v in values.items() if v is not None}).encode(),
        {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(
        request, context=ssl.create_default_context(cafile=sim.ca)))


def register(sim, **changes):
    return post(sim, "/client/register", {
        "clientName": "visitor", "clientType": "public", "scopes": SCOPES,
        "grantTypes": GRANTS, "redirectUris": [BACK],
        "issuerUrl": sim.start_url, **changes})


class Flow:
    def __init__(self, sim, port=9, **asked):
        self.sim = sim
        self.client = register(sim)
        self.verifier = secrets.token_urlsafe(48)
        self.back = BACK.replace("127.0.0.1", f"127.0.0.1:{port}")
        digest = hashlib.sha256(self.verifier.encode()).digest()
        self.asked = {
            "response_type": "code", "client_id": self.client["clientId"],
            "redirect_uri": self.back, "state": "s",
            "code_challenge_method": "S256", "scopes": " ".join(SCOPES),
            "code_challenge": base64.urlsafe_b64encode(
                digest).decode().rstrip("="), **asked}

    @property
    def url(self):
        return (self.sim.urls["https"] + "/authorize?" +
                urllib.parse.urlencode(
                    {k: v for k, v in self.asked.items() if v is not None}))

    def code(self, **how):
        """What the address to go back to was given; nobody listens there."""
        with pytest.raises(OSError):
            allow(self.url, self.sim.ca, **how)
        return next(s["value"] for s in reversed(self.sim.secrets())
                    if s["kind"] == "code")

    def redeem(self, code, **changes):
        try:
            return post(self.sim, "/token", {
                "clientId": self.client["clientId"],
                "clientSecret": self.client["clientSecret"],
                "grantType": "authorization_code", "code": code,
                "codeVerifier": self.verifier, "redirectUri": self.back,
                **changes})
        except urllib.error.HTTPError as error:
            return json.load(error)


def test_a_code_is_good_once(sim, oidc):
    flow = Flow(sim)
    code = flow.code()
    token = flow.redeem(code)
    assert token["accessToken"] and token["refreshToken"]
    assert flow.redeem(code)["error"] == "invalid_grant"
    again = oidc.create_token(
        clientId=flow.client["clientId"],
        clientSecret=flow.client["clientSecret"], grantType="refresh_token",
        refreshToken=token["refreshToken"])
    assert again["accessToken"] != token["accessToken"]


@pytest.mark.parametrize("changes, error", [
    ({"codeVerifier": "x" * 64}, "invalid_grant"),
    ({"codeVerifier": None}, "invalid_request"),
    ({"redirectUri": BACK}, "invalid_grant"),
    ({"redirectUri": None}, "invalid_request"),
    ({"code": "guessed"}, "invalid_grant"),
    ({"clientSecret": "guessed"}, "invalid_client")])
def test_it_is_good_for_who_asked_only(sim, changes, error):
    flow = Flow(sim)
    assert flow.redeem(**{"code": flow.code(), **changes})["error"] == error


def test_another_client_cannot_redeem_it(sim):
    one, two = Flow(sim), Flow(sim)
    code = one.code()
    assert two.redeem(code, codeVerifier=one.verifier)[
        "error"] == "invalid_grant"


@pytest.mark.parametrize("asked", [
    {"client_id": "nobody"}, {"redirect_uri": "http://127.0.0.1:9/other"},
    {"redirect_uri": "http://evil.example/oauth/callback"},
    {"redirect_uri": "http://me@127.0.0.1/oauth/callback"},
    {"redirect_uri": None}])
def test_nobody_is_sent_where_nothing_is_registered(sim, asked):
    where, status, _ = browse(Flow(sim, **asked).url, sim.ca)
    assert status == 400 and where.startswith(sim.urls["https"])


@pytest.mark.parametrize("asked, error", [
    ({"response_type": "token"}, "unsupported_response_type"),
    ({"code_challenge_method": "plain"}, "invalid_request"),
    ({"code_challenge": "short"}, "invalid_request"),
    ({"code_challenge": None}, "invalid_request"),
    ({"scopes": "other:scope"}, "invalid_scope"), ({"scopes": None},
                                                   "invalid_scope")])
def test_what_is_wrong_is_told_to_the_program(sim, asked, error):

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_):
            return None
    flow = Flow(sim, **asked)
    opener = urllib.request.build_opener(Stay, urllib.request.HTTPSHandler(
        context=ssl.create_default_context(cafile=sim.ca)))
    with pytest.raises(urllib.error.HTTPError) as caught:
        opener.open(flow.url)
    there = caught.value.headers["Location"]
    assert there.startswith(flow.back + "?") and f"error={error}" in there


@pytest.mark.parametrize("changes", [
    {"redirectUris": None}, {"redirectUris": []}, {"issuerUrl": None},
    {"issuerUrl": "https://other.example/start"},
    {"redirectUris": ["http://evil.example/x"]},
    {"grantTypes": GRANTS + [
        "urn:ietf:params:oauth:grant-type:device_code"]}])
def test_a_registration_says_where_browsers_come_back(sim, changes):
    with pytest.raises(OSError):
        register(sim, **changes)


def test_a_client_of_one_grant_has_no_other(sim, oidc):
    flow = Flow(sim)
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        oidc.start_device_authorization(
            startUrl=sim.start_url, clientId=flow.client["clientId"],
            clientSecret=flow.client["clientSecret"])
    assert caught.value.response["Error"]["Code"] == (
        "UnauthorizedClientException")


def test_a_code_has_its_time(sim):
    sim.settings(code_life=-1)
    try:
        flow = Flow(sim)
        assert flow.redeem(flow.code())["error"] == "invalid_grant"
    finally:
        sim.settings(code_life=60)
