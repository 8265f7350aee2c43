"""A client's connection in a blocking worker: watched by the poller, written to with and without waiting."""

import contextlib
import os
import socket
from collections.abc import Sequence
from time import monotonic

from unicorn_http.serving.client_connection import ClientConnection
from unicorn_http.serving.client_socket import IOV_MAX
from unicorn_http.serving.outbox import Outbox
from unicorn_http.serving.poller import READ, WRITE, Poller
from unicorn_http.serving.states import CLOSED, FLUSHING, READING, RECEIVE, Persistence
from unicorn_http.serving.times import Times
from unicorn_http.wsgi.reply import ClientGoneError


class PolledConnection(ClientConnection):
    """See the module.

    Attributes:
        watched: what the poller watches it for (READ, WRITE); 0 if it does not know it.
        apart: who serves it is perhaps no longer the one who polls: what it is watched for is settled afterwards.
    """

    __slots__ = ("_poller", "_unsent", "apart", "watched")

    def __init__(
        self,
        sock: socket.socket,
        times: Times,
        poller: Poller,
        outbox: Outbox,
        persistence: Persistence,
        now: float,
    ) -> None:
        super().__init__(sock, times, outbox, persistence, now)
        self._poller = poller
        self._unsent = memoryview(b"")
        self.watched = 0
        self.apart = False

    # Watching

    def await_opening(self, wanted: int) -> None:
        self._watch(wanted or READ)

    def watch(self) -> None:
        """Let the poller tell when something comes, or when the client can be written to."""
        if not self.watched or self.state is FLUSHING:
            self._watch(WRITE if self.state is FLUSHING else READ)

    def unwatch(self) -> None:
        """Let the poller forget it. The thread that polls and the one that serves it may do so at the same time."""
        if self.watched:
            self.watched = 0
            with contextlib.suppress(FileNotFoundError, KeyError):  # the other was first
                self._poller.remove(self.fd)

    def _watch(self, events: int) -> None:
        if self.apart or self.watched == events:
            return
        if self.watched:
            self._poller.change(self.fd, events)
        else:
            self._poller.add(self.fd, events)
        self.watched = events

    # Writing without waiting

    def write(self, parts: Sequence[bytes]) -> None:
        """Write as far as that goes; what does not fit is kept until the poller says that there is room."""
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
        self.since = monotonic()
        if not self._unsent:
            self._flushed()

    def wants_write(self) -> None:
        """Nothing can be read before TLS has written something of its own."""
        self._keep_unsent(memoryview(b""))

    def _keep_unsent(self, data: memoryview) -> None:
        self._unsent = data
        self.since = monotonic()
        if self.state is not FLUSHING:
            self.state = FLUSHING
            self._watch(WRITE)

    def _flushed(self) -> None:
        self.state = READING
        self._watch(READ)

    # Writing

    def write_all(self, *parts: bytes) -> None:
        """Write, waiting for the client where that is necessary; ClientGoneError: it does not read, or is gone."""
        if self._unsent:
            unsent, self._unsent = self._unsent, memoryview(b"")
            self._send_waiting(unsent)
        try:
            sent = self.socket.sendmsg(parts) if parts else 0
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise ClientGoneError from error
        if sent < sum(map(len, parts)):
            self._send_waiting(memoryview(b"".join(parts))[sent:])

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
                self._wait_for_client()
                continue
            except OSError as error:
                raise ClientGoneError from error
            if sent == 0:
                break  # the file was cut short meanwhile
            at += sent
        return at - offset

    def _send_by_reading(self, descriptor: int, offset: int, count: int) -> int:
        """Send a part of a file that has to pass through this process; how much was there."""
        at, end = offset, offset + count
        while at < end and (data := os.pread(descriptor, min(end - at, RECEIVE), at)):
            self.write_all(data)
            at += len(data)
        return at - offset

    def _send_waiting(self, data: memoryview) -> None:
        while data:
            self._wait_for_client()
            try:
                data = data[self.socket.send(data) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise ClientGoneError from error
        if self.state is FLUSHING:
            self._flushed()

    def _wait_for_client(self) -> None:
        if not self._times.waiting.wait(self.fd, WRITE, self._times.write):
            raise ClientGoneError("the client does not read")

    # Ending

    def shut(self) -> None:
        """Close it; whoever still reads from it in another thread wakes up."""
        self.state = CLOSED
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
