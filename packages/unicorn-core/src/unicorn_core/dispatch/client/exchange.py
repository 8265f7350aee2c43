"""What a client and the dispatcher say to each other, the same for blocking clients and for those of asyncio."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from unicorn_core.dispatch.errors import DispatchError, PayloadTooLarge, ProtocolError, TaskTimeout
from unicorn_core.dispatch.wire import shared
from unicorn_core.dispatch.wire.frames import Buffer, Flag, Frame, Kind, Shared, check, route
from unicorn_core.dispatch.wire.serialization import Serializer
from unicorn_core.dispatch.wire.shared import Descriptors
from unicorn_core.dispatch.wire.slabs import Slab, Slabs

GRACE = 1.0
"""Seconds after a deadline in which the dispatcher's word is awaited: it knows whether the task has begun."""
HELLO = 30.0
"""Seconds that a dispatcher may take for greeting a client that does not say how long it would wait."""


class Options(Struct, frozen=True):
    """How calls are made.

    Attributes:
        timeout: seconds until the answer must be there; None: dispatch_timeout, or for a stream no limit; 0: no limit.
        priority: -100 to 100; larger is sooner.
        idle_timeout: seconds that a stream may take for its next value; None: dispatch_timeout; 0: no limit.
    """

    timeout: float | None = None
    priority: int = 0
    idle_timeout: float | None = None


class Invocation(Struct, frozen=True):
    """A call of an action, as a user has written it."""

    app: str
    action: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    options: Options

    def late(self, timeout: float, what: str = "no answer") -> TaskTimeout:
        """The error if the dispatcher does not even say that it is too late."""
        return TaskTimeout(f"{what} within {timeout:g} s", timeout, app=self.app, action=self.action)


class Terms(Struct, frozen=True):
    """What the dispatcher tells a client that has connected.

    Attributes:
        timeout: the setting dispatch_timeout, in seconds; 0: no limit.
        limit: bytes that a frame may have.
        serializer: "msgpack" or "pickle".
    """

    timeout: float
    limit: int
    serializer: str

    @classmethod
    def read(cls, frame: Frame) -> "Terms":
        """From the first frame on a connection. Raises ProtocolError."""
        told = Serializer().unpack(frame.body) if frame.kind == Kind.EVENT else None
        match told:
            case {"timeout": float(timeout), "limit": int(limit), "serializer": str(serializer)}:
                return cls(timeout, limit, serializer)
        raise ProtocolError("whoever listens there is no dispatcher")


class Exchange:
    """Turns calls into frames and frames into values, on the terms of one connection.

    Args:
        slabs: of this process.

    Attributes:
        terms: what the dispatcher said.
    """

    def __init__(self, terms: Terms, slabs: Slabs) -> None:
        self.terms = terms
        self._slabs = slabs
        self._lent: dict[int, list[Slab]] = {}
        self._serializer = Serializer(terms.serializer == "pickle")

    def request(self, number: int, call: Invocation, timeout: float, *, stream: bool) -> tuple[Frame, Descriptors]:
        """The frame of a call, and what travels along.

        Raises:
            DispatchError: it cannot be made.
        """
        app, action = call.app, call.action
        try:
            named = route(app, action)
            body, *buffers = self._serializer.pack_call(call.args, call.kwargs)
            placed, descriptors = self._lend(number, buffers) if buffers else ((), ())
            frame = Frame(
                Kind.REQUEST,
                number,
                named,
                body,
                placed,
                time.monotonic() + timeout if timeout else 0.0,
                call.options.priority,
                Flag.STREAM if stream else 0,
            )
            return self._checked(frame, descriptors), descriptors
        except DispatchError as error:
            error.app, error.action = app, action
            raise

    def plain(self, kind: Kind, number: int, value: Any) -> tuple[Frame, Descriptors]:
        """The frame of a command, or of an operation on the stash, and what travels along."""
        body, *buffers = self._serializer.pack(value)
        placed, descriptors = self._lend(number, buffers) if buffers else ((), ())
        return self._checked(Frame(kind, number, body=body, buffers=placed), descriptors), descriptors

    def settle(self, number: int, *, answered: bool) -> None:
        """A request is done with. Unless its action has `answered`, somebody may still read what belongs to it."""
        slabs = self._lent.pop(number, None)
        if slabs and answered:
            self._slabs.take_back(slabs)

    def close(self) -> None:
        """The connection has ended."""
        self._lent.clear()

    def value(self, frame: Frame, descriptors: Descriptors) -> Any:
        """What a frame holds.

        Raises:
            DispatchError: it says so, or is malformed.
        """
        if self._lent and frame.kind != Kind.ITEM:
            self.settle(frame.id, answered=frame.kind == Kind.RESULT)
        buffers = shared.fetch(frame.buffers, descriptors) if frame.buffers else ()
        value = self._serializer.unpack(frame.body, buffers)
        if frame.kind == Kind.ERROR:
            if not isinstance(value, Mapping):
                raise ProtocolError("what describes an error is malformed")
            raise DispatchError.from_dict(value)
        return value

    def _lend(self, number: int, buffers: Sequence[Buffer]) -> tuple[list[Buffer | Shared], list[int]]:
        placed, descriptors, slabs = self._slabs.lend(buffers)
        if slabs:
            self._lent[number] = slabs
        return placed, descriptors

    def _checked(self, frame: Frame, descriptors: Descriptors) -> Frame:
        try:
            check(frame, self.terms.limit)
        except PayloadTooLarge:
            shared.close(descriptors)
            self.settle(frame.id, answered=True)  # nobody has seen it
            raise
        return frame
