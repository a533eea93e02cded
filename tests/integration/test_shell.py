# SPDX-License-Identifier: ISC
"""awsenv shell, its picker, and awsenv prompt."""

import os
import re
import shutil
import subprocess
import time

import pytest

from agent import until
from journey import Person
from simulator.client import Simulator

PROFILES = ["marketing", "platform", "sandbox", {"name": "broken",
            "role_arn": "arn:aws:iam::012345678901:role/x"}]


@pytest.fixture(scope="module")
def sim():
    with Simulator(accounts=3, roles=2, interval=1) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def person(sim):
    with Person(sim, profiles=PROFILES) as one:
        one.log_in()
        yield one


@pytest.fixture
def ann(person):
    shutil.rmtree(person.home / ".local", ignore_errors=True)
    for name in (".bashrc", ".zshrc", ".config"):
        path = person.home / name
        shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True)
    return person


# The shell

SHELLS = [s for s in ("bash", "zsh", "fish", "dash") if shutil.which(s)]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_prompt_says_whose_shell_it_is(ann, shell):
    (ann.home / ".bashrc").write_text("PS1='mine> '\nmy_own=read\n")
    (ann.home / ".zshrc").write_text("PS1='mine> '\nmy_own=read\n")
    (ann.home / ".config/fish").mkdir(parents=True)
    (ann.home / ".config/fish/config.fish").write_text("set my_own read\n")
    with ann.terminal("awsenv", "shell", "marketing", SHELL=shutil.which(
            shell)) as t:
        t.until(r"\(marketing\) ")
        if shell in ("bash", "zsh"):
            t.until(r"\(marketing\) mine> ")
        if shell != "dash":
            t.press("echo own=$my_own", "Enter")
            t.until("own=read")
        t.press("echo key=$AWS_ACCESS_KEY_ID=$AWSENV_PROFILE", "Enter")
        t.until("key=ASIA[A-Z0-9]{16}=marketing")
        t.press("exit", "Enter")
        assert t.exit_status() == 0


@pytest.mark.parametrize("shell", SHELLS)
def test_one_inside_another_is_its_own(ann, shell):
    ann.run("-p", "platform", "--", "true")
    with ann.terminal("awsenv", "shell", "marketing", SHELL=shutil.which(
            shell)) as t:
        t.until(r"\(marketing\) ")
        t.press("awsenv shell platform", "Enter")
        t.until(r"(?m)^\(platform\) ")
        t.press("echo in=$AWSENV_SHELL=$AWSENV_PROFILE", "Enter")
        t.until("in=platform=platform")
        t.press("exit", "Enter")
        t.press("echo out=$AWSENV_SHELL=$AWSENV_PROFILE", "Enter")
        t.until("out=marketing=marketing")
        assert "(platform) (marketing)" not in t.text()
        assert "(marketing) (platform)" not in t.text()
        t.press("exit", "Enter")
        assert t.exit_status() == 0


@pytest.mark.parametrize("shell", SHELLS)
def test_nothing_of_ours_stays_open_in_it(ann, shell):
    with ann.terminal("awsenv", "shell", "marketing", SHELL=shutil.which(
            shell)) as t:
        t.until(r"\(marketing\) ")
        t.press("ls -l /proc/self/fd | grep -c memfd | sed s/^/found=/",
                "Enter")
        t.until(r"found=\d")
        assert "found=0" in t.text()
        t.press("exit", "Enter")


def test_a_name_is_no_command(ann, sim):
    odd = "$(echo oh)`echo no`%x"
    sim.write_config(ann.config, {"name": f"'{odd}'"}, *PROFILES)
    for shell in SHELLS:
        with ann.terminal("awsenv", "shell", odd,
                          SHELL=shutil.which(shell)) as t:
            t.until(re.escape(f"({odd})"))
            t.press("exit", "Enter")
            assert t.exit_status() == 0
    sim.write_config(ann.config, *PROFILES)


