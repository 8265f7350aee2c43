"""The connections of a worker: accepting, watching, ending them in time."""

import socket
from collections.abc import Collection, Iterable
from typing import Generic, TypeVar

from unicorn_core.worker.scoreboard import TAKEN, Row
from unicorn_http.codec import Peer
from unicorn_http.semantics.refusal import too_many_requests
from unicorn_http.serving.acceptor import Acceptor, Arrival
from unicorn_http.serving.opened import Kept
from unicorn_http.serving.opening import Opener
from unicorn_http.serving.pace import Pace
from unicorn_http.serving.states import CLOSED, FLUSHING, HANDSHAKING, LINGER, READING, Persistence
from unicorn_http.serving.times import Times

SWEEP = 1.0
"""Seconds between two looks at all deadlines: the coarseness of every timeout of a connection."""
EXPECTED = 0.25
"""Seconds within which a new connection is expected to bring its request; so long it is a load."""
MOST_EXPECTED = 100
UNIX_PEER = Peer("", 0, "", 0)

C = TypeVar("C", bound=Kept)


class Connections(Generic[C]):
    """All connections of a worker by descriptor. A subclass makes them.

    Args:
        limit: how many there may be; beyond that the listeners wait (setting worker_connections).
        opener: for what comes before HTTP; None if nothing does.

    Attributes:
        free: nothing keeps the worker from accepting, and it expects no request of a new connection.
        persistence: whether they stay open after their next answer.
    """

    def __init__(
        self, acceptor: Acceptor, times: Times, limit: int, row: Row, pace: Pace, opener: Opener | None
    ) -> None:
        self.by_fd: dict[int, C] = {}
        self.acceptor = acceptor
        self.free = True
        self.persistence = Persistence()
        self._times = times
        self._limit = limit
        self._row = row
        self._pace = pace
        self._opener = opener
        self._awaited: list[C] = []  # new ones that have not brought a request
        self._ending = False
        self._draining = False
        self._patience = float("inf")
        self._next_sweep = 0.0

    def make(self, sock: socket.socket, peer: Peer, now: float) -> C:
        """A new connection."""
        raise NotImplementedError

    @property
    def finished(self) -> bool:
        """Nothing is left of the worker's work."""
        return self._draining and not self.by_fd and self.acceptor.finished

    # Accepting

    def accept(self, listeners: Collection[int], busy: bool, now: float) -> list[C]:
        """Accept from listeners that have connections, unless another worker shall have them.

        What came with a new connection has been taken in. `busy`: the worker has requests to run.
        """
        accepted: list[C] = []
        acceptor = self.acceptor
        for fd in listeners:
            if fd not in acceptor or not acceptor.watching:
                continue
            for _ in range(acceptor.fair(self._held(busy, now), now)):
                arrival = acceptor.accept(fd, now)
                if arrival is None:
                    break
                if not self._pace.fast:
                    self._row.load(TAKEN)
                    self.free = False
                connection = self._new(arrival, now)
                if connection is not None:
                    accepted.append(connection)
                if self._full:
                    # Now, and not when the system has chosen this worker for a connection that it would not take.
                    acceptor.pause(now)
                    break
        if not acceptor.watching:
            self.free = False
        return accepted

    def due(self, now: float) -> list[int]:
        """Listeners to accept from although the poller has not told of them; asked for unless `free`."""
        self._expect(now)
        return [] if self._full else self.acceptor.due(now, bool(self._awaited))

    def load(self, now: float) -> int:
        """See unicorn_core.worker.scoreboard.Row.load; finds out anew whether the worker is `free`."""
        self._expect(now)
        self.free = self.acceptor.undisturbed and not self._awaited and not self._draining
        return len(self._awaited) if self.acceptor.takes else TAKEN

    def patience(self, longest: float, now: float) -> float:
        """Seconds until the worker must look after what keeps it from being `free`, at most `longest`."""
        until = now + longest
        if not self._full:
            until = min(until, self.acceptor.due_at())
        if self._awaited:
            until = min(until, self._awaited[0].since + EXPECTED)
        return max(0.0, until - now)

    # Keeping connections

    def settle(self, connection: C) -> None:
        """After a connection was worked on: watch it, or forget it."""
        if connection.state is CLOSED:
            if self.by_fd.get(connection.fd) is not connection:
                return  # that was done, and the descriptor is perhaps another one's
            connection.unwatch()
            del self.by_fd[connection.fd]
            connection.socket.close()
        else:
            connection.watch()

    def sweep(self, now: float) -> list[C]:
        """Once a second: end what waited too long. Gives those whose head came too slowly, to be answered 408."""
        if now < self._next_sweep:
            return []
        self._next_sweep = now + SWEEP
        slow: list[C] = []
        for connection in [c for c in list(self.by_fd.values()) if c.expired(now)]:
            if connection.begun:
                slow.append(connection)
            else:
                self.end(connection)
        self.adapt()
        return slow

    def end(self, connection: C) -> None:
        """One that has waited too long."""
        if connection.state is FLUSHING:
            connection.cut()  # the client must not take what it has read for all of it
        connection.state = CLOSED
        self.settle(connection)

    def adapt(self) -> None:
        """The pace of the application has changed, or there may be other workers than before."""
        self.acceptor.adapt()
        # While requests are slow, kept connections would make them queue behind each other while other workers idle.
        self.persistence.allowed = not self._ending and not (self._pace.slow and not self._row.alone())

    # Ending

    def lame_duck(self) -> None:
        """Every connection ends with its next answer."""
        self._ending = True
        self.adapt()

    def drain(self, now: float, patience: float, ends: bool) -> list[C]:
        """Accept no more, or if the listeners `ends`, what has come into their queues; see `Acceptor.leave`.

        Connections that wait for a request may still bring one, but not beyond their keep-alive and `patience`.
        Gives the connections that were accepted now.
        """
        # Nobody accepts later what is left now, so the limit does not hold; the system's queue is bounded by `backlog`.
        self._draining = True
        self.free = False
        self._patience = min(self._times.keepalive, patience)
        self.lame_duck()
        for connection in self.by_fd.values():
            if connection.idle:
                connection.since = now
                connection.patience = self._patience
            else:
                # The rest of a request may still come, but not so late that the worker has to be killed for it.
                connection.patience = max(0.0, patience - SWEEP - LINGER)
        arrivals = self.acceptor.leave(ends, now)
        self.acceptor.watch()
        return self._new_ones(arrivals, now)

    def give_back(self, slot: int, ends: bool, now: float) -> list[C]:
        """Accept no more from what was borrowed of this slot; as `drain`."""
        arrivals = self.acceptor.leave(ends, now, slot)
        self.free = False
        return self._new_ones(arrivals, now)

    # Details

    @property
    def _full(self) -> bool:
        return len(self.by_fd) >= self._limit and not self._draining

    def _held(self, busy: bool, now: float) -> bool:
        """The worker has something before it. Its row says how much, for the comparison with others."""
        if self._awaited and not busy:
            self._expect(now)
            self._row.load(len(self._awaited))
        return busy or bool(self._awaited)

    def _expect(self, now: float) -> None:
        """Forget which new connections have brought a request, or will hardly bring one soon."""
        if self._awaited:
            self._awaited = [
                connection
                for connection in self._awaited
                if connection.state in (READING, HANDSHAKING)
                and not connection.served
                and now - connection.since < EXPECTED
            ]

    def _new_ones(self, arrivals: Iterable[Arrival], now: float) -> list[C]:
        return [connection for arrival in arrivals if (connection := self._new(arrival, now)) is not None]

    def _new(self, arrival: Arrival, now: float) -> C | None:
        """None: its client may not connect, or is gone already."""
        sock, address, source = arrival
        sock.setblocking(False)
        if source.listener.is_unix:
            peer = UNIX_PEER
        else:
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                peer = Peer(address[0], address[1], source.host or sock.getsockname()[0], source.port)
            except OSError:  # macOS says so of a connection that was reset meanwhile
                sock.close()
                return None
        opener = self._opener
        if opener is not None and not opener.admits(peer.client):
            sock.close()
            return None
        connection = self.make(sock, peer, now)
        connection.patience = self._patience
        self.by_fd[connection.fd] = connection
        if opener is None:
            connection.take_in(now)
        else:
            opener.open(connection, now)
            if connection.state is CLOSED:
                # At once: TLS that fails closes the descriptor, and the next connection may have the same number.
                self.settle(connection)
                return None
        if not self._pace.fast and not connection.queue and len(self._awaited) < MOST_EXPECTED:
            self._awaited.append(connection)
            self.free = False
        return connection


def shed(connections: Iterable[Kept], allowed: int) -> None:
    """Refuse what waits on these beyond so many requests (setting limit_concurrency)."""
    for connection in connections:
        for request in connection.queue:
            if request.error is None:
                allowed -= 1
                if allowed < 0:
                    request.error = too_many_requests()
