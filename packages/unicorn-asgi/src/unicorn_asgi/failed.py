"""What answers in place of an application that could not be loaded (setting reload)."""

from unicorn_asgi.gateway import Receive, Send
from unicorn_asgi.scope import Scope
from unicorn_core.errors import ApplicationError
from unicorn_http.wsgi.failed import FOR_OTHERS, is_local
from unicorn_http.wsgi.request import environ_key


class FailedApplication:
    """Answers every request with the error; see unicorn_http.wsgi.failed."""

    def __init__(self, error: ApplicationError) -> None:
        self._details = "\n\n".join(part.strip() for part in (error.details, str(error)) if part)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        environ: Scope = {environ_key(name): value for name, value in scope["headers"]}
        environ["REMOTE_ADDR"] = scope["client"][0] if scope["client"] else ""
        told = self._details if is_local(environ) else FOR_OTHERS
        body = told.encode("utf-8", "backslashreplace") + b"\n"
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
        ]
        prefix = "websocket." if scope["type"] == "websocket" else ""
        await send({"type": f"{prefix}http.response.start", "status": 500, "headers": headers})
        await send({"type": f"{prefix}http.response.body", "body": body})
