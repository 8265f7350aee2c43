"""The protocol `uwsgi`: what a worker needs to speak it on its connections."""

import ipaddress
import re
from functools import partial

from unicorn_core.settings.registry import Settings
from unicorn_http.codec import AllowedPeers, Codec, Peer, ReportOf, ServerLines, Sink
from unicorn_http.semantics.forwarded import TrustedPeers
from unicorn_http.semantics.head import HeadPolicy
from unicorn_http.semantics.limits import UNLIMITED
from unicorn_http.semantics.policies import UNKNOWN, Policies
from unicorn_http.semantics.refusal import Refusal
from unicorn_http.semantics.tolerance import OncePerReason
from unicorn_uwsgi.codec import PacketMemo, UwsgiCodec
from unicorn_uwsgi.packet import RULE
from unicorn_uwsgi.variables import FieldLines

_ADDRESS = re.compile(r"[0-9A-Fa-f:.]+(?:%[0-9A-Za-z_.\-]+)?")
"""Of an IP address: the module ipaddress takes whatever stands behind "%" for the name of a zone."""


class ClientPolicies:
    """The policy for each client that a front speaks for. Forwarding fields are judged by the client's address, not by
    the front's, which only passes them on. A bounded cache."""

    LARGEST = 4096

    def __init__(self, policies: Policies) -> None:
        self._policies = policies
        self._known = {UNKNOWN: policies.of(UNKNOWN)}

    def of(self, address: str) -> HeadPolicy:
        """For the client at this address.

        Raises:
            Refusal: it is no IP address.
        """
        policy = self._known.get(address)
        if policy is None:
            _check_address(address)
            policy = self._policies.of(address)
            if len(self._known) < self.LARGEST:
                self._known[address] = policy
        return policy


def _check_address(address: str) -> None:
    try:
        if _ADDRESS.fullmatch(address) is None:
            raise ValueError
        ipaddress.ip_address(address)
    except ValueError:
        raise Refusal(400, "variables", "REMOTE_ADDR is no IP address", RULE) from None


class UwsgiProtocol:
    """Makes the codec of each connection; the caches and policies are a worker's."""

    def __init__(self, settings: Settings, server: ServerLines, report: ReportOf) -> None:
        setting = "uwsgi_allow_ips"
        self.allowed: AllowedPeers | None = AllowedPeers(setting, TrustedPeers.parse(settings.uwsgi_allow_ips, setting))
        self._policy_of = ClientPolicies(Policies(settings)).of
        self._unknown = self._policy_of(UNKNOWN)
        self._begins = FieldLines()
        self._memo = PacketMemo()
        self._server = server
        self._report = report if settings.strictness == "report" else None
        self._requests = (settings.limit_requests_per_connection or UNLIMITED) if settings.uwsgi_persistent else 1

    def __call__(self, sink: Sink, peer: Peer) -> Codec:
        if self._report:
            return self._reporting(sink, OncePerReason(partial(self._report, peer)))
        return UwsgiCodec(sink, self._unknown, self._policy_of, self._begins, self._memo, self._server, self._requests)

    def _reporting(self, sink: Sink, report: OncePerReason) -> Codec:
        """A codec that remembers no packets, since whatever comes is to be looked at."""

        def policy_of(client: str) -> HeadPolicy:
            return self._policy_of(client).reporting(report)

        return UwsgiCodec(sink, policy_of(UNKNOWN), policy_of, self._begins, None, self._server, self._requests)


def protocol(settings: Settings, server: ServerLines, report: ReportOf) -> UwsgiProtocol:
    """The plug-in's object, a unicorn_http.codec.ProtocolFactory."""
    return UwsgiProtocol(settings, server, report)
