# SPDX-License-Identifier: ISC
"""What examples/sudo-cron-containers.md says.

A person who has an entry in passwd and sudoers, in a mount namespace
whose /etc and /run/user are the test's own. Containers are namespaces made by
unshare: what counts is whose uid the kernel says the other end is.
"""
import os
import pathlib
import shutil
import subprocess

import pytest

import etc
from agent import BUILD, TOP
from journey import PYTHON, Person

ROOT = os.geteuid() == 0
pytestmark = pytest.mark.skipif(not ROOT or bool(etc.missing()),
                                reason="needs root, and a mount namespace")
with_sudo = pytest.mark.skipif(not shutil.which("sudo"),
                               reason="sudo is not installed")
with_user_namespaces = pytest.mark.skipif(
    ROOT and bool(subprocess.run(["unshare", "--user", "--net", "true"],
                                 capture_output=True).returncode),
    reason="there may be no user namespaces")
# Of each process its own, that nobody has: others may run meanwhile.
UID = 1_200_000 + os.getpid() % 30_000 * 4

# /etc and /run/user of the test's own. As a container has it, the directory of
# the socket is in a second place.
SPACE = """
mount -t tmpfs none /mnt && cp -a /etc/. /mnt 2>/dev/null
rm -rf /mnt/sudoers.d /mnt/awsenv
echo "ann:x:$0:$0::$1:/bin/sh" >>/mnt/passwd &&
echo "ann:x:$0:" >>/mnt/group &&
echo "ann:*:19000::::::" >>/mnt/shadow &&
printf '%s\\n' "Defaults secure_path=$2:/usr/sbin:/usr/bin:/sbin:/bin" \\
    "ann ALL=(ALL:ALL) NOPASSWD: ALL" >/mnt/sudoers &&
chmod 440 /mnt/sudoers &&
mount --rbind /mnt /etc && mount -t tmpfs -o mode=755 none /run/user &&
cd /run/user && mkdir -m 700 0 $0 $0/awsenv && chown -R $0:$0 $0 &&
mkdir host-awsenv && mount --bind $0/awsenv host-awsenv &&
"""


class Ann(Person):
    """A person whose machine this is."""

    space = None

    def become(self):
        self.space.enter()
        super().become()

    def sh(self, script, env=None):
        """What a line in her shell does."""
        done = self.popen("-c", script, program="/bin/sh", env=env)
        out, err = done.communicate(timeout=60)
        return subprocess.CompletedProcess(script, done.returncode, out, err)


@pytest.fixture
def ann(sim):
    person = Ann(sim, uid=UID)
    with etc.Namespace(SPACE, UID, person.home, BUILD) as space:
        person.space = space
        person.runtime = pathlib.Path(f"/run/user/{UID}")
        person.env["XDG_RUNTIME_DIR"] = str(person.runtime)
        with person:
            person.log_in()
            yield person


PAGE = (TOP / "examples/sudo-cron-containers.md").read_text()
AWSENV = BUILD / "awsenv"
SOCKET = "/run/user/host-awsenv/agent.sock"
IN_THERE = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/nonexistent",
            "AWSENV_SOCK": SOCKET}
KEYS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}


def recipe(*words, tail, instead):
    """The one line of the page that has these words, to end otherwise."""
    line, = [s.strip() for s in PAGE.splitlines()
             if s.startswith("    ") and all(w in s for w in words)]
    assert line.endswith(tail), line
    return line.removesuffix(tail) + instead


def variables(text):
    return dict(s.split("=", 1) for s in text.splitlines() if "=" in s)


def is_refusal(done, *words):
    """One line that says this, and nothing given."""
    assert done.returncode == 125 and not done.stdout, done
    assert done.stderr.count("\n") == 1, done.stderr
    assert all(w in done.stderr for w in words), done.stderr


# ---- sudo

