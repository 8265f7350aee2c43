"""Small answers that wait for the end of the turn, to be sent together.

Every send wakes the client, and code that runs between two requests runs cold; so a turn takes in all that is ready,
runs the applications, and then sends. That must not delay anybody noticeably: see `Outbox`.
"""

import resource
from collections.abc import Callable
from typing import NamedTuple, Protocol

LONGEST_HOLD = 0.0005
"""Seconds that an answer is held at most while applications run that are as fast as before."""
SLOW_CALL = 0.001
"""A call that took so many seconds shows that the next one may, too."""
PENALTY_SECONDS = 1.0
PENALTY_CALLS = 1000
"""After a slow call nothing is held for so long and for so many calls."""
LARGEST = 32768
"""Bytes of an answer that may be held."""


class Holder(Protocol):
    """A connection with a held answer."""

    def release(self) -> None:
        """Write what is held, as far as it goes without waiting."""


class Usage(NamedTuple):
    """What a thread has used so far: how often it waited of its own accord, and seconds of CPU time."""

    waits: int
    cpu: float


def thread_usage() -> Usage:
    """Of the calling thread, where the system tells it (Linux); else of the process."""
    used = resource.getrusage(getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF))
    return Usage(used.ru_nvcsw, used.ru_utime + used.ru_stime)


class Outbox:
    """The answers held in the present turn.

    Nothing is held in a turn of one request, and nothing for a while after an application was slow: only the first
    slow call can delay answers that were held before it.

    Args:
        usage: tells whether a call that took long was slow itself, by waiting or computing, or was only kept from the
            CPU by other processes. Without it every long call counts as slow.

    Attributes:
        open: answers may be held now.
    """

    def __init__(self, usage: Callable[[], Usage] | None = None) -> None:
        self.open = False
        self._usage = usage
        self._used_before = Usage(0, 0.0)
        self._turn_began = 0.0
        self._held: list[Holder] = []
        self._since = 0.0
        self._closed_until = 0.0
        self._closed_calls = 0

    def begin_turn(self, requests: int, now: float) -> None:
        """A turn with so many requests begins."""
        self.open = requests > 1 and not self._closed_calls and now >= self._closed_until
        self._turn_began = now
        if self._usage:
            self._used_before = self._usage()

    def hold(self, holder: Holder) -> None:
        """`holder` has put an answer by and will be asked to release it."""
        self._held.append(holder)

    def called(self, before: float, now: float) -> None:
        """A request was run from `before` to `now` (seconds, monotonic)."""
        if now - before > SLOW_CALL and self._was_slow(before):
            self._closed_until = now + PENALTY_SECONDS
            self._closed_calls = PENALTY_CALLS
            self.open = False
            self.release()
        elif self._closed_calls:
            self._closed_calls -= 1
        elif self._held:
            if not self._since:
                self._since = now
            elif now - self._since > LONGEST_HOLD:
                self.release()

    def _was_slow(self, before: float) -> bool:
        """Whether it was the call that took the time, which began at `before`."""
        if self._usage is None:
            return True
        used = self._usage()
        # The calls before it in this turn can have used no more CPU time than they took.
        cpu = used.cpu - self._used_before.cpu - (before - self._turn_began)
        return used.waits > self._used_before.waits or cpu > SLOW_CALL

    def end_turn(self) -> None:
        """The turn is over: nothing waits longer."""
        self.open = False
        self.release()

    def release(self) -> None:
        """Send everything that is held."""
        held, self._held = self._held, []
        self._since = 0.0
        for holder in held:
            holder.release()
