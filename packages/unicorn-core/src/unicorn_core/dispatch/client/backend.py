"""Backends: what a client hands its calls to.

`local` is the dispatcher beside the web workers. Another one, such as a cluster's, registers a class in the entry-point
group `unicorn.dispatch_backends`; it is made with the place that the client was given (for `local` the path of a
socket), and applications need not change. Making one must have no effect: it connects when it is first used.
"""

from collections.abc import AsyncGenerator, Iterator
from typing import Any, Protocol

from unicorn_core import plugins
from unicorn_core.dispatch.client.exchange import Invocation


class Backend(Protocol):
    """See the module. Every method raises a DispatchError if there is no result, and may be used from any thread."""

    def call(self, invocation: Invocation) -> Any:
        """Run an action and wait for its result."""

    def stream(self, invocation: Invocation) -> Iterator[Any]:
        """Run an action that gives many values; the iterator has `close`, which ends it."""

    async def call_async(self, invocation: Invocation) -> Any:
        """As `call`, in an asyncio loop. Cancelling it gives the call up."""

    def stream_async(self, invocation: Invocation) -> AsyncGenerator[Any, None]:
        """As `stream`, in an asyncio loop."""

    def stash(self, operation: str, arguments: dict[str, Any]) -> Any:
        """Run an operation on the stash (`unicorn_core.dispatch.dispatcher.stash_service` names them)."""

    def command(self, name: str, *arguments: Any) -> Any:
        """Ask something of the dispatcher itself: `status`, `resize`, `reload`."""

    def close(self) -> None:
        """End all connections; a further call makes new ones."""


def make(name: str, place: str) -> Backend:
    """A backend by its name.

    Raises:
        PluginError: it is not installed.
    """
    if name == "local":
        # No look-up for what is always there.
        from unicorn_core.dispatch.client.local import LocalBackend

        return LocalBackend(place)
    backend: Backend = plugins.load(plugins.DISPATCH_BACKENDS, name)(place)
    return backend
