# SPDX-License-Identifier: ISC
"""A PAM application: reads one JSON object, calls libpam, writes another.

In: confdir, service, user, items {name: value}, putenv [NAME=value], uids
[real, effective, saved], conv (see below), calls [[name, flags], ...].
Out: calls [[code, seconds], ...], messages [[style, text], ...], env {}.

A call "sleep" takes seconds, "until" the name of a file that somebody will make.

conv: "answer" gives `answer`, or "x", to every prompt, "null" gives success and
no answer, "error" refuses everything, "none" is an application without a
conversation.
at_prompt [[what, ...], ...]: what is done at the first, the second ... prompt:
"approve" (by a user) or "deny" the code that is shown, at the simulator whose
control address is `control`; "become" another PAM_USER; "sleep" so long.
"""
import ctypes
import http.client
import json
import os
import re
import signal
import sys
import time

ITEMS = {"user": 2, "tty": 3, "rhost": 4, "ruser": 8}
CALLS = {"auth": "pam_authenticate", "acct": "pam_acct_mgmt",
         "setcred": "pam_setcred", "open": "pam_open_session",
         "close": "pam_close_session", "chauthtok": "pam_chauthtok"}


class Message(ctypes.Structure):
    _fields_ = [("style", ctypes.c_int), ("text", ctypes.c_char_p)]


class Response(ctypes.Structure):
    _fields_ = [("text", ctypes.c_void_p), ("code", ctypes.c_int)]


CONV = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_int, ctypes.POINTER(ctypes.POINTER(Message)),
    ctypes.POINTER(ctypes.POINTER(Response)), ctypes.c_void_p)


class Conversation(ctypes.Structure):
    _fields_ = [("fn", CONV), ("data", ctypes.c_void_p)]


def visit(control, verb, text, user=None):
    """What a person does in a browser, at the page that was shown."""
    code = re.search(r"code:? +(\S+)", text)[1]
    link = http.client.HTTPConnection(*control, timeout=30)
    link.request("POST", "/" + verb, json.dumps(
        {"user_code": code, **({"user": user} if user else {})}))
    answer = link.getresponse()
    assert answer.status == 200, answer.read()


def main():
    order = json.load(sys.stdin)
    at_prompt = order.get("at_prompt", [])
    # Unloading would take the names from a leak's stack.
    if order.get("keep"):
        ctypes.CDLL(order["keep"], mode=os.RTLD_NOW | 0x1000)
    pam = ctypes.CDLL("libpam.so.0")
    libc = ctypes.CDLL(None)
    libc.calloc.restype = ctypes.c_void_p
    libc.strdup.restype = ctypes.c_void_p
    pam.pam_getenvlist.restype = ctypes.POINTER(ctypes.c_char_p)
    messages, how = [], order.get("conv", "answer")

    def talk(n, given, answers, _):
        assert n == 1, "more than one message at once"
        style, text = given[0].contents.style, given[0].contents.text
        messages.append([style, text.decode("latin-1")])
        if style == 2 and at_prompt:
            what, *words = at_prompt.pop(0)
            if what == "sleep":
                time.sleep(*words)
            elif what == "become":
                pam.pam_set_item(handle, ITEMS["user"], words[0].encode())
            else:
                visit(order["control"], what, messages[-1][1], *words)
        if how == "error":
            return 19
        if how == "null":
            answers[0] = ctypes.POINTER(Response)()
            return 0
        memory = libc.calloc(1, ctypes.sizeof(Response))
        answers[0] = ctypes.cast(memory, ctypes.POINTER(Response))
        if style in (1, 2):
            answers[0][0].text = libc.strdup(order.get("answer", "x").encode())
        return 0

    conv = Conversation(CONV() if how == "none" else CONV(talk), None)
    handle = ctypes.c_void_p()
    code = pam.pam_start_confdir(
        order["service"].encode(), order["user"].encode(), ctypes.byref(conv),
        order["confdir"].encode(), ctypes.byref(handle))
    assert code == 0, code
    for name, value in order.get("items", {}).items():
        pam.pam_set_item(handle, ITEMS[name], ctypes.c_char_p(
            value.encode("latin-1")))
    for setting in order.get("putenv", []):
        assert pam.pam_putenv(handle, setting.encode()) == 0
    if order.get("keepfd"):
        fd = os.open(order["confdir"] + "/kept-by-the-host",
                     os.O_CREAT | os.O_RDWR, 0o600)
        os.set_inheritable(fd, True)
    if order.get("sigchld"):
        signal.signal(signal.SIGCHLD, signal.SIG_IGN if
                      order["sigchld"] == "ignore" else lambda *_: None)
    if order.get("uids"):
        os.setresuid(*order["uids"])
    results = []
    for name, flags in order["calls"]:
        if name == "sleep":
            time.sleep(flags)
            continue
        if name == "until":
            while not os.path.exists(flags):
                time.sleep(0.02)
            continue
        begun = time.monotonic()
        code = getattr(pam, CALLS[name])(handle, flags)
        results.append([code, time.monotonic() - begun])
    env, i = {}, 0
    listed = pam.pam_getenvlist(handle)
    while listed[i]:
        name, _, value = listed[i].decode().partition("=")
        env[name] = value
        i += 1
    pam.pam_end(handle, order.get("end", 0))
    json.dump({"calls": results, "messages": messages, "env": env}, sys.stdout)


main()
