"""The blocking client under gevent and eventlet: greenlets wait for tasks side by side, and may be ended meanwhile."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from unicorn_core.dispatch import Dispatcher

from .support.tasks import APPS, BASIC

PROGRAMS = {
    "gevent": """
from gevent import monkey
monkey.patch_all()
import gevent

def side_by_side(call, count):
    jobs = [gevent.spawn(call) for _ in range(count)]
    gevent.joinall(jobs, raise_error=True)
    return [job.value for job in jobs]

def given_up(call):
    try:
        with gevent.Timeout(0.2):
            call()
    except gevent.Timeout:
        return True
""",
    "eventlet": """
import eventlet
eventlet.monkey_patch()

def side_by_side(call, count):
    jobs = [eventlet.spawn(call) for _ in range(count)]
    return [job.wait() for job in jobs]

def given_up(call):
    try:
        with eventlet.Timeout(0.2):
            call()
    except eventlet.Timeout:
        return True
""",
}
BODY = """
import time
from unicorn_core.dispatch import TaskTimeout, get_client

client = get_client()
app = "task_apps:Basic"
began = time.monotonic()
assert len(side_by_side(lambda: client.execute(app, "nap", 0.5), 4)) == 4
assert time.monotonic() - began < 1.9, "the naps were not side by side"
assert side_by_side(lambda: client.execute(app, "same", 5), 100) == [5] * 100
assert list(client.stream(app, "count", 200)) == list(range(200))
assert sorted(client.map(app, "same", range(50), ordered=False, concurrency=4)) == list(range(50))
large = b"x" * 3_000_000
assert client.execute(app, "same", large) == large
assert given_up(lambda: client.execute(app, "nap", 0.6))
assert client.execute(app, "same", "mine") == "mine"
try:
    client.with_options(timeout=0.2).execute(app, "nap", 0.6)
except TaskTimeout:
    print("fine")
"""


@pytest.mark.parametrize("library", PROGRAMS)
def test_greenlets_wait_side_by_side(library: str, tmp_path: Path) -> None:
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    program = tmp_path / "program.py"
    program.write_text(PROGRAMS[library] + BODY)
    with Dispatcher(apps=[BASIC], workers=4) as dispatcher:
        environment = {**os.environ, "UNICORN_DISPATCH_SOCKET": dispatcher._endpoint.path, "PYTHONPATH": str(APPS)}
        done = subprocess.run([sys.executable, program], env=environment, capture_output=True, text=True, timeout=50)
    assert done.stdout.strip() == "fine", done.stderr
