"""Rows are shared between processes, cleared when they are given out, and never run out."""

import os

from unicorn_core.worker.scoreboard import CONNECTIONS, IN_FLIGHT, LINE, REQUESTS, ROWS, TAKEN, Row, Scoreboard, Segment


def test_a_child_writes_and_the_parent_reads() -> None:
    row = Scoreboard().take()
    pid = os.fork()
    if pid == 0:
        row.busy()
        row.begin(12.5, b"192.0.2.1\0GET /slow HTTP/1.1")
        os._exit(0)
    os.waitpid(pid, 0)
    assert row.last_sign() == 12.5
    assert row.busy_with(14.0) == ("GET /slow HTTP/1.1", "192.0.2.1", 1.5)


def test_after_its_request_a_worker_is_busy_with_nothing() -> None:
    row = Scoreboard().take()
    row.busy()
    row.begin(1.0, b"GET / HTTP/1.1")
    row.idle(1)
    assert row.busy_with() == ("", "", 0.0)
    assert (row.cells[IN_FLIGHT], row.cells[REQUESTS]) == (0, 1)


def test_a_long_line_is_cut() -> None:
    row = Scoreboard().take()
    row.busy()
    row.begin(1.0, b"x" * (LINE + 100))
    assert row.busy_with()[0] == "x" * LINE


def test_rows_do_not_overlap_and_do_not_run_out() -> None:
    board = Scoreboard()
    rows = [board.take() for _ in range(ROWS + 5)]
    for number, row in enumerate(rows):
        row.busy()
        row.begin(number, b"%d" % number * 300)
    for number, row in enumerate(rows):
        assert row.last_sign() == number
        assert row.busy_with()[0] == (str(number) * 300)[:LINE]


def test_a_row_that_was_given_back_comes_out_clean() -> None:
    board = Scoreboard()
    row = board.take()
    row.busy()
    row.begin(5.0, b"GET /")
    board.give_back(row)
    again = board.take()
    assert again is row
    assert again.last_sign() == 0
    assert again.busy_with() == ("", "", 0.0)


def test_a_process_that_maps_the_segment_later_sees_the_same_rows() -> None:
    row = Scoreboard().take()
    again = Row(Segment(os.dup(row.segment.fd)), row.index)
    again.busy()
    again.begin(3.0, b"GET / HTTP/1.1")
    assert row.last_sign() == 3.0


def test_a_worker_sees_who_has_less_before_it() -> None:
    board = Scoreboard()
    first, second = board.take(), board.take()
    first.idle(0)
    second.idle(0)
    assert not first.another_has_less()
    first.load(1)
    assert first.another_has_less()
    second.load(1)
    assert not first.another_has_less()
    second.load(TAKEN)
    assert not first.another_has_less()
    first.busy()
    assert not first.another_has_less()
    second.idle(1, 5)
    assert first.another_has_less()


def test_a_worker_sees_whether_another_keeps_clearly_fewer_connections() -> None:
    board = Scoreboard()
    first, second = board.take(), board.take()
    first.load(0)
    first.cells[CONNECTIONS] = 100
    assert not first.another_keeps_fewer()
    second.load(0)
    assert first.another_keeps_fewer()
    second.cells[CONNECTIONS] = 90
    assert not first.another_keeps_fewer()
    second.cells[CONNECTIONS] = 85
    assert first.another_keeps_fewer()
    assert not second.another_keeps_fewer()
    second.busy()
    assert not first.another_keeps_fewer()
    second.idle(1, TAKEN)
    assert not first.another_keeps_fewer()
    first.cells[CONNECTIONS] = 1
    second.idle(1)
    second.cells[CONNECTIONS] = 0
    assert not first.another_keeps_fewer()


def test_a_worker_knows_whether_it_is_alone() -> None:
    board = Scoreboard()
    first, second = board.take(), board.take()
    first.load(TAKEN)
    assert first.alone()
    second.load(TAKEN)
    assert not first.alone()
    board.give_back(second)
    assert first.alone()
    assert not first.another_has_less()


def test_a_worker_of_a_further_segment_is_never_alone() -> None:
    board = Scoreboard()
    *_, last = [board.take() for _ in range(ROWS + 1)]
    last.idle(0)
    assert not last.alone()
    assert not last.another_has_less()
