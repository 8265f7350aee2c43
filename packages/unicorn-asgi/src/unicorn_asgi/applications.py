"""What kind of application something is, as far as can be told without calling it."""

import inspect
from functools import partial
from typing import Any

from unicorn_core.errors import NotAnApplicationError
from unicorn_core.worker.fitting import is_asynchronous


def check(application: Any, reference: str | None) -> None:
    """Refuse what is no ASGI 3 application, and say what it is.

    Raises:
        NotAnApplicationError: it is not.
    """
    what = f"{reference!r}" if reference else f"{application!r}"
    target = application
    while isinstance(target, partial):
        target = target.func
    if inspect.isclass(target):
        if hasattr(target, "__await__") and _takes(application, 3):
            return
        if not _takes(application, 1):
            raise NotAnApplicationError(f"{what} is a class, not an application: did you mean an instance of it?")
    elif _takes(application, 3):
        return
    if _takes(application, 1):
        raise NotAnApplicationError(
            f"{what} looks like an ASGI 2 application (it takes the scope alone), which is not served: use a version "
            "of its framework for ASGI 3, or wrap it in asgiref.compatibility.guarantee_single_callable"
        )
    if _takes(application, 2) and not is_asynchronous(application):
        raise NotAnApplicationError(
            f"{what} looks like a WSGI application (it takes two arguments), and the worker class asgi runs ASGI "
            "applications: use the worker class sync or gthread (-k sync)"
        )
    raise NotAnApplicationError(f"{what} is no ASGI application: it must take scope, receive and send")


def _takes(application: Any, count: int) -> bool:
    """It can be called with so many arguments; True if that cannot be told."""
    try:
        signature = inspect.signature(application)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True
