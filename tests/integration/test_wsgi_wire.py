"""PEP 3333 as a client sees it on the wire, and what each fault of an application costs: one request, nothing else."""

import re
from collections.abc import Callable
from itertools import count

import pytest

from unicorn_core import plugins
from unicorn_core.testing.plugins import importable
from unicorn_core.testing.server import ServerProcess, wait_until

numbers = count()


@pytest.fixture(params=importable(plugins.HTTP_PARSERS))
def server(
    request: pytest.FixtureRequest,
    shared_server: Callable[..., ServerProcess],
    shows_output: Callable[[ServerProcess], ServerProcess],
) -> ServerProcess:
    return shows_output(shared_server("wire_app:app", "--http-parser", request.param, "--log-level", "debug"))


@pytest.fixture
def name() -> str:
    """Something that no other test's request carries."""
    return f"n{next(numbers)}"


def still_serves(connection) -> bool:
    """Nothing stray lies before the next answer of the connection."""
    return connection.get("/hello").body == b"hello" and not connection.seen


# How a response is framed


def test_a_body_of_one_block_gets_its_content_length(server, wire):
    answer = wire(server).get("/echo", method="POST", body=b"four")
    assert answer["content-length"] == "4"
    assert answer["transfer-encoding"] is None
    assert answer.body == b"four"


def test_a_body_of_unknown_length_is_chunked_for_http_1_1(server, wire):
    connection = wire(server)
    answer = connection.get("/blocks")
    assert answer["transfer-encoding"] == "chunked"
    assert answer["content-length"] is None
    assert answer.body == b"one,two,three"
    assert still_serves(connection)


def test_an_empty_block_is_not_the_last_chunk(server, wire):
    connection = wire(server)
    connection.ask("/blocks")
    connection.head()
    assert [connection.chunk() for _ in range(4)] == [b"one,", b"two,", b"three", b""]
    assert still_serves(connection)


def test_a_body_of_unknown_length_ends_with_the_connection_for_http_1_0(server, wire):
    connection = wire(server)
    answer = connection.get("/blocks", "Connection: keep-alive", version="1.0")
    assert answer["transfer-encoding"] is None
    assert answer["connection"] == "close"
    assert answer.body == b"one,two,three"


def test_a_response_without_blocks_has_length_zero(server, wire):
    connection = wire(server)
    assert connection.get("/nothing")["content-length"] == "0"
    assert still_serves(connection)


@pytest.mark.parametrize("path", ["/hello", "/blocks", "/big?100000", "/declared?16", "/nothing", "/big-stream?200000"])
def test_head_gets_the_head_alone(server, wire, path):
    connection = wire(server)
    answer = connection.get(path, method="HEAD")
    assert answer.status == 200
    assert answer["content-type"] == "text/plain"
    assert still_serves(connection)


@pytest.mark.parametrize("path", ["/hello", "/declared?16", "/big?100000"])
def test_head_and_get_tell_the_same_length(server, wire, path):
    connection = wire(server)
    assert connection.get(path, method="HEAD")["content-length"] == connection.get(path)["content-length"]


def test_head_invents_no_length(server, wire):
    """An application may return nothing to HEAD; that says nothing about the length of GET (RFC 9110 section 8.6)."""
    assert wire(server).get("/nothing", method="HEAD")["content-length"] is None


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_body_brings_none(server, wire, status):
    connection = wire(server)
    answer = connection.get(f"/status?{status}")
    assert answer.status == status
    assert answer["transfer-encoding"] is None
    assert answer["content-length"] is None
    assert still_serves(connection)


# Blocks, and when they go out


def test_a_block_goes_out_before_the_next_one_is_asked_for(server, wire, tmp_path):
    connection = wire(server)
    connection.ask(f"/gate-between-blocks?{tmp_path}/go")
    connection.head()
    assert connection.chunk() == b"first"
    (tmp_path / "go").touch()
    assert (connection.chunk(), connection.chunk()) == (b"second", b"")


def test_what_was_written_goes_out_before_write_returns(server, wire, tmp_path):
    connection = wire(server)
    connection.ask(f"/gate-after-write?{tmp_path}/go")
    connection.head()
    assert connection.chunk() == b"written"
    (tmp_path / "go").touch()
    assert (connection.chunk(), connection.chunk()) == (b"returned", b"")


# The declared length


