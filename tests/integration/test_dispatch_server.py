"""The dispatcher beside the web workers of a server: supervised like them, and independent of them."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from unicorn_core.dispatch.client.client import Client
from unicorn_core.dispatch.client.local import LocalBackend
from unicorn_core.testing.server import ServerProcess, wait_until

from .support.tasks import in_threads

APP = """
import json, os, time
from urllib.parse import parse_qsl
from unicorn_core.dispatch import DispatchError, QueueFull, TaskApp, get_client, stash

VERSION = 1

class Model(TaskApp):
    def pid(self):
        return os.getpid()

    def version(self):
        return VERSION

    def nap(self, seconds):
        time.sleep(float(seconds))
        return os.getpid()

    def rows(self, limit, seconds):
        for number in range(limit):
            time.sleep(seconds)
            yield number

    def length(self, text):
        return len(text)

    def who(self):
        return [os.getuid(), os.getgid(), os.environ.get("FROM_RAW_ENV")]

class Small(TaskApp):
    workers = 1
    def pid(self):
        return os.getpid()

def app(environ, start_response):
    action = environ["PATH_INFO"].strip("/")
    arguments = dict(parse_qsl(environ["QUERY_STRING"]))
    try:
        client = get_client().with_options(timeout=20)
        if action == "status":
            result = client.status()
        elif action == "web":
            result = os.getpid()
        elif action == "bump":
            result = stash.increment("counters", "n")
        elif action == "resize":
            result = client.resize(int(arguments["by"]))
        else:
            result = client.execute("app:Model", action, **arguments)
        status = "200 OK"
    except QueueFull as error:
        status, result = "503 Service Unavailable", str(error)
    except DispatchError as error:
        status, result = "500 Internal Server Error", f"{type(error).__name__}: {error}"
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps(result).encode()]
"""
OPTIONS = ("--dispatch-app", "app:Model", "--dispatch-workers", "2", "--graceful-timeout", "10")

Ask = Callable[..., object]


def ask(server: ServerProcess, path: str) -> object:
    body = server.get(path, timeout=25)
    return json.loads(body)


def dispatcher_pid(server: ServerProcess, count: int = 1) -> int:
    return int(server.wait_for(r"Booting dispatcher with pid: (\d+)", count=count)[1])


def task_pids(server: ServerProcess) -> set[int]:
    return {worker["pid"] for worker in ask(server, "/status")["workers"] if worker["state"] == "ready"}


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def server(serve) -> ServerProcess:
    server = serve(APP, *OPTIONS)
    server.wait_for("Dispatcher ready")
    return server


@pytest.mark.parametrize("more", [(), ("--threads", "4"), ("--preload",), ("--workers", "3")], ids=" ".join)
def test_web_workers_of_every_kind_can_call(serve, more: tuple[str, ...]) -> None:
    server = serve(APP, *OPTIONS, *more)
    server.wait_for("Dispatcher ready")
    pids = {ask(server, "/pid") for _ in range(10)}
    assert len(pids) == 2
    assert not pids & set(server.worker_pids())


def test_everything_ends_with_the_server_and_nothing_is_left(server) -> None:
    folder = Path(os.path.dirname(_socket(server)))
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "socket").stat().st_mode & 0o777 == 0o600
    pids = task_pids(server) | {dispatcher_pid(server)}
    assert server.stop() == 0
    assert not any(map(alive, pids))
    assert not folder.exists()
    assert "ERROR" not in server.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_a_quick_stop_ends_everything_at_once(server, number) -> None:
    in_threads([lambda: server.get("/nap?seconds=30", timeout=30)])
    wait_until(lambda: _running(server) == 1)
    pids = task_pids(server) | {dispatcher_pid(server)}
    began = time.monotonic()
    assert server.stop(number) == 0
    assert time.monotonic() - began < 6
    wait_until(lambda: not any(map(alive, pids)), what="all processes ending")


def test_a_stop_lets_requests_finish_that_need_a_task(server) -> None:
    (answer,) = in_threads([lambda: ask(server, "/nap?seconds=1")])
    wait_until(lambda: _running(server) == 1)
    assert server.stop() == 0
    assert isinstance(answer.result(10), int)


def test_when_the_dispatcher_is_killed_it_comes_back_and_callers_only_wait(server) -> None:
    web = server.worker_pids()
    before = task_pids(server)
    os.kill(dispatcher_pid(server), signal.SIGKILL)
    assert ask(server, "/pid") not in before
    assert server.worker_pids() == web
    wait_until(lambda: not any(map(alive, before)), what="the former task workers ending")
    server.wait_for(r"Dispatcher \(pid:\d+\) was sent SIGKILL!")


def test_clients_of_both_kinds_find_the_new_dispatcher(server) -> None:
    client = Client(LocalBackend(_socket(server))).with_options(timeout=20)

    async def main() -> None:
        for count in (1, 2, 3):
            assert await client.execute_async("app:Model", "version") == 1
            assert client.execute("app:Model", "version") == 1
            pid = dispatcher_pid(server, count)
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda pid=pid: not alive(pid))

    asyncio.run(main())


def test_files_of_task_apps_are_watched_with_reload(serve, tmp_path) -> None:
    (tmp_path / "tasks.py").write_text(
        "from unicorn_core.dispatch import TaskApp\nclass Only(TaskApp):\n    def version(self):\n        return 1\n"
    )
    server = serve(
        APP, "--dispatch-app", "tasks:Only", "--dispatch-workers", "1", "--reload", "--reload-engine", "poll"
    )
    server.wait_for("Dispatcher ready")
    client = Client(LocalBackend(_socket(server))).with_options(timeout=20)
    assert client.execute("tasks:Only", "version") == 1
    (tmp_path / "tasks.py").write_text((tmp_path / "tasks.py").read_text().replace("return 1", "return 22"))
    server.wait_for(r"Reloading, since these have changed: tasks\.py")
    server.wait_for("Reloaded the task workers: generation 2")
    assert client.execute("tasks:Only", "version") == 22


def test_when_the_dispatcher_is_told_to_stop_a_successor_takes_over(server) -> None:
    os.kill(dispatcher_pid(server), signal.SIGTERM)
    dispatcher_pid(server, 2)
    assert isinstance(ask(server, "/pid"), int)


def test_calls_over_connections_there_are_go_on_with_the_successor_while_the_old_one_finishes(server) -> None:
    client = Client(LocalBackend(_socket(server))).with_options(timeout=20)
    futures = in_threads([lambda: client.execute("app:Model", "nap", 0.2)] * 4)  # as many connections
    assert all(future.result(20) for future in futures)
    before = task_pids(server)
    old = dispatcher_pid(server)
    (long,) = in_threads([lambda: client.execute("app:Model", "nap", 4)])
    wait_until(lambda: _running(server) == 1)
    os.kill(old, signal.SIGTERM)
    began = time.monotonic()
    pids = {client.execute("app:Model", "pid") for _ in range(20)}
    assert not pids & before
    assert isinstance(ask(server, "/pid"), int)
    assert time.monotonic() - began < 3.5
    assert alive(old)
    assert long.result(20) in before
    wait_until(lambda: not alive(old), what="the old dispatcher ending")


def test_what_is_under_way_on_a_shared_connection_is_finished_while_new_calls_go_to_the_successor(server) -> None:
    client = Client(LocalBackend(_socket(server))).with_options(timeout=20)

    async def main() -> None:
        before = task_pids(server)
        rows = client.stream_async("app:Model", "rows", 200, 0.02)
        assert await anext(rows) == 0
        long = asyncio.create_task(client.execute_async("app:Model", "nap", 2.5))
        await asyncio.sleep(0.2)
        os.kill(dispatcher_pid(server), signal.SIGTERM)
        calls = [asyncio.create_task(client.execute_async("app:Model", "pid")) for _ in range(20)]
        assert not {await each for each in calls} & before
        values = [value async for value in client.stream_async("app:Model", "rows", 3, 0.0)]
        assert values == [0, 1, 2]
        assert [value async for value in rows] == [*range(1, 200)]
        assert await long in before
        assert not {await client.execute_async("app:Model", "pid") for _ in range(5)} & before

    asyncio.run(main())


def test_calls_under_load_do_not_notice_that_the_dispatcher_is_replaced(server) -> None:
    client = Client(LocalBackend(_socket(server))).with_options(timeout=20)
    stop = threading.Event()
    done: list[int] = []

    def load(size: int) -> None:
        while not stop.is_set():
            assert client.execute("app:Model", "length", "x" * size) == size
            done.append(size)

    async def load_async() -> None:
        async def some() -> None:
            while not stop.is_set():
                assert await client.execute_async("app:Model", "length", "x" * 300_000) == 300_000
                done.append(0)

        await asyncio.gather(*(some() for _ in range(4)))

    futures = in_threads([lambda size=size: load(size) for size in (1, 1, 1000, 300_000, 2_000_000)])
    futures += in_threads([lambda: asyncio.run(load_async())])
    for count in (2, 3, 4):
        enough = len(done) + 50
        wait_until(lambda enough=enough: len(done) > enough)
        os.kill(dispatcher_pid(server, count - 1), signal.SIGTERM)
        server.wait_for("Dispatcher ready", count=count)
    enough = len(done) + 50
    wait_until(lambda: len(done) > enough)
    stop.set()
    for future in futures:
        future.result(25)


def test_a_reload_replaces_task_workers_and_takes_new_code_and_the_stash_stays(server, tmp_path) -> None:
    assert ask(server, "/bump") == 1
    before = task_pids(server)
    dispatcher = dispatcher_pid(server)
    (tmp_path / "app.py").write_text(APP.replace("VERSION = 1", "VERSION = 22"))
    server.signal(signal.SIGHUP)
    server.wait_for("Reloaded the task workers: generation 2")
    server.wait_for("Reloaded: generation 2")
    assert ask(server, "/version") == 22
    assert not task_pids(server) & before
    wait_until(lambda: not any(map(alive, before)), what="the former task workers ending")
    assert ask(server, "/bump") == 2
    assert alive(dispatcher)


def test_a_reload_of_task_workers_that_do_not_boot_is_rolled_back(server, tmp_path) -> None:
    before = task_pids(server)
    (tmp_path / "app.py").write_text("raise RuntimeError('not today')")
    os.kill(dispatcher_pid(server), signal.SIGHUP)
    server.wait_for("Reload of the task workers failed: generation 2 is withdrawn")
    server.wait_for("RuntimeError: not today")
    assert task_pids(server) == before
    (tmp_path / "app.py").write_text(APP.replace("VERSION = 1", "VERSION = 23"))
    os.kill(dispatcher_pid(server), signal.SIGHUP)
    server.wait_for("Reloaded the task workers: generation 3")
    assert ask(server, "/version") == 23


def test_calls_under_load_do_not_notice_a_reload(server) -> None:
    stop = threading.Event()
    answers: list[object] = []

    def load() -> None:
        while not stop.is_set():
            answers.append(ask(server, "/nap?seconds=0.01"))

    futures = in_threads([load] * 4)
    for generation in (2, 3):
        enough = len(answers) + 20
        wait_until(lambda enough=enough: len(answers) > enough)
        os.kill(dispatcher_pid(server), signal.SIGHUP)
        server.wait_for(f"Reloaded the task workers: generation {generation}")
    enough = len(answers) + 20
    wait_until(lambda: len(answers) > enough)
    stop.set()
    for future in futures:
        future.result(25)
    assert all(isinstance(answer, int) for answer in answers)
    assert len(set(answers)) == 6


def test_a_reload_takes_new_settings_of_the_dispatcher(serve, tmp_path) -> None:
    conf = tmp_path / "unicorn.conf.py"
    conf.write_text("dirty_apps = ['app:Model']\ndirty_workers = 1\n")
    server = serve(APP)
    server.wait_for("Task workers ready: 1")
    conf.write_text("dispatch_apps = ['app:Model']\ndispatch_workers = 3\n")
    server.signal(signal.SIGHUP)
    server.wait_for("Reloaded the task workers: generation 2 serves with 3")
    assert ask(server, "/status")["size"] == 3
    conf.write_text("dispatch_apps = ['app:Model']\n")
    server.signal(signal.SIGHUP)
    server.wait_for("Dispatcher exiting")
    server.wait_for("Reloaded: generation 3")
    wait_until(lambda: "NotConfigured" in str(ask(server, "/pid")), what="the web workers knowing of none")
    conf.write_text("dispatch_apps = ['app:Model']\ndispatch_workers = 1\n")
    server.signal(signal.SIGHUP)
    server.wait_for("Dispatcher ready", count=2)
    server.wait_for("Reloaded: generation 4")
    wait_until(lambda: isinstance(ask(server, "/pid"), int), what="the web workers knowing of one again")


def test_a_reload_of_the_dispatcher_alone_refuses_settings_without_apps(serve, tmp_path) -> None:
    conf = tmp_path / "unicorn.conf.py"
    conf.write_text("dispatch_apps = ['app:Model']\ndispatch_workers = 1\n")
    server = serve(APP)
    server.wait_for("Dispatcher ready")
    for count, wrong in enumerate(("", "dispatch_workers = 'many'\n"), 1):
        conf.write_text(wrong)
        os.kill(dispatcher_pid(server), signal.SIGHUP)
        server.wait_for("Reload of the task workers refused", count=count)
    assert isinstance(ask(server, "/pid"), int)


def test_signals_and_the_client_scale_the_task_workers_within_what_the_apps_need(serve) -> None:
    server = serve(APP, "--dispatch-app", "app:Model", "--dispatch-app", "app:Small:2", "--dispatch-workers", "3")
    server.wait_for("Task workers ready: 3")
    pid = dispatcher_pid(server)
    os.kill(pid, signal.SIGTTIN)
    wait_until(lambda: len(task_pids(server)) == 4)
    os.kill(pid, signal.SIGTTOU)
    wait_until(lambda: len(task_pids(server)) == 3)
    assert ask(server, "/resize?by=-5") == 2
    wait_until(lambda: len(task_pids(server)) == 2)
    assert ask(server, "/resize?by=2") == 4
    wait_until(lambda: len(task_pids(server)) == 4)
    holders = [worker for worker in ask(server, "/status")["workers"] if "app:Small" in worker["apps"]]
    assert len(holders) == 2
    os.kill(holders[0]["pid"], signal.SIGKILL)

    def now() -> list[int]:
        workers = ask(server, "/status")["workers"]
        return sorted(
            worker["slot"] for worker in workers if "app:Small" in worker["apps"] and worker["state"] == "ready"
        )

    slots = sorted(worker["slot"] for worker in holders)
    wait_until(lambda: now() == slots and len(task_pids(server)) == 4, what="the successor taking the same apps")


def test_an_app_that_does_not_boot_ends_the_server_with_its_traceback(serve) -> None:
    server = serve(APP, "--dispatch-app", "app:Missing", "--dispatch-workers", "1", ready=False)
    assert server.wait() == 4
    assert "'Missing' of module 'app' does not exist" in server.output
    broken = APP + "\nclass Broken(TaskApp):\n    def init(self):\n        raise RuntimeError('no model')\n"
    server = serve(broken, "--dispatch-app", "app:Broken", "--dispatch-workers", "2", ready=False)
    assert server.wait() == 3
    assert "RuntimeError: no model" in server.output
    assert server.output.count("Traceback") == 1


@pytest.mark.parametrize(
    ("app", "code", "told"),
    [
        ("app:Model:2", 0, ""),
        ("app:Nope", 4, "'Nope' of module 'app' does not exist"),
        ("nowhere:App", 3, "cannot be imported: ModuleNotFoundError"),
        ("nonsense", 1, "must be a list of module:Class"),
    ],
)
def test_a_configuration_can_be_checked_without_serving(tmp_path, app: str, code: int, told: str) -> None:
    (tmp_path / "app.py").write_text(APP)
    command = [sys.executable, "-m", "unicorn_cli", "--check-config", "--dirty-app", app, "--dispatch-workers", "2"]
    done = subprocess.run([*command, "app:app"], cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert (done.returncode, told in done.stderr) == (code, True), done.stderr


def test_what_is_in_force_is_shown_as_it_may_be_written(tmp_path) -> None:
    command = [sys.executable, "-m", "unicorn_cli", "--print-config", "--dirty-app", "app:Model:2", "app:app"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert re.search(r"^dispatch_apps += \['app:Model:2'\]  # command line --dispatch-app$", done.stdout, re.MULTILINE)


def test_calls_wait_for_an_app_that_is_being_loaded(serve) -> None:
    slow = APP.replace(
        "class Model(TaskApp):\n", "class Model(TaskApp):\n    def init(self):\n        time.sleep(1.5)\n\n"
    )
    assert slow != APP
    server = serve(slow, *OPTIONS, "--workers", "2")
    futures = in_threads([lambda: ask(server, "/pid")] * 2)
    assert all(isinstance(future.result(20), int) for future in futures)
    assert "NoWorkers" not in server.output


def test_half_a_configuration_gets_a_warning(serve) -> None:
    server = serve(APP, "--dispatch-app", "app:Model")
    server.wait_for("There is no dispatcher: dispatch_workers is not set")
    assert "NotConfigured" in str(ask(server, "/pid"))


def test_a_task_worker_that_is_told_to_stop_is_replaced_without_an_error(server) -> None:
    before = task_pids(server)
    victim = min(before)
    os.kill(victim, signal.SIGTERM)
    wait_until(lambda: not alive(victim) and len(task_pids(server)) == 2, what="a successor")
    assert "ERROR" not in server.output


def test_logs_are_reopened_everywhere(serve, tmp_path) -> None:
    log = tmp_path / "error.log"
    server = serve(APP, *OPTIONS, "--error-logfile", str(log), ready=False)
    wait_until(lambda: log.exists() and "Dispatcher ready" in log.read_text(), timeout=20)
    log.rename(tmp_path / "old.log")
    server.signal(signal.SIGUSR1)
    wait_until(lambda: log.exists(), what="the log being reopened")
    pids = re.findall(r"Booting task worker with pid: (\d+)", (tmp_path / "old.log").read_text())

    def reopened() -> bool:
        return all(str(log) in _open_files(int(pid)) for pid in pids)

    wait_until(reopened, what="the task workers having reopened the log")


def test_hooks_are_called_where_they_belong_under_both_names(serve, tmp_path) -> None:
    (tmp_path / "unicorn.conf.py").write_text(
        textwrap.dedent("""
        import os

        def on_dirty_starting(arbiter):
            arbiter.log.info("HOOK starting in %s with %s", arbiter.pid, arbiter.cfg.dispatch_workers)

        def dirty_post_fork(arbiter, worker):
            arbiter.log.info("HOOK forked %s age %s in %s of %s", worker.pid, worker.age, os.getpid(), arbiter.pid)

        def dispatch_worker_init(worker):
            worker.log.info("HOOK ready %s age %s apps %s", worker.pid, worker.age, sorted(worker.apps))

        def dispatch_worker_exit(arbiter, worker):
            arbiter.log.info("HOOK ended %s in %s left %s", worker.pid, os.getpid(), len(arbiter.workers))

        def post_fork(server, worker):
            server.log.info("HOOK web forked %s", os.getpid())

        def child_exit(server, worker):
            server.log.info("HOOK web ended %s", worker.pid)
        """)
    )
    server = serve(APP, "--dispatch-app", "app:Model", "--dispatch-workers", "1")
    server.wait_for("Dispatcher ready")
    pid = dispatcher_pid(server)
    (task,) = task_pids(server)
    server.wait_for(f"HOOK starting in {pid} with 1")
    server.wait_for(f"HOOK forked {task} age 1 in {pid} of {pid}")
    server.wait_for(rf"HOOK ready {task} age 1 apps \['app:Model'\]")
    os.kill(task, signal.SIGKILL)
    server.wait_for(f"HOOK ended {task} in {pid} left 0")
    server.stop()
    assert f"HOOK web forked {pid}" not in server.output
    assert f"HOOK web ended {pid}" not in server.output
    assert f"HOOK web forked {task}" not in server.output


@pytest.mark.skipif(
    os.geteuid() != 0 or not all(folder.stat().st_mode & 0o001 for folder in Path(json.__file__).parents),
    reason="needs root, and a Python that others can read",
)
def test_task_workers_run_as_the_user_of_the_settings(serve, tmp_path) -> None:
    tmp_path.chmod(0o755)
    for folder in tmp_path.parents:
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    server = serve(APP, *OPTIONS, "--user", "65534", "--group", "65534", "--env", "FROM_RAW_ENV=yes")
    assert ask(server, "/who") == [65534, 65534, "yes"]


def test_processes_have_titles(server) -> None:
    pytest.importorskip("setproctitle")

    def title(pid: int) -> str:
        return Path(f"/proc/{pid}/cmdline").read_text().strip("\0 ")

    assert title(dispatcher_pid(server)) == "unicorn: dispatcher [app:app]"
    assert sorted(map(title, task_pids(server))) == [f"unicorn: task worker {n} [app:app]" for n in range(2)]


def test_a_process_beside_the_server_can_call_by_the_variable(server) -> None:
    code = "from unicorn_core.dispatch import get_client; print(get_client().execute('app:Model', 'version'))"
    for variable in ("UNICORN_DISPATCH_SOCKET", "GUNICORN_DIRTY_SOCKET"):
        environment = {**os.environ, variable: _socket(server)}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=20)
        assert done.stdout == "1\n", done.stderr


def test_an_embedded_server_has_its_dispatcher_too(tmp_path) -> None:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "program.py").write_text(
        textwrap.dedent("""
        from unicorn_core import BaseApplication

        class Site(BaseApplication):
            def load_config(self):
                self.set("bind", "127.0.0.1:0")
                self.set("dirty_apps", ["app:Model"])
                self.set("dispatch_workers", 1)

            def load(self):
                from app import app
                return app

        Site().run()
        """)
    )
    with ServerProcess("", cwd=tmp_path, command=(sys.executable, "program.py"), bind=False) as server:
        assert ask(server, "/version") == 1


def test_an_upgrade_gives_the_new_master_a_dispatcher_of_its_own(serve) -> None:
    server = serve(APP, *OPTIONS)
    server.wait_for("Dispatcher ready")
    server.signal(signal.SIGUSR2)
    server.wait_for("Dispatcher ready", count=2)
    new = int(re.findall(r"Upgrading: the new master \(pid:(\d+)\)", server.output)[0])
    server.wait_for("Ready: generation 1 serves", count=2)
    server.stop()
    try:
        assert isinstance(ask(server, "/pid"), int)
    finally:
        os.kill(new, signal.SIGTERM)
    server.wait_for("Shutting down: Master", count=2)


def _socket(server: ServerProcess) -> str:
    return server.wait_for(r"Dispatcher listening at: unix:(\S+)")[1]


def _running(server: ServerProcess) -> int:
    """From beside: the web workers may be busy."""
    status = Client(LocalBackend(_socket(server))).status()
    return sum(worker["running"] for worker in status["workers"])


def _open_files(pid: int) -> set[str]:
    folder = Path(f"/proc/{pid}/fd")
    return {os.readlink(entry) for entry in folder.iterdir()}
