"""The uwsgi protocol through real processes, without a front: packets over TCP and unix sockets."""

import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from unicorn_core.testing.server import ServerProcess, wait_until

sys.path.append(str(Path(__file__).parents[1] / "uwsgi" / "support"))
sys.path.append(str(Path(__file__).parents[1] / "http" / "support"))

from packets import MALFORMED, chunked, get, request
from request_corpus import CLOSED

PING, PONG = b"\x64\0\0\0", b"\x64\0\0\1"
REFUSED = [case for case in MALFORMED if not (case.settings or case.in_body)]

HINTS = """
def app(environ, start_response):
    environ["wsgi.early_hints"]([("Link", "</a.css>; rel=preload")])
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]
"""


@pytest.fixture(params=["tcp", "unix"])
def server(request, shared_server: Callable[..., ServerProcess], shows_output, tmp_path_factory) -> ServerProcess:
    return shows_output(shared(shared_server, tmp_path_factory, request.param))


def shared(shared_server, tmp_path_factory, listener: str, *options: str) -> ServerProcess:
    unix = tmp_path_factory.getbasetemp() / "uwsgi.sock" if listener == "unix" else None
    return shared_server("wire_app:app", "--protocol", "uwsgi", *options, unix=unix)


@pytest.fixture
def persistent(shared_server, shows_output) -> ServerProcess:
    return shows_output(shared_server("wire_app:app", "--protocol", "uwsgi", "--uwsgi-persistent"))


