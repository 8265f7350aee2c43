"""The load generator wrk: its command, and what its output says."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from .samples import Sample
from .workloads import Workload

MISSING = "the load generator wrk is missing; install the Debian package wrk: apt-get install wrk"
UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60000.0, "h": 3600000.0}
GRACE = 30.0  # seconds that wrk may take beyond its time


class LoadFailed(Exception):
    """The load generator got no answers, or did not come to an end."""


def version() -> str | None:
    """wrk's own words on its version, without the copyright; None where it is not installed."""
    program = shutil.which("wrk")
    if program is None:
        return None
    done = subprocess.run([program, "-v"], capture_output=True, text=True, timeout=10)
    return parse_version(done.stdout + done.stderr)


def parse_version(output: str) -> str:
    """`wrk debian/4.1.0-3+b2 [epoll] Copyright ...` -> `wrk debian/4.1.0-3+b2`."""
    first = (output.strip().splitlines() or [""])[0]
    return re.split(r"\s+(?:\[|Copyright)", first)[0] or "wrk of an unknown version"


def command(work: Workload, port: int, seconds: int, cpu: str, script: Path | None = None) -> list[str]:
    words = ["taskset", "-c", cpu, "wrk", "-t1", f"-c{work.connections}", f"-d{seconds}s"]
    words += ["--timeout", "5s", "--latency"]
    for name, value in work.headers.items():
        words += ["-H", f"{name}: {value}"]
    if script:
        words += ["-s", str(script)]
    return [*words, f"http://127.0.0.1:{port}{work.path}"]


def run(work: Workload, port: int, seconds: int, cpu: str, scratch: Path) -> Sample:
    """Load the server on this port once."""
    script = None
    if work.script:
        script = scratch / f"{work.name}.lua"
        script.write_text(work.script)
    beside = start_beside(work, port, seconds, cpu)
    before, begin = os.times(), time.monotonic()
    try:
        done = subprocess.run(
            command(work, port, seconds, cpu, script), capture_output=True, text=True, timeout=seconds + GRACE
        )
        wall, after = time.monotonic() - begin, os.times()
    except subprocess.TimeoutExpired:
        raise LoadFailed("wrk did not come to an end") from None
    finally:
        if beside:
            end(beside, seconds)
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return parse(done.stdout, done.stderr, work, client_cpu=spent / wall)


def start_beside(work: Workload, port: int, seconds: int, cpu: str) -> subprocess.Popen[bytes] | None:
    """Start the further load that a workload has beside the one that is counted."""
    if not work.beside:
        return None
    connections, path = work.beside
    words = ["taskset", "-c", cpu, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s"]
    other = subprocess.Popen([*words, f"http://127.0.0.1:{port}{path}"], stdout=subprocess.DEVNULL)
    time.sleep(0.1)
    return other


def end(process: subprocess.Popen[bytes], seconds: int) -> None:
    try:
        process.wait(seconds + GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def parse(output: str, complaint: str, work: Workload, client_cpu: float) -> Sample:
    """The figures in wrk's output; LoadFailed where there are none."""
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    requests = re.search(r"(\d+) requests in", output)
    if not (rate and requests):
        raise LoadFailed(f"no answer under load: {(complaint or output).strip()[:200]}")
    mean, p50, p99 = (latency(output, line) for line in ("Latency", "50%", "99%"))
    if work.pipelined:
        mean = p50 = p99 = math.nan  # wrk does not time these rightly
    errors = [line.strip() for line in re.findall(r"Socket errors:.*|Non-2xx.*", output)]
    if starved := starvation(float(rate[1]), mean, work):
        errors.append(starved)
    return Sample(
        rate=float(rate[1]),
        requests=int(requests[1]),
        p50=p50,
        p99=p99,
        client_cpu=client_cpu,
        errors="; ".join(errors),
    )


def latency(output: str, line: str) -> float:
    """The first figure of a line of wrk's latency tables, in ms; `Latency` is the mean."""
    found = re.search(rf"^\s+{re.escape(line)}\s+([\d.]+)(us|ms|s|m|h)\b", output, re.MULTILINE)
    return float(found[1]) * UNITS[found[2]] if found else math.nan


def starvation(rate: float, mean_ms: float, work: Workload) -> str:
    """A complaint where fewer than a third of the connections had a request under way, by Little's law.

    Such a server serves a few connections and lets the others wait. Of connections closed after each answer
    it says nothing.
    """
    served = rate * mean_ms / 1000
    if served < work.connections / 3 and not work.closes:
        return f"only about {served:.0f} of {work.connections} connections were served"
    return ""
