"""Decoding of a chunked body (RFC 9112 section 7.1), strict and bounded."""

from collections.abc import Callable

from unicorn_http.semantics import grammar
from unicorn_http.semantics.framing import body_too_large
from unicorn_http.semantics.limits import CHUNK_EXTENSIONS, CHUNK_LINE, Limits
from unicorn_http.semantics.refusal import Refusal
from unicorn_http.semantics.tolerance import STRICT, Tolerance

_RULE = "RFC 9112 section 7.1"

# RFC 9110 section 6.5.1: what a trailer must not change after the head was acted on.
FORBIDDEN_TRAILERS = frozenset(
    b"authorization cache-control connection content-encoding content-length content-range content-type cookie "
    b"expect forwarded host keep-alive max-forwards proxy-authorization set-cookie te trailer transfer-encoding "
    b"upgrade x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto".split()
)


class ChunkedDecoder:
    """One body. Trailer fields are checked and dropped: neither gateway has a place for them."""

    def __init__(self, limits: Limits, tolerance: Tolerance = STRICT) -> None:
        self._limits = limits
        self._tolerance = tolerance
        self._allowed = limits.body  # bytes of further chunks
        self._line = b""  # the beginning of a line whose end has not come
        self._left = 0  # bytes of the present chunk that have not come
        self._extensions = 0
        self._trailers = 0
        # No bound method, which would make a circle of references.
        self._step: Callable[[ChunkedDecoder, bytes], None] = ChunkedDecoder._size_line

    def feed(self, data: bytes, on_body: Callable[[bytes], None]) -> bytes | None:
        """Decode; hand what belongs to the body on, in one piece.

        Returns:
            What follows the body once that is complete (perhaps b""); None before.

        Raises:
            Refusal: the chunk framing is malformed; what came before it has been handed on.
        """
        at, size = 0, len(data)
        pieces: list[bytes] = []
        try:
            while at < size:
                if self._left:
                    piece = data[at : at + self._left]
                    pieces.append(piece)
                    at += len(piece)
                    self._left -= len(piece)
                    if not self._left:
                        self._step = ChunkedDecoder._chunk_end
                    continue
                end = data.find(b"\n", at)
                if end < 0:
                    self._line += data[at:]
                    self._check_unfinished()
                    return None
                line, self._line = self._line + data[at : end + 1], b""
                at = end + 1
                if self._step is ChunkedDecoder._chunk_end and line != b"\r\n":
                    raise _no_chunk_end()
                self._check_size(line.removesuffix(b"\n").removesuffix(b"\r"))
                if not line.endswith(b"\r\n"):
                    raise Refusal(400, "chunk-line-end", "a line of the chunked body does not end in CRLF", _RULE)
                if len(line) == 2 and self._step is ChunkedDecoder._trailer:
                    return data[at:]
                self._step(self, line[:-2])
            return None
        finally:
            if pieces:
                on_body(b"".join(pieces) if len(pieces) > 1 else pieces[0])

    def _check_unfinished(self) -> None:
        """What has come of a line must be able to become one; checked early, so that no cut changes the verdict."""
        line = self._line.removesuffix(b"\r")
        if self._step is ChunkedDecoder._chunk_end and not b"\r\n".startswith(line):
            raise _no_chunk_end()
        self._check_size(line)

    def _check_size(self, line: bytes) -> None:
        """Of a chunk's or a trailer's line, as far as it has come."""
        if self._step is ChunkedDecoder._size_line:
            if len(line) > CHUNK_LINE:
                raise _line_too_long()
        elif self._step is ChunkedDecoder._trailer and line:
            if self._trailers >= self._limits.fields:
                raise Refusal(431, "too-many-trailers", "too many trailer fields", "RFC 6585 section 5")
            if len(line) > self._limits.field:
                raise Refusal(431, "trailer-too-large", "a trailer field is too large", "RFC 6585 section 5")

    def _size_line(self, line: bytes) -> None:
        found = grammar.CHUNK_LINE.fullmatch(line)
        if found is None:
            found = grammar.BLANK_CHUNK_LINE.fullmatch(line)
            if found is None:
                raise Refusal(400, "chunk-size", "a chunk size or its extensions are malformed", _RULE)
            self._tolerance.refuse(
                Refusal(400, "chunk-blanks", "blanks around a chunk extension", "RFC 9112 section 7.1.1")
            )
        self._extensions += len(found[2])
        if self._extensions > CHUNK_EXTENSIONS:
            raise Refusal(400, "chunk-extensions", "too many bytes of chunk extensions", "RFC 9112 section 7.1.1")
        self._left = int(found[1], 16)
        self._allowed -= self._left
        if self._allowed < 0:
            self._left = 0
            raise body_too_large(self._limits.body)
        if not self._left:
            self._step = ChunkedDecoder._trailer

    def _chunk_end(self, line: bytes) -> None:
        self._step = ChunkedDecoder._size_line

    def _trailer(self, line: bytes) -> None:
        self._trailers += 1
        found = grammar.FIELD_LINE.fullmatch(line)
        if found is None:
            raise Refusal(400, "trailer-line", "a trailer field is malformed", "RFC 9112 section 7.1.2")
        if found[1].lower() in FORBIDDEN_TRAILERS:
            self._tolerance.refuse(
                Refusal(400, "trailer-forbidden", "a trailer field that must not be one", "RFC 9110 section 6.5.1")
            )


def _line_too_long() -> Refusal:
    return Refusal(400, "chunk-line-too-long", "a chunk size with its extensions is too long", "RFC 9112 section 7.1.1")


def _no_chunk_end() -> Refusal:
    return Refusal(400, "chunk-end", "chunk data is not followed by CRLF", _RULE)
