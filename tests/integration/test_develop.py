"""The setting reload as a developer knows it: save a file, and the next request is answered by the new code."""

import os
import re
import threading
import time
from pathlib import Path

import pytest

from unicorn_core.testing.server import ServerProcess, wait_until

APP = """
import os

import helper


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"one {helper.NAME} {os.getpid()}".encode()]
"""
BROKEN = "def app(environ, start_response)\n    return []\n"
LOCAL = "SyntaxError: expected ':'"


@pytest.fixture(params=["poll", "watchfiles"])
def engine(request: pytest.FixtureRequest) -> tuple[str, ...]:
    if request.param == "watchfiles":
        pytest.importorskip("watchfiles")
    return "--reload", "--reload-engine", request.param


@pytest.fixture
def helper(tmp_path: Path) -> Path:
    path = tmp_path / "helper.py"
    path.write_text("NAME = 'helper'\n")
    return path


def answers(wire, server: ServerProcess, text: str, workers: str = "1") -> None:
    """Wait until a request is answered so, and the workers that answer otherwise are gone."""
    wait_until(lambda: text in wire(server).get("/", "Connection: close").body.decode(), 20, f"the answer {text!r}")
    wait_until(lambda: len(server.worker_pids()) == int(workers), 20, "the end of the old workers")


def pid_of(wire, server: ServerProcess) -> int:
    return int(wire(server).get("/", "Connection: close").body.split()[-1])


@pytest.mark.parametrize("workers", ["1", "3"])
def test_changed_code_is_served(serve, wire, tmp_path, helper, engine, workers):
    server = serve(APP, *engine, "--workers", workers)
    before = server.worker_pids()
    answers(wire, server, "one helper", workers)
    (tmp_path / "app.py").write_text(APP.replace("one", "number two"))
    answers(wire, server, "number two helper", workers)
    assert not set(before) & set(server.worker_pids())
    helper.write_text("NAME = 'another helper'\n")
    answers(wire, server, "number two another helper", workers)
    # The workers' lines and the arbiter's may come in any order.
    server.wait_for("Reloaded: generation", count=2)
    assert server.output.count("Reloading: generation") == 2
    assert "[ERROR]" not in server.output


def test_a_module_that_is_imported_by_a_request_counts(serve, wire, tmp_path, engine):
    (tmp_path / "late.py").write_text("NAME = 'late'\n")
    server = serve(
        APP.replace("import helper", "").replace("    start", "    import late as helper\n    start"), *engine
    )
    answers(wire, server, "one late")
    time.sleep(0.6)
    (tmp_path / "late.py").write_text("NAME = 'changed'\n# longer\n")
    answers(wire, server, "one changed")


def test_extra_files_count(serve, wire, tmp_path, helper, engine):
    (tmp_path / "templates/deep").mkdir(parents=True)
    (tmp_path / "templates/deep/a.html").write_text("a")
    server = serve(APP, *engine, "--reload-extra-file", "templates/**/*.html", "--reload-extra-file", "settings.toml")
    changes = [("templates/deep/a.html", "longer"), ("templates/new/b.html", "new"), ("settings.toml", "x = 1")]
    for number, (name, text) in enumerate(changes, 2):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        server.wait_for(rf"Reloaded: generation {number}")
    (tmp_path / "templates/deep/a.txt").write_text("no match")
    wait_until(lambda: len(server.worker_pids()) == 1, what="the end of the old workers")
    pid = pid_of(wire, server)
    time.sleep(1.5)
    assert pid_of(wire, server) == pid


def test_nothing_restarts_while_nothing_changes(serve, wire, tmp_path, helper, engine):
    server = serve(APP, *engine, "--reload-extra-file", ".")
    pid = pid_of(wire, server)
    (tmp_path / "empty").mkdir()
    until = time.monotonic() + 3
    while time.monotonic() < until:
        assert pid_of(wire, server) == pid
        time.sleep(0.1)
    assert server.worker_pids() == [pid]


