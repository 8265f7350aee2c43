"""A chunked body comes out as it went in, however it was cut, in linear time; what follows it is left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from timing import grows_linearly

from unicorn_http.semantics.chunked import FORBIDDEN_TRAILERS, ChunkedDecoder
from unicorn_http.semantics.limits import Limits
from unicorn_http.semantics.refusal import Refusal

LIMITS = Limits(line=4094, fields=100, field=8190, head=131072)

token = st.text("abcXYZ019!#$%&'*+-.^_`|~", min_size=1, max_size=8).map(str.encode)
quoted = st.binary(max_size=8).map(
    lambda data: (
        b'"%b"' % bytes(b for b in data if b == 9 or 0x20 <= b != 0x7F).replace(b"\\", b"").replace(b'"', b'\\"')
    )
)
extension = st.tuples(token, st.one_of(st.just(b""), token.map(b"=".__add__), quoted.map(b"=".__add__)))
extensions = st.lists(extension.map(lambda pair: b";" + pair[0] + pair[1]), max_size=3).map(b"".join)
size_form = st.sampled_from([b"%x", b"%X", b"0%x", b"0000%X"])
trailers = st.lists(token.map(lambda name: b"x-" + name + b": a b\r\n"), max_size=3).map(b"".join)


def decode(pieces):
    """(the body, what follows it or None)."""
    body: list[bytes] = []
    decoder = ChunkedDecoder(LIMITS)
    rest = None
    for piece in pieces:
        rest = piece if rest is not None else decoder.feed(piece, body.append)
    return b"".join(body), rest


@given(data=st.data())
def test_a_body_comes_out_as_it_went_in(data):
    blocks = data.draw(st.lists(st.binary(min_size=1, max_size=300), max_size=6))
    wire = b"".join(
        data.draw(size_form) % len(block) + data.draw(extensions) + b"\r\n" + block + b"\r\n" for block in blocks
    )
    wire += data.draw(st.sampled_from([b"0", b"000"])) + data.draw(extensions) + b"\r\n" + data.draw(trailers) + b"\r\n"
    assert decode([wire]) == (b"".join(blocks), b"")
    places = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    pieces = [wire[begin:end] for begin, end in zip([0, *places], [*places, len(wire)], strict=True)]
    assert decode([piece for piece in pieces if piece]) == (b"".join(blocks), b"")


@given(end=st.integers(0, 34), following=st.sampled_from([b"", b"G", b"GET / HTTP/1.1\r\n\r\n", b"\r\n", b"0\r\n\r\n"]))
def test_what_follows_the_body_is_given_back(end, following):
    wire = b"5;a\r\nhello\r\n1\r\n!\r\n0\r\nB: b\r\n\r\n"
    assert decode([wire + following]) == (b"hello!", following)
    pieces = [piece for piece in (wire[:end], wire[end:]) if piece]
    assert decode([*pieces[:-1], pieces[-1] + following]) == (b"hello!", following)


def test_no_piece_is_kept_back():
    """What has come of a chunk is handed on, though the chunk is not complete."""
    body: list[bytes] = []
    decoder = ChunkedDecoder(LIMITS)
    assert decoder.feed(b"a\r\n012", body.append) is None
    assert body == [b"012"]
    assert decoder.feed(b"34", body.append) is None
    assert body == [b"012", b"34"]


def test_chunks_that_come_together_are_handed_on_in_one_piece():
    body: list[bytes] = []
    assert ChunkedDecoder(LIMITS).feed(b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n", body.append) == b""
    assert body == [b"abc"]


def test_what_came_before_a_malformed_chunk_is_handed_on_first():
    body: list[bytes] = []
    with pytest.raises(Refusal, match="chunk size"):
        ChunkedDecoder(LIMITS).feed(b"1\r\na\r\nx\r\n", body.append)
    assert body == [b"a"]


@pytest.mark.parametrize("name", sorted(FORBIDDEN_TRAILERS))
def test_a_trailer_that_would_change_the_request_is_refused(name):
    for written in (name, name.title(), name.upper()):
        with pytest.raises(Refusal) as caught:
            decode([b"0\r\n%b: a\r\n\r\n" % written])
        assert caught.value.reason == "trailer-forbidden"


def test_framing_fields_are_among_the_forbidden_trailers():
    assert {b"content-length", b"transfer-encoding", b"host", b"authorization", b"cookie"} <= FORBIDDEN_TRAILERS


@pytest.mark.parametrize("step", [1 << 16, 6])
def test_many_tiny_chunks_take_linear_time(step):
    def work(count):
        wire = b"1\r\nx\r\n" * count + b"0\r\n\r\n"
        body, rest = decode([wire[at : at + step] for at in range(0, len(wire), step)])
        assert (len(body), rest) == (count, b"")

    assert grows_linearly(work, 100_000 if step > 6 else 20_000)


def test_a_chunk_in_tiny_pieces_takes_linear_time():
    def work(count):
        decoder, size = ChunkedDecoder(LIMITS), 0

        def on_body(piece):
            nonlocal size
            size += len(piece)

        decoder.feed(b"%x\r\n" % count, on_body)
        for _ in range(count):
            decoder.feed(b"x", on_body)
        assert size == count

    assert grows_linearly(work, 50_000)
