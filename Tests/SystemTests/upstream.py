"""A server behind the gateway, of the standard library alone: takes and gives as much as it is asked to, slowly or badly if it must.

Ends with whoever has started it: `upstream.py PORT`.
"""

import hashlib
import http.server
import os
import sys
import threading
import time
import urllib.parse


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def body(self):
        """The pieces of the request's body."""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                left = size
                while left:
                    piece = self.rfile.read(min(left, 1 << 20))
                    left -= len(piece)
                    yield piece
                self.rfile.readline()
            while self.rfile.readline().strip():
                raise SystemExit("a trailer came through")
        else:
            left = int(self.headers.get("Content-Length") or 0)
            while left:
                piece = self.rfile.read(min(left, 1 << 20))
                if not piece:
                    return
                left -= len(piece)
                yield piece

    def reply(self, status, text, fields=()):
        data = text.encode()
        self.send_response(status)
        for name, value in fields:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        if self.headers.get("Upgrade"):
            return self.tunnel()
        query = dict(urllib.parse.parse_qsl(url.query))
        kind = url.path.rsplit("/", 1)[-1]
        if kind == "down":
            size = int(query["size"])
            self.send_response(200)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            piece = bytes(1 << 20)
            while size:
                self.wfile.write(piece[: min(size, len(piece))])
                size -= min(size, len(piece))
        elif kind == "events":
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for number in range(int(query["count"])):
                event = f"data: {number} {time.time()}\n\n".encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
                self.wfile.flush()
                time.sleep(0.2)
            self.wfile.write(b"0\r\nX-Trailer: gone\r\n\r\n")
        elif kind == "range":
            data = bytes(range(256))
            first, last = self.headers["Range"].removeprefix("bytes=").split("-")
            part = data[int(first) : int(last) + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/256")
            self.send_header("Content-Length", str(len(part)))
            self.end_headers()
            self.wfile.write(part)
        elif kind == "slow":
            time.sleep(float(query["seconds"]))
            self.reply(200, "at last")
        elif kind == "status":
            self.reply(int(query["code"]), "as asked")
        elif kind == "break":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            self.close_connection = True
        else:
            told = "".join(f"{name.lower()}: {value}\n" for name, value in self.headers.items())
            self.reply(200, f"{self.command} {self.path}\n{told}", [("Connection", "X-Hop"), ("X-Hop", "1"), ("X-Stays", "1")])

    def tunnel(self):
        """Another protocol: everything comes back."""
        self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        self.close_connection = True
        while data := self.rfile.read1(65536):
            self.wfile.write(data)

    do_HEAD = do_GET
    do_DELETE = do_GET

    def do_POST(self):
        digest, size = hashlib.sha256(), 0
        for piece in self.body():
            digest.update(piece)
            size += len(piece)
        self.reply(200, f"{size} {digest.hexdigest()}")

    do_PUT = do_POST


# Who comes while the queue is full waits for a second, as long as the gateway waits for a connection.
http.server.ThreadingHTTPServer.request_queue_size = 1024
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
parent = os.getppid()
while os.getppid() == parent:
    time.sleep(0.5)
