# SPDX-License-Identifier: ISC
"""Every fault of the simulator, as the person sees it: one or two lines that
say what failed, and the exit status of awsenv(1).

Each occasion is a request that AWS is asked and the verb that leads to it. It
has a simulator and a person of its own, and all run side by side, since most
of the time is spent waiting; the tests then look at what was seen.
"""
# Starts first: it takes minutes.

import collections
import concurrent.futures
import os
import re
import time

import pytest

from journey import HANGS, Person, approving
from simulator import models
from simulator.client import Simulator

Case = collections.namedtuple("Case", "occasion kind options status says")
Seen = collections.namedtuple("Seen", "status out err seconds followed secrets")

# Their keys are charged to one user; only root's quota has room for all.
AT_ONCE = 20 if os.geteuid() == 0 else 8

GOOD, LOGIN, CONFIG, REFUSED, NETWORK = 0, 3, 4, 5, 6

# occasion: (operation, words)
OCCASIONS = {
    "register": ("RegisterClient", ["login", "-p", "marketing"]),
    "start": ("StartDeviceAuthorization", ["login", "-p", "marketing"]),
    "poll": ("CreateToken", ["login", "--wait", "5", "-p", "marketing"]),
    "refresh": ("CreateToken", ["export", "-p", "marketing"]),
    "role": ("GetRoleCredentials", ["export", "-p", "marketing"]),
    "whoami": ("GetCallerIdentity", ["whoami", "-p", "marketing"]),
    "assume": ("AssumeRole", ["export", "-p", "deploy"]),
    "account": ("ListAccounts",
                ["export", "--account", "marketing", "--role", "ReadOnly"]),
    "logout": ("Logout", ["logout", "-p", "marketing"]),
}
PROFILES = ["marketing", {
    "name": "deploy", "source_profile": "marketing",
    "role_arn": "arn:aws:iam::012345678901:role/Deploy"}]

BROKE_OFF = r"the connection to \S+ broke off"
TOO_LARGE = r"the answer of \S+ is too large to be AWS's"
NOT_AWS = r"something that is not AWS"
TOO_OFTEN = r"is asked too often \(HTTP \d+.*\), try again later"
OUT_OF_ORDER = r"is out of order \(HTTP 50\d.*\), try again later"
NOT_FOLLOWED = r"redirects to \S+ \(HTTP 307\), which awsenv does not follow"
COMMON = [
    ("status", {"status": 503}, NETWORK, OUT_OF_ORDER),
    ("status", {"status": 500, "body": "html"}, NETWORK, OUT_OF_ORDER),
    ("status", {"status": 429, "body": "empty"}, NETWORK, TOO_OFTEN),
    ("status", {"status": 503, "retry_after": 3600}, NETWORK, OUT_OF_ORDER),
    ("status", {"status": 429, "retry_after": 1, "count": 1}, GOOD, ""),
    ("quota", {"rate": 0}, NETWORK, TOO_OFTEN),
    ("reset", {}, NETWORK, BROKE_OFF),
    ("lost", {}, NETWORK, BROKE_OFF),
    ("close", {}, NETWORK, BROKE_OFF),
    ("truncated", {}, NETWORK, BROKE_OFF),
    ("reset", {"count": 1}, GOOD, ""),
    ("huge", {}, NETWORK, TOO_LARGE),
    ("headers", {}, NETWORK, TOO_LARGE),
    ("gzip", {}, NETWORK, TOO_LARGE),
    ("nested", {}, NETWORK, f"{TOO_LARGE}|{NOT_AWS}"),
    ("html", {}, NETWORK, NOT_AWS),
    ("html", {"status": 403}, NETWORK, r"not AWS \(HTTP 403\)"),
    ("redirect", {"to": "http"}, NETWORK, NOT_FOLLOWED),
    ("redirect", {"to": "elsewhere"}, NETWORK, NOT_FOLLOWED),
    ("redirect", {"to": "loop"}, NETWORK, NOT_FOLLOWED),
    ("raw", {"body": ""}, NETWORK, NOT_AWS),
    ("trickle", {"seconds": 0.001}, GOOD, ""),
]
CHANGED = {
    "register": ({"drop": ["clientId"]}, NETWORK, NOT_AWS),
    "start": ({"set": {"verificationUriComplete": "javascript:alert(1)",
                       "verificationUri": "javascript:alert(1)"}},
              REFUSED, "is no https URL"),
    "refresh": ({"drop": ["accessToken"]}, NETWORK, NOT_AWS),
    "role": ({"drop": ["roleCredentials.sessionToken"]}, NETWORK,
             "without role credentials"),
    "account": ({"set": {"accountList": []}}, REFUSED, "has no account at all"),
}
CUT_OFF = ("raw", {"case": "STS answer cut off"}, NETWORK, NOT_AWS)

