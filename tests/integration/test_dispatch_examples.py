"""The examples of the dispatcher do what they say, with every worker class that is installed."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from unicorn_core import plugins
from unicorn_core.testing.plugins import importable
from unicorn_core.testing.server import ServerProcess

from .support.tasks import in_threads

EXAMPLES = Path(__file__).parents[2] / "examples" / "dispatch"
OPTIONS = ("--dispatch-app", "tasks:Reports", "--dispatch-app", "tasks:Scores", "--dispatch-workers", "3")
CLASSES = importable(plugins.WORKERS)
Serve = Callable[..., ServerProcess]


@pytest.mark.parametrize("kind", ["sync", "gthread", "gevent", "eventlet"])
def test_a_wsgi_application_calls_tasks(serve: Serve, kind: str) -> None:
    if kind not in CLASSES:
        pytest.skip(f"{kind} is not installed")
    server = serve("", *OPTIONS, "-k", kind, application="web:app", cwd=EXAMPLES)
    server.wait_for("Dispatcher ready")
    assert json.loads(server.get("/report?name=x"))["name"] == "x"
    assert server.get("/score?text=abc") == b"3\n"
    assert b"line 19" in server.get("/lines")
    assert server.stop() == 0


def test_an_asgi_application_calls_tasks(serve: Serve) -> None:
    if "asgi" not in CLASSES:
        pytest.skip("asgi is not installed")
    server = serve("", *OPTIONS, "-k", "asgi", application="web_async:app", cwd=EXAMPLES)
    server.wait_for("Dispatcher ready")
    futures = in_threads([lambda number=number: server.get(f"/?name={number}") for number in range(9)])
    assert all(f'"{number}"'.encode() in future.result(20) for number, future in enumerate(futures))
    assert b"line 19" in server.get("/lines")
    assert server.stop() == 0


@pytest.mark.parametrize(("kind", "application"), [("gthread", "web:app"), ("asgi", "web_async:app")])
def test_a_full_queue_becomes_503_with_retry_after(serve: Serve, kind: str, application: str) -> None:
    if kind not in CLASSES:
        pytest.skip(f"{kind} is not installed")
    options = ("--dispatch-app", "tasks:Reports", "--dispatch-workers", "1", "--dispatch-queue-size", "1")
    server = serve("", *options, "-k", kind, "--threads", "8", application=application, cwd=EXAMPLES)
    server.wait_for("Dispatcher ready")
    request = b"GET /report HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
    answers = [future.result(20) for future in in_threads([lambda: server.exchange(request)] * 8)]
    refused = [answer for answer in answers if answer.startswith(b"HTTP/1.1 503 ")]
    assert refused
    assert all(b"retry-after: 1" in answer.lower() for answer in refused)
    assert b"the queue is full" in refused[0]
    assert any(answer.startswith(b"HTTP/1.1 200 ") for answer in answers)


def test_a_program_without_a_server_shows_its_progress() -> None:
    command = [sys.executable, "progress.py", "8"]
    done = subprocess.run(command, cwd=EXAMPLES, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    assert "8 of 8" in done.stdout
    assert "8 reports of 0.2 s each took" in done.stdout
