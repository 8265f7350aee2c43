"""The dispatcher inside a program: what it is made with, and what the program must be like."""

import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import pytest

from unicorn_core.dispatch import Dispatcher, TaskApp
from unicorn_core.errors import SettingError

PATCHES = {
    "gevent": "import gevent.monkey; gevent.monkey.patch_all()",
    "eventlet": "import eventlet; eventlet.monkey_patch()",
}
PATCHED_FIRST = """
{patch}
from unicorn_core.dispatch import Dispatcher, TaskApp

dispatcher = Dispatcher(TaskApp)
try:
    dispatcher.start()
except RuntimeError as error:
    print(error)
dispatcher.stop()
"""
STARTED_FIRST = """
from unicorn_core.dispatch import Dispatcher, TaskApp

class Echo(TaskApp):
    def same(self, value):
        return value

    def count(self, limit):
        yield from range(limit)

with Dispatcher(Echo) as dispatcher:
    {patch}
    client = dispatcher.client.with_options(timeout=20)
    print(client.execute(Echo, "same", 1), sum(client.stream(Echo, "count", 300)), *client.map(Echo, "same", [2, 3]))
"""


class Echo(TaskApp):
    """An app of the program itself."""


def run(program: str, library: str) -> str:
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    command = [sys.executable, "-W", "ignore", "-c", program.format(patch=PATCHES[library])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=40)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"apps": []}, r"setting dispatch_apps \(program\): must name at least one app"),
        ({"apps": ""}, r"setting dispatch_apps \(program\): must name at least one app"),
        ({"apps": [Echo], "workers": 0}, r"setting dispatch_workers = 0 \(program\): must be 1 or more"),
        ({"apps": [Echo], "workers": -1}, "setting dispatch_workers = -1"),
        ({"apps": 7}, "setting dispatch_apps = 7"),
        ({"apps": None}, r"setting dispatch_apps"),
    ],
)
def test_a_dispatcher_that_could_run_nothing_is_refused(arguments: dict[str, Any], what: str) -> None:
    with pytest.raises(SettingError, match=what):
        Dispatcher(**arguments)


@pytest.mark.parametrize("apps", [Echo, [Echo], (Echo,), {Echo}, iter([Echo])], ids=lambda apps: type(apps).__name__)
def test_apps_may_come_in_any_collection_or_one_alone(apps: Any) -> None:
    assert Dispatcher(apps=apps).apps == [f"{__name__}:Echo"]


def test_one_app_alone_may_be_named() -> None:
    assert Dispatcher(apps="models:Sentiment").apps == ["models:Sentiment"]


def test_to_stop_what_was_never_started_does_nothing() -> None:
    Dispatcher(apps=[Echo]).stop()


@pytest.mark.parametrize("library", PATCHES)
def test_a_program_that_is_patched_is_told_that_it_cannot_start_one(library: str) -> None:
    assert run(PATCHED_FIRST, library).startswith(f"this program is patched by {library}, and the dispatcher")


@pytest.mark.parametrize("library", PATCHES)
def test_a_program_may_be_patched_once_the_dispatcher_runs(library: str) -> None:
    assert run(STARTED_FIRST, library) == "1 44850 2 3\n"
