"""The server started from a program: settings and application come from the code, not from a command line.

    python examples/embedded.py

unicorn-http is needed for the worker class.
"""

import sys
from collections.abc import Callable, Iterable
from typing import Any

from unicorn_core import BaseApplication


def hello(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """A WSGI application."""
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"Hello from a server with {environ['hello.workers']} workers\n".encode()]


class Site(BaseApplication):
    """Serves `hello` with the given settings."""

    def __init__(self, options: dict[str, object]) -> None:
        super().__init__()
        self.options = options

    def load_config(self) -> None:
        for name, value in self.options.items():
            self.set(name, value)

    def load(self) -> Callable[..., Any]:
        workers = self.options.get("workers", 1)

        def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            return hello(environ | {"hello.workers": workers}, start_response)

        return application


if __name__ == "__main__":
    Site({"bind": sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:8000", "workers": 2}).run()
