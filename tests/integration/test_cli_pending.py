# SPDX-License-Identifier: ISC
"""awsenv login --show-pending, and the snippets that run it in shells."""
import json
import os
import shutil
import signal
import subprocess

import pytest

import wire
from agent import BUILD, TOP, until
from fake_agent import CLOSE, FAILURE, SILENCE, URL, FakeAgent, qr
from terminal import Terminal

AWSENV = str(BUILD / "awsenv")
SNIPPETS = TOP / "examples/profile.d"
WORDS = ("login", "--show-pending")


@pytest.fixture
def agent(tmp_path):
    with FakeAgent(tmp_path) as fake:
        fake.on("nudge@awsenv", fake.login())
        yield fake


def run(env, *argv):
    return subprocess.run([AWSENV, *WORDS, *argv], env=env, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=30)


def test_a_login_that_waits_is_shown_whole(agent):
    done = run(agent.env())
    assert done.returncode == 0 and done.stdout == ""
    assert f"\n{URL}\n" in done.stderr and "ABCD-EFGH" in done.stderr
    assert "Later: awsenv login" in done.stderr
    assert "Root of" not in done.stderr
    asked, = agent.seen("nudge@awsenv")
    assert (asked.what, asked.ms) == (wire.NUDGE_LOOK, 0)
    assert not agent.seen("login@awsenv")


def test_a_script_reads_it_as_json(agent):
    done = run(agent.env(), "--json")
    assert done.returncode == 0 and done.stderr == ""
    event = json.loads(done.stdout)
    assert (event["state"], event["url"], event["code"]) == (
        "pending", URL, "ABCD-EFGH")
    agent.on("nudge@awsenv", agent.login(state=wire.LOGIN_DONE))
    done = run(agent.env(), "--json")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_in_an_ssh_session_it_says_who_will_hold_it(agent):
    done = run(agent.env(SSH_CONNECTION="1 2 3 4"))
    assert "Root of desk will hold the login" in done.stderr


def test_a_terminal_shows_a_qr_code(agent):
    agent.on("nudge@awsenv", agent.login(**qr()))
    with Terminal([AWSENV, *WORDS], agent.env(LANG="C.UTF-8"), rows=60,
                  cols=100) as t:
        assert t.wait() == 0
    assert "\u2588" in t.text


@pytest.mark.parametrize("answer", [
    {}, {"state": wire.LOGIN_STARTING}, {"state": wire.LOGIN_DONE},
    {"state": wire.LOGIN_FAILED, "error": wire.AW_NETWORK, "text": "no"},
    {"error": wire.AW_DENIED, "text": "no"}, CLOSE, FAILURE, b"\x1d",
    {"state": wire.LOGIN_PENDING, "url": "https://a/\033[2J", "code": "A"},
    {"state": wire.LOGIN_PENDING, "url": "http://evil.example/", "code": "A"},
])
def test_whatever_else_there_is_it_is_silent(agent, answer):
    agent.on("nudge@awsenv", answer)
    done = run(agent.env())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_without_an_agent_it_is_silent_and_starts_none(tmp_path):
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    for sock in (None, runtime / "awsenv/agent.sock", "/nowhere/x", "bad"):
        env = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(runtime)}
        if sock:
            env["AWSENV_SOCK"] = str(sock)
        done = run(env)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not list(runtime.iterdir())


def test_it_waits_as_long_as_it_was_told(agent):
    agent.on("nudge@awsenv", SILENCE)
    assert run(agent.env(), "--wait", "1").returncode == 0
    assert agent.seen("nudge@awsenv")[0].ms == 1000


def test_ctrl_c_is_a_success(agent):
    agent.on("nudge@awsenv", SILENCE)
    child = subprocess.Popen([AWSENV, *WORDS, "--wait", "9"], env=agent.env(),
                             stderr=subprocess.PIPE)
    until(lambda: agent.seen("nudge@awsenv"))
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 0
    assert child.stderr.read() == b"\n"
    child.stderr.close()


# The snippets

SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], ". {}/awsenv.sh"),
    "dash": (["dash", "-i"], ". {}/awsenv.sh"),
    "busybox": (["busybox", "sh", "-i"], ". {}/awsenv.sh"),
    "zsh": (["zsh", "-f", "-i"], ". {}/awsenv.zsh"),
    "zsh too": (["zsh", "-f", "-i"], ". {}/awsenv.sh"),
    "fish": (["fish", "--no-config", "-l", "-i"], "source {}/awsenv.fish"),
}


