"""A worker process as the arbiter knows it."""

import contextlib
import os
import signal
from dataclasses import dataclass

from unicorn_core.worker.channel import Channel
from unicorn_core.worker.scoreboard import Row


@dataclass(slots=True, eq=False)
class Handle:
    """One forked worker, from fork to reaping.

    Attributes:
        number: what the pool calls it.
        ended_by: why the arbiter itself ended it; empty if it did not.
        ready: it said that it serves.
        told: its end needs no further explanation: it said itself why it cannot boot.
    """

    number: int
    pid: int
    slot: int
    generation: int
    channel: Channel
    row: Row
    ended_by: str = ""
    ready: bool = False
    told: bool = False

    @property
    def beat(self) -> float:
        return self.row.last_sign()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal. The process has not been reaped yet, so the pid is still its own."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)


def exit_in_words(status: int) -> str:
    """A wait status as the log tells it."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was sent {signal.Signals(-code).name}"
    except ValueError:
        return f"was sent signal {-code}"
