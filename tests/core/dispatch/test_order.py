"""Who waits is served by urgency, in turn among equals, and everybody in the end."""

import weakref

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from unicorn_core.dispatch.rules.order import AGEING, Order


class Request:
    def __init__(self, name: str, arrived: float = 0.0, priority: int = 0, app: str = "app") -> None:
        self.name = name
        self.arrived = arrived
        self.priority = priority
        self.app = app

    def __repr__(self) -> str:
        return self.name


def waiting(*requests: Request) -> Order[Request]:
    order: Order[Request] = Order()
    for request in requests:
        order.put(request)
    return order


def served(order: Order[Request]) -> list[str]:
    return [request.name for request in order.drain()]


def test_equals_are_served_in_turn() -> None:
    assert served(waiting(*(Request(f"{n}", arrived=n // 3) for n in range(10)))) == [f"{n}" for n in range(10)]


def test_the_more_urgent_one_is_served_first() -> None:
    assert served(waiting(Request("low", priority=-1), Request("usual"), Request("high", priority=1))) == [
        "high",
        "usual",
        "low",
    ]


def test_a_step_of_priority_outweighs_just_so_much_waiting() -> None:
    assert served(waiting(Request("old"), Request("urgent", AGEING - 0.1, 1))) == ["urgent", "old"]
    assert served(waiting(Request("old"), Request("urgent", AGEING + 0.1, 1))) == ["old", "urgent"]


def test_nobody_starves_while_more_urgent_ones_keep_coming() -> None:
    order = waiting(Request("patient", priority=-2))
    now = 0.0
    while True:
        order.put(Request("urgent", now, 3))
        if order.get().name == "patient":
            break
        now += 0.5
        assert now <= 5 * AGEING + 1


def test_one_that_comes_again_keeps_its_place() -> None:
    again = Request("again", arrived=1)
    order = waiting(Request("first", 0), again, Request("last", 2))
    assert order.get().name == "first"
    assert order.get() is again
    order.put(Request("newer", 3))
    order.put(again)
    assert served(order) == ["again", "last", "newer"]


def test_one_of_many_can_be_taken_out() -> None:
    requests = [Request(f"{n}") for n in range(5)]
    order = waiting(*requests)
    assert order.remove(requests[2])
    assert not order.remove(requests[2])
    assert not order.remove(Request("a stranger"))
    assert len(order) == 4
    assert [*map(repr, order)] == ["0", "1", "3", "4"]
    assert served(order) == ["0", "1", "3", "4"]


def test_nothing_can_be_taken_from_an_empty_one() -> None:
    with pytest.raises(IndexError):
        Order().get()
    order = waiting(request := Request("gone"))
    order.remove(request)
    with pytest.raises(IndexError):
        order.get()


def test_the_oldest_is_the_one_that_waits_longest_whatever_its_priority() -> None:
    order = waiting(Request("new", 5, 9, app="a"), Request("old", 1, 0, app="b"), Request("older", 0, 0, app="c"))
    assert repr(order.oldest()) == "older"
    assert repr(order.oldest({"a", "b"})) == "old"
    assert order.oldest({"d"}) is None
    assert waiting().oldest() is None


def test_those_for_some_apps_are_counted() -> None:
    order = waiting(*(Request(app, app=app) for app in "aabbbc"))
    assert order.count("ab") == 5
    assert order.count(["d"]) == 0


def test_memory_is_that_of_those_who_wait() -> None:
    """Of two that come one is given up, and one that waits keeps all others behind it."""
    order = waiting(Request("stays", 1e9))
    other = Request("keeps its app alive", 1e9, app="other")
    order.put(other)
    for n in range(20_000):
        given_up, run = Request("given up", n, app="other"), Request("run", n)
        order.put(given_up)
        order.put(run)
        order.remove(given_up)
        assert order.get() is run
    kept = [order._next, *order._oldest.values()]
    assert sum(map(len, kept)) < 500
    for n in range(20_000):
        order.put(one := Request("one", app=f"app {n}"))
        order.remove(one)
    assert len(order._oldest) == len(order._counts) == 2


def test_what_was_taken_out_is_not_kept_though_others_wait() -> None:
    order = waiting(Request("stays"))
    gone = []
    for n in range(50):
        request = Request(f"{n}", arrived=n)
        gone.append(weakref.ref(request))
        order.put(request)
        order.remove(request)
        del request
    assert not any(reference() for reference in gone)


class OrderMachine(RuleBasedStateMachine):
    """Against a plain list."""

    def __init__(self) -> None:
        super().__init__()
        self.order: Order[Request] = Order()
        self.model: list[Request] = []
        self.now = 0.0

    @rule(app=st.sampled_from("abc"), priority=st.integers(-3, 3), seconds=st.sampled_from([0, 0, 1, 9, 30]))
    def put(self, app: str, priority: int, seconds: float) -> None:
        self.now += seconds
        request = Request(f"{len(self.model)}", self.now, priority, app)
        self.order.put(request)
        self.model.append(request)

    @rule()
    def get(self) -> None:
        if self.model:
            first = min(self.model, key=lambda one: one.arrived - AGEING * one.priority)
            assert self.order.get() is first
            self.model.remove(first)

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        if self.model:
            request = data.draw(st.sampled_from(self.model))
            assert self.order.remove(request)
            self.model.remove(request)

    @rule(data=st.data())
    def put_back(self, data: st.DataObject) -> None:
        """It is behind those that have come meanwhile at the same time."""
        if self.model:
            request = data.draw(st.sampled_from(self.model))
            self.order.remove(request)
            self.model.remove(request)
            self.order.put(request)
            self.model.append(request)

    @invariant()
    def the_same_wait(self) -> None:
        assert len(self.order) == len(self.model)
        assert set(self.order) == set(self.model)
        for apps in ("a", "bc", "abc"):
            fitting = [one for one in self.model if one.app in apps]
            assert self.order.count(apps) == len(fitting)
            oldest = self.order.oldest(apps)
            assert oldest is min(fitting, key=lambda one: one.arrived, default=None)


OrderMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
TestOrderAgainstAList = OrderMachine.TestCase
