"""Whatever an operator does to a server of an ASGI application, no request fails: see test_under_load.py."""

import signal
import time
from collections.abc import Callable

import pytest

from unicorn_core.testing.server import ServerProcess, wait_until

from .support.load import DOTS, Load, times
from .support.masters import end_all

pytestmark = pytest.mark.only_worker_class("sync", reason="these tests choose the worker class asgi")

APPLICATION = """
import asyncio, os

DOTS = "." * {dots}


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({{"type": "lifespan.startup.complete"}})
        await receive()
        await send({{"type": "lifespan.shutdown.complete"}})
        return
    if "paused" in scope["path"]:
        await asyncio.sleep(0.01)
    body = f"{version} {{os.getpid()}} {{scope['path']}} {{DOTS}}\\n".encode()
    headers = [(b"Content-Type", b"text/plain"), (b"Content-Length", str(len(body)).encode())]
    await send({{"type": "http.response.start", "status": 200, "headers": headers}})
    await send({{"type": "http.response.body", "body": body}})
"""


@pytest.fixture(params=["asyncio", "uvloop"])
def start(request, serve, tmp_path) -> Callable[..., ServerProcess]:
    started = []

    def start(*arguments: str) -> ServerProcess:
        deploy(tmp_path, "v0")
        words = ("-k", "asgi", "--asgi-loop", request.param, *arguments)
        started.append(serve("", *words))
        return started[-1]

    yield start
    for server in started:
        end_all(server)


def deploy(folder, version: str) -> None:
    (folder / "app.py").write_text(APPLICATION.format(version=version, dots=DOTS))


@pytest.mark.parametrize("strategy", ["all", "rolling"])
def test_reloads_fail_no_request(start, tmp_path, strategy):
    server = start("--workers", "2", "--reload-strategy", strategy)
    with Load(server) as load:
        for number in range(1, times(5) + 1):
            deploy(tmp_path, f"v{number}")
            server.signal(signal.SIGHUP)
            server.wait_for("Reloaded: generation", count=number)
            load.saw(f"v{number}")
    load.flawless()


@pytest.mark.parametrize("options", [(), ("--reuse-port",)], ids=["", "reuse-port"])
def test_recycling_fails_no_request(start, options):
    server = start("--workers", "2", "--max-requests", "50", *options)
    with Load(server) as load:
        wait_until(lambda: len(load.workers) >= times(10), timeout=20, what="10 workers")
    load.flawless()


def test_a_stop_fails_no_request(start):
    server = start("--workers", "2")
    with Load(server, leave_when_refused=True) as load:
        server.signal(signal.SIGTERM)
        load.wait()
    assert server.wait() == 0
    load.flawless(at_least=100)


def burst(server: ServerProcess, number: int) -> float:
    """Ask over so many new connections at the same time; gives the seconds until all have an answer."""
    began = time.monotonic()
    connections = [server.connect(timeout=20) for _ in range(number)]
    for connection in connections:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    for connection in connections:
        assert connection.recv(65536)
    took = time.monotonic() - began
    for connection in connections:
        connection.close()
    return took


def test_who_leaves_a_connection_to_another_worker_does_not_keep_the_next_ones_waiting(start):
    alone = start("--workers", "1")
    one_by_one = sum(burst(alone, 1) for _ in range(64))
    first_bursts = []
    for _ in range(3):
        server = start("--workers", "2")
        wait_until(lambda server=server: len(server.worker_pids()) == 2, what="both workers")
        first_bursts.append(burst(server, 64))
    # On a busy machine one of them may have to wait for the CPU.
    assert min(first_bursts) < 20 * one_by_one, (first_bursts, one_by_one)
