#!/usr/bin/env python3
"""Measure application servers side by side, round by round (A B C A B C ...), and print Markdown tables.

bench.py load     requests a second, latency, CPU time a request and memory under load
bench.py startup  from spawning a server to its first right answer, and its memory, idle and after requests
bench.py idle     memory of idle keep-alive connections

An argument @FILE stands for the arguments in that file, where # begins a comment.
A bar holds for every workload in which both servers take part, or for those that stand before it: at least so many
times the rate (load), at most so many times the time to the first answer and the memory (startup).
Exit status: 0; 1 when a --bar is not met; 2 when the run could not begin.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from harness import bars, idle, load, machine, startup, wrk
from harness.options import Options
from harness.output import Output
from harness.process import prefer
from harness.servers import BENCHMARKS, Installed, NotInstalled, Spec, TableError, bins, read_table, select
from harness.workloads import WORKLOADS, Workload


class Unusable(Exception):
    """What keeps a run from beginning, in one line."""


MODES = {"load": load.run, "startup": startup.run, "idle": idle.run}
KINDS = ("wsgi", "asgi")


def expand(arguments: Iterable[str]) -> list[str]:
    """The arguments, with those of a file in the place of @FILE."""
    found = []
    for argument in arguments:
        if argument.startswith("@"):
            try:
                found += shlex.split(Path(argument[1:]).read_text(), comments=True)
            except OSError as error:
                raise Unusable(f"{argument}: {error.strerror}") from None
        else:
            found.append(argument)
    return found


def words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def numbers(text: str) -> list[int]:
    return [positive(word) for word in words(text)]


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def parser() -> argparse.ArgumentParser:
    new = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add = new.add_argument
    add("mode", choices=MODES)
    what = new.add_argument_group("what is measured")
    what.add_argument("--servers", type=words, default=[], metavar="ROW[@BIN],...", help="rows of servers.toml")
    what.add_argument(
        "--kind",
        type=words,
        default=list(KINDS),
        help="without --servers: all rows of these kinds (wsgi,asgi)",
    )
    what.add_argument("--work", type=words, default=["hello"], help=f"any of {','.join(WORKLOADS)}")
    what.add_argument("--bin", action="append", default=[], metavar="NAME=FOLDER", help="where rows run from")
    what.add_argument("--table", type=Path, default=BENCHMARKS / "servers.toml")
    how = new.add_argument_group("how")
    how.add_argument("--rounds", type=positive, default=3)
    how.add_argument("--seconds", type=positive, default=2, help="of a round")
    how.add_argument("--warm", type=positive, default=1, help="seconds of load before the first round")
    how.add_argument("--settle", type=float, default=1.0, help="seconds before idle memory is read")
    how.add_argument("--workers", type=numbers, default=[1], help="startup takes several counts")
    how.add_argument("--threads", type=positive, default=4, help="where the workload names no number")
    how.add_argument("--connections", type=positive, help="default: the workload's; 1000 for idle")
    how.add_argument("--server-cpu", default="0", help="CPUs of the servers, as taskset takes them")
    how.add_argument("--client-cpu", default="1", help="CPU of the load generator")
    how.add_argument("--client-python", type=Path, help="has uvloop, for the WebSocket load (default: the peers')")
    how.add_argument("--prefer", action="store_true", help="as root: run ahead of other work on the machine")
    told = new.add_argument_group("how it is told")
    told.add_argument("--reference", action="append", type=words, default=[], metavar="ROW,...")
    told.add_argument("--bar", action="append", default=[], metavar="[WORK,...:]ROW>=FACTOR*ROW", help="startup: <=")
    told.add_argument("--out", type=Path, help="append the Markdown here")
    told.add_argument("--json", type=Path, help="append the raw figures here")
    told.add_argument("--logs", type=Path, help="keep what the servers wrote in this folder")
    return new


def chosen_works(names: Sequence[str], connections: int | None) -> tuple[Workload, ...]:
    if unknown := [name for name in names if name not in WORKLOADS]:
        raise Unusable(f"no workload {', '.join(unknown)}; there are: {', '.join(WORKLOADS)}")
    works = (WORKLOADS[name] for name in names)
    return tuple(replace(work, connections=connections or work.connections) for work in works)


def check_machine(given: argparse.Namespace, works: Sequence[Workload]) -> None:
    """Unusable where the machine lacks what a run needs."""
    if platform.system() != "Linux":
        raise Unusable("the benchmark reads /proc and pins processes to CPUs, so it runs on Linux only")
    if shutil.which("taskset") is None:
        raise Unusable("taskset is not installed: apt-get install util-linux")
    needs_wrk = given.mode == "idle" or (given.mode == "load" and any(work.name != "websocket" for work in works))
    if needs_wrk and shutil.which("wrk") is None:
        raise Unusable(wrk.MISSING)
    if len(given.workers) != 1 and given.mode != "startup":
        raise Unusable(f"{given.mode} takes one number of --workers")
    if given.bar and given.mode == "idle":
        raise Unusable("--bar goes with load and startup")


def check_names(mode: str, specs: Sequence[Spec], options: Options) -> None:
    """Unusable where a reference or a bar names what the run does not have, or a bar asks for what is worse."""
    names = [spec.name for spec in specs]
    if unknown := [name for name in options.references if name not in names]:
        raise Unusable(f"--reference {', '.join(unknown)}: not in this run")
    for bar in options.bars:
        bar.check(names, [work.name for work in options.works])
        if bar.least == (mode == "startup"):
            raise Unusable(f"the bar {str(bar)!r} has the wrong sign: {mode} has {'<=' if bar.least else '>='}")


def pin(client_cpu: str, ahead: bool) -> None:
    """Put this process and the load that it starts on the client's CPU; with `ahead` before other work."""
    try:
        os.sched_setaffinity(0, {int(client_cpu)})
    except (OSError, ValueError):
        raise Unusable(f"--client-cpu {client_cpu}: expected the number of one CPU of this machine") from None
    if ahead:
        try:
            os.setsid()  # a scheduling group of its own for the load generator
            prefer(os.getpid())
        except OSError as error:
            raise Unusable(f"--prefer: {error.strerror}; it needs root, and a shell that does not lead it") from None


