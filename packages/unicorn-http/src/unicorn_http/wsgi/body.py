"""wsgi.input: the request's body, read from the connection when the application asks for it."""

import io
from typing import Protocol

from unicorn_http.semantics.refusal import CodecError, Refusal


class BodyError(OSError):
    """The rest of a request's body cannot be read: malformed, too slow, or the client is gone.

    Attributes:
        status: what to answer when the application leaves it to the server; 0 if nobody is there to read it.
    """

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status

    @classmethod
    def of(cls, error: CodecError) -> "BodyError":
        if isinstance(error, Refusal):
            return cls(f"{error.status} {error} ({error.reason}, {error.rule})", error.status)
        return cls(str(error), 0)


class BodySource(Protocol):
    """Where the body comes from."""

    def next_piece(self) -> bytes:
        """The next bytes of the body, waiting for them if need be; b"" at its end.

        Raises:
            BodyError: it will never be complete.
        """
        ...


class _Raw(io.RawIOBase):
    def __init__(self, source: BodySource) -> None:
        self._source = source
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        if not self._piece:
            self._piece = memoryview(self._source.next_piece())
        piece = self._piece[: len(buffer)]
        buffer[: len(piece)] = piece
        self._piece = self._piece[len(piece) :]
        return len(piece)


def streaming(source: BodySource) -> io.BufferedReader:
    """A file object over a body that has not come completely."""
    return io.BufferedReader(_Raw(source), 65536)
