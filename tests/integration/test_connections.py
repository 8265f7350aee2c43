"""A connection serves request after request, in order, and nothing of one is ever taken for a part of another."""

import hashlib
import random
import socket
from collections.abc import Callable

import pytest

from unicorn_core.testing.server import ServerProcess, wait_until

pytestmark = pytest.mark.each_worker_class

HELLO = b"GET /hello HTTP/1.1\r\nHost: test\r\n\r\n"
UPLOAD = random.Random(3).randbytes(5 * 1024 * 1024)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.fixture(params=["auto-tcp", "httptools-tcp", "h11-unix"])
def server(
    request: pytest.FixtureRequest,
    shared_server: Callable[..., ServerProcess],
    shows_output: Callable[[ServerProcess], ServerProcess],
    tmp_path_factory: pytest.TempPathFactory,
) -> ServerProcess:
    parser, listener = request.param.split("-")
    unix = tmp_path_factory.getbasetemp() / "connections.sock" if listener == "unix" else None
    return shows_output(shared_server("wire_app:app", "--http-parser", parser, unix=unix))


def still_serves(connection) -> bool:
    return connection.get("/hello").body == b"hello" and not connection.seen


# Keep-alive


def test_http_1_1_stays_open_without_being_asked(server, wire):
    connection = wire(server)
    for _ in range(20):
        answer = connection.get("/hello")
        assert answer["connection"] is None
        assert answer.body == b"hello"


def test_http_1_1_closes_when_asked(server, wire):
    connection = wire(server)
    answer = connection.get("/hello", "Connection: close")
    assert answer["connection"] == "close"
    assert connection.rest() == b""


def test_http_1_0_closes_unless_asked_to_stay(server, wire):
    connection = wire(server)
    answer = connection.get("/hello", version="1.0")
    assert answer["connection"] == "close"
    assert connection.rest() == b""


def test_http_1_0_stays_open_when_asked(server, wire):
    connection = wire(server)
    for _ in range(3):
        answer = connection.get("/hello", "Connection: keep-alive", version="1.0")
        assert answer["connection"] == "keep-alive"
    assert connection.get("/hello", version="1.0")["connection"] == "close"
    assert connection.rest() == b""


def test_close_wins_over_keep_alive(server, wire):
    connection = wire(server)
    assert connection.get("/hello", "Connection: keep-alive, Close")["connection"] == "close"
    assert connection.rest() == b""


def test_an_empty_line_between_requests_is_overlooked(server, wire):
    connection = wire(server)
    connection.send(HELLO + b"\r\n" + HELLO)
    assert [connection.answer().body for _ in range(2)] == [b"hello"] * 2


def test_a_request_in_single_bytes_is_served(server, wire):
    connection = wire(server)
    for byte in b"POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n":
        connection.send(bytes([byte]))
    assert connection.answer().body == b"abc"
    assert still_serves(connection)


# Pipelining


def test_fifty_pipelined_requests_are_answered_in_order(server, wire):
    connection = wire(server)
    connection.send(
        b"".join(
            b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n%b" % (len(str(n)), str(n).encode())
            for n in range(50)
        )
    )
    assert [int(connection.answer().body) for _ in range(50)] == list(range(50))
    assert still_serves(connection)


def test_pipelined_requests_of_every_kind_are_answered_in_order(server, wire):
    connection = wire(server)
    paths = ["/hello", "/blocks", "/big?200000", "/nothing", "/raises?pipelined", "/status?204", "/declared?16"]
    connection.send(b"".join(b"GET %b HTTP/1.1\r\nHost: test\r\n\r\n" % path.encode() for path in paths * 3))
    answers = [connection.answer() for _ in paths * 3]
    assert [answer.status for answer in answers] == [200, 200, 200, 200, 500, 204, 200] * 3
    assert [len(answer.body) for answer in answers[:4]] == [5, 13, 200_000, 0]
    assert still_serves(connection)