@pytest.fixture(params=sorted(SHELLS))
def shell(request, agent, tmp_path):
    argv, line = SHELLS[request.param]
    if not shutil.which(argv[0]):
        pytest.skip(f"{argv[0]} is not installed")
    env = agent.env(LANG="C.UTF-8", PS1="$ ", TERM="dumb")
    env["PATH"] = f"{BUILD}:/usr/bin:/bin"
    with Terminal(argv, env, rows=60) as t:
        t.line = (line.format(SNIPPETS) + "; echo re''ady\n").encode()
        t.agent, t.fish = agent, argv[0] == "fish"
        t.prompt = ("# " if os.geteuid() == 0 else "> ") if t.fish else "$ "
        t.until(t.prompt)       # what is typed before is lost, or shown twice
        yield t


def test_a_shell_at_a_terminal_shows_it(shell):
    shell.press(shell.line)
    text = shell.until("\nready")
    assert text.count("ABCD-EFGH") == 1
    assert shell.agent.seen("nudge@awsenv")[0].ms == 3000


@pytest.mark.parametrize("shown, asked", [("1", []), ("0", [0])])
def test_a_shell_repeats_nothing_and_waits_once(shell, shown, asked):
    """What login(1) has shown, or waited for."""
    name = b"set -gx AWSENV_SHOWN " if shell.fish else b"export AWSENV_SHOWN="
    shell.press(name + shown.encode() + b"; " + shell.line)
    text = shell.until("\nready")
    assert text.count("ABCD-EFGH") == len(asked)
    assert [r.ms for r in shell.agent.seen("nudge@awsenv")] == asked
    shell.press(b"env | grep -c AWSENV_SHOWN | sed s/^/left=/\n")
    shell.until("left=0")


def test_in_a_shell_ctrl_c_skips_it_and_the_profile_goes_on(shell):
    shell.agent.on("nudge@awsenv", SILENCE)
    shell.press(shell.line)
    until(lambda: shell.read(0.05) and shell.agent.seen("nudge@awsenv"))
    before = shell.text.count(shell.prompt)
    shell.press(b"\x03")
    if shell.fish:
        # It forgets the rest of a line, as it always does.
        until(lambda: shell.read(0.05) and
              shell.text.count(shell.prompt) > before)
        shell.press(b"echo re''ady\n")
    shell.until("\nready")


@pytest.mark.parametrize("name", sorted(set(SHELLS) - {"fish"}))
@pytest.mark.parametrize("why", ["script", "pipe", "shown", "nowhere"])
def test_others_see_nothing_of_it(agent, name, why):
    argv, line = SHELLS[name]
    if not shutil.which(argv[0]):
        pytest.skip(f"{argv[0]} is not installed")
    env = agent.env(PATH=f"{BUILD}:/usr/bin:/bin")
    argv = [w for w in argv if w != "-i" or why != "script"]
    if why == "shown":
        env["AWSENV_SHOWN"] = "1"
    if why == "nowhere":
        del env["AWSENV_SOCK"]
    done = subprocess.run(
        [*argv, "-c", f"{line.format(SNIPPETS)}; echo \"<$AWSENV_SHOWN>\""],
        env=env, capture_output=True, text=True, timeout=30,
        stdin=subprocess.DEVNULL, start_new_session=True)
    assert done.stdout.endswith("<>\n")
    assert "ABCD" not in done.stderr and not agent.seen("nudge@awsenv")


# An agent that went away

def test_awsenv_starts_one_anew_where_the_module_named_the_usual_place(
        tmp_path):
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    env = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(runtime),
           "PATH": "/usr/bin:/bin", "SSH_CONNECTION": "1 2 3 4"}
    usual = str(runtime / "awsenv/agent.sock")

    def agent(*words, **more):
        return subprocess.run([AWSENV, *words], env={**env, **more}, text=True,
                              capture_output=True, timeout=30)
    for sock, starts in ((usual + "x", False), ("/nowhere/agent.sock", False),
                         (usual, True)):
        done = agent("login", "-p", "nobody", AWSENV_SOCK=sock)
        assert ("no agent answers" in done.stderr) != starts, done.stderr
        assert os.path.exists(usual) == starts
    assert agent("agent", "stop", AWSENV_SOCK=usual).returncode == 0
