"""The router alone, in a real loop, with task workers that the test plays."""

import asyncio
import errno
import gc
import logging
import os
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unicorn_core.dispatch.dispatcher.calls import Call
from unicorn_core.dispatch.dispatcher.member import Member
from unicorn_core.dispatch.dispatcher.overdue import Overdue
from unicorn_core.dispatch.dispatcher.roster import Roster
from unicorn_core.dispatch.dispatcher.router import Router
from unicorn_core.dispatch.errors import (
    AppNotLoaded,
    DispatchError,
    DispatcherUnavailable,
    NoWorkers,
    QueueFull,
    TaskTimeout,
    WorkerCrashed,
)
from unicorn_core.dispatch.rules.placement import Routing
from unicorn_core.dispatch.wire import flow
from unicorn_core.dispatch.wire.frames import Flag, Frame, Kind
from unicorn_core.settings.registry import Settings
from unicorn_core.worker.messages import AppTraits

APP = "a:A"
QUIET = logging.getLogger("unicorn.test")


class Played:
    """The link to a task worker: keeps what was sent."""

    def __init__(self, router: Router, number: int, threads: int = 1, **traits: Any) -> None:
        self.router = router
        self.sent: list[Frame] = []
        self.finished = False
        self.member = Member(number, number, threads)
        router.roster.boots(self.member)
        self.member.traits = {APP: AppTraits(**traits)}
        self.member.link = self  # type: ignore[assignment]

    def send(self, frame: Frame, descriptors: Any = ()) -> None:
        self.sent.append(Frame(frame.kind, frame.id, frame.route, frame.body))

    def finish(self) -> None:
        self.finished = True

    @property
    def requests(self) -> list[Frame]:
        return [frame for frame in self.sent if frame.kind == Kind.REQUEST]

    def answer(self, kind: Kind = Kind.RESULT, body: bytes = b"") -> None:
        """What it was given first."""
        self.router.on_frame(self.member, Frame(kind, next(iter(self.member.given)), body=body), ())


class Taken:
    """What takes the answer to a call."""

    def __init__(self) -> None:
        self.items: list[Frame] = []
        self.result: Frame | None = None
        self.error: DispatchError | None = None

    def item(self, frame: Frame, descriptors: Any, lender: Member) -> None:
        self.items.append(frame)

    def set_result(self, frame: Frame, descriptors: Any, lender: Member) -> None:
        assert self.result is None
        assert self.error is None
        self.result = frame

    def set_exception(self, error: DispatchError) -> None:
        assert self.result is None
        assert self.error is None
        self.error = error

    @property
    def settled(self) -> bool:
        return self.result is not None or self.error is not None


def call(action: str = "run", *, app: str = APP, deadline: float = 0.0, priority: int = 0, flags: int = 0) -> Call:
    now = asyncio.get_running_loop().time()
    frame = Frame(Kind.REQUEST, 1, b"", b"", (), deadline, priority, flags)
    return Call(frame, (), app, action, priority, now, Taken())


class Crew:
    """Who would end task workers."""

    def __init__(self) -> None:
        self.settings = Settings({"dispatch_graceful_timeout": 0.0}, {})
        self.replaced: list[int] = []
        self.aborted: list[int] = []

    def replace(self, number: int, why: str) -> None:
        self.replaced.append(number)

    def abort(self, number: int, stuck_for: float) -> None:
        self.aborted.append(number)


def sweep(router: Router, now: float) -> tuple[list[int], float]:
    """Let time pass; gives the task workers that are ended, and when to come again."""
    crew = Crew()
    overdue = Overdue(asyncio.get_running_loop(), QUIET, router, crew)  # type: ignore[arg-type]
    due = overdue.sweep(now)
    assert crew.replaced == crew.aborted
    return crew.aborted, due


async def turn() -> None:
    """Let the consumers run."""
    for _ in range(6):
        await asyncio.sleep(0)


Scenario = Callable[[Router], Awaitable[None]]


def play(scenario: Scenario, routing: Routing = Routing.LEAST_LOADED, queue_size: int = 0) -> None:
    async def main() -> None:
        router = Router(asyncio.get_running_loop(), Roster(routing), queue_size)
        router.roster.apps = frozenset([APP, "b:B"])
        try:
            await scenario(router)
        finally:
            router.close()
            await turn()

    asyncio.run(main())


