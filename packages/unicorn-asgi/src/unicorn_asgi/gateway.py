"""Calling the application for one request, and what becomes of its errors."""

import time
from asyncio import CancelledError
from collections.abc import Awaitable, Callable
from typing import Any

from unicorn_asgi.http import ClientDisconnectedError, HttpExchange, Message
from unicorn_asgi.scope import RootPathError, Scope, ScopeFactory
from unicorn_asgi.upgrades import WebSocketExchange
from unicorn_core.observe.access import Access
from unicorn_core.observe.logs import Logger, printable
from unicorn_http.semantics.request import ListRequest
from unicorn_http.semantics.request_line import split_target

Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
SWITCHED = "101 Switching Protocols"

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class AsgiGateway:
    """Serves requests with one application.

    Args:
        access: makes the line of the access log; None: there is none.
    """

    def __init__(
        self, application: Application, scopes: ScopeFactory, log: Logger, access: Callable[[Access], str] | None
    ) -> None:
        self.application = application
        self._scopes = scopes
        self._log = log
        self._access = access

    async def serve(self, exchange: HttpExchange, common: Scope) -> Scope | None:
        """Let the application answer one request, with this scope; None: there is none.

        Raises nothing: what the application does wrong costs this request alone. SystemExit too: it would come out of
        where the task was started, and take along whatever runs there.
        """
        scope: Scope | None = None
        given_up = False  # for its client has left
        try:
            scope = self._scopes.http(exchange.request, common)
            if self._access:
                self._watch(exchange, scope)
            if isinstance(exchange, WebSocketExchange):
                await exchange.run(self.application, scope)
            else:
                await self.application(scope, exchange.receive, exchange.send)
        except BaseException as error:
            given_up = isinstance(error, CancelledError) and exchange.hung_up
            self._failed(exchange, error)
        else:
            if not exchange.complete and not exchange.hung_up and not exchange.problem:
                what = "before its response was complete" if exchange.response else "without a response"
                self._log.error("%s: the application returned %s", name_of(exchange.request), what)
        if exchange.problem:
            self._log.error("%s: %s", name_of(exchange.request), exchange.problem)
        response = exchange.response
        if response is not None and response.dropped:
            left_out = ", ".join(response.dropped)
            self._log.debug("%s: left out of the response: %s", name_of(exchange.request), left_out)
        if not exchange.complete and not exchange.gone:
            if exchange.begun or exchange.cancelled or given_up or exchange.request.error is not None:
                exchange.cut()
            else:
                exchange.answer(500)
        if exchange.on_end is not None:
            exchange.on_end()
        return scope

    def _failed(self, exchange: HttpExchange, error: BaseException) -> None:
        name = name_of(exchange.request)
        if isinstance(error, CancelledError) and exchange.cancelled:
            self._log.warning("%s: cancelled, for the worker stops", name)
        elif isinstance(error, CancelledError) and exchange.hung_up:
            self._log.info("%s: cancelled, for its client has left", name)
        elif isinstance(error, ClientDisconnectedError):
            self._log.debug("%s: the client is gone", name)
        elif isinstance(error, RootPathError):
            self._log.error("%s: %s", name, error)
        else:
            self._log.exception("Error handling request %s", name)

    def _watch(self, exchange: HttpExchange, scope: Scope) -> None:
        """There shall be a line in the access log."""
        began = time.time()
        exchange.on_end = lambda: self._log_access(exchange, scope, began)

    def _log_access(self, exchange: HttpExchange, scope: Scope, began: float) -> None:
        assert self._access is not None
        exchange.on_end = None
        self._log.access(self._access(_access(exchange, scope, began)))


def name_of(request: ListRequest) -> str:
    """How the log calls a request."""
    return printable(f"{request.method} {request.target}")


def _access(exchange: HttpExchange, scope: dict[str, Any], began: float) -> Access:
    request = exchange.request
    path, _, query = split_target(request.target)[1].partition("?")
    fields: dict[str, str] = {}
    for name, value in ((n.decode("latin-1"), v.decode("latin-1")) for n, v in request.fields):
        fields[name] = f"{fields[name]},{value}" if name in fields else value
    return Access(
        client=scope["client"][0] if scope["client"] else "",
        user="",
        method=request.method,
        target=request.target,
        path=path,
        query=query,
        protocol=request.protocol,
        status=status_of(exchange),
        began=began,
        took=max(0.0, time.time() - began),
        sent=exchange.sent,
        request_fields=fields,
        response_fields=fields_of(exchange),
    )


def status_of(exchange: HttpExchange) -> str:
    """The status line's code and phrase; empty if there was no answer, because the client had gone."""
    if exchange.response is not None:
        status: str = exchange.response.status
        return status
    return SWITCHED if isinstance(exchange, WebSocketExchange) and exchange.complete else ""


def fields_of(exchange: HttpExchange) -> list[tuple[str, str]]:
    """The fields of the response as the application gave them; none if there was no answer."""
    fields = exchange.response.fields if exchange.response is not None else ()
    return [(bytes(name).decode("latin-1"), bytes(value).decode("latin-1")) for name, value in fields]
