# SPDX-License-Identifier: ISC
"""An ordinary user: 200 keys and 20,000 bytes for all of his programs."""

import ctypes
import os
import pathlib
import re

import pytest

from agent import key_quota, until
from hog import Hog
from journey import Person
from simulator.client import Simulator

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="needs root to become users with small quotas")
MANY = 100


def limits():
    read = lambda name: int(pathlib.Path(
        f"/proc/sys/kernel/keys/{name}").read_text())
    return read("maxkeys"), read("maxbytes")


def accounts(number):
    """More role credentials than there is room for, and then some."""
    return [{"name": f"team-{n:03d}", "sso_session": "sim",
             "sso_account_id": f"{n * 7919:012d}",
             "sso_role_name": "ReadOnly"} for n in range(4, number + 4)]


def test_a_hundred_profiles_one_after_another():
    profiles = accounts(MANY)
    with Simulator(interval=1, accounts=MANY + 3, roles=1) as sim, \
            Person(sim, profiles, uid=62002) as ann:
        ann.log_in("team-004")
        for row in profiles:
            done = ann.run("-p", row["name"], "--", "sh", "-c",
                           "echo $AWS_ACCOUNT_ID $AWS_ACCESS_KEY_ID")
            assert done.returncode == 0, done.stderr
            assert re.fullmatch(row["sso_account_id"] + r" ASIA\w+\n",
                                done.stdout)
            assert done.stderr == ""
            assert key_quota(62002)[1] <= limits()[1]
        # Those that were used last are still there, and the login all along.
        calls = sim.counts()["GetRoleCredentials"]
        done = ann.run("-p", profiles[-1]["name"], "--", "true")
        assert done.returncode == 0
        assert sim.counts()["GetRoleCredentials"] == calls
        assert sim.counts()["StartDeviceAuthorization"] == 1
        kinds = [key["kind"] for key in ann.status("--keyring")["keys"]
                 if key["serial"]]
        assert kinds.count("tok") == kinds.count("ref") == 1
        # Also for a broker that has to find it all again.
        os.kill(ann.status()["agent"]["broker_pid"], 9)
        for row in profiles[::10]:
            done = ann.run("-p", row["name"], "--", "true")
            assert done.returncode == 0, done.stderr
        assert sim.counts()["StartDeviceAuthorization"] == 1


@pytest.fixture
def hog():
    hogs = []

    def make(uid):
        hogs.append(Hog(uid))
        return hogs[-1]
    yield make
    for one in hogs:
        one.close()


def test_a_keyring_that_is_full_at_the_start_is_told(sim, hog):
    with Person(sim, uid=62003) as ann:
        other = hog(62003)
        done = ann.run("login", "-p", "marketing")
        assert done.returncode == 7, done
        assert "kernel keyring of this user is full" in done.stderr
        assert "kernel.keys.maxbytes" in done.stderr
        assert "Traceback" not in done.stderr and done.stdout == ""
        other.close()
        until(lambda: key_quota(62003)[1] < 2000, 20, "it is not released")
        ann.log_in()


def test_a_keyring_that_becomes_full_under_way_still_answers(sim, hog):
    with Person(sim, uid=62004) as ann:
        ann.log_in()
        hog(62004)
        ann.run("logout", "--credentials")
        for profile in ("marketing", "platform", "marketing"):
            done = ann.run("-p", profile, "--", "true")
            assert done.returncode == 0, done.stderr
        assert sim.counts()["StartDeviceAuthorization"] == 1
        assert ann.status()["agent"]["broker_pid"]


def blocked(person, calls):
    """preexec: be that person, with those system calls refused by a filter."""
    BPF_LD, BPF_JEQ, BPF_RET = 0x20, 0x15, 0x06
    rows = [(BPF_LD, 0, 0, 0)]      # the number of the call
    for n, call in enumerate(calls):
        rows.append((BPF_JEQ, len(calls) - n, 0, call))
    rows += [(BPF_RET, 0, 0, 0x7fff0000), (BPF_RET, 0, 0, 0x00050000 | 1)]

    class Row(ctypes.Structure):
        _fields_ = [("code", ctypes.c_uint16), ("jt", ctypes.c_uint8),
                    ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32)]

    class Program(ctypes.Structure):
        _fields_ = [("len", ctypes.c_uint16), ("rows", ctypes.POINTER(Row))]

    program = Program(len(rows), (Row * len(rows))(*rows))
    libc = ctypes.CDLL(None, use_errno=True)
    become = person.become

    def change():
        become()
        assert libc.prctl(38, 1, 0, 0, 0) == 0      # NO_NEW_PRIVS
        assert libc.prctl(22, 2, ctypes.byref(program), 0, 0) == 0
    return change


NUMBERS = {"x86_64": (248, 250), "aarch64": (217, 219)}   # add_key, keyctl


@pytest.mark.parametrize("which", ["both", "add_key", "keyctl"])
@pytest.mark.skipif(os.uname().machine not in NUMBERS,
                    reason="system call numbers of this machine are not here")
def test_a_container_that_forbids_the_keyring_is_named(sim, which):
    add_key, keyctl = NUMBERS[os.uname().machine]
    calls = {"both": (add_key, keyctl), "add_key": (add_key,),
             "keyctl": (keyctl,)}[which]
    with Person(sim, uid=62005) as ann:
        ann.become = blocked(ann, calls)
        done = ann.run("login", "-p", "marketing")
        assert done.returncode == 7, done
        assert "container" in done.stderr and "seccomp" in done.stderr
        assert "add_key, keyctl" in done.stderr
        done = ann.run("-p", "marketing", "--", "true")
        assert done.returncode == 125 and "container" in done.stderr
        assert sim.counts()["total"] == 0
