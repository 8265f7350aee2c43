"""Header fields split by Python's own string methods: the fastest way where fields are wanted as text (WSGI)."""

from unicorn_http.semantics.request import Request

_HARMLESS = bytes([0x09, *range(0x20, 0x7F)])


def split_fields(block: bytes, request: Request) -> int:
    """See unicorn_http.semantics.head.SplitFields.

    The grammar is kept by one look at all bytes: but for the line ends, and one of each a line, nothing in the block
    may be a control character. Names are checked by the request, once each. Bytes beyond ASCII are rare enough to leave
    them to the scan: without them, blanks are the only white space there is.
    """
    lines = str(block, "latin-1").split("\r\n")
    if not block.isascii() or len(block.translate(None, _HARMLESS)) != 2 * len(lines) - 2:
        raise ValueError("a control character, or one beyond ASCII")
    # The line end of the last field and the empty line leave two empty strings behind.
    del lines[-2:]
    request.take_lines(lines)
    return len(lines)
