"""wsgi.input reads what comes, as it comes, and tells when the rest will never come."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unicorn_http.semantics.refusal import Disconnected, Refusal
from unicorn_http.wsgi.body import BodyError, streaming


class Source:
    """Gives pieces in turn; counts how often it was asked, for that may mean waiting."""

    def __init__(self, *pieces, error=None):
        self.pieces = list(pieces)
        self.error = error
        self.asked = 0

    def next_piece(self):
        self.asked += 1
        if self.pieces:
            return self.pieces.pop(0)
        if self.error:
            raise self.error
        return b""


LINES = b"one\ntwo\r\n\nfour"
texts = st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r\n", b"d" * 70000]), max_size=8).map(b"".join)


def cut(data, places):
    places = sorted(place % (len(data) + 1) for place in places)
    pieces = [data[begin:end] for begin, end in zip([0, *places], [*places, len(data)], strict=True)]
    return [piece for piece in pieces if piece]


@given(data=texts, places=st.lists(st.integers(0, 1 << 20), max_size=6))
def test_every_way_of_reading_gives_the_same_bytes(data, places):
    lines = data.splitlines(keepends=True) if b"\r" not in data else None

    def body():
        return streaming(Source(*cut(data, places)))

    assert body().read() == data
    assert body().read(-1) == data
    assert b"".join(body()) == data
    assert b"".join(body().readlines()) == data
    assert b"".join(iter(body().readline, b"")) == data
    assert b"".join(iter(partial(body().read, 3), b"")) == data
    if lines is not None:
        assert list(body()) == lines
        assert body().readlines() == lines


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_lines_and_sizes(size):
    pieces = [LINES[at : at + size] for at in range(0, len(LINES), size)]
    body = streaming(Source(*pieces))
    assert body.readline() == b"one\n"
    assert body.readline(2) == b"tw"
    assert body.read(0) == b""
    assert body.read(1) == b"o"
    assert body.readline() == b"\r\n"
    assert body.readlines(1) == [b"\n", b"four"]  # lines until there are more bytes than that
    assert body.read() == b""
    assert body.read(5) == b""
    assert body.readline() == b""
    assert body.readlines() == []
    assert list(body) == []


def test_nothing_is_read_before_the_application_asks():
    source = Source(b"a")
    streaming(source)
    assert source.asked == 0


def test_no_more_is_waited_for_than_is_needed():
    source = Source(b"one\n", b"two\n", b"three")
    body = streaming(source)
    assert body.readline() == b"one\n"
    assert source.asked == 1
    assert body.read(2) == b"tw"
    assert source.asked == 2
    assert body.read(2) == b"o\n"
    assert source.asked == 2
    assert body.read(1) == b"t"
    assert source.asked == 3


def test_the_end_is_not_read_beyond():
    body = streaming(Source(b"a"))
    assert body.read(10) == b"a"
    assert body.read(10) == b""


def test_an_error_in_the_middle_comes_out_of_each_way_of_reading():
    def broken():
        return streaming(Source(b"one\ntw", error=BodyError("the client is gone", 0)))

    for read in (
        lambda body: body.read(),
        lambda body: body.read(7),
        lambda body: body.readlines(),
        lambda body: list(body),
        lambda body: [body.readline(), body.readline()],
    ):
        body = broken()
        with pytest.raises(BodyError, match="the client is gone"):
            read(body)
        with pytest.raises(BodyError):  # and again: an incomplete body never looks complete
            body.read()


def test_what_came_before_an_error_can_be_read():
    body = streaming(Source(b"one\ntw", error=BodyError("too slow", 408)))
    assert body.readline() == b"one\n"
    assert body.read(2) == b"tw"
    with pytest.raises(BodyError) as caught:
        body.read(1)
    assert caught.value.status == 408


def test_an_error_is_an_oserror_and_knows_its_answer():
    refusal = BodyError.of(Refusal(400, "chunk-size", "a chunk size is malformed", "RFC 9112 section 7.1"))
    assert isinstance(refusal, OSError)
    assert refusal.status == 400
    assert str(refusal) == "400 a chunk size is malformed (chunk-size, RFC 9112 section 7.1)"
    assert BodyError.of(Disconnected("gone")).status == 0


def test_it_can_be_read_as_text_and_in_place():
    buffer = bytearray(4)
    assert streaming(Source(b"ab", b"cd")).readinto(buffer) == 4
    assert buffer == b"abcd"
    assert streaming(Source(b"ab", b"cd")).read1(4) == b"ab"
    body = streaming(Source())
    assert body.readable()
    assert not body.writable()
    assert not body.seekable()
