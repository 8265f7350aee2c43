"""Hooks of a configuration file on a real server: in which process each is called, when, and with what."""

import json
import os
import re
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from unicorn_core.testing.server import ServerProcess, wait_until

APP = """
import os, time

def app(environ, start_response):
    if environ["PATH_INFO"] == "/fail":
        raise RuntimeError("the application fails")
    if environ["PATH_INFO"] == "/hang":
        time.sleep(60)
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Mine", "1")])
    return [b"hello " + environ.get("HTTP_X_ADDED", "").encode()]
"""

CONF = """
import json, os, sys

def note(name, **seen):
    # One write, so that lines of several processes do not mix.
    os.write(2, f"HOOK {name} {os.getpid()} {json.dumps(seen)}\\n".encode())

def server_of(server):
    return {
        "server_pid": server.pid, "workers": sorted(server.WORKERS), "num_workers": server.num_workers,
        "address": server.address, "setting": [server.cfg.workers, server.settings.timeout],
        "proc_name": server.proc_name, "log": callable(server.log.info),
    }

def worker_of(worker):
    return {
        "pid": worker.pid, "ppid": worker.ppid, "age": worker.age, "nr": worker.nr, "alive": worker.alive,
        "setting": worker.cfg.workers, "log": callable(worker.log.info),
    }

def on_starting(server): note("on_starting", **server_of(server))
def when_ready(server): note("when_ready", **server_of(server))
def on_reload(server): note("on_reload", **server_of(server))
def on_exit(server): note("on_exit", **server_of(server))
def pre_exec(server): note("pre_exec", **server_of(server))
def nworkers_changed(server, new_value, old_value): note("nworkers_changed", values=[new_value, old_value])
def in_arbiter(worker): return {"booted": worker.booted, "aborted": worker.aborted} | worker_of(worker)
def pre_fork(server, worker): note("pre_fork", server=server_of(server), **in_arbiter(worker))
def child_exit(server, worker): note("child_exit", server=server_of(server), **in_arbiter(worker))
def post_fork(server, worker): note("post_fork", server=server_of(server), wsgi=worker.wsgi, **worker_of(worker))
def post_worker_init(worker): note("post_worker_init", wsgi=worker.wsgi.__name__, **worker_of(worker))
def worker_exit(server, worker): note("worker_exit", server=server_of(server), **worker_of(worker))
def worker_int(worker): note("worker_int", **worker_of(worker))
def worker_abort(worker): note("worker_abort", **worker_of(worker))
"""

ARBITER = ("on_starting", "when_ready", "on_reload", "on_exit", "nworkers_changed", "pre_fork", "child_exit")
WORKER = ("post_fork", "post_worker_init", "worker_exit", "worker_int")


@dataclass(frozen=True)
class Call:
    """A hook that was called."""

    name: str
    process: int
    seen: dict[str, Any]


def calls(server: ServerProcess, *names: str) -> list[Call]:
    """The calls so far, in order; of these hooks, or of all."""
    found = re.findall(r"^HOOK (\w+) (\d+) (.*)$", server.output, re.MULTILINE)
    return [Call(name, int(pid), json.loads(seen)) for name, pid, seen in found if not names or name in names]


def called(server: ServerProcess, name: str, count: int = 1) -> list[Call]:
    """Wait until a hook has been called so often."""
    wait_until(lambda: len(calls(server, name)) >= count, timeout=20, what=f"the call of {name}")
    return calls(server, name)


def sizes(server: ServerProcess) -> list[list[int | None]]:
    """The new and old numbers of workers that hooks were told, be it an old or a new hook."""
    return [call.seen["values"] for call in calls(server, "nworkers_changed", "new_nworkers_changed")]


@pytest.fixture
def start(serve, tmp_path) -> Callable[..., ServerProcess]:
    """A server with this configuration file."""

    def start(conf: str = CONF, *arguments: str, app: str = APP, **options: Any) -> ServerProcess:
        (tmp_path / "conf.py").write_text(conf)
        return serve(app, "-c", "conf.py", *arguments, **options)

    return start


# The life of the server


