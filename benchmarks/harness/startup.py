"""The mode `startup`: from spawning a server to its first right answer, and its memory when idle."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from .load import FAILURES
from .markdown import number, spread, table
from .options import Options
from .output import Output
from .process import Server, memory
from .servers import Installed, Spec

HEAD = ("server", "first answer ms, median", "min..max", "idle RSS MiB", "idle PSS MiB", "errors")


@dataclass
class Start:
    """What is known of one server's starts."""

    took_ms: list[float] = field(default_factory=list)
    rss: list[float] = field(default_factory=list)
    pss: list[float] = field(default_factory=list)
    failed: str = ""


def run(specs: Sequence[Spec], installed: Installed, options: Options, output: Output) -> bool:
    for workers in options.workers:
        starts = {spec.name: Start() for spec in specs if spec.takes("startup", workers)}
        for count in range(options.rounds):
            for spec in specs:
                if spec.name in starts and not starts[spec.name].failed:
                    output.progress(f"startup: round {count + 1} of {options.rounds}, {spec.name}")
                    start_once(spec, starts[spec.name], workers, installed, options)
        output.emit(report(starts, workers, options))
        raw = {name: asdict(start) for name, start in starts.items()}
        output.record({"mode": "startup", "workers": workers, "rows": raw})
    return True


def start_once(spec: Spec, start: Start, workers: int, installed: Installed, options: Options) -> None:
    try:
        installed.require(spec)
        server = Server(spec, installed.folders[spec.bin], options, workers, options.threads)
    except FAILURES as error:
        start.failed = str(error)
        return
    try:
        begin = time.monotonic()
        server.start(pause=0.002)
        took = time.monotonic() - begin
        time.sleep(options.settle)
        rss, pss = memory(server.pid)
    except FAILURES as error:
        start.failed = str(error)
    else:
        start.took_ms.append(took * 1000)
        start.rss.append(rss)
        start.pss.append(pss)
    finally:
        server.stop()


def report(starts: Mapping[str, Start], workers: int, options: Options) -> str:
    title = f"### startup: {workers} worker(s), {options.rounds} rounds, idle memory {options.settle:g} s later"
    names = sorted(starts, key=lambda name: statistics.median(starts[name].took_ms or [float("inf")]))
    return f"{title}\n\n{table(HEAD, [line(name, starts[name]) for name in names])}"


def line(name: str, start: Start) -> list[str]:
    if not start.took_ms:
        return [name, *["-"] * 4, start.failed]
    return [
        name,
        number(statistics.median(start.took_ms)),
        spread(start.took_ms),
        number(statistics.median(start.rss), 1),
        number(statistics.median(start.pss), 1),
        start.failed,
    ]