async def workers(router: Router, count: int, **options: Any) -> list[Played]:
    played = [Played(router, number, **options) for number in range(1, count + 1)]
    for worker in played:
        router.ready(worker.member)
    await turn()
    return played


def test_route_request_gives_the_answer_of_a_worker() -> None:
    async def scenario(router: Router) -> None:
        (worker,) = await workers(router, 1)
        asked = asyncio.create_task(router.route_request(call()))
        await turn()
        worker.answer(body=b"done")
        assert (await asked).body == b"done"
        assert router.idle

    play(scenario)


def test_route_request_that_is_cancelled_takes_the_call_out_of_the_queue() -> None:
    async def scenario(router: Router) -> None:
        (worker,) = await workers(router, 1)
        router.submit(call())
        asked = asyncio.create_task(router.route_request(call()))
        await turn()
        assert router.worker_queues[1].qsize() == 1
        asked.cancel()
        await turn()
        assert router.worker_queues[1].qsize() == 0
        worker.answer()
        await turn()
        assert len(worker.requests) == 1

    play(scenario)


def test_a_worker_gets_one_call_at_a_time_until_its_action_has_been_quick() -> None:
    async def scenario(router: Router) -> None:
        (worker,) = await workers(router, 1)
        for _ in range(5):
            router.submit(call())
        await turn()
        assert len(worker.requests) == 1
        worker.answer()
        await turn()
        assert len(worker.requests) == 3  # the next, and one ahead
        worker.answer()
        await turn()
        assert len(worker.requests) == 4

    play(scenario)


def test_as_many_consumers_as_threads_fill_a_worker() -> None:
    async def scenario(router: Router) -> None:
        (worker,) = await workers(router, 1, threads=3)
        assert len(router.worker_consumers[1]) == 3
        for _ in range(5):
            router.submit(call())
        await turn()
        assert len(worker.requests) == 3
        worker.answer()
        await turn()
        assert len(worker.requests) >= 4

    play(scenario)


def test_a_batched_action_is_sent_up_to_a_whole_batch() -> None:
    async def scenario(router: Router) -> None:
        (worker,) = await workers(router, 1, batches={"run": 4}, waits={"run": 60.0})
        for _ in range(9):
            router.submit(call())
        await turn()
        assert len(worker.requests) == 4

    play(scenario)


def test_what_cannot_join_a_list_any_more_is_left_to_other_workers() -> None:
    async def scenario(router: Router) -> None:
        (worker,) = await workers(router, 1, batches={"run": 4}, waits={"run": 0.0})
        for action in ("run", "run", "other"):
            router.submit(call(action))
        await turn()
        assert len(worker.requests) == 1
        second = Played(router, 2, batches={"run": 4})
        router.ready(second.member)
        await turn()
        assert len(second.requests) == 1
        worker.answer()
        await turn()
        assert len(worker.requests) == 2

    play(scenario)


def test_a_list_is_gathered_past_calls_of_other_actions_which_do_not_follow_into_it() -> None:
    async def scenario(router: Router) -> None:
        (worker,) = await workers(router, 1, batches={"run": 4}, waits={"run": 60.0})
        calls = [call(action) for action in ("run", "other", "run", "other")]
        for each in calls:
            router.submit(each)
        await turn()
        assert [*worker.member.given.values()] == [calls[0], calls[2]]
        router.submit(late := call())
        await turn()
        assert late.number
        assert worker.member.load == 5
        for _ in range(3):
            worker.answer()
        await turn()
        assert [*worker.member.given.values()] == [calls[1]]

    play(scenario)


def test_a_list_is_gathered_past_others_only_while_it_is_open() -> None:
    async def scenario(router: Router) -> None:
        (worker,) = await workers(router, 1, batches={"run": 4}, waits={"run": 0.05})
        router.submit(call())
        router.submit(call("other"))
        await turn()
        await asyncio.sleep(0.1)
        router.submit(late := call())
        await turn()
        assert not late.number
        worker.answer()
        await turn()
        assert not late.number
        assert len(worker.requests) == 2

    play(scenario)


