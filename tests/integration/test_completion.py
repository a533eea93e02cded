# SPDX-License-Identifier: ISC
"""awsenv completion, in the shells that it is for."""

import contextlib
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import time

import pytest

import etc
from agent import BUILD

CONFIG = """[default]
region = eu-central-1
[profile marketing]
[profile marketing-test]
[profile 'two words']
[sso-session corp]
"""


@pytest.fixture
def home(tmp_path):
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text(CONFIG)
    (tmp_path / "data-file").touch()
    return tmp_path


def env(home, **more):
    return {"HOME": str(home), "PATH": f"{BUILD}:/usr/bin:/bin",
            "LANG": "C.UTF-8", "TERM": "dumb", **more}


def words(home, *line, **more):
    done = subprocess.run(
        [BUILD / "awsenv", "completion", "words", "--", *line],
        env=env(home, **more), capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and done.stderr == ""
    how, *offers = done.stdout.splitlines()
    return how, [offer.split("\t")[0] for offer in offers]


def test_the_first_word_is_a_verb_or_a_command(home):
    how, offers = words(home, "")
    assert how == "first"
    assert {"login", "exec", "shell", "ls", "console", "completion",
            "help"} <= set(offers)
    assert "browser" not in offers, "which is no verb of people's"
    assert words(home, "lo") == ("first", ["login", "logout", "log", "lock"])


@pytest.mark.parametrize("line, offers", [
    (["-p", ""], ["default", "marketing", "marketing-test", "two words"]),
    (["--profile", "mark"], ["marketing", "marketing-test"]),
    (["--profile=marketing-"], ["marketing-test"]),
    (["--profile", "=", "marketing-"], ["marketing-test"]),
    (["login", "--sso-session", ""], ["corp"]),
    (["exec", "mark"], ["marketing", "marketing-test"]),
    (["shell", "d"], ["default"]), (["console", "two"], ["two words"]),
    (["login", "--use"], ["--use-device-code"]),
    (["console", "marketing", "--pr"], ["--profile", "--print"]),
    (["export", "--format", "env"], ["env", "env-no-export"]),
    (["agent", "st"], ["start", "stop", "status"]),
    (["completion", ""], ["bash", "zsh", "fish"]),
    (["help", "who"], ["whoami"]), (["login", "extra"], []),
])
def test_what_may_stand_there_is_offered(home, line, offers):
    how, found = words(home, *line)
    assert (how, sorted(found)) == ("words", sorted(offers))


@pytest.mark.parametrize("line, at", [
    (["aws", ""], 0), (["-p", "marketing", "aws", "s3", ""], 2),
    (["--profile=marketing", "aws", "s"], 1),
    (["--profile", "=", "marketing", "aws", "s"], 3),
    (["--", "login", ""], 1), (["-p", "x", "--", "ls", ""], 3),
    (["exec", "marketing", "--", "ls", ""], 3),
])
def test_the_command_is_left_to_its_own_completion(home, line, at):
    assert words(home, *line) == (f"command {at}", [])


def test_every_verb_has_its_options_and_every_option_its_verb(home):
    _, verbs = words(home, "")
    for verb in verbs:
        how, offers = words(home, verb, "--")
        assert how == "words" and "--help" in offers, verb
        help_text = subprocess.run(
            [BUILD / "awsenv", verb, "--help"], env=env(home),
            capture_output=True, text=True, timeout=30).stdout
        listed = re.findall(r"^ .{4}(--[a-z-]+)", help_text, re.M)
        assert set(listed) <= set(offers), verb


def test_hostile_names_are_words_and_nothing_else(home):
    (home / ".aws/config").write_text(
        "[profile $(touch x)]\n[profile a\tb]\n[profile \033[2J]\n"
        "[profile\n[profile ]\n[\n" + "[profile " + "x" * 5000 + "]\n")
    how, offers = words(home, "-p", "")
    assert how == "words" and "$(touch x)" in offers
    assert not any("\033" in offer for offer in offers)
    (home / ".aws/config").unlink()
    os.mkfifo(home / ".aws/config")
    assert words(home, "-p", "") == ("words", [])


@pytest.mark.skipif(bool(etc.missing()), reason="needs a mount namespace")
def test_what_the_administrator_has_is_offered_too(home, tmp_path):
    (tmp_path / "etc/config.d").mkdir(parents=True)
    (tmp_path / "etc/config").write_text("[profile all]\n")
    (tmp_path / "etc/config.d/10-team.conf").write_text(
        "[profile alpha]\n[sso-session of-all]\n")
    (tmp_path / "etc/config.d/20-old.conf.bak").write_text("[profile alt]\n")

    def offers(*line):
        return subprocess.run(
            [*etc.prefix(tmp_path / "etc"), BUILD / "awsenv", "completion",
             "words", "--", *line], env=env(home), capture_output=True,
            text=True, timeout=30).stdout.split("\n")[:-1]
    assert offers("-p", "al") == ["words", "all", "alpha"]
    assert offers("--sso-session", "") == ["words", "corp", "of-all"]


@pytest.mark.parametrize("argv", [[], ["tcsh"], ["bash", "zsh"]])
def test_it_says_which_shells_there_are(home, argv):
    done = subprocess.run([BUILD / "awsenv", "completion", *argv],
                          env=env(home), capture_output=True, text=True,
                          timeout=30)
    assert done.returncode == 2 and "bash, zsh and fish" in done.stderr


# In the shells

def bash(home, line):
    """What the real completion of bash would put there."""
    script = f"""
{subprocess.run([BUILD / 'awsenv', 'completion', 'bash'], env=env(home),
                capture_output=True, text=True).stdout}
COMP_LINE={line!r} COMP_POINT=${{#COMP_LINE}}
read -ra COMP_WORDS <<<"$COMP_LINE"
[[ $COMP_LINE == *' ' ]] && COMP_WORDS+=("")
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_awsenv awsenv
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    return subprocess.run(["bash", "--norc", "-c", script], env=env(home),
                          capture_output=True, text=True, timeout=30,
                          cwd=home).stdout.split("\n")[:-1]


def test_bash_completes_verbs_profiles_and_commands(home):
    assert bash(home, "awsenv logi")[0] == "login"
    assert bash(home, "awsenv -p mark") == ["marketing", "marketing-test"]
    assert bash(home, "awsenv -p two") == ["two\\ words"]
    assert bash(home, "awsenv login --use") == ["--use-device-code"]
    assert "mktemp" in bash(home, "awsenv mktem")


class Terminal:
    """A shell on a terminal: what is typed, and what comes back."""

    def __init__(self, argv, environ, cwd):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            os.execvpe(argv[0], argv, environ)
        self.seen = ""

    def type(self, text):
        os.write(self.fd, text.encode())

    def until(self, pattern, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            plain = re.sub(r"\a|\x1b(\[[\d;?]*[A-Za-z]|[=>])", "", self.seen)
            if found := re.search(pattern, plain):
                return found
            if select.select([self.fd], [], [], 0.1)[0]:
                with contextlib.suppress(OSError):
                    self.seen += os.read(self.fd, 4096).decode(
                        errors="replace")
        raise AssertionError(f"no {pattern!r} in {self.seen!r}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)


@pytest.mark.parametrize("typed, expected", [
    ("awsenv login --use\t", "login --use-device-code"),
    ("awsenv -p marketing-\t", "-p marketing-test"),
    ("awsenv completion fi\t", "completion fish"),
    ("awsenv -p marketing cat data\t", "cat data-file"),
])
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_tab_completes_in_a_real_shell(home, shell, typed, expected):
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    script = home / "script"
    script.write_text(subprocess.run(
        [BUILD / "awsenv", "completion", shell], env=env(home),
        capture_output=True, text=True).stdout)
    argv = {"bash": ["bash", "--norc", "-i"], "zsh": ["zsh", "-f", "-i"],
            "fish": ["fish", "--no-config", "-i"]}[shell]
    library = pathlib.Path("/usr/share/bash-completion/bash_completion")
    start = {
        "bash": (f". {library}; " if library.exists() else "") +
        f". {script}",
        "zsh": f"autoload -U compinit; compinit -u -D; . {script}",
        "fish": f"source {script}"}[shell]
    with Terminal(argv, env(home, TERM="xterm"), home) as t:
        t.type(start + "; echo REA''DY\n")
        t.until("READY")
        t.seen = ""
        t.type(typed)
        t.until(expected)
