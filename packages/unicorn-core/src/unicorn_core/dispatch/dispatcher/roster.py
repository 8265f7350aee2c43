"""Which task workers there are, and which of them gets a call."""

from unicorn_core.dispatch.dispatcher.calls import Call
from unicorn_core.dispatch.dispatcher.member import Member
from unicorn_core.dispatch.errors import AppNotLoaded, NoWorkers
from unicorn_core.dispatch.rules.placement import PLACEMENTS, Placement, Routing


class Roster:
    """See the module.

    Attributes:
        apps: those that are configured.
        members: the task workers, by their number.
    """

    def __init__(self, routing: Routing) -> None:
        self._placement: Placement[Member] = PLACEMENTS[routing]()
        self.apps: frozenset[str] = frozenset()
        self.members: dict[int, Member] = {}

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

    def is_gone(self, member: Member) -> None:
        """A task worker is no more."""
        self.members.pop(member.number, None)

    def choose(self, app: str, caller: Member | None = None) -> Member:
        """The worker for the next call of an app.

        Args:
            caller: the task worker whose task makes the call, if one does.

        Raises:
            AppNotLoaded, NoWorkers: there is none.
        """
        member = self._placement.choose(app)
        if member is None:
            return self._booting(app)
        if member is caller and caller.saturated:
            others = [other for other in self._placement.holders(app) if other is not caller]
            if not others:
                raise NoWorkers("only the task worker that makes this call holds the app: it would wait for itself")
            return min(others, key=lambda other: other.load)
        return member

    def takeover(self, idle: Member) -> tuple[Member, Call] | None:
        """What an idle worker may run in another's place, and whose call that is."""
        return self._placement.takeover(idle)

    def _booting(self, app: str) -> Member:
        """The worker that will hold an app which nobody holds now."""
        if app not in self.apps:
            raise AppNotLoaded()
        coming = [m for m in self.members.values() if not m.ready and not m.leaving and m.may_hold(app)]
        if not coming:
            raise NoWorkers()
        return min(coming, key=lambda member: member.load)
