# SPDX-License-Identifier: ISC
"""Command line options; those of SETTINGS can be changed while it runs."""

import argparse

# name, type, default, help
SETTINGS = [
    ("token_life", float, 3600, "access token with scopes, seconds"),
    ("session_life", float, 28800, "sign-in session, and token without scopes"),
    ("role_life", float, None, "role credentials (default: permission set's)"),
    ("registration_life", float, 7776000, "client registration"),
    ("device_life", float, 600, "device code"),
    ("code_life", float, 60, "authorization code"),
    ("interval", int, 1, "polling interval told to clients"),
    ("tell_interval", int, 1, "0: leave `interval` out of the answer"),
    ("enforce_interval", int, 1, "0: never slow_down for polling too fast"),
    ("refresh", str, "rotate", "rotate, keep (same token again) or omit"),
    ("url", str, "long", "verificationUriComplete: long, code or none"),
    ("url_length", int, 1000, "length of the long kind"),
    ("approve_after", float, None, "approve each code by itself, seconds"),
    ("approve_as", str, None, "user who then approves (default: the first)"),
    ("page_size", int, 100, "portal lists, where max_result is absent"),
    ("skew", float, 0, "AWS's clock ahead of ours, seconds"),
]


def parse(arguments=None):
    parser = argparse.ArgumentParser(
        prog="simulator", allow_abbrev=False,
        description="A local IAM Identity Center with STS.")
    add = parser.add_argument
    add("--dir", required=True, help="for ca.pem, simulator.json and "
        "requests.jsonl; simulator.json appears when all is ready")
    add("--organisation", metavar="FILE", help="users, accounts and roles")
    add("--accounts", type=int, default=3, help="of the generated one")
    add("--roles", type=int, default=2, help="of the generated one")
    add("--start-url", default="https://example.awsapps.com/start")
    add("--region", default="eu-central-1")
    add("--port", type=int, default=0, help="of the https listener")
    add("--pre-approved", action="store_true",
        help="the first CreateToken already succeeds")
    add("--proxy-only", action="store_true",
        help="the https port refuses; the proxy leads in")
    add("--proxy-auth", metavar="USER:PASSWORD")
    add("--record-secrets", action="store_true",
        help="headers and bodies in requests.jsonl too")
    add("--until-eof", action="store_true", help="end when stdin does")
    for name, kind, default, text in SETTINGS:
        add("--" + name.replace("_", "-"), type=kind, default=default,
            help=f"{text} ({default})")
    options = parser.parse_args(arguments)
    if options.pre_approved:
        options.approve_after = 0
    return options


def change(options, changes):
    """Apply {name: value} from the control API; ValueError if it is none."""
    kinds = {name: kind for name, kind, _, _ in SETTINGS}
    for name, value in changes.items():
        if name not in kinds:
            raise ValueError(f"no setting {name}")
        setattr(options, name, None if value is None else kinds[name](value))
    return {name: getattr(options, name) for name in kinds}
