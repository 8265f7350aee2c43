"""What a process needs around it before it imports the application: environment, import path, identity."""

import os
import pwd
import socket
import sys

import unicorn_core
from unicorn_core.errors import UnicornError
from unicorn_core.settings.registry import Settings

SERVER_SOFTWARE = f"unicorn/{unicorn_core.__version__}"


def set_up_for_import(settings: Settings) -> None:
    """Environment and import path, as the application finds them; the working folder is set already."""
    os.environ["SERVER_SOFTWARE"] = SERVER_SOFTWARE
    if settings.tmp_upload_dir:
        os.environ["TMPDIR"] = os.path.abspath(settings.tmp_upload_dir)
    for assignment in settings.raw_env:
        name, _, value = assignment.partition("=")
        os.environ[name] = value
    for folder in reversed([os.getcwd(), *(settings.pythonpath or "").split(",")]):
        if folder and folder not in sys.path:
            sys.path.insert(0, folder)


def become(settings: Settings) -> None:
    """Change to the user and group of the settings.

    Raises:
        UnicornError: this process may not.
    """
    user, group = settings.user, settings.group
    if (user, group) == (os.geteuid(), os.getegid()):
        return
    if settings.initgroups:
        try:
            os.initgroups(pwd.getpwuid(user).pw_name, group)
        except KeyError:
            raise UnicornError(f"initgroups: user id {user} has no name on this machine") from None
    elif os.geteuid() == 0:
        os.setgroups([group])
    try:
        os.setgid(group)
        os.setuid(user)
    except PermissionError:
        raise UnicornError(
            f"cannot become user id {user} and group id {group}: only root may (settings user, group)"
        ) from None


def open_sockets() -> dict[int, str]:
    """The sockets that this process has open, by descriptor; empty where the system does not show them."""
    found: dict[int, str] = {}
    try:
        descriptors = os.listdir("/proc/self/fd")
    except OSError:
        return found
    for descriptor in descriptors:
        try:
            is_socket = os.readlink(f"/proc/self/fd/{descriptor}").startswith("socket:")
        except OSError:
            continue  # the one that listed the folder
        if is_socket:
            found[int(descriptor)] = _name_of_socket(int(descriptor))
    return found


def threads_of_system() -> int:
    """The threads of this process, also those that Python knows nothing of; 1 where the system does not tell."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 1


def _name_of_socket(descriptor: int) -> str:
    with socket.socket(fileno=os.dup(descriptor)) as sock:
        try:
            return f"to {sock.getpeername() or 'a nameless peer'}"
        except OSError:
            return f"at {sock.getsockname() or 'no address'}"
