"""The task workers and who looks after them: the pool of `unicorn_core.supervise`, driven as the arbiter's is.

What is special here: which apps a slot holds, and the socket to each task worker. A worker that boots is told which
apps to import, tells what their classes say, and gets its apps (`assignment`) together with its end of that socket.
"""

import asyncio
import signal
import socket
import time
from collections.abc import Callable, Sequence
from functools import partial

from unicorn_core.arbiter.births import Births
from unicorn_core.arbiter.driver import Driver, Owner
from unicorn_core.arbiter.forking import Forking
from unicorn_core.arbiter.handle import Handle
from unicorn_core.arbiter.molds import Molds
from unicorn_core.dispatch.dispatcher.generation import TaskGeneration
from unicorn_core.dispatch.dispatcher.member import Member
from unicorn_core.dispatch.dispatcher.router import Router
from unicorn_core.dispatch.errors import ProtocolError
from unicorn_core.dispatch.rules.assignment import assign, least
from unicorn_core.dispatch.rules.placement import Routing
from unicorn_core.dispatch.wire.link import Link
from unicorn_core.hooks import Hooks, ServerView
from unicorn_core.listen.listener import Listener
from unicorn_core.observe.logs import Logger
from unicorn_core.settings.registry import Settings
from unicorn_core.supervise import messages
from unicorn_core.supervise.pool import Pool
from unicorn_core.worker import child, reaper
from unicorn_core.worker.channel import Channel
from unicorn_core.worker.messages import AppTraits, Assign, Changed, Import, Imported, Message
from unicorn_core.worker.scoreboard import PASSED_OVER, REQUESTS, Scoreboard

PATIENCE = 2.0
"""Seconds that the process of a task worker may outlive its socket."""
HOOKS = {"post_worker_init": "dispatch_worker_init", "child_exit": "dispatch_worker_exit"}
"""Which of the user's hooks stand for which event in a task worker's life."""


class DispatcherView(ServerView):
    """The dispatcher as hooks see it."""

    @property
    def workers(self) -> dict[int, object]:
        """The task workers whose processes have not ended, by their pid."""
        return dict(self.WORKERS)


