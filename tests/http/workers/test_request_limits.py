"""Limits on connections and on work: the last request of a connection, and those beyond what a worker takes."""

import socket
import threading

import pytest
from worker_driver import WorkerThread, ask, connect, hello

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def read_all(sock: socket.socket) -> bytes:
    """What comes until the server closes."""
    received = b""
    while piece := sock.recv(65536):
        received += piece
    return received


def test_the_last_request_of_a_connection_is_answered_with_close():
    with WorkerThread(limit_requests_per_connection=3) as worker, connect(worker.listener) as sock:
        assert all(b"Connection: close" not in ask(sock) for _ in range(2))
        assert b"Connection: close" in ask(sock)
        assert sock.recv(1) == b""


def test_what_is_pipelined_behind_the_last_request_is_not_served():
    with WorkerThread(limit_requests_per_connection=2) as worker, connect(worker.listener) as sock:
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


@pytest.mark.parametrize("limit", [1, 3])
def test_requests_beyond_the_limit_are_turned_away(limit):
    gate = Gate()
    with WorkerThread(gate, limit_concurrency=limit, keepalive=10) as worker:
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


def test_pipelined_requests_count_one_by_one():
    with WorkerThread(limit_concurrency=2) as worker, connect(worker.listener) as sock:
        sock.sendall(REQUEST * 4)
        answer = read_all(sock)
        assert answer.count(b"HTTP/1.1 200") == 2
        assert answer.count(b"HTTP/1.1 503") == 1


def test_by_default_there_is_no_limit():
    with WorkerThread() as worker, connect(worker.listener) as sock:
        sock.sendall(REQUEST * 30)
        for _ in range(300):
            if sock.recv(65536, socket.MSG_PEEK).count(b"200 OK") == 30:
                break
        assert sock.recv(65536).count(b"200 OK") == 30
