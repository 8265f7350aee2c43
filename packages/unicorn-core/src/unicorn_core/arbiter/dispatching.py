"""The dispatcher as the arbiter knows it: a pool of one process, beside the web workers and independent of them."""

import signal
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from unicorn_core.arbiter.births import Births
from unicorn_core.arbiter.driver import Driver, Owner
from unicorn_core.arbiter.forking import Forking
from unicorn_core.arbiter.generation import Generation
from unicorn_core.arbiter.handle import Handle
from unicorn_core.arbiter.molds import Molds
from unicorn_core.arbiter.watch import Watch
from unicorn_core.errors import UnicornError
from unicorn_core.listen.listener import Listener
from unicorn_core.settings.registry import Settings
from unicorn_core.supervise import messages
from unicorn_core.supervise.limits import Limits
from unicorn_core.supervise.pool import Pool
from unicorn_core.worker.messages import Changed, Message

if TYPE_CHECKING:
    from unicorn_core.dispatch.endpoint import Endpoint

LEEWAY = 2.0
"""Seconds that the dispatcher has for leaving beyond what its task workers have."""


class DispatcherGeneration(Generation, frozen=True):
    """What the dispatcher runs with."""

    @property
    def preloads(self) -> bool:
        """It is forked from the arbiter: it must not hold the application, and asyncio and threads as they are."""
        return False

    @property
    def limits(self) -> Limits:
        """For its boot there is none of its own: it lasts as long as that of its task workers."""
        grace = self.settings.dispatch_graceful_timeout
        return Limits(
            boot=0.0, silence=self.settings.timeout, graceful=2 * grace + LEEWAY if grace else 0.0, last=LEEWAY
        )


class Dispatching(Owner):
    """See the module. Without `dispatch_workers` and `dispatch_apps` there is none, and nothing of it is imported.

    Args:
        forking: makes the process.
        load_settings: reads the settings anew, in the dispatcher, when it is asked to reload.
        on_halt: called if the dispatcher cannot boot at first start.
        on_finished: called when it has ended after it was asked to stop.
        on_changed: called with the files of a task app that have changed (setting reload).
    """

    def __init__(
        self,
        forking: Forking,
        watch: Watch,
        load_settings: Callable[[], Settings],
        on_halt: Callable[[messages.BootFailure], None],
        on_finished: Callable[[], None],
        on_changed: Callable[[Sequence[str]], None],
    ) -> None:
        self._forking = forking
        self._watch = watch
        self._load_settings = load_settings
        self._on_halt = on_halt
        self._on_finished = on_finished
        self._on_changed = on_changed
        self._endpoint: Endpoint | None = None
        self._driver: Driver | None = None
        self._withdrawn = False
        self._again: Settings | None = None

    @property
    def running(self) -> bool:
        """There is a dispatcher, or will be again in a moment."""
        return self._driver is not None

    @property
    def pids(self) -> list[int]:
        """Of the processes that were not reaped yet."""
        return self._driver.pids if self._driver else []

    def deadline(self) -> float | None:
        """When `tick` is due next."""
        return self._driver.pool.deadline() if self._driver else None

    # What is asked of it

    def start(self, settings: Settings) -> None:
        """Start the dispatcher, if the settings want one.

        Raises:
            UnicornError: there can be no socket for it.
        """
        log = self._forking.log
        if not (settings.dispatch_workers and settings.dispatch_apps):
            if settings.dispatch_workers or settings.dispatch_apps:
                lacking = "dispatch_apps" if settings.dispatch_workers else "dispatch_workers"
                log.warning("There is no dispatcher: %s is not set", lacking)
            return
        from unicorn_core.dispatch.dispatcher.process import DispatcherProcess
        from unicorn_core.dispatch.endpoint import open_endpoint

        if self._endpoint is None:
            try:
                self._endpoint = open_endpoint((settings.user, settings.group))
            except OSError as error:
                raise UnicornError(f"cannot make the socket of the dispatcher: {error.strerror}") from error
        self._withdrawn = False
        self._endpoint.announce()
        log.info("Dispatcher listening at: unix:%s", self._endpoint.path)
        generation = DispatcherGeneration(settings, DispatcherProcess, self._load_settings)
        pool = Pool(1, generation.limits)
        births = Births(self._forking, Molds(self._forking, False, lambda mold: None))
        self._driver = Driver(pool, births, self._watch, log, {1: generation}, self)
        self._driver.perform(pool.start(time.monotonic()))

    def reload(self, settings: Settings) -> None:
        """The settings have changed: have the task workers replaced, or begin or end altogether."""
        wanted = bool(settings.dispatch_workers and settings.dispatch_apps)
        if wanted and self._driver and self._withdrawn:
            # New clients wait at the socket, which outlasts the one that is about to end.
            assert self._endpoint
            self._endpoint.announce()
            self._again = settings
        elif wanted and self._driver:
            self._driver.signal(signal.SIGHUP)
        elif wanted:
            try:
                self.start(settings)
            except UnicornError as error:
                self._forking.log.error("There is no dispatcher: %s", error)
        elif self._endpoint:
            self._endpoint.conceal()
            self._withdrawn = True
            self.stop(graceful=True)

    def stop(self, graceful: bool) -> None:
        """Let it finish its calls and leave, for good; or leave at once."""
        self._again = None
        if self._driver:
            self._driver.perform(self._driver.pool.stop(time.monotonic(), graceful))

    def signal(self, number: int) -> None:
        """Send it a signal."""
        if self._driver:
            self._driver.signal(number)

    def reaped(self, pid: int, status: int) -> bool:
        """A process has ended; False if it was not the dispatcher."""
        return self._driver is not None and self._driver.reaped(pid, status)

    def tick(self, now: float) -> None:
        """Time has passed."""
        if self._driver:
            self._driver.tick(now)

    def forget(self, its_own: Sequence[Listener]) -> None:
        """In a new process: close what is not its own."""
        if self._driver:
            self._driver.forget()
        if self._endpoint and self._endpoint.listener not in its_own:
            self._endpoint.listener.close()

    def close(self) -> None:
        """The arbiter ends."""
        if self._driver:
            self._driver.forget()
        self._remove_endpoint()

    def _remove_endpoint(self) -> None:
        if self._endpoint:
            self._endpoint.remove()
            self._endpoint = None

    # What the driver asks and tells

    def listeners(self, slot: int, generation: Generation) -> Sequence[Listener]:
        """The socket for its clients."""
        return [self._endpoint.listener] if self._endpoint else []

    def received(self, handle: Handle, message: Message) -> None:
        """A task worker has seen files of its apps change."""
        if isinstance(message, Changed):
            self._on_changed(message.paths)

    def decided(self, action: messages.Action) -> None:
        """What becomes of it."""
        match action:
            case messages.Complete():
                self._forking.log.info("Dispatcher ready")
            case messages.Halt(failure):
                assert self._driver
                self._driver.tell_failure(failure)
                self._on_halt(failure)
            case messages.Finished():
                self._driver = None
                again, self._again = self._again, None
                if again is not None:
                    self.start(again)
                else:
                    self._remove_endpoint()
                    self._on_finished()
