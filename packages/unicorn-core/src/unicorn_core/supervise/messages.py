"""What the supervision tells its driver to do, and what a boot failure consists of.

All times are seconds of one monotonic clock; workers are named by the number that the pool gave them.
"""

from dataclasses import dataclass

from unicorn_core.errors import ExitCode


@dataclass(frozen=True, slots=True)
class BootFailure:
    """Why a worker never became ready. `details` is the traceback of the user's code, if there is one."""

    message: str
    details: str = ""
    exit_code: int = ExitCode.NOT_BOOTED


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start a worker; the `canary` of a reload must answer a probe before it is ready."""

    worker: int
    slot: int
    generation: int
    canary: bool = False


@dataclass(frozen=True, slots=True)
class LameDuck:
    """Tell a worker that the server will stop soon: it goes on accepting, but ends its connections."""

    worker: int


@dataclass(frozen=True, slots=True)
class Drain:
    """Ask a worker to finish what it has and leave; one that still boots leaves at once."""

    worker: int


@dataclass(frozen=True, slots=True)
class Quit:
    """Make a worker leave at once."""

    worker: int


@dataclass(frozen=True, slots=True)
class Abort:
    """A worker has been silent for so many seconds: let it say where it is stuck, and end it."""

    worker: int
    silent_for: float


@dataclass(frozen=True, slots=True)
class Kill:
    """End a worker that did not leave in time."""

    worker: int


@dataclass(frozen=True, slots=True)
class Recycling:
    """A worker will be replaced, and why."""

    worker: int
    reason: str


@dataclass(frozen=True, slots=True)
class BackingOff:
    """A slot's workers die young: the next one is spawned only after `delay` seconds. Told once a burst."""

    slot: int
    delay: float
    failures: int
    failure: BootFailure | None


@dataclass(frozen=True, slots=True)
class Resized:
    """The pool wants another number of workers than before."""

    size: int
    before: int


@dataclass(frozen=True, slots=True)
class Complete:
    """Every slot has a ready worker: at first start, or after a loss was made good."""

    generation: int
    size: int


@dataclass(frozen=True, slots=True)
class Reloaded:
    """All workers of the new generation are ready; the old ones are drained."""

    generation: int


@dataclass(frozen=True, slots=True)
class RolledBack:
    """The new generation did not boot and is withdrawn; the old one keeps serving."""

    generation: int
    failure: BootFailure


@dataclass(frozen=True, slots=True)
class Halt:
    """The first workers did not boot: the server cannot run."""

    failure: BootFailure


@dataclass(frozen=True, slots=True)
class Finished:
    """No worker is left and none will be spawned."""


Action = (
    Spawn
    | LameDuck
    | Drain
    | Quit
    | Abort
    | Kill
    | Recycling
    | BackingOff
    | Resized
    | Complete
    | Reloaded
    | RolledBack
    | Halt
    | Finished
)
