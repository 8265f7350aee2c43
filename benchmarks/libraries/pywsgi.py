"""gevent.pywsgi, which is a library and no command: python pywsgi.py MODULE:APP PORT."""

# ruff: noqa: E402
from gevent import monkey

monkey.patch_all()

import importlib
import os
import sys

from gevent.pywsgi import WSGIServer

sys.path.insert(0, os.getcwd())
module, _, name = sys.argv[1].partition(":")
application = getattr(importlib.import_module(module), name)
WSGIServer(("127.0.0.1", int(sys.argv[2])), application, backlog=2048, log=None).serve_forever()
