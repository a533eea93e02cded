# SPDX-License-Identifier: ISC
"""What every verb has alike: help, a page, completion, JSON, exit statuses,
and output that suits a narrow terminal and none."""
import json
import re
import shutil
import subprocess
from typing import NamedTuple

import pytest

from agent import BUILD, TOP
from journey import Person
from simulator.client import Simulator

PAGE = (TOP / "agent/cli/awsenv.1").read_text()
P = ["-p", "marketing"]


class Row(NamedTuple):
    """words: a use of it that works; json: more of them for an object or list,
    or why a script needs none. Then the exit status where there is no such
    profile, no login, no agent on AWSENV_SOCK, where AWS refuses the role, and
    where it is out of order; None: it asks for none of that."""
    words: list
    json: object
    profile: int = None
    login: int = None
    agent: int = None
    refused: int = None
    network: int = None
    wraps: bool = True      # lines that are too long go on below
    silent: bool = False    # no line on standard error beside that


VERBS = {
    "exec": Row([*P[1:], "--", "true"], "the command speaks",
                125, 125, 125, 125, 125),
    "login": Row(P, [*P, "--json"], 4, None, 7, None, None),
    "whoami": Row(P, [*P, "--json"], 4, 3, 7, 5, 6),
    "export": Row([*P, "--format", "ini"], [*P, "--format", "json"],
                  4, 3, 7, 5, 6),
    "process": Row(P, P, 4, 3, 7, 5, 6),
    "help": Row([], "a text"),
    "version": Row([], "a word"),
    "agent": Row(["status"], "status has it", None, None, 7),
    "configure": Row(["--credential-process", "--diff"],
                     ["--credential-process", "--diff", "--json"],
                     None, None, 7),
    "ls": Row(["--roles"], ["--roles", "--json"], None, 3, 7, None, 6,
              wraps=False),
    "status": Row(P, [*P, "--json"], 4, None, 7, silent=True),
    "logout": Row(["--credentials"], "it is done or the status says why not",
                  None, None, 7),
    "doctor": Row(P, [*P, "--json"]),
    "log": Row([], ["--json"], None, None, 7),
    "shell": Row(P, "the shell speaks", 125, 125, 125, 125, 125),
    "prompt": Row(P, "one line", 4, None, 7, silent=True),
    "completion": Row(["bash"], "a script"),
    "console": Row([*P, "--logout", "--print"], "an address", 4, None, 7),
}


# Want a question, a passphrase or a far host to be of use: their help and page
# are looked at here, the rest in tests of their own.
BY_THEMSELVES = {"confirm", "forward", "lock", "unlock"}


@pytest.fixture(scope="module")
def sim():
    with Simulator(accounts=3, roles=2, interval=1) as one:
        yield one


@pytest.fixture(scope="module")
def ann(sim):
    with Person(sim) as one:
        one.env["SHELL"] = "/bin/sh"
        one.log_in()
        yield one


@pytest.fixture(scope="module")
def bob(sim):
    """Who has not logged in."""
    with Person(sim) as one:
        assert one.run("agent", "start").returncode == 0
        yield one


def listed():
    """All that awsenv takes for a verb."""
    done = subprocess.run([BUILD / "awsenv", "completion", "words", "--", ""],
                          env={}, capture_output=True, text=True, timeout=30)
    return [s.split("\t")[0] for s in done.stdout.splitlines()[1:]
            if not s.startswith("-")]


def rows(field):
    return [pytest.param(verb, row, id=verb) for verb, row in VERBS.items()
            if getattr(row, field) is not None]


def test_the_table_has_all_of_them():
    assert sorted(set(listed()) - BY_THEMSELVES) == sorted(VERBS)


@pytest.mark.parametrize("verb", listed())
def test_its_help(ann, verb):
    done = ann.run(verb, "--help")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith(f"usage: awsenv {verb}")
    assert max(map(len, done.stdout.splitlines())) < 80
    assert ann.run("help", verb).stdout == done.stdout
    text = ann.run("help").stdout
    assert re.search(rf"^  {verb} +\w", text, re.M)
    for option in re.findall(r"^ .{4}--([a-z-]+)", done.stdout, re.M):
        assert re.search(rf"Fl \\?-?{option}\b", PAGE), f"--{option}"


@pytest.mark.parametrize("verb", listed())
def test_its_paragraph_in_the_manual(verb):
    assert re.search(rf"^\.It (Cm|Ic) {verb}\b", PAGE, re.M)


