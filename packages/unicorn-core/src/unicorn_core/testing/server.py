"""The real command as a process: started on a free port, waited for, its output kept, stopped.

    with ServerProcess("myapp:app", "--workers", "3", cwd=folder) as server:
        with server.connect() as sock: ...

Every wait has a bound and fails with what the server had printed.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

READY = r"Ready: generation \d+ serves"


class ServerProcess:
    """One server.

    Args:
        application: what the command serves; empty if a configuration file names it.
        arguments: further ones.
        cwd: working folder, where the application is imported from.
        unix: listen on this unix socket instead of a free TCP port.
        environment: variables on top of this process's, without those of unicorn, and of PYTHONDONTWRITEBYTECODE; None
            removes one.
        command: the command itself.
        bind: False: the command says by itself where it listens, and `port` is not known.

    Attributes:
        port: of 127.0.0.1, once it is ready; 0 on a unix socket.
    """

    def __init__(
        self,
        application: str,
        *arguments: str,
        cwd: Path | str,
        unix: Path | str | None = None,
        environment: Mapping[str, str | None] | None = None,
        command: Sequence[str] = (sys.executable, "-m", "unicorn_cli"),
        bind: bool = True,
    ) -> None:
        where = ["--bind", f"unix:{unix}" if unix else "127.0.0.1:0"] if bind else []
        words = [*command, *where, *arguments, *([application] if application else [])]
        # The plain log formats of one test must not depend on the variables of whoever runs the tests.
        variables = {k: v for k, v in os.environ.items() if not k.startswith(("UNICORN_", "GUNICORN_"))}
        # A test may write a module anew within the second, and with the size, by which Python knows its bytecode.
        variables["PYTHONDONTWRITEBYTECODE"] = "1"
        for name, value in (environment or {}).items():
            variables.pop(name, None)
            if value is not None:
                variables[name] = value
        self.unix = str(unix) if unix else None
        self.port = 0
        self._output: list[str] = []
        self._arrived = threading.Condition()
        self._process = subprocess.Popen(
            words,
            cwd=cwd,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    # Life

    def __enter__(self) -> Self:
        try:
            self.wait_until_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self.running:
            try:
                self.stop()
            finally:
                self.kill()

    def wait_until_ready(self, timeout: float = 20.0) -> None:
        """Wait until all workers are ready, and learn the port."""
        self.wait_for(READY, timeout)
        if not self.unix:
            self.port = int(self.wait_for(r"Listening at: \w+://127\.0\.0\.1:(\d+)", timeout)[1])

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout: float = 20.0) -> int:
        """Send a signal to the arbiter and wait for its end; gives the exit code."""
        self.signal(number)
        return self.wait(timeout)

    def wait(self, timeout: float = 20.0) -> int:
        """Wait for the end; gives the exit code."""
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server did not end within {timeout} s; it printed:\n{self.output}") from None
        self._reader.join(timeout)
        return code

    def kill(self) -> None:
        """End the arbiter and every process of its session, for sure."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the arbiter."""
        self._process.send_signal(number)

    # What it is and says

    @property
    def pid(self) -> int:
        """Of the arbiter."""
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def output(self) -> str:
        """Everything printed so far, on both streams."""
        with self._arrived:
            return "".join(self._output)

    def wait_for(self, pattern: str, timeout: float = 20.0, count: int = 1) -> re.Match[str]:
        """Wait until `count` places of the output match; gives the last of them."""
        until = time.monotonic() + timeout
        with self._arrived:
            while True:
                text = "".join(self._output)
                found = list(re.finditer(pattern, text))
                if len(found) >= count:
                    return found[count - 1]
                left = until - time.monotonic()
                if left <= 0 or not self._reader.is_alive():
                    how = "" if self.running else f" and ended with code {self._process.returncode}"
                    raise AssertionError(f"the server did not print {pattern!r}{how}; it printed:\n{text}")
                self._arrived.wait(min(left, 0.2))

    def worker_pids(self) -> list[int]:
        """The pids of the workers that are alive, oldest first."""
        text = self.output
        pids = [int(pid) for pid in re.findall(r"Booting worker with pid: (\d+)", text)]
        return [pid for pid in pids if _alive(pid)]

    # Talking to it

    def connect(self, timeout: float = 10.0) -> socket.socket:
        """A new connection."""
        if self.unix:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.settimeout(timeout)
            sock.connect(self.unix)
            return sock
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def exchange(self, data: bytes, timeout: float = 10.0) -> bytes:
        """Send bytes over a new connection and read until the server closes it; what a reset cut off is left out."""
        received = b""
        with self.connect(timeout) as sock:
            try:
                sock.sendall(data)
                while piece := sock.recv(65536):
                    received += piece
            except (ConnectionResetError, BrokenPipeError):
                pass
        return received

    def get(self, path: str = "/", timeout: float = 10.0) -> bytes:
        """The body of a GET, over a connection of its own."""
        answer = self.exchange(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode(), timeout)
        return answer.partition(b"\r\n\r\n")[2]

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._arrived:
                self._output.append(line.decode("utf-8", "replace"))
                self._arrived.notify_all()


def wait_until(condition: Callable[[], object], timeout: float = 10.0, what: str = "the condition") -> None:
    """Wait until a condition is true, looking often; AssertionError names `what` if it never is."""
    until = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > until:
            raise AssertionError(f"{what} did not come true within {timeout} s")
        time.sleep(0.01)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return True  # no /proc on this system, but kill() found it
    except OSError:
        return False
