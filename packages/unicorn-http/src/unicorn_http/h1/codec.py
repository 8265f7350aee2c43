"""The HTTP/1.1 codec: heads by the rules in unicorn_http.semantics, and the framing of answers."""

from unicorn_http.codec import ServerLines, Sink
from unicorn_http.semantics.head import FieldMemo, HeadPolicy, SplitFields
from unicorn_http.semantics.limits import LEADING_EMPTY_LINES, MOST_LEADING_EMPTY_LINES
from unicorn_http.semantics.refusal import Refusal
from unicorn_http.semantics.request import Request
from unicorn_http.semantics.response import ResponseHead
from unicorn_http.semantics.scan import HeadScan
from unicorn_http.serial import HEAD, SerialCodec


class H1Codec(SerialCodec):
    """One connection."""

    __slots__ = ("_empty_lines", "_memo", "_scan", "_server", "_split")

    def __init__(
        self,
        sink: Sink,
        policy: HeadPolicy,
        split: SplitFields,
        server: ServerLines,
    ) -> None:
        super().__init__(sink, policy)
        self._split = split
        self._server = server
        self._memo = FieldMemo()
        self._scan: HeadScan | None = None
        self._empty_lines = 0

    # Requests

    def feed(self, data: bytes) -> None:
        if self._state == HEAD and not self._held:
            end = data.find(b"\r\n\r\n")
            if end > 0 and end + 4 == len(data) and data[0] > 0x20:
                # Exactly one head, as nearly always.
                sink = self._sink
                self._empty_lines = 0
                try:
                    request = self._policy.read(data, self._split, sink.new_request, self._memo)
                    if request.complete:
                        sink.on_request(request)
                    else:
                        self._take(request)
                except Refusal as error:
                    self._refuse(error, data)
                return
        super().feed(data)

    def _read_head(self, data: bytes) -> bytes:
        end = data.find(b"\r\n\r\n")
        if end < 0 or data[0] <= 0x20 or self._held:
            return self._read_head_in_pieces(data)
        self._begin(data[: end + 4])
        return data[end + 4 :]

    def _read_head_in_pieces(self, data: bytes) -> bytes:
        held = self._held
        begin = max(0, len(held) - 3)
        held += data
        while held.startswith(b"\r\n"):
            self._empty_lines += 1
            if self._empty_lines > LEADING_EMPTY_LINES:
                self._refuse_empty_lines()
            del held[:2]
            begin = 0
        if self._scan is None:
            self._scan = self._policy.scan()
        end = held.find(b"\r\n\r\n", begin)
        self.pending = end < 0 and len(held) > 0
        if end < 0:
            if held != b"\r":
                self._scan.feed(held)
            return b""
        raw, rest = bytes(held[: end + 4]), bytes(held[end + 4 :])
        self._scan = None
        self._begin(raw)
        held.clear()
        return rest

    def _refuse(self, error: Refusal, data: bytes) -> None:
        # Also in answer to a head that is not allowed: RFC 9110 section 9.3.2.
        error.to_head = self._state == HEAD and (self._held or data).lstrip(b"\r\n").startswith(b"HEAD ")
        super()._refuse(error, data)

    def _refuse_empty_lines(self) -> None:
        refusal = Refusal(400, "empty-lines", "too many empty lines before a request", "RFC 9112 section 2.2")
        if self._empty_lines > MOST_LEADING_EMPTY_LINES:
            raise refusal
        self._policy.tolerance.refuse(refusal)

    def _begin(self, raw: bytes) -> None:
        request = self._policy.read(raw, self._split, self._sink.new_request, self._memo)
        self._empty_lines = 0
        self._take(request)

    # Responses

    def head(self, request: Request, response: ResponseHead, length: int | None, persist: bool) -> bytes:
        http_1_1 = request.protocol == "HTTP/1.1"
        bodiless = request.method == "HEAD" or response.forbids_body
        text = response.text
        if length is not None:
            if response.content_length is None and not response.forbids_body:
                text += f"Content-Length: {length}\r\n"
        elif not bodiless:
            if http_1_1:
                response.chunked = True
                text += "Transfer-Encoding: chunked\r\n"
            else:
                persist = False  # only the end of the connection ends the body
        if not (persist and request.keep_alive):
            text += "Connection: close\r\n"
        else:
            response.persistent = True
            if not http_1_1:
                text += "Connection: keep-alive\r\n"
        response.bodiless = bodiless
        return f"{text}{self._server.lines}\r\n".encode("latin-1")

    def interim(self, request: Request, status: str, fields: str) -> bytes:
        """See unicorn_http.codec.Codec; HTTP/1.0 has none."""
        return f"HTTP/1.1 {status}\r\n{fields}\r\n".encode("latin-1") if request.protocol == "HTTP/1.1" else b""
