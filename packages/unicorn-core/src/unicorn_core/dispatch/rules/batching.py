"""When the calls that were gathered for an action with `@batched` are complete, and run as one list.

The first call opens a batch. It is complete when `max_size` calls are in it, or `max_wait` seconds after it was opened.
"""

from typing import Generic, TypeVar

T = TypeVar("T")


class Batching(Generic[T]):
    """The open batch of one action. All times are seconds of one monotonic clock.

    Attributes:
        due: when the open batch is complete at the latest; None while there is none.
    """

    def __init__(self, max_size: int, max_wait: float) -> None:
        if max_size < 1:
            raise ValueError("max_size must be at least 1")
        if max_wait < 0:
            raise ValueError("max_wait cannot be negative")
        self._max_size = max_size
        self._max_wait = max_wait
        self._calls: list[T] = []
        self.due: float | None = None

    def add(self, call: T, now: float) -> list[T] | None:
        """Put a call into the batch; the batch, if that or the time has completed it."""
        self._calls.append(call)
        if self.due is None:
            self.due = now + self._max_wait
        return self.flush() if len(self._calls) >= self._max_size or now >= self.due else None

    def flush(self) -> list[T]:
        """Whatever has been gathered, at once."""
        calls, self._calls, self.due = self._calls, [], None
        return calls
