# SPDX-License-Identifier: ISC
"""The supervisor: what a shell sees of it, and what it does for a broker."""
import contextlib
import ctypes
import fcntl
import os
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import time

import pytest

from agent import until_asleep
from fake_broker import FAILED, SPAWNED
from supervised import Agent, as_user, become, children, is_alive, until

PROFILE, FETCH = 1, 2


@pytest.fixture
def agent():
    a = Agent()
    yield a
    a.close()


def eval_in_sh(text, words):
    return subprocess.run(["/bin/sh", "-c", text + words], text=True,
                          capture_output=True, check=True).stdout


# ---- what a shell sees ----

@pytest.mark.quick
def test_a_shell_evals_what_start_prints(agent):
    text = agent.call("-s").stdout
    said = eval_in_sh(text, "env | grep ^AWSENV_ | sort")
    assert said.splitlines()[0].startswith("Agent pid ")
    assert said.splitlines()[1:] == [
        "AWSENV_AGENT_PID=%d" % agent.started[0], "AWSENV_SOCK=" + agent.sock]


def test_a_path_with_quotes_survives_eval(agent):
    odd = os.path.join(agent.run, "it's $HOME `x` \"y\"! \\")
    agent.start("-a", odd)
    text = agent.call("-s", "-a", odd).stdout
    assert eval_in_sh(text, 'printf "%s" "$AWSENV_SOCK"').endswith(odd)


@pytest.mark.parametrize("argv, shell", [(["-c"], "/bin/sh"), ([], "/bin/tcsh")])
def test_csh_gets_its_own_words(agent, argv, shell):
    odd = os.path.join(agent.run, "wow!")
    agent.start("-a", odd)
    done = agent.call(*argv, "-a", odd, env={"SHELL": shell})
    assert done.stdout.splitlines()[:2] == [
        "setenv AWSENV_SOCK '%s/wow\\!';" % agent.run,
        "setenv AWSENV_AGENT_PID %d;" % agent.pid]


@pytest.mark.parametrize("argv", [
    ["-x"], ["-a", "relative"], ["-a", "/" + "x" * 107], ["-a", "/tmp/a\nb"],
    ["-t", "soon"], ["-t", "0"], ["-t", "-5"], ["-t", "1h "], ["-t", "99999w"],
    ["-k", "command"], ["-d", "command"]])
def test_a_wrong_option_is_refused_with_status_2(agent, argv):
    done = agent.call(*argv)
    assert done.returncode == 2 and done.stderr and not done.stdout
    assert not os.path.exists(agent.sock)


@pytest.mark.parametrize("life, seconds", [
    ("90", 90), ("15m", 900), ("1h30m", 5400), ("1D", 86400), ("1w2s", 604802)])
def test_a_life_time_reaches_the_broker(agent, life, seconds):
    agent.start("-t", life)
    assert agent.ask("info")["lifetime"] == seconds


@pytest.mark.quick
def test_k_stops_through_the_socket_and_unsets(agent):
    pid = agent.start()
    done = agent.call("-k", "-s", env={"AWSENV_AGENT_PID": str(pid)})
    assert done.returncode == 0, done
    assert done.stdout == ("unset AWSENV_SOCK;\nunset AWSENV_AGENT_PID;\n"
                           "echo Agent pid %d killed;\n" % pid)
    assert not is_alive(pid) and not os.path.exists(agent.sock)


def test_k_follows_awsenv_sock(agent):
    elsewhere = os.path.join(agent.run, "elsewhere")
    pid = agent.start("-a", elsewhere)
    assert agent.call("-k", env={"AWSENV_SOCK": elsewhere}).returncode == 0
    until(lambda: not is_alive(pid))


def test_k_names_the_agent_that_it_ended(agent):
    agent.start("-a", elsewhere := os.path.join(agent.run, "elsewhere"))
    other = agent.start()
    done = agent.call("-k", env={"AWSENV_AGENT_PID": "1"})
    assert f"echo Agent pid {other} killed;" in done.stdout
    assert agent.call("-k", "-a", elsewhere).returncode == 0


