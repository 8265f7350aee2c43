"""What the setting reload watches, and that each change is told, once, when it is complete."""

import importlib
import importlib.util
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from unicorn_core import application
from unicorn_core.develop import engines, failure, reloading
from unicorn_core.develop.changes import Changes
from unicorn_core.develop.files import Files
from unicorn_core.develop.modules import Modules, forget_bytecode
from unicorn_core.develop.patterns import Patterns
from unicorn_core.develop.watcher import LONGEST_CHANGE, QUIET, Watcher
from unicorn_core.errors import ApplicationError, NotAnApplicationError, PluginError
from unicorn_core.testing.server import wait_until
from unicorn_core.worker.channel import pair
from unicorn_core.worker.messages import Changed

BEGAN = 1000.0
"""When the application of these tests begins to be loaded: long after its files were written, long before now."""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that is the working folder and on the import path; what was imported from it is forgotten."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(path: Path, text: str = "", at: float = BEGAN - 100) -> str:
    """Write a file whose time of modification is this; gives its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (at, at))
    return str(path)


def files(folder: Path, *patterns: str, further: tuple[str, ...] = (), now: float = BEGAN) -> Files:
    modules = Modules(frozenset(sys.modules))
    return Files(modules, Patterns(patterns, str(folder)), further, BEGAN, clock=lambda: now)


# Modules


def test_the_files_of_modules_are_found_as_they_are_imported(project: Path) -> None:
    one, two = write(project / "develop_one.py"), write(project / "develop_pack/two.py")
    init = write(project / "develop_pack/__init__.py")
    modules = Modules(frozenset(sys.modules))
    assert modules.new() == []
    importlib.import_module("develop_one")
    assert modules.new() == [one]
    importlib.import_module("develop_pack.two")
    assert sorted(modules.new()) == [init, two]
    assert modules.new() == []


def test_what_was_imported_before_and_what_is_installed_is_left_out(project: Path) -> None:
    before, after = write(project / "develop_before.py"), write(project / "develop_after.py")
    importlib.import_module("develop_before")
    importlib.import_module("develop_after")
    found = Modules(frozenset(["develop_before"])).new()
    assert after in found
    assert not {before, os.__file__, importlib.util.__file__, pytest.__file__} & set(found)


def test_a_namespace_package_is_watched_for_becoming_a_regular_one(project: Path) -> None:
    inner = write(project / "develop_space/inner.py")
    modules = Modules(frozenset(sys.modules))
    importlib.import_module("develop_space.inner")
    assert sorted(modules.new()) == sorted([inner, str(project / "develop_space/__init__.py")])


@pytest.mark.parametrize("file", ["one.pyc", "__pycache__/one.cpython-311.pyc"])
def test_bytecode_stands_for_its_source(project: Path, file: str) -> None:
    modules = Modules(frozenset(sys.modules))
    module = ModuleType("develop_compiled")
    module.__file__ = str(project / file)
    sys.modules["develop_compiled"] = module
    assert modules.new() == [str(project / "one.py")]


def test_code_that_changes_twice_within_a_second_and_keeps_its_size_is_read_anew(project: Path) -> None:
    path = write(project / "develop_twice.py", "x = 1\n")
    assert importlib.import_module("develop_twice").x == 1
    write(project / "develop_twice.py", "x = 2\n")
    forget_bytecode([path, path, str(project / "absent.py"), str(project / "a.html")])
    assert importlib.reload(sys.modules["develop_twice"]).x == 2


def test_strange_objects_among_the_modules_are_left_alone(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Lazy(ModuleType):
        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(f"{name} was asked for")

    modules = Modules(frozenset(sys.modules))
    monkeypatch.setitem(sys.modules, "develop_lazy", Lazy("develop_lazy"))
    monkeypatch.setitem(sys.modules, "develop_odd", SimpleNamespace(__file__=3))  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "develop_none", None)  # type: ignore[arg-type]
    assert modules.new() == []


# A failed import


def failed(reference: str) -> set[str]:
    with pytest.raises(ApplicationError) as caught:
        application.load(reference)
    return failure.files(caught.value, reference)


def test_a_syntax_error_names_its_file_and_the_way_to_it(project: Path) -> None:
    above, below = write(project / "develop_a.py", "import develop_b\n"), write(project / "develop_b.py", "def (:\n")
    assert {above, below} <= failed("develop_a:app")


def test_the_files_of_every_cause_are_named(project: Path) -> None:
    source = "try:\n    import develop_d\nexcept ValueError:\n    raise LookupError('second') from None\n"
    above, below = write(project / "develop_c.py", source), write(project / "develop_d.py", "raise ValueError\n")
    assert {above, below} <= failed("develop_c:app")


def test_a_file_that_lacks_a_name_is_named(project: Path) -> None:
    write(project / "develop_e.py", "from develop_f import missing\n")
    assert write(project / "develop_f.py") in failed("develop_e:app")


def test_a_file_that_cannot_be_read_is_named(project: Path) -> None:
    write(project / "develop_g.py", "open('secrets.toml')\n")
    assert str(project / "secrets.toml") in failed("develop_g:app")


def test_a_missing_module_is_expected_wherever_it_may_appear(project: Path) -> None:
    write(project / "develop_h.py", "import develop_i.deep\n")
    inner = project / "develop_i"
    expected = {project / "develop_i.py", inner / "__init__.py", inner / "deep.py", inner / "deep/__init__.py"}
    assert {str(project / "develop_i.py"), str(inner / "__init__.py")} <= failed("develop_h:app")
    assert set(map(str, expected)) <= failed("develop_i.deep:app")


def test_no_application_in_the_module_leads_back_to_the_module(project: Path) -> None:
    file = write(project / "develop_j.py", "app = 3\n")
    with pytest.raises(NotAnApplicationError):
        application.load("develop_j:app")
    assert file in failed("develop_j:app")


# Patterns


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("settings.toml", ["settings.toml"]),
        ("./settings.toml", ["settings.toml"]),
        ("templates/*.html", ["templates/a.html"]),
        ("templates/**/*.html", ["templates/a.html", "templates/deep/er/b.html"]),
        ("**/*.html", ["templates/a.html", "templates/deep/er/b.html"]),
        ("templates/**", ["templates/a.html", "templates/deep/c.txt", "templates/deep/er/b.html"]),
        ("templates", ["templates/a.html", "templates/deep/c.txt", "templates/deep/er/b.html"]),
        ("*", ["settings.toml", "with[1].txt"]),
        ("with[1].txt", ["with[1].txt"]),
        ("missing/*.html", []),
        ("missing.txt", []),
    ],
)
def test_patterns(tmp_path: Path, pattern: str, expected: list[str]) -> None:
    for name in ("settings.toml", "with[1].txt", "templates/a.html", "templates/deep/er/b.html"):
        write(tmp_path / name)
    for name in ("templates/deep/c.txt", "templates/.hidden/d.html", "templates/__pycache__/e.pyc"):
        write(tmp_path / name)
    found = {str(tmp_path / name) for name in expected}
    assert Patterns([pattern], str(tmp_path)).files() == found
    assert Patterns([str(tmp_path / pattern)], "/").files() == found


def test_the_folders_of_a_pattern_are_those_where_a_match_may_appear(tmp_path: Path) -> None:
    for name in ("templates/deep/er/b.txt", "conf/a/x.yml", "conf/b/y.txt", "other/z"):
        write(tmp_path / name)

    def folders(pattern: str) -> set[str]:
        return {os.path.relpath(path, tmp_path) for path in Patterns([pattern], str(tmp_path)).folders()}

    assert folders("templates/**/*.html") == {"templates", "templates/deep", "templates/deep/er"}
    assert folders("templates/**") == {"templates", "templates/deep", "templates/deep/er"}
    assert folders("templates") == {"templates", "templates/deep", "templates/deep/er"}
    assert folders("conf/*/x.yml") == {"conf", "conf/a", "conf/b"}
    assert folders("missing/deep/*.html") == {"."}
    assert folders("settings.toml") == {"."}


# Looking


def test_nothing_changes_by_being_looked_at(project: Path) -> None:
    watched = files(project, "*.html", further=(write(project / "conf.py"), str(project / "absent.py")))
    write(project / "develop_k.py")
    importlib.import_module("develop_k")
    write(project / "a.txt")
    assert [watched.look() for _ in range(3)] == [set()] * 3


@pytest.mark.parametrize("change", ["time", "size", "inode", "vanished"])
def test_a_change_is_seen_once(project: Path, change: str) -> None:
    path = project / "develop_l.py"
    write(path, "x = 1\n")
    watched = files(project)
    importlib.import_module("develop_l")
    assert watched.look() == set()
    if change == "time":
        write(path, "x = 1\n", at=BEGAN - 50)
    elif change == "size":
        write(path, "x = 12\n")
    elif change == "inode":
        write(project / "new", "x = 2\n")
        os.replace(project / "new", path)
    else:
        path.unlink()
    assert watched.look() == {str(path)}
    assert watched.look() == set()


def test_an_absent_file_counts_when_it_appears(project: Path) -> None:
    watched = files(project, further=(str(project / "sub/app.py"),))
    assert watched.look() == set()
    path = write(project / "sub/app.py")
    assert watched.look() == {path}


def test_extra_files_count_when_they_appear_change_and_vanish(project: Path) -> None:
    write(project / "templates/a.html", at=BEGAN + 1)
    watched = files(project, "templates/**/*.html", now=BEGAN + 2)
    assert watched.look() == set(), "what an application generates when it is loaded is no change"
    new = write(project / "templates/deep/b.html")
    assert watched.look() == {new}
    write(project / "templates/deep/b.html", "longer")
    assert watched.look() == {new}
    (project / "templates/deep/b.html").unlink()
    assert watched.look() == {new}
    assert watched.look() == set()


@pytest.mark.parametrize(("at", "counts"), [(BEGAN - 1, False), (BEGAN + 1, True), (BEGAN + 3600, False)])
def test_a_file_that_was_modified_while_the_application_was_loaded_counts(
    project: Path, at: float, counts: bool
) -> None:
    watched = files(project, now=BEGAN + 2)
    path = write(project / "develop_m.py")
    importlib.import_module("develop_m")
    write(project / "develop_m.py", at=at)
    assert watched.look() == ({path} if counts else set())
    assert watched.look() == set()


def test_the_folders_are_those_where_something_can_happen(project: Path) -> None:
    real, link = project / "real/conf.py", project / "link.py"
    write(real)
    link.symlink_to(real)
    watched = files(project, "templates/*.html", further=(str(link), str(project / "not/there/app.py")))
    watched.look()
    assert watched.folders() == {str(project), str(project / "real")}
    write(project / "not/there/b.py")
    write(project / "templates/a.html")
    assert watched.folders() == {str(project / name) for name in ("", "real", "not/there", "templates")}


# Watching


class Script:
    """An engine and a sleep that do the next thing of a list each time they are waited in."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self.steps = list(steps)
        self.slept = 0.0

    def wait(self, folders: Callable[[], frozenset[str]]) -> None:
        self.next()

    def sleep(self, seconds: float) -> None:
        if seconds == QUIET:
            self.slept += seconds
            self.next()

    def next(self) -> None:
        self.steps.pop(0)()


