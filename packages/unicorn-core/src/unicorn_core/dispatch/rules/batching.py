"""When the calls that were gathered for an action with `@batched` are complete, and run as one list.

The first call opens a batch. It is complete when `max_size` calls are in it, or `max_wait` seconds after it was opened.
"""

from typing import Generic, TypeVar

T = TypeVar("T")


class Batching(Generic[T]):
    """The open batch of one action. All times are seconds of one monotonic clock; calls are told apart by identity.

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

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, call: T, now: float) -> list[T] | None:
        """Put a call into the batch; the batch, if that or the time has completed it."""
        self._calls.append(call)
        if self.due is None:
            self.due = now + self._max_wait
        return self.flush() if len(self._calls) >= self._max_size or now >= self.due else None

    def take(self, now: float) -> list[T] | None:
        """The batch, if it has waited long enough."""
        return self.flush() if self.due is not None and now >= self.due else None

    def remove(self, call: T) -> bool:
        """Take out a call of which the caller has given up; False if it is not here."""
        for index, one in enumerate(self._calls):
            if one is call:
                del self._calls[index]
                if not self._calls:
                    self.due = None
                return True
        return False

    def flush(self) -> list[T]:
        """Whatever has been gathered, at once."""
        calls, self._calls, self.due = self._calls, [], None
        return calls
