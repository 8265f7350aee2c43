"""Telling linear from quadratic on a machine that is busy with other things."""

import time
from collections.abc import Callable

STEEPEST = 3.2
"""Twice the work may take so many times as long; quadratic work takes four times as long."""
LONG = 0.3
"""Seconds of work that no disturbance explains."""


def grows_linearly(work: Callable[[int], object], size: int) -> bool:
    """Whether twice the size takes about twice as long, by the best of several measures and in one of several tries."""
    for _ in range(4):
        once = min(_seconds(work, size) for _ in range(2))
        twice = min(_seconds(work, 2 * size) for _ in range(2))
        if twice < STEEPEST * max(once, 0.001):
            return True
        if once > LONG:
            break
    return False


def _seconds(work: Callable[[int], object], size: int) -> float:
    began = time.process_time()
    work(size)
    return time.process_time() - began
