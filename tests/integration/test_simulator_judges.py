# SPDX-License-Identifier: ISC
"""The simulator before clients that we did not write: Debian's AWS CLI,
boto3 and botocore, curl."""

import datetime
import importlib.util
import json
import os
import re
import subprocess
import sys
import time

import boto3
import botocore.config
import botocore.exceptions
import botocore.session
import pytest

from simulator import models
from simulator.client import Simulator
from simulator.visitor import Visitor, client

AWS = "/usr/bin/aws"
CURL = "/usr/bin/curl"


def cli_version():
    """(2, 9, 19) of aws-cli/2.9.19 ...; () where it is not installed."""
    if not os.path.exists(AWS):
        return ()
    text = subprocess.run([AWS, "--version"], capture_output=True, text=True,
                          check=True).stdout
    return tuple(map(int, re.match(r"aws-cli/(\d+)\.(\d+)\.(\d+)",
                                   text).groups()))


CLI = cli_version()
needs_cli = pytest.mark.skipif(
    CLI < (2, 9), reason=f"wants {AWS} 2.9 or later (awscli)")


@pytest.fixture
def sim():
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def home(tmp_path, sim, monkeypatch):
    """A home whose config leads to the simulator, for this process too."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "HTTP", "http", "NO_PROXY", "no_proxy")):
            monkeypatch.delenv(name)
    for name, value in {"HOME": str(tmp_path),
                        **sim.env(via="proxy")}.items():
        monkeypatch.setenv(name, value)
    sim.write_config(tmp_path / ".aws/config", "marketing")
    return tmp_path


def aws(*words):
    done = subprocess.run([AWS, *words], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def curl(*words):
    return subprocess.run([CURL, "-sS", *words], capture_output=True,
                          text=True, check=True, timeout=60).stdout


def cli_login(sim, approve):
    """aws sso login; approve(long URL, user code) once it has shown them."""
    process = subprocess.Popen(
        [AWS, "sso", "login", "--no-browser", "--profile", "marketing",
         # Since 2.22 the device flow is no longer what it begins with.
         *(["--use-device-code"] if CLI >= (2, 22) else [])],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    shown = ""
    while "autofill" not in shown or not shown.rstrip().startswith("http", (
            shown.rstrip().rfind("\n") + 1)):
        line = process.stdout.readline()
        assert line, shown
        shown += line
    code = re.search(r"^([A-Z]{4}-[A-Z]{4})$", shown, re.M).group(1)
    approve(shown.split()[-1], code)
    rest = process.communicate(timeout=60)[0]
    return process.returncode, shown + rest


@needs_cli
@pytest.mark.quick
def test_debians_cli_logs_in_through_the_page_and_signs_requests(sim, home):
    def approve(url, code):
        assert code not in url and 600 < len(url) < 2048
        page = curl(url)
        assert code in page and "Allow access" in page
        answer = curl("-d", f"user_code={code}", "-d", "action=approve",
                      "-d", "user=ann@example.com",
                      sim.urls["page"] + "/approve")
        assert "Request approved" in answer

    status, text = cli_login(sim, approve)
    assert status == 0, text
    who = aws("sts", "get-caller-identity", "--profile", "marketing")
    assert re.fullmatch(
        r"arn:aws:sts::012345678901:assumed-role/"
        r"AWSReservedSSO_ReadOnly_[0-9a-f]{16}/ann@example\.com", who["Arn"])
    hosts = {row["host"] for row in sim.proxied()}
    assert hosts == {f"{name}.{sim.region}.amazonaws.com"
                     for name in ("oidc", "portal.sso", "sts")}


@needs_cli
def test_debians_cli_is_told_that_the_person_denied(sim, home):
    def deny(url, code):
        assert "Request denied" in curl(
            "-d", f"user_code={code.lower()}", "-d", "action=deny",
            sim.urls["page"] + "/approve")

    status, text = cli_login(sim, deny)
    assert status != 0 and "AccessDenied" in text


@needs_cli
def test_debians_cli_sees_a_code_expire(sim, home):
    status, text = cli_login(sim, lambda url, code: sim.expire("device"))
    assert status != 0 and "expired" in text


@needs_cli
def test_debians_cli_lists_logs_out_and_is_refused_then(sim, home):
    assert cli_login(sim, lambda url, code: sim.approve(code))[0] == 0
    token = next(json.loads(path.read_text())["accessToken"]
                 for path in (home / ".aws/sso/cache").iterdir()
                 if "accessToken" in path.read_text())
    words = ("--access-token", token, "--profile", "marketing")
    accounts = aws("sso", "list-accounts", *words)["accountList"]
    assert [a["accountName"] for a in accounts] == [
        "marketing", "platform", "sandbox"]
    subprocess.run([AWS, "sso", "logout"], check=True, timeout=60)
    assert sim.counts()["Logout"] == 1
    done = subprocess.run([AWS, "sso", "list-accounts", *words],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "UnauthorizedException" in done.stderr


BOTO3 = """
import boto3
session = boto3.session.Session(profile_name="marketing")
print(session.client("sts").get_caller_identity()["Arn"])
"""


@needs_cli
@pytest.mark.skipif(not importlib.util.find_spec("botocore.tokens"),
                    reason="wants botocore 1.29 or later, for its refresh")
@pytest.mark.parametrize("refresh", ["rotate", "keep", "omit"])
def test_botocore_refreshes_the_clis_token_when_it_runs_out(sim, home,
                                                            refresh):
    sim.settings(refresh=refresh)
    assert cli_login(sim, lambda url, code: sim.approve(code))[0] == 0
    path, = [p for p in (home / ".aws/sso/cache").iterdir()
             if "accessToken" in p.read_text()]
    cached = json.loads(path.read_text())
    soon = datetime.datetime.utcnow() + datetime.timedelta(minutes=1)
    cached["expiresAt"] = soon.strftime("%Y-%m-%dT%H:%M:%SZ")
    path.write_text(json.dumps(cached))
    before = sim.counts()["CreateToken"]
    arn = subprocess.run([sys.executable, "-c", BOTO3], text=True, check=True,
                         capture_output=True, timeout=60).stdout
    assert arn.rstrip().endswith("/ann@example.com")
    assert sim.counts()["CreateToken"] == before + 1
    now = json.loads(path.read_text())
    assert now["accessToken"] != cached["accessToken"]
    assert (now.get("refreshToken") == cached["refreshToken"]) == (
        refresh == "keep")


def test_a_refresh_token_that_was_rotated_away_is_refused(sim):
    visitor = Visitor(sim).login()
    first = visitor.token["refreshToken"]
    visitor.refresh()
    with pytest.raises(visitor.oidc.exceptions.InvalidGrantException):
        visitor.refresh(first)
    visitor.refresh()


def test_without_scopes_there_is_no_refresh_token(sim):
    visitor = Visitor(sim, scopes=[]).login()
    assert "refreshToken" not in visitor.token
    assert visitor.token["expiresIn"] == 28800
    assert visitor.credentials()


def test_boto3_lists_accounts_and_roles_page_by_page():
    with Simulator(accounts=57, roles=23) as sim:
        visitor = Visitor(sim).login()
        token = visitor.token["accessToken"]

        def listed(operation, name, size, **more):
            pages = visitor.sso.get_paginator(operation).paginate(
                accessToken=token, PaginationConfig={"PageSize": size},
                **more)
            return [row for page in pages for row in page[name]]
        accounts = listed("list_accounts", "accountList", 10)
        assert [a["accountId"] for a in accounts] == [
            a["id"] for a in sim.info["accounts"]]
        assert sim.counts()["ListAccounts"] == 6
        roles = listed("list_account_roles", "roleList", 7,
                       accountId=accounts[0]["accountId"])
        assert [r["roleName"] for r in roles] == sim.info["roles"]
        assert sim.counts()["ListAccountRoles"] == 4
        with pytest.raises(visitor.sso.exceptions.InvalidRequestException):
            visitor.sso.list_accounts(accessToken=token, nextToken="bogus")


@pytest.mark.quick
def test_boto3_assumes_a_role_and_the_new_keys_sign(sim):
    visitor = Visitor(sim).login()
    answer = visitor.sts().assume_role(
        RoleArn="arn:aws:iam::210987654321:role/Deploy",
        RoleSessionName="ann@example.com", DurationSeconds=900,
        Tags=[{"Key": "Größe", "Value": "a b+c/=@"}],
        SourceIdentity="ann")
    keys = answer["Credentials"]
    assert answer["SourceIdentity"] == "ann"
    left = keys["Expiration"].timestamp() - time.time()
    assert 890 < left <= 900
    chained = client(sim, "sts", key={
        "accessKeyId": keys["AccessKeyId"],
        "secretAccessKey": keys["SecretAccessKey"],
        "sessionToken": keys["SessionToken"]})
    assert chained.get_caller_identity()["Arn"] == (
        "arn:aws:sts::210987654321:assumed-role/Deploy/ann@example.com")


@pytest.mark.parametrize("role, more, code", [
    ("Locked", {}, "AccessDenied"),
    ("Missing", {}, "AccessDenied"),
    ("External", {}, "AccessDenied"),
    ("External", {"ExternalId": "another-id"}, "AccessDenied"),
    ("Deploy", {"DurationSeconds": 3601}, "ValidationError"),
    ("Deploy", {"RoleSessionName": "no blanks"}, "ValidationError"),
    ("Deploy", {"TokenCode": "12345x"}, "ValidationError"),
    ("External", {"ExternalId": "example-external-id"}, None),
])
def test_assume_role_is_refused_as_aws_does(sim, role, more, code):
    visitor = Visitor(sim).login()
    sts = visitor.sts()
    words = {"RoleArn": f"arn:aws:iam::012345678901:role/{role}",
             "RoleSessionName": "ann", **more}
    if code is None:
        sts.assume_role(**words)
        return
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        sts.assume_role(**words)
    assert caught.value.response["Error"]["Code"] == code


def sts_refusal(sim, key, skew=0):
    if skew:
        sim.skew(skew)
    sts = client(sim, "sts", key=key)
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        sts.get_caller_identity()
    return caught.value.response["Error"]


@pytest.mark.quick
def test_a_signature_by_another_secret_is_refused(sim):
    key = Visitor(sim).login().credentials()
    error = sts_refusal(sim, {**key, "secretAccessKey": "x" * 40})
    assert error["Code"] == "SignatureDoesNotMatch"


def test_a_session_token_of_other_keys_is_refused(sim):
    visitor = Visitor(sim).login()
    key, other = visitor.credentials(), visitor.credentials()
    error = sts_refusal(sim, {**key, "sessionToken": other["sessionToken"]})
    assert error["Code"] == "InvalidClientTokenId"


@pytest.mark.parametrize("skew, words", [
    (330, "Signature expired"), (-330, "Signature not yet current")])
def test_a_clock_five_minutes_off_is_refused(sim, skew, words):
    key = Visitor(sim).login().credentials()
    error = sts_refusal(sim, key, skew)
    assert error["Code"] == "SignatureDoesNotMatch"
    assert words in error["Message"]
    sim.skew(skew * 0.8)
    client(sim, "sts", key=key).get_caller_identity()


def test_a_signature_for_another_region_than_the_hosts_is_refused(sim):
    key = Visitor(sim).login().credentials()
    for region, good in ((sim.region, True), ("us-east-1", False)):
        session = boto3.session.Session(
            key["accessKeyId"], key["secretAccessKey"], key["sessionToken"],
            region_name=region)
        sts = session.client(
            "sts", verify=sim.ca,
            endpoint_url=f"https://sts.{sim.region}.amazonaws.com",
            config=botocore.config.Config(
                proxies={"https": sim.urls["proxy"]},
                retries={"total_max_attempts": 1}))
        if good:
            sts.get_caller_identity()
            continue
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            sts.get_caller_identity()
        assert "valid region" in str(caught.value)


def test_expired_keys_are_refused(sim):
    key = Visitor(sim).login().credentials()
    assert sim.expire("role") == 1
    assert sts_refusal(sim, key)["Code"] == "ExpiredToken"


def test_unsigned_and_misaddressed_requests_are_refused(sim):
    def status(*words):
        return curl("--cacert", sim.ca, "-o", "/dev/null", "-w",
                    "%{http_code}", *words)
    url = sim.urls["https"]
    identity = "Action=GetCallerIdentity&Version=2011-06-15"
    assert status("-d", identity, url + "/") == "403"
    assert status("-d", "Action=Nonsense&Version=2011-06-15", url) == "400"
    assert status(url + "/token") == "405"
    assert status("-d", "", url + "/federation/credentials") == "405"
    assert status(url + "/nowhere") == "404"
    assert status("-d", "clientName=x", url + "/client/register") == "415"
    for body, answer in (
            ("{", "400"), ('{"clientName":"x"}', "400"),
            ('{"clientName":17,"clientType":"public"}', "400"),
            ('{"clientName":"x","clientType":"public","future":null,'
             '"other":1}', "200")):
        assert status("-H", "Content-Type: application/json", "-d", body,
                      url + "/client/register") == answer
    assert status(url + "/assignment/accounts") == "401"


def modelled():
    return [(operation, code) for operation in models.SERVICE_OF
            for code in models.errors_of(operation)]


@pytest.fixture(scope="module")
def shared():
    with Simulator() as simulator:
        visitor = Visitor(simulator).login()
        visitor.key = visitor.credentials()
        yield visitor


def call(visitor, operation):
    """One valid call of each operation."""
    sim = visitor.sim
    token = {"accessToken": visitor.token["accessToken"]}
    account = {"accountId": sim.info["accounts"][0]["id"]}
    sts = client(sim, "sts", key=visitor.key)
    return {
        "RegisterClient": lambda: visitor.oidc.register_client(
            clientName="x", clientType="public"),
        "StartDeviceAuthorization": visitor.begin,
        "CreateToken": visitor.refresh,
        "GetRoleCredentials": visitor.credentials,
        "ListAccounts": lambda: visitor.sso.list_accounts(**token),
        "ListAccountRoles": lambda: visitor.sso.list_account_roles(
            **token, **account),
        "Logout": lambda: visitor.sso.logout(**token),
        "GetCallerIdentity": sts.get_caller_identity,
        "AssumeRole": lambda: sts.assume_role(
            RoleArn="arn:aws:iam::012345678901:role/Deploy",
            RoleSessionName="ann"),
    }[operation]()


@pytest.mark.parametrize("operation, code", modelled())
def test_botocore_reads_each_error_as_that_exception(shared, operation, code):
    shared.sim.fault(operation, "error", code=code, count=1)
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(shared, operation)
    response = caught.value.response
    assert response["Error"]["Code"] == code
    assert response["ResponseMetadata"]["HTTPStatusCode"] == (
        models.errors_of(operation)[code])
    if code in DEBIANS.get(operation, ()):
        assert type(caught.value).__name__ == code
    assert shared.sim.bugs() == []


def debians_exceptions():
    """The exceptions that Debian's botocore has a class for."""
    session = botocore.session.Session()
    return {operation: {shape.name for shape in session.get_service_model(
                service).operation_model(operation).error_shapes}
            for operation, service in models.SERVICE_OF.items()
            if service != "sts"}


