"""What the server writes is what a client reads: h11 as a client parses every response, and each ends where it says.

First one response at a time, by codec and gateway alone; then many over a connection of a running worker.
"""

import io
from dataclasses import dataclass
from itertools import count

import h11
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from worker_driver import connect
from wsgi_driver import run

from unicorn_http.semantics.response import DROPPED

names = st.text("!#$%&'*+-.^_`|~abcXYZ019", min_size=1, max_size=10).filter(
    lambda name: name.lower() not in DROPPED | {"content-length"}
)
values = st.text(st.sampled_from([*map(chr, range(0x20, 0x7F)), *map(chr, range(0x80, 0x100)), "\t"]), max_size=20)
fields = st.lists(st.tuples(names, values), max_size=5)
statuses = st.one_of(
    st.sampled_from(["200 OK", "204 No Content", "304 Not Modified", "404 Not Found", "500 Oh", "205 Reset"]),
    st.integers(200, 999).map(lambda code: f"{code} Some Phrase"),
    st.integers(200, 999).map(str),
)
blocks = st.lists(st.binary(max_size=40), max_size=5)
requests = st.tuples(
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "M-SEARCH"]),
    st.sampled_from(["HTTP/1.1", "HTTP/1.0"]),
    st.sampled_from(["", "Connection: close\r\n", "Connection: keep-alive\r\n"]),
)


