"""What two numbers tell of the calls that a task worker has begun is what it has begun."""

from hypothesis import given
from hypothesis import strategies as st

from unicorn_core.dispatch.rules.places import WINDOW, begun, bit


def test_without_any_that_was_passed_over_all_up_to_the_highest_are_begun() -> None:
    assert [place for place in range(1, 200) if begun(place, 120, 0)] == [*range(1, 121)]


def test_a_bit_says_nothing_of_a_place_far_below_that_has_the_same() -> None:
    passed = bit(WINDOW + 5)
    assert not begun(WINDOW + 5, WINDOW + 7, passed)
    assert begun(5, WINDOW + 7, passed)


@given(st.integers(1, 10_000), st.sets(st.integers(1, WINDOW - 1)))
def test_any_below_the_highest_within_reach_may_be_passed_over(highest: int, behind: set[int]) -> None:
    over = {highest - distance for distance in behind if distance < highest}
    passed = int(float(sum(map(bit, over))))
    found = {place for place in range(max(1, highest - 3 * WINDOW), highest + 3) if not begun(place, highest, passed)}
    assert found == over | {highest + 1, highest + 2}
