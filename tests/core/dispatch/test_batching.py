"""A batch is complete when it is full, or when its first call has waited long enough."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unicorn_core.dispatch.rules.batching import Batching


def test_a_full_batch_is_complete_at_once() -> None:
    batching: Batching[str] = Batching(3, 1.0)
    assert batching.add("a", 0.0) is None
    assert batching.add("b", 0.1) is None
    assert batching.add("c", 0.2) == ["a", "b", "c"]
    assert batching.due is None


def test_time_completes_a_batch_and_counts_from_its_first_call() -> None:
    batching: Batching[str] = Batching(3, 1.0)
    batching.add("a", 5.0)
    batching.add("b", 5.9)
    assert batching.due == 6.0
    assert batching.add("c", 6.0) == ["a", "b", "c"]


def test_a_call_that_comes_after_the_time_is_still_in_the_batch() -> None:
    batching: Batching[str] = Batching(3, 1.0)
    batching.add("a", 0.0)
    assert batching.add("b", 2.0) == ["a", "b"]


def test_without_waiting_every_call_is_a_batch() -> None:
    batching: Batching[str] = Batching(3, 0.0)
    assert batching.add("a", 0.0) == ["a"]


def test_what_was_gathered_can_be_had_at_once() -> None:
    batching: Batching[str] = Batching(9, 1.0)
    batching.add("a", 0.0)
    assert batching.flush() == ["a"]
    assert batching.flush() == []


@pytest.mark.parametrize(("size", "wait"), [(0, 1.0), (1, -0.1)])
def test_bounds_that_make_no_sense_are_refused(size: int, wait: float) -> None:
    with pytest.raises(ValueError, match="max_"):
        Batching(size, wait)


@settings(deadline=None)
@given(st.integers(1, 5), st.floats(0, 3), st.lists(st.floats(0, 2), max_size=40))
def test_every_call_is_in_one_batch_that_is_neither_too_large_nor_too_late(
    size: int, wait: float, pauses: list[float]
) -> None:
    batching: Batching[int] = Batching(size, wait)
    now, batches, came = 0.0, [], {}
    for call, pause in enumerate(pauses):
        if batching.due is not None and batching.due < now + pause:
            batches.append((batching.due, batching.flush()))
        now += pause
        came[call] = now
        if batch := batching.add(call, now):
            batches.append((now, batch))
    if batching.due is not None:
        batches.append((batching.due, batching.flush()))
    assert [call for _, batch in batches for call in batch or ()] == [*range(len(pauses))]
    for when, batch in batches:
        assert batch
        assert len(batch) <= size
        assert when <= came[batch[0]] + wait
        assert len(batch) == size or when == came[batch[0]] + wait
