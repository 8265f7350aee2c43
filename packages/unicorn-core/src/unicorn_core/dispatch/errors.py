"""What a call of a task app, or an operation on the stash, can end in instead of a result.

The text of each is one line: app and action, what happened, and the task worker if one had the request. All can be
pickled, and travel in frames as the dict that `to_dict` gives. DispatchError stands for all of them.

`details`, `to_dict`, `from_dict`, `app_path`, `worker_id`, `socket_path` and `table_name` are names that applications
written for gunicorn's dirty pool read; `unicorn_core.dispatch.dirty` gives the classes their names there.
"""

import reprlib
from collections.abc import Mapping
from typing import Any, ClassVar, TypedDict, Unpack

GUNICORN_NAMES = {"app": "app_path", "worker": "worker_id"}
"""Under which names `details` has the facts that gunicorn calls otherwise."""

LONGEST_TEXT = 64 * 1024
"""Characters of a user's exception, and of its traceback, that an error keeps."""


def shown(value: object) -> str:
    """A value of a user in the text of an error: short, and also if it cannot be shown."""
    try:
        return reprlib.repr(value)
    except Exception:
        return f"(a value of type {type(value).__name__})"


def text_of(value: object) -> str:
    """The text of an exception, or another object, of a user: plain and bounded, whatever its `__str__` does."""
    try:
        return shortened(str(value))
    except BaseException:
        return "(its text cannot be had)"


def shortened(text: str) -> str:
    """A plain str that is not longer than `LONGEST_TEXT`; of a longer one the middle is left out."""
    text = str.__getitem__(text, slice(None))
    half = LONGEST_TEXT // 2
    return text if len(text) <= LONGEST_TEXT else f"{text[:half]}\n[...]\n{text[-half:]}"


class Where(TypedDict, total=False):
    """What every error may tell: the app, `module:Class`, its action, and the number of the task worker."""

    app: str | None
    action: str | None
    worker: int | None


