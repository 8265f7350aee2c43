"""What the worker classes with blocking WSGI applications have in common: everything but who runs the requests.

Between requests every connection waits in the poller, so that slow or idle clients block nobody; only the body that an
application is reading, and a streamed answer, are waited for.
"""

from collections import deque
from collections.abc import Collection
from time import monotonic
from typing import Any, NoReturn

from unicorn_core import plugins
from unicorn_core.errors import ApplicationError, ExitCode, NotAnApplicationError
from unicorn_core.observe.access import compile_format
from unicorn_core.settings.registry import Settings
from unicorn_core.worker import child
from unicorn_core.worker.base import Context
from unicorn_core.worker.fitting import is_asynchronous
from unicorn_core.worker.scoreboard import TAKEN
from unicorn_http.semantics.policies import watched_names
from unicorn_http.semantics.refusal import Refusal, too_slow
from unicorn_http.serving import opening
from unicorn_http.serving.acceptor import Acceptor
from unicorn_http.serving.connections import shed
from unicorn_http.serving.outbox import Counter, Outbox, thread_waits
from unicorn_http.serving.pace import Pace
from unicorn_http.serving.poller import READ, WRITE, Poller, new_poller
from unicorn_http.serving.states import CLOSED, HANDSHAKING, LARGE_BODY, LINGERING, PER_TURN, READING
from unicorn_http.serving.times import ThreadWaiting, Times, Waiting
from unicorn_http.serving.worker import ServingWorker
from unicorn_http.workers.connection import Connection
from unicorn_http.workers.probe import Probe
from unicorn_http.workers.table import ConnectionTable
from unicorn_http.wsgi.environ import EnvironFactory
from unicorn_http.wsgi.failed import FailedApplication
from unicorn_http.wsgi.gateway import Application, WsgiGateway, answer
from unicorn_http.wsgi.hooks import with_hooks
from unicorn_http.wsgi.reply import ClientGoneError, Reply
from unicorn_http.wsgi.request import WsgiRequest

LONGEST_WAIT = 0.5
"""Seconds in the poller at most: the worker must show a sign of life."""


