"""The scoreboard: one row of shared memory a worker process, and a mark that tells its load.

A worker writes its own row, without lock or system call; the arbiter reads it for timeouts, for the size of the
pool, and to say which request a silent worker was busy with. The marks of all workers lie side by side, so that one
sees with one look whether there are others, and whether one of them should rather take a new connection. Numbers are
doubles, each written in one aligned store; the request line may be read while it is being written, which only ever
spoils a log line. Times are those of the monotonic clock, which all processes of a machine share.
"""

import mmap
import os
import struct
from time import monotonic
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
PASSED_OVER: Final = 6
# The last two, right before the line: all three are written at once.
LINE_LENGTH: Final = _CELLS - 2
BUSY_SINCE: Final = _CELLS - 1
_begin = struct.Struct(f"dd{LINE}s").pack_into
_double = struct.Struct("d").unpack_from
_MARKS: Final = _ROW
"""Bytes before the rows: the marks, one a row, and room to keep the rows aligned."""
# A mark is 0 for a row without a worker, else one more than the worker's load.
TAKEN: Final = 254
"""The load of a worker that takes no new connection now: it boots, is busy, is full, or stops."""


class Row:
    """One worker's row. `cells` is indexed by the constants of this module."""

    __slots__ = ("_line", "_mark", "_memory", "_request_at", "cells", "index", "segment")

    def __init__(self, segment: "Segment", index: int) -> None:
        whole = memoryview(segment.memory)
        view = whole[_MARKS + index * _ROW : _MARKS + (index + 1) * _ROW]
        self.segment = segment
        self.index = index
        self._mark = whole[index : index + 1]
        self.cells = view[:_LINE_AT].cast("d")
        self._line = view[_LINE_AT:]
        self._memory = segment.memory
        self._request_at = _MARKS + index * _ROW + LINE_LENGTH * 8

    def clear(self) -> None:
        for cell in range(_CELLS):
            self.cells[cell] = 0.0
        self._mark[0] = 0

    def begin(self, now: float, line: bytes) -> None:
        """The worker, busy by now, begins a request: the client's address and a zero byte may stand before `line`."""
        _begin(self._memory, self._request_at, len(line), now, line)

    def busy(self) -> None:
        """The worker has something to do."""
        self._mark[0] = 255
        self.cells[IN_FLIGHT] = 1.0

    def idle(self, requests: int, load: int = 0) -> None:
        """The worker is done with what it had, and has served so many requests in all; `load`: see there."""
        cells = self.cells
        cells[IN_FLIGHT] = 0.0
        cells[REQUESTS] = requests
        self._mark[0] = load + 1

    def load(self, load: int) -> None:
        """What the worker has before it: how many new connections are about to bring a request, or TAKEN."""
        self._mark[0] = load + 1

    def another_has_less(self) -> bool:
        """Another worker (of this row's segment) has a lower load."""
        return min(self.segment.memory[:ROWS].replace(b"\0", b"\xff")) < self._mark[0]

    def another_keeps_fewer(self) -> bool:
        """Another worker (of this row's segment) has clearly fewer connections, and could take one now."""
        own = self.cells[CONNECTIONS]
        most = own - max(2.0, own / 8)
        memory = self.segment.memory
        for index, mark in enumerate(memory[:ROWS] if most >= 0 else b""):
            if 0 < mark <= TAKEN and index != self.index:
                (kept,) = _double(memory, _MARKS + index * _ROW + CONNECTIONS * 8)
                if kept <= most:
                    return True
        return False

    def alone(self) -> bool:
        """There is no other worker, as far as can be seen. Only one that has told its load may ask."""
        return self.segment.memory[: ROWS + 1].count(b"\0") >= ROWS

    def last_sign(self) -> float:
        """When the worker last showed that it lives: by a heartbeat, or by beginning a request."""
        return max(self.cells[HEARTBEAT], self.cells[BUSY_SINCE])

    def busy_with(self, now: float | None = None) -> tuple[str, str, float]:
        """The request that runs: its line, the client's address, and for how many seconds; ("", "", 0) if none does."""
        cells = self.cells
        if cells[IN_FLIGHT] < 1 or not cells[LINE_LENGTH]:
            return "", "", 0.0
        size = min(int(cells[LINE_LENGTH]), LINE)
        client, _, line = bytes(self._line[:size]).decode("latin-1").rpartition("\0")
        return line, client, max(0.0, (monotonic() if now is None else now) - cells[BUSY_SINCE])


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
    import tempfile  # where it is not needed it costs some milliseconds at start

    with tempfile.TemporaryFile(dir=folder) as file:
        return os.dup(file.fileno())


class Scoreboard:
    """Owned by the arbiter: gives rows out and takes them back, and maps a further segment when they run out."""

    def __init__(self) -> None:
        self._free: list[Row] = []
        self._segments = 0

    def take(self) -> Row:
        """A cleared row."""
        if not self._free:
            segment = Segment()
            if self._segments:
                # Behind the marks of its rows it has one that says that there are other segments.
                segment.memory[ROWS] = TAKEN
            self._segments += 1
            self._free = [Row(segment, index) for index in reversed(range(ROWS))]
        row = self._free.pop()
        row.clear()
        return row

    def give_back(self, row: Row) -> None:
        """The row's process has been reaped."""
        # At once, or the others would leave connections to a worker that seems to have nothing to do.
        row.clear()
        self._free.append(row)