class DispatchError(Exception):
    """Base of all errors of the dispatcher.

    Attributes:
        message: what happened, without where.
        app: the app that was called, `module:Class`.
        action: its action.
        worker: the number of the task worker that had the request.
    """

    facts: ClassVar[tuple[str, ...]] = ("app", "action", "worker")

    def __init__(
        self, message: str = "", *, app: str | None = None, action: str | None = None, worker: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.app = app
        self.action = action
        self.worker = worker

    def __str__(self) -> str:
        called = ".".join(f"{name}" for name in (self.app, self.action) if name)
        where = f"{called}: " if called else ""
        who = "" if self.worker is None else f" (task worker {self.worker})"
        return f"{where}{self.what_happened()}{who}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _revived, (type(self), vars(self))

    def what_happened(self) -> str:
        """The middle part of the text."""
        return self.message

    @property
    def details(self) -> dict[str, Any]:
        """Every fact that is known, by name."""
        known = {name: getattr(self, name) for name in self.facts}
        return {GUNICORN_NAMES.get(name, name): value for name, value in known.items() if value is not None}

    def to_dict(self) -> dict[str, Any]:
        """The form that travels."""
        return {"error_type": type(self).__name__, "message": self.message, "details": self.details}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "DispatchError":
        """The error that `to_dict` described; a DispatchError if its type is unknown. Raises ProtocolError."""
        match data:
            case {"error_type": str(name), "message": str(message), "details": Mapping() as details}:
                kind = _TYPES.get(name, DispatchError)
            case _:
                raise ProtocolError("what describes an error is malformed")
        facts = {fact: details.get(GUNICORN_NAMES.get(fact, fact)) for fact in kind.facts}
        return _revived(kind, {"message": message, **facts})

    @property
    def app_path(self) -> str | None:
        """The same as `app`."""
        return self.app

    @property
    def worker_id(self) -> int | None:
        """The same as `worker`."""
        return self.worker


def _revived(kind: type[DispatchError], attributes: dict[str, Any]) -> DispatchError:
    """An error as it was, without composing its message anew."""
    error = kind.__new__(kind, attributes["message"])
    vars(error).update(attributes)
    return error


class DispatcherUnavailable(DispatchError):
    """The dispatcher cannot be reached, or went away before it answered.

    Attributes:
        socket_path: where it was looked for.
    """

    facts = (*DispatchError.facts, "socket_path")

    def __init__(
        self,
        message: str = "the dispatcher cannot be reached",
        socket_path: str | None = None,
        **where: Unpack[Where],
    ) -> None:
        super().__init__(message, **where)
        self.socket_path = socket_path

    def what_happened(self) -> str:
        """What is wrong, and where the dispatcher was looked for."""
        return f"{self.message} (at {self.socket_path})" if self.socket_path else self.message


class NotConfigured(DispatcherUnavailable):
    """This process knows of no dispatcher."""

    def __init__(
        self,
        message: str = "no dispatcher is configured: set dispatch_apps and dispatch_workers, or, for a process "
        "beside the server, UNICORN_DISPATCH_SOCKET in its environment",
        **where: Unpack[Where],
    ) -> None:
        super().__init__(message, **where)


class QueueFull(DispatchError):
    """As many requests wait as dispatch_queue_size permits: try again later.

    Attributes:
        depth: how many wait.
    """

    facts = (*DispatchError.facts, "depth")

    def __init__(self, message: str = "", depth: int | None = None, **where: Unpack[Where]) -> None:
        super().__init__(message or f"the queue is full: {depth} requests wait (setting dispatch_queue_size)", **where)
        self.depth = depth


class TaskTimeout(DispatchError):
    """No answer came before the deadline.

    Attributes:
        timeout: how long the call was allowed to take, in seconds.
    """

    facts = (*DispatchError.facts, "timeout")

    def __init__(self, message: str = "", timeout: float | None = None, **where: Unpack[Where]) -> None:
        super().__init__(
            message or ("no answer in time" if timeout is None else f"no answer in {timeout:g} s"), **where
        )
        self.timeout = timeout


class WorkerCrashed(DispatchError):
    """The task worker ended while it ran the action.

    Attributes:
        traceback: where its threads stood, if that is known.
    """

    facts = (*DispatchError.facts, "traceback")

    def __init__(
        self,
        message: str = "the task worker ended while it ran the action",
        traceback: str | None = None,
        **where: Unpack[Where],
    ) -> None:
        super().__init__(message, **where)
        self.traceback = traceback


class AppError(DispatchError):
    """The app, or what was asked of it, is at fault.

    Attributes:
        traceback: the text of the traceback in the task worker, if there is one.
    """

    facts = (*DispatchError.facts, "traceback")

    def __init__(self, message: str = "", traceback: str | None = None, **where: Unpack[Where]) -> None:
        super().__init__(message, **where)
        self.traceback = traceback


class TaskFailed(AppError):
    """The action raised an exception.

    Attributes:
        message: the text of that exception.
        remote_type: its type, such as `ValueError` or `shop.errors.OutOfStock`.
        traceback: the text of its traceback.
    """

    facts = (*AppError.facts, "remote_type")

    def __init__(
        self,
        message: str = "",
        remote_type: str | None = None,
        traceback: str | None = None,
        **where: Unpack[Where],
    ) -> None:
        super().__init__(message, traceback, **where)
        self.remote_type = remote_type

    def what_happened(self) -> str:
        """The type of the exception, and its text if it has one."""
        return ": ".join(f"{part}" for part in (self.remote_type, self.message) if part) or "the task failed"


class ActionNotFound(AppError):
    """The app has no such action, or it is private: its name begins with an underscore."""

    def __init__(
        self, message: str = "the app has no such action", traceback: str | None = None, **where: Unpack[Where]
    ) -> None:
        super().__init__(message, traceback, **where)


class NoWorkers(DispatchError):
    """No task worker can run the call: it comes from a task that could only wait for its own worker."""

    def __init__(
        self, message: str = "the task that calls could only wait for its own worker", **where: Unpack[Where]
    ) -> None:
        super().__init__(message, **where)


class AppNotLoaded(AppError, NoWorkers):
    """No app of this name is configured."""

    def __init__(
        self,
        message: str = "no such app is loaded; is it in dispatch_apps?",
        traceback: str | None = None,
        **where: Unpack[Where],
    ) -> None:
        super().__init__(message, traceback, **where)


class ProtocolError(DispatchError):
    """What came over the wire is malformed, or does not fit what was asked."""


class PayloadTooLarge(ProtocolError):
    """A request or an answer is larger than the limit.

    Attributes:
        size: how many bytes it has.
        limit: how many are allowed.
    """

    facts = (*DispatchError.facts, "size", "limit")

    def __init__(
        self, message: str = "", size: int | None = None, limit: int | None = None, **where: Unpack[Where]
    ) -> None:
        super().__init__(
            message or f"{size} bytes are more than the allowed {limit} (setting dispatch_max_payload)", **where
        )
        self.size = size
        self.limit = limit


class NotSerializable(ProtocolError):
    """A value cannot travel between processes.

    Attributes:
        argument: where the value stands, such as `argument 2`, `argument 'image'` or `[3]['price']`.
    """

    facts = (*DispatchError.facts, "argument")

    def __init__(self, message: str = "", argument: str | None = None, **where: Unpack[Where]) -> None:
        super().__init__(message, **where)
        self.argument = argument

    def what_happened(self) -> str:
        """Where the value stands, and what is wrong with it."""
        return f"{self.argument}: {self.message}" if self.argument else self.message


class StashError(DispatchError):
    """An operation on the stash failed.

    Attributes:
        table: the table.
        key: the key, if it is about one.
    """

    facts = (*DispatchError.facts, "table", "key")

    def __init__(self, message: str = "the stash failed", table: str | None = None, key: Any = None) -> None:
        super().__init__(message)
        self.table = table
        self.key = key

    def what_happened(self) -> str:
        """The table and what is wrong with it."""
        return self.message if self.table is None else f"stash {self.table}: {self.message}"

    @property
    def table_name(self) -> str | None:
        """The same as `table`."""
        return self.table


class StashTableNotFound(StashError):
    """There is no such table."""

    def __init__(self, message: str = "there is no such table", table: str | None = None) -> None:
        super().__init__(message, table)


class StashKeyNotFound(StashError):
    """The table has no such key."""

    def __init__(self, message: str = "", table: str | None = None, key: Any = None) -> None:
        super().__init__(message or f"there is no key {shown(key)}", table, key)


class StashFull(StashError):
    """There is no room for a value."""


_TYPES: dict[str, type[DispatchError]] = {
    kind.__name__: kind
    for kind in (
        DispatcherUnavailable,
        NotConfigured,
        QueueFull,
        TaskTimeout,
        WorkerCrashed,
        AppError,
        TaskFailed,
        ActionNotFound,
        NoWorkers,
        AppNotLoaded,
        ProtocolError,
        PayloadTooLarge,
        NotSerializable,
        StashError,
        StashTableNotFound,
        StashKeyNotFound,
        StashFull,
    )
}
"""A closed list: what comes over the wire names no other class."""
