"""The files that may mend an application which cannot be imported."""

import os
import sys
import traceback
from collections.abc import Iterator


def files(error: BaseException, reference: str | None) -> set[str]:
    """The files that the error names, and those where a missing module might appear.

    Args:
        reference: how the settings name the application, `module:attribute`.
    """
    found: set[str] = set()
    missing = {reference.partition(":")[0]} if reference else set()
    for cause in _causes(error):
        found.update(frame.f_code.co_filename for frame, _ in traceback.walk_tb(cause.__traceback__))
        # SyntaxError and OSError have a filename, ImportError has the path of what lacks a name.
        found.update(name for key in ("filename", "path") if isinstance(name := getattr(cause, key, None), str))
        if isinstance(cause, ModuleNotFoundError) and cause.name:
            missing.add(cause.name)
    found = {os.path.abspath(path) for path in found if path and not path.startswith("<")}
    return found.union(*map(_places, missing))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all that led to it."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        cause = waiting.pop()
        if cause is not None and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            waiting += [cause.__cause__, cause.__context__]


def _places(module: str) -> Iterator[str]:
    """The files where a module and the packages above it may lie."""
    parts = module.split(".")
    for folder in sys.path:
        for depth in range(1, len(parts) + 1):
            path = os.path.abspath(os.path.join(folder, *parts[:depth]))
            yield path + ".py"
            yield os.path.join(path, "__init__.py")
