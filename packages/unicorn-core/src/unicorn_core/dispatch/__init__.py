"""The queue dispatcher: long and heavy work in a pool of stateful task workers (docs/dispatch.md).

What applications need can be imported from here; each is loaded when it is first asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unicorn_core.dispatch import stash
    from unicorn_core.dispatch.app import TaskApp, batched, retry_on_crash
    from unicorn_core.dispatch.client.client import Client, get_client
    from unicorn_core.dispatch.errors import (
        ActionNotFound,
        AppNotLoaded,
        DispatchError,
        DispatcherUnavailable,
        NotConfigured,
        NotSerializable,
        NoWorkers,
        PayloadTooLarge,
        ProtocolError,
        QueueFull,
        StashError,
        StashFull,
        StashKeyNotFound,
        StashTableNotFound,
        TaskFailed,
        TaskTimeout,
        WorkerCrashed,
    )
    from unicorn_core.dispatch.library import Dispatcher

_ELSEWHERE = {
    "Client": "client.client",
    "Dispatcher": "library",
    "TaskApp": "app",
    "batched": "app",
    "get_client": "client.client",
    "retry_on_crash": "app",
}
"""Where those are found that are no errors."""

__all__ = [
    "ActionNotFound",
    "AppNotLoaded",
    "Client",
    "DispatchError",
    "Dispatcher",
    "DispatcherUnavailable",
    "NoWorkers",
    "NotConfigured",
    "NotSerializable",
    "PayloadTooLarge",
    "ProtocolError",
    "QueueFull",
    "StashError",
    "StashFull",
    "StashKeyNotFound",
    "StashTableNotFound",
    "TaskApp",
    "TaskFailed",
    "TaskTimeout",
    "WorkerCrashed",
    "batched",
    "get_client",
    "retry_on_crash",
    "stash",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "stash":
        return importlib.import_module(f"{__name__}.stash")
    return getattr(importlib.import_module(f"{__name__}.{_ELSEWHERE.get(name, 'errors')}"), name)
