# SPDX-License-Identifier: ISC
"""mode=factor through real libpam. What needs an account of its own for the
fetcher, or a folder that is root's, is for root; lines are judged for all."""
# Starts first: as root it takes three minutes.
import grp
import os
import re
import signal
import subprocess
import threading
import time

import pytest

import fake_fetch
import wire
from agent import BUILD
from simulator.client import Simulator
from stack import (ALERT, AUTH_ERR, AUTHINFO_UNAVAIL, CONV_ERR, DELETE,
                   ECHO_ON, ERR, ERROR_MSG, IGNORE, MAXTRIES, NOTICE,
                   NO_MODULE, PERM_DENIED, REINITIALIZE, SERVICE_ERR, SILENT,
                   SUCCESS, SYSTEM_ERR, TOP, USER_UNKNOWN, WARNING, Account,
                   Stack)

ROOT = os.geteuid() == 0


def can_have_a_run_of_its_own():
    return ROOT and not subprocess.run(["unshare", "-m", "true"],
                                       capture_output=True).returncode


root_only = pytest.mark.skipif(
    not can_have_a_run_of_its_own(),
    reason="only root can use the fetcher's account, in a mount namespace")
ACCOUNT, ROLE, REGION = "012345678901", "ReadOnly", "eu-central-1"
URL = "https://eu-west-1.signin.aws/platform/authorize?request_uri=abc"
SHOWN = {"send": {"url": URL, "code": "ABCD-EFGH",
                  "dev_until": int(time.time()) + 6000}}
PLACE = f"region={REGION} account={ACCOUNT} role={ROLE}"
LINE = f"start_url=https://corp.awsapps.com/start {PLACE}"


@pytest.fixture
def ann():
    with Account() as account:
        account.run = account.dir / "run-of-root"
        account.run.mkdir(mode=0o755)
        yield account


def arn(person, account=ACCOUNT, role=ROLE, partition="aws",
        suffix="0123456789abcdef", service="sts", kind="assumed-role"):
    return (f"arn:{partition}:{service}::{account}:{kind}/"
            f"AWSReservedSSO_{role}_{suffix}/{person}")


def approved(person, **parts):
    return [SHOWN, {"send": {"last": 1, "arn": arn(person, **parts),
                             "person": person}}]


def refused(error, text="no"):
    return {"send": {"last": 1, "error": error, "text": text}}


def log_in(account, options="", steps=None, *calls, service="sshd", line=LINE,
           **order):
    """One attempt; `steps` are those of a fetcher that is played."""
    options = f"mode=factor user=nobody {line} {options}"
    if steps is not None:
        options += f" fetch={fake_fetch.write(account.dir, steps)}"
    return Stack(options, service=service, behind=NO_MODULE).call(
        account, *(calls or ("auth",)), run=account.run if ROOT else None,
        **order)


def ours(done, *levels):
    return [text for level, text in done.log if "pam_awsenv" in text and
            (not levels or level in levels)]


def prompts(done):
    return [text for style, text in done.messages if style == ECHO_ON]


# The line

@pytest.mark.parametrize("line, option", [
    (PLACE, "start_url"),
    ("start_url=http://evil.example/ " + PLACE, "start_url"),
    ("start_url=https://a@b/ " + PLACE, "start_url"),
    ("start_url=https://a/?x " + PLACE, "start_url"),
    (LINE.replace("region=", "regoin="), "region"),
    (LINE + " region=eu-west-1.evil.example/", "region"),
    (LINE + " region=", "region"),
    (LINE + " account=marketing", "account"),
    (LINE + " account=01234567890", "account"),
    (LINE + " role=", "role"), (LINE + " role=a/b", "role"),
    (LINE + " domain=", "domain"), (LINE + " domain=a@b", "domain"),
    (LINE + " domain=a map=/etc/passwd", "map is missing, has no such value, "
     "or is one too many"),
    (LINE + " map=/nowhere", "map"), (LINE + " map=relative", "map"),
    (LINE + " endpoint=ftp://a", "endpoint"),
    (LINE + " endpoint=http://far.example", "endpoint"),
    (LINE + " timeout=0", "timeout"), (LINE + " timeout=x", "timeout"),
    (LINE + " timeout=99999", "timeout"),
    (LINE + " enforce=maybe", "enforce"), (LINE + " fetch=bin/x", "fetch")])
def test_a_line_that_cannot_be_used_lets_nobody_in(ann, line, option):
    done = log_in(ann, line=line)
    assert done.codes == [SERVICE_ERR] and not prompts(done)
    assert option in "\n".join(ours(done, ERR))
    assert "not set up right" in done.text


