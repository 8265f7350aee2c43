"""Fixtures for all tests, and the worker classes that they run with."""

import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from _pytest.mark import ParameterSet

from unicorn_core.testing.server import ServerProcess

Serve = Callable[..., ServerProcess]

# How long an example takes says nothing on a machine that runs other tests beside it.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


@dataclass(frozen=True)
class WorkerClass:
    """One that serves WSGI applications.

    Attributes:
        settings: those that choose it, as raw values.
        needs: a distribution without which its tests are skipped.
        in_every_run: the marks mean it too; else it runs where UNICORN_WORKER_CLASSES says so.
    """

    name: str
    settings: Mapping[str, str] = field(default_factory=dict)
    needs: str = ""
    in_every_run: bool = True

    @property
    def arguments(self) -> list[str]:
        """The same as the command takes them."""
        return [word for key, value in self.settings.items() for word in (f"--{key.replace('_', '-')}", value)]


WORKER_CLASSES = (
    WorkerClass("sync"),
    WorkerClass("gthread", {"threads": "3"}),
    WorkerClass("gevent", {"worker_class": "gevent"}, needs="gevent"),
    # It is gevent's worker over another library, whose own tests run always.
    WorkerClass("eventlet", {"worker_class": "eventlet"}, needs="eventlet", in_every_run=False),
)
"""A further one joins by a row."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "each_worker_class: in every run, run the test with each worker class")
    config.addinivalue_line(
        "markers", "other_worker_classes: the same but for the first, with which another test does what this one does"
    )
    config.addinivalue_line(
        "markers", "only_worker_class(*names, reason): run the test with no other worker class, for this reason"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that starts servers runs with the first worker class, or with more of them.

    With each that is in UNICORN_WORKER_CLASSES (names with commas between them, or `all`), else with each if it is
    marked `each_worker_class` or `other_worker_classes`; never with one that the latter, or `only_worker_class`, leaves
    out.
    """
    if "worker_class" not in metafunc.fixturenames:
        return
    wanted = os.environ.get("UNICORN_WORKER_CLASSES", "")
    known = [worker_class.name for worker_class in WORKER_CLASSES if wanted or worker_class.in_every_run]
    others = metafunc.definition.get_closest_marker("other_worker_classes")
    each = wanted == "all" or (not wanted and (others or metafunc.definition.get_closest_marker("each_worker_class")))
    names = known if each else wanted.split(",") if wanted else known[:1]
    if others:
        names = [name for name in names if name != known[0]]
    only = metafunc.definition.get_closest_marker("only_worker_class")
    if only:
        names = [name for name in names if name in only.args] or ([] if wanted else [only.args[0]])
    if names != known[:1]:
        chosen = [_parameter(worker_class) for worker_class in WORKER_CLASSES if worker_class.name in names]
        metafunc.parametrize("worker_class", chosen, indirect=True, scope="module")


def _parameter(worker_class: WorkerClass) -> ParameterSet:
    needs = worker_class.needs
    missing = needs and importlib.util.find_spec(needs) is None
    marks = [pytest.mark.skip(reason=f"{needs} is not installed")] if missing else []
    return pytest.param(worker_class, marks=marks, id=worker_class.name)


@pytest.fixture(scope="module")
def worker_class(request: pytest.FixtureRequest) -> WorkerClass:
    """The one that servers of this test have, unless the test names another."""
    return getattr(request, "param", WORKER_CLASSES[0])


@pytest.fixture
def serve(tmp_path: Path, worker_class: WorkerClass) -> Iterator[Serve]:
    """Start real servers: `serve(source, *arguments)` writes `source` to app.py and serves its `app`.

    Every server is stopped at the end of the test, and printed if the test failed.
    """
    servers: list[ServerProcess] = []

    def start(
        source: str = "", *arguments: str, application: str = "app:app", ready: bool = True, **options: Any
    ) -> ServerProcess:
        if source:
            (tmp_path / "app.py").write_text(source)
        words = (*worker_class.arguments, *arguments)
        server = ServerProcess(application, *words, cwd=options.pop("cwd", tmp_path), **options)
        servers.append(server)
        if ready:
            server.wait_until_ready()
        return server

    yield start
    for server in servers:
        server.kill()
        print(server.output)