class BlockingWorker(ServingWorker):
    """See the module. A subclass takes in, accepts and serves, in an order and in threads of its own.

    Attributes:
        multithread: several requests may run at the same time.
    """

    multithread = False
    _connections: ConnectionTable

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        settings = self.settings
        self._poller = self.new_poller()
        self._outbox = self.new_outbox()
        self._environs = EnvironFactory(
            self.log.writes_to(),
            watched_names(settings),
            multithread=self.multithread,
            multiprocess=settings.workers.maximum > 1,
        )
        make_codec = plugins.load(plugins.PROTOCOLS, settings.protocol)(settings, self._server, self._refusals.reported)
        self._pace = self.first_pace()
        shared = not all(listener.reuse_port for listener in context.listeners)
        self._connections = ConnectionTable(
            Acceptor(context.listeners, self._poller, self.row, self._pace, shared, self.log),
            self._poller,
            self._outbox,
            make_codec,
            self._environs,
            Times.of(settings, self.waiting()),
            settings.worker_connections,
            self.row,
            self._pace,
            opening.Opener.of(settings, make_codec, self._environs, self.log),
        )
        self._concurrency = settings.limit_concurrency
        self._ready: deque[Connection] = deque()
        # From now on the others know that they are not alone.
        self.row.load(TAKEN)

    def first_pace(self) -> Pace:
        """What is assumed before the application has been called."""
        return Pace()

    def new_poller(self) -> Poller:
        """What watches the connections."""
        return new_poller()

    def new_outbox(self) -> Outbox:
        """Where the answers of a turn are held."""
        return Outbox(thread_waits)

    def waiting(self) -> Waiting:
        """How whoever runs a request waits for its client."""
        return ThreadWaiting()

    @classmethod
    def check_application(cls, application: Any, settings: Settings) -> None:
        if is_asynchronous(application):
            raise NotAnApplicationError(
                f"{settings.wsgi_app or application!r} is an ASGI application, and the worker class "
                f"{settings.worker_class} runs WSGI applications: use the worker class asgi (-k asgi)"
            )

    def boot(self) -> None:
        """Import the application."""
        application = self.context.load_application()
        self.check_application(application, self.settings)
        self._call(application)

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

    # What the arbiter asks for

    def _open(self) -> None:
        """Before the first turn: from now on clients, and the arbiter, are heard."""
        for fd in self.attention:
            self._poller.add(fd, READ)
        self._connections.acceptor.watch()
        self.row.idle(0)

    def _fail(self) -> NoReturn:
        """A thread, or what stands for one, has failed by the server's own fault: so does the worker."""
        self.log.exception("Worker (pid:%s) failed outside of a request", self.pid)
        child.leave(ExitCode.FAILED)

    @property
    def _awaited(self) -> bool:
        """Somebody waits for whoever is free now: requests, clients for room, or the arbiter for the end."""
        table = self._connections
        return bool(self._ready) or table.finished or not table.acceptor.watching

    # Taking in

    def _take_in(self, events: list[tuple[int, int]], now: float) -> Collection[int]:
        """Read from everything that is ready; complete requests wait in `_ready` for the next phase.

        Gives the listeners that have connections.
        """
        connections = self._connections.by_fd
        listeners: Collection[int] = ()
        for fd, event in events:
            connection = connections.get(fd)
            if connection is None:
                if fd in self._connections.acceptor:
                    listeners = {*listeners, fd}
                elif fd in self.attention:
                    self.attend()
                continue
            if connection.apart:
                connection.unwatch()  # who serves it lets it be watched again
                continue
            if connection.state is READING:
                if connection.queue:
                    continue  # it waits in `_ready`; what comes meanwhile stays in the kernel, which bounds pipelining
                connection.take_in(now)
            elif connection.state is LINGERING:
                connection.linger()
            elif connection.state is HANDSHAKING:
                connection.shake_hands(now)
            elif connection.queue and connection in self._ready:
                continue  # what it held met a client that reads slowly, or is gone: when its turn comes that is seen
            elif event & WRITE:
                connection.flush()
            else:
                connection.state = CLOSED  # an error while it is not read from
            self.taken(connection)
        return listeners if self._connections.free else {*listeners, *self._connections.due(now)}

    def _accept(self, listeners: Collection[int], now: float) -> Collection[int]:
        """Accept from these, as far as it is this worker's turn; gives none."""
        for connection in self._connections.accept(listeners, bool(self._ready), now):
            self.taken(connection)
        return ()

    def taken(self, connection: Connection) -> None:
        queue = connection.queue
        if queue and connection.state is READING:
            if queue[0].chunked or queue[0].content_length >= LARGE_BODY:
                self._run_at_once(connection)
            else:
                self._ready.append(connection)
        else:
            if connection.closing and connection.state is READING:
                connection.end(monotonic())
            self._connections.settle(connection)

    def _run_at_once(self, connection: Connection) -> None:
        """A request with a large body has come, in the middle of taking in: the others' bodies would push it out."""
        self._ready.append(connection)

    def _sweep(self, now: float) -> None:
        """Before requests are run: while they are, others may come that nobody has read yet."""
        for connection in self._connections.sweep(now):
            request = connection.new_request()
            request.error = too_slow("body" if connection.codec.pending_body else "head")
            self._refuse_or_drop(connection, request)
            self._connections.settle(connection)

    def _drain_if_asked(self, now: float) -> None:
        if self.draining and not self._drained:
            self._drained = True
            graceful = self.settings.graceful_timeout
            patience = max(0.0, graceful - LONGEST_WAIT) if graceful else float("inf")
            for connection in self._connections.drain(now, patience, self._ends):
                self.taken(connection)

    # Running

    def _shed(self, running: int = 0) -> None:
        """Refuse what waits beyond `limit_concurrency`; so many requests are running."""
        shed(self._ready, self._concurrency - running)

    def _serve(self, connection: Connection, counter: Counter, now: float) -> float:
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
            counter.called(before, now)
            connection.since = now
            connection.served = True
            if connection.closing:
                connection.end(now)
        return now

    def _settle(self, connection: Connection) -> None:
        """After it was served: what is left of it runs later, or it is watched, or forgotten."""
        if connection.queue and connection.state is READING:
            self._ready.append(connection)
        elif not (connection.watched == READ and connection.state is READING):
            self._connections.settle(connection)

    def _refuse_or_drop(self, connection: Connection, request: WsgiRequest) -> None:
        """A request that cannot be read to its end never reaches the application."""
        error = request.error
        if not isinstance(error, Refusal):
            connection.cut()  # the client is gone
            return
        self._refusals.refused(connection.peer, error)
        self._refuse(connection, request, error.status, str(error))

    def _refuse(self, connection: Connection, request: WsgiRequest, status: int, text: str) -> None:
        """Answer in place of the application, and close."""
        connection.closing = True
        try:
            answer(Reply(request), status, text)
        except ClientGoneError:
            connection.cut()
        connection.end(monotonic(), linger=True)
