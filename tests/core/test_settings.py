"""Settings: later sources win, every value knows where it came from, and every mistake is named with its origin."""

from pathlib import Path

import pytest

from unicorn_core.errors import ConfigFileError, SettingError
from unicorn_core.settings import kinds, sources
from unicorn_core.settings.declaration import EnvironmentDefault, Setting
from unicorn_core.settings.registry import Registry, Settings, Source

WORKERS = Setting(
    "workers", kinds.Integer(1), 1, "Workers", "How many.", ("-w", "--workers"), environment=EnvironmentDefault("MANY")
)
BIND = Setting("bind", kinds.Texts(), ("127.0.0.1:8000",), "Sockets", "Where.", ("-b", "--bind"), repeatable=True)
HIDDEN = Setting("keyfile", kinds.Text(), None, "Sockets", "Which.")


@pytest.fixture
def registry() -> Registry:
    return Registry([("core", [WORKERS, BIND]), ("http", [HIDDEN])])


def resolve(registry: Registry, *more: Source, environ: dict[str, str] | None = None) -> Settings:
    return registry.resolve([*registry.default_source(environ or {}), *more])


def test_defaults_are_parsed_values(registry: Registry) -> None:
    settings = resolve(registry)
    assert settings.workers == 1
    assert settings.bind == ("127.0.0.1:8000",)
    assert settings.origin("workers") == "default"


def test_a_variable_changes_only_the_default(registry: Registry) -> None:
    settings = resolve(registry, environ={"MANY": " 3 "})
    assert (settings.workers, settings.origin("workers")) == (3, "environment MANY")
    settings = resolve(registry, Source("file x", {"workers": 2}), environ={"MANY": "3"})
    assert (settings.workers, settings.origin("workers")) == (2, "file x")


def test_later_sources_win(registry: Registry) -> None:
    settings = resolve(registry, Source("file", {"workers": 2}), Source("command line", {"workers": "5"}))
    assert settings.workers == 5


def test_a_bad_value_that_is_overruled_does_no_harm(registry: Registry) -> None:
    assert resolve(registry, Source("file", {"workers": "x"}), Source("command line", {"workers": 5})).workers == 5


def test_a_bad_value_is_named_with_setting_origin_and_what_is_allowed(registry: Registry) -> None:
    source = Source("command line", {"workers": "many"}, {"workers": "command line --workers"})
    with pytest.raises(SettingError) as caught:
        resolve(registry, source)
    assert (
        str(caught.value) == "setting workers = 'many' (command line --workers): must be a whole number from 1 upwards"
    )


def test_an_unknown_name_is_an_error_with_a_suggestion(registry: Registry) -> None:
    with pytest.raises(SettingError, match=r"unknown setting 'wokers' \(file x\); did you mean 'workers'\?"):
        resolve(registry, Source("file x", {"wokers": 1}))


def test_a_setting_declared_twice_names_both_packages() -> None:
    with pytest.raises(SettingError, match="declared by both core and http"):
        Registry([("core", [WORKERS]), ("http", [WORKERS])])


def test_an_attribute_that_is_no_setting_is_an_attribute_error(registry: Registry) -> None:
    with pytest.raises(AttributeError, match="nosuch"):
        _ = resolve(registry).nosuch


def test_every_shipped_default_is_a_value_that_its_kind_allows() -> None:
    registry = Registry.discover()
    settings = registry.resolve([*registry.default_source({})])
    assert set(settings) == set(registry.settings)


def test_shipped_settings_have_help_a_section_and_flags_of_their_own() -> None:
    registry = Registry.discover()
    flags = [flag for setting in registry.settings.values() for flag in setting.flags]
    assert len(flags) == len(set(flags))
    for setting in registry.settings.values():
        assert setting.help.endswith("."), setting.name
        assert setting.section, setting.name


def test_port_and_forwarded_allow_ips_change_defaults() -> None:
    registry = Registry.discover()
    environ = {"PORT": "5000", "WEB_CONCURRENCY": "4", "FORWARDED_ALLOW_IPS": "*"}
    settings = registry.resolve([*registry.default_source(environ)])
    assert settings.bind == ("0.0.0.0:5000",)
    assert settings.workers == 4
    assert settings.forwarded_allow_ips == ("*",)


# Configuration files


def config(registry: Registry, tmp_path: Path, text: str) -> Source:
    path = tmp_path / "unicorn.conf.py"
    path.write_text(text)
    return sources.config_file(registry, str(path))


def test_a_file_may_hold_imports_helpers_and_constants(registry: Registry, tmp_path: Path) -> None:
    source = config(registry, tmp_path, "import os\nN = 2\ndef twice(n): return n * 2\nworkers = twice(N)\n")
    assert source.values == {"workers": 4}
    assert source.warnings == ()


def test_a_plain_value_that_looks_like_a_misspelt_setting_gets_a_warning(registry: Registry, tmp_path: Path) -> None:
    source = config(registry, tmp_path, "wrokers = 2\ndef workerz(): pass\n_workers = 3\ntotally_different = 1\n")
    (warning,) = source.warnings
    assert "'wrokers' is not a setting and is ignored; did you mean 'workers'?" in warning


