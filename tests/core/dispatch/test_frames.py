"""Frames arrive as they were sent, however the stream is cut, and garbage never gets further than a ProtocolError."""

import contextlib
import struct
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from unicorn_core.dispatch.errors import PayloadTooLarge, ProtocolError
from unicorn_core.dispatch.wire.frames import (
    BUFFERS,
    GATHERED_FROM,
    JOINED_TO,
    MAGIC,
    PRIORITY,
    ROUTE,
    Flag,
    Frame,
    FrameReader,
    Kind,
    Shared,
    check,
    encode,
    route,
    size,
    split_route,
)

anything = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
HEAD = struct.Struct("!3sBBbHQdII")

SIZES = st.one_of(st.integers(0, 40), st.sampled_from([JOINED_TO, JOINED_TO + 1, GATHERED_FROM, 3 * GATHERED_FROM]))
BYTES = st.builds(lambda length, fill: bytes([fill]) * length, SIZES, st.integers(0, 255))
FRAMES = st.builds(
    Frame,
    st.sampled_from(Kind),
    st.integers(0, 2**64 - 1),
    st.binary(max_size=ROUTE),
    BYTES,
    st.lists(BYTES | st.builds(Shared, st.integers(0, 2**20)), max_size=5),
    st.floats(0, 1e12),
    st.integers(-PRIORITY, PRIORITY),
    st.sampled_from([0, *Flag]),
)


def written(frames: Iterable[Frame]) -> bytes:
    return b"".join(part for frame in frames for part in encode(frame))


def plain(frames: Iterable[Frame]) -> list[tuple[object, ...]]:
    """As values that can be compared, whatever kind of buffer holds them."""
    return [
        (
            (frame.kind, frame.id, frame.route, frame.deadline, frame.priority, frame.flags),
            bytes(frame.body),
            [buffer if isinstance(buffer, Shared) else bytes(buffer) for buffer in frame.buffers],
        )
        for frame in frames
    ]


def read(data: bytes, cuts: Iterable[int] = (), reader: FrameReader | None = None) -> list[Frame]:
    """What a reader makes of data that arrive in pieces."""
    reader = reader or FrameReader()
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [frame for at, end in pairwise(places) for frame in reader.feed(data[at:end])]


def received(data: bytes, amounts: Iterable[int]) -> list[Frame]:
    """The same through the gaps of large frames, as a socket would give it: so much at a time."""
    reader, frames, at = FrameReader(), [], 0
    wanted = iter(amounts)
    while at < len(data):
        amount = next(wanted, 1 << 16)
        if (gap := reader.gap) is not None:
            piece = data[at : at + min(amount, len(gap))]
            gap[: len(piece)] = piece
            frames += reader.filled(len(piece))
        else:
            piece = data[at : at + amount]
            frames += reader.feed(piece)
        at += len(piece)
    return frames


def head(**changed: object) -> bytes:
    """The head of a frame, with something changed in it."""
    values = {
        "magic": MAGIC,
        "kind": 1,
        "flags": 0,
        "priority": 0,
        "route": 0,
        "id": 1,
        "deadline": 0.0,
        "body": 0,
        "buffers": 0,
    }
    return HEAD.pack(*(values | changed).values())


def test_a_small_frame_is_one_part() -> None:
    (part,) = encode(Frame(Kind.REQUEST, 1, route("m:A", "run"), b"body"))
    assert bytes(part).endswith(b"m:A\nrunbody")


def test_large_bodies_and_buffers_are_not_copied() -> None:
    body, buffer = bytes(JOINED_TO + 1), bytearray(100)
    parts = encode(Frame(Kind.RESULT, 1, b"", body, [buffer, Shared(2**20)]))
    assert parts[1] is body
    assert parts[2] is buffer
    assert len(parts) == 3


def test_a_frame_knows_its_size_and_its_descriptors() -> None:
    frame = Frame(Kind.RESULT, 1, b"route", b"body", [b"buffer", Shared(1000)])
    assert size(frame) == len(written([frame])) + 1000
    assert frame.descriptors == 1


