"""The sockets of the server: those of each generation and, with reuse_port, those of each slot.

They belong to the arbiter and outlive every worker. A generation that listens where the one before it did goes on with
the same sockets; what it does not want any more is closed once it has taken over.
"""

import os
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence

import msgspec
from msgspec import Struct

from unicorn_core.listen.address import Address, InheritedAddress
from unicorn_core.listen.listener import PATIENCE, Listener, open_all, open_like, parse_all
from unicorn_core.settings.registry import Settings

VARIABLE = "UNICORN_LISTENERS"
"""The environment variable that hands sockets to the next master: descriptors, and what each was opened for."""


class Purpose(Struct, frozen=True):
    """What a socket was opened for: an address as the settings name it, the how manieth of the same name, a slot."""

    address: str
    repetition: int = 0
    slot: int = 0


class Left(Struct, frozen=True):
    """One socket that a master leaves to the next; see Listener for the last three."""

    fd: int
    purpose: Purpose
    path: str | None
    inherited: bool
    reuse_port: bool


class Bequest(Struct, frozen=True):
    """All of them; `activated` are those that a service manager has opened."""

    activated: list[int] = []
    listeners: list[Left] = []


class Sockets:
    """See the module.

    Args:
        activated: descriptors from a service manager, which take the place of the setting `bind`.
        shared: another master has the same sockets at the moment, so that none of them must end.
    """

    def __init__(self, activated: Sequence[int], shared: Callable[[], bool]) -> None:
        self._shared = shared
        self._activated = [InheritedAddress(fd) for fd in activated]
        self._open: dict[Purpose, Listener] = {}

    def open(self, settings: Settings, patience: float = PATIENCE) -> list[Listener]:
        """The listeners of a generation, in the order of the setting; those that are not open yet are opened.

        `patience`: seconds for which an address that is in use is tried again.

        Raises:
            ListenError: one cannot be opened; nothing has changed.
            SettingError: an address cannot be read.
        """
        addresses: list[Address] = [*self._activated] or parse_all(settings.bind, settings.origin("bind"))
        purposes = _purposes(addresses)
        self._revive(purposes)
        missing = {
            purpose: address for purpose, address in zip(purposes, addresses, strict=True) if purpose not in self._open
        }
        opened = open_all(
            missing.values(),
            settings.backlog,
            settings.umask,
            (settings.user, settings.group),
            reuse_port=settings.reuse_port,
            patience=patience,
        )
        self._open |= dict(zip(missing, opened, strict=True))
        return [self._open[purpose] for purpose in purposes]

    def of_slot(self, slot: int, listeners: Iterable[Listener], settings: Settings) -> list[Listener]:
        """The listeners of one slot: with reuse_port it has TCP sockets of its own.

        Raises:
            ListenError: one cannot be opened.
        """
        if slot == 0:
            return list(listeners)
        return [self._of_slot(slot, listener, settings.backlog) for listener in listeners]

    def _of_slot(self, slot: int, listener: Listener, backlog: int) -> Listener:
        if not listener.reuse_port:
            return listener  # a unix socket, or an inherited one, is shared by all
        purpose = self._purpose(listener)
        wanted = Purpose(purpose.address, purpose.repetition, slot)
        self._revive([wanted])
        if wanted not in self._open:
            self._open[wanted] = open_like(listener, backlog)
        return self._open[wanted]

    def _revive(self, wanted: Iterable[Purpose]) -> None:
        """What was to end is wanted again; what cannot go on (a unix socket) is opened anew."""
        for purpose in wanted:
            listener = self._open.get(purpose)
            if listener and listener.ends and not listener.turn_back():
                self._open.pop(purpose).remove()

    def exclusive(self, slot: int) -> list[Listener]:
        """The sockets that only this slot has."""
        return [listener for purpose, listener in self._open.items() if purpose.slot == slot and listener.reuse_port]

    def slots_from(self, size: int) -> list[int]:
        """The slots from `size` on that have sockets of their own."""
        return sorted({purpose.slot for purpose in self._open if purpose.slot >= max(1, size)})

    def end(self, listeners: Iterable[Listener]) -> None:
        """Let nobody new in there; whoever shares them serves who is in already."""
        if not self._shared():
            for listener in listeners:
                if not listener.ends:
                    listener.turn_away()

    def end_others(self, wanted: Iterable[Listener]) -> None:
        """As `end`, for what is not among the `wanted` addresses."""
        kept = {self._purpose(listener).address for listener in wanted}
        self.end(listener for purpose, listener in self._open.items() if purpose.address not in kept)

    def end_slots(self, size: int) -> None:
        """As `end`, for the slots from `size` on."""
        self.end(listener for purpose, listener in self._open.items() if purpose.slot >= max(1, size))

    def close_ended(self) -> None:
        """Close here what all slots shared and what has ended, and remove the files of unix sockets."""
        ended = {purpose.address for purpose, listener in self._open.items() if listener.ends and purpose.slot == 0}
        for purpose in [purpose for purpose in self._open if purpose.address in ended]:
            self._open.pop(purpose).remove()

    def close_slot(self, slot: int) -> None:
        """Close here the sockets of one slot."""
        for purpose in [purpose for purpose in self._open if purpose.slot == slot]:
            self._open.pop(purpose).close()

    def close(self) -> None:
        """Close all, and remove the files of unix sockets unless somebody else listens there."""
        for listener in self._open.values():
            if self._shared():
                listener.close()
            else:
                listener.remove()

    def queued(self) -> int:
        """How many connections wait to be accepted (0 where the system does not tell)."""
        return sum(listener.queued() for listener in self._open.values())

    # To the next master

    def __iter__(self) -> Iterator[Listener]:
        return iter(self._open.values())

    def bequest(self) -> tuple[list[int], dict[str, str]]:
        """The descriptors that the next master inherits, and the variables that tell it what they are."""
        left = [
            Left(listener.socket.fileno(), purpose, listener.path, listener.inherited, listener.reuse_port)
            for purpose, listener in self._open.items()
            if not listener.ends
        ]
        bequest = Bequest([address.fd for address in self._activated], left)
        return [one.fd for one in left], {VARIABLE: msgspec.json.encode(bequest).decode()}

    def inherit(self, environ: MutableMapping[str, str]) -> None:
        """Take over what the former master has left; what the settings do not name goes by `drop_unwanted`."""
        bequest = msgspec.json.decode(environ.pop(VARIABLE, "{}"), type=Bequest)
        self._activated += [InheritedAddress(fd) for fd in bequest.activated]
        for left in bequest.listeners:
            sock = socket.socket(fileno=left.fd)
            os.set_inheritable(left.fd, False)
            self._open[left.purpose] = Listener(sock, left.path, left.inherited, left.reuse_port)

    def drop_unwanted(self, wanted: Iterable[Listener]) -> None:
        """Close, here only, what was inherited and is not wanted: the former master may still serve it."""
        kept = {self._purpose(listener).address for listener in wanted}
        for purpose, listener in list(self._open.items()):
            if purpose.address not in kept:
                listener.close()
                del self._open[purpose]

    def _purpose(self, wanted: Listener) -> Purpose:
        return next(purpose for purpose, listener in self._open.items() if listener is wanted)


def _purposes(addresses: Iterable[Address]) -> list[Purpose]:
    seen: Counter[str] = Counter()
    purposes = []
    for address in map(str, addresses):
        purposes.append(Purpose(address, seen[address]))
        seen[address] += 1
    return purposes
