# SPDX-License-Identifier: ISC
"""Starts it all; ready when simulator.json appears in --dir."""

import json
import os
import pathlib
import resource
import signal
import sys
import threading

if __package__ in (None, ""):
    # Run by path: `python3 tests/simulator`.
    sys.path[0] = str(pathlib.Path(__file__).resolve().parent.parent)
    __package__ = "simulator"

from simulator import ca, federation, options, organisation, state  # noqa: E402
from simulator.approve import Page  # noqa: E402
from simulator.aws import Aws  # noqa: E402
from simulator.control import Control  # noqa: E402
from simulator.ledger import Ledger  # noqa: E402
from simulator.proxy import Proxy  # noqa: E402
from simulator.server import Listener  # noqa: E402

LOCAL = ["localhost", "127.0.0.1"]
SUFFIXES = {"aws": ("amazonaws.com", "api.aws"),
            "aws-cn": ("amazonaws.com.cn", "api.amazonwebservices.com.cn"),
            "aws-us-gov": ("amazonaws.com", "api.aws"),
            "aws-eusc": ("amazonaws.eu", "api.amazonwebservices.eu")}


def real_names(regions):
    """What the services are called in these regions, by every spelling."""
    names = ["sts.amazonaws.com"]
    for region in regions:
        names += federation.hosts(region)
        for suffix in SUFFIXES[organisation.partition_of(region)]:
            for service in ("oidc", "portal.sso", "sts"):
                names += [f"{service}.{region}.{suffix}",
                          f"{service}-fips.{region}.{suffix}"]
    return names


def start(settings):
    directory = pathlib.Path(settings.dir)
    people = organisation.Organisation(settings)
    now = state.State(settings, people)
    ledger = Ledger(directory / "requests.jsonl", settings.record_secrets)
    aws = Aws(now, ledger)
    region = settings.region
    other = "us-east-1" if region != "us-east-1" else "eu-west-1"

    authority = ca.Authority("Simulator CA")
    (directory / "ca.pem").write_bytes(authority.pem())
    good = authority.context(directory, "good",
                             LOCAL + real_names([region, other]))
    wrong = authority.context(directory, "wrong", ["wrong.example"])
    expired = authority.context(directory, "expired", LOCAL, age=365)
    stranger = ca.Authority("Simulator CA").context(directory, "untrusted",
                                                    LOCAL)

    def listen(name, context, where=region, **more):
        return Listener(name, aws.serve, where, context, **more)

    https = listen("https", good, port=settings.port,
                   closed=settings.proxy_only)
    others = {"http": listen("http", None),
              "elsewhere": listen("elsewhere", good),
              "wrong_name": listen("wrong_name", wrong),
              "untrusted": listen("untrusted", stranger),
              "expired": listen("expired", expired),
              "other_region": listen("other_region", good, other)}
    inner = listen("https", good)
    page = Listener("page", Page(now).serve)
    control = Listener("control", Control(aws, https).serve)
    proxy = Proxy(ledger, {x.port: x.port for x in others.values()},
                  inner.port, settings.proxy_auth)

    now.page_url = f"http://127.0.0.1:{page.port}"
    aws.urls = {"https": f"https://localhost:{https.port}",
                "page": now.page_url,
                "control": f"http://127.0.0.1:{control.port}",
                "proxy": f"http://127.0.0.1:{proxy.port}"}
    for name, listener in others.items():
        scheme = "http" if name == "http" else "https"
        aws.urls[name] = f"{scheme}://localhost:{listener.port}"
    # Another host than the one it leads away from.
    aws.urls["elsewhere"] = f"https://127.0.0.1:{others['elsewhere'].port}"
    return {"pid": os.getpid(), "urls": aws.urls,
            "control": {"host": "127.0.0.1", "port": control.port},
            "ca": str(directory.resolve() / "ca.pem"),
            "start_url": settings.start_url, "region": region,
            "other_region": other, "partition": people.partition,
            "users": people.users, "accounts": people.accounts,
            "roles": list(people.roles),
            "assumable": list(people.assumable)}


def main():
    settings = options.parse()
    directory = pathlib.Path(settings.dir)
    directory.mkdir(parents=True, exist_ok=True)
    threading.stack_size(512 * 1024)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: os._exit(0))
    info = start(settings)
    path = directory / "simulator.json"
    path.with_suffix(".new").write_text(json.dumps(info, indent=1) + "\n")
    path.with_suffix(".new").rename(path)
    print("ready", flush=True)
    if settings.until_eof:
        sys.stdin.buffer.read()
    else:
        done.wait()
    # Threads of held requests would keep a clean exit waiting.
    os._exit(0)


if __name__ == "__main__":
    main()
