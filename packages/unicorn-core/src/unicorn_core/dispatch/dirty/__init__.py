"""gunicorn's dirty pool by its own names, on the queue dispatcher: a user of it changes the import lines.

    from gunicorn.dirty import DirtyApp, get_dirty_client
    from unicorn_core.dispatch.dirty import DirtyApp, get_dirty_client

The modules `app`, `client`, `errors` and `stash` stand where they stand in gunicorn. Arguments and results are as
there: dictionaries have keys of str, tuples become lists. What is not here is what applications do not touch: the
pool's own processes and its wire format.
"""

from unicorn_core.dispatch.dirty import stash
from unicorn_core.dispatch.dirty.app import DirtyApp
from unicorn_core.dispatch.dirty.client import (
    DirtyClient,
    close_dirty_client,
    close_dirty_client_async,
    get_dirty_client,
    get_dirty_client_async,
    set_dirty_socket_path,
)
from unicorn_core.dispatch.dirty.errors import (
    DirtyAppError,
    DirtyAppNotFoundError,
    DirtyConnectionError,
    DirtyError,
    DirtyNoWorkersAvailableError,
    DirtyProtocolError,
    DirtyTimeoutError,
    DirtyWorkerError,
)
from unicorn_core.dispatch.dirty.stash import (
    StashClient,
    StashError,
    StashKeyNotFoundError,
    StashTable,
    StashTableNotFoundError,
)

__all__ = [
    "DirtyApp",
    "DirtyAppError",
    "DirtyAppNotFoundError",
    "DirtyClient",
    "DirtyConnectionError",
    "DirtyError",
    "DirtyNoWorkersAvailableError",
    "DirtyProtocolError",
    "DirtyTimeoutError",
    "DirtyWorkerError",
    "StashClient",
    "StashError",
    "StashKeyNotFoundError",
    "StashTable",
    "StashTableNotFoundError",
    "close_dirty_client",
    "close_dirty_client_async",
    "get_dirty_client",
    "get_dirty_client_async",
    "set_dirty_socket_path",
    "stash",
]
