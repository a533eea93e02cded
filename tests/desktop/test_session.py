# SPDX-License-Identifier: ISC
"""A person logs in to a desktop, and from then on all is done by hand.

lightdm with its GTK greeter on Xvfb, the installed module in its stack, an
openbox session that reads the installed autostart, dunst, Chromium, xterm. What
the person does is done by xdotool: keys and clicks. Pictures of each step are
in build/desktop/; what they must show is asserted here by other means.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[1]
for room in ("integration", "pam"):
    sys.path.insert(0, str(TESTS / room))

from agent import BUILD, TOP, stat, until  # noqa: E402
from stack import Account  # noqa: E402
from test_browser import Browser  # noqa: E402
from simulator.client import Simulator  # noqa: E402
from world import PASSWORD, World  # noqa: E402

NEEDED = ("lightdm", "Xvfb", "xdotool", "openbox", "dunst", "chromium",
          "chromedriver", "xterm", "import", "desktop-file-validate")
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, NEEDED)),
    reason="this takes root, and what make check-desktop installs")

PICTURES = BUILD / "desktop"
DISPLAY, PORT = ":97", 9397
SERVICES = ("lightdm", "lightdm-greeter", "lightdm-autologin")

LIGHTDM = """[LightDM]
sessions-directory={dir}
greeters-directory=/usr/share/xgreeters
log-directory={dir}/log
run-directory=/run/lightdm
cache-directory={dir}/cache
dbus-service=false
minimum-display-number=97
[Seat:*]
type=local
xserver-command={dir}/x
greeter-session=lightdm-gtk-greeter
greeter-hide-users=true
session-wrapper=/usr/bin/env
user-session=lightdm-xsession
allow-guest=false
"""

SESSION = """#!/bin/sh
# What a desktop sets for its programs, and a browser that runs in here.
export AWSENV_BROWSER="{dir}/browser %s" XDG_CURRENT_DESKTOP=test
exec >{dir}/session.log 2>&1
exec dbus-run-session -- sh -c 'dunst & xterm -geometry 140x11+0+632 & echo "$DBUS_SESSION_BUS_ADDRESS" \\
    >{dir}/bus; exec openbox --startup \\
    "/usr/lib/$(uname -m)-linux-gnu/openbox-xdg-autostart test"'
"""

# Called as X is: Xvfb knows neither seats nor terminals.
SERVER = """#!/bin/sh
display=$1
while [ "$1" != -auth ]; do shift; done
exec Xvfb "$display" -auth "$2" -screen 0 1280x800x24 -nolisten tcp
"""

BROWSER = """#!/bin/sh
exec chromium --no-sandbox --disable-gpu --disable-quic --no-first-run \\
    --no-default-browser-check --disable-background-networking \\
    --disable-component-update --disable-sync --password-store=basic \\
    --user-data-dir=$HOME/chromium --remote-debugging-port={port} \\
    --window-position=0,0 --window-size=860,620 "$1" >{dir}/browser.log 2>&1
