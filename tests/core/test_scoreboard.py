"""Rows are shared between processes, cleared when they are given out, and never run out."""

import os

from unicorn_core.worker.scoreboard import IN_FLIGHT, LINE, REQUESTS, ROWS, Scoreboard


def test_a_child_writes_and_the_parent_reads() -> None:
    row = Scoreboard().take()
    pid = os.fork()
    if pid == 0:
        row.busy()
        row.begin(12.5, b"GET /slow HTTP/1.1")
        os._exit(0)
    os.waitpid(pid, 0)
    assert row.last_sign() == 12.5
    assert row.busy_with() == "GET /slow HTTP/1.1"


def test_after_its_request_a_worker_is_busy_with_nothing() -> None:
    row = Scoreboard().take()
    row.busy()
    row.begin(1.0, b"GET / HTTP/1.1")
    row.idle(1)
    assert row.busy_with() == ""
    assert (row.cells[IN_FLIGHT], row.cells[REQUESTS]) == (0, 1)


def test_a_long_line_is_cut() -> None:
    row = Scoreboard().take()
    row.busy()
    row.begin(1.0, b"x" * (LINE + 100))
    assert row.busy_with() == "x" * LINE


def test_rows_do_not_overlap_and_do_not_run_out() -> None:
    board = Scoreboard()
    rows = [board.take() for _ in range(ROWS + 5)]
    for number, row in enumerate(rows):
        row.busy()
        row.begin(number, b"%d" % number * 300)
    for number, row in enumerate(rows):
        assert row.last_sign() == number
        assert row.busy_with() == (str(number) * 300)[:LINE]


def test_a_row_that_was_given_back_comes_out_clean() -> None:
    board = Scoreboard()
    row = board.take()
    row.busy()
    row.begin(5.0, b"GET /")
    board.give_back(row)
    again = board.take()
    assert again is row
    assert again.last_sign() == 0
    assert again.busy_with() == ""