def test_k_by_pid_where_the_socket_is_gone(agent):
    pid = agent.start()
    os.unlink(agent.sock)
    done = agent.call("-k", env={"AWSENV_AGENT_PID": str(pid)})
    assert done.returncode == 0
    until(lambda: not is_alive(pid))


def test_k_without_an_agent_says_so(agent):
    done = agent.call("-k")
    assert done.returncode == 1
    assert "cannot stop the agent: no agent" in done.stderr and not done.stdout


def test_k_does_not_kill_whoever_has_that_pid_now(agent):
    other = subprocess.Popen(["sleep", "60"], preexec_fn=become(agent.uid))
    done = agent.call("-k", env={"AWSENV_AGENT_PID": str(other.pid)})
    assert done.returncode == 1
    assert other.poll() is None
    other.kill()
    other.wait()


def test_foreground_prints_and_stays(agent):
    child = agent.popen("-D", "-s", stdout=subprocess.PIPE)
    assert child.stdout.readline().startswith("AWSENV_SOCK='")
    assert agent.ask("info")["flags"] & 2
    child.terminate()
    assert child.wait(10) == 0


def test_debug_is_passed_on(agent):
    child = agent.popen("-d", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    agent.up()
    assert agent.ask("info")["flags"] & 6 == 6
    child.terminate()
    assert child.wait(10) == 0


def test_the_daemon_holds_nothing_of_its_starter(agent):
    """Else $(awsenv-agent) and an ssh that starts one would never return."""
    pid = agent.start()
    for process in (pid, agent.broker(), agent.spawner()):
        if os.geteuid() == 0:
            for fd in (0, 1, 2):
                assert os.readlink("/proc/%d/fd/%d" % (process, fd)) == "/dev/null"
    assert os.readlink("/proc/%d/cwd" % pid) == "/" if os.geteuid() == 0 else True
    with open("/proc/%d/stat" % pid) as f:
        assert int(f.read().rsplit(")", 1)[1].split()[3]) == pid    # session


# ---- with a command ----

def test_a_command_has_the_agent_and_its_own_status(agent):
    done = agent.call("sh", "-c", "echo $AWSENV_SOCK $AWSENV_AGENT_PID; exit 7")
    sock, pid = done.stdout.split()
    assert (done.returncode, sock) == (7, agent.sock)
    until(lambda: not is_alive(int(pid)))
    assert not os.path.exists(agent.sock)


def test_a_command_is_not_hardened_like_the_agent(agent):
    show = "umask; ulimit -Hc; grep SigIgn /proc/self/status"
    plain = subprocess.run(["sh", "-c", show], capture_output=True, text=True,
                           preexec_fn=become(agent.uid)).stdout
    assert agent.call("sh", "-c", show).stdout == plain


def test_a_command_that_is_not_there_gives_127(agent):
    done = agent.call("/nowhere/at/all")
    assert done.returncode == 127 and "/nowhere/at/all" in done.stderr
    until(lambda: not os.path.exists(agent.sock))


def test_a_command_joins_an_agent_that_runs_and_does_not_end_it(agent):
    pid = agent.start()
    done = agent.call("sh", "-c", "echo $AWSENV_AGENT_PID")
    assert int(done.stdout) == pid
    time.sleep(0.2)
    assert is_alive(pid) and agent.ask("info")["supervisor"] == pid


# ---- one agent ----

@pytest.mark.quick
def test_ten_starts_at_once_give_one_agent(agent):
    starts = [subprocess.Popen([agent.program, "-s"], env=agent.environ(), text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               preexec_fn=become(agent.uid)) for _ in range(10)]
    outputs = {s.communicate(timeout=20) for s in starts}
    assert {s.returncode for s in starts} == {0}
    assert len(outputs) == 1, outputs
    pid = int(re.search(r"_PID=(\d+)", outputs.pop()[0])[1])
    agent.started.append(pid)
    assert agent.ask("info")["supervisor"] == pid
    exe = os.path.realpath(agent.program)
    mine = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open("/proc/%s/cmdline" % entry) as f:
                if f.read().split("\0")[0] == exe:
                    mine.append(int(entry))
    assert sorted(mine) == sorted([pid, children(pid, "awsenv-spawner")[0]])


def test_start_and_stop_in_a_row_never_meet_a_dying_agent(agent):
    pids = set()
    for _ in range(5):
        pids.add(agent.start())
        agent.ask("info")
        assert agent.call("-k").returncode == 0
    assert len(pids) == 5


def listens(agent):
    try:
        agent.connect().close()
        return True
    except ConnectionRefusedError:
        return False


def test_a_stale_socket_is_replaced(agent):
    pid = agent.start()
    tree = [pid, agent.broker(), agent.spawner()]
    for process in tree:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    # A child on its way to exec still has the socket, and for that long
    # somebody seems to listen.
    until(lambda: not any(map(is_alive, tree)) and not listens(agent), 20)
    assert os.path.exists(agent.sock)
    assert agent.start() != pid
    agent.ask("info")


def test_a_file_that_is_no_socket_is_left_alone(agent):
    path = os.path.join(agent.run, "precious")
    with open(path, "w") as f:
        f.write("data")
    done = agent.call("-a", path)
    assert done.returncode == 1 and "cannot listen on " + path in done.stderr
    assert open(path).read() == "data"


def test_a_lock_that_is_a_symbolic_link_is_refused(agent):
    target = os.path.join(agent.run, "target")
    os.symlink(target, os.path.join(agent.run, "s.lock"))
    done = agent.call("-a", os.path.join(agent.run, "s"))
    assert done.returncode == 1 and not os.path.exists(target)


def test_a_holder_of_the_lock_that_does_not_answer_is_named(agent):
    path = os.path.join(agent.run, "s")
    with open(path + ".lock", "w") as lock:
        lock.write("4242\n")
        lock.flush()
        os.chown(path + ".lock", agent.uid, -1)
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = agent.call("-a", path)
    assert done.returncode == 1
    assert "process 4242 holds %s.lock and does not answer" % path in done.stderr


def test_only_the_owner_gets_at_the_socket(agent):
    agent.start()
    for path, mode in ((agent.sock, 0o600), (agent.sock + ".lock", 0o600),
                       (os.path.dirname(agent.sock), 0o700)):
        assert stat.S_IMODE(os.stat(path).st_mode) == mode


def test_without_a_private_runtime_directory_it_says_what_to_do(agent):
    os.chmod(agent.run, 0o755)
    done = agent.call()
    assert done.returncode == 1 and "XDG_RUNTIME_DIR" in done.stderr


@pytest.fixture
def network_fs(agent):
    """An environment in which every folder is on one."""
    library = os.path.join(agent.top, "network_fs.so")
    source = os.path.join(os.path.dirname(__file__), "network_fs.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source],
                   check=True)
    return {"LD_PRELOAD": library,
            "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0"}


def test_on_a_network_file_system_it_says_what_to_do(agent, network_fs):
    done = agent.call(env=network_fs)
    assert done.returncode == 1 and done.stdout == ""
    assert "network file system" in done.stderr, done.stderr
    assert "XDG_RUNTIME_DIR" in done.stderr and done.stderr.count("\n") == 1
    assert not os.path.exists(agent.sock)
    # Which counts where it looks by itself.
    path = os.path.join(agent.run, "of-this-host.sock")
    done = agent.call("-a", path, env=network_fs)
    assert done.returncode == 0 and path in done.stdout, done.stderr
    assert agent.call("-k", "-a", path, env=network_fs).returncode == 0


def test_a_file_system_without_locks_is_told(agent, network_fs):
    path = os.path.join(agent.run, "of-this-host.sock")
    done = agent.call("-a", path, env={**network_fs, "NO_LOCKS": "1"})
    assert done.returncode == 1 and done.stdout == ""
    assert f"{path}.lock cannot be locked" in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1 and not os.path.exists(path)


def test_somebody_elses_socket_at_our_path_is_not_unlinked(agent):
    agent.start()
    os.unlink(agent.sock)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(agent.sock)
        os.kill(agent.pid, signal.SIGTERM)
        until(lambda: not is_alive(agent.pid))
        assert os.path.exists(agent.sock)


# ---- a service manager's sockets ----

def activate(agent, names, sockets, argv=("-D",), pid=None, **more):
    def prepare():
        fds = [fcntl.fcntl(s.fileno(), fcntl.F_DUPFD, 50) for s in sockets]
        for n, fd in enumerate(fds):
            os.dup2(fd, 3 + n, inheritable=True)
            os.close(fd)
        os.environ["LISTEN_PID"] = str(pid or os.getpid())
        become(agent.uid)()

    # LISTEN_PID is only known in the child: sh passes on what it got there.
    argv = ["/bin/sh", "-c", 'LISTEN_PID=%s exec "$@"' % (pid or "$$"), "sh",
            agent.program, *argv]
    child = subprocess.Popen(
        argv, preexec_fn=prepare, close_fds=False, text=True,
        env=agent.environ(LISTEN_FDS=str(len(sockets)), LISTEN_FDNAMES=names),
        **more)
    agent.started.append(child.pid)
    return child


def listener(agent, name):
    s = socket.socket(socket.AF_UNIX)
    s.bind(os.path.join(agent.run, name))
    os.chown(os.path.join(agent.run, name), agent.uid, -1)
    s.listen(16)
    return s


@pytest.mark.quick
def test_a_service_managers_sockets_are_used_by_their_names(agent):
    sockets = [listener(agent, n) for n in ("a", "f", "x")]
    child = activate(agent, "agent:forward:tuesday", sockets,
                     stdout=subprocess.PIPE)
    where = os.path.join(agent.run, "a")
    info = agent.ask("info", path=where)
    assert info["listeners"] == ["agent", "forward", "remote"]
    assert not any(n.startswith("LISTEN") for n in info["environ"])
    assert info["supervisor"] == child.pid
    # A start by hand finds it, and does not take its socket.
    again = agent.call("-s", "-a", where)
    assert "AWSENV_AGENT_PID=%d;" % child.pid in again.stdout
    child.terminate()
    assert child.wait(10) == 0
    assert sorted(n for n in os.listdir(agent.run) if len(n) == 1) == ["a", "f", "x"]


def test_sockets_without_names_are_for_strangers(agent):
    child = activate(agent, None, [listener(agent, "a")], stdout=subprocess.PIPE)
    info = agent.ask("info", path=os.path.join(agent.run, "a"))
    assert info["listeners"] == ["remote"]
    child.terminate()
    assert child.wait(10) == 0


def test_a_descriptor_that_does_not_listen_is_refused(agent):
    with socket.socket(socket.AF_INET) as inet, open("/dev/null") as null:
        done = activate(agent, "agent:agent", [inet, null],
                        stderr=subprocess.PIPE)
        assert "no socket of the service manager can be used" in done.communicate()[1]
    assert done.returncode == 1


def test_somebody_elses_activation_is_ignored(agent):
    child = activate(agent, "agent", [listener(agent, "a")], pid=1,
                     stdout=subprocess.PIPE)
    agent.up()
    assert agent.ask("info")["listeners"] == [
        "agent", "forward", "remote"]
    child.terminate()
    assert child.wait(10) == 0


# ---- the socket that ssh forwards ----

def beside(agent):
    return os.path.join(os.path.dirname(agent.sock), "forward.sock")


@pytest.mark.quick
def test_a_socket_for_ssh_is_there_from_start_to_end(agent):
    agent.start()
    st = os.lstat(beside(agent))
    assert stat.S_ISSOCK(st.st_mode) and stat.S_IMODE(st.st_mode) == 0o600
    assert st.st_uid == agent.uid
    agent.call("-k")
    assert not os.path.exists(beside(agent))
    # What a killed agent left is replaced.
    agent.start()
    left = [agent.pid, agent.broker(), agent.spawner()]
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: not any(map(is_alive, left)) and not listens(agent), 20)
    agent.start()
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(beside(agent))
    assert agent.ask("info")["listeners"] == [
        "agent", "forward", "remote"]


