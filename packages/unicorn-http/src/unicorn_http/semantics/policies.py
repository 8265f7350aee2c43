"""The policies that follow from a worker's settings, for every protocol whose requests have a head like HTTP's."""

from unicorn_core.settings.registry import Settings
from unicorn_http.semantics.forwarded import SchemeFields, TrustedPeers
from unicorn_http.semantics.head import HeadPolicy, UnderscorePolicy
from unicorn_http.semantics.hosts import AllowedHosts
from unicorn_http.semantics.limits import Limits
from unicorn_http.semantics.proxied import Forwarded, ProxyFields, XForwarded
from unicorn_http.semantics.tolerance import RIGID, Tolerance

UNKNOWN = "unknown"
"""Stands for a client whose address is not told (RFC 7239 section 6.2): no list of addresses has it."""


class Policies:
    """Of two kinds of peers: proxies that are believed, and all others."""

    def __init__(self, settings: Settings) -> None:
        """SettingError: a setting has a value of the right kind that means nothing."""
        self._trusted = TrustedPeers.parse(settings.forwarded_allow_ips, "forwarded_allow_ips")
        limits, hosts, tolerance = (
            Limits.of(settings),
            AllowedHosts.parse(settings.allowed_hosts),
            tolerance_of(settings),
        )
        forwarder = frozenset(name.lower().encode("latin-1") for name in settings.forwarder_headers)
        proxy: ProxyFields | None = None
        scheme: SchemeFields | None = SchemeFields(settings.secure_scheme_headers)
        if settings.proxy_headers == "x-forwarded":
            proxy = XForwarded(self._trusted)
        elif settings.proxy_headers == "forwarded":
            # Never both kinds at once: what the proxy does not set passes through it as clients made it.
            proxy, scheme = Forwarded(self._trusted), None
        self._trusting = HeadPolicy(
            limits, UnderscorePolicy(settings.header_map, forwarder), scheme, proxy, hosts, tolerance
        )
        self._wary = HeadPolicy(limits, UnderscorePolicy(settings.header_map), hosts=hosts, tolerance=tolerance)

    def of(self, client: str) -> HeadPolicy:
        """For a peer with this address; empty on a unix socket."""
        return self._trusting if self._trusted.trusts(client) else self._wary


def tolerance_of(settings: Settings) -> Tolerance:
    """What these settings permit, with no report."""
    return Tolerance(
        methods=settings.permit_unconventional_http_method,
        casefold_method=settings.casefold_http_method,
        versions=settings.permit_unconventional_http_version,
        folding=settings.permit_obsolete_folding,
        blanks_before_colon=settings.strip_header_spaces,
        rigid=RIGID | frozenset(SchemeFields(settings.secure_scheme_headers).names),
    )


def watched_names(settings: Settings) -> frozenset[bytes]:
    """Lower-case names of the fields, beside those of framing, whose values the policies read."""
    names = frozenset(SchemeFields(settings.secure_scheme_headers).names)
    if settings.proxy_headers == "x-forwarded":
        return names | frozenset(XForwarded.names)
    if settings.proxy_headers == "forwarded":
        return frozenset(Forwarded.names)
    return names
