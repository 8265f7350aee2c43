"""wsgiref's validator finds nothing wrong with the server, in any corner of PEP 3333."""

from collections.abc import Callable, Iterator

import pytest

from unicorn_core import plugins
from unicorn_core.testing.plugins import importable
from unicorn_core.testing.server import ServerProcess

LINES = b"first\nsecond\nthird\n\nlast"


@pytest.fixture(params=importable(plugins.HTTP_PARSERS))
def server(
    request: pytest.FixtureRequest,
    shared_server: Callable[..., ServerProcess],
    shows_output: Callable[[ServerProcess], ServerProcess],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ServerProcess]:
    unix = tmp_path_factory.getbasetemp() / "validator.sock" if request.param == "h11" else None
    server = shows_output(
        shared_server("corners_app:app", "--http-parser", request.param, "--env", "PYTHONWARNINGS=error", unix=unix)
    )
    yield server
    assert "AssertionError" not in server.output
    assert "garbage collected without being closed" not in server.output


READS = [
    ("/read_all", LINES),
    ("/read_beyond", LINES + b"|"),
    ("/read_pieces", b"|".join(LINES[at : at + 7] for at in range(0, len(LINES), 7))),
    ("/read_lines", repr([b"first\n", b"sec", b"ond\n", b"third\n", b"\n", b"last"]).encode()),
    ("/read_lines_hint", repr([b"first\n", b"second\n", b"third\n", b"\n", b"last"]).encode()),
    ("/iterate", repr([b"first\n", b"second\n", b"third\n", b"\n", b"last"]).encode()),
]


@pytest.mark.parametrize(("path", "expected"), READS)
def test_a_body_that_has_come_is_read_in_every_way(server, wire, path, expected):
    connection = wire(server)
    assert connection.get(path, method="POST", body=LINES).body == expected
    assert connection.get(path, method="POST", body=LINES).body == expected


@pytest.mark.parametrize(("path", "expected"), READS)
def test_a_body_that_still_comes_is_read_in_every_way(server, wire, path, expected):
    connection = wire(server)
    connection.ask(path, f"Content-Length: {len(LINES)}", "Expect: 100-continue", method="POST")
    assert connection.head() == b"HTTP/1.1 100 Continue"
    for at in range(len(LINES)):
        connection.send(LINES[at : at + 1])
    assert connection.answer().body == expected


@pytest.mark.parametrize(("path", "expected"), [read for read in READS if read[0] != "/read_all"])
def test_a_chunked_body_is_read_in_every_way(server, wire, path, expected):
    connection = wire(server)
    connection.ask(path, "Transfer-Encoding: chunked", method="POST")
    for at in range(0, len(LINES), 4):
        piece = LINES[at : at + 4]
        connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
    connection.send(b"0\r\n\r\n")
    assert connection.answer().body == expected


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/read_all", 200, b""),
        ("/write", 200, b"written,again,returned"),
        ("/generator", 200, b"one,two"),
        ("/late_start", 200, b"late"),
        ("/with_close", 200, b"ab"),
        ("/exc_info", 500, b"error page"),
        ("/nothing", 200, b""),
        ("/no_content", 204, b""),
        ("/not_modified", 304, b""),
        ("/file", 200, b"f" * 200_000),
        ("/errors", 200, b"said"),
        ("/fields", 200, b""),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_answers_in_every_way(server, wire, path, status, body, method, version):
    connection = wire(server)
    answer = connection.get(path, "Connection: keep-alive", method=method, version=version)
    assert answer.status == status
    assert answer.body == (b"" if method == "HEAD" else body)
    if answer["connection"] != "close":
        assert connection.get("/nothing").status == 200
    assert not connection.seen


def test_iterables_are_closed(server, wire):
    name = f"over-{'unix' if server.unix else 'tcp'}"
    wire(server).get(f"/with_close?{name}")
    server.wait_for(f"close called {name}\n")
    wire(server).get(f"/generator?{name}")
    server.wait_for(f"generator closed {name}\n")


def test_what_is_written_to_wsgi_errors_stands_in_the_log(server, wire):
    wire(server).get("/errors")
    server.wait_for("first line\nsecond line\nthird line\n")


def test_fields_keep_their_bytes_and_their_number(server, wire):
    connection = wire(server)
    connection.send(b"GET /fields HTTP/1.1\r\nHost: test\r\nX-Latin: caf\xe9\r\n\r\n")
    answer = connection.answer()
    assert answer.body == b"caf\xe9"
    assert answer["x-latin"] == "caf\xe9"
    assert [value for name, value in answer.fields if name == "set-cookie"] == ["a=1", "b=2"]


@pytest.mark.parametrize("path", ["/write", "/generator", "/with_close", "/file"])
def test_a_client_that_leaves_at_once_upsets_nothing(server, wire, path):
    connection = wire(server)
    connection.ask(path)
    connection.reset()
    assert wire(server).get("/nothing").status == 200


def test_a_query_and_an_encoded_path_are_what_the_validator_expects(server, wire):
    assert wire(server).get("/read%5Fall?a=b&c=%20").status == 200
