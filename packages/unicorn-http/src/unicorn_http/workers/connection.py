"""One client's connection in a blocking worker: what came, what waits to be written, and how it ends."""

import contextlib
import os
import select
import socket
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from enum import Enum, auto
from functools import partial
from time import monotonic

from unicorn_http.codec import Codec, ConnectionFactory, Peer
from unicorn_http.semantics.fields import FieldNames
from unicorn_http.semantics.refusal import CodecError, Refusal, too_slow
from unicorn_http.semantics.request import Request
from unicorn_http.semantics.response import ResponseHead
from unicorn_http.workers import outbox as holding
from unicorn_http.workers.outbox import Outbox
from unicorn_http.workers.poller import READ, WRITE, Poller
from unicorn_http.workers.stream import SecureStream, Stream
from unicorn_http.workers.times import Times, wait
from unicorn_http.wsgi.body import BodyError
from unicorn_http.wsgi.reply import ClientGoneError
from unicorn_http.wsgi.request import Environ, SecureRequest, WsgiRequest
from unicorn_http.wsgi.takeover import KEYS, HandedSocket, TakenOver

RECEIVE = 65536
"""Bytes read at once. Together with the rule that nothing is read while requests wait, the bound of pipelining."""
LARGE_BODY = 16384
"""A request whose body has so many bytes is run as soon as its head is there: the bodies of a whole turn would push
each other out of the cache."""
JOIN = 2048
"""Bytes of a body that is copied behind its head; a larger one is written from where it lies."""
LINGER = 2.0
"""Seconds that a client has for reading the last answer before the connection is reset (RFC 9112 section 9.6)."""
LINGER_BYTES = 1 << 20
IOV_MAX = 64
"""Parts written by one call."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class State(Enum):
    """What a connection waits for."""

    READING = auto()
    FLUSHING = auto()  # for the client to read what is unsent
    LINGERING = auto()  # for the client to close, after the last answer
    CLOSED = auto()
    HANDSHAKING = auto()  # for what comes before HTTP: a PROXY header, a TLS handshake


# Names of the module, because looking a member up in its class costs more than comparing it.
READING, FLUSHING, LINGERING, CLOSED, HANDSHAKING = State

Opening = Iterator[int]
"""What comes before HTTP, step by step: gives READ or WRITE for what it waits, and ends when HTTP may begin. It may
leave the connection in another state than HANDSHAKING, too; OSError: the client is gone."""


class Persistence:
    """Whether connections stay open after their next answer: one for all connections of a worker.

    Attributes:
        allowed: they do, as far as the worker is concerned.
    """

    __slots__ = ("allowed",)

    def __init__(self) -> None:
        self.allowed = True


class Connection:
    """A sink of its codec, and the outlet of its requests.

    Attributes:
        label: stands before its requests' lines in the scoreboard.
        queue: requests that came and are not yet run, in order.
        state: see `State`.
        socket: what bytes go through; not for reading by others.
        tls: the same if it is TLS; None: it is not.
        opening: what is still to come before HTTP.
        since: when the present wait began (monotonic seconds); see `expired`.
        served: it has brought a request before.
        closing: no further request is served.
        patience: seconds for which it may be idle, beside its keep-alive; less once the worker stops.
        watched: what the poller watches it for (READ, WRITE); 0 if it does not know it.
        apart: who serves it is perhaps no longer the one who polls: what it is watched for is settled afterwards.
        outbox: where answers are held, of the thread that serves it.
    """

    __slots__ = (
        "_held",
        "_lingered",
        "_names",
        "_persistence",
        "_poller",
        "_times",
        "_unfinished",
        "_unsent",
        "apart",
        "closing",
        "codec",
        "environ",
        "fd",
        "label",
        "new_request",
        "opening",
        "outbox",
        "patience",
        "peer",
        "queue",
        "served",
        "since",
        "socket",
        "state",
        "tls",
        "watched",
    )

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
        self.socket: Stream = sock
        self.tls: SecureStream | None = None
        self.opening: Opening = iter(())
        self.fd = sock.fileno()
        self._names = names
        self.introduce(peer, make_codec, environ)
        self._times = times
        self._poller = poller
        self.outbox = outbox
        self._persistence = persistence
        self.queue: deque[WsgiRequest] = deque()
        self._unfinished: WsgiRequest | None = None  # its body has not come completely
        self._held: list[bytes] = []
        self._unsent = memoryview(b"")
        self._lingered = 0
        self.state = READING
        self.since = now
        self.served = False
        self.patience = float("inf")
        self.closing = False
        self.watched = 0
        self.apart = False

    # Before HTTP

    def shake_hands(self, now: float) -> None:
        """Go on with what comes before HTTP, as far as it goes without waiting; then take in.

        If that leaves it CLOSED, it must be settled before anything else is accepted: see `ConnectionTable`.
        """
        try:
            wanted = next(self.opening, 0)
        except OSError:
            self.state = CLOSED
            return
        if self.state is not HANDSHAKING:
            return
        self._watch(wanted or READ)
        if not wanted:
            self.state = READING
            self.since = now
            self.take_in(now)

    def introduce(self, peer: Peer, make_codec: ConnectionFactory, environ: Environ) -> None:
        """This is who the client is; `environ`: what all requests have in common."""
        self.peer = peer
        self.label = peer.client.encode("ascii") + b"\0"
        self.environ = environ
        for key in KEYS:
            environ[key] = HandedSocket(self)
        self.new_request: Callable[[], WsgiRequest] = partial(WsgiRequest, self._names, environ, self)
        self.codec: Codec = make_codec(self, peer)

    def secure(self, stream: SecureStream) -> None:
        """From now on bytes go through this; the socket belongs to it. The poller must not know the descriptor."""
        self.socket = self.tls = stream

    def secured(self, variables: Mapping[str, str]) -> None:
        """The requests come over TLS; `variables` are for environ."""
        self.environ.update(variables)
        for key in KEYS:
            del self.environ[key]  # bytes past the encryption would be of no use
        self.new_request = partial(SecureRequest, self._names, self.environ, self)

    def refuse(self, refusal: Refusal) -> None:
        """What the client sends is no HTTP that it would get an answer to otherwise; it gets this one."""
        self.state = READING
        self.codec.feed_eof()  # reads nothing from now on
        self.on_abort(refusal)

    # Taking in

    def take_in(self, now: float) -> None:
        """Read once, without waiting; complete heads end up in `queue`."""
        try:
            data = self.socket.recv(RECEIVE)
        except BlockingIOError:
            if self.tls is not None and self.tls.wants_write:
                self._keep_unsent(memoryview(b""))
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
        if not wait(self.fd, select.POLLOUT if blocked_by_write else select.POLLIN, self._times.body):
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

    def try_to_complete(self) -> None:
        """Read the rest of a body if it has come already."""
        try:
            data = self.socket.recv(RECEIVE)
        except OSError:
            return
        if data:
            self.codec.feed(data)

    # The codec's sink

    def on_request(self, request: Request) -> None:
        # It is what `new_request` made.
        self._unfinished = request  # type: ignore[assignment]
        self.queue.append(request)  # type: ignore[arg-type]

    def on_body(self, data: bytes) -> None:
        assert self._unfinished is not None
        self._unfinished.pieces.append(data)

    def on_end(self) -> None:
        self._unfinished.complete = True  # type: ignore[union-attr]
        self._unfinished = None

    def on_abort(self, error: CodecError) -> None:
        if self._unfinished is None:
            self.on_request(self.new_request())
            assert self._unfinished is not None
        self._unfinished.error = error

    # Writing

    def frame(self, request: Request, response: ResponseHead, length: int | None) -> bytes:
        """See unicorn_http.wsgi.request.Outlet."""
        if not request.complete:
            self.try_to_complete()
        # What has come behind this request is answered, too.
        persist = request.complete and not self.closing and (self._persistence.allowed or bool(self.queue))
        head = self.codec.head(request, response, length, persist)
        if not response.persistent:
            self.closing = True
        return head

    def send(self, *parts: bytes) -> None:
        """See unicorn_http.wsgi.request.Outlet."""
        self.outbox.release()
        if self._unsent:
            unsent, self._unsent = self._unsent, memoryview(b"")
            self._send_waiting(unsent)
        try:
            sent = self.socket.sendmsg(parts)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise ClientGoneError from error
        if sent < sum(map(len, parts)):
            self._send_waiting(memoryview(b"".join(parts))[sent:])

    def finish(self, head: bytes, body: bytes) -> None:
        """See unicorn_http.wsgi.request.Outlet."""
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
        self._write([head + body] if size <= JOIN else [head, body])

    def release(self) -> None:
        """See unicorn_http.workers.outbox.Holder."""
        held = self._held
        self._held = []
        self._write(held)

    def send_file(self, descriptor: int, offset: int, count: int) -> int:
        """See unicorn_http.wsgi.request.Outlet."""
        if self.tls is not None:
            return self._send_by_reading(descriptor, offset, count)
        end = offset + count
        at = offset
        while at < end:
            try:
                sent = os.sendfile(self.fd, descriptor, at, min(end - at, 1 << 30))
            except BlockingIOError:
                if not wait(self.fd, select.POLLOUT, self._times.write):
                    raise ClientGoneError("the client does not read") from None
                continue
            except OSError as error:
                raise ClientGoneError from error
            if sent == 0:
                break  # the file was cut short meanwhile
            at += sent
        return at - offset

    def flush(self) -> None:
        """The client can be written to again."""
        try:
            sent = self.socket.send(self._unsent)
        except BlockingIOError:
            return
        except OSError:
            self.state = CLOSED
            return
        self._unsent = self._unsent[sent:]
        if self._unsent:
            self.since = monotonic()
        else:
            self.state = READING
            self._watch(READ)
            self.since = monotonic()
            if self.closing:
                self.end(self.since)

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
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.state = CLOSED
            return
        self.state = LINGERING
        self.since = now

    def linger(self) -> None:
        """Throw away what still comes, up to a bound."""
        try:
            size = len(self.socket.recv(RECEIVE))
        except BlockingIOError:
            return
        except OSError:
            size = 0
        self._lingered += size
        if not size or self._lingered > LINGER_BYTES:
            self.state = CLOSED

    def take_over(self) -> socket.socket:
        """See unicorn_http.wsgi.takeover.Owner."""
        self.outbox.release()
        if self._unsent:
            unsent, self._unsent = self._unsent, memoryview(b"")
            self._send_waiting(unsent)
        self.unwatch()
        self.closing = True
        self.queue.clear()
        self.codec = TakenOver()
        assert isinstance(self.socket, socket.socket)
        self.socket.setblocking(True)
        return self.socket

    def hang_up(self) -> None:
        """See unicorn_http.wsgi.request.Outlet."""
        self.closing = True
        self.queue.clear()
        if self.state is READING:
            self.state = CLOSED
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)  # wakes whoever still reads in another thread

    def cut(self) -> None:
        """Close at once, by a reset: the client sees that the response is not complete, however it was framed."""
        if self.state is not CLOSED:
            self.state = CLOSED
            if self.tls is not None:
                self.tls.abort()
            with contextlib.suppress(OSError):
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.closing = True
        self.queue.clear()

    @property
    def idle(self) -> bool:
        """It waits for a request of which nothing has come."""
        return self.state is HANDSHAKING or (self.state is READING and not self.queue and not self.codec.pending)

    @property
    def begun(self) -> bool:
        """A part of a request's head has come, and the rest is waited for."""
        return self.state is READING and not self.queue and self.codec.pending

    def awaits_first(self, patience: float, now: float) -> bool:
        """It is new, and its first request may be expected: within `patience` seconds it has not been answered."""
        return self.state in (READING, HANDSHAKING) and not self.served and now - self.since < patience

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
            limit = times.body if self.codec.pending_body else times.head
        else:
            limit = min(times.keepalive if self.served else times.head, self.patience)
        return now - self.since > limit

    # Details

    def _write(self, parts: list[bytes]) -> None:
        """Write without waiting; what does not fit is kept until the poller says that there is room."""
        if self._unsent:
            self._unsent = memoryview(bytes(self._unsent) + b"".join(parts))
            return
        try:
            if len(parts) == 1:
                sent = self.socket.send(parts[0])
                if sent == len(parts[0]):
                    return
            else:
                sent = self.socket.sendmsg(parts[:IOV_MAX])
        except BlockingIOError:
            sent = 0
        except OSError:
            self.state = CLOSED
            return
        if sent < sum(map(len, parts)):
            self._keep_unsent(memoryview(b"".join(parts))[sent:])

    def _keep_unsent(self, data: memoryview) -> None:
        self._unsent = data
        self.since = monotonic()
        if self.state is not FLUSHING:
            self.state = FLUSHING
            self._watch(WRITE)

    def _watch(self, events: int) -> None:
        if self.apart or self.watched == events:
            return
        if self.watched:
            self._poller.change(self.fd, events)
        else:
            self._poller.add(self.fd, events)
        self.watched = events

    def watch(self) -> None:
        """Let the poller tell when something comes, or when the client can be written to."""
        if not self.watched or self.state is FLUSHING:
            self._watch(WRITE if self.state is FLUSHING else READ)

    def unwatch(self) -> None:
        """Let the poller forget it."""
        if self.watched:
            self._poller.remove(self.fd)
            self.watched = 0

    def _send_by_reading(self, descriptor: int, offset: int, count: int) -> int:
        """Send a part of a file that has to pass through this process; how much was there."""
        at, end = offset, offset + count
        while at < end and (data := os.pread(descriptor, min(end - at, RECEIVE), at)):
            self.send(data)
            at += len(data)
        return at - offset

    def _send_waiting(self, data: memoryview) -> None:
        while data:
            if not wait(self.fd, select.POLLOUT, self._times.write):
                raise ClientGoneError("the client does not read")
            try:
                data = data[self.socket.send(data) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise ClientGoneError from error
        if self.state is FLUSHING:
            self.state = READING
            self._watch(READ)
