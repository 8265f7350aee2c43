"""A response's head: what an application may say, and what the server makes of it."""

import re
from collections.abc import Hashable, Iterable
from typing import Any, Generic, TypeVar

from msgspec import Struct

# RFC 9110 section 7.6.1, and what the server itself says; dropped from an application's head without an error.
DROPPED = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailers",
        "transfer-encoding",
        "upgrade",
        "server",
        "date",
    }
)
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_STATUS = re.compile(r"[1-9][0-9]{2}(?: [\t\x20-\x7e\x80-\xff]*)?")


BODILESS = (204, 205, 304)
"""Status codes of final responses that have no body (RFC 9110 sections 6.4.1 and 15.3.6)."""
Field = TypeVar("Field", bound=Hashable)


class InvalidResponseError(ValueError):
    """The application's head cannot be sent as it is."""


class LengthLine(str):
    """The line of a Content-Length, with the number in it."""

    length: int


class FieldLines(dict[Field, str], Generic[Field]):
    """Field -> its line; "" for one that is the server's to say. A bounded cache of what was checked.

    Most responses of an application have the same few fields, so that checking and formatting them is most of the work.
    A subclass knows the form in which its gateway gives fields.
    """

    LARGEST = 4096
    LONGEST = 256

    def hashable(self, field: Any) -> Field:
        """A field that is given in another form than its gateway's specification asks for, but in one that is seen."""
        raise NotImplementedError

    def name(self, field: Field) -> str:
        """The name in a field."""
        raise NotImplementedError

    def keep(self, field: Field, line: str) -> str:
        """Remember a line; gives it."""
        if len(self) < self.LARGEST and len(line) < self.LONGEST:
            self[field] = line
        return line


class TextLines(FieldLines[tuple[str, str]]):
    """Fields as pairs of text, as PEP 3333 has them."""

    def __missing__(self, field: tuple[str, str]) -> str:
        name, value = field
        if not isinstance(name, str):
            raise InvalidResponseError(f"a header name must be a string, not {type(name).__name__}")
        if _NAME.fullmatch(name) is None:
            raise InvalidResponseError(f"header name {name!r} is not allowed")
        if not isinstance(value, str):
            raise InvalidResponseError(f"the value of header {name!r} must be a string, not {type(value).__name__}")
        if _VALUE.fullmatch(value) is None:
            raise InvalidResponseError(
                f"the value of header {name!r} has a control or non-latin-1 character: {value!r}"
            )
        lower = name.lower()
        line = "" if lower in DROPPED else f"{name}: {value}\r\n"
        if lower == "content-length":
            if not (value.isascii() and value.isdecimal() and len(value) < 19):
                raise InvalidResponseError(f"Content-Length {value!r} is not a number")
            line = LengthLine(line)
            line.length = int(value)
        return self.keep(field, line)

    def hashable(self, field: Any) -> tuple[str, str]:
        return tuple(field)  # PEP 3333 asks for tuples, but lists are seen

    def name(self, field: tuple[str, str]) -> str:
        return field[0]


Start = tuple[int, str, bool]
"""Of a response: its status code, its status line, and whether it forbids a body."""


class TextStatuses(dict[str, Start]):
    """Status as PEP 3333 has it, "404 Not Found", -> `Start`; a bounded cache."""

    LARGEST = 512

    def __missing__(self, status: str) -> Start:
        if not isinstance(status, str):
            raise InvalidResponseError(f"the status must be a string, not {type(status).__name__}")
        if _STATUS.fullmatch(status) is None:
            raise InvalidResponseError(f"status {status!r} must be three digits, a space and a phrase")
        if status[0] == "1":
            raise InvalidResponseError(f"status {status!r}: informational responses are the server's")
        code = int(status[:3])
        entry = code, f"HTTP/1.1 {status if len(status) > 3 else status + ' '}\r\n", code in BODILESS
        if len(self) < self.LARGEST:
            self[status] = entry
        return entry


class ResponseHead(Struct, eq=False):
    """Status line and fields, checked, without what the server adds.

    How the body goes over the wire is decided by the codec that frames it.

    Attributes:
        code: the status code.
        forbids_body: the status does.
        content_length: as the application declared it; None if it did not.
        dropped: lower-case names of the fields that are the server's and were left out.
        text: up to and with the last field's CRLF, latin-1 characters only.
        fields: as the application gave them.
        bodiless: no body follows, whatever the application gives.
        chunked: each block is wrapped.
        persistent: the connection serves further requests after this response.
    """

    code: int
    forbids_body: bool
    content_length: int | None
    dropped: tuple[str, ...]
    text: str
    fields: Iterable[Any]
    bodiless: bool = False
    chunked: bool = False
    persistent: bool = False

    @property
    def status(self) -> str:
        """Code and phrase, "404 Not Found"."""
        return self.text[len("HTTP/1.1 ") : self.text.index("\r\n")].rstrip()


def read_head(start: Start, fields: Iterable[Any], lines: FieldLines[Any]) -> ResponseHead:
    """A response's head as an application gives it; `lines` knows the form of its fields.

    Raises:
        InvalidResponseError: something that must not be sent (RFC 9110 section 5.5, PEP 3333, ASGI).
    """
    code, text, forbids_body = start
    content_length: int | None = None
    dropped: tuple[str, ...] = ()
    for field in fields:
        try:
            line = lines[field]
        except TypeError:
            line = lines[lines.hashable(field)]
        if type(line) is LengthLine:
            if content_length is not None:
                raise InvalidResponseError("Content-Length is declared twice")
            content_length = line.length
            if code == 204 or code == 205:
                continue  # RFC 9110 section 8.6
        elif not line:
            dropped += (lines.name(field).lower(),)
        text += line
    if code == 205:
        text += "Content-Length: 0\r\n"  # RFC 9110 section 15.3.6
    return ResponseHead(code, forbids_body, content_length, dropped, text, fields)


def may_be_value(text: str) -> bool:
    """It can be the value of a field (RFC 9110 section 5.5)."""
    return _VALUE.fullmatch(text) is not None


def early_hints(fields: Iterable[tuple[str, str]]) -> str:
    """The lines of a response 103 (RFC 8297) with these fields, without those that are the server's or that frame.

    Raises:
        InvalidResponseError: something that must not be sent (RFC 9110 section 5.5).
    """
    return "".join(line for name, value in fields if type(line := TEXT_LINES[name, value]) is not LengthLine)


TEXT_LINES = TextLines()
TEXT_STATUSES = TextStatuses()
