"""Blocking connections to the dispatcher, for threads and greenlets: each is used by one call at a time."""

import contextlib
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from unicorn_core.dispatch.client.exchange import GRACE, HELLO, Exchange, Invocation, Terms
from unicorn_core.dispatch.errors import DispatchError, DispatcherUnavailable, ProtocolError
from unicorn_core.dispatch.wire import flow, shared
from unicorn_core.dispatch.wire.blocking import Wire
from unicorn_core.dispatch.wire.frames import LIMIT, Frame, Kind
from unicorn_core.dispatch.wire.shared import Descriptors
from unicorn_core.dispatch.wire.slabs import Slabs

Request = Callable[["Connection", int], tuple[Frame, Descriptors]]
"""Makes the frame of a request for a connection, and sets how long its answer may take."""


class Superseded(Exception):
    """The dispatcher leaves and has not seen, or not looked at, what was asked: ask again, over a new connection."""


class Connection:
    """One connection, greeted by the dispatcher.

    Attributes:
        exchange: the terms on it.
        used: something has been asked over it.

    Raises:
        DispatcherUnavailable: there is none.
    """

    def __init__(self, path: str, patience: float, slabs: Slabs) -> None:
        self.used = False
        self._numbers = count(1)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            wire = Wire(sock, LIMIT)
            wire.within(patience)
            sock.connect(path)
            greeting = wire.receive()
            if greeting is None:
                raise ConnectionResetError("the connection was closed")
            terms = Terms.read(greeting[0])
        except (OSError, ProtocolError) as error:
            sock.close()
            raise unreachable(error, path) from None
        except BaseException:
            sock.close()
            raise
        self.exchange = Exchange(terms, slabs)
        self.wire = Wire(sock, terms.limit)

    def next_number(self) -> int:
        """For the next request."""
        return next(self._numbers)

    def receive(self, number: int) -> tuple[Frame, Descriptors]:
        """The next frame that answers a request.

        Raises:
            OSError: the connection is broken, or nothing came in time (TimeoutError).
            ProtocolError: what came is no frame.
            Superseded: ask again, over another connection.
        """
        while True:
            received = self.wire.receive()
            if received is None:
                raise ConnectionResetError("the connection was closed")
            frame, descriptors = received
            if frame.id == number:
                if frame.kind == Kind.RETRY:
                    raise Superseded
                return frame, descriptors
            shared.close(descriptors)  # the answer to a call that was given up

    def value(self, frame: Frame, descriptors: Descriptors) -> Any:
        """What a frame holds; the task worker may then use its shared memory again.

        Raises:
            DispatchError: the frame says so.
        """
        value = self.exchange.value(frame, descriptors)
        if descriptors:
            with contextlib.suppress(OSError):
                self.wire.send(Frame(Kind.EVENT, frame.id))
        return value

    def close(self) -> None:
        """End it: the dispatcher forgets what was asked and is not answered."""
        self.wire.close()
        self.exchange.close()