THROTTLED = {"TooManyRequestsException", "SlowDownException", "Throttling"}
BROKEN = {"InternalServerException", "InternalFailure", "ServiceUnavailable"}
SAYS_NO = {     # what is said where AWS says no for good
    "register": r"says no \(HTTP \d+ \w+\)",
    "start": r"says no \(HTTP \d+ \w+\)|is sso_start_url right\? \(\w+\)",
    "poll": r"says no \(HTTP \d+ \w+\)",
    "refresh": r"says no \(HTTP \d+ \w+\)",
    "role": r"AWS refuses role ReadOnly in account 012345678901 \(\w+\)",
    "whoami": r"says no \(HTTP \d+ \w+\)",
    "assume": r"cannot assume arn:aws:iam::012345678901:role/Deploy",
    "account": r"says no \(HTTP \d+ \w+\)",
}
SPECIAL = {     # (occasion, code): (status, words)
    ("role", "UnauthorizedException"): (LOGIN, "a login is needed"),
    ("account", "UnauthorizedException"): (LOGIN, "a login is needed"),
    ("role", "ForbiddenException"):
        (REFUSED, "no access to role ReadOnly in account 012345678901"),
    ("role", "ResourceNotFoundException"):
        (REFUSED, "there is no role ReadOnly in account 012345678901"),
    ("poll", "AccessDeniedException"): (REFUSED, "the login was refused"),
    ("refresh", "AccessDeniedException"): (REFUSED, "the login was refused"),
    ("poll", "ExpiredTokenException"): (LOGIN, "ran out before it was appro"),
    ("poll", "InvalidGrantException"): (LOGIN, "ran out before it was appro"),
    ("assume", "AccessDenied"): (REFUSED, "not allowed to assume arn:"),
    ("assume", "SignatureDoesNotMatch"): (REFUSED, "machine's clock right"),
    ("whoami", "SignatureDoesNotMatch"): (REFUSED, "machine's clock right"),
}
for code in ("InvalidClientException", "InvalidGrantException",
             "UnauthorizedClientException", "UnsupportedGrantTypeException",
             "ExpiredTokenException"):
    SPECIAL["refresh", code] = (LOGIN, "a login is needed")
WAITED = "not approved within 5 s; the code stays valid until"


def errors(occasion):
    for code in models.errors_of(OCCASIONS[occasion][0]):
        status, says = SPECIAL.get((occasion, code), (REFUSED, None))
        if says is None:
            says = SAYS_NO[occasion]
            if code in THROTTLED:
                status, says = NETWORK, TOO_OFTEN
            if code in BROKEN:
                status, says = NETWORK, OUT_OF_ORDER
            if occasion == "poll" and code in {
                    *THROTTLED, *BROKEN, "AuthorizationPendingException"}:
                status, says = LOGIN, WAITED
            if (occasion, code) == ("refresh", "SlowDownException"):
                says = "SlowDownException"
        yield Case(occasion, "error", {"code": code}, status, says)


def cases():
    for occasion in OCCASIONS:
        if occasion == "logout":
            continue
        for kind, options, status, says in COMMON:
            if occasion == "poll" and status == NETWORK:
                # Somebody waits: it is asked again and again until approved.
                # Where AWS took the code and its answer was lost, the next
                # is refused; the code is worth nothing any more.
                status = LOGIN
                says = "" if kind in ("nested", "lost") else WAITED
            if occasion == "refresh" and kind == "reset":
                # What AWS may have rotated is not sent twice.
                status, says = NETWORK, BROKE_OFF
            if occasion == "refresh" and kind == "quota":
                says = "SlowDownException"
            yield Case(occasion, kind, options, status, says)
        if occasion in CHANGED:
            options, status, says = CHANGED[occasion]
            yield Case(occasion, "change", {**options, "unchecked": True},
                       status, says)
        yield from errors(occasion)
    yield Case("assume", *CUT_OFF)
    untold = "AWS could not be told of the logout"
    for kind, options, status, _ in COMMON:
        if kind not in ("nested", "html", "raw"):
            yield Case("logout", kind, options, status,
                       untold if status else "")
    for code in models.errors_of("Logout"):
        bad = code != "UnauthorizedException"
        yield Case("logout", "error", {"code": code}, NETWORK if bad else GOOD,
                   untold if bad else "")


def slow_cases():
    """What takes as long as anybody may be held."""
    for occasion in ("register", "start", "role", "assume", "logout"):
        says = "could not be told" if occasion == "logout" else ""
        for kind, options in (("hang", {}), ("hang", {"headers": True}),
                              ("trickle", {"seconds": 0.5})):
            if (occasion, kind) == ("logout", "trickle"):
                continue    # its answer has no body
            yield Case(occasion, kind, options, NETWORK, says)


