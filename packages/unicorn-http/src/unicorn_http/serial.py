"""What protocols have in common whose connections carry one request after the other, each a head and then its body."""

from unicorn_http.codec import Sink
from unicorn_http.semantics.chunked import ChunkedDecoder
from unicorn_http.semantics.head import HeadPolicy
from unicorn_http.semantics.refusal import Disconnected, Refusal
from unicorn_http.semantics.request import Request

# What the next bytes are: plain numbers, because an enum costs a look-up where every request passes.
HEAD = 0
COUNTED = 1
CHUNKED = 2
IGNORE = 3


class SerialCodec:
    """Reads one connection. Each state takes bytes and gives those back that belong to the next one.

    A subclass tells how a head is read, `_read_head`, and hands each over to `_take`.
    """

    __slots__ = (
        "_ahead",
        "_chunked",
        "_held",
        "_left",
        "_next",
        "_pieces",
        "_policy",
        "_sink",
        "_state",
        "pending",
        "pending_body",
    )

    def __init__(self, sink: Sink, policy: HeadPolicy) -> None:
        self._sink = sink
        self._policy = policy
        self._state = HEAD
        self._next = HEAD  # the state behind a request
        self.pending = self.pending_body = False
        self._held = bytearray()  # a head of which only a part has come
        self._left = 0
        self._ahead: Request | None = None  # of which the sink is told once its body is complete
        self._pieces: list[bytes] = []
        self._chunked: ChunkedDecoder | None = None

    def feed(self, data: bytes) -> None:
        try:
            while data:
                data = self._step(data)
        except Refusal as error:
            self._refuse(error, data)

    def feed_eof(self) -> None:
        """An end between two requests is no news for the sink; one within a request is."""
        clean = self._state == IGNORE or (self._state == HEAD and not self._held)
        self._state = IGNORE
        if not clean:
            self._sink.on_abort(Disconnected("the client closed the connection in the middle of a request"))

    def _refuse(self, error: Refusal, data: bytes) -> None:
        """What was fed is refused, from the begin of `data` on."""
        self._state = IGNORE
        self._sink.on_abort(error)

    def _step(self, data: bytes) -> bytes:
        """Take what belongs to the present state; give the rest back."""
        if self._state == HEAD:
            return self._read_head(data)
        if self._state == COUNTED:
            return self._read_counted(data)
        if self._state == CHUNKED:
            return self._read_chunked(data)
        return b""

    def _read_head(self, data: bytes) -> bytes:
        raise NotImplementedError

    def _take(self, request: Request) -> None:
        """A head is complete and allowed."""
        if request.has_body:
            self._expect_body(request)
        else:
            self._state = self._next
            request.complete = True
            self._sink.on_request(request)

    def _expect_body(self, request: Request) -> None:
        """A client that waits for "100 Continue" sends the body when the application asks for it, not before."""
        if 0 < request.content_length <= self._policy.limits.ahead and not request.expects_continue:
            self._ahead = request
            self.pending = self.pending_body = True
        else:
            self._sink.on_request(request)
        if request.chunked:
            self._chunked = ChunkedDecoder(self._policy.limits, self._policy.tolerance)
            self._state = CHUNKED
        else:
            self._left = request.content_length
            self._state = COUNTED

    def _read_counted(self, data: bytes) -> bytes:
        piece = data[: self._left]
        self._left -= len(piece)
        sink = self._sink
        if self._ahead is None:
            sink.on_body(piece)
        else:
            self._pieces.append(piece)
        if not self._left:
            self._state = self._next
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
        self._state = self._next
        self._sink.on_end()
        return rest
