"""Calls of task apps, through real processes: what goes in comes out, and what goes wrong is told."""

import asyncio
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest

from unicorn_core.dispatch import (
    ActionNotFound,
    AppNotLoaded,
    Dispatcher,
    DispatchError,
    DispatcherUnavailable,
    NotSerializable,
    NoWorkers,
    PayloadTooLarge,
    TaskFailed,
    get_client,
)
from unicorn_core.errors import ApplicationError, SettingError
from unicorn_core.testing.server import wait_until

from .support.tasks import APPS, BASIC, OTHER, in_threads


@pytest.fixture(scope="module")
def running() -> Iterator[Dispatcher]:
    with Dispatcher(apps=[BASIC, OTHER, "task_apps:Decides"], workers=2, dispatch_max_payload="40M") as dispatcher:
        yield dispatcher


@pytest.fixture
def client(running: Dispatcher):
    return running.client


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        2**70,
        -1.5,
        "tëxt",
        b"bytes",
        [1, [2, (3, {4})]],
        {1: "one", (2, 3): [None]},
        datetime(2024, 2, 29, 12, 30),
        datetime(2024, 2, 29, tzinfo=timezone(timedelta(hours=2))),
        Decimal("1.10"),
        UUID("8d9bb0f6-7d7e-4f0f-9d5e-d3a8a9c2d3f1"),
        b"x" * 100_000,
        [b"y" * 70_000, "between", b"z" * 2_000_000],
        b"",
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_comes_back_as_it_went(client, value) -> None:
    came = client.execute(BASIC, "same", value)
    assert came == value
    assert type(came) is type(value)


def test_a_dataclass_comes_back(client) -> None:
    from task_apps import Point

    assert client.execute(BASIC, "same", Point(1, 2)) == Point(1, 2)


def test_arguments_keep_their_place_and_name(client) -> None:
    args, kwargs = client.execute(BASIC, "arguments", 1, "two", timeout=3, app="x", action="y", priority=None)
    assert list(args) == [1, "two"]
    assert kwargs == {"timeout": 3, "app": "x", "action": "y", "priority": None}


def test_large_values_travel_through_shared_memory_and_leave_no_descriptor_behind(client) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    large = os.urandom(1 << 20) * 16
    assert client.execute(BASIC, "same", large) == large
    before = descriptors()
    for _ in range(5):
        assert client.execute(BASIC, "same", large) == large
    assert descriptors() == before


def test_an_async_action_is_awaited(client) -> None:
    assert client.execute(BASIC, "later", 5) == 5


def test_actions_can_be_called_as_methods(client) -> None:
    assert client.app(BASIC).same(7) == 7
    assert asyncio.run(client.app(BASIC).aio.same(8)) == 8


def test_an_app_may_decide_by_itself_what_an_action_is(client) -> None:
    action, args, kwargs, _ = client.execute("task_apps:Decides", "anything at all", 1, key=2)
    assert (action, args, kwargs) == ("anything at all", [1], {"key": 2})
    for name in ("_private", "init", "close"):
        with pytest.raises(ActionNotFound):
            client.execute("task_apps:Decides", name)


@pytest.mark.parametrize(
    "name", ["missing", "_run", "__init__", "__call__", "init", "close", "level", "callable_thing"]
)
def test_only_public_methods_are_actions(client, name: str) -> None:
    with pytest.raises(ActionNotFound, match=rf"{BASIC}\.{name}: .*it has: .*noop"):
        client.execute(BASIC, name)


def test_an_app_that_is_not_configured_is_an_error(client) -> None:
    with pytest.raises(AppNotLoaded, match=r"os:environ\.clear: no such app"):
        client.execute("os:environ", "clear")


def test_an_exception_of_the_action_comes_with_type_text_and_traceback(client) -> None:
    with pytest.raises(TaskFailed, match=r"ValueError: no way") as caught:
        client.execute(BASIC, "fail")
    error = caught.value
    assert (error.app, error.action, error.remote_type, error.message) == (BASIC, "fail", "ValueError", "no way")
    assert error.worker in (1, 2)
    assert "in fail" in error.traceback
    assert "unicorn_core" not in error.traceback
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.traceback) == (str(error), error.traceback)


def test_system_exit_in_an_action_ends_nothing(client) -> None:
    with pytest.raises(TaskFailed, match="SystemExit"):
        client.execute(BASIC, "leave")
    assert client.execute(BASIC, "same", 1) == 1


def test_an_argument_that_cannot_travel_is_named(client) -> None:
    with pytest.raises(NotSerializable, match=r"argument 2: .*"):
        client.execute(BASIC, "arguments", 1, object())
    with pytest.raises(NotSerializable, match=r"argument 'it'"):
        client.execute(BASIC, "arguments", it=object())
    assert client.execute(BASIC, "same", 1) == 1


