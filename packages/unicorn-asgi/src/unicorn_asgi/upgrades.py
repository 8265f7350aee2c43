"""Requests that become WebSockets: what stands between a connection and unicorn_asgi.websocket."""

from asyncio import AbstractEventLoop
from typing import TYPE_CHECKING, Any

from unicorn_asgi.connection import Connection
from unicorn_asgi.http import HttpExchange
from unicorn_asgi.scope import Scope
from unicorn_asgi.websocket.policy import WebSocketPolicy
from unicorn_core.observe.logs import Logger
from unicorn_core.settings.registry import Settings
from unicorn_http.codec import ServerLines
from unicorn_http.semantics.refusal import Refusal
from unicorn_http.semantics.request import ListRequest, Request
from unicorn_http.semantics.response import ResponseHead

if TYPE_CHECKING:
    from unicorn_asgi.gateway import Application
    from unicorn_asgi.websocket.connection import WebSocketConnection
    from unicorn_asgi.websocket.handshake import Upgrade


class WebSockets:
    """Makes the exchanges of a worker's WebSockets.

    Attributes:
        open: those whose application runs.
    """

    def __init__(self, settings: Settings, server: ServerLines, log: Logger) -> None:
        self._policy = WebSocketPolicy.of(settings)
        self._server = server
        self._log = log
        self.open: set[WebSocketExchange] = set()

    def exchange(self, request: ListRequest, connection: Connection) -> HttpExchange:
        """For a request that asks for a WebSocket; if it does so in a wrong way, that is its error."""
        # Here and below: the library is imported with the first WebSocket.
        from unicorn_asgi.websocket.handshake import read_upgrade, too_early

        try:
            if connection.queue or connection.codec.pending:
                raise too_early()
            upgrade = read_upgrade(request, self._policy)
        except Refusal as error:
            request.error = error.with_traceback(None)  # which would hold the request
            return HttpExchange(request, connection)
        return WebSocketExchange(request, connection, _upgrade=upgrade, _websockets=self)

    def connect(self, exchange: "WebSocketExchange", scope: Scope, upgrade: "Upgrade") -> "WebSocketConnection":
        """The WebSocket takes the connection over."""
        from unicorn_asgi.websocket.connection import WebSocketConnection
        from unicorn_asgi.websocket.gateway import Gateway, websocket_scope

        connection = exchange.connection
        host = WebSocketHost(connection, f"{exchange.request.method} {exchange.request.target}", self._log)
        gateway = Gateway(upgrade, self._policy, self._server, host.send)
        websocket = WebSocketConnection(host, exchange.send, websocket_scope(scope, upgrade), gateway)
        host.websocket = websocket
        connection.codec = host
        return websocket

    def tick(self, now: float) -> None:
        """About once a second."""
        for exchange in list(self.open):
            exchange.tick(now)

    def go_away(self) -> None:
        """The worker stops."""
        for exchange in list(self.open):
            exchange.go_away()


class WebSocketExchange(HttpExchange, eq=False):
    """As long as its handshake is not accepted, a request as any other."""

    _upgrade: Any = None
    _websockets: Any = None
    _websocket: Any = None

    @property
    def connection(self) -> Connection:
        """That it takes over."""
        connection: Connection = self._outlet
        return connection

    @property
    def answered(self) -> bool:
        return self.complete or (self._websocket is not None and self._websocket.accepted)

    async def run(self, application: "Application", scope: Scope) -> None:
        """Raises what the application does before the handshake is answered."""
        # Whatever is answered, no other request comes.
        self.connection.closing = True
        websockets = self._websockets
        self._websocket = websockets.connect(self, scope, self._upgrade)
        websockets.open.add(self)
        try:
            await self._websocket.run(application)
        finally:
            websockets.open.discard(self)
            self.complete = self.answered
            self._websocket = None

    def leave(self) -> None:
        HttpExchange.leave(self)
        if self._websocket is not None:
            self._websocket.connection_lost()

    def tick(self, now: float) -> None:
        """Time has passed."""
        if self._websocket is not None:
            self._websocket.tick(now)

    def go_away(self) -> None:
        """The worker stops."""
        if self._websocket is not None:
            self._websocket.go_away()


class WebSocketHost:
    """A unicorn_asgi.websocket.connection.Host, and in place of the connection's codec what reads for it.

    Attributes:
        websocket: None once it has closed the connection.
    """

    pending = pending_body = False

    __slots__ = ("_codec", "_connection", "_log", "_name", "drained", "loop", "send", "websocket")

    def __init__(self, connection: Connection, name: str, log: Logger) -> None:
        self._connection = connection
        self._codec = connection.codec
        self._name = name
        self._log = log
        self.loop: AbstractEventLoop = connection.loop
        self.send = connection.send
        self.drained = connection.drained
        self.websocket: WebSocketConnection | None = None

    # The host

    @property
    def congested(self) -> bool:
        return self._connection.congested

    def pause_reading(self) -> None:
        self._connection.unwatch_reading()

    def resume_reading(self) -> None:
        self._connection.watch()

    def close(self) -> None:
        self.websocket = None
        self._connection.close()

    def failed(self) -> None:
        self._log.exception("Error handling request %s", self._name)

    # The codec

    def feed(self, data: bytes) -> None:
        if self.websocket is not None:
            self.websocket.data_received(data)

    def feed_eof(self) -> None:
        if self.websocket is not None:
            self.websocket.eof_received()

    def head(self, request: Request, response: ResponseHead, length: int | None, persist: bool) -> bytes:
        return self._codec.head(request, response, length, persist)

    def interim(self, request: Request, status: str, fields: str) -> bytes:
        return self._codec.interim(request, status, fields)
