"""The HTTP/1.1 codec: a small machine of phases around the rules in unicorn_http.semantics."""

from collections.abc import Callable

from unicorn_http.codec import Framing, Sink
from unicorn_http.semantics.chunked import ChunkedDecoder
from unicorn_http.semantics.fields import FieldNames
from unicorn_http.semantics.head import HeadPolicy, RequestHead, SplitFields
from unicorn_http.semantics.limits import LEADING_EMPTY_LINES
from unicorn_http.semantics.refusal import Disconnected, Refusal
from unicorn_http.semantics.response import ResponseHead
from unicorn_http.semantics.scan import HeadScan


class H1Codec:
    """One connection. Each phase takes bytes and returns those that belong to the next one."""

    __slots__ = (
        "_chunked",
        "_empty_lines",
        "_held",
        "_left",
        "_names",
        "_phase",
        "_policy",
        "_scan",
        "_server_fields",
        "_sink",
        "_split",
    )

    def __init__(
        self,
        sink: Sink,
        policy: HeadPolicy,
        split: SplitFields,
        names: FieldNames,
        server_fields: Callable[[], bytes],
    ) -> None:
        self._sink = sink
        self._policy = policy
        self._split = split
        self._names = names
        self._server_fields = server_fields
        self._phase: Callable[[bytes], bytes] = self._read_head
        self._held = bytearray()  # a head of which only a part has come
        self._scan: HeadScan | None = None
        self._empty_lines = 0
        self._left = 0
        self._chunked: ChunkedDecoder | None = None

    # Requests

    def feed(self, data: bytes) -> None:
        try:
            while data:
                data = self._phase(data)
        except Refusal as error:
            self._phase = self._ignore
            self._sink.on_abort(error)

    def feed_eof(self) -> None:
        """An end between two requests is no news for the sink; one within a request is."""
        clean = self._phase == self._ignore or (self._phase == self._read_head and not self._held)
        self._phase = self._ignore
        if not clean:
            self._sink.on_abort(Disconnected("the client closed the connection in the middle of a request"))

    def _read_head(self, data: bytes) -> bytes:
        end = data.find(b"\r\n\r\n")
        if end < 0 or data[0] <= 0x20 or self._held:
            return self._read_head_in_pieces(data)
        end += 4
        if end == len(data):
            self._begin(data)
            return b""
        self._begin(data[:end])
        return data[end:]

    def _read_head_in_pieces(self, data: bytes) -> bytes:
        held = self._held
        begin = max(0, len(held) - 3)
        held += data
        while held.startswith(b"\r\n"):
            self._empty_lines += 1
            if self._empty_lines > LEADING_EMPTY_LINES:
                raise Refusal(400, "empty-lines", "too many empty lines before a request", "RFC 9112 section 2.2")
            del held[:2]
            begin = 0
        if self._scan is None:
            self._scan = self._policy.scan()
        end = held.find(b"\r\n\r\n", begin)
        if end < 0:
            if held != b"\r":
                self._scan.feed(held)
            return b""
        raw, rest = bytes(held[: end + 4]), bytes(held[end + 4 :])
        held.clear()
        self._scan = None
        self._begin(raw)
        return rest

    def _begin(self, raw: bytes) -> None:
        head = self._policy.read(raw, self._split, self._names)
        self._empty_lines = 0
        self._sink.on_request(head)
        if head.chunked:
            self._chunked = ChunkedDecoder(self._policy.limits)
            self._phase = self._read_chunked
        elif head.content_length:
            self._left = head.content_length
            self._phase = self._read_counted
        else:
            self._sink.on_end()

    def _read_counted(self, data: bytes) -> bytes:
        piece = data[: self._left]
        self._left -= len(piece)
        self._sink.on_body(piece)
        if not self._left:
            self._phase = self._read_head
            self._sink.on_end()
        return data[len(piece) :]

    def _read_chunked(self, data: bytes) -> bytes:
        assert self._chunked is not None
        rest = self._chunked.feed(data, self._sink.on_body)
        if rest is None:
            return b""
        self._chunked = None
        self._phase = self._read_head
        self._sink.on_end()
        return rest

    def _ignore(self, data: bytes) -> bytes:
        return b""

    # Responses

    def head(self, request: RequestHead, response: ResponseHead, length: int | None, persist: bool) -> Framing:
        http_1_1 = request.protocol == "HTTP/1.1"
        persist = persist and request.keep_alive
        bodiless = response.bodiless or request.method == "HEAD"
        chunked = False
        lines = b""
        if length is not None:
            if response.content_length is None and not response.bodiless:
                lines = b"Content-Length: %d\r\n" % length
        elif not bodiless:
            if http_1_1:
                chunked = True
                lines = b"Transfer-Encoding: chunked\r\n"
            else:
                persist = False  # only the end of the connection ends the body
        if not persist:
            lines += b"Connection: close\r\n"
        elif not http_1_1:
            lines += b"Connection: keep-alive\r\n"
        head = b"%b%b%b\r\n" % (response.head, lines, self._server_fields())
        return Framing(head, bodiless, chunked, persist)