DEBIANS = debians_exceptions()


def test_a_wrong_region_shows_only_in_the_browser(sim):
    visitor = Visitor(sim, "other_region")
    device = visitor.begin()
    answer = curl("-d", f"user_code={device['userCode']}", "-d",
                  "action=approve", sim.urls["page"] + "/approve")
    assert "Invalid grant provided" in answer
    with pytest.raises(
            visitor.oidc.exceptions.AuthorizationPendingException):
        visitor.poll()
    sim.expire("device")
    with pytest.raises(visitor.oidc.exceptions.ExpiredTokenException):
        visitor.poll()


def test_a_token_is_worth_nothing_in_another_region(sim):
    visitor = Visitor(sim).login()
    visitor.sso = client(sim, "sso", "other_region")
    with pytest.raises(visitor.sso.exceptions.UnauthorizedException):
        visitor.credentials()


def test_a_registration_is_worth_nothing_in_another_region(sim):
    visitor = Visitor(sim)
    visitor.oidc = client(sim, "sso-oidc", "other_region")
    with pytest.raises(visitor.oidc.exceptions.InvalidClientException):
        visitor.begin()


def test_an_unknown_start_url_is_refused_without_a_word(sim):
    visitor = Visitor(sim)
    visitor.begin(sim.start_url + "/#/")
    with pytest.raises(
            visitor.oidc.exceptions.InvalidRequestException) as caught:
        visitor.begin("https://nobody.awsapps.com/start")
    assert caught.value.response["error"] == "invalid_request"
    assert caught.value.response.get("error_description") is None