def test_it_does_not_keep_out_who_is_exempt(ann):
    done = log_in(ann, f"exempt={ann.name}", line="")
    assert done.codes == [IGNORE]


@root_only
@pytest.mark.parametrize("how", ["owner", "group", "others", "link", "folder",
                                 "fifo"])
def test_a_map_that_is_not_roots_alone_is_none(ann, how):
    path = ann.dir / "map"
    path.write_text(f"{ann.name} ann@example.com\n")
    if how == "owner":
        os.chown(path, ann.uid, 0)
    elif how in ("group", "others"):
        path.chmod(0o664 if how == "group" else 0o646)
    elif how == "link":
        path.rename(ann.dir / "real")
        path.symlink_to(ann.dir / "real")
    else:
        path.unlink()
        path.mkdir() if how == "folder" else os.mkfifo(path)
    done = log_in(ann, f"map={path}", approved("ann@example.com"))
    assert done.codes == [SERVICE_ERR] and not fake_fetch.orders(ann.dir)
    assert "map" in "\n".join(ours(done, ERR))


@root_only
@pytest.mark.parametrize("name", ["sshd-factor", "login-factor"])
def test_the_examples_can_be_used(ann, name):
    text = (TOP / "examples/pam.d" / name).read_text().replace("\\\n", " ")
    line, = re.findall(r"^auth +required +pam_awsenv.so (.*mode=factor.*)$",
                       text, re.M)
    done = log_in(ann, "fetch=/nowhere", line=line)
    assert done.codes == [AUTHINFO_UNAVAIL], done.log


# For whom

@pytest.mark.parametrize("options, code", [
    ("", None), ("services=*", None), ("services=login", IGNORE),
    ("services=sshd,login", None), ("exempt=ANN", IGNORE),
    ("exempt=@GROUP", IGNORE), ("users=ANN", None),
    ("users=somebody", PERM_DENIED), ("groups=no-such", PERM_DENIED),
    ("minimum_uid=4000000000", PERM_DENIED),
    ("minimum_uid=4000000000 exempt=ANN", IGNORE)])
def test_who_reaches_the_line_must_pass_but_for_the_exempt(ann, options, code):
    """Those whom it means come as far as the lack of a map."""
    options = options.replace("ANN", ann.name).replace(
        "GROUP", grp.getgrgid(ann.gid).gr_name)
    done = log_in(ann, options + " map=/nowhere")
    assert done.codes == [SERVICE_ERR if code is None else code]


@pytest.mark.parametrize("service", ["sshd", "su", "cron", "sudo", "anything"])
def test_it_has_no_list_of_services_by_default(ann, service):
    assert log_in(ann, "map=/nowhere", service=service).codes == [SERVICE_ERR]


@pytest.mark.parametrize("service", ["systemd-user", "lightdm-greeter"])
def test_what_nobody_can_answer_is_denied(ann, service):
    assert log_in(ann, service=service).codes == [PERM_DENIED]


def test_root_is_let_in_by_no_default(ann):
    assert log_in(ann, user="root").codes == [PERM_DENIED]
    assert log_in(ann, "exempt=root", user="root").codes == [IGNORE]
    assert log_in(ann, "minimum_uid=0 users=root map=/nowhere",
                  user="root").codes == [SERVICE_ERR]


@pytest.mark.parametrize("user", ["no-such-user", "DOM\\user", "x\ny", "*"])
def test_an_unknown_user_is_nobody_and_costs_nothing(ann, user):
    done = log_in(ann, "", approved("ann"), user=user)
    assert done.codes == [USER_UNKNOWN] and done.messages == []
    assert not fake_fetch.orders(ann.dir)
    assert all(" " <= c <= "~" for c in "".join(ours(done)))


@pytest.mark.skipif(ROOT, reason="for an ordinary user")
def test_a_program_of_the_user_itself_proves_nothing(ann):
    done = log_in(ann, "", approved(ann.name))
    assert done.codes == [SYSTEM_ERR] and not prompts(done)


# Who approved

@root_only
def test_the_person_of_the_same_name_is_let_in(ann):
    done = log_in(ann, "", approved(ann.name))
    assert done.codes == [SUCCESS]
    line, = ours(done, NOTICE)
    assert ann.name in line and "approved" in line
    assert not ours(done, ERR, WARNING, ALERT)


