"""Bound sockets: opening them with clear errors, and leaving nothing behind."""

import errno
import os
import socket
import stat
import time
from collections.abc import Iterable

from unicorn_core.errors import ListenError, SettingError
from unicorn_core.listen.address import Address, InheritedAddress, TcpAddress, UnixAddress, parse

PATIENCE = 2.5
"""Seconds during which an address in use is tried again: the predecessor may just be leaving."""
PAUSE = 0.25


class Listener:
    """One bound and listening socket.

    Attributes:
        socket: non-blocking.
        is_unix: it is a unix socket.
    """

    def __init__(self, sock: socket.socket, unlink: str | None = None) -> None:
        self.socket = sock
        self.is_unix = sock.family == socket.AF_UNIX
        self._unlink = unlink
        self._inode = os.stat(unlink).st_ino if unlink else 0

    def describe(self, scheme: str) -> str:
        """As the log shows it: http://127.0.0.1:8000, unix:/run/app.sock."""
        name = self.socket.getsockname()
        if self.is_unix:
            path = os.fsdecode(name)
            return f"unix:{'@' + path[1:] if path.startswith(chr(0)) else path}"
        return f"{scheme}://{TcpAddress(name[0], name[1])}"

    def close(self) -> None:
        """Stop listening in this process."""
        self.socket.close()

    def remove(self) -> None:
        """Close, and remove the file of a unix socket that this server made, unless another one lies there now."""
        self.close()
        if self._unlink:
            try:
                if os.stat(self._unlink).st_ino == self._inode:
                    os.unlink(self._unlink)
            except FileNotFoundError:
                pass


def parse_all(texts: Iterable[str], origin: str) -> list[Address]:
    """The addresses of the setting `bind`; SettingError names the one that cannot be read."""
    addresses = []
    for text in texts:
        try:
            addresses.append(parse(text))
        except ValueError as error:
            raise SettingError(f"setting bind = {text!r} ({origin}): {error}") from None
    if not addresses:
        raise SettingError(f"setting bind ({origin}): must name at least one address")
    return addresses


def open_all(addresses: Iterable[Address], backlog: int, umask: int, owner: tuple[int, int]) -> list[Listener]:
    """Open a listener for each address.

    Args:
        backlog: length of the accept queue.
        umask: mode bits that unix sockets are made without.
        owner: user and group id that own unix sockets.

    Raises:
        ListenError: one cannot be opened; those opened before are closed again.
    """
    listeners: list[Listener] = []
    try:
        listeners.extend(_open(address, backlog, umask, owner) for address in addresses)
    except BaseException:
        for listener in listeners:
            listener.remove()
        raise
    return listeners


def _open(address: Address, backlog: int, umask: int, owner: tuple[int, int]) -> Listener:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            match address:
                case TcpAddress():
                    return _tcp(address, backlog)
                case UnixAddress():
                    return _unix(address, backlog, umask, owner)
                case InheritedAddress():
                    return _inherited(address)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() >= until:
                raise ListenError(f"cannot listen on {address}: {_reason(address, error)}") from error
        time.sleep(PAUSE)


def _reason(address: Address, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the address is in use; stop the program that listens there, or choose another with --bind"
    if error.errno == errno.EACCES and isinstance(address, TcpAddress) and address.port < 1024:
        return f"permission denied; ports below 1024 need privileges, not user id {os.geteuid()}"
    if isinstance(error, socket.gaierror):
        return f"the host name cannot be resolved ({error.strerror})"
    return error.strerror or str(error)


def _tcp(address: TcpAddress, backlog: int) -> Listener:
    found = socket.getaddrinfo(address.host or "0.0.0.0", address.port, type=socket.SOCK_STREAM)
    # A name such as localhost means IPv4 where it has one, as with gunicorn.
    family, kind, protocol, _, name = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address.host != "::"))
        sock.bind(name)
        sock.listen(backlog)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return Listener(sock)


def _unix(address: UnixAddress, backlog: int, umask: int, owner: tuple[int, int]) -> Listener:
    abstract = address.path.startswith("@")
    if not abstract:
        _remove_stale(address.path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(umask)
    try:
        sock.bind("\0" + address.path[1:] if abstract else address.path)
        if not abstract and owner != (os.geteuid(), os.getegid()):
            os.chown(address.path, *owner)
        sock.listen(backlog)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    finally:
        os.umask(before)
    return Listener(sock, None if abstract else os.path.abspath(address.path))


def _remove_stale(path: str) -> None:
    """Remove a socket file on which nobody listens any more.

    Raises:
        OSError: EADDRINUSE if somebody listens; EEXIST if the path is something else than a socket.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, "the path exists and is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            os.unlink(path)
            return
        except OSError:
            pass  # a full queue or no permission: somebody is there
    raise OSError(errno.EADDRINUSE, "in use")


def _inherited(address: InheritedAddress) -> Listener:
    sock = socket.socket(fileno=address.fd)
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise OSError(errno.EINVAL, "the descriptor is a socket, but it does not listen")
    sock.setblocking(False)
    return Listener(sock)
