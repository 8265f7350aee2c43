"""The scoreboard: one row of shared memory a worker process, and a mark for each that has nothing to do.

A worker writes its own row, without lock or system call; the arbiter reads it for timeouts, for the size of the
pool, and to say which request a silent worker was busy with. The marks of all workers lie side by side, so that a
busy one sees with one look whether another could take a new connection. Numbers are doubles, each written in one
aligned store; the request line may be read while it is being written, which only ever spoils a log line. Times are
those of the monotonic clock, which all processes of a machine share.
"""

import mmap
import os
import tempfile
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
_MARKS: Final = _ROW
"""Bytes before the rows: the marks, one a row, and room to keep the rows aligned."""
_IDLE: Final = b"\x01"


class Row:
    """One worker's row. `cells` is indexed by the constants of this module."""

    __slots__ = ("_line", "_mark", "cells", "index", "segment")

    def __init__(self, segment: "Segment", index: int) -> None:
        whole = memoryview(segment.memory)
        view = whole[_MARKS + index * _ROW : _MARKS + (index + 1) * _ROW]
        self.segment = segment
        self.index = index
        self._mark = whole[index : index + 1]
        self.cells = view[:_LINE_AT].cast("d")
        self._line = view[_LINE_AT:]

    def clear(self) -> None:
        for cell in range(_CELLS):
            self.cells[cell] = 0.0
        self._mark[0] = 0

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
        self._mark[0] = 0
        self.cells[IN_FLIGHT] = 1.0

    def idle(self, requests: int) -> None:
        """The worker is done with what it had, and has served so many requests in all."""
        cells = self.cells
        cells[IN_FLIGHT] = 0.0
        cells[REQUESTS] = requests
        self._mark[0] = 1

    def spoken_for(self) -> None:
        """The worker takes no new connection for now: it expects a request, or stops."""
        self._mark[0] = 0

    def another_is_idle(self) -> bool:
        """Another worker (of this row's segment) has nothing to do. Only a worker that is not idle itself may ask."""
        return self.segment.memory.find(_IDLE, 0, ROWS) >= 0

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
    """Shared memory without a name for `ROWS` rows.

    Attributes:
        fd: the descriptor of the memory, for processes that do not inherit the mapping.
    """

    def __init__(self, fd: int | None = None) -> None:
        if fd is None:
            fd = nameless_file("unicorn scoreboard")
            os.truncate(fd, _MARKS + ROWS * _ROW)
        self.fd = fd
        self.memory = mmap.mmap(fd, _MARKS + ROWS * _ROW)


def nameless_file(name: str, folder: str | None = None) -> int:
    """The descriptor of a new file that no folder lists: in memory where the system has such, else in `folder`."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create(name)
    with tempfile.TemporaryFile(dir=folder) as file:
        return os.dup(file.fileno())


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
