"""A program can run the arbiter itself: with a worker class that knows no HTTP, or with an application of its own."""

import re
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from unicorn_core.testing.server import ServerProcess, wait_until

EXAMPLES = Path(__file__).parents[2] / "examples"
PROGRAM = """
import sys
from unicorn_core import BaseApplication

class Site(BaseApplication):
    def __init__(self, options):
        self.options = options
        super().__init__()

    def load_config(self):
        known = {key: value for key, value in self.options.items() if key in self.cfg.settings and value is not None}
        for key, value in known.items():
            self.cfg.set(key.lower(), value)

    def load(self):
        def app(environ, start_response):
            start_response("200 OK", [])
            return [b"from load()"]
        return app

Site(%r).run()
"""

Run = Callable[..., ServerProcess]


@pytest.fixture
def run(tmp_path) -> Iterator[Run]:
    started: list[ServerProcess] = []

    def start(script: str | Path, *arguments: str) -> ServerProcess:
        path = script if isinstance(script, Path) else tmp_path / "program.py"
        if isinstance(script, str):
            path.write_text(script)
        server = ServerProcess("", cwd=tmp_path, command=(sys.executable, str(path), *arguments), bind=False)
        started.append(server)
        return server

    yield start
    for server in started:
        print(server.output)
        server.kill()


def port_of(server: ServerProcess) -> int:
    server.wait_for(r"Ready: generation 1 serves")
    return int(server.wait_for(r"Listening at: \w+://127\.0\.0\.1:(\d+)")[1])


def test_the_echo_example_echoes_and_is_reloaded_without_losing_a_client(run):
    server = run(EXAMPLES / "echo.py", "127.0.0.1:0")
    port = port_of(server)
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.sendall(b"one\n")
        assert client.recv(100) == b"one\n"
        server.signal(signal.SIGHUP)
        server.wait_for("Reloaded: generation 2")
        client.sendall(b"two\n")
        assert client.recv(100) == b"two\n"
        assert client.recv(100) == b"", "the draining worker closes after the line"
    assert server.stop() == 0


def test_the_embedded_example_serves(run):
    server = run(EXAMPLES / "embedded.py", "127.0.0.1:0")
    server.port = port_of(server)
    assert server.get("/") == b"Hello from a server with 2 workers\n"
    assert server.stop() == 0


def test_a_class_in_gunicorn_s_manner_needs_another_import_only(run):
    server = run(PROGRAM % {"bind": "127.0.0.1:0", "workers": 1, "unheard_of": 1, "timeout": None})
    server.port = port_of(server)
    assert server.get("/") == b"from load()"


def test_load_is_called_in_the_mold_with_preload_app(run):
    server = run(PROGRAM % {"bind": "127.0.0.1:0", "workers": 2, "preload_app": True})
    server.port = port_of(server)
    assert server.get("/") == b"from load()"
    server.wait_for("Importing the application once for all workers")


def test_a_wrong_setting_ends_the_program_with_one_line_and_code_1(run):
    server = run(PROGRAM % {"bind": "127.0.0.1:0", "workers": "many"})
    assert server.wait() == 1
    assert re.fullmatch(r"Error: setting workers = 'many' \(program\): must be .*\n", server.output)


def test_an_unknown_setting_of_the_program_is_an_error(run):
    server = run("from unicorn_core import Arbiter, Settings\nSettings.of(workerz=1)\n")
    assert server.wait() != 0
    assert "unknown setting 'workerz' (program); did you mean 'workers'?" in server.output


def test_workers_of_a_class_without_a_probe_refuse_a_canary(run, tmp_path):
    script = (EXAMPLES / "echo.py").read_text().replace("workers=2", "workers=2, reload_canary='/'")
    server = run(script, "127.0.0.1:0")
    assert server.wait() != 0
    assert "cannot answer a probe" in server.output
    wait_until(lambda: not server.running)
