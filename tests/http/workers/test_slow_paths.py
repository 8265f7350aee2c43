"""Which paths gthread serves apart."""

from unicorn_http.workers.slow_paths import MOST, OFTEN, SLOW, SlowPaths


def learnt(*took: float, target: str = "/report?a=1") -> SlowPaths:
    paths = SlowPaths()
    for seconds in took:
        paths.learn(target, seconds)
    return paths


def test_one_slow_request_may_be_chance() -> None:
    assert not learnt(0.01).has("/report")
    assert not learnt(0.01).known


def test_a_path_that_is_slow_again_and_again_is_known_whatever_the_query() -> None:
    paths = learnt(*[0.01] * OFTEN)
    assert paths.has("/report?b=2")
    assert not paths.has("/report/2")


def test_a_quick_request_in_between_makes_it_begin_anew() -> None:
    paths = learnt(0.01, 0.0001)
    paths.learn("/report", 0.01)
    assert not paths.has("/report")


def test_a_path_that_has_become_quick_is_forgotten_at_once() -> None:
    paths = learnt(0.01, 0.01, 0.0001)
    assert not paths.known
    paths.learn("/report", 0.01)
    assert not paths.has("/report")


def test_what_is_neither_slow_nor_quick_changes_nothing() -> None:
    assert learnt(0.01, 0.01, SLOW * 0.7).has("/report")
    assert not learnt(0.01, SLOW * 0.7).has("/report")


def test_no_more_paths_are_remembered_than_may_be() -> None:
    paths = SlowPaths()
    for number in range(2 * MOST):
        for _ in range(OFTEN):
            paths.learn(f"/{number}", 0.01)
    assert len(paths.known) == MOST
    paths.learn("/0", 0.0001)
    for _ in range(OFTEN):
        paths.learn("/new", 0.01)
    assert paths.has("/new")
