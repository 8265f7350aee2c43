"""Server processes: starting, stopping, and what they cost in memory and CPU time. Linux only."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import time
from pathlib import Path

from .options import Options
from .servers import BENCHMARKS, Bin, Spec
from .wire import WrongAnswer, connect, exchange
from .workloads import HELLO, Workload

TICK = os.sysconf("SC_CLK_TCK")
PORTS = itertools.count(11000 + os.getpid() * 61 % 18000)  # below the range that clients draw their ports from
BOOT = 20.0  # seconds that a server may take to answer
PATIENCE = 4.0  # seconds that it may take to stop, before and after SIGKILL
# What would change a server's settings behind the command's back.
FOREIGN = ("GUNICORN_", "UNICORN_", "GRANIAN_", "UVICORN_", "WEFT_", "PEREGRINE_", "UWSGI_")
FOREIGN_NAMES = {"PORT", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS"}


class ServerFailed(Exception):
    """The server did not start, or did not stay."""


class Server:
    """One row of the table, running."""

    def __init__(
        self, spec: Spec, folder: Bin, options: Options, workers: int, threads: int, alone: Workload | None = None
    ) -> None:
        """`alone`: the server gets only what this workload needs, a framework's application imported at its start."""
        self.spec = spec
        self.alone = alone
        self.port = next(PORTS)
        self.prefer = options.prefer
        self.log = options.scratch / f"{spec.name}-{self.port}.log"
        attribute = alone.package if alone else ""
        argv = spec.argv(folder, port=self.port, workers=workers, threads=threads, attribute=attribute)
        self.argv = ["taskset", "-c", options.server_cpu, *argv]
        self.environment = environment(options.scratch)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The pid of the first process; ServerFailed when that has ended."""
        if self.process is None or self.process.poll() is not None:
            raise ServerFailed(f"the server ended: {self.last_words()}")
        return self.process.pid

    def start(self, pause: float = 0.02) -> None:
        """Spawn, and wait until it gives the right answer; ServerFailed with the server's own words."""
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.argv,
                cwd=BENCHMARKS,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if self.prefer:
            prefer(self.process.pid)
        until = time.monotonic() + BOOT
        while time.monotonic() < until and self.process.poll() is None:
            if self.answers():
                return
            time.sleep(pause)
        self.stop()
        raise ServerFailed(f"did not start: {self.last_words()}")

    def answers(self) -> bool:
        """Whether GET / is answered rightly, or what the workload asks for that the server runs alone."""
        try:
            if self.alone:
                self.alone.check(self.port)
                return True
            with connect(self.port, timeout=2) as sock:
                return exchange(sock) == (200, HELLO)
        except (OSError, ValueError, WrongAnswer):
            return False

    def last_words(self) -> str:
        try:
            text = self.log.read_text(errors="replace").strip()
        except OSError:
            text = ""
        return text[-240:] or "(it wrote nothing)"

    def stop(self) -> None:
        """End the whole process group; what outlives the first process is killed with it."""
        if self.process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                break
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                continue
        self.process.poll()


def environment(scratch: Path) -> dict[str, str]:
    """The environment of every server: applications importable, no settings, temporary files in scratch.

    Compiled modules are kept there too. Otherwise a server that runs from a checkout, whose modules nobody has
    compiled, would compile them at each start, and be compared with one that pip has compiled.
    """
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(FOREIGN) and name not in FOREIGN_NAMES
    }
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    folders = {"TMPDIR": str(scratch), "PYTHONPYCACHEPREFIX": str(scratch / "compiled")}
    return kept | {"PYTHONPATH": str(BENCHMARKS)} | folders


def prefer(pid: int) -> None:
    """Put the session of pid ahead of other work: with autogrouping, nice counts only within a session."""
    os.setpriority(os.PRIO_PROCESS, pid, -15)
    group = Path(f"/proc/{pid}/autogroup")
    if group.exists():
        group.write_text("-20")


def tree(pid: int) -> list[int]:
    """The process and all of its descendants."""
    pids = [pid]
    for parent in pids:
        for thread in Path(f"/proc/{parent}/task").glob("*"):
            try:
                pids += map(int, (thread / "children").read_text().split())
            except OSError:
                continue
    return pids


def memory(pid: int) -> tuple[float, float]:
    """(RSS, PSS) of the process tree in MiB."""
    totals = {"Rss": 0, "Pss": 0}
    for each in tree(pid):
        try:
            text = Path(f"/proc/{each}/smaps_rollup").read_text()
        except OSError:  # ended meanwhile
            continue
        for line in text.splitlines():
            name, _, rest = line.partition(":")
            if name in totals:
                totals[name] += int(rest.split()[0])
    return totals["Rss"] / 1024, totals["Pss"] / 1024


def cpu_seconds(pid: int) -> float:
    """CPU time that the process tree has spent, with that of descendants which have ended."""
    total = 0
    for each in tree(pid):
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime
    return total / TICK
