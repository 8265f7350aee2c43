"""A real nginx before a server under test: started on free ports, its log kept, stopped."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from unicorn_core.testing.server import ServerProcess, wait_until

PLACES = (os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin")
PROGRAM = shutil.which("nginx", path=os.pathsep.join(PLACES))
needs_nginx = pytest.mark.skipif(PROGRAM is None, reason="nginx is not installed (Debian: apt-get install nginx-light)")

PARAMS = """
uwsgi_param QUERY_STRING $query_string;
uwsgi_param REQUEST_METHOD $request_method;
uwsgi_param CONTENT_TYPE $content_type;
uwsgi_param CONTENT_LENGTH $content_length;
uwsgi_param REQUEST_URI $request_uri;
uwsgi_param PATH_INFO $document_uri;
uwsgi_param DOCUMENT_ROOT $document_root;
uwsgi_param SERVER_PROTOCOL $server_protocol;
uwsgi_param REQUEST_SCHEME $scheme;
uwsgi_param HTTPS $https if_not_empty;
uwsgi_param REMOTE_ADDR $remote_addr;
uwsgi_param REMOTE_PORT $remote_port;
uwsgi_param SERVER_PORT $server_port;
uwsgi_param SERVER_NAME $server_name;
"""
"""uwsgi_params as nginx itself brings it."""

_MAIN = """
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr info;
{user}
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    {http}
}}
"""


class Nginx:
    """One nginx.

    Attributes:
        port: the first of those that it listens on, on 127.0.0.1.
        unix: None, as of a server under test that listens on TCP.
    """

    unix = None

    def __init__(self, folder: Path, http: str, ports: list[int]) -> None:
        """`http`: what stands in the block of that name."""
        assert PROGRAM
        folder.mkdir(exist_ok=True)
        (folder / "uwsgi_params").write_text(PARAMS)
        # Its workers may have to reach sockets in folders that only this user sees.
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(_MAIN.format(user=user, http=http))
        self.port = ports[0]
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [PROGRAM, "-p", f"{folder}/", "-c", "nginx.conf", "-e", "stderr"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            for port in ports:
                wait_until(lambda port=port: self._listens(port), what="that nginx listens")
        except BaseException:
            self.stop()
            print(self.log)
            raise

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def connect(self, timeout: float = 10.0) -> socket.socket:
        """A new connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def stop(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(5)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _listens(self, port: int) -> bool:
        assert self._process.poll() is None, f"nginx ended: {self.log}"
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
        except OSError:
            return False
        return True


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on just now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


def upstream(server: ServerProcess) -> str:
    """A server under test as uwsgi_pass and `server` in an upstream take it."""
    return f"unix:{server.unix}" if server.unix else f"127.0.0.1:{server.port}"


@contextmanager
def passing(server: ServerProcess, folder: Path, *lines: str, scheme: str = "") -> Iterator[Nginx]:
    """An nginx that passes everything on by the uwsgi protocol.

    Args:
        lines: further ones of its location.
        scheme: suwsgi:// for TLS.
    """
    for attempt in range(5):
        (port,) = free_ports(1)
        http = f"""
    client_max_body_size 20m;
    server {{
        listen 127.0.0.1:{port};
        server_name localhost;
        location / {{
            include uwsgi_params;
            uwsgi_pass {scheme}{upstream(server)};
            {" ".join(lines)}
        }}
    }}
"""
        try:
            nginx = Nginx(folder, http, [port])
        except AssertionError as error:
            # Somebody else was faster with the port.
            if attempt == 4 or "Address already in use" not in str(error):
                raise
        else:
            break
    try:
        yield nginx
    finally:
        nginx.stop()
        print(nginx.log)