def test_a_result_that_cannot_travel_is_an_error_of_the_call(client) -> None:
    with pytest.raises(NotSerializable, match=rf"{BASIC}\.unsendable"):
        client.execute(BASIC, "unsendable")


def test_what_is_larger_than_the_limit_is_refused_by_who_would_send_it(client) -> None:
    with pytest.raises(PayloadTooLarge) as caught:
        client.execute(BASIC, "same", b"x" * (41 << 20))
    assert caught.value.limit == 40 << 20
    assert caught.value.worker is None
    with pytest.raises(PayloadTooLarge) as caught:
        client.execute(BASIC, "pieces_at_once", 41 << 20)
    assert caught.value.worker is not None


def test_calls_from_many_threads_get_their_own_answers(client) -> None:
    def many(begin: int) -> None:
        for number in range(begin, begin + 50):
            assert client.execute(BASIC, "same", number) == number

    for future in in_threads([lambda begin=begin: many(begin) for begin in range(0, 1000, 50)]):
        future.result(30)


def test_a_client_works_after_a_fork(client) -> None:
    assert client.execute(BASIC, "same", "parent") == "parent"
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, client.execute(BASIC, "same", b"child"))
        finally:
            os._exit(0)
    os.close(writer)
    assert client.execute(BASIC, "same", "parent") == "parent"
    assert os.read(reader, 100) == b"child"
    os.close(reader)
    os.waitpid(pid, 0)


def test_calls_of_one_loop_share_a_connection_and_run_side_by_side(client, running) -> None:
    async def main() -> list[int]:
        return await asyncio.gather(*(client.execute_async(BASIC, "same", number) for number in range(500)))

    before = running.client.status()["clients"]
    assert asyncio.run(main()) == list(range(500))
    assert running.client.status()["clients"] <= before + 1


def test_errors_come_to_asyncio_callers_as_well(client) -> None:
    async def main() -> None:
        with pytest.raises(TaskFailed):
            await client.execute_async(BASIC, "fail")
        with pytest.raises(NotSerializable):
            await client.execute_async(BASIC, "same", object())
        assert await client.execute_async(BASIC, "same", 1) == 1

    asyncio.run(main())


def test_loops_in_several_threads_have_connections_of_their_own(client) -> None:
    async def main(number: int) -> int:
        return await client.execute_async(BASIC, "same", number)

    # Loops that have ended are forgotten by whoever connects next, several threads at once.
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(20):
            futures = in_threads([lambda number=number: asyncio.run(main(number)) for number in range(8)])
            assert [future.result(20) for future in futures] == list(range(8))
    finally:
        sys.setswitchinterval(before)


def test_a_task_may_call_another_task(client) -> None:
    for _ in range(10):
        assert client.execute(BASIC, "nested", BASIC, "same", 5) == 5


def test_a_call_that_could_only_wait_for_its_own_worker_is_refused_at_once(client) -> None:
    holder = client.execute(OTHER, "pid")
    # One of the two runs in the worker that alone holds the other app, and there it would wait for itself.
    outcomes = set()
    for _ in range(20):
        try:
            outcomes.add(client.with_options(timeout=10).execute(BASIC, "nested", OTHER, "pid"))
        except TaskFailed as error:
            outcomes.add(error.message.rpartition(": ")[2])
    assert outcomes == {holder, "it would wait for itself"}


def test_a_child_process_of_a_task_may_call_as_well(client) -> None:
    assert client.execute(BASIC, "in_subprocess") == "me"


@pytest.mark.parametrize("ordered", [True, False])
def test_map_gives_all_results(client, ordered: bool) -> None:
    results = list(client.map(BASIC, "same", range(200), ordered=ordered, concurrency=8))
    assert (results if ordered else sorted(results)) == list(range(200))


def test_map_in_a_loop_gives_all_results(client) -> None:
    async def main(ordered: bool) -> list[int]:
        return [x async for x in client.map_async(BASIC, "same", range(200), ordered=ordered)]

    assert asyncio.run(main(True)) == list(range(200))
    assert sorted(asyncio.run(main(False))) == list(range(200))


def test_map_takes_items_as_they_are_needed(client) -> None:
    taken = []

    def items():
        for number in range(1000):
            taken.append(number)
            yield number

    results = client.map(BASIC, "same", items(), concurrency=4)
    assert next(results) == 0
    assert len(taken) <= 6
    results.close()


def test_map_ends_with_the_first_error(client) -> None:
    with pytest.raises(TaskFailed):
        list(client.map(BASIC, "fail", ["x"] * 10))


def test_concurrent_calls_of_a_batched_action_arrive_as_a_list(client) -> None:
    futures = in_threads([lambda number=number: client.execute(BASIC, "double", number) for number in range(16)])
    results = [future.result(20) for future in futures]
    assert [result for result, _ in results] == [2 * number for number in range(16)]
    assert max(size for _, size in results) > 1
    assert max(size for _, size in results) <= 8


