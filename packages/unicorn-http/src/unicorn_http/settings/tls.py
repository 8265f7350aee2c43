"""Certificates and encryption."""

from unicorn_core.settings.declaration import Setting
from unicorn_core.settings.kinds import Choice, File, Ignored, Switch, Text

_TLS = "TLS"

SETTINGS = (
    Setting(
        "certfile",
        File(),
        None,
        _TLS,
        "The server's certificate (PEM), behind it those between it and its authority; with it the listeners speak "
        "TLS. Read at start and at each reload, so that the workers' user need not be able to.",
        ("--certfile",),
    ),
    Setting(
        "keyfile",
        File(),
        None,
        _TLS,
        "The certificate's private key (PEM, not encrypted), if it is not in certfile.",
        ("--keyfile",),
    ),
    Setting(
        "ca_certs",
        File(),
        None,
        _TLS,
        "The authorities (PEM) by which the certificates of clients are checked; see cert_reqs.",
        ("--ca-certs",),
    ),
    Setting(
        "cert_reqs",
        Choice(
            ("none", "optional", "required"),
            aliases=(
                ("0", "none"),
                ("1", "optional"),
                ("2", "required"),
                ("cert_none", "none"),
                ("cert_optional", "optional"),
                ("cert_required", "required"),
            ),
        ),
        "none",
        _TLS,
        "Whether clients are asked for a certificate (also as a number from 0 to 2): none; optional, where a wrong one "
        "is refused; or required.",
        ("--cert-reqs",),
    ),
    Setting(
        "ciphers",
        Text(metavar="LIST"),
        None,
        _TLS,
        "Cipher suites of TLS 1.2 as an OpenSSL list; by default those of Python. Those of TLS 1.3 are all strong.",
        ("--ciphers",),
    ),
    Setting(
        "suppress_ragged_eofs",
        Switch(),
        True,
        _TLS,
        "Take the end of a connection for its proper end although the client did not announce it.",
        ("--suppress-ragged-eofs",),
        flag_sets=True,
    ),
    Setting(
        "ssl_version",
        Ignored(metavar="VERSION"),
        None,
        _TLS,
        "Accepted and without effect, as in gunicorn: TLS 1.2 and newer are spoken. The hook ssl_context changes that.",
        ("--ssl-version",),
    ),
    Setting(
        "do_handshake_on_connect",
        Switch(),
        False,
        _TLS,
        "Accepted and without effect: a handshake begins at once and never makes another connection wait.",
        ("--do-handshake-on-connect",),
        flag_sets=True,
    ),
)
