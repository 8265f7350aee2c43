"""What a run was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .bars import Bar
from .workloads import Workload


@dataclass(frozen=True)
class Options:
    works: tuple[Workload, ...]
    references: tuple[str, ...]
    bars: tuple[Bar, ...]
    rounds: int
    seconds: int
    warm: int
    settle: float
    workers: tuple[int, ...]
    threads: int
    connections: int | None
    server_cpu: str
    client_cpu: str
    client_python: Path  # has uvloop, for the WebSocket load
    prefer: bool
    scratch: Path  # logs and temporary files of this run
