"""The reference foreign client: joins, trains and uploads from docs/protocol.md and the .proto files alone.

It shares no code with Tributary. Python's grpcio, cryptography and numpy are all it needs; the stubs are generated from
protos/ when it is imported. Kept plain on purpose: it is what somebody who writes a client in another language reads.
"""

import base64
import hashlib
import os
import queue
import struct
import subprocess
import sys
import tempfile
import threading

import grpc
import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def _generate_stubs():
    out = tempfile.mkdtemp(prefix="tributary-stubs-")
    protos = os.path.join(_TOP, "protos")
    names = ["model", "plan", "update", "authority", "enrolment", "federation", "operator"]
    subprocess.run(["protoc", f"-I{protos}", f"--python_out={out}", f"--grpc_out={out}",
                    "--plugin=protoc-gen-grpc=/usr/bin/grpc_python_plugin"] +
                   [f"{protos}/tributary/v1/{n}.proto" for n in names], check=True)
    sys.path.insert(0, out)
    return out


_STUBS = _generate_stubs()

from tributary.v1 import enrolment_pb2, enrolment_pb2_grpc  # noqa: E402
from tributary.v1 import federation_pb2, federation_pb2_grpc  # noqa: E402
from tributary.v1 import model_pb2, plan_pb2, update_pb2  # noqa: E402

CHUNK = 262144
# The transport settings of docs/protocol.md.
OPTIONS = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 262144), ("grpc.keepalive_time_ms", 20000),
           ("grpc.keepalive_timeout_ms", 8000)]


def remove_stubs():
    import shutil
    shutil.rmtree(_STUBS, ignore_errors=True)


def sha256_hex(data):
    return hashlib.sha256(data).hexdigest()


# ---- joining


class Invitation:
    """trb1_ + base64url of: role (1), main, enrolment, CA as DER, token id (each u16 length + bytes), secret (32),
    expiry (u64 ms), checksum (first 4 bytes of the SHA-256 of everything before it). Little-endian."""

    def __init__(self, text):
        text = text.strip()
        if not text.startswith("trb1_"):
            raise ValueError("not an invitation")
        body = text[5:]
        raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
        if hashlib.sha256(raw[:-4]).digest()[:4] != raw[-4:]:
            raise ValueError("garbled invitation")
        at = 1
        fields = []
        for _ in range(4):
            (length,) = struct.unpack_from("<H", raw, at)
            fields.append(raw[at + 2:at + 2 + length])
            at += 2 + length
        self.role = raw[0]
        self.main, self.enrol = fields[0].decode(), fields[1].decode()
        self.ca_pem = x509.load_der_x509_certificate(fields[2]).public_bytes(serialization.Encoding.PEM)
        self.token_id = fields[3].decode()
        self.secret = raw[at:at + 32]