def test_what_is_called_while_it_starts(start):
    server = start(CONF, "-w", "2")
    called(server, "post_worker_init", 2)
    names = [call.name for call in calls(server)]
    assert names.count("on_starting") == names.count("when_ready") == 1
    assert names.count("pre_fork") == names.count("post_fork") == names.count("post_worker_init") == 2
    assert names.index("on_starting") < names.index("when_ready") < names.index("pre_fork") < names.index("post_fork")
    assert "on_reload" not in names
    assert "on_exit" not in names


def test_each_hook_runs_in_its_process(start):
    server = start(CONF, "-w", "2")
    server.signal(signal.SIGHUP)
    server.wait_for("Reloaded: generation 2")
    called(server, "child_exit", 2)
    assert server.stop(signal.SIGINT) == 0
    seen = calls(server)
    assert {call.name for call in seen} == {*ARBITER, *WORKER}
    assert {call.process for call in seen if call.name in ARBITER} == {server.pid}
    workers = {call.seen["pid"] for call in seen if call.name == "child_exit"}
    assert len(workers) == 4
    assert {call.process for call in seen if call.name in WORKER} == workers


def test_the_server_as_hooks_see_it(start):
    server = start(CONF, "-w", "2", "-t", "17")
    (first,) = calls(server, "on_starting")
    (ready,) = calls(server, "when_ready")
    expected = {"server_pid": server.pid, "num_workers": 2, "setting": [2, 17], "proc_name": "app:app", "log": True}
    assert first.seen == expected | {"address": [["127.0.0.1", 0]], "workers": []}
    assert ready.seen == expected | {"address": [["127.0.0.1", server.port]], "workers": []}
    called(server, "post_worker_init", 2)
    for call in calls(server, "post_fork"):
        assert {key: call.seen["server"][key] for key in expected} == expected
    assert server.stop() == 0
    (last,) = calls(server, "on_exit")
    assert last.seen == expected | {"address": [["127.0.0.1", server.port]], "workers": []}
    assert calls(server)[-1] == last


def test_a_worker_as_hooks_see_it(start):
    server = start()
    assert server.get() == b"hello "
    assert server.stop() == 0
    seen = {call.name: call.seen for call in calls(server)}
    pid = seen["post_fork"]["pid"]
    common = {"ppid": server.pid, "age": 1, "setting": 1, "log": True}
    for name in ("pre_fork", "post_fork", "post_worker_init", "worker_exit", "child_exit"):
        assert {key: seen[name][key] for key in common} == common, name
    assert seen["pre_fork"]["pid"] is None
    assert {seen[name]["pid"] for name in ("post_worker_init", "worker_exit", "child_exit")} == {pid}
    assert [seen[name]["nr"] for name in ("pre_fork", "post_fork", "post_worker_init")] == [0, 0, 0]
    assert [seen[name]["nr"] for name in ("worker_exit", "child_exit")] == [1, 1]
    assert [seen[name]["alive"] for name in ("pre_fork", "post_fork", "worker_exit", "child_exit")] == [
        True,
        True,
        False,
        False,
    ]
    assert (seen["pre_fork"]["booted"], seen["child_exit"]["booted"]) == (False, True)
    assert seen["child_exit"]["aborted"] is False
    assert seen["post_fork"]["wsgi"] is None
    assert seen["post_worker_init"]["wsgi"] == "app"
    assert seen["child_exit"]["server"]["workers"] == []


def test_the_workers_of_the_server_are_known_by_their_pid(start):
    server = start(CONF, "-w", "2")
    server.signal(signal.SIGTTIN)
    called(server, "pre_fork", 3)
    assert calls(server, "pre_fork")[2].seen["server"]["workers"] == sorted(server.worker_pids()[:2])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_what_is_called_while_it_stops(start, number):
    server = start(CONF, "-w", "2")
    assert server.stop(number) == 0
    seen = calls(server)
    for worker in {call.seen["pid"] for call in calls(server, "child_exit")}:
        names = [call.name for call in seen if call.seen.get("pid") == worker]
        quick = number is not signal.SIGTERM
        assert names == ["post_fork", "post_worker_init", *["worker_int"] * quick, "worker_exit", "child_exit"]
    assert len(calls(server, "worker_exit")) == 2
    assert [call.name for call in seen].count("on_exit") == 1
    assert seen[-1].name == "on_exit"


