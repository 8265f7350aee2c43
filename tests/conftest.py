"""Fixtures for all tests."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from unicorn_core.testing.server import ServerProcess

Serve = Callable[..., ServerProcess]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start real servers: `serve(source, *arguments)` writes `source` to app.py and serves its `app`.

    Every server is stopped at the end of the test, and printed if the test failed.
    """
    servers: list[ServerProcess] = []

    def start(
        source: str = "", *arguments: str, application: str = "app:app", ready: bool = True, **options: Any
    ) -> ServerProcess:
        if source:
            (tmp_path / "app.py").write_text(source)
        server = ServerProcess(application, *arguments, cwd=options.pop("cwd", tmp_path), **options)
        servers.append(server)
        if ready:
            server.wait_until_ready()
        return server

    yield start
    for server in servers:
        server.kill()
        print(server.output)
