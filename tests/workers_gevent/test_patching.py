"""The standard library is patched in time, and what was imported before that is named."""

import socket
import subprocess
import sys
import textwrap
import time
from types import ModuleType, SimpleNamespace

import pytest

from unicorn_core.errors import PluginError, UnicornError
from unicorn_workers_gevent import patching

SETTINGS = SimpleNamespace(certfile=None, keyfile=None)


def module(name: str, **values: object) -> ModuleType:
    made = ModuleType(name)
    vars(made).update(values)
    return made


@pytest.fixture
def library(monkeypatch):
    """One that replaces two functions for the time of the test."""

    def patch() -> None:
        monkeypatch.setattr(time, "sleep", lambda seconds: None)
        monkeypatch.setattr(socket, "create_connection", lambda address: None)
        monkeypatch.setattr(socket, "has_ipv6", "changed")

    return SimpleNamespace(patch=patch, make=None)


@pytest.fixture
def imported(monkeypatch):
    """Let the process have imported these modules, and of the standard library a few."""

    def imported(modules: dict[str, ModuleType]) -> None:
        seen = {"time": time, "socket": socket} | modules
        names = SimpleNamespace(modules=seen, stdlib_module_names=sys.stdlib_module_names)
        monkeypatch.setattr(patching, "sys", names)

    return imported


def test_modules_that_have_taken_what_is_patched_are_named(library, imported, caplog):
    early = {
        "shop": module("shop", wait=time.sleep, connect=socket.create_connection),
        "shop.stock": module("shop.stock", sleep=time.sleep, socket=socket),
        "fine": module("fine", time=time, monotonic=time.monotonic, debug=socket.has_ipv6),
        "unicorn_core.testing": module("unicorn_core.testing", sleep=time.sleep),
        "gevent.core": module("gevent.core", sleep=time.sleep),
        "asyncio.events": module("asyncio.events", sleep=time.sleep),
    }
    imported(early)
    patching.prepare("gevent", lambda: library, SETTINGS)
    (record,) = caplog.records
    text = record.getMessage()
    assert "Imported before the worker class gevent could patch the standard library" in text
    assert ": shop (socket.create_connection, time.sleep), shop.stock (time.sleep); import it in the app" in text


def test_nothing_is_said_where_nothing_was_imported_early(library, imported, caplog):
    imported({})
    patching.prepare("gevent", lambda: library, SETTINGS)
    assert not caplog.records


def test_a_library_that_does_not_run_on_this_python_is_one_clear_line():
    def load():
        raise AttributeError("module 'asyncio' has no attribute 'old'")

    with pytest.raises(UnicornError, match=r"worker class 'eventlet': the installed eventlet cannot be imported on "
                       r"Python 3\.\d+\.\d+: AttributeError: module 'asyncio' has no"):  # fmt: skip
        patching.prepare("eventlet", load, SETTINGS)


def test_a_library_that_is_not_installed_is_named_with_what_to_install(monkeypatch):
    monkeypatch.setattr(patching.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PluginError) as raised:
        patching.check_installed("gevent")
    assert str(raised.value) == (
        "worker class 'gevent' needs gevent, which is not installed: pip install 'unicorn-workers-gevent[gevent]'"
    )


def test_the_worker_classes_are_imported_without_their_libraries():
    script = """
        import sys
        import unicorn_workers_gevent.classes
        print([name for name in ("gevent", "eventlet", "greenlet", "ssl") if name in sys.modules])
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=50)
    assert (done.stdout, done.stderr) == ("[]\n", "")
