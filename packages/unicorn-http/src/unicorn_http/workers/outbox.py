"""Small answers that wait for the end of the turn, to be sent together.

Every send wakes the client, and code that runs between two requests runs cold; so a turn takes in all that is ready,
runs the applications, and then sends. That must not delay anybody noticeably: see `Outbox`.
"""

from typing import Protocol

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


class Outbox:
    """The answers held in the present turn.

    Nothing is held in a turn of one request, and nothing for a while after an application was slow: only the first
    slow call can delay answers that were held before it.

    Attributes:
        open: answers may be held now.
    """

    def __init__(self) -> None:
        self.open = False
        self._held: list[Holder] = []
        self._since = 0.0
        self._closed_until = 0.0
        self._closed_calls = 0

    def begin_turn(self, requests: int, now: float) -> None:
        """A turn with so many requests begins."""
        self.open = requests > 1 and not self._closed_calls and now >= self._closed_until

    def hold(self, holder: Holder) -> None:
        """`holder` has put an answer by and will be asked to release it."""
        self._held.append(holder)

    def called(self, before: float, now: float) -> None:
        """A request was run from `before` to `now` (seconds, monotonic)."""
        if now - before > SLOW_CALL:
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
