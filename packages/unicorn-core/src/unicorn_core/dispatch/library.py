"""The dispatcher alone, inside any program: no server, no command line.

with Dispatcher(apps=[Thumbnails, "models:Sentiment:1"], workers=4) as dispatcher:
    dispatcher.client.execute("models:Sentiment", "predict", "what a day")
"""

import os
import sys
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from unicorn_core.dispatch.client.client import Client
from unicorn_core.dispatch.client.local import LocalBackend
from unicorn_core.errors import SettingError
from unicorn_core.settings.registry import Settings
from unicorn_core.settings.task_apps import TaskApp

if TYPE_CHECKING:
    from unicorn_core.dispatch.endpoint import Endpoint
    from unicorn_core.dispatch.forked import Forked

_PATCHERS = {"gevent": ("gevent.monkey", "is_module_patched"), "eventlet": ("eventlet.patcher", "is_monkey_patched")}
"""The libraries that patch a program, and the functions that tell whether they have."""
_PATCHED = ("os", "select", "socket", "thread", "threading")
"""Modules that must be as they are in the dispatcher and its task workers."""


class Dispatcher:
    """A dispatcher with its task workers, from the begin of a `with` block to its end.

    It is forked from this program, so apps may be classes, also of `__main__`; start it before threads that hold locks.
    It ends with the program, however that does. If it dies, calls raise DispatcherUnavailable. Processes that the
    program forks may use its client; it is not theirs to stop.

    Args:
        apps: classes, or `module:Class`, or `module:Class:N` for one that only N workers load; at least one.
        workers: how many task workers there are; at least 1.
        threads: how many calls each runs at a time.
        routing: "least_loaded" or "round_robin".
        queue_size: how many calls may wait for one task worker; 0: no limit.
        timeout: seconds that a call may take; 0: no limit.
        settings: others of the server's settings, such as dispatch_graceful_timeout or loglevel.

    Raises:
        SettingError: an argument has no meaning.
    """

    def __init__(
        self,
        apps: Iterable[str | type] | str | type,
        workers: int = 1,
        *,
        threads: int = 1,
        routing: str = "least_loaded",
        queue_size: int = 1000,
        timeout: float = 300,
        **settings: Any,
    ) -> None:
        if isinstance(apps, Iterable) and not isinstance(apps, str | type):
            apps = list(apps)
        self._settings = Settings.of(
            **{"loglevel": "warning"}
            | settings
            | {
                "dispatch_apps": apps,
                "dispatch_workers": workers,
                "dispatch_threads": threads,
                "dispatch_routing": routing,
                "dispatch_queue_size": queue_size,
                "dispatch_timeout": timeout,
            }
        )
        if not self._settings.dispatch_apps:
            raise SettingError("setting dispatch_apps (program): must name at least one app")
        if not self._settings.dispatch_workers:
            raise SettingError("setting dispatch_workers = 0 (program): must be 1 or more")
        self._starter = 0
        self._endpoint: Endpoint | None = None
        self._forked: Forked | None = None
        self._client: Client | None = None

    @property
    def pid(self) -> int:
        """Of the dispatcher's process; 0 while there is none."""
        return self._forked.pid if self._forked is not None else 0

    @property
    def client(self) -> Client:
        """Calls the apps.

        Raises:
            RuntimeError: the dispatcher is not running.
        """
        if self._client is None:
            raise RuntimeError("the dispatcher is not running: use it in a `with` block, or call start()")
        return self._client

    @property
    def apps(self) -> list[str]:
        """How the apps are called, `module:Class`."""
        apps: Sequence[TaskApp] = self._settings.dispatch_apps
        return [app.path for app in apps]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and wait until all apps are ready.

        Raises:
            ApplicationError: an app cannot be imported, or failed in `init`; its traceback is in the notes.
            RuntimeError: it was started before, and not stopped; or the program is patched by gevent or eventlet.
        """
        if self._endpoint is not None:
            raise RuntimeError("the dispatcher was started already: stop() it first")
        _refuse_patched()
        # In a program that eventlet has patched these could not even be imported.
        from unicorn_core.dispatch.endpoint import open_endpoint
        from unicorn_core.dispatch.forked import Forked

        self._starter = os.getpid()
        self._endpoint = open_endpoint((os.geteuid(), os.getegid()))
        try:
            self._forked = Forked(self._settings, self._endpoint)
            self._forked.wait_until_ready()
        except BaseException:
            self.stop(patience=0)
            raise
        self._client = Client(LocalBackend(self._endpoint.path))

    def stop(self, patience: float | None = None) -> None:
        """Let calls that are under way finish, and end it. In a process forked from the one that started it: nothing.

        Args:
            patience: seconds until it is killed; by default what dispatch_graceful_timeout permits.
        """
        if os.getpid() != self._starter:
            return
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._forked is not None:
            self._forked.end(patience)
            self._forked = None
        if self._endpoint is not None:
            self._endpoint.remove()
            self._endpoint = None


def _refuse_patched() -> None:
    """The processes forked from a patched program are patched as well, and wait for a hub that is not theirs.

    Raises:
        RuntimeError: the program is patched.
    """
    for library, (module, function) in _PATCHERS.items():
        patcher = sys.modules.get(module)
        if patcher is not None and any(map(getattr(patcher, function), _PATCHED)):
            raise RuntimeError(
                f"this program is patched by {library}, and the dispatcher, which is forked from it, would be too: "
                "start the dispatcher before the program is patched"
            )
