"""Lifespan: when an application has it, what its failures mean, and what the arbiter makes of them."""

import re
import signal
import subprocess
import sys

import pytest

from unicorn_core.testing.server import wait_until

pytestmark = pytest.mark.only_worker_class("sync", reason="these tests choose the worker class asgi")

ANSWER = """
async def answer(send, body=b"hello"):
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": body})
"""
WITH = (
    ANSWER
    + """
import asyncio, os, sys

async def app(scope, receive, send):
    if scope["type"] != "lifespan":
        return await answer(send, repr("state" in scope).encode())
    assert (await receive()) == {"type": "lifespan.startup"}
    STARTUP
    await send({"type": "lifespan.startup.complete"})
    assert (await receive()) == {"type": "lifespan.shutdown"}
    SHUTDOWN
    print("lifespan over", file=sys.stderr, flush=True)
    await send({"type": "lifespan.shutdown.complete"})
"""
)
WITHOUT = (
    ANSWER
    + """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await answer(send, repr("state" in scope).encode())
"""
)
FAILS = 'return await send({"type": "lifespan.startup.failed", "message": "no database today"})'


def with_steps(startup: str = "pass", shutdown: str = "pass") -> str:
    return WITH.replace("STARTUP", startup).replace("SHUTDOWN", shutdown)


def ends(folder, source: str, *arguments: str) -> tuple[int, str]:
    """Exit code and output of a server that does not get as far as serving."""
    (folder / "app.py").write_text(source)
    command = [sys.executable, "-m", "unicorn_cli", "-k", "asgi", "-b", "127.0.0.1:0", *arguments, "app:app"]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=30, check=False)
    return ended.returncode, ended.stderr


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("mode", ["auto", "on"])
def test_an_application_starts_before_it_serves_and_ends_after(serve, loop, mode):
    server = serve(with_steps(), "-k", "asgi", "--asgi-loop", loop, "--asgi-lifespan", mode)
    assert server.get() == b"True"
    assert server.stop() == 0
    assert server.output.count("lifespan over") == 1
    assert "rror" not in server.output


def test_auto_takes_an_exception_before_the_event_as_no_lifespan(serve):
    server = serve(WITHOUT, "-k", "asgi")
    assert server.get() == b"False"
    assert "AssertionError" not in server.output


def test_off_never_calls_it(serve):
    server = serve(with_steps(), "-k", "asgi", "--asgi-lifespan", "off")
    assert server.get() == b"False"
    server.stop()
    assert "lifespan over" not in server.output


def test_on_demands_it(tmp_path):
    code, output = ends(tmp_path, WITHOUT, "--asgi-lifespan", "on")
    assert code == 3
    assert "AssertionError" in output


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_a_startup_that_fails_ends_the_server(tmp_path, mode):
    code, output = ends(tmp_path, with_steps(FAILS), "--asgi-lifespan", mode)
    assert code == 3
    assert "the application's startup failed (lifespan): no database today" in output
    assert "Traceback" not in output
    assert output.count("Booting worker") == 1


def test_a_startup_that_raises_ends_the_server_and_shows_the_traceback(tmp_path):
    code, output = ends(tmp_path, with_steps("raise RuntimeError('no cache either')"))
    assert code == 3
    assert "RuntimeError: no cache either" in output
    assert "Traceback" in output
    assert 'File "' + str(tmp_path / "app.py") in output


def test_a_startup_that_takes_too_long_ends_the_server(tmp_path):
    code, output = ends(tmp_path, with_steps("await asyncio.sleep(60)"), "--worker-boot-timeout", "1")
    assert code == 3
    assert re.search(r"tasks that wait:\n.*app.py", output, re.DOTALL), "where it hangs"


def test_what_it_raises_while_the_server_serves_is_told(serve, wire):
    server = serve(
        with_steps().replace('    assert (await receive()) == {"type": "lifespan.shutdown"}', "    1 / 0"), "-k", "asgi"
    )
    server.wait_for("lifespan raised while it serves:\n(?s:.*)ZeroDivisionError")
    assert wire(server).get("/").status == 200
    assert server.stop() == 0


def test_auto_tells_of_an_application_that_takes_the_event_in_and_says_nothing(serve, wire):
    server = serve(
        WITHOUT.replace(
            '    assert scope["type"] == "http"',
            '    if scope["type"] == "lifespan":\n        await receive()\n        return',
        ),
        "-k",
        "asgi",
    )
    server.wait_for(r"\[WARNING\] The application took in lifespan.startup and returned without answering it")
    assert wire(server).get("/").status == 200


def test_a_reload_whose_startup_fails_is_rolled_back(serve, tmp_path):
    server = serve(with_steps(), "-k", "asgi")
    (tmp_path / "app.py").write_text(with_steps(FAILS))
    server.signal(signal.SIGHUP)
    server.wait_for("no database today")
    assert server.get() == b"True"
    (tmp_path / "app.py").write_text(with_steps().replace("repr", "ascii"))
    server.signal(signal.SIGHUP)
    server.wait_for("lifespan over")
    assert server.get() == b"True"


def test_a_shutdown_that_fails_is_told_and_ends_well(serve):
    failed = 'return await send({"type": "lifespan.shutdown.failed", "message": "could not save"})'
    server = serve(with_steps(shutdown=failed), "-k", "asgi")
    assert server.get() == b"True"
    assert server.stop() == 0
    assert "the application's shutdown failed (lifespan): could not save" in server.output


def test_a_shutdown_that_hangs_is_left_in_time(serve):
    server = serve(with_steps(shutdown="await asyncio.sleep(60)"), "-k", "asgi", "--graceful-timeout", "4")
    assert server.get() == b"True"
    assert server.stop() == 0
    assert "shutdown (lifespan) did not end within" in server.output
    assert "did not leave in time" not in server.output


def test_state_of_one_request_is_not_that_of_another(serve):
    source = with_steps("scope['state']['count'] = 1").replace(
        'return await answer(send, repr("state" in scope).encode())',
        'scope["state"]["count"] += 1; return await answer(send, repr(scope["state"]["count"]).encode())',
    )
    server = serve(source, "-k", "asgi")
    assert [server.get(), server.get()] == [b"2", b"2"]


def test_a_canary_is_asked_through_the_application(serve, tmp_path):
    server = serve(with_steps(), "-k", "asgi", "--reload-canary", "/")
    server.signal(signal.SIGHUP)
    server.wait_for(r"Canary \(pid:\d+\) answered / with 200")
    wait_until(lambda: len(server.worker_pids()) == 1, what="the end of the old worker")
    (tmp_path / "app.py").write_text(with_steps().replace('"status": 200', '"status": 503'))
    server.signal(signal.SIGHUP)
    server.wait_for("the canary answered / with 503")
    assert server.get() == b"True"


def test_the_setting_reload_shows_an_application_that_fails(serve, tmp_path):
    server = serve("raise RuntimeError('not today')", "-k", "asgi", "--reload")
    assert b"RuntimeError: not today" in server.get()
    (tmp_path / "app.py").write_text(with_steps())
    wait_until(lambda: server.get() == b"True", timeout=20, what="the mended application")
