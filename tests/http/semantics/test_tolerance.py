"""What is only watched is reported, once a connection, whatever the parser and however the bytes were cut."""

import pytest
from codec_driver import CODECS, REPORTED, byte_by_byte, record
from request_corpus import MALFORMED, VALID, chunked, message

HOST = b"Host: a"

each_codec = pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)


def reports(codec, pieces, **settings):
    """Reason codes of what was reported, and whether all of it was served."""
    REPORTED.clear()
    calls = record(codec.protocol(strictness="report", **settings), pieces)
    return REPORTED.copy(), calls[-1][0] == "end"


@each_codec
@pytest.mark.parametrize(
    ("wire", "reasons"),
    [
        (message(b"get / HTTP/1.1", HOST), ["method"]),
        (message("GET /ä HTTP/1.1".encode(), HOST), ["target-bytes"]),
        (message("get /ä HTTP/1.1".encode(), HOST), ["target-bytes", "method"]),
        (message(b"GET / HTTP/1.1", HOST, b"Expect: b"), ["expect"]),
        (message(b"GET / HTTP/1.1", HOST, b"A_b: c"), ["underscore"]),
        (message(b"get / HTTP/1.1", HOST, b"B: \xff"), ["method"]),
        (b"\r\n" * 10 + message(b"GET / HTTP/1.1", HOST), ["empty-lines"]),
        (chunked(b"5 ;a\r\nhello\r\n0; b\r\nHost: a\r\n\r\n"), ["chunk-blanks", "trailer-forbidden"]),
        (message(b"GET / HTTP/1.1", HOST), []),
    ],
)
def test_what_is_reported(codec, wire, reasons):
    for pieces in ([wire], byte_by_byte(wire), [wire] * 3):
        assert reports(codec, pieces, header_map="refuse") == (reasons, True)


@each_codec
def test_each_connection_is_reported(codec):
    for _ in range(2):
        assert reports(codec, [message(b"get / HTTP/1.1", HOST)]) == (["method"], True)


@each_codec
def test_nothing_else_is_served_only_because_rules_are_reported(codec):
    """Above all nothing about framing."""
    watched = {"method", "target-bytes", "expect", "underscore", "empty-lines", "chunk-blanks", "trailer-forbidden"}
    for case in MALFORMED:
        if case.reason in watched or case.settings:
            continue
        calls = record(codec.protocol(strictness="report"), [case.data], eof=True)
        assert calls[-1][1:] == (case.status, case.reason), case.name


@each_codec
def test_what_is_valid_is_not_reported(codec):
    for case in VALID:
        if not case.settings:
            assert reports(codec, [case.data]) == ([], True)


@each_codec
def test_strict_reports_nothing(codec):
    REPORTED.clear()
    for case in MALFORMED:
        if case.settings.get("strictness") != "report":
            record(codec.protocol(**case.settings), [case.data])
    assert REPORTED == []


@each_codec
def test_what_is_permitted_is_repaired_the_same_behind_requests_that_repeat(codec):
    protocol = codec.protocol(permit_obsolete_folding=True, strip_header_spaces=True)
    plain = message(b"GET / HTTP/1.1", HOST, b"B: b c")
    folded = message(b"GET / HTTP/1.1", HOST, b"B : b", b" c")
    calls = record(protocol, [plain] * 3 + [folded] * 3 + [plain])
    assert calls == calls[:2] * 7
