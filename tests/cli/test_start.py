"""What a start costs: modules that it does not need are not imported."""

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from unicorn_cli import command
from unicorn_cli.main import main

# Each of these takes some milliseconds, or memory in every process.
NEEDLESS = {"asyncio", "difflib", "h11", "httptools", "importlib.metadata", "rich", "ssl"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text("def app(environ, start_response): ...\n")
    return tmp_path


@pytest.mark.parametrize("options", [[], ["--workers", "2"], ["-w", "2"]], ids=" ".join)
def test_a_start_imports_nothing_needless(folder: Path, options: list[str]) -> None:
    words = [sys.executable, "-X", "importtime", "-m", "unicorn_cli", "--check-config", *options, "app:app"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert done.returncode == 0, done.stderr[-2000:]
    assert "unicorn_core.settings.registry" in imported
    assert not imported & NEEDLESS


def test_the_collector_is_on_again_when_the_server_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    class Arbiter:
        def __init__(self, *_: object) -> None:
            seen.append(gc.isenabled())

        def run(self) -> int:
            seen.append(gc.isenabled())
            return 0

    monkeypatch.setattr(command, "Arbiter", Arbiter)
    try:
        with pytest.raises(SystemExit):
            main(["app:app"])
    finally:
        gc.unfreeze()
        gc.enable()
    assert seen == [False, True]
