"""TLS on the running server, spoken by real clients."""

import ast
import hashlib
import os
import random
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from unicorn_core.testing.server import ServerProcess, wait_until

from .conftest import Wire
from .support.tls_client import Authority, RecordClient

UPLOAD = random.Random(5).randbytes(5 * 1024 * 1024)
HELLO = b"GET /hello HTTP/1.1\r\nHost: test\r\n\r\n"
TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
linux = pytest.mark.skipif(sys.platform != "linux", reason="the socket buffers are Linux's")


class TlsWire(Wire):
    """A Wire over TLS. `before` is sent in front of it; an end without close_notify is an error."""

    def __init__(self, server: ServerProcess, context: ssl.SSLContext, before: bytes = b"", **options) -> None:
        sock = server.connect(options.pop("timeout", 15.0))
        sock.sendall(before)
        self.socket = context.wrap_socket(sock, server_hostname="localhost", suppress_ragged_eofs=False, **options)
        self.seen = b""

    @property
    def common_name(self) -> str:
        """Of the server's certificate."""
        return dict(part[0] for part in self.socket.getpeercert()["subject"])["commonName"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def certificate(authority) -> Path:
    return authority.server()


@pytest.fixture
def start(serve, apps, certificate) -> Callable[..., ServerProcess]:
    """A server of the wire application that speaks TLS."""

    def start(*arguments: str, certfile: Path | None = certificate, **options) -> ServerProcess:
        tls = ["--certfile", str(certfile)] if certfile else []
        return serve("", *tls, *arguments, application="wire_app:app", cwd=apps, **options)

    return start


@pytest.fixture(params=["tls1.2", "tls1.3", "unix"])
def version(request) -> str:
    return request.param


@pytest.fixture
def server(
    version: str,
    certificate: Path,
    shared_server: Callable[..., ServerProcess],
    shows_output: Callable[[ServerProcess], ServerProcess],
    tmp_path_factory: pytest.TempPathFactory,
) -> ServerProcess:
    unix = tmp_path_factory.getbasetemp() / "tls.sock" if version == "unix" else None
    return shows_output(shared_server("wire_app:app", "--certfile", str(certificate), "--keep-alive", "20", unix=unix))


@pytest.fixture
def secure(authority) -> Iterator[Callable[..., TlsWire]]:
    """Open connections over TLS: `secure(server)`."""
    opened: list[TlsWire] = []

    def connect(server: ServerProcess, context: ssl.SSLContext | None = None, **options) -> TlsWire:
        opened.append(TlsWire(server, context or authority.trusting(), **options))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


@pytest.fixture
def connection(server, version, authority, secure) -> TlsWire:
    """To the shared server."""
    return secure(server, authority.trusting(version=TLS_1_2 if version == "tls1.2" else TLS_1_3))


@pytest.fixture
def records(server, version, authority) -> Iterator[RecordClient]:
    """To the shared server; the handshake is still to be made."""
    with server.connect() as sock:
        yield RecordClient(sock, authority.trusting(version=TLS_1_2 if version == "tls1.2" else TLS_1_3))


def environ_of(connection: Wire) -> dict:
    return ast.literal_eval(connection.get("/environ").body.decode())


# Requests and answers


def test_the_application_sees_https(connection, version):
    environ = environ_of(connection)
    assert environ["wsgi.url_scheme"] == "https"
    assert environ["HTTPS"] == "on"
    assert environ["SSL_PROTOCOL"] == ("TLSv1.2" if version == "tls1.2" else "TLSv1.3")
    assert environ["SSL_CIPHER"] == connection.socket.cipher()[0]
    assert environ["SSL_CLIENT_VERIFY"] == "NONE"
    assert "SSL_CLIENT_S_DN" not in environ
    assert environ["REMOTE_ADDR"] == ("" if version == "unix" else "127.0.0.1")


def test_requests_with_the_same_fields_stay_https(connection):
    assert [environ_of(connection)["wsgi.url_scheme"] for _ in range(4)] == ["https"] * 4


def test_the_connection_is_kept(connection):
    for _ in range(20):
        assert connection.get("/hello").body == b"hello"


def test_the_client_ends_it_and_the_server_says_so_properly(connection):
    answer = connection.get("/hello", "Connection: close")
    assert answer["connection"] == "close"
    assert connection.rest() == b""  # with close_notify, or it would be an error


def test_a_body_that_ends_with_the_connection_ends_properly(connection):
    answer = connection.get("/blocks", version="1.0")
    assert answer.body == b"one,two,three"


def test_pipelined_requests_are_answered_in_order(connection):
    connection.send(HELLO * 200)
    assert [connection.answer().body for _ in range(200)] == [b"hello"] * 200


@pytest.mark.each_worker_class
@pytest.mark.parametrize("size", [1, 16383, 16384, 16385, 65536, len(UPLOAD)])
def test_bodies_of_every_size_go_both_ways(connection, size):
    for _ in range(2):
        assert connection.get("/echo", method="POST", body=UPLOAD[:size]).body == UPLOAD[:size]


@pytest.mark.each_worker_class
def test_a_client_that_reads_late_gets_everything(connection):
    connection.ask("/big?8000000")
    time.sleep(0.3)
    assert len(connection.answer().body) == 8_000_000
    connection.ask("/big-stream?8388608")
    time.sleep(0.3)
    assert len(connection.answer().body) == 8_388_608
    assert connection.get("/hello").body == b"hello"


@pytest.mark.each_worker_class
def test_large_answers_to_pipelined_requests(connection):
    connection.send(b"GET /big?300000 HTTP/1.1\r\nHost: a\r\n\r\n" * 20)
    assert [len(connection.answer().body) for _ in range(20)] == [300_000] * 20


def test_a_file_is_sent(connection, tmp_path):
    (tmp_path / "file").write_bytes(UPLOAD)
    answer = connection.get(f"/file?{tmp_path}/file|1000|")
    assert answer["content-length"] == str(len(UPLOAD) - 1000)
    assert hashlib.sha1(answer.body).digest() == hashlib.sha1(UPLOAD[1000:]).digest()
    assert connection.get("/hello").body == b"hello"


def test_a_client_that_expects_100_continue(connection):
    connection.ask("/echo", "Expect: 100-continue", "Content-Length: 3", method="POST")
    assert connection.head() == b"HTTP/1.1 100 Continue"
    connection.send(b"abc")
    assert connection.answer().body == b"abc"


@pytest.mark.each_worker_class
def test_an_answer_that_breaks_off_is_seen_to(connection):
    connection.ask("/raises-later?tls", version="1.0")
    with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
        connection.rest()


@pytest.mark.each_worker_class
def test_an_unread_body_does_not_cost_the_answer(connection):
    connection.ask("/unread", f"Content-Length: {len(UPLOAD)}", method="POST")
    connection.send(UPLOAD[:200_000])
    answer = connection.answer()
    assert answer.body == b"not read"
    assert answer["connection"] == "close"
    assert connection.rest() == b""


# Records


def test_requests_in_records_of_single_bytes(connection):
    for byte in b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc":
        connection.send(bytes([byte]))
    assert connection.answer().body == b"abc"


def test_records_that_arrive_in_pieces(records):
    records.shake_hands()
    for byte in records.record(HELLO):
        records.socket.sendall(bytes([byte]))
    assert records.read().endswith(b"hello")


def test_a_request_that_comes_with_the_end_of_the_handshake(records):
    last = records.shake_hands(send_last=False)
    records.socket.sendall(last + records.record(HELLO))
    assert records.read().endswith(b"hello")


@pytest.mark.each_worker_class
@pytest.mark.parametrize("count", [2, 50])
def test_records_that_come_together_are_all_read(records, count):
    """Bytes that OpenSSL had taken from the socket, and nobody from OpenSSL, would be waited for in vain."""
    records.shake_hands()
    records.socket.sendall(b"".join(records.record(HELLO) for _ in range(count)))
    seen = b""
    while seen.count(b"hello") < count:
        seen += records.read()


def test_a_body_in_full_records_that_come_together(records):
    records.shake_hands()
    body = UPLOAD[: 16384 * 9 + 5]
    head = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
    records.socket.sendall(
        records.record(head) + b"".join(records.record(body[at : at + 16384]) for at in range(0, len(body), 16384))
    )
    seen = b""
    while not seen.endswith(body[-100:]):
        seen += records.read()
    assert seen.endswith(body)


def test_a_client_that_says_goodbye_with_its_request_is_answered(records):
    """As browsers and proxies may: close_notify in one direction leaves the other open (RFC 8446 section 6.1)."""
    records.shake_hands()
    records.socket.sendall(records.record(HELLO) + records.close_notify())
    seen = b""
    while piece := records.read():
        seen += piece
    assert seen.endswith(b"hello")


def test_a_client_that_says_goodbye_is_let_go(records):
    records.shake_hands()
    records.socket.sendall(records.close_notify())
    assert records.read() == b""


def test_garbage_in_place_of_a_record_ends_the_connection(records):
    records.shake_hands()
    records.socket.sendall(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        records.read()


@pytest.mark.each_worker_class
def test_a_client_that_is_gone_in_every_stage(server, authority, secure):
    before = server.output.count("Traceback")
    for stage in range(5):
        with server.connect() as sock:
            client = RecordClient(sock, authority.trusting())
            if stage == 1:
                sock.sendall(b"\x16\x03\x01")
            elif stage > 1:
                client.shake_hands(send_last=stage > 2)
                if stage == 4:
                    sock.sendall(client.record(HELLO)[:-3])
            if stage % 2:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert secure(server).get("/hello").body == b"hello"
    assert server.output.count("Traceback") == before


@pytest.mark.each_worker_class
def test_a_crowd_that_is_gone_before_it_is_accepted(server, authority, secure):
    """TLS over a connection that was reset closes the descriptor, and the next connection has the same number."""
    hello = client_hello(authority)
    kept = secure(server)
    for _ in range(20):
        crowd = [server.connect() for _ in range(20)]
        for sock in crowd:
            sock.sendall(hello)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        assert kept.get("/hello").body == b"hello"
    assert secure(server).get("/hello").body == b"hello"
    assert server.output.count("Booting worker") == 1


@pytest.mark.parametrize("version", ["tls1.3"])
@pytest.mark.parametrize("repeat", [1, 30])
def test_new_keys_that_the_client_asks_for(server, repeat):
    """KeyUpdate (RFC 8446 section 4.6.3), which makes reading write."""
    told = ["K\n"] * repeat + ["GET /hello HTTP/1.1\nHost: a\n\n"]
    answer = s_client(server, told, "hello", "-tls1_3")
    assert 0 < answer.count("KEYUPDATE") <= repeat  # two that are typed too fast are one
    assert "HTTP/1.1 200 OK" in answer


@pytest.mark.parametrize("version", ["tls1.2"])
def test_a_renegotiation_is_not_taken_part_in(server):
    answer = s_client(server, ["R\n", "GET /hello HTTP/1.1\nHost: a\n\n"], "no renegotiation", "-tls1_2")
    assert "RENEGOTIATING" in answer
    assert "hello" not in answer


def s_client(server: ServerProcess, told: list[str], awaited: str, *options: str) -> str:
    """What `openssl s_client` prints up to what is `awaited`.

    It takes a letter for a command if that comes as the first of what it reads, once the handshake is done; nothing
    shows that reliably, so that it is given more and more time.
    """
    command = ["openssl", "s_client", "-crlf", "-connect", f"127.0.0.1:{server.port}", *options]
    for pause in (0.05, 0.3, 1.0):
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True) as process:
            assert process.stdin
            time.sleep(pause * 10)
            with suppress(BrokenPipeError):
                for words in told:
                    process.stdin.write(words)
                    process.stdin.flush()
                    time.sleep(pause)
            time.sleep(pause * 3)
            printed = process.communicate(timeout=10)[0]
        if awaited in printed:
            break
    return printed


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl(server, version, authority, tmp_path):
    body = tmp_path / "body"
    body.write_bytes(UPLOAD)
    way = ["--unix-socket", server.unix] if server.unix else []
    url = f"https://localhost:{server.port or 443}"
    command = ["curl", "-sS", "--max-time", "20", "--cacert", str(authority.file), *way]
    done = subprocess.run(
        [*command, f"{url}/hello", "--data-binary", f"@{body}", f"{url}/echo"], capture_output=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == b"hello" + UPLOAD


# Handshakes


@pytest.mark.each_worker_class
@pytest.mark.parametrize("version", ["tls1.3"])
def test_fifty_slow_handshakes_disturb_nobody(server, authority, secure):
    hello = client_hello(authority)
    slow = [server.connect() for _ in range(50)]
    for number, sock in enumerate(slow):
        sock.sendall(hello[: number * 5])
    other = secure(server)
    began = time.monotonic()
    for _ in range(20):
        assert other.get("/hello").body == b"hello"
        assert secure(server).get("/hello").body == b"hello"
    assert time.monotonic() - began < 3.0
    for sock in slow:
        sock.close()


def client_hello(authority: Authority) -> bytes:
    outgoing = ssl.MemoryBIO()
    tls = authority.trusting().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def test_a_handshake_has_a_time(start, authority, secure):
    server = start("--request-head-timeout", "1")
    hello = client_hello(authority)
    slow = [server.connect() for _ in range(3)]
    slow[1].sendall(hello[:100])
    slow[2].sendall(hello)
    slow[2].recv(65536)
    began = time.monotonic()
    for sock in slow:
        while sock.recv(65536):
            pass
    assert 0.5 < time.monotonic() - began < 4.0
    assert secure(server).get("/hello").body == b"hello"


@pytest.mark.parametrize("version", ["tls1.3"])
@pytest.mark.parametrize("obsolete", ["TLSv1", "TLSv1_1"])
def test_obsolete_versions_are_refused(server, authority, obsolete):
    context = authority.trusting()
    with pytest.warns(DeprecationWarning, match=obsolete):
        context.minimum_version = context.maximum_version = ssl.TLSVersion[obsolete]
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionResetError)), server.connect() as sock:
        context.wrap_socket(sock, server_hostname="localhost")
    server.wait_for("TLS handshake with 127.0.0.1 failed: unsupported protocol")


