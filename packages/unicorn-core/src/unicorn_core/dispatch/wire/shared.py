"""Large values between processes of one machine: in nameless files in memory, whose descriptors travel with the frame.

Where the system has no such files nothing is shared, and everything goes through the sockets.
"""

import array
import contextlib
import os
import socket
import sys
from collections import deque
from collections.abc import Iterable, Sequence

from unicorn_core.dispatch.errors import ProtocolError
from unicorn_core.dispatch.wire.frames import SHARED_FROM, Buffer, Frame, Shared

MOST = 250
"""Descriptors that may come with one message (Linux's SCM_MAX_FD is 253)."""
ROOM = socket.CMSG_SPACE(MOST * array.array("i").itemsize)
PIECE = 64 * 1024
"""Bytes received at once; more would make the C library map memory anew for each."""
CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)

Descriptors = Sequence[int]
"""Of shared memory, on their way with a frame; whoever is given them must close them."""


def share(buffers: Sequence[Buffer]) -> tuple[list[Buffer | Shared], list[int]]:
    """Move the large ones of these buffers into shared memory; gives what a frame holds of all, and the descriptors.

    What does not fit there any more stays what it is.
    """
    placed: list[Buffer | Shared] = []
    descriptors: list[int] = []
    for buffer in buffers:
        size = memoryview(buffer).nbytes
        if size >= SHARED_FROM and len(descriptors) < MOST and (descriptor := make(buffer)) is not None:
            descriptors.append(descriptor)
            placed.append(Shared(size))
        else:
            placed.append(buffer)
    return placed, descriptors


def fetch(buffers: Sequence[Buffer | Shared], descriptors: Sequence[int]) -> list[Buffer]:
    """The contents of a frame's buffers; the descriptors are closed.

    Raises:
        ProtocolError: a descriptor is missing, or leads to less than was said.
    """
    try:
        waiting = iter(descriptors)
        return [_read(next(waiting, -1), b.size) if isinstance(b, Shared) else b for b in buffers]
    finally:
        close(descriptors)


def close(descriptors: Iterable[int]) -> None:
    """Nobody here needs them any more."""
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def copies(descriptors: Iterable[int]) -> list[int]:
    """A copy of each; raises OSError, and leaves none open, if there can be no more."""
    copied: list[int] = []
    try:
        for descriptor in descriptors:
            copied.append(os.dup(descriptor))  # noqa: PERF401 (what there is by an error must be closed)
    except OSError:
        close(copied)
        raise
    return copied


def rights(descriptors: Sequence[int]) -> "list[tuple[int, int, array.array[int]]]":
    """For `sendmsg`: let these descriptors travel along."""
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []


def received(ancillary: Iterable[tuple[int, int, bytes]]) -> list[int]:
    """The descriptors that `recvmsg` has brought."""
    found: list[int] = []
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers = array.array("i")
            numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
            found += numbers
    return found


def take(arrived: deque[int], frame: Frame) -> Descriptors:
    """Those that belong to a frame, of those that have arrived, in order. Raises ProtocolError if some are missing."""
    count = frame.descriptors if frame.buffers else 0
    if count > len(arrived):
        raise ProtocolError("the descriptors of shared memory did not come along")
    return [arrived.popleft() for _ in range(count)] if count else ()


def make(buffer: Buffer) -> int | None:
    """The descriptor of a nameless file in memory that holds the buffer; None if there can be none."""
    if sys.platform != "linux":
        return None
    try:
        descriptor = os.memfd_create("unicorn dispatch")
    except OSError:
        return None
    if write(descriptor, buffer):
        return descriptor
    os.close(descriptor)
    return None


def write(descriptor: int, buffer: Buffer) -> bool:
    """Copy the buffer to the begin of the file; False if there is no room."""
    rest = memoryview(buffer).cast("B")
    at = 0
    try:
        while at < len(rest):
            at += os.pwrite(descriptor, rest[at:], at)
    except OSError:
        return False
    return True


def _read(descriptor: int, size: int) -> bytes:
    """Not by a mapping: if the sender cut the file short, touching that would kill this process."""
    try:
        data = os.pread(descriptor, size, 0)
    except OSError as error:
        raise ProtocolError(f"shared memory cannot be read: {error.strerror}") from None
    if len(data) != size:
        raise ProtocolError(f"shared memory holds {len(data)} bytes where {size} were announced")
    return data
