"""Limits on connections and on work: the last request of a connection, and those beyond what a worker takes."""

import socket
import threading

import pytest
from worker_driver import ask, connect, hello

from unicorn_core.testing.server import wait_until
from unicorn_core.worker.scoreboard import CONNECTIONS, IN_FLIGHT

pytestmark = pytest.mark.each_worker_class

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def read_all(sock: socket.socket) -> bytes:
    """What comes until the server closes."""
    received = b""
    while piece := sock.recv(65536):
        received += piece
    return received


def test_the_last_request_of_a_connection_is_answered_with_close(worker_thread):
    with worker_thread(limit_requests_per_connection=3) as worker, connect(worker.listener) as sock:
        assert all(b"Connection: close" not in ask(sock) for _ in range(2))
        assert b"Connection: close" in ask(sock)
        assert sock.recv(1) == b""


def test_what_is_pipelined_behind_the_last_request_is_not_served(worker_thread):
    with worker_thread(limit_requests_per_connection=2) as worker, connect(worker.listener) as sock:
        sock.sendall(REQUEST * 5)
        assert read_all(sock).count(b"200 OK") == 2
        with connect(worker.listener) as another:
            ask(another)


class Gate:
    """An application whose requests to /wait do not return before the gate is open."""

    def __init__(self):
        self.entered = threading.Event()
        self.open = threading.Event()
        self.served = []

    def __call__(self, environ, start):
        self.served.append(environ["PATH_INFO"])
        if environ["PATH_INFO"] == "/wait":
            self.entered.set()
            assert self.open.wait(10)
        return hello(environ, start)


@pytest.mark.only_worker_class("sync", reason="it counts what has come when its one thread looks")
@pytest.mark.parametrize("limit", [1, 3])
def test_requests_beyond_the_limit_are_turned_away(worker_thread, limit):
    gate = Gate()
    with worker_thread(gate, limit_concurrency=limit, keepalive=10) as worker:
        sockets = [connect(worker.listener) for _ in range(6)]
        for sock in sockets:
            ask(sock)
        with connect(worker.listener) as first:
            first.sendall(REQUEST.replace(b"/ ", b"/wait "))
            assert gate.entered.wait(5)
            gate.served.clear()
            # All of these have come when the worker looks again.
            for sock in sockets:
                sock.sendall(REQUEST)
            gate.open.set()
            answers = [sock.recv(65536) for sock in sockets]
        assert sum(b"200 OK" in answer for answer in answers) == limit == len(gate.served)
        for answer in answers:
            if b"200 OK" not in answer:
                assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
                assert b"\r\nRetry-After: 1\r\n" in answer
                assert b"\r\nConnection: close\r\n" in answer
        for sock in sockets:
            sock.close()
        with connect(worker.listener) as sock:
            ask(sock)


@pytest.mark.only_worker_class("gthread", reason="it looks while requests run, and these count")
@pytest.mark.parametrize("limit", [2, 4])
def test_requests_beyond_the_limit_are_turned_away_while_others_run(worker_thread, limit):
    """With 2 threads; whoever is turned away does not wait for a free one."""
    gate = Gate()
    with worker_thread(gate, threads=2, limit_concurrency=limit, keepalive=10) as worker:
        running = [connect(worker.listener) for _ in range(2)]
        for number, sock in enumerate(running, 1):
            sock.sendall(REQUEST.replace(b"/ ", b"/wait "))
            wait_until(lambda number=number: gate.served.count("/wait") == number, what="the request runs")
        waiting = [connect(worker.listener) for _ in range(limit - 2)]
        for sock in waiting:
            sock.sendall(REQUEST)
            wait_until(lambda: worker.worker.row.cells[CONNECTIONS] >= 2 + len(waiting), what="it has come")
        for _ in range(3):
            with connect(worker.listener) as sock:
                sock.sendall(REQUEST)
                assert sock.recv(65536).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert gate.served == ["/wait"] * 2
        gate.open.set()
        for sock in (*running, *waiting):
            assert b"200 OK" in sock.recv(65536)
            sock.close()
        wait_until(lambda: worker.worker.row.cells[IN_FLIGHT] == 0, what="the end of the requests")
        with connect(worker.listener) as sock:
            ask(sock)


def test_pipelined_requests_count_one_by_one(worker_thread):
    with worker_thread(limit_concurrency=2) as worker, connect(worker.listener) as sock:
        sock.sendall(REQUEST * 4)
        answer = read_all(sock)
        assert answer.count(b"HTTP/1.1 200") == 2
        assert answer.count(b"HTTP/1.1 503") == 1


def test_by_default_there_is_no_limit(worker_thread):
    with worker_thread() as worker, connect(worker.listener) as sock:
        sock.sendall(REQUEST * 30)
        wait_until(lambda: sock.recv(65536, socket.MSG_PEEK).count(b"200 OK") == 30, what="30 answers")
