"""A response's head as ASGI says it: a number for the status, pairs of bytes for the fields."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from msgspec import Struct

from unicorn_http.semantics.response import InvalidResponseError, LengthLine, checked_line

_PHRASES = {status.value: status.phrase for status in HTTPStatus}


class _Lines(dict[tuple[bytes, bytes], str]):
    """Field -> its line, as unicorn_http.semantics.response has them; a bounded cache of what was checked."""

    LARGEST = 4096
    LONGEST = 256

    def __missing__(self, field: tuple[bytes, bytes]) -> str:
        try:
            name, value = field
        except (TypeError, ValueError):
            raise InvalidResponseError(f"a header must be a pair of name and value, not {field!r}") from None
        for what, text in (("name", name), ("value", value)):
            if not isinstance(text, bytes):
                raise InvalidResponseError(f"a header's {what} must be bytes, not {type(text).__name__}: {text!r}")
        line = checked_line(name.decode("latin-1"), value.decode("latin-1"))
        if len(self) < self.LARGEST and len(line) < self.LONGEST:
            self[field] = line
        return line


class _Statuses(dict[int, tuple[str, bool]]):
    """Status code -> status line, and whether it forbids a body; bounded by what a code can be."""

    def __missing__(self, status: int) -> tuple[str, bool]:
        if not isinstance(status, int) or isinstance(status, bool):
            raise InvalidResponseError(f"the status must be an integer, not {type(status).__name__}")
        if not 200 <= status <= 999:
            raise InvalidResponseError(f"status {status} is no status of a response (200 to 999)")
        # RFC 9110 section 6.4.1.
        entry = self[status] = f"HTTP/1.1 {int(status)} {_PHRASES.get(status, '')}\r\n", status in (204, 304)
        return entry


class AsgiResponseHead(Struct, eq=False):
    """What unicorn_http.semantics.response.ResponseHead is; a struct, for one is made for each response."""

    code: int
    forbids_body: bool
    content_length: int | None
    dropped: tuple[str, ...]
    text: str
    bodiless: bool = False
    chunked: bool = False
    persistent: bool = False


def read_head(status: int, fields: Iterable[Any]) -> AsgiResponseHead:
    """A response's head as an application says it.

    Raises:
        InvalidResponseError: something that must not be sent (RFC 9110 section 5.5), or of another type.
    """
    text, forbids_body = _STATUSES[status]
    content_length: int | None = None
    dropped: tuple[str, ...] = ()
    for field in fields:
        try:
            line = _LINES[field]
        except TypeError:  # not hashable: any iterable of two byte strings will do
            line = _LINES[_pair(field)]
        if type(line) is LengthLine:
            if content_length is not None:
                raise InvalidResponseError("Content-Length is declared twice")
            content_length = line.length
            if status == 204:
                continue  # RFC 9110 section 8.6
        elif not line:
            dropped += (field[0].decode("latin-1").lower(),)
        text += line
    return AsgiResponseHead(status, forbids_body, content_length, dropped, text)


def trailer_section(fields: Iterable[Any]) -> bytes:
    """The fields behind a chunked body (RFC 9112 section 7.1.2), without those that are the server's or that frame."""
    lines = [line for field in fields if type(line := _LINES[_pair(field)]) is not LengthLine]
    return "".join(lines).encode("latin-1")


def phrase_of(status: int) -> str:
    """The status as access logs show it, "404 Not Found"."""
    return f"{status} {_PHRASES.get(status, '')}".rstrip()


def _pair(field: Any) -> tuple[bytes, bytes]:
    try:
        return tuple(bytes(part) if isinstance(part, bytearray | memoryview) else part for part in field)  # type: ignore[return-value]
    except TypeError:
        raise InvalidResponseError(f"a header must be a pair of name and value, not {field!r}") from None


_LINES = _Lines()
_STATUSES = _Statuses()
