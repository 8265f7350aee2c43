"""A worker process as the arbiter knows it, from the order to spawn it to its reaping."""

import contextlib
import os
import signal
from collections.abc import Sequence

from msgspec import Struct

from unicorn_core.hooks import WorkerView
from unicorn_core.listen.listener import Listener
from unicorn_core.worker.channel import Channel
from unicorn_core.worker.scoreboard import Row

LONGEST_STACKS = 64 * 1024


class Handle(Struct, eq=False):
    """One worker.

    Attributes:
        number: what the pool calls it.
        listeners: where it accepts.
        stacks: the descriptor of the file into which it writes its threads' stacks when it is aborted or crashes.
        view: what hooks see of it.
        role: what the log calls it.
        pid: 0 as long as a mold has not yet forked it.
        ended_by: why the arbiter itself ended it; empty if it did not.
        leaves: it said that it will end.
        ready: it said that it serves.
        told: its end needs no further explanation: it said itself why it cannot boot.
        aborted: it was silent for too long.
        owed: a signal that it gets as soon as it has a pid.
    """

    number: int
    slot: int
    generation: int
    channel: Channel
    row: Row
    listeners: Sequence[Listener]
    stacks: int
    view: WorkerView
    role: str = "Worker"
    pid: int = 0
    ended_by: str = ""
    leaves: bool = False
    ready: bool = False
    told: bool = False
    aborted: bool = False
    owed: int = 0

    @property
    def name(self) -> str:
        """As it stands in the log."""
        return f"{self.role} (pid:{self.pid})"

    @property
    def beat(self) -> float:
        return self.row.last_sign()

    def born(self, pid: int) -> None:
        """Its process exists."""
        self.pid = self.view.pid = pid

    def signal(self, number: int) -> None:
        """Send a signal. The process has not been reaped yet, so the pid is still its own."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def last_stacks(self) -> str:
        """What it wrote of its threads' stacks; empty if nothing."""
        try:
            return os.pread(self.stacks, LONGEST_STACKS, 0).decode("utf-8", "replace").strip()
        except OSError:
            return ""

    def close(self) -> None:
        """The process is gone, or another one's business."""
        self.channel.close()
        os.close(self.stacks)


def exit_in_words(status: int) -> str:
    """A wait status as the log tells it."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was sent {signal.Signals(-code).name}"
    except ValueError:
        return f"was sent signal {-code}"
