# SPDX-License-Identifier: ISC
"""An /etc/awsenv of the test's own, for programs that look for it there.

The product has no way to be pointed elsewhere, so it gets a mount namespace
in which a folder of the test's stands at that place. The machine is left alone.

    reader.read(config, prefix=etc.prefix(folder))      # a user namespace, too
    with etc.World(folder) as world:                    # as root
        subprocess.run([...], preexec_fn=world.enter)
"""
import ctypes
import functools
import os
import select
import subprocess

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS = 0x00020000

# Where the folder is mounted, what is written there later is seen, too.
MOUNT = """
mount -t tmpfs none /mnt && cp -a /etc/. /mnt 2>/dev/null
rm -rf /mnt/awsenv && mkdir /mnt/awsenv && mount --bind "$0" /mnt/awsenv &&
mount --rbind /mnt /etc && exec "$@"
"""


def prefix(folder):
    """Words before a command that shall see the folder as /etc/awsenv."""
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", "--mount", *user, "sh", "-c", MOUNT, str(folder)]


@functools.cache
def missing():
    """Why there can be no such namespace, if so."""
    done = subprocess.run([*prefix("/var/empty" if os.path.isdir("/var/empty")
                                   else "/tmp"), "true"], capture_output=True)
    return "this user may make no mount namespace" if done.returncode else ""


class Namespace:
    """What the script has mounted, for those who enter it."""

    def __init__(self, script, *words):
        self.words = ["sh", "-c", script + "echo ready; exec sleep 1000",
                      *map(str, words)]

    def __enter__(self):
        self.holder = subprocess.Popen(
            ["unshare", "--mount", *self.words], stdout=subprocess.PIPE)
        ready, _, _ = select.select([self.holder.stdout], [], [], 60)
        if not ready or self.holder.stdout.readline() != b"ready\n":
            self.holder.kill()
            raise RuntimeError(f"no namespace after {self.words[2]}")
        self.fd = os.open(f"/proc/{self.holder.pid}/ns/mnt", os.O_RDONLY)
        return self

    def enter(self):
        """For preexec_fn, while it is root still."""
        if LIBC.setns(self.fd, CLONE_NEWNS):
            raise OSError(ctypes.get_errno(), "setns")

    def __exit__(self, *_):
        os.close(self.fd)
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()


class World(Namespace):
    def __init__(self, folder):
        super().__init__(MOUNT.replace('exec "$@"', "true\n"), folder)
