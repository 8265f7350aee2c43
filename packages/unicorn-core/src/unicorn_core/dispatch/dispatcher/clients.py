"""The dispatcher's side of its clients: who may connect, and what they ask."""

import asyncio
import errno
import os
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from unicorn_core.dispatch.dispatcher.calls import Call
from unicorn_core.dispatch.dispatcher.member import Member
from unicorn_core.dispatch.dispatcher.router import Router
from unicorn_core.dispatch.dispatcher.stash_service import StashService
from unicorn_core.dispatch.errors import DispatchError, PayloadTooLarge, ProtocolError, shown, text_of
from unicorn_core.dispatch.wire import shared
from unicorn_core.dispatch.wire.frames import Frame, Kind, check, split_route
from unicorn_core.dispatch.wire.link import Link
from unicorn_core.dispatch.wire.serialization import Serializer
from unicorn_core.dispatch.wire.shared import Descriptors
from unicorn_core.observe.logs import Logger

MOST_LENT = 64
"""Answers with shared memory of which it is remembered whose that is; beyond that it is made anew."""
PAUSE = 0.5
"""Seconds without accepting when there is no descriptor left for a further client."""
AT_ONCE = 64
"""Connections accepted in one turn of the loop."""
_WITH_VALUES = (Kind.REQUEST, Kind.STASH)
"""Frames to which shared memory may belong."""
_UCRED = struct.Struct("3i")
_LOCAL_PEERCRED, _LOCAL_PEERPID = 1, 2


class Clients:
    """Accepts connections and looks after them.

    Args:
        terms: gives what is told to each client when it has connected (`unicorn_core.dispatch.client.exchange.Terms`).
        member_of: the task worker that a process is, if it is one.
        commands: what clients may ask of the dispatcher itself.

    Attributes:
        leaving: a successor takes over: clients are sent there.
    """

    def __init__(
        self,
        listener: socket.socket,
        loop: asyncio.AbstractEventLoop,
        log: Logger,
        router: Router,
        stash: StashService,
        terms: Callable[[], Mapping[str, Any]],
        member_of: Callable[[int], Member | None],
        commands: Mapping[str, Callable[..., Any]],
    ) -> None:
        self._listener = listener
        self._loop = loop
        self._log = log
        self.router = router
        self.stash = stash
        self._terms = terms
        self._member_of = member_of
        self.commands = commands
        self.connected: set[Client] = set()
        self.leaving = False
        loop.add_reader(listener.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                sock, _ = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError, InterruptedError):
                return
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    raise
                self._log.error("Clients of the dispatcher must wait: %s", error.strerror)
                self._loop.remove_reader(self._listener.fileno())
                self._loop.call_later(PAUSE, self._loop.add_reader, self._listener.fileno(), self._accept)
                return
            self._admit(sock)

    def _admit(self, sock: socket.socket) -> None:
        pid, uid = peer(sock)
        if uid not in (os.geteuid(), 0):
            self._log.warning("A client of the dispatcher was turned away: process %s of user id %s", pid, uid)
            sock.close()
            return
        terms = self._terms()
        client = Client(sock, self._loop, self, terms["limit"], self._member_of(pid), pid)
        self.connected.add(client)
        client.link.send(Frame(Kind.EVENT, 0, body=Serializer().pack(dict(terms))[0]))

    def broken(self, client: "Client", why: Exception | None) -> None:
        """A client is gone."""
        self.connected.discard(client)
        if isinstance(why, ProtocolError):
            self._log.warning("A client of the dispatcher (process %s) sent what is no frame: %s", client.pid, why)

    def stop_accepting(self) -> None:
        """Nobody new gets in."""
        self._loop.remove_reader(self._listener.fileno())

    def hand_over(self) -> None:
        """Send all clients to the successor, those that wait for answers once they have them."""
        self.leaving = True
        for client in list(self.connected):
            client.leave_if_idle()

    def forget(self) -> None:
        """In a task worker: close the connections, which are the dispatcher's."""
        self._listener.close()
        for client in self.connected:
            client.link.forget()

    def close(self) -> None:
        """End all connections."""
        for client in list(self.connected):
            client.link.close()


