"""Bounds on what a request may hold."""

from msgspec import Struct

from unicorn_core.settings.registry import Settings

LEADING_EMPTY_LINES = 2
"""Empty lines that are skipped before a request line (RFC 9112 section 2.2 asks for at least one)."""
CHUNK_LINE = 1024
"""Bytes of one chunk's size and extensions."""
CHUNK_EXTENSIONS = 16384
"""Bytes of all chunk extensions of one body."""


class Limits(Struct, frozen=True):
    """Bytes, or a number of fields; a limit of 0 was replaced by one that nothing reaches.

    Attributes:
        line: of the request line.
        fields: how many.
        field: of one field line.
        head: of the whole head.
    """

    line: int
    fields: int
    field: int
    head: int

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        unlimited = 1 << 62
        return cls(
            line=settings.limit_request_line or unlimited,
            fields=settings.limit_request_fields or unlimited,
            field=settings.limit_request_field_size or unlimited,
            head=settings.limit_request_head or unlimited,
        )
