"""Fitting the size of the pool to the load (workers = MIN..MAX)."""

from unicorn_core.arbiter.driver import Driver
from unicorn_core.arbiter.sockets import Sockets
from unicorn_core.settings.kinds import Workers
from unicorn_core.supervise.scaling import GLANCE, Load, Scaling
from unicorn_core.worker.scoreboard import IN_FLIGHT


class Size:
    """Looks at workers and listeners, and resizes the pool as the scaling says."""

    def __init__(self, driver: Driver, sockets: Sockets, workers: Workers) -> None:
        self._driver = driver
        self._sockets = sockets
        self._scaling = Scaling(int(workers), workers.maximum) if workers.maximum > workers else None
        self._next = 0.0

    def deadline(self) -> float | None:
        """When `tick` is due next."""
        return self._next if self._scaling else None

    def tick(self, now: float) -> None:
        """Time has passed."""
        pool = self._driver.pool
        if self._scaling is None or now < self._next:
            return
        self._next = now + GLANCE
        if pool.stopping or pool.rollout or not pool.size:
            return
        ready = [handle for handle in self._driver.handles.values() if handle.ready and not handle.ended_by]
        busy = sum(handle.row.cells[IN_FLIGHT] >= 1 for handle in ready)
        wanted = self._scaling.observe(Load(len(ready), busy, self._sockets.queued()), pool.size, now)
        if wanted != pool.size:
            self._driver.perform(pool.resize(wanted, now))
