"""Carries out what a pool decides, and tells it what became of its workers.

The pool counts workers, this knows their processes: it spawns them, listens to their channels, signals them, and
explains their ends. Whoever runs a pool, its owner (the arbiter, for the web workers and for the dispatcher; the
dispatcher, for its task workers), watches the channels and the clock.
"""

import signal
import time
from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial

from unicorn_core.arbiter.births import Births
from unicorn_core.arbiter.endings import busy_with, explain
from unicorn_core.arbiter.generation import Generation
from unicorn_core.arbiter.handle import Handle, exit_in_words
from unicorn_core.arbiter.memory import resident
from unicorn_core.arbiter.molds import Mold
from unicorn_core.arbiter.watch import Watch
from unicorn_core.errors import ExitCode, UnicornError
from unicorn_core.listen.listener import Listener
from unicorn_core.observe.logs import Logger
from unicorn_core.supervise import messages
from unicorn_core.supervise.pool import Pool
from unicorn_core.worker import channel, stacks
from unicorn_core.worker.messages import BootFailed, Born, Drain, LameDuck, Message, Ready, Recycle

_NONSENSE = "sent nonsense"


class Owner:
    """Who runs a pool: what its driver asks and tells. By default nothing is known and nothing done."""

    def listeners(self, slot: int, generation: Generation) -> Sequence[Listener]:
        """Where the workers of a slot accept in this generation; may raise ListenError."""
        return ()

    def before_drains(self) -> None:
        """Workers will be drained: what they shall empty must not fill again."""

    def decided(self, action: messages.Action) -> None:
        """What the pool decides about itself, not about one worker."""

    def spawned(self, handle: Handle) -> None:
        """A worker's process exists, or has been ordered."""

    def received(self, handle: Handle, message: Message) -> None:
        """A worker sent a message that is not about its supervision."""

    def ready(self, handle: Handle) -> None:
        """A worker serves."""

    def drained(self, handle: Handle) -> None:
        """A worker has been asked to finish what it has."""

    def gone(self, handle: Handle, how: str) -> None:
        """A worker's process has ended, and `how`; what it left behind can still be read."""


