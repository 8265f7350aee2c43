"""Shared memory that is used again: making it costs several times what filling it does.

A slab is lent with a frame, and may be filled anew once the other side has read it: a request's, when its result is
there; a result's, when its caller says so (an EVENT frame with the number of the call).
"""

import os
import threading
from collections.abc import Iterable, Sequence

from msgspec import Struct

from unicorn_core.dispatch.wire import shared
from unicorn_core.dispatch.wire.frames import SHARED_FROM, Buffer, Shared

RETAINED = 32 << 20
"""Bytes that are kept for further use at most."""


class Slab(Struct, eq=False):
    """A nameless file in memory. `size`: how many bytes it has."""

    descriptor: int
    size: int


class Slabs:
    """Those of one process; for any thread."""

    def __init__(self) -> None:
        self._free: list[Slab] = []
        self._retained = 0
        self._lock = threading.Lock()

    def lend(self, buffers: Sequence[Buffer]) -> tuple[list[Buffer | Shared], list[int], list[Slab]]:
        """Copy the large ones of these buffers into shared memory.

        Gives what a frame holds of all, copies of the descriptors to travel with it, and what must be taken back, or
        discarded. What does not fit into memory any more stays what it is.
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
        return placed, [os.dup(slab.descriptor) for slab in slabs], slabs

    def take_back(self, slabs: Iterable[Slab]) -> None:
        """The other side has read them."""
        with self._lock:
            for slab in slabs:
                if self._retained + slab.size <= RETAINED:
                    self._retained += slab.size
                    self._free.append(slab)
                else:
                    os.close(slab.descriptor)

    @staticmethod
    def discard(slabs: Iterable[Slab]) -> None:
        """Perhaps the other side has not read them, and still will."""
        shared.close(slab.descriptor for slab in slabs)

    def forget(self) -> None:
        """Close all that are free: in a forked child, since they are the parent's too."""
        shared.close(slab.descriptor for slab in self._free)
        self._free, self._retained = [], 0

    def _fill(self, buffer: Buffer, size: int) -> Slab | None:
        """A slab that holds a copy of the buffer; None if there can be none."""
        slab = self._take(size)
        if slab is not None:
            if shared.write(slab.descriptor, buffer):
                return slab
            os.close(slab.descriptor)
        descriptor = shared.make(buffer)
        return None if descriptor is None else Slab(descriptor, size)

    def _take(self, size: int) -> Slab | None:
        with self._lock:
            fitting = [slab for slab in self._free if slab.size >= size]
            if not fitting:
                # The next one of this size shall find room.
                while self._free and self._retained + size > RETAINED:
                    oldest = self._free.pop(0)
                    self._retained -= oldest.size
                    os.close(oldest.descriptor)
                return None
            slab = min(fitting, key=lambda slab: slab.size)
            self._free.remove(slab)
            self._retained -= slab.size
            return slab
