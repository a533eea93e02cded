# SPDX-License-Identifier: ISC
"""HTTP/1.1 on several sockets, with TLS or without; a thread for each
connection. Small, and our own, because faults need the bare socket."""

import contextlib
import http
import select
import socket
import ssl
import struct
import threading
import time

from .message import Request

LINE = 1 << 16
MOST_HEADERS = 200
MOST_BODY = 16 << 20
HANDSHAKE = 30
NO_BODY = (204, 304)
ESTABLISHED = 1     # of tcp(7)'s states


class BadRequest(Exception):
    pass


class Link:
    """One accepted connection."""

    def __init__(self, sock):
        self.sock = sock
        self.port = sock.getpeername()[1]   # of the client's end
        self.file = sock.makefile("rb")
        self.usable = True
        self.head_only = False

    def read(self, listener):
        """The next Request; None when the client is done."""
        line = self.file.readline(LINE)
        if not line.strip():
            return None
        words = line.decode("latin-1").split()
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            raise BadRequest("request line")
        headers = self._headers()
        path, _, query = words[1].partition("?")
        request = Request(words[0], path, query, headers, b"", listener.name,
                          listener.region)
        length = request.header("Content-Length", "0")
        if (not length.isdigit() or int(length) > MOST_BODY or
                request.header("Transfer-Encoding")):
            raise BadRequest("length")
        if request.header("Expect", "").lower() == "100-continue":
            self.put(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.body = self.file.read(int(length))
        if len(request.body) < int(length):
            return None
        self.head_only = request.method == "HEAD"
        self.usable = (words[2] == "HTTP/1.1" and
                       request.header("Connection", "").lower() != "close")
        return request

    def _headers(self):
        headers = []
        while True:
            line = self.file.readline(LINE).decode("latin-1")
            if line in ("\r\n", "\n"):
                return headers
            name, colon, value = line.partition(":")
            if not colon or len(headers) > MOST_HEADERS:
                raise BadRequest("header")
            headers.append((name, value.strip()))

    def put(self, data):
        self.sock.sendall(data)

    def head(self, answer, length):
        try:
            phrase = http.HTTPStatus(answer.status).phrase
        except ValueError:
            phrase = "Simulator Bug"
        lines = [f"HTTP/1.1 {answer.status} {phrase}"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        if not any(n.lower() == "content-length" for n in answer.headers):
            lines.append(f"Content-Length: {length}")
        if not self.usable:
            lines.append("Connection: close")
        return "\r\n".join(lines + ["", ""]).encode("latin-1")

    def answer(self, answer):
        if answer.send:
            # Whatever it puts there, no second answer could follow it.
            self.usable = False
            answer.send(self, answer)
        else:
            body = b"" if self.head_only else answer.body
            self.put(self.head(answer, len(answer.body)) + body)

    def reset(self):
        """RST instead of FIN: close with nothing lingering."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             struct.pack("ii", 1, 0))

    def gone(self):
        """Did the client close it, or die, without waiting for the answer?"""
        info = self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
        return info[0] != ESTABLISHED

    def wait_gone(self, seconds):
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        poll.poll(seconds * 1000)

    def close(self):
        self.usable = False
        with contextlib.suppress(OSError, ValueError):
            self.file.close()
        self.sock.close()


def _bound(port):
    """A socket that keeps its port when it stops listening: the kernel takes
    a port back that it chose itself, so that it is asked for by number."""
    with contextlib.ExitStack() as stack:
        if port == 0:
            first = stack.enter_context(socket.socket())
            first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))
        return sock


class Listener:
    """serve(request, link) is called for each request that comes."""

    def __init__(self, name, serve, region=None, context=None, port=0,
                 closed=False):
        self.name = name
        self.region = region
        self._serve = serve
        self._context = context
        self._open = threading.Event()
        self.sock = _bound(port)
        self.port = self.sock.getsockname()[1]
        if not closed:
            self.open()
        threading.Thread(target=self._accept, daemon=True).start()

    def open(self):
        self.sock.listen(4096)
        self._open.set()

    def refuse(self):
        """Keep the port, yet refuse who comes: bound, but not listening."""
        self._open.clear()
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        while True:
            self._open.wait()
            try:
                sock, _ = self.sock.accept()
            except OSError:
                # Shut by refuse(), or out of descriptors for a while.
                time.sleep(0.02)
                continue
            threading.Thread(target=self._run, args=(sock,),
                             daemon=True).start()

    def _run(self, sock):
        # Clients that break off are what tests are made of.
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context:
                sock.settimeout(HANDSHAKE)
                try:
                    sock = self._context.wrap_socket(sock, server_side=True)
                except (ssl.SSLError, OSError):
                    sock.close()
                    return
                sock.settimeout(None)
            link = Link(sock)
            try:
                self._talk(link)
            finally:
                link.close()

    def _talk(self, link):
        while link.usable:
            try:
                request = link.read(self)
            except BadRequest:
                link.put(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"
                         b"Content-Length: 0\r\n\r\n")
                return
            if request is None:
                return
            self._serve(request, link)
