# SPDX-License-Identifier: ISC
"""Programs of others that are no clients of AWS's with an SDK: who logs in as
awsenv does, a judge of the simulator; a prompt; what runs containers. Each
returns None, or what went wrong."""
import contextlib
import json
import os
import pathlib
import re
import subprocess
import tempfile
import time

from agent import BUILD, TOP
from journey import PYTHON, Person

from simulator import visitor
from simulator.client import Simulator

PATIENCE = 60       # seconds


def mairu(program):
    """The authorization code with PKCE, which no botocore has: registered,
    allowed in a browser, redeemed, and used. What works at the simulator for
    it works at AWS, where it is in use."""
    with contextlib.ExitStack() as stack:
        sim = stack.enter_context(Simulator(accounts=1))
        home = pathlib.Path(stack.enter_context(
            tempfile.TemporaryDirectory(prefix="awsenv-mairu.")))
        env = {"HOME": str(home), "PATH": "/usr/bin:/bin",
               "XDG_CONFIG_HOME": str(home / "config"),
               "XDG_RUNTIME_DIR": str(home / "run"),
               **sim.env(listener="http")}
        (home / "run").mkdir(mode=0o700)
        servers = home / "config/mairu/servers.d"
        servers.mkdir(parents=True)
        (servers / "corp.json").write_text(json.dumps({
            "id": "corp", "url": sim.start_url,
            "aws_sso": {"region": sim.region}}))

        def start(*words):
            child = subprocess.Popen(
                [program, *words], env=env, text=True, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT)
            stack.callback(child.wait)
            stack.callback(child.kill)
            return child

        start("agent")
        end = time.monotonic() + PATIENCE
        while not any(p.is_socket() for p in (home / "run").rglob("*")):
            if time.monotonic() > end:
                return "its agent made no socket"
            time.sleep(0.1)
        login = start("login", "corp")
        for line in login.stdout:
            if found := re.search(r"http://127\.0\.0\.1:\S+", line):
                _, status, page = visitor.allow(found[0], sim.ca)
                if status != 200:
                    return f"the code was refused: {page[-200:]}"
                break
        if login.wait(PATIENCE):
            return f"login ended with {login.returncode}"
        account, role = sim.info["accounts"][0]["id"], sim.info["roles"][0]
        said = subprocess.run(
            [program, "credential-process", "corp", f"{account}/{role}"],
            env=env, text=True, capture_output=True, timeout=PATIENCE,
            stdin=subprocess.DEVNULL)
        if said.returncode:
            return said.stderr.strip()[-200:] or f"exit {said.returncode}"
        keys = json.loads(said.stdout)
        sts = visitor.client(sim, "sts", key={
            "accessKeyId": keys["AccessKeyId"],
            "secretAccessKey": keys["SecretAccessKey"],
            "sessionToken": keys["SessionToken"]})
        if role not in sts.get_caller_identity()["Arn"]:
            return "the keys are of another role"
        if sim.counts().get("StartDeviceAuthorization"):
            return "it took a device code"
    return None


def starship(program):
    """The lines of examples/tools.md, before a login, after it, and where a
    command has keys."""
    page = (TOP / "examples/tools.md").read_text()
    snippet = re.search(r"^    (\[custom\.awsenv\]\n(?:    .*\n)+)", page, re.M)
    with Simulator(interval=1) as sim, Person(sim) as ann:
        file = ann.home / "starship.toml"
        file.write_text(snippet[1])
        ann.env.update(PATH=f"{ann.programs}:/usr/bin:/bin", TERM="xterm",
                       STARSHIP_CONFIG=str(file), STARSHIP_SHELL="sh",
                       AWS_PROFILE="marketing")

        def shown(*before):
            done = ann.run(*before, "module", "custom.awsenv",
                           program=None if before else program)
            return re.sub(r"\x1b\[[0-9;]*m", "", done.stdout).strip()
        if shown():
            return "it shows something without an agent"
        ann.log_in()
        if shown() != "marketing":
            return f"it shows {shown()!r} after a login"
        with_keys = shown("--env", "--", program)
        if not re.fullmatch("marketing (59|60)m", with_keys):
            return f"it shows {with_keys!r} with keys"
    return None


def containers(_):
    """The recipes with docker and the devcontainer program themselves."""
    done = subprocess.run(
        [PYTHON, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider",
         TOP / "tests/integration/test_recipes.py", "-k", "itself"],
        env={**os.environ, "B": str(BUILD), "PYTHONPATH": str(TOP / "tests")},
        capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600)
    last = done.stdout.strip().splitlines()[-1]
    return None if re.match(r"2 passed\b(?!.*skipped)", last) else done.stdout[-300:]
