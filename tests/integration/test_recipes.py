# SPDX-License-Identifier: ISC
"""What examples/sudo-cron-containers.md says.

A person who has an entry in passwd and sudoers, in a mount namespace
whose /etc and /run/user are the test's own. Containers are podman's, root's and
her own, with an image that is made here; and, where it cannot run, namespaces
made by unshare: what counts is whose uid the kernel says the other end is.
"""
import json
import os
import pathlib
import shlex
import shutil
import subprocess

import pytest

import etc
from agent import BUILD, TOP, until
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
echo "ann:2000000:65536" | tee /etc/subuid >/etc/subgid &&
{ mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null || :; } &&
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
def test_root_by_sudo_gets_no_agent_that_it_did_not_mean(ann):
    for words in ("-p marketing env", "whoami -p marketing", "ls",
                  "console marketing --print", "agent status"):
        done = ann.sh("sudo awsenv " + words)
        assert done.returncode == (125 if "env" in words else 7), words
        assert not done.stdout and done.stderr == (
            "awsenv: no agent runs; awsenv login starts one; "
            "sudo made this root's: " + HINT)


@with_sudo
def test_root_by_sudo_is_told_whose_agent_and_config_it_has(ann):
    assert ann.sh("sudo awsenv agent start").returncode == 0
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


# ---- podman's

# Everything in folders of the test's; no control groups, no network and no
# limits that are higher, which a machine of tests may not have to give.
CONF = """
[containers]
cgroups = "disabled"
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
netns = "none"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "crun"
"""
STORAGE = """
[storage]
driver = "vfs"
graphroot = "{0}/store"
runroot = "{0}/run"
"""
MIGRATE = """#!/bin/sh
busybox wget -qO - --header "Authorization: $AWS_CONTAINER_AUTHORIZATION_TOKEN" \\
    "$AWS_CONTAINER_CREDENTIALS_FULL_URI"
"""


class Engine:
    """What runs containers, with an image that is made here."""

    def __init__(self, ann, name, uid, lead=""):
        self.ann, self.name, self.uid, self.lead = ann, name, uid, lead
        self.dir = ann.dir / f"{name}.{uid}"
        self.dir.mkdir()
        self.env = {}

    def run(self, line):
        """A line in the person's shell, or in root's with her variables. What
        leads to the simulator instead of AWS is known inside, too."""
        leads = "".join(f" -e {name}" for name in self.ann.sim.env())
        start = f"{self.name} run --rm"
        line = line.replace(start, start + self.lead + leads)
        child = subprocess.Popen(
            ["sh", "-c", line], text=True, cwd="/", stdin=subprocess.DEVNULL,
            env=self.ann.environ(self.env),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=self.ann.become if self.uid else self.ann.space.enter)
        out, err = child.communicate(timeout=60)
        # It has a word to say on everybody's machine.
        err = "".join(s for s in err.splitlines(True) if "level=warn" not in s)
        return subprocess.CompletedProcess(line, child.returncode, out, err)

    def load(self):
        """An image with a shell, awsenv and a command that takes long."""
        tree = self.dir / "tree"
        for name in ("bin", "tmp", "etc"):
            (tree / name).mkdir(parents=True)
        shutil.copy(AWSENV, tree / "bin")
        self.copy(shutil.which("busybox"), tree, "/bin/busybox")
        for name in ("sh", "env", "id", "sleep"):
            (tree / "bin" / name).symlink_to("busybox")
        (tree / "migrate").write_text(MIGRATE)
        (tree / "migrate").chmod(0o755)
        done = self.run(
            f"tar -C {tree} -c . | {self.name} import - localhost/image")
        assert done.returncode == 0, done.stderr

    @staticmethod
    def copy(program, tree, to):
        shutil.copy(program, f"{tree}{to}")
        found = subprocess.run(["ldd", program], capture_output=True, text=True)
        for path in (s for s in found.stdout.split() if s.startswith("/")):
            os.makedirs(os.path.dirname(f"{tree}{path}"), exist_ok=True)
            shutil.copy(path, f"{tree}{path}")


