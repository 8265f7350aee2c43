"""Plug-ins are imported only when asked for, and a missing one says what to install."""

import subprocess
import sys

import pytest

from unicorn_core import plugins
from unicorn_core.errors import PluginError


@pytest.mark.parametrize(
    ("group", "name", "message"),
    [
        (
            plugins.WORKERS,
            "gevent",
            "worker class 'gevent' is not installed: pip install 'unicorn-workers-gevent[gevent]'",
        ),
        (plugins.WORKERS, "asgi", "worker class 'asgi' is not installed: pip install unicorn-asgi"),
        (plugins.PROTOCOLS, "uwsgi", "protocol 'uwsgi' is not installed: pip install unicorn-uwsgi"),
    ],
)
def test_a_known_name_that_is_missing_names_its_distribution(
    group: str, name: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugins, "find", lambda group: {})
    with pytest.raises(PluginError) as caught:
        plugins.load(group, name)
    assert str(caught.value) == message


def test_an_unknown_name_lists_what_is_installed() -> None:
    with pytest.raises(PluginError, match=r"worker class 'nosuch' is not known; installed: .*sync"):
        plugins.load(plugins.WORKERS, "nosuch")


def test_looking_for_plugins_imports_none_of_them() -> None:
    program = (
        "import sys; from unicorn_core import plugins; assert 'sync' in plugins.find(plugins.WORKERS);"
        "sys.exit('unicorn_http' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=30, check=False).returncode == 0


def test_the_settings_of_a_package_do_not_import_its_workers() -> None:
    program = (
        "import sys; from unicorn_core.settings.registry import Registry; Registry.discover();"
        "sys.exit(any(name.startswith(('unicorn_http.workers', 'httptools', 'h11')) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=30, check=False).returncode == 0
