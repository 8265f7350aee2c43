"""TLS and the PROXY protocol under the worker class `asgi`, on both loops."""

import asyncio
import json
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from unicorn_core.testing.server import ServerProcess

from .conftest import Wire
from .support.tls_client import Authority

pytestmark = pytest.mark.only_worker_class("sync", reason="these tests choose the worker class asgi")

CHUNK = bytes(range(256)) * 256
V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 1234 443\r\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def certificate(authority) -> Path:
    return authority.server()


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def server(
    loop: str,
    authority: Authority,
    certificate: Path,
    shared_server: Callable[..., ServerProcess],
    shows_output: Callable[[ServerProcess], ServerProcess],
) -> ServerProcess:
    tls = ("--certfile", str(certificate), "--ca-certs", str(authority.file), "--cert-reqs", "optional")
    return shows_output(shared_server("asgi_app:app", "-k", "asgi", "--asgi-loop", loop, *tls, "--keep-alive", "20"))


class SecureWire(Wire):
    """A Wire over TLS; `before` is sent in front of it."""

    def __init__(self, server: ServerProcess, context: ssl.SSLContext, before: bytes = b"") -> None:
        sock = server.connect(15.0)
        sock.sendall(before)
        self.socket = context.wrap_socket(sock, server_hostname="localhost", suppress_ragged_eofs=False)
        self.seen = b""


@pytest.fixture
def secure(authority) -> Iterator[Callable[..., SecureWire]]:
    """Open connections over TLS: `secure(server)`."""
    opened: list[SecureWire] = []

    def connect(server: ServerProcess, context: ssl.SSLContext | None = None, **options) -> SecureWire:
        opened.append(SecureWire(server, context or authority.trusting(), **options))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


def test_a_connection_serves_many_requests(server, secure):
    connection = secure(server)
    for _ in range(3):
        assert connection.get("/hello").body == b"hello"
    connection.send(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n" * 50)
    assert all(connection.answer().body == b"hello" for _ in range(50))


def test_the_scope_tells_of_tls(server, secure, authority):
    seen = json.loads(secure(server, authority.trusting(version=ssl.TLSVersion.TLSv1_3)).get("/scope").body)
    assert seen["scheme"] == "https"
    tls = seen["extensions"]["tls"]
    assert (tls["tls_version"], tls["client_cert_name"], tls["client_cert_chain"]) == (0x0304, None, [])
    assert tls["cipher_suite"] in (0x1301, 0x1302, 0x1303)
    assert "http.response.zerocopysend" not in seen["extensions"]


def test_the_scope_tells_of_a_clients_certificate(server, secure, authority):
    context = authority.trusting(authority.client("Ada"))
    tls = json.loads(secure(server, context).get("/scope").body)["extensions"]["tls"]
    assert tls["client_cert_name"].startswith("CN=Ada")
    assert tls["client_cert_chain"][0].startswith("-----BEGIN CERTIFICATE-----")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_large_bodies_pass_both_ways(server, secure, authority, version):
    connection = secure(server, authority.trusting(version=version))
    body = CHUNK * 80
    assert connection.get("/echo", method="POST", body=body).body == body
    assert connection.get("/stream?80").body == body


def test_a_client_that_reads_slowly_gets_all(server, secure):
    connection = secure(server)
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    connection.ask("/stream?512")
    assert secure(server).get("/hello").body == b"hello"
    assert connection.answer().body == CHUNK * 512


def test_a_file_is_sent(server, secure, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(CHUNK * 40)
    assert secure(server).get(f"/pathsend?{path}").body == CHUNK * 40


def test_a_request_without_tls_is_told_so(server, wire):
    answer = wire(server).get("/hello")
    assert answer.status == 400
    assert b"https" in answer.body


def test_a_failed_handshake_costs_nothing_but_its_connection(server, wire, secure):
    connection = wire(server)
    connection.send(b"\x16\x03\x01\x00\x05nonsense")
    assert connection.is_cut()
    assert secure(server).get("/hello").body == b"hello"


def test_an_application_sees_that_its_client_has_left(server, secure):
    before = server.output.count("the client has left")
    connection = secure(server)
    connection.ask("/disconnect")
    server.wait_for("waits for the end", count=server.output.count("waits for the end") or 1)
    connection.close()
    server.wait_for("the client has left", count=before + 1)


def test_a_websocket_over_tls(server, authority):
    # Not the client that reads in a thread of its own: before CPython 3.13.1 that and writing hurt each other in TLS.
    async def talk() -> None:
        url = f"wss://localhost:{server.port}/websocket"
        async with connect(url, ssl=authority.trusting(), proxy=None, max_size=None) as websocket:
            for size in (1, 200, 20_000, 3_000_000):
                await websocket.send("x" * size)
                assert await websocket.recv() == "x" * size

    asyncio.run(asyncio.wait_for(talk(), 40))


@pytest.fixture
def proxied(loop, shared_server, shows_output) -> ServerProcess:
    arguments = ("--proxy-protocol", "--request-head-timeout", "1")
    return shows_output(shared_server("asgi_app:app", "-k", "asgi", "--asgi-loop", loop, *arguments))


def test_a_proxy_header_tells_who_the_client_is(proxied, wire):
    connection = wire(proxied)
    connection.send(V1)
    seen = json.loads(connection.get("/scope").body)
    assert seen["client"] == ["192.0.2.7", 1234]
    assert seen["server"] == ["127.0.0.1", proxied.port]
    connection = wire(proxied)
    for byte in V1 + b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n":
        connection.send(bytes((byte,)))
    assert connection.answer().body == b"hello"


def test_who_sends_no_proxy_header_is_closed(proxied, wire):
    connection = wire(proxied)
    connection.ask("/hello")
    assert connection.is_cut()
    assert not connection.seen
    silent = wire(proxied)
    assert silent.is_cut()


def test_a_proxy_header_before_tls(serve, apps, certificate, secure, loop):
    arguments = ("-k", "asgi", "--asgi-loop", loop, "--certfile", str(certificate), "--proxy-protocol")
    server = serve("", *arguments, application="asgi_app:app", cwd=apps)
    seen = json.loads(secure(server, before=V1).get("/scope").body)
    assert (seen["client"], seen["scheme"]) == (["192.0.2.7", 1234], "https")
