"""A dispatcher inside of a test, with the apps of apps/task_apps.py."""

import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

APPS = Path(__file__).parents[1] / "apps"
if str(APPS) not in sys.path:
    sys.path.insert(0, str(APPS))

BASIC = "task_apps:Basic"
OTHER = "task_apps:Other"


def in_threads(calls: Sequence[Callable[[], Any]]) -> list[Future[Any]]:
    """Run each in a thread of its own; results and errors come from the futures."""
    futures: list[Future[Any]] = []
    for call in calls:
        future: Future[Any] = Future()
        threading.Thread(target=_run, args=(call, future), daemon=True).start()
        futures.append(future)
    return futures


def _run(call: Callable[[], Any], future: Future[Any]) -> None:
    try:
        future.set_result(call())
    except BaseException as error:
        future.set_exception(error)