def test_the_number_of_workers(start):
    server = start(CONF, "-w", "2")
    server.signal(signal.SIGTTIN)
    called(server, "nworkers_changed", 2)
    server.wait_for("Booting worker", count=3)
    called(server, "post_worker_init", 3)
    server.signal(signal.SIGTTOU)
    called(server, "nworkers_changed", 3)
    called(server, "child_exit")
    assert sizes(server) == [[2, None], [3, 2], [2, 3]]
    names = [call.name for call in calls(server)]
    assert names.index("nworkers_changed") < names.index("pre_fork")


def test_a_reload_takes_the_new_hooks(start, tmp_path):
    server = start(CONF)
    (tmp_path / "conf.py").write_text(CONF.replace('f"HOOK {name}', 'f"HOOK new_{name}') + "workers = 2\n")
    server.signal(signal.SIGHUP)
    server.wait_for("Reloaded: generation 2")
    called(server, "worker_exit")
    assert calls(server, "on_reload") == []
    (reload,) = calls(server, "new_on_reload")
    assert reload.process == server.pid
    assert len(calls(server, "new_pre_fork")) == len(calls(server, "new_post_fork")) == 2
    wait_until(lambda: sizes(server) == [[1, None], [2, 1]], what="the new number of workers")
    assert server.stop() == 0
    assert len(calls(server, "new_on_exit")) == 1
    assert calls(server, "on_exit") == []
    # The old worker ran with what it was born with.
    assert len(calls(server, "worker_exit")) == 1


@pytest.mark.parametrize("broken", ["def pre_fork(server): pass\n", "pre_fork = 'nosuch:function'\n"])
def test_a_reload_with_a_wrong_hook_changes_nothing(start, tmp_path, broken):
    server = start(CONF)
    (tmp_path / "conf.py").write_text(CONF + broken)
    server.signal(signal.SIGHUP)
    server.wait_for("Reload refused, nothing changed: setting pre_fork")
    assert calls(server, "on_reload") == []
    assert server.get() == b"hello "


def test_an_upgrade(start):
    server = start(CONF)
    server.signal(signal.SIGUSR2)
    (call,) = called(server, "pre_exec")
    assert call.process == call.seen["server_pid"] == server.pid
    second = called(server, "when_ready", 2)[1].process
    assert second != server.pid
    os.kill(second, signal.SIGTERM)
    wait_until(lambda: len(calls(server, "on_exit")) == 1, timeout=20, what="the end of the second arbiter")
    assert calls(server, "on_exit")[0].process == second


# Workers that end otherwise


def test_a_killed_worker_has_no_last_word(start):
    server = start()
    (worker,) = server.worker_pids()
    os.kill(worker, signal.SIGKILL)
    (call,) = called(server, "child_exit")
    assert (call.seen["pid"], call.seen["age"], call.process) == (worker, 1, server.pid)
    assert calls(server, "worker_exit") == []
    assert called(server, "pre_fork", 2)[1].seen["age"] == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGABRT])
def test_a_signal_to_a_worker(start, number):
    server = start()
    (worker,) = server.worker_pids()
    os.kill(worker, number)
    called(server, "child_exit")
    name = "worker_abort" if number is signal.SIGABRT else "worker_int"
    names = [call.name for call in calls(server) if call.seen.get("pid") == worker]
    assert names == ["post_fork", "post_worker_init", name, "worker_exit", "child_exit"]


@pytest.mark.only_worker_class("sync", reason="a request keeps its one thread from showing a sign of life")
def test_a_silent_worker_is_aborted(start):
    server = start(CONF, "-t", "1")
    with server.connect() as sock:
        sock.sendall(b"GET /hang HTTP/1.1\r\nHost: test\r\n\r\n")
        (call,) = called(server, "child_exit")
    assert call.seen["aborted"] is True
    worker = call.seen["pid"]
    names = [call.name for call in calls(server) if call.seen.get("pid") == worker]
    assert names == ["post_fork", "post_worker_init", "worker_abort", "worker_exit", "child_exit"]