def test_what_comes_while_many_pipelined_requests_wait_is_served_after_them(serve, wire, apps, tmp_path):
    """More requests at once than a turn takes of one connection, further ones behind them, the last one closing."""
    server = serve(application="wire_app:app", cwd=apps)
    connection = wire(server)
    assert connection.get("/hello").body == b"hello"
    connection.send(b"GET /gate?%b/go HTTP/1.1\r\nHost: test\r\n\r\n" % bytes(tmp_path) + HELLO * 40)
    wait_until((tmp_path / "go.begun").exists, what="the first request")
    connection.send(HELLO * 40 + b"GET /hello HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
    (tmp_path / "go").touch()
    assert connection.rest().count(b"HTTP/1.1 200 OK\r\n") == 82
    assert wire(server).get("/hello").body == b"hello"
    assert server.output.count("Booting worker") == 1


def test_a_thousand_pipelined_requests_to_a_client_that_reads_late(server, wire):
    connection = wire(server)
    connection.send(HELLO * 1000)
    assert [connection.answer().body for _ in range(1000)] == [b"hello"] * 1000
    assert still_serves(connection)


def test_nothing_behind_a_closing_request_is_answered(server, wire):
    connection = wire(server)
    connection.send(b"GET /hello HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n" + HELLO * 3)
    assert connection.is_cut()
    assert connection.seen.count(b"HTTP/1.1") == 1


def test_a_pipelined_request_behind_a_refused_one_is_not_served(server, wire):
    connection = wire(server)
    connection.send(HELLO + b"GET / HTTP/1.1\r\nBad Field: x\r\n\r\n" + HELLO)
    assert connection.is_cut()
    assert [part[:3] for part in connection.seen.split(b"HTTP/1.1 ")[1:]] == [b"200", b"400"]


def test_a_pipelined_exception_after_the_head_loses_no_earlier_answer(server, wire):
    connection = wire(server)
    connection.send(HELLO * 3 + b"GET /raises-later?x HTTP/1.1\r\nHost: test\r\n\r\n" + HELLO)
    assert [connection.answer().body for _ in range(3)] == [b"hello"] * 3
    connection.head()
    assert connection.is_cut()
    assert b"hello" not in connection.seen


# Bodies

SMUGGLED = b"GET /pid HTTP/1.1\r\nHost: smuggled\r\n\r\n"


@pytest.mark.parametrize("path", ["/unread", "/half-read", "/raises?body", "/nothing"])
def test_an_unread_body_is_never_taken_for_a_request(server, wire, path):
    connection = wire(server)
    connection.send(
        b"POST %b HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % (path.encode(), len(SMUGGLED)) + SMUGGLED
    )
    connection.send(HELLO)
    first = connection.answer()
    assert first.status in (200, 500)
    if first["connection"] == "close":
        assert connection.is_cut()
        assert connection.seen == b""
    else:
        assert connection.answer().body == b"hello"
        assert still_serves(connection)


def test_an_unread_chunked_body_is_never_taken_for_a_request(server, wire):
    connection = wire(server)
    connection.ask(
        "/unread",
        "Transfer-Encoding: chunked",
        method="POST",
        body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED),
    )
    connection.send(HELLO)
    assert connection.answer().body == b"not read"
    assert connection.answer().body == b"hello"
    assert still_serves(connection)


def test_an_unread_body_that_has_come_keeps_the_connection(server, wire):
    connection = wire(server)
    for body in (b"small", b"x" * 30_000):
        answer = connection.get("/unread", method="POST", body=body)
        assert (answer.body, answer["connection"]) == (b"not read", None)


def test_an_unread_body_that_has_not_come_closes_the_connection(server, wire):
    connection = wire(server)
    connection.ask("/unread", "Content-Length: 1000000", method="POST")
    answer = connection.answer()
    assert (answer.body, answer["connection"]) == (b"not read", "close")
    # The client may go on sending for a moment, and still reads its answer.
    connection.send(SMUGGLED)
    connection.socket.shutdown(socket.SHUT_WR)
    assert connection.rest() == b""


