"""A reference finds its application, or the error says what was looked for and where."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from unicorn_core.application import load
from unicorn_core.errors import ApplicationError, ExitCode, NotAnApplicationError

SOURCE = """
def app(environ, start_response): ...
application = app
number = 5
class Holder:
    inner = app
def factory(kind, debug=False):
    def made(environ, start_response): ...
    made.kind, made.debug = kind, debug
    return made
def broken_factory():
    raise RuntimeError("no database")
def leaver():
    raise SystemExit(7)
"""


@pytest.fixture(autouse=True)
def _modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sample.py").write_text(SOURCE)
    (tmp_path / "only_app.py").write_text("def app(e, s): ...\n")
    (tmp_path / "neither.py").write_text("x = 1\n")
    (tmp_path / "broken.py").write_text("import no_such_dependency\n")
    (tmp_path / "wrong.py").write_text("def app(:\n")
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_module_and_attribute() -> None:
    assert load("sample:app") is sys.modules["sample"].app


def test_module_alone_means_application_and_else_app() -> None:
    assert load("sample") is sys.modules["sample"].application
    assert load("only_app") is sys.modules["only_app"].app


def test_a_dotted_attribute() -> None:
    assert load("sample:Holder.inner") is sys.modules["sample"].app


def test_a_factory_takes_literals() -> None:
    made = load("sample:factory('prod', debug=True)")
    assert (made.kind, made.debug) == ("prod", True)


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("neither", "neither:NAME"),
        ("sample:nosuch", "no attribute 'nosuch'"),
        ("sample:number", "of type 'int'"),
        ("sample:number()", "no factory"),
        ("sample:app(", "cannot read"),
        ("sample:1 + 1", "cannot read"),
        ("sample:factory(os)", "literals"),
        ("sample:", "cannot read"),
    ],
)
def test_what_is_no_application_ends_with_4(reference: str, words: str) -> None:
    with pytest.raises(NotAnApplicationError, match=r".") as caught:
        load(reference)
    assert words in str(caught.value)
    assert caught.value.exit_code == ExitCode.NO_APPLICATION


@pytest.mark.parametrize(
    ("reference", "words", "traceback"),
    [
        ("nosuch:app", "there is no module 'nosuch'", ""),
        ("sample.py", "did you mean sample:app?", ""),
        ("broken:app", "no_such_dependency", "import no_such_dependency"),
        ("wrong:app", "SyntaxError", "def app(:"),
        ("sample:broken_factory()", "no database", "broken_factory"),
        ("sample:leaver()", "SystemExit", "leaver"),
    ],
)
def test_what_fails_to_boot_ends_with_3_and_shows_the_users_frames(reference: str, words: str, traceback: str) -> None:
    with pytest.raises(ApplicationError, match=r".") as caught:
        load(reference)
    assert words in str(caught.value)
    assert caught.value.exit_code == ExitCode.NOT_BOOTED
    assert traceback in caught.value.details
    assert "importlib" not in caught.value.details


def test_the_message_says_where_was_looked(tmp_path: Path) -> None:
    with pytest.raises(ApplicationError, match=str(tmp_path)):
        load("nosuch:app")
