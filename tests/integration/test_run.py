# SPDX-License-Identifier: ISC
"""tests/run itself, in a tree of a few made-up tests: what fails stays failed."""

import os
import shutil
import subprocess
import textwrap

import pytest

from agent import TOP

# Fails the first time it is run.
FLAKES = """
    import pathlib
    def test_flakes():
        seen = pathlib.Path(__file__).with_suffix(".seen")
        first = not seen.exists()
        seen.touch()
        assert not first, "the first time"
    """
FAILS = """
    def test_fails():
        assert "what there is" == "what was wanted"
    def test_passes():
        assert open(__file__).read() and open({runs!r}, "a").write("x")
    """


@pytest.fixture
def tree(tmp_path):
    """Open to others, as root's tests want it."""
    tmp_path.chmod(0o755)
    (tmp_path / "tests/integration").mkdir(parents=True)
    (tmp_path / "build").mkdir()
    for name in ("run", "pytest.ini"):
        shutil.copy(TOP / "tests" / name, tmp_path / "tests")
    return tmp_path


def run(tree, **files):
    """Its exit status, tally, failures and output; each file is a test's text."""
    for name, text in files.items():
        (tree / f"tests/integration/test_{name}.py").write_text(
            textwrap.dedent(text))
    done = subprocess.run(
        ["/usr/bin/python3", str(tree / "tests/run")], text=True,
        capture_output=True, timeout=300, env=dict(os.environ, B=str(tree / "build")))
    tally = dict(line.split() for line in
                 (tree / "build/tally").read_text().splitlines())
    return (done.returncode, {k: int(v) for k, v in tally.items()},
            (tree / "build/failures").read_text(), done.stdout + done.stderr)


def headings(failures):
    return [line for line in failures.splitlines() if not line.startswith(" ")]


def test_all_pass(tree):
    status, tally, failures, out = run(tree, a="def test_passes(): pass")
    assert status == 0, out
    assert tally == {"passed": 1, "failed": 0, "skipped": 0}
    assert failures == ""
    assert "1 cases ran" in out and "second try" not in out


def test_what_fails_twice_has_failed(tree):
    runs = tree / "runs"
    status, tally, failures, out = run(tree, a=FAILS.format(runs=str(runs)))
    assert status == 1
    assert tally == {"passed": 1, "failed": 1, "skipped": 0}
    assert headings(failures) == ["FAILED test_a.py: test_fails"]
    assert "what was wanted" in failures
    assert failures in out, "at the end for whoever looks there only"
    assert runs.read_text() == "x", "only what failed is run again"
    logs = sorted(p.name for p in (tree / "build/log").iterdir())
    assert logs == ["test_a.py.again.log", "test_a.py.log"]


def test_what_passes_at_the_second_try_is_named(tree):
    status, tally, failures, out = run(tree, a=FLAKES)
    assert status == 0, out
    assert tally == {"passed": 1, "failed": 0, "skipped": 0}
    assert headings(failures) == [
        "PASSED AT THE SECOND TRY test_a.py: test_flakes"]
    assert "the first time" in failures and failures in out
    assert "0 failed, 0 could not run, 1 passed at the second try" in out
    log = tree / "build/log/test_a.py.log"
    assert "the first time" in log.read_text(), "its first log is kept"


def test_the_second_try_comes_after_all_others(tree):
    order = tree / "order"
    flakes = textwrap.dedent(FLAKES) + f"    open({str(order)!r}, 'a').write('a')\n"
    flakes = flakes.replace("assert not", f"open({str(order)!r}, 'a').write('A') "
                            "if first else None\n    assert not")
    other = f"""
        def test_other():
            open({str(order)!r}, "a").write("b")
        """
    assert run(tree, a=flakes, b=other, c=other)[0] == 0
    assert sorted(order.read_text()[:3]) == ["A", "b", "b"]
    assert order.read_text()[3:] == "a"


def test_one_of_two_may_pass_at_the_second_try(tree):
    status, tally, failures, _ = run(
        tree, a=textwrap.dedent(FLAKES) + "def test_fails(): assert False\n")
    assert status == 1
    assert tally == {"passed": 1, "failed": 1, "skipped": 0}
    assert headings(failures) == ["FAILED test_a.py: test_fails",
                                  "PASSED AT THE SECOND TRY test_a.py: test_flakes"]


def parametrized(count):
    return textwrap.dedent(FLAKES).replace(
        "def test_flakes():", "import pytest\n"
        f"@pytest.mark.parametrize('n', [f'{{n}} [x]::y/' for n in range({count})])\n"
        "def test_flakes(n):").replace('".seen"', 'f".{n[0]}"')


def test_parameters_are_found_again(tree):
    status, tally, failures, out = run(tree, a=parametrized(3))
    assert status == 0, out
    assert tally == {"passed": 3, "failed": 0, "skipped": 0}
    assert len(headings(failures)) == 3


@pytest.mark.parametrize("files, failed", [
    ({"a": parametrized(4)}, 4),
    ({"a": parametrized(2), "b": parametrized(2), "c": parametrized(2)}, 6),
    ({"a": FLAKES.replace(
        "the first time", "SUMMARY: Address" + "Sanitizer: leak")}, 1),
    ({"a": FLAKES.replace("the first time", "x.c:1:2: runtime " + "error: x")}, 1),
    ({"a": textwrap.dedent(FLAKES) + "    import os\n"
           "def test_ends_it_all():\n    import os\n    os._exit(1)\n"}, 1),
], ids="file run asan ubsan ends".split())
def test_no_second_try_where_it_could_hide_something(tree, files, failed):
    status, tally, failures, _ = run(tree, **files)
    assert status == 1
    assert tally["failed"] == failed and tally["passed"] == 0
    assert len(headings(failures)) == failed
    assert "SECOND" not in failures


def test_a_case_that_is_interrupted_has_not_passed(tree):
    status, tally, failures, _ = run(tree, a="""
        import os, signal
        def test_passes(): pass
        def test_interrupts(): os.kill(os.getpid(), signal.SIGINT)
        def test_never_comes(): pass
        """)
    assert status == 1
    assert tally == {"passed": 1, "failed": 1, "skipped": 0}
    assert headings(failures) == ["FAILED test_a.py: pytest: 2"]


def test_a_case_that_is_skipped_the_second_time_has_failed(tree):
    status, tally, failures, _ = run(tree, a=FLAKES.replace(
        "assert not first", "first or __import__('pytest').skip('now'); "
        "assert not first"))
    assert status == 1
    assert tally == {"passed": 0, "failed": 1, "skipped": 0}
    assert headings(failures) == ["FAILED test_a.py: test_flakes"]


def test_a_unit_program_has_one_try(tree):
    program = tree / "build/tests/unit/test_x"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\n[ -e "$0.seen" ] && exec echo "1..1\nok 1 - y"\n'
                       'touch "$0.seen"; echo "1..1\nnot ok 1 - y\n# x.c:7: why"\n'
                       'exit 1\n')
    program.chmod(0o755)
    status, tally, failures, _ = run(tree)
    assert status == 1
    assert tally == {"passed": 0, "failed": 1, "skipped": 0}
    assert headings(failures) == ["FAILED test_x: y"]
    assert "x.c:7: why" in failures
