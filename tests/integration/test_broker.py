# SPDX-License-Identifier: ISC
"""The broker among its real neighbours: logins, credentials, what is told."""

import concurrent.futures
import fcntl
import os
import resource
import signal
import socket
import struct
import termios
import time

import pytest

import wire
from agent import REQUESTS, Refused, until
from openssh import bind


def test_the_main_job_from_login_to_credentials(sim, agent):
    with pytest.raises(Refused) as refused:
        agent.creds("marketing")
    assert refused.value.error == wire.AW_LOGIN
    assert refused.value.text == (
        "login needed for sim: awsenv login --profile marketing")
    done = agent.log_in("marketing")
    assert done.person == b"ann@example.com"
    assert done.session == b"sim"
    reply = agent.creds("marketing")
    keys = wire.decode("MSG_CREDS", reply.sealed)
    assert reply.account.decode() == sim.info["accounts"][0]["id"]
    assert keys.access_key.startswith(b"ASIA")
    counts = sim.counts()
    assert agent.creds("marketing").sealed == reply.sealed
    assert sim.counts() == counts
    assert counts["RegisterClient"] == 1
    assert counts["StartDeviceAuthorization"] == 1


def test_a_hundred_askers_see_one_login(sim, agent):
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        first = list(pool.map(lambda _: agent.login("marketing"), range(100)))
        assert len({r.ticket for r in first}) == 1
        shown = list(pool.map(
            lambda r: agent.until_state(r, wire.LOGIN_PENDING), first))
    assert len({(r.url, r.code) for r in shown}) == 1
    assert len(sim.pending()) == 1
    counts = sim.counts()
    assert counts["RegisterClient"] == 1
    assert counts["StartDeviceAuthorization"] == 1


def unread(sock):
    """Bytes sent that the other side has not taken."""
    return struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))[0]


