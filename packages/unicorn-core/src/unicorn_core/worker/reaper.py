"""Collecting processes that have ended."""

import os
from collections.abc import Iterable, Iterator

# Bound before a settings file may patch the module for its application, as gunicorn's do for gevent.
_waitpid = os.waitpid


def ended(known: Iterable[int], everybody: bool) -> Iterator[tuple[int, int]]:
    """Pid and wait status of each child that has ended, without waiting.

    Args:
        known: the pids that are ours.
        everybody: collect orphans as well that this process has been given (as process 1 of a container, or as a
            subreaper); else nobody takes from other code of this process the end of what it started.
    """
    if everybody:
        yield from _all()
        return
    for pid in list(known):
        try:
            found, status = _waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            continue  # somebody else has collected it, or it is not our child yet
        if found:
            yield found, status


def _all() -> Iterator[tuple[int, int]]:
    while True:
        try:
            pid, status = _waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status
