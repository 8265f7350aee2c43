"""unicorn-core: arbiter, settings, plug-ins, logging and worker base of the unicorn application server."""

__version__ = "0.1.0"
