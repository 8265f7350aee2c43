"""Where the lines of one log go: a file that can be opened anew, or a standard stream."""

import contextlib
import io
import logging
import os
import sys
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

TELL = 60.0
"""Seconds between two reports of lines that could not be written."""


class LogHandler(logging.StreamHandler[TextIO]):
    """Writes the lines of a log. What cannot be written (the disk is full) is lost, and fails nothing.

    Args:
        standard: the stream to write to if there is no file.
        path: of the file; None: there is none.
        owner: user and group that must be able to reopen the file.
        report: told, once a minute at most, that lines were lost; by default nobody is.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(
        self,
        standard: TextIO,
        path: str | None = None,
        owner: tuple[int, int] | None = None,
        report: Callable[..., None] | None = None,
    ) -> None:
        self.path = os.path.abspath(path) if path else None
        self._owner = owner
        self._report = report
        self._lost = 0
        self._next_report = 0.0
        super().__init__(self._open(self.path) if self.path else _unbuffered(standard))

    def reopen(self) -> None:
        """Open the file anew, after a rotation; without a file there is nothing to do.

        Raises:
            OSError: it cannot be opened, so what is written still goes where it went.
        """
        if self.path is None:
            return
        self.acquire()
        try:
            former, self.stream = self.stream, self._open(self.path)
            with contextlib.suppress(OSError):
                former.close()
        finally:
            self.release()

    def put(self, text: str) -> None:
        """Write text that need not be a line."""
        self.acquire()
        try:
            self.stream.write(text)
        except OSError as error:
            self._lose(error)
        finally:
            self.release()

    def flush(self) -> None:
        self.acquire()
        try:
            self.stream.flush()
        except OSError as error:
            self._lose(error)
        finally:
            self.release()

    def handleError(self, record: logging.LogRecord) -> None:
        """A line could not be made (which shows where), or not be written."""
        error = sys.exception()
        if isinstance(error, OSError):
            self._lose(error)
        elif not self.stream.closed:
            super().handleError(record)

    def end(self) -> None:
        """Close the file. `close` leaves it open: an application that sets logging up closes every handler there is."""
        if self.path is not None:
            self.stream.close()
        self.close()

    def _lose(self, error: OSError) -> None:
        self._lost += 1
        now = monotonic()
        if self._report is None or now < self._next_report:
            return
        self._next_report = now + TELL
        target = f"the log file {self.path!r}" if self.path else "a log"
        self._report("Cannot write to %s: %s; lines lost so far: %s", target, error.strerror, self._lost)

    def _open(self, path: str) -> TextIO:
        stream = _text(_Whole(path, "a"))
        # The workers must be able to reopen the file under their own user.
        if self._owner and self._owner != (os.geteuid(), os.getegid()) and os.geteuid() == 0:
            os.chown(path, *self._owner)
        return stream


class _Whole(io.FileIO):
    """Writes all that it is given, or raises."""

    def write(self, data: "ReadableBuffer", /) -> int:
        left = memoryview(data).cast("B")
        size = len(left)
        while left:
            written = super().write(left)
            if written is None:
                raise BlockingIOError("the reader of this log is too slow, and it must not be waited for")
            left = left[written:]
        return size


def _text(raw: _Whole) -> TextIO:
    """Without a buffer a line that failed is gone: it is not tried again with every later one, nor by every process
    that is forked meanwhile. And a signal's handler may write in the middle of a line, which a buffer refuses."""
    return io.TextIOWrapper(raw, "utf-8", "backslashreplace", write_through=True)


def _unbuffered(standard: TextIO) -> TextIO:
    """The same stream past its buffer; as it is, if it is none of the system's (a program has replaced it)."""
    try:
        return _text(_Whole(standard.fileno(), "w", closefd=False))
    except (AttributeError, OSError, ValueError):  # io.UnsupportedOperation is one of the two last
        return standard
