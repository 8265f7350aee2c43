"""What went wrong in other servers does not go wrong here: a test for each advisory about HTTP/1.1, named after it.

Those about HTTP/2, WebSocket, TLS, the PROXY protocol and the uWSGI protocol stand with what they are about.
"""

import gc
import socket
import sys
import time
from contextlib import closing
from itertools import product

import pytest
from codec_driver import CODECS, PROXY, STRANGER, Form, Recorder, cut, record, requests
from hypothesis import given, settings
from hypothesis import strategies as st
from request_corpus import MALFORMED, VALID, chunked, message
from timing import grows_linearly
from worker_driver import ask, connect, hello
from wsgi_driver import Script, environs

from unicorn_core.observe.access import Access, compile_format
from unicorn_http.semantics import grammar
from unicorn_http.semantics.chunked import ChunkedDecoder
from unicorn_http.semantics.fields import FieldNames
from unicorn_http.semantics.limits import Limits
from unicorn_http.semantics.refusal import Refusal
from unicorn_http.wsgi.body import BodyError
from unicorn_http.wsgi.environ import environ_key
from unicorn_http.wsgi.failed import is_local
from unicorn_http.wsgi.gateway import WsgiGateway

pytestmark = pytest.mark.each_worker_class
each_codec = pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
GET = b"GET / HTTP/1.1"
HOST = b"Host: a"
POST = b"POST / HTTP/1.1"
LIMITS = Limits(line=4094, fields=100, field=8190, head=131072)


def verdict(codec, wire, **settings):
    """(status, reason) of the refusal; "served" if all of it was in order."""
    calls = record(codec.protocol(**settings), [wire])
    last = calls[-1] if calls else ("nothing",)
    return last[1:] if last[0] == "abort" else "served" if last[0] == "end" else last[0]


def all_of(sock: socket.socket) -> bytes:
    """What comes until the server closes."""
    received = b""
    with closing(sock):
        try:
            while piece := sock.recv(65536):
                received += piece
        except ConnectionResetError:
            pass
    return received


class Log:
    """Keeps the lines."""

    def __init__(self):
        self.lines = []
        self.access_on = False

    def error(self, text, *values):
        self.lines.append(text % values)

    debug = info = warning = exception = error


def answered(application, wire=b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"):
    """The bytes that a gateway sends, and the lines it logs."""
    factory, log = environs(), Log()
    script = Script(wire, factory=factory)
    script.cut = lambda: None
    WsgiGateway(application, factory, log, None, sendfile=False).serve(script.request)
    return script.wire, log.lines


# Responses


ILLEGAL = [bytes((byte,)).decode("latin-1") for byte in (*range(9), *range(10, 32), 127)]


@pytest.mark.parametrize("place", ["value", "name", "status"])
@pytest.mark.parametrize("illegal", [*ILLEGAL, "\r\nSet-Cookie: a=b", "\u0100", "\u560d\u560a"])
@pytest.mark.parametrize("where", ["{}b", "a{}b", "a{}"])
def test_cve_2018_1000164_gunicorn_cve_2020_7695_uvicorn_no_response_is_split(place, illegal, where):
    text = where.format(illegal)

    def application(environ, start_response):
        status = f"200 {text}" if place == "status" else "200 OK"
        field = (text, "b") if place == "name" else ("X-A", text) if place == "value" else ("X-A", "b")
        start_response(status, [field])
        return [b"never"]

    wire, log = answered(application)
    assert wire.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert b"Set-Cookie" not in wire
    assert b"never" not in wire
    assert len(log) == 1


@each_codec
def test_cve_2026_42545_granian_an_illegal_header_costs_one_request(worker_thread, codec):
    def application(environ, start_response):
        if environ["PATH_INFO"] == "/bad":
            start_response("200 OK", [("X-A", "a\nb")])
        return hello(environ, start_response)

    with worker_thread(application, **codec.settings) as worker, connect(worker.listener) as sock:
        for _ in range(3):
            sock.sendall(message(b"GET /bad HTTP/1.1", HOST))
            assert sock.recv(65536).startswith(b"HTTP/1.1 500 ")
            ask(sock)


def test_885_granian_a_client_that_does_not_read_stops_the_application(worker_thread):
    blocks = 0

    def application(environ, start_response):
        def body():
            nonlocal blocks
            for _ in range(16384):
                blocks += 1
                yield bytes(65536)

        start_response("200 OK", [])
        return body()

    with worker_thread(application, response_write_timeout=1) as worker, connect(worker.listener) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(message(GET, HOST))
        assert sock.recv(1)
        time.sleep(0.5)
        # What is beyond the system's buffers for the socket is not even asked for.
        assert blocks < 160
        time.sleep(1)
        assert blocks < 160
        with connect(worker.listener) as another:
            another.sendall(message(b"HEAD / HTTP/1.1", HOST))
            assert another.recv(100).startswith(b"HTTP/1.1 200")


def test_cve_2023_46137_twisted_answers_come_in_the_order_of_their_requests(worker_thread):
    def application(environ, start_response):
        if environ["PATH_INFO"] == "/0":
            time.sleep(0.1)
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode()]

    with worker_thread(application) as worker, connect(worker.listener) as sock:
        sock.sendall(b"".join(message(b"GET /%d HTTP/1.1" % number, HOST) for number in range(5)))
        sock.shutdown(socket.SHUT_WR)
        received = all_of(sock)
    assert [received.index(b"\r\n\r\n/%d" % number) for number in range(5)] == sorted(
        received.index(b"\r\n\r\n/%d" % number) for number in range(5)
    )


