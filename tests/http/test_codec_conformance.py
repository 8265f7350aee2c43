"""Every codec keeps the contract of unicorn_http.codec, whatever comes and however it is cut.

A malformed request is refused with its status and reason, a valid one is seen as it is, nothing is read after a
refusal, and no cut of the bytes changes any of it. Codecs of one protocol give the same calls for the same bytes.
A further codec joins by a row in codec_driver.CODECS.
"""

from itertools import product

import pytest
from codec_driver import CODECS, PROXY, STRANGER, Form, Recorder, byte_by_byte, cut, record, requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from request_corpus import CLOSED, MALFORMED, VALID

MALFORMED_CASES = [
    pytest.param(codec, case, id=f"{codec.name}-{case.name}") for codec in CODECS for case in codec.malformed
]
VALID_CASES = [pytest.param(codec, case, id=f"{codec.name}-{case.name}") for codec in CODECS for case in codec.valid]
SMALL = 2000
"""Bytes up to which every place is tried for a cut."""

each_codec = pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)


def places(data):
    """Where to cut: everywhere in small data, else at a hundred places and around the end."""
    size = len(data)
    return range(1, size) if size <= SMALL else [*range(1, size, size // 100), *range(size - 20, size)]


def test_the_corpus_is_large_and_says_each_thing_once():
    names = [case.name for case in (*MALFORMED, *VALID)]
    assert len(names) == len(set(names))
    assert len(MALFORMED) >= 90
    assert len(VALID) >= 30


@pytest.mark.parametrize(("codec", "case"), MALFORMED_CASES)
class TestMalformed:
    def test_is_refused_with_its_status_and_reason(self, codec, case):
        protocol = codec.protocol(**case.settings)
        for form in Form:
            calls = record(protocol, [case.data], form=form, eof=case.status == CLOSED)
            assert calls[-1] == ("abort", case.status, case.reason)
            assert not any(request.complete for request in requests(calls))
            assert case.in_body == bool(requests(calls))

    def test_is_refused_the_same_however_it_is_cut(self, codec, case):
        protocol = codec.protocol(**case.settings)
        eof = case.status == CLOSED
        whole = record(protocol, [case.data], eof=eof)
        assert record(protocol, byte_by_byte(case.data), eof=eof) == whole
        for place in places(case.data):
            assert record(protocol, cut(case.data, [place]), eof=eof) == whole, place

    def test_nothing_is_read_after_it_and_no_other_connection_is_affected(self, codec, case):
        protocol = codec.protocol(**case.settings)
        more = b"GET /smuggled HTTP/1.1\r\nHost: a\r\nB: b\r\n\r\n"
        if case.status != CLOSED:
            alone = record(protocol, [case.data])
            assert record(protocol, [case.data + more], eof=True) == alone
            assert record(protocol, [case.data, more], eof=True) == alone
        for form in Form:
            after = record(protocol, [more], form=form)
            assert [call[0] for call in after] == ["request", "end"]
            assert after[0][1]["fields"] == {"HTTP_HOST": "a", "HTTP_B": "b"}


@pytest.mark.parametrize(("codec", "case"), VALID_CASES)
class TestValid:
    def test_is_seen_as_it_is(self, codec, case):
        protocol = codec.protocol(**case.settings)
        for form, _ in product(Form, range(2)):  # the second time all names are known
            found = requests(record(protocol, [case.data], form=form))
            assert len(found) == len(case.seen)
            for got, expected in zip(found, case.seen, strict=True):
                assert got.complete
                assert got.body == expected.body
                for name in ("method", "target", "protocol", "keep_alive", "chunked", "scheme", "expects_continue"):
                    assert got.head[name] == getattr(expected, name), name
                assert got.head["fields"] == expected.fields, form
                if not expected.chunked:
                    assert got.head["content_length"] == len(expected.body)
                if form is Form.PAIRS:
                    assert {name for name, _ in got.head["pairs"]} == set(expected.table)

    def test_is_seen_the_same_however_it_is_cut(self, codec, case):
        protocol = codec.protocol(**case.settings)
        whole = record(protocol, [case.data])
        assert record(protocol, byte_by_byte(case.data)) == whole
        assert record(protocol, [case.data], eof=True) == whole
        for place in places(case.data):
            assert record(protocol, cut(case.data, [place])) == whole, place

    def test_is_never_complete_when_it_is_broken_off(self, codec, case):
        """Not even where nothing is missing but the last line end."""
        protocol = codec.protocol(**case.settings)
        for place in places(case.data):
            calls = record(protocol, [case.data[:place]], eof=True)
            assert sum(request.complete for request in requests(calls)) < len(case.seen), place


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("case", [*MALFORMED, *VALID], ids=lambda case: case.name)
def test_all_parsers_see_the_same(case, form):
    verdicts = {
        codec.name: record(codec.protocol(**case.settings), [case.data], form=form, eof=True) for codec in CODECS
    }
    first = verdicts[CODECS[0].name]
    for name, calls in verdicts.items():
        assert calls == first, name


@each_codec
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_cuts_at_random_places_change_nothing(codec, data):
    case = data.draw(st.sampled_from([*codec.malformed, *codec.valid]))
    ends = data.draw(st.lists(st.integers(1, max(1, len(case.data) - 1)), max_size=12))
    protocol = codec.protocol(**case.settings)
    assert record(protocol, cut(case.data, ends), eof=True) == record(protocol, [case.data], eof=True)


@each_codec
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_requests_in_a_row_are_seen_up_to_the_first_malformed_one(codec, data):
    valid = [case for case in codec.valid if not case.settings and len(case.data) <= SMALL]
    # Empty lines are counted between requests too, where the valid ones may have brought some.
    bad = [
        case
        for case in codec.malformed
        if not case.settings and case.status != CLOSED and len(case.data) <= SMALL and case.data[0] > 0x20
    ]
    cases = data.draw(st.lists(st.sampled_from(valid), max_size=4))
    last = data.draw(st.sampled_from(bad))
    wire = b"".join(case.data for case in cases) + last.data
    calls = record(codec.protocol(), cut(wire, data.draw(st.lists(st.integers(1, len(wire)), max_size=6))))
    assert [(r.head["method"], r.head["target"], r.body) for r in requests(calls) if r.complete] == [
        (seen.method, seen.target, seen.body) for case in cases for seen in case.seen
    ]
    assert calls[-1] == ("abort", last.status, last.reason)


@each_codec
def test_an_end_of_file_between_requests_is_no_news(codec):
    assert record(codec.protocol(), [], eof=True) == []
    assert record(codec.protocol(), [b"\r\n"], eof=True) == []


@each_codec
def test_a_stranger_names_neither_scheme_nor_script(codec):
    lines = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off\r\nSCRIPT_NAME: /a\r\n\r\n"
    calls = record(codec.protocol(), [lines], peer=STRANGER)
    assert calls[0][1]["scheme"] == "http"
    assert "HTTP_SCRIPT_NAME" not in calls[0][1]["fields"]


@each_codec
@pytest.mark.parametrize("step", [1 << 30, 1000])
def test_a_limit_of_zero_is_none(codec, step):
    protocol = codec.protocol(limit_request_line=0, limit_request_fields=0, limit_request_field_size=0)
    data = b"GET /%b HTTP/1.1\r\nHost: a\r\n%b\r\n" % (b"a" * 10000, b"B: %b\r\n" % (b"b" * 10000) + b"C: c\r\n" * 500)
    assert [call[0] for call in record(protocol, cut(data, range(0, len(data), step)))] == ["request", "end"]


@each_codec
@pytest.mark.parametrize("field_size", [0, 8190])
@pytest.mark.parametrize("step", [1 << 30, 400, 1])
def test_the_limit_of_the_head_holds_whatever_the_others_are(codec, field_size, step):
    protocol = codec.protocol(limit_request_head=1000, limit_request_field_size=field_size)
    fits = b"GET / HTTP/1.1\r\nHost: a\r\nB: %b\r\n\r\n" % (b"b" * (1000 - 32))
    assert len(fits) == 1000
    assert [call[0] for call in record(protocol, cut(fits, range(0, len(fits), step)))] == ["request", "end"]
    large = fits.replace(b"B: ", b"B:  ")
    calls = record(protocol, cut(large, range(0, len(large), step)))
    assert calls == [("abort", 431, "head-too-large")]


@each_codec
def test_a_codec_tells_whether_a_head_is_pending(codec):
    """So that a worker knows which time-out holds. Empty lines are no beginning of a head."""
    protocol = codec.protocol()
    reader = protocol.connect(Recorder(protocol.names[Form.ENVIRON], Form.ENVIRON), PROXY)
    assert not reader.pending
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
    for _ in range(2):
        for byte in head[:-1]:
            reader.feed(bytes((byte,)))
            assert reader.pending
        for byte in head[-1:] + b"hell":
            reader.feed(bytes((byte,)))
            assert reader.pending
        reader.feed(b"o")
        assert not reader.pending
        reader.feed(b"\r\n")
        assert not reader.pending
    reader.feed(head + b"hello" + head + b"he")
    assert reader.pending
    reader.feed(b"llo")
    assert not reader.pending
    reader.feed(head[:5])
    assert reader.pending


@each_codec
@pytest.mark.parametrize(
    ("fields", "body", "ahead"),
    [
        (b"Content-Length: 5", b"hello", True),
        (b"Content-Length: 6", b"hello!", False),
        (b"Content-Length: 5\r\nExpect: 100-continue", b"hello", False),
        (b"Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n", False),
    ],
)
def test_a_small_body_is_complete_before_the_sink_is_told(codec, fields, body, ahead):
    protocol = codec.protocol(buffer_request_body=5)
    sink = Recorder(protocol.names[Form.ENVIRON], Form.ENVIRON)
    reader = protocol.connect(sink, PROXY)
    for _ in range(2):
        sink.calls.clear()
        reader.feed(b"POST / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n\r\n" + body[:2])
        assert bool(sink.calls) != ahead
        assert reader.pending == ahead
        reader.feed(body[2:])
        assert [call[0] for call in sink.calls] == ["request", "body", "end"]
        assert not reader.pending


@each_codec
def test_the_worker_may_have_all_bodies_read_as_they_are_asked_for(codec):
    protocol = codec.protocol(buffer_request_body=0)
    calls = record(protocol, [b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe"])
    assert [call[0] for call in calls] == ["request", "body"]


@each_codec
@pytest.mark.parametrize("form", Form)
def test_a_request_that_comes_again_and_again_is_seen_the_same_each_time(codec, form):
    """Fields that repeat on a connection are not read anew; nobody may notice, and no request may touch another."""
    for case in codec.valid:
        protocol = codec.protocol(**case.settings)
        once = record(protocol, [case.data], form=form)
        many = record(protocol, [case.data] * 5, form=form)
        assert many == once * 5, case.name


@each_codec
def test_a_refusal_behind_requests_that_repeat_is_the_same(codec):
    good = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    for case in codec.malformed:
        protocol = codec.protocol(**case.settings)
        alone = record(protocol, [case.data], eof=True)
        behind = record(protocol, [good, good, good, case.data], eof=True)
        assert behind[-len(alone) :] == alone, case.name


def test_a_gateway_that_changes_its_request_changes_no_later_one():
    protocol = CODECS[0].protocol()
    sink = Keeper(protocol.names[Form.ENVIRON], Form.ENVIRON)
    codec = protocol.connect(sink, PROXY)
    for number in range(5):
        codec.feed(b"GET /%d HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\r\n" % number)
        environ = sink.kept[-1].environ
        assert environ == {"HTTP_HOST": "a", "HTTP_X_A": "b"}
        environ["HTTP_X_A"] = "changed"
        environ["wsgi.input"] = number
    assert [request.target for request in sink.kept] == ["/0", "/1", "/2", "/3", "/4"]


class Keeper(Recorder):
    """A sink that keeps the requests themselves."""

    def __init__(self, *args):
        super().__init__(*args)
        self.kept = []

    def on_request(self, request):
        self.kept.append(request)


@each_codec
@pytest.mark.parametrize("form", Form)
def test_an_empty_line_before_each_request_is_skipped_however_many_requests_come(codec, form):
    """Old clients send one behind a body; it may come in a packet of its own."""
    head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    once = record(codec.protocol(), [head], form=form)
    assert record(codec.protocol(), [b"\r\n", head] * 6, form=form) == once * 6
    assert record(codec.protocol(), [b"\r\n" + head] * 6, form=form) == once * 6
