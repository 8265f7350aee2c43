"""The socket of a slot without a worker is never left alone for long, and goes back to its own."""

from unicorn_core.supervise.lending import PATIENCE, Lend, Lending, TakeBack


def test_a_socket_is_lent_only_after_a_moment() -> None:
    lending = Lending()
    assert lending.update({0: 10, 1: None}, 5.0) == []
    assert lending.deadline() == 5.0 + PATIENCE
    assert lending.update({0: 10, 1: None}, 5.05) == []
    assert lending.update({0: 10, 1: None}, 5.1) == [Lend(1, 10)]
    assert lending.deadline() is None
    assert lending.update({0: 10, 1: None}, 9.0) == []


def test_it_goes_back_once_the_slot_is_served() -> None:
    lending = Lending()
    lending.update({0: 10, 1: None}, 0.0)
    lending.update({0: 10, 1: None}, 1.0)
    assert lending.update({0: 10, 1: 11}, 2.0) == [TakeBack(1, 10)]
    assert lending.update({0: 10, 1: 11}, 3.0) == []


def test_a_slot_that_is_served_again_in_time_is_not_lent() -> None:
    lending = Lending()
    lending.update({0: 10, 1: None}, 0.0)
    assert lending.update({0: 10, 1: 11}, 0.05) == []
    assert lending.update({0: 10, 1: None}, 1.0) == []


def test_when_the_borrower_ends_another_borrows() -> None:
    lending = Lending()
    lending.update({0: 10, 1: None, 2: 12}, 0.0)
    assert lending.update({0: 10, 1: None, 2: 12}, 1.0) == [Lend(1, 12)]
    assert lending.update({0: 10, 1: None, 2: None}, 1.05) == [Lend(1, 10)]
    assert lending.update({0: 10, 1: None, 2: None}, 1.2) == [Lend(2, 10)]


def test_with_nobody_ready_nothing_is_lent() -> None:
    lending = Lending()
    lending.update({0: None, 1: None}, 0.0)
    assert lending.update({0: None, 1: None}, 1.0) == []
    assert lending.update({0: 10, 1: None}, 1.1) == [Lend(1, 10)]


def test_a_loan_of_a_slot_that_is_removed_ends() -> None:
    lending = Lending()
    lending.update({0: 10, 1: None}, 0.0)
    lending.update({0: 10, 1: None}, 1.0)
    assert lending.update({0: 10}, 2.0) == [TakeBack(1, 10, ends=True)]
