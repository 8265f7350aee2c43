"""A task worker as the dispatcher knows it: its queue, what it runs, and the socket to it."""

import asyncio
from collections.abc import Collection, Iterator
from itertools import islice

from msgspec import Struct

from unicorn_core.dispatch.dispatcher.calls import Call
from unicorn_core.dispatch.dispatcher.queues import WorkerQueue
from unicorn_core.dispatch.rules.order import Order
from unicorn_core.dispatch.wire import flow
from unicorn_core.dispatch.wire.link import Link
from unicorn_core.worker.messages import AppTraits

ATTEMPTS = 2
"""How often an action with `retry_on_crash` is run at most."""


class Consumer(Struct, eq=False):
    """Takes calls from the queue of one task worker, one after another.

    Attributes:
        given: how many of its calls the worker has.
        action: app and action of the last one.
        since: when it gave the first of those that the worker has had since it had none.
        room: what it waits for while it may give no more.
    """

    given: int = 0
    action: tuple[str, str] = ("", "")
    since: float = 0.0
    room: asyncio.Future[None] | None = None

    def done(self) -> None:
        """A call of its has ended."""
        self.given -= 1
        self.go_on()

    def go_on(self) -> None:
        """Perhaps it may give more."""
        if self.room is not None and not self.room.done():
            self.room.set_result(None)


class Tally(Struct):
    """How calls ended.

    Attributes:
        done: with what the action gave.
        failed: with an error from the task worker.
        timed_out: they ran for too long, or beyond their deadline.
        expired: they waited until their deadline.
        crashed: their task worker ended.
    """

    done: int = 0
    failed: int = 0
    timed_out: int = 0
    expired: int = 0
    crashed: int = 0


class Member:
    """One task worker.

    Attributes:
        number: what the pool calls it.
        slot: which it occupies.
        threads: how many calls it runs at a time.
        traits: the apps that it holds, or will hold; None as long as nobody knows.
        link: the socket to it; None until it has apps.
        queue: what waits for it.
        consumers: who takes from the queue.
        tasks: the tasks in which they do.
        given: what it has been given and not answered, in that order, by number.
        sent: how many calls it has been given in all.
        load: how many calls it has, waiting and given.
        ready: it takes calls.
        leaving: it gets no more calls.
        tally: how its calls ended.
    """

    def __init__(self, number: int, slot: int, threads: int) -> None:
        self.number = number
        self.slot = slot
        self.threads = threads
        self.traits: dict[str, AppTraits] | None = None
        self.link: Link | None = None
        self.queue = WorkerQueue()
        self.consumers: list[Consumer] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.given: dict[int, Call] = {}
        self.sent = 0
        self.load = 0
        self.ready = False
        self.leaving = False
        self.tally = Tally()

    def __repr__(self) -> str:
        return f"<task worker {self.number}>"

    @property
    def waiting(self) -> Order[Call]:
        """What is in the queue."""
        return self.queue.order

    @property
    def apps(self) -> Collection[str]:
        """The apps that it holds."""
        return self.traits or ()

    @property
    def saturated(self) -> bool:
        """It could begin no further call now."""
        return len(self.given) >= self.threads

    def enqueue(self, call: Call, now: float) -> None:
        """Let a call wait here; a consumer that still gathers calls of this action takes it past the others."""
        self.load += 1
        call.member = self
        self.queue.put_nowait((call, call.answer))
        for consumer in self.consumers:
            if consumer.action == call.key and consumer.room and self.gathers(consumer, now):
                consumer.go_on()

    def has_room(self, consumer: Consumer, call: Call) -> bool:
        """This call is not one too many beside those that the consumer gave, nor behind a list of another action."""
        size = self.list_size(consumer.action)
        return consumer.given < (size or 2) and (not size or consumer.action == call.key)

    def list_size(self, action: tuple[str, str]) -> int:
        """How many calls of an action run as one list at most; 0 if they do not."""
        traits = self.traits.get(action[0]) if self.traits else None
        return traits.batches.get(action[1], 0) if traits else 0

    def gathers(self, consumer: Consumer, now: float) -> bool:
        """Further calls could join the list that is gathered from what this consumer gave."""
        app, action = consumer.action
        size = self.list_size(consumer.action)
        if consumer.given >= size or not self.traits:
            return False
        return now < consumer.since + self.traits[app].waits.get(action, 0.0)

    def may_hold(self, app: str) -> bool:
        """It holds the app, or perhaps will."""
        return self.traits is None or app in self.traits

    def unqueue(self, call: Call) -> bool:
        """Take a call out of the queue; False if it is not there."""
        if not self.waiting.remove(call):
            return False
        self.load -= 1
        return True

    def is_lenient(self, call: Call) -> bool:
        """The app of this call wants its long runs left alone."""
        return bool(self.traits and call.app in self.traits and self.traits[call.app].lenient)

    def may_retry(self, call: Call) -> bool:
        """It has died while it ran this call, which may run once more: nothing came of it yet."""
        call.crashes += 1
        traits = self.traits.get(call.app) if self.traits else None
        untouched = call.credit == flow.WINDOW
        return bool(traits and call.action in traits.retries and call.crashes < ATTEMPTS and untouched)

    def finish_if_empty(self) -> None:
        """One that leaves has no more calls: it may end."""
        if not self.given and self.link is not None:
            self.link.finish()

    def running(self) -> Iterator[Call]:
        """Those of the given calls that run; the others are there ahead of their time."""
        return islice(self.given.values(), self.threads)

    def begins(self, now: float) -> None:
        """One of its calls has ended: another one that it had already may have begun."""
        if len(self.given) >= self.threads:
            call = next(islice(self.given.values(), self.threads - 1, None))
            if not call.begun_at:
                call.begun_at = now
