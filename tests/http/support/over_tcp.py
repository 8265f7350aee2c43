"""The corpus of requests against real servers, whatever they are written in behind the connection.

The application under test tells in JSON what it sees: `/report` the pid and the targets for which it was entered and
which it served since the last report; any other path the request, by the names of a WSGI environ.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import h11
from request_corpus import CLOSED, VALID, Malformed, Valid

from unicorn_core.testing.server import ServerProcess

PLAIN = [case for case in VALID if not any(b"script_name" in seen.table for seen in case.seen)]
"""SCRIPT_NAME changes the path: see wsgi/test_environ.py."""
SMALL = 16384
"""Bytes that come with one read, so that even a body is known to be malformed before the application is called."""
NEXT = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


def servers(folder: Path, *arguments: str) -> Iterator[Callable[[str, Mapping[str, str]], ServerProcess]]:
    """For a fixture: servers of app.py in this folder with one worker, by parser and settings."""
    running: dict[tuple[str, ...], ServerProcess] = {}

    def get(parser: str, settings: Mapping[str, str]) -> ServerProcess:
        words = [*arguments, "--http-parser", parser]
        for name, value in settings.items():
            words.append("--" + name.replace("_", "-"))
            words += [] if value == "true" else [value]
        key = tuple(words)
        if key not in running:
            running[key] = ServerProcess("app:app", *words, cwd=folder)
            running[key].wait_until_ready()
        return running[key]

    yield get
    for server in running.values():
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


def costs_nothing_but_its_connection(server: ServerProcess, case: Malformed) -> None:
    """It gets its status, nothing behind it is served, and the application sees nothing of it."""
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


def is_served_as_it_is(server: ServerProcess, case: Valid) -> None:
    """All of its requests are answered, and the application has seen them as they are."""
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