def test_an_account_and_role_are_shown_as_such(ann, sim):
    account = sim.info["accounts"][0]["id"]
    with ann.terminal("awsenv", "shell", "--account", account, "--role",
                      "ReadOnly", SHELL="/bin/dash") as t:
        t.until(re.escape(f"({account}/ReadOnly)"))
        t.press("exit", "Enter")
        assert t.exit_status() == 0


@pytest.mark.parametrize("argv, status, words", [
    (["nobody"], 125, "no profile"), (["-p", "a", "b"], 2, "given twice"),
    (["a", "b"], 2, "takes one profile"), (["--all"], 2, "does not go with"),
    ([], 4, "without a terminal name one")])
def test_what_cannot_be_is_said(ann, argv, status, words):
    done = ann.run("shell", *argv)
    assert done.returncode == status and words in done.stderr
    assert done.stderr.count("\n") <= 2 and done.stdout == ""


# The picker

def pick(ann, **env):
    return ann.terminal("awsenv", "shell", SHELL="/bin/dash",
                        **{"TERM": "screen", **env})


def test_typing_part_of_a_name_chooses(ann):
    with pick(ann) as t:
        t.until("sandbox")
        assert "broken" not in t.text(), "what cannot be used is not offered"
        t.press("form")
        until(lambda: "sandbox" not in "\n".join(t.screen()))
        t.press("Enter")
        t.until(r"\(platform\)")
        t.press("exit", "Enter")
        assert t.exit_status() == 0


def test_keys_go_up_and_down_and_take_back(ann):
    with pick(ann) as t:
        t.until("sandbox")
        t.press("xyz")
        t.until("no profile matches")
        t.press("C-u")
        until(lambda: "sandbox" in "\n".join(t.screen()))
        t.press("Down", "Down", "Up")
        until(lambda: re.search(r"(?m)^> platform", "\n".join(t.screen())))
        t.press("q", "BSpace")
        until(lambda: re.search(r"(?m)^> marketing", "\n".join(t.screen())))
        t.press("C-n", "Enter")
        t.until(r"\(platform\)")
        t.press("exit", "Enter")
        assert t.exit_status() == 0


def test_account_and_role_are_found_too(ann, sim):
    account = next(a["id"] for a in sim.info["accounts"]
                   if a["name"] == "sandbox")
    with pick(ann) as t:
        t.until("sandbox")
        t.press(account[-4:] + " read")
        until(lambda: "marketing" not in "\n".join(t.screen()))
        t.press("Enter")
        t.until(r"\(sandbox\)")
        t.press("exit", "Enter")


@pytest.mark.parametrize("key", ["Escape", "C-c", "C-d"])
def test_who_gives_up_gets_his_terminal_back(ann, key):
    with pick(ann) as t:
        t.until("sandbox")
        t.press(key)
        assert t.exit_status() == 1
        assert "sandbox" not in "\n".join(t.screen())


def test_the_one_chosen_last_comes_first(ann):
    for name in ("sandbox", "platform"):
        with ann.terminal("awsenv", "shell", name, SHELL="/bin/dash") as t:
            t.until(rf"\({name}\)")
            t.press("exit", "Enter")
            t.exit_status()
    with pick(ann) as t:
        t.until("marketing")
        shown = [line.split()[-3 if len(line.split()) > 2 else -1]
                 for line in t.screen()
                 if re.search("marketing|platform|sandbox", line)]
        assert shown == ["platform", "sandbox", "marketing"]
        t.press("C-c")
    path = ann.home / ".local/state/awsenv/recent"
    assert path.read_text() == "platform\nsandbox\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_narrow_terminal_shows_each_on_one_line(ann):
    with ann.terminal("awsenv", "shell", SHELL="/bin/dash", rows=6,
                      cols=20) as t:
        t.until("marketing")
        lines = [line for line in t.screen() if line.strip()]
        assert len(lines) <= 5 and lines[0].startswith("profile:")
        t.press("Enter")
        t.until(r"\(marketing\)")
        t.press("exit", "Enter")


def test_a_terminal_that_only_writes_lines(ann):
    with pick(ann, TERM="dumb") as t:
        t.until("profile: ")
        t.press("platform", "Enter")
        t.until(r"\(platform\)")
        assert "\x1b[" not in t.text()
        t.press("exit", "Enter")


