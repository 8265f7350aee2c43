"""The connection of one asyncio loop to the dispatcher: many calls are under way on it at a time."""

import asyncio
import os
import socket
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from itertools import count
from typing import Any

from unicorn_core.alarm import Alarm
from unicorn_core.dispatch.client.connection import Superseded, reason, unreachable
from unicorn_core.dispatch.client.exchange import GRACE, HELLO, Exchange, Invocation, Terms
from unicorn_core.dispatch.errors import DispatchError, DispatcherUnavailable, ProtocolError
from unicorn_core.dispatch.wire import flow, shared
from unicorn_core.dispatch.wire.frames import LIMIT, Frame, Kind
from unicorn_core.dispatch.wire.link import Link
from unicorn_core.dispatch.wire.shared import Descriptors
from unicorn_core.dispatch.wire.slabs import Slabs

Request = Callable[[Exchange, int], tuple[Frame, Descriptors]]
"""Makes the frame of a request, which has this number."""
PAUSE = 0.01
"""Seconds until connecting is tried again when the dispatcher's queue of new clients is full."""


class Reply:
    """What has come for one request, and who waits for it.

    Attributes:
        frames: in order, not yet taken.
        error: the connection has ended.
        whole_at: how much the link must have flushed so that the request has gone whole; 0 if it went at once.
        until: when waiting ends; infinite if never.
    """

    __slots__ = ("_waiter", "error", "frames", "until", "whole_at")

    def __init__(self) -> None:
        self.frames: deque[tuple[Frame, Descriptors]] = deque()
        self.error: DispatchError | Superseded | None = None
        self.whole_at = 0
        self.until = float("inf")
        self._waiter: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """Something has come, or time is over."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def next(self, loop: asyncio.AbstractEventLoop) -> tuple[Frame, Descriptors]:
        """The next frame.

        Raises:
            TimeoutError: it is too late.
            DispatchError: the connection has ended.
            Superseded: ask again, over another connection.
        """
        while not self.frames:
            if self.error is not None:
                raise self.error
            if loop.time() >= self.until:
                raise TimeoutError
            self._waiter = loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self.frames[0][0].kind == Kind.RETRY:
            raise Superseded
        return self.frames.popleft()


class AsyncConnection:
    """See the module.

    Attributes:
        exchange: the terms on it.
        superseded: the dispatcher is leaving: what is under way is still answered, and nothing else.
    """

    def __init__(self, sock: socket.socket, loop: asyncio.AbstractEventLoop, path: str, slabs: Slabs) -> None:
        self._loop = loop
        self._slabs = slabs
        self._path = path
        self._numbers = count(1)
        self._replies: dict[int, Reply] = {}
        self._alarm = Alarm(loop, self._look)
        self._greeting: asyncio.Future[Terms] = loop.create_future()
        self.superseded = False
        self._link = Link(sock, loop, LIMIT, self._on_frame, self._on_close, patient=True)
        self.exchange: Exchange

    @property
    def usable(self) -> bool:
        """Something can be asked over it."""
        return not (self._link.closed or self._link.refused or self.superseded)

    async def greeted(self) -> None:
        """Wait for the dispatcher's greeting."""
        self.exchange = Exchange(await self._greeting, self._slabs)

    # Calls

    def ask(self, frame: Frame, descriptors: Descriptors) -> Reply | None:
        """Send a request; None if the connection has ended and not taken it."""
        reply = self._replies[frame.id] = Reply()
        self._link.send(frame, descriptors)
        if self._link.closed or self._link.refused:
            self.end_request(frame.id)
            return None
        if self._link.kept > self._link.flushed:
            reply.whole_at = self._link.kept
        return reply

    def wait_until(self, reply: Reply, until: float) -> None:
        """Change how long a reply is waited for."""
        reply.until = until
        if until < float("inf"):
            self._alarm.at(until)

    def tell(self, frame: Frame) -> None:
        """Send what needs no answer."""
        self._link.send(frame)

    def next_number(self) -> int:
        """For the next request."""
        return next(self._numbers)

    def value(self, frame: Frame, descriptors: Descriptors) -> Any:
        """What a frame holds; the task worker may then use its shared memory again.

        Raises:
            DispatchError: the frame says so.
        """
        value = self.exchange.value(frame, descriptors)
        if descriptors:
            self._link.send(Frame(Kind.EVENT, frame.id))
        return value

    def forget_request(self, number: int, *, complete: bool) -> None:
        """A request is done with; if it was not `complete` the dispatcher is told so."""
        self.end_request(number)
        self.exchange.settle(number, answered=complete)
        if not complete:
            self._link.send(Frame(Kind.CANCEL, number))

    def close(self) -> None:
        """End it."""
        self._link.close()

    def forget(self) -> None:
        """Its loop is closed: close what is left."""
        self._link.forget()

    def end_request(self, number: int) -> None:
        """Nothing more is waited for."""
        if reply := self._replies.pop(number, None):
            for frame, descriptors in reply.frames:
                self._discard(frame, descriptors)

    # What the link tells

    def _on_frame(self, frame: Frame, descriptors: Descriptors) -> None:
        if not self._greeting.done():
            self._greeting.set_result(Terms.read(frame))
            return
        self.superseded = self.superseded or frame.kind == Kind.RETRY
        reply = self._replies.get(frame.id)
        if reply is None:
            self._discard(frame, descriptors)
        else:
            reply.frames.append((frame, descriptors))
            reply.wake()

    def _discard(self, frame: Frame, descriptors: Descriptors) -> None:
        """Nobody wants this any more; the task worker may use its shared memory again."""
        if descriptors:
            shared.close(descriptors)
            self._link.send(Frame(Kind.EVENT, frame.id))

    def _on_close(self, why: Exception | None) -> None:
        self._alarm.stop()
        how = reason(why) if why is not None else "the connection was closed"
        if not self._greeting.done():
            self._greeting.set_exception(unreachable(why or ConnectionResetError(how), self._path))
        for reply in self._replies.values():
            lost = DispatcherUnavailable(f"the dispatcher went away before it answered ({how})")
            lost.socket_path = self._path
            # What has not gone whole, nobody has seen.
            reply.error = Superseded() if reply.whole_at > self._link.flushed else lost
            reply.wake()

    def _look(self) -> None:
        now = self._loop.time()
        for reply in self._replies.values():
            if reply.until <= now:
                reply.wake()
            elif reply.until < float("inf"):
                self._alarm.at(reply.until)