def test_calls_that_find_all_idle_spread_evenly() -> None:
    async def scenario(router: Router) -> None:
        played = await workers(router, 4)
        for _ in range(10):
            router.submit(call())
            await turn()
            next(worker for worker in played if worker.member.given).answer()
        assert sorted(len(worker.requests) for worker in played) == [2, 2, 3, 3]

    play(scenario)


def test_an_idle_worker_takes_the_oldest_call_from_the_fullest_queue() -> None:
    async def scenario(router: Router) -> None:
        first, second = await workers(router, 2)
        calls = [call() for _ in range(6)]
        for each in calls:
            router.submit(each)
        await turn()
        assert [m.queue.qsize() for m in router.roster.members.values()] == [2, 2]
        for _ in range(2):  # the second worker is done with all its own ...
            second.answer()
            await turn()
        while second.member.given:
            second.answer()
            await turn()
        # ... and has taken over what waited for the first.
        assert first.member.queue.qsize() == 0
        assert len(second.requests) == 5
        assert not calls[0].answer.settled

    play(scenario)


def test_strict_round_robin_takes_nothing_over() -> None:
    async def scenario(router: Router) -> None:
        first, second = await workers(router, 2)
        for _ in range(6):
            router.submit(call())
        await turn()
        while second.member.given:
            second.answer()
            await turn()
        assert len(second.requests) == 3
        assert first.member.queue.qsize() == 2

    play(scenario, Routing.ROUND_ROBIN)


def test_a_full_queue_is_told_with_its_depth_and_keeps_nothing() -> None:
    async def scenario(router: Router) -> None:
        await workers(router, 1)
        for _ in range(3):
            router.submit(call())
            await turn()
        with pytest.raises(QueueFull) as caught:
            router.submit(call())
        assert caught.value.depth == 2
        assert router.roster.members[1].load == 3

    play(scenario, queue_size=2)


def test_only_an_app_that_is_not_configured_is_refused_when_there_is_no_worker() -> None:
    async def scenario(router: Router) -> None:
        with pytest.raises(AppNotLoaded):
            router.submit(call(app="c:C"))
        waiting, other = call(), call(app="b:B")
        router.submit(waiting)
        router.submit(other)
        (worker,) = await workers(router, 1)
        assert [each.member for each in (waiting, other)] == [worker.member, router.roster.unborn]
        assert len(worker.requests) == 1
        assert not router.idle

    play(scenario)


def test_calls_whose_workers_have_all_died_wait_for_the_next_one_in_their_order() -> None:
    async def scenario(router: Router) -> None:
        (worker,) = await workers(router, 1)
        calls = [call() for _ in range(3)]
        takers = [each.answer for each in calls]
        for each in calls:
            router.submit(each)
        await turn()
        router.lose(worker.member, 1, "died")
        await turn()
        router.submit(late := call())
        successor = Played(router, 2)
        router.ready(successor.member)
        await turn()
        assert isinstance(takers[0].error, WorkerCrashed)
        assert [*successor.member.given.values()] == [calls[1]]
        assert [*successor.member.waiting.drain()] == [calls[2], late]

    play(scenario)


def test_calls_that_wait_for_a_worker_to_come_expire_are_given_up_bounded_and_failed_at_the_end() -> None:
    async def scenario(router: Router) -> None:
        now = asyncio.get_running_loop().time()
        expires, given_up, left = call(deadline=now + 1), call(), call()
        takers = [each.answer for each in (expires, given_up, left)]
        for each in (expires, given_up, left):
            router.submit(each)
        with pytest.raises(QueueFull) as caught:
            router.submit(call())
        assert caught.value.depth == 3
        assert sweep(router, now + 0.5)[1] == now + 1
        sweep(router, now + 2)
        assert isinstance(takers[0].error, TaskTimeout)
        assert router.tallies[APP].expired == 1
        router.give_up(given_up)
        assert router.roster.unborn.load == 1
        router.close()
        assert isinstance(takers[2].error, DispatcherUnavailable)

    play(scenario, queue_size=3)


