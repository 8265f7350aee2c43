"""The mode `load`: requests a second, latency, CPU time a request and memory, all servers in turn."""

from __future__ import annotations

import contextlib
import json
import math
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace

from . import wrk
from .bars import Verdict, judge
from .markdown import number, percent, spread, table
from .options import Options
from .output import Output
from .process import Server, ServerFailed, cpu_seconds, memory
from .samples import CLIENT_LIMIT, Row, Sample, ratio
from .servers import BENCHMARKS, Installed, NotInstalled, Spec
from .wire import WrongAnswer
from .workloads import Workload

# A server that fails is a row of the table, not the end of the run.
FAILURES = (OSError, ValueError, ServerFailed, NotInstalled, WrongAnswer, wrk.LoadFailed)
FIGURES = ("req/s median", "min..max", "p50 ms", "p99 ms", "server CPU", "µs CPU/req", "client CPU")


def run(specs: Sequence[Spec], installed: Installed, options: Options, output: Output) -> bool:
    """Measure every workload and print its table; whether all bars were met."""
    verdicts: list[Verdict] = []
    for work in options.works:
        rows = measure(work, specs, installed, options, output)
        output.emit(report(work, rows, options))
        judged = [verdict for bar in options.bars if (verdict := judge(bar, work.name, rows))]
        if judged:
            output.emit("\n".join(f"- {verdict}" for verdict in judged))
        verdicts += judged
        raw = {name: asdict(row) for name, row in rows.items()}
        output.record({"mode": "load", "work": work.name, "workers": options.workers[0], "rows": raw})
    if options.bars:
        output.emit(f"Bars: {sum(verdict.met for verdict in verdicts)} of {len(verdicts)} met.")
    return all(verdict.met for verdict in verdicts) and bool(verdicts) == bool(options.bars)


def measure(
    work: Workload, specs: Sequence[Spec], installed: Installed, options: Options, output: Output
) -> dict[str, Row]:
    """One workload: start and check every server, load them round by round, check them again, stop them."""
    specs = [spec for spec in specs if spec.can(work, options.workers[0])]
    rows = {spec.name: Row(spec.name) for spec in specs}
    with contextlib.ExitStack() as stack:
        servers = []
        for spec in specs:
            output.progress(f"{work.name}: start {spec.name}")
            with noted(rows[spec.name]):
                installed.require(spec, work)
                server = Server(
                    spec,
                    installed.folders[spec.bin],
                    options,
                    options.workers[0],
                    work.threads or options.threads,
                )
                stack.callback(server.stop)
                server.start()
                work.check(server.port)
                load_once(server, work, options.warm, options)
                servers.append((server, rows[spec.name]))
        for count in range(options.rounds):
            for server, row in servers:
                output.progress(f"{work.name}: round {count + 1} of {options.rounds}, {row.name}")
                load_again(server, row, work, options)
        for server, row in servers:
            finish(server, row, work)
    return rows


@contextlib.contextmanager
def noted(row: Row, when: str = "") -> Iterator[None]:
    """What goes wrong in here is written into the row."""
    try:
        yield
    except FAILURES as error:
        kind = "" if isinstance(error, (ServerFailed, NotInstalled)) else f"{type(error).__name__}: "
        row.failed = f"{when}{kind}{error}"[:300]


def load_again(server: Server, row: Row, work: Workload, options: Options) -> None:
    """One round of a server that has not failed yet; one that fails now is stopped, to disturb no other."""
    if row.failed:
        return
    time.sleep(0.1)
    with noted(row, "under load: "):
        row.samples.append(load_once(server, work, options.seconds, options))
    if row.failed:
        server.stop()


def finish(server: Server, row: Row, work: Workload) -> None:
    """After the last round: memory, and whether the answers are still right."""
    if row.failed:
        return
    with noted(row, "after load: "):
        row.rss, row.pss = memory(server.pid)
        work.check(server.port)


def load_once(server: Server, work: Workload, seconds: int, options: Options) -> Sample:
    """Load one running server once; adds the CPU time, which other load disturbs least."""
    before, begin = cpu_seconds(server.pid), time.monotonic()
    if work.name == "websocket":
        sample = websocket(server, work, seconds, options)
    else:
        sample = wrk.run(work, server.port, seconds, options.client_cpu, options.scratch)
    spent, wall = cpu_seconds(server.pid) - before, time.monotonic() - begin
    each = spent / sample.requests * 1e6 if sample.requests else math.nan
    return replace(sample, server_cpu=spent / wall, each_us=each)


def websocket(server: Server, work: Workload, seconds: int, options: Options) -> Sample:
    argv = ["taskset", "-c", options.client_cpu, str(options.client_python), str(BENCHMARKS / "wsload.py")]
    argv += [str(server.port), str(work.connections), str(seconds)]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + wrk.GRACE)
    except subprocess.TimeoutExpired:
        raise wrk.LoadFailed("the WebSocket load did not come to an end") from None
    if done.returncode:
        raise wrk.LoadFailed(f"the WebSocket load failed: {done.stderr.strip()[-200:]}")
    return Sample(**json.loads(done.stdout))


def report(work: Workload, rows: Mapping[str, Row], options: Options) -> str:
    """The heading and the table of one workload: the fastest first, and what failed last."""
    threads = work.threads or options.threads
    title = (
        f"### {work.name}: {work.title} ({work.connections} connections, {options.workers[0]} worker(s), "
        f"{threads} threads where a server has them, {options.rounds} x {options.seconds} s)"
    )
    ratios = [f"x {name}" for name in options.references]
    head = ["server", *FIGURES, "RSS MiB", "PSS MiB", *ratios, "errors"]
    ordered = sorted(rows.values(), key=lambda row: -row.rate if row.measured else 0.0)
    lines = [line(row, rows, options.references) for row in ordered]
    text = f"{title}\n\n{table(head, lines)}"
    if any(row.client_limited for row in rows.values()):
        text += f"\n\n(!) the load generator used {CLIENT_LIMIT:.0%} of its core or more, so it may be the limit."
    return text


def line(row: Row, rows: Mapping[str, Row], references: Sequence[str]) -> list[str]:
    """One server's line."""
    ratios = [number(ratio(rows, row.name, reference), 2) for reference in references]
    if not row.samples:
        return [row.name, *["-"] * (len(FIGURES) + 2), *ratios, row.errors]
    limited = " (!)" if row.client_limited else ""
    return [
        row.name,
        number(row.rate),
        spread([sample.rate for sample in row.samples]),
        number(row.median("p50"), 2),
        number(row.median("p99"), 2),
        percent(row.median("server_cpu")),
        number(row.median("each_us"), 1),
        percent(row.median("client_cpu")) + limited,
        number(row.rss),
        number(row.pss),
        *ratios,
        row.errors,
    ]
