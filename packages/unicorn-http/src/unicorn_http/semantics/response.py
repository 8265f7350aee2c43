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


class _Names(dict[str, str]):
    """Field name -> its lower-case form where the server looks at it, else ""; a bounded cache of checked names."""

    LARGEST = 2048

    def __missing__(self, name: str) -> str:
        if not isinstance(name, str):
            raise InvalidResponseError(f"a header name must be a string, not {type(name).__name__}")
        if _NAME.fullmatch(name) is None:
            raise InvalidResponseError(f"header name {name!r} is not allowed")
        lower = name.lower()
        special = lower if lower in DROPPED or lower == "content-length" else ""
        if len(self) < self.LARGEST:
            self[name] = special
        return special


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

    content_length: int | None = None
    dropped: tuple[str, ...] = ()
    bodiless = False
    chunked = False
    persistent = False

    def __init__(self, status: str, fields: Iterable[tuple[str, str]]) -> None:
        """InvalidResponseError: something that must not be sent (RFC 9110 section 5.5, PEP 3333)."""
        self.code, text, self.forbids_body = _STATUSES[status]
        for name, value in fields:
            special = _NAMES[name]
            if special and not self._admits(special, value):
                continue
            if type(value) is not str or not (value.isascii() and value.isprintable()):
                _check_value(name, value)
            text += f"{name}: {value}\r\n"
        self.text = text

    def _admits(self, name: str, value: object) -> bool:
        """Look at a field that concerns the server; whether it is sent."""
        if name != "content-length":
            self.dropped += (name,)
            return False
        if not (isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 19):
            raise InvalidResponseError(f"Content-Length {value!r} is not a number")
        if self.content_length is not None:
            raise InvalidResponseError("Content-Length is declared twice")
        self.content_length = int(value)
        return self.code != 204  # RFC 9110 section 8.6


def _check_value(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise InvalidResponseError(f"the value of header {name!r} must be a string, not {type(value).__name__}")
    # str.isprintable() is false for some characters that are allowed, such as the tab and the no-break space.
    if _VALUE.fullmatch(value) is None:
        raise InvalidResponseError(
            f"value of header {name!r} contains a control character or is not latin-1: {value!r}"
        )


_NAMES = _Names()
_STATUSES = _Statuses()
