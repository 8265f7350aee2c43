"""Fixtures of the integration tests: servers that must leave nothing behind, and a client that shows the bytes."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from unicorn_core.testing.server import ServerProcess, wait_until

APPS = Path(__file__).parent / "apps"


@dataclass(frozen=True)
class Answer:
    """One response as it came; `head` is everything up to the empty line."""

    head: bytes
    body: bytes

    @property
    def status(self) -> int:
        return int(self.head.split(b" ", 2)[1])

    @property
    def fields(self) -> list[tuple[str, str]]:
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        return [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]

    def __getitem__(self, name: str) -> str | None:
        """The value of a field, None if it is not there; a field that came twice is a mistake."""
        found = [value for key, value in self.fields if key == name.lower()]
        assert len(found) < 2, f"{name} came more than once: {found}"
        return found[0] if found else None


class Wire:
    """A connection of which every byte is looked at. Every wait has a bound."""

    def __init__(self, server: ServerProcess, timeout: float = 15.0) -> None:
        self.socket = server.connect(timeout)
        self.seen = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def ask(self, path: str, *fields: str, method: str = "GET", body: bytes = b"", version: str = "1.1") -> None:
        """Send a request; a Content-Length is added to a body unless `fields` frame it."""
        lines = [f"{method} {path} HTTP/{version}", "Host: test", *fields]
        if body and not any(line.lower().startswith(("content-length", "transfer-encoding")) for line in fields):
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def get(self, path: str, *fields: str, **options: Any) -> Answer:
        """Ask, and read the answer."""
        self.ask(path, *fields, **options)
        return self.answer(bodiless=options.get("method") == "HEAD")

    def head(self) -> bytes:
        """Read up to the empty line."""
        return self.until(b"\r\n\r\n")[:-4]

    def answer(self, bodiless: bool = False) -> Answer:
        """Read one response, and not a byte more."""
        head = Answer(self.head(), b"")
        if bodiless or head.status in (204, 304) or head.status < 200:
            return head
        if head["transfer-encoding"] == "chunked":
            body = b"".join(iter(self.chunk, b""))
        elif (length := head["content-length"]) is not None:
            body = self.exactly(int(length))
        else:
            body = self.rest()
        return Answer(head.head, body)

    def chunk(self) -> bytes:
        """Read one chunk; b"" is the last one."""
        size = int(self.until(b"\r\n"), 16)
        data = self.exactly(size)
        assert self.exactly(2) == b"\r\n"
        return data

    def until(self, mark: bytes) -> bytes:
        while mark not in self.seen:
            self._more(f"before {mark!r}")
        data, _, self.seen = self.seen.partition(mark)
        return data + mark

    def exactly(self, size: int) -> bytes:
        while len(self.seen) < size:
            self._more(f"{size - len(self.seen)} bytes too early")
        data, self.seen = self.seen[:size], self.seen[size:]
        return data

    def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        pieces = [self.seen]
        self.seen = b""
        while piece := self.socket.recv(65536):
            pieces.append(piece)
        return b"".join(pieces)

    def is_cut(self) -> bool:
        """The server ends the connection, by a reset or an end-of-file; what came before that is in `seen`."""
        try:
            while piece := self.socket.recv(65536):
                self.seen += piece
        except ConnectionError:
            pass
        return True

    def is_silent(self, seconds: float = 0.1) -> bool:
        """Nothing comes for a moment, and the connection stays open."""
        before = self.socket.gettimeout()
        self.socket.settimeout(seconds)
        try:
            self.seen += self.socket.recv(65536)
        except TimeoutError:
            return not self.seen
        finally:
            self.socket.settimeout(before)
        return False

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        """Close so that the server gets a reset."""
        with suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.socket.close()

    def _more(self, when: str) -> None:
        data = self.socket.recv(65536)
        assert data, f"the connection ended {when}; it had brought {self.seen!r}"
        self.seen += data


@pytest.fixture
def wire() -> Iterator[Callable[..., Wire]]:
    """Open connections: `wire(server)`."""
    opened: list[Wire] = []

    def connect(server: ServerProcess, **options: Any) -> Wire:
        opened.append(Wire(server, **options))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


@pytest.fixture
def apps() -> Path:
    """The folder of the example applications."""
    return APPS


@pytest.fixture
def serve(serve: Callable[..., ServerProcess]) -> Iterator[Callable[..., ServerProcess]]:
    """As for all tests; at the end every server must leave quickly and leave no process behind."""
    servers: list[ServerProcess] = []

    def start(*arguments: Any, **options: Any) -> ServerProcess:
        server = serve(*arguments, **options)
        servers.append(server)
        return server

    yield start
    for server in servers:
        leaves_nothing(server)


@pytest.fixture
def left_of() -> Callable[[ServerProcess], list[int]]:
    """The processes that a server still has, its arbiter among them."""
    return processes


def leaves_nothing(server: ServerProcess) -> None:
    """Stop a server that still runs; none of its processes may be left, and no worker may have failed by itself."""
    if server.running:
        server.stop(signal.SIGINT)
    wait_until(lambda: not processes(server), what=f"the end of all processes of the server ({processes(server)})")
    assert "failed outside of a request" not in server.output, server.output


def processes(server: ServerProcess) -> list[int]:
    """The pids of a server's process group, without those that only wait to be reaped."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, group = entry.read_text().rpartition(")")[2].split()[:3]
            if int(group) == server.pid and state != "Z":
                found.append(int(entry.parent.name))
    if not Path("/proc/self/stat").exists():
        with suppress(ProcessLookupError):
            os.killpg(server.pid, 0)
            found.append(server.pid)
    return found


def serving(application: str, *arguments: str, **options: Any) -> Iterator[ServerProcess]:
    """For fixtures of several tests: a server of one of the example applications."""
    server = ServerProcess(application, *arguments, cwd=APPS, **options)
    try:
        server.wait_until_ready()
        yield server
        leaves_nothing(server)
    finally:
        server.kill()


@pytest.fixture(scope="module")
def shared_server(worker_class) -> Iterator[Callable[..., ServerProcess]]:
    """Servers of the example applications that all tests of a module share, by their arguments."""
    running: dict[Any, tuple[Iterator[ServerProcess], ServerProcess]] = {}

    def get(application: str, *arguments: str, unix: Path | None = None) -> ServerProcess:
        key = (application, arguments, unix)
        if key not in running:
            life = serving(application, *worker_class.arguments, *arguments, unix=unix)
            running[key] = life, next(life)
        return running[key][1]

    yield get
    for life, _ in running.values():
        with suppress(StopIteration):
            next(life)


@pytest.fixture
def shows_output(request: pytest.FixtureRequest) -> Iterator[Callable[[ServerProcess], ServerProcess]]:
    """Print what a shared server printed during this test."""
    watched: list[tuple[ServerProcess, int]] = []

    def watch(server: ServerProcess) -> ServerProcess:
        watched.append((server, len(server.output)))
        return server

    yield watch
    for server, before in watched:
        print(server.output[before:])
