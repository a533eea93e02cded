# SPDX-License-Identifier: ISC
"""fake.py SOCKET LOG HOW [HEX]: something that listens where an agent would.

HOW: "reply" sends the bytes to each request, "drip" one of them each 20 ms,
"silent" nothing, "deaf" never accepts and has no room for another client.
Requests are appended to LOG, one in hex on each line.
"""
import socket
import sys
import time

path, log, how = sys.argv[1:4]
reply = bytes.fromhex(sys.argv[4]) if len(sys.argv) > 4 else b""
server = socket.socket(socket.AF_UNIX)
server.bind(path)
server.listen(0 if how == "deaf" else 50)
if how == "deaf":
    first = socket.socket(socket.AF_UNIX)
    first.setblocking(False)
    clients = []
    while True:         # until its queue is full
        client = socket.socket(socket.AF_UNIX)
        client.setblocking(False)
        try:
            client.connect(path)
        except BlockingIOError:
            break
        clients.append(client)
print("ready", flush=True)
while how == "deaf":
    time.sleep(1)
kept = []
while True:
    client, _ = server.accept()
    kept.append(client)
    data = client.recv(65536)
    if data:
        with open(log, "a") as out:
            out.write(data.hex() + "\n")
    try:
        if how == "reply":
            client.sendall(reply)
        for i in range(len(reply) if how == "drip" else 0):
            client.sendall(reply[i:i + 1])
            time.sleep(0.02)
    except OSError:
        pass
