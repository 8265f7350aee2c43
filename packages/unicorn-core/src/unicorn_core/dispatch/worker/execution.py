"""In a task worker: running calls, and answering them."""

import asyncio
import contextlib
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
    shortened,
    text_of,
)
from unicorn_core.dispatch.rules.batching import Batching
from unicorn_core.dispatch.wire import flow, shared
from unicorn_core.dispatch.wire.frames import Flag, Frame, Kind, check, split_route
from unicorn_core.dispatch.wire.serialization import Serializer
from unicorn_core.dispatch.worker.inbox import Inbox, Task
from unicorn_core.observe.logs import Logger
from unicorn_core.worker.scoreboard import Row

MOST_ROUTES = 1024
"""How many actions are looked up only once: an app that overrides `__call__` may have any number."""
BRIEF = 256
"""Characters of an error's text where dispatch_max_payload permits no more."""
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
        # When the dispatcher is gone there is nobody to answer.
        with contextlib.suppress(OSError):
            while (task := self._inbox.take()) is not None:
                self._row.begin(time.monotonic(), task.frame.route.replace(b"\n", b"."))
                self._run(task)
                self._inbox.forget(task)

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
        except BaseException as error:
            shared.close(task.descriptors)
            self._raised(task, error)
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
        if type(result) is not GeneratorType and type(result) is not AsyncGeneratorType:
            self._reply(task, result)
            return
        values = result if type(result) is GeneratorType else self._drive(result)
        if task.frame.flags & _STREAM:
            self._stream(task, values)
        else:
            self._close(task, values)
            self._refuse(task, AppError("the action gives a stream: call it with `stream` or `stream_async`"))

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
        """Send what a call gave; who wants a stream gets one of this value."""
        streams = task.frame.flags & _STREAM
        try:
            self._send(task, Kind.ITEM if streams else Kind.RESULT, result)
        except DispatchError as error:
            self._refuse(task, error)
            return
        if streams:
            self._end(task)

    def _send(self, task: Task, kind: Kind, value: Any) -> Frame:
        """Send a value.

        Raises:
            NotSerializable, PayloadTooLarge: it cannot be sent.
        """
        body, *buffers = self._serializer.pack(value)
        frame = Frame(kind, task.frame.id, body=body, buffers=buffers)
        check(frame, self._limit)
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
        if type(error) is ActionNotFound:
            self._refuse(task, ActionNotFound(text_of(error.message)))
            return
        text = _traceback_of(error)
        app, action = split_route(task.frame.route)
        self._log.error("Task %s.%s raised:\n%s", app, action, text.rstrip())
        self._refuse(task, TaskFailed(text_of(error), remote_type=_name_of(type(error)), traceback=text))

    def _refuse(self, task: Task, error: DispatchError) -> None:
        """Answer by an error; of one that is too large for a frame only its begin travels."""
        error.app, error.action = split_route(task.frame.route)
        error.worker = self._number
        error.message = shortened(error.message)
        frame = self._error(task, error)
        try:
            check(frame, self._limit)
        except PayloadTooLarge:
            error.message = error.message[:BRIEF]
            if isinstance(error, AppError):
                error.traceback = None
            frame = self._error(task, error)
        self._inbox.send(frame)

    def _error(self, task: Task, error: DispatchError) -> Frame:
        body, *buffers = self._serializer.pack(error.to_dict())
        return Frame(Kind.ERROR, task.frame.id, body=body, buffers=buffers)

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
            self._log.error("Task %s.%s raised as it was closed:\n%s", app, action, _traceback_of(error).rstrip())

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
        tasks, arguments = self._gather(batch)
        if tasks:
            self._run_list(tasks, method, arguments)
        for task in batch:
            if task is not first:
                self._inbox.forget(task)

    def _run_list(self, tasks: list[Task], method: Callable[..., Any], arguments: list[Any]) -> None:
        try:
            results = method(arguments)
            if type(results) is CoroutineType:
                results = self.await_it(results)
            if not isinstance(results, list | tuple) or len(results := [*results]) != len(tasks):
                raise TypeError(f"a batched action must give a list of as many results as it got: {len(tasks)}")
        except BaseException as error:
            results = [error] * len(tasks)
        for task, result in zip(tasks, results, strict=True):
            # By its type: the `__class__` of a proxy may raise.
            if issubclass(type(result), BaseException):
                self._raised(task, result)
            else:
                self._reply(task, result)

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


def _traceback_of(error: BaseException) -> str:
    """Where it was raised, bounded; a user's exception may even raise while it is looked at."""
    try:
        return shortened(user_traceback(error))
    except BaseException:
        return f"{_name_of(type(error))}: {text_of(error)}\n"


def _name_of(kind: type) -> str:
    """A type as an error names it."""
    try:
        name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        return shortened(name)[:BRIEF]
    except BaseException:
        return type.__repr__(kind)[:BRIEF]


async def _next(values: AsyncGenerator[Any, None]) -> Any:
    return await anext(values, _DONE)


async def _aclose(values: AsyncGenerator[Any, None]) -> None:
    await values.aclose()