def test_a_missing_assignment_is_forbidden_and_the_token_stays_good(sim):
    visitor = Visitor(sim).login(user="bob@example.com")
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        visitor.credentials(role="Developer")
    assert caught.value.response["Error"] == {
        "Code": "ForbiddenException", "Message": "No access"}
    sim.assign("bob@example.com", "marketing", "Developer")
    assert visitor.credentials(role="Developer")
    sim.assign("bob@example.com", "marketing", "Developer", remove=True)
    with pytest.raises(botocore.exceptions.ClientError):
        visitor.credentials(role="Developer")


def test_an_expired_registration_is_an_invalid_client(sim):
    visitor = Visitor(sim).login()
    sim.expire("registration")
    with pytest.raises(visitor.oidc.exceptions.InvalidClientException):
        visitor.refresh()


def test_the_end_of_the_sign_in_session_ends_tokens_and_refreshes(sim):
    visitor = Visitor(sim).login()
    sim.expire("session")
    with pytest.raises(visitor.sso.exceptions.UnauthorizedException):
        visitor.credentials()
    with pytest.raises(visitor.oidc.exceptions.InvalidGrantException):
        visitor.refresh()


def test_polling_too_fast_is_forgiven_once_then_slowed_for_good():
    with Simulator(interval=4) as sim:
        visitor = Visitor(sim)
        visitor.begin()
        errors = visitor.oidc.exceptions
        for _ in range(2):
            with pytest.raises(errors.AuthorizationPendingException):
                visitor.poll()
        with pytest.raises(errors.SlowDownException):
            visitor.poll()
        assert sim.pending()[0]["interval"] == 9
        time.sleep(4.2)
        with pytest.raises(errors.SlowDownException):
            visitor.poll()


