"""A pool of variable size grows when it is busy, shrinks when it is not, and does not swing between the two."""

from unicorn_core.supervise.scaling import GLANCE, PAUSE, Load, Scaling
from unicorn_core.testing.clock import FakeClock


class Site:
    """Sees the load for a while, and has the size that the scaling wants."""

    def __init__(self, minimum: int, maximum: int, size: int | None = None) -> None:
        self.scaling = Scaling(minimum, maximum)
        self.size = size or minimum
        self.clock = FakeClock()
        self.sizes = [self.size]

    def work(self, seconds: float, busy: float, queued: int = 0) -> int:
        """`busy` workers' worth of requests; what the pool cannot take waits."""
        for _ in range(int(seconds / GLANCE)):
            load = Load(self.size, min(self.size, round(busy)), queued)
            self.size = self.scaling.observe(load, self.size, self.clock.advance(GLANCE))
            if self.size != self.sizes[-1]:
                self.sizes.append(self.size)
        return self.size


def test_a_busy_pool_grows_within_seconds() -> None:
    assert Site(2, 8).work(5, busy=2) >= 3


def test_it_grows_no_further_than_to_its_maximum() -> None:
    assert Site(2, 8).work(120, busy=100) == 8


def test_a_short_burst_does_not_change_it() -> None:
    site = Site(4, 8)
    site.work(10, busy=1)
    site.work(0.5, busy=4)
    assert site.work(10, busy=1) == 4


def test_waiting_connections_count_as_work() -> None:
    assert Site(2, 8).work(5, busy=1, queued=5) >= 3


def test_an_idle_pool_shrinks_one_by_one_to_its_minimum() -> None:
    site = Site(2, 8, size=6)
    assert site.work(300, busy=0) == 2
    assert site.sizes == [6, 5, 4, 3, 2]


def test_it_does_not_shrink_soon_after_a_change() -> None:
    site = Site(1, 8)
    site.work(4, busy=1)
    grown = site.size
    assert site.work(PAUSE - 1, busy=0) == grown


def test_steady_load_leads_to_a_steady_size() -> None:
    for load in range(1, 9):
        site = Site(1, 16)
        site.work(200, busy=load)
        settled = site.size
        site.sizes = [settled]
        site.work(600, busy=load)
        assert site.sizes == [settled], f"load {load}: {site.sizes}"
        assert settled >= load


def test_a_pool_that_still_boots_is_not_asked_to_grow_again() -> None:
    scaling = Scaling(1, 8)
    clock = FakeClock()
    size = 1
    for _ in range(40):
        size = scaling.observe(Load(1, 1, 5), size, clock.advance(GLANCE))
    assert size == 2
