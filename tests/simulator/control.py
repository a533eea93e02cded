# SPDX-License-Identifier: ISC
"""The tests' side door: POST /verb with a JSON object. client.py says what
each verb is for."""

import dataclasses
import json

from . import approve, options
from .message import Answer


class Control:
    def __init__(self, aws, refusing):
        """refusing: the listener that proxy_only shuts and opens."""
        self._aws = aws
        self._state = aws.state
        self._ledger = aws.ledger
        self._refusing = refusing

    def serve(self, request, link):
        verb = getattr(self, "do_" + request.path.strip("/"), None)
        try:
            if verb is None:
                raise ValueError(f"no verb {request.path}")
            status, value = 200, verb(**json.loads(request.body or b"{}"))
        except (KeyError, TypeError, ValueError) as error:
            status, value = 400, {"error": str(error)}
        link.answer(Answer(status, {"Content-Type": "application/json"},
                           json.dumps(value or {}).encode()))

    # Logins

    def do_pending(self):
        with self._state.lock:
            now = self._state.now()
            return {"pending": [
                {"user_code": d.user_code, "client_name": d.client.name,
                 "region": d.client.region, "interval": d.interval,
                 "url": d.url, "url_complete": d.url_complete,
                 "expires_in": d.expires - now}
                for d in self._state.pending()]}

    def do_approve(self, user_code=None, user=None):
        return self._decide(user_code, user, False)

    def do_deny(self, user_code=None):
        return self._decide(user_code, None, True)

    def _decide(self, user_code, user, deny):
        with self._state.lock:
            device = self._state.device_of(user_code)
            pending = self._state.pending()
            if user_code is None and len(pending) != 1:
                raise ValueError(f"{len(pending)} codes are pending; say "
                                 "which is meant")
            if user_code is None:
                device = pending[0]
            status, words = approve.decide(self._state, device, user, deny)
            if status != 200:
                raise ValueError(words)
            return {"user_code": device.user_code, "user": device.user}

    def do_expire(self, what, user=None, user_code=None):
        with self._state.lock:
            return {"changed": self._state.expire(what, user, user_code)}

    def do_assign(self, user, account, role, remove=False):
        with self._state.lock:
            self._state.organisation.assign(user, account, role, remove)

    # What happened

    def do_secrets(self):
        with self._state.lock:
            return {"secrets": list(self._state.secrets)}

    def do_keys(self):
        with self._state.lock:
            return {"keys": [dataclasses.asdict(key)
                             for key in self._state.keys.values()]}

    def do_counts(self):
        return {"counts": dict(self._ledger.counts)}

    def do_in_flight(self):
        return {"in_flight": self._ledger.flights()}

    def do_requests(self, since=0):
        return {"requests": self._ledger.since(since)}

    def do_proxied(self):
        return {"proxied": list(self._ledger.proxied)}

    def do_bugs(self):
        return {"bugs": list(self._ledger.bugs)}

    # What shall happen

    def do_fault(self, **parameters):
        return {"id": self._aws.faults.add(**parameters)}

    def do_faults(self):
        return {"faults": self._aws.faults.listed()}

    def do_clear_faults(self):
        self._aws.faults.clear()

    def do_delay(self, operation, seconds, when="before"):
        self._ledger.delay(operation, seconds, _when(when))

    def do_hold(self, operation, when="before"):
        self._ledger.hold(operation, _when(when))

    def do_release(self, operation=None):
        self._ledger.release(operation)

    def do_settings(self, **changes):
        with self._state.lock:
            return {"settings": options.change(self._state.options, changes)}

    def do_skew(self, seconds):
        self._state.options.skew = float(seconds)

    def do_proxy_only(self, on=True):
        if on:
            self._refusing.refuse()
        else:
            self._refusing.open()

    def do_reset(self):
        self._aws.faults.clear()
        self._state.forget()
        self._ledger.forget()


def _when(when):
    if when not in ("before", "after"):
        raise ValueError(f"when is before or after, not {when}")
    return when
