"""Threads that share a poller: whatever they do at the same time, answers are right, counts agree, nothing is left."""

import gc
import os
import random
import re
import socket
import sys
import threading
import time
from collections import Counter

import pytest
from worker_driver import WorkerThread, ask, connect, hello

from unicorn_core.testing.server import wait_until
from unicorn_core.worker.messages import Drain
from unicorn_core.worker.scoreboard import CONNECTIONS, IN_FLIGHT, REQUESTS

HEAD = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n")
LENGTH = re.compile(rb"^Content-Length: (\d+)\r$", re.MULTILINE)
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can keep new clients out, and tells descriptors")


class Application:
    """Sleeps as its query says and answers with its path and a tail.

    Attributes:
        calls: how often it was called.
        running, most: how many requests run at the moment, and ran at most.
    """

    def __init__(self):
        self.calls = self.running = self.most = 0
        self._lock = threading.Lock()

    def __call__(self, environ, start):
        with self._lock:
            self.calls += 1
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            milliseconds, size, form = environ["QUERY_STRING"].split(",")
            time.sleep(int(milliseconds) / 1000)
            if form == "raise":
                raise RuntimeError("asked for")
        finally:
            with self._lock:
                self.running -= 1
        body = tail(environ["PATH_INFO"], int(size))
        start("200 OK", [("Content-Length", str(len(body)))])
        return [body] if form == "whole" else iter([body[:7], body[7:]])


def tail(path: str, size: int) -> bytes:
    return f"{path} ".encode() + b"." * size


class Client(threading.Thread):
    """Asks in every way until it is told to stop or nobody is there any more.

    Attributes:
        seen: how often what happened.
        wrong: what must not happen.
    """

    def __init__(self, address, number, stop):
        super().__init__()
        self.seen = Counter()
        self.wrong = []
        self._address, self._number, self._until = address, number, stop
        self._random = random.Random(number)
        self._asked = 0
        self._socket = None
        self._seen = b""

    def run(self):
        try:
            while not self._until.is_set() and self._connect():
                self._use()
                self._socket.close()
        except Exception as error:  # told by the main thread
            self.wrong.append(f"client {self._number}: {error!r} after {self._asked} requests")

    def _connect(self):
        try:
            self._socket = socket.create_connection(self._address, 5)
        except OSError:
            self.seen["turned away"] += 1
            return False
        self._seen = b""
        return True

    def _use(self):
        """Requests over one connection, until one of both sides ends it."""
        for _ in range(self._random.randrange(1, 12)):
            wanted = [self._request() for _ in range(self._random.choice((1, 1, 1, 2, 5)))]
            wire = b"".join(request for request, _, _ in wanted)
            if self._random.random() < 0.08:
                self._abort(wire)
                return
            self._socket.sendall(wire)
            for at, (_, status, body) in enumerate(wanted):
                if self._answer(status, body):
                    self.seen["told to close"] += 1
                    # What was sent behind the last answer is not served; what was answered is right so far.
                    self.seen["unanswered"] += len(wanted) - at - 1
                    assert self._socket.recv(1) == b""
                    return
            assert not self._seen, self._seen[:80]

    def _request(self):
        draw = self._random
        self._asked += 1
        path = f"/{self._number}-{self._asked}"
        milliseconds = draw.choice((0, 0, 0, 0, 1, 2, 5, 20))
        size = draw.choice((1, 1, 1, 3000, 200_000))
        form = draw.choice(("whole", "whole", "pieces", "raise" if draw.random() < 0.2 else "whole"))
        line = f"GET {path}?{milliseconds},{size},{form} HTTP/1.1\r\nHost: a\r\n\r\n"
        return line.encode(), 500 if form == "raise" else 200, tail(path, size)

    def _abort(self, wire):
        self.seen["aborted"] += 1
        self._socket.sendall(wire[: self._random.randrange(1, len(wire) + 1)])
        time.sleep(self._random.choice((0, 0.002, 0.01)))
        if self._random.random() < 0.5:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    def _answer(self, status, body):
        """Read an answer and check it; True if it says that it is the last one."""
        while (head := HEAD.match(self._seen)) is None:
            self._more()
        size = int(LENGTH.search(head[2])[1])
        while len(self._seen) < head.end() + size:
            self._more()
        got, self._seen = self._seen[head.end() : head.end() + size], self._seen[head.end() + size :]
        assert int(head[1]) == status, (head[0], got[:80])
        assert status != 200 or got == body, (got[:80], body[:80])
        self.seen[f"answered {status}"] += 1
        return b"Connection: close" in head[2]

    def _more(self):
        piece = self._socket.recv(65536)
        assert piece, f"the connection ended; it had brought {self._seen[:80]!r}"
        self._seen += piece


