"""The state of all watched files, and what has changed in it."""

import os
import stat
from collections.abc import Callable, Iterable
from time import time

from unicorn_core.develop.modules import Modules
from unicorn_core.develop.patterns import Patterns, nearest_folder

COARSENESS = 0.02
"""Seconds by which the time of a modification may lag behind the clock: the system takes it from its last tick."""

State = tuple[int, int, int] | None
"""Of a file: nanoseconds of its last modification, size, inode. None: there is no file."""


class Files:
    """All files on which the application depends.

    A file that comes to be watched counts as changed if it was modified after the last look: the application has read
    it at some time between, perhaps before it was modified. What lies in the future, by another machine's clock, does
    not, or it would count again after each restart.

    Args:
        further: files that are watched as those of modules are; they need not exist.
        since: seconds since the epoch at which the application began to be loaded.
        clock: gives seconds since the epoch.
    """

    def __init__(
        self,
        modules: Modules,
        patterns: Patterns,
        further: Iterable[str],
        since: float,
        clock: Callable[[], float] = time,
    ) -> None:
        self._modules = modules
        self._patterns = patterns
        self._fresh = list(further)
        self._looked = since
        self._clock = clock
        self._loaded: dict[str, State] = {}
        self._extra = states(patterns.files())

    def look(self) -> set[str]:
        """The files that have changed, appeared or vanished since the last look."""
        now = self._clock()
        loaded, extra = states(self._loaded), states(self._patterns.files())
        changed = {path for path, _ in (loaded.items() ^ self._loaded.items()) | (extra.items() ^ self._extra.items())}
        for path in [*self._fresh, *self._modules.new()]:
            if path not in loaded:
                state = loaded[path] = _state(path)
                # The clock is read after the file: what is written while this looks is not of the future.
                if state and self._looked - COARSENESS < state[0] / 1e9 <= self._clock():
                    changed.add(path)
        self._fresh, self._looked = [], now
        self._loaded, self._extra = loaded, extra
        return changed

    def folders(self) -> frozenset[str]:
        """The existing folders in which anything can happen that matters."""
        found = self._patterns.folders()
        for path, state in self._loaded.items():
            found.add(os.path.dirname(path) if state else nearest_folder(path))
            if state and os.path.islink(path):
                found.add(os.path.dirname(os.path.realpath(path)))
        return frozenset(found)


def states(paths: Iterable[str]) -> dict[str, State]:
    """The state of each of these files."""
    return {path: _state(path) for path in paths}


def _state(path: str) -> State:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return None if stat.S_ISDIR(status.st_mode) else (status.st_mtime_ns, status.st_size, status.st_ino)
