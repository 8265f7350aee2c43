"""The Date and Server fields of responses, made anew once a second."""

import time
from email.utils import formatdate


class ServerFields:
    """Gives the field lines as bytes."""

    def __init__(self, server: str | None) -> None:
        self._server = f"Server: {server}\r\n".encode("latin-1") if server else b""
        self._lines = b""
        self._until = 0.0

    def __call__(self) -> bytes:
        now = time.time()
        if now >= self._until or now < self._until - 1.0:
            second = int(now)
            self._until = second + 1.0
            self._lines = b"%bDate: %b\r\n" % (self._server, formatdate(second, usegmt=True).encode("ascii"))
        return self._lines
