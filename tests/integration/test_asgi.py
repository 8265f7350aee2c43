"""ASGI as a client sees it on the wire, on both loops, and what each fault of an application costs: one request."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from unicorn_core.testing.server import ServerProcess, wait_until

pytestmark = pytest.mark.only_worker_class("sync", reason="these tests choose the worker class asgi")

CHUNK = bytes(range(256)) * 256


@pytest.fixture(params=["asyncio", "uvloop"])
def server(
    request: pytest.FixtureRequest,
    shared_server: Callable[..., ServerProcess],
    shows_output: Callable[[ServerProcess], ServerProcess],
) -> ServerProcess:
    arguments = ("-k", "asgi", "--asgi-loop", request.param, "--log-level", "debug")
    return shows_output(shared_server("asgi_app:app", *arguments))


@pytest.fixture
def start(serve, apps) -> Callable[..., ServerProcess]:
    """A server of its own."""
    return lambda *arguments, **options: serve(
        "", "-k", "asgi", *arguments, application="asgi_app:app", cwd=apps, **options
    )


class Told:
    """What the server tells from now on."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._before = len(server.output)

    @property
    def text(self) -> str:
        return self._server.output[self._before :]

    def waits_for(self, text: str) -> None:
        wait_until(lambda: text in self.text, what=f"{text!r} in the output")


@pytest.fixture
def told(server) -> Told:
    return Told(server)


def still_serves(connection) -> bool:
    """Nothing stray lies before the next answer of the connection."""
    return connection.get("/hello").body == b"hello" and not connection.seen


# The scope


def scope(connection, target: str, *fields: str, **options) -> dict:
    return json.loads(connection.get(target, *fields, **options).body)


def test_the_scope_tells_all_of_a_request(server, wire):
    connection = wire(server)
    seen = scope(connection, "/scope?a=b%20c&d", "X-Two: 1", "x-TWO:  2 ", "Cookie: a=b")
    host, port = connection.socket.getsockname()
    assert seen["type"] == "http"
    assert seen["asgi"] == {"version": "3.0", "spec_version": "2.5"}
    assert (seen["http_version"], seen["method"], seen["scheme"]) == ("1.1", "GET", "http")
    assert (seen["path"], seen["raw_path"], seen["query_string"]) == ("/scope", "/scope", "a=b%20c&d")
    assert seen["root_path"] == ""
    assert seen["headers"] == [["host", "test"], ["x-two", "1"], ["x-two", "2"], ["cookie", "a=b"]]
    assert seen["client"] == [host, port]
    assert seen["server"] == ["127.0.0.1", server.port]
    assert {"http.response.early_hint", "http.response.trailers", "http.response.pathsend"} <= set(seen["extensions"])
    assert "tls" not in seen["extensions"]


def test_a_path_is_decoded_and_kept_as_it_came(server, wire):
    seen = scope(wire(server), "/%73cope?%73")
    assert (seen["path"], seen["raw_path"], seen["query_string"]) == ("/scope", "/%73cope", "%73")


def test_http_1_0_and_absolute_targets(server, wire):
    seen = scope(wire(server), "/scope", version="1.0")
    assert seen["http_version"] == "1.0"
    seen = scope(wire(server), "http://other.example:81/scope?q")
    assert (seen["path"], seen["query_string"]) == ("/scope", "q")
    assert seen["headers"][0] == ["host", "other.example:81"]


def test_each_request_has_a_copy_of_the_state_of_lifespan(server, wire):
    connection = wire(server)
    assert json.loads(connection.get("/state").body) == [["once"], False]
    assert json.loads(connection.get("/state").body) == [["once"], False]


def test_the_scope_on_a_unix_socket(start, wire, tmp_path):
    server = start(unix=tmp_path / "s")
    seen = scope(wire(server), "/scope")
    assert seen["client"] is None
    assert seen["server"] == [str(tmp_path / "s"), None]


def test_what_a_believed_proxy_tells(start, wire):
    server = start("--proxy-headers", "x-forwarded")
    fields = ("X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https", "X-Forwarded-Host: a.example:444")
    seen = scope(wire(server), "/scope", *fields, "X-Forwarded-Prefix: /up")
    assert seen["client"] == ["203.0.113.9", 0]
    assert seen["scheme"] == "https"
    assert seen["server"] == ["a.example", 444]
    assert ["host", "a.example:444"] in seen["headers"]
    assert (seen["root_path"], seen["path"], seen["raw_path"]) == ("/up", "/up/scope", "/up/scope")


