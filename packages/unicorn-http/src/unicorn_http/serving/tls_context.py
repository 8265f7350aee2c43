"""What TLS is spoken with: certificate, key, authorities, versions, from the settings or the hook ssl_context.

Imported only where TLS is spoken.
"""

import ssl
import traceback
from weakref import WeakKeyDictionary

from unicorn_core.errors import SettingError, UnicornError
from unicorn_core.settings.registry import Settings

_VERIFY = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}

_contexts: WeakKeyDictionary[Settings, ssl.SSLContext] = WeakKeyDictionary()


def context_of(settings: Settings) -> ssl.SSLContext:
    """What TLS is spoken with; the hook ssl_context may have changed or replaced it.

    It is made once for each object of settings: in the arbiter, where `Worker.check` asks for it before the workers
    are forked and drop the arbiter's privileges. So only the arbiter must be able to read the key, all workers of a
    generation have the same certificate, and one of them can resume a session that another has begun.

    Raises:
        SettingError: a file cannot be read, or the settings do not go together.
    """
    context = _contexts.get(settings)
    if context is None:
        context = _hooked(settings) if settings.ssl_context else _default(settings)
        # A renegotiation could make writing wait for reading; and each costs a server more than a client.
        context.options |= ssl.OP_NO_RENEGOTIATION
        _contexts[settings] = context
    return context


def _hooked(settings: Settings) -> ssl.SSLContext:
    try:
        context = settings.ssl_context(settings, lambda: _default(settings))
    except UnicornError:
        raise
    except Exception as error:
        details = "".join(traceback.format_exception(error))
        raise SettingError(f"hook ssl_context raised {type(error).__name__}: {error}", details) from error
    if not isinstance(context, ssl.SSLContext):
        raise SettingError(f"hook ssl_context must return an ssl.SSLContext, not {type(context).__name__}")
    return context


def _default(settings: Settings) -> ssl.SSLContext:
    """What the settings say, without the hook."""
    if not settings.certfile:
        raise SettingError(f"setting keyfile ({settings.origin('keyfile')}): needs certfile, the certificate")
    for name in ("certfile", "keyfile", "ca_certs"):
        _check_readable(settings, name)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(settings.certfile, settings.keyfile, _no_password)
    except ssl.SSLError as error:
        raise SettingError(f"{_place(settings, 'certfile')}: {_unusable(settings, error)}") from None
    if settings.ciphers:
        try:
            context.set_ciphers(settings.ciphers)
        except ssl.SSLError:
            raise SettingError(f"{_place(settings, 'ciphers')}: names no cipher suite that OpenSSL has") from None
    _verify_clients(context, settings)
    return context


def _verify_clients(context: ssl.SSLContext, settings: Settings) -> None:
    if settings.ca_certs:
        try:
            context.load_verify_locations(settings.ca_certs)
        except ssl.SSLError:
            raise SettingError(f"{_place(settings, 'ca_certs')}: holds no certificate in PEM form") from None
    elif settings.cert_reqs != "none" and not settings.ssl_context:
        raise SettingError(f"{_place(settings, 'cert_reqs')}: needs ca_certs, by which certificates are checked")
    context.verify_mode = _VERIFY[settings.cert_reqs]


def _check_readable(settings: Settings, name: str) -> None:
    path = getattr(settings, name)
    if path:
        try:
            open(path, "rb").close()
        except OSError as error:
            raise SettingError(f"{_place(settings, name)}: cannot be read: {error.strerror}") from None


def _no_password() -> str:
    raise SettingError("setting keyfile: the key is encrypted, and nobody is there to type its password")


def _unusable(settings: Settings, error: ssl.SSLError) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"the certificate does not belong to the key in {settings.keyfile or settings.certfile}"
    files = " and ".join(path for path in (settings.certfile, settings.keyfile) if path)
    if error.reason and error.reason != "PEM_LIB":
        return f"OpenSSL does not take it: {in_words(error)}"
    return f"{files} must hold a certificate and its key in PEM form"


def _place(settings: Settings, name: str) -> str:
    return f"setting {name} = {getattr(settings, name)!r} ({settings.origin(name)})"


def in_words(error: ssl.SSLError) -> str:
    """In words; OpenSSL's reasons look like NO_SHARED_CIPHER."""
    reason = (error.reason or error.strerror or str(error)).replace("_", " ").lower()
    message = getattr(error, "verify_message", "")
    return f"{reason} ({message})" if message else reason
