"""The hosts that are served (setting allowed_hosts)."""

import re
from collections.abc import Iterable

from unicorn_core.errors import SettingError
from unicorn_http.semantics.refusal import Refusal

_ENTRY = re.compile(r"(?:\*\.)?[0-9a-z_\-]+(?:\.[0-9a-z_\-]+)*|\[[0-9a-f:.]+\]")


class AllowedHosts:
    """Names of hosts, without ports and whatever their case; "*.example.org" stands for all names that end so."""

    def __init__(self, exact: frozenset[str], suffixes: tuple[str, ...]) -> None:
        """Lower-case names, and ends of names from their first dot on."""
        self._exact = exact
        self._suffixes = suffixes

    @classmethod
    def parse(cls, texts: Iterable[str]) -> "AllowedHosts | None":
        """None if every host is served. SettingError names the entry that is no host."""
        names = [text.lower() for text in texts]
        if not names or "*" in names:
            return None
        for name in names:
            if _ENTRY.fullmatch(name) is None:
                raise SettingError(
                    f"setting allowed_hosts: {name!r} must be a host without port, such as example.org, *.example.org "
                    "or [::1]"
                )
        exact = frozenset(name for name in names if not name.startswith("*"))
        return cls(exact, tuple(name[1:] for name in names if name.startswith("*")))

    def check(self, host: str | None) -> None:
        """Check a host, perhaps with a port, that is well-formed; None if the request names none.

        Raises:
            Refusal: it is not served.
        """
        if host is None or not self.allows(host):
            raise Refusal(421, "host-not-served", "this host is not served here", "setting allowed_hosts")

    def allows(self, host: str) -> bool:
        """Whether a host, perhaps with a port, is served."""
        name = split_port(host)[0].lower().rstrip(".")
        return name in self._exact or name.endswith(self._suffixes)


def split_port(host: str) -> tuple[str, str]:
    """Name and port of a host that is well-formed (uri-host of RFC 9110 section 7.2); the port may be empty."""
    name, colon, port = host.rpartition(":")
    return (name, port) if colon and not port.endswith("]") else (host, "")
