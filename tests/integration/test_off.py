# SPDX-License-Identifier: ISC
"""The kill switch: [awsenv] enabled = false below /etc/awsenv."""
import os

import pytest

import etc
import reader
from journey import Person, UID

OFF = "[awsenv]\nenabled = false\n"
WHY = ("awsenv is switched off on this machine (enabled = false at "
       "/etc/awsenv/config:2); ask its administrator")
EXIT_REFUSED, EXIT_OURS = 5, 125

needs_root = pytest.mark.skipif(os.geteuid() != 0 or bool(etc.missing()),
                                reason="needs root, and a mount namespace")


class Inside(Person):
    """A person who sees the test's /etc/awsenv, and so does his agent."""

    def __init__(self, world, sim, **options):
        self.world = world
        super().__init__(sim, uid=UID, **options)

    def become(self):
        self.world.enter()
        super().become()

    def read_again(self):
        """The agent looks when the user's file has another stamp."""
        os.utime(self.config)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "etc"
    path.mkdir()
    return path


@pytest.fixture
def ann(folder, sim):
    with etc.World(folder) as world, Inside(world, sim) as person:
        yield person


@needs_root
def test_one_line_and_a_documented_status_and_nothing_is_asked(ann, folder, sim):
    (folder / "config").write_text(OFF)
    done = ann.run("-p", "marketing", "--", "true")
    assert done.returncode == EXIT_OURS
    assert done.stdout == "" and WHY in done.stderr
    assert len(done.stderr.splitlines()) == 1
    for words in (("login",), ("whoami",), ("export",),
                  ("process", "-p", "marketing")):
        done = ann.run(*words)
        assert done.returncode == EXIT_REFUSED, words
        assert done.stdout == "" and WHY in done.stderr
    status = ann.run("status")
    assert status.returncode == 0 and WHY in status.stdout
    assert WHY in ann.run("status", "--json").stdout
    assert not sim.requests()


@needs_root
def test_a_running_agent_gives_nothing_any_more_and_goes_on_after(ann, folder):
    ann.log_in()
    assert ann.run("-p", "marketing", "--", "true").returncode == 0
    (folder / "config.d").mkdir()
    (folder / "config.d" / "99-incident.conf").write_text(OFF)
    ann.read_again()
    done = ann.run("-p", "marketing", "--", "true")
    assert done.returncode == EXIT_OURS
    assert "99-incident.conf:2" in done.stderr
    (folder / "config.d" / "99-incident.conf").unlink()
    ann.read_again()
    assert ann.run("-p", "marketing", "--", "true").returncode == 0


@needs_root
def test_what_is_there_can_still_be_forgotten(ann, folder):
    ann.log_in()
    (folder / "config").write_text(OFF)
    ann.read_again()
    assert ann.run("login").returncode == EXIT_REFUSED
    done = ann.run("logout", "--all")
    assert done.returncode == 0 and "signed out at AWS" in done.stdout


@pytest.mark.skipif(bool(etc.missing()), reason=etc.missing())
def test_nothing_in_or_around_the_users_file_hides_it(folder, tmp_path):
    (folder / "config").write_text(OFF)
    config = tmp_path / "config"
    config.mkdir()      # which cannot be read, and so would keep the old table
    table = reader.read(config, prefix=etc.prefix(folder))
    assert table.end.off.decode() == WHY and not table.profiles