@root_only
@pytest.mark.parametrize("parts", [
    {"person": "bob"}, {"person": "ANN2"}, {"person": "xANN"},
    {"person": "ANN@example.com"}, {"person": ""}, {"person": "ANN/x"},
    {"person": "ANN\0"}, {"person": "ANN\n"}, {"person": "Upper"},
    {"person": "ANN", "account": "999999999999"},
    {"person": "ANN", "account": ""}, {"person": "ANN", "role": "ReadOnly2"},
    {"person": "ANN", "role": "Read"}, {"person": "ANN", "role": "readonly"},
    {"person": "ANN", "partition": "aws-cn"},
    {"person": "ANN", "suffix": "0123456789abcde"},
    {"person": "ANN", "suffix": "0123456789abcdef0"},
    {"person": "ANN", "suffix": "0123456789ABCDEF"},
    {"person": "ANN", "suffix": "0123456789abcdeg"},
    {"person": "ANN", "suffix": ""}, {"person": "ANN", "service": "iam"},
    {"person": "ANN", "kind": "role"}])
def test_anybody_elses_approval_is_an_alarm(ann, parts):
    parts = {k: v.replace("ANN", ann.name).replace("Upper", ann.name.upper())
             for k, v in parts.items()}
    for service, code in (("sshd", MAXTRIES), ("login", PERM_DENIED)):
        done = log_in(ann, "", approved(**parts), service=service)
        assert done.codes == [code]
        line, = ours(done, ALERT)
        assert ann.name in line and parts["person"][:3] in line
        assert all(" " <= c <= "~" for c in line)
        assert "approved by somebody else" in done.text
        assert parts["person"] == "" or parts["person"] not in done.text or \
            parts["person"].startswith(ann.name)


@root_only
def test_a_name_that_may_have_been_cut_is_nobody(ann):
    path = ann.dir / "map"
    for length, code in ((63, SUCCESS), (64, MAXTRIES)):
        path.write_text(f"{ann.name} {'a' * length}\n")
        path.chmod(0o644)
        done = log_in(ann, f"map={path}", approved("a" * length))
        assert done.codes == [code]


@root_only
@pytest.mark.parametrize("domain, person, code", [
    ("example.com", "ANN@example.com", SUCCESS),
    ("example.com", "ANN", MAXTRIES),
    ("example.com", "ANN@example.com.evil", MAXTRIES),
    ("example.com", "ANN@EXAMPLE.com", MAXTRIES),
    ("example.com", "xANN@example.com", MAXTRIES),
    ("example.com", "ANN@x@example.com", MAXTRIES),
    ("example.com", "bob@example.com", MAXTRIES)])
def test_with_a_domain_the_name_is_with_it(ann, domain, person, code):
    done = log_in(ann, f"domain={domain}",
                  approved(person.replace("ANN", ann.name)))
    assert done.codes == [code]


@root_only
@pytest.mark.parametrize("text, code", [
    ("ANN a@b", SUCCESS), ("# all of us\n\nbob b@b\n\tANN \t a@b\t", SUCCESS),
    ("ANN x@b\nANN a@b\n", SUCCESS), ("ANN x@b", MAXTRIES),
    ("bob a@b", MAXTRIES), ("#ANN a@b", MAXTRIES), ("ANN a@b c", MAXTRIES),
    ("ANN", MAXTRIES), ("", MAXTRIES), ("ANNa@b", MAXTRIES),
    ("ANN A@b", MAXTRIES), ("ANN a@bb", MAXTRIES), ("x ANN a@b", MAXTRIES)])
def test_with_a_map_its_lines_count_and_nothing_else(ann, text, code):
    path = ann.dir / "map"
    path.write_text(text.replace("ANN", ann.name))
    path.chmod(0o644)
    done = log_in(ann, f"map={path}", approved("a@b"))
    assert done.codes == [code]
    assert log_in(ann, f"map={path}", approved(ann.name)).codes == [MAXTRIES]


@root_only
def test_a_name_that_changes_meanwhile_is_another(ann):
    done = log_in(ann, "", approved(ann.name), at_prompt=[["become", "root"]])
    assert done.codes == [MAXTRIES] and ours(done, ALERT)


# What the fetcher says, or does not

