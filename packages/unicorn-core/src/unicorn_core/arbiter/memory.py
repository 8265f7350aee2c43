"""How much memory another process holds."""

import os
import sys

PATIENCE = 2.0
"""Seconds that `ps` may take."""


def resident(pid: int) -> int:
    """The resident set in bytes; 0 if the process is gone."""
    if sys.platform != "linux":
        return _resident_by_ps(pid)
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _resident_by_ps(pid: int) -> int:
    import subprocess

    try:
        done = subprocess.run(
            ["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, timeout=PATIENCE, check=True, text=True
        )
        return int(done.stdout) * 1024
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0