def test_the_exact_length_leaves_the_connection_open(server, wire):
    connection = wire(server)
    assert connection.get("/declared?16").body == b"aaaabbbbccccdddd"
    assert still_serves(connection)


def test_more_than_the_declared_length_is_cut_and_logged(server, wire):
    connection = wire(server)
    answer = connection.get("/declared?10")
    assert (answer["content-length"], answer.body) == ("10", b"aaaabbbbcc")
    server.wait_for(r"GET /declared\?10: the application sent more than the Content-Length")
    assert still_serves(connection)


def test_less_than_the_declared_length_closes_and_is_logged(server, wire):
    connection = wire(server)
    connection.ask("/declared?99")
    assert b"Content-Length: 99" in connection.head()
    assert connection.is_cut()
    assert connection.seen == b"aaaabbbbccccdddd"
    server.wait_for(r"GET /declared\?99: the application sent 83 bytes less than the Content-Length")


# wsgi.file_wrapper


@pytest.fixture(params=["sendfile", "no sendfile"])
def file_server(request, shared_server, shows_output):
    flags = [] if request.param == "sendfile" else ["--no-sendfile"]
    return shows_output(shared_server("wire_app:app", *flags))


@pytest.fixture
def content(tmp_path):
    """A file, and what is in it."""
    (tmp_path / "f").write_bytes(data := bytes(range(256)) * 4000)
    return tmp_path / "f", data


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("offset", [0, 1, 1_023_999, 1_024_000])
def test_a_file_is_sent_from_where_it_stands(file_server, wire, content, method, offset):
    path, data = content
    connection = wire(file_server)
    answer = connection.get(f"/file?{path}|{offset}|{len(data) - offset}", method=method)
    assert answer["content-length"] == str(len(data) - offset)
    assert answer.body == (data[offset:] if method == "GET" else b"")
    assert still_serves(connection)


def test_a_file_without_a_declared_length_comes_whole(file_server, wire, content):
    path, data = content
    connection = wire(file_server)
    assert connection.get(f"/file?{path}|0|").body == data
    assert still_serves(connection)


def test_no_more_of_a_file_is_sent_than_was_declared(file_server, wire, content):
    path, data = content
    connection = wire(file_server)
    assert connection.get(f"/file?{path}|10|1000").body == data[10:1010]
    assert still_serves(connection)


def test_a_file_shorter_than_was_declared_closes_the_connection(file_server, wire, content):
    path, data = content
    connection = wire(file_server)
    connection.ask(f"/file?{path}|1023000|5000")
    connection.head()
    assert connection.is_cut()
    assert connection.seen == data[1_023_000:]
    file_server.wait_for("the application sent 4000 bytes less than the Content-Length")


def test_an_empty_file(file_server, wire, tmp_path):
    (tmp_path / "f").touch()
    connection = wire(file_server)
    assert connection.get(f"/file?{tmp_path}/f|0|").body == b""
    assert still_serves(connection)


@pytest.mark.only_worker_class(
    "sync", "gthread", "eventlet", reason="gevent closes a pipe later, when the read has blocked the hub"
)
def test_a_file_object_that_is_no_regular_file(file_server, wire):
    connection = wire(file_server)
    assert connection.get("/pipe").body == b"from a pipe"
    assert still_serves(connection)


def test_a_file_comes_whole_over_http_1_0(file_server, wire, content):
    path, data = content
    assert wire(file_server).get(f"/file?{path}|0|", version="1.0").body == data


# close()


@pytest.mark.parametrize("kind", ["normal", "empty", "raises", "raisesfirst", "wrongtype", "exits"])
def test_close_is_called_once_however_the_iteration_ends(server, wire, name, kind):
    connection = wire(server)
    connection.ask(f"/closing?{kind}-{name}", "Connection: close")
    assert connection.is_cut()
    assert wire(server).get(f"/closed?{kind}-{name}").body == b"1"


def test_close_is_called_once_for_head(server, wire, name):
    connection = wire(server)
    connection.get(f"/closing?normal-{name}", method="HEAD")
    assert connection.get(f"/closed?normal-{name}").body == b"1"


