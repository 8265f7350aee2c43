"""WebSockets through the running server, on both loops, with the client of the library `websockets` and by hand."""

import json
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from unicorn_core.testing.server import ServerProcess, wait_until

pytestmark = pytest.mark.only_worker_class("sync", reason="these tests choose the worker class asgi")

HANDSHAKE = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
VERSION = "Sec-WebSocket-Version: 13"


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def server(
    loop: str,
    shared_server: Callable[..., ServerProcess],
    shows_output: Callable[[ServerProcess], ServerProcess],
) -> ServerProcess:
    return shows_output(shared_server("asgi_app:app", "-k", "asgi", "--asgi-loop", loop, "--log-level", "debug"))


@pytest.fixture
def start(serve, apps, loop) -> Callable[..., ServerProcess]:
    """A server of its own."""
    return lambda *arguments: serve(
        "", "-k", "asgi", "--asgi-loop", loop, *arguments, application="asgi_app:app", cwd=apps
    )


@pytest.fixture
def client() -> Iterator[Callable[..., ClientConnection]]:
    """Open WebSockets: `client(server, path)`."""
    with ExitStack() as opened:

        def open_one(server: ServerProcess, path: str = "/websocket", **options: Any) -> ClientConnection:
            options = {"proxy": None, "max_size": None, "open_timeout": 15} | options
            return opened.enter_context(connect(f"ws://127.0.0.1:{server.port}{path}", **options))

        yield open_one


@pytest.mark.parametrize("compression", [None, "deflate"])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 16 << 20])
def test_messages_come_back_as_they_were_sent(server, client, size, compression):
    websocket = client(server, compression=compression)
    assert ("Sec-WebSocket-Extensions" in websocket.response.headers) == (compression == "deflate")
    text = ("grün" * (size // 5 + 1)).encode()[:size].decode(errors="ignore")
    for message in (text, bytes(range(256)) * (size // 256) + b"x" * (size % 256)):
        websocket.send(message)
        assert websocket.recv(timeout=20) == message


def test_fragments_are_joined(server, client):
    websocket = client(server)
    websocket.send(iter(["gr", "ü", "n" * 1000]))
    assert websocket.recv(timeout=10) == "grü" + "n" * 1000


def test_pings_are_answered(server, client):
    assert client(server).ping("are you there").wait(10)


def test_the_scope_of_a_websocket(server, client):
    websocket = client(server, "/websocket-scope", subprotocols=["chat", "other"])
    assert websocket.response.headers["x-app"] == "1"
    assert json.loads(websocket.recv(timeout=10)) == {
        "type": "websocket",
        "path": "/websocket-scope",
        "scheme": "ws",
        "subprotocols": ["chat", "other"],
        "http_version": "1.1",
        "method": False,
    }


def test_a_subprotocol_is_agreed_upon(server, client):
    assert client(server, "/websocket?chat", subprotocols=["chat"]).subprotocol == "chat"


@pytest.mark.parametrize(("order", "code", "reason"), [("close", 4001, "as you wish"), ("return", 1000, "")])
def test_the_application_closes(server, client, order, code, reason):
    websocket = client(server)
    websocket.send(order)
    with pytest.raises(ConnectionClosed) as closed:
        websocket.recv(timeout=10)
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (code, reason)


def test_an_application_that_raises_closes_with_1011(server, client):
    websocket = client(server)
    websocket.send("boom")
    with pytest.raises(ConnectionClosed) as closed:
        websocket.recv(timeout=10)
    assert closed.value.rcvd.code == 1011
    server.wait_for(r"Error handling request GET /websocket[\s\S]*RuntimeError: a fault in a websocket")


def test_the_application_is_told_why_the_client_closes(server, client):
    client(server).close(4005, "enough")
    server.wait_for("websocket closed: 4005 'enough'")


def test_the_application_is_told_that_the_client_vanished(server, client):
    websocket = client(server)
    websocket.socket.shutdown(socket.SHUT_RDWR)
    server.wait_for("websocket closed: 1006 ''")


# Handshakes


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/websocket-refused", 403, b"403 Forbidden\n"),
        ("/websocket-denied", 418, b"teapot"),
        ("/websocket-boom", 500, b"500 Internal Server Error\n"),
        ("/nothing", 500, b"500 Internal Server Error\n"),
    ],
)
def test_a_handshake_that_is_not_accepted_is_answered_by_http(server, client, path, status, body):
    with pytest.raises(InvalidStatus) as refused:
        client(server, path)
    assert refused.value.response.status_code == status
    assert refused.value.response.body == body


def test_another_version_is_answered_426(server, wire):
    connection = wire(server)
    answer = connection.get("/websocket", *HANDSHAKE, "Sec-WebSocket-Version: 8")
    assert (answer.status, answer["sec-websocket-version"], answer["upgrade"]) == (426, "13", "websocket")
    assert connection.rest() == b""


@pytest.mark.parametrize(
    "fields",
    [
        (*HANDSHAKE[:2], VERSION),
        (*HANDSHAKE[:2], "Sec-WebSocket-Key: short", VERSION),
        (*HANDSHAKE, VERSION, "Content-Length: 1"),
    ],
)
def test_a_malformed_handshake_is_answered_400(server, wire, fields):
    assert wire(server).get("/websocket", *fields, body=b"x" if "Content-Length: 1" in fields else b"").status == 400


def test_a_handshake_by_hand(server, wire):
    connection = wire(server)
    connection.ask("/websocket", *HANDSHAKE, VERSION)
    head = connection.head()
    assert head.startswith(b"HTTP/1.1 101 Switching Protocols")
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
    connection.send(b"\x81\x83\0\0\0\0abc")
    assert connection.exactly(5) == b"\x81\x03abc"
    connection.send(b"\x88\x82\0\0\0\0\x03\xe8")
    assert connection.rest() == b"\x88\x02\x03\xe8"


def test_requests_that_ask_for_another_protocol_are_served_by_http(server, wire):
    connection = wire(server)
    assert connection.get("/hello", "Upgrade: h2c", "Connection: Upgrade").body == b"hello"
    assert connection.get("/hello", "Upgrade: websocket").body == b"hello"


# What a client does wrong


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x81\x83\0\0\0\0\xffab", 1007),  # no UTF-8
        (b"\x81\x03abc", 1002),  # not masked
        (b"\x83\x80\0\0\0\0", 1002),  # a reserved opcode
        (b"\xc1\x80\0\0\0\0", 1002),  # a reserved bit
        (b"\x80\x80\0\0\0\0", 1002),  # a continuation of nothing
        (b"\x09\x80\0\0\0\0", 1002),  # a ping in fragments
        (b"\x88\x81\0\0\0\0a", 1002),  # a close frame of one byte
        (b"\x88\x82\0\0\0\0\x03\xed", 1002),  # a code that must not be sent
    ],
)
def test_a_fault_of_the_client_closes_with_the_right_code(server, wire, frame, code):
    connection = wire(server)
    connection.ask("/websocket", *HANDSHAKE, VERSION)
    connection.head()
    connection.send(frame)
    rest = connection.rest()
    assert rest[0] == 0x88
    assert int.from_bytes(rest[2:4], "big") == code
    server.wait_for(f"websocket closed: {code}")