def test_fzf_is_used_where_it_is(ann):
    folder = ann.dir / "bin"
    folder.mkdir(exist_ok=True)
    fzf = folder / "fzf"
    fzf.write_text(f'#!/bin/sh\ncat >{ann.dir}/offered\necho sandbox\n')
    fzf.chmod(0o755)
    with pick(ann, PATH=f"{folder}:{ann.env['PATH']}") as t:
        t.until(r"\(sandbox\)")
        t.press("exit", "Enter")
        assert t.exit_status() == 0
    assert (ann.dir / "offered").read_text() == (
        "marketing\nplatform\nsandbox\n")
    fzf.write_text("#!/bin/sh\nexit 130\n")
    with pick(ann, PATH=f"{folder}:{ann.env['PATH']}") as t:
        assert t.exit_status() == 1


# The prompt

def prompt(ann, *argv, **env):
    done = ann.run("prompt", *argv, env=env)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_the_prompt_names_a_login_that_renews_itself(ann):
    assert prompt(ann, AWS_PROFILE="marketing") == (0, "marketing\n")
    assert prompt(ann, "-p", "platform") == (0, "platform\n")


def test_the_prompt_tells_how_long_the_keys_of_this_shell_last(ann):
    def keys(seconds, **more):
        until_then = time.strftime(
            "%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
        return prompt(ann, AWSENV_PROFILE="marketing", AWS_ACCESS_KEY_ID="x",
                      AWS_CREDENTIAL_EXPIRATION=until_then, **more)
    assert keys(47 * 60 - 5) == (0, "marketing 47m\n")
    assert keys(3 * 3600 + 60) == (0, "marketing 3h\n")
    assert keys(-5) == (0, "marketing expired\n")
    assert keys(47 * 60 - 5, AWSENV_SHELL="a/b") == (0, "a/b 47m\n")
    done = ann.run("-p", "marketing", "--", "awsenv", "prompt")
    assert re.fullmatch(r"marketing (59|60)m\n", done.stdout)


def test_the_prompt_says_what_a_person_has_to_do(sim):
    with Person(sim, profiles=PROFILES) as bob:
        bob.run("agent", "start")
        bob.run("login", "-p", "marketing", "--no-wait")
        sim.wait_pending()
        assert prompt(bob, "-p", "marketing") == (0, "marketing approve\n")
        bob.run("logout", "--all")
        until(lambda: prompt(bob, "-p", "marketing") ==
              (0, "marketing login\n"))


def test_the_prompt_is_silent_where_there_is_nothing_to_say(sim, ann):
    assert prompt(ann, "-p", "nobody") == (4, "")
    with Person(sim, profiles=PROFILES) as bob:
        assert prompt(bob, "-p", "marketing") == (7, "")
        assert bob.agent_pid() is None, "it starts no agent"


def test_the_prompt_asks_no_file_system(ann):
    """Of what the agent read before, even while the file is being changed."""
    assert prompt(ann, "-p", "marketing")[0] == 0
    trace = ann.dir / "trace"
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    done = subprocess.run(
        ["strace", "-f", "-o", trace, "-e",
         "trace=openat,open,connect,socket,execve",
         str(ann.programs / "awsenv"), "prompt", "-p", "marketing"],
        env=ann.environ(), capture_output=True, text=True, timeout=60,
        preexec_fn=ann.become)
    assert done.stdout == "marketing\n", done.stderr
    text = trace.read_text()
    assert text.count("AF_UNIX") >= 1 and "AF_INET" not in text
    assert text.count("execve(") == 1, "the small program does it"
    assert ".aws/config" not in text


@pytest.mark.parametrize("verb", ["shell", "prompt", "completion"])
def test_their_help_fits_a_narrow_terminal(ann, verb):
    done = ann.run(verb, "--help")
    assert done.returncode == 0 and done.stdout.startswith(
        f"usage: awsenv {verb}")
    assert all(len(line) < 80 for line in done.stdout.splitlines())
    assert os.linesep in done.stdout
