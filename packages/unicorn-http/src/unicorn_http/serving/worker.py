"""What all worker classes have in common that serve requests on connections."""

from collections.abc import Sequence
from time import monotonic
from typing import Any

from unicorn_core import plugins
from unicorn_core.errors import SettingError
from unicorn_core.listen.listener import Listener
from unicorn_core.observe.access import compile_format
from unicorn_core.settings.registry import Settings
from unicorn_core.worker.base import Context, Worker
from unicorn_http.semantics.forwarded import TrustedPeers
from unicorn_http.semantics.response import may_be_value
from unicorn_http.serving import opening
from unicorn_http.serving.connections import Connections
from unicorn_http.serving.refusals import RefusalLog
from unicorn_http.serving.server_fields import ServerFields


class ServingWorker(Worker):
    """See the module. A subclass sets `_connections`, and says what becomes of one that has brought something."""

    _connections: Connections[Any]

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._server = ServerFields(self.settings.server_header)
        self._refusals = RefusalLog(self.log)
        self._drained = self._ends = False

    @classmethod
    def scheme(cls, settings: Settings) -> str:
        if settings.protocol == "uwsgi":  # as nginx writes it
            return "suwsgi" if opening.secure(settings) else "uwsgi"
        return "https" if opening.secure(settings) else "http"

    @classmethod
    def check(cls, settings: Settings) -> None:
        if settings.wsgi_app is None:
            raise SettingError("setting wsgi_app: no application is named")
        TrustedPeers.parse(settings.forwarded_allow_ips, "forwarded_allow_ips")
        compile_format(settings.access_log_format)
        make_protocol = plugins.load(plugins.PROTOCOLS, settings.protocol)
        make_protocol(settings, ServerFields(None), lambda peer, refusal: None)
        if not may_be_value(settings.server_header):
            raise SettingError(
                f"setting server_header = {settings.server_header!r} ({settings.origin('server_header')}): "
                "a field's value has no control or non-latin-1 characters"
            )
        opening.check(settings)

    def taken(self, connection: Any) -> None:
        """A connection has taken something in, perhaps complete requests."""
        raise NotImplementedError

    # What the arbiter asks for

    def drain(self, ends: bool = False) -> None:
        # Perhaps in a signal handler: the turn does the rest.
        self._ends = self._ends or ends
        super().drain(ends)

    def lame_duck(self) -> None:
        self._connections.lame_duck()

    def borrow(self, slot: int, listeners: Sequence[Listener]) -> None:
        if self.draining:
            # The arbiter did not know yet that this worker leaves; it will lend them to another.
            for listener in listeners:
                listener.close()
        else:
            self._connections.acceptor.borrow(slot, listeners)

    def give_back(self, slot: int, ends: bool) -> None:
        for connection in self._connections.give_back(slot, ends, monotonic()):
            self.taken(connection)
