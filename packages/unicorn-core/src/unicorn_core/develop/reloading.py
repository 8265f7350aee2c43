"""What the setting reload changes in a worker: files are watched, and an application that fails is shown."""

import os
import signal
import sys
import time

# Taken before a worker class patches the standard library: the watcher needs a thread of the system, for what it
# waits in would stop all green ones.
from _thread import start_new_thread
from collections.abc import Callable
from functools import partial

from unicorn_core.develop import engines, failure
from unicorn_core.develop.engines import Engine
from unicorn_core.develop.files import Files
from unicorn_core.develop.modules import Modules, forget_bytecode
from unicorn_core.develop.patterns import Patterns
from unicorn_core.develop.watcher import Watcher
from unicorn_core.errors import ApplicationError
from unicorn_core.settings.registry import Settings
from unicorn_core.worker.base import Worker
from unicorn_core.worker.messages import Changed

MOST_TOLD = 10
"""Changed files that the arbiter is told, so that a message always fits."""


def prepare(settings: Settings) -> Callable[[Worker], None]:
    """Call this before anything of the application is imported, and what it gives in place of a worker's `boot`.

    Raises:
        PluginError: the engine is not installed.
    """
    engine = engines.choose(settings.reload_engine)
    # With preload_app a new mold imports everything anew.
    inherited: frozenset[str] = frozenset() if settings.preload_app else frozenset(sys.modules)
    return partial(_boot, engine, inherited, time.time())


def _boot(engine: Engine, inherited: frozenset[str], since: float, worker: Worker) -> None:
    """Boot a worker, then tell the arbiter whenever files of its application change.

    If the application fails, and the worker class has something to serve in its place, the worker serves that.
    """
    settings = worker.settings
    further = _configuration(settings)
    try:
        worker.boot()
    except ApplicationError as error:
        if not worker.stand_in(error):
            raise
        _show(worker, error)
        further |= failure.files(error, settings.wsgi_app)
    patterns = Patterns(settings.reload_extra_files, os.getcwd())
    watcher = Watcher(Files(Modules(inherited), patterns, further, since), engine, partial(_report, worker))
    start_new_thread(_watch, (watcher, worker))


def _configuration(settings: Settings) -> set[str]:
    """The configuration file, which a reload reads anew."""
    reference = settings.config or ""
    if reference.startswith("python:"):
        reference = getattr(sys.modules.get(reference[7:]), "__file__", None) or ""
    path = reference.removeprefix("file:")
    return {os.path.abspath(path)} if path else set()


def _show(worker: Worker, error: ApplicationError) -> None:
    """Tell once why there is no application: the other workers fail for the same reason."""
    if worker.context.slot != 0:
        worker.log.debug("%s", error)
        return
    if error.details:
        worker.log.error("The application raised:\n%s", error.details.rstrip())
    worker.log.error("%s", error)
    worker.log.error("Requests are answered with this error until its cause is mended (setting reload)")


def _report(worker: Worker, paths: list[str]) -> bool:
    """Tell the arbiter, as long as it is this worker's files that matter."""
    if worker.draining:
        return False
    forget_bytecode(paths)
    worker.context.channel.send(Changed(tuple(paths[:MOST_TOLD])))
    return True


def _watch(watcher: Watcher, worker: Worker) -> None:
    # Signals are the main thread's: only there do they interrupt what it waits in.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        watcher.run()
    except Exception:
        worker.log.exception("Worker (pid:%s) watches no more files (setting reload)", worker.pid)
