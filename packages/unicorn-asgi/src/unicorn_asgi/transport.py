"""A client's socket on an event loop: watched, written to without waiting, closed in good order.

It is a non-blocking socket, plain or TLS, on the loop's readiness callbacks: what is to be sent is written at once, and
a callback is registered only for what did not fit. That is less work than a transport of the loop, and leaves it to
the worker when answers are sent.
"""

import contextlib
import os
import socket
from asyncio import AbstractEventLoop, Future
from collections import deque
from collections.abc import Sequence
from contextvars import Context
from itertools import islice
from time import monotonic

from unicorn_asgi.files import FileSpan
from unicorn_http.serving.client_connection import ClientConnection
from unicorn_http.serving.client_socket import IOV_MAX
from unicorn_http.serving.outbox import Outbox
from unicorn_http.serving.poller import WRITE
from unicorn_http.serving.states import CLOSED, HANDSHAKING, Persistence
from unicorn_http.serving.times import Times

RECEIVE = 65536 + 8192
"""Bytes read at once: a body of 64 KiB and its head. For 128 KiB the C library would ask the system each time."""
CONGESTED = 65536
"""Bytes that may wait for the client before an application that sends more has to wait."""
FILE_PIECE = 1 << 20
"""Bytes of a file that are sent before others get a turn."""


