"""Deadlines, crashes and full queues: only what really failed fails, with the right error, and the rest goes on."""

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest

from unicorn_core.dispatch import (
    Dispatcher,
    DispatchError,
    DispatcherUnavailable,
    QueueFull,
    TaskTimeout,
    WorkerCrashed,
)
from unicorn_core.dispatch.client.client import Client
from unicorn_core.dispatch.client.local import LocalBackend
from unicorn_core.testing.server import wait_until

from .support.tasks import APPS, BASIC, in_threads

EXHAUSTED = """
import os, resource, signal, socket, sys, time
from unicorn_core.dispatch import Dispatcher
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
with Dispatcher(["task_apps:Basic"], workers=2) as dispatcher:
    client = dispatcher.client.with_options(timeout=20)
    worker = client.status()["workers"][0]["pid"]
    ready, told = os.pipe()
    greedy = os.fork()
    if not greedy:
        taken = []
        try:
            while True:
                taken.append(socket.socket(socket.AF_UNIX))
                taken[-1].settimeout(1)
                taken[-1].connect(dispatcher._endpoint.path)
                taken[-1].recv(10)
        except OSError:
            os.write(told, b".")
        sys.stdin.read()
        os._exit(0)
    os.read(ready, 1)
    os.kill(worker, signal.SIGKILL)
    sys.stdin.read()
    os.kill(greedy, signal.SIGKILL)
    until = time.monotonic() + 30
    while [each["state"] for each in client.status()["workers"]] != ["ready"] * 2:
        if time.monotonic() > until:
            raise SystemExit("no successor")
        time.sleep(0.05)
    assert client.execute("task_apps:Basic", "same", 1) == 1
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def queued(client) -> int:
    return client.status()["queued"]


def running(client) -> int:
    return sum(worker["running"] for worker in client.status()["workers"])


def test_a_crash_is_told_with_its_cause_and_the_worker_replaced() -> None:
    with Dispatcher(apps=[BASIC], workers=1, loglevel="critical") as dispatcher:
        client = dispatcher.client
        first = client.execute(BASIC, "pid")
        with pytest.raises(WorkerCrashed, match=r"the task worker was sent SIGKILL while it ran .* \(task worker 1\)"):
            client.execute(BASIC, "die")
        assert client.with_options(timeout=20).execute(BASIC, "pid") != first
        assert client.status()["apps"][BASIC]["crashed"] == 1


def test_what_waited_for_a_worker_that_dies_is_run_by_its_successor() -> None:
    with Dispatcher(apps=[BASIC], workers=1, loglevel="critical") as dispatcher:
        client = dispatcher.client
        (death,) = in_threads([lambda: client.execute(BASIC, "nap", 30)])
        wait_until(lambda: running(client) == 1)
        futures = in_threads([lambda number=number: client.execute(BASIC, "same", number) for number in range(20)])
        wait_until(lambda: queued(client) == 20)
        os.kill(client.status()["workers"][0]["pid"], signal.SIGKILL)
        assert [future.result(20) for future in futures] == list(range(20))
        with pytest.raises(WorkerCrashed):
            death.result(20)


def test_what_was_at_the_worker_ahead_of_its_time_is_run_again_elsewhere(tmp_path: Path) -> None:
    with Dispatcher(apps=[BASIC], workers=1, loglevel="critical") as dispatcher:
        client = dispatcher.client
        # Quick runs make it worth while to send the next call ahead.
        for _ in range(5):
            client.execute(BASIC, "write", str(tmp_path / "warm"))
        path = tmp_path / "ran"
        slow, *others = in_threads([lambda: client.execute(BASIC, "write", str(path), 2.0)])
        wait_until(lambda: running(client) == 1)
        others = in_threads([lambda: client.execute(BASIC, "write", str(path))] * 3)
        wait_until(lambda: queued(client) == 2, what="one of three being at the worker")
        os.kill(client.status()["workers"][0]["pid"], signal.SIGKILL)
        for future in others:
            future.result(20)
        with pytest.raises(WorkerCrashed):
            slow.result(20)
        assert path.read_text() == "ran\n" * 3


def test_calls_outlast_a_series_of_crashes_with_pauses_between_the_workers() -> None:
    with Dispatcher(apps=[BASIC], workers=1, loglevel="critical") as dispatcher:
        client = dispatcher.client.with_options(timeout=40)
        futures = in_threads([lambda: client.execute(BASIC, "nap", 0.2)] * 12)
        pauses = 0
        for _ in range(4):
            wait_until(lambda: running(client) == 1, timeout=20)
            (worker,) = client.status()["workers"]
            os.kill(worker["pid"], signal.SIGKILL)
            wait_until(lambda pid=worker["pid"]: pid not in [each["pid"] for each in client.status()["workers"]])
            pauses += not client.status()["workers"]
            futures += in_threads([lambda: client.execute(BASIC, "same", "new")])
        errors = [error for future in futures if (error := future.exception(40))]
        assert pauses
        assert len(errors) <= 4
        assert all(isinstance(error, WorkerCrashed) for error in errors)


def test_a_call_that_was_passed_over_for_a_list_is_run_elsewhere_after_a_crash(tmp_path: Path) -> None:
    app = "task_apps:Lists"
    with Dispatcher(apps=[app], workers=1, loglevel="critical") as dispatcher:
        client = dispatcher.client.with_options(timeout=30)
        lists = in_threads([lambda: client.execute(app, "slow", 1)])
        wait_until(lambda: running(client) == 1)
        (other,) = in_threads([lambda: client.execute(app, "note", str(tmp_path / "noted"))])
        wait_until(lambda: sum(worker["running"] for worker in client.status()["workers"]) == 1)
        time.sleep(0.2)
        lists += in_threads([lambda: client.execute(app, "slow", 2)])
        time.sleep(1.5)  # the list is complete, and runs
        assert not (tmp_path / "noted").exists()
        os.kill(client.status()["workers"][0]["pid"], signal.SIGKILL)
        for future in lists:
            with pytest.raises(WorkerCrashed):
                future.result(30)
        assert other.result(30) == "noted"
        assert (tmp_path / "noted").read_text() == "noted\n"


def test_a_worker_that_cannot_be_connected_for_want_of_descriptors_is_replaced_later() -> None:
    command = [sys.executable, "-c", EXHAUSTED]
    with subprocess.Popen(command, cwd=APPS, stdin=PIPE, stderr=PIPE, text=True) as program:
        log = []
        for line in program.stderr:
            log.append(line)
            if "cannot be connected and is killed: Too many open files" in line:
                break
        _, rest = program.communicate("go on", timeout=50)
    assert program.returncode == 0, "".join([*log, rest])
    assert "Traceback" not in "".join([*log, rest])


def test_answers_that_nobody_waited_for_leave_no_memory_behind() -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc")
    with Dispatcher(apps=[BASIC], workers=1) as dispatcher:
        client = dispatcher.client
        worker = client.status()["workers"][0]["pid"]
        for _ in range(12):
            with pytest.raises(TaskTimeout):
                client.with_options(timeout=0.02).execute(BASIC, "pieces_at_once", 8 << 20, 0.05)

        def shared() -> int:
            links = [os.readlink(each) for each in Path(f"/proc/{worker}/fd").iterdir()]
            return sum("memfd:unicorn dispatch" in link for link in links)

        wait_until(lambda: running(client) == 0)
        assert shared() <= 4


def test_an_action_marked_so_runs_again_after_a_crash_once(tmp_path: Path) -> None:
    with Dispatcher(apps=[BASIC], workers=2, loglevel="critical") as dispatcher:
        assert dispatcher.client.execute(BASIC, "die_once", str(tmp_path / "first")) == "lived"


def test_twenty_killed_workers_cost_only_what_they_ran() -> None:
    with Dispatcher(apps=[BASIC], workers=4, loglevel="critical", queue_size=0) as dispatcher:
        client = dispatcher.client.with_options(timeout=50)
        stop = threading.Event()
        outcomes: list[str] = []

        def load() -> None:
            while not stop.is_set():
                try:
                    client.execute(BASIC, "nap", 0.005)
                    outcomes.append("done")
                except WorkerCrashed:
                    outcomes.append("crashed")

        futures: list[Future[Any]] = in_threads([load] * 24)
        kills = 0
        chance = random.Random(7)
        until = time.monotonic() + 40
        while kills < 20 and time.monotonic() < until:
            ready = [worker for worker in client.status()["workers"] if worker["state"] == "ready" and worker["pid"]]
            if len(ready) >= 2:
                os.kill(chance.choice(ready)["pid"], signal.SIGKILL)
                kills += 1
            time.sleep(0.1)
        stop.set()
        for future in futures:
            future.result(50)  # no other error
        assert kills == 20
        assert outcomes.count("crashed") <= 20  # one thread each: a kill costs one call at most
        assert outcomes.count("done") > 100


def test_a_call_that_waits_beyond_its_deadline_is_never_run(tmp_path: Path) -> None:
    path = tmp_path / "ran"
    with Dispatcher(apps=[BASIC], workers=1) as dispatcher:
        client = dispatcher.client
        (slow,) = in_threads([lambda: client.execute(BASIC, "nap", 1.0)])
        wait_until(lambda: running(client) == 1)
        began = time.monotonic()
        with pytest.raises(TaskTimeout, match="not begun by the deadline"):
            client.with_options(timeout=0.2).execute(BASIC, "write", str(path))
        assert time.monotonic() - began < 0.9
        slow.result(10)
        assert client.execute(BASIC, "same", 1) == 1
        assert not path.exists()
        assert client.status()["apps"][BASIC]["expired"] == 1


def test_a_caller_that_gives_up_takes_its_call_out_of_the_queue(tmp_path: Path) -> None:
    path = tmp_path / "ran"
    with Dispatcher(apps=[BASIC], workers=1) as dispatcher:
        client = dispatcher.client
        (slow,) = in_threads([lambda: client.execute(BASIC, "nap", 1.5)])
        wait_until(lambda: running(client) == 1)
        pid = os.fork()
        if pid == 0:
            try:
                client.execute(BASIC, "write", str(path))
            finally:
                os._exit(0)
        wait_until(lambda: queued(client) == 1)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        wait_until(lambda: queued(client) == 0, what="the call being forgotten")
        slow.result(10)
        assert client.execute(BASIC, "same", 1) == 1
        assert not path.exists()


def test_a_caller_is_told_at_its_deadline_and_the_answer_reaches_nobody_else() -> None:
    with Dispatcher(apps=[BASIC], workers=1) as dispatcher:
        client = dispatcher.client
        with pytest.raises(TaskTimeout, match="it still runs"):
            client.with_options(timeout=0.2).execute(BASIC, "nap", 0.8)
        assert client.execute(BASIC, "same", "mine") == "mine"


def test_a_run_past_the_limit_ends_its_worker_with_a_stack_in_the_log(capfd) -> None:
    with Dispatcher(apps=[BASIC], workers=1, timeout=0.7, loglevel="info") as dispatcher:
        client = dispatcher.client
        stuck = client.execute(BASIC, "pid")
        with pytest.raises(TaskTimeout, match=r"longer than dispatch_timeout \(0\.7 s\)"):
            client.with_options(timeout=30).execute(BASIC, "nap", 30)
        fresh = client.with_options(timeout=20).execute(BASIC, "pid")
        assert fresh != stuck
        wait_until(lambda: not alive(stuck), what="the stuck worker ending")
    told = capfd.readouterr().err
    # Told by the worker itself or, where it does not get to it within a second, by who has read its stacks.
    assert re.search(r"(was aborted at|all threads|stood at).*in nap", told, re.DOTALL)
    assert f"{BASIC}.nap ran for more than 0.7 s" in told


def test_a_stuck_call_never_poisons_those_behind_it() -> None:
    with Dispatcher(apps=[BASIC], workers=2, timeout=1.0, loglevel="critical") as dispatcher:
        client = dispatcher.client.with_options(timeout=30)
        for _ in range(10):
            client.execute(BASIC, "nap", 0.001)
        futures = in_threads([lambda: client.execute(BASIC, "nap", 60)] * 2)
        wait_until(lambda: running(client) == 2)
        behind = in_threads([lambda number=number: client.execute(BASIC, "same", number) for number in range(50)])
        assert [future.result(30) for future in behind] == list(range(50))
        for future in futures:
            with pytest.raises(TaskTimeout):
                future.result(30)


def test_with_threads_the_healthy_runs_of_a_stuck_worker_may_finish() -> None:
    with Dispatcher(apps=[BASIC], workers=1, threads=2, timeout=1.0, loglevel="critical") as dispatcher:
        client = dispatcher.client.with_options(timeout=30)
        (stuck,) = in_threads([lambda: client.execute(BASIC, "nap", 60)])
        wait_until(lambda: running(client) == 1)
        time.sleep(0.5)
        (healthy,) = in_threads([lambda: client.execute(BASIC, "nap", 0.9)])
        with pytest.raises(TaskTimeout):
            stuck.result(20)
        assert healthy.result(20)
        assert client.execute(BASIC, "same", 1) == 1


def test_an_app_may_want_its_long_runs_left_alone() -> None:
    with Dispatcher(apps=["task_apps:Lenient"], workers=1, timeout=0.3) as dispatcher:
        client = dispatcher.client
        pid = client.with_options(timeout=10).execute("task_apps:Lenient", "nap", 0.8)
        assert client.execute("task_apps:Lenient", "nap", 0) == pid


def test_a_full_queue_is_told_at_once() -> None:
    with Dispatcher(apps=[BASIC], workers=1, queue_size=3) as dispatcher:
        client = dispatcher.client
        (slow,) = in_threads([lambda: client.execute(BASIC, "nap", 1.0)])
        wait_until(lambda: running(client) == 1)
        waiting = in_threads([lambda: client.execute(BASIC, "same", 1)] * 3)
        wait_until(lambda: queued(client) == 3)
        began = time.monotonic()
        with pytest.raises(QueueFull) as caught:
            client.execute(BASIC, "same", 1)
        assert time.monotonic() - began < 0.5
        assert caught.value.depth == 3
        for future in [slow, *waiting]:
            future.result(10)
        assert client.execute(BASIC, "same", 1) == 1


def test_what_is_more_urgent_runs_first(tmp_path: Path) -> None:
    with Dispatcher(apps=[BASIC], workers=1) as dispatcher:
        client = dispatcher.client
        order: list[str] = []

        def call(name: str, priority: int) -> None:
            client.with_options(priority=priority).execute(BASIC, "nap", 0.03)
            order.append(name)

        (slow,) = in_threads([lambda: client.execute(BASIC, "nap", 0.8)])
        wait_until(lambda: running(client) == 1)
        futures = in_threads([lambda: call("low", -1)])
        wait_until(lambda: queued(client) == 1)
        futures += in_threads([lambda: call("usual", 0)])
        wait_until(lambda: queued(client) == 2)
        futures += in_threads([lambda: call("high", 5)])
        for future in [slow, *futures]:
            future.result(10)
        assert order == ["high", "usual", "low"]


def test_calls_do_not_wait_for_a_worker_that_boots_slowly_while_another_is_ready(tmp_path: Path, monkeypatch) -> None:
    import task_apps

    monkeypatch.setattr(task_apps.SlowSecond, "folder", str(tmp_path))
    with Dispatcher(apps=[task_apps.SlowSecond], workers=2, loglevel="critical") as dispatcher:
        client = dispatcher.client.with_options(timeout=30)
        (tmp_path / "armed").touch()
        for worker in client.status()["workers"]:
            os.kill(worker["pid"], signal.SIGKILL)
        wait_until(lambda: all(worker["state"] == "booting" for worker in client.status()["workers"]))
        futures = in_threads([lambda: client.execute("task_apps:SlowSecond", "pid")] * 10)
        pids = {future.result(20) for future in futures}
        (slow,) = [worker for worker in client.status()["workers"] if worker["state"] != "ready"]
        assert slow["pid"] not in pids
        assert len(pids) == 1


def test_an_init_that_could_only_wait_for_itself_is_told_so_at_once() -> None:
    with Dispatcher(apps=[BASIC, "task_apps:Asks"], workers=1) as dispatcher:
        told, seconds = dispatcher.client.execute("task_apps:Asks", "told")
        assert "wait for itself" in told
        assert seconds < 5


def test_instant_calls_do_not_wait_behind_long_ones_while_a_worker_is_free() -> None:
    with Dispatcher(apps=[BASIC], workers=3) as dispatcher:
        client = dispatcher.client
        for _ in range(20):
            client.execute(BASIC, "noop")
        slow = in_threads([lambda: client.execute(BASIC, "nap", 2.0)] * 2)
        wait_until(lambda: running(client) == 2)
        began = time.monotonic()
        for _ in range(50):
            client.execute(BASIC, "noop")
        assert time.monotonic() - began < 1.5
        for future in slow:
            future.result(10)


@pytest.mark.parametrize("routing", ["round_robin", "least_loaded"])
def test_calls_one_after_the_other_spread_perfectly_evenly(routing: str) -> None:
    with Dispatcher(apps=[BASIC], workers=4, routing=routing) as dispatcher:
        client = dispatcher.client
        counts: dict[int, int] = {}
        for _ in range(202):
            pid = client.execute(BASIC, "pid")
            counts[pid] = counts.get(pid, 0) + 1
        assert sorted(counts.values()) == [50, 50, 51, 51]


def test_round_robin_is_exact_under_concurrency_too() -> None:
    with Dispatcher(apps=[BASIC], workers=4, routing="round_robin") as dispatcher:
        client = dispatcher.client
        futures = in_threads([lambda: [client.execute(BASIC, "pid") for _ in range(50)]] * 16)
        pids = [pid for future in futures for pid in future.result(30)]
        assert {pids.count(pid) for pid in set(pids)} == {200}


def test_a_thousand_clients_at_a_time_are_served() -> None:
    import asyncio

    with Dispatcher(apps=[BASIC], workers=2) as dispatcher:
        path = dispatcher._endpoint.path
        from unicorn_core.dispatch.client.client import Client
        from unicorn_core.dispatch.client.local import LocalBackend

        async def one(number: int) -> None:
            client = Client(LocalBackend(path))  # a connection of its own
            try:
                for _ in range(3):
                    assert await client.execute_async(BASIC, "same", number) == number
            finally:
                client.close()

        async def main() -> None:
            await asyncio.gather(*(one(number) for number in range(1000)))

        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        try:
            asyncio.run(main())
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_dispatcher_that_dies_is_told_and_takes_its_workers_along() -> None:
    dispatcher = Dispatcher(apps=[BASIC], workers=2, loglevel="critical")
    dispatcher.start()
    client = dispatcher.client
    workers = [worker["pid"] for worker in client.status()["workers"]]
    futures = in_threads([lambda: client.execute(BASIC, "nap", 30)] * 3)
    wait_until(lambda: running(client) == 2)
    os.kill(dispatcher.pid, signal.SIGKILL)
    for future in futures:
        with pytest.raises(DispatcherUnavailable, match="went away before it answered"):
            future.result(10)
    wait_until(lambda: not any(map(alive, workers)), what="the task workers ending")
    with pytest.raises(DispatchError):
        client.with_options(timeout=0.3).execute(BASIC, "noop")
    dispatcher.stop()


def test_calls_under_way_finish_when_the_dispatcher_ends() -> None:
    dispatcher = Dispatcher(apps=[BASIC], workers=1)
    dispatcher.start()
    client = dispatcher.client
    futures = in_threads([lambda: client.execute(BASIC, "nap", 0.5)] * 2)
    wait_until(lambda: running(client) == 1 and queued(client) == 1)
    dispatcher.stop()
    for future in futures:
        assert future.result(10)


def test_calls_that_come_during_the_end_are_refused_at_once() -> None:
    dispatcher = Dispatcher(apps=[BASIC], workers=1)
    dispatcher.start()
    client = Client(LocalBackend(dispatcher._endpoint.path))
    (slow,) = in_threads([lambda: client.execute(BASIC, "nap", 1.5)])
    assert client.status()["size"] == 1  # over a second connection
    wait_until(lambda: running(client) == 1)
    (end,) = in_threads([dispatcher.stop])

    def refused() -> bool:
        try:
            client.with_options(timeout=0.3).execute(BASIC, "noop")
        except DispatcherUnavailable as error:
            return "is stopping" in str(error)
        except TaskTimeout:
            return False  # it had not been told yet
        return False

    wait_until(refused, what="the dispatcher refusing calls")
    assert not slow.done()
    assert slow.result(10)
    end.result(20)


def test_the_end_waits_no_longer_for_calls_than_the_setting_says() -> None:
    dispatcher = Dispatcher(apps=[BASIC], workers=1, dispatch_graceful_timeout=0.5, loglevel="critical")
    dispatcher.start()
    client = dispatcher.client
    (stuck,) = in_threads([lambda: client.execute(BASIC, "nap", 60)])
    wait_until(lambda: running(client) == 1)
    began = time.monotonic()
    dispatcher.stop()
    assert time.monotonic() - began < 15
    with pytest.raises(DispatcherUnavailable, match="has stopped"):
        stuck.result(10)


def test_apps_are_closed_at_the_end(tmp_path: Path, monkeypatch) -> None:
    import task_apps

    monkeypatch.setattr(task_apps.Goodbye, "path", str(tmp_path / "closed"))
    with Dispatcher(apps=[task_apps.Goodbye], workers=2):
        pass
    assert (tmp_path / "closed").read_text() == "closed\n" * 2
