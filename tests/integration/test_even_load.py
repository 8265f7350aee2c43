"""Of several workers on one listener a busy one lets an idle one accept."""

import threading
from collections.abc import Callable

import pytest

from unicorn_core.testing.server import ServerProcess, wait_until

# The path is the number of milliseconds that the application takes.
SOURCE = """
import os, time

def app(environ, start_response):
    time.sleep(int(environ["PATH_INFO"][1:]) / 1000)
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
"""


@pytest.fixture
def start(serve) -> Callable[..., ServerProcess]:
    def start(workers: int, *arguments: str) -> ServerProcess:
        server = serve(SOURCE, "--workers", str(workers), *arguments)
        wait_until(lambda: len(server.worker_pids()) == workers, what="all workers")
        return server

    return start


def at_once(server: ServerProcess, wire, path: str, number: int) -> list[bytes]:
    """Ask over so many new connections at the same time; gives the pids that answered."""
    together = threading.Barrier(number)
    pids: list[bytes] = []

    def ask() -> None:
        together.wait(10)
        connection = wire(server)
        pids.append(connection.get(path).body)
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return pids


@pytest.mark.only_worker_class("sync", reason="one request at a time")
@pytest.mark.parametrize(("workers", "tries"), [(2, 30), (4, 10)])
def test_parallel_slow_requests_meet_on_different_workers(start, wire, workers, tries):
    server = start(workers)
    for _ in range(tries):
        pids = at_once(server, wire, "/200", workers)
        assert len(set(pids)) == len(pids) == workers, pids


@pytest.mark.only_worker_class("sync", reason="one request at a time")
def test_slow_requests_that_come_one_after_the_other_meet_on_different_workers(start, wire):
    server = start(2)
    for _ in range(10):
        first, second = wire(server), wire(server)
        first.ask("/100")
        second.ask("/100")
        assert first.answer().body != second.answer().body
        first.close()
        second.close()


def test_connections_without_a_request_do_not_keep_requests_from_being_spread(start, wire):
    server = start(2)
    silent = [wire(server) for _ in range(4)]
    spread = [len(set(at_once(server, wire, "/100", 2))) == 2 for _ in range(5)]
    # On a busy machine the idle one may not get the CPU before the other has stepped back for long enough.
    assert spread.count(True) >= 4, spread
    for connection in silent:
        connection.close()


def test_a_worker_that_is_stopped_keeps_no_connection_waiting(start, wire):
    """It looks idle, so that the others let it accept first, but not for long."""
    import os
    import signal

    server = start(2)
    stopped = server.worker_pids()[0]
    os.kill(stopped, signal.SIGSTOP)
    try:
        for _ in range(5):
            silent, asking = wire(server), wire(server)
            assert asking.get("/20").body != str(stopped).encode()
            silent.close()
            asking.close()
    finally:
        os.kill(stopped, signal.SIGCONT)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_fast_application_keeps_its_connections(start, wire, workers):
    server = start(workers)
    connection = wire(server)
    assert [connection.get("/0")["connection"] for _ in range(200)] == [None] * 200


@pytest.mark.only_worker_class("sync", reason="one request at a time")
def test_a_slow_application_on_several_workers_ends_its_connections(start, wire):
    server = start(2)
    for _ in range(3):
        connection = wire(server)
        answers = 1
        while connection.get("/40")["connection"] is None:
            answers += 1
            assert answers < 20
        assert connection.rest() == b""


def test_a_slow_application_on_a_single_worker_keeps_its_connections(start, wire):
    server = start(1)
    connection = wire(server)
    assert [connection.get("/40")["connection"] for _ in range(10)] == [None] * 10


def test_an_application_that_was_slow_and_is_fast_again_keeps_its_connections(start, wire):
    server = start(2)
    for _ in range(6):
        wire(server).get("/100", "Connection: close")

    def kept() -> bool:
        connection = wire(server)
        return all(connection.get("/0")["connection"] is None for _ in range(3))

    wait_until(kept, what="kept connections")
