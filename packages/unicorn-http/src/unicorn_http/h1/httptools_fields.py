"""Header fields split by httptools (llhttp)."""

import httptools

from unicorn_http.semantics.request import Request

_REQUEST_LINE = b"GET / HTTP/1.1\r\n"


def split_fields(block: bytes, request: Request) -> int:
    """See unicorn_http.semantics.head.SplitFields.

    The request line was read before, by our own rules: llhttp gets one that it likes. A parser lives for one head, for
    llhttp would go on to the body by rules of its own.
    """
    try:
        httptools.HttpRequestParser(request).feed_data(_REQUEST_LINE + block)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        raise ValueError(str(error)) from None
    return block.count(b"\n") - 1