def test_of_a_batch_one_element_may_fail_alone(client) -> None:
    futures = in_threads([lambda number=number: client.execute(BASIC, "double", number) for number in (1, -1, 2)])
    assert futures[0].result(20)[0] == 2
    with pytest.raises(TaskFailed, match="-1 is negative"):
        futures[1].result(20)
    assert futures[2].result(20)[0] == 4


def test_a_batched_action_takes_one_argument_and_gives_as_many_results(client) -> None:
    with pytest.raises(DispatchError, match="takes one argument"):
        client.execute(BASIC, "double", 1, 2)
    with pytest.raises(TaskFailed, match="as many results"):
        client.execute(BASIC, "wrong_batch", 1)


def test_status_counts_what_was_done(client) -> None:
    def done() -> int:
        return client.status()["apps"][BASIC]["done"]

    client.execute(BASIC, "noop")
    before = done()
    for _ in range(10):
        client.execute(BASIC, "noop")
    assert done() == before + 10
    status = client.status()
    assert status["size"] == 2
    assert status["queued"] == 0
    assert {state["state"] for state in status["workers"]} == {"ready"}
    times = status["apps"][BASIC]["run"]
    assert times["count"] >= 10
    assert 0 < times["p50"] <= times["p99"]


def test_with_more_threads_calls_run_side_by_side_in_one_worker() -> None:
    with Dispatcher(apps=[BASIC], workers=1, threads=4) as dispatcher:
        client = dispatcher.client
        barrier = threading.Barrier(4)

        def call() -> tuple[int, int]:
            barrier.wait(10)
            client.execute(BASIC, "nap", 0.3)
            return client.execute(BASIC, "pid"), client.execute(BASIC, "thread")

        results = [future.result(20) for future in in_threads([call] * 4)]
        assert len({pid for pid, _ in results}) == 1
        assert client.status()["workers"][0]["done"] == 12
        futures = in_threads([lambda: client.execute(BASIC, "double", 1)] * 6)
        assert [future.result(20)[0] for future in futures] == [2] * 6
        assert client.execute(BASIC, "nested", BASIC, "same", 5) == 5
        assert list(client.stream(BASIC, "count", 500)) == list(range(500))
        large = [bytes([number]) * 1_500_000 for number in range(8)]
        for _ in range(5):
            futures = in_threads([lambda value=value: client.execute(BASIC, "same", value) for value in large])
            assert [future.result(20) for future in futures] == large


def test_an_app_that_cannot_be_made_ready_is_told_at_the_start() -> None:
    with pytest.raises(
        ApplicationError, match=r"'task_apps:Broken' failed in init\(\): RuntimeError: the model"
    ) as caught:
        Dispatcher(apps=["task_apps:Broken"]).start()
    assert "in init" in caught.value.details


def test_an_app_that_is_not_ready_in_time_is_told_with_the_setting() -> None:
    with pytest.raises(ApplicationError, match=r"not ready after .* \(setting dispatch_boot_timeout\)"):
        Dispatcher(apps=["task_apps:Endless"], dispatch_boot_timeout=0.4, loglevel="critical").start()


@pytest.mark.parametrize(
    ("app", "what"),
    [
        ("task_apps:Missing", "'Missing' of module 'task_apps' does not exist"),
        ("task_apps:BASIC", "does not exist"),
        ("no_such_module:App", "cannot be imported: ModuleNotFoundError"),
    ],
)
def test_an_app_that_does_not_exist_is_told_at_the_start(app: str, what: str) -> None:
    with pytest.raises(ApplicationError, match=what):
        Dispatcher(apps=[app]).start()


@pytest.mark.parametrize("apps", [["nonsense"], ["a:B:0"], ["a:B", "a:B:2"], ["a:B:x"], [7]])
def test_an_app_that_is_named_wrongly_is_told_by_the_setting(apps: list[str]) -> None:
    with pytest.raises(SettingError, match="dispatch_apps"):
        Dispatcher(apps=apps)


def test_after_the_end_there_is_nothing_left(monkeypatch) -> None:
    with Dispatcher(apps=[BASIC]) as dispatcher:
        client = dispatcher.client
        pid, task_worker = dispatcher.pid, client.execute(BASIC, "pid")
        path = dispatcher._endpoint.path
        monkeypatch.setenv("UNICORN_DISPATCH_SOCKET", path)
        assert get_client().execute(BASIC, "same", 1) == 1
    for process in (pid, task_worker):
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
    assert not os.path.exists(os.path.dirname(path))
    with pytest.raises(DispatcherUnavailable, match="cannot be reached"):
        client.execute(BASIC, "noop")
    with pytest.raises(RuntimeError, match="not running"):
        _ = dispatcher.client


