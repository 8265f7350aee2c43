"""A small WSGI application to try the server with: `./dev run serve`, or here `unicorn hello:app`."""

import os
import platform
from collections.abc import Callable, Iterable
from html import escape
from typing import Any
from urllib.parse import parse_qs

PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Hello from unicorn</title>
<style>
  body {{ font: 1.2rem/1.6 system-ui, sans-serif; max-width: 36rem; margin: 12vh auto; padding: 0 1rem }}
</style>
<h1>Hello, {name}!</h1>
<p>{server} answered <code>{method} {path}</code> from process {pid} on Python {python}.</p>
<form>Who are you? <input name="name" autofocus> <button>Say hello</button></form>
</html>
"""


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Greet the caller: a page for browsers, a line of text for everybody else."""
    name = parse_qs(environ.get("QUERY_STRING", "")).get("name", ["world"])[0]
    if "text/html" in environ.get("HTTP_ACCEPT", ""):
        kind = "text/html"
        text = PAGE.format(
            name=escape(name),
            server=escape(environ.get("SERVER_SOFTWARE", "unicorn")),
            method=escape(environ["REQUEST_METHOD"]),
            path=escape(environ.get("PATH_INFO", "/")),
            pid=os.getpid(),
            python=platform.python_version(),
        )
    else:
        kind = "text/plain"
        text = f"Hello, {name}!\n"
    body = text.encode()
    headers = [("Content-Type", f"{kind}; charset=utf-8"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]
