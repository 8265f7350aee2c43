"""One WebSocket in an asyncio worker: futures around the state machines, and nothing else.

For who integrates it, from the request to the end:

1. `upgrade.wants_websocket(request)` tells whether a request asks for a WebSocket. That module imports nothing heavy;
   the others import `websockets`, so import them when the first one comes.
2. `handshake.read_upgrade(request, policy)` gives the `Upgrade`, or raises `UpgradeRefusal`: a `Refusal` that is
   answered as any other, with its `fields` (for 426: Upgrade and Sec-WebSocket-Version) in the answer's head.
3. `WebSocketConnection(host, respond, scope, Gateway(upgrade, policy, server_lines, host.send))`; `scope` comes from
   `gateway.websocket_scope`, which takes the one that the request would have by HTTP. From now on everything that comes
   from the client is the WebSocket's, whatever becomes of the handshake: call `data_received`, `eof_received`,
   `connection_lost`. The client must not send anything before it is answered, so what the codec finds behind the
   request's head may be refused.
4. A task runs `run(application)`. As long as the handshake is not answered by 101 (`accepted`), this is a request as
   any other: what the application raises comes out of `run`, and if it returns although `respond` was not told all of
   a response, that is its fault (500, or a response that is cut). Afterwards `host.failed` is told what it raises, and
   `run` returns when the client has answered the close frame, or has had the time to.
5. About once a second the worker's sweep calls `tick(now)`, until `run` has ended: keepalive and the end of closing
   depend on it, and whether an application that does not notice the end is cancelled.
6. When the worker stops, and the time for running requests is nearly over: `go_away()`, which closes with 1012. Tasks
   that still run when it ends are cancelled.
7. `host.close()` is the last thing that the WebSocket does. A refused handshake ends with the last message to `respond`
   instead, the end of an HTTP response, after which the connection closes too.

`Host` is what it needs of the worker's connection. The two hold each other, so the host lets go of the WebSocket when
it closes.
"""

from asyncio import AbstractEventLoop, CancelledError, Future, Task, current_task
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from unicorn_asgi.http import ClientDisconnectedError
from unicorn_asgi.websocket.gateway import Gateway, Message

MOST_EARLY = 65536
"""Bytes that a client may send before its handshake is answered, which it should not do at all; then it must wait."""

Application = Callable[..., Awaitable[None]]
Respond = Callable[[Message], Awaitable[None]]
"""Takes http.response.start and http.response.body: an answer in place of the handshake, as HttpExchange.send."""


class Host(Protocol):
    """The connection that a WebSocket came by, whatever carries it (a socket, TLS, a stream of HTTP/2).

    Attributes:
        loop: the event loop.
        congested: the client reads slowly: wait for `drained` before more is sent. Looked at after each `send`.
    """

    loop: AbstractEventLoop

    @property
    def congested(self) -> bool: ...

    def send(self, *parts: bytes) -> None:
        """Write these, one behind the other, now or as soon as the client reads. Once it is closed nothing happens."""

    async def drained(self) -> None:
        """Wait until the client has read most of what was sent; returns too when it is gone. Several tasks may."""

    def pause_reading(self) -> None:
        """Call `data_received` no more (once more does no harm). That the client left may go unnoticed meanwhile."""

    def resume_reading(self) -> None: ...

    def close(self) -> None:
        """Send what is unsent, then end: shut down the sending side, throw away what still comes until the client has
        closed or for about 2 s, so that it can read the close frame. Each part of that is bounded in time. May be
        called again."""

    def failed(self) -> None:
        """The application raised, once the handshake was accepted; `sys.exc_info()` has it."""


