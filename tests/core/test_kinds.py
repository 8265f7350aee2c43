"""Numbers of workers and of bytes may be written as people write them, and what makes no sense is refused in words."""

import copy
import pickle
from pathlib import Path

import pytest

from unicorn_core.settings import kinds
from unicorn_core.settings.kinds import Bytes, Choice, File, WorkerCount, Workers


@pytest.fixture(autouse=True)
def four_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "usable_cpus", lambda: 4)


@pytest.mark.parametrize(
    ("raw", "minimum", "maximum"),
    [
        (3, 3, 3),
        ("3", 3, 3),
        (" 3 ", 3, 3),
        (64, 64, 64),
        ("auto", 4, 4),
        (" AUTO ", 4, 4),
        ("2..8", 2, 8),
        ("2 .. 8", 2, 8),
        ("5..5", 5, 5),
        ("auto..16", 4, 16),
        ("2..auto", 2, 4),
        ("auto..auto", 4, 4),
    ],
)
def test_a_number_of_workers(raw: object, minimum: int, maximum: int) -> None:
    workers = WorkerCount(64).parse(raw)
    assert (int(workers), workers.maximum) == (minimum, maximum)


@pytest.mark.parametrize(
    "raw",
    [
        *(0, -1, 65, True, None, 2.0, [2]),
        *("", "x", "0", "0..4", "8..2", "2..65", "2..", "..8", "..", "2...8", "2..4..8"),
        *("-1..4", "2-8", "auto8", "2.5", "+2", "٢"),
    ],
)
def test_no_number_of_workers(raw: object) -> None:
    with pytest.raises(ValueError, match=r"^a whole number from 1 to 64, auto, or a range such as 2\.\.8$"):
        WorkerCount(64).parse(raw)


def test_auto_keeps_to_the_most_that_is_allowed() -> None:
    workers = WorkerCount(2).parse("auto")
    assert (int(workers), workers.maximum) == (2, 2)


def test_cpus_are_not_counted_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(kinds, "usable_cpus")
    assert WorkerCount(64).parse("2..8") == 2


@pytest.mark.parametrize("text", ["3", "2..8"])
def test_a_number_of_workers_prints_as_what_would_be_read_again(text: str) -> None:
    workers = WorkerCount(64).parse(text)
    assert repr(workers).strip("'") == text
    again = WorkerCount(64).parse(repr(workers).strip("'"))
    assert (int(again), again.maximum) == (int(workers), workers.maximum)


def test_a_parsed_number_of_workers_survives_parsing_and_copying() -> None:
    workers = WorkerCount(64).parse("2..8")
    for same in (WorkerCount(64).parse(workers), copy.copy(workers), pickle.loads(pickle.dumps(workers))):
        assert isinstance(same, Workers)
        assert (int(same), same.maximum) == (2, 8)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (0, 0),
        (4096, 4096),
        ("4096", 4096),
        ("4096B", 4096),
        ("1K", 1024),
        ("1k", 1024),
        ("1KB", 1024),
        ("1KiB", 1024),
        ("512M", 512 * 1024**2),
        (" 512 MiB ", 512 * 1024**2),
        ("2g", 2 * 1024**3),
        ("0G", 0),
    ],
)
def test_a_number_of_bytes(raw: object, value: int) -> None:
    assert Bytes().parse(raw) == value


@pytest.mark.parametrize(
    "raw", [-1, True, None, 1.5, [1], "", "B", "K", "MB", "1.5G", "-1M", "1T", "1KK", "K1", "1 2M", "0x10", "many"]
)
def test_no_number_of_bytes(raw: object) -> None:
    with pytest.raises(ValueError, match=r"^a number of bytes, or one with K, M or G such as 512M$"):
        Bytes().parse(raw)


def test_a_path_of_a_file_is_made_absolute_where_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert File().parse("a.pem") == str(tmp_path / "a.pem")
    assert File().parse("/b/../c.pem") == "/c.pem"
    assert File().parse(None) is File().parse("") is None
    with pytest.raises(ValueError, match="the path of a file"):
        File().parse(5)


@pytest.mark.parametrize(
    ("raw", "word"), [("on", "on"), (" ON ", "on"), ("1", "on"), (1, "on"), (True, "on"), (False, "off"), ("no", "off")]
)
def test_a_word_may_have_other_spellings(raw: object, word: str) -> None:
    kind = Choice(("on", "off"), (("1", "on"), ("true", "on"), ("false", "off"), ("no", "off")))
    assert kind.parse(raw) == word


@pytest.mark.parametrize("raw", ["", "maybe", None, 2, 1.0, ["on"]])
def test_no_such_word(raw: object) -> None:
    with pytest.raises(ValueError, match="one of on, off"):
        Choice(("on", "off")).parse(raw)
