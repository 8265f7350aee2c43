"""One client's connection in a blocking worker: what came, what waits to be written, and how it ends."""

import socket
from collections import deque
from collections.abc import Mapping
from typing import cast

from unicorn_http.codec import ConnectionFactory, Peer
from unicorn_http.semantics.fields import FieldNames
from unicorn_http.semantics.refusal import too_slow
from unicorn_http.semantics.request import Request
from unicorn_http.semantics.response import ResponseHead
from unicorn_http.serving.outbox import Outbox
from unicorn_http.serving.poller import READ, WRITE, Poller
from unicorn_http.serving.states import (
    CLOSED,
    FLUSHING,
    HANDSHAKING,
    LINGER,
    LINGERING,
    READING,
    RECEIVE,
    Persistence,
)
from unicorn_http.serving.times import Times
from unicorn_http.workers.polled_connection import PolledConnection
from unicorn_http.wsgi.body import BodyError
from unicorn_http.wsgi.reply import ClientGoneError
from unicorn_http.wsgi.request import Environ, SecureRequest, WsgiRequest
from unicorn_http.wsgi.takeover import KEYS, HandedSocket, TakenOver

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(PolledConnection):
    """Requests come on it for a WSGI application that blocks; see unicorn_http.wsgi.request.Outlet."""

    __slots__ = ("_names", "environ")

    queue: deque[WsgiRequest]
    _unfinished: WsgiRequest | None

    def __init__(
        self,
        sock: socket.socket,
        peer: Peer,
        make_codec: ConnectionFactory,
        names: FieldNames[str],
        environ: Environ,
        times: Times,
        poller: Poller,
        outbox: Outbox,
        persistence: Persistence,
        now: float,
    ) -> None:
        super().__init__(sock, times, poller, outbox, persistence, now)
        self._names = names
        self.introduce(peer, make_codec, environ)

    # Before HTTP

    def introduce(self, peer: Peer, make_codec: ConnectionFactory, environ: Environ) -> None:
        """This is who the client is; `environ`: what all requests have in common."""
        self.peer = peer
        self.label = peer.client.encode("ascii") + b"\0"
        self.environ = environ
        handed = HandedSocket(self)
        for key in KEYS:
            environ[key] = handed
        self.codec = make_codec(self, peer)

    def secured(self, variables: Mapping[str, str]) -> None:
        """The requests come over TLS; `variables` are for environ."""
        self.environ.update(variables)
        for key in KEYS:
            del self.environ[key]  # bytes past the encryption would be of no use

    def new_request(self) -> WsgiRequest:
        kind = WsgiRequest if self.tls is None else SecureRequest
        return kind(self._names, environ=self.environ.copy(), outlet=self)

    # Taking in

    def take_in(self, now: float) -> None:
        """Read once, without waiting; complete heads end up in `queue`."""
        try:
            data = self.socket.recv(RECEIVE)
        except BlockingIOError:
            if self.tls is not None and self.tls.wants_write:
                self.wants_write()
            return
        except OSError:
            self.state = CLOSED
            return
        if data:
            begun = self.codec.pending
            self.codec.feed(data)
            if not begun:
                self.since = now
        else:
            self.codec.feed_eof()
            self.closing = True
            if not self.queue:
                self.state = CLOSED

    def read_more(self, expects_continue: bool) -> None:
        """Wait for more of the body that the running application reads.

        Raises:
            BodyError: nothing came in time.
        """
        self.outbox.release()
        if expects_continue:
            self.send(CONTINUE)
        blocked_by_write = self.tls is not None and self.tls.wants_write
        if not self._times.waiting.wait(self.fd, WRITE if blocked_by_write else READ, self._times.body):
            raise BodyError.of(too_slow("body"))
        try:
            data = self.socket.recv(RECEIVE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.codec.feed(data)
        else:
            self.closing = True
            self.codec.feed_eof()

    def read_now(self) -> bool:
        try:
            data = self.socket.recv(RECEIVE)
        except OSError:
            return False
        if data:
            self.codec.feed(data)
        return bool(data)

    # The codec's sink

    def on_body(self, data: bytes) -> None:
        assert self._unfinished is not None
        self._unfinished.pieces.append(data)

    def on_end(self) -> None:
        self._unfinished.complete = True  # type: ignore[union-attr]
        self._unfinished = None

    # Writing

    def send(self, *parts: bytes) -> None:
        """See unicorn_http.wsgi.request.Outlet."""
        self.outbox.release()
        self.write_all(*parts)

    # Ending a request, and the connection

    def end(self, now: float, linger: bool = False) -> None:
        """No further request is served; the connection closes once the client could read the last answer.

        Args:
            linger: the client may still be sending, although no request is under way.
        """
        self.closing = True
        self.queue.clear()
        if self.state is not READING:
            return  # flushing: comes back when that is done
        if self._unfinished is None and not linger:
            self.state = CLOSED
            return
        # A close with unread bytes would reset the connection, and the answer might be lost with it.
        self.finish_writing(now)

    def dismiss(self) -> None:
        """It is closed. What it holds and what leads back to it would be left to the garbage collector otherwise."""
        self.codec = _GONE
        self.opening = iter(())  # perhaps not at its end: its frame holds this connection
        self.environ = {}

    def take_over(self) -> socket.socket:
        """See unicorn_http.wsgi.takeover.Owner."""
        self.outbox.release()
        self.write_all()
        self.unwatch()
        self.closing = True
        self.queue.clear()
        self.codec = TakenOver()
        handed = self._times.waiting.handed_out(cast(socket.socket, self.socket))
        self.socket = handed
        return handed

    def hang_up(self) -> None:
        """See unicorn_http.wsgi.request.Outlet."""
        self.closing = True
        self.queue.clear()
        if self.state is READING:
            self.shut()

    def cut(self) -> None:
        """Close at once, by a reset: the client sees that the response is not complete, however it was framed."""
        if self.state is not CLOSED:
            self.state = CLOSED
            self.reset()
        self.closing = True
        self.queue.clear()

    @property
    def taken_over(self) -> bool:
        """See unicorn_http.wsgi.request.Outlet."""
        return isinstance(self.codec, TakenOver)

    @property
    def idle(self) -> bool:
        """It waits for a request of which nothing has come."""
        return self.state is HANDSHAKING or (self.state is READING and not self.queue and not self.codec.pending)

    @property
    def begun(self) -> bool:
        """A part of a request's head has come, and the rest is waited for."""
        return self.state is READING and not self.queue and self.codec.pending

    def expired(self, now: float) -> bool:
        """The present wait has lasted too long. What comes before HTTP counts as a whole, as a head does."""
        times = self._times
        if self.apart:
            return False
        if self.state is FLUSHING:
            limit = times.write
        elif self.state is LINGERING:
            limit = LINGER
        elif self.queue:
            return False  # its requests wait to be run, not for the client
        elif self.codec.pending:
            limit = min(times.body if self.codec.pending_body else times.head, self.patience)
        else:
            limit = min(times.keepalive if self.served else times.head, self.patience)
        return now - self.since > limit


class _Gone:
    """In place of the codec of a connection that is closed; a unicorn_http.codec.Codec."""

    pending = pending_body = False

    def feed(self, data: bytes) -> None:
        """Nothing comes."""

    def feed_eof(self) -> None:
        """Somebody still waits for more of a body."""
        raise BodyError("the connection is closed", 0)

    def head(self, request: Request, response: ResponseHead, length: int | None, persist: bool) -> bytes:
        """Nobody reads it."""
        raise ClientGoneError("the connection is closed")

    def interim(self, request: Request, status: str, fields: str) -> bytes:
        """Nobody reads it."""
        return b""


_GONE = _Gone()