@pytest.mark.parametrize("version", ["tls1.3"])
def test_a_client_that_does_not_trust_the_server_is_told_of_in_the_log(server):
    with pytest.raises(ssl.SSLError), server.connect() as sock:
        ssl.create_default_context().wrap_socket(sock, server_hostname="localhost")
    server.wait_for("TLS handshake with 127.0.0.1 failed: tlsv1 alert unknown ca")


@pytest.mark.parametrize("version", ["tls1.3"])
def test_http_1_1_is_agreed_on(server, authority, secure):
    context = authority.trusting()
    context.set_alpn_protocols(["h2", "http/1.1"])
    assert secure(server, context).socket.selected_alpn_protocol() == "http/1.1"


@pytest.mark.parametrize(
    "request_",
    [HELLO, b"OPTIONS * HTTP/1.1\r\n\r\n", b"\r\n\r\n", b"G", b"CONNECT a:1 HTTP/1.1\r\n\r\n" + b"x" * 50_000],
)
def test_plain_http_is_told_to_use_https(server, wire, request_):
    connection = wire(server)
    connection.send(request_)
    answer = connection.answer()
    assert answer.status == 400
    assert answer["connection"] == "close"
    assert answer["content-type"].startswith("text/plain")
    assert b"https" in answer.body
    assert connection.rest() == b""


