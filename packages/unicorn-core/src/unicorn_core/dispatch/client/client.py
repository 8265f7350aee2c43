"""The client: how web workers, task workers and other processes call task apps."""

import os
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from unicorn_core.dispatch.client import environment
from unicorn_core.dispatch.client.backend import Backend, make
from unicorn_core.dispatch.client.exchange import Invocation, Options
from unicorn_core.dispatch.errors import NotConfigured, shown
from unicorn_core.dispatch.wire.frames import PRIORITY

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")
LONGEST = 1_000_000_000
"""Seconds that a timeout may have: more is beyond what the system's calls take."""


class Client:
    """Calls task apps.

    One client serves all threads, greenlets and asyncio loops of a process, also after a fork.

    Args:
        backend: what the calls are handed to.
        options: how they are made.
    """

    def __init__(self, backend: Backend, options: Options | None = None) -> None:
        self._backend = backend
        self._options = options or Options()

    def __repr__(self) -> str:
        return f"<dispatch client of {getattr(self._backend, 'path', self._backend)!r}>"

    def with_options(
        self,
        *,
        timeout: float | None = None,
        priority: int | None = None,
        idle_timeout: float | None = None,
    ) -> "Client":
        """A client of the same connections whose calls are made in another way; what is None stays as it is.

        Args:
            timeout: seconds until the result, or the end of the stream, must be there; 0: no limit. By default
                dispatch_timeout for a call, and no limit for a stream.
            priority: -100 to 100, 0 is usual, larger is sooner; who waits is promoted by one every ten seconds.
            idle_timeout: seconds that a stream may take for its next value; 0: no limit. By default dispatch_timeout.

        Raises:
            ValueError: one is no number, or out of range.
        """
        changes: dict[str, float] = {}
        for name, value in (("timeout", timeout), ("idle_timeout", idle_timeout)):
            if value is not None:
                changes[name] = float(_checked(name, value, Real, 0, LONGEST, "seconds"))
        if priority is not None:
            changes["priority"] = int(_checked("priority", priority, Integral, -PRIORITY, PRIORITY, "a whole number"))
        return Client(self._backend, replace(self._options, **changes))

    def execute(self, app: str | type, action: str, /, *args: Any, **kwargs: Any) -> Any:
        """The result of an action.

        Args:
            app: as in dispatch_apps, `module:Class`, or the class.
            action: a method of it.

        Raises:
            DispatchError: there is none; the subclasses tell why.
        """
        return self._backend.call(self._invocation(app, action, args, kwargs))

    def stream(self, app: str | type, action: str, /, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """The values of an action that gives many, one by one; `close` the iterator to end it early.

        Raises:
            DispatchError: in place of a value.
        """
        return self._backend.stream(self._invocation(app, action, args, kwargs))

    async def execute_async(self, app: str | type, action: str, /, *args: Any, **kwargs: Any) -> Any:
        """As `execute`, without blocking an asyncio loop. Cancelling it gives the call up."""
        return await self._backend.call_async(self._invocation(app, action, args, kwargs))

    def stream_async(self, app: str | type, action: str, /, *args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        """As `stream`, for `async for`."""
        return self._backend.stream_async(self._invocation(app, action, args, kwargs))

    def app(self, app: str | type) -> "AppProxy":
        """The actions of an app as methods: `client.app("models:Sentiment").predict(text)`."""
        return AppProxy(self, app)

    def map(
        self, app: str | type, action: str, items: Iterable[Any], *, ordered: bool = True, concurrency: int = 32
    ) -> Iterator[Any]:
        """The results of an action for each of many items, several at a time.

        The calls are made in threads: a program does not exit before those that are under way have ended.

        Args:
            items: each is the one argument of a call; taken as results are.
            ordered: give the results in the order of the items, else as they are done.
            concurrency: how many calls are under way at a time.

        Raises:
            DispatchError: in place of a result; calls that are under way end, further ones are not made.
            ValueError: concurrency is less than 1.
        """
        _check_concurrency(concurrency)
        return _map(lambda item: self.execute(app, action, item), items, ordered, concurrency)

    def map_async(
        self, app: str | type, action: str, items: Iterable[Any], *, ordered: bool = True, concurrency: int = 32
    ) -> AsyncGenerator[Any, None]:
        """As `map`, in an asyncio loop: `async for result in client.map_async(...)`."""
        _check_concurrency(concurrency)
        return _map_async(lambda item: self.execute_async(app, action, item), items, ordered, concurrency)

    def stash(self, operation: str, **arguments: Any) -> Any:
        """Run an operation on the stash; `unicorn_core.dispatch.stash` has them as functions."""
        return self._backend.stash(operation, arguments)

    def status(self) -> dict[str, Any]:
        """What there is to see of the dispatcher: queues, times and counts, by task worker and by app."""
        status: dict[str, Any] = self._backend.command("status")
        return status

    def resize(self, by: int) -> int:
        """Have so many task workers more (or less, if negative), as far as the apps permit; gives how many that is."""
        return int(self._backend.command("resize", by))

    def reload(self) -> None:
        """Have all task workers replaced by new ones, with the settings as they are now."""
        self._backend.command("reload")

    def close(self) -> None:
        """End all connections; a further call makes new ones."""
        self._backend.close()

    def _invocation(self, app: str | type, action: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Invocation:
        path = f"{app.__module__}:{app.__qualname__}" if isinstance(app, type) else app
        return Invocation(path, action, args, kwargs, self._options)


class AppProxy:
    """See `Client.app`. What `execute_async` is to `execute`, `.aio.predict(text)` is to `.predict(text)`."""

    def __init__(self, client: Client, app: str | type, asynchronous: bool = False) -> None:
        self._client = client
        self._app = app
        self._asynchronous = asynchronous

    @property
    def aio(self) -> "AppProxy":
        """The same, to be awaited."""
        return AppProxy(self._client, self._app, asynchronous=True)

    def __getattr__(self, action: str) -> Callable[..., Any]:
        if action.startswith("_"):
            raise AttributeError(action)
        run = self._client.execute_async if self._asynchronous else self._client.execute
        return lambda *args, **kwargs: run(self._app, action, *args, **kwargs)


def get_client() -> Client:
    """The client of this process: of the server that it belongs to, or that the environment names.

    Raises:
        NotConfigured: there is no dispatcher.
    """
    place = environment.announced()
    if place is None:
        raise NotConfigured()
    return _client(os.environ.get(environment.BACKEND) or "local", place)


@lru_cache(maxsize=16)
def _client(backend: str, place: str) -> Client:
    return Client(make(backend, place))


_NONE: Any = object()


def _checked(name: str, value: Any, kind: type, least: int, most: int, what: str) -> Any:
    """The value of an option; raises ValueError if it can be none."""
    if not isinstance(value, kind) or isinstance(value, bool) or not least <= value <= most:  # type: ignore[operator]
        raise ValueError(f"{name} must be {what}, from {least} to {most}, not {shown(value)}")
    return value


def _check_concurrency(concurrency: int) -> None:
    if concurrency < 1:
        raise ValueError(f"concurrency must be 1 or more, not {concurrency}")


def _map(run: Callable[[Any], T], items: Iterable[Any], ordered: bool, concurrency: int) -> Iterator[T]:
    """The results of `run` for each item, from threads (greenlets where they stand for threads)."""
    from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait  # few need it

    waiting = iter(items)
    running: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(concurrency, thread_name_prefix="dispatch map")
    try:
        while True:
            while len(running) < concurrency and (item := next(waiting, _NONE)) is not _NONE:
                running.append(pool.submit(run, item))
            if not running:
                return
            if not ordered:
                wait(running, return_when=FIRST_COMPLETED)
                running = deque(sorted(running, key=lambda future: not future.done()))
            yield running.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


async def _map_async(
    run: Callable[[Any], Coroutine[Any, Any, T]], items: Iterable[Any], ordered: bool, concurrency: int
) -> AsyncGenerator[T, None]:
    """The results of `run` for each item, from tasks of the running loop."""
    import asyncio  # blocking clients do without

    waiting = iter(items)
    running: deque[asyncio.Task[T]] = deque()
    loop = asyncio.get_running_loop()
    try:
        while True:
            while len(running) < concurrency and (item := next(waiting, _NONE)) is not _NONE:
                running.append(loop.create_task(run(item)))
            if not running:
                return
            if not ordered:
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                running = deque(sorted(running, key=lambda task: not task.done()))
            yield await running[0]
            running.popleft()
    finally:
        for task in running:
            task.cancel()
