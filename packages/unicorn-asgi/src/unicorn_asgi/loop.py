"""The event loop, and how listeners are watched on it."""

import asyncio
import contextlib
import importlib
from collections.abc import Callable

from unicorn_core.errors import SettingError
from unicorn_core.settings.registry import Settings
from unicorn_http.serving.poller import READ


def check(settings: Settings) -> None:
    """SettingError: uvloop is asked for and not installed."""
    if settings.asgi_loop == "uvloop":
        try:
            importlib.import_module("uvloop")
        except ImportError:
            raise SettingError(
                f"setting asgi_loop = 'uvloop' ({settings.origin('asgi_loop')}): it is not installed: "
                "pip install 'unicorn-asgi[uvloop]'"
            ) from None


def new_loop(settings: Settings) -> asyncio.AbstractEventLoop:
    """The event loop of the setting asgi_loop; it becomes this thread's."""
    loop: asyncio.AbstractEventLoop | None = None
    if settings.asgi_loop != "asyncio":
        with contextlib.suppress(ImportError):
            loop = importlib.import_module("uvloop").new_event_loop()
    if loop is None:
        loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop


class LoopWatcher:
    """A unicorn_http.serving.poller.Watcher, for reading alone, that calls back.

    A loop cannot watch so that one of several processes is woken: all are, and take turns by themselves.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, ready: Callable[[int], None]) -> None:
        """`ready` is called with a descriptor that can be read."""
        self._loop = loop
        self._ready = ready

    def add(self, fd: int, events: int, *, shared: bool = False) -> None:
        assert events == READ
        self._loop.add_reader(fd, self._ready, fd)

    def remove(self, fd: int) -> None:
        self._loop.remove_reader(fd)
