"""The lifespan protocol: the application's start and end (ASGI specification, Lifespan, version 2.0)."""

from asyncio import AbstractEventLoop, CancelledError, Future, Queue, Task, wait
from typing import Any

from unicorn_asgi.gateway import Application
from unicorn_asgi.http import Message, MessageError
from unicorn_core.application import user_traceback
from unicorn_core.errors import ApplicationError
from unicorn_core.observe.logs import Logger

Outcome = tuple[bool, str]
"""Whether it went well, and what the application said about it."""


class Lifespan:
    """One application's life in one worker.

    Args:
        required: the application must have it (asgi_lifespan = on).

    Attributes:
        state: what the application leaves for its requests.
    """

    def __init__(self, application: Application, required: bool, loop: AbstractEventLoop, log: Logger) -> None:
        self.state: dict[str, Any] = {}
        self._application = application
        self._required = required
        self._loop = loop
        self._log = log
        self._events: Queue[Message] = Queue()
        self._begun = False  # the application has taken in the first event
        self._started: Future[Outcome] = loop.create_future()
        self._stopped: Future[Outcome] = loop.create_future()
        self._task: Task[None] | None = None
        self._error: BaseException | None = None
        self._ending = False

    async def start_up(self) -> bool:
        """Wait until the application has started; False if it has no lifespan.

        Raises:
            ApplicationError: it has failed to start.
        """
        self._events.put_nowait({"type": "lifespan.startup"})
        self._task = self._loop.create_task(self._run())
        await _first(self._task, self._started)
        if self._started.done():
            done, message = self._started.result()
            if done:
                self._task.add_done_callback(self._ended)
                return True
            raise ApplicationError(*_failure("the application's startup failed (lifespan)", message))
        error, self._error = self._error, None
        if error is None and not self._required:
            if self._begun:
                self._log.warning("The application took in lifespan.startup and returned without answering it")
            return False
        if error is None:
            raise ApplicationError("the application has no lifespan: it returned without answering the startup event")
        if self._begun or self._required:
            how = f"{type(error).__name__}: {error}"
            raise ApplicationError(f"the application's startup failed (lifespan): {how}", user_traceback(error))
        self._log.debug("The application has no lifespan: %s: %s", type(error).__name__, error)
        return False

    async def shut_down(self, seconds: float) -> None:
        """Let the application end; waits so long at most, and tells what went wrong."""
        task = self._task
        if task is None or task.done():
            return
        self._ending = True
        self._events.put_nowait({"type": "lifespan.shutdown"})
        await _first(task, self._stopped, seconds)
        if self._stopped.done():
            done, message = self._stopped.result()
            if not done:
                text, details = _failure("the application's shutdown failed (lifespan)", message)
                self._log.error("%s%s", text, f"\n{details}" if details else "")
            await wait([task], timeout=1.0)
        elif self._error is not None:
            self._log.error("The application raised in its shutdown (lifespan):\n%s", user_traceback(self._error))
        elif not task.done():
            self._log.error("The application's shutdown (lifespan) did not end within %.1f s", seconds)
        task.cancel()
        self._error = None

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._application(scope, self._receive, self._send)
        except BaseException as error:
            if not isinstance(error, CancelledError):
                self._error = error

    def _ended(self, task: Task[None]) -> None:
        """After it has started: it may leave before it is asked to, but what it raises is told."""
        if self._error is not None and not self._ending:
            self._log.error("The application's lifespan raised while it serves:\n%s", user_traceback(self._error))
            self._error = None

    async def _receive(self) -> Message:
        message = await self._events.get()
        self._begun = True
        return message

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        event, _, outcome = kind.removeprefix("lifespan.").partition(".")
        waiting = {"startup": self._started, "shutdown": self._stopped}.get(event)
        if waiting is None or outcome not in ("complete", "failed") or waiting.done():
            raise MessageError(f"the application sent {kind!r}, which has no place here in lifespan")
        if waiting is self._stopped and not self._started.done():
            raise MessageError(f"the application sent {kind!r} before it had started")
        waiting.set_result((outcome == "complete", str(message.get("message", ""))))


async def _first(task: Future[None], outcome: Future[Outcome], seconds: float | None = None) -> None:
    """Wait for one of the two."""
    both: list[Future[Any]] = [task, outcome]
    await wait(both, timeout=None if seconds == float("inf") else seconds, return_when="FIRST_COMPLETED")


def _failure(what: str, message: str) -> tuple[str, str]:
    """One line for the operator, and what may follow it: frameworks give a whole traceback as the message."""
    lines = message.strip().splitlines()
    if not lines:
        return what, ""
    return f"{what}: {lines[-1].strip()}", message.strip() if len(lines) > 1 else ""