class Driver:
    """See the module.

    Args:
        watch: watches the channels.
        generations: by their number.
    """

    def __init__(
        self,
        pool: Pool,
        births: Births,
        watch: Watch,
        log: Logger,
        generations: Mapping[int, Generation],
        owner: Owner,
    ) -> None:
        self.pool = pool
        self.handles: dict[int, Handle] = {}
        self._births = births
        self._watch = watch
        self._log = log
        self._generations = generations
        self._owner = owner
        self._told_failure: messages.BootFailure | None = None
        self._actions: deque[messages.Action] = deque()
        self._performing = False

    # Carrying out

    def perform(self, actions: Sequence[messages.Action]) -> None:
        """Do what the pool asks for, in order."""
        if any(isinstance(action, messages.Drain) for action in actions):
            self._owner.before_drains()
        self._actions.extend(actions)
        if self._performing:
            return  # what is being carried out has led to this: its rest comes first
        self._performing = True
        try:
            while self._actions:
                self._carry_out(self._actions.popleft())
        finally:
            self._performing = False

    def _carry_out(self, action: messages.Action) -> None:
        match action:
            case messages.Spawn():
                self._spawn(action)
            case messages.LameDuck(worker):
                if handle := self.handles.get(worker):
                    handle.channel.send(LameDuck())
            case messages.Drain(worker):
                self._drain(worker)
            case messages.Quit(worker):
                self._end(worker, signal.SIGQUIT, "asked to quit")
            case messages.Abort(worker, silent_for):
                self._abort(worker, silent_for)
            case messages.Kill(worker):
                handle = self.handles.get(worker)
                if handle and not handle.aborted:
                    self._log.error("%s did not leave in time and is killed", handle.name)
                self._end(worker, signal.SIGKILL, "did not leave in time")
            case messages.Recycling(worker, reason):
                if handle := self.handles.get(worker):
                    self._log.info("%s will be replaced: %s", handle.name, reason)
            case messages.BackingOff():
                self._tell_back_off(action)
            case _:
                self._owner.decided(action)

    def tell_failure(self, failure: messages.BootFailure) -> None:
        """Why a worker cannot boot; the same traceback is shown once."""
        if failure.details and failure != self._told_failure:
            self._log.error("The application raised:\n%s", failure.details.rstrip())
        self._told_failure = failure
        self._log.error("%s", failure.message)

    def signal(self, number: int) -> None:
        """Send a signal to every worker."""
        for handle in self.handles.values():
            handle.signal(number)

    def _spawn(self, order: messages.Spawn) -> None:
        generation = self._generations[order.generation]
        try:
            handle = self._births.bear(order, generation, self._owner.listeners(order.slot, generation))
        except (OSError, UnicornError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            failure = messages.BootFailure(f"cannot make a worker: {why}", exit_code=ExitCode.FAILED)
            self.perform(self.pool.boot_failed(order.worker, failure))
            self.perform(self.pool.exited(order.worker, "was never made", time.monotonic()))
            return
        self.handles[order.worker] = handle
        self._watch.watch(handle.channel, partial(self.listen, handle))
        if handle.pid:
            self._births.forking.server.WORKERS[handle.pid] = handle.view
        self._owner.spawned(handle)

    def _drain(self, worker: int) -> None:
        """A worker that boots listens to signals only; it may be ready by now, and decides what SIGTERM means."""
        if handle := self.handles.get(worker):
            handle.ended_by = "drained"
            ends = any(listener.ends for listener in handle.listeners)
            if not (handle.ready and handle.channel.send(Drain(ends))):
                self._signal_or_cancel(handle, signal.SIGTERM)
            self._owner.drained(handle)

    def _end(self, worker: int, number: int, why: str) -> None:
        if handle := self.handles.get(worker):
            handle.ended_by = why
            self._signal_or_cancel(handle, number)

    def _abort(self, worker: int, silent_for: float) -> None:
        handle = self.handles.get(worker)
        if handle is None:
            return
        handle.aborted = handle.view.aborted = True
        handle.ended_by = "timeout"
        if handle.pid:
            self._log.critical("WORKER TIMEOUT (pid:%s)", handle.pid)
        if handle.ready and self.pool.limits.silence:
            busy = busy_with(handle)
            told = f"; {busy}" if busy else ""
            self._log.error("%s was silent for %.1f s%s", handle.name, silent_for, told)
        handle.signal(stacks.SIGNAL)
        self._signal_or_cancel(handle, signal.SIGABRT)

    def _signal_or_cancel(self, handle: Handle, number: int) -> None:
        """A worker that a mold has not forked yet needs no signal."""
        if handle.pid:
            handle.signal(number)
        elif self._births.molds.cancel(handle):
            self._gone(handle, "was not needed any more")
        else:
            handle.owed = number
            if number == signal.SIGKILL:
                self._births.molds.kill_for(handle)

    # Listening

    def listen(self, handle: Handle) -> None:
        """Read a worker's control channel."""
        if handle.number not in self.handles or handle.ended_by == _NONSENSE:
            return
        try:
            received = handle.channel.receive()
        except channel.ChannelError as error:
            self._log.error("%s sent nonsense on its control channel: %s", handle.name, error)
            self._watch.unwatch(handle.channel)
            self._end(handle.number, signal.SIGKILL, _NONSENSE)
            return
        for message in received:
            match message:
                case Born(pid):
                    self._born(handle, pid)
                case Ready():
                    self._ready(handle)
                case BootFailed(text, details, exit_code):
                    handle.told = True
                    failure = messages.BootFailure(text, details, exit_code)
                    self.perform(self.pool.boot_failed(handle.number, failure))
                case Recycle(reason):
                    handle.leaves = True
                    self.perform(self.pool.recycle(handle.number, reason, time.monotonic()))
                case _:
                    self._owner.received(handle, message)
        if handle.channel.closed:
            self._watch.unwatch(handle.channel)
            if not handle.pid:
                self._gone(handle, "ended with its mold")

    def listen_to_mold(self, mold: Mold) -> None:
        """Read a mold's channel."""
        if mold not in self._births.molds.all:
            return
        try:
            ends = self._births.molds.receive(mold)
        except channel.ChannelError as error:
            self._log.error("Mold (pid:%s) sent nonsense on its control channel: %s", mold.pid, error)
            self._watch.unwatch(mold.channel)
            mold.signal(signal.SIGKILL)
            return
        for end in ends:
            self.reaped(end.pid, end.status)
        if mold.channel.closed:
            self._watch.unwatch(mold.channel)

    def _born(self, handle: Handle, pid: int) -> None:
        handle.born(pid)
        self._births.molds.born(handle)
        self._births.forking.server.WORKERS[pid] = handle.view
        if handle.owed:
            handle.signal(handle.owed)

    def _ready(self, handle: Handle) -> None:
        self._log.debug("%s ready (pid: %s)", handle.role, handle.pid)
        handle.ready = handle.view.booted = True
        self._told_failure = None
        if handle.ended_by:
            self._drain(handle.number)  # the application may have taken the signal that told it so
        self._owner.ready(handle)
        self.perform(self.pool.ready(handle.number, time.monotonic()))

    # Ends

    @property
    def pids(self) -> list[int]:
        """Of all processes that this has made and that were not reaped yet."""
        workers = [handle.pid for handle in self.handles.values() if handle.pid]
        return workers + [mold.pid for mold in self._births.molds.all]

    def reaped(self, pid: int, status: int) -> bool:
        """A process has ended; False if it was none of these."""
        if any(not handle.pid for handle in self.handles.values()):
            # It may be one whose birth has not been read yet.
            for handle in list(self.handles.values()):
                self.listen(handle)
        for mold in self._births.molds.all:
            if mold.pid == pid:
                self.listen_to_mold(mold)
                self._watch.unwatch(mold.channel)
                for handle, failure in self._births.molds.ended(mold, status, not self.pool.stopping):
                    self.perform(self.pool.boot_failed(handle.number, failure))
                    self._gone(handle, "was never forked")
                return True
        ended = next((handle for handle in self.handles.values() if handle.pid == pid), None)
        if ended is None:
            return False
        # What the worker said last comes before its end.
        self.listen(ended)
        explain(ended, status, self._log)
        self._gone(ended, exit_in_words(status))
        return True

    def _gone(self, handle: Handle, how: str) -> None:
        if self.handles.pop(handle.number, None) is None:
            return
        self._watch.unwatch(handle.channel)
        server = self._births.forking.server
        server.WORKERS.pop(handle.pid, None)
        handle.view.alive = False
        if handle.pid:
            self._births.forking.hooks(handle.view.cfg).call("child_exit", server, handle.view)
        self._owner.gone(handle, how)
        handle.close()
        self._births.forking.scoreboard.give_back(handle.row)
        self.perform(self.pool.exited(handle.number, how, time.monotonic()))

    # Time

    def tick(self, now: float) -> None:
        """Time has passed."""
        beats = {handle.number: handle.beat for handle in self.handles.values()}
        self.perform(self.pool.tick(now, beats))
        self._births.molds.tick(now)

    def measure(self, now: float) -> None:
        """Look at the memory of the workers, if that is limited."""
        if self.pool.limits.memory:
            for handle in list(self.handles.values()):
                if handle.ready:
                    self.perform(self.pool.measured(handle.number, resident(handle.pid), now))

    def _tell_back_off(self, told: messages.BackingOff) -> None:
        if told.failure and told.failure != self._told_failure:
            self.tell_failure(told.failure)
        why = told.failure.message if told.failure else "its workers ended soon after they were ready"
        self._log.error("Slot %s: %s times in a row: %s; next try in %.1f s", told.slot, told.failures, why, told.delay)

    def forget(self) -> None:
        """In a child: close what is the arbiter's alone."""
        for handle in self.handles.values():
            handle.close()
        self._births.molds.forget()
