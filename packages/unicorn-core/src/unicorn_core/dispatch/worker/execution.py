"""In a task worker: running calls, and answering them."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator, Mapping
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

from unicorn_core.application import user_traceback
from unicorn_core.dispatch.app import Batched, batching_of, resolve_action
from unicorn_core.dispatch.errors import (
    ActionNotFound,
    AppError,
    AppNotLoaded,
    DispatchError,
    PayloadTooLarge,
    TaskFailed,
)
from unicorn_core.dispatch.rules.batching import Batching
from unicorn_core.dispatch.wire import flow, shared
from unicorn_core.dispatch.wire.frames import Flag, Frame, Kind, size, split_route
from unicorn_core.dispatch.wire.serialization import Serializer
from unicorn_core.dispatch.worker.inbox import Inbox, Task
from unicorn_core.observe.logs import Logger
from unicorn_core.worker.scoreboard import IN_FLIGHT, REQUESTS, Row

MOST_ROUTES = 1024
"""How many actions are looked up only once: an app that overrides `__call__` may have any number."""
_DONE = object()
_STREAM = int(Flag.STREAM)  # the operators of flags are slow


class Execution:
    """Runs calls in one thread, one after another.

    Args:
        apps: by their paths.
        number: of this task worker, for errors.
        limit: bytes that an answer may have.
    """

    def __init__(
        self,
        inbox: Inbox,
        apps: Mapping[str, object],
        serializer: Serializer,
        row: Row,
        log: Logger,
        number: int,
        limit: int,
    ) -> None:
        self._inbox = inbox
        self._apps = apps
        self._serializer = serializer
        self._row = row
        self._log = log
        self._number = number
        self._limit = limit
        self._found: dict[bytes, tuple[Callable[..., Any], Batched | None]] = {}
        self._runner: asyncio.Runner | None = None

    def run(self) -> None:
        """Run calls until there are no more."""
        cells = self._row.cells
        try:
            while (task := self._inbox.take()) is not None:
                frame = task.frame
                self._row.begin(time.monotonic(), frame.route.replace(b"\n", b"."))
                cells[IN_FLIGHT] += 1
                if task.place > cells[REQUESTS]:
                    cells[REQUESTS] = task.place
                self._run(task)
                self._inbox.forget(task)
                cells[IN_FLIGHT] -= 1
        except OSError:
            # The dispatcher is gone: there is nobody to answer.
            pass
        finally:
            cells[IN_FLIGHT] = 0.0

    def await_it(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """The result of a coroutine, run in this thread's own loop."""
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(coroutine)

    def _run(self, task: Task) -> None:
        frame = task.frame
        try:
            method, batched = self._found.get(frame.route) or self._find(frame.route)
        except DispatchError as error:
            shared.close(task.descriptors)
            self._refuse(task, error)
            return
        if batched is not None:
            self._run_batch(task, method, batched)
        elif not task.cancelled:
            self._run_one(task, method)
        else:
            shared.close(task.descriptors)
            self._end(task)

    def _run_one(self, task: Task, method: Callable[..., Any]) -> None:
        try:
            args, kwargs = self._arguments(task)
        except DispatchError as error:
            self._refuse(task, error)
            return
        try:
            result = method(*args, **kwargs)
            if type(result) is CoroutineType:
                result = self.await_it(result)
        except BaseException as error:
            self._raised(task, error)
            return
        streams = task.frame.flags & _STREAM
        if type(result) is GeneratorType or type(result) is AsyncGeneratorType:
            values = result if type(result) is GeneratorType else self._drive(result)
            if streams:
                self._stream(task, values)
            else:
                values.close()
                self._refuse(task, AppError("the action gives a stream: call it with `stream` or `stream_async`"))
        elif streams:
            self._stream(task, iter((result,)))
        else:
            self._reply(task, result)

    def _find(self, route: bytes) -> tuple[Callable[..., Any], Batched | None]:
        path, action = split_route(route)
        app = self._apps.get(path)
        if app is None:
            raise AppNotLoaded("the task worker does not hold this app")
        found = resolve_action(app, action), batching_of(app, action)
        if len(self._found) < MOST_ROUTES:
            self._found[route] = found
        return found

    def _arguments(self, task: Task) -> tuple[list[Any], dict[str, Any]]:
        frame = task.frame
        buffers = shared.fetch(frame.buffers, task.descriptors) if frame.buffers else ()
        return self._serializer.unpack_call(frame.body, buffers)

    # Answers

    def _reply(self, task: Task, result: Any) -> None:
        """Send what a call gave."""
        try:
            self._send(task, Kind.RESULT, result)
        except DispatchError as error:
            self._refuse(task, error)

    def _send(self, task: Task, kind: Kind, value: Any) -> Frame:
        """Send a value.

        Raises:
            NotSerializable, PayloadTooLarge: it cannot be sent.
        """
        body, *buffers = self._serializer.pack(value)
        frame = Frame(kind, task.frame.id, body=body, buffers=buffers)
        if (bytes_of_it := size(frame)) > self._limit:
            raise PayloadTooLarge(size=bytes_of_it, limit=self._limit)
        if buffers:
            frame.buffers, descriptors = self._inbox.lend(task.frame.id, buffers)
            self._inbox.send(frame, descriptors)
        else:
            self._inbox.send(frame)
        return frame

    def _end(self, task: Task) -> None:
        self._inbox.send(Frame(Kind.END, task.frame.id))

    def _raised(self, task: Task, error: BaseException) -> None:
        """The app's own code has raised."""
        if isinstance(error, ActionNotFound):
            self._refuse(task, error)
            return
        text = user_traceback(error)
        app, action = split_route(task.frame.route)
        self._log.error("Task %s.%s raised:\n%s", app, action, text.rstrip())
        kind = type(error)
        name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        self._refuse(task, TaskFailed(str(error), remote_type=name, traceback=text))

    def _refuse(self, task: Task, error: DispatchError) -> None:
        error.app, error.action = split_route(task.frame.route)
        error.worker = self._number
        body, *buffers = self._serializer.pack(error.to_dict())
        self._inbox.send(Frame(Kind.ERROR, task.frame.id, body=body, buffers=buffers))

    # Streams

    def _stream(self, task: Task, values: Iterator[Any]) -> None:
        """Send the values one by one, as fast as the caller takes them."""
        try:
            while not task.cancelled:
                try:
                    value = next(values)
                except StopIteration:
                    break
                except BaseException as error:
                    self._raised(task, error)
                    return
                task.credit -= flow.worth(self._send(task, Kind.ITEM, value))
                self._inbox.attend(task)
        except DispatchError as error:
            self._refuse(task, error)
            return
        finally:
            self._close(task, values)
        self._end(task)

    def _close(self, task: Task, values: Iterator[Any]) -> None:
        """Let a generator clean up."""
        try:
            if isinstance(values, GeneratorType):
                values.close()
        except BaseException as error:
            app, action = split_route(task.frame.route)
            self._log.error("Task %s.%s raised as it was closed:\n%s", app, action, user_traceback(error).rstrip())

    def _drive(self, values: AsyncGenerator[Any, None]) -> Generator[Any, None, None]:
        """The values of an asynchronous generator, which goes on in this thread's loop."""
        try:
            while (value := self.await_it(_next(values))) is not _DONE:
                yield value
        finally:
            self.await_it(_aclose(values))

    # Batches

    def _run_batch(self, first: Task, method: Callable[..., Any], batched: Batched) -> None:
        """Gather calls of one action, and run them as one list."""
        gathered = Batching[Task](batched.max_size, batched.max_wait)
        batch = gathered.add(first, time.monotonic())
        while batch is None:
            assert gathered.due is not None
            task = self._inbox.take_like(first.frame.route, gathered.due)
            batch = gathered.flush() if task is None else gathered.add(task, time.monotonic())
        cells = self._row.cells
        cells[REQUESTS] = max(cells[REQUESTS], *(task.place for task in batch))
        tasks, arguments = self._gather(batch)
        if not tasks:
            return
        try:
            results = method(arguments)
            if type(results) is CoroutineType:
                results = self.await_it(results)
            if not isinstance(results, list | tuple) or len(results) != len(tasks):
                raise TypeError(f"a batched action must give a list of as many results as it got: {len(tasks)}")
        except BaseException as error:
            results = [error] * len(tasks)
        for task, result in zip(tasks, results, strict=True):
            if isinstance(result, BaseException):
                self._raised(task, result)
            else:
                self._reply(task, result)
            if task is not first:
                self._inbox.forget(task)

    def _gather(self, batch: list[Task]) -> tuple[list[Task], list[Any]]:
        """The calls that can be run, and their arguments."""
        tasks: list[Task] = []
        arguments: list[Any] = []
        for task in batch:
            try:
                args, kwargs = self._arguments(task)
                if len(args) != 1 or kwargs:
                    raise AppError("a batched action takes one argument, by its position")
            except DispatchError as error:
                self._refuse(task, error)
                continue
            tasks.append(task)
            arguments.append(args[0])
        return tasks, arguments


async def _next(values: AsyncGenerator[Any, None]) -> Any:
    return await anext(values, _DONE)


async def _aclose(values: AsyncGenerator[Any, None]) -> None:
    await values.aclose()
