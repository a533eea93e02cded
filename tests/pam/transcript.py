# SPDX-License-Identifier: ISC
"""What a person sees, and on which side of what happens it appears.

    with Transcript(terminal, world, sim) as t:
        t.types("exit", after="ready$ ")
        t.happens("AWS gives a code", sim.release)
        t.ends()
        t.compare("ssh-publickey")

Text is written down as it stands between two events, each line with the
second in which it came; times are kept for a reader of a failure, the
comparison with transcripts/NAME is of the order alone. What differs from run to
run has a name there: USER, HOST, CODE-1, URL-1, HH:MM.

AWSENV_TRANSCRIPTS=write writes the files anew; read them before you commit.
"""
import difflib
import os
import pathlib
import re
import socket
import time

FOLDER = pathlib.Path(__file__).resolve().parent / "transcripts"
ESCAPES = re.compile(r"\033\[[0-9;?]*[A-Za-z]|\033\][^\a]*\a|\r")
QUIET = 0.4     # seconds in which what must not come would have come


def without_gaps(text):
    """Where empty lines stand is the programs' own affair."""
    return text.replace("|\n", "")


class Transcript:
    def __init__(self, terminal, account):
        self.terminal, self.account = terminal, account
        self.begun, self.heard = time.monotonic(), 0
        self.lines = []         # (seconds, text)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            self.hear()
            print("\n".join(f"{s:7.2f} {t}" for s, t in self.lines))

    def note(self, text):
        self.lines.append((time.monotonic() - self.begun, text))

    def hear(self):
        """Write down what has come since the last event."""
        text = ESCAPES.sub("", self.terminal.text[self.heard:])
        # The kernel signals before it echoes: the shell's new line may be first.
        text = text.replace("\n^C", "^C\n")
        self.heard = len(self.terminal.text)
        if text:
            for line in text.removesuffix("\n").split("\n"):
                self.note(("| " + line).rstrip())

    def sees(self, part):
        """Wait until that has come since the last event."""
        while part not in self.terminal.text[self.heard:]:
            assert time.monotonic() - self.begun < 60, (
                f"no {part!r} in {self.terminal.text[self.heard:]!r}")
            assert self.terminal.read(0.2) or part in self.terminal.text

    def quiet(self):
        """What should not come has time to."""
        end = time.monotonic() + QUIET
        while time.monotonic() < end and self.terminal.read(0.05):
            pass

    def happens(self, what, done=None):
        """After all that is on the screen, and before all that comes."""
        self.quiet()
        self.hear()
        self.note("* " + what)
        if done:
            done()

    def types(self, keys, after, show=None):
        self.sees(after)
        self.quiet()
        self.hear()
        self.note("> " + (show or keys))
        self.terminal.press(keys.encode() + b"\n")

    def ends(self):
        status = self.terminal.wait()
        self.hear()
        self.note(f"* it ends with status {status}")

    def text(self):
        names, counts = {}, {}

        def name_of(kind):
            def replace(match):
                key = (kind, match[0])
                if key not in names:
                    counts[kind] = counts.get(kind, 0) + 1
                    names[key] = f"{kind}-{counts[kind]}"
                return names[key]
            return replace
        text = "\n".join(t for _, t in self.lines) + "\n"
        text = re.sub(r"(?:^\| [ \u2580-\u2588]{21,}\n)+", "| [QR code]\n", text,
                      flags=re.M)
        text = re.sub(r"https?://[^\s;]+", name_of("URL"), text)
        text = re.sub(r"(CA bundle )\S+", r"\1FILE", text)
        text = re.sub(r"\b[BCDFGHJ-NP-TV-XZ]{4}-[BCDFGHJ-NP-TV-XZ]{4}\b",
                      name_of("CODE"), text)
        # With its day, if that is not today.
        text = re.sub(r"\b(?:\d{4}-\d\d-\d\d )?\d\d:\d\d\b", "HH:MM", text)
        text = re.sub(r"\b\d+ (min(?:utes)?)\b", r"N \1", text)
        for value, name in ((self.account.name, "USER"),
                            (socket.gethostname(), "HOST"),
                            (f"/{self.account.uid}/", "/UID/")):
            text = text.replace(value, name)
        return text

    def compare(self, name):
        path = FOLDER / (name + ".txt")
        if os.environ.get("AWSENV_TRANSCRIPTS") == "write":
            path.parent.mkdir(exist_ok=True)
            path.write_text(self.text())
        is_, should_be = (without_gaps(t).splitlines(keepends=True)
                          for t in (self.text(), path.read_text()))
        assert is_ == should_be, f"not as in {path.name}:\n" + "".join(
            difflib.unified_diff(should_be, is_, n=1))
