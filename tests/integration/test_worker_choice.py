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


@pytest.mark.parametrize("name", ["sync", "gthread"])
def test_a_class_that_is_named_is_never_overridden_and_says_which_one_would_fit(tmp_path, name):
    (tmp_path / "app.py").write_text(FUNCTION)
    server = ServerProcess("app:app", "--worker-class", name, cwd=tmp_path)
    assert server.wait() == 4
    server.wait_for(f"'app:app' is an ASGI application, and the worker class {name} runs WSGI applications: use .*asgi")
    assert "Using worker: asgi" not in server.output
    assert "Traceback" not in server.output


@pytest.mark.parametrize("name", ["uvicorn.workers.UvicornWorker", "uvicorn_worker.UvicornWorker"])
def test_what_gunicorns_configurations_name_for_such_applications_is_known(serve, tmp_path, name):
    (tmp_path / "gunicorn.conf.py").write_text(f"worker_class = {name!r}\n")
    assert serve(FUNCTION).get() == b"asgi"


@pytest.mark.parametrize(
    ("source", "arguments", "code"),
    [
        (FUNCTION, (), 0),
        (FUNCTION, ("-k", "sync"), 4),
        (WSGI, ("-k", "asgi"), 4),
        (WSGI, (), 0),
        (FUNCTION, ("--root-path", "foo"), 1),
    ],
)
def test_check_config_tries_the_class_that_fits(tmp_path, source, arguments, code):
    (tmp_path / "app.py").write_text(source)
    server = ServerProcess("app:app", "--check-config", *arguments, cwd=tmp_path)
    assert server.wait() == code, server.output


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
