"""What answers in place of an application that could not be loaded (setting reload)."""

import ipaddress
from collections.abc import Callable, Iterable
from typing import Any

from unicorn_core.errors import ApplicationError
from unicorn_http.wsgi.request import Environ

FOR_OTHERS = "The application could not be loaded; the server's log tells why."


class FailedApplication:
    """Answers every request with the error, and shows its details to clients on this machine alone.

    They hold source code and whatever the message of an exception gives away. A client is taken to be on this machine
    if its connection is, and if no field of the request tells of a proxy, behind which it might be anywhere.
    """

    def __init__(self, error: ApplicationError) -> None:
        # As text: the error itself would keep alive all that the failed import had made.
        self._details = "\n\n".join(part.strip() for part in (error.details, str(error)) if part)

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        told = self._details if is_local(environ) else FOR_OTHERS
        fields = [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
        ]
        start_response("500 Internal Server Error", fields)
        return [told.encode("utf-8", "backslashreplace") + b"\n"]


def is_local(environ: Environ) -> bool:
    """Whether the client is on this machine, as far as can be told; in doubt it is not."""
    # None of these fields is believed: that there is one is enough.
    if any(map(_tells_of_a_proxy, environ)):
        return False
    address = environ.get("REMOTE_ADDR")
    if address == "":
        return True  # a unix socket
    try:
        parsed = ipaddress.ip_address(str(address).partition("%")[0])
    except ValueError:
        return False
    return (getattr(parsed, "ipv4_mapped", None) or parsed).is_loopback


def _tells_of_a_proxy(key: str) -> bool:
    """Forwarded, Via, X-Forwarded-*, X-Real-IP, True-Client-IP, CF-Connecting-IP and their like; the PROXY protocol."""
    if key == "PROXY_PROTOCOL":
        return True
    return key.startswith("HTTP_") and ("FORWARDED" in key or key.endswith("_IP") or key == "HTTP_VIA")
