"""The protocol `http`: what a worker needs to speak HTTP/1.1 on its connections."""

from functools import partial

from unicorn_core import plugins
from unicorn_core.errors import PluginError
from unicorn_core.settings.registry import Settings
from unicorn_http.codec import AllowedPeers, Codec, Peer, ReportOf, ServerLines, Sink
from unicorn_http.h1.codec import H1Codec
from unicorn_http.h1.counting import CountingH1Codec
from unicorn_http.semantics.head import SplitFields
from unicorn_http.semantics.policies import UNKNOWN, Policies
from unicorn_http.semantics.tolerance import OncePerReason

FASTEST_FIRST = ("h1c", "builtin", "httptools", "h11")


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

    allowed: AllowedPeers | None = None

    def __init__(self, settings: Settings, server: ServerLines, report: ReportOf) -> None:
        self._split = load_parser(settings.http_parser)
        self._server = server
        self._policies = Policies(settings)
        self._report = report if settings.strictness == "report" else None
        self._requests = settings.limit_requests_per_connection

    def __call__(self, sink: Sink, peer: Peer) -> Codec:
        policy = self._policies.of(peer.client if peer.told else UNKNOWN)
        if self._report:
            policy = policy.reporting(OncePerReason(partial(self._report, peer)))
        if self._requests:
            return CountingH1Codec(sink, policy, self._split, self._server, self._requests)
        return H1Codec(sink, policy, self._split, self._server)


def protocol(settings: Settings, server: ServerLines, report: ReportOf) -> HttpProtocol:
    """The plug-in's object, a unicorn_http.codec.ProtocolFactory."""
    return HttpProtocol(settings, server, report)
