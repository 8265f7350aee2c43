"""The hooks around each request, pre_request and post_request, and what stands for request and response in them."""

from collections.abc import Callable, Iterable
from typing import Any

from unicorn_core.hooks import Hooks
from unicorn_core.worker.base import Worker
from unicorn_http.semantics.refusal import error_body
from unicorn_http.semantics.request_line import split_target
from unicorn_http.wsgi.gateway import WsgiGateway
from unicorn_http.wsgi.reply import Reply
from unicorn_http.wsgi.request import RECEIVED, Environ, WsgiRequest, environ_key

Headers = list[tuple[str, str]]


class HookRequest:
    """The `req` of hooks: the same object before and after the request, so that a hook may keep something on it.

    Attributes:
        method, uri: of the request line as it came; `uri` is the whole request target.
        path, query: of the target, percent-encoded as they came.
        fragment: empty; a request target has none.
        version: (1, 1) or (1, 0).
        headers: (UPPER-CASE-NAME, value), in the order of their first coming; those of one name are joined. What
            pre_request changes here the application finds changed in environ.
        scheme: http or https, as the connection or a believed proxy says.
        remote_addr: (host, port) of the client, as the connection or a believed proxy says (port 0: not told); "" on
            a unix socket.
        peer_addr: the same of the connection, always.
    """

    fragment = ""

    def __init__(self, request: WsgiRequest) -> None:
        environ = request.environ
        self.method = request.method
        self.uri = request.target
        self.path, _, self.query = split_target(request.target)[1].partition("?")
        self.version = (1, 0) if request.protocol == "HTTP/1.0" else (1, 1)
        self.scheme = request.scheme
        self.remote_addr = _address(environ)
        self.peer_addr = _address(environ | dict(environ.get(RECEIVED, {})))
        self.headers: Headers = [
            (key.removeprefix("HTTP_").replace("_", "-"), value)
            for key, value in environ.items()
            if key.startswith(("HTTP_", "CONTENT_"))
        ]


class HookResponse:
    """The `resp` of hooks.

    Attributes:
        status: "200 OK"; empty if there was no answer, because the client had gone.
        status_code: 200; 0 if there was no answer.
        headers: as the application gave them, without what the server adds.
        sent: bytes of the body.
        headers_sent: the head has been handed over for sending.
        response_length: the Content-Length that the application declared; None without one.
    """

    def __init__(self, reply: Reply) -> None:
        response = reply.response
        self.status = response.status if response else ""
        self.status_code = response.code if response else 0
        self.headers: Headers = list(response.fields) if response else []
        self.sent = reply.sent
        self.headers_sent = reply.begun
        self.response_length = response.content_length if response else None


class HookedGateway:
    """Serves as another gateway does, with the hooks around each request."""

    def __init__(self, gateway: WsgiGateway, hooks: Hooks, worker: Worker) -> None:
        self._hooks = hooks
        self._worker = worker
        self._allowed = gateway
        self._prevented = gateway.calling(_internal_error)

    def serve(self, request: WsgiRequest) -> None:
        """See WsgiGateway. A request whose pre_request raised gets a 500 and never reaches the application."""
        req = HookRequest(request)
        gateway = self._allowed if self._before(req, request) else self._prevented
        reply = gateway.serve(request)
        self._hooks.call("post_request", self._worker, req, request.environ, HookResponse(reply))

    def _before(self, req: HookRequest, request: WsgiRequest) -> bool:
        """Call pre_request, and carry what it changed in the headers over to the request; False if it raised."""
        before = req.headers.copy()
        if not self._hooks.call("pre_request", self._worker, req):
            return False
        try:
            if req.headers != before:
                _take_over(before, req.headers, request)
        except (AttributeError, TypeError, ValueError):
            self._worker.log.error("Hook pre_request left headers that are no list of pairs of strings")
            return False
        return True


def with_hooks(gateway: WsgiGateway, worker: Worker) -> WsgiGateway | HookedGateway:
    """The gateway with the hooks of the worker's settings; the gateway itself, at no cost, if they have none."""
    hooks = Hooks(worker.settings, worker.log)
    return HookedGateway(gateway, hooks, worker) if hooks.has("pre_request", "post_request") else gateway


def _take_over(before: Headers, after: Headers, request: WsgiRequest) -> None:
    """Store those headers anew in environ that are not what they were."""
    changed = {environ_key(_lower(name)) for name, _ in set(before) ^ {(name, value) for name, value in after}}
    for key in changed:
        request.environ.pop(key, None)
    for name, value in after:
        if environ_key(_lower(name)) in changed:
            request.store(_lower(name), value.encode("latin-1"))


def _address(environ: Environ) -> tuple[str, int] | str:
    client = environ["REMOTE_ADDR"]
    return (client, int(environ.get("REMOTE_PORT") or 0)) if client else ""


def _lower(name: str) -> bytes:
    return name.lower().encode("latin-1")


def _internal_error(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The application of a request that a hook has prevented."""
    line, body = error_body(500)
    start_response(line, [("Content-Type", "text/plain; charset=utf-8")])
    return [body]