def test_a_session_is_resumed_by_another_worker(start, authority):
    server = start("--workers", "3", "--reuse-port")
    context = authority.trusting(version=TLS_1_2)
    session, resumed = None, 0
    for _ in range(12):
        with context.wrap_socket(server.connect(), server_hostname="localhost", session=session) as sock:
            sock.sendall(HELLO)
            assert sock.recv(65536)
            resumed += sock.session_reused
            session = session or sock.session
    assert resumed == 11


# Certificates of clients


def test_a_clients_certificate_is_told_of_in_environ(start, authority, secure):
    server = start("--ca-certs", str(authority.file), "--cert-reqs", "2")
    client = authority.client("Zo\xeb, Inc", "a.test", "b.test", "zoe@mail.test", organization_name="Some")
    environ = environ_of(secure(server, authority.trusting(client)))
    assert environ["SSL_CLIENT_VERIFY"] == "SUCCESS"
    name = "CN=Zo\xc3\xab\\, Inc"
    assert environ["SSL_CLIENT_S_DN"].startswith(name)
    assert environ["SSL_CLIENT_S_DN"].endswith("O=Some")
    assert environ["SSL_CLIENT_S_DN_CN"] == "Zo\xc3\xab, Inc"
    assert "O=trustme" in environ["SSL_CLIENT_I_DN"]
    assert environ["SSL_CLIENT_SAN_DNS_0"] == "a.test"
    assert environ["SSL_CLIENT_SAN_DNS_1"] == "b.test"
    assert environ["SSL_CLIENT_SAN_Email_0"] == "zoe@mail.test"
    assert environ["SSL_CLIENT_CERT"].encode() in client.read_bytes().replace(b"\r", b"")
    assert int(environ["SSL_CLIENT_M_SERIAL"], 16)
    assert environ["SSL_CLIENT_V_END"].endswith("GMT")


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3])
def test_without_the_required_certificate_nobody_gets_in(start, authority, secure, tmp_path, version):
    server = start("--ca-certs", str(authority.file), "--cert-reqs", "required")
    stranger = Authority(tmp_path).client("stranger")
    for client in (None, stranger):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            secure(server, authority.trusting(client, version)).get("/hello")
    server.wait_for("failed: peer did not return a certificate")
    server.wait_for("failed: certificate verify failed")
    assert secure(server, authority.trusting(authority.client("known"), version)).get("/hello").body == b"hello"


