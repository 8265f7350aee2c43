"""The base class of worker classes: a concurrency model inside a worker process.

A worker class is registered under a name in the entry-point group `unicorn.workers`. Its life:

1. `check(settings)` in the arbiter, before anything is opened or forked: refuse settings that do not go together.
2. `prepare(settings)` in the process that imports the application, before it does: patch the standard library.
3. `__init__(context)` in the worker's own process, right after fork: keep the context, acquire nothing.
4. `boot()`: load the application, make everything ready. It may take long and may raise; the arbiter is told.
5. `probe(path)`, perhaps: answer this request without a connection, to show that the application works.
6. `run()`: serve until `draining` is true and nothing is left to do. Must call `beat()` at least once a second or
   so, and `attend()` when one of `attention` can be read. Meanwhile it may be asked for `lame_duck`, `borrow` and
   `give_back`, and at last for `drain`.
7. The process ends when `run` returns. Nothing has to be cleaned up, but may be.
"""

import os
import signal
import socket
from collections.abc import Callable, Sequence
from time import monotonic
from types import FrameType
from typing import Any, ClassVar

from msgspec import Struct

from unicorn_core.errors import ApplicationError
from unicorn_core.hooks import WorkerHooks
from unicorn_core.listen.listener import Listener
from unicorn_core.observe.logs import Logger
from unicorn_core.settings.registry import Settings
from unicorn_core.supervise.recycling import spread
from unicorn_core.worker.channel import Channel
from unicorn_core.worker.messages import Borrow, Drain, GiveBack, LameDuck, Recycle
from unicorn_core.worker.scoreboard import HEARTBEAT, REQUESTS, Row


class Context(Struct, frozen=True):
    """What a worker gets from the arbiter.

    Attributes:
        number: counts the workers that the pool ever had; gunicorn calls it age.
        slot: the stable index that the worker occupies.
        generation: counts reloads.
        stacks: the descriptor for its threads' stacks, see unicorn_core.worker.stacks.
        hooks: the user's functions for events of a worker's life.
        load_application: gives the application; with preload_app it is there already.
    """

    number: int
    slot: int
    generation: int
    settings: Settings
    listeners: Sequence[Listener]
    log: Logger
    row: Row
    channel: Channel
    stacks: int
    hooks: WorkerHooks
    load_application: Callable[[], Any]