class LoopConnection(ClientConnection):
    """See the module. A subclass says what is done when something can be read, and after the end.

    Attributes:
        state: READING, also while something is written; LINGERING, CLOSED, HANDSHAKING.
        at_end: the client will send no more.
        reading: the loop tells when something comes.
    """

    __slots__ = (
        "_drains",
        "_sendfile",
        "_stalled_since",
        "_unsent",
        "_unsent_size",
        "_writing",
        "at_end",
        "loop",
        "reading",
    )

    def __init__(
        self,
        sock: socket.socket,
        loop: AbstractEventLoop,
        times: Times,
        outbox: Outbox,
        persistence: Persistence,
        sendfile: bool,
        now: float,
    ) -> None:
        super().__init__(sock, times, outbox, persistence, now)
        self._sendfile = sendfile
        self.loop = loop
        self._unsent: deque[bytes | memoryview] | tuple[()] = ()
        self._unsent_size = 0
        self._stalled_since = now
        self._drains: list[Future[None]] = []
        self.at_end = self.reading = self._writing = False

    def readable(self) -> None:
        """The loop's callback: something has come."""
        raise NotImplementedError

    def flushed(self) -> None:
        """The client has read all that was sent."""
        raise NotImplementedError

    def lost(self) -> None:
        """The connection is broken: nothing can be read or written any more."""
        self.state = CLOSED
        self.at_end = True
        self._unsent, self._unsent_size = (), 0
        self._wake_drains()

    # Watching

    def await_opening(self, wanted: int) -> None:
        if wanted == WRITE:
            self.watch_writing()
        else:
            self.unwatch_writing()
        self.watch()

    def watch(self) -> None:
        """Let the loop tell when something comes."""
        if not self.reading and not self.at_end and self.state is not CLOSED:
            self.reading = True
            # The loop keeps the present context with a callback: it must not be that of an application.
            Context().run(self.loop.add_reader, self.fd, self.readable)

    def unwatch_reading(self) -> None:
        """Let the loop tell of nothing that comes, until `watch`."""
        if self.reading:
            self.reading = False
            self.loop.remove_reader(self.fd)

    def unwatch(self) -> None:
        """Let the loop forget it."""
        self.unwatch_reading()
        self.unwatch_writing()

    def watch_writing(self) -> None:
        """Let the loop tell when the client can be written to."""
        if not self._writing:
            self._writing = True
            Context().run(self.loop.add_writer, self.fd, self._writable_again)

    def unwatch_writing(self) -> None:
        """Let the loop tell that no more."""
        if self._writing:
            self._writing = False
            self.loop.remove_writer(self.fd)

    # Writing

    @property
    def congested(self) -> bool:
        """The client reads slowly: wait for `drained` before more is sent."""
        return self._unsent_size > CONGESTED

    @property
    def flushing(self) -> bool:
        """The client has not yet read all that was sent."""
        return bool(self._unsent)

    @property
    def stalled(self) -> bool:
        """Something waits to be written."""
        return bool(self._unsent or self._drains)

    @property
    def broken(self) -> bool:
        """The client has reset it. uvloop does not tell of that if data came just before: libuv watches a descriptor
        with an error no more, and what could be read the last time were the data."""
        return self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0

    def write(self, parts: Sequence[bytes | memoryview]) -> None:
        """Write without waiting; what does not fit is kept until there is room."""
        if self.state is CLOSED:
            return
        if self._unsent:
            self._unsent.extend(parts)
            self._unsent_size += sum(map(len, parts))
            return
        try:
            if len(parts) == 1:
                sent = self.socket.send(parts[0])
                if sent == len(parts[0]):
                    return
            else:
                sent = self.socket.sendmsg(parts[:IOV_MAX])  # type: ignore[arg-type]
        except BlockingIOError:
            sent = 0
        except OSError:
            self.lost()
            return
        size = sum(map(len, parts))
        if sent < size:
            self._unsent = deque(parts)
            self._unsent_size = size
            self._skip(sent)
            self._stalled_since = monotonic()
            self.watch_writing()

    async def drained(self) -> None:
        """Wait until the client has read most of what was sent; returns too when it is gone."""
        while self._unsent_size > CONGESTED // 2:
            await self._writable()

    async def send_file(self, span: FileSpan) -> int:
        """Write a part of a file; how many bytes were there."""
        by_system = self._sendfile and self.tls is None
        return await (self._send_by_system(span) if by_system else self._send_by_reading(span))

    # Ending

    def finish_writing(self, now: float) -> None:
        super().finish_writing(now)
        self.watch()

    # Details

    def _skip(self, sent: int) -> None:
        """So many bytes of what is unsent have been written."""
        unsent = self._unsent
        assert unsent
        self._unsent_size -= sent
        while sent:
            part = unsent[0]
            if len(part) > sent:
                unsent[0] = memoryview(part)[sent:]
                return
            sent -= len(part)
            unsent.popleft()

    def _writable_again(self) -> None:
        """The loop's callback: the client can be written to."""
        if self.state is HANDSHAKING or (self.tls is not None and self.tls.wants_write and not self._unsent):
            self.unwatch_writing()
            self.readable()
            return
        if self._unsent:
            try:
                # TLS must be given again what it did not take, and no less than before.
                sent = self.socket.sendmsg(list(islice(self._unsent, IOV_MAX)))  # type: ignore[arg-type]
            except BlockingIOError:
                return
            except OSError:
                self.lost()
                return
            self._stalled_since = monotonic()
            self._skip(sent)
        if self._unsent_size <= CONGESTED // 2:
            self._wake_drains()
        if not self._unsent:
            self.unwatch_writing()
            self.since = monotonic()
            self.flushed()

    async def _writable(self) -> None:
        """Wait until there is room for more, or the connection is lost."""
        waiter = self.loop.create_future()
        self._stalled_since = monotonic()
        self._drains.append(waiter)
        self.watch_writing()
        try:
            await waiter
        finally:
            with contextlib.suppress(ValueError):
                self._drains.remove(waiter)

    def _wake_drains(self) -> None:
        if self._drains:
            drains, self._drains = self._drains, []
            for waiter in drains:
                if not waiter.done():
                    waiter.set_result(None)

    async def _send_by_system(self, span: FileSpan) -> int:
        while self._unsent_size and self.state is not CLOSED:
            await self._writable()
        at, end = span.offset, span.offset + span.count
        while at < end and self.state is not CLOSED:
            try:
                sent = os.sendfile(self.fd, span.descriptor, at, min(end - at, FILE_PIECE))
            except BlockingIOError:
                await self._writable()
                continue
            except OSError:
                self.lost()
                break
            if sent == 0:
                break  # the file was cut short meanwhile
            at += sent
        return at - span.offset

    async def _send_by_reading(self, span: FileSpan) -> int:
        """Send a part of a file that has to pass through this process."""
        at, end = span.offset, span.offset + span.count
        while at < end and self.state is not CLOSED and (data := os.pread(span.descriptor, min(end - at, RECEIVE), at)):
            self.write((data,))
            at += len(data)
            await self.drained()
        return at - span.offset
