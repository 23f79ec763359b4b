"""A receiver: SECRET=… [SIGNATURE_HEADER=X-Flock-Signature] [PORT=3000] python3 server.py"""

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from verify import verify_sha256, verify_standard

SECRET = os.environ["SECRET"]
SIGNATURE_HEADER = os.environ.get("SIGNATURE_HEADER")
MAX_BODY_BYTES = 2 * 1024 * 1024
MAX_REMEMBERED = 10_000

# Ids that have been handled. A real receiver keeps them where it keeps its work, in the same transaction.
handled = {}
lock = threading.Lock()


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            return self.answer(411)
        if int(length) > MAX_BODY_BYTES:
            return self.answer(413)
        body = self.rfile.read(int(length))
        if SIGNATURE_HEADER:
            genuine = verify_sha256(SECRET, self.headers.get(SIGNATURE_HEADER), body)
        else:
            genuine = verify_standard(SECRET, self.headers, body)
        if not genuine:
            return self.answer(401)
        id = self.headers.get("webhook-id")
        with lock:
            if id is None or id not in handled:  # else a repeat: the first answer was lost on its way
                print("handled", id, len(body), "bytes", flush=True)  # your work stands here
                if id is not None:
                    remember(id)
        self.answer(204)

    def answer(self, status):
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", "0")
            self.send_header("Connection", "close")  # the body may not have been read
            self.close_connection = True
        self.end_headers()

    def log_message(self, *_):
        pass


def remember(id):
    handled[id] = True
    if len(handled) > MAX_REMEMBERED:
        del handled[next(iter(handled))]


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "3000"))), Receiver)
    print("listening", server.server_port, flush=True)
    server.serve_forever()
