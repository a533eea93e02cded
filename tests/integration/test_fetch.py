# SPDX-License-Identifier: ISC
"""awsenv-fetch in its everyday work, against the simulator."""

import hashlib
import os
import pathlib
import signal
import socket
import struct
import time

import pytest

import wire
from agent import until
from fetcher import Fetcher, Talk, closed_port, creds, ref, tok
from simulator.client import Simulator

ANN = "ann@example.com"
SETTINGS = {"interval": 1, "device_life": 600, "refresh": "rotate",
            "approve_after": None, "url": "long", "token_life": 3600,
            "registration_life": 7776000, "tell_interval": 1}


@pytest.fixture(scope="module")
def shared():
    with Simulator(accounts=3, roles=2, interval=1) as simulator:
        yield simulator


@pytest.fixture
def sim(shared):
    shared.clear_faults()
    shared.skew(0)
    shared.settings(**SETTINGS)
    shared.reset()
    yield shared
    bugs = shared.bugs()
    assert not bugs, bugs


@pytest.fixture
def fetch(sim):
    return Fetcher.of(sim)


@pytest.fixture
def account(sim):
    return sim.info["accounts"][0]["id"]


@pytest.fixture
def login(sim, fetch):
    """A whole login: the answers of it."""
    def log_in(**fields):
        with fetch.order("FETCH_LOGIN", waiting=1, **fields) as talk:
            shown = talk.answer()
            sim.approve(shown.code.decode(), user=fields.get("user"))
            return [shown] + talk.answers()
    return log_in


def skew_of(answer):
    return answer.skew - (1 << 32) * (answer.skew >> 31)


def deploy(account, role="Deploy", **more):
    return {"role_arn": f"arn:aws:iam::{account}:role/{role}", **more}


# Logging in

