# SPDX-License-Identifier: ISC
"""What happened: requests, how many at once, bugs; and the gates that keep
requests in flight so that they overlap what a test does meanwhile."""

import collections
import json
import threading
import time

KEPT = 100000


class Ledger:
    def __init__(self, path, with_secrets):
        self._file = open(path, "a", buffering=1, encoding="utf-8")
        self._with_secrets = with_secrets
        self._changed = threading.Condition()
        self._number = 0
        self.forget()

    def forget(self):
        with self._changed:
            self.rows = collections.deque(maxlen=KEPT)
            self.counts = collections.Counter()
            self.bugs = []
            self.proxied = []
            self._most = collections.Counter()
            self._now = collections.Counter()
            self._held = set()
            self._delays = {}
            self._changed.notify_all()

    # Requests

    def begin(self, operation, request):
        with self._changed:
            self._number += 1
            request.number = self._number
            name = operation or "unknown"
            for key in (name, "total"):
                self.counts[key] += 1
                self._now[key] += 1
                self._most[key] = max(self._most[key], self._now[key])
            row = {"number": self._number, "time": time.time(),
                   "operation": name, "method": request.method,
                   "path": request.path, "listener": request.listener,
                   "region": request.region,
                   "user_agent": request.header("User-Agent"),
                   "in_flight": self._now[name], "status": None,
                   "error": None, "fault": None, "gone": False}
            self.rows.append(row)
            return row

    def end(self, row, request):
        with self._changed:
            for key in (row["operation"], "total"):
                # After forget() the old ones are not counted any more.
                self._now[key] = max(0, self._now[key] - 1)
            row["seconds"] = round(time.time() - row["time"], 6)
            self._changed.notify_all()
            line = dict(row)
            if self._with_secrets:
                line["query"] = request.query
                line["headers"] = request.headers
                line["body"] = request.body.decode("utf-8", "replace")
            self._file.write(json.dumps(line) + "\n")

    def since(self, number):
        with self._changed:
            return [dict(r) for r in self.rows if r["number"] > number]

    def flights(self):
        with self._changed:
            return {name: {"now": self._now[name], "most": most}
                    for name, most in self._most.items()}

    def bug(self, operation, found):
        self.bugs.append({"operation": operation, "problems": found})

    # Gates

    def hold(self, operation, when):
        with self._changed:
            self._held.add((operation, when))

    def release(self, operation):
        with self._changed:
            self._held = {h for h in self._held
                          if operation not in (None, h[0])}
            self._changed.notify_all()

    def delay(self, operation, seconds, when):
        with self._changed:
            self._delays[operation, when] = seconds

    def wait(self, operation, when):
        """Stay here as long as the operation is held or delayed."""
        with self._changed:
            while {(operation, when), ("*", when)} & self._held:
                self._changed.wait()
            seconds = self._delays.get((operation, when),
                                       self._delays.get(("*", when), 0))
        if seconds:
            time.sleep(seconds)
