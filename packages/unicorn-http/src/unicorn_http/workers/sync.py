"""The worker class `sync`: one thread, one request at a time, and still keep-alive.

It works in turns of three phases: take in all that one poll found ready, run the requests one after the other, send
the small answers together.
"""

from time import monotonic

from unicorn_core.settings.registry import Settings
from unicorn_core.worker.base import Worker
from unicorn_core.worker.scoreboard import CONNECTIONS, TAKEN
from unicorn_http.serving.poller import READ
from unicorn_http.serving.states import READING
from unicorn_http.workers.blocking import LONGEST_WAIT, BlockingWorker
from unicorn_http.workers.connection import Connection


class SyncWorker(BlockingWorker):
    """See the module."""

    @classmethod
    def chosen(cls, settings: Settings) -> type[Worker]:
        if settings.threads > 1:
            # Imported here: who has one thread pays nothing for it.
            from unicorn_http.workers.gthread import ThreadWorker

            return ThreadWorker
        return cls

    def run(self) -> None:
        for fd in self.attention:
            self._poller.add(fd, READ)
        table = self._connections
        table.acceptor.watch()
        self.row.idle(0)
        while not table.finished:
            # Of a worker that is free nothing has to be looked after before something comes.
            patience = LONGEST_WAIT if table.free else table.patience(LONGEST_WAIT, monotonic())
            self._turn(self._poller.wait(0.0 if self._ready else patience))

    def _turn(self, events: list[tuple[int, int]]) -> None:
        now = monotonic()
        self.beat(now)
        ready, table = self._ready, self._connections
        self.row.cells[CONNECTIONS] = len(table.by_fd)
        self._server.refresh()
        listeners = self._take_in(events, now)
        self._sweep(now)
        # What a slow application makes wait is better accepted by another worker, or afterwards.
        if listeners and (self._pace.fast or not ready):
            listeners = self._accept(listeners, now)
        ran = bool(ready)
        if ran:
            if self._concurrency:
                self._shed()
            self._outbox.begin_turn(len(ready) if len(ready) > 1 else len(ready[0].queue), now)
            began, before = now, self._outbox.calls
            self.row.busy()
            for _ in range(len(ready)):
                now = self._run(ready.popleft(), now)
            self._outbox.end_turn()
            if self._pace.called(self._outbox.calls - before, now - began):
                table.adapt()
            if listeners:
                self._accept(listeners, now)
        if ran or not table.free:
            self.row.idle(self._outbox.calls, TAKEN if ready else 0 if table.free else table.load(now))
        self._drain_if_asked(now)

    def _run_at_once(self, connection: Connection) -> None:
        before, began = self._outbox.calls, monotonic()
        self.row.busy()
        took = self._run(connection, began) - began
        self.row.idle(self._outbox.calls, 0 if self._connections.free and not self._ready else TAKEN)
        if self._pace.called(self._outbox.calls - before, took):
            self._connections.adapt()

    def _run(self, connection: Connection, now: float) -> float:
        now = self._serve(connection, self._outbox, now)
        if self.recycle_at:
            self.served(self._outbox.calls)
        if connection.queue and connection.state is READING:
            self._ready.append(connection)
        elif not (connection.watched == READ and connection.state is READING):
            self._connections.settle(connection)
        return now
