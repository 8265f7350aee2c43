"""Which task workers there are, and which of them gets a call."""

from collections.abc import Iterable, Iterator
from heapq import nsmallest

from unicorn_core.dispatch.dispatcher.calls import Call
from unicorn_core.dispatch.dispatcher.member import Member
from unicorn_core.dispatch.errors import AppNotLoaded, NoWorkers
from unicorn_core.dispatch.rules.placement import PLACEMENTS, Placement, Routing


class Roster:
    """See the module.

    Attributes:
        apps: those that are configured.
        members: the task workers, by their number.
        unborn: in place of task workers that do not exist yet: calls wait here for their apps.
    """

    def __init__(self, routing: Routing) -> None:
        self._placement: Placement[Member] = PLACEMENTS[routing]()
        self.apps: frozenset[str] = frozenset()
        self.members: dict[int, Member] = {}
        self.unborn = Member(0, -1, 0)

    def route_by(self, routing: Routing) -> None:
        """Choose in this way from now on."""
        if not isinstance(self._placement, PLACEMENTS[routing]):
            self._placement = PLACEMENTS[routing]()
            for member in self.members.values():
                if member.ready and not member.leaving:
                    self._placement.add(member, member.apps)

    def boots(self, member: Member) -> None:
        """A task worker boots: calls may wait for it."""
        self.members[member.number] = member

    def serves(self, member: Member) -> None:
        """A task worker takes calls."""
        member.ready = True
        self._placement.add(member, member.apps)

    def leaves(self, member: Member) -> None:
        """A task worker gets no more calls."""
        member.leaving = True
        self._placement.remove(member)

    def places(self) -> Iterator[Member]:
        """Wherever calls may wait."""
        yield from self.members.values()
        yield self.unborn

    def is_gone(self, member: Member) -> None:
        """A task worker is no more."""
        self.members.pop(member.number, None)

    def choose(self, app: str, caller: Member | None = None) -> Member:
        """The worker for the next call of an app.

        Args:
            caller: the task worker whose task makes the call, if one does.

        Raises:
            AppNotLoaded: no such app is configured.
            NoWorkers: the task worker that calls could only wait for itself.
        """
        member = self._placement.choose(app)
        if member is None:
            return self._coming(app, caller)
        if member is caller and caller.saturated:
            others = [other for other in self._placement.holders(app) if other is not caller]
            if not others:
                raise NoWorkers("only the task worker that makes this call holds the app: it would wait for itself")
            return min(others, key=lambda other: other.load)
        return member

    def takeover(self, idle: Member) -> list[Call]:
        """What an idle worker may run in another's place: one call, or several that run as one list."""
        found = self._placement.takeover(idle)
        if found is None:
            return []
        other, call = found
        size = idle.list_size(call.key)
        return alike(other.waiting, call.key, size) if size else [call]

    def stranded(self, member: Member) -> list[Call]:
        """What waits for task workers that are not ready, though this one, which is, holds the app."""
        places = [place for place in self.places() if not place.ready] if self._placement.helps else [self.unborn]
        return [call for place in places for call in place.waiting if call.app in member.apps]

    def _coming(self, app: str, caller: Member | None) -> Member:
        """Where calls wait for an app which nobody holds now: every app that is configured has a place in some slot."""
        if app not in self.apps:
            raise AppNotLoaded()
        coming = [m for m in self.members.values() if not m.ready and not m.leaving and m.may_hold(app)]
        if caller is not None and not caller.ready:
            coming = [member for member in coming if not self._awaits(member, caller)]
            if not coming:
                raise NoWorkers("only task workers that boot will hold the app: this one would wait for itself")
        return min(coming, key=lambda member: member.load, default=self.unborn)

    def _awaits(self, member: Member, other: Member) -> bool:
        """Whether a task worker that boots can only be ready after another one, for which it waits in some `init`."""
        if member is other:
            return True
        ahead = {place for place in self.places() if any(call.caller is member for call in place.waiting)}
        return any(self._awaits(place, other) for place in ahead if not place.ready)


def alike(calls: Iterable[Call], action: tuple[str, str], most: int) -> list[Call]:
    """The oldest calls of an action, named by its app and itself."""
    return nsmallest(most, (call for call in calls if call.key == action), key=lambda call: call.arrived)
