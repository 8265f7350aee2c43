"""Bound sockets: opening them with clear errors, and leaving nothing behind."""

import errno
import os
import select
import socket
import stat
import sys
import time
from collections.abc import Iterable
from typing import Any

from unicorn_core.errors import ListenError, SettingError
from unicorn_core.listen import syn_filter
from unicorn_core.listen.address import Address, InheritedAddress, TcpAddress, UnixAddress, parse

PATIENCE = 2.5
"""Seconds during which an address in use is tried again: the predecessor may just be leaving."""
PAUSE = 0.25
# Bound before a worker class may patch these modules for the application: the server's own sockets stay as they are.
_Socket = socket.socket
_poll = select.poll
_TCPI_UNACKED = 24
"""Offset in Linux's struct tcp_info; of a listening socket the field tells the length of its queue."""


class Listener:
    """One bound and listening socket.

    Attributes:
        socket: non-blocking.
        is_unix: it is a unix socket.
        path: the file of a unix socket that this server has made.
        inherited: another process has made it, and may go on listening when this server ends.
        reuse_port: others may listen on the same address.
        ends: nobody new gets in.
    """

    def __init__(
        self, sock: socket.socket, path: str | None = None, inherited: bool = False, reuse_port: bool = False
    ) -> None:
        self.socket = sock
        self.path = path
        self.inherited = inherited
        self.reuse_port = reuse_port
        self.ends = False
        self.is_unix = sock.family == socket.AF_UNIX
        self._inode = os.stat(path).st_ino if path else 0
        # As numbers: to make the enumerations' members of them costs more than the system call.
        self._kind = int(sock.family), int(sock.type), sock.proto

    @classmethod
    def received(cls, fd: int) -> "Listener":
        """From a descriptor that another process of this server has sent."""
        sock = _Socket(fileno=fd)
        return cls(sock, reuse_port=bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)))

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection with its client's address; OSError as socket.socket.accept, BlockingIOError if none."""
        # What that does, but for who has patched the module and would get a socket of another class.
        descriptor, address = self.socket._accept()  # type: ignore[attr-defined]
        return _Socket(*self._kind, descriptor), address

    def describe(self, scheme: str) -> str:
        """As the log shows it: http://127.0.0.1:8000, unix:/run/app.sock."""
        name = self.socket.getsockname()
        if self.is_unix:
            path = os.fsdecode(name)
            return f"unix:{'@' + path[1:] if path.startswith(chr(0)) else path}"
        return f"{scheme}://{TcpAddress(name[0], name[1])}"

    def turn_away(self) -> bool:
        """Let no new client in, for good and for all processes that share it; who is in the queue can be accepted.

        A handshake that has begun may still finish. False where this is not possible, or not ours to do: then new
        clients get into the queue until the last process has closed the listener.
        """
        self.ends = True
        if self.inherited:
            return False
        if not self.is_unix:
            return syn_filter.attach(self.socket)
        if sys.platform != "linux":
            return False  # what a shutdown does to a listening socket is Linux's alone
        try:
            self.socket.shutdown(socket.SHUT_RD)
        except OSError:
            return False
        return True

    def turn_back(self) -> bool:
        """Undo `turn_away`; False where that is not possible (unix sockets)."""
        if not self.inherited and (self.is_unix or not syn_filter.detach(self.socket)):
            return False
        self.ends = False
        return True

    def turns_away(self) -> bool:
        """Nobody new gets in, because `turn_away` was called here or in another process."""
        if self.inherited or sys.platform != "linux":
            return False
        if not self.is_unix:
            return syn_filter.attached(self.socket)
        poll = _poll()
        poll.register(self.socket, select.POLLRDHUP)
        return bool(poll.poll(0))

    def queued(self) -> int:
        """How many connections wait to be accepted; 0 where the system does not tell (unix sockets, macOS)."""
        if self.is_unix or sys.platform != "linux":
            return 0
        info = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCPI_UNACKED + 4)
        return int.from_bytes(info[_TCPI_UNACKED:], sys.byteorder)

    def close(self) -> None:
        """Stop listening in this process."""
        self.socket.close()

    def remove(self) -> None:
        """Close, and remove the file of a unix socket that this server made, unless another one lies there now."""
        self.close()
        if self.path:
            try:
                if os.stat(self.path).st_ino == self._inode:
                    os.unlink(self.path)
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


def open_all(
    addresses: Iterable[Address],
    backlog: int,
    umask: int,
    owner: tuple[int, int],
    reuse_port: bool = False,
    patience: float = PATIENCE,
) -> list[Listener]:
    """Open a listener for each address.

    Args:
        backlog: length of the accept queue.
        umask: mode bits that unix sockets are made without.
        owner: user and group id that own unix sockets.
        reuse_port: TCP addresses may be listened on several times.
        patience: seconds for which an address that is in use is tried again.

    Raises:
        ListenError: one cannot be opened; those opened before are closed again.
    """
    listeners: list[Listener] = []
    try:
        listeners.extend(_open(address, backlog, umask, owner, reuse_port, patience) for address in addresses)
    except BaseException:
        for listener in listeners:
            listener.remove()
        raise
    return listeners


def open_like(listener: Listener, backlog: int) -> Listener:
    """A further listener on the same TCP address; both must have `reuse_port`.

    Raises:
        ListenError: it cannot be opened.
    """
    sock = listener.socket
    name = sock.getsockname()
    six = sock.family == socket.AF_INET6
    dual = six and not sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    try:
        return _bound(sock.family, name, backlog, dual=dual, reuse_port=True)
    except OSError as error:
        raise ListenError(f"cannot listen once more on {name[0]}:{name[1]}: {error.strerror}") from error


def _open(
    address: Address, backlog: int, umask: int, owner: tuple[int, int], reuse_port: bool, patience: float
) -> Listener:
    until = time.monotonic() + patience
    while True:
        try:
            match address:
                case TcpAddress():
                    return _tcp(address, backlog, reuse_port)
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


def _tcp(address: TcpAddress, backlog: int, reuse_port: bool) -> Listener:
    host = address.host or "0.0.0.0"
    # Given text, the function imports the codec for international names.
    found = socket.getaddrinfo(host.encode() if host.isascii() else host, address.port, type=socket.SOCK_STREAM)
    # A name such as localhost means IPv4 where it has one, as with gunicorn.
    family, _, _, _, name = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return _bound(family, name, backlog, dual=address.host == "::", reuse_port=reuse_port)


def _bound(family: int, name: Any, backlog: int, *, dual: bool, reuse_port: bool) -> Listener:
    sock = _Socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(not dual))
        sock.bind(name)
        sock.listen(backlog)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return Listener(sock, reuse_port=reuse_port)


def _unix(address: UnixAddress, backlog: int, umask: int, owner: tuple[int, int]) -> Listener:
    abstract = address.path.startswith("@")
    if not abstract:
        _remove_stale(address.path)
    sock = _Socket(socket.AF_UNIX, socket.SOCK_STREAM)
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
    sock = _Socket(fileno=address.fd)
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise OSError(errno.EINVAL, "the descriptor is a socket, but it does not listen")
    sock.setblocking(False)
    sock.set_inheritable(False)
    return Listener(sock, inherited=True)
