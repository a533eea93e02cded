# SPDX-License-Identifier: ISC
"""A CONNECT proxy. Wherever it is asked to go, it goes to our own ports:
real host names thus reach the simulator, and nothing leaves the machine."""

import base64
import contextlib
import select
import socket
import threading
import time

CHUNK = 1 << 16


class Proxy:
    """ports: {port asked for: port to go to}; default: the https one."""

    def __init__(self, ledger, ports, default, credentials=None):
        self._ledger = ledger
        self._ports = ports
        self._default = default
        self._wanted = credentials and "Basic " + base64.b64encode(
            credentials.encode()).decode()
        self._sock = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self._sock.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            sock, _ = self._sock.accept()
            threading.Thread(target=self._run, args=(sock,),
                             daemon=True).start()

    def _run(self, sock):
        with contextlib.suppress(OSError, ValueError), sock:
            status, host, port = self._asked(sock)
            self._ledger.proxied.append({
                "time": time.time(), "host": host, "port": port,
                "status": status})
            if status != 200:
                extra = (b'Proxy-Authenticate: Basic realm="simulator"\r\n'
                         if status == 407 else b"")
                sock.sendall(b"HTTP/1.1 %d Refused\r\n%sContent-Length: 0\r\n"
                             b"Connection: close\r\n\r\n" % (status, extra))
                return
            with socket.create_connection(
                    ("127.0.0.1", self._ports.get(port, self._default))) as to:
                sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                _relay(sock, to)

    def _asked(self, sock):
        """(status, host, port) of the one request. Byte by byte, so that
        none of the TLS that follows is swallowed."""
        text = b""
        while not text.endswith(b"\r\n\r\n") and len(text) < CHUNK:
            byte = sock.recv(1)
            if not byte:
                raise ValueError("no request")
            text += byte
        line, *headers = text.decode("latin-1").split("\r\n")
        method, target, _ = line.split()
        if method != "CONNECT":
            return 405, target, None
        host, _, port = target.rpartition(":")
        given = [h.split(":", 1)[1].strip() for h in headers
                 if h.lower().startswith("proxy-authorization:")]
        if self._wanted and given != [self._wanted]:
            return 407, host, int(port)
        return 200, host, int(port)


def _relay(one, other):
    pairs = {one.fileno(): (one, other), other.fileno(): (other, one)}
    poll = select.poll()
    for fd in pairs:
        poll.register(fd, select.POLLIN)
    while pairs:
        for fd, _ in poll.poll():
            source, sink = pairs[fd]
            data = source.recv(CHUNK)
            if data:
                sink.sendall(data)
                continue
            sink.shutdown(socket.SHUT_WR)
            poll.unregister(fd)
            del pairs[fd]
