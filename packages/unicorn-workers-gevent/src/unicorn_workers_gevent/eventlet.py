"""Green threads by eventlet. Imported only where they are asked for, in a worker or a mold."""

import gc
import logging
import select
import warnings
from collections.abc import Callable
from socket import socket

from greenlet import GreenletExit, getcurrent, greenlet

from unicorn_http.serving.poller import READ, EpollPoller, Poller, SelectorPoller
from unicorn_workers_gevent.green import Greenlet

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # that eventlet is deprecated: the worker says so in the log
    import eventlet
    import eventlet.greenio
    import eventlet.greenthread
    import eventlet.hubs
    import eventlet.patcher


def patch() -> None:
    """See unicorn_workers_gevent.green.Library. eventlet patches psycopg2 by itself."""
    logging.disable()  # it tells of locks that stay as they are; a lock of the one thread there is holds up nobody
    try:
        eventlet.monkey_patch()
    finally:
        logging.disable(logging.NOTSET)


def make() -> "EventletGreen":
    """See unicorn_workers_gevent.green.Library."""
    eventlet.hubs.use_hub()  # a new one: that of a process which forked this one would share its epoll with it
    return EventletGreen()


class EventletGreen:
    """A unicorn_workers_gevent.green.Green."""

    def poller(self) -> Poller:
        if hasattr(select, "EPOLLIN"):
            return EpollPoller(eventlet.patcher.original("select").epoll())
        return SelectorPoller(eventlet.patcher.original("selectors").DefaultSelector())

    current: Callable[[], Greenlet] = staticmethod(getcurrent)

    def attach(self) -> None:
        hub = eventlet.hubs.get_hub()
        self._hub = hub
        self.park: Callable[[], None] = hub.switch

    def in_hub(self) -> bool:
        return bool(getcurrent() is self._hub.greenlet)

    def start(self, run: Callable[[], None]) -> Greenlet:
        new: Greenlet = eventlet.greenthread.GreenThread(self._hub.greenlet)
        new.switch(run, (), {})  # type: ignore[call-arg]
        return new

    def soon(self, call: Callable[[], object]) -> None:
        self._hub.schedule_call_global(0, call)

    def later(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:
        cancel: Callable[[], None] = self._hub.schedule_call_global(seconds, call).cancel
        return cancel

    def watch(self, fd: int, ready: Callable[[], None]) -> Callable[[], None]:
        hub = self._hub

        def closed(error: BaseException) -> None:
            raise error

        listener = hub.add(hub.READ, fd, lambda fileno: ready(), closed, None)
        return lambda: hub.remove(listener)

    def end(self, greenlet: Greenlet) -> None:
        self._hub.schedule_call_global(0, greenlet.throw, GreenletExit)  # type: ignore[attr-defined]

    def waiting_greenlets(self) -> list[Greenlet]:
        hub = eventlet.hubs.get_hub().greenlet
        return [one for one in gc.get_objects() if isinstance(one, greenlet) and one.gr_frame and one is not hub]

    # Waiting

    def wait(self, fd: int, events: int, seconds: float) -> bool:
        reads = events == READ
        timeout = None if seconds == float("inf") else seconds
        try:
            eventlet.hubs.trampoline(fd, read=reads, write=not reads, timeout=timeout, timeout_exc=_TooLong)
        except _TooLong:
            return False
        return True

    def handed_out(self, sock: socket) -> socket:
        handed: socket = eventlet.greenio.GreenSocket(sock)
        handed.setblocking(True)
        return handed


class _TooLong(Exception):
    """A wait has lasted as long as it may."""
