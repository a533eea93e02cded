# SPDX-License-Identifier: ISC
"""Another program of the same user, which keeps his keyring full.

    hog = Hog(62003)
    ...
    hog.close()
"""

import ctypes
import os
import time


class Hog:
    def __init__(self, uid=None, seconds=120):
        self.ready, end = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                if uid is not None:
                    os.setgroups([])
                    os.setresgid(uid, uid, uid)
                    os.setresuid(uid, uid, uid)
                self._fill()
                os.write(end, b"x")
                time.sleep(seconds)
            finally:
                os._exit(1)
        os.close(end)
        assert os.read(self.ready, 1) == b"x"

    @staticmethod
    def _fill():
        keys = ctypes.CDLL("libkeyutils.so.1", use_errno=True)
        keys.keyctl_join_session_keyring(None)
        size, n = 4096, 0
        while size:
            data, n = b"x" * size, n + 1
            if keys.add_key(b"user", b"hog:%d" % n, data, size, -3) < 0:
                size //= 2

    def close(self):
        if self.pid:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
            os.close(self.ready)
        self.pid = 0