def interrupted(number: int, frame: object) -> None:
    """SIGTERM ends the run as Ctrl-C does, so that the servers are stopped."""
    raise SystemExit(128 + number)


def run(given: argparse.Namespace, command: Sequence[str], scratch: Path) -> bool:
    """One run; whether all bars were met."""
    works = chosen_works(given.work, given.connections)
    check_machine(given, works)
    table = read_table(given.table)
    specs = select(table, given.servers, given.kind)
    folders = bins(given.bin, specs, dict.fromkeys(row.bin for row in table.values()))
    options = Options(
        works=works,
        references=tuple(name for names in given.reference for name in names),
        bars=tuple(bars.parse(text) for text in given.bar),
        rounds=given.rounds,
        seconds=given.seconds,
        warm=given.warm,
        settle=given.settle,
        workers=tuple(given.workers),
        threads=given.threads,
        connections=given.connections,
        server_cpu=given.server_cpu,
        client_cpu=given.client_cpu,
        client_python=given.client_python or folders["peers"].python,
        prefer=given.prefer,
        scratch=scratch,
    )
    check_names(given.mode, specs, options)
    installed = Installed(folders, specs, works)
    pin(options.client_cpu, options.prefer)
    output = Output(given.out, given.json)
    pinned = f"servers on CPU {options.server_cpu}, load on CPU {options.client_cpu}"
    output.emit(machine.header(given.mode, installed, command, pinned))
    return MODES[given.mode](specs, installed, options, output)


def measure(arguments: Iterable[str]) -> int:
    """Parse and run; the exit status."""
    arguments = expand(arguments)
    given = parser().parse_args(arguments)
    command = [sys.orig_argv[0], sys.argv[0], *arguments]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        scratch = given.logs.absolute() if given.logs else Path(folder)
        scratch.mkdir(parents=True, exist_ok=True)
        scratch.chmod(0o755)  # servers that give root up must get in
        return 0 if run(given, command, scratch) else 1


def main() -> int:
    signal.signal(signal.SIGTERM, interrupted)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65536)), hard))  # the servers inherit it
    try:
        return measure(sys.argv[1:])
    except (Unusable, TableError, bars.BarError, NotInstalled) as error:
        print(f"bench.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
