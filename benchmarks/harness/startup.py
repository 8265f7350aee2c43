"""The mode `startup`: from spawning a server to its first right answer, and its memory, idle and after requests."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field

from .bars import Bar, Verdict
from .load import FAILURES
from .markdown import number, spread, table
from .options import Options
from .output import Output
from .process import Server, memory
from .servers import Installed, Spec
from .wire import connect, exchange
from .workloads import Workload, verify

REQUESTS = 1000
AT_ONCE = 8  # connections, so that every worker gets some of the requests
PAUSE = 0.001  # seconds between two looks whether the server answers
# What is measured of each start: how it is named and shown.
FIGURES = {
    "first_ms": "first answer ms",
    "idle_rss": "idle RSS MiB",
    "idle_pss": "idle PSS MiB",
    "used_rss": "used RSS MiB",
    "used_pss": "used PSS MiB",
}


@dataclass(frozen=True)
class Start:
    """One start; memory in MiB, of the whole process tree."""

    first_ms: float
    idle_rss: float
    idle_pss: float
    used_rss: float
    used_pss: float


@dataclass
class Starts:
    """What is known of one server's starts."""

    rounds: list[Start] = field(default_factory=list)
    failed: str = ""

    def all(self, figure: str) -> list[float]:
        return [getattr(start, figure) for start in self.rounds]

    def median(self, figure: str) -> float:
        """NaN where there is no figure that holds."""
        return statistics.median(self.all(figure)) if self.rounds and not self.failed else math.nan


def run(specs: Sequence[Spec], installed: Installed, options: Options, output: Output) -> bool:
    """Measure with every workload and number of workers, and print the tables; whether all bars were met."""
    verdicts: list[Verdict] = []
    for work in options.works:
        for workers in options.workers:
            found = measure(work, workers, specs, installed, options, output)
            output.emit(report(work, workers, found, options))
            judged = [verdict for bar in options.bars for verdict in judge(bar, work, workers, found)]
            if judged:
                output.emit("\n".join(f"- {verdict}" for verdict in judged))
            verdicts += judged
            raw = {name: asdict(starts) for name, starts in found.items()}
            output.record({"mode": "startup", "work": work.name, "workers": workers, "rows": raw})
    if options.bars:
        output.emit(f"Bars: {sum(verdict.met for verdict in verdicts)} of {len(verdicts)} met.")
    return all(verdict.met for verdict in verdicts) and bool(verdicts) == bool(options.bars)


def measure(
    work: Workload,
    workers: int,
    specs: Sequence[Spec],
    installed: Installed,
    options: Options,
    output: Output,
) -> dict[str, Starts]:
    """Start the servers in turn, round by round; what a failed one would have said later is not waited for."""
    specs = [spec for spec in specs if spec.can(work, workers) and spec.takes("startup", workers)]
    found = {spec.name: Starts() for spec in specs}
    for count in range(options.rounds + 1):
        for spec in specs:
            starts = found[spec.name]
            if starts.failed:
                continue
            output.progress(f"startup, {work.name}: round {count} of {options.rounds}, {spec.name}")
            try:
                start = start_once(spec, work, workers, installed, options)
            except FAILURES as error:
                starts.failed = str(error)
            else:
                if count:  # the start before the first round fills the page cache, and compiles what is imported
                    starts.rounds.append(start)
    return found


def start_once(spec: Spec, work: Workload, workers: int, installed: Installed, options: Options) -> Start:
    installed.require(spec, work)
    threads = work.threads or options.threads
    server = Server(spec, installed.folders[spec.bin], options, workers, threads, work)
    try:
        begin = time.monotonic()
        server.start(PAUSE)
        took = time.monotonic() - begin
        time.sleep(options.settle)
        idle_rss, idle_pss = memory(server.pid)
        ask(work, server.port)
        used_rss, used_pss = memory(server.pid)
    finally:
        server.stop()
    return Start(took * 1000, idle_rss, idle_pss, used_rss, used_pss)


def ask(work: Workload, port: int) -> None:
    """Send REQUESTS requests, each on a new connection, AT_ONCE at a time, and check the answers."""
    headers = {**work.headers, "Connection": "close"}

    def once(_: int) -> None:
        with connect(port, timeout=10) as sock:
            verify(work.expected, *exchange(sock, work.path, headers, work.body))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(once, range(REQUESTS)):
            pass  # raises what went wrong


def judge(bar: Bar, work: Workload, workers: int, found: Mapping[str, Starts]) -> Iterator[Verdict]:
    """The verdicts of a bar, one for each figure; none where it does not hold for the workload."""
    if not bar.holds_for(work.name) or not (bar.works or {bar.left, bar.right} <= found.keys()):
        return
    for figure, title in FIGURES.items():
        left, right = (found[name].median(figure) if name in found else math.nan for name in (bar.left, bar.right))
        yield Verdict(f"{work.name}, {workers} worker(s), {title}", bar, left / right)


def report(work: Workload, workers: int, found: Mapping[str, Starts], options: Options) -> str:
    """The heading and the table of one workload and number of workers: the fastest first, and what failed last."""
    title = (
        f"### startup, {work.name}: {workers} worker(s), {options.rounds} rounds; memory of the process tree, idle "
        f"{options.settle:g} s after the first answer, used after {REQUESTS} requests"
    )
    head = ["server", FIGURES["first_ms"], "min..max", *list(FIGURES.values())[1:], "errors"]
    names = sorted(found, key=lambda name: found[name].median("first_ms") if not found[name].failed else math.inf)
    return f"{title}\n\n{table(head, [line(name, found[name]) for name in names])}"


def line(name: str, starts: Starts) -> list[str]:
    first, *others = FIGURES
    return [
        name,
        number(starts.median(first)),
        spread(starts.all(first)),
        *(number(starts.median(figure), 1) for figure in others),
        starts.failed,
    ]
