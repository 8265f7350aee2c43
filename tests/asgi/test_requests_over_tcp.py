"""The worker class `asgi` makes of every request of the corpus what the WSGI workers make of it."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import over_tcp
import pytest
from request_corpus import MALFORMED, Seen

from unicorn_core import plugins
from unicorn_core.testing.plugins import importable
from unicorn_core.testing.server import ServerProcess

APP = """
import json, os

entered, served = [], []


async def app(scope, receive, send):
    assert scope["type"] == "http"
    if scope["path"] == "/report":
        answer = {"pid": os.getpid(), "entered": entered[:], "served": served[:]}
        entered.clear()
        served.clear()
    else:
        target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        entered.append(target.decode("latin-1"))
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            more = message["more_body"]
        served.append(target.decode("latin-1"))
        fields = {}
        for name, value in scope["headers"]:
            key = name.decode("latin-1").upper().replace("-", "_")
            key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else "HTTP_" + key
            between = "; " if key == "HTTP_COOKIE" else ","
            fields[key] = (fields[key] + between if key in fields else "") + value.decode("latin-1")
        answer = {
            "REQUEST_METHOD": scope["method"],
            "RAW_URI": target.decode("latin-1"),
            "SERVER_PROTOCOL": "HTTP/" + scope["http_version"],
            "wsgi.url_scheme": scope["scheme"],
            "body": body.decode("latin-1"),
            "fields": fields,
        }
    data = json.dumps(answer).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(data))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": data})
"""

PARSERS = importable(plugins.HTTP_PARSERS)


@pytest.fixture(scope="module")
def server_for(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., ServerProcess]]:
    """Servers with one worker, by parser and settings; all tests of this module share them."""
    folder = tmp_path_factory.mktemp("app")
    (folder / "app.py").write_text(APP)
    yield from over_tcp.servers(folder, "-k", "asgi")


def as_asgi_shows(seen: Seen) -> Seen:
    """A scope has no more of the target than path and query, and the authority of a target in the place of Host."""
    target, table = seen.target, dict(seen.table)
    scheme, mark, rest = target.partition(b"://")
    if mark and scheme.isalpha():
        authority, slash, path = rest.partition(b"/")
        target = b"/" + path if slash else b"/" + authority[len(authority.partition(b"?")[0]) :]
        table[b"host"] = authority.partition(b"?")[0]
    return replace(seen, target=target.removesuffix(b"?"), table=table)


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("case", MALFORMED, ids=lambda case: case.name)
def test_a_malformed_request_costs_nothing_but_its_connection(server_for, parser, case):
    over_tcp.costs_nothing_but_its_connection(server_for(parser, case.settings), case)


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("case", over_tcp.PLAIN, ids=lambda case: case.name)
def test_a_valid_request_is_served_as_it_is(server_for, parser, case):
    shown = replace(case, seen=tuple(map(as_asgi_shows, case.seen)))
    over_tcp.is_served_as_it_is(server_for(parser, case.settings), shown)