def test_a_certificate_may_be_optional(start, authority, secure, tmp_path):
    server = start("--ca-certs", str(authority.file), "--cert-reqs", "optional")
    assert environ_of(secure(server))["SSL_CLIENT_VERIFY"] == "NONE"
    known = authority.trusting(authority.client("known"))
    assert environ_of(secure(server, known))["SSL_CLIENT_S_DN_CN"] == "known"
    with pytest.raises((ssl.SSLError, ConnectionError)):
        secure(server, authority.trusting(Authority(tmp_path).client("stranger"))).get("/hello")


def test_a_field_cannot_pretend_a_certificate(connection):
    connection.ask("/environ", "SSL_CLIENT_VERIFY: SUCCESS", "SSL-CLIENT-VERIFY: SUCCESS", "HTTPS: off")
    environ = ast.literal_eval(connection.answer().body.decode())
    assert environ["SSL_CLIENT_VERIFY"] == "NONE"
    assert environ["HTTPS"] == "on"


# Life of the server


def test_a_reload_brings_the_new_certificate_and_breaks_no_connection(start, authority, secure, tmp_path):
    certfile = tmp_path / "live.pem"
    shutil.copy(authority.server("first"), certfile)
    server = start("--keep-alive", "20", certfile=certfile)
    old = secure(server)
    assert old.common_name == "first"
    shutil.copy(authority.server("second"), certfile)
    server.signal(1)
    server.wait_for("generation 2 serves")
    assert old.get("/hello").body == b"hello"
    wait_until(lambda: secure(server).common_name == "second", what="the new certificate")