def test_the_scheme_of_a_believed_proxy_holds_without_further_settings(server, wire):
    assert scope(wire(server), "/scope", "X-Forwarded-Proto: https")["scheme"] == "https"


def test_root_path_stands_before_paths_that_lack_it(start, wire):
    server = start("--root-path", "/api/")
    seen = scope(wire(server), "/scope")
    assert (seen["root_path"], seen["path"], seen["raw_path"]) == ("/api", "/api/scope", "/api/scope")


# Bodies of requests


@pytest.mark.parametrize("size", [0, 1, 5000, 100_000, 3_000_000])
def test_a_body_arrives_as_it_was_sent(server, wire, size):
    body = (CHUNK * (size // len(CHUNK) + 1))[:size]
    connection = wire(server)
    assert connection.get("/echo", method="POST", body=body).body == body
    assert still_serves(connection)


def test_a_chunked_body_arrives_as_it_was_sent(server, wire):
    connection = wire(server)
    connection.ask("/echo", "Transfer-Encoding: chunked", method="POST", body=b"3\r\nabc\r\n10\r\n" + b"x" * 16)
    connection.send(b"\r\n0\r\n\r\n")
    assert connection.answer().body == b"abc" + b"x" * 16
    assert still_serves(connection)


def test_a_body_is_handed_over_as_it_comes(server, wire):
    connection = wire(server)
    connection.ask("/pieces", "Transfer-Encoding: chunked", method="POST", body=b"3\r\nabc\r\n")
    connection.head()
    assert connection.chunk() == b"3;"
    connection.send(b"5\r\nabcde\r\n")
    assert connection.chunk() == b"5;"
    connection.send(b"0\r\n\r\n")
    assert connection.chunk() == b"0;"
    assert connection.chunk() == b""
    assert connection.rest() == b""


def test_100_continue_comes_when_the_application_asks_for_the_body(server, wire):
    connection = wire(server)
    connection.ask("/echo", "Expect: 100-continue", "Content-Length: 4", method="POST")
    assert connection.head() == b"HTTP/1.1 100 Continue"
    connection.send(b"body")
    assert connection.answer().body == b"body"
    connection.ask("/hello", "Expect: 100-continue", "Content-Length: 4", method="POST")
    answer = connection.answer()
    assert (answer.status, answer["connection"]) == (200, "close")


def test_a_body_that_is_not_read_keeps_memory_flat(server, wire, tmp_path):
    before = int(wire(server).get("/rss").body)
    connection = wire(server)
    gate = tmp_path / "gate"
    connection.ask(f"/unread?{gate}", f"Content-Length: {300 << 20}", method="POST")
    connection.socket.settimeout(0.5)
    sent = 0
    with suppress(TimeoutError):
        while sent < 300 << 20:
            sent += connection.socket.send(CHUNK)
    assert sent < 100 << 20
    assert int(wire(server).get("/rss").body) - before < 8 << 20
    gate.touch()
    connection.socket.settimeout(15)
    answer = connection.answer()
    assert (answer.status, answer["connection"]) == (200, "close")


# Bodies of responses


def test_a_body_of_one_message_gets_its_content_length(server, wire):
    connection = wire(server)
    answer = connection.get("/echo", method="POST", body=b"four")
    assert answer["content-length"] == "4"
    assert answer["server"] == "unicorn"
    assert answer["date"]


def test_a_body_of_several_messages_is_chunked(server, wire):
    connection = wire(server)
    answer = connection.get("/blocks")
    assert (answer["transfer-encoding"], answer["content-length"]) == ("chunked", None)
    assert answer.body == b"one,two,three"
    assert still_serves(connection)


def test_to_http_1_0_its_end_is_that_of_the_connection(server, wire):
    answer = wire(server).get("/blocks", version="1.0")
    assert answer["transfer-encoding"] is None
    assert answer.body == b"one,two,three"


def test_other_kinds_of_bytes_are_taken(server, wire):
    answer = wire(server).get("/kinds")
    assert answer["x-list"] == "1"
    assert answer.body == b"one,two"


def test_head_and_204_have_no_body(server, wire):
    connection = wire(server)
    answer = connection.get("/hello", method="HEAD")
    assert (answer.status, answer["content-length"]) == (200, "5")
    answer = connection.get("/blocks", method="HEAD")
    assert (answer.status, answer["content-length"]) == (200, None)
    answer = connection.get("/empty")
    assert (answer.status, answer["content-length"], answer["transfer-encoding"]) == (204, None, None)
    assert still_serves(connection)


def test_a_large_stream_arrives_whole(server, wire):
    connection = wire(server)
    assert connection.get("/stream?64").body == CHUNK * 64
    assert still_serves(connection)


def test_a_client_that_reads_slowly_makes_the_application_wait(server, wire, told):
    connection = wire(server)
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    connection.ask("/stream?4096")
    told.waits_for("sent 16\n")
    assert wire(server).get("/hello").body == b"hello"
    assert int(wire(server).get("/rss").body) < 200 << 20
    assert "sent 4096" not in told.text
    assert connection.answer().body == CHUNK * 4096
    told.waits_for("stream complete")


# Pipelining


def test_pipelined_requests_are_answered_in_order(server, wire):
    connection = wire(server)
    connection.send(
        b"GET /pause?0.2 HTTP/1.1\r\nHost: a\r\n\r\n"
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
        b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    assert [connection.answer().body for _ in range(3)] == [b"hello", b"abc", b"hello"]
    assert still_serves(connection)


def test_a_thousand_pipelined_requests(server, wire):
    connection = wire(server)
    connection.send(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n" * 1000)
    assert all(connection.answer().body == b"hello" for _ in range(1000))
    assert still_serves(connection)


def test_nothing_is_served_behind_a_request_that_closes(server, wire):
    connection = wire(server)
    connection.send(
        b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    assert connection.answer()["connection"] == "close"
    assert connection.rest() == b""


def test_a_client_that_has_shut_down_its_side_is_answered(server, wire):
    connection = wire(server)
    connection.send(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
    connection.socket.shutdown(socket.SHUT_WR)
    assert [connection.answer().body for _ in range(3)] == [b"hello"] * 3
    assert connection.rest() == b""


# Faults of an application


@pytest.mark.parametrize(
    ("path", "log"),
    [
        ("/boom", r"Error handling request GET /boom[\s\S]*RuntimeError: a fault before the head"),
        ("/leave", r"Error handling request GET /leave[\s\S]*SystemExit: 7"),
        ("/nothing", r"GET /nothing: the application returned without a response"),
        ("/wrong?body-first", r"'http.response.body', where http.response.start was expected"),
        ("/wrong?start-twice", r"'http.response.start', where http.response.body was expected"),
        ("/wrong?unknown", r"'http.response.nonsense', where http.response.start was expected"),
        ("/wrong?status-text", r"the status must be an integer, not str"),
        ("/wrong?status-100", r"status 100 is no status of a response"),
        ("/wrong?header-text", r"a header's name must be bytes, not str"),
        ("/wrong?header-crlf", r"has a control or non-latin-1 character"),
        ("/wrong?header-single", r"a header must be a pair"),
        ("/wrong?body-text", r"a body must be bytes, not str"),
        ("/wrong?trailers", r"'http.response.trailers', where http.response.body was expected"),
    ],
)
def test_a_fault_before_the_response_costs_one_request(server, wire, path, log):
    connection = wire(server)
    answer = connection.get(path)
    assert (answer.status, answer.body) == (500, b"500 Internal Server Error\n")
    assert still_serves(connection)
    server.wait_for(log)


@pytest.mark.parametrize(
    ("path", "log"),
    [
        ("/boom-late", "RuntimeError: a fault behind the head"),
        ("/half", "GET /half: the application returned before its response was complete"),
        ("/short", "GET /short: the application sent 5 bytes less than the Content-Length it declared"),
    ],
)
def test_a_response_that_does_not_become_complete_is_seen_to_be_cut(server, wire, path, log):
    connection = wire(server)
    connection.ask(path)
    assert connection.is_cut()
    assert not connection.seen.endswith(b"0\r\n\r\n")
    server.wait_for(log)
    assert wire(server).get("/hello").body == b"hello"


def test_more_than_was_declared_is_cut(server, wire):
    connection = wire(server)
    assert connection.get("/long").body == b"too "
    assert still_serves(connection)
    server.wait_for("GET /long: the application sent more than the Content-Length it declared")


def test_nothing_may_follow_a_complete_response(server, wire, told):
    connection = wire(server)
    assert connection.get("/after-end").body == b"hello"
    told.waits_for("refused: the application sent 'http.response.body', though the response is complete")
    told.waits_for("then http.disconnect")
    assert still_serves(connection)


# Clients that leave


def test_an_application_sees_that_its_client_has_left(server, wire, told):
    connection = wire(server)
    connection.ask("/disconnect")
    told.waits_for("waits for the end")
    connection.reset()
    told.waits_for("the client has left")
    told.waits_for("sending raised ClientDisconnectedError")


def test_an_application_that_streams_sees_that_its_client_has_left(server, wire, told):
    connection = wire(server)
    connection.ask("/stream?100000")
    told.waits_for("sent 16\n")
    connection.close()
    wait_until(lambda: "GET /stream?100000: the client is gone" in told.text, what="the end of the stream")


def test_a_client_that_leaves_within_its_body(server, wire, told):
    connection = wire(server)
    connection.ask("/echo", "Content-Length: 100000", method="POST", body=b"half")
    connection.close()
    told.waits_for("disconnected while reading")


def test_a_task_that_does_not_look_is_cancelled_after_the_grace_period(start, wire):
    server = start("--asgi-disconnect-grace-period", "1")
    connection = wire(server)
    connection.ask("/deaf")
    server.wait_for("deaf")
    connection.close()
    server.wait_for("cancelled")
    assert wire(server).get("/hello").body == b"hello"


def test_without_a_grace_period_it_is_cancelled_at_once(start, wire):
    server = start("--asgi-disconnect-grace-period", "0")
    connection = wire(server)
    connection.ask("/deaf")
    server.wait_for("deaf")
    connection.close()
    server.wait_for("cancelled")


def test_a_cancelled_wait_takes_no_other_along(server, wire, told):
    connection = wire(server)
    assert connection.get("/cancel-receive").body == b"hello"
    told.waits_for("the second one saw the end")
    assert still_serves(connection)


def test_a_response_that_is_complete_frees_its_connection_though_the_application_runs_on(server, wire, told, tmp_path):
    connection = wire(server)
    path = tmp_path / "go"
    assert connection.get(f"/background?{path}").body == b"hello"
    assert still_serves(connection)
    connection.close()
    assert "background done" not in told.text
    path.touch()
    told.waits_for("background done")


# Extensions


def test_early_hints(server, wire):
    connection = wire(server)
    connection.ask("/hints")
    assert connection.head() == (
        b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\nlink: </app.js>; rel=preload"
    )
    assert connection.answer().body == b"hello"
    assert wire(server).get("/hints", version="1.0").status == 200


def test_trailers_reach_who_wants_them(server, wire):
    connection = wire(server)
    connection.ask("/trailers", "TE: trailers")
    assert b"chunked" in connection.head()
    assert connection.chunk() == b"body"
    assert connection.until(b"\r\n\r\n") == b"0\r\nx-checksum: abc\r\nx-size: 4\r\n\r\n"
    for others in ("trailersx", "trailers;q=0"):
        connection.ask("/trailers", f"TE: {others}")
        connection.head()
        assert connection.chunk() == b"body"
        assert connection.until(b"\r\n\r\n") == b"0\r\n\r\n"
    assert connection.get("/trailers").body == b"body"
    assert still_serves(connection)


@pytest.mark.parametrize("name", ["file.sized", "file"])
def test_a_file_is_sent_by_its_path(server, wire, tmp_path, name):
    path = tmp_path / name
    path.write_bytes(CHUNK * 50 + b"end")
    connection = wire(server)
    answer = connection.get(f"/pathsend?{path}")
    assert answer["content-length"] == str(len(CHUNK) * 50 + 3)
    assert answer.body == path.read_bytes()
    assert still_serves(connection)


def test_a_file_that_is_not_there_is_an_error_of_the_application(server, wire):
    assert wire(server).get("/pathsend?/nowhere/at/all").status == 500


def test_parts_of_a_file_are_sent_without_copying(server, wire, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(CHUNK * 4)
    connection = wire(server)
    answer = connection.get(f"/zerocopy?{path}")
    assert answer["transfer-encoding"] == "chunked"
    assert answer.body == (CHUNK * 4)[3:8] + (CHUNK * 4)[100_000:]
    assert still_serves(connection)


# Contexts


def test_without_the_setting_sendfile_files_pass_through_the_worker(serve, apps, wire, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(os.urandom(300_000))
    server = serve("", "-k", "asgi", "--no-sendfile", application="asgi_app:app", cwd=apps)
    assert "http.response.zerocopysend" not in json.loads(wire(server).get("/scope").body)["extensions"]
    assert wire(server).get(f"/pathsend?{path}").body == path.read_bytes()


def test_contexts_and_tasks_belong_to_one_request(server, wire):
    connection = wire(server)
    for _ in range(3):
        assert connection.get("/contexts?a").body == b"unset True"
    connection.send(b"GET /contexts?b HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
    assert [connection.answer().body for _ in range(3)] == [b"unset True"] * 3


def test_requests_leave_nothing_for_the_garbage_collector(server, wire):
    connection = wire(server)
    connection.get("/collect")
    before = int(connection.get("/collect").body)
    for _ in range(50):
        assert connection.get("/hello").status == 200
        assert connection.get("/pause?0.001").status == 200
        assert connection.get("/echo", method="POST", body=CHUNK).status == 200
    assert int(connection.get("/collect").body) <= before + 5


# Timeouts and limits


def test_idle_and_slow_clients_are_ended(start, wire):
    server = start("--keep-alive", "1", "--request-head-timeout", "1", "--request-body-timeout", "1")
    idle, head, body = wire(server), wire(server), wire(server)
    assert idle.get("/hello").status == 200
    head.send(b"GET /hello HTTP/1.1\r\nHos")
    body.ask("/echo", "Content-Length: 100000", method="POST", body=b"half")
    assert idle.rest() == b""
    assert head.answer().status == 408
    assert body.answer().status == 408


def test_a_client_that_does_not_read_is_ended(start, wire):
    server = start("--response-write-timeout", "1", "--log-level", "debug")
    connection = wire(server)
    connection.ask("/stream?100000")
    server.wait_for("the client is gone")


def test_worker_connections_holds(start, wire):
    server = start("--worker-connections", "2")
    first, second = wire(server), wire(server)
    assert first.get("/hello").status == second.get("/hello").status == 200
    third = wire(server)
    third.ask("/hello")
    assert third.is_silent(0.3)
    first.close()
    assert third.answer().body == b"hello"


def test_limit_concurrency_refuses_what_is_beyond(start, wire):
    server = start("--limit-concurrency", "1")
    busy = wire(server)
    busy.ask("/pause?2")
    server.wait_for("pausing")
    answer = wire(server).get("/hello")
    assert (answer.status, answer["retry-after"]) == (503, "1")
    assert busy.answer().status == 200


# Lives of workers


def test_a_drain_lets_running_requests_finish(start, wire):
    server = start("--workers", "1")
    connection = wire(server)
    connection.ask("/pause?1")
    server.wait_for("pausing")
    server.signal(signal.SIGTERM)
    answer = connection.answer()
    assert (answer.body, answer["connection"]) == (b"hello", "close")
    assert server.wait() == 0
    assert "lifespan over" in server.output


def test_what_still_runs_at_the_end_of_a_drain_is_cancelled(start, wire):
    server = start("--graceful-timeout", "2")
    connection = wire(server)
    connection.ask("/deaf")
    server.wait_for("deaf")
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert "cancelled" in server.output
    assert "lifespan over" in server.output
    assert "did not leave in time" not in server.output


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_signals_to_a_worker_mean_what_they_mean_elsewhere(start, wire, tmp_path, loop):
    log = tmp_path / "log"
    server = start("--asgi-loop", loop, "--error-logfile", str(log), ready=False)
    wait_until(lambda: log.exists() and "Ready: generation 1" in log.read_text(), what="the start")
    server.port = int(log.read_text().partition("Listening at: http://127.0.0.1:")[2].partition(" ")[0])
    pid = int(wire(server).get("/pid").body)
    log.rename(tmp_path / "old")
    os.kill(pid, signal.SIGUSR1)
    wait_until(log.exists, what="the new log file")
    connection = wire(server)
    connection.ask("/pause?1")
    wait_until(lambda: "pausing" in server.output, what="the request")
    os.kill(pid, signal.SIGTERM)
    assert connection.answer().body == b"hello"
    wait_until(lambda: int(wire(server).get("/pid", "Connection: close").body) != pid, what="its successor")


def test_a_worker_is_replaced_after_max_requests(start, wire):
    server = start("--max-requests", "10")
    seen = set()
    for _ in range(25):
        seen.add(wire(server).get("/pid", "Connection: close").body)
        if len(seen) > 1:
            break
    wait_until(lambda: len(seen) > 1 or seen.add(wire(server).get("/pid", "Connection: close").body), what="another")
    server.wait_for("Autorestarting worker after current request")


def test_a_blocked_loop_is_noticed_and_all_tasks_are_told(start, wire):
    server = start("--timeout", "1")
    connection = wire(server)
    connection.ask("/waiter")
    connection.head()
    blocking = wire(server)
    blocking.ask("/block?30")
    server.wait_for("WORKER TIMEOUT")
    server.wait_for(r"tasks that wait:\n[\s\S]*inner_wait")
    server.wait_for(r"was aborted at:\n[\s\S]*in block")
    server.wait_for(r"busy with: GET /block\?30")


def test_a_long_request_that_waits_is_no_hang(start, wire):
    server = start("--timeout", "1")
    connection = wire(server)
    assert connection.get("/pause?2.5").status == 200
    assert "WORKER TIMEOUT" not in server.output


# What is no application for this worker class


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("def app(environ, start_response): ...", "looks like a WSGI application"),
        ("class app:\n    def __init__(self, scope): ...\n    async def __call__(self, receive, send): ...", "ASGI 2"),
        ("def app(scope): ...", "ASGI 2"),
        ("class app:\n    def __init__(self): ...\n    async def __call__(self, a, b, c): ...", "instance"),
        ("async def app(request): ...", "ASGI 2"),
    ],
)
def test_what_is_no_asgi_application_is_refused_with_the_way_on(tmp_path, source, told):
    (tmp_path / "app.py").write_text(source)
    command = [sys.executable, "-m", "unicorn_cli", "-k", "asgi", "-b", "127.0.0.1:0", "app:app"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 4
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr


# The access log


def test_the_access_log_tells_of_each_request(start, wire, tmp_path):
    path = tmp_path / "access"
    server = start("--access-logfile", str(path), "--access-logformat", '%(h)s "%(r)s" %(s)s %(B)s %({x-a}i)s')
    connection = wire(server)
    connection.get("/hello?q", "X-A: b")
    connection.get("/stream?2")
    connection.get("/boom")
    connection.ask("/half")
    connection.is_cut()
    wait_until(lambda: path.read_text().count("\n") == 4, what="four lines")
    assert path.read_text().splitlines() == [
        '127.0.0.1 "GET /hello?q HTTP/1.1" 200 5 b',
        f'127.0.0.1 "GET /stream?2 HTTP/1.1" 200 {2 * len(CHUNK)} -',
        '127.0.0.1 "GET /boom HTTP/1.1" 500 26 -',
        '127.0.0.1 "GET /half HTTP/1.1" 200 4 -',
    ]


# Turns


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_after_a_call_that_blocked_no_answer_waits_for_the_next_one_that_blocks(start, wire, tmp_path: Path):
    server = start()
    (pid,) = server.worker_pids()
    clients = [wire(server) for _ in range(5)]
    for connection in clients:
        assert connection.get("/hello").body == b"hello"
    *fast, blocking = clients
    for name in ("first", "second"):
        wait_until(lambda: state_of(pid) == "S", what="the worker's wait in its loop, so that no order is left over")
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: state_of(pid) == "T", what="the stop of the worker")
        for connection in fast:
            connection.ask("/hello")
        blocking.ask(f"/gate?{tmp_path}/{name}")
        os.kill(pid, signal.SIGCONT)
        wait_until((tmp_path / f"{name}.begun").exists, what="the blocking call")
        if name == "second":
            for connection in fast:
                assert connection.answer().body == b"hello"
        (tmp_path / name).touch()
        assert blocking.answer().body == b"hello"
        if name == "first":
            for connection in fast:
                assert connection.answer().body == b"hello"


def state_of(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]
