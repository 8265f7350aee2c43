"""The Date and Server fields of responses, made anew once a second."""

import time

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def http_date(second: int) -> str:
    """As RFC 9110 section 5.6.7 wants it. (email.utils has this too, and costs an import of 2 ms.)"""
    t = time.gmtime(second)
    clock = f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02}"
    return f"{_DAYS[t.tm_wday]}, {t.tm_mday:02} {_MONTHS[t.tm_mon - 1]} {t.tm_year} {clock} GMT"


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
            self.lines = f"{self._server}Date: {http_date(second)}\r\n"
