"""The connections of a worker on its event loop."""

import socket
from asyncio import AbstractEventLoop
from collections.abc import Callable

from unicorn_asgi.connection import Connection
from unicorn_asgi.exchange import Keeper
from unicorn_asgi.scope import ScopeFactory
from unicorn_core.worker.scoreboard import CONNECTIONS, Row
from unicorn_http.codec import ConnectionFactory, Peer
from unicorn_http.serving.acceptor import Acceptor
from unicorn_http.serving.connections import Connections
from unicorn_http.serving.opening import Opener
from unicorn_http.serving.outbox import Outbox
from unicorn_http.serving.pace import Pace
from unicorn_http.serving.states import CLOSED
from unicorn_http.serving.times import Times


class LoopConnections(Connections[Connection]):
    """See unicorn_http.serving.connections.Connections.

    Attributes:
        keeper: runs what they bring; set before the first one is accepted.
        left: is called when one has ended while the worker waits for that.
    """

    keeper: Keeper
    left: Callable[[], None]

    def __init__(
        self,
        acceptor: Acceptor,
        loop: AbstractEventLoop,
        outbox: Outbox,
        make_codec: ConnectionFactory,
        scopes: ScopeFactory,
        times: Times,
        limit: int,
        row: Row,
        pace: Pace,
        opener: Opener | None,
        sendfile: bool,
    ) -> None:
        """`sendfile`: the system may send files (setting sendfile)."""
        super().__init__(acceptor, times, limit, row, pace, opener)
        self._loop = loop
        self._outbox = outbox
        self._make_codec = make_codec
        self._scopes = scopes
        self._sendfile = sendfile

    def make(self, sock: socket.socket, peer: Peer, now: float) -> Connection:
        # At once, not with the turn: it decides who accepts the next one.
        self._row.cells[CONNECTIONS] = len(self.by_fd) + 1
        if not peer.client:
            peer = Peer("", 0, sock.getsockname(), 0)
        return Connection(
            sock,
            peer,
            self._make_codec,
            self._scopes.names,
            self._scopes.for_connection(peer),
            self._times,
            self._loop,
            self._outbox,
            self.persistence,
            self._sendfile,
            self.keeper,
            now,
        )

    def settle(self, connection: Connection) -> None:
        """Watch it, or if it is closed forget it; may be called again."""
        if connection.forgotten:
            return
        if connection.state is CLOSED:
            del self.by_fd[connection.fd]
            connection.close_descriptor()
            self._row.cells[CONNECTIONS] = len(self.by_fd)
            if not self.free:
                self.left()
        else:
            connection.watch()

    def end(self, connection: Connection) -> None:
        # The client must not take what it has read of an answer for all of it.
        if connection.flushing or connection.exchange is not None:
            connection.cut()
        else:
            connection.state = CLOSED
        self.settle(connection)
