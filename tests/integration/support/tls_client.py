"""Certificates for a test, and a client of which every record is looked at."""

import ssl
from contextlib import suppress
from pathlib import Path

import trustme


class Authority:
    """A certificate authority whose files lie in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = trustme.CA(key_type=trustme.KeyType.ECDSA)
        self.file = folder / "ca.pem"
        self.ca.cert_pem.write_to_path(self.file)

    def server(self, name: str = "server", *hosts: str) -> Path:
        """A file with the server's certificate and its key."""
        issued = self.ca.issue_cert(*(hosts or ("localhost", "127.0.0.1")), common_name=name)
        path = self.folder / f"{name}.pem"
        issued.private_key_and_cert_chain_pem.write_to_path(path)
        return path

    def client(self, name: str, *identities: str, **details: str) -> Path:
        """A file with a client's certificate and its key."""
        issued = self.ca.issue_cert(*(identities or ("client.test",)), common_name=name, **details)
        path = self.folder / f"client-{name.encode().hex()}.pem"
        issued.private_key_and_cert_chain_pem.write_to_path(path)
        return path

    def trusting(self, client: Path | None = None, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        """For clients that trust it."""
        context = ssl.create_default_context(cafile=str(self.file))
        if version:
            context.minimum_version = context.maximum_version = version
        if client:
            context.load_cert_chain(client)
        return context


class RecordClient:
    """TLS without a socket of its own: what is written waits until it is sent, so that records can be put together."""

    def __init__(self, sock, context: ssl.SSLContext) -> None:
        self.socket = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")

    def shake_hands(self, send_last: bool = True) -> bytes:
        """Gives the last flight, which is not sent unless `send_last`."""
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.socket.sendall(self._outgoing.read())
                self._incoming.write(self.socket.recv(65536))
        last = self._outgoing.read()
        if send_last:
            self.socket.sendall(last)
        return last

    def record(self, data: bytes) -> bytes:
        """A record, not sent."""
        self.tls.write(data)
        return self._outgoing.read()

    def close_notify(self) -> bytes:
        """The record that says that no more will come, not sent."""
        with suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self._outgoing.read()

    def read(self) -> bytes:
        """The next bytes; b"" after close_notify; ssl.SSLEOFError if the connection ends without it."""
        while True:
            try:
                return self.tls.read(65536)
            except ssl.SSLWantReadError:
                data = self.socket.recv(65536)
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            except ssl.SSLZeroReturnError:
                return b""
