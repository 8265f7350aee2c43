"""The hooks around each request, pre_request and post_request, and what stands for request and response in them."""

from collections.abc import Callable

from unicorn_asgi.gateway import Application, AsgiGateway, fields_of, status_of
from unicorn_asgi.http import HttpExchange
from unicorn_asgi.scope import Scope, ScopeFactory
from unicorn_core.hooks import Hooks
from unicorn_core.observe.access import Access
from unicorn_core.worker.base import Worker
from unicorn_http.semantics.request import ListRequest
from unicorn_http.semantics.request_line import split_target

Headers = list[tuple[str, str]]


class HookRequest:
    """The `req` of hooks, with the attributes that unicorn_http.wsgi.hooks.HookRequest has.

    Attributes:
        headers: (UPPER-CASE-NAME, value), each field as it came. What pre_request changes here the application finds
            changed in its scope.
    """

    fragment = ""

    def __init__(self, request: ListRequest, common: Scope) -> None:
        self.method = request.method
        self.uri = request.target
        self.path, _, self.query = split_target(request.target)[1].partition("?")
        self.version = (1, 0) if request.protocol == "HTTP/1.0" else (1, 1)
        self.scheme = request.scheme
        self.peer_addr: tuple[str, int] | str = common["client"] or ""
        said = request.proxied
        self.remote_addr = (said.client, said.client_port) if said is not None and said.client else self.peer_addr
        self.headers: Headers = [
            (name.decode("latin-1").upper(), value.decode("latin-1")) for name, value in request.fields
        ]


class HookResponse:
    """The `resp` of hooks, with the attributes that unicorn_http.wsgi.hooks.HookResponse has."""

    def __init__(self, exchange: HttpExchange) -> None:
        response = exchange.response
        self.status = status_of(exchange)
        self.status_code = int(self.status[:3] or 0)
        self.headers: Headers = fields_of(exchange)
        self.sent = exchange.sent
        self.headers_sent = exchange.begun
        self.response_length = response.content_length if response else None


class HookedGateway(AsgiGateway):
    """Serves with the hooks around each request."""

    def __init__(
        self,
        application: Application,
        scopes: ScopeFactory,
        access: Callable[[Access], str] | None,
        hooks: Hooks,
        worker: Worker,
    ) -> None:
        super().__init__(application, scopes, worker.log, access)
        self._hooks = hooks
        self._worker = worker

    async def serve(self, exchange: HttpExchange, common: Scope) -> Scope | None:
        """See AsgiGateway. A request whose pre_request raised gets a 500 and never reaches the application."""
        request = exchange.request
        req = HookRequest(request, common)
        before = req.headers.copy()
        scope: Scope | None = None
        if self._hooks.call("pre_request", self._worker, req) and self._carry_over(before, req.headers, request):
            scope = await super().serve(exchange, common)
        else:
            if self._access:
                self._watch(exchange, common)
            exchange.answer(500)
        self._hooks.call("post_request", self._worker, req, scope or {}, HookResponse(exchange))
        return scope

    def _carry_over(self, before: Headers, after: Headers, request: ListRequest) -> bool:
        """Let the application find what pre_request changed in the headers; False if that is no list of pairs."""
        try:
            if after != before:
                request.fields = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in after]
        except (AttributeError, TypeError, ValueError):
            self._worker.log.error("Hook pre_request left headers that are no list of pairs of strings")
            return False
        return True
