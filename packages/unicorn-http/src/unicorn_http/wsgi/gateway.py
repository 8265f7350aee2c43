"""Calling the application for one request, and what becomes of its errors."""

import io
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from unicorn_core.observe.access import Access
from unicorn_core.observe.logs import Logger, printable
from unicorn_http.semantics.head import RequestHead
from unicorn_http.semantics.refusal import error_body
from unicorn_http.wsgi.body import BodyError, BodySource, streaming
from unicorn_http.wsgi.environ import Environ, EnvironFactory, ScriptNameError
from unicorn_http.wsgi.reply import Answerable, ClientGoneError, Reply

Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class Exchange(Answerable, BodySource, Protocol):
    """One request with its connection, as the gateway needs it."""

    @property
    def head(self) -> RequestHead: ...

    @property
    def client(self) -> str:
        """Its address; empty on a unix socket."""
        ...

    def whole_body(self) -> bytes | None:
        """The body, if it has come completely."""
        ...


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

    def serve(self, exchange: Exchange) -> None:
        """Answer one request. Raises nothing: every failure has its answer, or ends the connection."""
        began = time.time() if self._access else 0.0
        reply = Reply(exchange)
        environ: Environ = {}
        try:
            environ = self._environs.for_request(exchange.head)
            body = exchange.whole_body()
            environ["wsgi.input"] = streaming(exchange) if body is None else io.BytesIO(body)
            result = self._application(environ, reply.start_response)
            try:
                reply.send_result(result, self._sendfile)
            finally:
                close = getattr(result, "close", None)
                if close is not None:
                    close()
        except BaseException as error:
            self._failed(exchange, reply, error)
        if reply.problem:
            self._log.error("%s: %s", _name(exchange.head), reply.problem)
        if reply.response and reply.response.dropped:
            self._log.debug("%s: left out of the response: %s", _name(exchange.head), ", ".join(reply.response.dropped))
        if not reply.complete:
            exchange.outlet.cut()
        if self._access:
            self._log.access(self._access(_access(exchange, environ, reply, began)))

    def _failed(self, exchange: Exchange, reply: Reply, error: BaseException) -> None:
        """An exception came out of the application or of sending. It costs this request, nothing else."""
        head = exchange.head
        status = 500
        if isinstance(error, ClientGoneError):
            self._log.debug("%s: the client is gone", _name(head))
            return
        if isinstance(error, BodyError):
            self._log.info("%s: reading the body: %s", _name(head), error)
            status = error.status
        elif isinstance(error, ScriptNameError):
            self._log.error("%s: %s", _name(head), error)
        else:
            self._log.exception("Error handling request %s", _name(head))
        if not reply.begun and status:
            try:
                answer(reply, status)
            except ClientGoneError:
                return


def answer(reply: Reply, status: int, text: str = "") -> None:
    """An answer by the server itself, in place of whatever the application had begun."""
    line, body = error_body(status, text)
    reply.response = None
    reply.start_response(line, [("Content-Type", "text/plain; charset=utf-8")])
    reply.send_result([body], sendfile=False)


def _name(head: RequestHead) -> str:
    return printable(f"{head.method} {head.target.decode('latin-1')}")


def _access(exchange: Exchange, environ: Environ, reply: Reply, began: float) -> Access:
    head = exchange.head
    path, _, query = head.target.decode("latin-1").partition("?")
    return Access(
        client=exchange.client,
        user=environ.get("REMOTE_USER", ""),
        method=head.method,
        target=head.target.decode("latin-1"),
        path=path,
        query=query,
        protocol=head.protocol,
        status=reply.status,
        began=began,
        took=max(0.0, time.time() - began),
        sent=reply.sent,
        request_fields={
            key.removeprefix("HTTP_").replace("_", "-").lower(): value
            for key, value in environ.items()
            if key.startswith(("HTTP_", "CONTENT_"))
        },
        response_fields=reply.fields,
        environ=environ,
    )
