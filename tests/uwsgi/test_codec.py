"""The uwsgi codec keeps the contract of unicorn_http.codec, whatever comes and however it is cut.

A malformed packet is refused with its status and reason, a valid one is seen as it is in both forms of requests, and
nothing that follows is read.
"""

import pytest
from codec_driver import STRANGER, Form, byte_by_byte, cut, record, requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packets import MALFORMED, VALID, chunked, get, packet, request
from request_corpus import CLOSED
from uwsgi_driver import PERSISTENT, UWSGI, answer, connect, seen

from unicorn_http.wsgi.environ import EnvironFactory

GET = request()
each_form = pytest.mark.parametrize("form", Form)


def places(data):
    """Where to cut: everywhere in the beginning and at the end, and at some places between."""
    size = len(data)
    return sorted({*range(1, min(size, 12)), *range(1, size, max(1, size // 20)), *range(max(1, size - 8), size)})


def test_the_corpus_is_large_and_says_each_thing_once():
    names = [case.name for case in (*MALFORMED, *VALID)]
    assert len(names) == len(set(names))
    assert len({case.data for case in MALFORMED}) >= 100
    assert len(VALID) >= 40


@pytest.mark.parametrize("case", MALFORMED, ids=lambda case: case.name)
class TestMalformed:
    @each_form
    def test_is_refused_with_its_status_and_reason(self, case, form):
        protocol = UWSGI.protocol(**case.settings)
        calls = record(protocol, [case.data], form=form, eof=case.status == CLOSED)
        assert calls[-1] == ("abort", case.status, case.reason)
        assert not any(request.complete for request in requests(calls))
        assert case.in_body == bool(requests(calls))

    def test_is_refused_the_same_however_it_is_cut(self, case):
        protocol = UWSGI.protocol(**case.settings)
        eof = case.status == CLOSED
        whole = record(protocol, [case.data], eof=eof)
        if len(case.data) < 2000:
            assert record(protocol, byte_by_byte(case.data), eof=eof) == whole
        for place in places(case.data):
            assert record(protocol, cut(case.data, [place]), eof=eof) == whole, place

    def test_nothing_is_read_after_it(self, case):
        if case.status == CLOSED:
            return
        protocol = UWSGI.protocol(**case.settings, **PERSISTENT)
        alone = record(protocol, [case.data])
        assert record(protocol, [case.data + GET], eof=True) == alone
        assert record(protocol, [case.data, GET], eof=True) == alone


@pytest.mark.parametrize("case", VALID, ids=lambda case: case.name)
class TestValid:
    @each_form
    def test_is_seen_as_it_is(self, case, form):
        protocol = UWSGI.protocol(**case.settings)
        for _ in range(2):  # the second time all names are known
            calls = record(protocol, [case.data], form=form)
            (got,) = requests(calls)
            assert got.complete
            assert (got.head["method"], got.head["target"]) == (case.method, case.target.encode("latin-1"))
            assert got.body == case.body
            fields = {"HTTP_HOST": "example.org", "HTTP_USER_AGENT": "test"} | case.fields
            if case.name.startswith("HTTP/1.0"):
                fields.pop("HTTP_HOST")
            shown = {key: value for key, value in got.head["fields"].items() if key.startswith(("HTTP_", "CONTENT_"))}
            assert shown == fields

    def test_says_more_than_its_fields(self, case):
        sink = seen(case.data, **case.settings)
        (kept,) = sink.kept
        assert {name: kept.environ[name] for name in case.environ} == case.environ
        assert {name: getattr(kept, name) for name in case.facts} == case.facts

    def test_is_seen_the_same_however_it_is_cut(self, case):
        protocol = UWSGI.protocol(**case.settings)
        whole = record(protocol, [case.data])
        assert record(protocol, byte_by_byte(case.data)) == whole
        assert record(protocol, [case.data], eof=True) == whole
        for place in places(case.data):
            assert record(protocol, cut(case.data, [place])) == whole, place

    def test_is_never_complete_when_it_is_broken_off(self, case):
        protocol = UWSGI.protocol(**case.settings)
        for place in places(case.data):
            calls = record(protocol, [case.data[:place]], eof=True)
            assert not any(request.complete for request in requests(calls)), place


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_cuts_at_random_places_change_nothing(data):
    case = data.draw(st.sampled_from([*MALFORMED, *VALID]))
    ends = data.draw(st.lists(st.integers(1, max(1, len(case.data) - 1)), max_size=12))
    protocol = UWSGI.protocol(**case.settings)
    assert record(protocol, cut(case.data, ends), eof=True) == record(protocol, [case.data], eof=True)


# One packet after another


def test_what_follows_a_request_is_no_request():
    """Neither behind the packet nor behind its body: a front that passes on too much must not make a request of it."""
    for first in (GET, request(body=b"hello"), chunked(b"5\r\nhello\r\n0\r\n\r\n")):
        for data in ([first + GET], [first, GET], byte_by_byte(first + GET)):
            calls = record(UWSGI.protocol(), data, eof=True)
            assert len(requests(calls)) == 1


def test_a_body_that_looks_like_a_packet_is_a_body():
    evil = request(REQUEST_URI="/evil", PATH_INFO="/evil")
    for changes in ({}, PERSISTENT):
        calls = record(UWSGI.protocol(**changes), [request(body=evil) + evil])
        assert requests(calls)[0].body == evil
        assert len(requests(calls)) == (2 if changes else 1)
    # A front that announces less than it passes on ends the connection: what is left over is no packet.
    calls = record(UWSGI.protocol(**PERSISTENT), [request(body=b"hello") + b"and more" + evil])
    assert [call[0] for call in calls] == ["request", "body", "end", "abort"]


def test_a_front_that_keeps_its_connection_sends_many():
    wire = b"".join(
        (get("/1"), get("/2", body=b"hello"), chunked(b"0\r\n\r\n"), get("/3")),
    )
    for pieces in ([wire], byte_by_byte(wire)):
        found = requests(record(UWSGI.protocol(**PERSISTENT), pieces, eof=True))
        assert [request.head["target"] for request in found] == [b"/1", b"/2", b"/a%20b?q=1", b"/3"]
        assert all(request.complete for request in found)


def test_fields_of_one_request_are_not_those_of_the_next():
    sink, codec = connect(**PERSISTENT)
    for number in range(3):
        codec.feed(get(f"/{number}", (b"X_%d" % number, b"mine"), REMOTE_ADDR=f"192.0.2.{number}"))
        environ = sink.kept[-1].environ
        assert environ["REMOTE_ADDR"] == f"192.0.2.{number}"
        assert [name for name in environ if name.startswith("X_")] == [f"X_{number}"]


def test_an_end_of_file_between_requests_is_no_news():
    assert record(UWSGI.protocol(), [], eof=True) == []
    assert record(UWSGI.protocol(**PERSISTENT), [GET], eof=True)[-1] == ("end",)


def test_a_codec_tells_whether_a_packet_is_pending():
    _, codec = connect(**PERSISTENT)
    wire = request(body=b"hello")
    for _ in range(2):
        assert not codec.pending
        for byte in wire[:-1]:
            codec.feed(bytes((byte,)))
            assert codec.pending
        assert codec.pending_body
        codec.feed(wire[-1:])
        assert not codec.pending
        assert not codec.pending_body


# Pings


def test_a_ping_is_answered_and_ends_the_connection():
    for ends in ((), (1,), (3,), (1, 2, 3)):
        sink = seen(b"\x64\0\0\0" + GET, ends=ends)
        assert sink.calls == [("control", b"\x64\0\0\1", True)]


def test_a_ping_among_requests_is_refused():
    """Its answer could come before those of the requests."""
    sink = seen(GET + b"\x64\0\0\0", **PERSISTENT)
    assert [call[0] for call in sink.calls] == ["request", "end", "abort"]
    assert sink.calls[-1] == ("abort", 400, "ping")


# Answers


def asked(data=GET, **settings):
    sink, codec = connect(**settings)
    codec.feed(data)
    return codec, sink.kept[0]


def test_a_length_that_is_known_is_said():
    head, response = answer(*asked(), fields=[("X-A", "b")], length=5)
    assert head == (
        b"HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 5\r\n"
        b"Server: unicorn\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n"
    )
    assert not response.persistent
    assert not response.chunked


def test_a_body_of_unknown_length_ends_with_the_connection_and_has_no_chunks():
    for changes in ({}, PERSISTENT):
        head, response = answer(*asked(**changes))
        assert b"Transfer-Encoding" not in head
        assert b"Content-Length" not in head
        assert not response.chunked
        assert not response.persistent


@pytest.mark.parametrize(
    ("status", "method", "length", "said"),
    [
        ("304 Not Modified", "GET", None, False),
        ("204 No Content", "GET", 0, False),
        ("200 OK", "HEAD", 5, True),
        ("200 OK", "HEAD", None, False),
    ],
)
def test_an_answer_without_a_body(status, method, length, said):
    head, response = answer(*asked(request(REQUEST_METHOD=method), **PERSISTENT), status, length=length)
    assert response.bodiless
    assert response.persistent
    assert (b"Content-Length" in head) == said


def test_a_connection_lasts_as_the_front_and_the_settings_say():
    codec, first = asked()
    assert not answer(codec, first, length=1)[1].persistent
    codec, first = asked(**PERSISTENT)
    assert all(answer(codec, first, length=1)[1].persistent for _ in range(5))
    assert not answer(codec, first, length=1, persist=False)[1].persistent
    codec, first = asked(**PERSISTENT, limit_requests_per_connection=2)
    assert [answer(codec, first, length=1)[1].persistent for _ in range(2)] == [True, False]


def test_whether_the_fronts_client_keeps_its_connection_does_not_matter():
    codec, first = asked(request((b"HTTP_CONNECTION", b"close")), **PERSISTENT)
    assert answer(codec, first, length=1)[1].persistent


def test_there_are_no_interim_responses():
    codec, first = asked()
    assert codec.interim(first, "103 Early Hints", "Link: </a>\r\n") == b""


# Rules that are only watched


def test_a_rule_that_is_only_watched_is_reported_once_a_connection():
    from codec_driver import REPORTED

    REPORTED.clear()
    odd = request(REQUEST_URI="/\xe4", PATH_INFO=None, QUERY_STRING=None)
    sink = seen(odd + odd, strictness="report", **PERSISTENT)
    assert len(sink.kept) == 2
    assert REPORTED == ["target-bytes"]


# What environ becomes of it


def environ_of(data, **changes):
    (kept,) = seen(data, **changes).kept
    factory = EnvironFactory(None, (), multithread=False, multiprocess=False)
    kept.environ = {"SERVER_NAME": "", "SCRIPT_NAME": ""} | kept.environ
    return factory.complete(kept)


@pytest.mark.parametrize("case", VALID, ids=lambda case: case.name)
def test_environ_has_what_the_front_said(case):
    """Of the variables that WSGI knows, each is as the front said it, whatever the target was."""
    environ = environ_of(case.data, **case.settings)
    assert environ["REQUEST_METHOD"] == case.method
    path, _, query = case.target.partition("?")
    assert environ["QUERY_STRING"] == query
    if not case.name.startswith("a prefix"):
        assert environ["SCRIPT_NAME"] == ""
        if case.target != "*":
            assert environ["PATH_INFO"].count("/") == path.count("/")


@pytest.mark.parametrize(
    ("data", "script_name", "path"),
    [
        (request(SCRIPT_NAME="/a", PATH_INFO="/b"), "/a", "/b"),
        (request(SCRIPT_NAME="/a", PATH_INFO=""), "/a", ""),
        (request(SCRIPT_NAME="/ä", PATH_INFO="/ö ?"), "/ä", "/ö ?"),
        (request(SCRIPT_NAME="/a", PATH_INFO="/a/b"), "/a", "/a/b"),
        (request(modifier1=30, SCRIPT_NAME="/a", PATH_INFO="/a/b"), "/a", "/b"),
        (request(modifier1=30, SCRIPT_NAME="/a", PATH_INFO="/a"), "/a", ""),
        (request(modifier1=30, PATH_INFO="/a/b"), "", "/a/b"),
        (request(PATH_INFO="/%41"), "", "/%41"),
        (request(REQUEST_URI="/%41", PATH_INFO="/%41", QUERY_STRING=""), "", "/%41"),
        (request(REQUEST_URI="/%2541", PATH_INFO="/%41", QUERY_STRING=""), "", "/%41"),
    ],
)
def test_prefix_and_path_are_as_the_front_says(data, script_name, path):
    environ = environ_of(data)
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == (script_name, path)


def test_the_original_target_stays_visible():
    environ = environ_of(request(PATH_INFO="/rewritten"))
    assert environ["REQUEST_URI"] == "/a%20b?q=1"
    assert environ["RAW_URI"] == "/rewritten?q=1"


def test_nothing_of_the_server_can_be_set_by_a_variable():
    environ = environ_of(request((b"WSGI_INPUT", b"x"), (b"wsgi_version", b"x")))
    assert not [name for name, value in environ.items() if name.startswith("wsgi.") and value == "x"]


def test_scope_and_environ_are_told_the_same_of_the_client():
    data = request(HTTPS="on", SERVER_PORT="443")
    kept = seen(data, Form.PAIRS).kept[0]
    said = kept.proxied
    assert (said.client, said.client_port, said.server, said.port) == ("192.0.2.7", 40000, "example.org", 443)
    assert kept.scheme == "https"
    behind = request((b"HTTP_X_FORWARDED_FOR", b"192.0.2.9"), REMOTE_ADDR="127.0.0.1", SERVER_PORT="443")
    said = seen(behind, Form.PAIRS, proxy_headers="x-forwarded").kept[0].proxied
    assert (said.client, said.client_port, said.server, said.port) == ("192.0.2.9", 0, "example.org", 443)


def test_it_does_not_matter_who_the_front_is_for_what_its_client_claims():
    """Forwarding fields are judged by the client's address."""
    data = request((b"HTTP_X_FORWARDED_PROTO", b"https"))
    for peer in (STRANGER,):
        sink, codec = connect(peer=peer, forwarded_allow_ips="192.0.2.1")
        codec.feed(data)
        assert sink.kept[0].scheme == "http"
    sink, codec = connect(forwarded_allow_ips="192.0.2.7")
    codec.feed(data)
    assert sink.kept[0].scheme == "https"


def test_a_packet_without_a_block_is_none():
    assert record(UWSGI.protocol(), [packet(b"")]) == [("abort", 400, "variables")]