class AsyncConnections:
    """The connections of this process, one a loop. They are made when they are needed, and anew after a loss.

    Args:
        path: of the dispatcher's socket.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._pid = os.getpid()
        self._slabs = Slabs()
        self._open: dict[asyncio.AbstractEventLoop, AsyncConnection] = {}
        self._opening: dict[asyncio.AbstractEventLoop, asyncio.Task[AsyncConnection]] = {}

    async def call(self, invocation: Invocation) -> Any:
        """The result of a call.

        Raises:
            DispatchError: there is none.
        """
        asked = invocation.options.timeout
        timeout = 0.0

        def request(exchange: Exchange, number: int) -> tuple[Frame, Descriptors]:
            nonlocal timeout
            timeout = exchange.terms.timeout if asked is None else asked
            return exchange.request(number, invocation, timeout, stream=False)

        try:
            connection, number, reply = await self._ask(request, asked)
            return await self._answer(connection, number, reply, timeout)
        except Superseded:
            pass
        except TimeoutError:
            raise invocation.late(timeout) from None
        except DispatcherUnavailable as error:
            error.app, error.action = error.app or invocation.app, error.action or invocation.action
            raise
        return await self.call(invocation)

    async def stream(self, invocation: Invocation) -> AsyncGenerator[Any, None]:
        """The values of a stream, as they come; the generator in the task worker goes on as they are taken.

        Raises:
            DispatchError: in place of a value.
        """
        options = invocation.options
        total = options.timeout or 0.0
        end = time.monotonic() + total if total else float("inf")
        connection, number, reply = await self._ask(
            lambda exchange, n: exchange.request(n, invocation, total, stream=True), options.timeout
        )
        exchange = connection.exchange
        loop = asyncio.get_running_loop()
        idle = (exchange.terms.timeout if options.idle_timeout is None else options.idle_timeout) or float("inf")
        complete = False
        taken = 0
        try:
            while True:
                connection.wait_until(reply, min(end + GRACE, loop.time() + idle))
                frame, descriptors = await reply.next(loop)
                complete = frame.kind != Kind.ITEM
                if frame.kind == Kind.END:
                    return
                value = connection.value(frame, descriptors)
                if complete:
                    raise ProtocolError("a stream was answered by a plain value")
                yield value
                taken += flow.worth(frame)
                if taken >= flow.GRANT:
                    connection.tell(Frame(Kind.CREDIT, number, body=flow.grant(taken)))
                    taken = 0
        except TimeoutError:
            late = time.monotonic() >= end
            what = "the stream was not complete" if late else "no further value of the stream came"
            raise invocation.late(total if late else idle, what) from None
        except Superseded:
            pass
        finally:
            connection.forget_request(number, complete=complete)
        async with aclosing(self.stream(invocation)) as again:
            async for value in again:
                yield value

    def close(self) -> None:
        """End all connections, each in the thread of its loop, and keep no shared memory."""
        for loop, connection in list(self._open.items()):
            if loop.is_closed():
                connection.forget()
            elif loop.is_running() and loop is not asyncio._get_running_loop():
                loop.call_soon_threadsafe(connection.close)
            else:
                connection.close()
        self._open.clear()
        self._slabs.close()

    async def _ask(self, request: Request, patience: float | None) -> tuple[AsyncConnection, int, Reply]:
        """Send a request; what a connection that has just ended did not take goes over a new one."""
        while True:
            connection = await self._connection(patience)
            number = connection.next_number()
            frame, descriptors = request(connection.exchange, number)
            reply = connection.ask(frame, descriptors)
            if reply is not None:
                return connection, number, reply

    async def _answer(self, connection: AsyncConnection, number: int, reply: Reply, timeout: float) -> Any:
        loop = asyncio.get_running_loop()
        if timeout:
            connection.wait_until(reply, loop.time() + timeout + GRACE)
        complete = False
        try:
            frame, descriptors = await reply.next(loop)
            complete = True
        finally:
            if not complete:
                connection.forget_request(number, complete=False)
        connection.end_request(number)
        return connection.value(frame, descriptors)

    async def _connection(self, patience: float | None) -> AsyncConnection:
        if self._pid != os.getpid():
            # What a parent process has is its own.
            self._pid, self._open, self._opening = os.getpid(), {}, {}
            self._slabs.forget()
        loop = asyncio.get_running_loop()
        connection = self._open.get(loop)
        if connection is not None and connection.usable:
            return connection
        # The loops of other threads come and go meanwhile: copying a dict is one step, and one of them takes out each.
        for other in list(self._open):
            if other.is_closed() and (ended := self._open.pop(other, None)):
                ended.forget()
        opening = self._opening.get(loop)
        if opening is None:
            opening = self._opening[loop] = loop.create_task(self._connect(loop))
            opening.add_done_callback(self._opened)
        try:
            async with asyncio.timeout(patience or HELLO):
                # Others may wait for the same connection.
                return await asyncio.shield(opening)
        except TimeoutError as error:
            raise unreachable(error, self.path) from None

    def _opened(self, opening: asyncio.Task[AsyncConnection]) -> None:
        self._opening.pop(opening.get_loop(), None)
        if not opening.cancelled():
            opening.exception()  # perhaps nobody waits for it any more

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> AsyncConnection:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            while True:
                try:
                    sock.connect(self.path)
                    break
                except BlockingIOError:
                    await asyncio.sleep(PAUSE)
        except OSError as error:
            sock.close()
            raise unreachable(error, self.path) from None
        except BaseException:
            sock.close()
            raise
        connection = AsyncConnection(sock, loop, self.path, self._slabs)
        try:
            await connection.greeted()
        except BaseException:
            connection.close()
            raise
        self._open[loop] = connection
        return connection