def test_what_runs_is_not_started_a_second_time(running: Dispatcher) -> None:
    pid = running.pid
    with pytest.raises(RuntimeError, match=r"started already: stop\(\) it first"):
        running.start()
    assert running.pid == pid
    assert running.client.execute(BASIC, "same", 1) == 1


def test_a_dispatcher_can_be_started_again_after_its_end() -> None:
    dispatcher = Dispatcher(apps=[BASIC])
    for number in range(2):
        with dispatcher:
            assert dispatcher.client.execute(BASIC, "same", number) == number
        dispatcher.stop()


def test_a_forked_child_that_leaves_the_block_ends_nothing(running: Dispatcher) -> None:
    path = running._endpoint.path
    pid = os.fork()
    if pid == 0:
        try:
            running.__exit__(None, None, None)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert os.path.exists(path)
    assert running.client.execute(BASIC, "same", 1) == 1


def test_after_its_death_calls_are_refused_at_once() -> None:
    with Dispatcher(apps=[BASIC], loglevel="critical") as dispatcher:
        client = dispatcher.client
        assert client.execute(BASIC, "same", 1) == 1  # over a connection that is kept
        os.kill(dispatcher.pid, signal.SIGKILL)
        patient = client.with_options(timeout=0)
        calls = [
            lambda: client.execute(BASIC, "noop"),
            lambda: patient.execute(BASIC, "noop"),
            lambda: next(patient.stream(BASIC, "count", 1)),
            lambda: asyncio.run(patient.execute_async(BASIC, "noop")),
        ]
        for future in in_threads(calls):
            with pytest.raises(DispatcherUnavailable, match=rf"{BASIC}\.\w+: the dispatcher "):
                future.result(10)


def test_a_dispatcher_that_a_thread_has_started_looks_after_its_workers(capfd) -> None:
    def in_a_thread() -> None:
        with Dispatcher(apps=[BASIC], workers=1, loglevel="error") as dispatcher:
            client = dispatcher.client
            for _ in range(3):
                first = client.execute(BASIC, "pid")
                os.kill(first, signal.SIGKILL)
                wait_until(lambda first=first: pids(client) - {first}, timeout=20, what="a successor")
                assert client.with_options(timeout=20).execute(BASIC, "pid") != first

    def pids(client) -> set[int]:
        return {worker["pid"] for worker in client.status()["workers"] if worker["state"] == "ready"}

    in_threads([in_a_thread])[0].result(60)
    log = capfd.readouterr().err
    assert log.count("was sent SIGKILL") == 3
    assert "is killed" not in log


CHILD_THAT_STAYS = """
if os.fork() == 0:
    os.closerange(0, 3)
    until = time.monotonic() + 40
    while os.path.exists(dispatcher._endpoint.folder) and time.monotonic() < until:
        time.sleep(0.05)
    os._exit(0)
"""


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "os._exit(1)", "os.kill(os.getpid(), 9)", CHILD_THAT_STAYS])
def test_a_program_that_ends_without_stopping_it_leaves_nothing_behind(end: str) -> None:
    code = f"""
import os, sys, time
from unicorn_core.dispatch import Dispatcher
dispatcher = Dispatcher(apps=["{BASIC}"], loglevel="critical")
dispatcher.start()
print(dispatcher._endpoint.folder, flush=True)
{end}
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, cwd=APPS)
    assert done.stderr == ""
    folder = done.stdout.strip()
    assert folder
    wait_until(lambda: not os.path.exists(folder), timeout=30, what="the folder being removed")


def test_without_a_dispatcher_the_error_says_what_to_set(monkeypatch) -> None:
    monkeypatch.delenv("UNICORN_DISPATCH_SOCKET", raising=False)
    monkeypatch.delenv("GUNICORN_DIRTY_SOCKET", raising=False)
    with pytest.raises(DispatcherUnavailable, match="dispatch_apps"):
        get_client()


def test_workers_of_an_app_are_as_many_as_it_wants() -> None:
    with Dispatcher(apps=[BASIC, "task_apps:Other:2"], workers=3) as dispatcher:
        client = dispatcher.client
        assert {client.execute(OTHER, "pid") for _ in range(12)}.__len__() == 2
        assert {client.execute(BASIC, "pid") for _ in range(12)}.__len__() == 3


def test_no_worker_is_started_that_no_app_needs() -> None:
    with Dispatcher(apps=[OTHER, "task_apps:Lenient:1"], workers=5) as dispatcher:

        def held() -> list[list[str]]:
            return [list(worker["apps"]) for worker in dispatcher.client.status()["workers"]]

        # The class of one says how many it wants, so they had to be asked.
        wait_until(lambda: held() == [[OTHER], ["task_apps:Lenient"]])
        with pytest.raises(NoWorkers):
            dispatcher.client.execute(BASIC, "noop")