def test_calls_for_an_app_that_a_reload_has_taken_away_are_failed() -> None:
    async def scenario(router: Router) -> None:
        dropped, kept = call(app="b:B"), call()
        taken = dropped.answer
        for each in (dropped, kept):
            router.submit(each)
        router.configure(frozenset([APP]))
        assert isinstance(taken.error, AppNotLoaded)
        assert kept.answer is not None
        with pytest.raises(AppNotLoaded):
            router.submit(call(app="b:B"))

    play(scenario)


def test_a_worker_that_is_ready_first_runs_what_waits_for_those_that_still_boot() -> None:
    async def scenario(router: Router) -> None:
        slow, quick = (Played(router, number) for number in (1, 2))
        calls = [call() for _ in range(6)]
        for each in calls:
            router.submit(each)
        assert slow.member.load == quick.member.load == 3
        router.ready(quick.member)
        assert quick.member.load == 6
        await turn()
        while quick.member.given:
            quick.answer()
            await turn()
        assert len(quick.requests) == 6
        assert router.idle

    play(scenario)


def test_strict_round_robin_leaves_to_workers_that_boot_what_waits_for_them() -> None:
    async def scenario(router: Router) -> None:
        slow, quick = (Played(router, number) for number in (1, 2))
        for _ in range(6):
            router.submit(call())
        router.ready(quick.member)
        assert slow.member.load == quick.member.load == 3

    play(scenario, Routing.ROUND_ROBIN)


def test_a_worker_with_several_threads_takes_over_as_many_calls() -> None:
    async def scenario(router: Router) -> None:
        await workers(router, 1, threads=4)
        for _ in range(20):
            router.submit(call())
        await turn()
        fresh = Played(router, 2, threads=4)
        router.ready(fresh.member)
        await turn()
        assert len(fresh.requests) == 4

    play(scenario)


def test_calls_of_a_batched_action_are_taken_over_as_a_whole_list() -> None:
    async def scenario(router: Router) -> None:
        (busy,) = await workers(router, 1, batches={"run": 4}, waits={"run": 60.0})
        router.submit(call("other"))
        await turn()
        calls = [call() for _ in range(3)] + [call("other")] + [call() for _ in range(3)]
        for each in calls:
            router.submit(each)
        fresh = Played(router, 2, batches={"run": 4}, waits={"run": 60.0})
        router.ready(fresh.member)
        await turn()
        assert [*fresh.member.given.values()] == [*calls[:3], calls[4]]
        assert busy.member.load == 4

    play(scenario)


def test_an_answer_in_shared_memory_that_nobody_wants_is_given_back_but_none_of_a_stream() -> None:
    async def scenario(router: Router) -> None:
        (worker,) = await workers(router, 1)
        for flags, kind in ((0, Kind.RESULT), (int(Flag.STREAM), Kind.ITEM)):
            router.submit(given_up := call(flags=flags))
            await turn()
            router.give_up(given_up)
            number = given_up.number
            descriptor = os.open(os.devnull, os.O_RDONLY)
            router.on_frame(worker.member, Frame(kind, number), [descriptor])
            with pytest.raises(OSError, match="Bad file"):
                os.fstat(descriptor)
            told = [frame.id for frame in worker.sent if frame.kind == Kind.EVENT]
            assert told == ([number] if kind == Kind.RESULT else told[:1])

    play(scenario)


class Body(bytearray):
    """One that can be watched."""


def test_calls_that_have_ended_are_kept_nowhere() -> None:
    async def scenario(router: Router) -> None:
        (worker,) = await workers(router, 1)
        bodies = []
        for deadline in (0.0, 0.0, 1e9, 1e9):
            each = call(deadline=deadline)
            each.frame.body = Body()
            bodies.append(weakref.ref(each.frame.body))
            router.submit(each)
            each = None
        await turn()
        sweep(router, 2e9)
        worker.sent.clear()
        while worker.member.given:
            worker.answer()
            await turn()
            worker.sent.clear()
        gc.collect()
        assert [body() for body in bodies] == [None] * 4

    play(scenario)


