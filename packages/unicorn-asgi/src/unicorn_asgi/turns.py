"""The turns of a worker: what the loop found ready is read first, then run, then the answers are sent together.

Requests that have come wait for one callback, which starts them all: each application as a task that begins at once, so
that one which never really waits costs no scheduling. See unicorn_http.serving.outbox for the answers.
"""

import sys
from asyncio import AbstractEventLoop, Task
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from functools import partial
from time import monotonic
from typing import Any

from unicorn_asgi.connection import Connection
from unicorn_asgi.connections import LoopConnections
from unicorn_asgi.exchange import Exchange
from unicorn_asgi.gateway import AsgiGateway, name_of
from unicorn_asgi.http import HttpExchange
from unicorn_asgi.upgrades import WebSockets
from unicorn_asgi.websocket.upgrade import wants_websocket
from unicorn_core.worker.scoreboard import CONNECTIONS, IN_FLIGHT, LINE_LENGTH, TAKEN, Row
from unicorn_http.semantics.refusal import Refusal
from unicorn_http.serving.connections import shed
from unicorn_http.serving.outbox import Outbox
from unicorn_http.serving.pace import Pace
from unicorn_http.serving.refusals import RefusalLog
from unicorn_http.serving.server_fields import ServerFields
from unicorn_http.serving.states import CLOSED, LARGE_BODY, PER_TURN, READING


def starter(loop: AbstractEventLoop) -> Callable[[Coroutine[Any, Any, Any]], Task[Any]]:
    """Makes tasks of coroutines. They begin at once, and are done already if they never have to wait."""
    if sys.version_info >= (3, 12):
        return partial(Task, loop=loop, eager_start=True)
    return partial(Task, loop=loop)  # they begin with the next round of the loop


