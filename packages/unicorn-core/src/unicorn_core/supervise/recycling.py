"""When a worker that works well is replaced all the same: after so much memory, or so long a life."""

from unicorn_core.supervise.limits import Limits

GOLDEN = 0.6180339887498949
WARM_AFTER = 10.0
"""Seconds that a worker has served before its memory counts."""


def spread(number: int) -> float:
    """A share from 0 up to 1 for each number, such that those of successive numbers lie far apart.

    Multiples of the golden ratio, without their whole part: chance would put some workers' ends side by side.
    """
    return number * GOLDEN % 1.0


def lives_until(worker: int, ready_at: float, limits: Limits) -> float | None:
    """When a worker has lived long enough (worker_max_lifetime and its jitter); None without a limit."""
    if not limits.lifetime:
        return None
    return ready_at + limits.lifetime + spread(worker) * limits.lifetime_jitter


def too_large(resident: int, ready_for: float, limits: Limits) -> str:
    """Why a worker of so many bytes must be replaced; empty if it need not be.

    Whatever an application needs once it is warm must be below the limit; a worker that is above it from the
    beginning would be replaced without end, so each serves for a while first.
    """
    if not limits.memory or resident <= limits.memory or ready_for < WARM_AFTER:
        return ""
    return f"it holds {resident >> 20} MiB of memory (worker_max_memory: {limits.memory >> 20} MiB)"
