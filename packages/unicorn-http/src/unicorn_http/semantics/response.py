"""A response's head: what an application may say, and what the server makes of it."""

import re
from collections.abc import Iterable

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


class InvalidResponseError(ValueError):
    """The application's head cannot be sent as it is."""


class LengthLine(str):
    """The line of a Content-Length, with the number in it."""

    length: int


class _Lines(dict[tuple[str, str], str]):
    """Field -> its line; "" for one that is the server's to say. A bounded cache of what was checked.

    Most responses of an application have the same few fields, so that checking and formatting them is most of the work.
    """

    LARGEST = 4096
    LONGEST = 256

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
        if len(self) < self.LARGEST and len(line) < self.LONGEST:
            self[field] = line
        return line


class _Statuses(dict[str, tuple[int, str, bool]]):
    """Status as the application says it -> code, status line, and whether it forbids a body; a bounded cache."""

    LARGEST = 512

    def __missing__(self, status: str) -> tuple[int, str, bool]:
        if not isinstance(status, str):
            raise InvalidResponseError(f"the status must be a string, not {type(status).__name__}")
        if _STATUS.fullmatch(status) is None:
            raise InvalidResponseError(f"status {status!r} must be three digits, a space and a phrase")
        if status[0] == "1":
            raise InvalidResponseError(f"status {status!r}: informational responses are the server's")
        code = int(status[:3])
        # RFC 9110 section 6.4.1.
        entry = code, f"HTTP/1.1 {status if len(status) > 3 else status + ' '}\r\n", code in (204, 304)
        if len(self) < self.LARGEST:
            self[status] = entry
        return entry


class ResponseHead:
    """Status line and fields, checked, without what the server adds.

    How the body goes over the wire is decided by the codec that frames it.

    Attributes:
        code: the status code.
        forbids_body: the status does.
        text: up to and with the last field's CRLF, latin-1 characters only.
        content_length: as the application declared it; None if it did not.
        dropped: lower-case names of the fields that are the server's and were left out.
        bodiless: no body follows, whatever the application gives.
        chunked: each block is wrapped.
        persistent: the connection serves further requests after this response.
    """

    __slots__ = (
        "bodiless",
        "chunked",
        "code",
        "content_length",
        "dropped",
        "forbids_body",
        "persistent",
        "text",
    )

    def __init__(self, status: str, fields: Iterable[tuple[str, str]]) -> None:
        """InvalidResponseError: something that must not be sent (RFC 9110 section 5.5, PEP 3333)."""
        self.code, text, self.forbids_body = _STATUSES[status]
        self.content_length: int | None = None
        self.dropped: tuple[str, ...] = ()
        self.bodiless = self.chunked = self.persistent = False
        for field in fields:
            try:
                line = _LINES[field]
            except TypeError:  # not hashable: PEP 3333 asks for tuples, but lists are seen
                line = _LINES[tuple(field)]  # type: ignore[index]
            if type(line) is LengthLine:
                if self.content_length is not None:
                    raise InvalidResponseError("Content-Length is declared twice")
                self.content_length = line.length
                if self.code == 204:
                    continue  # RFC 9110 section 8.6
            elif not line:
                self.dropped += (field[0].lower(),)
            text += line
        self.text = text


def checked_line(name: str, value: str) -> str:
    """A field's line, a `LengthLine` for Content-Length; "" for a field that is the server's to say.

    Raises:
        InvalidResponseError: something that must not be sent.
    """
    return _LINES[name, value]


def early_hints(fields: Iterable[tuple[str, str]]) -> str:
    """The lines of a response 103 (RFC 8297) with these fields, without those that are the server's or that frame.

    Raises:
        InvalidResponseError: something that must not be sent (RFC 9110 section 5.5).
    """
    return "".join(line for name, value in fields if type(line := _LINES[name, value]) is not LengthLine)


_LINES = _Lines()
_STATUSES = _Statuses()
