"""What both WSGI sketches share: a connection that parses, and the gateway. No design to copy."""

import io
import socket
import sys
from pathlib import Path
from urllib.parse import unquote_to_bytes

import httptools

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import apps

HEAD = b"Server: unicorn\r\nDate: Tue, 24 Nov 2026 00:00:00 GMT\r\n"
BASE = {
    "SCRIPT_NAME": "",
    "SERVER_NAME": "127.0.0.1",
    "SERVER_PORT": "80",
    "SERVER_SOFTWARE": "unicorn",
    "wsgi.errors": sys.stderr,
    "wsgi.input_terminated": True,
    "wsgi.multiprocess": True,
    "wsgi.multithread": False,
    "wsgi.run_once": False,
    "wsgi.url_scheme": "http",
    "wsgi.version": (1, 0),
}
KEYS = {}  # field name -> key of the environ


def listen(port):
    listener = socket.create_server(("127.0.0.1", port), backlog=2048)
    listener.setblocking(False)
    return listener


def accept(listener):
    """The connections that wait, 64 at most, ready to be polled."""
    for _ in range(64):
        try:
            sock, address = listener.accept()
        except BlockingIOError:
            return
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield Connection(sock, address)


def environ_key(name):
    key = name.decode("latin1").upper().replace("-", "_")
    if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        key = "HTTP_" + key
    KEYS[name] = key
    return key


class Connection:
    __slots__ = ("address", "body", "environ", "parser", "ready", "sock", "target")

    def __init__(self, sock, address):
        self.sock = sock
        self.address = address
        self.parser = httptools.HttpRequestParser(self)
        self.ready = []  # requests that are complete

    def on_message_begin(self):
        self.environ = BASE.copy()
        self.target = self.body = b""

    def on_url(self, data):
        self.target += data

    def on_header(self, name, value):
        key = KEYS.get(name) or environ_key(name)
        environ = self.environ
        if key in environ:
            environ[key] += "," + value.decode("latin1")
        else:
            environ[key] = value.decode("latin1")

    def on_body(self, data):
        self.body += data

    def on_message_complete(self):
        parser = self.parser
        self.ready.append(
            (
                self.environ,
                self.target,
                self.body,
                parser.get_method(),
                parser.should_keep_alive(),
                parser.get_http_version(),
            )
        )

    def run(self, request):
        """Call the application: (the whole answer, None), or (its head, the blocks that are to follow)."""
        environ, target, body, method, keep, version = request
        path, _, query = target.partition(b"?")
        environ["REQUEST_METHOD"] = method.decode("latin1")
        environ["PATH_INFO"] = (unquote_to_bytes(path) if b"%" in path else path).decode("latin1")
        environ["QUERY_STRING"] = query.decode("latin1")
        environ["RAW_URI"] = target.decode("latin1")
        environ["SERVER_PROTOCOL"] = "HTTP/" + version
        environ["REMOTE_ADDR"] = self.address[0]
        environ["REMOTE_PORT"] = str(self.address[1])
        environ["wsgi.input"] = io.BytesIO(body)
        started = []

        def start_response(status, headers, exc_info=None):
            started.append(status)
            started.append(headers)

        blocks = apps.wsgi(environ, start_response)
        status, headers = started
        lines = ["HTTP/1.1 ", status, "\r\n"]
        sized = False
        for name, value in headers:
            if name.lower() == "content-length":
                sized = True
            lines.append(f"{name}: {value}\r\n")
        head = "".join(lines).encode("latin1") + HEAD
        if not keep:
            head += b"Connection: close\r\n"
        if not sized:
            return head + b"Transfer-Encoding: chunked\r\n\r\n", blocks
        try:
            return head + b"\r\n" + b"".join(blocks), None
        finally:
            close(blocks)

    def stream(self, head, blocks):
        """Send an answer of unknown length, blocking; False where the client has gone."""
        send = self.sock.sendall
        self.sock.setblocking(True)
        try:
            send(head)
            for block in blocks:
                send(b"%x\r\n%b\r\n" % (len(block), block))
            send(b"0\r\n\r\n")
        except OSError:
            return False
        finally:
            close(blocks)
        self.sock.setblocking(False)
        return True

    def send(self, data):
        """Send an answer that fits into the socket's buffer."""
        try:
            self.sock.send(data)
        except OSError:  # the client has gone, which the poll will tell
            return


def close(blocks):
    method = getattr(blocks, "close", None)
    if method:
        method()
