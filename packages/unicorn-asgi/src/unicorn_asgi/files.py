"""Files that are sent without being read by the application (extensions pathsend and zerocopysend)."""

import os
import stat
from types import TracebackType
from typing import Any, Self


class FileSpan:
    """A part of an open file.

    Attributes:
        descriptor: of the file.
        offset, count: in bytes.
    """

    __slots__ = ("_owned", "count", "descriptor", "offset")

    def __init__(self, descriptor: int, offset: int, count: int, owned: bool = False) -> None:
        """`owned`: the descriptor is closed at the end of a with statement."""
        self.descriptor = descriptor
        self.offset = offset
        self.count = count
        self._owned = owned

    @classmethod
    def of_path(cls, path: Any) -> Self:
        """All of a regular file.

        Raises:
            OSError: it cannot be opened, or is no regular file.
            ValueError: the path is not absolute.
        """
        if not os.path.isabs(path):
            raise ValueError(f"http.response.pathsend: the path must be absolute: {path!r}")
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise OSError(f"http.response.pathsend: {path!r} is no regular file")
        return cls(descriptor, 0, status.st_size, owned=True)

    @classmethod
    def of_file(cls, file: Any, offset: int | None, count: int | None) -> Self:
        """A part of an open file, by default from where it stands to its end.

        Raises:
            OSError: it is no file that the system could send.
        """
        descriptor = file if isinstance(file, int) else file.fileno()
        if offset is None:
            offset = os.lseek(descriptor, 0, os.SEEK_CUR)
        left = max(0, os.fstat(descriptor).st_size - offset)
        return cls(descriptor, offset, left if count is None else min(count, left))

    def limited(self, most: int) -> Self:
        """At most so many bytes of it."""
        return type(self)(self.descriptor, self.offset, min(self.count, most))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._owned:
            os.close(self.descriptor)
