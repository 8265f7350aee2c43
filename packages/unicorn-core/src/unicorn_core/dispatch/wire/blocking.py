"""A blocking connection: frames in, frames out. For task workers and for clients that are not asyncio's."""

import select
import socket
import time
from collections import deque
from collections.abc import Sequence

from unicorn_core.dispatch.errors import ProtocolError
from unicorn_core.dispatch.wire import shared
from unicorn_core.dispatch.wire.frames import Frame, FrameReader, encode
from unicorn_core.dispatch.wire.shared import PIECE, Descriptors


class Wire:
    """See the module. Without `within` every wait lasts as long as it takes.

    Args:
        limit: bytes that a frame may have.
    """

    def __init__(self, sock: socket.socket, limit: int) -> None:
        sock.settimeout(None)
        self._socket = sock
        self._reader = FrameReader(limit)
        self._timeout = 0.0
        self._until = 0.0
        self._frames: deque[tuple[Frame, Descriptors]] = deque()
        self._descriptors: deque[int] = deque()

    def within(self, seconds: float) -> None:
        """Let the next send and receive end within so many seconds; 0: in any time."""
        self._until = time.monotonic() + seconds if seconds else 0.0
        self._set_timeout(seconds)

    def send(self, frame: Frame, descriptors: Descriptors = ()) -> None:
        """Send a frame; the descriptors are closed.

        Raises:
            OSError: the connection is broken, or nothing was taken for too long (TimeoutError).
        """
        encoded = encode(frame)
        if len(encoded) == 1 and not descriptors:
            # Most frames are gone by that.
            data = encoded[0]
            sent = self._socket.send(data)
            if sent == len(data):
                return
            encoded = [memoryview(data)[sent:]]
            self._tighten()
        parts = [memoryview(part).cast("B") for part in encoded]
        try:
            while True:
                try:
                    sent = self._send_now(parts, descriptors)
                except BlockingIOError:
                    self._wait([], [self._socket])
                    continue
                if sent and descriptors:
                    shared.close(descriptors)
                    descriptors = ()
                while parts and sent >= len(parts[0]):
                    sent -= len(parts.pop(0))
                if not parts:
                    return
                parts[0] = parts[0][sent:]
                self._tighten()
        finally:
            shared.close(descriptors)

    def _send_now(self, parts: Sequence[memoryview], descriptors: Descriptors) -> int:
        if len(parts) == 1 and not descriptors:
            return self._socket.send(parts[0])
        return self._socket.sendmsg(parts, shared.rights(descriptors))

    def receive(self) -> tuple[Frame, Descriptors] | None:
        """The next frame; None at the end of the stream.

        Raises:
            OSError: the connection is broken, or nothing has come for too long (TimeoutError).
            ProtocolError: what came is no frame.
        """
        while not self._frames:
            if not self._read(0):
                return None
            if not self._frames:
                self._tighten()
        return self._frames.popleft()

    def glance(self) -> tuple[Frame, Descriptors] | None:
        """The next frame if it is there by now; raises as `receive` does."""
        if not self._frames:
            try:
                self._read(socket.MSG_DONTWAIT)
            except BlockingIOError:
                return None
        return self._frames.popleft() if self._frames else None

    def close(self) -> None:
        """End the connection."""
        self._socket.close()
        shared.close(self._descriptors)
        for _, descriptors in self._frames:
            shared.close(descriptors)
        self._descriptors.clear()
        self._frames.clear()

    def _tighten(self) -> None:
        """A part of the time has passed."""
        if self._until:
            left = self._until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._set_timeout(left)

    def _set_timeout(self, seconds: float) -> None:
        # Each change costs a system call, and mostly it is the same as before.
        if seconds != self._timeout:
            self._timeout = seconds
            self._socket.settimeout(seconds or None)

    def _read(self, flags: int) -> bool:
        """Read once; False at the end of the stream."""
        while True:
            try:
                return self._read_now(flags)
            except BlockingIOError:
                if flags & socket.MSG_DONTWAIT:
                    raise
                self._wait([self._socket], [])

    def _wait(self, readers: Sequence[socket.socket], writers: Sequence[socket.socket]) -> None:
        """Eventlet's sockets wait in `recv` and `send`, but not where descriptors travel along."""
        if not any(select.select(readers, writers, [], self._timeout or None)):
            raise TimeoutError

    def _read_now(self, flags: int) -> bool:
        gap = self._reader.gap
        how = flags | shared.CLOSE_ON_EXEC
        if gap is None:
            data, ancillary, told, _ = self._socket.recvmsg(PIECE, shared.ROOM, how)
            count = len(data)
        else:
            count, ancillary, told, _ = self._socket.recvmsg_into([gap], shared.ROOM, how)
        if ancillary:
            self._descriptors += shared.received(ancillary)
            if told & socket.MSG_CTRUNC:
                raise ProtocolError("too many descriptors came along")
        if not count:
            return False
        for frame in self._reader.feed(data) if gap is None else self._reader.filled(count):
            self._frames.append((frame, shared.take(self._descriptors, frame)))
        return True
