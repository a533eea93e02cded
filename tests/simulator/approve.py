# SPDX-License-Identifier: ISC
"""The page on which a person approves: http, readable in any browser, and
by curl: POST /approve with user_code (or handle), action, user. A browser on
the program's own machine is sent to /authorize, see authorize.py."""

import math
from html import escape

from . import authorize
from .pages import form, page

COUNTDOWN = ("var s=document.getElementById('left'),n=%d;setInterval("
             "function(){if(n>0)s.textContent=--n},1000)")


class Page:
    def __init__(self, state):
        self._state = state

    def serve(self, request, link):
        with self._state.lock:
            link.answer(self._answer(request))

    def _answer(self, request):
        if request.method == "POST" and request.path == "/approve":
            return self._decide(request.form())
        if request.method == "POST" and request.path == "/authorize":
            return authorize.decide(self._state, request.form())
        if request.method not in ("GET", "HEAD"):
            return page(405, "Method not allowed", "")
        asked = request.arguments()
        if request.path == "/authorize":
            return authorize.show(self._state, asked.get("handle"))
        if request.path.startswith("/platform/"):
            return self._show(self._state.device_of(
                handle=asked.get("workflowStateHandle")))
        if request.path.rstrip("/") in ("", "/start"):
            if "user_code" in asked:
                return self._show(self._state.device_of(asked["user_code"]))
            return page(200, "Authorize request", form(
                '<p><label>Enter the code shown by the program: '
                '<input name="user_code" autofocus autocomplete="off">'
                '</label></p>', self._state.organisation.users))
        return page(404, "Not found", "<p>There is no such page.</p>")

    def _show(self, device):
        """The code to be compared with the program's, and the buttons."""
        state = self._state
        if device is not None:
            state.settle(device)
        done = self._over(device)
        if done:
            return done
        after = state.options.approve_after
        waits = head = ""
        if after is not None and state.is_here(device):
            left = max(0, math.ceil(device.created + after - state.now()))
            head = f'<meta http-equiv="refresh" content="{left + 1}">'
            waits = ('<p>This page approves by itself in <span id="left">'
                     f"{left}</span> seconds.</p>"
                     f"<script>{COUNTDOWN % left}</script>")
        inner = (f"<p>{escape(device.client.name)} asks for access to your "
                 "AWS accounts. Does it show this code?</p>"
                 f'<p class="code">{device.user_code}</p>{waits}'
                 f'<input type="hidden" name="user_code" '
                 f'value="{device.user_code}">')
        return page(200, "Authorize request",
                     form(inner, state.organisation.users), head)

    def _over(self, device):
        """The page of a code that cannot be answered any more."""
        if device is None:
            return page(404, "Invalid code",
                         "<p>The code is not valid. Check it.</p>")
        if device.user is not None:
            return page(200, "Request approved", "<p>You may close this "
                         "window and go back to the program.</p>")
        if device.denied:
            return page(200, "Request denied", "<p>You may close this "
                         "window.</p>")
        if device.expires <= self._state.now():
            return page(400, "Code expired", "<p>Start again in the "
                         "program.</p>")
        return None

    def _decide(self, form):
        device = self._state.device_of(form.get("user_code"),
                                       form.get("handle"))
        status, title = decide(self._state, device, form.get("user"),
                               form.get("action") == "deny")
        if status == 200:
            return self._over(device)
        return page(status, title, "<p>Nothing was approved.</p>")


def decide(state, device, user, deny):
    """Approve or deny as `user` (default: the first): (status, words)."""
    user = user or state.organisation.users[0]
    if device is None:
        return 404, "Invalid code"
    if user not in state.organisation.users:
        return 400, f"No user {user}"
    if device.decided:
        return 400, "The code was used already"
    if device.expires <= state.now():
        return 400, "Code expired"
    if deny:
        device.denied = True
        return 200, "Request denied"
    if not state.is_here(device):
        # All that a wrong sso_region ever shows; the client sees nothing.
        return 400, "invalid_grant: Invalid grant provided"
    device.user = user
    return 200, "Request approved"
