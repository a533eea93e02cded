# SPDX-License-Identifier: ISC
"""How the pages look that a person opens."""

from html import escape

from .message import Answer

STYLE = ("body{font:17px/1.5 sans-serif;max-width:34em;margin:4em auto;"
         "padding:0 1em;color:#16191f}h1{font-size:1.4em}.code{font:bold 2em "
         "monospace;letter-spacing:.1em}button{font-size:1em;padding:.5em "
         "1.4em;margin-right:1em}.simulated{color:#687078;font-size:.85em}")


def form(inner, users, action="/approve"):
    """Who signs in, and whether he allows it."""
    choice = "".join(f"<option>{escape(user)}</option>" for user in users)
    return (f'<form method="post" action="{action}">{inner}<p><label>Sign in '
            f'as <select name="user">{choice}</select></label></p><p>'
            '<button name="action" value="approve">Allow access</button>'
            '<button name="action" value="deny">Deny</button></p></form>')


def page(status, title, body, head=""):
    text = ("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
            "<meta name=\"viewport\" content=\"width=device-width\">"
            f"<title>{escape(title)}</title><style>{STYLE}</style>{head}"
            f"</head><body><h1>{escape(title)}</h1>{body}"
            '<p class="simulated">This is the simulator of awsenv\'s tests, '
            "not AWS.</p></body></html>\n")
    return Answer(status, {"Content-Type": "text/html; charset=utf-8",
                           "Cache-Control": "no-store"}, text.encode())
