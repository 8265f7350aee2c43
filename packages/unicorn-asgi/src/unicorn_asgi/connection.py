"""One client's connection on an event loop: what came, what runs, and how it ends."""

from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Mapping
from socket import socket
from time import monotonic

from unicorn_asgi.exchange import NO_CODEC, Exchange, Keeper
from unicorn_asgi.files import FileSpan
from unicorn_asgi.scope import Scope, SecureListRequest
from unicorn_asgi.transport import RECEIVE, LoopConnection
from unicorn_http.codec import ConnectionFactory, Peer
from unicorn_http.semantics.fields import FieldNames
from unicorn_http.semantics.request import ListRequest
from unicorn_http.serving.outbox import Outbox
from unicorn_http.serving.states import (
    CLOSED,
    HANDSHAKING,
    LINGER,
    LINGERING,
    READING,
    Persistence,
)
from unicorn_http.serving.times import Times

BODY_AHEAD = 65536
"""Bytes of a body that may wait for the application before nothing more is read."""


class Connection(LoopConnection):
    """A sink of its codec, and the outlet of its requests; see unicorn_http.serving.opened.Kept.

    Attributes:
        exchange: what runs; None: nothing does.
        scheduled: it waits for its turn to run.
        in_turn: its turn is being run.
        common: what the scopes of all its requests have in common.
        lingers: at the end it is given time to read the last answer, for it may still be sending.
        forgotten: the table knows it no more, and its descriptor is closed.
    """

    __slots__ = (
        "_body_size",
        "_keeper",
        "_names",
        "common",
        "exchange",
        "forgotten",
        "in_turn",
        "lingers",
        "scheduled",
    )

    queue: deque[ListRequest]
    _unfinished: ListRequest | None

    def __init__(
        self,
        sock: socket,
        peer: Peer,
        make_codec: ConnectionFactory,
        names: FieldNames[bytes],
        common: Scope,
        times: Times,
        loop: AbstractEventLoop,
        outbox: Outbox,
        persistence: Persistence,
        sendfile: bool,
        keeper: Keeper,
        now: float,
    ) -> None:
        super().__init__(sock, loop, times, outbox, persistence, sendfile, now)
        self._names = names
        self.introduce(peer, make_codec, common)
        self._keeper = keeper
        self.exchange: Exchange | None = None
        self._body_size = 0  # bytes of a body that wait for the application
        self.lingers = self.forgotten = self.scheduled = self.in_turn = False

    # Before HTTP: see unicorn_http.serving.opened.Opened

    def introduce(self, peer: Peer, make_codec: ConnectionFactory, common: Scope, /) -> None:
        self.peer = peer
        self.label = peer.client.encode("ascii") + b"\0"
        self.common = common
        self.codec = make_codec(self, peer)

    def secured(self, variables: Mapping[str, str]) -> None:
        from unicorn_asgi.tls import tls_extension

        extensions = dict(self.common["extensions"], tls=tls_extension(variables))
        extensions.pop("http.response.zerocopysend", None)  # the system would send it past the encryption
        self.common["extensions"] = extensions
        self.common["scheme"] = "https"

    # Taking in

    def readable(self) -> None:
        """The loop's callback: something has come."""
        state = self.state
        if state is READING:
            self.take_in(0.0)
        elif state is HANDSHAKING:
            self.shake_hands(monotonic())
        elif state is LINGERING:
            self.linger()
        self._keeper.taken(self)

    def take_in(self, now: float) -> None:
        """Read once, without waiting; complete heads end up in `queue`. `now`: 0 for the present."""
        if self.queue and (self.scheduled or self.exchange is not None):
            self.unwatch_reading()  # what comes meanwhile stays in the system, which bounds pipelining
            return
        try:
            data = self.socket.recv(RECEIVE)
        except BlockingIOError:
            if self.tls is not None and self.tls.wants_write:
                self.watch_writing()
            return
        except OSError:
            self.lost()
            return
        if not data:
            self._end_of_stream()
            return
        if self.closing and self.exchange is None and not self.scheduled:
            return  # nothing more is served, only the last answer not yet written
        begun = self.codec.pending
        self.codec.feed(data)
        if self.exchange is not None:
            self.since = now or monotonic()
            self._look_at_body()
        elif not begun and not self.queue:
            self.since = now or monotonic()

    def read_now(self) -> bool:
        """See unicorn_asgi.outlet.Outlet."""
        if self.state is not READING or self.at_end or self.queue:
            return False
        try:
            data = self.socket.recv(RECEIVE)
        except BlockingIOError:
            return False
        except OSError:
            self.lost()
            return True
        if not data:
            self._end_of_stream()
            return True
        self.codec.feed(data)
        self._look_at_body()
        return True

    def taken(self) -> None:
        """See unicorn_asgi.outlet.Outlet."""
        self._body_size = 0
        self.since = monotonic()
        if not self.reading:
            self.watch()

    def _look_at_body(self) -> None:
        """While something runs: bound what waits for it, and see whether the rest can be read at all."""
        if self._body_size > BODY_AHEAD:
            self.unwatch_reading()
        unfinished, exchange = self._unfinished, self.exchange
        if unfinished is not None and unfinished.error is not None and exchange is not None and not self.queue:
            self._unfinished = None
            self._keeper.failed(self, exchange)

    def _end_of_stream(self) -> None:
        """The client will send no more."""
        self.at_end = self.closing = True
        self.unwatch_reading()
        self.codec.feed_eof()
        exchange = self.exchange
        if exchange is not None:
            exchange.hang_up()
            self._keeper.abandoned(self, exchange)
        elif not self.queue and not self.flushing:
            self.state = CLOSED

    def lost(self) -> None:
        """The connection is broken: nothing can be read or written any more."""
        if self.state is CLOSED:
            return
        super().lost()
        self.closing = True
        self.queue.clear()
        self._held.clear()
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.leave()
            self._keeper.abandoned(self, exchange)
        self._keeper.taken(self)

    # The codec's sink

    def new_request(self) -> ListRequest:
        # Not a partial function, which would make a circle of references.
        return ListRequest(self._names) if self.tls is None else SecureListRequest(self._names)

    def on_body(self, data: bytes) -> None:
        self._unfinished.pieces.append(data)  # type: ignore[union-attr]
        self._body_size += len(data)
        if self.exchange is not None:
            self.exchange.wake()

    def on_end(self) -> None:
        self._unfinished.complete = True  # type: ignore[union-attr]
        self._unfinished = None
        if self.exchange is not None:
            self.exchange.wake()

    # Writing

    def send(self, *parts: bytes) -> None:
        """See unicorn_asgi.outlet.Outlet."""
        if self._held:
            self.outbox.release()
        self.write(parts)

    async def send_file(self, span: FileSpan) -> int:
        """See unicorn_asgi.outlet.Outlet."""
        if self._held:
            self.outbox.release()
        return await super().send_file(span)

    def flushed(self) -> None:
        if self.exchange is None:
            if self.closing and not self.queue:
                self.end(self.since)
            self._keeper.resume(self)

    def over(self) -> None:
        """See unicorn_asgi.outlet.Outlet."""
        self.exchange = None
        self.served = True
        if self.closing:
            self.end(monotonic())
        if not self.in_turn:
            self._keeper.resume(self)

    # Ending

    def end(self, now: float) -> None:
        """No further request is served; the connection closes once the client could read the last answer."""
        self.closing = True
        self.queue.clear()
        if self.state is not READING:
            return
        self.lingers = self.lingers or self._unfinished is not None
        if self.flushing:
            return  # comes back when all is written
        if self.at_end or not self.lingers:
            self.state = CLOSED
            return
        # A close with unread bytes would reset the connection, and the answer might be lost with it.
        self.finish_writing(now)

    def close(self) -> None:
        """End in good order, whatever runs: the client is given time to read what was sent."""
        self.exchange = None
        self.lingers = True
        self.end(monotonic())
        self._keeper.resume(self)

    def cut(self) -> None:
        """Close at once, by a reset: the client sees that the response is not complete, however it was framed."""
        if self.state is not CLOSED:
            self.reset()
            self.lost()

    def close_descriptor(self) -> None:
        """Once it is CLOSED: give everything back, and leave no circle of references behind."""
        self.forgotten = True
        self.unwatch()
        self.socket.close()
        self.codec = NO_CODEC
        self.opening = iter(())  # perhaps not at its end: its frame holds this connection
        self._held.clear()

    @property
    def idle(self) -> bool:
        """It waits for a request of which nothing has come."""
        return self.state is HANDSHAKING or (self._waits and not self.codec.pending)

    @property
    def begun(self) -> bool:
        """A part of a request's head has come, and the rest is waited for."""
        return self._waits and self.codec.pending and not self.flushing

    def expired(self, now: float) -> bool:
        """The present wait for the client has lasted too long, or it is gone."""
        times = self._times
        if self.stalled:
            return now - self._stalled_since > times.write
        if self.state is LINGERING:
            limit = LINGER
        elif self.exchange is not None or self.queue or self.scheduled:
            return self.broken
        elif self.codec.pending:
            limit = times.body if self.codec.pending_body else times.head
        else:
            limit = min(times.keepalive if self.served else times.head, self.patience)
        return now - self.since > limit

    def body_is_late(self, now: float) -> bool:
        """The application waits for more of a body, which has not come for too long."""
        exchange = self.exchange
        return exchange is not None and exchange.waits_for_body and now - self.since > self._times.body

    @property
    def _waits(self) -> bool:
        return self.state is READING and self.exchange is None and not self.queue and not self.scheduled
