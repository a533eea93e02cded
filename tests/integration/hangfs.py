# SPDX-License-Identifier: ISC
"""A file system that hangs on demand, as a home on a dead NFS server does.

    with HangFS(path, {".aws/config": b"..."}, uid=1500) as fs:
        fs.hang()           # whoever looks at or reads anything there waits
        fs.release()        # ... until now
        fs.write(".aws/config", b"...")

Needs root, /dev/fuse and python3-pyfuse3: needs_fuse skips a test without. The
files are served by a process of their own; to hang it is stopped, so that the
kernel keeps the requests and who waits can still be killed, as with NFS.
"""

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import time

try:
    import pytest
except ImportError:     # the server needs none
    pytest = None


def why_not():
    """Why this machine cannot do it, or None."""
    if os.geteuid() != 0:
        return "mounting a FUSE file system needs root"
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        return f"/dev/fuse: {error.strerror}"
    try:
        import pyfuse3  # noqa: F401
    except ImportError:
        return "python3-pyfuse3 is not installed"
    return None


if pytest:
    needs_fuse = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


class HangFS:
    """Serves `files`, {relative path: bytes}, at the folder `path`."""

    def __init__(self, path, files, uid=0):
        self.path = os.fspath(path)
        self.hanging = False
        self.server = subprocess.Popen(
            ["/usr/bin/python3", __file__, self.path, str(uid)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for name, data in files.items():
            self._say(name, data)
        self._say("", b"")
        assert self.server.stdout.readline() == b"mounted\n"

    def _say(self, name, data):
        line = json.dumps([name, data.decode("latin-1")]) + "\n"
        self.server.stdin.write(line.encode())
        self.server.stdin.flush()

    def write(self, name, data):
        """Replace a file; a hanging file system has it when released."""
        self._say(name, data)
        if not self.hanging:
            assert self.server.stdout.readline() == b"written\n"

    def hang(self):
        self.server.send_signal(signal.SIGSTOP)
        while _state(self.server.pid) != "T":
            time.sleep(0.005)
        self.hanging = True

    def release(self):
        self.server.send_signal(signal.SIGCONT)
        self.hanging = False

    def close(self):
        # First end the server, so that nobody hangs on what is unmounted.
        self.server.kill()
        self.server.wait()
        self.server.stdin.close()
        self.server.stdout.close()
        subprocess.run(["umount", "-l", self.path], check=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _state(pid):
    with open(f"/proc/{pid}/stat", encoding="latin-1") as f:
        return f.read().rsplit(")", 1)[1].split()[0]


# ---- the server

def serve(path, uid):
    import pyfuse3
    import trio

    class Files(pyfuse3.Operations):
        """Folders and files in memory; nothing is cached by the kernel."""

        def __init__(self):
            super().__init__()
            self.names = {pyfuse3.ROOT_INODE: {}}   # folder: {name: inode}
            self.data = {}                          # file: (bytes, mtime ns)

        def put(self, name, data):
            folder = pyfuse3.ROOT_INODE
            *above, last = name.encode().split(b"/")
            for part in above:
                inode = self.names[folder].setdefault(part, self._new())
                self.names.setdefault(inode, {})
                folder = inode
            inode = self.names[folder].setdefault(last, self._new())
            self.data[inode] = (data, time.time_ns())

        def _new(self):
            return max(set(self.names) | set(self.data)) + 1

        async def getattr(self, inode, ctx=None):
            entry = pyfuse3.EntryAttributes()
            entry.st_ino = inode
            entry.st_uid, entry.st_gid = uid, uid
            entry.attr_timeout = entry.entry_timeout = 0
            if inode in self.data:
                data, mtime = self.data[inode]
                entry.st_mode = stat.S_IFREG | 0o600
                entry.st_size = len(data)
            else:
                mtime = 0
                entry.st_mode = stat.S_IFDIR | 0o700
            entry.st_atime_ns = entry.st_mtime_ns = entry.st_ctime_ns = mtime
            return entry

        async def lookup(self, parent, name, ctx=None):
            inode = self.names[parent].get(name)
            if inode is None:
                raise pyfuse3.FUSEError(2)
            return await self.getattr(inode)

        async def opendir(self, inode, ctx):
            return inode

        async def readdir(self, inode, start, token):
            for at, (name, child) in enumerate(self.names[inode].items()):
                if at >= start and not pyfuse3.readdir_reply(
                        token, name, await self.getattr(child), at + 1):
                    break

        async def open(self, inode, flags, ctx):
            if flags & os.O_ACCMODE != os.O_RDONLY:
                raise pyfuse3.FUSEError(30)
            return pyfuse3.FileInfo(fh=inode, direct_io=True)

        async def read(self, inode, offset, size):
            return self.data[inode][0][offset:offset + size]

    files = Files()
    for line in sys.stdin.buffer:
        name, text = json.loads(line)
        if not name:
            break
        files.put(name, text.encode("latin-1"))

    async def listen():
        commands = trio.lowlevel.FdStream(os.dup(0))
        rest = b""
        async for chunk in commands:
            *lines, rest = (rest + chunk).split(b"\n")
            for each in lines:
                name, text = json.loads(each)
                files.put(name, text.encode("latin-1"))
                print("written", flush=True)

    async def run():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            await pyfuse3.main()

    options = set(pyfuse3.default_options)
    options.discard("default_permissions")
    options |= {"allow_other", "default_permissions", "fsname=hangfs"}
    pyfuse3.init(files, path, options)
    print("mounted", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        trio.run(run)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
