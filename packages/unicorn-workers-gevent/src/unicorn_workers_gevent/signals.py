"""Signals in a worker of green threads: what they set off may wait, and at an abort it is told where all stand.

A handler runs in the green thread that runs when the signal comes, mostly in the hub, which must not wait.
"""

import faulthandler
import signal
from collections.abc import Callable
from types import FrameType

from unicorn_core.observe.logs import Logger
from unicorn_core.worker import stacks
from unicorn_workers_gevent.green import Green

_ENDING = (signal.SIGINT, signal.SIGQUIT, signal.SIGABRT)


def install(green: Green, log: Logger, pid: int, descriptor: int, describe: Callable[[], str]) -> None:
    """Put this before the handlers of the signals that end a worker at once.

    Args:
        descriptor: see unicorn_core.worker.stacks.
        describe: what is told at an abort.
    """
    # The fault handler keeps the handler that was there before its own.
    faulthandler.disable()
    before = {number: signal.getsignal(number) for number in _ENDING}

    def handle(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGABRT and (text := describe()):
            log.error("Worker (pid:%s) has green threads:\n%s", pid, text)
        handler = before[signal.Signals(number)]
        if not callable(handler):
            return
        if green.in_hub():
            green.start(lambda: handler(number, frame))
        else:
            handler(number, frame)

    for number in _ENDING:
        signal.signal(number, handle)
    stacks.install(descriptor)
