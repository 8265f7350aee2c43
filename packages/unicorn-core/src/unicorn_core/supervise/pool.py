"""The supervision of one pool: the workers of one kind under one size.

Theory. A pool has slots 0 to size-1. A slot wants one ready worker (`current`). Whatever ends, the slot's next
worker is spawned, at once or after a back-off. A worker that shall be replaced without a gap gets a `successor`
beside it; only once that is ready the old one is drained. A reload does this for all slots together (`Rollout`):
it commits when every successor is ready, or is withdrawn when one of them fails.

Every event method takes the time and returns the actions it asks for, in order. The driver must report the end of
every process that it spawned by `exited`, whatever else it reported before.
"""

from collections.abc import Iterator, Mapping
from itertools import count

from unicorn_core.supervise.limits import Limits, deadline
from unicorn_core.supervise.messages import (
    Abort,
    Action,
    BackingOff,
    BootFailure,
    Complete,
    Drain,
    Finished,
    Halt,
    Kill,
    Quit,
    Reloaded,
    RolledBack,
    Spawn,
)
from unicorn_core.supervise.rollout import Rollout
from unicorn_core.supervise.slot import Occupant, Slot, State

_ALIVE = (State.BOOTING, State.READY, State.DRAINING)
"""The states of a worker that nobody has told to end at once."""