def nothing() -> None:
    pass


def test_a_change_in_several_steps_is_told_once(project: Path) -> None:
    one, two = project / "one.py", project / "two.py"
    watched = files(project, further=(write(one), write(two)))
    script = Script(nothing, lambda: write(one, ""), lambda: write(one, "1"), lambda: write(two, "2"), nothing)
    script.steps[1] = one.unlink
    told: list[list[str]] = []
    Watcher(watched, script, lambda paths: bool(told.append(paths)), script.sleep).run()
    assert told == [[str(one), str(two)]]
    assert not script.steps


def test_a_change_without_end_is_told_all_the_same(project: Path) -> None:
    path = project / "one.py"
    watched = files(project, further=(write(path),))
    count = iter(range(1000))
    script = Script(*[lambda: write(path, "x" * next(count) * 2)] * 100)
    told: list[list[str]] = []
    Watcher(watched, script, lambda paths: bool(told.append(paths)), script.sleep).run()
    assert told == [[str(path)]]
    assert script.slept <= LONGEST_CHANGE


def test_it_goes_on_as_long_as_it_is_told_to(project: Path) -> None:
    path = project / "one.py"
    watched = files(project, further=(write(path),))
    script = Script(lambda: write(path, "1"), nothing, nothing, lambda: write(path, "12"), nothing)
    told: list[list[str]] = []

    def report(paths: list[str]) -> bool:
        told.append(paths)
        return len(told) < 2

    Watcher(watched, script, report, script.sleep).run()
    assert told == [[str(path)]] * 2


