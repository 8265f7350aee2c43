"""The loop that waits, looks, and tells what has changed."""

import time
from collections.abc import Callable
from time import perf_counter

from unicorn_core.develop.engines import Engine
from unicorn_core.develop.files import Files

QUIET = 0.15
"""Seconds without a further change that make a change complete: saving a file and switching branches take steps."""
LONGEST_CHANGE = 3.0
"""Seconds after which a change is told although it goes on."""
REST = 50
"""A look is followed by so many times its duration without one: watching takes 2 % of a core at most."""

_sleep = time.sleep


class Watcher:
    """See the module.

    Args:
        report: told the changed files, sorted; returns whether to go on.
        sleep: waits for so many seconds.
    """

    def __init__(
        self,
        files: Files,
        engine: Engine,
        report: Callable[[list[str]], bool],
        sleep: Callable[[float], None] = _sleep,
    ) -> None:
        self._files = files
        self._engine = engine
        self._report = report
        self._sleep = sleep

    def run(self) -> None:
        """Watch until `report` says that this is enough."""
        while True:
            began = perf_counter()
            changed = self._files.look()
            took = perf_counter() - began
            if changed and not self._report(sorted(changed | self._rest_of_change())):
                return
            self._sleep(took * REST)
            self._engine.wait(self._files.folders)

    def _rest_of_change(self) -> set[str]:
        """What else changes until there is quiet."""
        changed: set[str] = set()
        for _ in range(int(LONGEST_CHANGE / QUIET)):
            self._sleep(QUIET)
            further = self._files.look()
            if not further:
                break
            changed |= further
        return changed
