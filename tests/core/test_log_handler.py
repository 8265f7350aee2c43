"""A log goes on whatever becomes of its file, and what is lost is told of, but not line by line."""

import io
import logging
import weakref
from pathlib import Path

import pytest

from unicorn_core.observe import handler as module
from unicorn_core.observe.handler import TELL, LogHandler

full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", clock)
    return clock


@pytest.fixture
def make():
    """A logger with the handler of a file, and what it reported."""
    made = []

    def make(path, standard=None):
        told = []
        handler = LogHandler(standard, path and str(path), report=lambda text, *values: told.append(text % values))
        logger = logging.Logger("test")
        logger.addHandler(handler)
        made.append(handler)
        return logger, handler, told

    yield make
    for handler in made:
        handler.end()


def test_lines_go_to_the_end_of_the_file(make, tmp_path):
    path = tmp_path / "log"
    path.write_text("before\n")
    logger, _, told = make(path)
    logger.warning("one %s", "\udc80\u4e2d")
    logger.warning("two")
    assert path.read_text() == "before\none \\udc80\u4e2d\ntwo\n"
    assert told == []


def test_a_reopened_file_is_another_one(make, tmp_path):
    path = tmp_path / "log"
    logger, handler, _ = make(path)
    logger.warning("one")
    path.rename(tmp_path / "old")
    logger.warning("two")
    handler.reopen()
    logger.warning("three")
    assert (tmp_path / "old").read_text() == "one\ntwo\n"
    assert path.read_text() == "three\n"


def test_a_file_that_cannot_be_reopened_is_kept(make, tmp_path):
    path = tmp_path / "folder" / "log"
    path.parent.mkdir()
    logger, handler, _ = make(path)
    path.parent.rename(tmp_path / "gone")
    with pytest.raises(FileNotFoundError):
        handler.reopen()
    logger.warning("one")
    assert (tmp_path / "gone" / "log").read_text() == "one\n"


@full
def test_what_is_lost_is_told_of_once_a_minute(make, clock, capfd):
    logger, handler, told = make("/dev/full")
    for _ in range(5):
        logger.warning("lost")
    assert told == ["Cannot write to the log file '/dev/full': No space left on device; lines lost so far: 1"]
    clock.now += TELL - 1
    handler.put("not even this")
    assert len(told) == 1
    clock.now += 1
    logger.warning("lost")
    assert told[1:] == ["Cannot write to the log file '/dev/full': No space left on device; lines lost so far: 7"]
    assert capfd.readouterr().err == ""


@full
def test_a_full_file_leaves_nothing_for_the_next_one(make, tmp_path):
    path = tmp_path / "log"
    path.symlink_to("/dev/full")
    logger, handler, _ = make(path)
    logger.warning("lost")
    path.unlink()
    handler.reopen()
    logger.warning("kept")
    assert path.read_text() == "kept\n"


@full
def test_nobody_need_be_told(capfd):
    with io.TextIOWrapper(io.FileIO("/dev/full", "w"), write_through=True) as standard:
        handler = LogHandler(standard)
        logging.Logger("test").addHandler(handler)
        handler.handle(logging.makeLogRecord({"msg": "lost"}))
        handler.put("lost")
        handler.flush()
    assert capfd.readouterr().err == ""


def test_a_line_that_cannot_be_made_shows_where(make, tmp_path, capfd):
    logger, _, told = make(tmp_path / "log")
    logger.warning("%s and %s", "one")
    assert "test_log_handler.py" in capfd.readouterr().err
    assert told == []


def test_after_its_end_a_log_is_silent(make, tmp_path, capfd):
    logger, handler, told = make(tmp_path / "log")
    handler.end()
    logger.warning("too late")
    assert (told, capfd.readouterr().err) == ([], "")


def test_it_goes_on_after_somebody_has_closed_all_handlers(make, tmp_path):
    """As logging.config does."""
    logger, handler, _ = make(tmp_path / "log")
    logging.shutdown([weakref.ref(handler)])
    logger.warning("one")
    assert (tmp_path / "log").read_text() == "one\n"