@pytest.mark.parametrize("how", ["close", "reset"])
def test_close_is_called_once_when_the_client_is_gone(server, wire, name, how):
    connection = wire(server)
    connection.ask(f"/closing?endless-{name}")
    assert connection.chunk if connection.head() else None
    getattr(connection, how)()
    other = wire(server)
    wait_until(lambda: other.get(f"/closed?endless-{name}").body != b"0", what="the close")
    assert other.get(f"/closed?endless-{name}").body == b"1"


def test_a_fault_in_close_is_logged_and_spoils_nothing(server, wire):
    connection = wire(server)
    assert connection.get("/closing-badly").body == b"answered"
    server.wait_for("RuntimeError: a fault in close")
    assert still_serves(connection)


# Exceptions


@pytest.mark.parametrize("path", ["/raises", "/raises-after-start"])
def test_an_exception_before_the_head_is_answered_500_with_the_traceback_in_the_log(server, wire, name, path):
    connection = wire(server)
    answer = connection.get(f"{path}?{name}")
    assert answer.status == 500
    assert b"RuntimeError" not in answer.body
    assert answer["x-secret"] is None
    server.wait_for(
        rf"Error handling request GET {path}\?{name}\nTraceback[\s\S]*RuntimeError: \w+ start_response {name}\n"
    )
    assert still_serves(connection)


def test_an_exception_after_the_head_cuts_the_connection(server, wire, name):
    connection = wire(server)
    connection.ask(f"/raises-later?{name}")
    connection.head()
    assert connection.chunk() == b"begun"
    assert connection.is_cut()
    assert connection.seen == b""  # no last chunk, no second head
    server.wait_for(rf"Traceback[\s\S]*RuntimeError: after the first block {name}\n")


def test_an_exception_within_the_declared_length_cuts_the_connection(server, wire, name):
    connection = wire(server)
    connection.ask(f"/raises-within-length?{name}")
    connection.head()
    assert connection.is_cut()
    assert connection.seen == b"begun"
    server.wait_for(rf"RuntimeError: within the declared length {name}\n")


def test_an_exception_after_the_head_is_a_reset_where_only_the_end_ends_the_body(server, wire, name):
    connection = wire(server)
    connection.ask(f"/raises-later?{name}", version="1.0")
    connection.head()
    with pytest.raises(ConnectionResetError):
        connection.rest()


def test_exc_info_replaces_a_head_that_was_not_sent(server, wire):
    connection = wire(server)
    answer = connection.get("/replaces")
    assert (answer.status, answer.body, answer["x-first"]) == (503, b"an error page", None)
    assert still_serves(connection)


def test_exc_info_after_the_head_raises_the_error(server, wire, name):
    connection = wire(server)
    connection.ask(f"/replaces-too-late?{name}")
    connection.head()
    assert connection.chunk() == b"begun"
    assert connection.is_cut()
    assert connection.seen == b""
    server.wait_for(rf"ValueError: noticed too late {name}\n")


@pytest.mark.parametrize("path", ["/starts-twice", "/never-starts", "/returns-none", "/unknown"])
def test_a_breach_of_the_protocol_is_answered_500(server, wire, path):
    connection = wire(server)
    assert connection.get(path).status == 500
    server.wait_for(rf"Error handling request GET {path}\nTraceback")
    assert still_serves(connection)


@pytest.mark.parametrize("kind", ["SystemExit", "KeyboardInterrupt", "GeneratorExit"])
def test_an_exit_costs_the_request_alone(server, wire, kind):
    before = server.worker_pids()
    connection = wire(server)
    assert connection.get(f"/leaves?{kind}").status == 500
    server.wait_for(rf"Error handling request GET /leaves\?{kind}\nTraceback[\s\S]*{kind}")
    assert still_serves(connection)
    assert server.worker_pids() == before


@pytest.mark.parametrize("kind", ["SystemExit", "KeyboardInterrupt", "GeneratorExit"])
def test_an_exit_after_the_head_costs_the_request_alone(server, wire, kind):
    before = server.worker_pids()
    connection = wire(server)
    connection.ask(f"/leaves-later?{kind}")
    assert connection.is_cut()
    assert connection.seen.endswith(b"\r\nbegun\r\n")
    assert wire(server).get("/hello").body == b"hello"
    assert server.worker_pids() == before


# What an application's head may say

INJECTIONS = [
    "value-crlf",
    "value-lf",
    "value-cr",
    "value-nul",
    "value-end",
    "name-crlf",
    "name-colon",
    "name-empty",
    "name-space",
    "status-crlf",
    "status-lf",
    "status-word",
    "status-100",
    "wide-value",
    "bytes-value",
    "length-word",
    "length-twice",
    "length-negative",
]


