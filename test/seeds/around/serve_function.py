"""Serves a documented function: python3 serve_function.py SNIPPET EXPRESSION

EXPRESSION tells from `body`, `headers`, `request` (with `.headers` and `.body`) and SECRET whether to accept (200) or to
refuse (401). What it raises is answered with 500, as every web framework does.
"""

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

snippet, expression = sys.argv[1:3]
names = {"__name__": "snippet", "SECRET": os.environ["SECRET"], "secret_token": os.environ["SECRET"]}
with open(snippet, encoding="utf-8") as file:
    exec(compile(file.read(), snippet, "exec"), names)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = SimpleNamespace(headers=self.headers, body=body)
        try:
            status = 200 if eval(expression, names, {"body": body, "headers": self.headers, "request": request}) else 401
        except Exception as error:
            print(f"{type(error).__name__}: {error}")
            status = 500
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print("listening", server.server_port)
server.serve_forever()
