"""Frames and messages follow RFC 6455 section 5, whoever sends them and however the bytes are cut."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websocket_driver import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    Client,
    Wire,
    close_of,
    cut,
    deflate,
    frame,
)

from unicorn_asgi.websocket.policy import WebSocketPolicy

MIB = 1 << 20
SIZES = [0, 1, 7, 125, 126, 127, 128, 65535, 65536, 65537, MIB, 16 * MIB]
COMPRESSED = {"plain": None, "deflate": deflate()}


def policy(**changes) -> WebSocketPolicy:
    return WebSocketPolicy(**changes)


def random_bytes(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def refused(*frames: bytes, **options) -> tuple[int, str]:
    """Code and reason with which the server closes."""
    wire = Wire(**options).feed(*frames)
    assert wire.session.finished
    code, reason = close_of(wire)
    assert wire.session.closed == (code, reason)
    return code, reason


class TestSizes:
    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("extensions", COMPRESSED.values(), ids=COMPRESSED)
    def test_binary_messages_of_all_lengths_come_and_go(self, size, extensions):
        message = random_bytes(size)
        assert Client(extensions=extensions).echo(message) == message

    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("extensions", COMPRESSED.values(), ids=COMPRESSED)
    def test_text_messages_of_all_lengths_come_and_go(self, size, extensions):
        message = ("Grüße, 世界 🌍 " * (size // 22 + 1)).encode()[:size].decode(errors="ignore")
        assert Client(extensions=extensions).echo(message) == message

    @pytest.mark.parametrize("form", [126, 127])
    def test_a_length_may_be_longer_than_it_need_be(self, form):
        assert Wire().feed(frame(TEXT, b"hello", form=form)).messages == ["hello"]

    def test_several_frames_in_one_read(self):
        assert Wire().feed(frame(TEXT, b"a") + frame(BINARY, b"b") + frame(TEXT)).messages == ["a", b"b", ""]

    def test_a_large_payload_is_not_copied_behind_its_head(self):
        wire, data = Wire(), random_bytes(100_000)
        wire.session.send_bytes(data)
        assert wire.sent[1] is data

    def test_a_small_message_is_one_piece_and_never_compressed(self):
        client = Client(extensions=deflate())
        client.session.send_text("a" * 100)
        assert client.wire.sent == [b"\x81\x64" + b"a" * 100]
        client.exchange()
        client.session.send_text("a" * 200)
        assert len(b"".join(client.wire.sent)) < 30


class TestFaults:
    """Each is a protocol error: 1002."""

    @pytest.mark.parametrize("opcode", [*range(3, 8), *range(11, 16)])
    def test_reserved_opcodes(self, opcode):
        assert refused(frame(opcode))[0] == 1002

    @pytest.mark.parametrize("reserved", range(1, 8))
    @pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, PONG, CLOSE])
    def test_reserved_bits(self, opcode, reserved):
        assert refused(frame(opcode, reserved=reserved))[0] == 1002

    @pytest.mark.parametrize("reserved", [1, 2, 3, 5, 6, 7])
    @pytest.mark.parametrize("opcode", [TEXT, PING, CLOSE, CONT])
    def test_reserved_bits_where_one_of_them_means_compression(self, opcode, reserved):
        client = Client(extensions=deflate())
        client.wire.feed(
            frame(TEXT, b"a", fin=False) if opcode == CONT else b"", frame(opcode, b"a", reserved=reserved)
        )
        assert close_of(client.wire)[0] == 1002

    @pytest.mark.parametrize("opcode", [TEXT, BINARY, CONT, PING, PONG, CLOSE])
    def test_frames_that_are_not_masked(self, opcode):
        assert refused(frame(opcode, b"", mask=False))[0] == 1002

    @pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
    def test_control_frames_that_are_too_long(self, opcode):
        assert refused(frame(opcode, b"\x03\xe8" + b"a" * 124))[0] == 1002

    @pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
    def test_control_frames_in_fragments(self, opcode):
        assert refused(frame(opcode, fin=False))[0] == 1002

    @pytest.mark.parametrize("fin", [True, False])
    def test_a_continuation_of_nothing(self, fin):
        assert refused(frame(CONT, b"a", fin=fin))[0] == 1002
        assert refused(frame(TEXT, b"a") + frame(CONT, b"a", fin=fin))[0] == 1002

    @pytest.mark.parametrize("opcode", [TEXT, BINARY])
    @pytest.mark.parametrize("fin", [True, False])
    def test_a_new_message_within_another(self, opcode, fin):
        assert refused(frame(TEXT, b"a", fin=False), frame(opcode, b"b", fin=fin))[0] == 1002

    def test_compressed_data_that_are_none(self):
        client = Client(extensions=deflate())
        client.wire.feed(frame(BINARY, b"\xff" * 20, reserved=4))
        assert close_of(client.wire)[0] == 1002

    def test_what_came_before_is_delivered_and_what_comes_after_is_not(self):
        wire = Wire().feed(frame(TEXT, b"before") + frame(3) + frame(TEXT, b"after"), frame(TEXT, b"later"))
        assert wire.messages == ["before"]
        assert close_of(wire)[0] == 1002


class TestControlFrames:
    @pytest.mark.parametrize("data", [b"", b"x", random_bytes(125)])
    def test_a_ping_is_answered_with_what_it_held(self, data):
        assert Wire().feed(frame(PING, data)).frames() == [(PONG, data)]

    def test_pings_are_answered_in_order(self):
        assert Wire().feed(b"".join(frame(PING, b"%d" % n) for n in range(10))).frames() == [
            (PONG, b"%d" % n) for n in range(10)
        ]

    def test_a_pong_that_nobody_asked_for_is_ignored(self):
        wire = Wire().feed(frame(PONG, b"hello"), frame(TEXT, b"a"))
        assert (wire.messages, wire.take()) == (["a"], b"")


class TestFragments:
    @pytest.mark.parametrize("opcode", [TEXT, BINARY])
    def test_they_are_joined(self, opcode):
        wire = Wire().feed(frame(opcode, b"a", fin=False), frame(CONT, b"b", fin=False), frame(CONT, b"c"))
        assert wire.messages == ["abc" if opcode == TEXT else b"abc"]

    @pytest.mark.parametrize("opcode", [TEXT, BINARY])
    def test_they_may_be_empty(self, opcode):
        wire = Wire().feed(frame(opcode, fin=False), *[frame(CONT, fin=False)] * 1000, frame(CONT))
        assert wire.messages == ["" if opcode == TEXT else b""]

    def test_the_next_message_begins_anew(self):
        wire = Wire().feed(frame(TEXT, b"a", fin=False), frame(CONT, b"b"), frame(BINARY, b"\xff"))
        wire.feed(frame(BINARY, b"\xfe", fin=False), frame(CONT, b"\xfd"))
        assert wire.messages == ["ab", b"\xff", b"\xfe\xfd"]

    def test_a_ping_between_them_is_answered_at_once(self):
        wire = Wire().feed(frame(TEXT, b"a", fin=False), frame(PING, b"now?"))
        assert (wire.messages, wire.frames()) == ([], [(PONG, b"now?")])
        wire.feed(frame(PONG), frame(CONT, b"b", fin=False), frame(PING), frame(CONT, b"c"))
        assert (wire.messages, wire.frames()) == (["abc"], [(PONG, b"")])

    def test_compressed_ones_are_joined_too(self):
        client = Client(extensions=deflate())
        client.protocol.send_text("Grüße ".encode() * 100, fin=False)
        client.protocol.send_continuation("世".encode()[:2], fin=False)
        client.protocol.send_ping(b"")
        client.protocol.send_continuation("世".encode()[2:] + b"!", fin=True)
        client.exchange()
        assert client.wire.messages == ["Grüße " * 100 + "世!"]
        assert [one.opcode for one in client.frames] == [PONG]

    @pytest.mark.parametrize("pieces", [1, 2, 1000])
    def test_a_message_of_16_mib_in_pieces(self, pieces):
        data = random_bytes(16 * MIB)
        size = len(data) // pieces + 1
        parts = [data[begin : begin + size] for begin in range(0, len(data), size)]
        wire = Wire()
        for index, part in enumerate(parts):
            wire.feed(frame(CONT if index else BINARY, part, fin=index == len(parts) - 1))
        assert wire.messages == [data]


class TestLimit:
    """A message beyond websocket_max_message_size is refused with 1009, as soon as it is known to be."""

    def test_a_message_of_just_that_size_is_taken(self):
        wire = Wire(policy(max_message_size=10)).feed(frame(TEXT, b"a" * 10))
        wire.feed(frame(BINARY, b"a" * 9, fin=False), frame(CONT, b"a"))
        assert wire.messages == ["a" * 10, b"a" * 10]

    @pytest.mark.parametrize("length", [11, 126, 65536, 1 << 62, (1 << 64) - 1])
    def test_a_length_beyond_it_is_refused_before_the_payload_comes(self, length):
        header = bytes((0x82, 0x80 | length)) if length < 126 else b"\x82\xff" + length.to_bytes(8, "big")
        assert refused(header, policy=policy(max_message_size=10))[0] == 1009

    def test_fragments_that_go_beyond_it_together(self):
        frames = frame(TEXT, b"a" * 6, fin=False), frame(CONT, b"a" * 5, fin=False)
        assert refused(*frames, policy=policy(max_message_size=10))[0] == 1009

    def test_a_message_that_is_small_only_while_compressed(self):
        client = Client(policy(max_message_size=MIB), deflate())
        client.send(b"\0" * (MIB + 1))
        client.exchange()
        assert client.session.closed[0] == 1009
        assert client.wire.messages == []

    def test_one_of_just_that_size_after_decompression_is_taken(self):
        client = Client(policy(max_message_size=MIB), deflate())
        client.send(b"\0" * MIB)
        client.exchange()
        assert client.wire.messages == [b"\0" * MIB]

    @pytest.mark.parametrize("fragments", range(2, 12))
    def test_compressed_fragments_that_go_beyond_it_together(self, fragments):
        client = Client(policy(max_message_size=1000), deflate())
        for index in range(fragments):
            data = b"\0" * (1000 if index == 0 else 300)
            if index:
                client.protocol.send_continuation(data, fin=index == fragments - 1)
            else:
                client.protocol.send_binary(data, fin=False)
        client.exchange()
        assert client.session.closed[0] == 1009
        assert client.wire.messages == []

    def test_without_a_limit_there_is_none(self):
        wire = Wire(policy(max_message_size=None)).feed(frame(BINARY, bytes(20 * MIB)))
        assert [len(message) for message in wire.messages] == [20 * MIB]


VALID_TEXTS = [
    "κόσμε",
    "\x00\x7f\x80\u07ff\u0800\uffff\U00010000\U0010ffff",
    "\ud7ff\ue000\ufffd\ufffe\ufdd0\U0001fffe",
    "a\u0301\u202e🏳️‍🌈",
]
INVALID_TEXTS = {
    "a continuation byte alone": b"\x80",
    "continuation bytes alone": b"ab\xbf\x80c",
    "a first byte without continuation": b"\xc3a",
    "a first byte at the end": b"abc\xe4\xb8",
    "overlong of two": b"\xc0\xaf",
    "overlong of three": b"\xe0\x80\xaf",
    "overlong of four": b"\xf0\x80\x80\xaf",
    "largest overlong": b"\xe0\x9f\xbf",
    "a high surrogate": b"\xed\xa0\x80",
    "a low surrogate": b"\xed\xbf\xbf",
    "a pair of surrogates": b"\xed\xa0\xbd\xed\xb8\x80",
    "beyond U+10FFFF": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "six bytes": b"\xfc\x84\x80\x80\x80\x80",
    "never allowed": b"\xfe\xff",
    "a BOM of UTF-16": b"\xff\xfea\x00",
    "in the middle": "κόσμε".encode() + b"\xf4\x90\x80\x80edited",
}


def in_fragments(data: bytes, at: int) -> list[bytes]:
    return [frame(TEXT, data[:at], fin=False), frame(CONT, data[at:])]


class TestUtf8:
    @pytest.mark.parametrize("text", VALID_TEXTS)
    def test_a_text_may_be_cut_at_every_byte(self, text):
        data = text.encode()
        for at in range(len(data) + 1):
            assert Wire().feed(*in_fragments(data, at)).messages == [text]
        single = [frame(CONT, data[at : at + 1], fin=False) for at in range(len(data))]
        assert Wire().feed(frame(TEXT, fin=False), *single, frame(CONT)).messages == [text]

    @pytest.mark.parametrize("data", INVALID_TEXTS.values(), ids=INVALID_TEXTS)
    def test_bytes_that_are_no_text_are_refused_with_1007(self, data):
        assert refused(frame(TEXT, data))[0] == 1007
        for at in range(len(data) + 1):
            assert refused(*in_fragments(data, at))[0] == 1007

    @pytest.mark.parametrize(
        "name", [name for name in INVALID_TEXTS if "surrogate" not in name and name != "a first byte at the end"]
    )
    def test_they_are_refused_with_the_first_byte_that_cannot_be(self, name):
        data = INVALID_TEXTS[name]
        wrong = next(n for n in range(1, len(data) + 1) if not could_become_text(data[:n]))
        wire = Wire().feed(frame(TEXT, data[: wrong - 1], fin=False))
        assert wire.session.closed is None
        wire.feed(frame(CONT, data[wrong - 1 : wrong], fin=False))
        assert close_of(wire)[0] == 1007

    def test_a_text_that_ends_within_a_character_is_refused_with_its_last_fragment(self):
        wire = Wire().feed(frame(TEXT, b"\xe4\xb8", fin=False), frame(PING))
        assert wire.frames() == [(PONG, b"")]
        assert close_of(wire.feed(frame(CONT)))[0] == 1007

    def test_binary_messages_hold_anything(self):
        data = b"".join(INVALID_TEXTS.values())
        assert Wire().feed(frame(BINARY, data), frame(BINARY, data, fin=False), frame(CONT, data)).messages == [
            data,
            data * 2,
        ]

    def test_compressed_text_is_checked_too(self):
        client = Client(extensions=deflate())
        client.protocol.send_text(b"a" * 200 + b"\xed\xa0\x80")
        client.exchange()
        assert client.session.closed[0] == 1007


def could_become_text(data: bytes) -> bool:
    """By trying, not by the decoder under test: is it the beginning of any valid UTF-8?"""
    tails = [b"", b"\x80", b"\x90", b"\xa0", b"\x80\x80", b"\x90\x80", b"\xa0\x80", b"\x80\x80\x80", b"\x90\x80\x80"]
    for tail in tails:
        try:
            (data + tail).decode()
        except UnicodeDecodeError:
            continue
        return True
    return False


small_frames = st.lists(
    st.one_of(
        st.tuples(st.just(TEXT), st.text(max_size=20).map(str.encode)),
        st.tuples(st.sampled_from([BINARY, PING, PONG, CONT]), st.binary(max_size=130)),
        st.tuples(
            st.just(CLOSE), st.sampled_from([b"", b"\x03\xe8", b"\x03\xe8bye", b"\x03\xed", b"\x03", b"\x0f\xa0\xff"])
        ),
        st.tuples(st.integers(0, 15), st.binary(max_size=5)),
        st.tuples(st.just(TEXT), st.binary(max_size=5)),
    ),
    max_size=12,
)


@given(small_frames, st.lists(st.booleans(), min_size=12, max_size=12), st.lists(st.integers(0, 1 << 16), max_size=20))
def test_no_cut_of_the_bytes_changes_anything(frames, fins, places):
    data = b"".join(frame(opcode, payload, fin=fin) for (opcode, payload), fin in zip(frames, fins, strict=False))
    whole = Wire(policy(max_message_size=200)).feed(data).outcome
    assert Wire(policy(max_message_size=200)).feed(*cut(data, places)).outcome == whole
    assert Wire(policy(max_message_size=200)).feed(*cut(data, range(len(data)))).outcome == whole


@given(st.lists(st.text(max_size=300) | st.binary(max_size=300), max_size=5), st.lists(st.integers(0, 1 << 16)))
def test_nor_of_compressed_ones(messages, places):
    client = Client(extensions=deflate())
    for message in messages:
        client.send(message)
    data = b"".join(client.protocol.data_to_send())
    assert client.wire.feed(*cut(data, places)).messages == messages


@given(st.lists(st.binary(max_size=200), max_size=10), st.booleans())
def test_garbage_never_raises(pieces, compressed):
    wire = Client(extensions=deflate()).wire if compressed else Wire()
    wire.feed(*pieces)
    wire.session.tick(0)
    wire.session.feed_eof()
    assert wire.session.finished


@given(st.binary(max_size=300), st.sampled_from([TEXT, BINARY, CONT]), st.booleans())
def test_compressed_garbage_never_raises(data, opcode, fin):
    client = Client(extensions=deflate())
    client.wire.feed(frame(TEXT, b"\xca\x48\xcd", fin=False, reserved=4) if opcode == CONT else b"")
    client.wire.feed(frame(opcode, data, fin=fin, reserved=0 if opcode == CONT else 4), frame(PING))
    assert client.session.closed is None or client.session.closed[0] in (1002, 1007, 1009)
