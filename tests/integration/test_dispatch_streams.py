"""Streams: values as they are made, no faster than they are taken, and closed when nobody takes them."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator

import pytest

from unicorn_core.dispatch import Dispatcher, TaskFailed, TaskTimeout, WorkerCrashed
from unicorn_core.testing.server import wait_until

from .support.tasks import BASIC, in_threads


@pytest.fixture(scope="module")
def running() -> Iterator[Dispatcher]:
    with Dispatcher(apps=[BASIC], workers=2) as dispatcher:
        yield dispatcher


@pytest.fixture
def client(running: Dispatcher):
    """With workers that have nothing to do any more."""
    status = running.client.status
    wait_until(lambda: not any(worker["running"] for worker in status()["workers"]), what="the workers being idle")
    return running.client


@pytest.fixture(params=["blocking", "asyncio"])
def stream(client, request):
    """Streams as lists, both ways."""
    if request.param == "blocking":
        return lambda action, *args, **options: list(client.with_options(**options).stream(BASIC, action, *args))

    async def collect(action, args, options):
        return [value async for value in client.with_options(**options).stream_async(BASIC, action, *args)]

    return lambda action, *args, **options: asyncio.run(collect(action, args, options))


@pytest.mark.parametrize("action", ["count", "count_later"])
def test_all_values_come_in_order(stream, action: str) -> None:
    assert stream(action, 1000) == list(range(1000))


def test_a_plain_result_is_a_stream_of_one(stream) -> None:
    assert stream("same", 5) == [5]


def test_an_empty_stream_is_empty(stream) -> None:
    assert stream("count", 0) == []


def test_large_values_come_too(stream) -> None:
    assert [len(piece) for piece in stream("pieces", 3_000_000, 4)] == [3_000_000] * 4
    assert [len(piece) for piece in stream("pieces", 100_000, 40)] == [100_000] * 40


def test_an_error_comes_in_place_of_a_value(client) -> None:
    values = client.stream(BASIC, "count_and_fail", 3)
    assert [next(values), next(values), next(values)] == [0, 1, 2]
    with pytest.raises(TaskFailed, match="in the middle"):
        next(values)


def test_an_error_comes_in_place_of_a_value_in_a_loop(client) -> None:
    async def main() -> list[int]:
        values = client.stream_async(BASIC, "count_and_fail", 3)
        seen = [await anext(values), await anext(values), await anext(values)]
        with pytest.raises(TaskFailed, match="in the middle"):
            await anext(values)
        return seen

    assert asyncio.run(main()) == [0, 1, 2]


def reached(path) -> int:
    try:
        return int(path.read_text() or 0)
    except FileNotFoundError:
        return 0


def test_a_slow_client_pauses_the_generator_and_going_on_lets_it_go_on(client, tmp_path) -> None:
    path = tmp_path / "trace"
    values = client.stream(BASIC, "trace", str(path))
    assert next(values) == 0
    wait_until(lambda: reached(path) > 10, what="the generator running ahead")
    seen = -1
    while seen != reached(path):  # until it has stopped
        seen = reached(path)
        time.sleep(0.2)
    assert seen < 100
    for _ in range(500):
        next(values)
    wait_until(lambda: reached(path) >= 500, what="the generator going on")
    values.close()
    wait_until(lambda: (tmp_path / "trace.closed").exists(), what="the generator being closed")


def test_a_slow_client_in_a_loop_pauses_the_generator_as_well(client, tmp_path) -> None:
    path = tmp_path / "trace"

    async def main() -> None:
        values = client.stream_async(BASIC, "trace", str(path))
        assert await anext(values) == 0
        await asyncio.sleep(0.5)
        assert reached(path) < 100
        await values.aclose()

    asyncio.run(main())
    wait_until(lambda: (tmp_path / "trace.closed").exists(), what="the generator being closed")


def test_leaving_a_stream_closes_the_generator_and_frees_the_worker(client, tmp_path) -> None:
    for number in range(6):
        path = tmp_path / f"trace{number}"
        for value in client.stream(BASIC, "trace", str(path)):
            if value == 3:
                break
        wait_until(lambda path=path: path.with_suffix(".closed").exists(), what="the generator being closed")
    assert client.execute(BASIC, "same", 1) == 1


def test_a_task_that_is_cancelled_closes_its_stream(client, tmp_path) -> None:
    path = tmp_path / "trace"

    async def take() -> None:
        async for _ in client.stream_async(BASIC, "trace", str(path)):
            await asyncio.sleep(0.01)

    async def main() -> None:
        task = asyncio.create_task(take())
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.1)

    asyncio.run(main())
    wait_until(lambda: (tmp_path / "trace.closed").exists(), what="the generator being closed")


def test_a_client_that_dies_closes_its_stream(client, tmp_path) -> None:
    path = tmp_path / "trace"
    pid = os.fork()
    if pid == 0:
        try:
            next(client.stream(BASIC, "trace", str(path)))
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    wait_until(lambda: (tmp_path / "trace.closed").exists(), what="the generator being closed")


def test_a_stream_whose_worker_dies_in_the_middle_ends_with_that(tmp_path) -> None:
    with Dispatcher(apps=[BASIC], workers=1, loglevel="critical") as dispatcher:
        client = dispatcher.client.with_options(timeout=30)
        values = client.stream(BASIC, "trace", str(tmp_path / "trace"))
        assert next(values) == 0
        os.kill(client.status()["workers"][0]["pid"], signal.SIGKILL)
        with pytest.raises(WorkerCrashed):
            list(values)
        assert list(client.stream(BASIC, "count", 3)) == [0, 1, 2]


def test_many_streams_run_side_by_side_with_threads() -> None:
    with Dispatcher(apps=[BASIC], workers=2, threads=3) as dispatcher:
        futures = in_threads([lambda: list(dispatcher.client.stream(BASIC, "count_later", 200))] * 6)
        for future in futures:
            assert future.result(30) == list(range(200))


def test_what_takes_too_long_between_two_values_is_told(client) -> None:
    values = client.with_options(idle_timeout=0.5).stream(BASIC, "stall", 1.5)
    assert next(values) == "first"
    with pytest.raises(TaskTimeout, match="no further value"):
        next(values)


def test_what_takes_too_long_as_a_whole_is_told(client) -> None:
    values = client.with_options(timeout=0.5).stream(BASIC, "stall", 1.5)
    assert next(values) == "first"
    with pytest.raises(TaskTimeout):
        next(values)


def test_a_stream_in_a_loop_knows_both_limits(client) -> None:
    async def main(**options: float) -> None:
        values = client.with_options(**options).stream_async(BASIC, "stall", 1.5)
        assert await anext(values) == "first"
        with pytest.raises(TaskTimeout):
            await anext(values)

    asyncio.run(main(idle_timeout=0.5))
    asyncio.run(main(timeout=0.5))