class Identity:
    """A key made here, and the certificate that the federation issued for it."""

    def __init__(self, invitation_text, key=None):
        self.invitation = Invitation(invitation_text)
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ignored by the coordinator")])
        csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(self.key, hashes.SHA256())
        self.csr_pem = csr.public_bytes(serialization.Encoding.PEM).decode()

    def enrol(self):
        channel = grpc.secure_channel(self.invitation.enrol,
                                      grpc.ssl_channel_credentials(root_certificates=self.invitation.ca_pem))
        with channel:
            answer = enrolment_pb2_grpc.EnrolmentServiceStub(channel).Enrol(
                enrolment_pb2.EnrolRequest(token_id=self.invitation.token_id, secret=self.invitation.secret,
                                           csr_pem=self.csr_pem, version="foreign/1", protocol_version=1), timeout=20)
        self.certificate_pem = answer.certificate_pem.encode()
        self.client_id, self.name, self.federation = answer.id, answer.name, answer.federation
        certificate = x509.load_pem_x509_certificate(self.certificate_pem)
        self.certificate_sha256 = sha256_hex(certificate.public_bytes(serialization.Encoding.DER))
        return self

    def key_pem(self):
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())

    def save(self, path):
        """Certificate and key in one file, as Python's ssl takes them."""
        with open(path, "wb", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
            f.write(self.certificate_pem + self.key_pem())

    def channel(self):
        credentials = grpc.ssl_channel_credentials(self.invitation.ca_pem, self.key_pem(), self.certificate_pem)
        return grpc.secure_channel(self.invitation.main, credentials, OPTIONS)

    def sign(self, data):
        return self.key.sign(data, ec.ECDSA(hashes.SHA256()))


# ---- what is signed


def _field(value):
    data = struct.pack("<Q", value) if isinstance(value, int) else value.encode()
    return struct.pack("<Q", len(data)) + data


def record_fields(r):
    return b"".join(_field(v) for v in (
        r.federation, r.run_id, r.round, r.task_id, r.client_id, r.certificate_sha256, r.base_model_sha256,
        r.plan_sha256, r.update_sha256, r.encoding, r.length, r.examples, r.metrics_sha256))


def update_bytes_to_sign(record):
    return b"tributary/update/v1\0" + record_fields(record)


def receipt_bytes_to_sign(receipt):
    return (b"tributary/receipt/v1\0" + record_fields(receipt.record) + _field(receipt.previous_record_sha256) +
            _field(receipt.accepted_unix_ms))


def verify_receipt(receipt, receipt_certificate_pem):
    certificate = x509.load_pem_x509_certificate(receipt_certificate_pem.encode())
    certificate.public_key().verify(receipt.signature, receipt_bytes_to_sign(receipt), ec.ECDSA(hashes.SHA256()))


# ---- a session


class Session:
    """Hello, then tasks as they come. One reader thread fills a queue; the caller takes what it needs."""

    def __init__(self, identity, examples, shape, num_classes, classes=(), held=(), heads=()):
        self.identity = identity
        self.channel = identity.channel()
        self.stub = federation_pb2_grpc.FederationServiceStub(self.channel)
        self._up = queue.Queue()
        self._down = queue.Queue()
        hello = federation_pb2.Hello(
            protocol_version=1, version="foreign/1", engine="foreign/numpy/float32",
            dataset=federation_pb2.DatasetFacts(examples=examples, shape=shape, classes=classes, num_classes=num_classes),
            held=held, heads=heads)
        self._up.put(federation_pb2.ClientMessage(hello=hello))
        self._call = self.stub.OpenSession(iter(self._up.get, None))
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.welcome = self._next("welcome")
        self._beats = threading.Event()
        self._heart = threading.Thread(target=self._beat, args=(self.welcome.heartbeat_interval_ms / 1000,), daemon=True)
        self._heart.start()

    def _read(self):
        try:
            for message in self._call:
                self._down.put(message)
            self._down.put(None)
        except grpc.RpcError as error:
            self._down.put(error)

    def _beat(self, interval):
        sequence = 0
        while not self._beats.wait(interval):
            sequence += 1
            self._up.put(federation_pb2.ClientMessage(heartbeat=federation_pb2.Heartbeat(sequence=sequence)))

    def _next(self, kind, timeout=60):
        """The next message of this kind; others before it are dropped. Raises the stream's error when it ends."""
        while True:
            message = self._down.get(timeout=timeout)
            if message is None:
                raise EOFError("the coordinator ended the session")
            if isinstance(message, Exception):
                raise message
            if message.WhichOneof("kind") == kind:
                return getattr(message, kind)

    def next_task(self, timeout=60):
        return self._next("task", timeout)

    def wait_end(self, timeout=60):
        """Blocks until the stream is over; returns the error, or None for a clean end."""
        while True:
            message = self._down.get(timeout=timeout)
            if message is None or isinstance(message, Exception):
                return message

    def answer(self, task, accepted, code="", reason=""):
        self._up.put(federation_pb2.ClientMessage(answer=federation_pb2.TaskAnswer(
            task_id=task.task_id, accepted=accepted, code=code, reason=reason)))

    def progress(self, task, state):
        self._up.put(federation_pb2.ClientMessage(progress=federation_pb2.TaskProgress(task_id=task.task_id, state=state)))

    def download(self, task, offset=0):
        data = bytearray()
        for chunk in self.stub.DownloadModel(
                federation_pb2.DownloadModelRequest(task_id=task.task_id, offset=offset), timeout=60):
            assert chunk.offset == offset + len(data) and len(chunk.data) <= CHUNK
            data += chunk.data
        return bytes(data)

    def record(self, task, update, examples, metrics):
        return update_pb2.UpdateRecord(
            federation=self.identity.federation, run_id=task.run_id, round=task.round, task_id=task.task_id,
            client_id=self.identity.client_id, certificate_sha256=self.identity.certificate_sha256,
            base_model_sha256=task.base_model_sha256, plan_sha256=task.plan_sha256, update_sha256=sha256_hex(update),
            encoding=task.encoding, length=len(update), examples=examples, metrics_sha256=sha256_hex(metrics))

    def begin(self, record, metrics, signature=None):
        signature = signature if signature is not None else self.identity.sign(update_bytes_to_sign(record))
        return self.stub.BeginUpload(
            federation_pb2.BeginUploadRequest(record=record, signature=signature, metrics=metrics), timeout=60)

    def send(self, ticket, update, chunk=CHUNK, stop_after=None):
        """Sends from the ticket's offset. `stop_after` bytes cuts the stream there, as a bad line would."""
        def chunks():
            at = ticket.offset
            end = len(update) if stop_after is None else min(len(update), at + stop_after)
            while at < end:
                data = update[at:min(at + chunk, end)]
                yield federation_pb2.UploadChunk(upload_id=ticket.upload_id, offset=at, data=data)
                at += len(data)
        return self.stub.UploadUpdate(chunks(), timeout=120)

    def upload(self, task, update, examples, metrics=None):
        """The whole way. Returns ("receipt" | "not_needed" | "rejected", message)."""
        metrics = (metrics if metrics is not None else update_pb2.UpdateMetrics(
            train_loss=0.5, steps=1, engine="foreign/numpy/float32").SerializeToString())
        while True:
            begun = self.begin(self.record(task, update, examples, metrics), metrics)
            kind = begun.WhichOneof("kind")
            if kind != "ticket":
                return kind, getattr(begun, kind)
            if begun.ticket.retry_after_ms:
                self._beats.wait(begun.ticket.retry_after_ms / 1000)
                continue
            done = self.send(begun.ticket, update)
            kind = done.WhichOneof("kind")
            return kind, getattr(done, kind)

    def close(self):
        self._beats.set()
        self._up.put(None)
        self._call.cancel()
        self._reader.join(timeout=10)
        self.channel.close()


# ---- training with numpy: softmax regression, enough to show that nothing of ours is needed


def train_softmax(parameters, x, y, classes, rate, steps):
    """One dense softmax layer: kernel [features, classes], then bias [classes]. Full-batch gradient descent; the delta."""
    features = x.shape[1]
    w = parameters[:features * classes].reshape(features, classes).astype(np.float64)
    b = parameters[features * classes:].astype(np.float64)
    for _ in range(steps):
        z = x @ w + b
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        p[np.arange(len(y)), y] -= 1
        p /= len(y)
        w -= rate * (x.T @ p)
        b -= rate * p.sum(axis=0)
    return (np.concatenate([w.ravel(), b]) - parameters.astype(np.float64)).astype("<f4")
