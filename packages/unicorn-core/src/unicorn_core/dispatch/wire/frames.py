"""The frames in which clients, the dispatcher and task workers talk, over stream sockets of one machine.

A frame is a fixed head, the lengths of its buffers, the route (app and action), the body, the buffers. All that the
dispatcher needs stands in head and route: it passes on the body, which is one message of `serialization`, and the
buffers without looking into them. Numbers are big-endian:

    byte 0        3      4       5          6            8        16         24       28
    +------------+------+-------+----------+------------+--------+----------+--------+----------+
    | "uD" and 1 | kind | flags | priority | route size | id     | deadline | body   | buffers  |
    |            |      |       | (signed) |            |        | (double) | size   | (number) |
    +------------+------+-------+----------+------------+--------+----------+--------+----------+
    8 bytes of length for each buffer | route | body | buffers

A buffer whose length has its highest bit set is not in the stream: it lies in shared memory, and the descriptor of that
travels beside the frame, by SCM_RIGHTS, in the order of the buffers.
"""

import struct
from collections.abc import Sequence
from enum import IntEnum, IntFlag
from functools import lru_cache
from math import inf

import msgspec

from unicorn_core.dispatch.errors import PayloadTooLarge, ProtocolError

Buffer = bytes | bytearray | memoryview
"""Bytes; the items of a memoryview are single bytes."""

MAGIC = b"uD\x01"
"""The last byte is the version of the format."""

LIMIT = 64 * 1024 * 1024
"""Bytes that a frame may have with all its buffers, those in shared memory too, unless told otherwise."""

BUFFERS = 1000
"""Buffers that a frame may have: with head and body no more parts than `sendmsg` takes, which are 1024."""

ROUTE = 1024
"""Bytes that the names of app and action may have together."""

PRIORITY = 100
"""Priorities go from minus this to this."""

SHARED_FROM = 1024 * 1024
"""Bytes from which a buffer is better shared than sent."""

JOINED_TO = 16 * 1024
"""Up to this size a body is copied behind its head; a larger one is written from where it lies."""

GATHERED_FROM = 64 * 1024
"""From this size on a frame that has not come whole gets memory of its own, to be received into."""

_HEAD = struct.Struct("!3sBBbHQdII")
_HEAD_SIZE = _HEAD.size
_SHARED = 1 << 63
_unpack = _HEAD.unpack_from


class Kind(IntEnum):
    """What a frame says. Its id names the call that it belongs to: who asks gives it, whoever answers repeats it."""

    REQUEST = 1
    """Run an action; the body is its arguments."""
    RESULT = 2
    """What the action, or the operation, gave."""
    ERROR = 3
    """The call has failed; the body is what `DispatchError.to_dict` gives."""
    ITEM = 4
    """One value of a stream."""
    END = 5
    """The stream is complete."""
    CREDIT = 6
    """Client to task worker: more of the stream may come; the body says how much (see `flow`)."""
    CANCEL = 7
    """The caller has given up: forget the request, or close its generator."""
    STASH = 8
    """An operation on the stash; RESULT or ERROR answers it."""
    COMMAND = 9
    """Something asked of the dispatcher itself; RESULT or ERROR answers it."""
    EVENT = 10
    """Dispatcher to client: on what terms they talk. Back, and on to a task worker: its shared memory has been read."""
    RETRY = 11
    """In place of an answer: the dispatcher leaves and has done nothing; a new connection leads to its successor."""


class Flag(IntFlag):
    """What else a frame says."""

    STREAM = 1
    """REQUEST: the caller wants a stream."""


_LAST_KIND = max(Kind)
_ALL_FLAGS = sum(Flag)


class Shared(msgspec.Struct, frozen=True):
    """The place of a buffer of so many bytes that lies in shared memory; its descriptor travels beside the frame."""

    size: int


class Frame(msgspec.Struct, gc=False):
    """One frame.

    Attributes:
        kind: of Kind.
        id: the number of the call, 0 to 2**64 - 1.
        route: app and action, as `route` joins them; empty where they do not matter.
        body: one message of `serialization`.
        buffers: what belongs to that message and lies outside of it.
        deadline: when the caller gives up, in seconds of the machine's monotonic clock; 0 if never.
        priority: -PRIORITY to PRIORITY; 0 is usual, larger is sooner.
        flags: of Flag.
    """

    kind: int
    id: int
    route: bytes = b""
    body: Buffer = b""
    buffers: Sequence[Buffer | Shared] = ()
    deadline: float = 0.0
    priority: int = 0
    flags: int = 0

    @property
    def descriptors(self) -> int:
        """How many descriptors travel beside it."""
        return sum(isinstance(buffer, Shared) for buffer in self.buffers)