def test_a_frame_can_be_passed_on_under_another_id() -> None:
    (frame,) = read(written([Frame(Kind.REQUEST, 1, b"r", b"body", [b"x" * 70_000], 12.5, -3, Flag.STREAM)]))
    frame.id = 99
    (passed,) = read(written([frame]))
    assert plain([passed]) == [((1, 99, b"r", 12.5, -3, Flag.STREAM), b"body", [b"x" * 70_000])]


@anything
@given(st.lists(FRAMES, max_size=4), st.lists(st.integers(min_value=0), max_size=30))
def test_frames_arrive_as_they_were_sent_wherever_the_stream_is_cut(frames: list[Frame], cuts: list[int]) -> None:
    assert plain(read(written(frames), cuts)) == plain(frames)


@anything
@given(st.lists(FRAMES, max_size=4), st.lists(st.integers(1, 200_000), max_size=20))
def test_frames_arrive_as_they_were_sent_through_gaps(frames: list[Frame], amounts: list[int]) -> None:
    assert plain(received(written(frames), amounts)) == plain(frames)


@pytest.mark.parametrize(
    "frame", [Frame(Kind.ITEM, 7, b"route", b"body", [b"", b"abc", Shared(5)]), Frame(Kind.END, 1)]
)
def test_frames_arrive_byte_by_byte(frame: Frame) -> None:
    data = written([frame] * 3)
    assert plain(read(data, range(len(data)))) == plain([frame] * 3)


def test_a_large_frame_is_received_into_memory_of_its_own() -> None:
    reader = FrameReader()
    data = written([Frame(Kind.RESULT, 1, b"", b"body", [bytes(GATHERED_FROM), b"end"])])
    assert reader.gap is None
    assert reader.feed(data[:100]) == []
    gap = reader.gap
    assert gap is not None
    assert len(gap) == len(data) - 100 - 3
    gap[:] = data[100:-3]
    assert reader.filled(len(gap)) == []
    (frame,) = reader.feed(data[-3:])
    assert reader.gap is None
    buffer = frame.buffers[0]
    assert isinstance(buffer, bytearray), "what is read into it can be changed"
    assert buffer == bytes(GATHERED_FROM)


def test_a_small_frame_that_comes_slowly_costs_no_more_than_its_size() -> None:
    """It is looked at again only when it is complete."""
    data = written([Frame(Kind.REQUEST, 1, b"r", b"x" * 1000)])
    reader = FrameReader()
    for at in range(len(data) - 1):
        assert reader.feed(data[at : at + 1]) == []
    assert len(reader._pending) == len(data) - 1
    assert len(reader.feed(data[-1:])) == 1
    assert not reader._pending


@pytest.mark.parametrize(
    "data",
    [
        head(magic=b"GET"),
        head(magic=b"uD\x02"),
        head(kind=0),
        head(kind=max(Kind) + 1),
        head(flags=128),
        head(priority=PRIORITY + 1),
        head(priority=-PRIORITY - 1),
        head(route=ROUTE + 1),
        head(deadline=float("nan")),
        head(deadline=float("inf")),
        head(deadline=-1.0),
        head(buffers=BUFFERS + 1),
        head(body=2**32 - 1),
        head(buffers=1) + b"\x7f" + b"\xff" * 7,
        head(buffers=1) + b"\xff" * 8,
        head(buffers=2) + b"\xff" * 16,
    ],
)
def test_what_is_no_frame_is_a_protocol_error_and_ends_the_reading(data: bytes) -> None:
    reader = FrameReader()
    with pytest.raises(ProtocolError):
        reader.feed(data)
    assert reader.gap is None
    with pytest.raises(ProtocolError):
        reader.feed(written([Frame(Kind.END, 1)]))


@pytest.mark.parametrize(
    "frame",
    [
        Frame(Kind.REQUEST, 1, b"", bytes(1000)),
        Frame(Kind.REQUEST, 1, b"", b"", [bytes(1000)]),
        Frame(Kind.REQUEST, 1, b"", b"", [Shared(1000)]),
        Frame(Kind.REQUEST, 1, b"", b"", [bytes(500), Shared(500)]),
    ],
)
def test_a_frame_beyond_the_limit_is_refused_before_it_has_come(frame: Frame) -> None:
    data = written([frame])
    assert len(read(data, reader=FrameReader(size(frame)))) == 1
    for cut in (len(data), HEAD.size + 8 * len(frame.buffers)):
        with pytest.raises(PayloadTooLarge) as caught:
            FrameReader(size(frame) - 1).feed(data[:cut])
        assert (caught.value.size, caught.value.limit) == (size(frame), size(frame) - 1)


