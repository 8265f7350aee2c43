"""Reading a head takes linear time, with each parser and however it comes."""

import pytest
from codec_driver import CODECS, cut, record
from timing import grows_linearly

UNLIMITED = {
    "limit_request_line": 0,
    "limit_request_fields": 0,
    "limit_request_field_size": 0,
    "limit_request_head": 0,
}

HEADS = {
    "fields of one name": lambda count: b"B: b\r\n" * count,
    "fields of many names": lambda count: b"".join(b"B%d: b\r\n" % number for number in range(count)),
    "names with underscores": lambda count: b"".join(b"B_%d: b\r\n" % number for number in range(count)),
    "a long value": lambda count: b"B: " + b"b" * (20 * count) + b"\r\n",
    "a value of blanks": lambda count: b"B: b" + b" " * (20 * count) + b"c\r\n",
    "blanks before a value": lambda count: b"B: " + b" " * (20 * count) + b"c\r\n",
    "blanks after a value": lambda count: b"B: c" + b" \t" * (10 * count) + b"\r\n",
    "a list of connection options": lambda count: b"Connection: " + b"a," * (10 * count) + b"b\r\n",
    "a long Host": lambda count: b"X: y\r\nHost: " + b"a." * (10 * count) + b"\r\n",
}


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
@pytest.mark.parametrize("head", HEADS)
def test_a_head_is_read_in_linear_time(codec, head):
    host = b"" if "Host" in head else b"Host: a\r\n"

    def work(count):
        protocol = codec.protocol(**UNLIMITED)
        calls = record(protocol, [b"GET / HTTP/1.1\r\n" + host + HEADS[head](count) + b"\r\n"])
        assert [call[0] for call in calls] == ["request", "end"]

    assert grows_linearly(work, 3000)


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_head_in_pieces_is_read_in_linear_time(codec, step):
    protocol = codec.protocol(**UNLIMITED)

    def work(count):
        wire = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"B: bbbbbbbbbbbbb\r\n" * count + b"\r\n"
        assert [call[0] for call in record(protocol, cut(wire, range(0, len(wire), step)))] == ["request", "end"]

    assert grows_linearly(work, 500 if step == 1 else 3000)


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_a_value_in_tiny_pieces_is_bounded_work(codec):
    """It is looked at again with each byte, so its size must be limited; the limit is reached in little time."""
    protocol = codec.protocol()
    wire = b"GET / HTTP/1.1\r\nHost: a\r\nB: " + b"b" * 9000
    calls = record(protocol, cut(wire, range(len(wire))))
    assert calls == [("abort", 431, "field-too-large")]


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_pipelined_requests_are_read_in_linear_time(codec):
    protocol = codec.protocol()

    def work(count):
        wire = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * count
        calls = record(protocol, cut(wire, range(0, len(wire), 65536)))
        assert len(calls) == 2 * count

    assert grows_linearly(work, 4000)
