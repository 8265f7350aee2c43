"""The listeners of a worker: when it accepts from them, how many connections, and how they are left.

With several workers on one listener a busy one lets an idle one accept first. While the application is fast, the
system wakes one worker for a new connection, which takes it. While it is not (or not known to be), all are woken; each
accepts one connection at a time, and steps back for a moment if another has less before it.
"""

import errno
import socket
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from unicorn_core.listen.listener import Listener
from unicorn_core.observe.logs import Logger
from unicorn_core.worker.scoreboard import Row
from unicorn_http.serving.pace import Pace
from unicorn_http.serving.poller import READ, Watcher

GREEDY = 64
"""Connections accepted in a row by a worker that is alone; one of several leaves the others their share."""
STEP_BACK = 0.05
"""Seconds that a worker leaves a new connection to another; that may be stopped, though it looks idle."""
HASTE = 1.0
"""Seconds for which it does not do so once it has waited in vain, to keep about as many connections as the other."""
LOOK_AGAIN = 0.002
"""Seconds until it looks whether the other has taken it."""
RETRY = 1.0
"""Seconds until it tries again after the system had no descriptor for a connection."""
RECOVERED = 10.0
"""Seconds without such a failure after which the next one is told of again."""
HANDSHAKES = 0.1
"""Seconds for which a listener that lets nobody new in stays open: handshakes that have begun finish meanwhile."""

_BROKEN = frozenset({errno.EBADF, errno.EINVAL, errno.ENOTSOCK})
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Source(Struct):
    """A listener from which this worker accepts; it is closed when it is found empty after `ends_at`.

    Attributes:
        slot: that it is borrowed from; None for the worker's own.
        host, port: of its address; an empty host stands for a wildcard address, or a unix socket.
    """

    listener: Listener
    slot: int | None
    host: str
    port: int
    ends_at: float = float("inf")


Arrival = tuple[socket.socket, Any, Source]
"""An accepted connection with the client's address."""