@pytest.fixture
def eager_switches():
    """Threads are interrupted far more often than usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.00005)
    yield
    sys.setswitchinterval(before)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@linux
@pytest.mark.usefixtures("eager_switches")
@pytest.mark.parametrize(("threads", "drains"), [(2, True), (8, False), (8, True), (30, True)])
def test_many_threads_and_clients_at_once(threads, drains):
    application, stop = Application(), threading.Event()
    before = threading.active_count()
    draw = random.Random(threads)
    with WorkerThread(application, threads=threads, keepalive=20, worker_connections=200) as worker:
        ask_once(worker)
        wait_until(lambda: worker.worker.row.cells[CONNECTIONS] == 0, what="an idle worker")
        gc.collect()
        open_before = descriptors()
        address = worker.listener.socket.getsockname()
        clients = [Client(address, number, stop) for number in range(24)]
        for client in clients:
            client.start()
        enough = draw.uniform(0.7, 1.0)
        wait_until(lambda: application.calls > 300, timeout=20, what="300 requests")
        time.sleep(enough)
        if drains:
            worker.listener.turn_away()
            worker.tell(Drain(ends=True))
        else:
            stop.set()
        for client in clients:
            client.join(20)
        assert [wrong for client in clients for wrong in client.wrong] == []
        seen = sum((client.seen for client in clients), Counter())
        assert seen["answered 200"] > 200, seen
        assert seen["answered 500"], seen
        assert seen["aborted"], seen
        assert application.most <= threads
        if drains:
            assert seen["turned away"] == len(clients)
        else:
            cells = worker.worker.row.cells
            wait_until(lambda: cells[CONNECTIONS] == cells[IN_FLIGHT] == 0, what="the end of all connections")
            gc.collect()
            assert descriptors() == open_before
    assert worker.worker.row.cells[REQUESTS] == application.calls
    assert worker.worker.row.cells[IN_FLIGHT] == 0
    assert threading.active_count() == before


def ask_once(worker: WorkerThread) -> None:
    with connect(worker.listener) as sock:
        sock.sendall(b"GET /first?0,1,whole HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert b"/first ." in b"".join(iter(lambda: sock.recv(65536), b""))


class Gates:
    """An application whose requests to /<name> wait until that gate is open."""

    def __init__(self):
        self.entered = Counter()
        self.gates = {}

    def gate(self, name):
        return self.gates.setdefault(name, threading.Event())

    def __call__(self, environ, start):
        name = environ["PATH_INFO"][1:]
        if name:
            self.entered[name] += 1
            assert self.gate(name).wait(10)
        return hello(environ, start)


def test_what_waits_for_a_thread_is_served_as_soon_as_one_is_free():
    """The thread that comes back calls the leader, who would otherwise sleep in the poller for half a second."""
    waits = []
    for _ in range(4):
        gates = Gates()
        with (
            WorkerThread(gates, worker_class="gthread", threads=1, keepalive=20) as worker,
            connect(worker.listener) as waiting,
        ):
            ask(waiting)
            with connect(worker.listener) as slow:
                slow.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
                wait_until(lambda gates=gates: gates.entered["slow"], what="the slow request")
                waiting.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                time.sleep(0.1)  # the leader has taken it in and waits again
                began = time.monotonic()
                gates.gate("slow").set()
                assert waiting.recv(65536).endswith(b"hello")
                waits.append(time.monotonic() - began)
                assert slow.recv(65536).endswith(b"hello")
    assert min(waits) < 0.2, waits
