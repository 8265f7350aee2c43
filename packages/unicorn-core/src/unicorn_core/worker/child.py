"""From fork to exit: what happens in a worker process around its worker class."""

import atexit
import contextlib
import gc
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from operator import methodcaller
from types import FrameType
from typing import NoReturn, TypeVar

from unicorn_core.application import user_stack, user_traceback
from unicorn_core.errors import ExitCode, UnicornError
from unicorn_core.observe.title import set_title
from unicorn_core.settings.registry import Settings
from unicorn_core.worker import stacks
from unicorn_core.worker.base import Context, Worker
from unicorn_core.worker.channel import LONGEST_DETAILS
from unicorn_core.worker.environment import become, set_up_for_import
from unicorn_core.worker.fitting import fit
from unicorn_core.worker.messages import BootFailed, Probe, Ready

ARBITER_SIGNALS = (
    signal.SIGHUP,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGUSR2,
    signal.SIGWINCH,
)
_OWN_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGABRT, signal.SIGUSR1)

T = TypeVar("T")


def live(worker_class: type[Worker], context: Context, mask: set[int]) -> NoReturn:
    """The whole life of a worker process.

    Called right after fork, with the arbiter's signals blocked: one that comes in before this process has its own
    handlers must not reach the arbiter's. `mask` is the signal mask to go on with.
    """
    log = context.log
    code = ExitCode.FAILED
    role = worker_class.role
    try:
        take_over_signals(context, role)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        set_title(f"{role.lower()} {context.slot}", context.settings)
        log.info("Booting %s with pid: %s", role.lower(), os.getpid())
        worker = booting(context, lambda: _boot(worker_class, context))
        if worker is None:
            context.hooks.leaving()
            leave(ExitCode.NOT_BOOTED)
        # What was made so far stays: the collector need not look at it again, which at times took a millisecond.
        gc.freeze()
        signal.signal(signal.SIGTERM, worker.on_terminate)
        _disown_children(context)
        context.channel.send(Ready())
        worker.run()
        code = ExitCode.STOPPED
    except BaseException:
        log.exception("%s (pid:%s) failed outside of a request", role, os.getpid())
    log.info("%s exiting (pid: %s)", role, os.getpid())
    context.hooks.leaving()
    leave(code, patient=code is ExitCode.STOPPED)


def leave(code: int, patient: bool = False) -> NoReturn:
    """End this process, running what the application registered with atexit; `patient`: after its threads have ended.

    The frames below belong to the arbiter, whose cleaning up is not for a worker to do: hence no SystemExit.
    """
    try:
        if patient:
            # What the interpreter does at its end: executors finish what they have (within graceful_timeout).
            threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    except BaseException:
        traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, RuntimeError):
            stream.flush()
    os._exit(code)


def booting(context: Context, boot: Callable[[], T]) -> T | None:
    """What `boot` gives, or None after the arbiter was told why there is nothing."""
    try:
        return boot()
    except BaseException as error:
        # The worker that goes with the error owns the descriptor.
        signal.set_wakeup_fd(-1)
        failure = _failure(error)
    if len(failure.details) > LONGEST_DETAILS:
        failure = BootFailed(failure.message, "[...]\n" + failure.details[-LONGEST_DETAILS:], failure.exit_code)
    if not context.channel.send(failure):
        context.log.error("%s", failure.message)
    return None


def _failure(error: BaseException) -> BootFailed:
    if isinstance(error, UnicornError):
        return BootFailed(str(error), error.details, error.exit_code)
    message = f"worker failed to boot: {type(error).__name__}: {error}"
    return BootFailed(message, user_traceback(error), ExitCode.NOT_BOOTED)


def set_up(worker_class: type[Worker], settings: Settings) -> None:
    """Before the application is imported, in the process that imports it."""
    set_up_for_import(settings)
    become(settings)
    worker_class.prepare(settings)


def _boot(worker_class: type[Worker], context: Context) -> Worker:
    settings = context.settings
    boot: Callable[[Worker], None] = methodcaller("boot")
    if settings.reload and worker_class.watches_code:
        # Imported here: a server in production pays nothing for it. And before the worker class patches what it takes.
        from unicorn_core.develop import reloading

        boot = reloading.prepare(settings)
    set_up(worker_class, settings)
    worker_class, context = fit(worker_class, context)
    worker = worker_class(context)
    context.hooks.made(worker)
    boot(worker)
    context.hooks.booted()
    for message in context.channel.receive():
        if isinstance(message, Probe):
            _probe(worker, message.path)
    return worker


def _probe(worker: Worker, path: str) -> None:
    """The canary of a reload must show that the application works.

    Raises:
        UnicornError: it does not.
    """
    status = worker.probe(path)
    if not 200 <= status < 400:
        raise UnicornError(f"the canary answered {path} with {status} (setting reload_canary)")
    worker.log.info("Canary (pid:%s) answered %s with %s", worker.pid, path, status)


def _disown_children(context: Context) -> None:
    """A process that the application forks is no worker: signals to it mean what they usually do.

    They are held back around each fork, since one that comes before the child has its own handlers would be lost.
    """
    signals = (*ARBITER_SIGNALS, *_OWN_SIGNALS)
    held = threading.local()

    def before() -> None:
        held.mask = signal.pthread_sigmask(signal.SIG_BLOCK, signals)

    def in_parent() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, held.mask)

    def in_child() -> None:
        signal.set_wakeup_fd(-1)
        for number in signals:
            signal.signal(number, signal.SIG_DFL)
        context.channel.close()
        signal.pthread_sigmask(signal.SIG_SETMASK, held.mask)

    os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=in_child)


@contextlib.contextmanager
def signals_blocked() -> Iterator[set[int]]:
    """Hold a worker's signals back around a fork; gives the mask to go on with in the child."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, (*ARBITER_SIGNALS, *_OWN_SIGNALS))
    try:
        yield mask
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def take_over_signals(context: Context, role: str = "Worker") -> None:
    """The signals of a worker, or of another process in such a `role`.

    Until here they were blocked; SIGTERM means "drain" only once there is what serves.
    """
    log, hooks = context.log, context.hooks
    # The arbiter's descriptor is closed here, and its number may soon be another file's.
    signal.set_wakeup_fd(-1)

    def quit_now(number: int, frame: FrameType | None) -> None:
        if number != signal.SIGTERM:
            hooks.interrupted()
        log.info("%s exiting (pid: %s)", role, os.getpid())
        hooks.leaving()
        leave(ExitCode.STOPPED)

    def abort(number: int, frame: FrameType | None) -> None:
        log.error("%s (pid:%s) was aborted at:\n%s", role, os.getpid(), user_stack(frame).rstrip())
        hooks.aborted()
        hooks.leaving()
        leave(ExitCode.FAILED)

    def reopen(number: int, frame: FrameType | None) -> None:
        log.reopen_files()

    def nothing(number: int, frame: FrameType | None) -> None:
        """Meant for the arbiter (a terminal's whole process group gets some), or too early.

        No SIG_IGN: the application's own child processes would inherit that.
        """

    for number in ARBITER_SIGNALS:
        signal.signal(number, nothing)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, quit_now)
    signal.signal(signal.SIGABRT, abort)
    signal.signal(signal.SIGUSR1, reopen)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    stacks.install(context.stacks)
