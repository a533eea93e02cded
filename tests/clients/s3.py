# SPDX-License-Identifier: ISC
"""An S3 that is just enough for Terraform's state: objects that are put are got.

It knows by whose keys it was asked, and does not check a signature: Terraform
has STS do that each time before it comes here.
"""
import http.server
import re
import threading

LIST = (b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        b"<KeyCount>0</KeyCount><IsTruncated>false</IsTruncated>"
        b"</ListBucketResult>")
MISSING = b"<Error><Code>NoSuchKey</Code></Error>"


class S3:
    def __init__(self):
        self.objects, self.keys = {}, set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                outer.answer(self)
            do_GET = do_HEAD = do_PUT = answer

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_port

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, h):
        path, _, query = h.path.partition("?")
        self.keys.add(re.search(r"Credential=(\w+)",
                                h.headers["Authorization"])[1])
        status, body = 200, b""
        if h.command == "PUT":
            self.objects[path] = h.rfile.read(int(h.headers["Content-Length"]))
        elif "list-type" in query:
            body = LIST
        elif path in self.objects:
            body = self.objects[path]
        else:
            status, body = 404, MISSING
        h.send_response(status)
        h.send_header("Content-Length", str(len(body)))
        h.end_headers()
        if h.command != "HEAD":
            h.wfile.write(body)
