"""The arbiters of a server that is upgraded: a new one beside the old, in the same group of processes."""

import os
import re
import signal
from pathlib import Path

from unicorn_core.testing.server import ServerProcess, wait_until


def alive(pid: int) -> bool:
    """The process exists, and does not merely wait to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def parent(pid: int) -> int:
    """0 if the process is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def children(pid: int) -> list[int]:
    """The children of a process that are alive: the same at two looks, since a single one takes some time."""
    found = _children(pid)
    while (again := _children(pid)) != found:
        found = again
    return found


def _children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, its_parent = entry.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(its_parent) == pid and state != "Z":
            found.append(int(entry.parent.name))
    return found


def masters(server: ServerProcess) -> list[int]:
    """The arbiters that are alive, oldest first: each says once where it listens."""
    pids = [int(pid) for pid in re.findall(r"Listening at: .*\((\d+)\)", server.output)]
    return [pid for pid in pids if alive(pid)]


def workers_of(server: ServerProcess, master: int) -> list[int]:
    """The workers of one arbiter, oldest first."""
    return [pid for pid in server.worker_pids() if alive(pid) and parent(pid) == master]


def new_master(server: ServerProcess, *, workers: int, timeout: float = 15.0) -> int:
    """Upgrade the youngest arbiter: SIGUSR2, and wait until the new one has its workers ready; gives its pid."""
    known = masters(server)
    complete = len(re.findall(r"Ready: generation \d+ serves", server.output))
    os.kill(known[-1], signal.SIGUSR2)
    wait_until(lambda: set(masters(server)) - set(known), timeout, f"a new arbiter:\n{server.output}")
    (new,) = set(masters(server)) - set(known)
    server.wait_for(r"Ready: generation \d+ serves", timeout, count=complete + 1)
    # Their own lines in the log may come later than the arbiter's.
    wait_until(lambda: len(workers_of(server, new)) == workers, timeout, f"{workers} workers of the new arbiter")
    return new


def named_by(pidfile: Path) -> int:
    """The pid in a pid file; 0 if there is no such file at the moment."""
    try:
        return int(pidfile.read_text())
    except FileNotFoundError:
        return 0


def ends(pid: int, timeout: float = 15.0) -> None:
    """Wait for the end of a process."""
    wait_until(lambda: not alive(pid), timeout, f"the end of process {pid}")


def end_all(server: ServerProcess) -> None:
    """End every arbiter of a server, quickly; for the end of a test."""
    for pid in masters(server):
        os.kill(pid, signal.SIGINT)
    for pid in masters(server):
        ends(pid)
