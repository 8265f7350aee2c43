"""The real server answers every malformed request with its status, closes, and goes on serving.

The application never sees one, nothing that follows it on its connection is served, and the worker survives all of
them. The valid ones reach the application as they are.
"""

from collections.abc import Callable, Iterator
from itertools import cycle

import over_tcp
import pytest
from request_corpus import MALFORMED

from unicorn_core import plugins
from unicorn_core.testing.plugins import importable
from unicorn_core.testing.server import ServerProcess

APP = """
import json, os

entered, served = [], []


def app(environ, start_response):
    if environ["PATH_INFO"] == "/report":
        answer = {"pid": os.getpid(), "entered": entered[:], "served": served[:]}
        entered.clear()
        served.clear()
    else:
        entered.append(environ["RAW_URI"])
        body = environ["wsgi.input"].read()
        served.append(environ["RAW_URI"])
        names = ("REQUEST_METHOD", "RAW_URI", "SERVER_PROTOCOL", "wsgi.url_scheme")
        answer = {name: environ[name] for name in names} | {"body": body.decode("latin-1")}
        answer["fields"] = {key: value for key, value in environ.items() if key.startswith(("HTTP_", "CONTENT_"))}
    data = json.dumps(answer).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
    return [data]
"""

PARSERS = importable(plugins.HTTP_PARSERS)

each_parser = pytest.mark.parametrize("parser", PARSERS)


def by_turns(cases):
    """Each case once, with one parser after the other: parsers and worker classes know nothing of each other."""
    turns = zip(cases, cycle(PARSERS), strict=False)
    return pytest.mark.parametrize(("case", "parser"), [pytest.param(*turn, id=turn[0].name) for turn in turns])


@pytest.fixture(scope="module")
def server_for(worker_class, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., ServerProcess]]:
    """Servers with one worker, by parser and settings; all tests of this module share them."""
    folder = tmp_path_factory.mktemp("app")
    (folder / "app.py").write_text(APP)
    yield from over_tcp.servers(folder, *worker_class.arguments)


@each_parser
@pytest.mark.parametrize("case", MALFORMED, ids=lambda case: case.name)
def test_a_malformed_request_costs_nothing_but_its_connection(server_for, parser, case):
    over_tcp.costs_nothing_but_its_connection(server_for(parser, case.settings), case)


@pytest.mark.other_worker_classes
@by_turns(MALFORMED)
def test_a_malformed_request_costs_nothing_but_its_connection_there_too(server_for, parser, case):
    over_tcp.costs_nothing_but_its_connection(server_for(parser, case.settings), case)


@each_parser
@pytest.mark.parametrize("case", over_tcp.PLAIN, ids=lambda case: case.name)
def test_a_valid_request_is_served_as_it_is(server_for, parser, case):
    over_tcp.is_served_as_it_is(server_for(parser, case.settings), case)


@pytest.mark.other_worker_classes
@by_turns(over_tcp.PLAIN)
def test_a_valid_request_is_served_as_it_is_there_too(server_for, parser, case):
    over_tcp.is_served_as_it_is(server_for(parser, case.settings), case)
