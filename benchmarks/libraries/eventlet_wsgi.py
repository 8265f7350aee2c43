"""eventlet.wsgi, which is a library and no command: python eventlet_wsgi.py MODULE:APP PORT."""

# ruff: noqa: E402
import eventlet

eventlet.monkey_patch()

import importlib
import os
import sys

import eventlet.wsgi

sys.path.insert(0, os.getcwd())
module, _, name = sys.argv[1].partition(":")
application = getattr(importlib.import_module(module), name)
listener = eventlet.listen(("127.0.0.1", int(sys.argv[2])), backlog=2048)
eventlet.wsgi.server(listener, application, max_size=4000, log_output=False, keepalive=75)