@pytest.mark.each_worker_class
class TestRequests:
    def test_are_answered_and_end_their_connection(self, server, wire):
        connection = wire(server)
        connection.send(get("/hello"))
        answer = connection.answer()
        assert (answer.status, answer.body, answer["connection"]) == (200, b"hello", None)
        assert connection.rest() == b""

    def test_bring_their_bodies(self, server, wire):
        for body in (b"x", b"y" * 16384, b"z" * 3_000_000):
            connection = wire(server)
            connection.send(get("/echo", body=body))
            assert connection.answer().body == body
        connection = wire(server)
        connection.send(chunked(b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", REQUEST_URI="/echo", PATH_INFO="/echo"))
        assert connection.answer().body == b"abcde"

    def test_may_come_in_pieces(self, server, wire):
        connection = wire(server)
        data = get("/echo", body=b"hello")
        for begin in range(0, len(data), 50):
            connection.send(data[begin : begin + 50])
        assert connection.answer().body == b"hello"

    def test_a_body_of_unknown_length_ends_with_the_connection(self, server):
        received = server.exchange(get("/blocks"))
        head, _, body = received.partition(b"\r\n\r\n")
        assert b"Transfer-Encoding" not in head
        assert b"Content-Length" not in head
        assert body == b"one,two,three"

    def test_head_has_no_body(self, server):
        assert server.exchange(get("/hello", REQUEST_METHOD="HEAD")).endswith(b"\r\n\r\n")

    def test_a_ping_is_answered(self, server):
        assert server.exchange(PING) == PONG

    def test_what_follows_one_is_not_served(self, server):
        received = server.exchange(get("/hello") + get("/hello"))
        assert received.count(b"HTTP/1.1 200") <= 1

    def test_a_front_may_keep_its_connection_if_that_is_set(self, persistent, wire):
        connection = wire(persistent)
        for number in range(20):
            connection.send(get("/echo", body=b"%d" % number))
            assert connection.answer().body == b"%d" % number
        connection.send(get("/hello") + get("/echo", body=b"a") + get("/hello"))
        assert [connection.answer().body for _ in range(3)] == [b"hello", b"a", b"hello"]
        assert connection.is_silent()
        connection.send(get("/blocks"))
        connection.head()
        assert connection.rest() == b"one,two,three"

    def test_malformed_ones_are_refused_and_cost_nothing_else(self, server, wire):
        for case in REFUSED:
            with server.connect() as sock:
                sock.sendall(case.data)
                if case.status == CLOSED:
                    sock.shutdown(socket.SHUT_WR)
                received = b""
                try:
                    while piece := sock.recv(65536):
                        received += piece
                except ConnectionResetError:
                    pass
            assert received.startswith(b"HTTP/1.1 %d " % case.status if case.status else b""), case.name
            assert case.status or not received, case.name
        assert server.exchange(get("/hello")).endswith(b"hello")
        assert len(server.worker_pids()) == 1


def test_interim_responses_are_not_sent(serve):
    server = serve(HINTS, "--protocol", "uwsgi")
    assert server.exchange(request()).count(b"HTTP/1.1") == 1
    expecting = request((b"HTTP_EXPECT", b"100-continue"), CONTENT_LENGTH="20000", REQUEST_METHOD="POST")
    assert server.exchange(expecting).startswith(b"HTTP/1.1 200")


def test_who_comes_by_http_is_told(server):
    received = server.exchange(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 400 ")
    assert b"speaks the uwsgi protocol" in received
    server.wait_for(r"Refused request from (127\.0\.0\.1|a unix socket): 400 this port speaks the uwsgi .*no-uwsgi")


def test_a_packet_that_does_not_come_to_its_end_is_given_up(serve, wire, apps):
    server = serve("", "--protocol", "uwsgi", "--request-head-timeout", "1", application="wire_app:app", cwd=apps)
    connection = wire(server)
    connection.send(get("/hello")[:-1])
    assert connection.answer().status == 408


# Who may connect


def from_address(server: ServerProcess, address: str, data: bytes) -> bytes:
    """What a peer at another address of this machine is answered."""
    with socket.create_connection(("127.0.0.1", server.port), 10, source_address=(address, 0)) as sock:
        try:
            sock.sendall(data)
            return sock.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            return b""


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="other addresses of the loopback need Linux")


@linux_only
@pytest.mark.each_worker_class
def test_a_stranger_is_turned_away_and_logged_once(shared_server, shows_output):
    server = shows_output(shared_server("wire_app:app", "--protocol", "uwsgi", "--workers", "1", "--umask", "7"))
    for _ in range(3):
        assert from_address(server, "127.0.0.2", get("/hello")) == b""
        assert from_address(server, "127.0.0.3", PING) == b""
    assert server.exchange(get("/hello")).endswith(b"hello")
    wait_until(lambda: "127.0.0.3" in server.output, what="the line about the stranger")
    told = re.findall(r"Refused connection from (\S+): not in uwsgi_allow_ips", server.output)
    assert sorted(told) == ["127.0.0.2", "127.0.0.3"]


@linux_only
@pytest.mark.parametrize(
    ("allowed", "admitted", "refused"),
    [
        ("127.0.0.2", ["127.0.0.2"], ["127.0.0.1"]),
        ("127.0.0.0/30,::1", ["127.0.0.2"], ["127.0.0.5"]),
        ("*", ["127.0.0.5"], []),
    ],
)
def test_others_may_be_allowed(serve, apps, allowed, admitted, refused):
    server = serve("", "--protocol", "uwsgi", "--uwsgi-allow-from", allowed, application="wire_app:app", cwd=apps)
    for address in admitted:
        assert from_address(server, address, PING) == PONG
    for address in refused:
        assert from_address(server, address, PING) == b""


@linux_only
def test_a_proxy_header_may_come_before_the_packet(serve, apps):
    """Both lists are asked for the connection's peer; the client is the one that the packet tells."""
    allowed = ("--proxy-protocol", "--proxy-allow-from", "127.0.0.0/8")
    server = serve("", "--protocol", "uwsgi", *allowed, application="wire_app:app", cwd=apps)
    header = b"PROXY TCP4 198.51.100.1 198.51.100.2 1000 80\r\n"
    with server.connect() as sock:
        sock.sendall(header + get("/environ"))
        received = b"".join(iter(lambda: sock.recv(65536), b""))
    seen = eval(received.partition(b"\r\n\r\n")[2])
    assert (seen["REMOTE_ADDR"], seen["PROXY_PROTOCOL"]) == ("192.0.2.7", "TCP4")
    assert from_address(server, "127.0.0.2", header + PING) == b""


def test_an_address_that_is_none_ends_the_start(serve):
    server = serve("app = None", "--protocol", "uwsgi", "--uwsgi-allow-from", "nginx", ready=False)
    assert server.wait() == 1
    assert "setting uwsgi_allow_ips: 'nginx' must be an IP address, a network (10.0.0.0/8), unix or *" in server.output


def test_http_does_not_ask_for_them(serve, apps):
    server = serve("", "--uwsgi-allow-from", "192.0.2.1", application="wire_app:app", cwd=apps)
    assert server.get("/hello") == b"hello"


# What the log and the hooks tell


def test_hooks_see_the_client_and_the_peer(serve, tmp_path):
    hook = "def pre_request(worker, req):\n    worker.log.info('%s %s %s', req.remote_addr, req.peer_addr, req.uri)\n"
    (tmp_path / "unicorn.conf.py").write_text(hook)
    server = serve(HINTS, "--protocol", "uwsgi")
    server.exchange(get("/x"))
    server.wait_for(r"\('192\.0\.2\.7', 40000\) \('127\.0\.0\.1', \d+\) /x")


def test_the_access_log_names_the_client_and_its_user(serve, apps):
    server = serve("", "--protocol", "uwsgi", "--access-logfile", "-", application="wire_app:app", cwd=apps)
    server.exchange(get("/hello?q=1", (b"REMOTE_USER", b"ada"), SERVER_PROTOCOL="HTTP/2.0"))
    server.wait_for(r'192\.0\.2\.7 - ada \[.*\] "GET /hello\?q=1 HTTP/2\.0" 200 5')
