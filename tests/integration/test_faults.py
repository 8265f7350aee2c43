"""Clients that misbehave, and a system that has nothing left to give, cost others nothing; nothing is left behind."""

import resource
import select
import selectors
import socket
import sys
from collections.abc import Callable
from itertools import count
from time import monotonic

import pytest

from unicorn_core.testing.server import ServerProcess, wait_until

from .support.process import at_least, descriptors, leave_room, limit, resident

pytestmark = [
    pytest.mark.each_worker_class,
    pytest.mark.skipif(sys.platform != "linux", reason="the system must tell of processes and change their limits"),
]

HEAD = b"GET /hello HTTP/1.1\r\nHost: test\r\nX-Filler: " + b"a" * 500 + b"\r\n\r\n"
HELLO = b"GET /hello HTTP/1.1\r\nHost: test\r\n\r\n"
MANY = 10_000


@pytest.fixture
def start(serve, apps) -> Callable[..., ServerProcess]:
    """A server of wire_app with one worker."""
    return lambda *arguments: serve("", *arguments, application="wire_app:app", cwd=apps)


# Slow clients


def test_500_clients_that_dribble_their_heads_end_with_408_and_delay_nobody(start, wire):
    server = start("--request-head-timeout", "2", "--keep-alive", "30")
    (pid,) = server.worker_pids()
    other = wire(server)
    assert other.get("/hello").body == b"hello"
    before = descriptors(pid)
    slow = {sock.fileno(): sock for sock in (server.connect() for _ in range(500))}
    ends = dict.fromkeys(slow, b"")
    poller = select.poll()
    for fd, sock in slow.items():
        sock.sendall(HEAD[:60])
        poller.register(fd, select.POLLIN)
    wait_until(lambda: len(descriptors(pid)) == len(before) + 500, what="500 connections")
    until = monotonic() + 20
    others = 0
    for at in count(60):
        assert other.get("/hello").body == b"hello"
        others += 1
        for fd, _ in poller.poll(50):
            piece = slow[fd].recv(4096)
            ends[fd] += piece
            if not piece:
                poller.unregister(fd)
                slow.pop(fd).close()
        if not slow:
            break
        assert monotonic() < until, f"{len(slow)} clients still wait"
        for sock in slow.values():
            sock.send(HEAD[at : at + 1])
    assert all(end.startswith(b"HTTP/1.1 408 ") for end in ends.values())
    assert others > 10
    # Fewer, if those of the test before had not quite ended when this one began.
    wait_until(lambda: len(descriptors(pid)) <= len(before), what="the end of their connections")


# Clients that vanish


def in_mid_head(sock: socket.socket) -> None:
    sock.sendall(HEAD[:100])


def in_mid_body(sock: socket.socket) -> None:
    """A large one, which the application reads while it comes."""
    sock.sendall(b"POST /size HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\n" + bytes(1000))


def in_mid_chunk(sock: socket.socket) -> None:
    sock.sendall(b"POST /size HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc")


def in_mid_response(sock: socket.socket) -> None:
    """Larger than the system's buffers, so that a part waits in the server."""
    sock.sendall(b"GET /big?20000000 HTTP/1.1\r\nHost: test\r\n\r\n")
    assert sock.recv(1000)


def in_mid_stream(sock: socket.socket) -> None:
    """Its application is held up between two blocks."""
    sock.sendall(b"GET /big-stream?20000000 HTTP/1.1\r\nHost: test\r\n\r\n")
    assert sock.recv(1000)


def behind_pipelined_requests(sock: socket.socket) -> None:
    sock.sendall(HELLO * 50 + HEAD[:100])


