"""The HTTP/1.1 codec: a small machine of phases around the rules in unicorn_http.semantics."""

from unicorn_http.codec import ServerLines, Sink
from unicorn_http.semantics.chunked import ChunkedDecoder
from unicorn_http.semantics.head import FieldMemo, HeadPolicy, SplitFields
from unicorn_http.semantics.limits import LEADING_EMPTY_LINES, MOST_LEADING_EMPTY_LINES
from unicorn_http.semantics.refusal import Disconnected, Refusal
from unicorn_http.semantics.request import Request
from unicorn_http.semantics.response import ResponseHead
from unicorn_http.semantics.scan import HeadScan

# What the next bytes are: plain numbers, because an enum costs a look-up where every request passes.
_HEAD = 0
_COUNTED = 1
_CHUNKED = 2
_IGNORE = 3


class H1Codec:
    """One connection. Each state takes bytes and gives those back that belong to the next one."""

    __slots__ = (
        "_ahead",
        "_chunked",
        "_empty_lines",
        "_held",
        "_left",
        "_memo",
        "_pieces",
        "_policy",
        "_scan",
        "_server",
        "_sink",
        "_split",
        "_state",
        "pending",
        "pending_body",
    )

    def __init__(
        self,
        sink: Sink,
        policy: HeadPolicy,
        split: SplitFields,
        server: ServerLines,
    ) -> None:
        self._sink = sink
        self._policy = policy
        self._split = split
        self._server = server
        self._memo = FieldMemo()
        self._state = _HEAD
        self.pending = self.pending_body = False
        self._held = bytearray()  # a head of which only a part has come
        self._scan: HeadScan | None = None
        self._empty_lines = 0
        self._left = 0
        self._ahead: Request | None = None  # of which the sink is told once its body is complete
        self._pieces: list[bytes] = []
        self._chunked: ChunkedDecoder | None = None

    # Requests

    def feed(self, data: bytes) -> None:
        try:
            if self._state == _HEAD and not self._held:
                end = data.find(b"\r\n\r\n")
                if end > 0 and end + 4 == len(data) and data[0] > 0x20:
                    # Exactly one head, as nearly always.
                    sink = self._sink
                    self._empty_lines = 0
                    request = self._policy.read(data, self._split, sink.new_request, self._memo)
                    if request.content_length or request.chunked:
                        self._expect_body(request)
                    else:
                        sink.on_request(request)
                        sink.on_end()
                    return
            while data:
                data = self._step(data)
        except Refusal as error:
            self._state = _IGNORE
            self._sink.on_abort(error)

    def feed_eof(self) -> None:
        """An end between two requests is no news for the sink; one within a request is."""
        clean = self._state == _IGNORE or (self._state == _HEAD and not self._held)
        self._state = _IGNORE
        if not clean:
            self._sink.on_abort(Disconnected("the client closed the connection in the middle of a request"))

    def _step(self, data: bytes) -> bytes:
        """Take what belongs to the present state; give the rest back."""
        if self._state == _HEAD:
            return self._read_head(data)
        if self._state == _COUNTED:
            return self._read_counted(data)
        if self._state == _CHUNKED:
            return self._read_chunked(data)
        return b""

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
        held.clear()
        self._scan = None
        self._begin(raw)
        return rest

    def _refuse_empty_lines(self) -> None:
        refusal = Refusal(400, "empty-lines", "too many empty lines before a request", "RFC 9112 section 2.2")
        if self._empty_lines > MOST_LEADING_EMPTY_LINES:
            raise refusal
        self._policy.tolerance.refuse(refusal)

    def _begin(self, raw: bytes) -> None:
        request = self._policy.read(raw, self._split, self._sink.new_request, self._memo)
        self._empty_lines = 0
        if request.has_body:
            self._expect_body(request)
        else:
            self._sink.on_request(request)
            self._sink.on_end()

    def _expect_body(self, request: Request) -> None:
        """A client that waits for "100 Continue" sends the body when the application asks for it, not before."""
        if 0 < request.content_length <= self._policy.limits.ahead and not request.expects_continue:
            self._ahead = request
            self.pending = self.pending_body = True
        else:
            self._sink.on_request(request)
        if request.chunked:
            self._chunked = ChunkedDecoder(self._policy.limits, self._policy.tolerance)
            self._state = _CHUNKED
        else:
            self._left = request.content_length
            self._state = _COUNTED

    def _read_counted(self, data: bytes) -> bytes:
        piece = data[: self._left]
        self._left -= len(piece)
        sink = self._sink
        if self._ahead is None:
            sink.on_body(piece)
        else:
            self._pieces.append(piece)
        if not self._left:
            self._state = _HEAD
            if self._ahead is not None:
                self._hand_over(self._ahead)
            sink.on_end()
        return data[len(piece) :]

    def _hand_over(self, request: Request) -> None:
        """Its body is complete."""
        pieces, self._pieces = self._pieces, []
        self._ahead = None
        self.pending = self.pending_body = False
        self._sink.on_request(request)
        self._sink.on_body(b"".join(pieces))

    def _read_chunked(self, data: bytes) -> bytes:
        assert self._chunked is not None
        rest = self._chunked.feed(data, self._sink.on_body)
        if rest is None:
            return b""
        self._chunked = None
        self._state = _HEAD
        self._sink.on_end()
        return rest

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
