"""Every app is held by as many slots as it wants, the limited ones are spread, and what a slot holds stays."""

from hypothesis import given
from hypothesis import strategies as st

from unicorn_core.dispatch.rules.assignment import assign, least

LIMITS = st.dictionaries(st.sampled_from("abcdef"), st.none() | st.integers(1, 6), min_size=1)


def test_an_app_without_a_limit_is_held_by_all() -> None:
    assert assign({"a": None, "b": None}, 3) == [("a", "b")] * 3


def test_limited_apps_are_spread_and_slots_without_any_are_not_wanted() -> None:
    assert assign({"a": 1, "b": 1}, 4) == [("a",), ("b",)]
    assert assign({"a": 2, "b": 1}, 4) == [("a",), ("a",), ("b",)]
    assert assign({"a": 1, "b": 1, "c": None}, 3) == [("a", "c"), ("b", "c"), ("c",)]


def test_fewer_slots_than_wanted_hold_what_they_can() -> None:
    assert assign({"a": 3, "b": 1}, 1) == [("a", "b")]


def test_further_slots_get_what_is_lacking_and_the_others_keep_theirs() -> None:
    held = assign({"a": 3, "b": None, "c": 1}, 2)
    assert assign({"a": 3, "b": None, "c": 1}, 4, held) == [*held, ("a", "b"), ("b",)]


def test_not_so_many_may_leave_that_an_app_lacks_a_worker() -> None:
    limits = {"a": 2, "b": None}
    assert least(assign(limits, 5), limits) == 2
    assert least(assign({"b": None}, 5), {"b": None}) == 1


@given(LIMITS, st.integers(1, 8), st.integers(0, 4))
def test_the_rules_hold_for_any_apps(limits: dict[str, int | None], slots: int, more: int) -> None:
    held = assign(limits, slots)
    grown = assign(limits, slots + more, held) if len(held) == slots else held
    assert grown[: len(held)] == held
    assert all(held)
    for app, limit in limits.items():
        holders = sum(app in apps for apps in held)
        assert holders == (len(held) if limit is None else min(limit, slots))
        kept = sum(app in apps for apps in held[: least(held, limits)])
        assert limit is None or kept == holders