@pytest.mark.parametrize("how", ["closes", "resets"])
@pytest.mark.parametrize(
    "where",
    [in_mid_head, in_mid_body, in_mid_chunk, in_mid_response, in_mid_stream, behind_pipelined_requests],
    ids=lambda function: function.__name__,
)
def test_clients_that_vanish_leave_nothing_behind(shared_server, wire, worker_class, tmp_path, where, how):
    server = shared_server("wire_app:app", "--keep-alive", "60", "--request-body-timeout", "60")
    (pid,) = server.worker_pids()
    known = len(server.output)
    other = wire(server)
    assert other.get("/hello").body == b"hello"
    before = descriptors(pid)
    for _ in range(20):
        vanishing = wire(server)
        where(vanishing.socket)
        vanishing.close() if how == "closes" else vanishing.reset()
    # Fewer, if those of the test before had not quite ended when this one began.
    wait_until(lambda: len(descriptors(pid)) <= len(before), what="the end of their connections")
    assert other.get("/hello").body == b"hello"
    # Every thread is free again.
    threads = int(worker_class.settings.get("threads", 1))
    running = [wire(server) for _ in range(threads)]
    for number, connection in enumerate(running):
        connection.ask(f"/gate?{tmp_path}/go{number}")
        wait_until((tmp_path / f"go{number}.begun").exists, what=f"request {number} beside the others")
    for number, connection in enumerate(running):
        (tmp_path / f"go{number}").touch()
        assert connection.answer().body == b"through"
    assert server.worker_pids() == [pid]
    assert "[ERROR]" not in server.output[known:]


# Very many clients


def test_10000_idle_connections_are_kept(start, wire, worker_class, record_property):
    with at_least(resource.RLIMIT_NOFILE, MANY + 1000) as enough:
        if not enough:
            pytest.skip(f"the limit of open files cannot be raised to {MANY + 1000}")
        server = start("--worker-connections", str(MANY + 100), "--keep-alive", "300")
        (pid,) = server.worker_pids()
        other = wire(server)
        for _ in range(100):
            assert other.get("/hello").body == b"hello"
        before, used = descriptors(pid), resident(pid)
        idle: list[socket.socket] = []
        try:
            for _ in range(MANY):
                idle.append(server.connect())
                idle[-1].sendall(HELLO)
            for sock in idle:
                assert sock.recv(4096).endswith(b"\r\n\r\nhello")
            each = (resident(pid) - used) / MANY
            record_property("bytes_a_connection", round(each))
            print(f"{worker_class.name}: {each:.0f} bytes of memory an idle connection")
            for sock in (*idle[::500], other.socket):
                sock.sendall(HELLO)
                assert sock.recv(4096).endswith(b"\r\n\r\nhello")
        finally:
            for sock in idle:
                sock.close()
        assert each < 16384
        wait_until(lambda: descriptors(pid) == before, what="the end of the connections")
        assert wire(server).get("/hello").body == b"hello"


# Nothing left


def test_without_descriptors_new_clients_wait_and_the_log_says_so_once(start, wire):
    server = start("--keep-alive", "60")
    (pid,) = server.worker_pids()
    kept = wire(server)
    assert kept.get("/hello").body == b"hello"
    leave_room(pid, 10)
    served = [wire(server) for _ in range(10)]
    for connection in served:
        assert connection.get("/hello").body == b"hello"
    waiting = [wire(server) for _ in range(15)]
    for connection in waiting:
        connection.ask("/hello")
    server.wait_for(r"\[ERROR\] Cannot accept connections, they wait: Too many open files \(raise the limit")
    assert kept.get("/hello").body == b"hello"
    # One leaves, one comes in, and the next one waits again.
    served.pop().close()
    with selectors.DefaultSelector() as selector:
        for connection in waiting:
            selector.register(connection.socket, selectors.EVENT_READ)
        assert len(selector.select(10)) == 1
    for connection in served:
        assert connection.get("/hello").body == b"hello"
        connection.close()
    for connection in waiting[:10]:
        assert connection.answer().body == b"hello"
    limit(pid, resource.RLIMIT_NOFILE, 1000)
    for connection in waiting[10:]:
        assert connection.answer().body == b"hello"
    assert server.worker_pids() == [pid]
    assert server.output.count("Cannot accept connections") == 1


def test_a_stop_without_descriptors_is_graceful(start, wire):
    server = start("--keep-alive", "60")
    (pid,) = server.worker_pids()
    leave_room(pid, 1)
    served = wire(server)
    assert served.get("/hello").body == b"hello"
    waiting = wire(server)
    waiting.ask("/hello")
    server.wait_for("Cannot accept connections")
    served.close()
    assert server.stop() == 0
    assert waiting.answer().body == b"hello"