def test_a_reload_with_a_broken_certificate_leaves_everything_as_it_is(start, authority, secure, tmp_path):
    certfile = tmp_path / "live.pem"
    shutil.copy(authority.server("first"), certfile)
    server = start(certfile=certfile)
    certfile.write_text("no certificate")
    server.signal(1)
    server.wait_for("must hold a certificate and its key in PEM form")
    assert secure(server).common_name == "first"
    # Also a worker that is born afterwards has it.
    (worker,) = server.worker_pids()
    os.kill(worker, 9)
    wait_until(lambda: server.worker_pids() not in ([worker], []), what="a new worker")
    assert secure(server).common_name == "first"


@pytest.mark.each_worker_class
def test_a_graceful_stop_finishes_what_is_under_way(start, secure, tmp_path):
    server = start("--keep-alive", "2")
    idle, busy, silent = secure(server), secure(server), server.connect()
    assert idle.get("/hello").body == b"hello"
    busy.ask(f"/gate?{tmp_path}/go")
    wait_until((tmp_path / "go.begun").exists, what="the request")
    server.signal(15)
    (tmp_path / "go").touch()
    answer = busy.answer()
    assert answer.body == b"through"
    assert busy.rest() == b""
    silent.close()
    assert idle.rest() == b""
    assert server.wait() == 0


