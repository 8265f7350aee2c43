"""The dispatcher's process: queues calls and runs the task workers.

To the arbiter it is a worker like any other, in a pool of its own of size 1: it is ready when its task workers are, is
drained when the server stops, and gets a successor when it dies. To its task workers it is what the arbiter is to web
workers. Signals: HUP replaces the task workers by new ones with the settings as they are then; TTIN and TTOU have one
more and one less; USR1 reopens logs here and in the task workers.

The arbiter imports this module; asyncio and all that stands on it only come in with the process itself.
"""

import contextlib
import resource
import signal
from collections import deque
from types import FrameType
from typing import TYPE_CHECKING, ClassVar

from unicorn_core.dispatch.endpoint import endpoint_of
from unicorn_core.errors import ApplicationError, ExitCode
from unicorn_core.observe.title import set_title
from unicorn_core.worker.base import Context, Worker

if TYPE_CHECKING:
    from unicorn_core.dispatch.dispatcher.service import Service

_SIGNALS = (signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCHLD, signal.SIGUSR1)


class DispatcherProcess(Worker):
    """See the module. The "application" of its context is what reads the settings anew."""

    role: ClassVar[str] = "Dispatcher"
    watches_code: ClassVar[bool] = False

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._signals: deque[int] = deque()
        self._succeeded = False
        self._service: Service | None = None

    def boot(self) -> None:
        """Start the task workers, and wait until they are ready."""
        import asyncio

        set_title("dispatcher", self.settings)
        self._limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        _limit_descriptors(self._limits[1], self._limits[1])
        for number in _SIGNALS:
            signal.signal(number, self._on_signal)
        self._runner = asyncio.Runner()
        self._runner.run(self._start())

    def run(self) -> None:
        """Serve until drained."""
        assert self._service
        if self.draining:
            self._service.end(self._succeeded)
        self._runner.run(self._service.serve())
        if self.context.channel.closed:
            # Whoever made the socket has died, and nobody else knows of it.
            endpoint_of(self.context.listeners[0]).remove()

    def drain(self, ends: bool = False) -> None:
        """Take no more calls, finish those there are, and leave."""
        super().drain(ends)
        if self._service:
            self._service.end(self._succeeded)

    def on_terminate(self, number: int, frame: FrameType | None) -> None:
        """SIGTERM: a successor takes over, unless the end was asked for before."""
        if not self.draining:
            self._succeeded = True
        super().on_terminate(number, frame)

    def attend(self) -> None:
        """Read what has come on the control channel and from signals."""
        super().attend()
        while self._signals:
            self._obey(self._signals.popleft())

    async def _start(self) -> None:
        from unicorn_core.dispatch.dispatcher.service import Service

        self._service = Service(self, self._leave_to_child)
        if failure := await self._service.start():
            error = ApplicationError(failure.message, failure.details)
            error.exit_code = ExitCode(failure.exit_code)
            raise error

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        # The wakeup descriptor leads to `attend`.
        self._signals.append(number)

    def _obey(self, number: int) -> None:
        assert self._service
        if number == signal.SIGCHLD:
            self._service.reap()
            return
        self.log.info("Dispatcher handling signal: %s", signal.Signals(number).name.removeprefix("SIG").lower())
        match number:
            case signal.SIGHUP:
                self._service.reload()
            case signal.SIGTTIN:
                self._service.resize(1)
            case signal.SIGTTOU:
                self._service.resize(-1)
            case signal.SIGUSR1:
                self.log.reopen_files()
                self._service.signal(signal.SIGUSR1)

    def _leave_to_child(self) -> None:
        _limit_descriptors(*self._limits)
        self.context.channel.close()
        for sock in (self._signalled, self._wakeup):
            sock.close()


def _limit_descriptors(soft: int, hard: int) -> None:
    """Set how many this process may have: in the dispatcher every client is one, and a task worker several."""
    with contextlib.suppress(OSError, ValueError):  # macOS says there is no limit, and takes none
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