class Connections:
    """All blocking connections of this process to one dispatcher; safe to use from any thread or greenlet.

    They are made as they are needed, and used again. What is inherited through a fork is not used.

    Args:
        path: of the dispatcher's socket.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._idle: deque[Connection] = deque()
        self._slabs = Slabs()
        self._pid = os.getpid()

    def call(self, invocation: Invocation) -> Any:
        """The result of a call.

        Raises:
            DispatchError: there is none.
        """
        asked = invocation.options.timeout

        def request(connection: Connection, number: int) -> tuple[Frame, Descriptors]:
            timeout = _or(asked, connection.exchange.terms.timeout)
            connection.wire.within(timeout + GRACE if timeout else 0)
            return connection.exchange.request(number, invocation, timeout, stream=False)

        try:
            return self._ask(request, asked, invocation)
        except DispatcherUnavailable as error:
            raise named(error, invocation) from None

    def plain(self, kind: Kind, value: Any) -> Any:
        """The answer to a command, or to an operation on the stash.

        Raises:
            DispatchError: there is none.
        """

        def request(connection: Connection, number: int) -> tuple[Frame, Descriptors]:
            connection.wire.within(HELLO)
            return connection.exchange.plain(kind, number, value)

        return self._ask(request, None, None)

    def stream(self, invocation: Invocation) -> Iterator[Any]:
        """The values of a stream, as they come; the generator in the task worker goes on as they are taken.

        Raises:
            DispatchError: in place of a value.
        """
        options = invocation.options
        total = options.timeout or 0.0
        until = time.monotonic() + total if total else float("inf")

        def request(connection: Connection, number: int) -> tuple[Frame, Descriptors]:
            connection.wire.within(total + GRACE if total else 0)
            return connection.exchange.request(number, invocation, total, stream=True)

        try:
            connection, number = self._send(request, options.timeout)
        except DispatcherUnavailable as error:
            raise named(error, invocation) from None
        exchange = connection.exchange
        idle = _or(options.idle_timeout, exchange.terms.timeout) or float("inf")
        complete = False
        taken = 0
        try:
            while True:
                wait = min(idle, until + GRACE - time.monotonic())
                connection.wire.within(0 if wait == float("inf") else max(wait, 0.001))
                frame, descriptors = connection.receive(number)
                complete = frame.kind != Kind.ITEM
                if frame.kind == Kind.END:
                    exchange.settle(number, answered=True)
                    return
                value = connection.value(frame, descriptors)
                if complete:
                    raise ProtocolError("a stream was answered by a plain value")
                yield value
                taken += flow.worth(frame)
                if taken >= flow.GRANT:
                    connection.wire.send(Frame(Kind.CREDIT, number, body=flow.grant(taken)))
                    taken = 0
        except TimeoutError:
            late = time.monotonic() >= until
            what = "the stream was not complete" if late else "no further value of the stream came"
            raise invocation.late(total if late else idle, what) from None
        except Superseded:
            pass
        except OSError as error:
            raise self._lost(error, invocation) from None
        finally:
            self._give_back(connection) if complete else connection.close()
        yield from self.stream(invocation)

    def close(self) -> None:
        """End the connections that are not in use, and keep no shared memory."""
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop().close()
        self._slabs.close()

    # Asking

    def _ask(self, request: Request, patience: float | None, invocation: Invocation | None) -> Any:
        connection, number = self._send(request, patience)
        complete = False
        try:
            frame, descriptors = connection.receive(number)
            complete = True
            return connection.value(frame, descriptors)
        except Superseded:
            pass
        except TimeoutError:
            complete = False
            raise self._late(connection, invocation, patience) from None
        except OSError as error:
            complete = False
            raise self._lost(error, invocation) from None
        finally:
            self._give_back(connection) if complete else connection.close()
        return self._ask(request, patience, invocation)

    def _send(self, request: Request, patience: float | None) -> tuple[Connection, int]:
        """Send a request, over an idle connection or, if that turns out to be closed, over a new one.

        What a connection that the peer has closed refuses to send, the peer has never seen.
        """
        while True:
            connection = self._take(patience)
            number = connection.next_number()
            try:
                frame, descriptors = request(connection, number)
            except BaseException:
                self._give_back(connection)
                raise
            try:
                used, connection.used = connection.used, True
                connection.wire.send(frame, descriptors)
            except TimeoutError:
                connection.close()
                raise DispatcherUnavailable("the dispatcher takes nothing", socket_path=self.path) from None
            except OSError as error:
                connection.close()
                if not used:
                    raise unreachable(error, self.path) from None
                continue
            except BaseException:
                connection.close()
                raise
            return connection, number

    def _take(self, patience: float | None) -> Connection:
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._idle = deque()
            self._slabs.forget()
        try:
            return self._idle.pop()
        except IndexError:
            return Connection(self.path, patience or HELLO, self._slabs)

    def _give_back(self, connection: Connection) -> None:
        self._idle.append(connection)

    def _late(self, connection: Connection, invocation: Invocation | None, patience: float | None) -> DispatchError:
        if invocation is None:
            return DispatcherUnavailable("the dispatcher does not answer", socket_path=self.path)
        return invocation.late(_or(patience, connection.exchange.terms.timeout))

    def _lost(self, error: OSError, invocation: Invocation | None) -> DispatchError:
        lost = DispatcherUnavailable(f"the dispatcher went away before it answered ({reason(error)})")
        if invocation is not None:
            lost.app, lost.action = invocation.app, invocation.action
        lost.socket_path = self.path
        return lost


def unreachable(error: Exception, path: str) -> DispatcherUnavailable:
    """What it means if no connection can be had."""
    how = "does not answer" if isinstance(error, TimeoutError) else f"cannot be reached ({reason(error)})"
    return DispatcherUnavailable(f"the dispatcher {how}", socket_path=path)


def named(error: DispatcherUnavailable, invocation: Invocation) -> DispatcherUnavailable:
    """The error, telling which call met it."""
    error.app, error.action = error.app or invocation.app, error.action or invocation.action
    return error


def reason(error: Exception) -> str:
    """An error of the system in words."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
