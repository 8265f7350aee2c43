"""What the system tells of a process and grants it (Linux)."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def descriptors(pid: int) -> list[int]:
    """The open descriptors of a process."""
    return sorted(int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir())


def resident(pid: int) -> int:
    """Bytes of memory that a process has for itself, without what it has shared with its parent since the fork."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


def limit(pid: int, kind: int, soft: int) -> None:
    """Change a soft limit of a running process (resource.RLIMIT_...)."""
    resource.prlimit(pid, kind, (soft, resource.prlimit(pid, kind)[1]))


def leave_room(pid: int, room: int) -> None:
    """Let a process open only so many further descriptors."""
    used, number = set(descriptors(pid)), 0
    while room:
        room -= number not in used
        number += 1
    limit(pid, resource.RLIMIT_NOFILE, number)


@contextmanager
def at_least(kind: int, wanted: int) -> Iterator[bool]:
    """Raise a soft limit of this process, which those that it starts inherit; gives whether that was possible."""
    soft, hard = resource.getrlimit(kind)
    enough = hard == resource.RLIM_INFINITY or hard >= wanted
    if enough and soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(kind, (wanted, hard))
    try:
        yield enough
    finally:
        resource.setrlimit(kind, (soft, hard))
