"""Serves documented handlers that are written for FastAPI: python3 serve_async.py SNIPPET [PRELUDE]

A stand-in has what they use of it, and answers as it does: what a handler returns is JSON with 200 (a tuple is a list,
and its second part no status), an HTTPException has its status, anything else raised is a 500. PRELUDE is Python that
defines what a document leaves to its reader.
"""

import asyncio
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

routes = {}


class HTTPException(Exception):
    def __init__(self, status_code, detail=None):
        super().__init__(detail)
        self.status_code = status_code


class App:
    def post(self, path):
        return lambda handler: routes.setdefault(path, handler)


class Request:
    def __init__(self, headers, raw):
        self.headers = headers
        self.raw = raw

    async def body(self):
        return self.raw

    async def json(self):
        return json.loads(self.raw)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            status, answer = 200, asyncio.run(routes[self.path](Request(self.headers, raw)))
        except HTTPException as error:
            status, answer = error.status_code, {"detail": str(error)}
        except Exception as error:
            print(f"{type(error).__name__}: {error}")
            status, answer = 500, None
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


names = {"__name__": "snippet", "app": App(), "Request": Request, "HTTPException": HTTPException, "json": json, "os": os}
for text in [*sys.argv[2:], open(sys.argv[1], encoding="utf-8").read()]:
    exec(compile(text, "snippet", "exec"), names)

server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print("listening", server.server_port)
server.serve_forever()
