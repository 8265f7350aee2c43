"""A response's head: what an application may say, and what the server makes of it."""

import re
from collections.abc import Sequence

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
_LENGTH = re.compile(r"[0-9]{1,18}")


class InvalidResponseError(ValueError):
    """The application's head cannot be sent as it is."""


class _Bounded(dict[str, str]):
    """A cache of what was checked; a stranger's values cannot make it grow without bound."""

    LARGEST = 2048

    def keep(self, key: str, value: str) -> str:
        if len(self) < self.LARGEST:
            self[key] = value
        return value


class _Names(_Bounded):
    """Field name -> its lower-case form where the server looks at it, else ""."""

    def __missing__(self, name: str) -> str:
        if not isinstance(name, str):
            raise InvalidResponseError(f"a header name must be a string, not {type(name).__name__}")
        if _NAME.fullmatch(name) is None:
            raise InvalidResponseError(f"header name {name!r} is not allowed")
        lower = name.lower()
        return self.keep(name, lower if lower in DROPPED or lower == "content-length" else "")


class _StatusLines(_Bounded):
    """Status as the application says it -> the status line."""

    def __missing__(self, status: str) -> str:
        if not isinstance(status, str):
            raise InvalidResponseError(f"the status must be a string, not {type(status).__name__}")
        if _STATUS.fullmatch(status) is None:
            raise InvalidResponseError(f"status {status!r} must be three digits, a space and a phrase")
        if status[0] == "1":
            raise InvalidResponseError(f"status {status!r}: informational responses are the server's")
        return self.keep(status, f"HTTP/1.1 {status if len(status) > 3 else status + ' '}\r\n")


class ResponseHead:
    """Status line and fields, checked, without what the server adds.

    Attributes:
        code: the status code.
        head: as bytes, up to and with the last field's CRLF.
        content_length: as the application declared it; None if it did not.
        dropped: lower-case names of the fields that are the server's and were left out.
    """

    __slots__ = ("code", "content_length", "dropped", "head")

    def __init__(self, status: str, fields: Sequence[tuple[str, str]]) -> None:
        """InvalidResponseError: something that must not be sent (RFC 9110 section 5.5, PEP 3333)."""
        out = [STATUS_LINES[status]]
        self.code = int(status[:3])
        self.content_length: int | None = None
        self.dropped: tuple[str, ...] = ()
        for name, value in fields:
            if special := NAMES[name]:
                if special != "content-length":
                    self.dropped += (special,)
                    continue
                self._declare_length(value)
                if self.code == 204:
                    continue  # RFC 9110 section 8.6
            if not isinstance(value, str) or not value.isprintable():
                _check_value(name, value)
            out.append(f"{name}: {value}\r\n")
        try:
            self.head = "".join(out).encode("latin-1")
        except UnicodeEncodeError as error:
            raise InvalidResponseError(
                f"status and header values must be latin-1 text: {error.object[error.start]!r} is not"
            ) from None

    @property
    def bodiless(self) -> bool:
        """The status forbids a body (RFC 9110 section 6.4.1)."""
        return self.code in (204, 304)

    def _declare_length(self, value: str) -> None:
        if not isinstance(value, str) or _LENGTH.fullmatch(value) is None:
            raise InvalidResponseError(f"Content-Length {value!r} is not a number")
        if self.content_length is not None:
            raise InvalidResponseError("Content-Length is declared twice")
        self.content_length = int(value)


def _check_value(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise InvalidResponseError(f"the value of header {name!r} must be a string, not {type(value).__name__}")
    if _VALUE.fullmatch(value) is None:
        raise InvalidResponseError(
            f"value of header {name!r} contains a control character or is not latin-1: {value!r}"
        )


NAMES = _Names()
STATUS_LINES = _StatusLines()
