"""What can go wrong before or while serving, each with the exit code of the process that it ends.

A `UnicornError` is meant for the operator: its message is one clear line. `details` holds what may follow
on further lines, such as the traceback of the user's own code.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the arbiter (docs/architecture.md lists them for operators)."""

    STOPPED = 0
    FAILED = 1
    USAGE = 2
    NOT_BOOTED = 3
    NO_APPLICATION = 4


class UnicornError(Exception):
    """Base of all errors that end in one line for the operator."""

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details

    def report(self) -> str:
        """What a person at a terminal reads: the traceback of the user's code first, the one line last."""
        return f"{self.details.rstrip()}\nError: {self}\n" if self.details else f"Error: {self}\n"


class SettingError(UnicornError):
    """A setting is unknown or its value is not allowed."""


class ConfigFileError(UnicornError):
    """A configuration file is missing or fails when it is read."""


class PluginError(UnicornError):
    """A plug-in is unknown, not installed or cannot be imported."""


class ListenError(UnicornError):
    """A listener cannot be opened."""


class ApplicationError(UnicornError):
    """The application could not be imported or failed while it booted."""

    exit_code = ExitCode.NOT_BOOTED


class NotAnApplicationError(ApplicationError):
    """The module was imported, but what the reference names in it is no application."""

    exit_code = ExitCode.NO_APPLICATION
