"""The scoreboard: one row of shared memory a worker process.

A worker writes its own row, without lock or system call; the arbiter reads it for timeouts and to say which request
a silent worker was busy with. Numbers are doubles, each written in one aligned store; the request line may be read
while it is being written, which only ever spoils a log line. Times are those of the monotonic clock, which all
processes of a machine share.
"""

import mmap
from typing import Final

ROWS: Final = 64
"""Rows a segment."""
_CELLS: Final = 16
_ROW: Final = 512
_LINE_AT: Final = _CELLS * 8
LINE: Final = _ROW - _LINE_AT
"""Bytes of the request line that a row holds."""

HEARTBEAT: Final = 2
REQUESTS: Final = 3
CONNECTIONS: Final = 4
IN_FLIGHT: Final = 5
BUSY_SINCE: Final = 6
LINE_LENGTH: Final = 7


class Row:
    """One worker's row. `cells` is indexed by the constants of this module."""

    __slots__ = ("_line", "cells", "segment")

    def __init__(self, segment: "Segment", index: int) -> None:
        view = memoryview(segment.memory)[index * _ROW : (index + 1) * _ROW]
        self.segment = segment
        self.cells = view[:_LINE_AT].cast("d")
        self._line = view[_LINE_AT:]

    def clear(self) -> None:
        for cell in range(_CELLS):
            self.cells[cell] = 0.0

    def begin(self, now: float, line: bytes) -> None:
        """The worker, busy by now, begins a request; `line` tells which."""
        cells = self.cells
        line = line[:LINE]
        size = len(line)
        self._line[:size] = line
        cells[LINE_LENGTH] = size
        cells[BUSY_SINCE] = now

    def busy(self) -> None:
        """The worker has something to do."""
        self.cells[IN_FLIGHT] = 1.0

    def idle(self, requests: int) -> None:
        """The worker is done with what it had, and has served so many requests in all."""
        cells = self.cells
        cells[IN_FLIGHT] = 0.0
        cells[REQUESTS] = requests

    def last_sign(self) -> float:
        """When the worker last showed that it lives: by a heartbeat, or by beginning a request."""
        return max(self.cells[HEARTBEAT], self.cells[BUSY_SINCE])

    def busy_with(self) -> str:
        """The request line of the request that runs; empty if none does."""
        if self.cells[IN_FLIGHT] < 1:
            return ""
        size = min(int(self.cells[LINE_LENGTH]), LINE)
        return bytes(self._line[:size]).decode("latin-1")


class Segment:
    """Anonymous shared memory for `ROWS` rows, inherited by every process that is forked later."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, ROWS * _ROW)


class Scoreboard:
    """Owned by the arbiter: gives rows out and takes them back, and maps a further segment when they run out."""

    def __init__(self) -> None:
        self._free: list[Row] = []

    def take(self) -> Row:
        """A cleared row."""
        if not self._free:
            segment = Segment()
            self._free = [Row(segment, index) for index in reversed(range(ROWS))]
        row = self._free.pop()
        row.clear()
        return row

    def give_back(self, row: Row) -> None:
        """The row's process has been reaped."""
        self._free.append(row)
