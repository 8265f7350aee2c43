"""The error log and the access log.

Lines look as gunicorn's do, so that what reads them keeps working. Workers inherit the open files; `reopen_files`
lets log rotation move them away.
"""

import logging
import re
import sys
from collections.abc import Callable
from typing import Any, TextIO, cast

from unicorn_core.errors import UnicornError
from unicorn_core.observe.handler import LogHandler
from unicorn_core.settings.registry import Settings

ERROR_FORMAT = "%(asctime)s [%(process)d] [%(levelname)s] %(message)s"
DATE_FORMAT = "[%Y-%m-%d %H:%M:%S %z]"

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def printable(text: str) -> str:
    """`text` with every control character escaped, so that what a client sends cannot forge lines or move a cursor."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


class _Enduring(logging.Logger):
    """A logger that stays on when an application configures logging its way, which disables what exists by default."""

    @property
    def disabled(self) -> bool:
        return False

    @disabled.setter
    def disabled(self, value: bool) -> None:
        pass


def _logger(name: str) -> logging.Logger:
    former = logging.getLoggerClass()
    logging.setLoggerClass(_Enduring)
    try:
        return logging.getLogger(name)
    finally:
        logging.setLoggerClass(former)


class Logger:
    """Both logs of one server.

    Attributes:
        access_on: there is an access log. Who serves requests looks here before building a line.
    """

    def __init__(self, settings: Settings) -> None:
        self.error_log = _logger("unicorn.error")
        self.access_log = _logger("unicorn.access")
        owner = (settings.user, settings.group)
        level = getattr(logging, settings.loglevel.upper())
        formatter = logging.Formatter(ERROR_FORMAT, DATE_FORMAT)
        errors = _handler(settings.errorlog, sys.stderr, owner, _last_resort(formatter), "errorlog")
        self._handlers = [errors]
        _install(self.error_log, level, errors, formatter)
        self.access_on = settings.accesslog is not None
        if self.access_on:
            accesses = _handler(settings.accesslog, sys.stdout, owner, self.error_log.error, "accesslog")
            self._handlers.append(accesses)
            _install(self.access_log, logging.INFO, accesses, logging.Formatter("%(message)s"))
        self.debug: Callable[..., None] = self.error_log.debug
        self.info: Callable[..., None] = self.error_log.info
        self.warning: Callable[..., None] = self.error_log.warning
        self.error: Callable[..., None] = self.error_log.error
        self.critical: Callable[..., None] = self.error_log.critical
        self.exception: Callable[..., None] = self.error_log.exception

    def access(self, line: str) -> None:
        """Write one line of the access log."""
        self.access_log.info("%s", line)

    def reopen_files(self) -> None:
        """Open the log files anew, after a rotation; what cannot be opened goes on to where it went."""
        failed: list[str] = []
        for handler in self._handlers:
            try:
                handler.reopen()
            except OSError as error:
                failed.append(f"cannot reopen the log file {handler.path!r}: {error.strerror}")
        for why in failed:
            self.error("%s", why)

    def writes_to(self) -> TextIO:
        """The stream of the error log, for `wsgi.errors`."""
        return cast(TextIO, _Following(self._handlers[0]))


class _Following:
    """A text stream that goes wherever the handler writes at the time, also after its file was reopened."""

    def __init__(self, handler: LogHandler) -> None:
        self._handler = handler
        self.flush = handler.flush

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handler.stream, name)

    def write(self, text: str) -> int:
        self._handler.put(text)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        self._handler.put("".join(lines))


def _handler(
    target: str, standard: TextIO, owner: tuple[int, int], report: Callable[..., None], setting: str
) -> LogHandler:
    if target == "-":
        # What goes to stderr has nowhere else to go.
        return LogHandler(standard, report=None if standard is sys.stderr else report)
    try:
        return LogHandler(standard, target, owner, report)
    except OSError as error:
        raise UnicornError(f"cannot open the log file {target!r} (setting {setting}): {error.strerror}") from error


def _last_resort(formatter: logging.Formatter) -> Callable[..., None]:
    """Takes what the error log itself cannot take."""
    handler = LogHandler(sys.stderr)
    handler.setFormatter(formatter)
    logger = logging.Logger("unicorn.stderr")
    logger.addHandler(handler)
    return logger.error


def _install(logger: logging.Logger, level: int, handler: LogHandler, formatter: logging.Formatter) -> None:
    for old in list(logger.handlers):
        logger.removeHandler(old)
        if isinstance(old, LogHandler):
            old.end()
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False