def test_a_message_that_is_too_large_closes_with_1009(start, client):
    server = start("--websocket-max-message-size", "1K")
    websocket = client(server, compression="deflate")
    websocket.send("x" * 1024)
    assert websocket.recv(timeout=10) == "x" * 1024
    websocket.send("x" * 1_000_000)
    with pytest.raises(ConnectionClosed) as closed:
        websocket.recv(timeout=10)
    assert closed.value.rcvd.code == 1009


def test_compression_can_be_switched_off(start, client):
    websocket = client(start("--no-websocket-compression"))
    assert "Sec-WebSocket-Extensions" not in websocket.response.headers


def test_a_silent_client_is_pinged_and_in_the_end_closed(start, wire):
    server = start("--websocket-ping-interval", "1", "--websocket-ping-timeout", "1")
    connection = wire(server)
    connection.ask("/websocket", *HANDSHAKE, VERSION)
    connection.head()
    assert connection.exactly(2) == b"\x89\x00"
    rest = connection.rest()
    assert int.from_bytes(rest[2:4], "big") == 1011


# Slow sides


def test_a_client_that_does_not_read_makes_the_application_wait(server, wire):
    connection = wire(server)
    connection.ask("/websocket", *HANDSHAKE, VERSION)
    connection.head()
    before = server.output.count("flooded")
    connection.send(b"\x81\x85\0\0\0\0flood")
    assert wire(server).get("/hello").body == b"hello"
    assert int(wire(server).get("/rss").body) < 200 << 20
    assert server.output.count("flooded 2000") == 0
    received = 0
    while received < 2000 * (65536 + 10):
        data = connection.socket.recv(1 << 20)
        assert data
        received += len(data)
    wait_until(lambda: server.output.count("flooded") == before + 4, what="the end of the flood")


def test_an_application_that_does_not_read_makes_the_client_wait(server, wire, tmp_path):
    path = tmp_path / "go"
    connection = wire(server)
    connection.ask(f"/websocket-slow?{path}", *HANDSHAKE, VERSION)
    connection.head()
    frame = b"\x82\xff" + (65536).to_bytes(8, "big") + b"\0\0\0\0" + bytes(65536)
    before = int(wire(server).get("/rss").body)
    connection.socket.settimeout(0.5)
    sent = 0
    try:
        while sent < 200 << 20:
            sent += connection.socket.send(frame[sent % len(frame) :])
    except TimeoutError:
        pass
    assert sent < 100 << 20
    assert int(wire(server).get("/rss").body) - before < 8 << 20
    path.touch()
    connection.socket.settimeout(15)
    connection.send(frame[sent % len(frame) :] + b"\x88\x82\0\0\0\0\x03\xe8")
    assert connection.rest()[0] == 0x88
    server.wait_for(rf"received {(sent // len(frame) + 1) * 65536}\b")


# Lives of workers


def test_at_the_end_of_a_drain_websockets_are_told_to_go(start, client):
    server = start("--graceful-timeout", "4")
    websocket = client(server)
    websocket.send("hello")
    assert websocket.recv(timeout=10) == "hello"
    server.signal(signal.SIGTERM)
    websocket.send("still there")
    assert websocket.recv(timeout=10) == "still there"
    with pytest.raises(ConnectionClosed) as closed:
        websocket.recv(timeout=10)
    assert closed.value.rcvd.code == 1012
    assert server.wait() == 0
    assert "websocket closed: 1012" in server.output
    assert "lifespan over" in server.output


def test_many_websockets_echo_while_http_goes_on(server, wire):
    connections = [wire(server) for _ in range(300)]
    for connection in connections:
        connection.ask("/websocket", *HANDSHAKE, VERSION)
    for connection in connections:
        assert b"101" in connection.head()
    http = wire(server)
    for number in range(5):
        for connection in connections:
            connection.send(b"\x81\x83\0\0\0\0abc")
        assert http.get("/hello").body == b"hello"
        for connection in connections:
            assert connection.exactly(5) == b"\x81\x03abc", number
