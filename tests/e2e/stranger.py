"""Strangers at a coordinator's ports: sockets that say nothing, say half, say nonsense, or never stop talking.

Each Attack runs in threads of its own, from an address of its own (127.0.0.2: all of 127/8 is this machine), with a bounded
number of sockets, until `stop`. What they count is what they sent; what the coordinator makes of it is the test's to ask.
"""

import errno
import os
import resource
import select
import socket
import ssl
import struct
import threading

HERE = "127.0.0.2"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + struct.pack(">I", 0)[1:] + bytes([4, 0]) + struct.pack(">I", 0)


def raise_descriptor_limit(wanted):
    """How many sockets this process may hold after asking for `wanted`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = max(soft, min(wanted, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit


def connect(port, timeout=5, here=HERE):
    s = socket.socket()
    try:
        s.bind((here, 0))
        s.settimeout(timeout)
        s.connect(("127.0.0.1", port))
    except BaseException:
        s.close()
        raise
    return s


def tls(port, alpn="h2", certificate=None):
    """`certificate`: the path of a file with the certificate and its key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate:
        context.load_cert_chain(certificate)
    context.set_alpn_protocols([alpn])
    raw = connect(port)
    try:
        return context.wrap_socket(raw)
    except BaseException:
        raw.close()
        raise


def client_hello():
    """The first flight of a real handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    handshake = context.wrap_bio(incoming, outgoing)
    try:
        handshake.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def header_block(size):
    """Literal header fields without indexing, each with 4,000 bytes of value."""
    field = b"\x00" + b"\x06x-junk" + b"\x7f" + bytes([(4000 - 127) & 0x7f | 0x80, (4000 - 127) >> 7]) + b"a" * 4000
    return (field * (size // len(field) + 1))[:size]


class Attack:
    """`each` is called again and again by every thread; it does one thing and returns."""

    def __init__(self, name, each, threads=1):
        self.name, self._each = name, each
        self.stopping = threading.Event()
        self.did = 0           # things done
        self.bytes = 0         # sent, where it is counted
        self.cut = 0           # sockets that the other side ended
        self.errors = {}
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def __enter__(self):
        for t in self._threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for t in self._threads:
            t.join(30)

    def _run(self):
        while not self.stopping.is_set():
            try:
                self._each(self)
            except OSError as error:  # ssl.SSLError is one
                with self._lock:
                    key = errno.errorcode.get(error.errno, str(error.errno))
                    self.errors[key] = self.errors.get(key, 0) + 1
                    self.cut += 1
            self.count()

    def count(self, did=1, sent=0, cut=0):
        with self._changed:
            self.did += did
            self.bytes += sent
            self.cut += cut
            self._changed.notify_all()

    def wait_until(self, what, timeout=60):
        """Blocks until `what(self)`; the attack is really under way then."""
        with self._changed:
            if not self._changed.wait_for(lambda: what(self), timeout):
                raise AssertionError(f"{self.name}: {self}")

    def __str__(self):
        return f"{self.did} done, {self.bytes >> 10} KiB sent, {self.cut} cut by the other side, errors {self.errors}"


def until_cut(attack, s, timeout=0.1):
    """Waits for the end of a socket, or of the attack."""
    while not attack.stopping.is_set():
        if select.select([s], [], [], timeout)[0]:
            try:
                if not s.recv(65536):
                    break
            except ssl.SSLWantReadError:
                continue
    attack.count(0, cut=0 if attack.stopping.is_set() else 1)


def crowd(port, total, at_once, first=b"", name="idle"):
    """`total` connections, as many as `at_once` held, each saying `first` and nothing more. Then it keeps up the number."""
    poller, held = select.epoll(), {}

    def drop(fd):
        poller.unregister(fd)
        held.pop(fd).close()

    def each(attack):
        for _ in range(64):
            if len(held) >= at_once:
                break
            try:
                s = connect(port)
                held[s.fileno()] = s
                poller.register(s.fileno(), select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR)
                if first:
                    s.sendall(first)
            except OSError as error:
                with attack._lock:
                    key = errno.errorcode.get(error.errno, "timeout")
                    attack.errors[key] = attack.errors.get(key, 0) + 1
            attack.count(1)
        for fd, _ in poller.poll(0.05 if attack.did >= total else 0):
            s = held[fd]
            try:
                if s.recv(65536):
                    continue
            except OSError:
                pass
            drop(fd)
            attack.count(0, cut=1)
        if attack.stopping.is_set():
            for fd in list(held):
                drop(fd)

    attack = Attack(name, each)
    attack.held = held
    return attack


def talker(port, message, name, threads=4):
    """Says `message` on a new socket, waits for the end of it, does it again."""
    def each(attack):
        with connect(port) as s:
            data = message()
            s.sendall(data)
            attack.count(0, sent=len(data))
            until_cut(attack, s)
    return Attack(name, each, threads)


def garbage(port):
    return talker(port, lambda: os.urandom(16384), "garbage")


def plain_http(port):
    return talker(port, lambda: b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "plain HTTP")


def header_flood(port, name="header flood", threads=2):
    """TLS without a certificate, then a HEADERS frame and CONTINUATION frames that never end the block."""
    block = header_block(16384)
    chunk = frame(9, 0, 1, block) * 4

    def each(attack):
        with tls(port) as s:
            s.sendall(PREFACE + frame(1, 0, 1, block))
            while not attack.stopping.is_set():
                s.sendall(chunk)
                attack.count(0, sent=len(chunk))
    return Attack(name, each, threads)


def call(method):
    """A whole unary call with an empty message, on stream 1."""
    def header(name, value):
        return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value
    headers = b"".join(header(*h) for h in (
        (b":method", b"POST"), (b":scheme", b"https"), (b":path", method), (b":authority", b"localhost"),
        (b"content-type", b"application/grpc"), (b"te", b"trailers")))
    return PREFACE + frame(1, 4, 1, headers) + frame(0, 1, 1, bytes(5))


def until_answered(s):
    """Until a frame of stream 1 has come."""
    data = b""
    while True:
        while len(data) >= 9:
            length, stream = int.from_bytes(data[:3], "big"), int.from_bytes(data[5:9], "big")
            if stream == 1:
                return
            data = data[9 + length:]
        piece = s.recv(65536)
        if not piece:
            raise ConnectionResetError(errno.ECONNRESET, "no answer")
        data += piece


def header_flood_after_a_call(port, certificate):
    """An enrolled client: a call that is answered, then a block of headers that never ends."""
    block = header_block(16384)
    chunk = frame(9, 0, 3, block) * 4

    def each(attack):
        with tls(port, certificate=certificate) as s:
            s.sendall(call(b"/tributary.v1.FederationService/BeginUpload"))
            until_answered(s)
            s.sendall(frame(1, 0, 3, block))
            while not attack.stopping.is_set():
                s.sendall(chunk)
                attack.count(0, sent=len(chunk))
    return Attack("headers without end by a client", each, 2)


def long_string_flood(port, name="one endless header"):
    """The same, as one header whose value is said to have 2 GiB and comes in ordinary frames."""
    length = (1 << 31) - 127
    digits = []
    while length >= 128:
        digits.append(length & 0x7f | 0x80)
        length >>= 7
    digits.append(length)
    start = b"\x00\x06x-junk\x7f" + bytes(digits)
    chunk = frame(9, 0, 1, b"a" * 16384) * 4

    def each(attack):
        with tls(port) as s:
            s.sendall(PREFACE + frame(1, 0, 1, start))
            while not attack.stopping.is_set():
                s.sendall(chunk)
                attack.count(0, sent=len(chunk))
    return Attack(name, each, 2)
