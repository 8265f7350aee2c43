"""A binary upgrade: a new master starts beside the old one, with the same listeners.

    NONE --start--> BOOTING --ready--> SERVING
      ^                |                  |
      +----- exited ---+------------------+

With `auto` the old master stops as soon as the new one serves; otherwise an operator tells one of the two to stop.
"""

from enum import Enum, auto

from msgspec import Struct


class Stage(Enum):
    """Where the upgrade stands, as the old master sees it."""

    NONE = auto()
    BOOTING = auto()
    SERVING = auto()


class Upgrade(Struct):
    """See the module.

    Attributes:
        heir: the process id of the new master; 0 if there is none.
        retires: the old master stops once the new one serves.
    """

    stage: Stage = Stage.NONE
    heir: int = 0
    retires: bool = False

    @property
    def under_way(self) -> bool:
        return self.stage is not Stage.NONE

    def started(self, pid: int, auto: bool) -> None:
        """The new master was started."""
        assert not self.under_way
        self.stage, self.heir, self.retires = Stage.BOOTING, pid, auto

    def ready(self) -> bool:
        """The new master says that it serves; whether the old one must stop now."""
        if self.stage is not Stage.BOOTING:
            return False
        self.stage = Stage.SERVING
        return self.retires

    def exited(self, pid: int) -> Stage:
        """A process ended; the stage at which it did if it was the new master, else NONE."""
        if pid != self.heir:
            return Stage.NONE
        before = self.stage
        self.stage, self.heir, self.retires = Stage.NONE, 0, False
        return before