def test_an_agent_that_cannot_have_it_serves_all_the_same(agent):
    os.mkdir(os.path.dirname(agent.sock), 0o700)
    os.chown(os.path.dirname(agent.sock), agent.uid, -1)
    with open(beside(agent), "w") as f:
        f.write("mine")
    out = agent.call("-s")
    assert out.returncode == 0 and "cannot listen on " + beside(agent) in out.stderr
    assert agent.ask("info")["listeners"] == ["agent", "remote"]
    agent.call("-k")
    with open(beside(agent)) as f:
        assert f.read() == "mine"


def test_beside_a_socket_of_another_name_there_is_none(agent):
    where = os.path.join(agent.run, "mine.sock")
    agent.call("-s", "-a", where)
    assert agent.ask("info", path=where)["listeners"] == ["agent"]


# ---- the broker ----

def test_a_broker_is_given_things_in_the_order_of_the_contract(agent):
    agent.start()
    info = agent.ask("info")
    assert info["order"] == [1, 2, 2, 2, 4] and info["nfds"] == 4
    assert info["ring"] > 0 and info["session"] > 0 and info["restarts"] == 0
    assert abs(info["started"] - time.time()) < 60


def test_a_daemon_gets_a_built_environment(agent):
    hostile = {"LD_LIBRARY_PATH": "/tmp", "SSLKEYLOGFILE": "/tmp/k",
               "OPENSSL_CONF": "/tmp/c", "AWS_PROFILE": "x", "PYTHONPATH": "/tmp"}
    agent.start(env=hostile)
    environ = agent.ask("info")["environ"]
    environ.pop("LC_CTYPE", None)       # Python's own doing
    assert environ == {"HOME": agent.top, "LANG": "C"}


