"""Where the tasks of a worker stand, told when it is ended because its loop did not move."""

import asyncio
import faulthandler
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any

from unicorn_core.observe.logs import Logger
from unicorn_core.worker import stacks

MOST = 50
"""Tasks that are told of."""


def install(
    loop: asyncio.AbstractEventLoop,
    log: Logger,
    pid: int,
    descriptor: int,
    serves: Callable[[asyncio.Task[Any]], str],
) -> None:
    """Tell of the tasks before what else happens at SIGABRT.

    Args:
        descriptor: see unicorn_core.worker.stacks.
        serves: the request that a task is for; empty for others.
    """
    # It keeps the handler that was there before its own.
    faulthandler.disable()
    before = signal.getsignal(signal.SIGABRT)

    def abort(number: int, frame: FrameType | None) -> None:
        running = _running(loop)
        if running is not None and (request := serves(running)):
            log.error("Worker (pid:%s) was busy with: %s", pid, request)
        tasks = [task for task in asyncio.all_tasks(loop) if task is not running]
        if tasks:
            log.error("Worker (pid:%s), tasks that wait:\n%s", pid, described(tasks))
        if callable(before):
            before(number, frame)

    signal.signal(signal.SIGABRT, abort)
    stacks.install(descriptor)


def described(tasks: Iterable[asyncio.Task[Any]]) -> str:
    """Each task with where it waits, the outermost call first."""
    every = sorted(tasks, key=lambda task: task.get_name())
    parts = []
    for task in every[:MOST]:
        summary = traceback.StackSummary.extract((frame, frame.f_lineno) for frame in _frames(task))
        parts.append(f"{task.get_name()}:\n{''.join(summary.format())}")
    if len(every) > MOST:
        parts.append(f"... and {len(every) - MOST} more\n")
    return "".join(parts).rstrip()


def _frames(task: asyncio.Task[Any]) -> Iterator[FrameType]:
    """Of what awaits what. Task.get_stack gives no more than the first of a task that waits."""
    awaited: Any = task.get_coro()
    while awaited is not None:
        for kind, inner in (("cr", "cr_await"), ("gi", "gi_yieldfrom"), ("ag", "ag_await")):
            if hasattr(awaited, f"{kind}_frame"):
                frame, awaited = getattr(awaited, f"{kind}_frame"), getattr(awaited, inner)
                if frame is not None:
                    yield frame
                break
        else:
            return


def _running(loop: asyncio.AbstractEventLoop) -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task(loop)
    except RuntimeError:
        return None
