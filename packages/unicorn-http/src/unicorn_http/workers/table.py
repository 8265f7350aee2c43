"""The connections of a blocking worker: accepting, watching, ending them in time."""

import errno
import socket
from collections.abc import Sequence

from unicorn_core.listen.listener import Listener
from unicorn_core.observe.logs import Logger
from unicorn_http.codec import ConnectionFactory, Peer
from unicorn_http.workers.connection import CLOSED, Connection
from unicorn_http.workers.outbox import Outbox
from unicorn_http.workers.poller import READ, Poller
from unicorn_http.workers.times import Times
from unicorn_http.wsgi.environ import EnvironFactory

SWEEP = 1.0
"""Seconds between two looks at all deadlines: the coarseness of every timeout of a connection."""
GREEDY = 64
"""Connections accepted in a row by a worker that is alone; one of several leaves the others their share."""


class ConnectionTable:
    """All connections of a worker by descriptor.

    Args:
        limit: how many there may be; beyond that the listeners wait (setting worker_connections).
        shared: other workers accept from the same listeners.
    """

    def __init__(
        self,
        listeners: Sequence[Listener],
        poller: Poller,
        outbox: Outbox,
        make_codec: ConnectionFactory,
        environs: EnvironFactory,
        times: Times,
        limit: int,
        shared: bool,
        log: Logger,
    ) -> None:
        self.by_fd: dict[int, Connection] = {}
        self.listeners = {listener.socket.fileno(): listener for listener in listeners}
        self._addresses = {fd: _address(listener) for fd, listener in self.listeners.items()}
        self._poller = poller
        self._outbox = outbox
        self._make_codec = make_codec
        self._environs = environs
        self._times = times
        self._limit = limit
        self._shared = shared
        self._log = log
        self._accepting = False
        self._draining = False
        self._next_sweep = 0.0

    def open(self) -> None:
        """Watch the listeners."""
        if not self._accepting and not self._draining:
            for fd in self.listeners:
                self._poller.add(fd, READ, shared=self._shared)
            self._accepting = True

    def accept(self, listener: int, now: float) -> list[Connection]:
        """Accept what waits at a listener; what came with a new connection has been taken in."""
        accepted: list[Connection] = []
        for _ in range(1 if self._shared else GREEDY):
            if len(self.by_fd) >= self._limit and not self._draining:
                self._pause()
                break
            try:
                sock, address = self.listeners[listener].socket.accept()
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._log.error("Cannot accept connections: %s; trying again in a second", error.strerror)
                    self._pause()
                    break
                continue  # the client was gone before it was accepted
            accepted.append(self._new(sock, address, listener, now))
        return accepted

    def settle(self, connection: Connection) -> None:
        """After a connection was worked on: watch it, or forget it."""
        if connection.state is CLOSED:
            if connection.watched:
                self._poller.remove(connection.fd)
            del self.by_fd[connection.fd]
            connection.socket.close()
        else:
            connection.watch()

    def sweep(self, now: float) -> list[Connection]:
        """Once a second: end what waited too long. Gives those whose head came too slowly, to be answered 408."""
        if now < self._next_sweep:
            return []
        self._next_sweep = now + SWEEP
        slow: list[Connection] = []
        for connection in [c for c in self.by_fd.values() if c.expired(now)]:
            if connection.begun:
                slow.append(connection)
            else:
                connection.state = CLOSED
                self.settle(connection)
        if len(self.by_fd) < self._limit:
            self.open()
        return slow

    def drain(self, now: float, patience: float) -> list[Connection]:
        """Accept what the kernel has accepted already, then no more; gives the new connections.

        Connections that wait for a request may still bring one, but not beyond their keep-alive and `patience`.
        """
        accepted: list[Connection] = []
        # Nobody accepts later what is left now, so the limit does not hold; the kernel's queue is bounded by `backlog`.
        self._draining = True
        for fd, listener in self.listeners.items():
            while more := self.accept(fd, now):
                accepted += more
            if self._accepting:
                self._poller.remove(fd)
            listener.close()
        self.listeners.clear()
        self._accepting = False
        for connection in self.by_fd.values():
            connection.draining = True
            if connection.idle:
                connection.since = now
                connection.patience = min(self._times.keepalive, patience)
        return accepted

    def _pause(self) -> None:
        """Leave new connections in the kernel's queue; the next sweep looks again."""
        if self._accepting:
            for fd in self.listeners:
                self._poller.remove(fd)
            self._accepting = False

    def _new(self, sock: socket.socket, address: object, listener: int, now: float) -> Connection:
        sock.setblocking(False)
        host, port = self._addresses[listener]
        if sock.family == socket.AF_UNIX:
            peer = Peer("", 0, "", 0)
        else:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if not host:
                host = sock.getsockname()[0]
            assert isinstance(address, tuple)
            peer = Peer(address[0], address[1], host, port)
        environ = self._environs.for_connection(peer)
        connection = Connection(
            sock,
            peer,
            self._make_codec,
            self._environs.names,
            environ,
            self._times,
            self._poller,
            self._outbox,
            now,
        )
        self.by_fd[connection.fd] = connection
        connection.take_in(now)
        return connection


def _address(listener: Listener) -> tuple[str, int]:
    """Host and port of a TCP listener; an empty host if each connection has its own (a wildcard address)."""
    if listener.is_unix:
        return "", 0
    host, port = listener.socket.getsockname()[:2]
    return ("" if host in ("0.0.0.0", "::") else host), port
