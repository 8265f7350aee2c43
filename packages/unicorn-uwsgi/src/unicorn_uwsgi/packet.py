"""The packets of the uwsgi protocol (https://uwsgi-docs.readthedocs.io/en/latest/Protocol.html).

A packet begins with four bytes: modifier1, which tells its kind; the size of the block of variables, little-endian in
two; modifier2. The block is a row of names and values, each behind its own size in two bytes. The body of a request
follows its packet, without any framing of its own.
"""

from collections.abc import Mapping

from unicorn_http.semantics.refusal import Refusal

HEADER = 4
"""Bytes of a packet before its block."""
RULE = "uwsgi protocol"

REQUEST = 0
"""modifier1 of a web request."""
MOUNTED_REQUEST = 30
"""modifier1 of a web request whose PATH_INFO still begins with SCRIPT_NAME."""
PING = 100
"""modifier1 of the question whether anybody is there."""
PONG = b"\x64\x00\x00\x01"
"""The answer to it: a packet of the same kind, with modifier2 set."""


def block_size(header: bytes | bytearray) -> int:
    """Bytes of the block that follows a packet's first four.

    Raises:
        Refusal: a packet of a kind that is not served.
    """
    modifier1 = header[0]
    size = header[1] | header[2] << 8
    if modifier1 in (REQUEST, MOUNTED_REQUEST) and header[3] == 0:
        return size
    if modifier1 == PING and size == header[3] == 0:
        return 0
    if bytes(header[:HEADER]).rstrip(b" /").isalpha():
        raise Refusal(400, "no-uwsgi", "this port speaks the uwsgi protocol, and the request came as HTTP", RULE)
    text = f"packets with modifier1 {modifier1}, modifier2 {header[3]} and {size} bytes are not served"
    raise Refusal(501, "modifier", text, RULE)


def split_block(block: bytes, begins: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """The variables in a block, as latin-1 text: those that are lines of text, in their order, and the others by name.

    Args:
        begins: how the line begins that a variable of this name becomes; "" if it becomes none.

    Raises:
        Refusal: a name or a value is longer than what is left, or one is missing.
    """
    text = str(block, "latin-1")
    lines: list[str] = []
    others: dict[str, str] = {}
    at, end = 0, len(block)
    try:
        while at < end:
            begin = at + 2
            at = begin + (block[at] | block[at + 1] << 8)
            name = text[begin:at]
            begin = at + 2
            at = begin + (block[at] | block[at + 1] << 8)
            if line := begins[name]:
                lines.append(line + text[begin:at])
            else:
                others[name] = text[begin:at]
    except IndexError:
        at = -1
    if at != end:
        raise Refusal(400, "block", "the sizes of the variables do not fit the packet's", RULE)
    return lines, others