@pytest.mark.parametrize("workers", ["1", "3"])
def test_broken_code_is_shown_and_heals(serve, wire, tmp_path, helper, engine, workers):
    server = serve(APP, *engine, "--workers", workers)
    (tmp_path / "app.py").write_text(BROKEN)
    answers(wire, server, LOCAL, workers)
    answer = wire(server).get("/any?thing", method="POST", body=b"data")
    assert answer.status == 500
    assert answer["content-type"] == "text/plain; charset=utf-8"
    assert answer["cache-control"] == "no-store"
    assert f'File "{tmp_path}/app.py", line 1' in answer.body.decode()
    assert "unicorn_core/" not in answer.body.decode()
    hidden = wire(server).get("/", "X-Forwarded-For: 127.0.0.1")
    assert (hidden.status, hidden.body.count(b"app.py")) == (500, 0)
    server.wait_for(r"\[ERROR\] Requests are answered with this error until its cause is mended")
    assert len(re.findall(rf"^{re.escape(LOCAL)}$", server.output, re.MULTILINE)) == 1, server.output
    (tmp_path / "app.py").write_text(APP.replace("one", "mended"))
    answers(wire, server, "mended helper", workers)
    helper.write_text("raise RuntimeError('at import')\n")
    answers(wire, server, "RuntimeError: at import", workers)
    helper.write_text("NAME = 'helped'\n")
    answers(wire, server, "mended helped", workers)
    assert server.running


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (BROKEN, LOCAL),
        ("import helper\nx = 1\n", "has no attribute 'app'"),
        ("import not_there\n", "No module named 'not_there'"),
        ("raise SystemExit(3)\n", "SystemExit: 3"),
    ],
)
def test_code_that_is_broken_from_the_start_heals(serve, wire, tmp_path, helper, engine, source, told):
    server = serve(source, *engine)
    answers(wire, server, told)
    (tmp_path / "app.py").write_text(APP)
    answers(wire, server, "one helper")


@pytest.mark.parametrize(("reference", "file"), [("later:app", "later.py"), ("pack.later:app", "pack/later.py")])
def test_an_application_that_does_not_exist_yet_is_served_once_it_does(
    serve, wire, tmp_path, helper, engine, reference, file
):
    server = serve("", *engine, application=reference)
    answers(wire, server, "there is no module")
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(APP)
    answers(wire, server, "one helper")


def test_a_missing_module_heals_when_it_appears(serve, wire, tmp_path, engine):
    server = serve(APP, *engine)
    answers(wire, server, "No module named 'helper'")
    (tmp_path / "helper.py").write_text("NAME = 'found'\n")
    answers(wire, server, "one found")


def test_what_is_no_error_of_the_application_ends_the_server_as_ever(serve, tmp_path):
    server = serve("import os\nos._exit(9)\n", "--reload", "--reload-engine", "poll", ready=False)
    assert server.wait(10) == 3


def test_without_reload_nothing_is_shown_and_the_server_ends(serve, tmp_path):
    server = serve(BROKEN, ready=False)
    assert server.wait(10) == 3


SLOW = """
import os
import pathlib
import time


def app(environ, start_response):
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/slow":
        pathlib.Path("begun").touch()
        until = time.monotonic() + 20
        while not pathlib.Path("go").exists() and time.monotonic() < until:
            time.sleep(0.005)
    return [f"one {os.getpid()}".encode()]
"""


def test_a_change_loses_no_request(serve, wire, tmp_path, engine):
    server = serve(SLOW, *engine, "--workers", "2")
    running = wire(server)
    running.ask("/slow")
    wait_until((tmp_path / "begun").exists, what="the start of the request")
    failures: list[str] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            try:
                assert wire(server).get("/", "Connection: close").status == 200
            except Exception as error:
                failures.append(repr(error))

    client = threading.Thread(target=ask)
    client.start()
    try:
        for text in ("two", "three"):
            # At once: a file of which only a part was written would be an application that fails.
            (tmp_path / "next").write_text(SLOW.replace("one", text))
            (tmp_path / "next").replace(tmp_path / "app.py")
            wait_until(lambda: text in wire(server).get("/", "Connection: close").body.decode(), 20, text)  # noqa: B023
    finally:
        stop.set()
        client.join(20)
    (tmp_path / "go").touch()
    assert running.answer().body.startswith(b"one ")
    assert not failures


def test_the_configuration_file_counts(serve, wire, tmp_path, helper, engine):
    (tmp_path / "unicorn.conf.py").write_text("workers = 1\n")
    server = serve(APP, *engine)
    (tmp_path / "unicorn.conf.py").write_text("workers = 2\nserver_header = 'changed'\n")
    server.wait_for("Reloaded: generation 2 serves with workers: 2")
    wait_until(lambda: wire(server).get("/", "Connection: close")["server"] == "changed", what="the new settings")


def test_changes_within_a_second_that_keep_the_size_are_served(serve, wire, tmp_path, helper, engine):
    server = serve(APP, *engine, environment={"PYTHONDONTWRITEBYTECODE": None})
    for text in ("two", "six", "ten", "one"):
        (tmp_path / "app.py").write_text(APP.replace("one", text))
        answers(wire, server, f"{text} helper")


def test_replacing_a_file_counts(serve, wire, tmp_path, helper, engine):
    server = serve(APP, *engine)
    (tmp_path / "swap").write_text(APP.replace("one", "swapped"))
    os.replace(tmp_path / "swap", tmp_path / "app.py")
    answers(wire, server, "swapped helper")
