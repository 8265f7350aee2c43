"""The worker class `asgi`: one event loop, which runs ASGI applications."""

import asyncio
import contextlib
import os
from collections.abc import Coroutine, Sequence
from time import monotonic
from typing import Any

from unicorn_asgi import applications, stacks
from unicorn_asgi import loop as loops
from unicorn_asgi.connection import Connection
from unicorn_asgi.connections import LoopConnections
from unicorn_asgi.gateway import Application, AsgiGateway
from unicorn_asgi.lifespan import Lifespan
from unicorn_asgi.scope import ScopeFactory
from unicorn_asgi.turns import Turns
from unicorn_asgi.upgrades import WebSockets
from unicorn_core import plugins
from unicorn_core.alarm import Alarm
from unicorn_core.errors import ApplicationError, PluginError, SettingError
from unicorn_core.hooks import Hooks
from unicorn_core.observe.access import compile_format
from unicorn_core.settings.registry import Settings
from unicorn_core.worker.base import Context
from unicorn_core.worker.scoreboard import TAKEN
from unicorn_http.semantics.policies import watched_names
from unicorn_http.semantics.refusal import too_slow
from unicorn_http.serving import opening
from unicorn_http.serving.acceptor import Acceptor
from unicorn_http.serving.outbox import Outbox, thread_waits
from unicorn_http.serving.pace import Pace
from unicorn_http.serving.times import ThreadWaiting, Times
from unicorn_http.serving.worker import ServingWorker

TICK = 0.5
"""Seconds between two signs of life of the loop."""
FASTEST_FIRST = ("h1c", "httptools")
"""Parsers for a worker that wants fields as bytes; the others would first make text of them."""
EXTENSIONS = ("http.response.early_hint", "http.response.trailers", "http.response.pathsend")
GOODBYE = 1.0
"""Seconds before that for WebSockets to close."""
FAREWELL = 5.0
"""Seconds of graceful_timeout, a quarter of it at most, that are kept for the lifespan's end and what else must end."""


