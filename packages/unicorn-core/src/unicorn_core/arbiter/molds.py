"""Molds as the arbiter knows them: one a generation with preload_app."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Sequence
from functools import partial

from msgspec import Struct, field

from unicorn_core.arbiter.forking import Forking
from unicorn_core.arbiter.generation import Generation
from unicorn_core.arbiter.handle import Handle, exit_in_words
from unicorn_core.supervise.messages import BootFailure
from unicorn_core.worker import channel, reaper
from unicorn_core.worker.messages import BootFailed, Fork, Molded, Reaped
from unicorn_core.worker.mold import Casting, live
from unicorn_core.worker.scoreboard import nameless_file

LOOK = 0.01
PATIENCE = 1.0
"""Seconds that a mold has for leaving."""


class Order(Struct, eq=False):
    """A worker to be forked. `theirs` is a copy of its end of its channel, to be closed once it is sent."""

    handle: Handle
    theirs: int


class Mold(Struct, eq=False):
    """One mold process.

    Attributes:
        ready: it has imported the application.
        failure: why it cannot.
        waiting: workers that wait for that.
        unborn: workers that it has been asked for and that have not shown up yet.
        dismissed: no further worker is wanted of it.
        kill_at: when it must have ended.
    """

    generation: int
    pid: int
    channel: channel.Channel
    stacks: int
    ready: bool = False
    failure: BootFailure | None = None
    waiting: list[Order] = field(default_factory=list)
    unborn: list[Handle] = field(default_factory=list)
    dismissed: bool = False
    kill_at: float | None = None

    def dismiss(self, number: int = signal.SIGTERM) -> None:
        """No worker is wanted of it any more; it must end soon, whatever its application does with signals."""
        if not self.dismissed or number == signal.SIGKILL:
            self.signal(number)
        if not self.dismissed:
            self.dismissed = True
            self.kill_at = time.monotonic() + PATIENCE

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)


class Molds(Struct, eq=False):
    """All molds.

    Attributes:
        adopts: orphans become the arbiter's children.
        watch: called with a new mold, whose channel is to be listened to.
    """

    forking: Forking
    adopts: bool
    watch: Callable[[Mold], None]
    all: list[Mold] = field(default_factory=list)

    def order(self, handle: Handle, theirs: channel.Channel, generation: Generation) -> None:
        """Have a worker forked, by a mold that is made first if there is none.

        Raises:
            OSError: there can be no further process.
        """
        number = handle.generation
        mold = next((m for m in self.all if m.generation == number and not m.dismissed and not m.failure), None)
        if mold is None:
            mold = self._make(number, generation, (handle.channel, theirs))
        mold.waiting.append(Order(handle, os.dup(theirs.fileno())))
        if mold.ready:
            self._send_orders(mold)

    def receive(self, mold: Mold) -> list[Reaped]:
        """Read what a mold says; gives the ends of workers that only it could see."""
        reaped: list[Reaped] = []
        for message in mold.channel.receive():
            match message:
                case Molded(unsafe):
                    mold.ready = True
                    if unsafe:
                        self.forking.log.warning("The application may suffer from preload_app: %s", "; ".join(unsafe))
                    self._send_orders(mold)
                case BootFailed(text, details, exit_code):
                    mold.failure = BootFailure(text, details, exit_code)
                case Reaped():
                    reaped.append(message)
        return reaped

    def born(self, handle: Handle) -> None:
        """A worker has shown up."""
        for mold in self.all:
            if handle in mold.unborn:
                mold.unborn.remove(handle)

    def cancel(self, handle: Handle) -> bool:
        """A worker is not wanted any more; False if it has been forked by now, or soon will be."""
        for mold in self.all:
            for order in mold.waiting:
                if order.handle is handle:
                    mold.waiting.remove(order)
                    os.close(order.theirs)
                    if not mold.waiting and not mold.ready:
                        # It imports for too long, or for nobody.
                        mold.dismiss(signal.SIGABRT if handle.aborted else signal.SIGTERM)
                    return True
        return False

    def ended(self, mold: Mold, status: int, wanted: bool) -> list[tuple[Handle, BootFailure]]:
        """A mold has been reaped, of which more workers were `wanted`; gives those that will never be, and why."""
        self.all.remove(mold)
        how = exit_in_words(status)
        failure = mold.failure or BootFailure(f"the mold ended ({how}) before the worker was forked")
        if wanted and not mold.dismissed and not mold.failure:
            self.forking.log.error("Mold (pid:%s) %s; another one is made when a worker is needed", mold.pid, how)
        for order in mold.waiting:
            os.close(order.theirs)
        lost = [order.handle for order in mold.waiting] + mold.unborn
        mold.channel.close()
        os.close(mold.stacks)
        return [(handle, failure) for handle in lost]

    def kill_for(self, handle: Handle) -> None:
        """A worker must end that its mold has not forked in time: the mold is stuck."""
        for mold in self.all:
            if handle in mold.unborn:
                mold.dismiss(signal.SIGKILL)

    def tick(self, now: float) -> None:
        """Time has passed."""
        for mold in self.all:
            if mold.kill_at is not None and now >= mold.kill_at:
                mold.kill_at = None
                mold.signal(signal.SIGKILL)

    def end(self) -> None:
        """The arbiter ends, and all molds with it, the stuck ones within a second."""
        for mold in self.all:
            mold.dismiss()
        until = time.monotonic() + PATIENCE
        for mold in self.all:
            gone = False
            while not gone and time.monotonic() < until:
                time.sleep(LOOK)
                gone = any(reaper.ended([mold.pid], everybody=False))
            if not gone:
                mold.signal(signal.SIGKILL)

    def keep_only(self, generations: set[int]) -> None:
        """Let the molds of other generations go."""
        for mold in self.all:
            if mold.generation not in generations and not mold.dismissed:
                mold.dismiss()

    def signal(self, number: int) -> None:
        """To all molds."""
        for mold in self.all:
            mold.signal(number)

    def forget(self) -> None:
        """In a child: close what is the arbiter's."""
        for mold in self.all:
            mold.channel.close()

    def _make(self, number: int, generation: Generation, not_its_own: Sequence[channel.Channel]) -> Mold:
        stacks = nameless_file("unicorn stacks", generation.settings.worker_tmp_dir)
        ours, theirs = channel.pair()
        row = self.forking.scoreboard.take()
        prototype = self.forking.context(
            generation, number=0, slot=0, counted=number, listeners=(), row=row, channel=theirs, stacks=stacks
        )
        run = partial(live, Casting(generation.worker_class, prototype, self.adopts))
        try:
            pid = self.forking.fork(run, (), [ours, *not_its_own])
        except OSError:
            ours.close()
            os.close(stacks)
            raise
        finally:
            theirs.close()
            self.forking.scoreboard.give_back(row)
        mold = Mold(number, pid, ours, stacks)
        self.all.append(mold)
        self.watch(mold)
        return mold

    @staticmethod
    def _send_orders(mold: Mold) -> None:
        for order in mold.waiting:
            handle = order.handle
            row = handle.row
            descriptors = [order.theirs, row.segment.fd, handle.stacks]
            descriptors += [listener.socket.fileno() for listener in handle.listeners]
            message = Fork(handle.number, handle.slot, row.index, len(descriptors))
            mold.channel.send(message, descriptors)
            os.close(order.theirs)
            mold.unborn.append(handle)
        mold.waiting.clear()
