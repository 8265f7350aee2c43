"""What is no ASGI 3 application is refused before it is called, and the message says what it is."""

from functools import partial

import pytest

from unicorn_asgi.applications import check
from unicorn_core.errors import NotAnApplicationError
from unicorn_core.worker.fitting import is_asynchronous


async def function(scope, receive, send):
    """ASGI 3."""


def wrapper(scope, receive, send):
    return function(scope, receive, send)


async def configured(settings, scope, receive, send):
    """ASGI 3 once the settings are given."""


async def lenient(*args, **kwargs):
    """ASGI 3."""


class Instance:
    async def __call__(self, scope, receive, send):
        """ASGI 3."""


class Awaitable:
    def __init__(self, scope, receive, send): ...

    def __await__(self): ...


def wsgi(environ, start_response): ...


class WsgiInstance:
    def __call__(self, environ, start_response): ...


def double(scope): ...


class Double:
    def __init__(self, scope): ...

    async def __call__(self, receive, send): ...


async def nothing(): ...


@pytest.mark.parametrize("application", [function, wrapper, partial(configured, {}), lenient, Instance(), Awaitable])
def test_every_form_of_asgi_3_is_taken(application):
    check(application, "app:app")


@pytest.mark.parametrize(
    ("application", "told"),
    [
        (wsgi, "WSGI"),
        (WsgiInstance(), "WSGI"),
        (double, "ASGI 2"),
        (Double, "ASGI 2"),
        (Instance, "did you mean an instance"),
        (nothing, "must take scope, receive and send"),
        (configured, "must take scope, receive and send"),
    ],
)
def test_what_is_something_else_is_told(application, told):
    with pytest.raises(NotAnApplicationError, match=f"'app:app'.*{told}"):
        check(application, "app:app")


@pytest.mark.parametrize("application", [function, partial(configured, {}), Instance(), lenient])
def test_a_coroutine_function_is_asynchronous(application):
    assert is_asynchronous(application)


@pytest.mark.parametrize("application", [wrapper, wsgi, WsgiInstance(), double, Double, Instance])
def test_what_only_might_be_is_not(application):
    assert not is_asynchronous(application)
