"""The client in front of its backend: which that is, and what may be asked of it."""

import asyncio
import math
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unicorn_core import dispatch, plugins
from unicorn_core.dispatch import DispatcherUnavailable
from unicorn_core.dispatch.client import client as module
from unicorn_core.dispatch.client import connection
from unicorn_core.dispatch.client.client import Client, get_client
from unicorn_core.dispatch.client.exchange import Invocation
from unicorn_core.dispatch.client.local import LocalBackend
from unicorn_core.dispatch.dispatcher.service import MOST_TASK_WORKERS, Service


class Elsewhere:
    """A backend that answers by itself."""

    def __init__(self, place: str) -> None:
        self.place = place

    def call(self, invocation: Invocation) -> Any:
        return self.place, invocation.app, invocation.action, [*invocation.args]

    async def call_async(self, invocation: Invocation) -> Any:
        return self.call(invocation)

    def stream(self, invocation: Invocation) -> Any:
        return iter([self.call(invocation)])

    async def stream_async(self, invocation: Invocation) -> Any:
        yield self.call(invocation)


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


def test_an_app_may_be_given_as_its_class() -> None:
    client = Client(Elsewhere("there"))  # type: ignore[arg-type]
    answer = ("there", f"{__name__}:Elsewhere", "run", [1])

    async def in_a_loop() -> list[Any]:
        return [
            await client.execute_async(Elsewhere, "run", 1),
            await client.app(Elsewhere).aio.run(1),
            *[x async for x in client.stream_async(Elsewhere, "run", 1)],
            *[x async for x in client.map_async(Elsewhere, "run", [1])],
        ]

    assert client.execute(Elsewhere, "run", 1) == answer
    assert client.app(Elsewhere).run(1) == answer
    assert list(client.stream(Elsewhere, "run", 1)) == [answer]
    assert list(client.map(Elsewhere, "run", [1])) == [answer]
    assert asyncio.run(in_a_loop()) == [answer] * 4


@pytest.mark.parametrize("way", [Client.map, Client.map_async])
@pytest.mark.parametrize("concurrency", [0, -1])
def test_a_map_of_no_calls_at_a_time_is_refused_at_once(way: Callable[..., Any], concurrency: int) -> None:
    client = Client(Elsewhere(""))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"concurrency must be 1 or more, not {concurrency}"):
        way(client, "a:A", "run", [1, 2], concurrency=concurrency)


def test_the_greeting_is_not_waited_for_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HELLO", 0.2)
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(path)
        silent.listen()
        client = Client(LocalBackend(path))
        for patient in (client, client.with_options(timeout=0)):
            with pytest.raises(DispatcherUnavailable, match=r"a:A\.run: the dispatcher does not answer"):
                patient.execute("a:A", "run")
            with pytest.raises(DispatcherUnavailable, match=r"a:A\.run: the dispatcher does not answer"):
                next(patient.stream("a:A", "run"))


def test_who_cannot_be_reached_is_told_with_app_and_action(tmp_path: Path) -> None:
    client = Client(LocalBackend(str(tmp_path / "nothing")))
    told = r"a:A\.run: the dispatcher cannot be reached \(No such file or directory\) \(at .*/nothing\)"
    with pytest.raises(DispatcherUnavailable, match=told):
        client.execute("a:A", "run")
    with pytest.raises(DispatcherUnavailable, match=told):
        next(client.stream("a:A", "run"))
    with pytest.raises(DispatcherUnavailable, match=told):
        asyncio.run(client.execute_async("a:A", "run"))
    with pytest.raises(DispatcherUnavailable, match=r"^the dispatcher cannot be reached"):
        client.status()


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
