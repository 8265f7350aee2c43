"""The worker class `sync`: one thread, one request at a time, and still keep-alive.

It works in turns of three phases: take in all that one poll found ready, run the requests one after the other, send
the small answers together. Between requests every connection waits in the poller, so that slow or idle clients block
nobody; only the body that an application is reading, and a streamed answer, are waited for.
"""

from collections import deque
from time import monotonic

from unicorn_core import plugins
from unicorn_core.errors import SettingError
from unicorn_core.observe.access import compile_format
from unicorn_core.observe.limiter import RateLimiter
from unicorn_core.settings.registry import Settings
from unicorn_core.worker.base import Context, Worker
from unicorn_core.worker.scoreboard import CONNECTIONS
from unicorn_http.semantics.forwarded import SchemeFields, TrustedPeers
from unicorn_http.semantics.refusal import Refusal
from unicorn_http.workers.connection import CLOSED, LARGE_BODY, LINGERING, READING, Connection
from unicorn_http.workers.outbox import Outbox, thread_waits
from unicorn_http.workers.poller import READ, WRITE, new_poller
from unicorn_http.workers.server_fields import ServerFields
from unicorn_http.workers.table import ConnectionTable
from unicorn_http.workers.times import Times
from unicorn_http.wsgi.environ import EnvironFactory
from unicorn_http.wsgi.gateway import WsgiGateway, answer
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
        shared = settings.workers > 1
        scheme_fields = SchemeFields(settings.secure_scheme_headers)
        self._environs = EnvironFactory(
            self.log.writes_to(), scheme_fields.names, multithread=False, multiprocess=shared
        )
        self._server = ServerFields(settings.server_header)
        make_protocol = plugins.load(plugins.PROTOCOLS, settings.protocol)
        self._table = ConnectionTable(
            context.listeners,
            self._poller,
            self._outbox,
            make_protocol(settings, self._server),
            self._environs,
            Times.of(settings),
            settings.worker_connections,
            shared,
            self.log,
        )
        self._refusals = RateLimiter(self.log.warning)
        self._ready: deque[Connection] = deque()
        self._requests = 0
        self._drained = False

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
        wsgi = self.context.load_application()
        access = compile_format(self.settings.access_log_format) if self.log.access_on else None
        self._gateway = WsgiGateway(wsgi, self._environs, self.log, access, self.settings.sendfile)

    def run(self) -> None:
        for fd in self.attention:
            self._poller.add(fd, READ)
        self._table.open()
        while not (self._drained and not self._table.by_fd):
            self._turn()

    def _turn(self) -> None:
        events = self._poller.wait(0.0 if self._ready else LONGEST_WAIT)
        now = monotonic()
        self.beat(now)
        self.row.cells[CONNECTIONS] = len(self._table.by_fd)
        self._server.refresh()
        self._take_in(events, now)
        ready = self._ready
        if ready:
            self._outbox.begin_turn(len(ready) if len(ready) > 1 else len(ready[0].queue), now)
            self.row.busy()
            for _ in range(len(ready)):
                now = self._run(ready.popleft(), now)
            self._outbox.end_turn()
            self.row.idle(self._requests)
        for connection in self._table.sweep(now):
            self._refuse(connection, connection.new_request(), 408, "the request's head did not come in time")
            self._table.settle(connection)
        if self.draining and not self._drained:
            self._drained = True
            self._ready += self._table.drain(now, max(0.0, self.settings.graceful_timeout - LONGEST_WAIT))

    # Taking in

    def _take_in(self, events: list[tuple[int, int]], now: float) -> None:
        """Read from everything that is ready; complete requests wait in `_ready` for the next phase."""
        connections = self._table.by_fd
        for fd, event in events:
            connection = connections.get(fd)
            if connection is None:
                self._take_in_other(fd, now)
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

    def _take_in_other(self, fd: int, now: float) -> None:
        """A listener, the control channel or a signal."""
        if fd in self._table.listeners:
            for connection in self._table.accept(fd, now):
                self._taken(connection)
        elif fd in self.attention:
            self.attend()

    def _taken(self, connection: Connection) -> None:
        queue = connection.queue
        if queue and connection.state is READING:
            if queue[0].chunked or queue[0].content_length >= LARGE_BODY:
                self.row.busy()
                self._run(connection, monotonic())
                self.row.idle(self._requests)
            else:
                self._ready.append(connection)
        else:
            if connection.closing and connection.state is READING:
                connection.end(monotonic())
            self._table.settle(connection)

    # Running

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
            self.row.begin(now, request.line)
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