class Acceptor:
    """Accepts for one worker.

    Args:
        row: the worker's own, to see others.
        shared: other workers accept from the same listeners (without setting reuse_port).
        even: it keeps connections however busy it is, so each worker shall have about as many.

    Attributes:
        watching: the poller tells of new connections.
    """

    def __init__(
        self,
        listeners: Iterable[Listener],
        poller: Watcher,
        row: Row,
        pace: Pace,
        shared: bool,
        log: Logger,
        even: bool = False,
    ) -> None:
        self._sources: dict[int, Source] = {}
        self._poller = poller
        self._row = row
        self._pace = pace
        self._shared = shared
        self._even = even
        self._log = log
        self.watching = False
        self._exclusive = False
        self._stepped_back = False
        self._waiting_since = 0.0  # when it stepped back from a connection of which it does not know that it is gone
        self._in_vain = False  # it has stepped back for long enough
        self._uneven_until = 0.0  # the other was given its chance
        self._resume_at = float("inf")  # when an interruption ends by itself
        self._exhausted_at = float("-inf")  # when the system last had no descriptor
        self._add(None, listeners)

    def __contains__(self, fd: int) -> bool:
        """It is one of the listeners."""
        return fd in self._sources

    @property
    def takes(self) -> bool:
        """New connections are accepted, or left to another worker just for a moment."""
        return bool(self._sources) and (self.watching or self._stepped_back)

    @property
    def undisturbed(self) -> bool:
        """Until the poller tells of a connection there is nothing to do."""
        return self.watching and self.due_at() == float("inf")

    @property
    def finished(self) -> bool:
        """No listener is left."""
        return not self._sources

    # Watching

    def watch(self) -> None:
        """Let the poller tell of new connections."""
        if self.watching:
            return
        # Exclusively watched means: one worker is woken for a connection, and must not leave it to another.
        self._exclusive = self._shared and self._pace.fast
        for fd in self._sources:
            self._poller.add(fd, READ, shared=self._exclusive)
        self.watching = True
        self._stepped_back = False
        self._resume_at = float("inf")

    def pause(self, until: float) -> None:
        """Leave new connections in the system's queue until that time (monotonic seconds), when `due` goes on."""
        if self.watching:
            for fd in self._sources:
                self._poller.remove(fd)
            self.watching = False
        self._resume_at = until

    def adapt(self) -> None:
        """The pace has changed, or a second has passed."""
        # Also without a change: a worker that was woken for a connection may have died before it accepted.
        if self.watching and (self._exclusive or (self._shared and self._pace.fast)):
            self.pause(self._resume_at)
            self.watch()

    def due(self, now: float, held: bool) -> list[int]:
        """Listeners to look at although the poller has not told of them; `held`: as for `fair`.

        Called when an interruption may be over, and when listeners end.
        """
        if not self.watching and now >= self._resume_at:
            self.watch()
            return list(self._sources)
        if self._stepped_back and not held:
            self._waiting_since = 0.0
            self.watch()
        if not self.watching:
            return []
        return [fd for fd, source in self._sources.items() if now >= source.ends_at]

    def due_at(self) -> float:
        """When `due` has something to say at the latest (monotonic seconds)."""
        if not self.watching:
            return self._resume_at
        return min((source.ends_at for source in self._sources.values()), default=float("inf"))

    # Accepting

    def fair(self, held: bool, now: float) -> int:
        """How many connections to accept from a listener that has some; 0: another worker shall have them.

        Args:
            held: the worker has work, or new connections that have not yet brought a request; its row tells the load.
        """
        if not self._shared or self._row.alone():
            return GREEDY
        loaded = held and not self._pace.fast and self._row.another_has_less()
        if loaded or (self._even and now >= self._uneven_until and self._row.another_keeps_fewer()):
            if not self._waiting_since:
                self._waiting_since = now
            if now - self._waiting_since < STEP_BACK:
                self.pause(now + LOOK_AGAIN)
                self._stepped_back = True
                return 0
            self._in_vain = True
        return 1

    def accept(self, fd: int, now: float) -> Arrival | None:
        """The next connection; None if there is none at the moment."""
        source = self._sources[fd]
        self._waiting_since = 0.0
        while True:
            try:
                sock, address = source.listener.accept()
            except BlockingIOError:
                self._in_vain = False
                # A unix socket that turns new clients away would look ready for ever.
                if now >= source.ends_at or (source.listener.is_unix and source.listener.turns_away()):
                    self._close(fd)
                return None
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._wait_for_descriptors(error, now)
                    return None
                if error.errno in _BROKEN:
                    self._log.error("A listener is broken and is given up: %s", error.strerror)
                    self._close(fd)
                    return None
                continue  # the client was gone before it was accepted
            if self._in_vain:
                self._in_vain = False
                self._uneven_until = now + HASTE
            return sock, address, source

    def _wait_for_descriptors(self, error: OSError, now: float) -> None:
        """Let connections wait until the system may have room for them; said once, however long that lasts."""
        if now - self._exhausted_at > RECOVERED:
            limit = " (raise the limit of open files)" if error.errno == errno.EMFILE else ""
            self._log.error("Cannot accept connections, they wait: %s%s", error.strerror, limit)
        self._exhausted_at = now
        self.pause(now + RETRY)

    # Borrowing and leaving

    def borrow(self, slot: int, listeners: Sequence[Listener]) -> None:
        """Accept from the listeners of this slot as well."""
        watching = self.watching
        self.pause(self._resume_at)
        self._add(slot, listeners)
        if watching:
            self.watch()

    def leave(self, ends: bool, now: float, slot: int | None = None) -> list[Arrival]:
        """Accept no more, from the listeners of a borrowed slot or, without one, from any.

        A listener that lets nobody new in stays until its queue is empty: nobody may accept from it afterwards. Of the
        others that holds if they `ends`, and their queues are emptied now: only what comes until they are closed
        is lost then. The worker itself keeps nobody out, since others may go on listening.

        Returns:
            What was accepted now.
        """
        arrivals: list[Arrival] = []
        for fd, source in list(self._sources.items()):
            if slot is not None and source.slot != slot:
                continue
            if source.listener.turns_away():
                source.ends_at = now if source.listener.is_unix else now + HANDSHAKES
                continue
            while ends and (arrival := self.accept(fd, now)):
                arrivals.append(arrival)
            self._close(fd)
        return arrivals

    def _add(self, slot: int | None, listeners: Iterable[Listener]) -> None:
        for listener in listeners:
            host, port = "", 0
            if not listener.is_unix:
                host, port = listener.socket.getsockname()[:2]
            if host in ("0.0.0.0", "::"):
                host = ""
            self._sources[listener.socket.fileno()] = Source(listener, slot, host, port)

    def _close(self, fd: int) -> None:
        source = self._sources.pop(fd)
        if self.watching:
            self._poller.remove(fd)
        source.listener.close()
