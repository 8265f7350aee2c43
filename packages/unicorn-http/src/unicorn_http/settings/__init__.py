"""The settings of unicorn-http. Names, flags and defaults are those of gunicorn where it has them."""

from unicorn_http.settings import limits, protocol, proxies, tls

SETTINGS = (*protocol.SETTINGS, *limits.SETTINGS, *proxies.SETTINGS, *tls.SETTINGS)
