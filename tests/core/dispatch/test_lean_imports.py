"""Who does not need asyncio does not load it: the arbiter of a server with a dispatcher, and blocking clients."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "modules",
    [
        "unicorn_core.arbiter.arbiter, unicorn_core.dispatch.endpoint, unicorn_core.dispatch.dispatcher.process",
        "unicorn_core.dispatch.client.client, unicorn_core.dispatch.client.local, unicorn_core.dispatch.stash",
        "unicorn_core.dispatch.dirty",
    ],
)
def test_asyncio_is_not_loaded(modules: str) -> None:
    code = f"import sys, {modules}; print([name for name in ('asyncio', 'concurrent.futures') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.stdout == "[]\n", done.stderr
