"""What the worker classes `gevent` and `eventlet` are: turns as in the worker class `sync`, run by green threads.

The hub, the green thread that waits for all others, watches the poller. When something is ready it lets a runner lead:
a green thread that takes in what is ready, runs the requests one after the other, and sends the small answers together.
So a request that never waits costs no switch of its own. One that waits gives control back to the hub in the middle of
its call; the hub sees that the runner has not finished, marks the connection as `apart`, and lets another runner lead
the rest of the turn. When the first one comes back it finishes its request alone.

Everything happens in one thread, and a runner is interrupted only where it waits. `worker_connections` bounds how many
requests can wait at a time, since each has a connection.
"""

import importlib
from collections.abc import Collection
from functools import partial
from time import monotonic
from typing import ClassVar, cast

from msgspec import Struct

from unicorn_core.observe.logs import printable
from unicorn_core.settings.registry import Settings
from unicorn_core.worker.base import Context
from unicorn_core.worker.scoreboard import BUSY_SINCE, CONNECTIONS, IN_FLIGHT, LINE_LENGTH, TAKEN
from unicorn_http.serving.poller import READ, Poller
from unicorn_http.serving.times import Waiting
from unicorn_http.workers.blocking import LONGEST_WAIT, BlockingWorker
from unicorn_http.workers.connection import Connection
from unicorn_http.wsgi.request import WsgiRequest
from unicorn_workers_gevent import patching, signals, stacks
from unicorn_workers_gevent.green import Green, Greenlet, Library
from unicorn_workers_gevent.outbox import GreenOutbox

KEPT = 16
"""Runners that are kept however long they have had nothing to do. To make one costs as much as a short request."""
FAREWELL = 1.0
"""Seconds of graceful_timeout, half of it at most, that are left to requests which are ended."""
LOOK_AGAIN = 0.01
"""Seconds until the poller is watched again after a turn had to wait in its middle."""


class Runner(Struct, eq=False):
    """A green thread that runs requests.

    Attributes:
        connection: whose requests it runs; None: those of no one.
        request: the first of them.
        since: when it began (monotonic seconds).
        retired: it ends instead of running more.
    """

    greenlet: Greenlet | None = None
    connection: Connection | None = None
    request: WsgiRequest | None = None
    since: float = 0.0
    retired: bool = False


