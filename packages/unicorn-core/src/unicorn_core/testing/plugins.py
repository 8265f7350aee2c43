"""The plug-ins that tests can run with."""

from unicorn_core import plugins
from unicorn_core.errors import PluginError


def importable(group: str) -> list[str]:
    """The names of a group's plug-ins that can be imported: what an extra would bring may not be installed."""
    return [name for name in sorted(plugins.find(group)) if _can_be_imported(group, name)]


def _can_be_imported(group: str, name: str) -> bool:
    try:
        plugins.load(group, name)
    except PluginError:
        return False
    return True
