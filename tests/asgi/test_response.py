"""A response's head: what an ASGI application may say, and the clear error for the rest."""

from collections.abc import Iterable

import pytest

from unicorn_asgi.response import BYTE_LINES, NUMBER_STATUSES, trailer_section
from unicorn_http.semantics.response import InvalidResponseError, ResponseHead, read_head


def read(status: int, fields: Iterable[object]) -> ResponseHead:
    return read_head(NUMBER_STATUSES[status], fields, BYTE_LINES)


def test_status_and_fields_become_lines_in_their_order():
    head = read(404, [(b"x-a", b"1"), (b"set-cookie", b"a=b"), (b"set-cookie", b"c=d")])
    assert head.text == "HTTP/1.1 404 Not Found\r\nx-a: 1\r\nset-cookie: a=b\r\nset-cookie: c=d\r\n"
    assert (head.code, head.content_length, head.dropped) == (404, None, ())


@pytest.mark.parametrize(
    "fields", [[[b"x", b"y"]], ((b"x", b"y"),), iter([(b"x", b"y")]), [(bytearray(b"x"), memoryview(b"y"))]]
)
def test_fields_may_be_any_iterable_of_pairs(fields):
    assert read(200, fields).text.endswith("\r\nx: y\r\n")


def test_a_status_without_a_phrase_has_none():
    assert read(299, ()).text == "HTTP/1.1 299 \r\n"
    assert (read(200, ()).status, read(299, ()).status) == ("200 OK", "299")


def test_content_length_is_read():
    assert read(200, [(b"Content-Length", b"12")]).content_length == 12
    assert "12" not in read(204, [(b"content-length", b"12")]).text


def test_what_is_the_servers_to_say_is_dropped():
    head = read(200, [(b"connection", b"close"), (b"Transfer-Encoding", b"chunked"), (b"x", b"y")])
    assert head.text == "HTTP/1.1 200 OK\r\nx: y\r\n"
    assert head.dropped == ("connection", "transfer-encoding")


@pytest.mark.parametrize(
    ("status", "fields", "told"),
    [
        ("200", (), "must be an integer"),
        (True, (), "must be an integer"),
        (101, (), "200 to 999"),
        (1000, (), "200 to 999"),
        (200, [("x", b"y")], "name must be bytes, not str"),
        (200, [(b"x", "y")], "value must be bytes, not str"),
        (200, [(b"x", b"y", b"z")], "pair"),
        (200, [b"xy"], "must be bytes, not int"),
        (200, [5], "pair"),
        (200, [(b"x y", b"z")], "not allowed"),
        (200, [(b"x", b"y\r\nz: a")], "control"),
        (200, [(b"x", b"y\0")], "control"),
        (200, [(b"content-length", b"+1")], "not a number"),
        (200, [(b"content-length", b"1"), (b"content-length", b"1")], "twice"),
    ],
)
def test_what_must_not_be_sent_is_a_clear_error(status, fields, told):
    with pytest.raises(InvalidResponseError, match=told):
        read(status, fields)


def test_a_trailer_section_frames_nothing():
    assert trailer_section([(b"x-sum", b"1"), [b"content-length", b"5"], (b"connection", b"close")]) == b"x-sum: 1\r\n"
