"""Small answers that wait for the end of the turn, to be sent together.

Every send wakes the client, and code that runs between two requests runs cold; so a turn takes in all that is ready,
runs the applications, and then sends. That must not delay anybody noticeably: see `Outbox`.
"""

import resource
from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Protocol

LONGEST_HOLD = 0.0005
"""Seconds that an answer is held at most while applications run that are as fast as before."""
SLOW_CALL = 0.001
"""A call that took so many seconds shows that the next one may, too."""
PENALTY_SECONDS = 1.0
PENALTY_CALLS = 1000
"""After a slow call nothing is held for so long and for so many calls."""
RARE = 100
CHANCES = 2
"""Long calls without waiting are put down to chance until more than so many followed each other within `RARE` calls."""
LARGEST = 32768
"""Bytes of an answer that may be held."""


class Counter(Protocol):
    """Who is told of each request that was run."""

    def called(self, before: float, now: float) -> None:
        """A request was run from `before` to `now` (seconds, monotonic)."""


class Holder(Protocol):
    """A connection with a held answer."""

    def release(self) -> None:
        """Write what is held, as far as it goes without waiting."""


def thread_waits() -> int:
    """How often the calling thread has waited of its own accord (the process, where only that is counted)."""
    return resource.getrusage(getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)).ru_nvcsw


class Outbox:
    """The answers held in the present turn.

    Nothing is held in a turn of one request, and nothing for a while after an application was slow: only the first
    slow call can delay answers that were held before it. A call that was long without having waited need not be slow:
    another process may have had the CPU, or the garbage collector made a full round. It counts when it is no rarity.

    Args:
        waits: how often this thread has waited so far; without it every long call counts as slow.

    Attributes:
        open: answers may be held now.
        held: who has put an answer by, and will be asked to release it.
        calls: requests that were run.
    """

    def __init__(self, waits: Callable[[], int] | None = None) -> None:
        self.open = False
        self._waits = waits
        self._waits_before = 0
        self._since_long = RARE  # calls since the last long one
        self._long = 0  # long calls that followed each other
        self.held: deque[Holder] = deque()
        self.calls = 0
        self._since = 0.0
        self._closed_until = 0.0
        self._closed_calls = 0
        self._sending = Lock()

    def begin_turn(self, requests: int, now: float) -> None:
        """A turn with so many requests begins."""
        self.open = requests > 1 and not self._closed_calls and now >= self._closed_until
        if self._waits:
            self._waits_before = self._waits()

    def called(self, before: float, now: float) -> None:
        """See `Counter`."""
        self.calls += 1
        self._since_long += 1
        if now - before > SLOW_CALL and self._was_slow():
            self._closed_until = now + PENALTY_SECONDS
            self._closed_calls = PENALTY_CALLS
            self.open = False
            self.release()
        elif self._closed_calls:
            self._closed_calls -= 1
        elif self.held:
            if not self._since:
                self._since = now
            elif now - self._since > LONGEST_HOLD:
                self.release()

    def _was_slow(self) -> bool:
        """Whether a long call shows that the application is slow."""
        if self._waits is None or self._waits() > self._waits_before:
            return True
        self._long = self._long + 1 if self._since_long < RARE else 1
        self._since_long = 0
        return self._long > CHANCES

    def end_turn(self) -> None:
        """The turn is over: nothing waits longer."""
        self.open = False
        self.release()

    def release(self) -> None:
        """Send everything that is held. When it returns that is done, also if another thread was at it."""
        held = self.held
        with self._sending:
            self._since = 0.0
            while held:
                held.popleft().release()
