"""A load of clients on a server under test, who take no failure for an accident.

    with Load(server) as load:
        ...  # reload, kill, upgrade
        load.goes_on()
    load.flawless()

The clients are in clients.py: kept connections without a pause, kept connections with pauses, and a connection a
request. A connection that the server closes while a request is on it counts as a failure, unless it had been idle
for nearly its keep-alive time; so does a connect that is refused, an answer that is short, wrong or another's, and
silence. The application under load is `application(version)`.
"""

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from os import environ
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from unicorn_core.testing.server import ServerProcess, wait_until

FACTOR = float(environ.get("UNICORN_LOAD_FACTOR", "1"))
"""How much of everything: more repetitions than in a normal run of the tests."""
DOTS = 1000
"""How many dots end a body: enough to tell a short one."""
CLIENTS = Path(__file__).with_name("clients.py")

_APPLICATION = """
import os

VERSION = {version!r}
{preamble}
DOTS = "." * {dots}


def app(environ, start_response):
    {first}
    body = f"{{VERSION}} {{os.getpid()}} {{environ['PATH_INFO']}} {{DOTS}}\\n".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""


def application(version: str, preamble: str = "", first: str = "pass") -> str:
    """The source of what the clients expect to find; every answer names the version and the worker's pid.

    Args:
        preamble: statements that run when the module is imported.
        first: a statement that runs at the begin of each request.
    """
    return _APPLICATION.format(version=version, dots=DOTS, preamble=preamble, first=first)


def times(number: int) -> int:
    """How often to do what is done `number` times in a normal run."""
    return max(1, round(number * FACTOR))


@dataclass(frozen=True, slots=True)
class Failure:
    """One request that failed.

    Attributes:
        at: monotonic seconds.
        served: how many requests its connection had brought before.
        worker: the pid that answered them; 0 if there were none.
    """

    client: str
    what: str
    at: float
    waited: float
    request: int
    served: int
    worker: int

    def __str__(self) -> str:
        history = f"{self.served} answers of worker {self.worker} before" if self.served else "a new connection"
        return f"{self.client}, request {self.request}: {self.what} after {self.waited:.3f} s ({history})"


class Load:
    """See the module. What was seen so far can be read at any time.

    Args:
        kept: clients with one connection each, without pauses.
        paused: the same, with pauses of `pause` seconds.
        once: clients with a connection a request.
        keepalive: the server's keep-alive time.
        patience: seconds for an answer.
        leave_when_refused: a refused connect is no failure, but the end of its client.
        begin: how many requests are answered before the body of `with` begins.
        address: if it is not that of the server.
    """

    def __init__(
        self,
        server: ServerProcess,
        kept: int = 8,
        paused: int = 4,
        once: int = 8,
        *,
        pause: float = 0.2,
        keepalive: float = 2.0,
        patience: float = 10.0,
        leave_when_refused: bool = False,
        begin: int = 100,
        address: tuple[str, int] | str | None = None,
    ) -> None:
        self.clients = kept + paused + once
        self._spec = {
            "address": address or server.unix or ("127.0.0.1", server.port),
            "kept": kept,
            "paused": paused,
            "once": once,
            "pause": pause,
            "keepalive": keepalive,
            "patience": patience,
            "leave_when_refused": leave_when_refused,
        }
        self._patience = patience
        self._begin = begin
        self._told: dict[str, Any] = {"requests": 0, "versions": {}, "workers": [], "refused": 0, "expired": 0}
        self._failures: list[Failure] = []
        self._process: subprocess.Popen[str] | None = None

    # Life

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, str(CLIENTS), json.dumps(self._spec)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.goes_on(self._begin)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            code = self._process.wait(self._patience + 10)
            self._reader.join(10)
        finally:
            self._process.kill()
            print(self)
        if error is None:
            assert code == 0, f"the clients ended with code {code}"

    def wait(self, timeout: float = 20.0) -> None:
        """Wait until every client has left by itself (leave_when_refused)."""
        assert self._process is not None
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the clients did not leave within {timeout} s: {self}") from None
        self._reader.join(10)

    # What they saw

    @property
    def requests(self) -> int:
        """How many were answered as they should."""
        return int(self._told["requests"])

    @property
    def refused(self) -> int:
        return int(self._told["refused"])

    @property
    def expired(self) -> int:
        """How many idle connections the server closed at the end of their keep-alive time."""
        return int(self._told["expired"])

    @property
    def failures(self) -> list[Failure]:
        return list(self._failures)

    @property
    def versions(self) -> Counter[str]:
        """How often each version of the application answered."""
        return Counter(self._told["versions"])

    @property
    def workers(self) -> Counter[int]:
        """How often each worker answered, by pid."""
        return Counter(dict(self._told["workers"]))

    @property
    def longest(self) -> float:
        """Seconds of the longest wait for an answer, connecting included."""
        return float(self._told["longest"][0])

    def goes_on(self, more: int = 500, timeout: float = 15.0) -> None:
        """Wait until so many more requests were answered."""
        wanted = self.requests + more
        self._wait_until(lambda: self.requests >= wanted, timeout, f"{more} more answers")

    def saw(self, version: str, timeout: float = 15.0) -> None:
        """Wait for an answer of this version of the application."""
        self._wait_until(lambda: version in self.versions, timeout, f"an answer of version {version!r}")

    def flawless(self, at_least: int = 500) -> None:
        """No request failed, and there were enough to say so."""
        assert not self._failures, str(self)
        assert self.requests >= at_least, str(self)

    def __str__(self) -> str:
        told = self._told
        if "seconds" not in told:
            return "nothing was heard of the clients"
        counted = Counter(failure.what for failure in self._failures)
        lines = [
            f"{told['requests']} requests in {told['seconds']:.1f} s "
            f"({told['requests'] / max(told['seconds'], 0.001):.0f}/s) over {told['connections']} connections, "
            f"of which {told['closings']} were told to close and {told['expired']} expired; "
            f"longest {told['longest'][0]:.3f} s ({told['longest'][1]}); "
            f"versions {dict(told['versions'])}; {len(told['workers'])} workers",
            f"{len(self._failures)} failures, {told['refused']} refused at the end",
            *[f"  {number} x {what}" for what, number in counted.most_common(20)],
            *[f"    {failure}" for failure in self._failures[:20]],
        ]
        return "\n".join(lines)

    def _wait_until(self, condition: Callable[[], object], timeout: float, what: str) -> None:
        try:
            wait_until(lambda: condition() or not self._reader.is_alive(), timeout, what)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self}") from None
        assert condition(), f"the clients left before {what}: {self}"

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            self._failures += [Failure(**failure) for failure in told.pop("failures")]
            self._told = told