def test_a_large_unread_upload_is_answered(server, wire):
    connection = wire(server)
    connection.ask("/unread", f"Content-Length: {len(UPLOAD)}", method="POST")
    try:
        connection.send(UPLOAD)
    except ConnectionError:
        pass
    else:
        assert connection.answer().body == b"not read"


@pytest.mark.parametrize("piece", [1000, 65_536, 1_000_000])
def test_a_chunked_upload_of_5_mb_comes_whole(server, wire, piece):
    connection = wire(server)
    connection.ask("/echo", "Transfer-Encoding: chunked", method="POST")
    for at in range(0, len(UPLOAD), piece):
        data = UPLOAD[at : at + piece]
        connection.send(b"%x%b\r\n%b\r\n" % (len(data), b"" if at else b";extension=1", data))
    connection.send(b"0\r\nX-Trailer: 1\r\n\r\n" + HELLO)
    answer = connection.answer()
    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(UPLOAD).digest()
    assert connection.answer().body == b"hello"


def test_a_body_may_be_read_after_the_first_block(server, wire):
    connection = wire(server)
    connection.ask("/read-late", "Transfer-Encoding: chunked", method="POST")
    connection.head()
    assert connection.chunk() == b"first,"
    connection.send(b"4\r\nbody\r\n0\r\n\r\n")
    assert (connection.chunk(), connection.chunk()) == (b"body", b"")


def test_a_small_body_comes_before_the_application_is_called(server, wire):
    """Until then its client keeps nobody waiting."""
    connection = wire(server)
    connection.ask("/read-late", "Content-Length: 4", method="POST")
    connection.send(b"bo")
    assert wire(server).get("/hello").body == b"hello"
    connection.send(b"dy")
    connection.head()
    assert [connection.chunk() for _ in range(3)] == [b"first,", b"body", b""]


def test_a_client_that_leaves_within_its_body_costs_nothing(server, wire):
    connection = wire(server)
    connection.ask("/echo", "Content-Length: 100", method="POST")
    connection.send(b"not all")
    connection.close()
    assert wire(server).get("/hello").body == b"hello"


def test_a_malformed_body_is_answered_400(server, wire):
    connection = wire(server)
    connection.ask("/echo", "Transfer-Encoding: chunked", method="POST")
    connection.send(b"3\r\nabc\r\nnot hex\r\n")
    assert connection.answer().status == 400
    assert connection.is_cut()
    assert connection.seen == b""


# Expect: 100-continue


def test_100_continue_comes_when_the_application_reads(server, wire):
    connection = wire(server)
    connection.ask("/echo", "Expect: 100-continue", "Content-Length: 4", method="POST")
    assert connection.exactly(len(CONTINUE)) == CONTINUE
    connection.send(b"body")
    assert connection.answer().body == b"body"
    assert still_serves(connection)


def test_100_continue_comes_once_for_a_chunked_body(server, wire):
    connection = wire(server)
    connection.ask("/size", "Expect: 100-continue", "Transfer-Encoding: chunked", method="POST")
    assert connection.exactly(len(CONTINUE)) == CONTINUE
    for _ in range(5):
        connection.send(b"3\r\nabc\r\n")
    connection.send(b"0\r\n\r\n")
    assert connection.answer().body == b"15"
    assert still_serves(connection)


def test_no_100_continue_when_the_application_does_not_read(server, wire):
    connection = wire(server)
    connection.ask("/unread", "Expect: 100-continue", "Content-Length: 4", method="POST")
    answer = connection.answer()
    assert (answer.status, answer.body, answer["connection"]) == (200, b"not read", "close")
    assert connection.rest() == b""


def test_no_100_continue_when_the_body_has_come_already(server, wire):
    connection = wire(server)
    answer = connection.get("/echo", "Expect: 100-continue", method="POST", body=b"body")
    assert (answer.status, answer.body) == (200, b"body")
    assert still_serves(connection)