class WebSocketConnection:
    """What a worker has of one WebSocket; the module tells how it is used."""

    __slots__ = (
        "_early",
        "_ending",
        "_gateway",
        "_host",
        "_paused",
        "_respond",
        "_scope",
        "_task",
        "_unaware_since",
        "_waiter",
    )

    def __init__(self, host: Host, respond: Respond, scope: dict[str, Any], gateway: Gateway) -> None:
        self._host = host
        self._respond = respond
        self._scope = scope
        self._gateway = gateway
        self._waiter: Future[None] | None = None  # of `receive`
        self._ending: Future[None] | None = None  # of `run`, once the application has returned
        self._task: Task[Any] | None = None
        self._unaware_since: float | None = None  # the connection is closed, and the application does not know it
        self._paused = False  # nothing is read
        self._early = b""

    @property
    def accepted(self) -> bool:
        """The answer was 101."""
        return self._gateway.session is not None

    # Called by the worker

    async def run(self, application: Application) -> None:
        """Call the application, close what it leaves open, and return when the WebSocket has come to its end.

        Raises:
            CancelledError: so does whoever cancels it.
            BaseException: the application did before it had accepted the handshake.
        """
        code = 1000
        self._task = current_task()
        try:
            await application(self._scope, self.receive, self.send)
        except CancelledError:
            if self._task is not None:  # it was somebody else, not `tick`
                self.go_away()
                raise
        except BaseException as error:
            if not self.accepted:
                raise
            if not isinstance(error, ClientDisconnectedError):
                self._host.failed()
            code = 1011
        self._gateway.end(code)
        session = self._gateway.session
        if session is not None:
            self._settle()
            if not session.finished:
                self._ending = self._host.loop.create_future()
                await self._ending

    def data_received(self, data: bytes) -> None:
        session = self._gateway.session
        if session is None:
            self._early += data
            if len(self._early) > MOST_EARLY:
                self._pause()
            return
        session.feed(data)
        self._settle()
        # A message for which the application waits is as good as taken. But whoever does not read what it is sent, the
        # answers to its pings for one, must not go on sending either.
        crowded = session.messages and self._waiter is None and session.congested
        if (crowded or self._host.congested) and not session.finished:
            self._pause()

    def eof_received(self) -> None:
        """The client has shut down its sending side: a WebSocket is of no use by half."""
        self._gateway.client_left()
        self._wake()
        self._host.close()

    def connection_lost(self) -> None:
        self._gateway.client_left()
        self._wake()

    def tick(self, now: float) -> None:
        """`now`: monotonic seconds."""
        gateway = self._gateway
        session = gateway.session
        if session is None:
            return
        session.tick(now)
        self._settle()
        if session.closed is None or gateway.aware:
            return
        if self._unaware_since is None:
            self._unaware_since = now
        elif now - self._unaware_since >= gateway.policy.grace and self._task is not None:
            task, self._task = self._task, None
            task.cancel()

    def go_away(self) -> None:
        """The server restarts or stops."""
        session = self._gateway.session
        if session is not None:
            session.close(1012, "service restart")
            self._settle()

    # Called by the application

    async def receive(self) -> Message:
        """RuntimeError: another task waits in it, or the application does not heed `websocket.disconnect`."""
        gateway = self._gateway
        while (message := gateway.receive()) is None:
            if self._waiter is not None:
                raise RuntimeError("two tasks call receive() of one WebSocket at the same time")
            self._waiter = self._host.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._paused:
            self._resume()
        return message

    async def send(self, message: Message) -> None:
        """Raises what `Gateway.send` does."""
        gateway, host = self._gateway, self._host
        session = gateway.session
        if session is None:
            await self._answer_handshake(message)
            return
        gateway.send(message)
        if session.closed is not None:
            self._settle()
        if host.congested:
            await host.drained()
            self._resume()

    async def _answer_handshake(self, message: Message) -> None:
        for answer in self._gateway.send(message):
            await self._respond(answer)
        if self._gateway.session is not None and self._early:
            early, self._early = self._early, b""
            self.data_received(early)

    # Details

    def _settle(self) -> None:
        """The session has changed: tell the application, and read on, or end the connection, if it is time to."""
        session = self._gateway.session
        assert session is not None
        if session.messages or session.closed is not None:
            self._wake()
        if session.finished:
            self._host.close()
        elif self._paused:
            self._resume()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        if self._ending is not None and not self._ending.done():
            session = self._gateway.session
            if session is not None and session.finished:
                self._ending.set_result(None)

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._host.pause_reading()

    def _resume(self) -> None:
        """Read on if nothing is against it any more."""
        session = self._gateway.session
        if self._paused and not self._host.congested and session is not None and not session.messages:
            self._paused = False
            self._host.resume_reading()
