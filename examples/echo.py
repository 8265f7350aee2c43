"""A TCP echo server: a worker class of one's own under unicorn's arbiter, without any HTTP.

    python examples/echo.py

Signals do what they do for a web server: HUP replaces the workers without refusing a connection, TTIN and TTOU change
their number, TERM lets every client finish its line. unicorn-core alone is needed.
"""

import selectors
import socket
import sys
from collections.abc import Sequence

from unicorn_core import Arbiter, Settings, Worker
from unicorn_core.worker.base import Context

IDLE = 1.0
"""Seconds between two signs of life of a worker that has nothing to do."""


class EchoWorker(Worker):
    """Sends every client's bytes back to it."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._selector = selectors.DefaultSelector()
        self._clients: set[socket.socket] = set()

    def run(self) -> None:
        for listener in self.context.listeners:
            self._selector.register(listener.socket, selectors.EVENT_READ, self._accept)
        for fd in self.attention:
            self._selector.register(fd, selectors.EVENT_READ, lambda _: self.attend())
        while not self.draining or self._clients:
            for key, _ in self._selector.select(IDLE):
                key.data(key.fileobj)
            self.beat()

    def drain(self, ends: bool = False) -> None:
        if not self.draining:
            super().drain(ends)
            for listener in self.context.listeners:
                self._selector.unregister(listener.socket)
                listener.close()

    def _accept(self, listener: socket.socket) -> None:
        try:
            client, _ = listener.accept()
        except OSError:
            return  # another worker was faster, or the client is gone
        client.settimeout(IDLE)
        self._clients.add(client)
        self._selector.register(client, selectors.EVENT_READ, self._echo)

    def _echo(self, client: socket.socket) -> None:
        try:
            data = client.recv(65536)
            client.sendall(data)
        except OSError:
            data = b""
        if not data or (self.draining and data.endswith(b"\n")):
            self._selector.unregister(client)
            self._clients.discard(client)
            client.close()


def main(bind: Sequence[str]) -> int:
    """Serve; the exit code."""
    return Arbiter(Settings.of(worker_class=EchoWorker, bind=list(bind) or ["127.0.0.1:7000"], workers=2)).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
