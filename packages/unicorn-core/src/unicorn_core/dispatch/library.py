"""The dispatcher alone, inside any program: no server, no command line.

with Dispatcher(apps=[Thumbnails, "models:Sentiment:1"], workers=4) as dispatcher:
    dispatcher.client.execute("models:Sentiment", "predict", "what a day")
"""

import atexit
import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from select import POLLIN, poll
from types import TracebackType
from typing import Any, NoReturn, Self

from unicorn_core.arbiter.dispatching import LEEWAY
from unicorn_core.dispatch.client.client import Client
from unicorn_core.dispatch.client.local import LocalBackend
from unicorn_core.dispatch.dispatcher.process import DispatcherProcess
from unicorn_core.dispatch.endpoint import Endpoint, open_endpoint
from unicorn_core.errors import ApplicationError, ExitCode
from unicorn_core.hooks import Hooks, ServerView, WorkerHooks
from unicorn_core.observe.logs import Logger
from unicorn_core.settings.registry import Settings
from unicorn_core.settings.task_apps import TaskApp
from unicorn_core.worker import child
from unicorn_core.worker.base import Context
from unicorn_core.worker.channel import Channel, pair
from unicorn_core.worker.messages import BootFailed, Drain, Ready
from unicorn_core.worker.scoreboard import Scoreboard, nameless_file

LOOK = 0.01


class Dispatcher:
    """A dispatcher with its task workers, from the begin of a `with` block to its end.

    It is forked from this program, so apps may be classes, also of `__main__`; start it before threads that hold locks.
    It ends with the program, however that does. If it dies, calls raise DispatcherUnavailable.

    Args:
        apps: classes, or `module:Class`, or `module:Class:N` for one that only N workers load.
        workers: how many task workers there are.
        threads: how many calls each runs at a time.
        routing: "least_loaded" or "round_robin".
        queue_size: how many calls may wait for one task worker; 0: no limit.
        timeout: seconds that a call may take; 0: no limit.
        settings: others of the server's settings, such as dispatch_graceful_timeout or loglevel.

    Attributes:
        pid: of the dispatcher's process; 0 while there is none.

    Raises:
        SettingError: an argument has no meaning.
    """

    def __init__(
        self,
        apps: Sequence[str | type],
        workers: int = 1,
        *,
        threads: int = 1,
        routing: str = "least_loaded",
        queue_size: int = 1000,
        timeout: float = 300,
        **settings: Any,
    ) -> None:
        self._settings = Settings.of(
            **{"loglevel": "warning"}
            | settings
            | {
                "dispatch_apps": list(apps),
                "dispatch_workers": workers,
                "dispatch_threads": threads,
                "dispatch_routing": routing,
                "dispatch_queue_size": queue_size,
                "dispatch_timeout": timeout,
            }
        )
        self._endpoint: Endpoint | None = None
        self._channel: Channel | None = None
        self._client: Client | None = None
        self.pid = 0

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
        """
        self._endpoint = open_endpoint((os.geteuid(), os.getegid()))
        self._channel, theirs = pair()
        stacks = nameless_file("unicorn stacks")
        try:
            self.pid = self._fork(theirs, stacks)
            theirs.close()
            self._wait_until_ready(self._channel)
        except BaseException:
            theirs.close()
            self.stop(patience=0)
            raise
        finally:
            os.close(stacks)
        self._client = Client(LocalBackend(self._endpoint.path))

    def stop(self, patience: float | None = None) -> None:
        """Let calls that are under way finish, and end it.

        Args:
            patience: seconds until it is killed; by default what dispatch_graceful_timeout permits.
        """
        if self._client is not None:
            self._client.close()
            self._client = None
        grace = self._settings.dispatch_graceful_timeout
        if patience is None:
            patience = 2 * grace + LEEWAY if grace else float("inf")
        if self._channel is not None:
            self._channel.send(Drain())
        if self.pid:
            self._wait_for_end(patience)
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._endpoint is not None:
            self._endpoint.remove()
            self._endpoint = None

    def _fork(self, theirs: Channel, stacks: int) -> int:
        # What this program has not written yet must not be written twice.
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        with child.signals_blocked() as mask:
            pid = os.fork()
            if pid == 0:
                try:
                    self._live(theirs, stacks, mask)
                except BaseException:
                    traceback.print_exc()
                finally:
                    os._exit(ExitCode.FAILED)
        return pid

    def _live(self, theirs: Channel, stacks: int, mask: set[int]) -> NoReturn:
        """In the new process."""
        assert self._channel is not None
        assert self._endpoint is not None
        atexit._clear()  # what the program has registered is for its own end
        self._channel.close()
        self._endpoint.announce()
        settings = self._settings
        log = Logger(settings)
        hooks = WorkerHooks(Hooks(settings, log, {}), ServerView(log, lambda: settings, lambda: 1))
        context = Context(
            number=1,
            slot=0,
            generation=1,
            settings=settings,
            listeners=[self._endpoint.listener],
            log=log,
            row=Scoreboard().take(),
            channel=theirs,
            stacks=stacks,
            hooks=hooks,
            load_application=lambda: settings,
        )
        child.live(DispatcherProcess, context, mask)

    def _wait_until_ready(self, channel: Channel) -> None:
        waiting = poll()
        waiting.register(channel, POLLIN)
        while not channel.closed:
            waiting.poll()
            for message in channel.receive():
                match message:
                    case Ready():
                        return
                    case BootFailed(text, details, _):
                        error = ApplicationError(text, details)
                        error.add_note(details)
                        raise error
        raise ApplicationError("the dispatcher ended before it was ready")

    def _wait_for_end(self, patience: float) -> None:
        until = time.monotonic() + patience
        pid, self.pid = self.pid, 0
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(pid, os.WNOHANG)[0] == 0:
                if time.monotonic() >= until:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                    return
                time.sleep(LOOK)
