"""Calling the application for one request, and what becomes of its errors."""

import contextlib
import io
import time
from collections.abc import Callable, Iterable
from typing import Any

from unicorn_core.observe.access import Access
from unicorn_core.observe.limiter import RateLimiter
from unicorn_core.observe.logs import Logger, printable
from unicorn_http.semantics.refusal import error_body
from unicorn_http.semantics.request_line import split_target
from unicorn_http.wsgi.body import BodyError, streaming
from unicorn_http.wsgi.environ import EnvironFactory, ScriptNameError
from unicorn_http.wsgi.reply import ClientGoneError, Reply
from unicorn_http.wsgi.request import Environ, WsgiRequest
from unicorn_http.wsgi.takeover import TakenOverError

RETRY_AFTER = "1"
"""Seconds after which a client may come again that was turned away (RFC 9110 section 10.2.3)."""

Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class WsgiGateway:
    """Serves requests with one application.

    Args:
        access: makes the line of the access log; None: there is none.
        sendfile: files may be sent by sendfile().
    """

    def __init__(
        self,
        application: Application,
        environs: EnvironFactory,
        log: Logger,
        access: Callable[[Access], str] | None,
        sendfile: bool,
    ) -> None:
        self._application = application
        self._environs = environs
        self._log = log
        self._access = access
        self._sendfile = sendfile
        self._refusals = RateLimiter(log.warning)

    def calling(self, application: Application) -> "WsgiGateway":
        """The same for another application."""
        return WsgiGateway(application, self._environs, self._log, self._access, self._sendfile)

    def serve(self, request: WsgiRequest) -> Reply:
        """Answer one request. Raises nothing: every failure has its answer, or ends the connection."""
        began = time.time() if self._access else 0.0
        reply = Reply(request)
        environ = request.environ
        try:
            self._environs.complete(request)
            environ["wsgi.early_hints"] = reply.early_hints
            environ["wsgi.input"] = io.BytesIO(b"".join(request.pieces)) if request.complete else streaming(request)
            result = self._application(environ, reply.start_response)
            try:
                reply.send_result(result, self._sendfile)
            finally:
                close = getattr(result, "close", None)
                if close is not None:
                    close()
        except BaseException as error:
            self._failed(request, reply, error)
        # Else reply, request and environ would hold each other until the garbage collector comes.
        environ["wsgi.early_hints"] = None
        if reply.problem:
            self._log.error("%s: %s", _name(request), reply.problem)
        if reply.response and reply.response.dropped:
            self._log.debug("%s: left out of the response: %s", _name(request), ", ".join(reply.response.dropped))
        if not reply.complete:
            request.outlet.cut()
        if self._access:
            self._log.access(self._access(_access(request, reply, began)))
        return reply

    def _failed(self, request: WsgiRequest, reply: Reply, error: BaseException) -> None:
        """An exception came out of the application or of sending. It costs this request, nothing else."""
        status = 500
        if isinstance(error, ClientGoneError):
            self._log.debug("%s: the client is gone", _name(request))
            return
        if isinstance(error, TakenOverError) or (isinstance(error, StopIteration) and not reply.begun):
            self._log.debug("%s: the application ends the connection", _name(request))
            reply.complete = True
            request.outlet.hang_up()
            return
        if isinstance(error, BodyError):
            client = request.environ.get("REMOTE_ADDR") or "a unix socket"
            log = self._refusals if error.status else self._log.info
            log("%s from %s: reading the body: %s", _name(request), client, error)
            status = error.status
        elif isinstance(error, ScriptNameError):
            self._log.error("%s: %s", _name(request), error)
        else:
            self._log.exception("Error handling request %s", _name(request))
        if not reply.begun and status:
            with contextlib.suppress(ClientGoneError, TakenOverError):
                answer(reply, status)


def answer(reply: Reply, status: int, text: str = "") -> None:
    """An answer by the server itself, in place of whatever the application had begun."""
    line, body = error_body(status, text)
    fields = [("Content-Type", "text/plain; charset=utf-8")]
    if status == 503:
        fields.append(("Retry-After", RETRY_AFTER))
    reply.response = None
    reply.start_response(line, fields)
    reply.send_result([body], sendfile=False)


def _name(request: WsgiRequest) -> str:
    return printable(f"{request.method} {request.target}")


def _access(request: WsgiRequest, reply: Reply, began: float) -> Access:
    target = request.target
    path, _, query = split_target(target)[1].partition("?")
    environ = request.environ
    response = reply.response
    return Access(
        client=environ.get("REMOTE_ADDR", ""),
        user=environ.get("REMOTE_USER", ""),
        method=request.method,
        target=target,
        path=path,
        query=query,
        protocol=request.protocol,
        status=response.status if response else "",
        began=began,
        took=max(0.0, time.time() - began),
        sent=reply.sent,
        request_fields={
            key.removeprefix("HTTP_").replace("_", "-").lower(): value
            for key, value in environ.items()
            if key.startswith(("HTTP_", "CONTENT_"))
        },
        response_fields=response.fields if response else (),
        environ=environ,
    )
