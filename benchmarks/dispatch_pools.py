#!/usr/bin/env python3
"""Measure our queue dispatcher beside gunicorn's dirty pool, round by round (A B A B ...), and print a Markdown table.

dispatch_pools.py --unicorn BIN --gunicorn BIN [--rounds 3] [--seconds 3] [--work noop,nap,...]

BIN is the bin folder of an environment that has the server. Each pool has 4 task workers; the load runs in one process,
a thread a client, by the blocking client of each; `http` is wrk on an asgi worker whose requests wait for a task each.
Exit status: 0; 1 when a bar is not met.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from harness import wrk
from harness.markdown import table
from harness.workloads import Workload

HERE = Path(__file__).parent / "dispatch"
BOOT = 20.0
WORKERS = 4
LOADS = (
    *(("noop", clients) for clients in (1, 16, 100)),
    *(("nap", clients) for clients in (100, 200)),
    ("echo-1M", 1),
    ("echo-16M", 1),
    ("mixed", 8),
    ("http", 64),
)
HTTP = Workload("http", "a task a request", expected=b"None")
PORTS = count(12000 + os.getpid() % 10000)
RATES = ("unicorn /s", "gunicorn /s", "ratio")
TIMES = ("p50 ms", "gunicorn", "p99 ms", "gunicorn")
HEAD = ("load", "clients", *RATES, *TIMES, "failed", "bars")
CONFIGURATION = """
bind = "127.0.0.1:{port}"
worker_class = "asgi"
dirty_apps = ["tasks:Tasks"]
dirty_workers = {workers}
dirty_timeout = 60


def on_dirty_starting(arbiter):
    if hasattr(arbiter, "socket_path"):  # gunicorn's
        arbiter.log.info("Pool listening at: unix:%s", arbiter.socket_path)
"""


@dataclass
class Row:
    """Samples of one load: rates, medians and 99th percentiles in seconds, and failures."""

    rates: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    failed: int = 0

    def add(self, sample: dict[str, float]) -> None:
        self.rates.append(sample["rate"])
        self.p50.append(sample["p50"] or float("nan"))
        self.p99.append(sample["p99"] or float("nan"))
        self.failed += int(sample["failed"])

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)


@contextlib.contextmanager
def pool(name: str, folder: Path, scratch: Path) -> Iterator[tuple[str, int]]:
    """A running server; gives the socket of its pool and the port of its web worker."""
    config = scratch / f"{name}.conf.py"
    config.write_text(CONFIGURATION.format(port=(port := next(PORTS)), workers=WORKERS))
    log = scratch / f"{name}.log"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("GUNICORN_", "UNICORN_"))}
    with log.open("w") as output:
        process = subprocess.Popen(
            [folder / "python", "-m", "unicorn_cli" if name == "unicorn" else "gunicorn", "-c", config, "hello:app"],
            cwd=HERE,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        until = time.monotonic() + BOOT
        while not (found := re.search(r"(?:Pool|Dispatcher) listening at: unix:(\S+)", log.read_text())):
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"{name} did not start:\n{log.read_text()}")
            time.sleep(0.05)
        time.sleep(2)
        yield found[1], port
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def load(name: str, folder: Path, where: tuple[str, int], work: str, clients: int, seconds: float) -> dict[str, float]:
    """One sample."""
    path, port = where
    if work == "http":
        return load_http(port, clients, seconds)
    words = [folder / "python", HERE / "load.py", name, path, work, str(clients), str(seconds)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=seconds + 90, cwd=HERE)
    if done.returncode:
        raise SystemExit(f"{name}, {work}: {done.stderr}")
    sample: dict[str, float] = json.loads(done.stdout)
    return sample


def load_http(port: int, clients: int, seconds: float) -> dict[str, float]:
    """The same over HTTP."""
    work = replace(HTTP, connections=clients)
    work.check(port)
    with tempfile.TemporaryDirectory() as scratch:
        sample = wrk.run(work, port, int(seconds), f"0-{(os.cpu_count() or 1) - 1}", Path(scratch))
    return {"rate": sample.rate, "p50": sample.p50 / 1000, "p99": sample.p99 / 1000, "failed": bool(sample.errors)}


def bars(work: str, ours: Row, peer: Row) -> list[str]:
    """What is asked of us, each met or not."""
    ratio, p50 = ours.rate / peer.rate, statistics.median(ours.p50) / statistics.median(peer.p50)
    asked = {
        "noop": [("rate >= 2.5", ratio >= 2.5), ("p50 <= 0.45", p50 <= 0.45)],
        "nap": [("388/s", ours.rate >= 388)],
        "echo-1M": [("rate >= 5", ratio >= 5)],
        "echo-16M": [("rate >= 5", ratio >= 5)],
        "http": [],
        "mixed": [("p99 < 50 ms", statistics.median(ours.p99) < 0.05)],
    }[work]
    return [f"{text}: {'met' if met else 'NOT MET'}" for text, met in [*asked, ("none failed", not ours.failed)]]


def line(work: str, clients: int, ours: Row, peer: Row) -> list[str]:
    def milliseconds(values: list[float]) -> str:
        return f"{statistics.median(values) * 1000:.2f}"

    figures = [f"{ours.rate:.0f}", f"{peer.rate:.0f}", f"{ours.rate / peer.rate:.2f}"]
    figures += [milliseconds(ours.p50), milliseconds(peer.p50), milliseconds(ours.p99), milliseconds(peer.p99)]
    return [work, str(clients), *figures, f"{ours.failed}, {peer.failed}", "; ".join(bars(work, ours, peer))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unicorn", type=Path, default=Path(sys.executable).parent)
    parser.add_argument("--gunicorn", type=Path, default=Path(sys.executable).parent)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--work", default=",".join(dict.fromkeys(work for work, _ in LOADS)))
    given = parser.parse_args()
    folders = {"unicorn": given.unicorn, "gunicorn": given.gunicorn}
    wanted = [(work, clients) for work, clients in LOADS if work in given.work.split(",")]
    rows = {(name, *each): Row() for name in folders for each in wanted}
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        paths = {name: stack.enter_context(pool(name, folder, Path(scratch))) for name, folder in folders.items()}
        for _ in range(given.rounds):
            for work, clients in wanted:
                for name, folder in folders.items():
                    rows[name, work, clients].add(load(name, folder, paths[name], work, clients, given.seconds))
    lines = [line(*each, rows["unicorn", *each], rows["gunicorn", *each]) for each in wanted]
    print(table(HEAD, lines))
    return int(any("NOT MET" in text for *_, text in lines))


if __name__ == "__main__":
    sys.exit(main())
