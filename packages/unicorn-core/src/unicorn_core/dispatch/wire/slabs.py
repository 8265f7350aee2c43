"""Shared memory that is used again: making it costs several times what filling it does.

A slab is lent with a frame, and may be filled anew once the other side has read it: a request's, when its result is
there; a result's, when its caller says so (an EVENT frame with the number of the call).
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Sequence

from unicorn_core.dispatch.wire import shared
from unicorn_core.dispatch.wire.frames import SHARED_FROM, Buffer, Shared

RETAINED = 32 << 20
"""Bytes that are kept for further use at most."""


class Slab:
    """A nameless file in memory; it is closed when nobody refers to it any more. `size`: how many bytes it has."""

    __slots__ = ("descriptor", "size")

    def __init__(self, descriptor: int, size: int) -> None:
        self.descriptor = descriptor
        self.size = size

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        with contextlib.suppress(OSError):
            close(self.descriptor)


class Slabs:
    """Those of one process; for any thread."""

    def __init__(self) -> None:
        self._free: list[Slab] = []
        self._retained = 0
        self._lock = threading.Lock()

    def lend(self, buffers: Sequence[Buffer]) -> tuple[list[Buffer | Shared], list[int], list[Slab]]:
        """Copy the large ones of these buffers into shared memory.

        Gives what a frame holds of all, copies of the descriptors to travel with it, and what shall be taken back once
        the other side has read it. What does not fit into memory any more, or would need a descriptor too many, stays
        what it is.
        """
        placed: list[Buffer | Shared] = []
        slabs: list[Slab] = []
        for buffer in buffers:
            size = memoryview(buffer).nbytes
            if size < SHARED_FROM or len(slabs) >= shared.MOST or (slab := self._fill(buffer, size)) is None:
                placed.append(buffer)
            else:
                slabs.append(slab)
                placed.append(Shared(size))
        try:
            return placed, shared.copies(slab.descriptor for slab in slabs), slabs
        except OSError:
            self.take_back(slabs)
            return list(buffers), [], []

    def take_back(self, slabs: Iterable[Slab]) -> None:
        """The other side has read them."""
        with self._lock:
            for slab in slabs:
                if self._retained + slab.size <= RETAINED:
                    self._retained += slab.size
                    self._free.append(slab)

    def close(self) -> None:
        """Keep none of those that are free."""
        with self._lock:
            self._free, self._retained = [], 0

    def forget(self) -> None:
        """In a forked child: they are the parent's, and a thread of that may have held the lock."""
        self._lock = threading.Lock()
        self.close()

    def _fill(self, buffer: Buffer, size: int) -> Slab | None:
        """A slab that holds a copy of the buffer; None if there can be none."""
        slab = self._take(size)
        if slab is not None:
            if shared.write(slab.descriptor, buffer):
                return slab
            del slab
        descriptor = shared.make(buffer)
        return None if descriptor is None else Slab(descriptor, size)

    def _take(self, size: int) -> Slab | None:
        with self._lock:
            fitting = [slab for slab in self._free if slab.size >= size]
            if not fitting:
                # The next one of this size shall find room.
                while self._free and self._retained + size > RETAINED:
                    self._retained -= self._free.pop(0).size
                return None
            slab = min(fitting, key=lambda slab: slab.size)
            self._free.remove(slab)
            self._retained -= slab.size
            return slab
