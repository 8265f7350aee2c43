"""The parser h1c runs where its package is installed and has proven itself, and says what is missing elsewhere.

That it sees what the others see is tested with them: test_codec_conformance.py and test_codec_differential.py.
"""

import importlib
import sys
from types import ModuleType

import pytest
from codec_driver import CODECS, make_settings, record

from unicorn_core.errors import PluginError
from unicorn_http.h1 import builtin_fields
from unicorn_http.h1.protocol import load_parser

MODULE = "unicorn_http.h1.h1c_fields"


@pytest.fixture
def installed(monkeypatch):
    """Puts a package in the place of gunicorn_h1c; None: there is none."""

    def install(package: ModuleType | None) -> None:
        monkeypatch.setitem(sys.modules, "gunicorn_h1c", package)
        monkeypatch.delitem(sys.modules, MODULE, raising=False)

    return install


def lax_package() -> ModuleType:
    """One that takes bare LF, as releases before 0.6.10 do."""
    package = ModuleType("gunicorn_h1c")
    package.__version__ = "0.6.9"
    package.IncompleteError = type("IncompleteError", (Exception,), {})
    package.parse_headers = lambda block: [tuple(line.split(b": ")) for line in block.split(b"\n")]
    return package


def test_a_missing_package_is_named_with_what_to_install(installed):
    installed(None)
    with pytest.raises(PluginError, match=r"HTTP parser 'h1c' is not installed .*: pip install 'unicorn-http\[h1c\]'"):
        importlib.import_module(MODULE)


def test_a_package_that_takes_malformed_fields_is_refused(installed):
    installed(lax_package())
    with pytest.raises(
        PluginError, match=r"gunicorn_h1c 0\.6\.9 takes malformed .*: pip install 'unicorn-http\[h1c\]'"
    ):
        importlib.import_module(MODULE)


@pytest.mark.parametrize("package", [None, lax_package()], ids=["missing", "lax"])
def test_auto_does_without_it(installed, package):
    installed(package)
    assert load_parser("auto") is builtin_fields.split_fields


def test_auto_and_fast_take_it_where_it_is_installed():
    pytest.importorskip("gunicorn_h1c")
    assert make_settings(http_parser="fast").http_parser == "auto"
    assert load_parser("auto") is importlib.import_module(MODULE).split_fields


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
@pytest.mark.parametrize("count", [256, 257, 400])
def test_as_many_fields_are_served_as_are_allowed(codec, count):
    fields = b"".join(b"X-%d: %d\r\n" % (i, i) for i in range(1, count))
    calls = record(codec.protocol(limit_request_fields=400), [b"GET / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n"])
    assert [call[0] for call in calls] == ["request", "end"]
    assert len(calls[0][1]["fields"]) == count
