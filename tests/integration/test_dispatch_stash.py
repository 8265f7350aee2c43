"""The stash: shared by all processes, atomic, and there for longer than task workers."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from unicorn_core.dispatch import Dispatcher, StashError, StashFull, StashKeyNotFound
from unicorn_core.dispatch import stash as module
from unicorn_core.dispatch.stash import Stash
from unicorn_core.testing.server import wait_until

from .support.tasks import BASIC, in_threads


@pytest.fixture(scope="module")
def running() -> Iterator[Dispatcher]:
    with Dispatcher(apps=[BASIC], workers=2, loglevel="critical") as dispatcher:
        yield dispatcher


@pytest.fixture
def stash(running: Dispatcher) -> Iterator[Stash]:
    stash = Stash(running.client.stash)
    yield stash
    for table in stash.tables():
        stash.delete_table(table)


def test_what_was_put_is_got_by_everyone(running, stash, monkeypatch) -> None:
    stash.put("table", "key", {"x": (1, 2)})
    assert stash.get("table", "key") == {"x": (1, 2)}
    assert stash.get("table", "missing") is None
    assert stash.get("table", "missing", 5) == 5
    assert stash.get("nowhere", "missing", 5) == 5
    monkeypatch.setenv("UNICORN_DISPATCH_SOCKET", running._endpoint.path)
    assert module.get("table", "key") == {"x": (1, 2)}
    assert module.table("table")["key"] == {"x": (1, 2)}


def test_keys_may_be_of_many_types(stash) -> None:
    for key in ("text", 7, ("a", 1), b"bytes"):
        stash.put("table", key, key)
        assert stash.get("table", key) == key
    assert set(stash.keys("table")) == {"text", 7, ("a", 1), b"bytes"}
    assert sorted(stash.keys("table", "te*")) == ["text"]


def test_a_table_looks_like_a_dict(stash) -> None:
    table = stash.table("table")
    table.update({"a": 1, "b": None})
    assert dict(table) == {"a": 1, "b": None}
    assert len(table) == 2
    assert "b" in table
    assert "c" not in table
    assert table.pop("a") == 1
    with pytest.raises(KeyError):
        table["a"]
    with pytest.raises(KeyError):
        del table["a"]
    assert table.setdefault("d", 4) == 4
    assert sorted(table.items()) == [("b", None), ("d", 4)]
    table.clear()
    assert not table


def test_large_values_are_kept_whole(stash) -> None:
    large = os.urandom(1 << 20) * 3
    stash.put("table", "large", [large, b"x" * 70_000])
    assert stash.get("table", "large") == [large, b"x" * 70_000]
    assert dict(stash.items("table")) == {"large": [large, b"x" * 70_000]}


def test_what_depends_on_the_value_is_one_step(stash) -> None:
    assert stash.put_if_absent("table", "key", "first")
    assert not stash.put_if_absent("table", "key", "second")
    assert stash.compare_and_swap("table", "key", "first", "third")
    assert not stash.compare_and_swap("table", "key", "first", "fourth")
    assert stash.get("table", "key") == "third"
    assert stash.increment("table", "count", 2) == 2
    assert stash.increment("table", "count", 0.5) == 2.5
    with pytest.raises(StashError, match="no number"):
        stash.increment("table", "key")


def test_entries_may_live_for_a_time(stash) -> None:
    stash.put("table", "brief", 1, ttl=0.2)
    stash.put("table", "long", 1, ttl=60)
    stash.put("table", "ever", 1)
    assert 0 < stash.ttl("table", "long") <= 60
    assert stash.ttl("table", "ever") is None
    wait_until(lambda: not stash.exists("table", "brief"))
    assert stash.expire("table", "ever", 60)
    assert 0 < stash.ttl("table", "ever") <= 60
    with pytest.raises(StashKeyNotFound):
        stash.ttl("table", "brief")


def test_a_table_with_bounds_forgets_what_was_not_used_for_longest(stash) -> None:
    stash.ensure("table", max_entries=3)
    for number in range(3):
        stash.put("table", number, number)
    stash.get("table", 0)
    stash.put("table", 3, 3)
    assert sorted(stash.keys("table")) == [0, 2, 3]
    assert stash.info("table")["size"] == 3


def test_tables_come_and_go(stash) -> None:
    assert not stash.exists("table")
    stash.ensure("table")
    assert stash.exists("table")
    assert "table" in stash.tables()
    assert stash.delete_table("table")
    assert not stash.delete_table("table")


def test_tables_that_an_app_wants_are_there_from_the_start() -> None:
    with Dispatcher(apps=[BASIC]) as dispatcher:
        assert Stash(dispatcher.client.stash).tables() == ["made-by-basic"]


COUNTING = """
import sys
from unicorn_core.dispatch.client.client import Client
from unicorn_core.dispatch.client.local import LocalBackend
from unicorn_core.dispatch.stash import Stash

stash = Stash(Client(LocalBackend(sys.argv[1])).stash)
for _ in range(250):
    stash.increment("counters", "n")
"""


def test_sixteen_processes_count_without_losing_one(running, stash) -> None:
    command = [sys.executable, "-c", COUNTING, running._endpoint.path]
    processes = [subprocess.Popen(command) for _ in range(16)]
    assert [process.wait(60) for process in processes] == [0] * 16
    assert stash.get("counters", "n") == 16 * 250


def test_task_workers_and_callers_share_it_and_it_outlives_a_crash(running, stash) -> None:
    futures = in_threads([lambda: running.client.execute(BASIC, "bump", 50)] * 4)
    for future in futures:
        future.result(20)
    assert stash.get("counters", "bumped") == 200
    for worker in running.client.status()["workers"]:
        os.kill(worker["pid"], signal.SIGKILL)
    running.client.with_options(timeout=30).execute(BASIC, "bump", 1)
    assert stash.get("counters", "bumped") == 201


def test_the_stash_as_a_whole_has_a_limit() -> None:
    with Dispatcher(apps=[BASIC], dispatch_max_stash="2M", loglevel="critical") as dispatcher:
        stash = Stash(dispatcher.client.stash)
        stash.put("table", "small", b"x" * 1000)
        with pytest.raises(StashFull):
            stash.put("table", "large", b"x" * 3_000_000)
        assert stash.keys("table") == ["small"]
