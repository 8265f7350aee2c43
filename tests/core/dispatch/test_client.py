"""The client in front of its backend: which that is, and what may be asked of it."""

import math
from typing import Any

import pytest

from unicorn_core import dispatch, plugins
from unicorn_core.dispatch.client import client as module
from unicorn_core.dispatch.client.client import Client, get_client
from unicorn_core.dispatch.client.exchange import Invocation
from unicorn_core.dispatch.dispatcher.service import MOST_TASK_WORKERS, Service


class Elsewhere:
    """A backend that answers by itself."""

    def __init__(self, place: str) -> None:
        self.place = place

    def call(self, invocation: Invocation) -> Any:
        return self.place, invocation.app, invocation.action, [*invocation.args]


def test_another_backend_is_found_by_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def load(group: str, name: str) -> type:
        asked.append((group, name))
        return Elsewhere

    monkeypatch.setattr(plugins, "load", load)
    monkeypatch.setenv("UNICORN_DISPATCH_BACKEND", "cluster")
    monkeypatch.setenv("UNICORN_DISPATCH_SOCKET", "tcp://there")
    module._client.cache_clear()
    assert get_client().execute("a:A", "run", 1) == ("tcp://there", "a:A", "run", [1])
    assert get_client() is get_client()
    assert asked == [(plugins.DISPATCH_BACKENDS, "cluster")]


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"timeout": -1}, "timeout must be seconds, from 0 to"),
        ({"timeout": math.nan}, "timeout must be seconds"),
        ({"timeout": math.inf}, "timeout must be seconds"),
        ({"timeout": 1e12}, "timeout must be seconds"),
        ({"timeout": "5"}, "timeout must be seconds.*not '5'"),
        ({"idle_timeout": -0.1}, "idle_timeout must be seconds"),
        ({"priority": 101}, "priority must be a whole number, from -100 to 100, not 101"),
        ({"priority": -101}, "priority must be"),
        ({"priority": 1.5}, "priority must be"),
        ({"priority": True}, "priority must be"),
    ],
)
def test_options_that_mean_nothing_are_refused_at_once(options: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        Client(Elsewhere("")).with_options(**options)  # type: ignore[arg-type]


def test_all_that_is_public_can_be_had_and_nothing_else() -> None:
    for name in dispatch.__all__:
        assert getattr(dispatch, name) is not None
    with pytest.raises(AttributeError, match="LONGEST_TEXT"):
        _ = dispatch.LONGEST_TEXT


class Growing:
    """The crew of a service, as far as its size matters."""

    size = 5

    @property
    def pool(self) -> "Growing":
        return self

    def resize(self, size: int) -> int:
        return size


def test_the_number_of_task_workers_is_bounded_as_the_setting_is() -> None:
    service = object.__new__(Service)
    service._crew = Growing()  # type: ignore[assignment]
    assert service.resize(2) == 7
    assert service.resize(1 << 40) == MOST_TASK_WORKERS
    with pytest.raises(TypeError):
        service.resize(0.5)  # type: ignore[arg-type]
