"""Which task worker runs a call, and what becomes of it: queues, consumers, answers. The heart of the dispatcher.

Theory. Each task worker (`Member`) has its own queue and as many consumers as it has threads. `submit` chooses a
worker and puts the call into its queue; a consumer takes it out and gives it to the worker; the worker's answer goes to
the caller from the callback that has read it. Everything happens in one thread, so there are no locks.

- A consumer gives the worker one call at a time, and the next one already while that runs if its action has lately been
  quick: then the worker need not wait for us between two short runs, and nothing waits behind a long one. Calls of a
  batched action follow as long as their list is being gathered.
- A worker with room takes over the oldest call from the fullest queue, and one that becomes ready what waits for
  workers that are not.
- A worker that leaves hands its queue to others that hold the apps; one that has died also what it had not begun.
- A call is counted as long as it waits or runs, and ends once: answered, failed, expired, or given up by its caller.
"""

import asyncio
from collections.abc import Callable, Iterable
from itertools import count

from unicorn_core.dispatch.dispatcher.calls import Call, FutureAnswer
from unicorn_core.dispatch.dispatcher.member import Consumer, Member, Tally
from unicorn_core.dispatch.dispatcher.queues import WorkerQueue
from unicorn_core.dispatch.dispatcher.roster import Roster, alike
from unicorn_core.dispatch.errors import DispatchError, DispatcherUnavailable, QueueFull, TaskTimeout, WorkerCrashed
from unicorn_core.dispatch.rules import places
from unicorn_core.dispatch.rules.histogram import Timings
from unicorn_core.dispatch.rules.placement import Pace
from unicorn_core.dispatch.wire import flow, shared
from unicorn_core.dispatch.wire.frames import Frame, Kind
from unicorn_core.dispatch.wire.shared import Descriptors