@lru_cache(maxsize=4096)
def route(app: str, action: str) -> bytes:
    """App and action as they stand in a frame. Raises ProtocolError if they cannot."""
    try:
        joined = f"{app}\n{action}".encode()
    except UnicodeEncodeError:
        joined = b""
    if joined.count(b"\n") != 1 or len(joined) > ROUTE:
        raise ProtocolError(f"the names of app and action must be text of one line and of {ROUTE} bytes at most")
    return joined


@lru_cache(maxsize=4096)
def split_route(joined: bytes) -> tuple[str, str]:
    """The app and the action of a frame. Raises ProtocolError."""
    try:
        app, action = joined.decode().split("\n")
    except ValueError:
        raise ProtocolError("a frame names no app and action") from None
    return app, action


def encode(frame: Frame) -> list[Buffer]:
    """What to write for a frame: one part for `send`, or several for `sendmsg`, as nothing large is copied.

    Raises ProtocolError for what no frame can hold. What the receiver permits is not known here: `size` tells.
    """
    buffers = frame.buffers
    body = frame.body
    if not (-PRIORITY <= frame.priority <= PRIORITY and 0.0 <= frame.deadline < inf and len(frame.route) <= ROUTE):
        raise ProtocolError(
            f"no frame can hold a priority of {frame.priority}, a deadline of {frame.deadline:g}, "
            f"or names of {len(frame.route)} bytes"
        )
    try:
        head = _HEAD.pack(
            MAGIC,
            frame.kind,
            frame.flags,
            frame.priority,
            len(frame.route),
            frame.id,
            frame.deadline,
            len(body),
            len(buffers),
        )
    except struct.error as error:
        raise ProtocolError(f"no frame can hold this: {error}") from None
    if not buffers:
        return [b"".join((head, frame.route, body))] if len(body) <= JOINED_TO else [head + frame.route, body]
    if len(buffers) > BUFFERS:
        raise ProtocolError(f"{len(buffers)} large values are more than one call may have, which is {BUFFERS}")
    lengths = [_SHARED | buffer.size if isinstance(buffer, Shared) else len(buffer) for buffer in buffers]
    front = head + struct.pack(f"!{len(lengths)}Q", *lengths) + frame.route
    inline = [buffer for buffer in buffers if not isinstance(buffer, Shared)]
    return [b"".join((front, body)), *inline] if len(body) <= JOINED_TO else [front, body, *inline]


def size(frame: Frame) -> int:
    """Bytes of a frame with all its buffers, those in shared memory too: what a limit is about."""
    buffers = sum(buffer.size if isinstance(buffer, Shared) else len(buffer) for buffer in frame.buffers)
    return _HEAD_SIZE + 8 * len(frame.buffers) + len(frame.route) + len(frame.body) + buffers


def check(frame: Frame, limit: int) -> None:
    """Raise PayloadTooLarge for a frame with more bytes than this limit, or with more buffers than any may have."""
    if (bytes_of_it := size(frame)) > limit:
        raise PayloadTooLarge(size=bytes_of_it, limit=limit)
    if (count := len(frame.buffers)) > BUFFERS:
        raise PayloadTooLarge(f"{count} large values are more than one message may have, which is {BUFFERS}")