CASES = list(cases())
SLOW = list(slow_cases())


def name_of(case):
    return "-".join([case.occasion, case.kind, *map(str, case.options.values())])


def prepare(case, sim, ann):
    """All that comes before the fault, and only that."""
    sim.clear_faults()
    if case.occasion in ("register", "start", "poll"):
        ann.run("logout", "--all")
        if case.occasion == "register":
            ann.run("agent", "stop")
        return
    ann.log_in()
    ann.run("logout", "--credentials")
    if case.occasion == "refresh":
        sim.expire("access_token")
    if case.occasion == "whoami":
        ann.run("export", "-p", "marketing")


def look(case, sim, ann):
    prepare(case, sim, ann)
    before = len(sim.requests())
    sim.fault(OCCASIONS[case.occasion][0], case.kind, **case.options)
    words = list(OCCASIONS[case.occasion][1])
    if case.occasion == "poll" and case.status == GOOD:
        words[words.index("5")] = "40"      # asked again, when it is time
    begun = time.monotonic()
    done = ann.run(*words)
    seconds = time.monotonic() - begun
    sim.clear_faults()
    followed = [r for r in sim.requests()[before:]
                if r["listener"] in ("elsewhere", "http")]
    return Seen(done.returncode, done.stdout, done.stderr, seconds, followed,
                [s["value"] for s in sim.secrets()])


def look_at_all(some):
    """Of one occasion, one after the other."""
    with Simulator(interval=1) as sim, Person(sim, PROFILES) as ann, \
            approving(sim):
        seen = {}
        for case in some:
            try:
                seen[name_of(case)] = look(case, sim, ann)
            except Exception as problem:
                seen[name_of(case)] = problem
        return seen


def side_by_side(groups):
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        seen = {}
        for part in pool.map(look_at_all, groups):
            seen.update(part)
        return seen


@pytest.fixture(scope="module")
def seen():
    groups = []
    for occasion in OCCASIONS:
        mine = [c for c in CASES if c.occasion == occasion]
        # A poll is mostly waited for to the end.
        parts = 3 if occasion == "poll" else 1
        groups += [mine[n::parts] for n in range(parts)]
    return side_by_side(groups)


@pytest.fixture(scope="module")
def seen_slow():
    return side_by_side([[case] for case in SLOW])


def told(err):
    """What stands below the login's screen."""
    return re.split(r"waiting for the approval\.\n", err)[-1]


def judge(case, seen):
    if isinstance(seen, Exception):
        raise seen
    assert seen.status == case.status, seen
    assert seen.seconds < HANGS
    lines = told(seen.err).splitlines()
    assert len(lines) <= 2, seen.err
    assert re.search(case.says, told(seen.err)), seen.err
    if case.status != GOOD:
        # For which profile or account, too.
        assert re.match("awsenv: .*(marketing|deploy)", lines[-1]), seen.err
    for secret in seen.secrets:
        assert secret not in seen.err
        if case.status != GOOD:
            assert secret not in seen.out
    assert not seen.followed
    if case.occasion == "logout":
        assert "forgotten: 1 login" in seen.out     # whatever AWS says
    elif case.status != GOOD:
        assert seen.out == ""


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_a_fault_is_told(case, seen):
    judge(case, seen[name_of(case)])


@pytest.mark.parametrize("case", SLOW, ids=name_of)
def test_what_hangs_is_told_in_time(case, seen_slow):
    judge(case, seen_slow[name_of(case)])


# ---- the way to AWS

def run_login(env):
    with Simulator(interval=1) as sim, Person(sim) as ann:
        done = ann.run("login", "-p", "marketing", env=env(sim), timeout=HANGS)
        assert sim.counts()["total"] == 0
    assert done.returncode == NETWORK, done.stderr
    assert len(done.stderr.splitlines()) <= 2, done.stderr
    assert done.stderr.startswith("awsenv: profile marketing: ")
    return done.stderr


@pytest.mark.parametrize("listener, says", [
    ("wrong_name", "certificate"), ("untrusted", "certificate"),
    ("expired", "certificate")])
def test_a_certificate_that_is_not_aws_s_is_refused(listener, says):
    text = run_login(lambda sim: sim.env(listener=listener))
    assert says in text


def test_an_address_where_nobody_listens(sim):
    nobody = {"AWS_ENDPOINT_URL_SSO_OIDC": "http://127.0.0.1:9"}
    assert "127.0.0.1:9" in run_login(lambda _: nobody)


def test_a_proxy_that_is_not_there():
    proxy = {"HTTPS_PROXY": "http://user:hunter2@127.0.0.1:9"}
    text = run_login(lambda _: proxy)
    assert "127.0.0.1 port 9" in text and "hunter2" not in text


