"""In a task worker: what the dispatcher has sent, sorted for who runs it.

With one thread the one that runs the calls reads as well, when it has nothing to do or has to wait: nothing is handed
from thread to thread, which would cost more than everything else about a small call. With several, one more reads.
"""

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from threading import Condition, Lock

from msgspec import Struct

from unicorn_core.dispatch.rules.places import WINDOW, bit
from unicorn_core.dispatch.wire import flow, shared
from unicorn_core.dispatch.wire.blocking import Wire
from unicorn_core.dispatch.wire.frames import Buffer, Frame, Kind, Shared
from unicorn_core.dispatch.wire.shared import Descriptors
from unicorn_core.dispatch.wire.slabs import RETAINED, Slab, Slabs
from unicorn_core.worker.scoreboard import IN_FLIGHT, PASSED_OVER, REQUESTS, Row

MOST_LENT = 64
"""Answers of which the shared memory is waited for; beyond that, and beyond `RETAINED` bytes, it is made anew."""


class Task(Struct, eq=False):
    """A call to run.

    Attributes:
        frame: what the caller sent.
        descriptors: of the shared memory that belongs to it.
        place: it is the how manieth call that came.
        credit: of a stream, how much may be sent.
        cancelled: the caller is gone.
    """

    frame: Frame
    descriptors: Descriptors
    place: int
    credit: int = flow.WINDOW
    cancelled: bool = False


class Inbox(ABC):
    """See the module.

    Args:
        row: of this task worker; it shows which calls were begun (`rules.places`) and how many run.
    """

    def __init__(self, wire: Wire, row: Row) -> None:
        self._wire = wire
        self._cells = row.cells
        self._running = 0
        self._passed = 0
        self._waiting: deque[Task] = deque()
        self._tasks: dict[int, Task] = {}
        self._count = 0
        self._slabs = Slabs()
        self._lent: deque[tuple[int, list[Slab]]] = deque()
        self._lent_size = 0

    @abstractmethod
    def take(self) -> Task | None:
        """Wait for the next call; None if there will be no more."""

    @abstractmethod
    def take_like(self, route: bytes, until: float) -> Task | None:
        """Wait for the next call of this route; None if there is none until then."""

    @abstractmethod
    def attend(self, task: Task) -> None:
        """Wait until a stream may go on, or is cancelled; see by the way what has come, without waiting."""

    @abstractmethod
    def send(self, frame: Frame, descriptors: Descriptors = ()) -> None:
        """Answer; raises OSError if the dispatcher is gone."""

    def lend(self, number: int, buffers: Sequence[Buffer]) -> tuple[list[Buffer | Shared], list[int]]:
        """Copy the large buffers of an answer into shared memory; gives what its frame holds, and descriptors."""
        placed, descriptors, slabs = self._slabs.lend(buffers)
        if slabs:
            self._remember(number, slabs)
        return placed, descriptors

    def forget(self, task: Task) -> None:
        """A call that was taken has ended."""
        self._tasks.pop(task.frame.id, None)
        self._running -= 1
        self._cells[IN_FLIGHT] = self._running

    def _taken(self, task: Task) -> Task:
        """A call is about to be run: should this process end now, it is not run elsewhere."""
        if task.place > self._cells[REQUESTS]:
            self._cells[REQUESTS] = task.place
        elif self._passed:
            self._pass_over(self._passed & ~bit(task.place))
        self._running += 1
        self._cells[IN_FLIGHT] = self._running
        return task

    def _sort(self, frame: Frame, descriptors: Descriptors) -> None:
        if frame.kind == Kind.REQUEST:
            self._count += 1
            task = Task(frame, descriptors, self._count)
            self._tasks[frame.id] = task
            self._waiting.append(task)
            return
        shared.close(descriptors)
        if frame.kind == Kind.EVENT:
            self._take_back(frame.id)
            return
        known = self._tasks.get(frame.id)
        if known is not None:
            if frame.kind == Kind.CREDIT:
                known.credit = min(known.credit + flow.granted(frame), flow.WINDOW)
            elif frame.kind == Kind.CANCEL:
                known.cancelled = True

    def _remember(self, number: int, slabs: list[Slab]) -> None:
        self._lent.append((number, slabs))
        self._lent_size += _size(slabs)
        while len(self._lent) > MOST_LENT or (self._lent_size > RETAINED and len(self._lent) > 1):
            self._lent_size -= _size(self._lent.popleft()[1])

    def _take_back(self, number: int) -> None:
        """The caller has read what was lent with the first of the answers to this call."""
        for entry in self._lent:
            if entry[0] == number:
                self._lent.remove(entry)
                self._lent_size -= _size(entry[1])
                self._slabs.take_back(entry[1])
                return

    def _next_like(self, route: bytes) -> Task | None:
        passed = 0
        for task in self._waiting:
            if task.place - self._waiting[0].place >= WINDOW:
                return None
            if task.frame.route == route:
                self._waiting.remove(task)
                self._taken(task)
                if passed:
                    self._pass_over(self._passed | passed)
                return task
            passed |= bit(task.place)
        return None

    def _pass_over(self, passed: int) -> None:
        """These, by their bits, are not begun though later ones are."""
        self._passed = passed
        self._cells[PASSED_OVER] = passed


