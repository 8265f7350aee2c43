"""A response's head as ASGI says it: a number for the status, pairs of bytes for the fields."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from unicorn_http.semantics.response import BODILESS, TEXT_LINES, FieldLines, InvalidResponseError, LengthLine, Start

_PHRASES = {status.value: status.phrase for status in HTTPStatus}


class ByteLines(FieldLines[tuple[bytes, bytes]]):
    """Fields as pairs of bytes."""

    def __missing__(self, field: tuple[bytes, bytes]) -> str:
        try:
            name, value = field
        except (TypeError, ValueError):
            raise InvalidResponseError(f"a header must be a pair of name and value, not {field!r}") from None
        for what, text in (("name", name), ("value", value)):
            if not isinstance(text, bytes):
                raise InvalidResponseError(f"a header's {what} must be bytes, not {type(text).__name__}: {text!r}")
        return self.keep(field, TEXT_LINES[name.decode("latin-1"), value.decode("latin-1")])

    def hashable(self, field: Any) -> tuple[bytes, bytes]:
        try:
            return tuple(bytes(part) if isinstance(part, bytearray | memoryview) else part for part in field)  # type: ignore[return-value]
        except TypeError:
            raise InvalidResponseError(f"a header must be a pair of name and value, not {field!r}") from None

    def name(self, field: tuple[bytes, bytes]) -> str:
        return bytes(field[0]).decode("latin-1")


class NumberStatuses(dict[int, Start]):
    """Status code -> `Start`; bounded by what a code can be."""

    def __missing__(self, status: int) -> Start:
        if not isinstance(status, int) or isinstance(status, bool):
            raise InvalidResponseError(f"the status must be an integer, not {type(status).__name__}")
        if not 200 <= status <= 999:
            raise InvalidResponseError(f"status {status} is no status of a response (200 to 999)")
        line = f"HTTP/1.1 {int(status)} {_PHRASES.get(status, '')}\r\n"
        entry = self[status] = int(status), line, status in BODILESS
        return entry


def trailer_section(fields: Iterable[Any]) -> bytes:
    """The fields behind a chunked body (RFC 9112 section 7.1.2), without those that are the server's or that frame."""
    lines = [line for field in fields if type(line := BYTE_LINES[BYTE_LINES.hashable(field)]) is not LengthLine]
    return "".join(lines).encode("latin-1")


BYTE_LINES = ByteLines()
NUMBER_STATUSES = NumberStatuses()