def test_a_worker_that_cannot_boot(start):
    server = start(CONF, app="raise RuntimeError('no')", ready=False)
    assert server.wait() == 3
    names = [call.name for call in calls(server)]
    assert "post_worker_init" not in names
    assert names[names.index("post_fork") :] == ["post_fork", "worker_exit", "child_exit", "on_exit"]
    assert calls(server, "child_exit")[0].seen["booted"] is False


# Hooks that fail


def failing(name: str, arguments: str, error: str) -> str:
    return f"def {name}({arguments}):\n    raise {error}\n"


ARGUMENTS = {
    "on_starting": "server",
    "when_ready": "server",
    "on_reload": "server",
    "on_exit": "server",
    "nworkers_changed": "server, new_value, old_value",
    "pre_fork": "server, worker",
    "child_exit": "server, worker",
    "post_fork": "server, worker",
    "post_worker_init": "worker",
    "worker_exit": "server, worker",
    "worker_int": "worker",
}


@pytest.mark.parametrize("error", ["RuntimeError('from a hook')", "SystemExit(7)", "KeyboardInterrupt()"])
def test_no_hook_that_raises_harms_the_server(start, error):
    server = start("".join(failing(name, arguments, error) for name, arguments in ARGUMENTS.items()), "-w", "2")
    server.signal(signal.SIGTTIN)
    server.wait_for("Booting worker", count=3)
    server.signal(signal.SIGHUP)
    server.wait_for("Reloaded: generation 2")
    assert server.get() == b"hello "
    assert server.stop(signal.SIGINT) == 0
    kind = error.partition("(")[0]
    for name in ARGUMENTS:
        assert re.search(rf"Hook {name} raised:\nTraceback [^$]*?raise {kind}", server.output), name
    assert "unicorn_core/hooks.py" not in server.output


def test_a_hook_of_the_abort_that_raises_is_logged(start):
    server = start(failing("worker_abort", "worker", "SystemExit(0)"))
    (worker,) = server.worker_pids()
    os.kill(worker, signal.SIGABRT)
    server.wait_for("Hook worker_abort raised")
    server.wait_for("Booting worker", count=2)
    wait_until(lambda: worker not in server.worker_pids(), what="the end of the aborted worker")


@pytest.mark.parametrize("name", [*ARGUMENTS, "worker_abort", "pre_exec", "pre_request", "post_request"])
def test_a_wrong_signature_is_refused_at_the_start(start, name):
    server = start(f"def {name}(): pass\n", ready=False)
    assert server.wait() == 1
    (line,) = [line for line in server.output.splitlines() if line]
    assert line.startswith(f"Error: setting {name} = <function {name}")
    assert line.endswith("this one takes ()")


# Where hooks come from


def test_hooks_may_be_import_strings(start, tmp_path):
    (tmp_path / "myhooks.py").write_text(CONF)
    names = ("on_starting", "when_ready", "post_fork", "worker_exit", "on_exit")
    conf = "".join(f"{name} = 'myhooks{'.:'[i % 2]}{name}'\n" for i, name in enumerate(names))
    server = start(conf, environment={"UNICORN_CHILD_EXIT": "myhooks:child_exit"})
    assert server.stop() == 0
    assert [call.name for call in calls(server)] == [*names[:-1], "child_exit", "on_exit"]


def test_an_import_string_that_leads_nowhere_ends_the_start(start):
    server = start("post_fork = 'nosuch:function'\n", ready=False)
    assert server.wait() == 1
    (line,) = [line for line in server.output.splitlines() if line]
    assert line.startswith("Error: setting post_fork = 'nosuch:function' (file ")
    assert "No module named 'nosuch'" in line


# Around each request

REQUESTS = """
import json, os

def note(name, **seen):
    os.write(2, f"HOOK {name} {os.getpid()} {json.dumps(seen)}\\n".encode())

def pre_request(worker, req):
    req.kept = "kept"
    req.headers.append(("X-Added", "by the hook"))
    note(
        "pre_request", pid=worker.pid, age=worker.age, nr=worker.nr, log=callable(worker.log.info),
        method=req.method, uri=req.uri, path=req.path, query=req.query, fragment=req.fragment, version=req.version,
        headers=req.headers, scheme=req.scheme, remote_addr=req.remote_addr, peer_addr=req.peer_addr,
    )
    if "refuse" in req.query:
        raise RuntimeError("not this one")

def post_request(worker, req, environ, resp):
    note(
        "post_request", pid=worker.pid, kept=req.kept, path=environ.get("PATH_INFO"), status=resp.status,
        status_code=resp.status_code, headers=resp.headers, sent=resp.sent, headers_sent=resp.headers_sent,
        response_length=resp.response_length,
    )
    if "complain" in req.query:
        raise RuntimeError("too late")
"""