@with_sudo
@pytest.mark.parametrize("how", ["sudo --preserve-env=", "sudo -E"])
def test_a_command_of_roots_has_the_persons_keys(ann, how):
    done = ann.sh(recipe(how, tail="aws s3 ls", instead="sh -c 'id -u; env'"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("0\n")
    got = variables(done.stdout)
    assert KEYS < set(got) and got["AWS_REGION"] == "eu-central-1"
    assert got["AWS_SECRET_ACCESS_KEY"] in [
        key["secret"] for key in ann.sim.keys()]


@with_sudo
def test_sudo_without_a_word_drops_them(ann):
    done = ann.sh("awsenv -p marketing -- sudo env")
    assert done.returncode == 0 and not KEYS & set(variables(done.stdout))


HINT = "run awsenv ... -- sudo -E ... instead\n"


@with_sudo
def test_root_by_sudo_is_told_whose_agent_and_config_it_has(ann):
    try:
        for before, words in [
                ("", ['no profile "marketing"']),
                ("AWS_CONFIG_FILE=$HOME/.aws/config ", ["a login is needed"]),
                ("AWSENV_SOCK=$XDG_RUNTIME_DIR/awsenv/agent.sock ",
                 ["not of an agent of yours"])]:
            is_refusal(ann.sh(f"sudo {before}awsenv -p marketing env"), *words,
                       HINT)
        assert not ann.sim.pending()
    finally:
        ann.sh("sudo awsenv agent stop")
    # Who has no such profile is told no more than that.
    done = ann.sh("awsenv -p nowhere env")
    assert "nowhere" in done.stderr and "sudo" not in done.stderr


ASK = """
import os, urllib.request as r
try:
    r.urlopen(r.Request(os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"],
        headers={"Authorization":
                 os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"]}))
    print("given")
except r.HTTPError as e:
    print(e.code, e.read().decode())
"""


@with_sudo
def test_an_endpoint_tells_root_what_to_do(ann):
    served = ["-p", "marketing", "--serve", "--"]
    asking = [PYTHON, "-c", ASK]
    assert ann.run(*served, *asking).stdout == "given\n"
    answer = ann.run(*served, "sudo", "-E", *asking).stdout
    assert answer.startswith("403 ") and "sudo needs awsenv --env" in answer


# ---- cron

def test_a_job_of_crons(ann):
    """Cron's environment, and what leads to the simulator instead of AWS."""
    job = recipe("15 * * * *", tail="aws s3 sync /srv/data s3://data",
                 instead="env").removeprefix("15 * * * *").strip()
    env = {"HOME": ann.home, "LOGNAME": "ann", "SHELL": "/bin/sh",
           "PATH": f"{BUILD}:/usr/bin:/bin", **ann.sim.env()}
    cron = [f"{k}={v}" for k, v in env.items()]

    def runs():
        child = ann.popen("-i", *cron, "/bin/sh", "-c", job,
                          program="/usr/bin/env", start_new_session=True)
        out, err = child.communicate(timeout=60)
        return subprocess.CompletedProcess(job, child.returncode, out, err)
    done = runs()
    assert done.returncode == 0 and KEYS < set(variables(done.stdout)), done
    assert ann.run("logout", "--all").returncode == 0
    is_refusal(runs(), "a login is needed", "awsenv login -p marketing")
    assert not ann.sim.pending()


# ---- containers

IMAGE = """
echo ready; read go
ip link set lo up || exit
exec setpriv --reuid "$0" --regid "$0" --clear-groups "$@"
"""


def contained(ann, inside, outside, *argv):
    """In namespaces of its own, where the host's user outside is inside."""
    child = subprocess.Popen(
        ["unshare", "--user", "--keep-caps", "--net", "--pid", "--kill-child",
         "--fork", "sh", "-c", IMAGE, str(inside), *map(str, argv)],
        preexec_fn=ann.space.enter, text=True, env=IN_THERE,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert child.stdout.readline() == "ready\n", child.communicate()
        for kind in "ug":
            pathlib.Path(f"/proc/{child.pid}/{kind}id_map").write_text(
                f"{inside} {outside} 1\n")
        out, err = child.communicate("go\n", timeout=60)
    finally:
        child.kill()
        child.wait()
    return subprocess.CompletedProcess(argv, child.returncode, out, err)


@with_user_namespaces
@pytest.mark.parametrize("inside", [0, 1000, UID])
def test_a_container_whose_user_is_the_person(ann, inside):
    env = [f"{k}={v}" for k, v in ann.sim.env().items()]

    def runs(*argv):
        return contained(ann, inside, UID, "env", *env, *argv)
    done = runs(AWSENV, "-p", "marketing", "--env", "--", "env")
    assert done.returncode == 0 and KEYS < set(variables(done.stdout)), done
    served = [AWSENV, "-p", "marketing", "--serve", "--", PYTHON, "-c", ASK]
    assert runs(*served).stdout == "given\n"
    # What is mounted is the directory: an agent that comes later is there.
    before = ann.agent_pid()
    assert ann.run("agent", "stop").returncode == 0
    is_refusal(runs(*served), "no agent answers on AWSENV_SOCK=")
    assert ann.run("agent", "start").returncode == 0
    assert ann.agent_pid() != before
    is_refusal(runs(*served), "a login is needed")


@with_user_namespaces
@pytest.mark.parametrize("inside", [0, 1000])
def test_a_container_whose_user_is_another(ann, inside):
    is_refusal(contained(ann, inside, UID + 1, AWSENV, "-p", "marketing",
                         "env"), f"{SOCKET} is not of an agent of yours")
    assert ann.status()["logins"], "the agent has lost its login"


def test_a_container_of_roots(ann):
    done = subprocess.run([AWSENV, "-p", "marketing", "env"], text=True,
                          env=IN_THERE, preexec_fn=ann.space.enter,
                          capture_output=True, timeout=60)
    is_refusal(done, f"{SOCKET} is not of an agent of yours\n")
