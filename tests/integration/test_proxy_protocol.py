"""The PROXY protocol on the running server: who may speak it, what the application sees, what strangers cost."""

import ast
import socket
import struct
from collections.abc import Callable

import pytest

from unicorn_core.testing.server import ServerProcess, wait_until

V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 1234 443\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
REQUEST = b"GET /environ HTTP/1.1\r\nHost: test\r\n\r\n"


def v2(command: int = 0x21, family: int = 0x11, tail: bytes = b"") -> bytes:
    addresses = socket.inet_aton("192.0.2.7") + socket.inet_aton("198.51.100.1") + struct.pack("!HH", 1234, 443)
    return SIGNATURE + struct.pack("!BBH", command, family, len(addresses + tail)) + addresses + tail


@pytest.fixture
def server(
    shared_server: Callable[..., ServerProcess], shows_output: Callable[[ServerProcess], ServerProcess]
) -> ServerProcess:
    return shows_output(shared_server("wire_app:app", "--proxy-protocol", "--keep-alive", "30"))


def environ_of(connection) -> dict:
    return ast.literal_eval(connection.answer().body.decode())


def ask(connection, header: bytes, *fields: bytes) -> dict:
    connection.send(header + b"".join([REQUEST[:-2], *(field + b"\r\n" for field in fields), b"\r\n"]))
    return environ_of(connection)


def own_port(connection) -> str:
    return str(connection.socket.getsockname()[1])


@pytest.mark.parametrize("header", [V1, v2(), v2(tail=b"\x04\0\1x")], ids=["v1", "v2", "v2-extensions"])
def test_the_application_sees_the_client_as_gunicorn_shows_it(server, wire, header):
    environ = ask(wire(server), header)
    told = {key: environ[key] for key in environ if key.startswith(("PROXY_", "REMOTE_", "SERVER_PORT"))}
    assert told == {
        "PROXY_PROTOCOL": "TCP4",
        "PROXY_ADDR": "198.51.100.1",
        "PROXY_PORT": "443",
        "REMOTE_ADDR": "192.0.2.7",
        "REMOTE_PORT": "1234",
        "SERVER_PORT": str(server.port),
    }


@pytest.mark.parametrize(
    ("header", "protocol"),
    [(b"PROXY UNKNOWN\r\n", "UNKNOWN"), (v2(0x20), "LOCAL"), (v2(0x21, 0), "UNSPEC")],
    ids=["unknown", "local", "unspec"],
)
def test_without_a_client_the_addresses_are_the_sockets_own(server, wire, header, protocol):
    connection = wire(server)
    environ = ask(connection, header)
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("127.0.0.1", own_port(connection))
    assert environ["PROXY_PROTOCOL"] == protocol
    assert "PROXY_ADDR" not in environ
    assert "PROXY_PORT" not in environ


def test_it_holds_for_all_requests_of_the_connection(server, wire):
    connection = wire(server)
    connection.send(V1 + REQUEST * 3)
    assert [environ_of(connection)["REMOTE_ADDR"] for _ in range(3)] == ["192.0.2.7"] * 3
    assert ask(connection, b"")["REMOTE_ADDR"] == "192.0.2.7"


@pytest.mark.parametrize("header", [V1, v2()], ids=["v1", "v2"])
def test_a_header_in_single_bytes_is_read(server, wire, header):
    connection = wire(server)
    for byte in header + REQUEST:
        connection.send(bytes([byte]))
    assert environ_of(connection)["REMOTE_ADDR"] == "192.0.2.7"


@pytest.mark.parametrize("header", [V1, v2()], ids=["v1", "v2"])
def test_only_the_first_bytes_of_a_connection_are_a_header(server, wire, header):
    """puma 8.0.2 found one before later requests, too."""
    connection = wire(server)
    ask(connection, V1)
    connection.send(header.replace(b"192.0.2.7", b"10.9.9.9") + REQUEST)
    assert connection.is_cut()
    assert connection.seen.startswith(b"HTTP/1.1 400 ")
    assert b"10.9.9.9" not in connection.seen


def test_a_header_within_a_body_is_body(server, wire):
    connection = wire(server)
    connection.send(V1)
    answer = connection.get("/echo", method="POST", body=V1 + REQUEST)
    assert answer.body == V1 + REQUEST


@pytest.mark.parametrize(
    "start",
    [REQUEST, V1[:6] + V1, V1.replace(b"TCP4", b"TCP5"), SIGNATURE + b"\x11\x11\0\0", b"\r\n" + V1, b"\x16\x03\x01"],
    ids=["no-header", "twice", "malformed-v1", "malformed-v2", "empty-line", "tls"],
)
def test_what_does_not_begin_with_a_header_is_closed_without_an_answer_and_logged(server, wire, start):
    before = server.output.count("Refused connection from 127.0.0.1: ")
    connection = wire(server)
    connection.send(start + REQUEST)
    assert connection.is_cut()
    assert connection.seen == b""
    wait_until(lambda: server.output.count("Refused connection from 127.0.0.1: ") > before, what="the log line")
    assert ask(wire(server), V1)["REMOTE_ADDR"] == "192.0.2.7"


