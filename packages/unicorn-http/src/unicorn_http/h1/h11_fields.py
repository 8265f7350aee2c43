"""Header fields split by h11: where httptools has no wheel, and as a second opinion."""

import h11

from unicorn_http.semantics.request import Request
from unicorn_http.semantics.scan import split_fields as check_fields

_REQUEST_LINE = b"GET / HTTP/1.0\r\n"


def split_fields(block: bytes, request: Request) -> int:
    """See unicorn_http.semantics.head.SplitFields.

    h11 takes bare LF, folded values and control characters, so the grammar is checked before it. It rewrites the values
    of Content-Length and Transfer-Encoding, so the values are those of the lines; what h11 says is whether it agrees.
    """
    count = check_fields(block, request)
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=len(block) + 64)
    try:
        connection.receive_data(_REQUEST_LINE + block)
        event = connection.next_event()
    except h11.RemoteProtocolError as error:
        raise ValueError(str(error)) from None
    if not isinstance(event, h11.Request):
        raise ValueError("no complete head")
    return count
