"""Telling a further change from one that another worker has told already."""

from collections.abc import Iterable

from unicorn_core.develop.files import State, states


class Changes:
    """The changes that workers have told, as the files were then."""

    def __init__(self) -> None:
        self._told: dict[str, State] = {}

    def is_new(self, paths: Iterable[str]) -> bool:
        """Whether any of these files is not as it was when it was told the last time.

        What is told again was told before the last reload began, so that the new workers load it as it is.
        """
        now = states(paths)
        new = any(path not in self._told or self._told[path] != state for path, state in now.items())
        self._told |= now
        return new
