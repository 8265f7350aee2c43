"""Functions that a setting names or holds: finding them, and checking how they can be called."""

import inspect
import os
import pkgutil
import sys
import traceback
from collections.abc import Callable
from typing import Any

AnyCallable = Callable[..., Any]


class Leading:
    """Calls a function with only the first `count` of the arguments."""

    def __init__(self, function: AnyCallable, count: int) -> None:
        self.function = function
        self.count = count

    def __call__(self, *arguments: object) -> Any:
        return self.function(*arguments[: self.count])

    def __repr__(self) -> str:
        return repr(self.function)


def resolve(reference: str) -> Any:
    """What `module:name` or `module.name` stands for; the working folder counts as importable.

    Raises:
        ValueError: it is not written like that, cannot be imported, or is not there; the message completes "must be".
    """
    wanted = "a function, or one that can be imported as module:function"
    if ":" not in reference:
        reference = ":".join(reference.rsplit(".", 1))
    folder = os.getcwd()
    if folder not in sys.path and "" not in sys.path:
        sys.path.insert(0, folder)
    try:
        if ":" in reference:
            return pkgutil.resolve_name(reference.strip())
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # What the module raises while it is imported is the user's to see, whatever it is.
        how = f"{type(error).__name__}: {error}"
        raise ValueError(f"{wanted}, and here that ended in {how}{_place(error)}; working folder {folder}") from error
    raise ValueError(wanted)


def accepted(function: AnyCallable, least: int, most: int) -> int | None:
    """How many positional arguments it takes: the largest number from `least` to `most` that fits; None if none does.

    What does not tell its signature, as some functions written in C, is taken to accept all.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return most
    for count in range(most, least - 1, -1):
        try:
            signature.bind(*range(count))
        except TypeError:
            continue
        return count
    return None


def _place(error: BaseException) -> str:
    """Where in the user's code it was raised; empty if in nobody's."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename not in (__file__, pkgutil.__file__) and "importlib" not in frame.filename:
            return f" ({frame.filename}, line {frame.lineno})"
    return ""