@pytest.mark.parametrize("verb", listed())
def test_what_is_no_use_of_it(ann, verb):
    done = ann.run(verb, "--no-such-option")
    assert done.returncode == 2
    assert done.stdout == "" and done.stderr.count("\n") == 1
    assert done.stderr.startswith("awsenv: unknown option --no-such-option")


@pytest.mark.parametrize("verb, row", rows("words"))
def test_without_a_terminal_it_is_plain_text(ann, verb, row):
    done = ann.run(verb, *row.words)
    assert done.returncode == (1 if verb == "doctor" else 0), done.stderr
    for text in (done.stdout, done.stderr):
        assert text == "" or text.endswith("\n")
        # A snippet for a shell has its own way to write tabs.
        assert text.replace("\n", "").replace("\t", "").isprintable()


@pytest.mark.skipif(not shutil.which("tmux"), reason="tmux is not installed")
@pytest.mark.parametrize("verb, row", rows("words"))
def test_a_narrow_terminal_loses_nothing(ann, verb, row):
    ann.run(verb, *row.words)       # the second logout finds nothing
    plain = ann.run(verb, *row.words)
    with ann.terminal("awsenv", verb, *row.words, cols=36, rows=60) as t:
        if verb == "shell":
            t.until("marketing")
            t.press("exit", "Enter")
        assert t.exit_status() == plain.returncode
        whole, torn = t.text(), t.tmux("capture-pane", "-p", "-S", "-").stdout
    whole = whole.split("EXIT=")[0].rstrip()
    torn = torn.split("EXIT=")[0].rstrip()
    if not row.wraps:
        assert whole == torn, "a table has been broken"
        assert len(whole.splitlines()) == len(plain.stdout.splitlines())
        return

    def words(text):
        return {w for w in re.findall(r"[a-z_-]{3,}", text)}
    assert words(plain.stdout) <= words(whole)


@pytest.mark.parametrize("verb, row", rows("json"))
def test_what_a_script_reads(ann, verb, row):
    if isinstance(row.json, str):
        done = ann.run(verb, "--json")
        assert done.returncode == 2 or verb in ("help", "logout"), \
            "it has --json, and should be in the table with it"
        return
    done = ann.run(verb, *row.json)
    assert done.returncode == (1 if verb == "doctor" else 0), done.stderr
    for line in done.stdout.splitlines() if verb == "log" else [done.stdout]:
        assert isinstance(json.loads(line), (dict, list))


def ends(done, status, silent=False):
    """One or two lines that say why."""
    assert done.returncode == status, done
    assert silent or done.stderr.startswith("awsenv: ")
    assert done.stderr.count("\n") <= 2


def used(row, profile="marketing"):
    return [profile if w == "marketing" else w for w in row.words]


@pytest.mark.parametrize("verb, row", rows("profile"))
def test_no_such_profile(ann, verb, row):
    done = ann.run(verb, *used(row, "nobody"))
    ends(done, row.profile, row.silent)
    assert "nobody" in (done.stdout if verb == "status" else done.stderr) or \
        verb == "prompt"


@pytest.mark.parametrize("verb, row", rows("login"))
def test_a_login_is_needed(bob, verb, row):
    done = bob.run(verb, *row.words)
    ends(done, row.login)
    assert "awsenv login" in done.stderr


@pytest.mark.parametrize("verb, row", rows("agent"))
def test_no_agent(ann, verb, row):
    done = ann.run(verb, *row.words, env={"AWSENV_SOCK": ann.dir / "none"})
    ends(done, row.agent, row.silent)
    assert not done.stdout


@pytest.mark.parametrize("verb, row", rows("refused"))
def test_aws_refuses(ann, sim, verb, row):
    ann.run("logout", "--credentials")
    sim.fault("GetRoleCredentials", "error", code="ForbiddenException")
    try:
        ends(ann.run(verb, *row.words), row.refused)
    finally:
        sim.clear_faults()


@pytest.mark.parametrize("verb, row", rows("network"))
def test_aws_is_out_of_order(ann, sim, verb, row):
    if verb == "ls":        # keeps what it was told for half a minute
        ann.run("agent", "stop")
        ann.log_in()
    ann.run("logout", "--credentials")
    sim.fault("sso", "status", status=503)
    try:
        ends(ann.run(verb, *row.words), row.network)
    finally:
        sim.clear_faults()