def test_kill_9_of_the_broker_fifty_times_in_a_row(agent):
    agent.start()
    ring = agent.ask("info")["ring"]
    key = agent.ask("add", name="awsenv:1:tok:0", text="kept")["serial"]
    for n in range(50):
        os.kill(agent.ask("info")["broker"], signal.SIGKILL)
    info = agent.ask("info")
    assert (info["restarts"], info["ring"]) == (50, ring)
    assert agent.ask("read", serial=key) == {"text": "kept"}


def test_a_broker_that_closes_its_link_is_replaced(agent):
    agent.start()
    before = agent.ask("info")["broker"]
    agent.tell("exit", status=1)
    assert agent.ask("info")["broker"] != before


@pytest.mark.quick
def test_jobs_outlive_the_broker(agent):
    agent.start()
    jobs = [agent.ask("spawn", program=FETCH, tag="job %d" % n) for n in range(3)]
    assert [j["type"] for j in jobs] == [SPAWNED] * 3
    agent.ask("over", pid=jobs[1]["pid"])
    until(lambda: not is_alive(jobs[1]["pid"]))
    os.kill(agent.broker(), signal.SIGKILL)
    info = agent.ask("info")
    assert info["jobs"] == {str(jobs[0]["pid"]): "job 0", str(jobs[2]["pid"]): "job 2"}
    assert info["order"] == [1, 2, 2, 2, 3, 3, 4]
    assert agent.ask("talk", pid=jobs[0]["pid"], text="hi")["answer"] == "echo:hi"