@pytest.mark.parametrize("begun", [b"", V1[:-1], v2()[:-1]], ids=["nothing", "v1", "v2"])
def test_a_client_that_vanishes_within_the_header_is_forgotten(server, wire, begun):
    connection = wire(server)
    connection.send(begun)
    connection.close()
    assert ask(wire(server), V1)["REMOTE_ADDR"] == "192.0.2.7"
    assert "Traceback" not in server.output


def test_strangers_are_refused_before_a_byte_is_read_and_the_log_is_not_flooded(serve, wire, apps):
    server = serve(
        "", "--proxy-protocol=v2", "--proxy-allow-from", "10.0.0.0/8", application="wire_app:app", cwd=apps
    )  # fmt: skip
    for _ in range(60):
        connection = wire(server)
        assert connection.is_cut()
        assert connection.seen == b""
        connection.close()
    line = "Refused connection from 127.0.0.1: not in proxy_allow_ips"
    assert 10 <= server.output.count(line) < 60


def test_an_unfinished_header_ends_with_the_time_for_a_head(serve, wire, apps):
    server = serve("", "--proxy-protocol", "--request-head-timeout", "1", application="wire_app:app", cwd=apps)
    slow = [wire(server) for _ in range(3)]
    slow[1].send(V1[:10])
    slow[2].send(v2()[:20])
    assert ask(wire(server), V1)["REMOTE_ADDR"] == "192.0.2.7"
    assert [connection.is_cut() for connection in slow] == [True] * 3
    assert [connection.seen for connection in slow] == [b""] * 3


def test_proxies_on_a_unix_socket_are_trusted(serve, wire, apps, tmp_path):
    server = serve(
        "", "--proxy-protocol", "--proxy-allow-from", "10.0.0.1", application="wire_app:app", cwd=apps,
        unix=tmp_path / "s.sock",
    )  # fmt: skip
    environ = ask(wire(server), V1)
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("192.0.2.7", "1234")
    assert ask(wire(server), v2(0x20))["REMOTE_ADDR"] == ""


def test_one_version_alone(serve, wire, apps):
    server = serve("", "--proxy-protocol", "v2", application="wire_app:app", cwd=apps)
    assert ask(wire(server), v2())["REMOTE_ADDR"] == "192.0.2.7"
    connection = wire(server)
    connection.send(V1 + REQUEST)
    assert connection.is_cut()
    assert connection.seen == b""


def test_a_configuration_of_gunicorns_may_say_true(serve, wire, apps, tmp_path):
    config = tmp_path / "gunicorn.conf.py"
    config.write_text("proxy_protocol = True\nproxy_allow_ips = '*'\n")
    server = serve("", "-c", str(config), application="wire_app:app", cwd=apps)
    assert ask(wire(server), V1)["REMOTE_ADDR"] == "192.0.2.7"


def test_without_the_setting_a_header_is_no_request(serve, wire, apps):
    server = serve("", application="wire_app:app", cwd=apps)
    connection = wire(server)
    connection.send(V1 + REQUEST)
    assert connection.is_cut()
    assert connection.seen.startswith(b"HTTP/1.1 400 ")


# Who is believed


def test_forwarding_fields_are_judged_by_the_address_that_the_proxy_tells(serve, wire, apps):
    """The proxy passes on bytes of the client's, who could otherwise borrow the trust that the proxy has."""
    server = serve(
        "", "--proxy-protocol", "--forwarded-allow-ips", "127.0.0.1,192.0.2.7",
        application="wire_app:app", cwd=apps,
    )  # fmt: skip
    https = b"X-Forwarded-Proto: https"
    other = V1.replace(b"192.0.2.7", b"192.0.2.8")
    assert ask(wire(server), V1, https)["wsgi.url_scheme"] == "https"
    assert ask(wire(server), other, https)["wsgi.url_scheme"] == "http"
    # By itself the proxy is believed; somebody whom it does not tell is not.
    assert ask(wire(server), v2(0x20), https)["wsgi.url_scheme"] == "https"
    assert ask(wire(server), b"PROXY UNKNOWN\r\n", https)["wsgi.url_scheme"] == "http"
    assert ask(wire(server), v2(0x21, 0), https)["wsgi.url_scheme"] == "http"


def test_the_access_log_has_the_client(serve, wire, apps):
    server = serve("", "--proxy-protocol", "--access-logfile", "-", application="wire_app:app", cwd=apps)
    ask(wire(server), V1)
    server.wait_for(r"192\.0\.2\.7 - - .*GET /environ")


def test_it_ends_gracefully_with_connections_in_every_stage(serve, wire, apps):
    server = serve("", "--proxy-protocol", "--graceful-timeout", "3", application="wire_app:app", cwd=apps)
    silent, begun, idle = (wire(server) for _ in range(3))
    begun.send(V1[:9])
    ask(idle, V1)
    assert server.stop(timeout=8) == 0
    assert silent.is_cut()
    assert begun.is_cut()
    assert idle.is_cut()


@pytest.mark.parametrize("value", ["10.0.0.1/8", "nonsense"])
def test_allowed_addresses_must_be_addresses(serve, apps, value):
    server = serve(
        "", "--proxy-protocol", "--proxy-allow-from", value, application="wire_app:app", cwd=apps, ready=False
    )  # fmt: skip
    assert server.wait() == 1
    assert "setting proxy_allow_ips" in server.output
    assert "Traceback" not in server.output