class Client:
    """One connection.

    Attributes:
        calls: what it has asked and not been answered, by its own numbers.
        member: the task worker that it is.
        pid: its process.
    """

    def __init__(
        self,
        sock: socket.socket,
        loop: asyncio.AbstractEventLoop,
        clients: Clients,
        limit: int,
        member: Member | None,
        pid: int,
    ) -> None:
        self._clients = clients
        self._router = clients.router
        self.calls: dict[int, Call] = {}
        self._borrowed: deque[tuple[int, Member, int]] = deque()
        self._limit = limit
        self._loop = loop
        self.member = member
        self.pid = pid
        self.link = Link(sock, loop, limit, self._on_frame, self._on_close)

    def _on_frame(self, frame: Frame, descriptors: Descriptors) -> None:
        if descriptors and frame.kind not in _WITH_VALUES:
            shared.close(descriptors)
        match frame.kind:
            case Kind.REQUEST:
                self._request(frame, descriptors)
            case Kind.CREDIT:
                if call := self.calls.get(frame.id):
                    self._router.grant(call, frame)
            case Kind.CANCEL:
                if call := self.calls.pop(frame.id, None):
                    self._router.give_up(call)
            case Kind.EVENT:
                self._give_back(frame.id)
            case Kind.STASH:
                self._answer_now(frame, partial(self._clients.stash.run, frame, descriptors))
            case Kind.COMMAND:
                self._answer_now(frame, partial(self._command, frame))
            case _:
                raise ProtocolError(f"a client cannot send a frame of kind {frame.kind}")

    def _request(self, frame: Frame, descriptors: Descriptors) -> None:
        number = frame.id
        try:
            app, action = split_route(frame.route)
            if number in self.calls:
                raise ProtocolError(f"two calls with the number {number}")
        except ProtocolError:
            shared.close(descriptors)
            raise
        if self._clients.leaving and self.member is None:
            shared.close(descriptors)
            self.link.send(Frame(Kind.RETRY, number))
            self.answered(number)
            return
        call = Call(frame, descriptors, app, action, frame.priority, time.monotonic(), ClientAnswer(self, number))
        self.calls[number] = call
        try:
            self._router.submit(call, self.member)
        except DispatchError as error:
            shared.close(descriptors)
            call.fail(error)

    def _command(self, frame: Frame) -> tuple[Frame, Descriptors]:
        name, arguments = Serializer().unpack(frame.body)
        command = self._clients.commands.get(name)
        if command is None:
            raise DispatchError(f"the dispatcher knows no command {shown(name)}")
        return Frame(Kind.RESULT, frame.id, body=Serializer().pack(command(*arguments))[0]), ()

    def _answer_now(self, frame: Frame, run: Callable[[], tuple[Frame, Descriptors]]) -> None:
        descriptors: Descriptors = ()
        try:
            answer, descriptors = run()
            check(answer, self._limit)
        except DispatchError as error:
            shared.close(descriptors)
            self.fail(frame.id, error)
        except Exception as error:  # what garbage may lead to has no end of types
            self.fail(frame.id, ProtocolError(f"malformed arguments: {text_of(error)}"))
        else:
            self.link.send(answer, descriptors)

    def fail(self, number: int, error: DispatchError) -> None:
        """Tell the client that a call of its has failed; without the facts, such as a key, if these are too large."""
        told = error.to_dict()
        frame = _error(number, told)
        try:
            check(frame, self._limit)
        except PayloadTooLarge:
            frame = _error(number, told | {"details": {}})
        self.link.send(frame)

    def answered(self, number: int) -> None:
        """A call has ended, and its caller knows."""
        self.calls.pop(number, None)
        if self._clients.leaving and not self.calls:
            # Not from within a callback of the same link.
            self._loop.call_soon(self.leave_if_idle)

    def leave_if_idle(self) -> None:
        """If nothing is under way, end the connection, so that the client makes a new one.

        Not that of a task: what it asks belongs to what is still finished here.
        """
        if self.member is None and not self.link.closed:
            self.link.read_out()
            if not self.calls and not self.link.midway:
                self.link.leave()

    def borrow(self, number: int, lender: Member, lent: int) -> None:
        """With an answer to a call goes shared memory of the task worker, which calls that `lent`."""
        self._borrowed.append((number, lender, lent))
        if len(self._borrowed) > MOST_LENT:
            self._borrowed.popleft()

    def _give_back(self, number: int) -> None:
        """The client has read what came with the first of these answers."""
        for entry in self._borrowed:
            if entry[0] == number:
                self._borrowed.remove(entry)
                _, lender, lent = entry
                if lender.link is not None:
                    lender.link.send(Frame(Kind.EVENT, lent))
                return

    def _on_close(self, why: Exception | None) -> None:
        calls, self.calls = self.calls, {}
        for call in calls.values():
            self._router.give_up(call)
        if why is None and self._clients.leaving:
            self._borrowed.clear()  # the client may be about to read it
        while self._borrowed:
            self._give_back(self._borrowed[0][0])
        self._clients.broken(self, why)


class ClientAnswer:
    """The answer to a client's call: it is written at once."""

    __slots__ = ("_client", "_number")

    def __init__(self, client: Client, number: int) -> None:
        self._client = client
        self._number = number

    def item(self, frame: Frame, descriptors: Descriptors, lender: Member) -> None:
        """See `Answer`."""
        if descriptors:
            self._client.borrow(self._number, lender, frame.id)
        frame.id = self._number
        self._client.link.send(frame, descriptors)

    def set_result(self, frame: Frame, descriptors: Descriptors, lender: Member) -> None:
        """See `Answer`."""
        number = self._number
        client = self._client
        if descriptors:
            client.borrow(number, lender, frame.id)
        frame.id = number
        client.link.send(frame, descriptors)
        client.answered(number)

    def set_exception(self, error: DispatchError) -> None:
        """See `Answer`."""
        self._client.fail(self._number, error)
        self._client.answered(self._number)


def _error(number: int, told: Mapping[str, Any]) -> Frame:
    body, *buffers = Serializer().pack(told)
    return Frame(Kind.ERROR, number, body=body, buffers=buffers)


def peer(sock: socket.socket) -> tuple[int, int]:
    """Process and user id at the other end of a unix socket."""
    if sys.platform == "linux":
        pid, uid, _ = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
        return pid, uid
    credentials = sock.getsockopt(0, _LOCAL_PEERCRED, 8)
    return sock.getsockopt(0, _LOCAL_PEERPID), int.from_bytes(credentials[4:8], sys.byteorder)