def test_the_same_change_told_by_several_workers_is_new_once(tmp_path: Path) -> None:
    path = write(tmp_path / "one.py")
    changes = Changes()
    assert changes.is_new([path])
    assert not changes.is_new([path])
    write(tmp_path / "one.py", "longer")
    assert changes.is_new([path])
    assert changes.is_new([path, str(tmp_path / "absent")])
    assert not changes.is_new([str(tmp_path / "absent")])


# Engines


def test_auto_takes_watchfiles_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)  # type: ignore[arg-type]
    assert isinstance(engines.choose("auto"), engines.Polling)
    assert isinstance(engines.choose("poll"), engines.Polling)
    with pytest.raises(PluginError, match=r"pip install 'unicorn-core\[reload\]'"):
        engines.choose("watchfiles")
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: None)  # type: ignore[attr-defined]
    engines.check("auto")
    engines.check("poll")
    with pytest.raises(PluginError, match=r"pip install 'unicorn-core\[reload\]'"):
        engines.check("watchfiles")
    monkeypatch.undo()
    pytest.importorskip("watchfiles")
    engines.check("watchfiles")
    assert isinstance(engines.choose("auto"), engines.Watchfiles)


@pytest.fixture(params=["poll", "watchfiles"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> engines.Engine:
    if request.param == "watchfiles":
        pytest.importorskip("watchfiles")
        # So long that only being notified is fast enough.
        monkeypatch.setattr(engines, "FALLBACK", 60.0)
    else:
        monkeypatch.setattr(engines, "INTERVAL", 0.05)
    return engines.choose(request.param)


class Running:
    """A watcher in a thread, and what it has told."""

    def __init__(self, watched: Files, engine: engines.Engine) -> None:
        self.told: list[list[str]] = []
        self.ended = threading.Event()
        self._go_on = True
        self._watcher = Watcher(watched, engine, self._report)
        threading.Thread(target=self._run, daemon=True).start()

    def tells(self, *paths: str, after: Callable[[], object]) -> None:
        """Does `after` again and again until these are told: the engine may not have begun to listen."""
        before = len(self.told)

        def seen() -> bool:
            after()
            try:
                wait_until(lambda: len(self.told) > before, 1.0)
            except AssertionError:
                return False
            return True

        wait_until(seen, 20.0, f"that {paths} are told")
        assert {path for told in self.told[before:] for path in told} == set(paths)

    def _run(self) -> None:
        self._watcher.run()
        self.ended.set()

    def _report(self, paths: list[str]) -> bool:
        self.told.append(paths)
        return self._go_on


def test_engines_notice_every_kind_of_change(project: Path, engine: engines.Engine) -> None:
    path, absent = project / "one.py", project / "not/there.py"
    watched = files(project, "templates/**/*.html", further=(write(path), str(absent)))
    running = Running(watched, engine)
    size = iter(range(1, 1000))

    def replace() -> None:
        write(project / "swap", "x" * next(size))
        os.replace(project / "swap", path)

    def grow(path: Path) -> Callable[[], object]:
        return lambda: write(path, "x" * next(size))

    running.tells(str(path), after=grow(path))
    running.tells(str(path), after=replace)
    running.tells(str(absent), after=grow(absent))
    running.tells(str(project / "templates/a.html"), after=grow(project / "templates/a.html"))
    running.tells(str(project / "templates/deep/b.html"), after=grow(project / "templates/deep/b.html"))


def test_without_watches_of_the_system_it_polls(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("watchfiles")
    monkeypatch.setattr(engines, "INTERVAL", 0.05)
    engine = engines.choose("watchfiles")

    def refuse(*folders: str, **options: Any) -> Iterator[None]:
        raise OSError("OS file watch limit reached")
        yield

    monkeypatch.setattr(engine, "_watch", refuse)
    path = project / "one.py"
    running = Running(files(project, further=(write(path),)), engine)
    size = iter(range(1, 1000))
    running.tells(str(path), after=lambda: write(path, "x" * next(size)))


# In a worker


class Worker:
    """As much of a worker as the set-up of reloading looks at."""

    def __init__(self, reference: str, *, stands_in: bool = True, slot: int = 0) -> None:
        ours, self.arbiter = pair()
        self.pid = 1
        self.draining = False
        self.context = SimpleNamespace(channel=ours, slot=slot)
        self.settings = SimpleNamespace(
            reload_engine="poll", reload_extra_files=(), preload_app=False, config=None, wsgi_app=reference
        )
        self.lines: list[str] = []
        self.log = SimpleNamespace(debug=nothing_said, error=self._say, exception=self._say)
        self.error: ApplicationError | None = None
        self._stands_in = stands_in

    def boot(self) -> None:
        application.load(self.settings.wsgi_app)

    def stand_in(self, error: ApplicationError) -> bool:
        self.error = error
        return self._stands_in

    def _say(self, text: str, *values: object) -> None:
        self.lines.append(text % values)


def nothing_said(text: str, *values: object) -> None:
    pass


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "INTERVAL", 0.05)


GOOD = "def app(environ, start_response): pass\n"


@pytest.mark.usefixtures("quick")
def test_a_worker_tells_the_arbiter_of_changes_until_it_drains(project: Path) -> None:
    path = write(project / "develop_n.py", GOOD)
    worker = Worker("develop_n:app")
    reloading.prepare(worker.settings)(worker)  # type: ignore[arg-type]
    write(project / "develop_n.py", GOOD + "# longer\n", at=time.time())
    told: list[object] = []
    wait_until(lambda: told.extend(worker.arbiter.receive()) or told, what="that the change is told")
    assert told == [Changed((path,))]
    assert not worker.lines
    worker.draining = True
    write(project / "develop_n.py", GOOD)
    assert worker.arbiter.receive() == []


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("slot", [0, 1])
def test_a_worker_whose_application_fails_shows_it_and_waits_for_its_files(project: Path, slot: int) -> None:
    path = write(project / "develop_o.py", "raise RuntimeError('broken')\n")
    worker = Worker("develop_o:app", slot=slot)
    reloading.prepare(worker.settings)(worker)  # type: ignore[arg-type]
    assert worker.error
    if slot == 0:
        said = "\n".join(worker.lines)
        assert said.count("RuntimeError: broken\n") == 1
        assert "until its cause is mended" in said
    else:
        assert not worker.lines, "the worker of the first slot has said it"
    write(project / "develop_o.py", GOOD, at=time.time())
    told: list[object] = []
    wait_until(lambda: told.extend(worker.arbiter.receive()) or told, what="that the change is told")
    assert told == [Changed((path,))]


def test_a_worker_class_without_a_stand_in_fails_as_ever(project: Path) -> None:
    write(project / "develop_p.py", "raise RuntimeError('broken')\n")
    worker = Worker("develop_p:app", stands_in=False)
    with pytest.raises(ApplicationError):
        reloading.prepare(worker.settings)(worker)  # type: ignore[arg-type]
