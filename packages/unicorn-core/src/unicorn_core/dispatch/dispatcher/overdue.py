"""Ends what has waited or run for too long.

A call that waits beyond its deadline is dropped, and one that runs beyond it loses its caller. A run past
dispatch_timeout can only be ended together with its task worker: that gets no more calls, its successor boots, and once
the healthy runs beside it are done, for which there is a bound, it is aborted, which logs where it stood.
"""

import asyncio

from unicorn_core.alarm import Alarm
from unicorn_core.dispatch.dispatcher.calls import Call
from unicorn_core.dispatch.dispatcher.crew import Crew
from unicorn_core.dispatch.dispatcher.member import Member
from unicorn_core.dispatch.dispatcher.router import Router
from unicorn_core.dispatch.errors import TaskTimeout
from unicorn_core.observe.logs import Logger

LOOK = 0.05
"""Seconds between two looks at whether the healthy runs of a stuck worker are done."""
NEVER = float("inf")


class Overdue:
    """See the module. All times are those of the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, log: Logger, router: Router, crew: Crew) -> None:
        self._loop = loop
        self._log = log
        self._router = router
        self._crew = crew
        self._alarm = Alarm(loop, self._ring)
        self._stuck: dict[int, asyncio.Task[None] | None] = {}
        router.on_due = self._alarm.at

    def _ring(self) -> None:
        due = self.sweep(self._loop.time())
        if due < NEVER:
            self._alarm.at(due)

    def sweep(self, now: float) -> float:
        """Look at all calls; gives when to come again."""
        due = NEVER
        self._stuck = {number: task for number, task in self._stuck.items() if number in self._router.roster.members}
        for member in list(self._router.roster.places()):
            for call in [call for call in member.waiting if 0 < call.deadline <= now]:
                member.unqueue(call)
                self._router.expire(call, now)
            for call in list(member.given.values()):
                if 0 < call.deadline <= now:
                    self._tell(member, call)
                due = min(due, self._watch(member, call, now))
            dues = [call.deadline for call in (*member.waiting, *member.given.values()) if call.deadline > now]
            due = min([due, *dues])
        return due

    def _tell(self, member: Member, call: Call) -> None:
        """The caller of a call that was given to a worker has waited for long enough."""
        if call.answer is None:
            return
        self._router.timed_out(member, call)
        where = "it still runs" if call.begun_at else "it waits at the task worker"
        call.fail(TaskTimeout(f"no answer by the deadline; {where}", worker=member.number))
        if call.streams:
            self._router.give_up(call)

    def _watch(self, member: Member, call: Call, now: float) -> float:
        """Whether a call has run for too long; gives when it will have."""
        limit = self._router.run_limit
        if not limit or not call.begun_at or member.is_lenient(call):
            return NEVER
        end = call.begun_at + limit
        if now < end:
            return end
        if not call.paused:
            self._end(member, call, now)
        elif call.answer is not None:
            # The task worker cannot help it.
            call.fail(TaskTimeout("the caller took nothing of the stream for too long", limit))
            self._router.give_up(call)
        return NEVER

    def _end(self, member: Member, call: Call, now: float) -> None:
        """A run is stuck: its worker must end, after what else it runs."""
        limit = self._router.run_limit
        call.fail(TaskTimeout(f"it ran for longer than dispatch_timeout ({limit:g} s)", limit, worker=member.number))
        if member.number in self._stuck:
            return
        self._stuck[member.number] = None
        self._router.timed_out(member, call)
        self._log.error("Task worker %s: %s.%s ran for more than %g s", member.number, call.app, call.action, limit)
        self._router.retire(member)
        # Its successor boots at once: calls can wait for that.
        self._crew.replace(member.number, "a call is stuck in it")
        if len(member.given) > 1 and member.threads > 1:
            until = now + (self._crew.settings.dispatch_graceful_timeout or limit)
            self._stuck[member.number] = self._loop.create_task(self._abort_when_alone(member, call, until))
        else:
            self._crew.abort(member.number, now - call.begun_at)

    async def _abort_when_alone(self, member: Member, call: Call, until: float) -> None:
        """Let the healthy calls of a worker finish before it is ended, but not for ever."""
        while self._loop.time() < until and any(other is not call for other in member.given.values()):
            await asyncio.sleep(LOOK)
        self._crew.abort(member.number, self._loop.time() - call.begun_at)
