# SPDX-License-Identifier: ISC
"""A program on a pseudo-terminal of a given size.

    with Terminal([awsenv, "login"], env, rows=50) as t:
        t.until("waiting")
        t.press(b"\\x03")
        assert t.wait() == -signal.SIGINT
"""
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time


class Terminal:
    def __init__(self, argv, env, rows=24, cols=80, stdout=None):
        self.ours, theirs = pty.openpty()
        # What it begins has that, too, until the last of it has ended.
        self.alive, left = os.pipe()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ,
                    struct.pack("HHHH", rows, cols, 0, 0))

        def lead():
            os.setsid()
            fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

        self.child = subprocess.Popen(
            argv, env={"TERM": "xterm", **env}, stdin=theirs,
            stdout=theirs if stdout is None else stdout, stderr=theirs,
            preexec_fn=lead, close_fds=True, pass_fds=(left,))
        os.close(theirs)
        os.close(left)
        self.text = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        os.close(self.ours)
        os.close(self.alive)

    def read(self, seconds):
        """What comes within that time is added to text; False at the end."""
        if not select.select([self.ours], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.ours, 65536)
        except OSError:
            return False
        self.text += data.decode(errors="replace").replace("\r\n", "\n")
        return bool(data)

    def until(self, part, seconds=60):
        end = time.monotonic() + seconds
        while part not in self.text:
            assert time.monotonic() < end, f"no {part!r} in {self.text!r}"
            assert self.read(0.2) or part in self.text, self.text
        return self.text

    def press(self, keys):
        os.write(self.ours, keys)

    def wait_for_all(self, seconds=60):
        """Also for what it left behind, such as a browser."""
        status = self.wait(seconds)
        assert select.select([self.alive], [], [], seconds)[0], self.text
        return status

    def wait(self, seconds=60):
        """The exit status, with all the text read."""
        end = time.monotonic() + seconds
        while self.read(0.2):
            assert time.monotonic() < end, self.text
            if self.child.poll() is not None and not select.select(
                    [self.ours], [], [], 0)[0]:
                break
        return self.child.wait(max(end - time.monotonic(), 0.1))