def test_a_name_that_is_not_known():
    nowhere = {"AWS_ENDPOINT_URL_SSO_OIDC": "https://oidc.awsenv.invalid"}
    assert "oidc.awsenv.invalid" in run_login(lambda _: nowhere)


def test_aws_that_is_only_reachable_through_a_proxy():
    with Simulator(interval=1, proxy_only=True) as sim:
        with Person(sim) as ann:
            done = ann.run("login", "-p", "marketing")
            assert done.returncode == NETWORK
            assert len(done.stderr.splitlines()) <= 2
        with Person(sim, via="proxy") as ann:
            ann.log_in()
            assert ann.run("-p", "marketing", "--", "true").returncode == 0
        hosts = {row["host"] for row in sim.proxied()}
        assert hosts >= {"oidc.eu-central-1.amazonaws.com",
                         "portal.sso.eu-central-1.amazonaws.com"}


@pytest.mark.parametrize("skew", [900, -900])
def test_a_clock_that_is_wrong_is_allowed_for(sim, skew):
    sim.skew(skew)
    with Person(sim, PROFILES) as ann:
        ann.log_in()
        done = ann.run("export", "-p", "deploy", "--format", "json")
        assert done.returncode == 0, done.stderr
        until = ann.status("-p", "marketing")
        assert abs(until["agent"]["clock_skew"] - skew) <= 5


# ---- the login itself

def test_a_login_that_is_denied(sim):
    with Person(sim) as ann, approving(sim, deny=True):
        done = ann.run("login", "-p", "marketing")
        assert done.returncode == REFUSED
        assert re.search("the login was refused", told(done.stderr))
        assert len(told(done.stderr).splitlines()) == 1


def test_a_code_that_nobody_approves_in_time():
    with Simulator(interval=1, device_life=3) as sim, Person(sim) as ann:
        done = ann.run("login", "-p", "marketing")
        assert done.returncode == LOGIN, done.stderr
        assert len(told(done.stderr).splitlines()) == 1
        # The next one is a new login, with a code of its own.
        with approving(sim):
            assert ann.run("login", "-p", "marketing").returncode == 0
        assert sim.counts()["StartDeviceAuthorization"] == 2


def test_a_start_url_that_aws_does_not_know(sim):
    with Person(sim) as ann:
        ann.config.write_text(ann.config.read_text().replace(
            sim.start_url, "https://exmaple.awsapps.com/start"))
        done = ann.run("login", "-p", "marketing")
        assert done.returncode == REFUSED
        assert "is sso_start_url right?" in done.stderr
        assert "https://exmaple.awsapps.com/start" in done.stderr


def test_a_wrong_region_is_what_a_person_is_asked_about():
    """AWS never says so: the page refuses, and the code runs out."""
    with Simulator(interval=1, device_life=3) as sim, Person(sim) as ann:
        other = sim.urls["other_region"]
        done = ann.run("login", "-p", "marketing", env={
            "AWS_ENDPOINT_URL_SSO_OIDC": other, "AWS_ENDPOINT_URL_SSO": other})
        assert done.returncode == LOGIN
        assert "sso_region" in told(done.stderr), done.stderr


def test_a_registration_that_aws_forgot_is_made_anew(sim):
    with Person(sim) as ann:
        ann.log_in()
        sim.expire("registration")
        sim.expire("access_token")
        ann.run("logout", "--credentials")
        done = ann.run("export", "-p", "marketing")
        assert done.returncode == LOGIN
        ann.log_in()
        assert ann.run("export", "-p", "marketing").returncode == 0
        assert sim.counts()["RegisterClient"] == 2


def test_a_missing_assignment_leaves_the_login_alone(sim):
    with Person(sim, ["marketing", {"name": "none", "sso_session": "sim",
                                    "sso_account_id": "012345678901",
                                    "sso_role_name": "Nobody"}]) as ann:
        ann.log_in()
        done = ann.run("export", "-p", "none")
        assert done.returncode == REFUSED
        assert "role Nobody in account 012345678901" in done.stderr
        assert ann.run("export", "-p", "marketing").returncode == 0
        assert sim.counts()["StartDeviceAuthorization"] == 1


def test_credentials_that_are_good_go_on_where_aws_is_out_of_reach():
    with Simulator(interval=1, role_life=1000) as sim, Person(sim) as ann:
        ann.log_in()
        assert ann.run("export", "-p", "marketing").returncode == 0
        sim.fault("*", "status", status=503)
        for verb in (["export"], ["process"]):
            assert ann.run(*verb, "-p", "marketing").returncode == 0
        done = ann.run("-p", "marketing", "--", "true")
        assert done.returncode == 0, done.stderr
