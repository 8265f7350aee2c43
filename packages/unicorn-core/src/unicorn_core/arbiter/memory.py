"""How much memory another process holds."""

import os
import sys
from typing import NamedTuple

PATIENCE = 2.0
"""Seconds that `ps` may take."""


class Memory(NamedTuple):
    """Resident memory in bytes: pages that other processes have too, and pages that are this one's alone."""

    shared: int
    private: int


def resident(pid: int) -> int:
    """The resident set in bytes; 0 if the process is gone."""
    if sys.platform != "linux":
        return _resident_by_ps(pid)
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def shared_and_private(pid: int) -> Memory | None:
    """What of it forked workers share; None if the process is gone, another user's, or the system does not tell.

    The kernel walks all page tables for this (milliseconds for a large process): for reports, not for every second.
    """
    shared = private = 0
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            # The first line is the range of addresses; then "Shared_Clean:   1234 kB".
            for line in file.readlines()[1:]:
                name, value, *_ = line.split()
                if name.startswith(b"Shared_"):
                    shared += int(value) * 1024
                elif name.startswith(b"Private_"):
                    private += int(value) * 1024
    except OSError:
        return None
    return Memory(shared, private)


def _resident_by_ps(pid: int) -> int:
    import subprocess

    try:
        done = subprocess.run(
            ["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, timeout=PATIENCE, check=True, text=True
        )
        return int(done.stdout) * 1024
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0
