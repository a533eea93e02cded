# SPDX-License-Identifier: ISC
"""What was handed out and still counts: registrations, codes, tokens, keys."""

import base64
import dataclasses
import hashlib
import json
import secrets
import threading
import time
import uuid


@dataclasses.dataclass
class Client:
    id: str
    secret: str
    name: str
    region: str
    scopes: list
    grants: list            # None: whatever a public client may
    expires: float
    redirects: list = ()


@dataclasses.dataclass
class Device:
    code: str
    user_code: str
    handle: str             # what the long URL carries in its stead
    client: Client
    created: float
    expires: float
    interval: float
    url: str = None
    url_complete: str = None
    polled: float = None    # monotonic, of the last CreateToken
    hurried: bool = False   # came once before the interval was over
    user: str = None
    denied: bool = False
    used: bool = False

    @property
    def decided(self):
        return self.user is not None or self.denied or self.used


@dataclasses.dataclass
class Authorization:
    """A browser on its way; with a code once the person has allowed it."""
    handle: str
    client: Client
    back: str               # with the port
    state: str
    challenge: str
    expires: float
    decided: bool = False
    user: str = None
    used: bool = False


@dataclasses.dataclass
class SignIn:
    """A user-interactive session; all tokens hang on it."""
    user: str
    expires: float
    ended: bool = False


@dataclasses.dataclass
class Token:
    value: str
    sign_in: SignIn
    client: Client
    region: str
    expires: float
    spent: bool = False


@dataclasses.dataclass
class Key:
    """Temporary credentials and who they are."""
    id: str
    secret: str
    token: str
    account: str
    arn: str
    user_id: str
    expires: float
    policy: str = ""     # that its session was narrowed by


