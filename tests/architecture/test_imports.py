"""Imports keep the architecture: one direction between packages, no circles, no I/O where there must be none."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import unicorn_core

ROOT = Path(__file__).parents[2]
SOURCES = {path.parent.name: path for path in ROOT.glob("packages/*/src/*/__init__.py")}

ALLOWED = {
    "unicorn_core": set(),
    "unicorn_http": {"unicorn_core"},
    "unicorn_uwsgi": {"unicorn_core", "unicorn_http"},
    "unicorn_workers_gevent": {"unicorn_core", "unicorn_http"},
    "unicorn_asgi": {"unicorn_core", "unicorn_http"},
    "unicorn_cli": {"unicorn_core"},
}
PURE = (
    "unicorn_core.supervise",
    "unicorn_core.listen.address",
    "unicorn_http.semantics",
    "unicorn_http.h1",
    "unicorn_http.codec",
    "unicorn_http.serial",
    "unicorn_uwsgi",
    "unicorn_core.dispatch.errors",
    "unicorn_core.dispatch.rules",
    *(
        f"unicorn_core.dispatch.wire.{name}"
        for name in ("arrays", "classes", "extensions", "flow", "frames", "moments", "serialization")
    ),
    *(
        f"unicorn_asgi.websocket.{name}"
        for name in ("upgrade", "handshake", "deflate", "framing", "session", "gateway")
    ),
)
IMPURE = {"socket", "os", "time", "asyncio", "threading", "signal", "select", "selectors", "subprocess"}


def modules() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for package, init in SOURCES.items():
        for path in init.parent.rglob("*.py"):
            parts = path.relative_to(init.parent).with_suffix("").parts
            name = ".".join((package, *parts)).removesuffix(".__init__")
            found[name] = path
    return found


MODULES = modules()


def imports(path: Path, *, lazy: bool = True) -> Iterator[str]:
    """The modules that a file imports; with `lazy`, also those inside of functions. Type checking does not count."""
    tree = ast.parse(path.read_text())
    guarded = {
        id(inner)
        for node in ast.walk(tree)
        if (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        or (not lazy and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in guarded:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module


def test_every_package_is_looked_at() -> None:
    assert {"unicorn_core", "unicorn_http", "unicorn_cli"} <= set(SOURCES)
    assert set(SOURCES) <= set(ALLOWED)
    assert len(MODULES) > 40


@pytest.mark.parametrize("name", sorted(MODULES))
def test_packages_import_in_one_direction(name: str) -> None:
    package = name.partition(".")[0]
    used = {module.partition(".")[0] for module in imports(MODULES[name])}
    assert used & set(ALLOWED) - {package} <= ALLOWED[package]


def test_no_two_modules_import_each_other() -> None:
    graph = {name: {module for module in imports(path) if module in MODULES} for name, path in MODULES.items()}
    done: set[str] = set()

    def visit(name: str, way: list[str]) -> None:
        assert name not in way, "circle: " + " -> ".join([*way[way.index(name) :], name])
        if name not in done:
            for used in sorted(graph[name]):
                visit(used, [*way, name])
            done.add(name)

    for name in sorted(graph):
        visit(name, [])


@pytest.mark.parametrize("name", sorted(name for name in MODULES if name.startswith(PURE)))
def test_where_there_is_no_io_nothing_is_imported_that_does_some(name: str) -> None:
    assert not {module.partition(".")[0] for module in imports(MODULES[name])} & IMPURE


def declares_settings(name: str) -> bool:
    """Whether this module is one of those that hold a package's settings."""
    return "settings" in name.split(".")[1:] and not name.startswith("unicorn_core.")


@pytest.mark.parametrize("name", sorted(filter(declares_settings, MODULES)))
def test_declaring_settings_imports_no_more_than_the_registry(name: str) -> None:
    """The settings of every installed package are read at every start; the package itself must not be."""
    for module in set(imports(MODULES[name])):
        assert module.startswith("unicorn_core.") or declares_settings(module) or module in sys.stdlib_module_names
    assert set(imports(SOURCES[name.partition(".")[0]])) <= sys.stdlib_module_names


@pytest.mark.parametrize("name", sorted(MODULES))
def test_every_module_says_what_it_is_for(name: str) -> None:
    assert ast.get_docstring(ast.parse(MODULES[name].read_text())), name


def test_all_packages_have_one_version_and_pin_each_other_to_it() -> None:
    declared = {path.parent.name: tomllib.loads(path.read_text()) for path in ROOT.glob("packages/*/pyproject.toml")}
    for name, content in declared.items():
        project = content["project"]
        assert project["version"] == unicorn_core.__version__, name
        siblings = [wanted for wanted in project["dependencies"] if wanted.startswith("unicorn-")]
        assert all(wanted.endswith(f"=={unicorn_core.__version__}") for wanted in siblings), name
