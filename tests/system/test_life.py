# SPDX-License-Identifier: ISC
"""The agent's life is that of the user manager: from the first login to the
last logout, with real systemd, logind and sshd."""
import os
import signal

from agent import children, key_quota, stat, until


def starts(sim):
    return sim.counts()["StartDeviceAuthorization"]


def has_no_key(user):
    """None but the two keyrings that the kernel gives to each user."""
    keys, size = key_quota(user.uid)
    return keys <= 2 and size < 50


def cgroup(pid):
    return open(f"/proc/{pid}/cgroup").read().strip().split("0::")[1]


def test_the_first_login_starts_the_agent_of_the_units(box, sim, ann):
    with ann.session() as t:
        t.press(b"echo sock=$AWSENV_SOCK.\n")
        t.until(f"sock={ann.sock}.")
        pid = ann.agent()
        assert cgroup(pid).endswith(
            f"/user@{ann.uid}.service/app.slice/awsenv-agent.service")
        assert "same-user protection: on" in ann.ssh("awsenv status").stdout
        # Another login: the same agent, the same login to AWS.
        code = sim.wait_pending()["user_code"]
        t.press(b"awsenv login --no-browser -p marketing\n")
        t.until(code)
        sim.approve(code)
        ann.ssh("awsenv login --no-browser -p marketing")
        done = ann.ssh("awsenv -p marketing env")
        assert "AWS_ACCESS_KEY_ID=ASIA" in done.stdout
        assert ann.agent() == pid
    assert starts(sim) == 1


def test_the_service_is_confined(box, ann):
    with ann.session():
        pid = ann.agent()
        status = dict(line.split(":", 1) for line in open(
            f"/proc/{pid}/status"))
        assert status["NoNewPrivs"].strip() == "1"
        assert status["Seccomp"].strip() == "2"
        limits = open(f"/proc/{pid}/limits").read()
        assert "Max core file size        0                    0 " in limits
        assert ann.ssh("systemctl --user show -P MemorySwapMax "
                       "awsenv-agent.service").stdout == "0\n"
        # Not nobody's: it sees that its programs are root's.
        assert os.readlink(f"/proc/{pid}/ns/user") == os.readlink(
            f"/proc/{box.leader}/ns/user")


def test_each_socket_says_who_asks_on_it(box, sim, ann):
    with ann.session():
        ann.log_in_at_aws(sim)
        ann.ssh("awsenv -p marketing env")
        for name in ("forward", "remote"):
            done = ann.ssh(f"AWSENV_SOCK={ann.runtime}/awsenv/{name}.sock "
                           "awsenv -p marketing env </dev/null", check=False)
            assert done.returncode != 0
            assert "AWS_ACCESS_KEY_ID" not in done.stdout
        found = box.run("stat", "-c", "%n %U %a %F", *(
            f"{ann.runtime}/awsenv/{name}.sock" for name in (
                "agent", "forward", "remote"))).stdout.splitlines()
        assert found == [
            f"{ann.runtime}/awsenv/{name}.sock {ann.name} 600 socket"
            for name in ("agent", "forward", "remote")]


def test_what_the_user_manager_starts_knows_the_socket(box, ann):
    with ann.session():
        done = ann.ssh("systemd-run --user --pipe --wait --quiet "
                       "sh -c 'echo $AWSENV_SOCK'")
        assert done.stdout == f"{ann.sock}\n"


def test_the_last_logout_ends_the_agent_and_its_keys(box, sim, ann):
    with ann.session():
        ann.log_in_at_aws(sim)
        ann.ssh("awsenv -p marketing env")
        assert key_quota(ann.uid)[1] > 1000
        pid = ann.agent()
        programs = [pid, *children(pid)]
        assert len(programs) == 3
    until(ann.is_gone, 20, "the agent stays")
    assert not any(map(stat, programs))
    until(lambda: has_no_key(ann), 10, "keys are left")


def test_a_login_after_that_begins_anew(box, sim, ann):
    with ann.session():
        ann.log_in_at_aws(sim)
    until(ann.is_gone, 20)
    with ann.session():
        sim.wait_pending()
    assert starts(sim) == 2


def test_a_killed_sshd_is_the_end_of_its_session(box, sim, ann):
    with ann.session():
        ann.log_in_at_aws(sim)
        pid = ann.agent()
        killed = 0
        for line in box.run("ps", "-eo", "pid,args").stdout.splitlines():
            number, _, args = line.strip().partition(" ")
            if args.strip().startswith(f"sshd: {ann.name}"):
                box.run("kill", "-KILL", number, check=False)
                killed += 1
        assert killed >= 2      # the monitor, which would close the session
        until(ann.is_gone, 20, "the agent stays")
        assert stat(pid) is None
    until(lambda: has_no_key(ann), 10, "keys are left")
    with ann.session():
        assert ann.agent() != pid


def test_tmux_outlives_the_session_and_its_agent_does(box, sim, ann):
    with ann.session():
        ann.log_in_at_aws(sim)
        pid = ann.agent()
        ann.ssh("tmux new-session -d -s work 'exec bash --norc'")
    # Both sessions are closed, one lingers with tmux in it.
    until(lambda: "active" not in box.run(
        "loginctl", "show-user", ann.name, "-P", "State").stdout, 20)
    assert ann.agent() == pid
    with ann.session():
        assert ann.agent() == pid
        ann.ssh("tmux send-keys -t work "
                "'awsenv -p marketing env >new; mv new out' Enter")
        out = box.path(f"/home/{ann.name}/out")
        until(out.exists, 20)
        assert "AWS_ACCESS_KEY_ID=ASIA" in out.read_text()
        ann.ssh("tmux kill-server")
    until(ann.is_gone, 20, "the agent stays")
    assert starts(sim) == 1


def test_a_user_who_lingers_keeps_the_agent(box, sim, ann):
    box.run("loginctl", "enable-linger", ann.name)
    with ann.session():
        ann.log_in_at_aws(sim)
        pid = ann.agent()
    until(lambda: box.run("loginctl", "show-user", ann.name, "-P",
                          "State").stdout == "lingering\n", 20)
    assert ann.agent() == pid
    assert "AWS_ACCESS_KEY_ID=ASIA" in ann.ssh("awsenv -p marketing env").stdout
    assert starts(sim) == 1
    box.run("loginctl", "disable-linger", ann.name)
    until(ann.is_gone, 20, "the agent stays")


def test_a_stopped_agent_is_started_by_the_next_who_asks(box, sim, ann):
    with ann.session():
        pid = ann.agent()
        for _ in range(8):      # more often than systemd likes by itself
            ann.ssh("awsenv agent stop && awsenv status >/dev/null")
        assert ann.agent() != pid
        assert cgroup(ann.agent()).endswith("/awsenv-agent.service")
        pid = ann.agent()
        os.kill(pid, signal.SIGKILL)
        until(lambda: stat(pid) is None)
        assert ann.ssh("awsenv status").returncode == 0
        assert cgroup(ann.agent()).endswith("/awsenv-agent.service")


def test_a_login_on_a_console_shows_the_code(box, sim, ann):
    with box.terminal("login", ann.name) as t:
        t.until("Password:")
        t.press(b"correct horse\n")
        text = t.until("Later: awsenv login", 30)
        pending = sim.wait_pending()
        assert pending["user_code"] in text
        assert pending["url_complete"] in text
        t.press(b"echo sock=$AWSENV_SOCK.; exit\n")
        t.until(f"sock={ann.sock}.")
    assert starts(sim) == 1
