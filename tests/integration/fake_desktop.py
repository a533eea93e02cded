# SPDX-License-Identifier: ISC
"""What a desktop and logind say on their buses: notifications, a screensaver,
sessions. Run by desktop.py; takes commands from stdin, one JSON list a line,
and reports on stdout, one JSON object a line.

    ["session", "1", {"Leader": 123}]      add a session, or change it
    ["sleep", true]                        the machine is about to be suspended
    ["saver", true]                        the screensaver begins
    ["slow", 2]                            it takes seconds to say whether it is on
    ["notifications", true]                start or end the daemon for them
    ["buttons", false]                     it knows no actions
    ["press", 1, "no"]                     a button of the notification 1
"""

import json
import os
import socket
import sys

import dbus
import dbus.lowlevel
import dbus.mainloop.glib
import dbus.service
from gi.repository import GLib

PROPERTIES = "org.freedesktop.DBus.Properties"
SESSION = "org.freedesktop.login1.Session"
MANAGER = "/org/freedesktop/login1"
NOTIFICATIONS = "org.freedesktop.Notifications"
SAVER = "org.freedesktop.ScreenSaver"


def report(**what):
    print(json.dumps(what), flush=True)


class Session(dbus.service.Object):
    def __init__(self, bus, name, path=None):
        super().__init__(bus, path or f"{MANAGER}/session/_3{name}")
        self.values = {
            "Id": name, "Leader": dbus.UInt32(0), "LockedHint": False,
            "Active": True, "State": "active", "Type": "x11",
            "User": dbus.Struct((dbus.UInt32(os.getuid()),
                                 dbus.ObjectPath(f"{MANAGER}/user/self")),
                                signature="uo")}

    def change(self, values):
        if "Leader" in values:
            values["Leader"] = dbus.UInt32(values["Leader"])
        self.values.update(values)
        self.PropertiesChanged(SESSION, values, [])

    @dbus.service.method(PROPERTIES, in_signature="s", out_signature="a{sv}")
    def GetAll(self, interface):
        report(asked="GetAll", session=self.values["Id"])
        return self.values if interface == SESSION else {}

    @dbus.service.method(PROPERTIES, in_signature="ss", out_signature="v")
    def Get(self, interface, name):
        return self.values[name]

    @dbus.service.signal(PROPERTIES, signature="sa{sv}as")
    def PropertiesChanged(self, interface, values, gone):
        pass


class Manager(dbus.service.Object):
    sessions = {}

    @dbus.service.method("org.freedesktop.login1.Manager",
                         in_signature="s", out_signature="o")
    def GetSession(self, name):
        if name not in self.sessions:
            raise dbus.DBusException(
                "No session", name="org.freedesktop.login1.NoSuchSession")
        return self.sessions[name].__dbus_object_path__

    @dbus.service.method("org.freedesktop.login1.Manager",
                         in_signature="ssss", out_signature="h")
    def Inhibit(self, what, who, why, mode):
        """Until whoever asked closes it."""
        ours, theirs = socket.socketpair()
        GLib.io_add_watch(ours.fileno(), GLib.IO_HUP, self.released, ours)
        report(inhibited=str(what), mode=str(mode), who=str(who))
        return dbus.types.UnixFd(theirs)

    def released(self, fd, condition, ours):
        ours.close()
        report(released=True)
        return False

    @dbus.service.signal("org.freedesktop.login1.Manager", signature="b")
    def PrepareForSleep(self, begins):
        pass


class Notifications(dbus.service.Object):
    last = 0
    buttons = True

    @dbus.service.method(NOTIFICATIONS, in_signature="susssasa{sv}i",
                         out_signature="u")
    def Notify(self, app, replaces, icon, summary, body, actions, hints, ms):
        if not replaces:
            Notifications.last += 1
            replaces = Notifications.last
        report(notification=str(summary), text=str(body), id=int(replaces),
               urgency=int(hints["urgency"]), app=str(app),
               buttons=[str(a) for a in actions[::2]])
        return dbus.UInt32(replaces)

    @dbus.service.method(NOTIFICATIONS, out_signature="as")
    def GetCapabilities(self):
        return ["body"] + ["actions"] * self.buttons

    @dbus.service.method(NOTIFICATIONS, in_signature="u")
    def CloseNotification(self, number):
        report(closed=int(number))

    @dbus.service.signal(NOTIFICATIONS, signature="us")
    def ActionInvoked(self, number, action):
        pass


class Saver(dbus.service.Object):
    on, seconds = False, 0

    @dbus.service.method(SAVER, out_signature="b",
                         async_callbacks=("answer", "fail"))
    def GetActive(self, answer, fail):
        del fail
        GLib.timeout_add(1000 * self.seconds, lambda: answer(self.on))

    @dbus.service.signal(SAVER, signature="b")
    def ActiveChanged(self, on):
        pass


class Fake:
    def __init__(self, session, system):
        self.session = dbus.bus.BusConnection(session) if session else None
        self.system = dbus.bus.BusConnection(system) if system else None
        self.names = {}
        if self.system:
            self.names["login1"] = dbus.service.BusName(
                "org.freedesktop.login1", self.system)
            self.manager = Manager(self.system, MANAGER)
        if self.session:
            self.shown = Notifications(
                self.session, "/org/freedesktop/Notifications")
            self.screen = Saver(self.session, "/org/freedesktop/ScreenSaver")
            self.names[SAVER] = dbus.service.BusName(SAVER, self.session)
            self.do_notifications(True)

    def do_session(self, name, values):
        if name not in Manager.sessions:
            Manager.sessions[name] = Session(self.system, name)
            if name == "auto":      # what logind makes of a caller
                Manager.sessions[name].remove_from_connection()
                Manager.sessions[name] = Session(
                    self.system, "auto", f"{MANAGER}/session/auto")
        Manager.sessions[name].change(values)

    def do_sleep(self, begins):
        self.manager.PrepareForSleep(begins)

    def do_saver(self, on):
        Saver.on = on
        self.screen.ActiveChanged(on)

    def do_slow(self, seconds):
        Saver.seconds = seconds

    def do_buttons(self, on):
        Notifications.buttons = on

    def do_press(self, number, action):
        self.shown.ActionInvoked(dbus.UInt32(number), action)

    def do_notifications(self, on):
        self.names[NOTIFICATIONS] = dbus.service.BusName(
            NOTIFICATIONS, self.session) if on else None

    def command(self, channel, condition):
        line = sys.stdin.readline()
        if not line:
            loop.quit()
            return False
        name, *words = json.loads(line)
        getattr(self, "do_" + name)(*words)
        report(did=name)
        return True


dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
loop = GLib.MainLoop()
fake = Fake(*(word or None for word in sys.argv[1:3]))
GLib.io_add_watch(sys.stdin, GLib.IO_IN | GLib.IO_HUP, fake.command)
report(ready=True)
loop.run()
