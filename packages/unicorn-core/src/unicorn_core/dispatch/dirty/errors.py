"""gunicorn's names for the errors: the classes are the dispatcher's own, so every one of them is caught."""

from unicorn_core.dispatch.errors import AppError as DirtyAppError
from unicorn_core.dispatch.errors import AppNotLoaded as DirtyAppNotFoundError
from unicorn_core.dispatch.errors import DispatchError as DirtyError
from unicorn_core.dispatch.errors import DispatcherUnavailable as DirtyConnectionError
from unicorn_core.dispatch.errors import NoWorkers as DirtyNoWorkersAvailableError
from unicorn_core.dispatch.errors import ProtocolError as DirtyProtocolError
from unicorn_core.dispatch.errors import TaskTimeout as DirtyTimeoutError
from unicorn_core.dispatch.errors import WorkerCrashed as DirtyWorkerError

__all__ = [
    "DirtyAppError",
    "DirtyAppNotFoundError",
    "DirtyConnectionError",
    "DirtyError",
    "DirtyNoWorkersAvailableError",
    "DirtyProtocolError",
    "DirtyTimeoutError",
    "DirtyWorkerError",
]