class Crew(Owner):
    """See the module.

    Args:
        in_child: called in each new task worker: closes what is the dispatcher's alone.
        on_stash: called with the names of tables that an app wants.
        on_decided: called with what the pool decides about itself.
        on_changed: called when files of an app have changed (setting reload).

    Attributes:
        pool: the state of all task workers.
        driver: carries out what the pool decides.
    """

    def __init__(
        self,
        settings: Settings,
        log: Logger,
        loop: asyncio.AbstractEventLoop,
        router: Router,
        in_child: Callable[[], None],
        on_stash: Callable[[str], None],
        on_decided: Callable[[messages.Action], None],
        on_changed: Callable[[Changed], object],
    ) -> None:
        self.settings = settings
        self._log = log
        self._loop = loop
        self._router = router
        self._in_child = in_child
        self._on_stash = on_stash
        self._on_decided = on_decided
        self._on_changed = on_changed
        first = TaskGeneration.of_tasks(settings)
        self._generations: dict[int, TaskGeneration] = {1: first}
        self._assigned: dict[int, list[tuple[str, ...]]] = {}
        self._traits: dict[int, dict[str, AppTraits]] = {}
        self.pool = Pool(first.size, first.limits)
        self.view = DispatcherView(log, lambda: self.settings, lambda: self.pool.size)
        forking = Forking(log, self.view, Scoreboard(), self._leave_to_child, child.signals_blocked, HOOKS)
        self.driver = Driver(
            self.pool, Births(forking, Molds(forking, False, lambda mold: None)), self, log, self._generations, self
        )
        self._timer: asyncio.TimerHandle | None = None
        self._apply(first)

    # What is asked of it

    def start(self) -> None:
        """Start the task workers."""
        self.driver.perform(self.pool.start(time.monotonic()))
        self._look_after()

    def reload(self, settings: Settings) -> None:
        """Replace all task workers by new ones with these settings."""
        generation = TaskGeneration.of_tasks(settings)
        actions = self.pool.reload(generation.plan, time.monotonic())
        if self.pool.rollout:
            number = self.pool.rollout.generation
            self._generations[number] = generation
            self._log.info("Reloading the task workers: generation %s boots", number)
            self._router.roster.apps |= generation.paths
        self.driver.perform(actions)
        self._look_after()

    def resize(self, size: int) -> int:
        """Have so many task workers, as far as the apps permit; gives how many that is."""
        number = self.pool.generation
        held = self._assigned.get(number)
        if held is None or self.pool.rollout:
            self._log.warning("The number of task workers stays: they are just being replaced, or boot")
            return self.pool.size
        limits = self._limits(number)
        size = max(size, least(held, limits))
        if size > len(held):
            held[:] = assign(limits, size, held)
            size = len(held)
        if size == self.pool.size:
            self._log.warning("The number of task workers stays %s: the apps need so many, and no more", size)
        self.driver.perform(self.pool.resize(size, time.monotonic()))
        self._look_after()
        return self.pool.size

    def replace(self, number: int, why: str) -> None:
        """Have a successor for a task worker."""
        self.driver.perform(self.pool.recycle(number, why, time.monotonic()))
        self._look_after()

    def abort(self, number: int, stuck_for: float) -> None:
        """End a task worker that is stuck, telling where."""
        self.driver.perform(self.pool.abort(number, stuck_for, time.monotonic()))
        self._look_after()

    def stop(self, graceful: bool) -> None:
        """End all task workers."""
        self.driver.perform(self.pool.stop(time.monotonic(), graceful))
        self._look_after()

    def reap(self) -> None:
        """Collect those whose processes have ended."""
        for pid, status in reaper.ended(self.driver.pids, everybody=False):
            self.driver.reaped(pid, status)
        self._look_after()

    def signal(self, number: int) -> None:
        """Send a signal to all of them."""
        self.driver.signal(number)

    # Watching channels, for the driver

    def watch(self, channel: Channel, callback: Callable[[], None]) -> None:
        """Call it when the channel can be read."""

        def heard() -> None:
            callback()
            self._look_after()

        self._loop.add_reader(channel.fileno(), heard)

    def unwatch(self, channel: Channel) -> None:
        """Do so no more."""
        self._loop.remove_reader(channel.fileno())

    # What the driver tells

    def decided(self, action: messages.Action) -> None:
        """The pool has decided something about itself."""
        match action:
            case messages.Reloaded(number):
                generation = self._generations[number]
                self.settings = generation.settings
                self._keep_only(number)
                self._apply(generation)
                self._log.info("Reloaded the task workers: generation %s serves with %s", number, self.pool.size)
            case messages.Complete(number, size):
                self._keep_only(number)
                self._log.info("Task workers ready: %s", size)
            case messages.RolledBack(number, failure):
                self.driver.tell_failure(failure)
                self._log.error("Reload of the task workers failed: generation %s is withdrawn", number)
                for known in (self._generations, self._assigned, self._traits):
                    known.pop(number, None)
                self._router.configure(self._generations[self.pool.generation].paths)
        self._on_decided(action)

    def spawned(self, handle: Handle) -> None:
        """A task worker's process exists."""
        member = Member(handle.number, handle.slot, self._generations[handle.generation].threads)
        self._router.roster.boots(member)
        known = self._assigned.get(handle.generation)
        apps = self._generations[handle.generation].paths if known is None else self._held(known, handle.slot)
        handle.channel.send(Import(tuple(apps)))
        Hooks(self.settings, self._log).call("dispatch_post_fork", self.view, handle.view)

    def received(self, handle: Handle, message: Message) -> None:
        """A task worker has imported its apps."""
        if isinstance(message, Changed):
            self._on_changed(message)
        elif isinstance(message, Imported):
            number = handle.generation
            generation = self._generations.get(number)
            if generation is None:
                return
            if number not in self._assigned:
                self._traits[number] = dict(message.apps)
                self._assigned[number] = assign(self._limits(number), generation.size)
            try:
                self._assign(handle, message.apps)
            except OSError as error:
                self._log.error("%s cannot be connected and is killed: %s", handle.name, error.strerror)
                handle.ended_by = "could not be connected"
                handle.signal(signal.SIGKILL)
                return
            if number == self.pool.generation and len(self._assigned[number]) < self.pool.size:
                self.driver.perform(self.pool.resize(len(self._assigned[number]), time.monotonic()))

    def ready(self, handle: Handle) -> None:
        """A task worker takes calls."""
        if member := self._router.roster.members.get(handle.number):
            self._router.ready(member)

    def drained(self, handle: Handle) -> None:
        """A task worker gets no more calls."""
        if member := self._router.roster.members.get(handle.number):
            self._router.retire(member)

    def gone(self, handle: Handle, how: str) -> None:
        """A task worker's process has ended."""
        member = self._router.roster.members.get(handle.number)
        if member is None:
            return
        if member.link is not None:
            # Answers that it still gave count.
            member.link.read_out()
        begun, passed = int(handle.row.cells[REQUESTS]), int(handle.row.cells[PASSED_OVER])
        self._router.lose(member, begun, self._cause(handle, how), handle.last_stacks(), passed)
        if member.link is not None:
            member.link.close()

    # Apps

    def _assign(self, handle: Handle, imported: dict[str, AppTraits]) -> None:
        member = self._router.roster.members[handle.number]
        apps = self._held(self._assigned[handle.generation], handle.slot)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        for name in {table for app in apps if app in imported for table in imported[app].stashes}:
            self._on_stash(name)
        limit = self.settings.dispatch_max_payload
        member.traits = {app: imported[app] for app in apps if app in imported}
        member.link = Link(
            ours, self._loop, limit, partial(self._router.on_frame, member), partial(self._broken, handle), patient=True
        )
        handle.view.apps = list(apps)  # type: ignore[attr-defined]
        handle.channel.send(Assign(tuple(apps)), [theirs.fileno()])
        theirs.close()
        self._router.assigned(member)

    @staticmethod
    def _held(assigned: Sequence[tuple[str, ...]], slot: int) -> tuple[str, ...]:
        return assigned[slot] if slot < len(assigned) else ()

    def _limits(self, number: int) -> dict[str, int | None]:
        """By how many workers each app of a generation shall be held: as the setting says, else as its class does."""
        traits = self._traits.get(number, {})
        return {
            app.path: app.workers or (traits[app.path].workers if app.path in traits else None)
            for app in self._generations[number].apps
        }

    def _apply(self, generation: TaskGeneration) -> None:
        settings, router = generation.settings, self._router
        router.configure(generation.paths)
        router.run_limit = settings.dispatch_timeout
        router.queue_size = settings.dispatch_queue_size
        router.roster.route_by(Routing(settings.dispatch_routing))

    def _keep_only(self, number: int) -> None:
        for known in (self._generations, self._assigned, self._traits):
            for other in [other for other in known if other != number]:
                del known[other]

    # Ends

    def _broken(self, handle: Handle, why: Exception | None) -> None:
        """The socket to a task worker has ended, as it does shortly before the process."""
        if isinstance(why, ProtocolError):
            self._log.error("%s sent nonsense: %s", handle.name, why)
            handle.ended_by = "sent nonsense"
            handle.signal(signal.SIGKILL)
        else:
            self._loop.call_later(PATIENCE, self._end_if_there, handle)

    def _end_if_there(self, handle: Handle) -> None:
        if self.driver.handles.get(handle.number) is handle and not handle.ended_by:
            self._log.error("%s lives on without its socket and is killed", handle.name)
            handle.ended_by = "had no socket"
            handle.signal(signal.SIGKILL)

    @staticmethod
    def _cause(handle: Handle, how: str) -> str:
        if handle.aborted:
            return "was ended because a call had run past dispatch_timeout"
        return how

    # Time

    def _look_after(self) -> None:
        """Come back when the pool has something to do next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self.pool.deadline()
        if due is not None:
            self._timer = self._loop.call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.driver.tick(time.monotonic())
        self._look_after()

    # Forking

    def _leave_to_child(self, listeners: Sequence[Listener]) -> None:
        self.driver.forget()
        for member in self._router.roster.members.values():
            if member.link is not None:
                member.link.forget()
        self._in_child()