@root_only
@pytest.mark.parametrize("steps, sshd, login", [
    ([SHOWN, refused(wire.AW_DENIED)], MAXTRIES, AUTH_ERR),
    ([SHOWN, refused(wire.AW_EXPIRED)], AUTH_ERR, AUTH_ERR),
    ([SHOWN, refused(wire.AW_NETWORK)], AUTHINFO_UNAVAIL, AUTHINFO_UNAVAIL),
    ([SHOWN, refused(wire.AW_AWS)], AUTHINFO_UNAVAIL, AUTHINFO_UNAVAIL),
    ([refused(wire.AW_NETWORK)], AUTHINFO_UNAVAIL, AUTHINFO_UNAVAIL),
    ([refused(wire.AW_STALE)], AUTHINFO_UNAVAIL, AUTHINFO_UNAVAIL),
    ([SHOWN, {"send": {"arn": "ANN"}}], AUTHINFO_UNAVAIL, AUTHINFO_UNAVAIL),
    ([{"send": {"last": 1, "arn": "ANN"}}], AUTHINFO_UNAVAIL,
     AUTHINFO_UNAVAIL),
    ([SHOWN, {"exit": 0}], AUTHINFO_UNAVAIL, AUTHINFO_UNAVAIL),
    ([SHOWN, {"kill": signal.SIGSEGV}], AUTHINFO_UNAVAIL, AUTHINFO_UNAVAIL),
    ([{"exit": 1}], AUTHINFO_UNAVAIL, AUTHINFO_UNAVAIL),
    ([SHOWN, {"raw": "00"}], AUTHINFO_UNAVAIL, AUTHINFO_UNAVAIL),
    ([SHOWN, {"raw": "ff" * 500}], AUTHINFO_UNAVAIL, AUTHINFO_UNAVAIL),
    ([{"raw": "ff" * 100000}], AUTHINFO_UNAVAIL, AUTHINFO_UNAVAIL),
    ([SHOWN, {"send": {"last": 1, "version": 99, "arn": "ANN"}}],
     AUTHINFO_UNAVAIL, AUTHINFO_UNAVAIL),
    ([SHOWN, {"send": {"last": 1, "what": 1, "arn": "ANN"}}],
     AUTHINFO_UNAVAIL, AUTHINFO_UNAVAIL)])
def test_each_failure_has_its_verdict(ann, steps, sshd, login):
    for step in steps:
        if step.get("send", {}).get("arn"):
            step["send"]["arn"] = arn(ann.name)
    for service, code in (("sshd", sshd), ("login", login)):
        done = log_in(ann, "", steps, service=service)
        assert done.codes == [code]
        assert len(ours(done)) == 1 and done.seconds[0] < 40


@root_only
@pytest.mark.parametrize("fields", [
    {"url": "javascript:alert(1)"}, {"url": "http://evil.example/"},
    {"url": "https://a/\033[2J"}, {"url": "https://a/ b"}, {"url": ""},
    {"url": "https://a/" + "x" * 2100}, {"code": ""}, {"code": "AB\nCD"},
    {"code": "A\033[31m"}, {"code": "x" * 100}])
def test_what_must_not_be_shown_is_not(ann, fields):
    done = log_in(ann, "", [{"send": {**SHOWN["send"], **fields}},
                            approved(ann.name)[1]])
    assert done.codes == [AUTHINFO_UNAVAIL] and not prompts(done)


@root_only
def test_texts_from_far_away_are_made_harmless(ann):
    bad = "x\033]0;owned\a\n\r\u202e\x9b2J%s%n"
    done = log_in(ann, "", [SHOWN, refused(wire.AW_DENIED, bad)],
                  items={"rhost": bad.encode().decode("latin-1")})
    for text in (*prompts(done), *ours(done), done.text):
        assert all(c == "\n" or " " <= c <= "~" for c in text), text
    assert len(ours(done)) == 1
    order, = fake_fetch.orders(ann.dir)
    assert re.fullmatch(r"awsenv on \S+ for \S+ from [ -~]+",
                        order["client_name"])


@root_only
@pytest.mark.parametrize("path", ["/nowhere/awsenv-fetch", "/etc/passwd",
                                  "/bin/true"])
def test_a_program_that_is_none_is_a_failure_and_no_silence(ann, path):
    done = log_in(ann, f"fetch={path}")
    assert done.codes == [AUTHINFO_UNAVAIL] and done.seconds[0] < 40
    assert path in ours(done, ERR)[0]


@root_only
@pytest.mark.parametrize("hang", [{"sleep": 60}, {"kill": signal.SIGSTOP}])
def test_one_that_hangs_costs_the_timeout_and_no_more(ann, hang):
    for steps, code in (([hang], AUTHINFO_UNAVAIL), ([SHOWN, hang], AUTH_ERR)):
        done = log_in(ann, "timeout=2", steps)
        assert done.codes == [code] and 1.5 < done.seconds[0] < 40
    subprocess.run(["pkill", "-KILL", "-f", str(ann.dir / "awsenv-fetch")])


