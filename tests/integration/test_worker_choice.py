"""Without the setting worker_class the application decides: an ASGI application gets the worker class `asgi`."""

import signal

import pytest

from unicorn_core.testing.server import ServerProcess, wait_until

pytestmark = pytest.mark.only_worker_class("sync", reason="these tests are about the choice of the worker class")

FUNCTION = """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"asgi"})
"""
INSTANCE = FUNCTION.replace("async def app(", "class Application:\n  async def __call__(self, ").replace(
    "    a", "      a"
) + ("\napp = Application()\n")
FACTORY = FUNCTION.replace("def app", "def made") + "\ncalls = []\ndef create():\n    print('made')\n    return made\n"
WSGI = """
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"wsgi"]
"""
TOLD = "Using worker: asgi (the application is an ASGI application)"


@pytest.mark.parametrize("source", [FUNCTION, INSTANCE], ids=["function", "instance"])
@pytest.mark.parametrize("further", [(), ("--preload",), ("--threads", "4")], ids=["", "preload", "threads"])
def test_an_asgi_application_gets_the_worker_class_for_such(serve, source, further):
    server = serve(source, *further, "--workers", "3")
    assert server.get() == b"asgi"
    assert server.output.count(TOLD) == 1


def test_a_factory_is_called_once_in_each_worker(serve):
    server = serve(FACTORY, application="app:create()", environment={"PYTHONUNBUFFERED": "1"})
    assert server.get() == b"asgi"
    assert server.output.count("made") == 1


def test_a_wsgi_application_keeps_the_default(serve):
    server = serve(WSGI)
    assert server.get() == b"wsgi"
    assert "Using worker: sync" in server.output
    assert "asgi" not in server.output


def test_a_class_that_is_named_is_never_overridden(serve):
    server = serve(FUNCTION, "--worker-class", "sync")
    assert server.get().startswith(b"500")
    assert "Using worker: asgi" not in server.output


def test_each_generation_tells_it(serve):
    server = serve(FUNCTION, "--workers", "2")
    server.signal(signal.SIGHUP)
    wait_until(lambda: server.output.count(TOLD) == 2, what="the second generation")
    assert server.get() == b"asgi"


def test_an_application_that_cannot_be_imported_is_reported_once(tmp_path):
    (tmp_path / "app.py").write_text("print('imported')\nraise RuntimeError('not today')")
    server = ServerProcess("app:app", cwd=tmp_path, environment={"PYTHONUNBUFFERED": "1"})
    assert server.wait() == 3
    assert server.output.count("imported\n") == 1
    assert server.output.count("RuntimeError: not today") == 2


def test_with_the_setting_reload_the_failure_is_shown_and_mended(serve, tmp_path):
    server = serve("raise RuntimeError('not today')", "--reload")
    assert b"RuntimeError: not today" in server.get()
    (tmp_path / "app.py").write_text(FUNCTION)
    wait_until(lambda: server.get() == b"asgi", timeout=20, what="the mended application")
