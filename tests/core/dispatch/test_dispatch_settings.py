"""The settings of the dispatcher, under our names and gunicorn's, and what is refused."""

from pathlib import Path

import pytest

from unicorn_core.errors import SettingError
from unicorn_core.settings import sources
from unicorn_core.settings.kinds import Seconds
from unicorn_core.settings.registry import Registry, Settings, Source
from unicorn_core.settings.task_apps import TaskApp, TaskApps


class Mine:
    """An app of a program."""


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.discover()


@pytest.mark.parametrize(
    ("raw", "apps"),
    [
        ("models:Big", [TaskApp("models:Big")]),
        ("models:Big:2, shop.tasks:Mail", [TaskApp("models:Big", 2), TaskApp("shop.tasks:Mail")]),
        (["models:Big:1"], [TaskApp("models:Big", 1)]),
        ([Mine], [TaskApp(f"{__name__}:Mine", target=Mine)]),
        ([], []),
    ],
)
def test_apps_are_named_by_module_and_class(raw: object, apps: list[TaskApp]) -> None:
    assert list(TaskApps().parse(raw)) == apps


@pytest.mark.parametrize(
    "raw", ["models", "models:Big:0", "models:Big:-1", "models:Big:x", "a:B,a:B:2", 7, [None], "a b:C"]
)
def test_what_names_no_app_is_refused(raw: object) -> None:
    with pytest.raises(ValueError, match="module:Class"):
        TaskApps().parse(raw)


@pytest.mark.parametrize(("raw", "seconds"), [(3, 3.0), ("0.5", 0.5), (0, 0.0), (" 7 ", 7.0)])
def test_seconds_may_have_a_fraction(raw: object, seconds: float) -> None:
    assert Seconds().parse(raw) == seconds


@pytest.mark.parametrize("raw", [-1, "soon", True, "inf", "nan", None])
def test_what_is_no_number_of_seconds_is_refused(raw: object) -> None:
    with pytest.raises(ValueError, match="seconds"):
        Seconds().parse(raw)


def test_names_of_gunicorns_configurations_mean_ours(registry: Registry, tmp_path: Path) -> None:
    path = tmp_path / "gunicorn.conf.py"
    path.write_text(
        "dirty_apps = ['models:Big:2']\ndirty_workers = 3\ndirty_threads = 2\ndirty_timeout = 60\n"
        "dirty_graceful_timeout = 5\ndef dirty_post_fork(arbiter, worker): pass\n"
    )
    source = sources.config_file(registry, str(path))
    settings = registry.resolve([*registry.default_source({}), source])
    assert settings.dispatch_apps == (TaskApp("models:Big", 2),)
    assert (settings.dispatch_workers, settings.dispatch_threads, settings.dispatch_timeout) == (3, 2, 60.0)
    assert settings.dispatch_graceful_timeout == 5.0
    assert settings.dispatch_post_fork is not None
    assert settings.origin("dispatch_workers") == f"file {path}"
    assert not source.warnings


def test_variables_may_have_them_too(registry: Registry) -> None:
    settings = registry.resolve(
        [*registry.default_source({}), sources.variables(registry, {"UNICORN_DIRTY_WORKERS": "2"})]
    )
    assert (settings.dispatch_workers, settings.origin("dispatch_workers")) == (2, "environment UNICORN_DIRTY_WORKERS")


def test_what_only_a_restart_changes_is_held_back() -> None:
    running, fresh = Settings.of(dispatch_serializer="pickle", workers=2), Settings.of(workers=3)
    assert fresh.held_back(running) == {"dispatch_serializer": "pickle"}
    assert fresh.held_back(fresh) == {}


def test_a_mistake_is_told_under_our_name_with_its_origin(registry: Registry) -> None:
    with pytest.raises(SettingError, match=r"setting dispatch_workers = -1 \(program\): must be a whole number"):
        registry.resolve([*registry.default_source({}), Source("program", {"dirty_workers": -1})])
    with pytest.raises(SettingError, match=r"dispatch_post_fork .*takes \(arbiter, worker\)"):
        Settings.of(dirty_post_fork=lambda worker: None)