@root_only
def test_the_fetcher_is_an_account_of_its_own_and_nothing_elses(ann):
    done = log_in(ann, "", approved(ann.name), keepfd=True,
                  env={"HTTPS_PROXY": "http://evil.example", "HOME": "/evil",
                       "AWS_CA_BUNDLE": "/evil", "AWS_PROFILE": "evil"})
    assert done.codes == [SUCCESS]
    order, = fake_fetch.orders(ann.dir)
    assert order["ids"][:3] == [65534] * 3 and order["ids"][3:6] == [65534] * 3
    assert set(order["ids"][6:]) <= {65534}
    assert set(order["env"]) <= {"LC_CTYPE"} and order["cwd"] == "/"
    assert {0, 1, 2, 3} <= set(order["fds"]) and len(order["fds"]) <= 6
    assert (order["account"], order["role"]) == (ACCOUNT, ROLE)
    assert order["facts"] == {
        "session": "https://corp.awsapps.com/start",
        "start_url": "https://corp.awsapps.com/start", "region": REGION,
        "scopes": "sso:account:access", "sts": "", "ca_path": "",
        "oidc": f"https://oidc.{REGION}.amazonaws.com",
        "portal": f"https://portal.sso.{REGION}.amazonaws.com",
        "ca_digest": "", "proxy": "", "no_proxy": ""}
    assert ann.name in order["client_name"]


@root_only
@pytest.mark.parametrize("user, code", [
    ("root", SERVICE_ERR), ("ANN", SERVICE_ERR),
    ("no-such-user", AUTHINFO_UNAVAIL)])
def test_the_account_must_be_there_and_nobody_elses(ann, user, code):
    done = log_in(ann, f"user={user.replace('ANN', ann.name)}",
                  approved(ann.name))
    assert done.codes == [code] and not fake_fetch.orders(ann.dir)


@root_only
def test_in_su_the_caller_is_of_no_importance(ann):
    with Account() as bob:
        done = log_in(ann, "", approved(ann.name), service="su",
                      uids=[bob.uid, 0, 0])
        assert done.codes == [SUCCESS]
        assert fake_fetch.orders(ann.dir)[0]["ids"][:3] == [65534] * 3


# The conversation

@root_only
def test_all_that_matters_is_in_one_prompt_that_echoes(ann):
    done = log_in(ann, "", approved(ann.name), items={"rhost": "10.0.0.1"})
    (style, text), = done.messages
    assert style == ECHO_ON and f"\n{URL}\n" in text
    assert re.search(r"code:  ABCD-EFGH\n", text)
    assert f"AWS login of {ann.name} on {os.uname().nodename}" in text
    assert "from 10.0.0.1, " in text and re.search(r"\d\d:\d\d UTC", text)
    assert "only if you started this login yourself, just now" in text
    assert "NOT AWS" not in text and re.search(r"\(\d+ seconds\): $", text)


@root_only
def test_an_endpoint_of_somebody_elses_is_said(ann):
    done = log_in(ann, "endpoint=https://lab.example/", approved(ann.name))
    assert "*** NOT AWS: endpoint https://lab.example/ ***" in prompts(done)[0]
    facts = fake_fetch.orders(ann.dir)[0]["facts"]
    assert {facts[k] for k in ("oidc", "portal", "sts")} == {
        "https://lab.example"}


@root_only
def test_it_asks_again_while_nobody_has_approved(ann):
    steps = [SHOWN, {"sleep": 11}, approved(ann.name)[1]]
    done = log_in(ann, "", steps)
    assert done.codes == [SUCCESS]
    first, second, *_ = prompts(done)
    assert "Not approved yet: code ABCD-EFGH" in second and URL not in second


@root_only
@pytest.mark.parametrize("service, seconds", [("sshd", 100), ("login", 50)])
def test_it_fits_into_the_time_that_a_service_has(ann, service, seconds):
    done = log_in(ann, "", approved(ann.name), service=service)
    left = int(re.search(r"\((\d+) seconds\)", prompts(done)[0])[1])
    assert seconds - 40 <= left <= seconds


@root_only
def test_the_code_may_live_less_than_that(ann):
    shown = {"send": {**SHOWN["send"], "dev_until": int(time.time()) + 20}}
    done = log_in(ann, "", [shown, approved(ann.name)[1]])
    assert int(re.search(r"\((\d+) seconds\)", prompts(done)[0])[1]) <= 20


