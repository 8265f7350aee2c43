"""Inside a mold: the process that has imported the application and forks the workers (setting preload_app).

It is forked from the arbiter, which never imports the application itself; so each generation gets new code by a new
mold. Where the system lets the arbiter adopt orphans, a worker is forked twice and becomes the arbiter's own child;
elsewhere it stays the mold's, which reaps it and reports its end.
"""

import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from select import POLLIN, poll
from types import FrameType
from typing import Any, NoReturn

from msgspec import Struct
from msgspec.structs import replace

from unicorn_core.listen.listener import Listener
from unicorn_core.observe.title import set_title
from unicorn_core.worker import child, reaper
from unicorn_core.worker.base import Context, Worker
from unicorn_core.worker.channel import Channel
from unicorn_core.worker.environment import open_sockets, threads_of_system
from unicorn_core.worker.messages import Born, Fork, Molded, Reaped
from unicorn_core.worker.scoreboard import Row, Segment

_UNSAFE = {
    "grpc": "gRPC does not work in forked processes once it is used",
    "psycopg_pool": "a connection pool of psycopg must be opened after the fork",
    "sqlalchemy": "engines must be disposed of after the fork (engine.dispose(close=False))",
    "pymongo": "MongoClient must be made after the fork",
    "torch": "CUDA cannot be used after a fork once it is initialised",
}
"""Libraries that are known not to survive a fork, at least not in every state."""


class Casting(Struct, frozen=True):
    """What a mold is made of.

    Attributes:
        prototype: the context that all its workers have in common.
        adopts: the arbiter adopts orphans.
    """

    worker_class: type[Worker]
    prototype: Context
    adopts: bool


def live(casting: Casting, mask: set[int]) -> NoReturn:
    """The whole life of a mold; called right after fork with the arbiter's signals blocked."""
    context = casting.prototype
    child.take_over_signals(context, "Mold")
    set_title("mold", context.settings)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    try:
        before = set(open_sockets())
        loaded = child.booting(context, lambda: _load(casting))
        if loaded is None:
            child.leave(1)
        gc.collect()
        gc.freeze()
        context.channel.send(Molded(tuple(_unsafe(before))))
        Mold(casting, loaded[0]).run()
    except BaseException:
        context.log.exception("Mold (pid:%s) failed", os.getpid())
        child.leave(1)
    child.leave(0)


def _load(casting: Casting) -> tuple[Any]:
    context = casting.prototype
    context.log.info("Importing the application once for all workers (mold with pid: %s)", os.getpid())
    child.set_up(casting.worker_class, context.settings)
    return (context.load_application(),)


class Mold:
    """Forks workers as the arbiter orders, until its channel closes."""

    def __init__(self, casting: Casting, application: Callable[..., Any]) -> None:
        self._casting = casting
        self._application = application
        self._context = casting.prototype
        self._channel = self._context.channel

    def run(self) -> None:
        """Serve the arbiter."""
        woken, wakeup = self._signalled = socket.socketpair()
        for sock in self._signalled:
            sock.setblocking(False)
        signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
        if not self._casting.adopts:
            signal.signal(signal.SIGCHLD, _nothing)
        waiting = poll()
        waiting.register(self._channel.fileno(), POLLIN)
        waiting.register(woken.fileno(), POLLIN)
        while not self._channel.closed:
            waiting.poll()
            _empty(woken)
            if not self._casting.adopts:
                self._reap()
            for message in self._channel.receive():
                if isinstance(message, Fork):
                    self._fork(message, self._channel.take(message.descriptors))

    def _fork(self, order: Fork, descriptors: list[int]) -> None:
        with child.signals_blocked() as mask:
            first = os.fork()
            if first == 0:
                if self._casting.adopts and os.fork() != 0:
                    os._exit(0)
                # The frames below are the mold's, and the arbiter's.
                try:
                    self._become_worker(order, descriptors, mask)
                finally:
                    os._exit(1)
        if self._casting.adopts:
            os.waitpid(first, 0)
        for descriptor in descriptors:
            os.close(descriptor)

    def _become_worker(self, order: Fork, descriptors: list[int], mask: set[int]) -> NoReturn:
        """In the new worker."""
        self._channel.close()
        for sock in self._signalled:
            sock.close()
        channel = Channel(socket.socket(fileno=descriptors[0]))
        channel.send(Born(os.getpid()))
        context = replace(
            self._context,
            number=order.worker,
            slot=order.slot,
            listeners=[Listener.received(fd) for fd in descriptors[3:]],
            row=Row(Segment(descriptors[1]), order.row),
            channel=channel,
            stacks=descriptors[2],
            load_application=lambda: self._application,
        )
        child.live(self._casting.worker_class, context, mask)

    def _reap(self) -> None:
        for pid, status in reaper.ended((), everybody=True):
            self._channel.send(Reaped(pid, status))


def _unsafe(sockets_before: set[int]) -> list[str]:
    """What of the imported application may suffer from being forked."""
    found = []
    main = threading.main_thread().name  # not the object: a worker class may have patched the module
    threads = [thread.name for thread in threading.enumerate() if thread.name != main]
    if threads:
        found.append(f"threads, which the workers will not have: {', '.join(threads)}")
    if (native := threads_of_system() - 1 - len(threads)) > 0:
        found.append(f"threads that are not Python's, which the workers will not have: {native}")
    sockets = [name for fd, name in open_sockets().items() if fd not in sockets_before]
    if sockets:
        found.append(f"open sockets, which all workers will share: {', '.join(sockets)}")
    return found + [why for module, why in _UNSAFE.items() if module in sys.modules]


def _empty(sock: socket.socket) -> None:
    try:
        while sock.recv(256):
            pass
    except BlockingIOError:
        pass


def _nothing(number: int, frame: FrameType | None) -> None:
    """The wakeup descriptor has it."""
