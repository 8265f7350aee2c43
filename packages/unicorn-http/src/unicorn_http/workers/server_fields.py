"""The Date and Server fields of responses, made anew once a second."""

import time
from email.utils import formatdate


class ServerFields:
    """A unicorn_http.codec.ServerLines; the worker calls `refresh` in every turn."""

    def __init__(self, server: str | None) -> None:
        self._server = f"Server: {server}\r\n" if server else ""
        self._until = 0.0
        self.refresh()

    def refresh(self) -> None:
        """See to it that the date is that of the present second."""
        now = time.time()
        if now >= self._until or now < self._until - 1.0:
            second = int(now)
            self._until = second + 1.0
            self.lines = f"{self._server}Date: {formatdate(second, usegmt=True)}\r\n"