# What frames a request


@each_codec
@settings(max_examples=200, deadline=None)
@given(
    names=st.lists(
        st.one_of(
            st.sampled_from([b"Sec-WebSocket-Key1", b"Upgrade", b"Content-Encoding", b"Range", b"Trailer", b"TE"]),
            st.from_regex(grammar.TOKEN, fullmatch=True),
        ),
        max_size=6,
    ),
    value=st.sampled_from([b"chunked", b"8", b"websocket", b"h2c", b"bytes=0-7", b""]),
)
def test_sec_websocket_key1_gunicorn_only_two_fields_frame_a_body(codec, names, value):
    framing = {b"content-length", b"transfer-encoding", b"host", b"expect", b"content-type", b"connection"}
    fields = [name + b": " + value for name in dict.fromkeys(names) if name.lower() not in framing]
    calls = record(codec.protocol(), [message(GET, HOST, *fields) + message(b"GET /second HTTP/1.1", HOST)])
    assert [call[0] for call in calls] == ["request", "end"] * 2
    assert calls[2][1]["target"] == b"/second"


CODINGS = [
    b"chunked",
    b"identity",
    b"gzip",
    b"xchunked",
    b"chunked\x0b",
    b'"chunked"',
    b"",
    b"chunked;q=1",
    b"\xa0chunked",
]


@each_codec
@pytest.mark.parametrize("codings", [*product(CODINGS), *product(CODINGS, repeat=2)])
def test_cve_2024_1135_gunicorn_cve_2019_16786_waitress_no_transfer_coding_but_chunked(codec, codings):
    value = b", ".join(codings)
    wire = message(POST, HOST, b"Transfer-Encoding: " + value, body=b"0\r\n\r\n")
    two = message(POST, HOST, *[b"Transfer-Encoding: " + coding for coding in codings], body=b"0\r\n\r\n")
    if codings == (b"chunked",):
        assert verdict(codec, wire) == "served"
        return
    for attempt in (wire, two):
        assert verdict(codec, attempt)[0] in (400, 501)


@each_codec
@pytest.mark.parametrize("coding", CODINGS)
def test_cve_2024_6827_gunicorn_cve_2020_10109_twisted_a_length_never_takes_the_place_of_a_coding(codec, coding):
    for fields in (
        [b"Content-Length: 5", b"Transfer-Encoding: " + coding],
        [b"Transfer-Encoding: " + coding, b"Content-Length: 5"],
    ):
        assert verdict(codec, message(POST, HOST, *fields, body=b"hello"))[0] == 400


NO_NUMBERS = [
    b"+5",
    b"-5",
    b"0x5",
    b"5_0",
    b"5 5",
    b"5,5",
    b"\xb2",
    b"\xd9\xa5",
    b"5.0",
    b"5g0",
    b" ",
    b"9" * 30,
    b"5;",
    b"o5",
]


