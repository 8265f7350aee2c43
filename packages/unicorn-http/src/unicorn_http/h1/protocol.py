"""The protocol `http`: what a worker needs to speak HTTP/1.1 on its connections."""

from unicorn_core import plugins
from unicorn_core.errors import PluginError
from unicorn_core.settings.registry import Settings
from unicorn_http.codec import Codec, Peer, ServerLines, Sink
from unicorn_http.h1.codec import H1Codec
from unicorn_http.semantics.forwarded import SchemeFields, TrustedPeers
from unicorn_http.semantics.head import HeadPolicy, SplitFields, UnderscorePolicy
from unicorn_http.semantics.limits import Limits

FASTEST_FIRST = ("builtin", "httptools", "h11")


def load_parser(name: str) -> SplitFields:
    """The parser of the setting `http_parser`; `auto` is the fastest that can be imported.

    Raises:
        PluginError: it is not installed.
    """
    if name != "auto":
        parser: SplitFields = plugins.load(plugins.HTTP_PARSERS, name)
        return parser
    for candidate in FASTEST_FIRST:
        try:
            return load_parser(candidate)
        except PluginError:
            continue
    raise PluginError(f"no HTTP parser can be imported: pip install one of {', '.join(FASTEST_FIRST)}")


class HttpProtocol:
    """Makes the codec of each connection; the caches and policies are a worker's."""

    def __init__(self, settings: Settings, server: ServerLines) -> None:
        self._split = load_parser(settings.http_parser)
        self._server = server
        self._trusted_peers = TrustedPeers.parse(settings.forwarded_allow_ips, "forwarded_allow_ips")
        forwarder = frozenset(name.lower().encode("latin-1") for name in settings.forwarder_headers)
        limits = Limits.of(settings)
        unconventional = settings.permit_unconventional_http_method
        scheme = SchemeFields(settings.secure_scheme_headers)
        self._trusting = HeadPolicy(limits, UnderscorePolicy(settings.header_map, forwarder), scheme, unconventional)
        self._wary = HeadPolicy(limits, UnderscorePolicy(settings.header_map), None, unconventional)

    def __call__(self, sink: Sink, peer: Peer) -> Codec:
        policy = self._trusting if self._trusted_peers.trusts(peer.client) else self._wary
        return H1Codec(sink, policy, self._split, self._server)


def protocol(settings: Settings, server: ServerLines) -> HttpProtocol:
    """The plug-in's object, a unicorn_http.codec.ProtocolFactory."""
    return HttpProtocol(settings, server)
