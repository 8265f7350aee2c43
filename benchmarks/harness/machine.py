"""The header of a run: when, where, what, and the command line, so that a pasted table explains itself."""

from __future__ import annotations

import datetime
import os
import platform
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import wrk
from .servers import BENCHMARKS, Installed


def header(mode: str, installed: Installed, argv: Sequence[str], pinned: str) -> str:
    now = datetime.datetime.now(datetime.UTC)
    hardware = f"{os.cpu_count()} x {cpu_model(read('/proc/cpuinfo'))}, {memory_size(read('/proc/meminfo'))}"
    facts = [
        f"{now:%Y-%m-%d %H:%M} UTC, {platform.system()} {platform.release()} {platform.machine()}",
        f"{hardware}; {pinned}",
        wrk.version() or "without wrk",
    ]
    facts += [packages(name, versions) for name, versions in installed.versions.items()]
    facts += installed.missing.values()
    if revision := source_revision():
        facts.append(f"benchmarks of revision {revision}")
    lines = "\n".join(f"- {fact}" for fact in facts)
    return f"## Benchmark: {mode}\n\n{lines}\n\n    {shlex.join(argv)}"


def packages(folder: str, versions: Mapping[str, str]) -> str:
    """`peers: CPython 3.13.0; gunicorn 27.0.1, granian 2.8.7`."""
    listed = ", ".join(f"{name} {version}" for name, version in versions.items() if name != "python")
    return f"{folder}: {versions['python']}" + (f"; {listed}" if listed else "")


def cpu_model(cpuinfo: str) -> str:
    found = re.search(r"^(?:model name|Model|Hardware)\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return " ".join(found[1].split()) if found else "unknown CPU"


def memory_size(meminfo: str) -> str:
    found = re.search(r"^MemTotal:\s+(\d+) kB", meminfo, re.MULTILINE)
    return f"{int(found[1]) / 1024**2:.0f} GiB" if found else "unknown memory"


def read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def source_revision() -> str:
    """The commit of this checkout, `-dirty` behind it where files differ; empty where git cannot say."""
    command = ["git", "-C", str(BENCHMARKS), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