def test_calls_wait_for_a_worker_that_boots_and_go_elsewhere_if_it_does_not_hold_the_app() -> None:
    async def scenario(router: Router) -> None:
        booting = [Played(router, number) for number in (1, 2)]
        for worker in booting:
            worker.member.traits = None
        mine, other = call(), call(app="b:B")
        for each in (mine, other, call(), call()):
            router.submit(each)
        booting[0].member.traits = {APP: AppTraits()}
        booting[1].member.traits = {"b:B": AppTraits()}
        for worker in booting:
            router.assigned(worker.member)
        for worker in booting:
            router.ready(worker.member)
        await turn()
        assert mine.member is booting[0].member
        assert other.member is booting[1].member
        assert booting[0].member.load == 3

    play(scenario)


def test_a_task_may_not_wait_for_its_own_worker() -> None:
    async def scenario(router: Router) -> None:
        (alone,) = await workers(router, 1)
        router.submit(call())
        await turn()
        with pytest.raises(NoWorkers, match="wait for itself"):
            router.submit(call(), alone.member)
        other = Played(router, 2)
        router.ready(other.member)
        for _ in range(3):
            router.submit(call(), alone.member)
        await turn()
        assert other.member.load == 3

    play(scenario)


def test_an_init_may_wait_for_another_worker_that_boots_but_not_for_one_that_waits_for_it() -> None:
    async def scenario(router: Router) -> None:
        first, second, third = (Played(router, number) for number in (1, 2, 3))
        second.member.traits = {APP: AppTraits(), "b:B": AppTraits()}
        first.member.traits = {"c:C": AppTraits()}
        third.member.traits = {"b:B": AppTraits()}
        router.submit(nested := call(), first.member)
        assert nested.member is second.member
        router.submit(further := call(app="b:B"), second.member)
        assert further.member is third.member
        router.roster.apps |= {"c:C"}
        for waiting in (first, second, third):
            with pytest.raises(NoWorkers, match="wait for itself"):
                router.submit(call(app="c:C"), waiting.member)
        router.ready(third.member)
        router.submit(call(app="c:C"), third.member)

    play(scenario)


def test_a_call_of_a_task_is_not_moved_to_the_worker_that_runs_the_task() -> None:
    async def scenario(router: Router) -> None:
        first, second = await workers(router, 2)
        router.submit(call())
        router.submit(call())
        await turn()
        nested = call()
        taken = nested.answer
        router.submit(nested, first.member)
        assert nested.member is second.member
        router.lose(second.member, 1, "died")
        await turn()
        assert isinstance(taken.error, NoWorkers)

    play(scenario)


def test_what_expires_in_the_queue_is_never_sent() -> None:
    async def scenario(router: Router) -> None:
        (worker,) = await workers(router, 1)
        now = asyncio.get_running_loop().time()
        router.submit(call())
        late = call(deadline=now + 0.01)
        router.submit(late)
        await turn()
        sweep(router, now + 0.02)
        assert isinstance(late.answer, type(None))
        assert router.tallies[APP].expired == 1
        worker.answer()
        await turn()
        assert len(worker.requests) == 1
        assert router.idle

    play(scenario)


def test_a_deadline_that_has_passed_by_the_turn_of_a_call_drops_it() -> None:
    async def scenario(router: Router) -> None:
        (worker,) = await workers(router, 1)
        taken = Taken()
        late = call(deadline=asyncio.get_running_loop().time() - 1)
        late.answer = taken
        router.submit(late)
        await turn()
        assert isinstance(taken.error, TaskTimeout)
        assert worker.sent == []
        assert router.idle

    play(scenario)


def test_a_run_past_the_limit_is_told_once_and_an_answer_that_comes_late_reaches_nobody() -> None:
    async def scenario(router: Router) -> None:
        router.run_limit = 5.0
        (worker,) = await workers(router, 1)
        now = asyncio.get_running_loop().time()
        taken = Taken()
        slow = call(deadline=now + 1)
        slow.answer = taken
        router.submit(slow)
        await turn()
        assert sweep(router, now + 2)[0] == []
        assert isinstance(taken.error, TaskTimeout)
        assert sweep(router, now + 6) == ([1], float("inf"))
        worker.answer()
        assert taken.result is None

    play(scenario)


def test_a_lenient_app_is_never_stuck() -> None:
    async def scenario(router: Router) -> None:
        router.run_limit = 5.0
        await workers(router, 1, lenient=True)
        router.submit(call())
        await turn()
        assert sweep(router, asyncio.get_running_loop().time() + 60)[0] == []

    play(scenario)