@root_only
def test_an_approval_after_the_time_is_none(ann):
    done = log_in(ann, "timeout=1", approved(ann.name),
                  at_prompt=[["sleep", 1.5]])
    assert done.codes == [AUTH_ERR]


@root_only
@pytest.mark.parametrize("conv", ["null", "error", "none"])
def test_an_application_that_cannot_ask_is_no_way_in(ann, conv):
    done = log_in(ann, "", approved(ann.name), conv=conv)
    assert done.codes == [CONV_ERR]
    assert len(ours(done)) == 1 + (conv != "null")      # and libpam's


@root_only
def test_silence_is_for_messages_and_not_for_the_question(ann):
    """login(1) asks for it where there is a ~/.hushlogin."""
    done = log_in(ann, "", approved(ann.name), ("auth", SILENT))
    assert done.codes == [SUCCESS] and len(prompts(done)) == 1
    done = log_in(ann, "", approved("bob"), ("auth", SILENT))
    assert done.codes == [MAXTRIES]
    assert [style for style, _ in done.messages] == [ECHO_ON]
    done = log_in(ann, "quiet", approved("bob"))
    assert [style for style, _ in done.messages] == [ECHO_ON]
    done = log_in(ann, "", approved("bob"))
    assert [style for style, _ in done.messages] == [ECHO_ON, ERROR_MSG]


# What becomes of the stack

@root_only
@pytest.mark.parametrize("lines, person, code", [
    (["auth required LINE"], "ANN", SUCCESS),
    (["auth required LINE"], "bob", PERM_DENIED),
    (["auth required LINE", "auth required pam_permit.so"], "bob",
     PERM_DENIED),
    (["auth requisite pam_deny.so", "auth required LINE"], "ANN", 7),
    (["auth required pam_permit.so", "auth required LINE"], "ANN", SUCCESS),
    (["auth required pam_permit.so", "auth required LINE"], "bob",
     PERM_DENIED),
    (["auth sufficient LINE", "auth required pam_deny.so"], "ANN", SUCCESS),
    (["auth [success=1 default=ignore] LINE", "auth requisite pam_deny.so",
      "auth required pam_permit.so"], "ANN", SUCCESS),
    (["auth required LINE fetch=/nowhere", "auth required pam_permit.so"],
     "ANN", AUTHINFO_UNAVAIL),
    (["auth [success=ok ignore=ignore authinfo_unavail=ignore default=bad] "
      "LINE fetch=/nowhere", "auth required pam_permit.so"], "ANN", SUCCESS),
    (["auth [success=ok ignore=ignore authinfo_unavail=ignore default=bad] "
      "LINE", "auth required pam_permit.so"], "bob", PERM_DENIED)])
def test_stacks_with_it(ann, lines, person, code):
    path = fake_fetch.write(ann.dir, approved(person.replace("ANN", ann.name)))
    lines = [line.replace("LINE", f"MODULE mode=factor user=nobody {LINE} "
                          f"fetch={path}", 1) for line in lines]
    stack = Stack(lines=lines, service="login", behind=NO_MODULE)
    done = stack.call(ann, "auth", "setcred", ("setcred", DELETE),
                      run=ann.run)
    assert done.codes[0] == code
    if code == SUCCESS and "nowhere" not in str(lines):
        assert done.codes == [SUCCESS] * 3
        # In sshd the process that calls setcred knows nothing of the first.
        done = stack.call(ann, "setcred", ("setcred", REINITIALIZE),
                          run=ann.run)
        assert done.codes == [SUCCESS] * 2


def test_setcred_is_of_the_same_kind_as_the_verdict(ann):
    for options, code in (("", SUCCESS), (f"exempt={ann.name}", IGNORE),
                          ("services=login", IGNORE), ("enforce=no", IGNORE)):
        assert log_in(ann, options, None, "setcred").codes == [code]
    done = log_in(ann, "", None, "acct", "chauthtok")
    assert done.codes == [IGNORE] * 2


@root_only
@pytest.mark.parametrize("options, person, told", [
    ("", "ANN", "approved: ANN"), ("", "bob", "approved by somebody else: bob"),
    ("fetch=/nowhere", "ANN", "AWS cannot be asked"),
    ("role=", "ANN", "the line in pam.d cannot be used"),
    ("users=somebody", "ANN", "not a user whom this line lets in")])
def test_a_trial_decides_nothing_and_logs_what_it_would_have(
        ann, options, person, told):
    path = fake_fetch.write(ann.dir, approved(person.replace("ANN", ann.name)))
    done = log_in(ann, f"fetch={path} enforce=no {options}")
    assert done.codes == [IGNORE]
    line = ours(done)[-1]
    assert told.replace("ANN", ann.name) in line
    assert "enforce=no: this decides nothing" in line


