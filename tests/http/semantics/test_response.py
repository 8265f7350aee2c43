"""What an application may say in its head; nothing it says can forge a line, a response or its framing."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unicorn_http.semantics import response
from unicorn_http.semantics.response import (
    DROPPED,
    TEXT_LINES,
    TEXT_STATUSES,
    InvalidResponseError,
    ResponseHead,
    read_head,
)

CONTROLS = [chr(code) for code in (*range(0x20), 0x7F) if code != 9]


def read(status: str, fields: Iterable[object]) -> ResponseHead:
    return read_head(TEXT_STATUSES[status], fields, TEXT_LINES)


def test_a_head_is_written_as_it_is_said():
    head = read("200 OK", [("A", "b"), ("Set-Cookie", "c=d"), ("Set-Cookie", "e=f"), ("x", "")])
    assert head.text == "HTTP/1.1 200 OK\r\nA: b\r\nSet-Cookie: c=d\r\nSet-Cookie: e=f\r\nx: \r\n"
    assert head.code == 200
    assert head.content_length is None
    assert head.dropped == ()


@pytest.mark.parametrize(
    ("status", "line"),
    [
        ("200 OK", "HTTP/1.1 200 OK\r\n"),
        ("200", "HTTP/1.1 200 \r\n"),
        ("299 ", "HTTP/1.1 299 \r\n"),
        ("404 Not\tFound: \xe4", "HTTP/1.1 404 Not\tFound: \xe4\r\n"),
        ("999 a", "HTTP/1.1 999 a\r\n"),
    ],
)
def test_statuses(status, line):
    for _ in range(2):
        assert read(status, []).text == line


@pytest.mark.parametrize(
    "status",
    [
        "",
        "20",
        "2000 OK",
        "OK",
        " 200 OK",
        "200OK",
        "200\tOK",
        "+20 OK",
        "0200 OK",
        "099 a",
        "100 Continue",
        "101 Switching Protocols",
    ]
    + ["200 \u20ac", "\u0662\u0660\u0660 OK", "200 OK\n", "200 OK\r\nA: b", "200 \x85\u2028"]
    + [f"200 a{control}b" for control in CONTROLS]
    + [200, 200.0, None, b"200 OK"],
)
def test_a_status_that_must_not_be_sent(status):
    for _ in range(2):
        with pytest.raises(InvalidResponseError):
            read(status, [])


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "A ",
        " A",
        "A B",
        "A:",
        "A: b\r\nC",
        "A\r\n",
        "A\n",
        "\xe4",
        "\u20ac",
        "(A)",
        "A/B",
        '"A"',
        "A\x00",
        "\u212a",
        None,
        1,
        b"A",
    ],
)
def test_a_name_that_must_not_be_sent(name):
    for _ in range(2):
        with pytest.raises(InvalidResponseError):
            read("200 OK", [(name, "b")])


@pytest.mark.parametrize(
    "value",
    [f"a{control}b" for control in CONTROLS]
    + ["a\r\nB: c", "a\r\n\r\n<html>", "a\n", "\r", "\u20ac", "a\u2028b", "\ud800", "\u010a"]
    + [None, 1, b"a", ["a"]],
)
def test_a_value_that_must_not_be_sent(value):
    for name in ("A", "Content-Type"):
        with pytest.raises((InvalidResponseError, TypeError)):
            read("200 OK", [(name, value)])


@pytest.mark.parametrize("value", ["", "a\tb", "\xa0\xad\xff\x80", " a ", "a: b", "".join(map(chr, range(0x20, 0x7F)))])
def test_a_value_that_may_be_sent(value):
    assert read("200 OK", [("A", value)]).text.endswith(f"\r\nA: {value}\r\n")


@given(
    status=st.text(max_size=8).map(lambda text: "200 " + text),
    name=st.text(min_size=1, max_size=4),
    value=st.text(max_size=6),
)
def test_no_text_forges_a_line(status, name, value):
    try:
        text = read(status, [(name, value), ("End", "")]).text
    except InvalidResponseError:
        return
    lines = text.encode("latin-1").split(b"\r\n")
    dropped = name.lower() in DROPPED
    assert len(lines) == (3 if dropped else 4)
    assert b"\r" not in b"".join(lines)
    assert b"\n" not in b"".join(lines)
    assert b"\0" not in text.encode("latin-1")


@pytest.mark.parametrize("name", sorted(DROPPED))
def test_what_is_the_server_s_is_dropped(name):
    head = read("200 OK", [("A", "b"), (name.title(), "x"), (name.upper(), "y")])
    assert head.text == "HTTP/1.1 200 OK\r\nA: b\r\n"
    assert head.dropped == (name, name)


def test_hop_by_hop_fields_are_among_those_dropped():
    assert {"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "proxy-authenticate"} <= DROPPED


def test_a_dropped_field_says_nothing_about_framing():
    head = read("200 OK", [("Transfer-Encoding", "chunked"), ("Connection", "close")])
    assert not head.chunked
    assert head.content_length is None


def test_content_length_is_understood():
    head = read("200 OK", [("content-LENGTH", "0042")])
    assert head.content_length == 42
    assert "content-LENGTH: 0042\r\n" in head.text


@pytest.mark.parametrize(
    "value", ["", " 5", "5 ", "+5", "-5", "0x5", "5_0", "5, 5", "5.0", "\u0665", "\xb2", "9" * 19, 5, None]
)
def test_a_content_length_that_is_no_number(value):
    with pytest.raises(InvalidResponseError):
        read("200 OK", [("Content-Length", value)])


@pytest.mark.parametrize("second", ["5", "6"])
def test_a_content_length_that_is_declared_twice(second):
    with pytest.raises(InvalidResponseError):
        read("200 OK", [("Content-Length", "5"), ("content-length", second)])


def test_which_statuses_forbid_a_body():
    assert [code for code in range(200, 600) if read(f"{code} a", []).forbids_body] == [204, 205, 304]


def test_no_length_goes_with_204_and_one_does_with_304():
    length = [("Content-Length", "5")]
    assert "Content-Length" not in read("204 No Content", length).text
    assert "Content-Length: 5" in read("304 Not Modified", length).text


def test_a_205_says_that_nothing_follows_whatever_the_application_says():
    head = read("205 Reset Content", [("Content-Length", "5"), ("A", "b")])
    assert head.text == "HTTP/1.1 205 Reset Content\r\nA: b\r\nContent-Length: 0\r\n"


def test_an_application_cannot_make_the_caches_grow_without_bound():
    for number in range(10000):
        read(f"200 {number}", [(f"X-{number}", str(number))])
    for value in vars(response).values():
        if isinstance(value, dict) and hasattr(value, "LARGEST"):
            assert len(value) <= value.LARGEST <= 4096


def test_fields_may_be_lists_although_pep_3333_asks_for_tuples():
    assert read("200 OK", [["X-A", "1"], ["Content-Length", "5"]]).content_length == 5