@pytest.mark.parametrize("kind", INJECTIONS)
def test_a_head_that_must_not_be_sent_is_answered_500(server, wire, kind):
    connection = wire(server)
    answer = connection.get(f"/injects?{kind}")
    assert answer.status == 500
    assert b"Evil" not in answer.head + answer.body
    server.wait_for(rf"Error handling request GET /injects\?{kind}\nTraceback")
    assert still_serves(connection)


def test_hop_by_hop_fields_of_the_application_are_dropped(server, wire):
    connection = wire(server)
    answer = connection.get("/hop-by-hop")
    assert b"from the application" not in answer.head
    assert (answer["x-kept"], answer["server"], answer.body) == ("yes", "unicorn", b"hello")
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", answer["date"])
    server.wait_for(r"\[DEBUG\] GET /hop-by-hop: left out of the response: connection, keep-alive,")
    assert still_serves(connection)


# The environ


def test_the_environ_has_what_pep_3333_and_cgi_say(server, wire, worker_class):
    connection = wire(server)
    answer = connection.get(
        "/environ?a=%20b", "X-Odd_Name: dropped", "X-Two: 1", "X-Two: 2", "Content-Type: a/b", "Content-Length: 0"
    )
    environ = eval(answer.body)
    ours = connection.socket.getsockname()
    assert environ["REQUEST_METHOD"] == "GET"
    assert environ["PATH_INFO"] == "/environ"
    assert environ["QUERY_STRING"] == "a=%20b"
    assert environ["RAW_URI"] == "/environ?a=%20b"
    assert environ["SCRIPT_NAME"] == ""
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("127.0.0.1", str(server.port))
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == (ours[0], str(ours[1]))
    assert re.fullmatch(r"unicorn/[\d.]+\w*", environ["SERVER_SOFTWARE"])
    assert environ["HTTP_HOST"] == "test"
    assert environ["HTTP_X_TWO"] == "1,2"
    assert (environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"]) == ("a/b", "0")
    assert "HTTP_CONTENT_TYPE" not in environ
    assert "HTTP_X_ODD_NAME" not in environ
    assert environ["wsgi.version"] == (1, 0)
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["wsgi.multithread"] == (worker_class.name != "sync")
    assert (environ["wsgi.multiprocess"], environ["wsgi.run_once"]) == (False, False)
    assert environ["wsgi.input_terminated"] is True


def test_wsgi_errors_goes_to_the_error_log(server, wire, name):
    assert wire(server).get(f"/complains?{name}").body == b"complained"
    server.wait_for(f"a complaint about {name}\n")


# The worker


@pytest.mark.parametrize("code", [0, 5])
def test_a_process_that_ends_in_a_request_is_replaced_and_the_log_says_so(serve, wire, apps, code):
    server = serve(application="wire_app:app", cwd=apps)
    (first,) = server.worker_pids()
    connection = wire(server)
    connection.ask(f"/dies?{code}")
    assert connection.is_cut()
    assert connection.seen == b""
    assert wire(server).get("/hello").body == b"hello"
    wait_until(lambda: len(server.worker_pids()) == 1, what="one worker")
    assert server.worker_pids() != [first]
    server.wait_for(rf"\[ERROR\] Worker \(pid:{first}\) exited with code {code}", timeout=5)


@pytest.mark.parametrize(
    "head",
    [
        b"HEAD / HTTP/1.1\r\n\r\n",
        b"HEAD / HTTP/1.7\r\nHost: a\r\n\r\n",
        b"\r\nHEAD / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n",
        b"HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    ],
)
@pytest.mark.parametrize("cut", [0, 9])
def test_a_refused_head_request_is_answered_without_a_body(server, wire, head, cut):
    connection = wire(server)
    connection.send(head[:cut])
    connection.send(head[cut:])
    answer = connection.rest()
    assert re.match(rb"HTTP/1.1 (400|417|505) ", answer)
    assert b"Content-Length: " in answer
    assert answer.endswith(b"\r\n\r\n")
    refused = wire(server)
    refused.send(head.replace(b"HEAD", b"GET"))
    assert not refused.rest().endswith(b"\r\n\r\n")