"""


class Attached(Browser):
    """The browser that the desktop opened, asked where things are."""

    def options(self):
        return {"debuggerAddress": f"127.0.0.1:{PORT}"}

    def place(self, css):
        """The middle of it on the screen."""
        return self.ask("POST", "/execute/sync", {"args": [css], "script": """
            let r = document.querySelector(arguments[0])
                .getBoundingClientRect();
            return [window.screenX + (outerWidth - innerWidth) / 2 +
                    r.x + r.width / 2,
                    window.screenY + (outerHeight - innerHeight) +
                    r.y + r.height / 2]"""})


class Screen(World):
    """A machine with a display manager, and somebody in front of it."""

    def __init__(self, account, sim):
        super().__init__(account, sim, "debug", SERVICES)
        self.log = self.dir / "log"

    def __enter__(self):
        super().__enter__()
        self.dir.chmod(0o777)
        for name in ("log", "cache"):
            (self.dir / name).mkdir()
        for name, text in (
                ("lightdm.conf", LIGHTDM), ("session", SESSION),
                ("browser", BROWSER),
                ("lightdm-xsession.desktop", "[Desktop Entry]\nType=Application\n"
                 "Name=test\nExec={dir}/session\n"),
                ("x", SERVER)):
            path = self.dir / name
            path.write_text(text.replace("{dir}", str(self.dir)).replace(
                "{port}", str(PORT)))
            path.chmod(0o755)
        self.install()
        return self

    def install(self):
        """What make install puts on the machine, for this world alone."""
        top = self.dir / "installed"
        done = subprocess.run(
            ["make", "--no-print-directory", "-o", "all", f"B={BUILD}",
             "install", f"DESTDIR={top}"], cwd=TOP, capture_output=True,
            text=True)
        assert done.returncode == 0, done.stderr
        for folder in ("usr/local", "etc/xdg/autostart"):
            done = self.run("mount", "--bind", top / folder, f"/{folder}")
            assert done.returncode == 0, done.stderr

    def start(self, *argv, name):
        self.children.append(subprocess.Popen(
            self.inside(*argv), stdin=subprocess.DEVNULL,
            stdout=open(self.log / name, "w"), stderr=subprocess.STDOUT,
            env={"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                 "LANG": "C.UTF-8"}))

    def boot(self):
        self.run("mkdir", "-p", "/run/dbus", "/run/lightdm")
        self.start("dbus-daemon", "--system", "--nofork", "--nopidfile",
                   name="dbus")
        until(lambda: self.run("test", "-S", "/run/dbus/system_bus_socket")
              .returncode == 0, 20, "no system bus")
        self.start("lightdm", "--config", self.dir / "lightdm.conf", "--debug",
                   name="lightdm.out")

    # In front of it

    def x(self, *argv):
        return self.run("env", f"DISPLAY={DISPLAY}",
                        f"XAUTHORITY=/run/lightdm/root/{DISPLAY}", *argv)

    def xdotool(self, *words):
        done = self.x("xdotool", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def windows(self):
        """Titles of what is seen."""
        found = self.x("xdotool", "search", "--onlyvisible", "--name", ".")
        return [self.x("xdotool", "getwindowname", w).stdout.strip()
                for w in found.stdout.split()]

    def until_window(self, title, seconds=60):
        return until(lambda: [w for w in self.windows() if title in w],
                     seconds, f"no window {title!r}: {self.windows()}")

    def picture(self, name):
        PICTURES.mkdir(exist_ok=True)
        path = PICTURES / f"{name}.png"
        done = self.x("import", "-window", "root", path)
        assert done.returncode == 0, done.stderr
        return path

    def until_asked(self, who):
        """The greeter has a question for that user on the screen."""
        asked = re.compile(rf"Started with service 'lightdm', username "
                           rf"'{re.escape(who)}'.*?Prompt greeter", re.S)
        until(lambda: asked.search((self.log / "lightdm.out").read_text(
            errors="replace")), 60, "the greeter does not ask")
        time.sleep(1)       # it draws, and then listens to the keyboard

    def type(self, text, *keys):
        if text:
            self.xdotool("type", "--delay", "30", text)
        for key in keys:
            self.xdotool("key", key)

    def colour(self, x, y):
        """Of one point of the screen."""
        done = self.x("import", "-window", "root", "-crop", f"1x1+{x}+{y}",
                      "txt:-")
        return re.search(r"#[0-9A-F]{6}", done.stdout)[0]

    def log_in(self):
        self.until_window("lightdm-gtk-greeter")
        self.until_asked("(null)")
        self.type(self.account.name, "Return")
        self.until_asked(self.account.name)
        self.type(PASSWORD)
        self.picture("1-greeter")
        self.type("", "Return")

    def click(self, x, y):
        self.xdotool("mousemove", str(round(x)), str(round(y)), "click", "1")

    def dunstctl(self, *words):
        bus = (self.dir / "bus").read_text().strip()
        a = self.account
        return self.run("setpriv", f"--reuid={a.uid}", f"--regid={a.gid}",
                        "--clear-groups", "env",
                        f"DBUS_SESSION_BUS_ADDRESS={bus}", "dunstctl",
                        *words).stdout

    def notifications(self):
        """What is on the screen, as dunst tells it: (title, text). To be told
        of them it has to take them away."""
        self.dunstctl("close-all")
        return [(row["summary"]["data"], row["body"]["data"]) for row in
                json.loads(self.dunstctl("history"))["data"][0]]


@pytest.fixture
def sim():
    with Simulator(interval=1, url="code") as one:
        yield one


@pytest.fixture
def screen(sim):
    account = Account()
    try:
        with Screen(account, sim) as one:
            one.boot()
            yield one
    finally:
        account.remove()


@pytest.fixture
def browser():
    """Chromium's side of it comes with the desktop."""
    opened = []
    yield lambda: opened.append(Attached()) or opened[0]
    for one in opened:
        one.close()


def programs(account, name):
    return [p for p in account.processes() if (stat(p) or " ")[0] == name]


def test_from_the_greeter_to_credentials_in_a_terminal(screen, sim, browser):
    screen.log_in()
    row = sim.wait_pending(seconds=60)
    screen.until_window("Authorize request")
    page = browser()
    page.until(row["user_code"])
    until(lambda: screen.dunstctl("count", "displayed").strip() == "1", 30,
          "no notification is shown")
    screen.picture("2-page-and-notification")
    alarm = screen.colour(1255, 60)     # on the notification's right edge
    screen.click(*page.place("button[value=approve]"))
    page.until("Request approved")
    screen.awsenv_is_logged_in()
    until(lambda: screen.colour(1255, 60) != alarm, 30,
          "the notification stays as it was")
    screen.picture("3-approved")
    [(title, text)] = screen.notifications()
    assert title == "Logged in to AWS: sim"
    assert text == "Approved by ann@example.com."

    said, count = screen.dir / "said", screen.dir / "count"
    screen.click(400, 740)
    screen.type(f"awsenv -p marketing whoami | tee {said}", "Return")
    until(lambda: said.exists() and "ann@example.com" in said.read_text(), 60,
          "awsenv says nothing")
    screen.type(f"awsenv -p marketing env | grep -c ^AWS_ | tee {count}",
                "Return")
    until(lambda: count.exists() and count.read_text().strip(), 60)
    screen.picture("4-terminal")
    assert int(count.read_text()) > 3
    assert re.search(r"arn:aws:sts::\d+:assumed-role/", said.read_text())
    assert sim.counts()["StartDeviceAuthorization"] == 1

    one, = programs(screen.account, "awsenv-ctl")
    for pid in programs(screen.account, "openbox"):
        os.kill(pid, 15)        # what its menu's Exit does
    until(lambda: not stat(one), 30, "it outlives its session")
    screen.until_window("lightdm-gtk-greeter")


def test_the_installed_autostart_is_a_sound_one():
    done = subprocess.run(
        ["desktop-file-validate", TOP / "examples/autostart/awsenv.desktop"],
        capture_output=True, text=True)
    assert done.returncode == 0 and not done.stdout, done.stdout
