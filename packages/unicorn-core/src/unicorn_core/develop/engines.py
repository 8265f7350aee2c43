"""Waiting until it is worth looking at the watched files again (setting reload_engine)."""

import importlib
import importlib.util
import logging
from collections.abc import Callable, Iterator
from time import sleep
from typing import Any, Protocol

from unicorn_core.errors import PluginError

INTERVAL = 0.5
"""Seconds between two looks when polling."""
FALLBACK = 2.0
"""Seconds between two looks without being notified: network and container file systems notify of nothing."""
TICK = 0.1
"""Seconds that an event waits for others at most."""


class Engine(Protocol):
    """Where the watcher waits."""

    def wait(self, folders: Callable[[], frozenset[str]]) -> None:
        """Wait until something may have changed; `folders` gives those in which that can happen."""
        ...


class Polling:
    """Waits for some time."""

    def wait(self, folders: Callable[[], frozenset[str]]) -> None:
        sleep(INTERVAL)


class Watchfiles:
    """Is notified by the system, through the package watchfiles; polls where the system refuses.

    It watches folders and not files, which editors replace; and not those below, which may be many.

    Raises:
        ImportError: watchfiles is not installed.
    """

    def __init__(self) -> None:
        self._watch = importlib.import_module("watchfiles").watch
        # What it would say of each event may go into a log file in a watched folder, which would be an event.
        logging.getLogger("watchfiles").setLevel(logging.WARNING)
        self._folders: frozenset[str] = frozenset()
        self._events: Iterator[Any] | None = None

    def wait(self, folders: Callable[[], frozenset[str]]) -> None:
        wanted = folders()
        ticks = int(FALLBACK / TICK)
        if wanted != self._folders or self._events is None:
            self.close()
            self._folders, self._events = wanted, self._listen(wanted)
            ticks = 1  # what has changed before it listened is found by looking
        try:
            any(next(self._events) for _ in range(ticks))
        except (OSError, RuntimeError):
            # A folder has just vanished, or the system gives no more watches.
            self.close()
            sleep(INTERVAL)

    def _listen(self, folders: frozenset[str]) -> Iterator[Any]:
        """Gives what has happened, at the latest after a tick."""
        milliseconds = int(TICK * 1000)
        events: Iterator[Any] = self._watch(
            *folders,
            watch_filter=None,
            step=milliseconds // 2,
            debounce=milliseconds,
            rust_timeout=milliseconds,
            yield_on_timeout=True,
            recursive=False,
            ignore_permission_denied=True,
        )
        return events

    def close(self) -> None:
        """Stop being notified."""
        if self._events is not None:
            self._events.close()  # type: ignore[attr-defined]
            self._events = None


def check(name: str) -> None:
    """See that the engine is installed, without importing it: much comes along that a worker class may want to patch.

    Raises:
        PluginError: it is not installed.
    """
    if name == "watchfiles" and importlib.util.find_spec("watchfiles") is None:
        raise _missing(name, "it is not installed")


def choose(name: str) -> Engine:
    """The engine that the setting names: auto, poll or watchfiles.

    Raises:
        PluginError: it is not installed.
    """
    if name == "poll":
        return Polling()
    try:
        return Watchfiles()
    except ImportError as error:
        if name == "auto":
            return Polling()
        raise _missing(name, str(error)) from error


def _missing(name: str, why: str) -> PluginError:
    return PluginError(f"setting reload_engine = {name!r}: {why}: pip install 'unicorn-core[reload]'")