def test_a_program_for_a_broker_that_died_does_not_stay(agent):
    """Its link is handed on or it ends: no program waits for ever unknown."""
    agent.start()
    for n in range(5):
        agent.tell("spawn_and_die", program=PROFILE, tag="lost")

    def settled():
        known = set(map(int, agent.ask("info")["jobs"]))
        return set(children(agent.spawner())) == known
    until(settled)


def test_what_cannot_be_started_is_told(agent):
    agent.start()
    assert agent.ask("spawn", program=99, tag="t") == {
        "type": FAILED, "pid": 0, "tag": "t", "error": 22}
    os.unlink(os.path.join(agent.bin, "awsenv-fetch"))
    assert agent.ask("spawn", program=FETCH)["error"] == 2


def test_no_more_than_64_programs_at_once(agent):
    agent.start()
    answers = [agent.ask("spawn", program=FETCH) for _ in range(65)]
    assert [a["error"] for a in answers] == [0] * 64 + [11]
    for a in answers[:64]:
        agent.ask("over", pid=a["pid"])
    until(lambda: agent.ask("spawn", program=FETCH)["error"] == 0)


def test_a_program_is_told_nothing_it_should_not_know(agent):
    agent.start()
    pid = agent.ask("spawn", program=FETCH)["pid"]
    # Once it answers it is that program, and no longer the spawner's fork.
    assert agent.ask("talk", pid=pid, text="x")["answer"] == "echo:x"
    if os.geteuid() == 0:
        with open("/proc/%d/environ" % pid) as f:
            assert sorted(f.read().strip("\0").split("\0")) == [
                "HOME=" + agent.top, "LANG=C", "PATH=/usr/bin:/bin"]
        fds = sorted(map(int, os.listdir("/proc/%d/fd" % pid)))
        assert fds[:4] == [0, 1, 2, 3]
        assert all(os.readlink("/proc/%d/fd/%d" % (pid, fd)) == "/dev/null"
                   for fd in (0, 1, 2))
    assert os.getpgid(pid) == pid