class Podman(Engine):
    """Of one user, root or the person."""

    def __init__(self, ann, uid):
        super().__init__(ann, "podman", uid)
        (self.dir / "containers.conf").write_text(CONF)
        (self.dir / "storage.conf").write_text(STORAGE.format(self.dir))
        os.chown(self.dir, uid, uid)
        self.env = {"CONTAINERS_CONF": self.dir / "containers.conf",
                    "CONTAINERS_STORAGE_CONF": self.dir / "storage.conf"}

    def __enter__(self):
        self.load()
        return self

    def __exit__(self, *_):
        """It leaves a process that holds the user's namespaces."""
        self.run("kill -9 $(cat $XDG_RUNTIME_DIR/libpod/tmp/pause.pid)")


@pytest.fixture
def podman(ann, request):
    if b"__asan_init" in (BUILD / "awsenv").read_bytes():
        pytest.skip("an awsenv with sanitizers needs libraries in the image")
    for name in ("podman", "crun", "busybox"):
        if not shutil.which(name):
            pytest.skip(f"{name} is not installed")
    with Podman(ann, request.param) as one:
        done = one.run("podman run --rm localhost/image id -u")
        if done.returncode:
            pytest.skip("podman can run nothing here: " +
                        done.stderr.strip().splitlines()[-1])
        assert done.stdout == "0\n"
        yield one


roots = pytest.mark.parametrize("podman", [0], indirect=True, ids=["root's"])
anns = pytest.mark.parametrize("podman", [UID], indirect=True, ids=["ann's"])
BY_SOCKET = recipe("docker run --rm --user", tail="--serve -- ./migrate",
                   instead="").replace("docker run", "podman run") \
    .replace("IMAGE", "localhost/image")
NOT_YOURS = "/run/host-awsenv/agent.sock is not of an agent of yours"
AS_ANN = '--user "$(id -u):$(id -g)"'
assert AS_ANN in BY_SOCKET


def has_keys(ann, done):
    """Those of AWS, and at the endpoint."""
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["SecretAccessKey"] in [
        key["secret"] for key in ann.sim.keys()]


@roots
def test_a_container_of_roots_for_the_persons_number(ann, podman):
    serve = BY_SOCKET.replace(AS_ANN, f"--user {UID}:{UID}")
    has_keys(ann, podman.run(serve + "--serve -- ./migrate"))
    done = podman.run(serve + "--env -- env")
    assert done.returncode == 0 and KEYS < set(variables(done.stdout)), done
    is_refusal(podman.run(BY_SOCKET.replace(AS_ANN, "") + "env"), NOT_YOURS)


@anns
def test_a_container_without_root(ann, podman):
    """Root in there is the person, another number only if she asks for it."""
    has_keys(ann, podman.run(BY_SOCKET.replace(AS_ANN, "") +
                             "--serve -- ./migrate"))
    has_keys(ann, podman.run(
        BY_SOCKET.replace(AS_ANN, "--userns=keep-id") + "--serve -- ./migrate"))
    is_refusal(podman.run(BY_SOCKET.replace(AS_ANN, "--user 1000") + "env"),
               NOT_YOURS)


@anns
def test_keys_in_a_containers_variables(ann, podman):
    line = recipe("docker run --rm -e AWS", tail="amazon/aws-cli s3 ls",
                  instead="localhost/image env").replace("docker", "podman")
    done = podman.run(line)
    assert done.returncode == 0, done.stderr
    got = variables(done.stdout)
    assert KEYS < set(got) and got["AWS_REGION"] == "eu-central-1"


@anns
def test_a_devcontainers_mount(ann, podman):
    """Its lines of JSON, as the devcontainer's program hands them on."""
    mount, sock = [json.loads("{" + s.strip().rstrip(",") + "}")
                   for s in PAGE.splitlines() if s.strip().startswith(
                       ('"mounts"', '"containerEnv"'))]
    mount, = mount["mounts"]
    sock, = [f"{k}={v}" for k, v in sock["containerEnv"].items()]
    has_keys(ann, podman.run(
        f"podman run --rm -e {sock} --mount " +
        mount.replace("${localEnv:XDG_RUNTIME_DIR}", "$XDG_RUNTIME_DIR") +
        " localhost/image awsenv -p marketing --serve -- ./migrate"))


# ---- docker's

