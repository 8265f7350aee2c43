"""The real server answers every malformed request with its status, closes, and goes on serving.

The application never sees one, nothing that follows it on its connection is served, and the worker survives all of
them. The valid ones reach the application as they are.
"""

import json
from collections.abc import Callable, Iterator

import h11
import pytest
from request_corpus import CLOSED, MALFORMED, VALID

from unicorn_core import plugins
from unicorn_core.testing.server import ServerProcess

APP = """
import json, os

entered, served = [], []


def app(environ, start_response):
    if environ["PATH_INFO"] == "/report":
        answer = {"pid": os.getpid(), "entered": entered[:], "served": served[:]}
        entered.clear()
        served.clear()
    else:
        entered.append(environ["RAW_URI"])
        body = environ["wsgi.input"].read()
        served.append(environ["RAW_URI"])
        names = ("REQUEST_METHOD", "RAW_URI", "SERVER_PROTOCOL", "wsgi.url_scheme")
        answer = {name: environ[name] for name in names} | {"body": body.decode("latin-1")}
        answer["fields"] = {key: value for key, value in environ.items() if key.startswith(("HTTP_", "CONTENT_"))}
    data = json.dumps(answer).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
    return [data]
"""

PARSERS = sorted(plugins.find(plugins.HTTP_PARSERS))
PLAIN = [case for case in VALID if not any(b"script_name" in seen.table for seen in case.seen)]
"""SCRIPT_NAME changes the path: see wsgi/test_environ.py."""
SMALL = 16384
"""Bytes that come with one read, so that even a body is known to be malformed before the application is called."""
NEXT = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(scope="module")
def server_for(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., ServerProcess]]:
    """Servers with one worker, by parser and settings; all tests of this module share them."""
    folder = tmp_path_factory.mktemp("app")
    (folder / "app.py").write_text(APP)
    servers: dict[tuple[str, ...], ServerProcess] = {}

    def get(parser: str, settings: dict[str, str]) -> ServerProcess:
        words = ["--http-parser", parser]
        for name, value in settings.items():
            words.append("--" + name.replace("_", "-"))
            words += [] if value == "true" else [value]
        key = tuple(words)
        if key not in servers:
            servers[key] = ServerProcess("app:app", *words, cwd=folder)
            servers[key].wait_until_ready()
        return servers[key]

    yield get
    for server in servers.values():
        try:
            assert server.stop() == 0
        finally:
            server.kill()
            print(server.output)


def report(server: ServerProcess) -> dict:
    """What the application has seen since the last report."""
    return json.loads(server.get("/report"))


def read_to_the_end(sock) -> bytes:
    """What comes until the server closes the connection."""
    received = b""
    try:
        while piece := sock.recv(65536):
            received += piece
    except ConnectionResetError:
        pass
    return received


def answers(wire: bytes, count: int) -> list[tuple[int, dict[bytes, bytes], bytes]]:
    """So many responses, as a client reads them; nothing else may be there."""
    found = []
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    client.receive_data(wire)
    for number in range(count):
        if number:
            client.start_next_cycle()
        client.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
        client.send(h11.EndOfMessage())
        event = client.next_event()
        if isinstance(event, h11.InformationalResponse):
            event = client.next_event()
        assert isinstance(event, h11.Response), event
        body = b""
        while isinstance(part := client.next_event(), h11.Data):
            body += part.data
        assert isinstance(part, h11.EndOfMessage), part
        found.append((event.status_code, dict(event.headers), body))
    assert client.trailing_data[0] == b""
    return found


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("case", MALFORMED, ids=lambda case: case.name)
def test_a_malformed_request_costs_nothing_but_its_connection(server_for, parser, case):
    server = server_for(parser, case.settings)
    before = report(server)
    with server.connect(5.0) as sock:
        try:
            if case.status == CLOSED:
                sock.sendall(case.data)
                sock.shutdown(1)
            else:
                sock.sendall(case.data + NEXT)
        except (BrokenPipeError, ConnectionResetError):
            pass  # answered and closed before all of it was read
        received = read_to_the_end(sock)
    if case.status == CLOSED:
        assert received == b""
    else:
        ((status, fields, body),) = answers(received, 1)
        assert status == case.status
        assert fields[b"connection"] == b"close"
        assert body.startswith(b"%d " % status)
    after = report(server)
    assert after["pid"] == before["pid"]
    assert after["served"] == []
    if not case.in_body or (case.status != CLOSED and len(case.data) < SMALL):
        assert after["entered"] == []


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("case", PLAIN, ids=lambda case: case.name)
def test_a_valid_request_is_served_as_it_is(server_for, parser, case):
    server = server_for(parser, case.settings)
    with server.connect(5.0) as sock:
        sock.sendall(case.data)
        sock.shutdown(1)
        received = read_to_the_end(sock)
    found = answers(received, len(case.seen))
    for (status, _, body), seen in zip(found, case.seen, strict=True):
        assert status == 200
        got = json.loads(body)
        assert got["REQUEST_METHOD"] == seen.method
        assert got["RAW_URI"].encode("latin-1") == seen.target
        assert got["SERVER_PROTOCOL"] == seen.protocol
        assert got["wsgi.url_scheme"] == seen.scheme
        assert got["body"].encode("latin-1") == seen.body
        expected = seen.fields
        if b"://" in seen.target.partition(b"?")[0][:8]:
            got["fields"].pop("HTTP_HOST")
            expected.pop("HTTP_HOST")
        assert got["fields"] == expected
