"""Lending the sockets of a slot that nobody serves (setting reuse_port)."""

from unicorn_core.arbiter.driver import Driver
from unicorn_core.arbiter.sockets import Sockets
from unicorn_core.supervise.lending import Lend, Lending, TakeBack
from unicorn_core.worker.messages import Borrow, GiveBack


class Loans:
    """Tells the lending who is ready, and the workers what they borrow."""

    def __init__(self, driver: Driver, sockets: Sockets) -> None:
        self._driver = driver
        self._sockets = sockets
        self._lending = Lending()

    def deadline(self) -> float | None:
        """When `tick` is due next."""
        return None if self._driver.pool.stopping else self._lending.deadline()

    def tick(self, now: float) -> None:
        """Time has passed, or a worker has become ready or ended."""
        pool = self._driver.pool
        if pool.stopping:
            return
        ready = {
            index: next((occupant.worker for occupant in slot.occupants if occupant.is_ready), None)
            for index, slot in pool.slots.items()
        }
        for action in self._lending.update(ready, now):
            handle = self._driver.handles.get(action.worker)
            if handle is None:
                continue
            match action:
                case Lend(slot):
                    descriptors = [listener.socket.fileno() for listener in self._sockets.exclusive(slot)]
                    handle.channel.send(Borrow(slot, len(descriptors)), descriptors)
                case TakeBack(slot, _, ends):
                    if ends:
                        self._sockets.end(self._sockets.exclusive(slot))
                    handle.channel.send(GiveBack(slot, ends))
        self._end_slots(len(pool.slots), [worker for worker in ready.values() if worker is not None])

    def _end_slots(self, size: int, ready: list[int]) -> None:
        """Somebody must serve who waits at the sockets of slots that are no more; their own worker may just boot."""
        for slot in self._sockets.slots_from(size):
            handle = self._driver.handles.get(ready[0]) if ready else None
            if handle is None:
                return
            listeners = self._sockets.exclusive(slot)
            self._sockets.end(listeners)
            descriptors = [listener.socket.fileno() for listener in listeners]
            handle.channel.send(Borrow(slot, len(descriptors)), descriptors)
            handle.channel.send(GiveBack(slot, ends=True))
            self._sockets.close_slot(slot)