class Worker:
    """See the module.

    Attributes:
        draining: accept nothing new; end when nothing is left.
        recycle_at: the number of requests after which it asks to be replaced; 0 for never.
        attention: what the main loop must watch for reading; then it calls `attend`.
        wsgi: the application, for hooks; a subclass sets it in `boot`.
        role: what logs and process titles call such a process.
        watches_code: with the setting reload, it tells when files change that it has imported.
    """

    role: ClassVar[str] = "Worker"
    watches_code: ClassVar[bool] = True

    def __init__(self, context: Context) -> None:
        self.context = context
        self.settings = context.settings
        self.log = context.log
        self.row = context.row
        self.pid = os.getpid()
        self.wsgi: Any = None
        self.draining = False
        self.attention: list[int] = [context.channel.fileno()]
        self.recycle_at = _recycle_at(context)
        self._recycling = False
        self._signalled, wakeup = socket.socketpair()
        for sock in (self._signalled, wakeup):
            sock.setblocking(False)
        self.attention.append(self._signalled.fileno())
        self._wakeup = wakeup
        signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)

    # For hooks (docs/hooks.md), by gunicorn's names

    @property
    def ppid(self) -> int:
        """The arbiter's process."""
        return self.context.hooks.server.pid

    @property
    def age(self) -> int:
        """Counts the workers that the server ever had."""
        return self.context.number

    @property
    def nr(self) -> int:
        """How many requests it has served, up to the last turn."""
        return int(self.row.cells[REQUESTS])

    @property
    def alive(self) -> bool:
        """It has not been asked to finish."""
        return not self.draining

    @property
    def cfg(self) -> Settings:
        """The settings that it runs with."""
        return self.settings

    @classmethod
    def scheme(cls, settings: Settings) -> str:
        """How the log shows a TCP listener: `http` for http://127.0.0.1:8000."""
        return "tcp"

    @classmethod
    def chosen(cls, settings: Settings) -> "type[Worker]":
        """The class that really runs with these settings: this one, or a relative that fits them better."""
        return cls

    @classmethod
    def check(cls, settings: Settings) -> None:
        """Refuse settings that this worker class cannot serve with.

        Raises:
            SettingError: one clear line for the operator.
        """

    @classmethod
    def check_application(cls, application: Any, settings: Settings) -> None:
        """Refuse an application that this worker class cannot serve.

        Raises:
            NotAnApplicationError: one clear line that names the class which can.
        """

    @classmethod
    def prepare(cls, settings: Settings) -> None:
        """Called before the application is imported, in a mold or in the worker."""

    def boot(self) -> None:
        """Make ready to serve."""

    def stand_in(self, error: ApplicationError) -> bool:
        """With the setting reload, after `boot` raised this: make ready to serve an answer that shows it.

        Gives False if there is no such answer; then the worker ends as it does without the setting.
        """
        return False

    def probe(self, path: str) -> int:
        """Let the application answer a GET of this path, after `boot` and before `run`; gives the status.

        A class that does not have it cannot be used with reload_canary.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement probe()")

    def run(self) -> None:
        """Serve until drained."""
        raise NotImplementedError(f"{type(self).__name__} does not implement run()")

    def drain(self, ends: bool = False) -> None:
        """Asked to finish: by the arbiter, by SIGTERM, or because the arbiter is gone. May be called again.

        If `ends`, nobody accepts from the listeners afterwards: what waits in their queues must be served now.
        """
        self.draining = True

    def lame_duck(self) -> None:
        """The server will stop soon: go on accepting, but let every connection end with its next answer."""

    def borrow(self, slot: int, listeners: Sequence[Listener]) -> None:
        """Accept also from these, the listeners of a slot that has no worker at the moment (setting reuse_port)."""

    def give_back(self, slot: int, ends: bool) -> None:
        """Accept no more from what was borrowed, and close it; if the slot `ends`, empty the queues first."""

    def beat(self, now: float | None = None) -> None:
        """A sign of life."""
        self.row.cells[HEARTBEAT] = monotonic() if now is None else now

    def attend(self) -> None:
        """Read what has come on the control channel and from signals."""
        try:
            while self._signalled.recv(256):
                pass
        except BlockingIOError:
            pass
        # It changes no mask, but has Python run the handlers that are due: in a process that was forked from another
        # thread than the main one they may otherwise run only long after their byte was read here.
        signal.pthread_sigmask(signal.SIG_BLOCK, ())
        channel = self.context.channel
        for message in channel.receive():
            match message:
                case LameDuck():
                    self.lame_duck()
                case Borrow(slot, descriptors):
                    self.borrow(slot, [Listener.received(fd) for fd in channel.take(descriptors)])
                case GiveBack(slot, ends):
                    self.give_back(slot, ends)
                case Drain(ends) if not self.draining:
                    self.drain(ends)
        if channel.closed and not self.draining:
            self.log.warning("Worker (pid:%s) has lost its arbiter and leaves", self.pid)
            self.drain(ends=True)

    def served(self, requests: int) -> None:
        """Tell how many requests this worker has served; at its limit (max_requests) it asks to be replaced."""
        if self.recycle_at and requests >= self.recycle_at and not self._recycling:
            self._recycling = True
            self.log.info("Autorestarting worker after current request.")
            if not self.context.channel.send(Recycle(f"max_requests: {requests} served")):
                self.drain(ends=True)

    def on_terminate(self, number: int, frame: FrameType | None) -> None:
        """The handler of SIGTERM, once it serves."""
        if not self.draining:
            self.context.channel.send(Recycle("it was sent SIGTERM"))
        self.drain()


def _recycle_at(context: Context) -> int:
    """The number of requests after which the worker asks to be replaced; 0 for never."""
    settings = context.settings
    if not settings.max_requests:
        return 0
    return int(settings.max_requests + spread(context.number) * (settings.max_requests_jitter + 1))
