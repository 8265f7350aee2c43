"""What the supervision tells its driver to do, and what a boot failure consists of.

All times are seconds of one monotonic clock; workers are named by the number that the pool gave them.
"""

from msgspec import Struct

from unicorn_core.errors import ExitCode


class BootFailure(Struct, frozen=True):
    """Why a worker never became ready. `details` is the traceback of the user's code, if there is one."""

    message: str
    details: str = ""
    exit_code: int = ExitCode.NOT_BOOTED


class Spawn(Struct, frozen=True):
    """Start a worker; the `canary` of a reload must answer a probe before it is ready."""

    worker: int
    slot: int
    generation: int
    canary: bool = False


class LameDuck(Struct, frozen=True):
    """Tell a worker that the server will stop soon: it goes on accepting, but ends its connections."""

    worker: int


class Drain(Struct, frozen=True):
    """Ask a worker to finish what it has and leave; one that still boots leaves at once."""

    worker: int


class Quit(Struct, frozen=True):
    """Make a worker leave at once."""

    worker: int


class Abort(Struct, frozen=True):
    """A worker has been silent for so many seconds: let it say where it is stuck, and end it."""

    worker: int
    silent_for: float


class Kill(Struct, frozen=True):
    """End a worker that did not leave in time."""

    worker: int


class Recycling(Struct, frozen=True):
    """A worker will be replaced, and why."""

    worker: int
    reason: str


class BackingOff(Struct, frozen=True):
    """A slot's workers die young: the next one is spawned only after `delay` seconds. Told once a burst."""

    slot: int
    delay: float
    failures: int
    failure: BootFailure | None


class Resized(Struct, frozen=True):
    """The pool wants another number of workers than before; `before` is None the first time."""

    size: int
    before: int | None


class Complete(Struct, frozen=True):
    """Every slot has a ready worker: at first start, or after a loss was made good."""

    generation: int
    size: int


class Reloaded(Struct, frozen=True):
    """All workers of the new generation are ready; the old ones are drained."""

    generation: int


class RolledBack(Struct, frozen=True):
    """The new generation did not boot and is withdrawn; the old one keeps serving."""

    generation: int
    failure: BootFailure


class Halt(Struct, frozen=True):
    """The first workers did not boot: the server cannot run."""

    failure: BootFailure


class Finished(Struct, frozen=True):
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
