"""With a listening socket a slot (setting reuse_port), who accepts from the sockets of a slot that nobody serves.

The system spreads new connections over all sockets, also over that of a slot whose worker just died or still boots.
So after a short while the socket is lent to a ready worker of another slot, until the slot has one of its own.
"""

from collections.abc import Mapping

from msgspec import Struct

PATIENCE = 0.1
"""Seconds that a slot may be without a ready worker before its socket is lent."""


class Lend(Struct, frozen=True):
    """Let this worker accept from the sockets of the slot."""

    slot: int
    worker: int


class TakeBack(Struct, frozen=True):
    """The worker must accept from the sockets of the slot no more; if the slot `ends`, once their queues are empty."""

    slot: int
    worker: int
    ends: bool = False


class Lending:
    """See the module. All times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._empty_since: dict[int, float] = {}
        self._loans: dict[int, int] = {}
        self._anybody = False

    def update(self, slots: Mapping[int, int | None], now: float) -> list[Lend | TakeBack]:
        """What to do, given the ready worker of every slot (None: there is none)."""
        ready = {worker for worker in slots.values() if worker is not None}
        self._anybody = bool(ready)
        actions: list[Lend | TakeBack] = []
        for slot, worker in self._loans.items():
            # Nothing is taken back from a borrower that leaves: with it go its copies.
            if worker in ready and (slot not in slots or slots[slot] is not None):
                actions.append(TakeBack(slot, worker, ends=slot not in slots))
        self._loans = {
            slot: worker
            for slot, worker in self._loans.items()
            if worker in ready and slot in slots and slots[slot] is None
        }
        self._empty_since = {slot: self._empty_since.get(slot, now) for slot, worker in slots.items() if worker is None}
        for slot, since in self._empty_since.items():
            if slot not in self._loans and now >= since + PATIENCE and ready:
                borrower = self._neighbour(slot, slots)
                self._loans[slot] = borrower
                actions.append(Lend(slot, borrower))
        return actions

    def deadline(self) -> float | None:
        """When `update` is due next."""
        if not self._anybody:
            return None
        waiting = [since + PATIENCE for slot, since in self._empty_since.items() if slot not in self._loans]
        return min(waiting, default=None)

    @staticmethod
    def _neighbour(slot: int, slots: Mapping[int, int | None]) -> int:
        """The worker of the next slot that has one: so that several empty slots are not all lent to the same."""
        order = sorted(slots, key=lambda index: (index < slot, index))
        return next(worker for index in order if (worker := slots[index]) is not None)
