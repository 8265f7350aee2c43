"""The process of a dispatcher that a program has for itself: forked from the program, and watched by nobody."""

import atexit
import contextlib
import os
import signal
import sys
import time
import traceback
from select import POLLIN, poll
from typing import NoReturn

from unicorn_core.arbiter.dispatching import LEEWAY
from unicorn_core.dispatch.dispatcher.process import DispatcherProcess
from unicorn_core.dispatch.endpoint import Endpoint
from unicorn_core.errors import ApplicationError, ExitCode
from unicorn_core.hooks import Hooks, ServerView, WorkerHooks
from unicorn_core.observe.logs import Logger
from unicorn_core.settings.registry import Settings
from unicorn_core.worker import child
from unicorn_core.worker.base import Context
from unicorn_core.worker.channel import Channel, pair
from unicorn_core.worker.messages import BootFailed, Drain, Ready
from unicorn_core.worker.scoreboard import Scoreboard, nameless_file

LOOK = 0.01


class Forked:
    """See the module. It boots from now on.

    Args:
        settings: what it runs with.
        endpoint: where it is reached; from now on it alone listens there.

    Attributes:
        pid: of the process.
    """

    def __init__(self, settings: Settings, endpoint: Endpoint) -> None:
        self._settings = settings
        self._endpoint = endpoint
        self._channel, theirs = pair()
        # Its end tells of the program's end, also if processes live on that the program has forked.
        os.register_at_fork(after_in_child=self._channel.close)
        stacks = nameless_file("unicorn stacks")
        try:
            self.pid = self._fork(theirs, stacks)
        except BaseException:
            self._channel.close()
            raise
        finally:
            theirs.close()
            os.close(stacks)
        # Nobody starts another one: who connects after its death must be refused, not wait for a successor.
        endpoint.listener.close()

    def wait_until_ready(self) -> None:
        """Wait until it serves.

        Raises:
            ApplicationError: it never will.
        """
        waiting = poll()
        waiting.register(self._channel, POLLIN)
        while not self._channel.closed:
            waiting.poll()
            for message in self._channel.receive():
                match message:
                    case Ready():
                        return
                    case BootFailed(text, details, _):
                        error = ApplicationError(text, details)
                        error.add_note(details)
                        raise error
        raise ApplicationError("the dispatcher ended before it was ready")

    def end(self, patience: float | None) -> None:
        """Let it finish what is under way, and wait for its end.

        Args:
            patience: seconds until it is killed; None: what dispatch_graceful_timeout permits.
        """
        if patience is None:
            grace = self._settings.dispatch_graceful_timeout
            patience = 2 * grace + LEEWAY if grace else float("inf")
        self._channel.send(Drain())
        self._wait_for_end(time.monotonic() + patience)
        self._channel.close()

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
        atexit._clear()  # what the program has registered is for its own end
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

    def _wait_for_end(self, until: float) -> None:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(self.pid, os.WNOHANG)[0] == 0:
                if time.monotonic() >= until:
                    os.kill(self.pid, signal.SIGKILL)
                    os.waitpid(self.pid, 0)
                    return
                time.sleep(LOOK)
