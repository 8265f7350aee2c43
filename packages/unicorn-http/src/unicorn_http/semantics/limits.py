"""Bounds on what a request may hold."""

from msgspec import Struct

from unicorn_core.settings.registry import Settings

UNLIMITED = 1 << 62
LEADING_EMPTY_LINES = 2
"""Empty lines that are skipped before a request line (RFC 9112 section 2.2 asks for at least one)."""
MOST_LEADING_EMPTY_LINES = 64
"""The same where the rule is only watched (setting strictness)."""
CHUNK_LINE = 1024
"""Bytes of one chunk's size and extensions."""
CHUNK_EXTENSIONS = 16384
"""Bytes of all chunk extensions of one body."""


class Limits(Struct, frozen=True):
    """Bytes, or a number of fields; a limit of 0 was replaced by one that nothing reaches (but for `ahead`).

    Attributes:
        line: of the request line.
        fields: how many.
        field: of one field line.
        head: of the whole head.
        body: of a request's body, without its framing.
        ahead: of a body that comes completely before its request is served.
    """

    line: int
    fields: int
    field: int
    head: int
    body: int = UNLIMITED
    ahead: int = 0

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        return cls(
            line=settings.limit_request_line or UNLIMITED,
            fields=settings.limit_request_fields or UNLIMITED,
            field=settings.limit_request_field_size or UNLIMITED,
            head=settings.limit_request_head or UNLIMITED,
            body=settings.limit_request_body or UNLIMITED,
            ahead=settings.buffer_request_body,
        )
