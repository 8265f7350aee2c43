"""A server that stops answers whom it has let in, and lets nobody in whom it would not answer."""

import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest

from unicorn_core.testing.server import ServerProcess, wait_until

pytestmark = pytest.mark.each_worker_class

REQUEST = b"GET /hello HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"


@pytest.fixture
def start(serve, apps) -> Callable[..., ServerProcess]:
    """A server of wire_app."""
    return lambda *arguments, **options: serve("", *arguments, application="wire_app:app", cwd=apps, **options)


class Storm:
    """One-shot clients in many threads, each asking over connection after connection until one is turned away.

    Attributes:
        outcomes: how often what happened.
    """

    def __init__(self, server: ServerProcess, clients: int = 24) -> None:
        self.outcomes: Counter[str] = Counter()
        self._server = server
        self._threads = [threading.Thread(target=self._ask_on) for _ in range(clients)]

    def __enter__(self) -> "Storm":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        for thread in self._threads:
            thread.join(30)

    def _ask_on(self) -> None:
        outcome = "answered"
        while outcome == "answered":
            outcome = self._ask()
            self.outcomes[outcome] += 1

    def _ask(self) -> str:
        try:
            connection = self._server.connect(timeout=8)
        except (ConnectionRefusedError, FileNotFoundError, TimeoutError):
            return "turned away"
        with connection:
            try:
                connection.sendall(REQUEST)
                answer = b"".join(iter(lambda: connection.recv(65536), b""))
            except OSError as error:
                return f"{type(error).__name__} on a connection"
        return "answered" if answer.endswith(b"\r\n\r\nhello") else f"the answer {answer!r}"


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="elsewhere than on Linux nothing keeps new clients out")
@pytest.mark.parametrize("round_", range(3))
@pytest.mark.parametrize(("listener", "workers"), [("tcp", "1"), ("tcp", "3"), ("unix", "1"), ("unix", "3")])
def test_term_under_a_storm_of_new_connections_resets_none(start, tmp_path, listener, workers, round_):
    server = start("--workers", workers, unix=tmp_path / "s" if listener == "unix" else None)
    with Storm(server) as storm:
        wait_until(lambda: storm.outcomes["answered"] > 200, what="a storm")
        assert server.stop() == 0
    assert set(storm.outcomes) == {"answered", "turned away"}, storm.outcomes


@pytest.mark.only_worker_class("sync", reason="where several requests run at a time one worker may be done with all")
def test_term_serves_the_accept_queue_by_all_workers(serve, wire):
    source = """
import os, time

def app(environ, start_response):
    time.sleep(0.1)
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
"""
    server = serve(source, "--workers", "2")
    queued = []
    for _ in range(12):
        queued.append(wire(server))
        queued[-1].ask("/")
    server.signal(signal.SIGTERM)
    shares = Counter(connection.answer().body for connection in queued)
    assert server.wait() == 0
    assert sum(shares.values()) == 12
    assert len(shares) == 2
    assert min(shares.values()) >= 4, shares


def test_a_worker_that_leaves_alone_does_not_close_the_door_behind_it(start, wire):
    """Listeners are shared: what one worker does to them when it leaves would hold for all."""
    server = start("--workers", "2")
    server.signal(signal.SIGTTOU)
    wait_until(lambda: len(server.worker_pids()) == 1, what="one worker")
    assert [wire(server).get("/hello").body for _ in range(20)] == [b"hello"] * 20


def test_a_stop_without_clients_is_quick(start):
    server = start("--workers", "2")
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 2
