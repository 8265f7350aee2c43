"""A client's certificate as variables in environ, by the names of Apache's mod_ssl (docs/tls.md lists them)."""

import re
from collections.abc import Mapping
from typing import Any

_SHORT = {
    "commonName": "CN",
    "countryName": "C",
    "domainComponent": "DC",
    "localityName": "L",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "stateOrProvinceName": "ST",
    "streetAddress": "STREET",
    "userId": "UID",
}
"""RFC 4514 section 3; other types keep the name that OpenSSL has for them."""
_SPECIAL = re.compile(r'[,+"\\<>;]|^[ #]| $')

Name = tuple[tuple[tuple[str, str], ...], ...]
"""A distinguished name: a sequence of sets of (type, value)."""


def certificate_variables(certificate: Mapping[str, Any]) -> dict[str, str]:
    """From what ssl.SSLSocket.getpeercert() gives for a certificate that was checked."""
    subject: Name = certificate.get("subject", ())
    variables = {
        "SSL_CLIENT_S_DN": distinguished_name(subject),
        "SSL_CLIENT_I_DN": distinguished_name(certificate.get("issuer", ())),
        "SSL_CLIENT_M_SERIAL": certificate.get("serialNumber", ""),
        "SSL_CLIENT_V_START": certificate.get("notBefore", ""),
        "SSL_CLIENT_V_END": certificate.get("notAfter", ""),
    }
    common_names = [value for part in subject for kind, value in part if kind == "commonName"]
    if common_names:
        variables["SSL_CLIENT_S_DN_CN"] = common_names[-1]
    for kind, prefix in (("DNS", "SSL_CLIENT_SAN_DNS_"), ("email", "SSL_CLIENT_SAN_Email_")):
        values = [value for name, value in certificate.get("subjectAltName", ()) if name == kind]
        variables |= {f"{prefix}{number}": value for number, value in enumerate(values)}
    # As all of environ: each character stands for a byte (PEP 3333, "Unicode Issues").
    return {name: value.encode().decode("latin-1") for name, value in variables.items()}


def distinguished_name(name: Name) -> str:
    """RFC 4514: the last part comes first, and what has a meaning there is escaped."""
    parts = ["+".join(f"{_SHORT.get(kind, kind)}={_escaped(value)}" for kind, value in part) for part in name]
    return ",".join(reversed(parts))


def _escaped(value: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", value).replace("\0", r"\00")