class GreenWorker(BlockingWorker):
    """See the module. A subclass says by which library."""

    multithread = True
    library: ClassVar[str]

    def __init__(self, context: Context) -> None:
        self._green: Green = self._library().make()
        super().__init__(context)
        self._limit: int = self.settings.worker_connections
        self._idle: list[Runner] = []  # the one that worked last is the next to work
        self._spare = 0  # how many of them at least have had nothing to do since the last look
        self._leader: Runner | None = None
        self._calls: dict[Connection, Runner] = {}  # that wait
        self._in_turn = False
        self._left = 0  # connections that the turn still has to serve
        self._listeners: Collection[int] = ()  # to be accepted from at its end
        self._turn_began = 0.0
        self._calls_before = 0
        self._called_soon = False
        self._due = float("inf")  # when `_look` is called at the latest
        self._cancel_look = _nothing
        self._end_watch = _nothing
        self._deadline = float("inf")
        self._over = False

    @classmethod
    def check(cls, settings: Settings) -> None:
        patching.check_installed(cls.library)
        super().check(settings)

    @classmethod
    def prepare(cls, settings: Settings) -> None:
        patching.prepare(cls.library, cls._library, settings)

    @classmethod
    def _library(cls) -> Library:
        return cast(Library, importlib.import_module(f"unicorn_workers_gevent.{cls.library}"))

    def new_poller(self) -> Poller:
        return self._green.poller()

    def new_outbox(self) -> GreenOutbox:
        self._held = GreenOutbox()
        return self._held

    def waiting(self) -> Waiting:
        return self._green

    # In the main green thread

    def boot(self) -> None:
        if self.context.stacks >= 0:  # else it has no arbiter, and perhaps not the main thread
            self._green.attach()
            signals.install(self._green, self.log, self.pid, self.context.stacks, self._at_abort)
        super().boot()

    def run(self) -> None:
        green = self._green
        green.attach()
        for fd in self.attention:
            self._poller.add(fd, READ)
        self._connections.acceptor.watch()
        self.row.idle(0)
        self._main = green.current()
        self._watch()
        green.soon(self._look)
        while not self._over:
            green.park()

    # In the hub

    def _watch(self) -> None:
        self._end_watch = self._green.watch(self._poller.fileno(), self._arrived)

    def _look(self) -> None:
        """The time for a turn, whether or not something has come."""
        self._due = float("inf")
        self._cancel_look = _nothing
        self.beat()
        self._retire()
        self._arrived()
        if self._due == float("inf"):
            self._look_in(LONGEST_WAIT)

    def _look_in(self, seconds: float) -> None:
        due = monotonic() + seconds
        if due < self._due - 0.001:
            self._cancel_look()
            self._due = due
            self._cancel_look = self._green.later(seconds, self._look)

    def _soon(self) -> None:
        """Let there be a turn although nothing may come."""
        if not self._called_soon:
            self._called_soon = True
            self._green.soon(self._arrived)

    def _arrived(self) -> None:
        """Something is ready."""
        self._called_soon = False
        leader = self._leader
        if leader is not None:
            if leader.connection is None:
                # It waits outside of a request, such as for a log that goes over the network: so does the turn.
                self._end_watch()
                self._end_watch = self._green.later(LOOK_AGAIN, self._watch)
                return
            self._set_apart(leader)
        try:
            while self._lead():
                pass
        except BaseException:
            self._fail()

    def _lead(self) -> bool:
        """Let a runner lead; True if it began to wait in a call, and another must go on."""
        if self._idle:
            runner = self._leader = self._idle.pop()
            self._spare = min(self._spare, len(self._idle))
            assert runner.greenlet is not None
            runner.greenlet.switch()
        else:
            runner = self._leader = Runner()
            runner.greenlet = self._green.start(partial(self._live, runner))
        if self._leader is None or runner.connection is None:
            return False
        self._set_apart(runner)
        return True

    def _retire(self) -> None:
        """End half of the runners that nobody has needed lately."""
        for _ in range((min(self._spare, len(self._idle)) - KEPT + 1) // 2):
            runner = self._idle.pop(0)
            runner.retired = True
            assert runner.greenlet is not None
            runner.greenlet.switch()
        self._spare = len(self._idle)

    def _set_apart(self, runner: Runner) -> None:
        """It waits for something, in the middle of a request: it leads no more."""
        connection = runner.connection
        assert connection is not None
        connection.apart = True
        self._calls[connection] = runner
        self._leader = None
        self._held.left(self.row.cells[BUSY_SINCE], monotonic())

    # In a runner

    def _live(self, runner: Runner) -> None:
        """Its life. If it fails, so does the worker: it may have been in the middle of anything."""
        try:
            self._work(runner)
        except BaseException:
            self._fail()

    def _work(self, runner: Runner) -> None:
        while True:
            if not self._in_turn:
                self._begin_turn()
            if self._run(runner):
                self._end_turn()
                self._leader = None
            self._idle.append(runner)
            try:
                self._green.park()
            except BaseException:
                # Somebody has ended all green threads that he found: another is made when it is needed.
                self._idle.remove(runner)
                return
            if runner.retired:
                return

    def _begin_turn(self) -> None:
        """Take in all that is ready."""
        now = monotonic()
        self.beat(now)
        ready, table = self._ready, self._connections
        self.row.cells[CONNECTIONS] = len(table.by_fd)
        self._server.refresh()
        listeners = self._take_in(self._poller.wait(0.0), now)
        self._sweep(now)
        # What a slow application makes wait is better accepted by another worker, or afterwards.
        if listeners and (self._pace.fast or not ready):
            listeners = self._accept(listeners, now)
        self._listeners = listeners
        self._in_turn = True
        self._turn_began = now
        self._left = len(ready)
        outbox = self._held
        self._calls_before = outbox.calls + outbox.waiting
        if ready:
            if self._concurrency:
                self._shed(len(self._calls))
            outbox.begin_turn(len(ready) if len(ready) > 1 else len(ready[0].queue), now)
            self.row.busy()

    def _run(self, runner: Runner) -> bool:
        """Run what the turn has left; False if this runner has waited, and others have gone on without it."""
        ready, outbox = self._ready, self._held
        now = monotonic()
        while self._left and ready and len(self._calls) < self._limit:
            self._left -= 1
            connection = ready.popleft()
            if not connection.queue:
                self._connections.settle(connection)  # it was ended while it waited
                continue
            # In this order, since a signal may ask between two of them.
            runner.request, runner.since, runner.connection = connection.queue[0], now, connection
            now = self._serve(connection, outbox, now)
            leads = not connection.apart
            if leads:
                self._settle(connection)
            else:
                self._come_back(connection)
            runner.connection = runner.request = None
            if self.recycle_at:
                self.served(outbox.calls)
            if not leads:
                return False
        return True

    def _end_turn(self) -> None:
        table, outbox = self._connections, self._held
        now = monotonic()
        self._in_turn = False
        calls = outbox.calls + outbox.waiting - self._calls_before
        outbox.end_turn()
        if self._pace.called(calls, now - self._turn_began):
            table.adapt()
        if self._listeners:
            self._accept(self._listeners, now)
        self._show(now)
        self._drain_if_asked(now)
        if self._ready and len(self._calls) < self._limit:
            self._soon()
        patience = LONGEST_WAIT if table.free else table.patience(LONGEST_WAIT, now)
        self._look_in(min(patience, max(0.0, self._deadline - now)))
        self._see_whether_over(now)

    def _come_back(self, connection: Connection) -> None:
        """It has waited, and its requests have run now."""
        connection.apart = False
        del self._calls[connection]
        self._settle(connection)
        if not self._in_turn:
            self._show(monotonic())
        if self._awaited:
            self._soon()

    # Telling

    def _show(self, now: float) -> None:
        """What the scoreboard tells of this worker."""
        waiting = len(self._calls)
        load = TAKEN if self._ready else 0 if self._connections.free else self._connections.load(now)
        self.row.idle(self._held.calls, load if load == TAKEN else min(load + waiting, TAKEN - 1))
        if not waiting:
            return
        cells = self.row.cells
        cells[IN_FLIGHT] = waiting
        if waiting == 1:
            ((connection, runner),) = self._calls.items()
            assert runner.request is not None
            self.row.begin(runner.since, connection.label + runner.request.line)
        else:
            cells[LINE_LENGTH] = 0  # whoever blocks the hub from now on, it need not be the last one begun

    def _at_abort(self) -> str:
        """The worker is to be aborted: what it does."""
        green = self._green
        runners = list(self._calls.values())
        if self._leader is not None and self._leader.connection is not None:
            runners.append(self._leader)
        return stacks.described(green, {one.greenlet or green.current(): _name(one) for one in runners})

    # Ending

    def _drain_if_asked(self, now: float) -> None:
        if self.draining and not self._drained and self.settings.graceful_timeout:
            graceful = self.settings.graceful_timeout
            self._deadline = now + max(graceful - FAREWELL, graceful / 2)
        super()._drain_if_asked(now)

    def _see_whether_over(self, now: float) -> None:
        if now >= self._deadline:
            self._deadline = float("inf")
            self._end_calls(now)
        if self._connections.finished and not self._over:
            self._over = True
            self._green.soon(self._main.switch)

    def _end_calls(self, now: float) -> None:
        """The time for what still waits is over."""
        for runner in list(self._calls.values()):
            self.log.error(
                "Worker (pid:%s) ends a request that graceful_timeout leaves no more time: %s, after %.1f s",
                self.pid,
                _name(runner),
                now - runner.since,
            )
            if runner.greenlet is not None:
                self._green.end(runner.greenlet)


def _name(runner: Runner) -> str:
    """The request that it runs."""
    assert runner.request is not None
    assert runner.connection is not None
    line = printable(runner.request.line.decode("latin-1"))
    return f"{line} from {runner.connection.peer.client or 'a unix socket'}"


def _nothing() -> None:
    """There is nothing to be cancelled."""
