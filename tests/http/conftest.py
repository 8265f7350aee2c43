"""What the tests of unicorn-http share: the modules in support/, which are no package that is installed."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent / "support"))

from worker_driver import WorkerThread


@pytest.fixture
def worker_thread(worker_class) -> Callable[..., WorkerThread]:
    """A WorkerThread of the worker class that the test runs with."""
    return lambda *arguments, **settings: WorkerThread(*arguments, **(worker_class.settings | settings))