class Turns:
    """A unicorn_asgi.exchange.Keeper.

    Args:
        concurrency: requests that may run at a time, further ones are refused (setting limit_concurrency); 0: all.
        grace: seconds until the task of a client that is gone is cancelled.

    Attributes:
        tasks: of applications that wait for something, with what they serve.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        connections: LoopConnections,
        gateway: AsgiGateway,
        websockets: WebSockets,
        outbox: Outbox,
        pace: Pace,
        row: Row,
        server: ServerFields,
        refusals: RefusalLog,
        served: Callable[[int], None] | None,
        concurrency: int,
        grace: float,
    ) -> None:
        """`served` is told how many requests there were, after each turn."""
        self._loop = loop
        self._start = starter(loop)
        self._connections = connections
        self._gateway = gateway
        self._websockets = websockets
        self._outbox = outbox
        self._pace = pace
        self._row = row
        self._server = server
        self._refusals = refusals
        self._served = served
        self._concurrency = concurrency
        self._grace = grace
        # What an application sets in its own context must not be found by the request that its end has started.
        self._context: Context = copy_context()
        self._ready: list[Connection] = []
        self._abandoned: dict[Exchange, float] = {}  # when their tasks are cancelled
        self.tasks: dict[Task[Any], Exchange] = {}

    @property
    def busy(self) -> bool:
        """Requests wait to be run."""
        return bool(self._ready)

    def request_of(self, task: Task[Any]) -> str:
        """The request that a task is for, and whose it is, for the log; empty for other tasks."""
        exchange = self.tasks.get(task)
        if not isinstance(exchange, HttpExchange):
            return ""
        client = next((c.peer.client for c in self._connections.by_fd.values() if c.exchange is exchange), "")
        return f"{name_of(exchange.request)}{f' from {client}' if client else ''}"

    # What the connections tell

    def taken(self, connection: Connection) -> None:
        """See unicorn_asgi.exchange.Keeper."""
        queue = connection.queue
        if queue and connection.exchange is None and connection.state is READING:
            if connection.scheduled:
                return
            request = queue[0]
            if request.content_length < LARGE_BODY and not request.chunked:
                connection.scheduled = True
                if not self._ready:
                    self._loop.call_soon(self._run, context=self._context)
                self._ready.append(connection)
            else:
                # At once: the bodies of a whole turn would push each other out of the cache.
                self._run_alone(connection)
        elif not connection.in_turn and not connection.forgotten:
            if connection.closing and connection.exchange is None:
                connection.end(monotonic())
            if connection.state is CLOSED or connection.exchange is None:
                self._connections.settle(connection)

    def resume(self, connection: Connection) -> None:
        """See unicorn_asgi.exchange.Keeper."""
        if connection.in_turn or connection.forgotten:
            return  # the turn goes on with it
        connection.since = monotonic()
        if not connection.queue or connection.state is not READING:
            self._connections.settle(connection)
        elif not connection.scheduled:
            self._schedule(connection)

    def abandoned(self, connection: Connection, exchange: Exchange) -> None:
        """See unicorn_asgi.exchange.Keeper."""
        if exchange.answered:
            return
        self._abandoned.setdefault(exchange, monotonic() + self._grace)
        if not self._grace:
            self._loop.call_soon(self.sweep, monotonic(), context=self._context)

    def failed(self, connection: Connection, exchange: Exchange) -> None:
        """See unicorn_asgi.exchange.Keeper."""
        assert isinstance(exchange, HttpExchange)
        error = exchange.request.error
        if isinstance(error, Refusal):
            self.give_up(connection, error)

    def give_up(self, connection: Connection, error: Refusal) -> None:
        """Refuse the request that runs: the rest of it cannot be read."""
        exchange = connection.exchange
        assert isinstance(exchange, HttpExchange)
        self._refusals.refused(connection.peer, error)
        if exchange.begun:
            connection.cut()
            return
        connection.lingers = True
        exchange.answer(error.status, str(error))
        exchange.leave()
        self.abandoned(connection, exchange)
        self._connections.settle(connection)

    # Running

    def _schedule(self, connection: Connection) -> None:
        connection.scheduled = True
        ready = self._ready
        if not ready:
            self._loop.call_soon(self._run, context=self._context)
        ready.append(connection)

    def _run(self) -> None:
        """The turn's second and third phase."""
        ready, self._ready = self._ready, []
        outbox, row = self._outbox, self._row
        began = now = monotonic()
        self._server.refresh()
        if self._concurrency:
            self._shed(ready)
        outbox.begin_turn(len(ready) if len(ready) > 1 else len(ready[0].queue), now)
        before = outbox.calls
        row.busy()
        for connection in ready:
            connection.scheduled = False
            now = self._serve(connection, now)
        outbox.end_turn()
        self._end_turn(outbox.calls - before, now - began)

    def _run_alone(self, connection: Connection) -> None:
        """Run what one connection has brought, in the middle of reading."""
        self._context.run(self._run_alone_in_context, connection)

    def _run_alone_in_context(self, connection: Connection) -> None:
        began, before = monotonic(), self._outbox.calls
        self._row.busy()
        if self._concurrency:
            self._shed([connection])
        took = self._serve(connection, began) - began
        self._end_turn(self._outbox.calls - before, took)

    def _end_turn(self, calls: int, took: float) -> None:
        if self._pace.called(calls, took):
            self._connections.adapt()
        self.show(monotonic())
        if self._served is not None:
            self._served(self._outbox.calls)

    def show(self, now: float) -> None:
        """Tell in the scoreboard what the worker has to do."""
        row, connections = self._row, self._connections
        load = TAKEN if self._ready else 0 if connections.free else connections.load(now)
        row.idle(self._outbox.calls, load)
        row.cells[CONNECTIONS] = len(connections.by_fd)
        if self.tasks:
            row.cells[IN_FLIGHT] = len(self.tasks)
            row.cells[LINE_LENGTH] = 0  # if the loop is blocked from now on, it need not be by the last one begun

    def _serve(self, connection: Connection, now: float) -> float:
        """Run what a connection has brought, from `now` on, as far as it goes without waiting; gives the time then."""
        queue = connection.queue
        connection.in_turn = True
        left = PER_TURN
        # Its queue has been emptied if it was lost meanwhile.
        while queue:
            request = queue.popleft()
            if request.watched and wants_websocket(request):
                exchange = self._websockets.exchange(request, connection)
            else:
                exchange = HttpExchange(request, connection)
            if request.error is not None:
                self._refuse(connection, exchange)
                break
            self._row.begin(now, connection.label + request.line)
            connection.exchange = exchange
            task = self._start(self._gateway.serve(exchange, connection.common))
            if not task.done():
                self.tasks[task] = exchange
                task.add_done_callback(self._ended)
            before = now
            now = monotonic()
            self._outbox.called(before, now)
            left -= 1
            if connection.exchange is not None or connection.state is not READING or not left:
                break
        connection.since = now
        connection.in_turn = False
        if queue and connection.exchange is None and connection.state is READING:
            self._schedule(connection)
        elif connection.state is CLOSED or not connection.reading:
            self._connections.settle(connection)
        return now

    def _ended(self, task: Task[Any]) -> None:
        exchange = self.tasks.pop(task)
        self._abandoned.pop(exchange, None)
        if not self.tasks and not self._ready:
            self.show(monotonic())

    def _shed(self, ready: list[Connection]) -> None:
        """Refuse what waits beyond `limit_concurrency`."""
        shed(ready, self._concurrency - sum(not exchange.answered for exchange in self.tasks.values()))

    def _refuse(self, connection: Connection, exchange: HttpExchange) -> None:
        """A request that cannot be read to its end never reaches the application."""
        error = exchange.request.error
        if not isinstance(error, Refusal):
            connection.cut()  # the client is gone
            return
        self._refusals.refused(connection.peer, error)
        connection.closing = connection.lingers = True
        exchange.answer(error.status, str(error), getattr(error, "fields", ()))

    def refuse(self, connection: Connection, refusal: Refusal) -> None:
        """Answer a client of whose request a part has come, and never the rest."""
        request = connection.new_request()
        request.error = refusal
        self._refuse(connection, HttpExchange(request, connection))
        self._connections.settle(connection)

    # Time

    def stop(self) -> None:
        """The time for what still runs is over."""
        for task, exchange in list(self.tasks.items()):
            exchange.cancelled = True
            task.cancel()
        for connection in list(self._connections.by_fd.values()):
            connection.cut()

    def sweep(self, now: float) -> None:
        """About once a second: what waits for clients that are too slow, or gone."""
        self._websockets.tick(now)
        for exchange, deadline in list(self._abandoned.items()):
            if now >= deadline:
                del self._abandoned[exchange]
                for task in [task for task, served in self.tasks.items() if served is exchange]:
                    task.cancel()
