"""What a trusted proxy may say about the client's connection."""

import ipaddress
from collections.abc import Iterable, Mapping

from msgspec import Struct

from unicorn_core.errors import SettingError
from unicorn_http.semantics.refusal import Refusal

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class TrustedPeers(Struct, frozen=True):
    """Peers whose word is taken: addresses, networks, or everybody ("*"). Unix sockets are trusted, also when the word
    "unix" does not say so."""

    everybody: bool
    networks: tuple[Network, ...]

    @classmethod
    def parse(cls, texts: Iterable[str], setting: str) -> "TrustedPeers":
        """SettingError names the entry that is no address."""
        networks: list[Network] = []
        everybody = False
        for text in texts:
            if text == "*":
                everybody = True
                continue
            if text == "unix":
                continue
            try:
                networks.append(ipaddress.ip_network(text))
            except ValueError:
                raise SettingError(
                    f"setting {setting}: {text!r} must be an IP address, a network (10.0.0.0/8), unix or *"
                ) from None
        return cls(everybody, tuple(networks))

    def trusts(self, address: str) -> bool:
        """`address` is an IP address; empty for a peer on a unix socket."""
        if self.everybody or not address:
            return True
        return self.relays(address)

    def relays(self, address: str) -> bool:
        """It is one of the addresses and networks: a proxy that may tell of a hop before its own."""
        try:
            peer = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(peer, "ipv4_mapped", None)
        return any(peer in network or (mapped is not None and mapped in network) for network in self.networks)


class SchemeFields:
    """The fields by which a trusted proxy says that its client came over TLS (`secure_scheme_headers`)."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in fields.items()]

    @property
    def names(self) -> list[bytes]:
        """The names of the fields, in lower case."""
        return [name for name, _ in self._fields]

    def scheme(self, watched: dict[bytes, bytes], default: str) -> str:
        """http or https.

        Raises:
            Refusal: the fields contradict each other.
        """
        scheme = ""
        for name, secure in self._fields:
            if (value := watched.get(name)) is not None:
                # Each of several proxies may have added its line.
                said = "https" if all(line == secure for line in value.split(b",")) else "http"
                if scheme and said != scheme:
                    raise Refusal(400, "scheme", "the scheme fields contradict each other", "secure_scheme_headers")
                scheme = said
        return scheme or default
