"""From fork to exit: what happens in a worker process around its worker class."""

import atexit
import contextlib
import gc
import os
import pwd
import random
import signal
import sys
import traceback
from types import FrameType
from typing import NoReturn

import unicorn_core
from unicorn_core.application import user_stack, user_traceback
from unicorn_core.errors import ExitCode, UnicornError
from unicorn_core.observe.logs import Logger
from unicorn_core.settings.registry import Settings
from unicorn_core.worker.base import Context, Worker
from unicorn_core.worker.channel import LONGEST_DETAILS
from unicorn_core.worker.messages import BootFailed, Ready

ARBITER_SIGNALS = (
    signal.SIGHUP,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGUSR2,
    signal.SIGWINCH,
)
SERVER_SOFTWARE = f"unicorn/{unicorn_core.__version__}"


def live(worker_class: type[Worker], context: Context, mask: set[int]) -> NoReturn:
    """The whole life of a worker process.

    Called right after fork, with the arbiter's signals blocked: one that comes in before this process has its own
    handlers must not reach the arbiter's. `mask` is the signal mask to go on with.
    """
    log = context.log
    code = ExitCode.FAILED
    try:
        _take_over_signals(log)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        worker = _boot(worker_class, context)
        if worker is None:
            leave(ExitCode.NOT_BOOTED)
        # What was made so far stays: the collector need not look at it again, which at times took a millisecond.
        gc.collect()
        gc.freeze()
        signal.signal(signal.SIGTERM, worker.on_terminate)
        context.channel.send(Ready())
        worker.run()
        code = ExitCode.STOPPED
    except BaseException:
        log.exception("Worker (pid:%s) failed outside of a request", os.getpid())
    log.info("Worker exiting (pid: %s)", os.getpid())
    leave(code)


def leave(code: int) -> NoReturn:
    """End this process, running what the application registered with atexit.

    The frames below belong to the arbiter, whose cleaning up is not for a worker to do: hence no SystemExit.
    """
    try:
        atexit._run_exitfuncs()
    except BaseException:
        traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, RuntimeError):
            stream.flush()
    os._exit(code)


def _boot(worker_class: type[Worker], context: Context) -> Worker | None:
    """The booted worker, or None after the arbiter was told why there is none."""
    log = context.log
    log.info("Booting worker with pid: %s", os.getpid())
    try:
        settings = context.settings
        random.seed()
        set_up_for_import(settings)
        _become(settings.user, settings.group, settings.initgroups)
        worker = worker_class(context)
        worker.boot()
    except UnicornError as error:
        failure = BootFailed(str(error), error.details, error.exit_code)
    except BaseException as error:
        message = f"worker failed to boot: {type(error).__name__}: {error}"
        failure = BootFailed(message, user_traceback(error), ExitCode.NOT_BOOTED)
    else:
        return worker
    if len(failure.details) > LONGEST_DETAILS:
        failure = BootFailed(failure.message, "[...]\n" + failure.details[-LONGEST_DETAILS:], failure.exit_code)
    if not context.channel.send(failure):
        log.error("%s", failure.message)
    return None


def set_up_for_import(settings: Settings) -> None:
    """Environment and import path, as the application finds them; the working folder is set already."""
    os.environ["SERVER_SOFTWARE"] = SERVER_SOFTWARE
    for assignment in settings.raw_env:
        name, _, value = assignment.partition("=")
        os.environ[name] = value
    for folder in reversed([os.getcwd(), *(settings.pythonpath or "").split(",")]):
        if folder and folder not in sys.path:
            sys.path.insert(0, folder)


def _become(user: int, group: int, initgroups: bool) -> None:
    if (user, group) == (os.geteuid(), os.getegid()):
        return
    if initgroups:
        try:
            os.initgroups(pwd.getpwuid(user).pw_name, group)
        except KeyError:
            raise UnicornError(f"initgroups: user id {user} has no name on this machine") from None
    elif os.geteuid() == 0:
        os.setgroups([group])
    try:
        os.setgid(group)
        os.setuid(user)
    except PermissionError:
        raise UnicornError(
            f"cannot become user id {user} and group id {group}: only root may (settings user, group)"
        ) from None


def _take_over_signals(log: Logger) -> None:
    """The signals of a worker. Until here they were blocked; SIGTERM means "drain" only once there is what serves."""
    # The arbiter's descriptor is closed here, and its number may soon be another file's.
    signal.set_wakeup_fd(-1)

    def quit_now(number: int, frame: FrameType | None) -> None:
        log.info("Worker exiting (pid: %s)", os.getpid())
        leave(ExitCode.STOPPED)

    def abort(number: int, frame: FrameType | None) -> None:
        log.error("Worker (pid:%s) was aborted at:\n%s", os.getpid(), user_stack(frame).rstrip())
        leave(ExitCode.FAILED)

    def reopen(number: int, frame: FrameType | None) -> None:
        log.reopen_files()

    def nothing(number: int, frame: FrameType | None) -> None:
        """Meant for the arbiter (a terminal's whole process group gets some), or too early.

        No SIG_IGN: the application's own child processes would inherit that.
        """

    for number in ARBITER_SIGNALS:
        signal.signal(number, nothing)
    signal.signal(signal.SIGTERM, quit_now)
    signal.signal(signal.SIGINT, quit_now)
    signal.signal(signal.SIGQUIT, quit_now)
    signal.signal(signal.SIGABRT, abort)
    signal.signal(signal.SIGUSR1, reopen)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