def test_idle_connections_are_ended_properly(start, secure):
    server = start("--keep-alive", "1")
    connection = secure(server)
    assert connection.get("/hello").body == b"hello"
    assert connection.rest() == b""


@linux
def test_a_client_that_does_not_read_does_not_take_a_part_for_the_whole(start, secure):
    server = start("--response-write-timeout", "1")
    connection = secure(server)
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.ask("/big?20000000", version="1.0")
    time.sleep(3.5)
    with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
        connection.rest()


# Behind the PROXY protocol


@pytest.mark.parametrize("header", ["v1", "v2"])
def test_a_proxy_header_stands_before_tls(start, authority, secure, header):
    server = start("--proxy-protocol")
    packed = socket.inet_aton("192.0.2.7") + socket.inet_aton("198.51.100.1") + struct.pack("!HH", 1234, 443)
    before = {
        "v1": b"PROXY TCP4 192.0.2.7 198.51.100.1 1234 443\r\n",
        "v2": b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + packed,
    }[header]
    environ = environ_of(secure(server, before=before))
    assert (environ["REMOTE_ADDR"], environ["PROXY_PORT"]) == ("192.0.2.7", "443")
    assert (environ["HTTPS"], environ["wsgi.url_scheme"]) == ("on", "https")
    with server.connect() as sock:
        # In one segment, and in single bytes.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(before + client_hello(authority))
        assert sock.recv(1) == b"\x16"
    with server.connect() as sock:
        for byte in before + client_hello(authority):
            sock.sendall(bytes([byte]))
        assert sock.recv(1) == b"\x16"
    with server.connect() as sock:
        sock.sendall(before + HELLO)
        assert sock.recv(65536).startswith(b"HTTP/1.1 400 ")
    with server.connect() as sock:
        sock.sendall(client_hello(authority) + before)
        with suppress(ConnectionResetError):
            assert sock.recv(1) == b""


# Settings


@pytest.fixture
def refused(start) -> Callable[..., str]:
    """What the server says at its end, at start and by --check-config; it must be one line."""

    def refused(*arguments: str, **options) -> str:
        said = []
        for extra in ([], ["--check-config"]):
            server = start(*arguments, *extra, ready=False, **options)
            assert server.wait() == 1
            assert "Traceback" not in server.output
            said.append(server.output.strip().splitlines()[-1])
        assert said[0] == said[1]
        return said[0]

    return refused


def test_settings_that_do_not_go_together(refused, certificate, authority, tmp_path):
    empty = tmp_path / "empty.pem"
    empty.touch()
    other = authority.server("other")
    key = Authority(tmp_path).server("key")
    assert "setting certfile = '/nowhere.pem'" in refused(certfile=Path("/nowhere.pem"))
    assert "No such file" in refused(certfile=Path("/nowhere.pem"))
    assert "must hold a certificate and its key" in refused(certfile=empty)
    assert "setting keyfile" in refused("--keyfile", "/nowhere.pem")
    assert "does not belong to the key in" in refused("--keyfile", str(key))
    assert "needs certfile" in refused("--keyfile", str(other), certfile=None)
    assert "setting ca_certs" in refused("--ca-certs", str(empty))
    assert "needs ca_certs" in refused("--cert-reqs", "1")
    assert "setting cert_reqs" in refused("--cert-reqs", "1", certfile=None)
    assert "one of none, optional, required" in refused("--cert-reqs", "3")
    assert "setting ciphers = 'NONSENSE'" in refused("--ciphers", "NONSENSE")


def test_an_encrypted_key_is_refused_rather_than_asking_for_its_password(refused, certificate, tmp_path):
    encrypted = tmp_path / "encrypted.pem"
    subprocess.run(
        ["openssl", "ec", "-aes128", "-passout", "pass:secret", "-in", str(certificate), "-out", str(encrypted)],
        check=True, capture_output=True, timeout=20,
    )  # fmt: skip
    assert "the key is encrypted" in refused("--keyfile", str(encrypted))


