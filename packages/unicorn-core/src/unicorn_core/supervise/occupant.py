"""One worker as the supervision knows it: its states, and what leads from one to the next.

    BOOTING --ready--> READY --dismiss--> DRAINING --> gone
    BOOTING, READY, DRAINING --quit--> QUITTING --> gone        (at once)
    BOOTING, READY, DRAINING --abort--> ABORTING --> gone       (it was silent, or not ready in time)
    BOOTING too long --> ABORTING; DRAINING, QUITTING, ABORTING too long --> KILLED

A process can also end by itself in any of them.
"""

from enum import Enum, auto

from msgspec import Struct

from unicorn_core.supervise.limits import Limits, deadline
from unicorn_core.supervise.messages import Abort, Action, BootFailure, Drain, Kill, Quit
from unicorn_core.supervise.recycling import lives_until


class State(Enum):
    """Where a worker stands in its life."""

    BOOTING = auto()
    READY = auto()
    DRAINING = auto()
    QUITTING = auto()
    ABORTING = auto()
    KILLED = auto()


_FREE = (State.BOOTING, State.READY, State.DRAINING)
"""The states of a worker that nobody has told to end at once."""


class Occupant(Struct, eq=False):
    """One worker.

    Attributes:
        deadline: when its present state has lasted too long (None: never).
        failure: why it was never ready.
        recycling: why it is to be replaced; empty if it is not.
        retire_at: when it has lived long enough.
    """

    worker: int
    slot: int
    generation: int
    spawned_at: float
    limits: Limits
    state: State = State.BOOTING
    deadline: float | None = None
    ready_at: float | None = None
    failure: BootFailure | None = None
    recycling: str = ""
    retire_at: float | None = None

    def __post_init__(self) -> None:
        self.deadline = deadline(self.spawned_at, self.limits.boot)

    @property
    def is_ready(self) -> bool:
        return self.state is State.READY

    def ready_for(self, now: float) -> float | None:
        """Seconds since it became ready; None if it never did."""
        return None if self.ready_at is None else now - self.ready_at

    def becomes_ready(self, now: float) -> bool:
        """It says that it is ready; whether that means anything in its state."""
        if self.state is not State.BOOTING:
            return False
        self.state, self.ready_at, self.deadline = State.READY, now, None
        self.retire_at = lives_until(self.worker, now, self.limits)
        return True

    def dismiss(self, now: float) -> list[Action]:
        """Let it finish what it has; also one that boots, since it may have said that it is ready just now."""
        if self.state not in (State.READY, State.BOOTING):
            return []
        self.state, self.deadline = State.DRAINING, deadline(now, self.limits.graceful)
        return [Drain(self.worker)]

    def quit(self, now: float) -> list[Action]:
        """Let it leave at once."""
        if self.state not in _FREE:
            return []
        self.state, self.deadline = State.QUITTING, now + self.limits.last
        return [Quit(self.worker)]

    def abort(self, stuck_for: float, now: float) -> list[Action]:
        """It does not get on."""
        return self._abort(stuck_for, now) if self.state in _FREE else []

    def check(self, beat: float, now: float) -> list[Action]:
        """Time has passed; `beat` is when it last gave a sign of life."""
        if self.ready_at is not None and self.state in (State.READY, State.DRAINING) and self.limits.silence:
            silent_for = now - max(beat, self.ready_at)
            if silent_for > self.limits.silence:
                return self._abort(silent_for, now)
        if self.deadline is not None and now >= self.deadline:
            return self._escalate(now)
        return []

    def _abort(self, silent_for: float, now: float) -> list[Action]:
        self.state, self.deadline = State.ABORTING, now + self.limits.last
        return [Abort(self.worker, silent_for)]

    def _escalate(self, now: float) -> list[Action]:
        """The present state has lasted too long."""
        if self.state is State.BOOTING:
            waited = now - self.spawned_at
            setting = self.limits.boot_setting
            self.failure = BootFailure(f"the worker was not ready after {waited:.0f} s (setting {setting})")
            return self._abort(waited, now)
        self.state, self.deadline = State.KILLED, None
        return [Kill(self.worker)]
