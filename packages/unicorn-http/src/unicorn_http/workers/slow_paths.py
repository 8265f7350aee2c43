"""Which paths are slow: the leader hands leadership on before it serves one, rather than be replaced meanwhile."""

SLOW = 0.001
"""Seconds that a request takes at least which is slow."""
OFTEN = 2
"""Requests of a path that were slow one after the other make it known. A single one may have waited for another thread,
for the interpreter or the CPU: if that were enough, serving the next one apart would make it wait for the same reason,
and threads that have nothing to wait for would go on to slow each other down."""
MOST = 1000
"""Paths that are remembered."""


class SlowPaths:
    """See the module. Queries do not count.

    Attributes:
        known: paths that are slow.
    """

    def __init__(self) -> None:
        self.known: set[str] = set()
        self._runs: dict[str, int] = {}  # how many requests of a path were slow one after the other

    def has(self, target: str) -> bool:
        """A request for this target will probably be slow."""
        return target.partition("?")[0] in self.known

    def learn(self, target: str, took: float) -> None:
        """A request that was served apart, or kept its leader for too long, took so many seconds."""
        path = target.partition("?")[0]
        runs = self._runs
        if took > SLOW:
            count = runs.get(path, 0) + 1
            if count > 1 or len(runs) < MOST:
                runs[path] = count
            if count >= OFTEN:
                self.known.add(path)
        elif took < SLOW / 2 and runs.pop(path, 0):
            self.known.discard(path)