def test_the_key_may_have_its_own_file_and_a_relative_path(serve, apps, authority, secure, tmp_path):
    whole = authority.server("split").read_text()
    at = whole.index("-----BEGIN CERT")
    (tmp_path / "key.pem").write_text(whole[:at])
    (tmp_path / "cert.pem").write_text(whole[at:])
    server = serve(
        "", "--certfile", "cert.pem", "--keyfile", "key.pem", "--chdir", str(apps),
        application="wire_app:app", cwd=tmp_path,
    )  # fmt: skip
    assert secure(server).common_name == "split"
    server.signal(1)  # by now the arbiter is in another folder
    server.wait_for("generation 2 serves")
    assert secure(server).common_name == "split"


def test_gunicorns_settings_are_accepted_as_they_are(serve, apps, authority, secure, certificate, tmp_path):
    (tmp_path / "gunicorn.conf.py").write_text(
        "import ssl\n"
        f"certfile = {str(certificate)!r}\nkeyfile = {str(certificate)!r}\nca_certs = {str(authority.file)!r}\n"
        "cert_reqs = ssl.CERT_OPTIONAL\nssl_version = ssl.PROTOCOL_TLS_SERVER\ndo_handshake_on_connect = True\n"
        "suppress_ragged_eofs = True\nciphers = 'ECDHE+AESGCM'\n"
        "def ssl_context(conf, default_ssl_context_factory):\n"
        "    context = default_ssl_context_factory()\n"
        "    context.minimum_version = ssl.TLSVersion.TLSv1_3\n"
        "    assert conf.certfile\n"
        "    return context\n"
    )
    server = serve("", "-c", str(tmp_path / "gunicorn.conf.py"), application="wire_app:app", cwd=apps)
    assert environ_of(secure(server))["SSL_PROTOCOL"] == "TLSv1.3"
    with pytest.raises(ssl.SSLError):
        secure(server, authority.trusting(version=TLS_1_2))
    assert "Listening at: https://127.0.0.1:" in server.output


@pytest.mark.parametrize(
    ("body", "said"),
    [("return None", "must return an ssl.SSLContext, not NoneType"), ("1 / 0", "raised ZeroDivisionError")],
)
def test_a_hook_that_gives_no_context(serve, apps, certificate, tmp_path, body, said):
    (tmp_path / "conf.py").write_text(f"def ssl_context(conf, default_ssl_context_factory):\n    {body}\n")
    server = serve(
        "", "-c", str(tmp_path / "conf.py"), "--certfile", str(certificate),
        application="wire_app:app", cwd=apps, ready=False,
    )  # fmt: skip
    assert server.wait() == 1
    assert f"hook ssl_context {said}" in server.output


@pytest.mark.only_worker_class(
    "sync", "gthread", reason="the user of the workers may be unable to import more than that"
)
def test_a_key_that_only_the_arbiter_can_read(serve, secure, certificate, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    private = tmp_path / "private.pem"
    shutil.copy(certificate, private)
    private.chmod(0o600)
    # The application is there before the workers lose what they could import from a folder of root's.
    (tmp_path / "conf.py").write_text(
        "import sys, types\n"
        "def app(environ, start):\n    start('200 OK', [('Content-Length', '5')])\n    return [b'hello']\n"
        "sys.modules['inline'] = types.SimpleNamespace(app=app)\n"
    )
    options = ("-c", str(tmp_path / "conf.py"), "--certfile", str(private), "--user", "65534", "--group", "65534")
    server = serve("", *options, application="inline:app")
    assert secure(server).get("/hello").body == b"hello"


@pytest.mark.only_worker_class("sync", "gthread", reason="gevent and eventlet import it, to patch it")
def test_without_tls_the_module_ssl_is_not_imported(serve, tmp_path):
    server = serve(
        "import sys\n"
        "def app(environ, start):\n"
        "    start('200 OK', [])\n"
        "    return [b'ssl' if 'ssl' in sys.modules else b'none']\n"
    )
    assert server.get() == b"none"