def test_a_stream_that_its_caller_does_not_take_is_not_stuck() -> None:
    async def scenario(router: Router) -> None:
        router.run_limit = 5.0
        (worker,) = await workers(router, 1)
        stream = call(flags=Flag.STREAM)
        router.submit(stream)
        await turn()
        while stream.credit > 0:
            worker.answer(kind=Kind.ITEM, body=b"x" * 60_000)
        now = asyncio.get_running_loop().time()
        assert sweep(router, now + 4)[0] == []
        router.grant(stream, Frame(Kind.CREDIT, 1, body=flow.grant(flow.WINDOW)))
        assert worker.sent[-1].kind == Kind.CREDIT
        assert sweep(router, now + 60)[0] == [1]

    play(scenario)


def test_a_stream_that_its_caller_does_not_take_for_too_long_is_given_up() -> None:
    async def scenario(router: Router) -> None:
        router.run_limit = 5.0
        (worker,) = await workers(router, 1)
        stream, taken = call(flags=Flag.STREAM), Taken()
        stream.answer = taken
        router.submit(stream)
        await turn()
        while stream.credit > 0:
            worker.answer(kind=Kind.ITEM, body=b"x" * 60_000)
        assert sweep(router, asyncio.get_running_loop().time() + 60)[0] == []
        assert isinstance(taken.error, TaskTimeout)
        assert worker.sent[-1].kind == Kind.CANCEL

    play(scenario)


def test_a_worker_that_dies_fails_what_it_had_begun_and_the_rest_runs_elsewhere() -> None:
    async def scenario(router: Router) -> None:
        first, second = await workers(router, 2, threads=1)
        calls = [call() for _ in range(8)]
        takers = [each.answer for each in calls]
        for each in calls:
            router.submit(each)
        await turn()
        first.answer()
        second.answer()
        await turn()  # both have one more ahead now
        ahead = [each for each in calls if each.member is first.member and each.number and not each.begun_at]
        assert len(ahead) == 1
        router.lose(first.member, begun=2, cause="was sent SIGKILL")
        await turn()
        while second.member.given:
            second.answer()
            await turn()
        errors = [taker.error for taker in takers if taker.error]
        assert len(errors) == 1
        assert isinstance(errors[0], WorkerCrashed)
        assert "was sent SIGKILL" in str(errors[0])
        assert all(taker.settled for taker in takers)
        assert router.idle

    play(scenario)


def test_an_action_marked_for_it_is_run_once_more_and_not_again() -> None:
    async def scenario(router: Router) -> None:
        first, second, third = await workers(router, 3, retries=("run",))
        taken = Taken()
        fragile = call()
        fragile.answer = taken
        router.submit(fragile)
        await turn()
        router.lose(first.member, begun=1, cause="died")
        await turn()
        assert not taken.settled
        assert len(second.requests) + len(third.requests) == 1
        holder = second if second.requests else third
        router.lose(holder.member, begun=1, cause="died")
        await turn()
        assert isinstance(taken.error, WorkerCrashed)

    play(scenario)


def test_a_worker_that_retires_gives_its_queue_away_and_finishes_what_it_has() -> None:
    async def scenario(router: Router) -> None:
        first, second = await workers(router, 2)
        for _ in range(6):
            router.submit(call())
        await turn()
        router.retire(first.member)
        await turn()
        assert first.member.queue.qsize() == 0
        assert second.member.load == 5
        assert not first.finished
        first.answer()
        assert first.finished
        router.submit(call())
        await turn()
        assert len(first.requests) == 1

    play(scenario)


def test_a_caller_that_is_gone_is_forgotten_and_its_stream_cancelled() -> None:
    async def scenario(router: Router) -> None:
        (worker,) = await workers(router, 1)
        stream, waiting = call(flags=Flag.STREAM), call()
        router.submit(stream)
        router.submit(waiting)
        await turn()
        router.give_up(waiting)
        router.give_up(stream)
        assert worker.sent[-1].kind == Kind.CANCEL
        assert worker.member.load == 1
        worker.answer(Kind.END)
        assert router.idle

    play(scenario)