# How often

class Attempt(threading.Thread):
    """One that hangs at its prompt, until it is let go."""

    def __init__(self, account, number, seconds=3, **order):
        super().__init__()
        self.account = Account.__new__(Account)
        self.account.__dict__.update(account.__dict__)
        self.account.dir = account.dir / f"attempt{number}"
        self.account.dir.mkdir()
        self.order, self.seconds = order, seconds
        self.start()

    def run(self):
        self.done = log_in(self.account, "", approved(self.account.name),
                           at_prompt=[["sleep", self.seconds]], **self.order)


def locked(account):
    """How many attempts of the user are open, as others can see it."""
    folder, number = account.run / "awsenv/factor", 0
    for path in folder.glob(f"user-{account.uid}.*"):
        number += bool(subprocess.run(["flock", "-n", path, "true"]).returncode)
    return number


@root_only
def test_three_are_open_at_once_and_a_killed_one_gives_way(ann):
    open_ones = [Attempt(ann, n, 8) for n in range(3)]
    Simulator.until(lambda: locked(ann) == 3, 20, "three open attempts")
    done = log_in(ann, "", approved(ann.name))
    assert done.codes == [MAXTRIES] and not prompts(done)
    assert "too many attempts: of this user" in ours(done, WARNING)[0]
    for thread in open_ones:
        thread.join()
    assert [t.done.codes for t in open_ones] == [[SUCCESS]] * 3
    assert locked(ann) == 0
    # The files of dead ones are there and hold nobody up.
    done = log_in(ann, "", approved(ann.name))
    assert done.codes == [SUCCESS]
    folder = ann.run / "awsenv/factor"
    assert folder.stat().st_mode & 0o7777 == 0o700
    assert all(p.stat().st_mode & 0o7777 == 0o600 for p in folder.iterdir())


@root_only
def test_a_source_has_three_as_well_whoever_it_tries(ann):
    where = {"items": {"rhost": "2001:db8::1"}}
    with Account() as bob:
        bob.run = ann.run
        open_ones = [Attempt(ann, n, 8, **where) for n in range(2)]
        open_ones.append(Attempt(bob, 3, 8, **where))
        Simulator.until(lambda: locked(ann) + locked(bob) == 3, 20, "three")
        # The same network is the same source; another one is not.
        done = log_in(bob, "", approved(bob.name),
                      items={"rhost": "2001:db8::ffff:2"})
        assert done.codes == [MAXTRIES]
        assert "from this source" in ours(done, WARNING)[0]
        done = log_in(bob, "", approved(bob.name),
                      items={"rhost": "2001:db8:1::1"})
        assert done.codes == [SUCCESS]
        for thread in open_ones:
            thread.join()


@root_only
def test_ten_in_ten_minutes_unless_the_person_was_there(ann):
    for _ in range(9):
        assert log_in(ann, "", approved("bob")).codes == [MAXTRIES]
    assert log_in(ann, "", approved(ann.name)).codes == [SUCCESS]
    for _ in range(10):
        done = log_in(ann, "", [SHOWN, refused(wire.AW_DENIED)])
        assert ours(done)[0].count("refused")
    done = log_in(ann, "", approved(ann.name))
    assert done.codes == [MAXTRIES] and not prompts(done)
    assert "too many attempts" in done.text
    with Account() as bob:
        bob.run = ann.run
        assert log_in(bob, "", approved(bob.name)).codes == [SUCCESS]
    # What a crash left behind is no obstacle for ever.
    path = ann.run / f"awsenv/factor/user-{ann.uid}"
    for junk in (b"", b"\xff" * 1000, b"x"):
        path.write_bytes(junk)
        assert log_in(ann, "", approved(ann.name)).codes == [SUCCESS]


@root_only
@pytest.mark.parametrize("how", ["owner", "mode", "link", "file"])
def test_without_a_place_to_count_nobody_is_let_in(ann, how):
    place = ann.run / "awsenv/factor"
    place.parent.mkdir(mode=0o755)
    if how == "link":
        place.symlink_to(ann.dir)
    elif how == "file":
        place.write_text("")
    else:
        place.mkdir(mode=0o700 if how == "owner" else 0o777)
        place.chmod(0o700 if how == "owner" else 0o777)
        os.chown(place, ann.uid if how == "owner" else 0, 0)
    done = log_in(ann, "", approved(ann.name))
    assert done.codes == [SYSTEM_ERR] and not prompts(done)


