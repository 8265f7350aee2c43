"""A worker in this process: no arbiter, no fork, an application that the test gives."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Self

from codec_driver import make_settings

from unicorn_core import plugins
from unicorn_core.listen.address import TcpAddress
from unicorn_core.listen.listener import Listener, open_all
from unicorn_core.observe.logs import Logger
from unicorn_core.worker import channel
from unicorn_core.worker.base import Context
from unicorn_core.worker.messages import Drain, Message
from unicorn_core.worker.scoreboard import Row, Scoreboard

Application = Callable[..., Iterable[bytes]]


def hello(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    """Answers with a word."""
    start("200 OK", [("Content-Length", "5")])
    return [b"hello"]


def listen(host: str = "127.0.0.1") -> Listener:
    """A listener on a free port."""
    (listener,) = open_all([TcpAddress(host, 0)], 64, 0, (os.getuid(), os.getgid()))
    return listener


def connect(listener: Listener, timeout: float = 5.0) -> socket.socket:
    """A new connection to a listener."""
    return socket.create_connection(listener.socket.getsockname()[:2], timeout)


def ask(connection: socket.socket, path: str = "/") -> bytes:
    """Send a request and read an answer that ends with `hello`."""
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
    answer = b""
    while not answer.endswith(b"hello"):
        piece = connection.recv(65536)
        assert piece, answer
        answer += piece
    return answer


class WorkerThread:
    """The worker runs in a thread, from `with` on until it is drained, at the end of the block at the latest.

    The settings choose its class, by default `sync`.

    Attributes:
        worker: boots when it is asked for first.
        listener: the first of its own.
    """

    def __init__(
        self,
        application: Application = hello,
        listeners: Sequence[Listener] | None = None,
        row: Row | None = None,
        **settings: object,
    ) -> None:
        self.listeners = [listen()] if listeners is None else list(listeners)
        self.listener = self.listeners[0]
        self._ours, theirs = channel.pair()
        resolved = make_settings(wsgi_app="app:app", **settings)
        context = Context(
            number=2,
            slot=0,
            generation=1,
            settings=resolved,
            listeners=self.listeners,
            log=Logger(resolved),
            row=row or Scoreboard().take(),
            channel=theirs,
            stacks=-1,
            hooks=None,  # type: ignore[arg-type]
            load_application=lambda: application,
        )
        worker_class = plugins.load(plugins.WORKERS, resolved.worker_class).chosen(resolved)
        self.worker = worker_class(context)
        signal.set_wakeup_fd(-1)
        self.worker.boot()
        self._thread = threading.Thread(target=self.worker.run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.tell(Drain(ends=True))
        self._thread.join(10)
        assert not self._thread.is_alive(), "the worker does not end"

    def tell(self, message: Message, *descriptors: int) -> None:
        """A message of the arbiter."""
        self._ours.send(message, descriptors)

    @property
    def running(self) -> bool:
        """It has not left."""
        return self._thread.is_alive()