@pytest.mark.quick
def test_a_login_is_shown_then_the_token_then_who_it_is(sim, login, account):
    shown, token, last = login(account=account, role="ReadOnly")
    now = time.time()
    assert shown.url.startswith(b"http") and shown.code and shown.dev
    assert now + 590 < shown.dev_until < now + 601
    assert len(shown.qr) == shown.qr_width * ((shown.qr_width + 7) // 8) > 0
    assert not shown.last and not token.last
    assert now + 3590 < token.tok_expires < now + 3605
    assert token.refreshable and token.ref_expires > now + 80 * 86400
    assert wire.decode("MSG_TOK", token.tok).expires == token.tok_expires
    assert last.person == ANN.encode() and b":assumed-role/" in last.arn
    assert last.account == account.encode()
    sealed = wire.decode("MSG_CREDS", last.creds)
    assert sealed.access_key == last.access_key
    assert sealed.expires == last.creds_expires > now + 3500
    assert sim.counts()["RegisterClient"] == 1
    assert sim.counts()["StartDeviceAuthorization"] == 1


def test_nobody_asked_for_a_role_so_only_the_name_is_told(login):
    last = login()[-1]
    assert last.person == ANN.encode() and not last.creds


def test_the_person_is_named_by_another_role_if_not_by_the_one_wanted(
        login, account):
    last = login(account=account, role="Nonesuch")[-1]
    assert last.error == wire.AW_OK
    assert last.person == ANN.encode() and not last.creds


def test_an_account_may_be_given_by_its_name(login, account):
    last = login(account="marketing", role="ReadOnly")[-1]
    assert last.account == account.encode() and last.creds


def test_with_a_chain_the_credentials_below_it_stay_here(
        fetch, sim, account):
    with fetch.order("FETCH_LOGIN", account=account, role="ReadOnly",
                     chain=[deploy(account)], waiting=1) as talk:
        sim.approve(talk.answer().code.decode())
        last = talk.answers()[-1]
    assert last.person == ANN.encode() and not last.creds


def test_a_login_counts_even_if_the_person_cannot_be_named(sim, login):
    sim.fault("sts", "status", status=500)
    token, last = login()[1:]
    assert token.tok and last.error == wire.AW_OK and not last.person


def test_a_client_that_is_approved_beforehand_shows_nothing(sim, fetch):
    sim.settings(approve_after=0)
    with fetch.order("FETCH_LOGIN") as talk:
        token, last = talk.answers()
    assert token.tok and not token.code and last.person == ANN.encode()


def test_a_registration_is_used_again_while_it_is_good(sim, fetch, login):
    kept = login()[1].ref
    with fetch.order("FETCH_LOGIN", ref=kept) as talk:
        assert talk.answer().code
    assert sim.counts()["RegisterClient"] == 1


@pytest.mark.parametrize("how", ["about to expire", "forgotten by AWS"])
def test_a_registration_that_is_no_good_is_made_anew(sim, fetch, login, how):
    kept = login()[1].ref
    if how == "about to expire":
        kept = wire.encode("MSG_REF", {**wire.decode("MSG_REF", kept),
                                       "client_expires": time.time_ns() //
                                       10**9 + 86000})
    else:
        sim.expire("registration")
    with fetch.order("FETCH_LOGIN", ref=kept) as talk:
        assert talk.answer().code
    assert sim.counts()["RegisterClient"] == 2


def test_a_new_registration_that_is_refused_is_not_made_a_third_time(
        sim, fetch, login):
    kept = login()[1].ref
    sim.reset()
    sim.fault("StartDeviceAuthorization", "error",
              code="InvalidClientException")
    answer = fetch.ask("FETCH_LOGIN", ref=kept)
    assert answer.error == wire.AW_AWS and b"InvalidClient" in answer.text
    assert sim.counts()["RegisterClient"] == 1
    assert sim.counts()["StartDeviceAuthorization"] == 2


# As a factor

@pytest.fixture
def factor(sim, account):
    """What was answered when somebody had approved; orders as the PAM module
    gives them, which cannot know the digest of a file."""
    def prove(user=None, deny=False, **fields):
        fetch = Fetcher.of(sim, ca_digest=b"")
        with fetch.order("FETCH_FACTOR", **{
                "account": account, "role": "ReadOnly",
                "client_name": "awsenv on box for ann", **fields}) as talk:
            shown = talk.answer()
            code = shown.code.decode()
            sim.deny(code) if deny else sim.approve(code, user=user)
            return shown, talk.answers()[-1]
    return prove


def test_a_factor_proves_who_approved(sim, factor, account):
    shown, last = factor()
    assert shown.code and shown.url and shown.dev_until and not shown.dev
    assert last.error == wire.AW_OK and last.last
    arn = last.arn.decode()
    assert arn.startswith(f"arn:aws:sts::{account}:assumed-role/"
                          "AWSReservedSSO_ReadOnly_")
    assert arn.endswith("/" + ANN) and last.person == ANN.encode()
    assert last.tok and last.ref and last.refreshable and not last.creds
    facts = wire.decode("MSG_FACTS", last.facts)
    assert facts.ca_digest == hashlib.sha256(
        pathlib.Path(sim.ca).read_bytes()).digest()
    assert sim.counts()["ListAccounts"] == 0


def test_each_factor_has_a_registration_of_its_own(sim, factor, login):
    kept = login()[1].ref
    factor(ref=kept)
    factor(ref=kept)
    assert sim.counts()["RegisterClient"] == 3


def test_another_persons_approval_bears_his_name(factor):
    _, last = factor(user="bob@example.com")
    assert last.person == b"bob@example.com"


@pytest.mark.parametrize("fields, told", [
    ({"role": "Nonesuch"}, b"Nonesuch"),
    ({"role": "Developer", "user": "bob@example.com"}, b"Developer"),
    ({"account": "999999999999"}, b"999999999999"),
    ({"deny": True}, b"refused")])
def test_no_other_role_will_do_and_a_refusal_is_one(factor, fields, told):
    _, last = factor(**fields)
    assert last.error == wire.AW_DENIED and told in last.text
    assert not last.tok and not last.arn


def test_a_factor_whose_name_is_not_to_be_had_proves_nothing(sim, factor):
    sim.fault("sts", "status", status=500)
    _, last = factor()
    assert last.error == wire.AW_NETWORK and not last.tok


@pytest.mark.parametrize("fields", [{"account": "marketing"}, {"role": ""}])
def test_a_factor_wants_to_know_which_role(factor, fields):
    _, last = factor(**fields)
    assert last.error == wire.AW_PROTO and not last.tok


# Polling

def polls(sim):
    return [r["time"] for r in sim.requests("CreateToken")]


def gaps(times):
    return [b - a for a, b in zip(times, times[1:])]


def test_polling_keeps_the_interval(sim, fetch):
    sim.settings(interval=2)
    with fetch.order("FETCH_LOGIN", waiting=1) as talk:
        shown = talk.answer()
        until(lambda: len(polls(sim)) >= 4, 60)
        sim.approve(shown.code.decode())
        talk.answers()
    assert min(gaps(polls(sim))) > 1.9 and min(gaps(polls(sim))) < 3
    assert {r["error"] for r in sim.requests("CreateToken")} <= {
        "AuthorizationPendingException", None}


def test_slow_down_makes_it_five_seconds_slower_for_good(sim, fetch):
    def slowed():
        return [n for n, r in enumerate(sim.requests("CreateToken"))
                if r["error"] == "SlowDownException"]

    with fetch.order("FETCH_LOGIN", waiting=1) as talk:
        shown = talk.answer()
        sim.fault("CreateToken", "error", code="SlowDownException", count=1)
        until(lambda: slowed() and len(polls(sim)) > slowed()[0] + 2, 60)
        sim.approve(shown.code.decode())
        talk.answers()
    before, after = gaps(polls(sim)[:slowed()[0] + 1]), gaps(
        polls(sim)[slowed()[0]:])
    assert not before or min(before) > 0.9
    assert 5.9 < min(after) < 8


@pytest.mark.parametrize("kind, more", [
    ("reset", {}), ("status", {"status": 503}), ("html", {}),
    ("status", {"status": 429})])
def test_trouble_on_the_way_does_not_end_the_polling(sim, fetch, kind, more):
    with fetch.order("FETCH_LOGIN", waiting=1) as talk:
        shown = talk.answer()
        sim.fault("CreateToken", kind, count=2, **more)
        sim.approve(shown.code.decode())
        assert talk.answers()[0].tok


def test_a_code_that_nobody_approves_runs_out(sim, fetch):
    sim.settings(device_life=3)
    begun = time.monotonic()
    with fetch.order("FETCH_LOGIN", waiting=1) as talk:
        shown = talk.answer()
        last, = talk.answers()
    assert last.error == wire.AW_EXPIRED and time.monotonic() - begun < 60
    assert shown.code in last.text and sim.region.encode() in last.text


def test_in_the_wrong_region_the_code_runs_out_and_the_text_says_why(sim):
    sim.settings(device_life=3)
    fetch = Fetcher.of(sim, "other_region", region="us-east-1")
    with fetch.order("FETCH_LOGIN", waiting=1) as talk:
        talk.answer()
        last, = talk.answers()
    assert last.error == wire.AW_EXPIRED
    assert b"sso_region (us-east-1)" in last.text


def test_a_refusal_in_the_browser_ends_the_login(sim, fetch):
    with fetch.order("FETCH_LOGIN", waiting=1) as talk:
        sim.deny(talk.answer().code.decode())
        last, = talk.answers()
    assert last.error == wire.AW_AWS and b"refused" in last.text


def test_after_a_kill_another_goes_on_with_the_same_code(sim, fetch):
    with fetch.order("FETCH_LOGIN", waiting=1) as talk:
        shown = talk.answer()
        talk.process.send_signal(signal.SIGKILL)
        talk.process.wait()
    with fetch.order("FETCH_POLL", dev=shown.dev, waiting=1) as talk:
        again = talk.answer()
        for name in ("url", "code", "qr", "qr_width", "dev", "dev_until"):
            assert again[name] == shown[name]
        sim.approve(shown.code.decode())
        token, last = talk.answers()
    assert token.refreshable and last.person == ANN.encode()
    assert sim.counts()["StartDeviceAuthorization"] == 1


def test_nobody_wants_it_any_more_so_it_ends(fetch):
    with fetch.order("FETCH_LOGIN") as talk:
        talk.answer()
        talk.hang_up()
        talk.end(seconds=2)


def test_an_unknown_start_url_is_named(sim):
    fetch = Fetcher.of(sim, start_url="https://typo.awsapps.com/start")
    answer = fetch.ask("FETCH_LOGIN")
    assert answer.error == wire.AW_AWS
    assert b"https://typo.awsapps.com/start" in answer.text
    assert b"sso_start_url" in answer.text


@pytest.mark.parametrize("url", ["long", "code", "none"])
def test_each_kind_of_url_is_shown_verbatim(sim, fetch, url):
    sim.settings(url=url)
    with fetch.order("FETCH_LOGIN") as talk:
        shown = talk.answer()
    pending = sim.pending()[-1]
    assert shown.url.decode() == (pending["url_complete"] or pending["url"])
    assert shown.code.decode() == pending["user_code"]


# Refreshing

def test_a_refresh_gives_a_new_token_and_a_new_refresh_token(fetch, login):
    old = login()[1]
    new = fetch.ask("FETCH_REFRESH", ref=old.ref)
    assert new.tok != old.tok and new.ref != old.ref and new.refreshable
    assert new.ref_expires == old.ref_expires


def test_the_old_refresh_token_is_kept_if_none_comes_back(sim, fetch, login):
    old = login()[1]
    sim.settings(refresh="omit")
    new = fetch.ask("FETCH_REFRESH", ref=old.ref)
    assert new.tok != old.tok and new.ref == old.ref and new.refreshable


@pytest.mark.parametrize("what", ["refresh_token", "session", "registration"])
def test_what_has_ended_at_aws_needs_a_new_login(sim, fetch, login, what):
    old = login()[1]
    sim.expire(what)
    answer = fetch.ask("FETCH_REFRESH", ref=old.ref)
    assert answer.error == wire.AW_GRANT and b"log in again" in answer.text


def test_an_expired_registration_is_not_even_tried(sim, fetch):
    answer = fetch.ask("FETCH_REFRESH", ref=ref(expires=int(time.time()) - 1))
    assert answer.error == wire.AW_GRANT
    assert sim.counts()["CreateToken"] == 0


def test_a_refresh_whose_answer_was_lost_is_not_sent_again(sim, fetch, login):
    old = login()[1]
    before = sim.counts()["CreateToken"]
    sim.fault("CreateToken", "lost")
    answer = fetch.ask("FETCH_REFRESH", ref=old.ref)
    assert answer.error == wire.AW_NETWORK
    assert sim.counts()["CreateToken"] == before + 1


# Roles

def test_role_credentials_open_sts(sim, fetch, login, account):
    token = login()[1].tok
    answer = fetch.role(token, account, "Developer")
    assert answer.account == account.encode() and answer.last
    who = fetch.ask("FETCH_IDENTITY", creds=answer.creds)
    assert who.person == ANN.encode() and b"_Developer_" in who.arn
    assert who.account == account.encode() and who.user_id
    # Of a login that no profile uses: STS as the login itself has it.
    assert fetch.ask("FETCH_IDENTITY", creds=answer.creds,
                     sts="", sts_region="").arn == who.arn
    nowhere = Fetcher.of(sim, sts="").ask(
        "FETCH_IDENTITY", creds=answer.creds)
    assert nowhere.error == wire.AW_CONFIG
    assert b"set AWS_ENDPOINT_URL_STS" in nowhere.text


def test_an_account_name_is_looked_up(fetch, login, account):
    token = login()[1].tok
    assert fetch.role(token, "MARKETING", "ReadOnly").account == (
        account.encode())
    answer = fetch.role(token, "markting", "ReadOnly")
    assert answer.error == wire.AW_AWS
    assert f"marketing ({account})".encode() in answer.text


def test_a_missing_assignment_is_told_and_the_token_stays(
        sim, fetch, login, account):
    token = login()[1].tok
    sim.assign(ANN, account, "ReadOnly", remove=True)
    try:
        answer = fetch.role(token, account, "ReadOnly")
    finally:
        sim.assign(ANN, account, "ReadOnly")
    assert answer.error == wire.AW_AWS
    assert f"no access to role ReadOnly in account {account}".encode() in (
        answer.text)
    assert fetch.role(token, account, "ReadOnly").creds


def test_a_token_that_was_revoked_is_told_apart(sim, fetch, login, account):
    token = login()[1].tok
    sim.expire("access_token")
    answer = fetch.role(token, account, "ReadOnly")
    assert answer.error == wire.AW_TOKEN and b"log in again" in answer.text


def test_a_chain_is_climbed_in_the_name_of_the_person(fetch, login, account):
    token = login()[1].tok
    answer = fetch.role(token, account, "ReadOnly", chain=[
        deploy(account),
        deploy(account, "External", external_id="example-external-id",
               session_name="build server", duration=43200)])
    assert answer.creds and answer.account == account.encode()
    now = time.time()
    assert now + 3500 < answer.creds_expires < now + 3605
    who = fetch.ask("FETCH_IDENTITY", creds=answer.creds)
    assert who.arn.endswith(b":assumed-role/External/build-server")
    answer = fetch.role(token, account, "ReadOnly", chain=[deploy(account)])
    who = fetch.ask("FETCH_IDENTITY", creds=answer.creds)
    assert who.arn.endswith(b":assumed-role/Deploy/" + ANN.encode())


def test_credentials_of_a_chain_are_of_the_account_it_ends_in(sim, fetch, login,
                                                             account):
    other = sim.info["accounts"][1]["id"]
    token = login()[1].tok
    answer = fetch.role(token, account, "ReadOnly",
                        chain=[deploy(account), deploy(other)])
    assert answer.account == other.encode() != account.encode()
    assert answer.arn.decode() == deploy(other)["role_arn"]
    assert not fetch.role(token, account, "ReadOnly").arn


def test_a_role_that_trusts_nobody_is_named(fetch, login, account):
    token = login()[1].tok
    answer = fetch.role(token, account, "ReadOnly",
                        chain=[deploy(account, "Locked")])
    assert answer.error == wire.AW_AWS
    assert f"not allowed to assume arn:aws:iam::{account}:role/Locked".encode(
    ) in answer.text


def test_an_expired_source_is_told(sim, fetch, login, account):
    below = fetch.role(login()[1].tok, account, "ReadOnly").creds
    sim.expire("role")
    answer = fetch.ask("FETCH_IDENTITY", creds=below)
    assert answer.error == wire.AW_AWS and b"ExpiredToken" in answer.text


def test_a_logout_ends_the_token_and_a_second_one_is_done_too(
        fetch, login, account):
    token = login()[1].tok
    assert fetch.ask("FETCH_LOGOUT", tok=token).error == wire.AW_OK
    assert fetch.ask("FETCH_LOGOUT", tok=token).error == wire.AW_OK
    assert fetch.role(token, account, "ReadOnly").error == wire.AW_TOKEN


# Clocks

@pytest.mark.parametrize("ahead", [-7200, 7200])
def test_a_wrong_clock_is_measured_and_allowed_for(
        sim, fetch, login, account, ahead):
    sim.skew(ahead)
    token = login()[1]
    assert token.skew_known and abs(skew_of(token) - ahead) <= 2
    assert abs(token.tok_expires - time.time() - 3600) < 60
    answer = fetch.role(token.tok, account, "ReadOnly",
                        chain=[deploy(account)])
    assert answer.error == wire.AW_OK, answer.text
    assert abs(answer.creds_expires - time.time() - 3600) < 60
    # STS alone: only its refusal tells the time.
    who = fetch.ask("FETCH_IDENTITY", creds=answer.creds)
    assert who.error == wire.AW_OK and abs(skew_of(who) - ahead) <= 2


# Where it goes, and where not

def test_plain_http_goes_to_this_machine_and_never_by_a_proxy(sim):
    fetch = Fetcher.of(sim, "http", proxy=sim.urls["proxy"])
    with fetch.order("FETCH_LOGIN") as talk:
        assert talk.answer().code
    assert sim.proxied() == []


@pytest.mark.parametrize("field", ["oidc", "portal", "sts"])
def test_plain_http_goes_nowhere_else(sim, field, account):
    fetch = Fetcher.of(sim, **{field: "http://192.0.2.1"})
    answer = {
        "oidc": lambda: fetch.ask("FETCH_LOGIN"),
        "portal": lambda: fetch.role(tok(), account, "R"),
        "sts": lambda: fetch.ask("FETCH_IDENTITY", creds=creds()),
    }[field]()
    assert answer.error == wire.AW_CONFIG and b"192.0.2.1" in answer.text


def test_a_proxy_leads_to_the_real_names(sim):
    host = f"oidc.{sim.region}.amazonaws.com"
    fetch = Fetcher.of(sim, oidc=f"https://{host}", proxy=sim.urls["proxy"])
    with fetch.order("FETCH_LOGIN") as talk:
        assert talk.answer().code
    assert {p["host"] for p in sim.proxied()} == {host}


def test_no_proxy_goes_around_the_proxy(sim):
    fetch = Fetcher.of(sim, proxy=f"http://127.0.0.1:{closed_port()}",
                       no_proxy="localhost,127.0.0.1")
    with fetch.order("FETCH_LOGIN") as talk:
        assert talk.answer().code


def test_the_environment_counts_for_nothing(sim, tmp_path):
    log = tmp_path / "keys"
    dead = f"http://127.0.0.1:{closed_port()}"
    fetch = Fetcher.of(sim, env={
        "https_proxy": dead, "HTTPS_PROXY": dead, "ALL_PROXY": dead,
        "SSLKEYLOGFILE": str(log), "CURL_CA_BUNDLE": "/dev/null",
        "SSL_CERT_FILE": "/dev/null", "OPENSSL_CONF": "/nonexistent"})
    with fetch.order("FETCH_LOGIN") as talk:
        assert talk.answer().code
    assert not log.exists()


ANY_VERSION = """
openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = anything
[anything]
MinProtocol = TLSv1
CipherString = ALL:@SECLEVEL=0
"""


def versions_offered(listener):
    """Of TLS, in the first thing that a client says."""
    peer, _ = listener.accept()
    with peer:
        peer.settimeout(20)
        hello = b""
        while len(hello) < 5 or len(hello) < 5 + int.from_bytes(hello[3:5], "big"):
            more = peer.recv(4096)
            assert more, "it hung up"
            hello += more
    # Version, random, session, ciphers, compression, and then extensions.
    at = 5 + 4 + 2 + 32
    at += 1 + hello[at]
    at += 2 + int.from_bytes(hello[at:at + 2], "big")
    at += 1 + hello[at] + 2
    while at < len(hello):
        kind, size = struct.unpack_from(">HH", hello, at)
        if kind == 43:
            return set(struct.unpack_from(f">{hello[at + 4] // 2}H", hello,
                                          at + 5))
        at += 4 + size
    return {int.from_bytes(hello[9:11], "big")}


def test_nothing_older_than_tls_1_2_is_spoken(tmp_path):
    """Even where the system's own settings would have it."""
    (tmp_path / "any.cnf").write_text(ANY_VERSION)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        url = f"https://localhost:{listener.getsockname()[1]}"
        fetch = Fetcher(oidc=url, portal=url, sts=url,
                        env={"OPENSSL_CONF": str(tmp_path / "any.cnf")})
        with fetch.order("FETCH_LOGIN"):
            assert versions_offered(listener) == {0x0303, 0x0304}


def test_a_ca_bundle_that_has_changed_gets_nothing(sim, tmp_path):
    bundle = tmp_path / "ca.pem"
    bundle.write_bytes(open(sim.ca, "rb").read())
    fetch = Fetcher.of(sim, ca=bundle)
    bundle.write_bytes(bundle.read_bytes() + b"\n")
    answer = fetch.ask("FETCH_LOGIN")
    assert answer.error == wire.AW_STALE and str(bundle).encode() in answer.text
    bundle.unlink()
    assert fetch.ask("FETCH_LOGIN").error == wire.AW_STALE
    os.mkfifo(bundle)
    assert fetch.ask("FETCH_LOGIN", seconds=5).error == wire.AW_STALE
    assert sim.counts()["total"] == 0


def test_a_bundle_stands_in_for_the_systems_cas(sim, tmp_path):
    system = "/etc/ssl/certs/ca-certificates.crt"
    if not os.path.exists(system):
        pytest.skip("no system CAs")
    answer = Fetcher.of(sim, ca=system).ask("FETCH_LOGIN")
    assert answer.error == wire.AW_NETWORK
    assert b"is not trusted" in answer.text and system.encode() in answer.text


# Orders

@pytest.mark.quick
def test_without_an_order_it_leaves_after_two_seconds():
    begun = time.monotonic()
    with Talk("nothing", None) as talk:
        output, _ = talk.process.communicate(timeout=20)
    assert b"no order" in output and talk.process.returncode == 1
    assert time.monotonic() - begun > 1.5


@pytest.mark.quick
def test_a_malformed_order_is_refused(sim, fetch):
    good = wire.encode("MSG_FACTS", fetch.facts)
    for order in ({"version": 2, "what": 1, "facts": good},
                  {"version": 1, "what": 1, "facts": good + b"x"},
                  {"version": 1, "what": 1}):
        with Talk("bad", order) as talk:
            output, _ = talk.process.communicate(timeout=5)
            assert talk.process.returncode == 1
            assert b"malformed" in output
    beyond = 1 + max(number for name, number in wire.CONSTANTS.items()
                     if name.startswith("FETCH_"))
    for what in (0, beyond, 255):
        with Talk("odd", {"version": 1, "what": what, "facts": good,
                          "tag": b"the tag"}) as talk:
            assert talk.answers()[0].error == wire.AW_PROTO


@pytest.mark.quick
def test_it_gives_up_what_it_does_not_need(fetch):
    with fetch.order("FETCH_LOGIN") as talk:
        talk.answer()
        folder = f"/proc/{talk.process.pid}"
        status = open(folder + "/status").read()
        assert "NoNewPrivs:\t1" in status
        assert "Max core file size        0                    0" in open(
            folder + "/limits").read()


def test_what_is_sealed_in_an_order_does_not_come_back_in_a_text(
        sim, fetch, account):
    """Every refusal of a made-up secret: it names none of them."""
    secrets = [b"aoaEXAMPLE", b"aorEXAMPLE", b"secretEXAMPLE",
               b"sessionEXAMPLE"]
    sealed = dict(tok=tok(), ref=ref(secret="secretEXAMPLE"), creds=creds(
        secret="secretEXAMPLE", session="sessionEXAMPLE"), account=account,
        role="R", chain=[deploy(account)])
    for url in (None, f"https://127.0.0.1:{closed_port()}"):
        if url:
            fetch = Fetcher.of(sim, oidc=url, portal=url, sts=url)
        for what in ("FETCH_REFRESH", "FETCH_ROLE", "FETCH_IDENTITY"):
            answer = fetch.ask(what, **sealed)
            assert answer.error != wire.AW_OK
            assert not any(secret in answer.text for secret in secrets)
