"""The worker class `sync`: one thread, one request at a time, and still keep-alive.

It works in turns of three phases: take in all that one poll found ready, run the requests one after the other, send
the small answers together. Between requests every connection waits in the poller, so that slow or idle clients block
nobody; only the body that an application is reading, and a streamed answer, are waited for.
"""

from collections import deque
from collections.abc import Collection, Sequence
from time import monotonic

from unicorn_core import plugins
from unicorn_core.errors import ApplicationError, SettingError
from unicorn_core.listen.listener import Listener
from unicorn_core.observe.access import compile_format
from unicorn_core.observe.limiter import RateLimiter
from unicorn_core.settings.registry import Settings
from unicorn_core.worker.base import Context, Worker
from unicorn_core.worker.scoreboard import CONNECTIONS, TAKEN
from unicorn_http.semantics.forwarded import SchemeFields, TrustedPeers
from unicorn_http.semantics.refusal import Refusal
from unicorn_http.workers.acceptor import Acceptor
from unicorn_http.workers.connection import CLOSED, LARGE_BODY, LINGERING, READING, Connection
from unicorn_http.workers.outbox import Outbox, thread_waits
from unicorn_http.workers.pace import Pace
from unicorn_http.workers.poller import READ, WRITE, new_poller
from unicorn_http.workers.probe import Probe
from unicorn_http.workers.server_fields import ServerFields
from unicorn_http.workers.table import ConnectionTable
from unicorn_http.workers.times import Times
from unicorn_http.wsgi.environ import EnvironFactory
from unicorn_http.wsgi.failed import FailedApplication
from unicorn_http.wsgi.gateway import Application, WsgiGateway, answer
from unicorn_http.wsgi.hooks import with_hooks
from unicorn_http.wsgi.reply import ClientGoneError, Reply
from unicorn_http.wsgi.request import WsgiRequest

LONGEST_WAIT = 1.0
"""Seconds in the poller at most: the worker must show a sign of life."""
PER_TURN = 32
"""Requests of one connection that are run in one turn, so that a pipelining client does not keep others waiting."""