class Pool:
    """See the module. All times are seconds of one monotonic clock."""

    def __init__(self, size: int, limits: Limits) -> None:
        self.size = size
        self.limits = limits
        self.generation = 1
        self.slots: dict[int, Slot] = {}
        self.occupants: dict[int, Occupant] = {}
        self.rollout: Rollout | None = None
        self.stopping = False
        self._generations = 1
        self._numbers = count(1)
        self._was_ready = False
        self._was_complete = False
        self._actions: list[Action] = []

    # What is asked of the pool

    def start(self, now: float) -> list[Action]:
        """Spawn the first worker of every slot."""
        self._adjust_slots(now)
        return self._flush()

    def resize(self, size: int, now: float) -> list[Action]:
        """Grow or shrink to `size` (at least 1); the slots with the highest numbers leave first."""
        if not self.stopping:
            self.size = max(1, size)
            self._was_complete = False
            if self.rollout:
                self.rollout.size = self.size
            self._adjust_slots(now)
            self._commit_if_ready(now)
        return self._flush()

    def reload(self, size: int, limits: Limits, now: float) -> list[Action]:
        """Replace all workers by a new generation; a reload that is still under way is withdrawn first."""
        if self.stopping:
            return []
        self._withdraw_rollout(now)
        self._generations += 1
        for slot in self.slots.values():
            if slot.successor:
                self._dismiss(slot.successor, now)
                slot.successor = None
        self.rollout = Rollout(self._generations, max(1, size), limits)
        self._adjust_slots(now)
        return self._flush()

    def recycle(self, worker: int, now: float) -> list[Action]:
        """A worker asks to be replaced; it keeps serving until its successor is ready."""
        occupant = self.occupants.get(worker)
        if occupant and occupant.state is State.READY and not self.stopping and not occupant.recycling:
            occupant.recycling = True
            slot = self.slots.get(occupant.slot)
            if slot and slot.current is occupant and not self.rollout and slot.successor is None:
                slot.successor = self._spawn(slot, self.generation, self.limits, now)
        return self._flush()

    def stop(self, now: float, graceful: bool) -> list[Action]:
        """End all workers: ready ones may finish what they have if `graceful`; asked twice, the quicker way wins."""
        first = not self.stopping
        self.stopping, self.rollout = True, None
        for slot in self.slots.values():
            slot.spawn_at = None
        for occupant in self.occupants.values():
            if graceful and first:
                self._dismiss(occupant, now)
            elif not graceful:
                self._quit(occupant, now)
        self._finish_if_empty()
        return self._flush()

    # What happened

    def ready(self, worker: int, now: float) -> list[Action]:
        """A worker said that it is ready to serve."""
        occupant = self.occupants.get(worker)
        if occupant is None or occupant.state is not State.BOOTING:
            return []
        occupant.state, occupant.ready_at, occupant.deadline = State.READY, now, None
        self._was_ready = True
        slot = self.slots[occupant.slot]
        if slot.successor is occupant and not (self.rollout and occupant.generation == self.rollout.generation):
            self._promote(slot, now)
        self._commit_if_ready(now)
        self._tell_if_complete()
        return self._flush()

    def boot_failed(self, worker: int, failure: BootFailure) -> list[Action]:
        """A worker told why it cannot boot; its end will be reported by `exited`."""
        if occupant := self.occupants.get(worker):
            occupant.failure = failure
        return []

    def exited(self, worker: int, how: str, now: float) -> list[Action]:
        """A process ended; `how` says it in words ("exit code 1"), for the messages."""
        occupant = self.occupants.pop(worker, None)
        if occupant is None:
            return []
        if self.stopping:
            self._finish_if_empty()
            return self._flush()
        slot = self.slots.get(occupant.slot)
        if slot is None or occupant not in (slot.current, slot.successor):
            return self._flush()
        failure = occupant.failure
        if occupant.ready_at is None and failure is None:
            failure = BootFailure(f"the worker ended ({how}) before it was ready")
        if slot.successor is occupant:
            slot.successor = None
            if self.rollout and occupant.generation == self.rollout.generation:
                self._roll_back(failure or BootFailure(f"a new worker ended ({how})"), now)
                return self._flush()
        else:
            slot.current = None
            self._was_complete = False
            if slot.successor and not self.rollout:
                # Its place was to be taken anyway.
                slot.current, slot.successor = slot.successor, None
                return self._flush()
        if failure and not self._was_ready:
            self._actions.append(Halt(failure))
            return self._flush() + self.stop(now, graceful=False)
        self._respawn_later(slot, occupant, failure, now)
        self._spawn_what_is_due(now)
        return self._flush()

    def tick(self, now: float, beats: Mapping[int, float]) -> list[Action]:
        """Time has passed. `beats` holds the time of each worker's last sign of life."""
        for occupant in list(self.occupants.values()):
            if occupant.state in (State.READY, State.DRAINING) and self.limits.silence:
                silent_for = now - max(beats.get(occupant.worker, 0.0), occupant.ready_at or 0.0)
                if silent_for > self.limits.silence:
                    self._abort(occupant, silent_for, now)
            if occupant.deadline is not None and now >= occupant.deadline:
                self._escalate(occupant, now)
        self._spawn_what_is_due(now)
        return self._flush()

    def deadline(self) -> float | None:
        """When `tick` is due next, heartbeats aside; None if nothing waits."""
        times = [o.deadline for o in self.occupants.values()] + [s.spawn_at for s in self.slots.values()]
        return min((time for time in times if time is not None), default=None)

    # Replacing

    def _commit_if_ready(self, now: float) -> None:
        rollout = self.rollout
        if rollout is None or not rollout.complete(self.slots.values()):
            return
        self.rollout = None
        self.generation, self.size, self.limits = rollout.generation, rollout.size, rollout.limits
        for slot in self.slots.values():
            if slot.successor:
                self._promote(slot, now)
        self._adjust_slots(now)
        self._actions.append(Reloaded(self.generation))
        self._was_complete = True

    def _roll_back(self, failure: BootFailure, now: float) -> None:
        assert self.rollout is not None
        generation = self.rollout.generation
        self._withdraw_rollout(now)
        self._actions.append(RolledBack(generation, failure))
        self._adjust_slots(now)
        for slot in self.slots.values():
            if slot.current and slot.current.recycling:
                slot.spawn_at = now
        self._spawn_what_is_due(now)

    def _withdraw_rollout(self, now: float) -> None:
        if self.rollout is None:
            return
        self.rollout = None
        for slot in self.slots.values():
            if slot.successor:
                self._dismiss(slot.successor, now)
                slot.successor = None

    def _promote(self, slot: Slot, now: float) -> None:
        old, slot.current, slot.successor = slot.current, slot.successor, None
        slot.spawn_at = None
        if old:
            self._dismiss(old, now)

    def _adjust_slots(self, now: float) -> None:
        """Give every slot below `size` what it lacks, and empty those above."""
        wanted = max(self.size, self.rollout.size if self.rollout else 0)
        for index in [index for index in self.slots if index >= wanted]:
            slot = self.slots.pop(index)
            for occupant in (slot.current, slot.successor):
                if occupant:
                    self._dismiss(occupant, now)
        for index in range(wanted):
            slot = self.slots.setdefault(index, Slot(index))
            if self.rollout and index < self.rollout.size:
                if slot.successor is None:
                    slot.successor = self._spawn(slot, self.rollout.generation, self.rollout.limits, now)
            elif slot.current is None and slot.successor is None and slot.spawn_at is None:
                slot.current = self._spawn(slot, self.generation, self.limits, now)

    def _respawn_later(self, slot: Slot, dead: Occupant, failure: BootFailure | None, now: float) -> None:
        delay = slot.backoff.died(dead.ready_for(now))
        slot.spawn_at = now + delay
        if delay:
            self._actions.append(BackingOff(slot.index, delay, slot.backoff.failures, failure))

    def _spawn_what_is_due(self, now: float) -> None:
        for slot in self.slots.values():
            if slot.spawn_at is None or now < slot.spawn_at:
                continue
            slot.spawn_at = None
            if slot.current is None:
                slot.current = self._spawn(slot, self.generation, self.limits, now)
            elif slot.successor is None and slot.current.recycling:
                slot.successor = self._spawn(slot, self.generation, self.limits, now)

    def _spawn(self, slot: Slot, generation: int, limits: Limits, now: float) -> Occupant:
        occupant = Occupant(next(self._numbers), slot.index, generation, now, deadline=deadline(now, limits.boot))
        self.occupants[occupant.worker] = occupant
        self._actions.append(Spawn(occupant.worker, slot.index, generation))
        return occupant

    # Ending

    def _dismiss(self, occupant: Occupant, now: float) -> None:
        """Let a worker finish what it has; also one that boots, since it may have said that it is ready just now."""
        if occupant.state in (State.READY, State.BOOTING):
            occupant.state, occupant.deadline = State.DRAINING, deadline(now, self.limits.graceful)
            self._actions.append(Drain(occupant.worker))

    def _quit(self, occupant: Occupant, now: float) -> None:
        if occupant.state in _ALIVE:
            occupant.state, occupant.deadline = State.QUITTING, now + self.limits.last
            self._actions.append(Quit(occupant.worker))

    def _abort(self, occupant: Occupant, silent_for: float, now: float) -> None:
        occupant.state, occupant.deadline = State.ABORTING, now + self.limits.last
        self._actions.append(Abort(occupant.worker, silent_for))

    def _escalate(self, occupant: Occupant, now: float) -> None:
        """The present state has lasted too long."""
        if occupant.state is State.BOOTING:
            waited = now - occupant.spawned_at
            occupant.failure = BootFailure(
                f"the worker was not ready after {waited:.0f} s (setting worker_boot_timeout)"
            )
            self._abort(occupant, waited, now)
        elif occupant.state is not State.KILLED:
            occupant.state, occupant.deadline = State.KILLED, None
            self._actions.append(Kill(occupant.worker))

    # Telling

    def _tell_if_complete(self) -> None:
        if not self._was_complete and not self.rollout and all(slot.serving for slot in self.slots.values()):
            self._was_complete = True
            self._actions.append(Complete(self.generation, self.size))

    def _finish_if_empty(self) -> None:
        if not self.occupants:
            self._actions.append(Finished())

    def _flush(self) -> list[Action]:
        actions, self._actions = self._actions, []
        return actions

    def __iter__(self) -> Iterator[Occupant]:
        return iter(self.occupants.values())
