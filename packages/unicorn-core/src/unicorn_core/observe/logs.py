"""The error log and the access log.

Lines look as gunicorn's do, so that what reads them keeps working. Workers inherit the open files; `reopen_files`
lets log rotation move them away.
"""

import logging
import os
import re
import sys
from collections.abc import Callable
from typing import Any, TextIO, cast

from unicorn_core.errors import UnicornError
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
        self._owner = owner = (settings.user, settings.group)
        level = getattr(logging, settings.loglevel.upper())
        formatter = logging.Formatter(ERROR_FORMAT, DATE_FORMAT)
        _install(self.error_log, level, _handler(settings.errorlog, sys.stderr, owner, "errorlog"), formatter)
        self.access_on = settings.accesslog is not None
        if self.access_on:
            handler = _handler(settings.accesslog, sys.stdout, owner, "accesslog")
            _install(self.access_log, logging.INFO, handler, logging.Formatter("%(message)s"))
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
        for logger in (self.error_log, self.access_log):
            for handler in logger.handlers:
                if isinstance(handler, logging.FileHandler):
                    handler.acquire()
                    try:
                        fresh = handler._open()
                        _give_to(handler.baseFilename, self._owner)
                        if handler.stream:
                            handler.stream.close()
                        handler.stream = fresh
                    except OSError as error:
                        failed.append(f"cannot reopen the log file {handler.baseFilename!r}: {error.strerror}")
                    finally:
                        handler.release()
        for why in failed:
            self.error("%s", why)

    def writes_to(self) -> TextIO:
        """The stream of the error log, for `wsgi.errors`."""
        for handler in self.error_log.handlers:
            if isinstance(handler, logging.StreamHandler):
                return cast(TextIO, _Following(handler))
        return sys.stderr


class _Following:
    """A text stream that goes wherever the handler writes at the time, also after its file was reopened."""

    def __init__(self, handler: logging.StreamHandler[TextIO]) -> None:
        self._handler = handler

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handler.stream, name)

    def write(self, text: str) -> int:
        return self._handler.stream.write(text)

    def writelines(self, lines: list[str]) -> None:
        self._handler.stream.writelines(lines)

    def flush(self) -> None:
        self._handler.stream.flush()


def _handler(target: str, standard: TextIO, owner: tuple[int, int], setting: str) -> logging.Handler:
    if target == "-":
        return logging.StreamHandler(standard)
    try:
        handler = logging.FileHandler(target, encoding="utf-8")
        _give_to(target, owner)
    except OSError as error:
        raise UnicornError(f"cannot open the log file {target!r} (setting {setting}): {error.strerror}") from error
    return handler


def _give_to(path: str, owner: tuple[int, int]) -> None:
    """The workers must be able to reopen a log file under their own user."""
    if owner != (os.geteuid(), os.getegid()) and os.geteuid() == 0:
        os.chown(path, *owner)


def _install(logger: logging.Logger, level: int, handler: logging.Handler, formatter: logging.Formatter) -> None:
    for old in list(logger.handlers):
        logger.removeHandler(old)
        old.close()
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False
