"""The connections of a blocking worker."""

import socket

from unicorn_core.worker.scoreboard import Row
from unicorn_http.codec import ConnectionFactory, Peer
from unicorn_http.serving.acceptor import Acceptor
from unicorn_http.serving.connections import Connections
from unicorn_http.serving.opening import Opener
from unicorn_http.serving.outbox import Outbox
from unicorn_http.serving.pace import Pace
from unicorn_http.serving.poller import Poller
from unicorn_http.serving.states import CLOSED
from unicorn_http.serving.times import Times
from unicorn_http.workers.connection import Connection
from unicorn_http.wsgi.environ import EnvironFactory


class ConnectionTable(Connections[Connection]):
    """See unicorn_http.serving.connections.Connections."""

    def __init__(
        self,
        acceptor: Acceptor,
        poller: Poller,
        outbox: Outbox,
        make_codec: ConnectionFactory,
        environs: EnvironFactory,
        times: Times,
        limit: int,
        row: Row,
        pace: Pace,
        opener: Opener | None,
    ) -> None:
        super().__init__(acceptor, times, limit, row, pace, opener)
        self._poller = poller
        self._outbox = outbox
        self._make_codec = make_codec
        self._environs = environs

    def settle(self, connection: Connection) -> None:
        super().settle(connection)
        if connection.state is CLOSED:
            connection.dismiss()

    def make(self, sock: socket.socket, peer: Peer, now: float) -> Connection:
        environ = self._environs.for_connection(peer)
        return Connection(
            sock,
            peer,
            self._make_codec,
            self._environs.names,
            environ,
            self._times,
            self._poller,
            self._outbox,
            self.persistence,
            now,
        )
