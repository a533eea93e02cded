# SPDX-License-Identifier: ISC
"""A kernel without Landlock: all goes on, the rest of the sandbox stands, and
doctor says what is missing."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

from agent import BUILD, TOP
from journey import Person, approving

HERE = pathlib.Path(__file__).parent
SANITIZED = b"__asan_init" in (BUILD / "awsenv-broker").read_bytes()


@pytest.fixture(scope="module")
def without(tmp_path_factory):
    program = tmp_path_factory.mktemp("landlock") / "without_landlock"
    subprocess.run(["gcc", "-O2", "-o", program, HERE / "without_landlock.c",
                    "-lseccomp"], check=True)
    return program


def test_the_wrapper_hides_it(without):
    asks = "import ctypes; print(ctypes.CDLL(None).syscall(444, 0, 0, 1))"
    done = subprocess.run([without, sys.executable, "-c", asks], text=True,
                          capture_output=True, check=True)
    assert done.stdout == "-1\n"


@pytest.mark.parametrize("room", ["broker", "fetch", "profile", "supervisor"])
def test_what_seccomp_refuses_is_refused_all_the_same(without, room):
    test = BUILD / "tests/unit" / f"test_{room}_sandbox"
    if not test.exists():
        pytest.skip("the unit tests are not built")
    done = subprocess.run([without, test], text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    # Those about Landlock alone are skipped, and no others.
    skipped = re.findall(r"\[  SKIPPED \] (\w+)", done.stdout)
    if not SANITIZED:
        assert len(set(skipped)) <= 1, skipped


@pytest.mark.skipif(os.geteuid() != 0 or SANITIZED,
                    reason="needs root to look inside, and seccomp")
def test_each_process_from_inside(without):
    done = subprocess.run(
        [without, sys.executable, "-m", "pytest", "-q", "-p",
         "no:cacheprovider", HERE / "test_inside.py"], text=True,
        env={**os.environ, "PYTHONPATH": str(TOP / "tests")},
        capture_output=True, cwd=TOP)
    assert done.returncode == 0, done.stdout[-4000:]


def test_a_command_has_credentials_and_doctor_says_what_is_missing(
        without, sim):
    with Person(sim) as ann:
        begun = ann.run(ann.programs / "awsenv", "agent", "start",
                        program=without)
        assert begun.returncode == 0, begun
        with approving(sim):
            assert ann.run("login", "-p", "marketing").returncode == 0
        done = ann.run("-p", "marketing", "--", "env")
        assert "AWS_SECRET_ACCESS_KEY=" in done.stdout, done
        found = ann.run("doctor").stdout
        assert "without Landlock" in found, found
        assert ", landlock" not in ann.run("status").stdout