# The daemon sees the person's files, and has for itself what it would change.
DAEMON = """
mount -t tmpfs none /mnt && mkdir /mnt/user &&
mount --rbind /run/user /mnt/user && mount --rbind /mnt /run &&
ip link set lo up && exec dockerd --data-root "$0/data" --exec-root "$0/exec" \\
    --pidfile "$0/pid" --host "unix://$0/socket" --bridge none \\
    --iptables=false --ip6tables=false --storage-driver vfs --cgroup-parent "$1"
"""
# make check-clients puts them there.
DOCKER = BUILD / "clients/docker"
CLIENTS = BUILD / "clients/js/node_modules/.bin"


class Docker(Engine):
    """The daemon is root's, the person may use it."""

    def __init__(self, ann):
        super().__init__(ann, "docker", ann.uid, " --network none")
        path = f"{DOCKER}/usr/bin:{DOCKER}/usr/sbin:/usr/bin:/usr/sbin:/bin"
        self.env = {"DOCKER_HOST": f"unix://{self.dir}/socket",
                    "DOCKER_CONFIG": self.dir, "PATH": f"{ann.programs}:{path}"}
        self.log = open(self.dir / "log", "w")
        self.daemon = subprocess.Popen(
            ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child",
             "--mount-proc", "sh", "-c", DAEMON, str(self.dir),
             "/" + ann.dir.name],
            preexec_fn=ann.space.enter, stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=self.log, env={"PATH": path})

    def __enter__(self):
        socket = self.dir / "socket"
        until(lambda: socket.exists() or self.daemon.poll() is not None)
        if self.daemon.poll() is not None:
            pytest.skip("docker's daemon does not run here: " +
                        (self.dir / "log").read_text()[-200:])
        os.chmod(socket, 0o666)
        self.load()
        return self

    def __exit__(self, *_):
        self.daemon.kill()
        self.daemon.wait()
        self.log.close()
        # The last of its processes may take a moment to go.
        until(lambda: not subprocess.run(
            ["find", "/sys/fs/cgroup", "-depth", "-type", "d", "-path",
             f"*/{self.ann.dir.name}*", "!", "-exec", "rmdir", "{}", ";",
             "-print"], preexec_fn=self.ann.space.enter,
            capture_output=True).stdout)


@pytest.fixture
def docker(ann):
    if b"__asan_init" in (BUILD / "awsenv").read_bytes():
        pytest.skip("an awsenv with sanitizers needs libraries in the image")
    if not shutil.which("dockerd", path=f"{DOCKER}/usr/sbin:/usr/sbin"):
        pytest.skip("docker is not installed")
    with Docker(ann) as one:
        yield one


def test_docker_itself(ann, docker):
    """Its recipes word by word, and the row for root in there."""
    line = BY_SOCKET.replace("podman run", "docker run")
    has_keys(ann, docker.run(line + "--serve -- ./migrate"))
    is_refusal(docker.run(line.replace(AS_ANN, "") + "env"), NOT_YOURS)
    done = docker.run(recipe("docker run --rm -e AWS", tail="amazon/aws-cli s3 ls",
                             instead="localhost/image env"))
    assert done.returncode == 0, done.stderr
    assert KEYS < set(variables(done.stdout))


CONTAINER = """
{ "image": "localhost/image", "remoteUser": "%s", "updateRemoteUserUID": false,
  "runArgs": ["--network", "none"],
%s }
"""


def test_the_devcontainer_program_itself(ann, docker):
    program, node = CLIENTS / "devcontainer", shutil.which("node")
    if not program.exists() or not node:
        pytest.skip("@devcontainers/cli is not installed")
    lines = "\n".join(s for s in PAGE.splitlines() if s.strip().startswith(
        ('"mounts"', '"containerEnv"')))
    file = ann.home / "work/.devcontainer/devcontainer.json"
    file.parent.mkdir(parents=True)
    file.write_text(CONTAINER % (UID, lines))
    docker.env["TMPDIR"] = ann.home

    def runs(verb, *words):
        return docker.run(shlex.join([
            node, str(program), verb, "--workspace-folder",
            str(ann.home / "work"), *words]))
    done = runs("up")
    assert done.returncode == 0, done
    has_keys(ann, runs(
        "exec", *(w for k, v in ann.sim.env().items()
                  for w in ("--remote-env", f"{k}={v}")),
        "awsenv", "-p", "marketing", "--serve", "--", "/migrate"))
