"""WebSockets at their limits: large and many messages, all kinds of ends, slow sides, a server that stops."""

import asyncio
import base64
import json
import os
import re
import signal
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
import websockets.asyncio.client
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect, unix_connect

from unicorn_core.testing.server import ServerProcess, wait_until

from .support.process import resident
from .support.tls_client import Authority

pytestmark = pytest.mark.only_worker_class("sync", reason="these tests choose the worker class asgi")

MIB = 1 << 20
KEY = base64.b64encode(bytes(16)).decode()
HANDSHAKE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {KEY}")
TEXT_A = b"\x81\x81\0\0\0\0a"
"""A client's frame."""


@pytest.fixture(params=["asyncio", "uvloop"])
def server(
    request: pytest.FixtureRequest,
    shared_server: Callable[..., ServerProcess],
    shows_output: Callable[[ServerProcess], ServerProcess],
) -> ServerProcess:
    arguments = ("-k", "asgi", "--asgi-loop", request.param, "--log-level", "debug")
    return shows_output(shared_server("websocket_app:app", *arguments))


@pytest.fixture
def start(serve, apps) -> Callable[..., ServerProcess]:
    """A server of its own."""
    return lambda *arguments, **options: serve(
        "", "-k", "asgi", *arguments, application="websocket_app:app", cwd=apps, **options
    )


def client(server: ServerProcess, path: str, **options) -> ClientConnection:
    options = {"proxy": None, "open_timeout": 15, "close_timeout": 15} | options
    return connect(f"ws://127.0.0.1:{server.port}/{path}", **options)


def closed_with(socket: ClientConnection) -> tuple[int, str]:
    """Wait for the server's close frame, and answer it."""
    with suppress(ConnectionClosed):
        while True:
            socket.recv(timeout=15)
    received = socket.protocol.close_rcvd
    assert received is not None
    return received.code, received.reason


def push(connection, data: bytes, most: int) -> int:
    """Send data over and over until the server takes nothing more for a second; how many bytes it took."""
    connection.socket.settimeout(1)
    sent = 0
    with suppress(TimeoutError):
        while sent < most:
            sent += connection.socket.send(data[sent % len(data) :])
    connection.socket.settimeout(15)
    return sent


def worker_memory(server: ServerProcess) -> int:
    return resident(server.worker_pids()[-1])


class TestMessages:
    @pytest.mark.parametrize("compression", ["deflate", None])
    def test_one_of_16_mib_is_echoed(self, server, compression):
        message = os.urandom(16 * MIB)
        with client(server, "echo", max_size=None, compression=compression) as socket:
            socket.send(message)
            assert socket.recv(timeout=30) == message

    def test_many_at_once_come_back_in_order(self, server):
        with client(server, "echo") as socket:
            for number in range(2000):
                socket.send(str(number))
            assert [socket.recv(timeout=15) for _ in range(2000)] == [str(number) for number in range(2000)]

    def test_over_tls(self, start, tmp_path):
        authority = Authority(tmp_path)
        server = start("--certfile", str(authority.server()))
        message = os.urandom(MIB)
        options = {"ssl": authority.trusting(), "proxy": None, "max_size": None}

        # Not the client that reads in a thread of its own: before CPython 3.13.1 that hurt writing, in TLS.
        async def talk() -> None:
            url = f"wss://localhost:{server.port}"
            async with websockets.asyncio.client.connect(f"{url}/scope", **options) as socket:
                scope = json.loads(await socket.recv())
                assert scope["scheme"] == "wss"
                assert set(scope["extensions"]) == {"websocket.http.response", "tls"}
                await socket.wait_closed()
                assert (socket.close_code, socket.close_reason) == (1000, "")
            async with websockets.asyncio.client.connect(f"{url}/echo", **options) as socket:
                for _ in range(3):
                    await socket.send(message)
                    assert await socket.recv() == message

        asyncio.run(asyncio.wait_for(talk(), 30))

    def test_on_a_unix_socket(self, start, tmp_path):
        server = start(unix=tmp_path / "sock")
        with unix_connect(server.unix, "ws://test/scope") as socket:
            scope = json.loads(socket.recv(timeout=15))
            assert (scope["client"], scope["scheme"]) == (None, "ws")
            assert closed_with(socket) == (1000, "")


