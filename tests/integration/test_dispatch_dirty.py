"""An application written for gunicorn's dirty pool gives the same results on the dispatcher, with its imports changed.

The comparison needs gunicorn 27 in some environment: UNICORN_TEST_GUNICORN names its interpreter.
"""

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from unicorn_core.testing.server import ServerProcess

SITE = Path(__file__).parent / "apps" / "dirty_site.py"
APPS = ("Counting", "Overriding", "Plain")
PATHS = (
    *("/add", "/echo", "/fail", "/unknown-app", "/stream", "/stream-async", "/stream-breaks"),
    *("/overriding", "/plain", "/remember", "/stash", "/loop", "/timeout"),
)
ADDED = {"total": 2, "5": [1, 2], "bytes": {"bytes": [0, 255]}, "none": None}
EXPECTED = {
    "/add": [ADDED, {**ADDED, "total": 8}],
    "/echo": [[1, [2, 3]], {"timeout": 5, "nested": {"1": {"2": [3]}}}],
    "/fail": ["app error", "'why'", "dirty_site:Counting", "fail", True],
    "/unknown-app": ["no workers", "nowhere:App"],
    "/stream": [[{"number": n, "pair": [n, n]} for n in range(3)]] * 2,
    "/stream-async": [[0, 1, 2]] * 2,
    "/overriding": [["known"], "method"],
    "/plain": {"action": "whatever", "args": [1, 2], "ready": True},
    "/remember": [["k", "k-again"], 7, [7, 7]],
    "/loop": [[[1], {}], [{"number": n, "pair": [n, n]} for n in range(2)]],
    "/timeout": "timeout",
}


def answers(server: ServerProcess) -> dict[str, object]:
    return {path: json.loads(server.get(path, timeout=20)) for path in PATHS}


def configuration(folder: Path) -> None:
    names = ", ".join(f"'dirty_site:{name}'" for name in APPS)
    (folder / "gunicorn.conf.py").write_text(f"dirty_apps = [{names}]\ndirty_workers = 2\ndirty_timeout = 20\n")


@pytest.fixture
def ours(serve, tmp_path) -> dict[str, object]:
    configuration(tmp_path)
    (tmp_path / "dirty_site.py").write_text(
        SITE.read_text().replace("from gunicorn.dirty", "from unicorn_core.dispatch.dirty")
    )
    server = serve(application="dirty_site:app")
    server.wait_for("Dispatcher ready")
    return answers(server)


def test_a_dirty_application_runs_with_its_imports_changed(ours) -> None:
    assert {path: ours[path] for path in EXPECTED} == EXPECTED
    assert ours["/stream-breaks"][0][:2] == ["app error", "broke"]
    assert ours["/stream-breaks"][1] == [1]
    assert ours["/stash"]["get"] == {"x": 1}
    assert ours["/stash"]["deleted"] is False


def gunicorn_python() -> str | None:
    return os.environ.get("UNICORN_TEST_GUNICORN") or (sys.executable if find_spec("gunicorn") else None)


@pytest.mark.skipif(gunicorn_python() is None, reason="UNICORN_TEST_GUNICORN names no Python with gunicorn 27")
def test_it_gives_the_same_as_on_gunicorn(ours, tmp_path) -> None:
    folder = tmp_path / "gunicorn"
    folder.mkdir()
    configuration(folder)
    (folder / "dirty_site.py").write_text(SITE.read_text())
    command = (gunicorn_python(), "-m", "gunicorn")
    server = ServerProcess("dirty_site:app", cwd=folder, command=command)
    try:
        server.port = int(server.wait_for(r"Listening at: http://127\.0\.0\.1:(\d+)")[1])
        server.wait_for(r"Dirty worker \d+ listening", count=2)
        theirs = answers(server)
    finally:
        server.kill()
        print(server.output)
    for known in (ours, theirs):
        # Where the error of a generator happened, only ours tells.
        known["/stream-breaks"] = [known["/stream-breaks"][0][:2], known["/stream-breaks"][1]]
    assert ours == theirs
