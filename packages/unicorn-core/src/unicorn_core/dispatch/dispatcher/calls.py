"""A call on its way through the dispatcher, and what takes its answer."""

import asyncio
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from unicorn_core.dispatch.errors import DispatchError
from unicorn_core.dispatch.wire import shared
from unicorn_core.dispatch.wire.frames import Flag, Frame
from unicorn_core.dispatch.wire.shared import Descriptors

if TYPE_CHECKING:
    from unicorn_core.dispatch.dispatcher.member import Consumer, Member


_STREAM = int(Flag.STREAM)  # the operators of flags are slow


class Answer(Protocol):
    """A small future: where the answer to a call goes, at once.

    Either of the last two is called once at the end. All may be called for a caller that is gone.
    """

    def item(self, frame: Frame, descriptors: Descriptors, lender: "Member") -> None:
        """One value of a stream, and the task worker to which the shared memory belongs that comes with it."""

    def set_result(self, frame: Frame, descriptors: Descriptors, lender: "Member") -> None:
        """The last frame from the task worker: a result, the end of a stream, or an error."""

    def set_exception(self, error: DispatchError) -> None:
        """There is no answer from a task worker, and why."""


class Call(Struct, eq=False):
    """One request.

    Attributes:
        frame: as it came; its id becomes `number` when it goes to a task worker.
        descriptors: of the shared memory that belongs to it; open until the call has ended.
        app: the app it is for.
        action: the action of that.
        priority: larger is sooner.
        arrived: when it came, by the monotonic clock, as all times here.
        answer: where its answer goes; None once that is settled.
        member: the task worker that has it, or in whose queue it waits.
        caller: the task worker whose task makes it, if one does.
        consumer: which of the consumers of that worker's queue has given it to the worker.
        number: its id on the way to and from the worker; 0 while it waits.
        place: it is the how manieth call that this worker was given.
        given_at: when it was given to the worker.
        begun_at: since when it runs, as far as can be told from here; 0 if it does not.
        credit: of a stream: how much may come before the caller must have taken some.
        crashes: how many workers have ended while they ran it.
    """

    frame: Frame
    descriptors: Descriptors
    app: str
    action: str
    priority: int
    arrived: float
    answer: Answer | None
    member: "Member | None" = None
    caller: "Member | None" = None
    consumer: "Consumer | None" = None
    number: int = 0
    place: int = 0
    given_at: float = 0.0
    begun_at: float = 0.0
    credit: int = 0
    crashes: int = 0

    @property
    def key(self) -> tuple[str, str]:
        """Its app and action."""
        return self.app, self.action

    @property
    def streams(self) -> bool:
        """The caller wants a stream."""
        return self.frame.flags & _STREAM != 0

    @property
    def paused(self) -> bool:
        """It is a stream that may not go on until the caller has taken something."""
        return self.streams and self.credit <= 0

    @property
    def deadline(self) -> float:
        """When the caller gives up; 0 if never."""
        return self.frame.deadline

    def fail(self, error: DispatchError) -> None:
        """Tell the caller that there will be no answer, unless that is settled."""
        answer, self.answer = self.answer, None
        if answer is not None:
            error.app, error.action = error.app or self.app, error.action or self.action
            answer.set_exception(error)


class FutureAnswer:
    """The answer to a caller in this process: a future that it awaits."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.future: asyncio.Future[Frame] = loop.create_future()

    def item(self, frame: Frame, descriptors: Descriptors, lender: "Member") -> None:
        """Nobody in this process asks for streams."""
        shared.close(descriptors)

    def set_result(self, frame: Frame, descriptors: Descriptors, lender: "Member") -> None:
        """See `Answer`."""
        shared.close(descriptors)
        if not self.future.done():
            self.future.set_result(frame)

    def set_exception(self, error: DispatchError) -> None:
        """See `Answer`."""
        if not self.future.done():
            self.future.set_exception(error)
