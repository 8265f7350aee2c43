"""A client's connection as far as all worker classes agree: a sink of its codec, which frames and holds answers."""

import socket
from collections import deque
from collections.abc import Sequence
from typing import Any

from unicorn_http.codec import Codec, Peer
from unicorn_http.semantics.refusal import CodecError, Refusal
from unicorn_http.semantics.request import Request
from unicorn_http.semantics.response import ResponseHead
from unicorn_http.serving import outbox as holding
from unicorn_http.serving.client_socket import ClientSocket
from unicorn_http.serving.outbox import Outbox
from unicorn_http.serving.states import CLOSED, HANDSHAKING, READING, Opening, Persistence
from unicorn_http.serving.times import Times

JOIN = 2048
"""Bytes of a body that is copied behind its head; a larger one is written from where it lies."""


class ClientConnection(ClientSocket):
    """See the module. A subclass reads and writes.

    Attributes:
        codec: reads what comes, and frames the answers.
        peer: the two ends.
        label: stands before its requests' lines in the scoreboard.
        opening: what is still to come before HTTP.
        queue: requests that came and are not yet run, in order.
        served: it has brought a request before.
        closing: no further request is served.
        patience: seconds for which it may be idle, beside its keep-alive; less once the worker stops.
        outbox: where answers are held, of the thread that serves it.
    """

    __slots__ = (
        "_held",
        "_persistence",
        "_unfinished",
        "closing",
        "codec",
        "label",
        "opening",
        "outbox",
        "patience",
        "peer",
        "queue",
        "served",
    )

    codec: Codec
    peer: Peer
    label: bytes

    def __init__(self, sock: socket.socket, times: Times, outbox: Outbox, persistence: Persistence, now: float) -> None:
        super().__init__(sock, times, now)
        self.opening: Opening = iter(())
        self.outbox = outbox
        self._persistence = persistence
        # Both hold what `new_request` makes, in the form of the subclass's gateway.
        self.queue: deque[Any] = deque()
        self._unfinished: Any = None  # its body has not come completely
        self._held: list[bytes] = []
        self.served = self.closing = False
        self.patience = float("inf")

    # What a subclass does

    def new_request(self) -> Request:
        """See unicorn_http.codec.Sink."""
        raise NotImplementedError

    def await_opening(self, wanted: int) -> None:
        """Let whoever polls tell when `opening` can go on; `wanted`: READ, WRITE, or 0 once it is over."""
        raise NotImplementedError

    def take_in(self, now: float) -> None:
        """Read once, without waiting; complete heads end up in `queue`."""
        raise NotImplementedError

    def read_now(self) -> bool:
        """Read the next bytes of a body if they have come already; whether they had."""
        raise NotImplementedError

    def write(self, parts: Sequence[bytes]) -> None:
        """Write as far as that goes without waiting; what does not fit is kept."""
        raise NotImplementedError

    def send(self, *parts: bytes) -> None:
        """Write now, in order, behind what is held."""
        raise NotImplementedError

    # Before HTTP

    def shake_hands(self, now: float) -> None:
        """Go on with what comes before HTTP, as far as it goes without waiting; then take in.

        If that leaves it CLOSED, it must be settled before anything else is accepted: see `Connections`.
        """
        try:
            wanted = next(self.opening, 0)
        except OSError:
            self.state = CLOSED
            return
        if self.state is not HANDSHAKING:
            return
        self.await_opening(wanted)
        if not wanted:
            self.state = READING
            self.since = now
            self.take_in(now)

    def refuse(self, refusal: Refusal) -> None:
        """What the client sends is no HTTP that it would get an answer to otherwise; it gets this one."""
        self.state = READING
        self.codec.feed_eof()  # reads nothing from now on
        self.on_abort(refusal)

    # The codec's sink

    def on_request(self, request: Request) -> None:
        if not request.complete:
            self._unfinished = request
        self.queue.append(request)

    def on_abort(self, error: CodecError) -> None:
        if self._unfinished is None:
            request = self.new_request()
            if isinstance(error, Refusal) and error.to_head:
                request.method = "HEAD"
            self.on_request(request)
        self._unfinished.error = error

    def on_control(self, data: bytes, last: bool) -> None:
        if self._held:
            self.outbox.release()
        self.write((data,))
        self.closing = self.closing or last

    # The outlet of its requests

    def frame(self, request: Request, response: ResponseHead, length: int | None) -> bytes:
        """Decide how the response is framed; gives the bytes of its head. `length`: of the body, where it is known."""
        if not request.complete and request.error is None:
            self.read_now()  # the rest may have come already
        # What has come behind this request is answered, too.
        persist = request.complete and not self.closing and (self._persistence.allowed or bool(self.queue))
        head = self.codec.head(request, response, length, persist)
        if not response.persistent:
            self.closing = True
        return head

    def interim(self, request: Request, status: str, fields: str) -> None:
        """Write an interim response, if the client can have one; see unicorn_http.codec.Codec."""
        if data := self.codec.interim(request, status, fields):
            self.send(data)

    def finish(self, head: bytes, body: bytes) -> None:
        """Write the last bytes of a response; they may wait until the end of the turn."""
        size = len(body)
        if self.outbox.open and not self.closing and size <= holding.LARGEST:
            held = self._held
            if not held:
                self.outbox.held.append(self)
            if size <= JOIN:
                held.append(head + body)
            else:
                held += (head, body)
            return
        if self._held:
            self.outbox.release()
        self.write((head + body,) if size <= JOIN else (head, body))

    def release(self) -> None:
        """See unicorn_http.serving.outbox.Holder."""
        held = self._held
        self._held = []
        self.write(held)