def test_a_thousand_clients_cost_one_call(sim, agent):
    agent.log_in("marketing")
    agent.logout(what=wire.LOGOUT_CREDS)
    before = sim.counts()["GetRoleCredentials"]
    sim.hold("GetRoleCredentials")
    resource.setrlimit(resource.RLIMIT_NOFILE, (
        2048, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    request = wire.frame("creds@awsenv", wire.encode(
        "MSG_CREDS_REQ", agent.asking("marketing")))
    socks = [agent.connect() for _ in range(1000)]
    for s in socks:
        s.sendall(request)
    sim.wait_in_flight("GetRoleCredentials")
    until(lambda: not any(map(unread, socks)), why="not all of them are read")
    sim.release()
    answers = {wire.read_frame(s) for s in socks}
    for s in socks:
        s.close()
    assert len(answers) == 1
    assert sim.counts()["GetRoleCredentials"] == before + 1
    assert sim.in_flight("GetRoleCredentials")["most"] == 1


def test_tokens_are_refreshed_without_a_person(sim, agent):
    agent.log_in("marketing")
    agent.logout(what=wire.LOGOUT_CREDS)
    sim.expire("access_token")
    assert agent.keys("marketing").access_key
    grants = [r for r in sim.requests("CreateToken") if r["status"] == 200]
    assert len(grants) == 2
    assert agent.status("marketing").refreshable == 1
    assert sim.counts()["StartDeviceAuthorization"] == 1


def test_the_end_of_the_session_means_a_new_login(sim, agent):
    agent.log_in("marketing")
    agent.logout(what=wire.LOGOUT_CREDS)
    sim.expire("session")
    with pytest.raises(Refused) as refused:
        agent.creds("marketing")
    assert refused.value.error == wire.AW_LOGIN
    assert agent.status("marketing").refreshable == 0
    assert agent.status("marketing").login_state == wire.LOGIN_NONE
    done = agent.log_in("marketing", user="bob@example.com")
    assert (done.person, done.before) == (b"bob@example.com",
                                          b"ann@example.com")


def test_a_missing_assignment_keeps_the_login(sim, agent):
    agent.log_in("marketing")
    agent.logout(what=wire.LOGOUT_CREDS)
    sim.assign("ann@example.com", "marketing", sim.info["roles"][0],
               remove=True)
    with pytest.raises(Refused) as refused:
        agent.creds("marketing")
    assert refused.value.error == wire.AW_AWS
    assert agent.keys("platform").access_key
    assert agent.status("marketing").login_state == wire.LOGIN_DONE


def test_logout_tells_aws_and_forgets(sim, agent):
    agent.log_in("marketing")
    agent.keys("marketing")
    agent.keys("platform")
    reply = agent.logout("marketing")
    assert (reply.logins, reply.roles) == (1, 2)
    assert wire.texts(reply.lines) == [
        b"sim (ann@example.com): signed out at AWS, "
        b"2 role credentials forgotten"]
    assert sim.counts()["Logout"] == 1
    assert agent.list(wire.LIST_KEYS) == []
    with pytest.raises(Refused) as refused:
        agent.creds("marketing")
    assert refused.value.error == wire.AW_LOGIN


def test_logout_forgets_even_when_aws_is_not_told(sim, agent):
    agent.log_in("marketing")
    sim.fault("Logout", "reset")
    reply = agent.logout("marketing", check=False)
    assert reply.error == wire.AW_NETWORK
    assert b"forgotten here, but AWS could not be told" in reply.lines
    assert agent.list(wire.LIST_KEYS) == []


def test_whoami_asks_once(sim, agent):
    agent.log_in("marketing")
    who = agent.whoami("marketing")
    account = sim.info["accounts"][0]["id"].encode()
    assert who.account == account and who.person == b"ann@example.com"
    assert who.arn.startswith(b"arn:aws:sts::" + account + b":assumed-role/")
    before = sim.counts()["GetCallerIdentity"]
    assert agent.whoami("marketing").arn == who.arn
    assert sim.counts()["GetCallerIdentity"] == before


def test_status_and_lists_tell_what_there_is(sim, agent):
    empty = agent.status("marketing")
    assert (empty.logins, empty.roles, empty["keys"]) == (0, 0, 0)
    assert empty.login_state == wire.LOGIN_NONE and empty.session == b"sim"
    agent.log_in("marketing")
    agent.keys("marketing")
    agent.keys("platform")
    s = agent.status("marketing")
    assert (s.logins, s.roles, s.refreshable) == (1, 2, 1)
    assert s.broker_pid == agent.broker_pid() and s.agent_pid == agent.pid
    assert s.role_expires > time.time() and s.login_expires > time.time()
    assert s["keys"] == len(agent.list(wire.LIST_KEYS)) == 4
    login, = agent.list(wire.LIST_LOGINS)
    assert (login.session, login.state) == (b"sim", wire.LOGIN_DONE)
    assert login.start_url.decode() == sim.start_url
    roles = agent.list(wire.LIST_ROLES)
    assert {r.account.decode() for r in roles} == {
        a["id"] for a in sim.info["accounts"][:2]}
    assert {r.session for r in roles} == {b"sim"}


def test_a_list_goes_on_where_one_says(sim, make_agent):
    bad = "\n".join(f"[nonsense-{i:04}]\nkey = {'x' * 40}" for i in range(1500))
    agent = make_agent(sim, start=False)
    agent.config.write_text(agent.config.read_text() + bad + "\n")
    agent.start()
    told = agent.status("marketing").problems
    problems = agent.list(wire.LIST_PROBLEMS)
    assert len(problems) == told >= 100
    rest = agent.ask("list@awsenv", {"what": wire.LIST_PROBLEMS, "from": 60})
    assert wire.unpack("MSG_PROBLEM_ITEM", rest["items"]) == problems[60:]


def test_account_and_role_need_no_profile(sim, agent):
    agent.log_in("marketing")
    account = sim.info["accounts"][2]
    for name in (account["id"], account["name"]):
        reply = agent.creds(**{"ask.account": name,
                               "ask.role": sim.info["roles"][0]})
        assert reply.account.decode() == account["id"]
        assert reply.profile == b""
    with pytest.raises(Refused) as refused:
        agent.creds(**{"ask.account": account["id"]})
    assert refused.value.text == "--account and --role go together"


def test_a_missing_profile_is_told_with_its_neighbours(agent):
    with pytest.raises(Refused) as refused:
        agent.creds("marketting")
    assert refused.value.error == wire.AW_NOPROFILE
    assert refused.value.text.endswith("did you mean marketing?")
    assert str(agent.config) in refused.value.text


def test_without_a_config_a_login_says_what_to_write(sim, make_agent):
    agent = make_agent(sim, start=False)
    agent.config.write_text("")
    agent.start()
    with pytest.raises(Refused) as refused:
        agent.login()
    assert refused.value.error == wire.AW_CONFIG
    assert "sso-session: write one, see awsenv-config(5)" in refused.value.text


def test_a_section_without_profile_is_the_explanation(sim, make_agent):
    agent = make_agent(sim, start=False)
    text = agent.config.read_text().replace("[profile marketing]",
                                            "[marketing]")
    agent.config.write_text(text)
    agent.start()
    with pytest.raises(Refused) as refused:
        agent.creds("marketing")
    assert refused.value.error == wire.AW_NOPROFILE
    line = text[:text.index("[marketing]")].count("\n") + 1
    assert f"{agent.config}:{line}" in refused.value.text


def test_a_changed_file_is_read_at_the_next_request(sim, agent):
    agent.log_in("marketing")
    with pytest.raises(Refused):
        agent.creds("sandbox")
    sim.write_config(agent.config, "marketing", "sandbox")
    assert agent.keys("sandbox").access_key
    with pytest.raises(Refused) as refused:
        agent.creds("platform")
    assert refused.value.error == wire.AW_NOPROFILE


def test_a_broken_file_is_told_and_mended(sim, agent):
    agent.creds("marketing", check=False)
    agent.config.unlink()
    agent.config.mkdir()
    reply = agent.creds("nosuch", check=False)
    assert reply.error in (wire.AW_NOPROFILE, wire.AW_CONFIG)
    agent.config.rmdir()
    sim.write_config(agent.config, "sandbox")
    assert agent.status("sandbox").profile_error == wire.AW_OK


def test_what_was_seen_decides_not_how_often_it_is_asked(sim, agent):
    """A client that sees another file than the agent costs one reading."""
    fields = {**agent.asking("marketing"), "ask.stamp.ino": 12345}
    for _ in range(20):
        agent.ask("status@awsenv", fields)
    assert agent.logged().count("awsenv-profile") < 3


def test_credentials_survive_a_network_that_is_gone(sim, agent):
    sim.settings(role_life=100)
    agent.log_in("marketing")
    first = agent.creds("marketing")
    sim.fault("GetRoleCredentials", "reset")

    def notice():
        reply = agent.creds("marketing", seconds=100)
        assert reply.sealed == first.sealed
        return reply.notice
    # A tenth of their life is no reason to ask for others.
    assert b"AWS is out of reach" in until(notice)


def test_a_token_is_refreshed_before_it_ends(sim, agent):
    sim.settings(token_life=8)
    agent.log_in("marketing")
    until(lambda: len([r for r in sim.requests("CreateToken")
                       if r["status"] == 200]) >= 3)
    until(lambda: agent.status("marketing").login_state == wire.LOGIN_DONE)


def test_a_person_is_told_when_a_code_ran_out(sim, agent):
    reply = agent.until_state(agent.login("marketing"), wire.LOGIN_PENDING)
    sim.expire("device")
    failed = agent.wait(reply.ticket, reply.state, check=False)
    assert failed.state == wire.LOGIN_FAILED
    assert failed.error == wire.AW_LOGIN
    assert b"sso_region" in failed.text
    again = agent.until_state(agent.login("marketing"), wire.LOGIN_PENDING)
    assert again.code != reply.code


def test_a_denied_login_fails_for_all_who_wait(sim, agent):
    reply = agent.until_state(agent.login("marketing"), wire.LOGIN_PENDING)
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        waits = [pool.submit(agent.wait, reply.ticket, reply.state, 30, False)
                 for _ in range(10)]
        time.sleep(0.3)
        sim.deny(reply.code.decode())
        ends = [w.result() for w in waits]
    assert {r.state for r in ends} == {wire.LOGIN_FAILED}
    assert {r.error for r in ends} == {wire.AW_AWS}


def test_an_unknown_ticket_is_gone(agent):
    with pytest.raises(Refused) as refused:
        agent.wait(4711, wire.LOGIN_PENDING)
    assert refused.value.error == wire.AW_GONE


def test_sigusr1_drops_all_credentials(sim, agent):
    agent.log_in("marketing")
    agent.keys("marketing")
    os.kill(agent.pid, signal.SIGUSR1)
    until(lambda: agent.list(wire.LIST_KEYS) == [])
    with pytest.raises(Refused) as refused:
        agent.creds("marketing")
    assert refused.value.error == wire.AW_LOGIN


def test_sigusr1_leaves_none_on_the_way(sim, agent):
    agent.log_in("marketing")
    agent.logout(what=wire.LOGOUT_CREDS)
    sim.hold("GetRoleCredentials")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waits = pool.submit(agent.creds, "marketing", check=False)
        sim.wait_in_flight("GetRoleCredentials")
        os.kill(agent.pid, signal.SIGUSR1)
        assert waits.result(timeout=20).error == wire.AW_LOGIN
        sim.release()
    until(lambda: not agent.helpers())
    assert agent.list(wire.LIST_KEYS) == []
    assert sim.counts()["GetRoleCredentials"] == 2  # with the login's


def test_a_lifetime_ends_what_was_kept(sim, make_agent):
    agent = make_agent(sim, args=("-t", "3"))
    agent.log_in("marketing")
    begun = time.time()
    assert max(k.timeout for k in agent.list(wire.LIST_KEYS)) < begun + 70
    # The role's own lifetime begins when it is fetched, at most 3 s later.
    until(lambda: agent.creds("marketing", check=False).error == wire.AW_LOGIN,
          60)


def test_stop_ends_the_agent(agent):
    agent.ask("stop@awsenv")
    assert agent.process.wait(60) == 0


def test_a_bound_connection_gets_nothing(sim, agent):
    agent.log_in("marketing")
    bind = b"\x1b" + struct.pack(">I", 24) + b"session-bind@openssh.com"
    good = bind + b"\0\0\0\1k\0\0\0\1i\0\0\0\1s\1"
    with agent.connect() as s:
        assert agent.creds("marketing", sock=s).error == wire.AW_OK
        assert agent.raw(good, s) == b"\6"
        reply = agent.creds("marketing", sock=s, check=False)
        assert reply.error == wire.AW_DENIED
        assert b'profile "marketing" is not for use from here' in reply.text
    with agent.connect() as s:
        assert agent.raw(bind + b"junk", s) == b"\6"
        with pytest.raises(wire.WireError):
            agent.creds("marketing", sock=s)


def test_the_socket_that_ssh_forwards_gives_nothing_by_itself(sim, agent):
    agent.log_in("marketing")
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(str(agent.sock.parent / "forward.sock"))
        for name in REQUESTS:
            reply = agent.ask_once(name, {}, s)
            if name == "status@awsenv":
                assert reply.profile_error == wire.AW_DENIED
                assert reply.agent_pid == reply.profiles == 0
            elif name == "profiles@awsenv":
                assert (reply.error, reply["items"]) == (wire.AW_OK, b"")
            else:
                assert reply.error == wire.AW_DENIED, name
        assert agent.raw(b"\x1b\0\0\0\5query", s)[:1] == b"\x1d"
        for code in (13, 17, 22):    # an ssh-agent's own requests
            assert agent.raw(bytes([code]), s) == b"\5"
        assert agent.raw(b"\x0b", s) == b"\x0c\0\0\0\0"     # no keys
    assert agent.status("marketing").session == b"sim"


def test_root_may_look_but_not_take(sim, make_agent):
    if os.geteuid() != 0:
        pytest.skip("only root can ask another user's agent")
    agent = make_agent(sim, uid=61500)
    agent.config.write_text(agent.config.read_text().replace(
        "[profile marketing]", "[profile marketing]\nawsenv_forward = allow"))
    assert agent.status("marketing").session == b"sim"
    for name in ("creds", "login", "whoami"):
        with pytest.raises(Refused) as refused:
            getattr(agent, name)("marketing")
        assert refused.value.error == wire.AW_DENIED
    with agent.connect() as s:      # nor what another host may have
        assert agent.raw(bind(), s) == b"\6"
        reply = agent.creds("marketing", sock=s, check=False)
        assert reply.error == wire.AW_DENIED


def test_logout_ends_logins_that_only_begin(sim, agent):
    sim.hold("RegisterClient")
    begun = agent.login("marketing")
    assert begun.state == wire.LOGIN_STARTING
    sim.wait_in_flight("RegisterClient")
    assert agent.logout(what=wire.LOGOUT_ALL).error == wire.AW_OK
    sim.release()
    assert agent.wait(begun.ticket, 99, 0, check=False).error == wire.AW_GONE
    until(lambda: not agent.helpers())
    assert agent.list(wire.LIST_KEYS) == []