def test_a_device_code_works_once(sim):
    visitor = Visitor(sim).login()
    with pytest.raises(visitor.oidc.exceptions.InvalidGrantException):
        visitor.poll()


def test_pre_approved_gives_a_token_at_once():
    with Simulator(pre_approved=True, approve_as="bob@example.com") as sim:
        visitor = Visitor(sim)
        visitor.begin()
        visitor.poll()
        assert visitor.sts().get_caller_identity()["Arn"].endswith(
            "/bob@example.com")


def test_the_page_approves_by_itself_and_says_so():
    with Simulator(approve_after=5) as sim:
        visitor = Visitor(sim)
        device = visitor.begin()
        page = curl(device["verificationUriComplete"])
        assert "approves by itself" in page and device["userCode"] in page
        with pytest.raises(
                visitor.oidc.exceptions.AuthorizationPendingException):
            visitor.poll()
        sim.until(lambda: "Request approved" in curl(
            device["verificationUriComplete"]), 60, "approval")
        visitor.poll()


def test_the_old_kind_of_url_carries_the_code():
    with Simulator(url="code") as sim:
        device = Visitor(sim).begin()
        assert device["userCode"] in device["verificationUriComplete"]
        assert sim.pending()[0]["url_complete"] == (
            device["verificationUriComplete"])
        assert device["userCode"] in curl(device["verificationUriComplete"])
        sim.settings(url="none")
        assert "verificationUriComplete" not in Visitor(sim).begin()


def test_secrets_are_as_long_as_the_real_ones(sim):
    visitor = Visitor(sim).login()
    visitor.credentials()
    sizes = {row["kind"]: len(row["value"]) for row in sim.secrets()}
    assert 1400 < sizes["clientSecret"] < 1900
    assert sizes["deviceCode"] == 86
    assert sizes["accessToken"] == sizes["refreshToken"] == 233
    assert sizes["secretAccessKey"] == 40
    assert 700 < sizes["sessionToken"] < 1100
