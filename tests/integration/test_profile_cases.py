# SPDX-License-Identifier: ISC
"""Each tests/data/profile/CASE.config is read and told as CASE.expect.

A new case is two text files, and a third, CASE.admin, where the administrator's
/etc/awsenv/config has a part in it. Lines "# env: NAME=value" in the config are the
client's variables; the home folder is tests/data/profile/home. To see what a
new case gives:

    B=build /usr/bin/python3 tests/integration/test_profile_cases.py CASE.config
"""

import pathlib
import re
import sys
import tempfile

import pytest

import etc
import reader
import wire

DATA = wire.TOP / "tests" / "data" / "profile"
HOME = DATA / "home"
CASES = sorted(DATA.glob("*.config"))


def lines_of(head, rows):
    yield head
    for name, value in rows:
        if isinstance(value, bytes):
            value = value.decode()
        if value:
            yield f"    {name} {value}" if value is not True else f"    {name}"


def session_lines(s):
    f = s.facts
    return lines_of(f"session {s.index} {s.name.decode()}".rstrip(), [
        ("shown as", f.session), ("start_url", f.start_url),
        ("region", f.region), ("scopes", f.scopes), ("oidc", f.oidc),
        ("portal", f.portal), ("sts", f.sts), ("ca", f.ca_path),
        ("ca sha256", f.ca_digest.hex()), ("proxy", f.proxy),
        ("no proxy", f.no_proxy), ("notice", s.notice), ("text", s.text),
        ("autostart", s.autostart == 1), ("bare", s.bare == 1),
        ("forward", forward(s))])


def forward(p):
    word = ["", "allow", "confirm", "deny"][p.forward]
    hosts = [h.decode() for h in wire.texts(p.forward_hosts)]
    return " ".join(filter(None, [
        word, p.forward_at and f"({p.forward_at.decode()})", *hosts]))


def profile_lines(p):
    rows = [("account", p.account), ("role", p.role),
            ("session", "" if p.error else str(p.session)),
            ("region", p.region), ("sts", p.sts), ("signed for", p.sts_region)]
    for name, chain in (("assume", p.chain), ("far", p.far_chain)):
        for step in chain:
            assert step.sts == p.sts and step.sts_region == p.sts_region
            words = [step.role_arn.decode(), str(step.duration or "")]
            words += [v.decode() for v in (step.external_id, step.session_name,
                                           step.policy)]
            rows.append((name, " ".join(filter(None, words))))
    rows += [("setting", f"{k}={v}") for k, v in p.settings.items()]
    rows += [("expected", p.expected), ("browser", p.browser),
             ("confirm", p.confirm == 1), ("notice", p.notice),
             ("error", p.text),
             ("forward", forward(p))]
    return lines_of(f"profile {p.name.decode()} (line {p.line})", rows)


def show(table, path):
    """A table as the .expect files have it."""
    out = []
    for s in table.sessions:
        out += session_lines(s)
    for p in table.profiles.values():
        out += profile_lines(p)
    for p in table.problems:
        admin = "/etc/awsenv/config " if p.file.startswith(b"/etc/") else ""
        out.append(f"problem in {admin}line {p.line}: {p.text.decode()}")
    if table.end and table.end.off:
        out.append(f"off {table.end.off.decode()}")
    text = "\n".join(out) + "\n"
    return text.replace(str(path), "CONFIG").replace(str(HOME), "HOME")


def read(path, folder):
    env = re.findall(rb"^# env: (\w+)=(.*)$", path.read_bytes(), re.M)
    env = [(k.decode(), v.decode()) for k, v in env]
    admin = path.with_suffix(".admin")
    if not admin.exists():
        return reader.read(path, env, HOME)
    (pathlib.Path(folder) / "config").write_bytes(admin.read_bytes())
    return reader.read(path, env, HOME, prefix=etc.prefix(folder))


@pytest.mark.quick
@pytest.mark.parametrize("path", CASES, ids=[p.stem for p in CASES])
def test_case(path, tmp_path):
    if path.with_suffix(".admin").exists() and etc.missing():
        pytest.skip(etc.missing())
    table = read(path, tmp_path)
    assert show(table, path) == path.with_suffix(".expect").read_text()
    check_promises(table)


@pytest.mark.quick
def test_every_case_has_both_files():
    assert len(CASES) >= 20
    expected = {p.stem for p in DATA.glob("*.expect")}
    assert expected == {p.stem for p in CASES}


def check_promises(table):
    """What include/awsenv/msg.h says of every table."""
    assert table.end.profiles == len(table.profiles)
    assert table.end.sessions == len(table.sessions)
    logins = [s.login for s in table.sessions]
    assert len(set(logins)) == len(logins)
    assert all(len(login) == 32 for login in logins)
    seen = set()
    for kind in table.order:
        assert not (kind == "MSG_SESSION" and "MSG_PROFILE" in seen)
        seen.add(kind)
    for p in table.profiles.values():
        assert p.error in (wire.AW_OK, wire.AW_CONFIG)
        assert bool(p.text) == bool(p.error)
        assert len(p.chain_digest) == (32 if p.chain else 0)
        assert len(p.far_digest) == (32 if p.far_chain else 0)
        assert not p.far_chain or len(p.far_chain) == len(p.chain)
        if not p.error:
            assert p.session < len(table.sessions)
            assert table.sessions[p.session].error == wire.AW_OK
    texts = [p.text for p in [*table.profiles.values(), *table.problems,
                              *table.sessions]]
    texts += [p.notice for p in [*table.profiles.values(), *table.sessions]]
    for text in texts:
        assert len(text) <= 300
        assert text.decode().isprintable(), text


if __name__ == "__main__":
    for name in sys.argv[1:]:
        case = pathlib.Path(name).resolve()
        with tempfile.TemporaryDirectory() as empty:
            sys.stdout.write(show(read(case, empty), case))