def test_the_end_refuses_new_calls_and_fails_what_is_left() -> None:
    async def scenario(router: Router) -> None:
        await workers(router, 1)
        left = [call(), call()]
        takers = [each.answer for each in left]
        for each in left:
            router.submit(each)
        await turn()
        router.refuse("the dispatcher is stopping")
        with pytest.raises(DispatcherUnavailable, match="is stopping"):
            router.submit(call())
        router.close()
        assert all(isinstance(taker.error, DispatcherUnavailable) for taker in takers)

    play(scenario)


STEPS = st.lists(
    st.sampled_from(
        ["submit", "urgent", "stream", "answer", "fail", "give up", "expire", "lose", "add", "retire", "turn"]
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(STEPS, st.sampled_from(list(Routing)), st.integers(1, 3), st.randoms(use_true_random=False))
def test_whatever_happens_every_call_ends_exactly_once(
    steps: list[str], routing: Routing, threads: int, chance
) -> None:
    async def scenario(router: Router) -> None:
        loop = asyncio.get_running_loop()
        played = await workers(router, 2, threads=threads)
        takers: list[Taken] = []
        calls: list[Call] = []
        given_up: list[Taken] = []

        def submit(**options: Any) -> None:
            each = call(**options)
            try:
                router.submit(each)
            except DispatchError as error:
                each.fail(error)
            else:
                takers.append(each.answer)
                calls.append(each)

        def lose(worker: Played) -> None:
            played.remove(worker)
            running = len(worker.member.given)
            done = worker.member.sent - running
            router.lose(worker.member, done + min(running, threads), "died")

        number = 2
        for step in steps:
            busy = [worker for worker in played if worker.member.given]
            match step:
                case "submit":
                    submit()
                case "urgent":
                    submit(priority=5)
                case "stream":
                    submit(flags=Flag.STREAM)
                case "answer" | "fail" if busy:
                    worker = chance.choice(busy)
                    kind = Kind.RESULT if step == "answer" else Kind.ERROR
                    router.on_frame(worker.member, Frame(kind, next(iter(worker.member.given))), ())
                case "give up" if calls:
                    each = chance.choice(calls)
                    if each.answer is not None:
                        given_up.append(each.answer)
                        router.give_up(each)
                case "expire":
                    submit(deadline=loop.time() + 0.5)
                    sweep(router, loop.time() + 1)
                case "lose" if played:
                    lose(chance.choice(played))
                case "retire" if played:
                    worker = chance.choice(played)
                    router.retire(worker.member)
                case "add":
                    number += 1
                    fresh = Played(router, number, threads)
                    played.append(fresh)
                    router.ready(fresh.member)
                case "turn":
                    await turn()
        fresh = Played(router, number + 1, threads)
        played.append(fresh)
        router.ready(fresh.member)
        for _ in range(300):
            await turn()
            busy = [worker for worker in played if worker.member.given]
            if not busy:
                break
            for worker in busy:
                router.on_frame(worker.member, Frame(Kind.RESULT, next(iter(worker.member.given))), ())
        assert router.idle
        for member in router.roster.places():
            assert member.load == 0
            assert not member.queue.qsize()
        for taker in takers:
            assert taker.settled or taker in given_up

    play(scenario, routing)


def test_a_call_whose_shared_memory_cannot_be_handed_on_fails_and_holds_nothing(monkeypatch) -> None:
    descriptors = [os.open(os.devnull, os.O_RDONLY) for _ in range(2)]
    copies: list[int] = []

    def dup(descriptor: int) -> int:
        if copies:
            raise OSError(errno.EMFILE, "Too many open files")
        copies.append(os.open(os.devnull, os.O_RDONLY))
        return copies[0]

    async def scenario(router: Router) -> None:
        worker = Played(router, 1)
        router.ready(worker.member)
        one = call()
        one.descriptors = descriptors
        taken = one.answer
        monkeypatch.setattr(os, "dup", dup)
        router.submit(one)
        await turn()
        assert taken.error is not None
        assert "cannot be handed" in str(taken.error)
        assert not worker.sent
        for descriptor in (*descriptors, *copies):
            with pytest.raises(OSError, match="Bad file"):
                os.fstat(descriptor)
        router.submit(two := call())
        await turn()
        assert two.number
        worker.answer()
        assert router.idle

    play(scenario)