@pytest.mark.quick
def test_a_spawner_that_dies_is_replaced_by_one_without_the_ring(agent):
    """The new one could inherit the ring; it leaves it, or it does not run."""
    agent.start()
    before = agent.spawner()
    job = agent.ask("spawn", program=FETCH, tag="kept")["pid"]
    broker = agent.broker()
    os.kill(before, signal.SIGKILL)
    until(lambda: agent.spawner() not in (before, None))
    until(lambda: agent.broker() != broker)
    info = agent.ask("info")
    assert info["jobs"] == {str(job): "kept"}
    assert agent.ask("talk", pid=job, text="x")["answer"] == "echo:x"
    after = agent.ask("spawn", program=FETCH)
    assert after["type"] == SPAWNED
    assert children(agent.spawner()) == [after["pid"]]
    key = agent.ask("add", name="awsenv:1:tok:0", text="secret")["serial"]
    assert agent.ask("read", serial=key) == {"text": "secret"}
    for serial in (key, info["ring"], info["session"]):
        assert agent.ask("talk", pid=after["pid"],
                         text="read:%d" % serial)["answer"] == "EACCES"


def test_what_the_first_spawner_starts_has_no_ring_either(agent):
    agent.start()
    ring = agent.ask("info")["ring"]
    job = agent.ask("spawn", program=FETCH)["pid"]
    assert agent.ask("talk", pid=job, text="read:%d" % ring)["answer"] == "EACCES"