@dataclass(frozen=True)
class Requested:
    """One request: its server, the answer, and what its two hooks saw."""

    server: ServerProcess
    answer: bytes
    before: dict[str, Any]
    after: dict[str, Any]


@pytest.fixture
def requested(start) -> Callable[[str], Requested]:
    """Make one request of a server with both hooks."""

    def request(target: str) -> Requested:
        server = start(REQUESTS)
        head = f"GET {target} HTTP/1.1\r\nHost: test\r\nX-One: 1\r\nx-one: 2\r\nConnection: close\r\n\r\n"
        answer = server.exchange(head.encode())
        (after,) = called(server, "post_request")
        (before,) = calls(server, "pre_request")
        (worker,) = server.worker_pids()
        assert before.process == after.process == before.seen.pop("pid") == after.seen.pop("pid") == worker
        return Requested(server, answer, before.seen, after.seen)

    return request


def test_the_request_and_the_response(requested):
    made = requested("/a%20b?x=1&y=%20")
    assert made.answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"by the hook" in made.answer
    host, port = made.before.pop("remote_addr")
    assert made.before.pop("peer_addr") == [host, port]
    assert (host, port > 0) == ("127.0.0.1", True)
    assert made.before == {
        "age": 1,
        "nr": 0,
        "log": True,
        "method": "GET",
        "uri": "/a%20b?x=1&y=%20",
        "path": "/a%20b",
        "query": "x=1&y=%20",
        "fragment": "",
        "version": [1, 1],
        "scheme": "http",
        "headers": [["HOST", "test"], ["X-ONE", "1,2"], ["CONNECTION", "close"], ["X-Added", "by the hook"]],
    }
    assert made.after == {
        "kept": "kept",
        "path": "/a b",
        "status": "200 OK",
        "status_code": 200,
        "headers": [["Content-Type", "text/plain"], ["X-Mine", "1"]],
        "sent": len("hello by the hook"),
        "headers_sent": True,
        "response_length": None,
    }


def test_a_failed_request_has_its_post_request(requested):
    made = requested("/fail")
    assert made.answer.startswith(b"HTTP/1.1 500 ")
    assert (made.after["status_code"], made.after["path"]) == (500, "/fail")


def test_a_request_that_its_hook_refuses(requested):
    made = requested("/?refuse")
    assert made.answer.startswith(b"HTTP/1.1 500 ")
    assert made.after["status_code"] == 500
    made.server.wait_for(r"Hook pre_request raised:\nTraceback[^$]*not this one")
    assert "unicorn_core/hooks.py" not in made.server.output


def test_a_post_request_that_raises_comes_too_late_to_harm(requested):
    made = requested("/?complain")
    assert made.answer.endswith(b"\r\n\r\nhello by the hook")
    made.server.wait_for(r"Hook post_request raised:\nTraceback[^$]*too late")
    assert made.server.get() == b"hello by the hook"


@pytest.mark.parametrize("count", [2, 3, 4])
def test_post_request_takes_two_to_four_arguments(start, count):
    arguments = ", ".join(("worker", "req", "environ", "resp")[:count])
    server = start(f"def post_request({arguments}):\n    print('served', req.uri, flush=True)\n")
    assert server.get("/x")
    server.wait_for("served /x")


def test_every_request_of_a_connection_has_its_own(start, wire):
    server = start(REQUESTS)
    connection = wire(server)
    connection.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: test\r\n\r\n" % i for i in range(5)))
    for _ in range(5):
        assert connection.answer().body == b"hello by the hook"
    called(server, "post_request", 5)
    assert [call.seen["uri"] for call in calls(server, "pre_request")] == [f"/{i}" for i in range(5)]
    assert [len(call.seen["headers"]) for call in calls(server, "pre_request")] == [2] * 5
    assert [call.name for call in calls(server)] == ["pre_request", "post_request"] * 5