def as_client(method: str, wire: bytes) -> tuple[h11.Response, bytes, bool]:
    """(the head, the body, whether the connection stays) as h11 reads them; nothing may be left over."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(wire)
    head = client.next_event()
    assert isinstance(head, h11.Response), head
    body, ended = b"", False
    while not isinstance(event := client.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            assert not ended, "the response is not complete"
            client.receive_data(b"")
            ended = True
        else:
            assert isinstance(event, h11.Data), event
            body += event.data
    if ended:
        return head, body, False
    assert client.trailing_data == (b"", False)
    return head, body, client.our_state is h11.DONE


@given(
    request=requests,
    status=statuses,
    said=fields,
    blocks=blocks,
    declared=st.booleans(),
    kind=st.sampled_from([list, tuple, iter]),
    persist=st.booleans(),
)
def test_a_client_reads_what_the_application_said(request, status, said, blocks, declared, kind, persist):
    method, version, connection = request
    body = b"".join(blocks)
    headers = [*said, ("Content-Length", str(len(body)))] if declared else said

    def application(environ, start_response):
        start_response(status, headers)
        return kind(blocks)

    wire = f"{method} / {version}\r\nHost: a\r\n{connection}\r\n".encode()
    script, reply = run(application, wire, persist=persist)
    assert reply.complete
    assert not reply.problem

    head, received, stays = as_client(method, script.wire)
    assert head.status_code == int(status[:3])
    assert head.reason.decode() == status[4:]
    bodiless = method == "HEAD" or head.status_code in (204, 205, 304)
    assert received == (b"" if bodiless else body)

    own = [(name.decode().lower(), value.decode("latin-1")) for name, value in head.headers]
    for name, value in said:
        assert (name.lower(), value.strip(" \t")) in own
    framing = [name for name, _ in own if name in ("content-length", "transfer-encoding")]
    assert len(framing) <= 1
    if head.status_code == 204:
        assert framing == []
    if version == "HTTP/1.0":
        assert "transfer-encoding" not in framing
    for name in ("date", "server"):
        assert [key for key, _ in own].count(name) == 1

    wanted = "close" not in connection and (version == "HTTP/1.1" or "keep-alive" in connection)
    assert script.response.persistent == stays
    if not (persist and wanted):
        assert not stays
        assert ("connection", "close") in own
    elif bodiless or declared or version == "HTTP/1.1":
        assert stays


@given(blocks=st.lists(st.binary(min_size=1, max_size=40), min_size=2, max_size=5), end=st.integers(0, 200))
def test_a_response_that_was_cut_does_not_look_complete(blocks, end):
    def application(environ, start_response):
        start_response("200 OK", [])
        return iter(blocks)

    script, _ = run(application)
    cut = script.wire[: len(script.wire) - 1 - end % len(script.body)]
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    client.receive_data(cut)
    client.receive_data(b"")
    try:
        while not isinstance(event := client.next_event(), h11.EndOfMessage):
            assert not isinstance(event, h11.ConnectionClosed)
    except h11.RemoteProtocolError:
        return
    raise AssertionError("h11 took a response that was cut for a complete one")


# Over the wire


class Zeros(bytes):
    """Many bytes that are few in the report of a failure."""

    def __repr__(self) -> str:
        return f"Zeros({len(self)})"


@dataclass(frozen=True)
class Exchange:
    """A request, and what the application makes of it.

    Attributes:
        how: in which way the body is given.
        off: by how much the declared length is wrong; None: no length is declared.
        hints: interim responses come first.
    """

    request: tuple[str, str, str]
    status: str
    said: list[tuple[str, str]]
    blocks: list[bytes]
    how: str
    off: int | None
    hints: int

    @property
    def method(self) -> str:
        return self.request[0]

    @property
    def body(self) -> bytes:
        return b"".join(self.blocks)

    @property
    def declared(self) -> int | None:
        return None if self.off is None else max(0, len(self.body) + self.off)

    @property
    def bodiless(self) -> bool:
        return self.method == "HEAD" or self.status[:3] in ("204", "205", "304")

    @property
    def breaks_off(self) -> bool:
        """The application gives less than it has declared."""
        return not self.bodiless and self.declared is not None and self.declared > len(self.body)

    @property
    def stays(self) -> bool:
        """The connection serves the next request."""
        _, version, connection = self.request
        before = {"list": self.blocks[:-1], "tuple": self.blocks[:-1], "write": list(filter(None, self.blocks[:-1]))}
        one = not before.get(self.how, self.blocks)  # and its length is that of the body
        known = self.bodiless or self.declared is not None or one or not self.body
        wanted = "close" not in connection and (version == "HTTP/1.1" or "keep-alive" in connection)
        return wanted and not self.breaks_off and (version == "HTTP/1.1" or known)

    def answer(self, environ, start_response):
        for _ in range(self.hints):
            environ["wsgi.early_hints"]([("Link", "</a>")])
        length = [] if self.declared is None else [("Content-Length", str(self.declared))]
        write = start_response(self.status, [*self.said, *length])
        match self.how:
            case "list":
                return list(self.blocks)
            case "tuple":
                return tuple(self.blocks)
            case "file":
                return environ["wsgi.file_wrapper"](io.BytesIO(self.body), 7)
            case "write":
                for block in self.blocks[:-1]:
                    write(block)
                return self.blocks[-1:]
        return iter(self.blocks)


exchanges = st.builds(
    Exchange,
    request=requests,
    status=statuses,
    said=fields,
    blocks=st.lists(st.one_of(st.binary(max_size=40), st.just(Zeros(3000)), st.just(Zeros(40000))), max_size=4),
    how=st.sampled_from(["list", "tuple", "iter", "write", "file"]),
    off=st.one_of(st.none(), st.just(0), st.just(0), st.integers(-50, 50)),
    hints=st.sampled_from([0, 0, 0, 1, 2]),
)


def everything(sock) -> tuple[bytes, bool]:
    """What comes until the connection ends, and whether it ends by a reset."""
    received = b""
    try:
        while piece := sock.recv(65536):
            received += piece
    except ConnectionResetError:
        return received, True
    return received, False


def read(client: h11.Connection, method: str) -> tuple[int, h11.Response | None, bytes, bool]:
    """(how many interim responses, the head, the body, whether it is complete) of the next response."""
    client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    hints, head, body = 0, None, b""
    try:
        while isinstance(event := client.next_event(), h11.InformationalResponse):
            assert event.status_code == 103
            hints += 1
        assert isinstance(event, h11.Response), event
        head = event
        while not isinstance(event := client.next_event(), h11.EndOfMessage):
            assert isinstance(event, h11.Data), event
            body += event.data
    except h11.RemoteProtocolError:
        return hints, head, body, False
    return hints, head, body, True


@pytest.mark.each_worker_class
def test_a_client_reads_every_answer_of_a_connection_up_to_the_one_that_ends_it(worker_thread):
    told: dict[str, Exchange] = {}
    numbers = count()

    def application(environ, start_response):
        return told[environ["PATH_INFO"]].answer(environ, start_response)

    with worker_thread(application, keepalive=30) as worker:

        @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(st.lists(exchanges, min_size=1, max_size=6))
        def check(asked: list[Exchange]) -> None:
            wire = b""
            for exchange in asked:
                path = f"/{next(numbers)}"
                told[path] = exchange
                method, version, connection = exchange.request
                wire += f"{method} {path} {version}\r\nHost: a\r\n{connection}\r\n".encode()
            with connect(worker.listener) as sock:
                # The last one is the server's to refuse, so that the connection ends in any case.
                sock.sendall(wire + b"nonsense\r\n\r\n")
                received, reset = everything(sock)
            client = h11.Connection(h11.CLIENT)
            client.receive_data(received)
            client.receive_data(b"")
            for exchange in asked:
                hints, head, body, complete = read(client, exchange.method)
                wanted = b"" if exchange.bodiless else exchange.body[: exchange.declared]
                if not complete:
                    # A reset discards what the system has not sent, of the answers before it as well.
                    assert reset
                    assert any(one.breaks_off for one in asked)
                    assert wanted.startswith(body)
                    return
                assert not exchange.breaks_off
                assert hints == (exchange.hints if exchange.request[1] == "HTTP/1.1" else 0)
                assert (head.status_code, head.reason.decode()) == (int(exchange.status[:3]), exchange.status[4:])
                framing = [name for name, _ in head.headers if name in (b"content-length", b"transfer-encoding")]
                assert len(framing) <= 1
                assert not (exchange.request[1] == "HTTP/1.0" and b"transfer-encoding" in framing)
                assert (len(body), body == wanted) == (len(wanted), True)
                if not exchange.stays:
                    assert not reset
                    assert (b"connection", b"close") in head.headers
                    assert client.trailing_data[0] == b""
                    return
                assert client.our_state is h11.DONE
                client.start_next_cycle()
            _, head, body, complete = read(client, "GET")
            assert (head.status_code, complete) == (400, True)
            assert client.trailing_data[0] == b""

        check()