class Router:
    """See the module.

    Attributes:
        roster: the task workers.
        queue_size: how many calls may wait for one task worker; 0: no limit.
        run_limit: seconds that a call may run; 0: no limit.
        on_due: told of a time at which some call may have waited or run for too long.
        timings: how long calls waited and ran.
        tallies: how calls ended, by app.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, roster: Roster, queue_size: int = 0) -> None:
        self._loop = loop
        self.roster = roster
        self.queue_size = queue_size
        self._pace = Pace()
        self._numbers = count(1)
        self._refusing = ""
        self.timings = Timings()
        self.tallies: dict[str, Tally] = {}
        self.run_limit = 0.0
        self.on_due: Callable[[float], None] = lambda when: None
        self._moving = 0

    @property
    def worker_queues(self) -> dict[int, WorkerQueue]:
        """The queue of each task worker."""
        return {number: member.queue for number, member in self.roster.members.items()}

    @property
    def worker_consumers(self) -> dict[int, list[asyncio.Task[None]]]:
        """The tasks that take from each queue."""
        return {number: member.tasks for number, member in self.roster.members.items()}

    # Calls

    async def route_request(self, call: Call) -> Frame:
        """Put a call into a worker's queue and wait for its answer.

        For callers in the dispatcher's own process; calls of its clients come by `submit`, whose answers need no task.

        Raises:
            DispatchError: there is none.
        """
        answer = FutureAnswer(self._loop)
        call.answer = answer
        self.submit(call)
        try:
            return await answer.future
        except asyncio.CancelledError:
            self.give_up(call)
            raise

    def submit(self, call: Call, caller: Member | None = None) -> None:
        """Choose a task worker and put a call into its queue.

        Args:
            caller: the task worker whose task makes this call, if one does.

        Raises:
            DispatchError: nobody can run it, or too many wait.
        """
        if self._refusing and caller is None:
            raise DispatcherUnavailable(self._refusing)
        call.caller = caller
        member = self.roster.choose(call.app, caller)
        depth = member.queue.qsize()
        if self.queue_size and depth >= self.queue_size:
            raise QueueFull(depth=depth)
        member.enqueue(call, self._loop.time())
        if call.frame.deadline:
            self.on_due(call.frame.deadline)

    def give_up(self, call: Call) -> None:
        """The caller does not want the answer any more: forget the call, or have its generator closed."""
        call.answer = None
        member = call.member
        if member is None:
            return
        if not call.number:
            if member.unqueue(call):
                call.member = None
                shared.close(call.descriptors)
        elif call.streams and member.link is not None:
            member.link.send(Frame(Kind.CANCEL, call.number))

    def grant(self, call: Call, frame: Frame) -> None:
        """The caller has taken values of a stream."""
        amount = flow.granted(frame)
        call.credit = min(call.credit + amount, flow.WINDOW)
        call.begun_at = self._loop.time()
        if call.number and call.member is not None and call.member.link is not None:
            call.member.link.send(Frame(Kind.CREDIT, call.number, body=frame.body))

    # Consumers

    def _start_worker_consumer(self, member: Member) -> None:
        for _ in range(member.threads):
            consumer = Consumer()
            member.consumers.append(consumer)
            member.tasks.append(self._loop.create_task(self._consume(member, consumer)))

    async def _consume(self, member: Member, consumer: Consumer) -> None:
        while True:
            call, _ = await member.queue.get()
            if consumer.given and not self._may_follow(member, consumer, call):
                # Back to its place: another consumer, or an idle worker, may take it meanwhile.
                member.queue.put_nowait((call, call.answer))
                del call, _
                self._complete_list(member, consumer)
                consumer.room = self._loop.create_future()
                await consumer.room
                consumer.room = None
                continue
            self._hand_on(member, consumer, call)
            del call, _  # what it holds may be large, and the next one may be long in coming

    def _may_follow(self, member: Member, consumer: Consumer, call: Call) -> bool:
        """Whether the worker may have this call beside the last ones that this consumer gave it."""
        # It can join the list that is being gathered, or else what is ahead of it must not be long in running.
        soon = member.gathers(consumer, self._loop.time()) or self._pace.quick(consumer.action)
        return soon and member.has_room(consumer, call)

    def _complete_list(self, member: Member, consumer: Consumer) -> None:
        """Give the worker what waits behind other calls and can join the list that it is just gathering."""
        if member.gathers(consumer, self._loop.time()):
            room = member.list_size(consumer.action) - consumer.given
            for call in alike(member.waiting, consumer.action, room):
                member.unqueue(call)
                member.load += 1
                self._hand_on(member, consumer, call)

    def _hand_on(self, member: Member, consumer: Consumer, call: Call) -> None:
        call.consumer = consumer
        try:
            self._execute_on_worker(member, call)
        except (OSError, DispatchError) as error:
            member.load -= 1
            shared.close(call.descriptors)
            call.fail(DispatchError(f"the call cannot be handed to a task worker: {error}"))

    def _execute_on_worker(self, member: Member, call: Call) -> None:
        """Give a call to its worker."""
        now = self._loop.time()
        frame = call.frame
        if 0 < frame.deadline <= now:
            member.load -= 1
            self.expire(call, now)
            return
        assert member.link is not None
        assert call.consumer is not None
        # Of what lies in shared memory a copy stays here: should the worker die before it begins, another one gets it.
        descriptors = shared.copies(call.descriptors)
        if not call.consumer.given:
            call.consumer.since = now
        call.consumer.given += 1
        # A stream shows no pace.
        call.consumer.action = ("", "") if call.streams else call.key
        call.number = frame.id = next(self._numbers)
        member.sent += 1
        call.place = member.sent
        call.given_at = now
        call.credit = flow.WINDOW
        call.begun_at = 0.0 if member.saturated else now
        member.given[call.number] = call
        member.link.send(frame, descriptors)
        if self.run_limit:
            self.on_due(now + self.run_limit)

    # Answers

    def on_frame(self, member: Member, frame: Frame, descriptors: Descriptors) -> None:
        """A task worker has sent something."""
        call = member.given.get(frame.id)
        if call is None:
            shared.close(descriptors)
            return
        if frame.kind == Kind.ITEM:
            call.credit -= flow.worth(frame)
            call.begun_at = self._loop.time()
            if call.answer is not None:
                call.answer.item(frame, descriptors, member)
            else:
                shared.close(descriptors)
            return
        for tally in (member.tally, self.tally(call.app)):
            if frame.kind == Kind.ERROR:
                tally.failed += 1
            else:
                tally.done += 1
        self._finish(member, call)
        answer, call.answer = call.answer, None
        if answer is not None:
            answer.set_result(frame, descriptors, member)
        elif descriptors:
            shared.close(descriptors)
            if not call.streams and member.link is not None:
                # Of a stream the caller may still be about to read what came before.
                member.link.send(Frame(Kind.EVENT, call.number))
        if not member.leaving:
            self._take_over(member)

    def _finish(self, member: Member, call: Call) -> None:
        """A call is no longer with its worker."""
        now = self._loop.time()
        del member.given[call.number]
        member.load -= 1
        begun = call.begun_at or call.given_at
        # A stream shows no pace: what it takes is mostly its caller's time.
        if not call.streams:
            self._pace.record(call.key, now - begun)
        self.timings.record(call.app, member.number, begun - call.arrived, now - begun)
        if call.descriptors:
            shared.close(call.descriptors)
        member.begins(now)
        if call.consumer is not None:
            call.consumer.done()
        if member.leaving:
            member.finish_if_empty()

    def _take_over(self, member: Member) -> None:
        """A worker that could begin a further call runs what waits for a busy one."""
        while member.load < member.threads and (calls := self.roster.takeover(member)):
            for call in calls:
                assert call.member is not None
                call.member.unqueue(call)
                member.enqueue(call, self._loop.time())

    # Counts

    def tally(self, app: str) -> Tally:
        """How the calls of an app ended; it is one that some worker holds, or held."""
        found = self.tallies.get(app)
        if found is None:
            found = self.tallies[app] = Tally()
        return found

    def timed_out(self, member: Member, call: Call) -> None:
        """Count a call that ran for too long."""
        member.tally.timed_out += 1
        self.tally(call.app).timed_out += 1

    def expire(self, call: Call, now: float) -> None:
        """A call was not begun by its deadline; it waits no more."""
        self.tally(call.app).expired += 1
        call.member = None
        shared.close(call.descriptors)
        waited = now - call.arrived
        call.fail(TaskTimeout(f"not begun by the deadline: it waited for {waited:.1f} s", timeout=waited))

    # Task workers

    def ready(self, member: Member) -> None:
        """A task worker takes calls."""
        if member.leaving:
            return
        self.roster.serves(member)
        self._start_worker_consumer(member)
        self._move(self.roster.stranded(member))
        self._take_over(member)

    def configure(self, apps: frozenset[str]) -> None:
        """These apps can be called from now on; nobody will come for calls of others."""
        self.roster.apps = apps
        self._move([call for call in self.roster.unborn.waiting if call.app not in apps])

    def assigned(self, member: Member) -> None:
        """It is known which apps a worker holds: what waits for it and cannot run there goes elsewhere."""
        self._move([call for call in member.waiting if not member.may_hold(call.app)])

    def retire(self, member: Member) -> None:
        """A task worker gets no more calls; it ends once it has finished those that it has."""
        if member.leaving:
            return
        self._cleanup_worker(member)
        member.finish_if_empty()

    def lose(self, member: Member, begun: int, cause: str, stacks: str = "", passed: int = 0) -> None:
        """A task worker's process has ended: fail what it ran, let others run the rest.

        Args:
            begun: how many of the calls that it was given it had begun, but for those `passed` over (`rules.places`).
            cause: completes "the task worker ...".
            stacks: where its threads stood, if that is known.
        """
        self._cleanup_worker(member)
        self.roster.is_gone(member)
        self.timings.forget(member.number)
        lost = list(member.given.values())
        member.given.clear()
        again: list[Call] = []
        for call in lost:
            call.number = 0
            if not places.begun(call.place, begun, passed) or member.may_retry(call):
                again.append(call)
            else:
                self.tally(call.app).crashed += 1
                shared.close(call.descriptors)
                what = f"the task worker {cause} while it ran the action"
                call.fail(WorkerCrashed(what, stacks or None, worker=member.number))
        self._move_soon(again)

    def _cleanup_worker(self, member: Member) -> None:
        """End its consumers, and give what waits for it to others."""
        self.roster.leaves(member)
        for task in member.tasks:
            task.cancel()
        member.tasks.clear()
        calls = member.waiting.drain()
        member.load -= len(calls)
        self._move_soon(calls)

    def _move_soon(self, calls: list[Call]) -> None:
        """Once what led to this is over: a successor may just be about to be made."""
        for call in calls:
            call.member = None
        if calls:
            self._moving += len(calls)
            self._loop.call_soon(self._move_now, calls)

    def _move_now(self, calls: list[Call]) -> None:
        self._moving -= len(calls)
        self._move(calls)

    def _move(self, calls: Iterable[Call]) -> None:
        """Find another worker for calls that were accepted already; no queue is too full for them."""
        for call in calls:
            if call.member is not None:
                call.member.unqueue(call)
                call.member = None
            if call.answer is None:
                shared.close(call.descriptors)
                continue
            try:
                self.roster.choose(call.app, call.caller).enqueue(call, self._loop.time())
            except DispatchError as error:
                shared.close(call.descriptors)
                call.fail(error)

    # The end

    def refuse(self, why: str) -> None:
        """Take no more calls, but of tasks that run."""
        self._refusing = why

    @property
    def idle(self) -> bool:
        """No call waits or runs."""
        return not self._moving and not any(place.load for place in self.roster.places())

    def close(self) -> None:
        """End all consumers; what is left fails."""
        for member in self.roster.places():
            for call in (*member.waiting.drain(), *member.given.values()):
                call.fail(DispatcherUnavailable("the dispatcher has stopped"))
            member.given.clear()
            for task in member.tasks:
                task.cancel()