@each_codec
@pytest.mark.parametrize("number", NO_NUMBERS)
def test_cve_2022_24761_waitress_cve_2023_38697_protocol_http1_cve_2022_24801_twisted_numbers(codec, number):
    assert verdict(codec, message(POST, HOST, b"Content-Length: " + number, body=b"hello"))[0] == 400
    assert verdict(codec, chunked(number + b"\r\nhello\r\n0\r\n\r\n"))[0] == 400


@each_codec
@pytest.mark.parametrize(("first", "second"), list(product([b"5", b"6", b"05", b""], repeat=2)))
def test_cve_2019_16792_waitress_cve_2020_10108_twisted_one_length(codec, first, second):
    twice = message(POST, HOST, b"Content-Length: " + first, b"CONTENT-LENGTH: " + second, body=b"hello")
    listed = message(POST, HOST, b"Content-Length: " + first + b"," + second, body=b"hello")
    assert verdict(codec, twice)[0] == verdict(codec, listed)[0] == 400


@each_codec
@pytest.mark.parametrize("blank", [b"\x0b", b"\x0c", b"\xa0", b"\x85", b"\x1c", b"\0"])
@pytest.mark.parametrize(
    "field", [b"Transfer-Encoding:%bchunked", b"Transfer-Encoding: chunked%b", b"Transfer-Encoding%b: chunked"]
)
def test_cve_2019_16789_waitress_other_blanks_are_none(codec, blank, field):
    assert verdict(codec, message(POST, HOST, field % blank, body=b"0\r\n\r\n"))[0] == 400


def test_cve_2025_43859_h11_chunk_data_ends_in_crlf_and_nothing_else():
    wrong = 0
    for pair in product(range(256), repeat=2):
        decoder = ChunkedDecoder(LIMITS)
        try:
            rest = decoder.feed(b"5\r\nhello" + bytes(pair) + b"0\r\n\r\n", lambda data: None)
        except Refusal:
            wrong += 1
        else:
            assert (rest, bytes(pair)) == (b"", b"\r\n")
    assert wrong == 65535


@each_codec
@pytest.mark.parametrize("extension", [b";a\nb", b";a\rb", b';a="\n"', b";a\0", b"; ", b";a=\x7f", b"\t;a"])
def test_cve_2024_23829_aiohttp_cve_2024_52304_aiohttp_chunk_extensions(codec, extension):
    assert verdict(codec, chunked(b"5" + extension + b"\r\nhello\r\n0\r\n\r\n"))[0] == 400


@each_codec
def test_cve_2024_21647_puma_chunk_extensions_are_bounded_and_cheap(codec):
    assert verdict(codec, chunked((b"1;" + b"a" * 1000 + b"\r\nx\r\n") * 100))[:2] == (400, "chunk-extensions")
    assert grows_linearly(lambda count: verdict(codec, chunked(b"1;a\r\nx\r\n" * min(count, 8000))), 4000)


@each_codec
def test_3382_gunicorn_a_body_that_is_cut_off_is_never_complete(codec):
    for wire in (
        chunked(b"5;a=b\r\nhello\r\n3\r\nabc\r\n0\r\nB: c\r\n\r\n"),
        message(POST, HOST, b"Content-Length: 3", body=b"abc"),
    ):
        for end in range(len(wire)):
            assert not any(request.complete for request in requests(record(codec.protocol(), [wire[:end]], eof=True)))