class SyncWorker(Worker):
    """See the module."""

    scheme = "http"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        settings = self.settings
        self._poller = new_poller()
        self._outbox = Outbox(thread_waits)
        scheme_fields = SchemeFields(settings.secure_scheme_headers)
        self._environs = EnvironFactory(
            self.log.writes_to(), scheme_fields.names, multithread=False, multiprocess=settings.workers.maximum > 1
        )
        self._server = ServerFields(settings.server_header)
        make_protocol = plugins.load(plugins.PROTOCOLS, settings.protocol)
        self._pace = Pace()
        shared = not settings.reuse_port
        self._table = ConnectionTable(
            Acceptor(context.listeners, self._poller, self.row, self._pace, shared, self.log),
            self._poller,
            self._outbox,
            make_protocol(settings, self._server),
            self._environs,
            Times.of(settings),
            settings.worker_connections,
            self.row,
            self._pace,
        )
        self._refusals = RateLimiter(self.log.warning)
        self._ready: deque[Connection] = deque()
        self._requests = 0
        self._drained = False
        self._ends = False
        # From now on the others know that they are not alone.
        self.row.load(TAKEN)

    @classmethod
    def check(cls, settings: Settings) -> None:
        if settings.wsgi_app is None:
            raise SettingError("setting wsgi_app: no application is named")
        TrustedPeers.parse(settings.forwarded_allow_ips, "forwarded_allow_ips")
        compile_format(settings.access_log_format)
        make_protocol = plugins.load(plugins.PROTOCOLS, settings.protocol)
        make_protocol(settings, ServerFields(None))

    def boot(self) -> None:
        """Import the application."""
        self._call(self.context.load_application())

    def stand_in(self, error: ApplicationError) -> bool:
        self._call(FailedApplication(error))
        return True

    def _call(self, wsgi: Application) -> None:
        """Serve requests with this application."""
        self.wsgi = wsgi
        access = compile_format(self.settings.access_log_format) if self.log.access_on else None
        gateway = WsgiGateway(wsgi, self._environs, self.log, access, self.settings.sendfile)
        self._gateway = with_hooks(gateway, self)

    def probe(self, path: str) -> int:
        listeners = self.context.listeners
        probe = Probe(path, listeners[0] if listeners else None, self._environs)
        self._gateway.serve(probe.request)
        return probe.status

    def run(self) -> None:
        for fd in self.attention:
            self._poller.add(fd, READ)
        table = self._table
        table.acceptor.watch()
        self.row.idle(0)
        while not table.finished:
            # Of a worker that is free nothing has to be looked after before something comes.
            patience = LONGEST_WAIT if table.free else table.patience(LONGEST_WAIT, monotonic())
            self._turn(self._poller.wait(0.0 if self._ready else patience))

    def _turn(self, events: list[tuple[int, int]]) -> None:
        now = monotonic()
        self.beat(now)
        ready, table = self._ready, self._table
        self.row.cells[CONNECTIONS] = len(table.by_fd)
        self._server.refresh()
        listeners = self._take_in(events, now)
        # Before the requests are run: while they are, others may come that nobody has read yet.
        for connection in table.sweep(now):
            self._refuse(connection, connection.new_request(), 408, "the request's head did not come in time")
            table.settle(connection)
        # What a slow application makes wait is better accepted by another worker, or afterwards.
        if listeners and (self._pace.fast or not ready):
            listeners = self._accept(listeners, now)
        ran = bool(ready)
        if ran:
            self._outbox.begin_turn(len(ready) if len(ready) > 1 else len(ready[0].queue), now)
            began, before = now, self._requests
            self.row.busy()
            for _ in range(len(ready)):
                now = self._run(ready.popleft(), now)
            self._outbox.end_turn()
            if self._pace.called(self._requests - before, now - began):
                table.adapt()
            if listeners:
                self._accept(listeners, now)
        if ran or not table.free:
            self.row.idle(self._requests, TAKEN if ready else 0 if table.free else table.load(now))
        if self.draining and not self._drained:
            self._drained = True
            patience = max(0.0, self.settings.graceful_timeout - LONGEST_WAIT)
            for connection in table.drain(now, patience, self._ends):
                self._taken(connection)

    # What the arbiter asks for

    def drain(self, ends: bool = False) -> None:
        # Perhaps in a signal handler: the turn does the rest.
        self._ends = self._ends or ends
        super().drain(ends)

    def lame_duck(self) -> None:
        self._table.lame_duck()

    def borrow(self, slot: int, listeners: Sequence[Listener]) -> None:
        self._table.acceptor.borrow(slot, listeners)

    def give_back(self, slot: int, ends: bool) -> None:
        for connection in self._table.give_back(slot, ends, monotonic()):
            self._taken(connection)

    # Taking in

    def _take_in(self, events: list[tuple[int, int]], now: float) -> Collection[int]:
        """Read from everything that is ready; complete requests wait in `_ready` for the next phase.

        Gives the listeners that have connections.
        """
        connections = self._table.by_fd
        listeners: Collection[int] = ()
        for fd, event in events:
            connection = connections.get(fd)
            if connection is None:
                if fd in self._table.acceptor:
                    listeners = {*listeners, fd}
                elif fd in self.attention:
                    self.attend()
                continue
            if connection.state is READING:
                if connection.queue:
                    continue  # it waits in `_ready`; what comes meanwhile stays in the kernel, which bounds pipelining
                connection.take_in(now)
            elif connection.state is LINGERING:
                connection.linger()
            elif event & WRITE:
                connection.flush()
            else:
                connection.state = CLOSED  # an error while it is not read from
            self._taken(connection)
        return listeners if self._table.free else {*listeners, *self._table.due(now)}

    def _accept(self, listeners: Collection[int], now: float) -> Collection[int]:
        """Accept from these, as far as it is this worker's turn; gives none."""
        for connection in self._table.accept(listeners, bool(self._ready), now):
            self._taken(connection)
        return ()

    def _taken(self, connection: Connection) -> None:
        queue = connection.queue
        if queue and connection.state is READING:
            if queue[0].chunked or queue[0].content_length >= LARGE_BODY:
                self._run_at_once(connection, monotonic())
            else:
                self._ready.append(connection)
        else:
            if connection.closing and connection.state is READING:
                connection.end(monotonic())
            self._table.settle(connection)

    # Running

    def _run_at_once(self, connection: Connection, now: float) -> None:
        """Run what a connection has brought in the middle of taking in."""
        before = self._requests
        self.row.busy()
        took = self._run(connection, now) - now
        self.row.idle(self._requests, 0 if self._table.free and not self._ready else TAKEN)
        if self._pace.called(self._requests - before, took):
            self._table.adapt()

    def _run(self, connection: Connection, now: float) -> float:
        """Run what a connection has brought, from `now` on; gives the time at which that was done."""
        queue = connection.queue
        budget = PER_TURN
        while queue and budget and connection.state is READING:
            budget -= 1
            request = queue.popleft()
            if request.error is not None:
                self._refuse_or_drop(connection, request)
                now = monotonic()
                continue
            self.row.begin(now, connection.label + request.line)
            self._gateway.serve(request)
            before, now = now, monotonic()
            self._requests += 1
            self._outbox.called(before, now)
            connection.since = now
            connection.served = True
            if connection.closing:
                connection.end(now)
        if self.recycle_at:
            self.served(self._requests)
        if queue and connection.state is READING:
            self._ready.append(connection)
        elif not (connection.watched and connection.state is READING):
            self._table.settle(connection)
        return now

    def _refuse_or_drop(self, connection: Connection, request: WsgiRequest) -> None:
        """A request that cannot be read to its end never reaches the application."""
        error = request.error
        if not isinstance(error, Refusal):
            connection.cut()  # the client is gone
            return
        self._refusals(
            "Refused request from %s: %s %s (%s, %s)",
            connection.peer.client or "a unix socket",
            error.status,
            error,
            error.reason,
            error.rule,
        )
        self._refuse(connection, request, error.status, str(error))

    def _refuse(self, connection: Connection, request: WsgiRequest, status: int, text: str) -> None:
        """Answer in place of the application, and close."""
        connection.closing = True
        try:
            answer(Reply(request), status, text)
        except ClientGoneError:
            connection.cut()
        connection.end(monotonic(), linger=True)