class AsgiWorker(ServingWorker):
    """See the module."""

    _connections: LoopConnections

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        settings = self.settings
        self._loop = loops.new_loop(settings)
        sendfile = settings.sendfile and hasattr(os, "sendfile")
        extensions = (*EXTENSIONS, "http.response.zerocopysend") if sendfile else EXTENSIONS
        self._scopes = ScopeFactory(watched_names(settings), _root_path(settings), extensions)
        self._lifespan: Lifespan | None = None
        self._gateway: AsgiGateway
        self._turns: Turns
        self._pace = Pace()
        self._outbox = Outbox(thread_waits)
        make_codec = plugins.load(plugins.PROTOCOLS, settings.protocol)(
            _with_fastest_parser(settings), self._server, self._refusals.reported
        )
        shared = not all(listener.reuse_port for listener in context.listeners)
        watcher = loops.LoopWatcher(self._loop, self._arrived)
        self._connections = LoopConnections(
            Acceptor(context.listeners, watcher, self.row, self._pace, shared, self.log, even=True),
            self._loop,
            self._outbox,
            make_codec,
            self._scopes,
            Times.of(settings, ThreadWaiting()),
            settings.worker_connections,
            self.row,
            self._pace,
            opening.Opener.of(settings, make_codec, self._scopes, self.log),
            sendfile,
        )
        self._websockets = WebSockets(settings, self._server, self.log)
        self._over = asyncio.Event()
        self._deadline = self._ends_at = float("inf")  # for what still runs when the worker is to stop, and for all
        self._alarm = Alarm(self._loop, self._look)
        self._connections.left = self._left
        # From now on the others know that they are not alone.
        self.row.load(TAKEN)

    @classmethod
    def check(cls, settings: Settings) -> None:
        super().check(settings)
        loops.check(settings)
        if settings.root_path and not settings.root_path.startswith("/"):
            raise SettingError(
                f"setting root_path = {settings.root_path!r} ({settings.origin('root_path')}): must begin with a slash"
            )

    @classmethod
    def check_application(cls, application: Any, settings: Settings) -> None:
        applications.check(application, settings.wsgi_app)

    # Booting

    def boot(self) -> None:
        """Import the application, and wait until it has started."""
        application = self.context.load_application()
        asyncio.set_event_loop(self._loop)  # asyncio.run() in an imported module would have left none
        self.check_application(application, self.settings)
        self._call(application)
        if self.settings.asgi_lifespan != "off":
            required = self.settings.asgi_lifespan == "on"
            lifespan = Lifespan(application, required, self._loop, self.log)
            if self._until_done(lifespan.start_up()):
                self._lifespan = lifespan
                self._scopes.state = lifespan.state

    def stand_in(self, error: ApplicationError) -> bool:
        from unicorn_asgi.failed import FailedApplication  # here and below: few starts need it

        self._call(FailedApplication(error))
        return True

    def probe(self, path: str) -> int:
        from unicorn_asgi.probe import probe

        listeners = self.context.listeners
        run = probe(self._gateway.application, self._scopes, path, listeners[0] if listeners else None)
        try:
            status: int = self._until_done(run)
            return status
        except Exception:
            self.log.exception("Error handling the canary's request of %s", path)
            return 500

    def _call(self, application: Application) -> None:
        """Serve requests with this application."""
        self.wsgi = application
        settings = self.settings
        access = compile_format(settings.access_log_format) if self.log.access_on else None
        hooks = Hooks(settings, self.log)
        if hooks.has("pre_request", "post_request"):
            from unicorn_asgi.hooks import HookedGateway

            self._gateway = HookedGateway(application, self._scopes, access, hooks, self)
        else:
            self._gateway = AsgiGateway(application, self._scopes, self.log, access)
        self._turns = self._connections.keeper = Turns(
            self._loop,
            self._connections,
            self._gateway,
            self._websockets,
            self._outbox,
            self._pace,
            self.row,
            self._server,
            self._refusals,
            self.served if self.recycle_at else None,
            settings.limit_concurrency,
            settings.asgi_disconnect_grace_period,
        )
        # Before the application starts: it may hang in its lifespan.
        stacks.install(self._loop, self.log, self.pid, self.context.stacks, self._turns.request_of)

    def _until_done(self, run: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run_until_complete(run)

    # What the arbiter asks for

    def drain(self, ends: bool = False) -> None:
        super().drain(ends)
        self._loop.call_soon_threadsafe(self._drain)

    def taken(self, connection: Connection) -> None:
        self._turns.taken(connection)

    def give_back(self, slot: int, ends: bool) -> None:
        super().give_back(slot, ends)
        self._look_soon()

    # Serving

    def run(self) -> None:
        loop = self._loop
        for fd in self.attention:
            loop.add_reader(fd, self.attend)
        self._connections.acceptor.watch()
        self.row.idle(0)
        self._tick()
        try:
            self._until_done(self._serve())
        finally:
            self._clean_up()

    async def _serve(self) -> None:
        await self._over.wait()
        if self._lifespan is not None:
            await self._lifespan.shut_down(max(TICK, self._ends_at - monotonic()))

    def _arrived(self, fd: int) -> None:
        """The loop's callback: a listener has connections."""
        self._accept((fd,))

    def _accept(self, listeners: Sequence[int]) -> None:
        turns, connections = self._turns, self._connections
        for connection in connections.accept(listeners, turns.busy, monotonic()):
            turns.taken(connection)
        self._look_soon()

    def _look_soon(self) -> None:
        """See to it that what keeps the worker from accepting is looked after."""
        if not self._connections.free:
            self._alarm.at(self._loop.time() + self._connections.patience(TICK, monotonic()))

    def _look(self) -> None:
        now = monotonic()
        self._turns.show(now)
        if due := self._connections.due(now):
            self._accept(due)
        if self._drained:
            self._see_whether_over(now)
        self._look_soon()

    def _left(self) -> None:
        """A connection has ended: there may be room for another, or nothing left to do."""
        self._alarm.at(self._loop.time())

    def _tick(self) -> None:
        """Twice a second: a sign of life, and all deadlines."""
        now = monotonic()
        self.beat(now)
        self._server.refresh()
        turns, connections = self._turns, self._connections
        for connection in connections.sweep(now):
            turns.refuse(connection, too_slow("body" if connection.codec.pending_body else "head"))
        for connection in list(connections.by_fd.values()):
            if connection.body_is_late(now):
                turns.give_up(connection, too_slow("body"))
        turns.sweep(now)
        turns.show(now)
        self._look_soon()
        if self._drained:
            self._see_whether_over(now)
        if not self._over.is_set():
            self._loop.call_later(TICK / 10 if self._drained else TICK, self._tick)
        else:
            self._loop.call_later(TICK, self._beat_on)

    def _beat_on(self) -> None:
        """While the application shuts down."""
        self.beat()
        self._loop.call_later(TICK, self._beat_on)

    # Ending

    def _drain(self) -> None:
        if self._drained:
            return
        self._drained = True
        now = monotonic()
        graceful = self.settings.graceful_timeout
        if graceful:
            self._ends_at = now + graceful - TICK
            self._deadline = self._ends_at - min(FAREWELL, graceful / 4)
        patience = max(0.0, self._deadline - now)
        for connection in self._connections.drain(now, patience, self._ends):
            self._turns.taken(connection)
        self._see_whether_over(now)
        self._look_soon()

    def _see_whether_over(self, now: float) -> None:
        turns = self._turns
        if now >= self._deadline:
            turns.stop()
        elif now >= self._deadline - GOODBYE:
            self._websockets.go_away()
        if self._drained and self._connections.finished and not turns.busy and not turns.tasks:
            self._over.set()

    def _clean_up(self) -> None:
        """What the application has left on the loop."""
        loop = self._loop
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        with contextlib.suppress(Exception):
            if tasks:
                loop.run_until_complete(asyncio.wait(tasks, timeout=1.0))
            loop.run_until_complete(loop.shutdown_asyncgens())


def _root_path(settings: Settings) -> str:
    """The setting; without it SCRIPT_NAME of the environment, as for WSGI."""
    return str(settings.root_path or os.environ.get("SCRIPT_NAME", ""))


def _with_fastest_parser(settings: Settings) -> Settings:
    """`auto` stands for the parser that is fastest where fields are wanted as bytes."""
    if settings.http_parser == "auto":
        for parser in FASTEST_FIRST:
            with contextlib.suppress(PluginError):
                plugins.load(plugins.HTTP_PARSERS, parser)
                return settings.replaced(http_parser=parser)
    return settings
