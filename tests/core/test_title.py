"""Process titles are set where the package for it is installed, and nothing is missed where it is not."""

import subprocess
import sys

import pytest

from unicorn_core.observe.title import set_title
from unicorn_core.settings.registry import Settings

SETTINGS = Settings({"proc_name": None, "wsgi_app": "app:app", "default_proc_name": "unicorn"}, {})


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_title_is_seen_from_outside() -> None:
    pytest.importorskip("setproctitle")
    script = (
        "from unicorn_core.observe.title import set_title\n"
        "from unicorn_core.settings.registry import Settings\n"
        "set_title('worker 3', Settings({'proc_name': 'shop'}, {}))\n"
        "print(flush=True)\n"
        "input()"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        with open(f"/proc/{process.pid}/cmdline") as file:
            title = file.read()
        process.communicate(b"\n", timeout=10)
    assert title.rstrip("\0") == "unicorn: worker 3 [shop]"


def test_without_the_package_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "setproctitle", None)
    set_title("master", SETTINGS)