class State:
    def __init__(self, options, organisation):
        self.options = options
        self.organisation = organisation
        self.lock = threading.RLock()
        self.page_url = None
        self.forget()

    def forget(self):
        with self.lock:
            self.clients = {}
            self.devices = {}       # by device code
            self.authorizations = {}    # by handle
            self.codes = {}
            self.signins = {}
            self.access = {}
            self.refresh = {}
            self.keys = {}
            self.secrets = []

    def now(self):
        """AWS's clock."""
        return time.time() + self.options.skew

    def _secret(self, kind, value, operation):
        self.secrets.append({"kind": kind, "value": value,
                             "operation": operation})
        return value

    # Making

    def make_client(self, name, region, scopes, grants, redirects=()):
        now = self.now()
        # Whole seconds are told, so they are what counts.
        expires = int(now + self.options.registration_life)
        number = _b64url(secrets.token_bytes(16) + region.encode())
        client = Client(
            number,
            self._secret("clientSecret",
                         _client_secret(number, name, scopes, now, expires),
                         "RegisterClient"),
            name, region, scopes, grants, expires, redirects)
        self.clients[client.id] = client
        return client

    def make_device(self, client):
        now = self.now()
        device = Device(
            self._secret("deviceCode", _b64url(secrets.token_bytes(64)),
                         "StartDeviceAuthorization"),
            self._user_code(), str(uuid.uuid4()), client, now,
            now + self.options.device_life, self.options.interval)
        self.devices[device.code] = device
        return device

    def _user_code(self):
        letters = "BCDFGHJKLMNPQRSTVWXZ"
        while True:
            text = "".join(secrets.choice(letters) for _ in range(8))
            code = f"{text[:4]}-{text[4:]}"
            if all(d.user_code != code for d in self.devices.values()):
                return code

    def make_authorization(self, client, back, state, challenge):
        authorization = Authorization(
            str(uuid.uuid4()), client, back, state, challenge,
            self.now() + self.options.device_life)
        self.authorizations[authorization.handle] = authorization
        return authorization

    def make_code(self, authorization, user):
        code = self._secret("code", _b64url(secrets.token_bytes(96)),
                            "authorize")
        authorization.user = user
        authorization.expires = self.now() + self.options.code_life
        self.codes[code] = authorization
        return code

    def make_signin(self, key, host):
        token = self._secret("SigninToken", _b64(600), "getSigninToken")
        self.signins[token] = (key, host, self.now() + 900)
        return token

    def make_access(self, sign_in, client, life):
        value = "aoa" + _token_text()
        token = Token(self._secret("accessToken", value, "CreateToken"),
                      sign_in, client, client.region,
                      min(self.now() + life, sign_in.expires))
        self.access[value] = token
        return token

    def make_refresh(self, sign_in, client):
        value = "aor" + _token_text()
        token = Token(self._secret("refreshToken", value, "CreateToken"),
                      sign_in, client, client.region, sign_in.expires)
        self.refresh[value] = token
        return token

    def make_key(self, account, role_name, session_name, life, operation):
        organisation = self.organisation
        role_id = "AROA" + _upper(hashlib.sha256(
            f"{account}/{role_name}".encode()).digest(), 17)
        key = Key(
            "ASIA" + _upper(secrets.token_bytes(16), 16),
            self._secret("secretAccessKey", _b64(30), operation),
            self._secret("sessionToken", "IQoJb3JpZ2luX2VjE" + _b64(
                555 + secrets.randbelow(4) * 45 + 1), operation),
            account,
            f"arn:{organisation.partition}:sts::{account}:assumed-role/"
            f"{role_name}/{session_name}",
            f"{role_id}:{session_name}", int(self.now() + life))
        self.keys[key.id] = key
        return key

    # Looking up

    def device_of(self, user_code=None, handle=None):
        wanted = "".join(c for c in (user_code or "").upper() if c.isalnum())
        for device in self.devices.values():
            if handle and device.handle == handle:
                return device
            if wanted and device.user_code.replace("-", "") == wanted:
                return device
        return None

    def settle(self, device):
        """Approve what approves itself, as far as the time has come."""
        after = self.options.approve_after
        if (after is None or device.decided or not self.is_here(device) or
                self.now() < device.created + after):
            return
        device.user = self.options.approve_as or self.organisation.users[0]

    def is_here(self, device):
        """Whether it was started in the region where the users are."""
        return device.client.region == self.organisation.region

    def pending(self):
        now = self.now()
        for device in self.devices.values():
            self.settle(device)
        return [d for d in self.devices.values()
                if not d.decided and d.expires > now]

    def expire(self, what, user=None, user_code=None):
        """Let things run out now; how many there were."""
        now, number = self.now() - 1, 0
        tokens = [*self.access.values(), *self.refresh.values()]
        things = {
            "access_token": list(self.access.values()),
            "refresh_token": list(self.refresh.values()),
            "registration": list(self.clients.values()),
            "device": list(self.devices.values()),
            "role": list(self.keys.values()),
            "session": list({id(t.sign_in): t.sign_in
                             for t in tokens}.values()),
        }[what]
        for thing in things:
            sign_in = getattr(thing, "sign_in", thing)
            if user and getattr(sign_in, "user", user) != user:
                continue
            if user_code and getattr(thing, "user_code", None) != user_code:
                continue
            if thing.expires > now:
                thing.expires = now
                number += 1
            if what == "session":
                thing.ended = True
        return number


def _b64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _b64(length):
    return base64.b64encode(secrets.token_bytes(length)).decode()


def _upper(data, length):
    return base64.b32encode(data).decode().rstrip("=")[:length]


def _token_text():
    """233 characters in all, of both base64 alphabets, like the real ones."""
    return (_b64url(secrets.token_bytes(75))[:99] + ":" +
            _b64(98)[:130])


def _client_secret(number, name, scopes, issued, expires):
    """A JWT as long as real ones are; nobody but us looks inside."""
    def part(value):
        return _b64url(json.dumps(value).encode())
    serialized = json.dumps({
        "clientId": {"value": number}, "idempotentKey": None, "tenantId": None,
        "clientName": name, "backfillVersion": None, "clientType": "PUBLIC",
        "templateArn": None, "templateContext": None,
        "expirationTimestamp": expires, "createdTimestamp": issued,
        "updatedTimestamp": issued, "createdBy": None, "updatedBy": None,
        "status": None, "initiateLoginUri": None, "entitledResourceId": None,
        "entitledResourceContainerId": None, "externalId": None,
        "softwareId": None, "registeredScopes": scopes,
        "authenticationConfiguration": None, "requestTags": None,
        "nonce": _b64(240)})
    head = {"kid": "key-" + str(int(issued)), "alg": "HS384"}
    return ".".join((part(head), part({"serialized": serialized}),
                     _b64url(secrets.token_bytes(48))))
