"""Green threads by gevent. Imported only where they are asked for, in a worker or a mold."""

import contextlib
import gc
import importlib
import select
from collections.abc import Callable
from socket import socket

import gevent
import gevent.monkey
import gevent.socket
from gevent.hub import Hub
from greenlet import getcurrent, greenlet

from unicorn_http.serving.poller import EpollPoller, Poller, SelectorPoller
from unicorn_workers_gevent.green import Greenlet


def patch() -> None:
    """See unicorn_workers_gevent.green.Library. With psycogreen installed, psycopg2 as well."""
    gevent.reinit()  # a settings file may have used it in the arbiter, from which this process was forked
    gevent.monkey.patch_all()
    with contextlib.suppress(ImportError):
        importlib.import_module("psycogreen.gevent").patch_psycopg()


def make() -> "GeventGreen":
    """See unicorn_workers_gevent.green.Library."""
    gevent.reinit()  # and the application in the mold
    return GeventGreen()


class GeventGreen:
    """A unicorn_workers_gevent.green.Green."""

    def poller(self) -> Poller:
        if hasattr(select, "EPOLLIN"):
            return EpollPoller(gevent.monkey.get_original("select", "epoll")())
        return SelectorPoller(gevent.monkey.get_original("selectors", "DefaultSelector")())

    current: Callable[[], Greenlet] = staticmethod(getcurrent)

    def attach(self) -> None:
        hub = gevent.get_hub()
        self._hub = hub
        self._loop = hub.loop
        self.park: Callable[[], None] = hub.switch
        self.soon: Callable[[Callable[[], object]], None] = hub.loop.run_callback

    def in_hub(self) -> bool:
        return isinstance(getcurrent(), Hub)

    def start(self, run: Callable[[], None]) -> Greenlet:
        new: Greenlet = gevent.Greenlet(run)
        new.switch()
        return new

    def later(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:
        timer = self._loop.timer(seconds)

        def ring() -> None:
            timer.close()
            call()

        timer.start(ring)
        cancel: Callable[[], None] = timer.close
        return cancel

    def watch(self, fd: int, ready: Callable[[], None]) -> Callable[[], None]:
        watcher = self._loop.io(fd, 1)
        watcher.start(ready)
        end: Callable[[], None] = watcher.close
        return end

    def end(self, greenlet: Greenlet) -> None:
        greenlet.kill(block=False)  # type: ignore[attr-defined]

    def waiting_greenlets(self) -> list[Greenlet]:
        return [
            one for one in gc.get_objects() if isinstance(one, greenlet) and one.gr_frame and not isinstance(one, Hub)
        ]

    # Waiting

    def wait(self, fd: int, events: int, seconds: float) -> bool:
        watcher = self._loop.io(fd, 2 if events != 1 else 1)
        try:
            with gevent.Timeout(None if seconds == float("inf") else seconds, False):
                self._hub.wait(watcher)
                return True
            return False
        finally:
            watcher.close()

    def handed_out(self, sock: socket) -> socket:
        family, kind, protocol = sock.family, sock.type, sock.proto
        handed: socket = gevent.socket.socket(family, kind, protocol, fileno=sock.detach())
        handed.setblocking(True)
        return handed