def _size(slabs: Sequence[Slab]) -> int:
    return sum(slab.size for slab in slabs)


class OwnInbox(Inbox):
    """For one thread."""

    def __init__(self, wire: Wire, row: Row) -> None:
        super().__init__(wire, row)
        self._ended = False

    def take(self) -> Task | None:
        """See `Inbox`."""
        while not self._waiting:
            if self._ended or not self._receive():
                return None
        return self._taken(self._waiting.popleft())

    def take_like(self, route: bytes, until: float) -> Task | None:
        """See `Inbox`."""
        self._glance()
        while (task := self._next_like(route)) is None:
            left = until - time.monotonic()
            if left <= 0 or self._ended:
                return None
            self._wire.within(left)
            try:
                self._receive()
            except TimeoutError:
                return None
            finally:
                self._wire.within(0)
        return task

    def attend(self, task: Task) -> None:
        """See `Inbox`."""
        self._glance()
        while task.credit <= 0 and not task.cancelled:
            if self._ended or not self._receive():
                task.cancelled = True

    def send(self, frame: Frame, descriptors: Descriptors = ()) -> None:
        """See `Inbox`."""
        self._wire.send(frame, descriptors)

    def _receive(self) -> bool:
        received = self._wire.receive()
        if received is None:
            self._ended = True
            return False
        self._sort(*received)
        return True

    def _glance(self) -> None:
        while not self._ended and (received := self._wire.glance()) is not None:
            self._sort(*received)


class SharedInbox(Inbox):
    """For several threads: `read` runs in one more."""

    def __init__(self, wire: Wire, row: Row) -> None:
        super().__init__(wire, row)
        self._changed = Condition(Lock())
        self._sending = Lock()
        self._ended = False

    def read(self) -> None:
        """Read until the dispatcher sends no more."""
        try:
            while (received := self._wire.receive()) is not None:
                with self._changed:
                    self._sort(*received)
                    self._changed.notify_all()
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def take(self) -> Task | None:
        """See `Inbox`."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended)
            return self._taken(self._waiting.popleft()) if self._waiting else None

    def take_like(self, route: bytes, until: float) -> Task | None:
        """See `Inbox`."""
        with self._changed:
            while (task := self._next_like(route)) is None:
                left = until - time.monotonic()
                if left <= 0 or self._ended:
                    return None
                self._changed.wait(left)
            return task

    def attend(self, task: Task) -> None:
        """See `Inbox`."""
        with self._changed:
            self._changed.wait_for(lambda: task.credit > 0 or task.cancelled or self._ended)
            task.cancelled = task.cancelled or task.credit <= 0

    def send(self, frame: Frame, descriptors: Descriptors = ()) -> None:
        """See `Inbox`."""
        with self._sending:
            self._wire.send(frame, descriptors)

    def forget(self, task: Task) -> None:
        """See `Inbox`."""
        with self._changed:
            super().forget(task)

    def _remember(self, number: int, slabs: list[Slab]) -> None:
        with self._changed:
            super()._remember(number, slabs)
