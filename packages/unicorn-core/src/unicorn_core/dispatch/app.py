"""Task apps: what a user writes, and how an action of one is found.

    class Model(TaskApp):
        def init(self):
            self.model = load("model.bin")

        def predict(self, text):
            return self.model(text)

The public methods are the actions. A task worker makes one object of each app and keeps it for life.
"""

import importlib
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Literal, TypeVar

from msgspec import Struct

from unicorn_core.application import user_traceback
from unicorn_core.dispatch.errors import ActionNotFound
from unicorn_core.errors import ApplicationError, ExitCode, NotAnApplicationError
from unicorn_core.settings.task_apps import TaskApp as Reference
from unicorn_core.worker.messages import AppTraits

NO_ACTIONS = ("init", "close")
F = TypeVar("F", bound=Callable[..., Any])


class TaskApp:
    """Subclass it and give it actions: public methods, plain or `async def`, or generators of either kind for streams.

    Attributes:
        workers: how many task workers load the app; None: all. `module:Class:N` in dispatch_apps overrides it.
        stashes: tables of the stash that are made when the app is loaded.
        on_timeout: "kill": an action that runs past dispatch_timeout is ended together with its task worker, as nothing
            else can stop it. "leave": it goes on, and only its caller gives up.
    """

    workers: int | None = None
    stashes: Sequence[str] = ()
    on_timeout: Literal["kill", "leave"] = "kill"

    def init(self) -> None:
        """Called once in each task worker that loads the app, before its first action: load what takes long."""

    def close(self) -> None:
        """Called before the task worker ends, unless it is killed."""

    def __call__(self, action: str, *args: Any, **kwargs: Any) -> Any:
        """Run an action. A subclass that overrides this sees every call, whatever its action is named."""
        method = public_method(self, action)
        if method is None:
            raise ActionNotFound(not_found(self), action=action)
        return method(*args, **kwargs)


class Batched(Struct, frozen=True):
    """How calls of an action are gathered; see `batched`."""

    max_size: int
    max_wait: float


def batched(max_size: int = 32, max_wait: float = 0.005) -> Callable[[F], F]:
    """Let an action take many calls at once.

    Each caller gives one argument. The method gets a list of these, of at most `max_size`, and returns as many results
    in the same order; one that is an exception is raised at its caller. A list is complete after `max_wait` seconds.

    Raises:
        ValueError: max_size is below 1, or max_wait below 0.
    """
    if max_size < 1 or max_wait < 0:
        raise ValueError(f"batched(max_size={max_size}, max_wait={max_wait}): there must be room, and time")

    def mark(method: F) -> F:
        method.__unicorn_batched__ = Batched(max_size, max_wait)  # type: ignore[attr-defined]
        return method

    return mark


def retry_on_crash(method: F) -> F:
    """Mark an action that may begin anew, once, when the task worker that ran it has crashed."""
    method.__unicorn_retry__ = True  # type: ignore[attr-defined]
    return method


def batching_of(app: object, action: str) -> Batched | None:
    """How calls of this action are gathered; None if they are not."""
    return getattr(getattr(type(app), action, None), "__unicorn_batched__", None)


def public_method(app: object, action: str) -> Callable[..., Any] | None:
    """The method that is this action; None if there is none."""
    # By its class: what an object merely holds, such as a model that can be called, is nobody else's business.
    found = getattr(type(app), action, None)
    if action.startswith("_") or action in NO_ACTIONS or not callable(found) or isinstance(found, type):
        return None
    method: Callable[..., Any] = getattr(app, action)
    return method


def resolve_action(app: object, action: str) -> Callable[..., Any]:
    """What to call for an action, with its arguments.

    Raises:
        ActionNotFound: the app has none of this name.
    """
    if overrides_call(app):
        if action.startswith("_") or action in NO_ACTIONS:
            raise ActionNotFound(action=action)
        return lambda *args, **kwargs: app(action, *args, **kwargs)  # type: ignore[operator]
    method = public_method(app, action)
    if method is None:
        raise ActionNotFound(not_found(app), action=action)
    return method


def overrides_call(app: object) -> bool:
    """The app decides by itself what an action is."""
    own = type(app).__call__ if callable(app) else None
    return own is not None and own is not TaskApp.__call__


def not_found(app: object) -> str:
    """What an error says about an action that is not there."""
    actions = [name for name in dir(type(app)) if public_method(app, name)]
    return f"the app has no such action; it has: {', '.join(actions) or 'none'}"


def import_class(reference: Reference) -> type:
    """The class of an app.

    Raises:
        ApplicationError: its module cannot be imported.
        NotAnApplicationError: what is named in it is no class.
    """
    if reference.target is not None:
        return reference.target
    module, _, name = reference.path.partition(":")
    try:
        imported = importlib.import_module(module)
    except BaseException as error:
        raise ApplicationError(
            f"task app {reference.path!r} (setting dispatch_apps) cannot be imported: {type(error).__name__}: {error}",
            user_traceback(error),
        ) from error
    try:
        found = attrgetter(name)(imported)
    except AttributeError:
        found = None
    if not isinstance(found, type):
        what = "is no class" if found is not None else "does not exist"
        raise NotAnApplicationError(
            f"task app {reference.path!r} (setting dispatch_apps): {name!r} of module {module!r} {what}"
        )
    return found


def traits(app_class: type) -> AppTraits:
    """What the class of an app says about how to run it.

    Raises:
        ApplicationError: an attribute has a value that means nothing.
    """
    workers = getattr(app_class, "workers", None)
    if workers is not None and (not isinstance(workers, int) or isinstance(workers, bool) or workers < 1):
        raise _wrong(app_class, "workers", workers, "a number from 1 upwards, or None")
    on_timeout = getattr(app_class, "on_timeout", "kill")
    if on_timeout not in ("kill", "leave"):
        raise _wrong(app_class, "on_timeout", on_timeout, '"kill" or "leave"')
    stashes = getattr(app_class, "stashes", ())
    if isinstance(stashes, str) or not all(isinstance(name, str) for name in stashes):
        raise _wrong(app_class, "stashes", stashes, "a list of strings")
    methods = [(name, getattr(app_class, name, None)) for name in dir(app_class) if not name.startswith("_")]
    batched = {name: marked for name, f in methods if (marked := getattr(f, "__unicorn_batched__", None))}
    batches = {name: marked.max_size for name, marked in batched.items()}
    waits = {name: float(marked.max_wait) for name, marked in batched.items()}
    retries = tuple(name for name, f in methods if getattr(f, "__unicorn_retry__", False))
    return AppTraits(workers, tuple(stashes), batches, waits, retries, on_timeout == "leave")


def _wrong(app_class: type, name: str, value: object, allowed: str) -> ApplicationError:
    where = f"{app_class.__module__}:{app_class.__qualname__}"
    error = ApplicationError(f"task app {where!r}: {name} = {value!r} must be {allowed}")
    error.exit_code = ExitCode.NO_APPLICATION
    return error
