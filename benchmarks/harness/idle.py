"""The mode `idle`: what an idle keep-alive connection costs a server in memory, and whether it is kept."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from .load import FAILURES, load_once
from .markdown import number, table
from .options import Options
from .output import Output
from .process import Server, memory
from .servers import Installed, Spec
from .wire import connect, exchange, still_open
from .workloads import WORKLOADS

HEAD = ("server", "PSS before MiB", "after MiB", "KiB a connection", "still open", "errors")
CONNECTIONS = 1000
OPENING = 30.0  # seconds in which all connections must have had their answer


@dataclass
class Idle:
    """What is known of one server with idle connections; memory is PSS in MiB."""

    before: float = float("nan")
    after: float = float("nan")
    alive: int = 0
    failed: str = ""

    @property
    def each_kib(self) -> float:
        return (self.after - self.before) * 1024 / self.alive if self.alive else float("nan")


def run(specs: Sequence[Spec], installed: Installed, options: Options, output: Output) -> bool:
    count = options.connections or CONNECTIONS
    found = {}
    for spec in specs:
        if spec.takes("idle", 1):
            output.progress(f"idle: {spec.name}")
            found[spec.name] = hold(spec, count, installed, options)
    title = f"### idle: {count} keep-alive connections, one request each, then silent for {options.settle:g} s"
    lines = [line(name, result) for name, result in found.items()]
    output.emit(f"{title}\n\n{table(HEAD, lines)}")
    raw = {name: asdict(result) for name, result in found.items()}
    output.record({"mode": "idle", "connections": count, "rows": raw})
    return True


def hold(spec: Spec, count: int, installed: Installed, options: Options) -> Idle:
    """Warm one server up, open the connections, and look at its memory before and after."""
    idle = Idle()
    held: list[socket.socket] = []
    with contextlib.ExitStack() as stack:
        try:
            installed.require(spec)
            server = Server(spec, installed.folders[spec.bin], options, 1, options.threads)
            stack.callback(server.stop)
            server.start()
            load_once(server, WORKLOADS["hello"], options.warm, options)
            time.sleep(1)
            idle.before = memory(server.pid)[1]
            open_connections(server.port, count, held, stack)
            time.sleep(options.settle)
            idle.after = memory(server.pid)[1]
            idle.alive = sum(map(still_open, held))
        except FAILURES as error:
            idle.failed = f"at connection {len(held)}: {error}" if held else str(error)
    return idle


def open_connections(port: int, count: int, held: list[socket.socket], stack: contextlib.ExitStack) -> None:
    """Open connections one after the other, each with one answered request; the stack closes them."""
    until = time.monotonic() + OPENING
    for _ in range(count):
        if time.monotonic() > until:
            raise TimeoutError(f"too slow: not {count} connections in {OPENING:g} s")
        held.append(stack.enter_context(connect(port, timeout=5)))
        exchange(held[-1])


def line(name: str, idle: Idle) -> list[str]:
    figures = [number(idle.before, 1), number(idle.after, 1), number(idle.each_kib, 1)]
    return [name, *figures, str(idle.alive), idle.failed]
