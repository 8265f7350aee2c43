"""The files of the modules that the application has imported."""

import contextlib
import importlib.util
import os
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from types import ModuleType


class Modules:
    """Finds the files of modules as they are imported.

    The standard library and site-packages are left out: nobody develops there, an installation writes into them for
    seconds, and they would be nine tenths of what has to be looked at. So are the modules that the process had
    before the application was imported: the next worker inherits them, however their files change.

    Args:
        inherited: names of the modules that were there before.
    """

    def __init__(self, inherited: frozenset[str]) -> None:
        self._seen = set(inherited)
        self._installed = _installed()

    def new(self) -> list[str]:
        """The files of the modules that were imported since the last call."""
        # A copy is made in one step; other threads may import meanwhile.
        loaded = sys.modules.copy()
        fresh = loaded.keys() - self._seen
        self._seen |= fresh
        found = [os.path.abspath(path) for name in fresh for path in _files(loaded[name])]
        return [path for path in found if not path.startswith(self._installed)]


def forget_bytecode(paths: Iterable[str]) -> None:
    """Remove the cached bytecode of these sources.

    It counts as current if the time of the source, in whole seconds, and its size are the same: also when the source
    was changed twice within a second.
    """
    for path in paths:
        if path.endswith(".py"):
            with contextlib.suppress(OSError, NotImplementedError):
                os.unlink(importlib.util.cache_from_source(path))


def _files(module: object) -> Iterator[str]:
    if not issubclass(type(module), ModuleType):
        return
    # Looked up past the module itself, of which any attribute may start an import (importlib.util.LazyLoader).
    names = ModuleType.__getattribute__(module, "__dict__")
    file = names.get("__file__")
    if isinstance(file, str):
        yield _source(file)
    elif "__path__" in names:
        # A namespace package: what can change is that it becomes a regular one.
        yield from (os.path.join(folder, "__init__.py") for folder in names["__path__"])


def _source(file: str) -> str:
    """The file that one edits: the source of bytecode."""
    if not file.endswith(".pyc"):
        return file
    try:
        return importlib.util.source_from_cache(file)
    except ValueError:
        return file[:-1]  # bytecode beside its source, or in its place


def _installed() -> tuple[str, ...]:
    """What the paths of installed modules begin with."""
    paths = sysconfig.get_paths()
    folders = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders.update(site.getsitepackages(), [site.getusersitepackages()])
    return tuple({way(folder) + os.sep for folder in folders for way in (os.path.abspath, os.path.realpath)})