@pytest.mark.quick
def test_status_70_ends_everything(agent):
    child = agent.popen("-D", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    agent.up()
    agent.ask("add", name="awsenv:1:tok:0", text="secret")
    agent.tell("exit", status=70)
    assert child.wait(10) == 70
    assert "not ours" in child.stderr.read()
    assert not os.path.exists(agent.sock)


def test_a_request_to_stop_ends_the_agent(agent):
    pid = agent.start()
    agent.ask("stop")
    until(lambda: not is_alive(pid))
    assert not os.path.exists(agent.sock)


def test_the_end_ends_programs_under_way(agent):
    agent.start()
    job = agent.ask("spawn", program=FETCH)["pid"]
    os.kill(agent.pid, signal.SIGTERM)
    until(lambda: not is_alive(agent.pid) and not is_alive(job))


def test_a_broker_that_hangs_does_not_keep_the_agent_from_ending(agent):
    agent.start()
    broker = agent.broker()
    os.kill(broker, signal.SIGSTOP)
    begun = time.monotonic()
    os.kill(agent.pid, signal.SIGTERM)
    until(lambda: not is_alive(agent.pid))
    assert time.monotonic() - begun > 1.5
    until(lambda: not is_alive(broker))


def test_sigusr1_has_the_credentials_dropped(agent):
    agent.start()
    assert agent.ask("info")["drops"] == 0
    os.kill(agent.pid, signal.SIGUSR1)
    until(lambda: agent.ask("info")["drops"] == 1)


def test_nohup_does_not_take_the_signals_away(agent):
    def ignore():
        for s in (signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD):
            signal.signal(s, signal.SIG_IGN)
        become(agent.uid)()
    child = agent.popen("-D", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                        preexec_fn=ignore)
    agent.up()
    os.kill(agent.ask("info")["broker"], signal.SIGKILL)
    assert agent.ask("info")["restarts"] == 1
    child.terminate()
    assert child.wait(10) == 0


def test_sighup_where_the_user_owns_the_programs_restarts_the_broker_only(agent):
    child = agent.popen("-D", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    agent.up()
    before = agent.ask("info")
    assert not before["flags"] & 1
    child.send_signal(signal.SIGHUP)
    after = until(lambda: (i := agent.ask("info"))["broker"] != before["broker"] and i)
    assert after["ring"] == before["ring"] and after["supervisor"] == child.pid
    child.terminate()
    assert "not re-executing" in child.communicate()[1]


def test_a_broker_of_another_version_is_said_where_no_upgrade_can_be(agent):
    child = agent.popen("-D", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    agent.up()
    agent.tell("other_version")
    agent.ask("info")
    agent.tell("exit", status=71)
    agent.ask("info")
    child.terminate()
    assert child.communicate()[1].count("is of another version than this agent") == 2


# ---- at rest ----

def test_nobody_wakes_up_when_nothing_happens(agent):
    agent.start()
    agent.ask("info")
    until_asleep(agent.pid, agent.spawner())


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to look into /proc")
def test_nothing_is_lost_over_many_restarts(agent):
    agent.start()
    agent.ask("info")
    count = lambda: [len(os.listdir("/proc/%d/fd" % p))
                     for p in (agent.pid, agent.spawner())]
    before = count()
    for n in range(10):
        pid = agent.ask("spawn", program=FETCH)["pid"]
        agent.ask("over", pid=pid)
        os.kill(agent.ask("info")["broker"], signal.SIGKILL)
    agent.ask("info")
    until(lambda: count() == before, why="%s, then %s" % (before, count()))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be another user")
def test_the_same_user_cannot_look_into_supervisor_and_spawner(agent):
    agent.start()
    for pid in (agent.pid, agent.spawner()):
        def look(pid=pid):
            refused = []
            for name in ("mem", "environ", "maps"):
                try:
                    open("/proc/%d/%s" % (pid, name), "rb").read(1)
                except PermissionError:
                    refused.append(name)
            return refused
        assert as_user(look, agent.uid) == ["mem", "environ", "maps"]


# ---- orphans ----

def test_orphans_never_become_children_of_the_agent(agent):
    """A launcher may leave us the mark of a subreaper."""
    said = os.path.join(agent.run, "parent")

    def launcher():
        become(agent.uid)()
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)     # PR_SET_CHILD_SUBREAPER
        if os.fork() == 0:
            parent = os.getpid()
            if os.fork() == 0:
                while os.getppid() == parent:
                    time.sleep(0.01)
                with open(said + ".new", "w") as f:
                    f.write(str(os.getppid()))
                os.rename(said + ".new", said)
                os._exit(0)
            while not os.path.exists(agent.sock):
                time.sleep(0.01)
            os._exit(0)
    child = agent.popen("-D", stdout=subprocess.DEVNULL, preexec_fn=launcher)
    until(lambda: os.path.exists(said))
    assert int(open(said).read()) != child.pid
    agent.ask("info")


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"),
                    reason="needs root and unshare")
def test_it_refuses_to_be_process_1(agent):
    done = subprocess.run(["unshare", "--pid", "--fork", agent.program, "-D",
                           "-a", os.path.join(agent.run, "s")],
                          env=agent.environ(), capture_output=True, text=True,
                          timeout=10)
    assert done.returncode == 1 and "must not be process 1" in done.stderr


def test_it_raises_the_limit_of_descriptors_for_many_clients(agent):
    def few():
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        become(agent.uid)()
    child = agent.popen("-D", stdout=subprocess.DEVNULL, preexec_fn=few)
    agent.up()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert agent.ask("info")["limit"] == min(4096, hard)
    child.terminate()
    child.wait(10)