@each_codec
def test_cve_2025_58068_eventlet_cve_2023_41419_gevent_cve_2025_53643_aiohttp_trailers_are_no_request(codec):
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    assert verdict(codec, chunked(b"0\r\n" + smuggled)) == (400, "trailer-line")
    wire = chunked(b"0\r\nGET: /smuggled\r\n\r\n") + message(b"GET /second HTTP/1.1", HOST)
    assert [request.head["target"] for request in requests(record(codec.protocol(), [wire]))] == [b"/", b"/second"]
    for name in (b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Host: b", b"X-Forwarded-For: 10.0.0.1"):
        assert verdict(codec, chunked(b"0\r\n" + name + b"\r\n\r\n")) == (400, "trailer-forbidden")


@each_codec
def test_cve_2026_22815_aiohttp_trailers_are_bounded(codec):
    assert verdict(codec, chunked(b"0\r\n" + b"B: b\r\n" * 1000)) == (431, "too-many-trailers")
    assert verdict(codec, chunked(b"0\r\nB: " + b"b" * 9000)) == (431, "trailer-too-large")


@each_codec
def test_cve_2025_69229_aiohttp_tiny_chunks_take_linear_time(codec):
    def work(count):
        wire = chunked(b"1\r\nx\r\n" * count + b"0\r\n\r\n")
        for pieces in ([wire], cut(wire, range(0, len(wire), 1000))):
            assert record(codec.protocol(), pieces)[-1] == ("end",)

    assert grows_linearly(work, 20000)


@each_codec
def test_cve_2020_5236_waitress_a_head_takes_linear_time(codec):
    unlimited = {f"limit_request_{name}": 0 for name in ("line", "fields", "field_size", "head")}
    for hard in (b"x" * 8, b" \t" * 4, b"\x0b", b"x," * 4, b"; "):
        wire = message(GET, HOST, b"Bad-header: a%b\x10" % hard)
        assert verdict(codec, wire)[0] == 400

        def work(count, hard=hard):
            record(codec.protocol(**unlimited), [message(GET, HOST, b"Bad-header: a%b\x10" % (hard * count))])

        assert grows_linearly(work, 20000), hard


# Lines and names


@each_codec
def test_cve_2019_16785_waitress_every_line_ends_in_crlf(codec):
    wire = message(POST, HOST, b"B: b", b"Content-Length: 5", body=b"hello")
    at = -1
    while (at := wire.find(b"\r\n", at + 1)) >= 0:
        for end in (b"\n", b"\r", b"\n\r", b"\r\r\n", b"\n\n", b"\x0b"):
            # Of the line ends at the end of the head a part may still be a beginning of something: nothing is served.
            assert verdict(codec, wire[:at] + end + wire[at + 2 :]) != "served", (at, end)


@each_codec
def test_cve_2023_37276_cve_2023_47627_cve_2023_49081_cve_2023_49082_aiohttp_every_byte_of_the_request_line(codec):
    line = b"GET /a?b HTTP/1.1"
    for at, byte in product(range(len(line) + 1), range(256)):
        for changed in (line[:at] + bytes((byte,)) + line[at:], line[:at] + bytes((byte,)) + line[at + 1 :]):
            if verdict(codec, message(changed, HOST)) == "served":
                assert grammar.REQUEST_LINE.fullmatch(changed)
                assert changed.endswith((b"HTTP/1.1", b"HTTP/1.0"))
                assert changed.split(b" ")[0].decode().isupper()
                assert changed.split(b" ")[1].startswith(b"/")


@each_codec
@pytest.mark.parametrize("peer", [PROXY, STRANGER], ids=["trusted", "stranger"])
@pytest.mark.parametrize("header_map", ["drop", "refuse"])
@pytest.mark.parametrize(
    "name", [b"X_Forwarded_For", b"X-Forwarded_For", b"SCRIPT_NAME", b"PATH_INFO", b"REMOTE_USER", b"_"]
)
def test_2799_2650_3200_gunicorn_cve_2024_45614_puma_underscores(codec, peer, header_map, name):
    wire = message(GET, HOST, b"X-Forwarded-For: real", name + b": forged")
    calls = record(codec.protocol(header_map=header_map), [wire], peer=peer)
    allowed = peer is PROXY and name in (b"SCRIPT_NAME", b"PATH_INFO")
    if header_map == "refuse" and not allowed:
        assert calls == [("abort", 400, "underscore")]
        return
    fields = calls[0][1]["fields"]
    assert fields["HTTP_X_FORWARDED_FOR"] == "real"
    assert ("forged" in fields.values()) == allowed


@each_codec
def test_cve_2026_42544_granian_bytes_beyond_ascii_in_every_field(codec):
    names = {name for case in VALID for seen in case.seen for name in seen.table} | {
        b"sec-websocket-protocol",
        b"upgrade",
    }
    for name in names:
        for value in (b"\xff", b"a, \x80", "ä".encode(), b"\xed\xa0\x80"):
            found = verdict(codec, message(GET, HOST, b"Connection: upgrade", name + b": " + value))
            assert found == "served" or found[0] in (400, 417, 501), (name, value)


# After an error, and bodies that nobody reads


@each_codec
def test_cve_2024_49768_waitress_nothing_is_read_after_an_error(codec):
    more = message(b"GET /smuggled HTTP/1.1", HOST)
    for case in MALFORMED:
        if case.status:
            calls = record(codec.protocol(**case.settings), [case.data, more, more])
            assert [call[0] for call in calls].count("abort") == 1
            assert calls[-1][0] == "abort"
            assert not any(call[0] == "request" and call[1]["target"] == b"/smuggled" for call in calls)


@pytest.mark.parametrize("size", [5, 20000])
def test_3614_gunicorn_a_body_that_is_not_read_is_no_request(worker_thread, size):
    seen = []

    def application(environ, start_response):
        seen.append(environ["PATH_INFO"])
        return hello(environ, start_response)

    smuggled = message(b"GET /smuggled HTTP/1.1", HOST)
    body = (smuggled * (size // len(smuggled) + 1))[:size]
    with worker_thread(application) as worker:
        for framed in (
            message(POST, HOST, b"Content-Length: %d" % size, body=body),
            message(POST, HOST, b"Transfer-Encoding: chunked", body=b"%x\r\n%b\r\n0\r\n\r\n" % (size, body)),
        ):
            sock = connect(worker.listener)
            sock.sendall(framed)
            sock.sendall(message(b"GET /second HTTP/1.1", HOST, b"Connection: close"))
            all_of(sock)
    assert "/smuggled" not in seen


def test_2075_gevent_an_answer_instead_of_100_continue_ends_the_connection(worker_thread):
    """Whether the client still sends the body is unknown, so nothing behind it may be taken for a request."""
    seen = []

    def application(environ, start_response):
        seen.append(environ["PATH_INFO"])
        return hello(environ, start_response)

    with worker_thread(application) as worker:
        sock = connect(worker.listener)
        sock.sendall(message(POST, HOST, b"Content-Length: 50000", b"Expect: 100-continue"))
        sock.sendall(message(b"GET /smuggled HTTP/1.1", HOST))
        received = all_of(sock)
    assert received.count(b"HTTP/1.1 ") == 1
    assert b"Connection: close\r\n" in received
    assert seen == ["/"]


def test_3717_gunicorn_an_upload_that_nobody_reads_is_not_taken_in(worker_thread):
    sent = 0
    with worker_thread() as worker:
        sock = connect(worker.listener)
        sock.sendall(message(POST, HOST, b"Content-Length: 1073741824"))
        try:
            while sent < 1 << 30:
                sent += sock.send(bytes(65536))
        except OSError:
            pass
        sock.close()
    assert sent < 32 << 20


def test_cve_2023_25577_cve_2023_46136_cve_2024_49767_werkzeug_a_body_has_a_limit_before_any_form_parser(worker_thread):
    def application(environ, start_response):
        environ["wsgi.input"].read()
        return hello(environ, start_response)

    with worker_thread(application, limit_request_body="1K") as worker:
        for wire in (
            message(POST, HOST, b"Content-Length: 1025"),
            message(POST, HOST, b"Transfer-Encoding: chunked", body=b"200\r\n" + bytes(512) + b"\r\n201\r\n"),
        ):
            sock = connect(worker.listener)
            sock.sendall(wire)
            assert all_of(sock).startswith(b"HTTP/1.1 413 ")
        sock = connect(worker.listener)
        sock.sendall(message(POST, HOST, b"Transfer-Encoding: chunked"))
        time.sleep(0.1)  # the application is reading by now
        sock.sendall(b"401\r\n")
        assert all_of(sock).startswith(b"HTTP/1.1 413 ")


def test_cve_2024_30251_aiohttp_a_body_that_will_never_come_is_no_endless_loop(worker_thread):
    entered = []

    def application(environ, start_response):
        try:
            while environ["wsgi.input"].read(10):
                pass
        except OSError as error:
            entered.append(type(error).__name__)
            with pytest.raises(BodyError):
                environ["wsgi.input"].read(10)
        return hello(environ, start_response)

    with worker_thread(application) as worker:
        for wire in (
            message(POST, HOST, b"Content-Length: 100000", body=b"abc"),
            message(POST, HOST, b"Transfer-Encoding: chunked", body=b"5\r\nhel"),
        ):
            sock = connect(worker.listener)
            sock.sendall(wire)
            time.sleep(0.05)
            sock.shutdown(socket.SHUT_WR)
            all_of(sock)
    assert entered == ["BodyError"] * 2


# Connections


def test_cve_2021_29509_puma_kept_connections_keep_nobody_out(worker_thread):
    with worker_thread(keepalive=10) as worker:
        kept = [connect(worker.listener) for _ in range(60)]
        for sock in kept:
            ask(sock)
        with connect(worker.listener, 2.0) as another:
            ask(another)
        for sock in kept:
            ask(sock)
            sock.close()


def test_cve_2024_49769_waitress_cve_2022_31015_waitress_clients_that_are_gone_cost_nothing(worker_thread):
    with worker_thread() as worker:
        for number in range(300):
            sock = connect(worker.listener)
            if number % 3:
                sock.sendall(message(GET, HOST) if number % 2 else b"GET /")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sock.close()
        with connect(worker.listener) as sock:
            ask(sock)
        time.sleep(0.1)
        began = time.process_time()
        time.sleep(0.5)
        assert time.process_time() - began < 0.25


@pytest.mark.parametrize("form", Form)
def test_cve_2024_52303_aiohttp_what_clients_make_up_is_not_kept(form):
    protocol = CODECS[0].protocol()
    sink = Recorder(protocol.names[form], form)
    codec = protocol.connect(sink, PROXY)
    for number in range(3 * FieldNames.LARGEST):
        codec.feed(b"GET /%d HTTP/1.1\r\nHost: a%d\r\nB%d: b\r\n\r\n" % (number, number, number))
    names = protocol.names[form]
    assert len(sink.calls) == 6 * FieldNames.LARGEST
    assert len(names.ordinary) + len(names.watched) <= FieldNames.LARGEST
    assert len(names.hosts) <= FieldNames.LARGEST


def test_cve_2024_52303_aiohttp_unique_urls_leave_nothing_in_a_worker(worker_thread):
    def blocks_after(number, sock):
        for at in range(number):
            ask(sock, f"/{number}/{at}?{at}")
        gc.collect()
        return sys.getallocatedblocks()

    with worker_thread() as worker, connect(worker.listener) as sock:
        blocks_after(500, sock)
        before = blocks_after(501, sock)
        assert blocks_after(2000, sock) - before < 1000


# Logs


@given(st.text(st.characters(max_codepoint=0xFF), max_size=40))
def test_cve_2020_7694_uvicorn_no_control_character_reaches_a_log(text):
    line = compile_format('%(h)s %(u)s "%(r)s" %(U)s %(q)s %({x}i)s %({x}o)s %({x}e)s "%(f)s" "%(a)s"')(
        Access(
            *(text, text, "GET", text, text, text, "HTTP/1.1", "200 OK", 0.0, 0.0, 0),
            request_fields={"x": text, "referer": text, "user-agent": text},
            response_fields=[("x", text)],
            environ={"x": text},
        )
    )
    assert not any(character < " " or "\x7f" <= character <= "\x9f" for character in line)


def test_cve_2025_47287_tornado_a_client_cannot_flood_the_log(worker_thread, capfd):
    with worker_thread() as worker:
        for _ in range(200):
            sock = connect(worker.listener)
            sock.sendall(b"BAD\x1b[2J\r\n\r\n")
            assert all_of(sock).startswith(b"HTTP/1.1 400 ")
    lines = [line for line in capfd.readouterr().err.splitlines() if "Refused" in line]
    assert 10 <= len(lines) < 100
    assert all("\x1b" not in line and "request-line, RFC 9112 section 3" in line for line in lines)


def test_cve_2024_34069_werkzeug_tracebacks_are_shown_on_this_machine_alone():
    assert is_local({"REMOTE_ADDR": "127.0.0.1"})
    assert not is_local({"REMOTE_ADDR": "192.0.2.1"})
    for field in (b"X-Forwarded-For", b"Forwarded", b"Via", b"X-Real-Ip"):
        assert not is_local({"REMOTE_ADDR": "127.0.0.1", environ_key(field.lower()): "127.0.0.1"})
