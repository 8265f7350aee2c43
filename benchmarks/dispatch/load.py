"""One load on a pool of task workers, by its own blocking client; prints one line of JSON.

load.py unicorn|gunicorn SOCKET WORK CLIENTS SECONDS
"""

import json
import sys
import threading
import time
from collections.abc import Callable

Execute = Callable[..., object]
APP = "tasks:Tasks"
MIB = 1 << 20
WORKS = {
    "noop": ("noop",),
    "nap": ("nap", 0.01),
    "echo-1M": ("echo", b"x" * MIB),
    "echo-16M": ("echo", b"x" * 16 * MIB),
    "mixed": ("noop",),
}
LONG = 2.0
"""Seconds that a long job of the mix runs; three of them at a time."""


def executor(pool: str, path: str) -> Callable[[], Execute]:
    """Gives a thread what it calls the pool with."""
    if pool == "gunicorn":
        from gunicorn.dirty.client import DirtyClient

        return lambda: DirtyClient(path, timeout=60.0).execute
    from unicorn_core.dispatch.client.client import Client
    from unicorn_core.dispatch.client.local import LocalBackend

    client = Client(LocalBackend(path))
    return lambda: client.execute


def client_thread(
    make: Callable[[], Execute],
    call: tuple[object, ...],
    until: float,
    times: list[float],
    failed: list[str],
) -> None:
    execute = make()
    clock = time.perf_counter
    while (began := clock()) < until:
        try:
            answer = execute(APP, *call)
            if call[0] == "echo" and len(answer) != len(call[1]):
                raise ValueError("another answer")
        except Exception as error:
            failed.append(f"{type(error).__name__}: {error}"[:200])
        else:
            times.append(clock() - began)


def main(pool: str, path: str, work: str, clients: int, seconds: float) -> None:
    make = executor(pool, path)
    call = WORKS[work]
    make()(APP, *call)
    times: list[float] = []
    failed: list[str] = []
    began = time.perf_counter()
    until = began + seconds
    threads = [threading.Thread(target=client_thread, args=(make, call, until, times, failed)) for _ in range(clients)]
    if work == "mixed":
        ignored: list[float] = []
        long = ("nap", LONG)
        threads += [threading.Thread(target=client_thread, args=(make, long, until, ignored, failed)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = max(times, default=0) if work == "mixed" else time.perf_counter() - began
    times.sort()
    print(
        json.dumps(
            {
                "rate": len(times) / (seconds if work == "mixed" else took),
                "p50": times[len(times) // 2] if times else None,
                "p99": times[int(len(times) * 0.99)] if times else None,
                "failed": len(failed),
                "why": failed[:1],
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))
