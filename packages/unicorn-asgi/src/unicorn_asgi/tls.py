"""What is told of TLS in the scope (ASGI specification, TLS extension, version 0.2).

Imported only where TLS is spoken.
"""

import ssl
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

_VERSIONS = {"TLSv1": 0x0301, "TLSv1.1": 0x0302, "TLSv1.2": 0x0303, "TLSv1.3": 0x0304}


def tls_extension(variables: Mapping[str, str]) -> dict[str, Any]:
    """The value of scope["extensions"]["tls"].

    Args:
        variables: what unicorn_http.serving.tls tells of a connection, by the names of Apache's mod_ssl.
    """
    certificate = variables.get("SSL_CLIENT_CERT")
    # As all of environ, these names stand for bytes.
    name = variables.get("SSL_CLIENT_S_DN")
    return {
        "server_cert": None,  # Python's ssl module does not give it
        "client_cert_chain": (certificate,) if certificate else (),
        "client_cert_name": name.encode("latin-1").decode() if name else None,
        "client_cert_error": None,  # one with an error gets no connection
        "tls_version": _VERSIONS.get(variables.get("SSL_PROTOCOL", "")),
        "cipher_suite": _suites().get(variables.get("SSL_CIPHER", "")),
    }


@lru_cache(maxsize=1)
def _suites() -> dict[str, int]:
    """Numbers of cipher suites (RFC 8446 appendix B.4) by OpenSSL's names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    return {cipher["name"]: cipher["id"] & 0xFFFF for cipher in context.get_ciphers()}
