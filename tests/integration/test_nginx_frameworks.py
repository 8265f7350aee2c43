"""Flask and Django applications behind a real nginx that speaks the uwsgi protocol: what test_frameworks.py asks of
them holds there, too."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from unicorn_core.testing.server import ServerProcess

from .support.nginx import needs_nginx, passing
from .test_frameworks import (  # noqa: F401
    UPLOAD,
    photo,
    test_answers_404_for_an_unknown_path,
    test_answers_500_and_logs_the_traceback,
    test_answers_head_without_a_body,
    test_carries_cookies,
    test_carries_redirects_and_empty_answers,
    test_exchanges_json,
    test_passes_the_query_on,
    test_reads_a_form,
    test_routes_and_decodes_paths,
    test_sends_a_file_byte_for_byte,
    test_streams_a_response,
    test_takes_a_large_upload,
    test_takes_a_multipart_upload,
)

pytestmark = needs_nginx


@pytest.fixture(
    params=[("flask_app:app", "unix"), ("django_app", "tcp")], scope="module", ids=["flask-unix", "django-tcp"]
)
def server(
    request: pytest.FixtureRequest,
    photo: Path,  # noqa: F811
    shared_server: Callable[..., ServerProcess],
    tmp_path_factory: pytest.TempPathFactory,
) -> ServerProcess:
    application, listener = request.param
    unix = tmp_path_factory.mktemp("socket") / "s" if listener == "unix" else None
    return shared_server(application, "--protocol", "uwsgi", "--env", f"PHOTO={photo}", unix=unix)


@pytest.fixture(scope="module")
def nginx(server, tmp_path_factory):
    with passing(server, tmp_path_factory.mktemp("nginx")) as running:
        yield running


@pytest.fixture
def client(server, nginx, shows_output) -> Iterator[httpx.Client]:
    shows_output(server)
    with httpx.Client(base_url=f"http://localhost:{nginx.port}", trust_env=False, timeout=20) as client:
        yield client


def test_takes_a_large_chunked_upload(client):
    """nginx collects it and tells its length, so that Django reads it as well."""
    answer = client.post("/upload", content=(UPLOAD[at : at + 100_000] for at in range(0, len(UPLOAD), 100_000)))
    assert answer.json() == {"size": len(UPLOAD), "sha256": hashlib.sha256(UPLOAD).hexdigest()}
