"""Adopting orphans: with it, what a dead child process leaves behind stays below this process."""

import sys

_PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> bool:
    """Make this process the parent of its descendants whose own parents die; it then has to reap them.

    False if the system has no such thing (only Linux does) or refuses.
    """
    if sys.platform != "linux":
        return False
    try:
        # Takes milliseconds, and only few starts need it.
        import ctypes

        prctl = ctypes.CDLL(None).prctl
    except (ImportError, OSError, AttributeError):
        return False
    prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)
    prctl.restype = ctypes.c_int
    return bool(prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
