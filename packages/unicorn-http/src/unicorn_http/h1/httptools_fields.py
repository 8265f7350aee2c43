"""Header fields split by httptools (llhttp)."""

import httptools

_REQUEST_LINE = b"GET / HTTP/1.1\r\n"


class _Fields(list[tuple[bytes, bytes]]):
    def on_header(self, name: bytes, value: bytes) -> None:
        # llhttp leaves trailing blanks in place.
        self.append((name, value.rstrip(b" \t")))


def split_fields(block: bytes) -> list[tuple[bytes, bytes]]:
    """See unicorn_http.semantics.head.SplitFields.

    The request line was read before, by our own rules: llhttp gets one that it likes. A parser lives for one head, for
    llhttp would go on to the body by rules of its own.
    """
    fields = _Fields()
    try:
        httptools.HttpRequestParser(fields).feed_data(_REQUEST_LINE + block)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        raise ValueError(str(error)) from None
    return fields
