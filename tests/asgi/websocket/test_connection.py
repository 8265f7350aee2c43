"""An application on a WebSocket: waiting, being woken, backpressure in both directions, and how it ends."""

import asyncio
import functools
import gc
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from websocket_driver import (
    CLOSE,
    PING,
    PONG,
    SERVER_LINES,
    TEXT,
    close_frame,
    frame,
    read_frames,
    upgrade_of,
)

from unicorn_asgi.http import ClientDisconnectedError
from unicorn_asgi.websocket.connection import MOST_EARLY, WebSocketConnection
from unicorn_asgi.websocket.gateway import Gateway
from unicorn_asgi.websocket.policy import WebSocketPolicy
from unicorn_asgi.websocket.session import BYTES_AHEAD, CLOSE_TIMEOUT, MESSAGES_AHEAD

SCOPE = {"type": "websocket", "path": "/"}


class Connection:
    """The worker's part, and the test's grip on it.

    Attributes:
        answers: what was answered by HTTP.
        failures: what the application raised.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.congested = self.reading_paused = self.closed = False
        self.sent = b""
        self.answers: list[dict[str, Any]] = []
        self.failures: list[BaseException | None] = []
        self._drained = asyncio.Event()
        gateway = Gateway(upgrade_of(), WebSocketPolicy(), SERVER_LINES, self.send)
        self.websocket = WebSocketConnection(self, self.respond, SCOPE, gateway)

    async def respond(self, message: dict[str, Any]) -> None:
        self.answers.append(message)

    def send(self, *parts: bytes) -> None:
        self.sent += b"".join(parts)

    async def drained(self) -> None:
        await self._drained.wait()

    def congest(self, yes: bool) -> None:
        self.congested = yes
        self._drained.clear() if yes else self._drained.set()

    def pause_reading(self) -> None:
        assert not self.reading_paused
        self.reading_paused = True

    def resume_reading(self) -> None:
        assert self.reading_paused
        self.reading_paused = False

    def close(self) -> None:
        self.closed = True

    def failed(self) -> None:
        self.failures.append(sys.exc_info()[1])

    def take(self) -> bytes:
        data, self.sent = self.sent, b""
        return data

    def frames(self) -> list:
        """What was written since the last time, without the answer to the handshake."""
        data = self.take()
        return read_frames(data.partition(b"\r\n\r\n")[2] if data.startswith(b"HTTP/") else data)

    def feed(self, *frames: bytes) -> None:
        for one in frames:
            self.websocket.data_received(one)


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


Application = Callable[..., Any]


async def accept(receive, send) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})


async def echo(scope, receive, send) -> None:
    await accept(receive, send)
    while (message := await receive())["type"] == "websocket.receive":
        await send(message | {"type": "websocket.send"})


def recording(events: list) -> Application:
    async def application(scope, receive, send):
        await accept(receive, send)
        while not events or events[-1]["type"] != "websocket.disconnect":
            events.append(await receive())

    return application


@pytest.fixture
def connection() -> Iterator[Connection]:
    with asyncio.Runner() as runner:
        yield Connection(runner.get_loop())


def running(test):
    """Run a test in the event loop of its connection; what it leaves running is cancelled."""

    @functools.wraps(test)
    def run(*arguments, connection, **options):
        connection.loop.run_until_complete(test(*arguments, connection=connection, **options))

    return run


async def start(connection: Connection, application: Application) -> asyncio.Task:
    task = asyncio.create_task(connection.websocket.run(application))
    await settle()
    return task


async def leave(connection: Connection, task: asyncio.Task) -> None:
    """The application is let go as far as it can; then the client is gone."""
    await settle()
    connection.websocket.connection_lost()
    await task


@running
async def test_an_echo(connection):
    task = await start(connection, echo)
    assert connection.websocket.accepted
    connection.feed(frame(TEXT, b"a"))
    await settle()
    connection.feed(frame(TEXT, b"b") + frame(TEXT, b"c"))
    await settle()
    assert connection.frames() == [(TEXT, b"a"), (TEXT, b"b"), (TEXT, b"c")]
    connection.feed(close_frame(1000))
    assert connection.closed
    await task
    assert connection.frames() == [(CLOSE, b"\x03\xe8")]
    assert (connection.answers, connection.failures) == ([], [])


class TestHandshake:
    @running
    async def test_what_comes_before_it_is_accepted_is_not_lost(self, connection):
        go = asyncio.Event()

        async def slow(scope, receive, send):
            await go.wait()
            await echo(scope, receive, send)

        await start(connection, slow)
        connection.feed(frame(TEXT, b"early")[:4], frame(TEXT, b"early")[4:])
        assert connection.sent == b""
        go.set()
        await settle()
        assert connection.frames() == [(TEXT, b"early")]

    @running
    async def test_a_client_that_sends_much_before_must_wait(self, connection):
        go = asyncio.Event()

        async def slow(scope, receive, send):
            await go.wait()
            await echo(scope, receive, send)

        await start(connection, slow)
        connection.feed(frame(TEXT, b"a" * MOST_EARLY))
        assert connection.reading_paused
        go.set()
        await settle()
        assert not connection.reading_paused
        assert connection.frames() == [(TEXT, b"a" * MOST_EARLY)]

    @running
    async def test_close_before_accept_answers_by_http(self, connection):
        async def application(scope, receive, send):
            await receive()
            await send({"type": "websocket.close"})
            assert (await receive())["type"] == "websocket.disconnect"

        await (await start(connection, application))
        assert [answer["type"] for answer in connection.answers] == ["http.response.start", "http.response.body"]
        assert not connection.websocket.accepted
        assert connection.sent == b""

    @running
    async def test_a_denial_answers_by_http(self, connection):
        async def application(scope, receive, send):
            await send({"type": "websocket.http.response.start", "status": 401})
            await send({"type": "websocket.http.response.body", "body": b"who?"})

        await (await start(connection, application))
        assert connection.answers == [
            {"type": "http.response.start", "status": 401},
            {"type": "http.response.body", "body": b"who?"},
        ]

    @pytest.mark.parametrize("error", [ValueError, SystemExit])
    @running
    async def test_an_application_that_raises_before_is_the_workers(self, error, connection):
        async def application(scope, receive, send):
            raise error("oops")

        with pytest.raises(error, match="oops"):
            await connection.websocket.run(application)
        assert (connection.answers, connection.failures, connection.sent) == ([], [], b"")

    @pytest.mark.parametrize("how", ["eof_received", "connection_lost"])
    @running
    async def test_a_client_that_leaves_before_is_told(self, how, connection):
        async def application(scope, receive, send):
            await receive()
            assert await receive() == {"type": "websocket.disconnect", "code": 1006, "reason": ""}
            await send({"type": "websocket.accept"})

        task = await start(connection, application)
        getattr(connection.websocket, how)()
        with pytest.raises(ClientDisconnectedError):
            await task


class TestReceiving:
    @running
    async def test_a_client_faster_than_the_application_must_wait(self, connection):
        go, events = asyncio.Event(), []

        async def slow(scope, receive, send):
            await accept(receive, send)
            await go.wait()
            while True:
                events.append(await receive())
                await asyncio.sleep(0)

        await start(connection, slow)
        connection.feed(*[frame(TEXT, b"a")] * (MESSAGES_AHEAD - 1))
        assert not connection.reading_paused
        connection.feed(frame(TEXT, b"a"), frame(TEXT, b"a"))
        assert connection.reading_paused
        go.set()
        while len(events) < MESSAGES_AHEAD:
            assert connection.reading_paused
            await asyncio.sleep(0)
        await settle()
        assert not connection.reading_paused
        assert len(events) == MESSAGES_AHEAD + 1

    @running
    async def test_so_must_one_with_a_large_message_but_not_if_it_is_waited_for(self, connection):
        events = []

        async def slow(scope, receive, send):
            await accept(receive, send)
            events.append(await receive())
            assert not connection.reading_paused
            connection.feed(frame(TEXT, b"b" * BYTES_AHEAD))
            assert connection.reading_paused
            events.append(await receive())
            assert not connection.reading_paused

        task = await start(connection, slow)
        connection.feed(frame(TEXT, b"a" * BYTES_AHEAD))
        assert not connection.reading_paused
        await leave(connection, task)
        assert connection.failures == []
        assert [event["text"][0] for event in events] == ["a", "b"]

    @running
    async def test_a_task_that_is_cancelled_while_it_waits_takes_no_message_along(self, connection):
        events = []

        async def application(scope, receive, send):
            await accept(receive, send)
            waiting = asyncio.create_task(receive())
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(receive(), 0)
            connection.feed(frame(TEXT, b"a"))
            events.append(await receive())

        await leave(connection, await start(connection, application))
        assert events == [{"type": "websocket.receive", "text": "a"}]
        assert connection.failures == []

    @running
    async def test_two_tasks_cannot_wait_at_once(self, connection):
        async def application(scope, receive, send):
            await accept(receive, send)
            waiting = asyncio.create_task(receive())
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="two tasks call receive"):
                await receive()
            assert (await waiting)["text"] == "a"

        task = await start(connection, application)
        connection.feed(frame(TEXT, b"a"))
        await leave(connection, task)
        assert connection.failures == []


class TestSending:
    @running
    async def test_it_waits_for_a_client_that_reads_slowly(self, connection):
        sent = []

        async def application(scope, receive, send):
            await accept(receive, send)
            for number in range(3):
                connection.congest(number == 1)
                await send({"type": "websocket.send", "text": "a"})
                sent.append(number)
            await receive()

        await start(connection, application)
        assert sent == [0]
        connection.congest(False)
        await settle()
        assert sent == [0, 1, 2]

    @running
    async def test_a_client_that_does_not_read_pongs_may_send_no_more_pings(self, connection):
        await start(connection, echo)
        connection.feed(frame(PING, b"1"))
        assert not connection.reading_paused
        connection.congest(True)
        connection.feed(frame(PING, b"2"))
        assert connection.reading_paused
        connection.websocket.tick(1)
        assert connection.reading_paused
        connection.congest(False)
        connection.websocket.tick(2)
        assert not connection.reading_paused
        assert connection.frames() == [(PONG, b"1"), (PONG, b"2")]

    @running
    async def test_a_client_that_only_reads_slowly_is_still_heard(self, connection):
        await start(connection, echo)
        connection.congest(True)
        for now in range(0, 30, 10):
            connection.websocket.tick(now)
            assert not connection.reading_paused

    @running
    async def test_a_client_that_closes_without_reading_is_let_go(self, connection):
        task = await start(connection, echo)
        connection.congest(True)
        connection.feed(close_frame(1000))
        assert connection.closed
        assert not connection.reading_paused
        await task

    @running
    async def test_it_raises_once_the_client_is_gone_which_is_no_failure(self, connection):
        async def application(scope, receive, send):
            await accept(receive, send)
            assert (await receive())["type"] == "websocket.disconnect"
            await send({"type": "websocket.send", "text": "a"})

        task = await start(connection, application)
        connection.websocket.connection_lost()
        await task
        assert connection.failures == []


class TestEnd:
    @running
    async def test_an_application_that_returns_closes_with_1000(self, connection):
        task = await start(connection, lambda scope, receive, send: accept(receive, send))
        assert connection.frames() == [(CLOSE, b"\x03\xe8")]
        assert not connection.closed
        assert not task.done()
        connection.feed(close_frame(1000))
        assert connection.closed
        await task

    @pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
    @running
    async def test_one_that_raises_closes_with_1011_and_is_reported(self, error, connection):
        async def application(scope, receive, send):
            await accept(receive, send)
            raise error("oops")

        task = await start(connection, application)
        assert connection.frames() == [(CLOSE, b"\x03\xf3")]
        connection.websocket.connection_lost()
        await task
        assert [type(one) for one in connection.failures] == [error]

    @running
    async def test_one_that_closes_is_told_of_the_end_and_reading_goes_on_for_the_answer(self, connection):
        events = []

        async def application(scope, receive, send):
            await accept(receive, send)
            await asyncio.sleep(0)
            assert connection.reading_paused
            await send({"type": "websocket.close", "code": 4000, "reason": "enough"})
            events.append(await receive())

        task = asyncio.create_task(connection.websocket.run(application))
        await asyncio.sleep(0)
        connection.feed(*[frame(TEXT, b"a")] * MESSAGES_AHEAD)
        await settle()
        assert events == [{"type": "websocket.disconnect", "code": 4000, "reason": "enough"}]
        assert not connection.reading_paused
        connection.feed(close_frame(4000))
        assert connection.closed
        await task

    @running
    async def test_a_server_that_goes_away_says_1012(self, connection):
        events = []
        await start(connection, recording(events))
        connection.websocket.go_away()
        await settle()
        assert events == [{"type": "websocket.disconnect", "code": 1012, "reason": "service restart"}]
        assert connection.frames() == [(CLOSE, b"\x03\xf4service restart")]

    @running
    async def test_a_task_that_is_cancelled_says_1012_and_stays_cancelled(self, connection):
        task = await start(connection, echo)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert connection.frames()[-1][0] == CLOSE

    @pytest.mark.parametrize("how", ["eof_received", "connection_lost"])
    @running
    async def test_a_client_that_vanishes_is_told(self, how, connection):
        events = []
        task = await start(connection, recording(events))
        getattr(connection.websocket, how)()
        await task
        assert events == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}]
        assert connection.frames() == []

    @running
    async def test_a_client_that_does_not_answer_a_close_frame_is_left(self, connection):
        task = await start(connection, lambda scope, receive, send: accept(receive, send))
        connection.websocket.tick(0)
        connection.websocket.tick(CLOSE_TIMEOUT - 1)
        assert not connection.closed
        connection.websocket.tick(CLOSE_TIMEOUT)
        assert connection.closed
        await task

    @pytest.mark.parametrize("gone", [True, False])
    @running
    async def test_an_application_that_does_not_notice_it_is_cancelled_after_a_time(self, gone, connection):
        events = []

        async def application(scope, receive, send):
            await accept(receive, send)
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                events.append("cancelled")
                raise

        task = await start(connection, application)
        connection.websocket.tick(0)
        if gone:
            connection.websocket.connection_lost()
        else:
            connection.feed(close_frame(1000))
        for now in (10, 12):
            connection.websocket.tick(now)
            await settle()
        assert not task.done()
        connection.websocket.tick(13)
        await task
        assert events == ["cancelled"]
        assert connection.failures == []

    @running
    async def test_one_that_has_noticed_takes_its_time(self, connection):
        go = asyncio.Event()

        async def application(scope, receive, send):
            await accept(receive, send)
            await receive()
            await go.wait()

        task = await start(connection, application)
        connection.websocket.connection_lost()
        await settle()
        for now in range(0, 100, 10):
            connection.websocket.tick(now)
            await settle()
        assert not task.done()
        go.set()
        await task

    @running
    async def test_so_does_one_that_has_noticed_by_sending(self, connection):
        go = asyncio.Event()

        async def application(scope, receive, send):
            await accept(receive, send)
            await asyncio.sleep(0)
            with pytest.raises(ClientDisconnectedError):
                await send({"type": "websocket.send", "text": "a"})
            await go.wait()

        task = asyncio.create_task(connection.websocket.run(application))
        await asyncio.sleep(0)
        connection.websocket.connection_lost()
        await settle()
        for now in range(0, 100, 10):
            connection.websocket.tick(now)
            await settle()
        assert not task.done()
        go.set()
        await task

    @running
    async def test_a_task_that_waits_is_told_when_another_closes(self, connection):
        events = []

        async def application(scope, receive, send):
            await accept(receive, send)
            waiting = asyncio.create_task(receive())
            await asyncio.sleep(0)
            await send({"type": "websocket.close", "code": 4000})
            events.append(await waiting)

        task = await start(connection, application)
        assert events == [{"type": "websocket.disconnect", "code": 4000, "reason": ""}]
        await leave(connection, task)

    @running
    async def test_one_that_has_closed_itself_takes_its_time(self, connection):
        go = asyncio.Event()

        async def application(scope, receive, send):
            await accept(receive, send)
            await send({"type": "websocket.close"})
            await go.wait()

        task = await start(connection, application)
        for now in range(0, 100, 10):
            connection.websocket.tick(now)
            await settle()
        assert connection.closed
        assert not task.done()
        go.set()
        await task

    @running
    async def test_a_client_that_does_not_answer_pings_is_left_and_the_application_told(self, connection):
        events = []
        task = await start(connection, recording(events))
        for now in (0, 20, 40):
            connection.websocket.tick(now)
        await task
        assert connection.closed
        assert events == [{"type": "websocket.disconnect", "code": 1011, "reason": "no answer to a ping"}]


@running
async def test_a_connection_leaves_nothing_for_the_garbage_collector_once_the_worker_lets_go(connection):
    gc.disable()
    try:
        task = await start(connection, echo)
        connection.feed(frame(TEXT, b"a"))
        await settle()
        connection.feed(close_frame(1000))
        await task
        gone = weakref.ref(connection.websocket._gateway.session._protocol)
        connection.websocket = None
        del task
        await settle()
        assert gone() is None
    finally:
        gc.enable()
