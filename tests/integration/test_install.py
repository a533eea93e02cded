# SPDX-License-Identifier: ISC
"""What make install puts where, what the programs are made of, and who in
the tree uses what."""

import os
import pathlib
import re
import shutil
import stat
import subprocess

import pytest

from agent import BUILD, TOP

ROOT = os.geteuid() == 0
SANITIZED = b"__asan_init" in (BUILD / "awsenv-broker").read_bytes()
DYNAMIC = ["awsenv-agent", "awsenv-broker", "awsenv-profile", "awsenv-fetch",
           "awsenv-ctl"]
plain = pytest.mark.skipif(SANITIZED, reason="built with sanitizers")
needs_make = pytest.mark.skipif(
    not shutil.which("make") or not (TOP / "Makefile").exists(),
    reason="make is not installed")


def make(*words):
    """What is built is not built anew, whatever the words would change."""
    done = subprocess.run(
        ["make", "--no-print-directory", "-o", "all", f"B={BUILD}", *words],
        cwd=TOP,
        env={"PATH": os.environ["PATH"], "LANG": "C"}, capture_output=True,
        text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def readelf(program, *options):
    """Of what was built, or of a path."""
    return subprocess.run(["readelf", "-W", *options, str(BUILD / program)],
                          capture_output=True, text=True, check=True).stdout


def needed(program):
    return sorted(re.findall(r"NEEDED.*\[(\S+?)\.so", readelf(program, "-d")))


def imports(program):
    """Symbols that others define."""
    return set(re.findall(r" UND (\w+)", readelf(program, "--dyn-syms")))


# ---- install

def tree(top):
    return {str(p.relative_to(top)): stat.S_IMODE(p.lstat().st_mode)
            for p in top.rglob("*") if not p.is_dir()}


@needs_make
@pytest.mark.parametrize("san", ["", "address,undefined"])
def test_what_would_be_done_is_told_without_doing_it(tmp_path, san):
    told = make("-n", f"B={tmp_path}/none", f"SAN={san}", "awsenv")
    assert "-o " + f"{tmp_path}/none/awsenv" in told
    assert not (tmp_path / "none").exists()


@needs_make
@plain
def test_install_and_uninstall(tmp_path):
    make("install", f"DESTDIR={tmp_path}", "PREFIX=/usr")
    found = tree(tmp_path)
    programs = {p: m for p, m in found.items()
                if p.startswith(("usr/bin/", "usr/libexec/"))}
    assert programs == {
        "usr/bin/awsenv": 0o755,
        "usr/bin/awsenv-agent": 0o711,
        "usr/libexec/awsenv/awsenv-broker": 0o711,
        "usr/libexec/awsenv/awsenv-profile": 0o711,
        "usr/libexec/awsenv/awsenv-fetch": 0o711,
        "usr/libexec/awsenv/awsenv-ctl": 0o755,
    }
    pages = {p: m for p, m in found.items() if "/man/" in p}
    assert {os.path.basename(p) for p in pages} == {
        p.name for p in TOP.glob("agent/*/*.[1578]")} | {"pam_awsenv.8"}
    assert set(pages.values()) <= {0o644}
    others = {p: m for p, m in found.items() if p not in programs | pages}
    module = [p for p in others if p.endswith("/security/pam_awsenv.so")]
    assert len(module) == 1
    assert sorted(others) == sorted([*module, *(
        "etc/profile.d/awsenv.sh",
        "etc/xdg/autostart/awsenv.desktop",
        "usr/lib/environment.d/50-awsenv.conf",
        "usr/share/bash-completion/completions/awsenv",
        "usr/share/fish/vendor_completions.d/awsenv.fish",
        "usr/share/zsh/site-functions/_awsenv",
        "usr/lib/systemd/user/awsenv-agent-forward.socket",
        "usr/lib/systemd/user/awsenv-agent-remote.socket",
        "usr/lib/systemd/user/awsenv-agent.service",
        "usr/lib/systemd/user/awsenv-agent.socket",
        "usr/lib/sysusers.d/awsenv.conf",
        "usr/lib/tmpfiles.d/awsenv.conf",
        "usr/share/pam-configs/awsenv")])
    assert set(others.values()) == {0o644}
    for path in tmp_path.rglob("*"):
        if ROOT:
            assert (path.stat().st_uid, path.stat().st_gid) == (0, 0)
    make("uninstall", f"DESTDIR={tmp_path}", "PREFIX=/usr")
    assert not tree(tmp_path)
    assert not (tmp_path / "usr/libexec/awsenv").exists()


@needs_make
@plain
def test_what_is_installed_runs_from_there(tmp_path):
    make("install", f"DESTDIR={tmp_path}", "PREFIX=/usr")
    done = subprocess.run([tmp_path / "usr/bin/awsenv", "version"],
                          capture_output=True, text=True)
    assert re.fullmatch(r"awsenv \d+\.\d+\.\d+\n", done.stdout)


@needs_make
@plain
@pytest.mark.skipif(not shutil.which("systemd-analyze"),
                    reason="systemd is not installed")
def test_systemd_understands_what_is_installed(tmp_path):
    prefix, root = tmp_path / "prefix", tmp_path / "root"
    make("install", f"PREFIX={prefix}", f"PAMDIR={tmp_path}/security",
         f"SYSCONFDIR={tmp_path}/etc")
    units = prefix / "lib/systemd/user"
    assert (f"ExecStart={prefix}/bin/awsenv-agent -D\n"
            in (units / "awsenv-agent.service").read_text())
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    for unit in sorted(units.iterdir()):
        done = subprocess.run(
            ["systemd-analyze", "--user", "--man=no", "verify", unit],
            env={"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(runtime)},
            capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), unit
    if not ROOT:
        return      # the others give what they make to root
    (root / "etc").mkdir(parents=True)
    for program in (["systemd-sysusers"], ["systemd-tmpfiles", "--create"]):
        subprocess.run([*program, f"--root={root}", prefix / (
            f"lib/{program[0][8:]}.d/awsenv.conf")], check=True)
    account = (root / "etc/passwd").read_text().split(":")
    assert account[0] == "awsenv-factor"
    assert account[-1] == "/usr/sbin/nologin\n"
    assert stat.S_IMODE((root / "run/awsenv").stat().st_mode) == 0o755


def awsenv(folder, *words):
    return subprocess.run([folder / "awsenv", *words], text=True, timeout=30,
                          env={"PATH": "/usr/bin:/bin"}, capture_output=True)


@pytest.mark.quick
def test_the_other_verbs_are_those_of_the_program_beside(tmp_path):
    shutil.copy(BUILD / "awsenv", tmp_path)
    alone = awsenv(tmp_path, "agent", "--help")
    assert alone.returncode in (0, 127)     # it may be installed
    if alone.returncode:
        assert "awsenv-ctl, which is not here: no such file" in alone.stderr
        assert alone.stdout == ""
        assert "agent      needs awsenv-ctl" in awsenv(tmp_path, "help").stdout
    shutil.copy(BUILD / "awsenv-ctl", tmp_path)
    assert "agent      start or stop" in awsenv(tmp_path, "help").stdout
    for words in (["agent", "--help"], ["help", "agent"], ["-h", "agent"],
                  ["agent", "-h", "start"]):
        done = awsenv(tmp_path, *words)
        assert done.returncode == 0, words
        assert done.stdout.startswith(
            "usage: awsenv agent [OPTION...] start | stop")
    done = awsenv(tmp_path, "agent", "--no-such")
    assert done.returncode == 2 and "awsenv: unknown option" in done.stderr


@pytest.mark.quick
def test_what_the_other_program_can_do_alone_is_little(tmp_path):
    for words in ([], ["whoami"], ["--help"]):
        done = subprocess.run([BUILD / "awsenv-ctl", *words], text=True,
                              stdin=subprocess.DEVNULL, capture_output=True)
        assert done.returncode == 2 and "awsenv runs it" in done.stderr


# ---- the binaries, as they are installed

MODULE = "pam_awsenv.so"
ENTRIES = {f"pam_sm_{n}" for n in (
    "acct_mgmt", "authenticate", "chauthtok", "close_session", "open_session",
    "setcred")}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Where each of them is."""
    if not shutil.which("make") or not (TOP / "Makefile").exists():
        pytest.skip("make is not installed")
    top = tmp_path_factory.mktemp("installed")
    make("install", f"DESTDIR={top}", "PREFIX=/usr")
    found = {p.name: p for p in top.rglob("*")
             if p.is_file() and p.read_bytes()[:4] == b"\x7fELF"}
    assert set(found) == {"awsenv", *DYNAMIC, MODULE}
    return found


@plain
@pytest.mark.parametrize("program", ["awsenv", *DYNAMIC, MODULE])
def test_hardening_that_a_linker_gives(installed, program):
    name, program = program, installed[program]
    assert re.search(r"Type:\s+DYN", readelf(program, "-h"))
    assert ".symtab" not in readelf(program, "-S")
    segments = readelf(program, "-l")
    # Of a static program musl protects nothing, whatever the file says.
    assert name == "awsenv" or "GNU_RELRO" in segments
    stack = re.search(r"GNU_STACK.* (\w{1,3}) +0x", segments)[1]
    assert "E" not in stack, segments
    for flags in re.findall(r"^  LOAD .* ((?:R|W|E| ){3}) 0x", segments, re.M):
        assert not ("W" in flags and "E" in flags)
    if name != "awsenv":
        assert re.search(r"BIND_NOW|FLAGS_1.*NOW", readelf(program, "-d"))
    assert "RPATH" not in readelf(program, "-d")
    assert "RUNPATH" not in readelf(program, "-d")
    assert "TEXTREL" not in readelf(program, "-d")


@plain
def test_hardening_that_a_compiler_gives(installed):
    for program in (*DYNAMIC, MODULE):
        found = imports(installed[program])
        assert "__stack_chk_fail" in found, program
        assert [s for s in found if s.startswith("__mem") and
                s.endswith("_chk")], program
    # Of a static program nothing is imported, and what is installed is stripped.
    assert "__stack_chk_fail" in readelf("awsenv", "-s")


@plain
def test_what_others_may_call_is_what_libpam_does(installed):
    """No program takes a function's place in the libraries it is linked with."""
    for program in (*DYNAMIC, MODULE):
        found = re.findall(r"(?:GLOBAL|WEAK) +DEFAULT +\d+ ([\w@.]+)",
                           readelf(installed[program], "--dyn-syms"))
        ours = {name for name in found if "@" not in name}
        assert ours == (ENTRIES if program == MODULE else set()), program


@pytest.mark.quick
@plain
def test_the_wrapper_is_static_and_small(tmp_path):
    if "INTERP" in readelf("awsenv", "-l"):
        pytest.skip("built with WRAPPER=dynamic")
    assert needed("awsenv") == []
    shutil.copy(BUILD / "awsenv", tmp_path / "awsenv")
    subprocess.run(["strip", tmp_path / "awsenv"], check=True)
    assert (tmp_path / "awsenv").stat().st_size <= 64 * 1024
    symbols = readelf("awsenv", "-s")
    assert " main" in symbols
    assert not re.search(r" getpw\w+|getaddrinfo|dlopen", symbols)


@plain
@pytest.mark.parametrize("program, libraries", [
    ("awsenv-agent", {"libc", "libkeyutils", "libseccomp"}),
    ("awsenv-broker", {"libc", "libkeyutils", "libmd", "libseccomp",
                       "libsodium"}),
    ("awsenv-profile", {"libc", "libcjson", "libcrypto", "libseccomp"}),
    ("awsenv-fetch", {"libc", "libcjson", "libcrypto", "libcurl",
                      "libqrencode", "libseccomp", "libsodium"}),
    ("awsenv-ctl", {"libc", "libsystemd"}),
    (MODULE, {"libc", "libpam"}),
])
def test_a_program_needs_what_the_design_says(installed, program, libraries):
    assert set(needed(installed[program])) - {
        "libpthread", "ld-linux-x86-64"} == libraries


KEYS = re.compile(r"^(keyctl\w*|add_key|request_key)$")
NETWORK = {"getaddrinfo", "gethostbyname"}


@pytest.mark.quick
@plain
def test_who_may_do_what():
    says = {p: imports(p) for p in DYNAMIC}
    for program in ("awsenv-profile", "awsenv-fetch", "awsenv-ctl"):
        assert not any(KEYS.match(s) for s in says[program])
    for program in ("awsenv-agent", "awsenv-broker", "awsenv-profile",
                    "awsenv-ctl"):
        assert not says[program] & NETWORK
    # What possesses the ring and talks to clients starts no program, and
    # opens no file (open itself stands in harden_stdio, before the sandbox).
    assert not says["awsenv-broker"] & {
        "fopen", "openat", "fdopen", "execve", "execv", "execvp", "system",
        "popen", "fork", "vfork", "posix_spawn", "dlopen"}


def objects_that(pattern, folder):
    """Files of a room whose object refers to such a symbol elsewhere."""
    found = set()
    for path in (BUILD / "agent" / folder).glob("*.o"):
        names = subprocess.run(["nm", "-u", path], capture_output=True,
                               text=True, check=True).stdout.split()
        if any(pattern.match(n) for n in names):
            found.add(path.stem)
    return found


@pytest.mark.skipif(not (BUILD / "agent/broker").is_dir(),
                    reason="the objects are not there")
def test_only_the_store_says_keyctl():
    assert objects_that(KEYS, "broker") == {"key"}
    assert objects_that(re.compile("open$"), "broker") == set()
    assert objects_that(KEYS, "supervisor") <= {"ring", "state"}
    for room in ("common", "profile", "fetch", "cli", "cli/ctl"):
        assert objects_that(KEYS, room) == set()


@pytest.mark.quick
def test_only_the_loop_sleeps():
    """In the broker; a source says so, since poll() is also how one looks."""
    sleeping = re.compile(r"\b(epoll_wait|epoll_pwait|select|pause|nanosleep"
                          r"|usleep|sleep)\(")
    found = {p.name for p in (TOP / "agent/broker").glob("*.c")
             if sleeping.search(re.sub(r"/\*.*?\*/", "", p.read_text(),
                                       flags=re.S))}
    assert found == {"loop.c"}


INCLUDE = re.compile(r'#include "([^"]+)"')


@pytest.mark.quick
def test_rooms_use_agent_common_and_never_each_other():
    wrong = []
    for path in (TOP / "agent").rglob("*.[ch]"):
        room = path.relative_to(TOP / "agent").parts[0]
        for name in INCLUDE.findall(path.read_text()):
            mine = (name.startswith(("awsenv/", f"agent/{room}/")) or
                    "/" not in name and (path.parent / name).exists())
            # What awsenv-ctl has, awsenv cannot link.
            apart = "/ctl/" in name and path.parent.name != "ctl"
            if not mine or apart:
                wrong.append(f"{path.relative_to(TOP)}: {name}")
    assert not wrong