@anything
@given(st.binary(max_size=300), st.lists(st.integers(min_value=0), max_size=20))
@example(MAGIC + bytes(100), [])
def test_garbage_is_never_more_than_a_protocol_error(garbage: bytes, cuts: list[int]) -> None:
    with contextlib.suppress(ProtocolError):
        read(garbage, cuts)


@anything
@given(
    st.lists(FRAMES, min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(min_value=0), st.integers(0, 255)), min_size=1, max_size=4),
    st.lists(st.integers(min_value=0), max_size=20),
)
def test_damaged_frames_are_never_more_than_a_protocol_error(
    frames: list[Frame], damage: list[tuple[int, int]], cuts: list[int]
) -> None:
    data = bytearray(written(frames))
    for place, byte in damage:
        data[place % min(len(data), 200)] = byte
    try:
        for frame in read(bytes(data), cuts, FrameReader(2**22)):
            assert size(frame) <= 2**22
            assert encode(frame)
            if frame.route:
                split_route(frame.route)
    except ProtocolError:
        pass


@anything
@given(st.lists(st.binary(max_size=100), max_size=30))
def test_no_more_is_kept_than_a_frame_may_have(pieces: list[bytes]) -> None:
    reader = FrameReader(1000)
    try:
        for piece in pieces:
            reader.feed(piece)
            assert len(reader._pending) <= 1000 + HEAD.size
    except ProtocolError:
        pass


@pytest.mark.parametrize(
    "frame",
    [
        Frame(Kind.REQUEST, -1),
        Frame(Kind.REQUEST, 2**64),
        Frame(Kind.REQUEST, 1, priority=PRIORITY + 1),
        Frame(Kind.REQUEST, 1, priority=-PRIORITY - 1),
        Frame(Kind.REQUEST, 1, deadline=-1.0),
        Frame(Kind.REQUEST, 1, deadline=float("nan")),
        Frame(Kind.REQUEST, 1, deadline=float("inf")),
        Frame(Kind.REQUEST, 1, bytes(ROUTE + 1)),
        Frame(Kind.REQUEST, 1, b"", b"", [b""] * (BUFFERS + 1)),
    ],
)
def test_what_no_frame_can_hold_is_refused(frame: Frame) -> None:
    with pytest.raises(ProtocolError):
        encode(frame)


@anything
@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=100),
    st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=100),
)
def test_a_route_is_an_app_and_an_action(app: str, action: str) -> None:
    assert split_route(route(app, action)) == (app, action)


@pytest.mark.parametrize(("app", "action"), [("a\nb", "c"), ("a", "\n"), ("\ud800", "a"), ("a" * ROUTE, "b")])
def test_a_name_that_cannot_stand_in_a_route_is_refused(app: str, action: str) -> None:
    with pytest.raises(ProtocolError):
        route(app, action)


@pytest.mark.parametrize("joined", [b"", b"app", b"a\nb\nc", b"\xff\n\xff"])
def test_a_malformed_route_is_a_protocol_error(joined: bytes) -> None:
    with pytest.raises(ProtocolError):
        split_route(joined)


def test_a_frame_that_is_too_large_or_has_too_many_buffers_is_told_by_the_setting_or_the_number() -> None:
    check(Frame(Kind.RESULT, 1, body=b"x"), 100)
    with pytest.raises(PayloadTooLarge, match="dispatch_max_payload"):
        check(Frame(Kind.RESULT, 1, body=b"x" * 100), 100)
    with pytest.raises(PayloadTooLarge, match=f"{BUFFERS + 1} large values"):
        check(Frame(Kind.RESULT, 1, buffers=[b"x"] * (BUFFERS + 1)), 1 << 20)