class FrameReader:
    """Frames out of a stream of bytes, cut anywhere.

    Give it what was received with `feed`. While a large frame is under way, `gap` is memory of that frame: receive
    straight into it and tell `filled` how much has come; both ways may be mixed. `feed` raises ProtocolError for what
    is no frame, and PayloadTooLarge, which is one, for a frame of more than `limit` bytes. The connection must then be
    closed: nothing more is read, and frames that came before in the same data are lost with it.

    No more is kept than what the one frame that has begun may have.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._pending = bytearray()  # the begin of a frame that has not come whole
        self._wanted = 0  # so many bytes of it must be there before it is of use to look again
        self._large: _Large | None = None
        self._broken = False

    def feed(self, data: bytes) -> list[Frame]:
        """Take in what was received; the frames that are complete now."""
        if self._broken:
            raise ProtocolError("nothing is read behind a malformed frame")
        frames: list[Frame] = []
        if self._large is not None:
            data = self._copy(data, frames)
        if self._pending:
            self._pending += data
            if len(self._pending) < self._wanted:
                return frames
            data = bytes(self._pending)
            self._pending = bytearray()
        try:
            at = self._read(data, frames)
        except ProtocolError:
            self._broken = True
            raise
        if at < len(data):
            self._pending += data[at:]
        return frames

    @property
    def midway(self) -> bool:
        """A frame has begun and not come whole."""
        return bool(self._pending) or self._large is not None

    @property
    def gap(self) -> memoryview | None:
        """Where the next bytes of a large frame belong; None while none is under way."""
        return self._large.gap if self._large is not None else None

    def filled(self, count: int) -> list[Frame]:
        """So many bytes were received into the gap; the frame, if that has completed it."""
        if self._large is None or not self._large.fill(count):
            return []
        frame = self._large.frame
        self._large = None
        return [frame]

    def _copy(self, data: bytes, frames: list[Frame]) -> bytes:
        """Copy what belongs to the large frame; gives the rest."""
        at = 0
        while at < len(data) and (gap := self.gap) is not None:
            count = min(len(gap), len(data) - at)
            gap[:count] = data[at : at + count]
            at += count
            frames += self.filled(count)
        return data[at:]

    def _read(self, data: bytes, frames: list[Frame]) -> int:
        """Append the frames in data; where the one begins that has not come whole."""
        at = 0
        end = len(data)
        self._wanted = _HEAD_SIZE
        while end - at >= _HEAD_SIZE:
            magic, kind, flags, priority, route_size, number, deadline, body_size, count = _unpack(data, at)
            if not (
                magic == MAGIC
                and 1 <= kind <= _LAST_KIND
                and flags <= _ALL_FLAGS
                and -PRIORITY <= priority <= PRIORITY
                and route_size <= ROUTE
                and 0.0 <= deadline < inf
                and count <= BUFFERS
            ):
                raise ProtocolError("what was received is no frame")
            begin = at + _HEAD_SIZE
            body = begin + 8 * count + route_size
            after = body + body_size
            if not count and after <= end and after - at <= self._limit:
                frames.append(Frame(kind, number, data[begin:body], data[body:after], (), deadline, priority, flags))
            elif body <= end:
                frame = Frame(kind, number, data[body - route_size : body], b"", (), deadline, priority, flags)
                sizes = (body_size, *struct.unpack_from(f"!{count}Q", data, begin))
                after = self._read_parts(data, at, body, frame, sizes, frames)
            else:
                self._wanted = body - at
                return at
            if after == at:
                return at
            at = after
        return at

    def _read_parts(
        self, data: bytes, at: int, begin: int, frame: Frame, sizes: Sequence[int], frames: list[Frame]
    ) -> int:
        """Body and buffers of the frame at `at`, from `begin` on; gives the place behind, or `at` if it must wait."""
        whole = begin - at + sum(length & ~_SHARED for length in sizes)
        if whole > self._limit:
            raise PayloadTooLarge(size=whole, limit=self._limit)
        here = begin - at + sum(length for length in sizes if not length & _SHARED)
        if here <= len(data) - at:
            parts: list[Buffer | Shared] = []
            for length in sizes:
                if length & _SHARED:
                    parts.append(Shared(length & ~_SHARED))
                else:
                    parts.append(data[begin : begin + length])
                    begin += length
            frames.append(_complete(frame, parts))
            return at + here
        if here < GATHERED_FROM:
            self._wanted = here
            return at
        self._large = _Large(frame, sizes)
        self._copy(data[begin:], frames)
        return len(data)


class _Large:
    """A large frame under way: each of its parts is received into memory of its own, so that it is never copied.

    Attributes:
        gap: what is missing of the present part.
    """

    def __init__(self, frame: Frame, sizes: Sequence[int]) -> None:
        self.frame = frame
        self.gap = memoryview(b"")
        self._sizes = sizes
        self._parts: list[Buffer | Shared] = []
        self._go_on()

    def fill(self, count: int) -> bool:
        """So many bytes have come; whether the frame is complete."""
        self.gap = self.gap[count:]
        return not self.gap and self._go_on()

    def _go_on(self) -> bool:
        for length in self._sizes[len(self._parts) :]:
            if length & _SHARED:
                self._parts.append(Shared(length & ~_SHARED))
            else:
                part = bytearray(length)
                self._parts.append(part)
                if length:
                    self.gap = memoryview(part)
                    return False
        _complete(self.frame, self._parts)
        return True


def _complete(frame: Frame, parts: Sequence[Buffer | Shared]) -> Frame:
    body, *frame.buffers = parts
    assert not isinstance(body, Shared)  # its size has 32 bits
    frame.body = body
    return frame