def test_no_100_continue_within_a_response(server, wire):
    connection = wire(server)
    connection.ask("/read-late", "Expect: 100-continue", "Content-Length: 4", method="POST")
    connection.head()
    assert connection.chunk() == b"first,"
    connection.send(b"body")
    assert (connection.chunk(), connection.chunk()) == (b"body", b"")


def test_no_100_continue_for_http_1_0(server, wire):
    connection = wire(server)
    connection.ask("/echo", "Expect: 100-continue", "Content-Length: 4", method="POST", version="1.0")
    assert connection.is_silent()
    connection.send(b"body")
    assert connection.answer().body == b"body"


# Clients that close one direction


@pytest.mark.parametrize("path", ["/hello", "/blocks", "/big?3000000", "/big-stream?3000000"])
def test_a_client_that_half_closes_after_its_request_gets_the_answer(server, wire, path):
    connection = wire(server)
    connection.ask(path)
    connection.socket.shutdown(socket.SHUT_WR)
    answer = connection.answer()
    assert answer.status == 200
    assert len(answer.body) in (5, 13, 3_000_000, 3_000_000 // 65536 * 65536)
    assert connection.rest() == b""


def test_a_client_that_half_closes_after_its_body_gets_the_answer(server, wire):
    connection = wire(server)
    connection.ask("/size", f"Content-Length: {len(UPLOAD)}", method="POST")
    connection.send(UPLOAD)
    connection.socket.shutdown(socket.SHUT_WR)
    assert connection.answer().body == str(len(UPLOAD)).encode()
    assert connection.rest() == b""


def test_a_client_that_half_closes_after_pipelined_requests_gets_every_answer(server, wire):
    connection = wire(server)
    connection.send(HELLO * 100)
    connection.socket.shutdown(socket.SHUT_WR)
    assert [connection.answer().body for _ in range(100)] == [b"hello"] * 100
    assert connection.rest() == b""


def test_connections_without_a_request_cost_nothing(server, wire):
    for _ in range(20):
        wire(server).close()
    wire(server).reset()
    assert wire(server).get("/hello").body == b"hello"


# Slow readers


def test_a_large_answer_to_a_slow_reader_blocks_nobody(server, wire):
    slow, other = wire(server), wire(server)
    slow.ask("/big?8000000")
    slow.head()
    for _ in range(10):
        assert other.get("/hello").body == b"hello"
    assert len(slow.exactly(8_000_000)) == 8_000_000
    assert still_serves(slow)


def test_requests_behind_a_large_answer_to_a_slow_reader_are_served_after_it(server, wire):
    slow, other = wire(server), wire(server)
    slow.send(b"GET /big?8000000 HTTP/1.1\r\nHost: test\r\n\r\n" + HELLO)
    slow.head()
    assert other.get("/hello").body == b"hello"
    assert len(slow.exactly(8_000_000)) == 8_000_000
    assert slow.answer().body == b"hello"
    assert still_serves(slow)


def test_a_stream_to_a_slow_reader_comes_whole(server, wire):
    slow, other = wire(server), wire(server)
    slow.ask("/big-stream?8000000")
    slow.head()
    other.ask("/hello")
    assert sum(len(block) for block in iter(slow.chunk, b"")) == 8_000_000 // 65536 * 65536
    assert other.answer().body == b"hello"
    assert still_serves(slow)


@pytest.mark.parametrize("path", ["/big?30000000", "/big-stream?30000000"])
@pytest.mark.parametrize("further", [0, 3])
def test_a_client_that_reads_nothing_is_given_up(serve, wire, apps, path, further):
    arguments = ("--response-write-timeout", "1", "--worker-connections", "1")
    server = serve("", *arguments, application="wire_app:app", cwd=apps)
    stuck = wire(server)
    stuck.send(b"GET %b HTTP/1.1\r\nHost: test\r\n\r\n" % path.encode() + HELLO * further)
    # The worker takes one connection alone: the other one is served when it has given up the first.
    assert wire(server, timeout=8).get("/hello").body == b"hello"
    assert stuck.is_cut()
    assert len(stuck.seen) < 30_000_000