def test_a_file_that_raises_shows_the_users_own_frames(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(ConfigFileError, match="ZeroDivisionError") as caught:
        config(registry, tmp_path, "def f():\n    return 1 / 0\nworkers = f()\n")
    assert "return 1 / 0" in caught.value.details
    assert "runpy" not in caught.value.details


def test_a_file_with_a_syntax_error_says_where(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(ConfigFileError, match="SyntaxError") as caught:
        config(registry, tmp_path, "workers = = 2\n")
    assert "workers = = 2" in caught.value.details


def test_a_file_that_exits_does_not_end_the_server(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(ConfigFileError, match="SystemExit"):
        config(registry, tmp_path, "raise SystemExit(3)\n")


def test_a_missing_file_is_named(registry: Registry) -> None:
    with pytest.raises(ConfigFileError, match=r"'nosuch\.py' does not exist"):
        sources.config_file(registry, "nosuch.py")


def test_a_module_is_read_anew_each_time(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    for workers in (2, 13):
        (tmp_path / "some_conf.py").write_text(f"workers = {workers}\n")
        assert sources.config_file(registry, "python:some_conf").values == {"workers": workers}


# The environment


def test_each_setting_has_its_own_variable(registry: Registry) -> None:
    source = sources.variables(registry, {"UNICORN_WORKERS": "7", "UNICORN_NOSUCH": "1"})
    assert source.values == {"workers": "7"}
    assert source.origin("workers") == "environment UNICORN_WORKERS"


def test_our_arguments_variable_comes_before_gunicorns() -> None:
    both = {"UNICORN_CMD_ARGS": "-w 2", "GUNICORN_CMD_ARGS": "-w 3"}
    assert sources.environment_arguments(both) == ("UNICORN_CMD_ARGS", ["-w", "2"])
    assert sources.environment_arguments({"GUNICORN_CMD_ARGS": "-w '3 4'"}) == ("GUNICORN_CMD_ARGS", ["-w", "3 4"])
    assert sources.environment_arguments({}) == ("", [])


def test_open_quotes_in_the_arguments_variable_are_an_error() -> None:
    with pytest.raises(SettingError, match="UNICORN_CMD_ARGS"):
        sources.environment_arguments({"UNICORN_CMD_ARGS": "--bind 'x"})


# Kinds


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        (kinds.Integer(), "12", 12),
        (kinds.Integer(), 0, 0),
        (kinds.Mask(), "022", 0o22),
        (kinds.Mask(), "0o22", 0o22),
        (kinds.Mask(), "18", 18),
        (kinds.Mask(), "0x12", 0x12),
        (kinds.Mask(), 0, 0),
        (kinds.Switch(), "yes", True),
        (kinds.Switch(), "0", False),
        (kinds.Choice(("a", "b"), (("c", "a"),)), "C", "a"),
        (kinds.Texts(), "a, b,,c", ("a", "b", "c")),
        (kinds.Texts(), ["a,b", "c"], ("a", "b", "c")),
        (kinds.Texts(upper=True), "a", ("A",)),
        (kinds.Assignments(), ["A=1,2"], ("A=1,2",)),
        (kinds.Text(), None, None),
        (kinds.Text(), " x ", "x"),
        (kinds.Verbatim(), " x ", " x "),
        (kinds.UserId(), "0", 0),
        (kinds.UserId(), "root", 0),
        (kinds.GroupId(), "root", 0),
        (kinds.Table(), {"a": "b"}, {"a": "b"}),
    ],
)
def test_a_kind_takes(kind: kinds.Kind, raw: object, value: object) -> None:
    assert kind.parse(raw) == value


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        (kinds.Integer(), "-1"),
        (kinds.Integer(), "1.5"),
        (kinds.Integer(), "1_0"),
        (kinds.Integer(), "\u0661"),
        (kinds.Integer(), True),
        (kinds.Integer(), None),
        (kinds.Integer(maximum=5), 6),
        (kinds.Mask(), "8888"),
        (kinds.Mask(), "x"),
        (kinds.Mask(), 0o1000),
        (kinds.Mask(), True),
        (kinds.Switch(), "maybe"),
        (kinds.Switch(), 2),
        (kinds.Choice(("a",)), "b"),
        (kinds.Choice(("a",)), 1),
        (kinds.Texts(), 5),
        (kinds.Texts(), [5]),
        (kinds.Assignments(), ["A"]),
        (kinds.Assignments(), ["=1"]),
        (kinds.Text(optional=False), None),
        (kinds.Text(), 5),
        (kinds.Folder(), "/nosuch/folder"),
        (kinds.UserId(), "no such user"),
        (kinds.GroupId(), "no such group"),
        (kinds.Table(), {"a": 1}),
        (kinds.ClassOrName(), 5),
    ],
)
def test_a_kind_refuses(kind: kinds.Kind, raw: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        kind.parse(raw)