# The real fetcher, and a simulator in the place of AWS

@pytest.fixture(scope="module")
def shared():
    with Simulator(accounts=2, roles=2, interval=1) as simulator:
        simulator.dir.chmod(0o755)
        yield simulator


@pytest.fixture
def sim(shared):
    shared.clear_faults()
    shared.settings(approve_after=None)
    shared.reset()
    return shared


def at_aws(account, sim, options="", prompts=(), calls=("auth",), **order):
    control = sim.info["control"]
    line = (f"start_url={sim.start_url} region={sim.region} account="
            f"{sim.info['accounts'][0]['id']} role={sim.info['roles'][0]} "
            f"endpoint={sim.urls['https']} ca={sim.ca} "
            f"fetch={BUILD / 'awsenv-fetch'}")
    path = account.dir / "map"
    path.write_text(f"{account.name} ann@example.com\n")
    path.chmod(0o644)
    return log_in(account, f"map={path} {options}", None, *calls, line=line,
                  control=[control["host"], control["port"]],
                  at_prompt=[list(p) for p in prompts], **order)


@root_only
def test_an_approval_at_aws_lets_in(ann, sim):
    done = at_aws(ann, sim, "", [("approve",)], items={"rhost": "10.1.2.3"})
    assert done.codes == [SUCCESS], done.log
    assert "ann@example.com" in ours(done, NOTICE)[0]
    names = [r for r in sim.requests("RegisterClient")]
    assert len(names) == 1 and sim.counts()["StartDeviceAuthorization"] == 1


@root_only
def test_another_persons_approval_at_aws_does_not(ann, sim):
    done = at_aws(ann, sim, "", [("approve", "bob@example.com")])
    assert done.codes == [MAXTRIES]
    assert "bob@example.com" in ours(done, ALERT)[0]


@root_only
def test_a_person_without_the_role_is_no_reason_to_look_away(ann, sim):
    """A stack may ignore PAM_AUTHINFO_UNAVAIL; this must not be that."""
    done = at_aws(ann, sim, f"role={sim.info['roles'][1]}",
                  [("approve", "bob@example.com")])
    assert done.codes == [MAXTRIES] and "no access" in ours(done)[0]


@root_only
def test_a_refusal_in_the_browser_ends_it(ann, sim):
    assert at_aws(ann, sim, "", [("deny",)]).codes == [MAXTRIES]
    assert at_aws(ann, sim, "", [("deny",)],
                  service="login").codes == [AUTH_ERR]


@root_only
def test_aws_out_of_reach_is_told_as_such(ann, sim):
    sim.fault("RegisterClient", "reset")
    done = at_aws(ann, sim)
    assert done.codes == [AUTHINFO_UNAVAIL] and not prompts(done)
    assert "AWS cannot be asked" in ours(done, ERR)[0]


@root_only
def test_each_attempt_is_its_own(ann, sim):
    codes = set()
    for _ in range(2):
        done = at_aws(ann, sim, "", [("approve",)])
        assert done.codes == [SUCCESS]
        codes.add(re.search(r"code: +(\S+)", prompts(done)[0])[1])
    assert len(codes) == 2 and sim.counts()["RegisterClient"] == 2


@root_only
def test_an_identity_center_of_the_users_own_counts_for_nothing(ann, sim):
    """With a person in it who is called as the victim is at work."""
    config = ann.home / ".aws/config"
    config.parent.mkdir()
    with Simulator(interval=1, approve_after=0) as own:
        own.dir.chmod(0o755)
        config.write_text(own.config_text(
            {"name": "default", "endpoint_url": own.urls["https"],
             "ca_bundle": own.ca}))
        ann.give()
        done = at_aws(ann, sim, "timeout=6", env={
            "AWS_CONFIG_FILE": str(config), "HOME": str(ann.home),
            **own.env()})
        assert done.codes == [AUTH_ERR]
        assert own.counts()["total"] == 0
    assert sim.counts()["StartDeviceAuthorization"] == 1


@root_only
def test_no_secret_is_in_a_message_a_log_or_a_file(ann, sim):
    done = at_aws(ann, sim, "debug", [("approve",)])
    assert done.codes == [SUCCESS]
    text = done.text + "".join(t for _, t in done.log) + "".join(
        p.read_bytes().decode("latin-1") for p in ann.run.rglob("*")
        if p.is_file())
    secrets = sim.secrets()
    assert len(secrets) >= 4
    for secret in secrets:
        assert secret["value"] not in text, secret["kind"]
    assert "AWSENV" not in "".join(done.env)
