"""Serves a documented Flask `app`: python3 serve_flask.py SNIPPET. Gives it the `os` that one of them forgets to import."""

import os
import sys

from werkzeug.serving import make_server

snippet = sys.argv[1]
names = {"__name__": "snippet", "os": os}
with open(snippet, encoding="utf-8") as file:
    exec(compile(file.read(), snippet, "exec"), names)

server = make_server("127.0.0.1", 0, names["app"], threaded=True)
print("listening", server.port)
server.serve_forever()
