# SPDX-License-Identifier: ISC
"""examples/fleet: what an administrator copies works as it is."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import stat
import subprocess
import urllib.request

import pytest

import etc
import reader
import wire
from agent import BUILD, until
from test_all_users import log_in, run       # noqa: F401  (a fixture)

FLEET = wire.TOP / "examples/fleet"
METRICS = FLEET / "awsenv-metrics"

needs_root = pytest.mark.skipif(os.geteuid() != 0 or bool(etc.missing()),
                                reason="needs root, and a mount namespace")
SAMPLE = re.compile(r'([a-z_]+)(?:\{([a-z]+="[a-z]+")\})? (-?[0-9.e+-]+)')


@pytest.mark.skipif(bool(etc.missing()), reason=etc.missing())
def test_the_config_is_without_a_fault_and_enforces_what_it_says(tmp_path):
    folder = tmp_path / "etc"
    folder.mkdir()
    shutil.copy(FLEET / "awsenv-config", folder / "config")
    mine = tmp_path / "config"
    mine.write_text("[sso-session corp]\nsso_region = us-east-1\n"
                    "[profile audit]\nsso_role_name = Administrator\n"
                    "[default]\nregion = eu-west-1\n")
    table = reader.read(mine, prefix=etc.prefix(folder))
    assert [p.line for p in table.problems] == [1, 3]
    assert table.profiles["audit"].role == b"ReadOnly"
    assert table.session_of("audit").facts.region == b"eu-central-1"
    assert table.profiles["default"].region == b"eu-west-1"
    assert not table.end.off


@needs_root
def test_the_config_passes_doctor(tmp_path):
    folder = tmp_path / "etc"
    folder.mkdir(mode=0o755)
    shutil.copy(FLEET / "awsenv-config", folder / "config")
    with etc.World(folder) as world:
        done = subprocess.run(
            [BUILD / "awsenv", "doctor", "--config", "--json"],
            capture_output=True, text=True, preexec_fn=world.enter,
            env={"PATH": "/usr/bin:/bin", "HOME": "/root"})
    found = json.loads(done.stdout)["checks"]
    assert {f["grade"] for f in found if f["check"] == "admin"} == {"ok"}


def test_the_quota_that_it_raises_exists():
    for line in (FLEET / "sysctl.conf").read_text().splitlines():
        if line and not line.startswith("#"):
            name, value = line.split(" = ")
            path = pathlib.Path("/proc/sys") / name.replace(".", "/")
            assert path.exists() and int(value) >= int(path.read_text())


def metrics(run, path, programs=BUILD):      # noqa: F811
    return subprocess.run(
        [METRICS, path], capture_output=True, text=True, timeout=60,
        preexec_fn=run.space.enter, env={"PATH": f"{programs}:/usr/bin:/bin"})


def samples(text):
    """{(name, label): value}, if it is what Prometheus takes."""
    found, typed = {}, set()
    for line in text.splitlines():
        if line.startswith("#"):
            words = line.split()
            assert words[1] in ("HELP", "TYPE") and words[2:]
            if words[1] == "TYPE":
                assert words[2] not in typed and words[3] == "gauge"
                typed.add(words[2])
            continue
        name, label, value = SAMPLE.fullmatch(line).groups()
        assert name in typed and (name, label) not in found
        found[name, label] = float(value)
    return found


@needs_root
def test_metrics(run, sim, tmp_path):        # noqa: F811
    ann = run.agent(sim)
    log_in(ann, sim)
    run.fake("silent")
    path = tmp_path / "awsenv.prom"
    done = metrics(run, path)
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    got = samples(path.read_text())
    assert got["awsenv_up", None] == 1
    assert got["awsenv_agents", 'state="answered"'] == 1
    assert got["awsenv_agents", 'state="failed"'] == 1
    assert got["awsenv_logins", 'state="good"'] == 1
    assert got["awsenv_roles", None] == 1
    assert 0 < got["awsenv_key_quota_used_ratio_max", None] < 1
    assert got["awsenv_clock_skew_seconds_max", None] < 60
    assert "ann" not in path.read_text()
    assert [p.name for p in tmp_path.iterdir() if "prom" in p.name] == [
        path.name]
    scrape(path, got)


def scrape(path, expected):
    """node_exporter serves the same, where there is one."""
    program = shutil.which("prometheus-node-exporter")
    if not program:
        return
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    child = subprocess.Popen(
        [program, "--collector.disable-defaults", "--collector.textfile",
         f"--collector.textfile.directory={path.parent}",
         f"--web.listen-address=127.0.0.1:{port}"], stderr=subprocess.DEVNULL)
    try:
        def get():
            with contextlib.suppress(OSError):
                url = f"http://127.0.0.1:{port}/metrics"
                return urllib.request.urlopen(url).read().decode()
        text = until(get)
        assert "node_textfile_scrape_error 0" in text
        served = samples("\n".join(
            line for line in text.splitlines()
            if re.match(r"(# \w+ )?awsenv_", line)))
        assert served == expected
    finally:
        child.terminate()
        child.wait()


@needs_root
def test_metrics_say_that_awsenv_cannot_be_asked(run, tmp_path):    # noqa: F811
    path = tmp_path / "awsenv.prom"
    done = metrics(run, path, programs="/nonexistent")
    assert done.returncode == 1
    assert samples(path.read_text()) == {("awsenv_up", None): 0}
    done = metrics(run, tmp_path / "no" / "folder.prom")
    assert done.returncode == 1 and done.stderr.startswith("awsenv-metrics: ")


@needs_root
def test_an_incident(run, sim, tmp_path):    # noqa: F811
    """The page's commands, in their order; killall aside."""
    page = (FLEET / "README.md").read_text()
    commands = [line.strip() for line in page[
        page.index("## An incident"):].splitlines() if line.startswith(" " * 7)]
    close, logout, kill, reopen = commands
    assert kill == "killall awsenv-agent"
    folder = tmp_path / "etc"
    (folder / "config.d").mkdir(parents=True)
    with etc.Namespace(
            'mount --rbind "$0" /run && mount -t tmpfs none /mnt && '
            'cp -a /etc/. /mnt && mkdir -p /mnt/awsenv && '
            'mount --bind "$1" /mnt/awsenv && mount --rbind /mnt /etc && ',
            run.folder, folder) as space:
        def become(uid=0):
            def change():
                space.enter()
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
            return change

        def root(command):
            return subprocess.run(
                ["sh", "-c", command], capture_output=True, text=True,
                preexec_fn=become(), env={"PATH": f"{BUILD}:/usr/bin:/bin"})
        ann = run.agent(sim)
        log_in(ann, sim)
        assert root(close).returncode == 0
        assert "enabled = false" in (
            folder / "config.d/00-incident.conf").read_text()
        done = root(logout)
        assert done.returncode == 0 and "1 login" in done.stdout
        refused = subprocess.run(
            [BUILD / "awsenv", "agent", "status"], capture_output=True,
            text=True, preexec_fn=become(ann.uid), env=ann.env)
        assert refused.returncode == 0
        assert root(reopen).returncode == 0
        assert not list((folder / "config.d").iterdir())
