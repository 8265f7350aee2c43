"""wsgi.file_wrapper (PEP 3333, "Optional Platform-Specific File Handling")."""

import os
import stat
from collections.abc import Iterator
from typing import IO


class FileWrapper:
    """Iterates over a file in blocks; recognised by the gateway, which may send the file without reading it."""

    def __init__(self, filelike: IO[bytes], blksize: int = 65536) -> None:
        self.filelike = filelike
        self.blksize = blksize
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self) -> Iterator[bytes]:
        while block := self.filelike.read(self.blksize):
            yield block

    def span(self) -> tuple[int, int, int] | None:
        """(descriptor, offset, bytes to the end) if this is a regular file that sendfile() can take; else None."""
        try:
            descriptor = self.filelike.fileno()
            offset = self.filelike.tell()
            status = os.fstat(descriptor)
        except (AttributeError, OSError, ValueError):
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        return descriptor, offset, max(0, status.st_size - offset)