class TestHandshake:
    @pytest.mark.parametrize("path", ["refuses", "denies"])
    def test_the_connection_ends_with_a_refusal(self, server, wire, path):
        connection = wire(server)
        answer = connection.get(f"/{path}", *HANDSHAKE)
        assert answer.status in (401, 403)
        assert answer["connection"] == "close"
        assert connection.rest() == b""

    def test_a_denial_that_does_not_become_complete_is_seen_to_be_cut(self, server, wire):
        connection = wire(server)
        connection.ask("/denies-by-half", *HANDSHAKE)
        assert connection.is_cut()
        assert connection.seen.startswith(b"HTTP/1.1 401 ")
        server.wait_for("GET /denies-by-half: the application returned before its response was complete")

    @pytest.mark.parametrize("early", [TEXT_A, b"\x81\x84\r\n\r\n", b"\x81", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"])
    def test_a_client_that_does_not_wait_for_the_answer_is_refused(self, server, wire, early):
        """RFC 6455 section 4.1."""
        connection = wire(server)
        request = "\r\n".join(["GET /echo HTTP/1.1", "Host: test", *HANDSHAKE, "", ""]).encode()
        connection.send(request + early)
        answer = connection.answer()
        assert (answer.status, answer["connection"]) == (400, "close")
        assert connection.is_cut()
        assert not connection.seen


class TestEnd:
    def test_an_application_that_returns_closes_with_1000(self, server):
        with client(server, "returns") as socket:
            assert closed_with(socket) == (1000, "")

    def test_one_that_exits_closes_with_1011_and_the_worker_goes_on(self, server, wire):
        with client(server, "exits") as socket:
            assert closed_with(socket) == (1011, "")
        server.wait_for(r"(?s)\[ERROR\] Error handling request GET /exits.*SystemExit: the application exits")
        assert wire(server).get("/").body == b"hello"

    def test_one_that_closes_is_told_the_same(self, server):
        with client(server, "closes") as socket:
            assert closed_with(socket) == (4001, "enough")
        server.wait_for("disconnected: 4001 'enough'")

    @pytest.mark.parametrize("leave", ["reset", "close"])
    def test_a_client_that_vanishes_is_told_as_1006(self, server, wire, leave):
        count = server.output.count("disconnected: 1006 ''")
        connection = wire(server)
        connection.ask("/echo", *HANDSHAKE)
        assert b" 101 " in connection.head()
        connection.send(TEXT_A)
        assert connection.exactly(3) == b"\x81\x01a"
        getattr(connection, leave)()
        server.wait_for("disconnected: 1006 ''", count=count + 1)

    def test_also_if_its_last_data_come_with_the_reset(self, server, wire):
        """uvloop tells of the data and then no more."""
        count, clients = server.output.count("disconnected: 1006 ''"), 50
        for _ in range(clients):
            connection = wire(server)
            connection.ask("/echo", *HANDSHAKE)
            assert b" 101 " in connection.head()
            connection.send(TEXT_A[:3])
            connection.reset()
        server.wait_for("disconnected: 1006 ''", timeout=10, count=count + clients)

    def test_an_application_that_does_not_notice_it_is_cancelled(self, server):
        count = server.output.count("cancelled")
        with client(server, "waits"):
            pass
        server.wait_for("cancelled", timeout=15, count=count + 1)
        assert "Error handling request GET /waits" not in server.output

    def test_sending_to_a_client_that_is_gone_raises(self, server):
        with client(server, "sends-late"):
            pass
        server.wait_for(r"ClientDisconnectedError: 'websocket.send' cannot be sent: the WebSocket is closed \(1000\)")

    def test_a_client_that_does_not_answer_a_close_frame_is_left(self, start, wire):
        connection = wire(start(), timeout=30)
        connection.ask("/closes", *HANDSHAKE)
        connection.head()
        assert connection.exactly(10) == b"\x88\x08\x0f\xa1enough"
        began = time.monotonic()
        assert connection.rest() == b""
        assert time.monotonic() - began > 8

    def test_the_access_log_tells_of_it_once(self, start):
        server = start("--access-logfile", "-")
        with client(server, "echo") as socket:
            socket.send("a")
            socket.recv(timeout=15)
        server.wait_for(r'"GET /echo HTTP/1\.1" 101 ')
        with pytest.raises(InvalidStatus), client(server, "refuses"):
            pass
        server.wait_for(r'"GET /refuses HTTP/1\.1" 403 ')
        assert server.output.count('"GET /echo ') == 1


class TestStop:
    @pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
    def test_clients_are_told_1012_when_the_server_stops(self, start, loop):
        server = start("--asgi-loop", loop, "--graceful-timeout", "4")
        with client(server, "echo") as socket, client(server, "waits") as other:
            socket.send("a")
            assert socket.recv(timeout=15) == "a"
            server.wait_for("accepted")
            server.signal(signal.SIGTERM)
            assert closed_with(socket) == (1012, "service restart")
            assert closed_with(other) == (1012, "service restart")
        assert server.wait() == 0
        server.wait_for("disconnected: 1012 'service restart'")

    def test_and_when_it_reloads_while_new_ones_are_served(self, start):
        def newer_than(pid: str) -> ClientConnection:
            """The old worker may take connections until it has heard that it shall not."""
            while (found := client(server, "process")).recv(timeout=15) == pid:
                found.close()
            return found

        server = start("--graceful-timeout", "8")
        with client(server, "process") as old:
            pid = old.recv(timeout=15)
            server.signal(signal.SIGHUP)
            server.wait_for("Reloaded: generation 2 serves")
            with newer_than(pid) as new:
                for socket in (old, new):
                    socket.send("a")
                    assert socket.recv(timeout=15) == "a"
                assert closed_with(old) == (1012, "service restart")
                new.send("b")
                assert new.recv(timeout=15) == "b"

    def test_a_client_that_closes_by_itself_lets_the_server_stop_at_once(self, start):
        server = start("--graceful-timeout", "60")
        with client(server, "echo"):
            server.signal(signal.SIGTERM)
            server.wait_for("Handling signal: term")
        assert server.wait(20) == 0


class TestSlowSides:
    def test_a_client_that_sends_faster_than_the_application_takes_keeps_memory_flat(self, server, wire, tmp_path):
        go = tmp_path / "go"
        connection = wire(server)
        connection.ask(f"/deaf?{go}", *HANDSHAKE)
        assert b" 101 " in connection.head()
        frame = b"\x82\xff" + MIB.to_bytes(8, "big") + bytes(4) + bytes(MIB)
        before = worker_memory(server)
        sent = push(connection, frame, 200 * MIB)
        assert sent < 30 * MIB
        assert worker_memory(server) - before < 30 * MIB
        go.touch()
        connection.send(frame[sent % len(frame) :])
        wanted = (sent // len(frame) + 1) * MIB
        assert connection.until(b"%d" % wanted)

    def test_a_client_that_pings_without_reading_keeps_memory_flat(self, server, wire):
        connection = wire(server)
        connection.ask("/echo", *HANDSHAKE)
        connection.head()
        before = worker_memory(server)
        assert push(connection, (b"\x89\xfd" + bytes(4 + 125)) * 500, 200 * MIB) < 50 * MIB
        assert worker_memory(server) - before < 10 * MIB


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_thousand_idle_ones_are_cheap_and_all_alive(start, loop):
    server = start("--asgi-loop", loop, "--worker-connections", "2000", "--backlog", "2000")
    count, at_once = 1000, 50
    address, options = f"ws://127.0.0.1:{server.port}/echo", {"proxy": None, "open_timeout": 30, "ping_interval": None}

    async def main() -> None:
        open_one = websockets.asyncio.client.connect
        async with open_one(address, **options) as first:
            await first.send("a")
            await first.recv()
            before = worker_memory(server)
            sockets = []
            for _ in range(count // at_once):
                sockets += await asyncio.gather(*(open_one(address, **options) for _ in range(at_once)))
            assert (worker_memory(server) - before) / count < 20_000
            await asyncio.gather(*(socket.send("still here") for socket in sockets))
            assert set(await asyncio.gather(*(socket.recv() for socket in sockets))) == {"still here"}
            await asyncio.gather(*(socket.close() for socket in sockets))

    asyncio.run(asyncio.wait_for(main(), 50))
    wait_until(lambda: len(re.findall("disconnected: 1000", server.output)) >= count, what="that all are closed")
