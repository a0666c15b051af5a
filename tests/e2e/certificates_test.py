"""Who shows what certificate at the main port, and what each side is told of it; revocation while everything is under way; a
new server certificate under load."""

import datetime
import hashlib
import os
import select
import shutil
import signal
import socket
import ssl
import threading
import time
import unittest

import federation
import foreign_client
import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from federation import Federation, tiny_run
from foreign_client import Identity, Session, federation_pb2, federation_pb2_grpc, update_pb2

DAY = datetime.timedelta(days=1)


def eventually(what, timeout):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        answer = what()
        if answer:
            return answer
        select.select([], [], [], 0.05)
    return what()


class Authority:
    """The federation's own, from its directory, or a stranger's."""

    def __init__(self, directory=None):
        if directory:
            with open(os.path.join(directory, "pki", "ca", "ca.key"), "rb") as f:
                self.key = serialization.load_pem_private_key(f.read(), None)
            with open(os.path.join(directory, "pki", "ca", "ca.crt"), "rb") as f:
                self.certificate = x509.load_pem_x509_certificate(f.read())
        else:
            self.key = ec.generate_private_key(ec.SECP256R1())
            self.certificate = None

    def issue(self, uri, usage=ExtendedKeyUsageOID.CLIENT_AUTH, own=False, begin=-DAY, end=DAY, names=()):
        """(key, certificate), both PEM. `own`: the certificate's key signs it."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.utcnow()
        issuer = self.certificate.subject if self.certificate and not own else x509.Name(
            [x509.NameAttribute(NameOID.COMMON_NAME, "somebody")])
        names = [x509.UniformResourceIdentifier(uri), *[x509.DNSName(n) for n in names]]
        builder = (x509.CertificateBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")] if not own else list(issuer)))
                   .issuer_name(issuer).public_key(key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now + begin).not_valid_after(now + end)
                   .add_extension(x509.BasicConstraints(False, None), True)
                   .add_extension(x509.KeyUsage(True, False, False, False, False, False, False, False, False), True)
                   .add_extension(x509.ExtendedKeyUsage([usage]), False)
                   .add_extension(x509.SubjectAlternativeName(names), False)
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False))
        if self.certificate:
            builder = builder.add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.certificate.public_key()), False)
        certificate = builder.sign(key if own else self.key, hashes.SHA256())
        return (key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
                certificate.public_bytes(serialization.Encoding.PEM))


class CertificatesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(foreign_client.remove_stubs)

    def setUp(self):
        # One each: the coordinator limits the lines that strangers cause, so one test's would be missing in the next.
        self.f = self.enterContext(Federation())
        self.ours, self.foreign = Authority(self.f.dir), Authority()
        self.trust = self.ours.certificate.public_bytes(serialization.Encoding.PEM)
        self.uri = self.ours.certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName).value.get_values_for_type(x509.UniformResourceIdentifier)[0]
        self.main = self.f.ports()[0]

    def call(self, credential):
        """What a call with this (key, certificate) ends with."""
        key, certificate = credential or (None, None)
        with grpc.secure_channel(f"localhost:{self.main}", grpc.ssl_channel_credentials(self.trust, key, certificate)) as channel:
            with self.assertRaises(grpc.RpcError) as caught:
                federation_pb2_grpc.FederationServiceStub(channel).BeginUpload(federation_pb2.BeginUploadRequest(), timeout=10)
        return caught.exception

    def test_each_refusal_has_its_reason_where_somebody_can_act_on_it(self):
        client = self.uri + "/client/0011223344556677"
        cases = {  # what is shown: who is told what. "peer": in the call's status.
            "none": (None, "coordinator", "showed no certificate"),
            "foreign": (self.foreign.issue(client), "coordinator", "not signed by this federation's authority"),
            "self-signed": (self.ours.issue(client, own=True), "coordinator", "signed by itself"),
            "a server's": (self.ours.issue(client, ExtendedKeyUsageOID.SERVER_AUTH), "coordinator", "not a client's or an operator's"),
            "of nobody": (self.ours.issue(self.uri + "/receipts"), "coordinator", "no client or operator of this federation"),
            "of another federation": (self.ours.issue("spiffe://0000000000000000/client/1"), "coordinator", "no client or operator"),
            "unknown serial": (self.ours.issue(client), "peer", "never issued by this coordinator"),
            "unknown and expired": (self.ours.issue(client, begin=-2 * DAY, end=-DAY), "peer", "never issued"),
            "unknown and early": (self.ours.issue(client, begin=DAY, end=2 * DAY), "peer", "never issued"),
        }
        for name, (credential, told, why) in cases.items():
            with self.subTest(name):
                at = len(self.f.coordinator.lines)
                error = self.call(credential)
                line = self.f.coordinator.wait_for("refused", timeout=10, start=at)
                self.assertIn(why, line)
                if told == "peer":
                    self.assertEqual(error.code(), grpc.StatusCode.UNAUTHENTICATED)
                    self.assertIn(why, error.details())
                else:
                    self.assertEqual(error.code(), grpc.StatusCode.UNAVAILABLE)
                audit = eventually(lambda: [a for a in self.f.doc("audit", "list")["entries"]
                                            if a["actor"].startswith("stranger") and why in a["outcome"]], 10)
                self.assertTrue(audit, name)

    def test_a_client_names_the_fault_of_a_server_and_its_own_clock(self):
        self.f.join("asks", "synthetic:50")
        directory = self.f.client_dir("asks")
        saved = os.path.join(self.f.root, "server.saved")
        server = os.path.join(self.f.dir, "pki", "server")
        shutil.copytree(server, saved, symlinks=True)

        def restart_with(key, certificate):
            self.f.coordinator.stop()
            for name, data in (("key.pem", key), ("certificate.pem", certificate)):
                with open(os.path.join(server, "current", name), "wb") as f:
                    f.write(data)
            # Not through `run`'s renewal, which would mend it: the port alone, with what we put there.
            self.f.start()

        self.addCleanup(lambda: self.f.op("client", "revoke", "asks").ok())  # selection would wait for it
        self.addCleanup(lambda: (self.f.coordinator.stop(), shutil.rmtree(server), shutil.copytree(saved, server, symlinks=True), self.f.start()))
        names = ("localhost",)
        good = self.uri + "/coordinator"
        cases = (  # One that has expired, or is not valid yet, is replaced at the start; credentials_test.cc has those.
            ("another name", self.ours.issue(good, ExtendedKeyUsageOID.SERVER_AUTH, end=90 * DAY, names=("elsewhere",)), "not localhost"),
            ("the other port", self.ours.issue(self.uri + "/enrol", ExtendedKeyUsageOID.SERVER_AUTH, end=90 * DAY, names=names), "/coordinator"),
        )
        for name, credential, why in cases:
            with self.subTest(name):
                restart_with(*credential)
                doctor = federation.run_program("tributary-client", ["doctor", "--dir", directory])
                self.assertEqual(doctor.code, 1, doctor.out)
                self.assertIn(why, doctor.out)

    def test_revocation_in_the_middle_of_an_upload_and_after_a_restart(self):
        identity = Identity(self.f.invite("revoked")).enrol()
        session = Session(identity, examples=100, shape=[28, 28, 1], num_classes=10)
        self.addCleanup(session.close)
        run = self.f.start_run(tiny_run(rounds=1, clients=1))
        self.addCleanup(lambda: self.f.op("run", "stop", run))
        task = session.next_task()
        session.answer(task, True)
        update = bytes(4 * 7850)
        metrics = update_pb2.UpdateMetrics(train_loss=0.5, steps=1, engine="foreign/numpy/float32").SerializeToString()
        ticket = session.begin(session.record(task, update, 100, metrics), metrics).ticket
        going = threading.Event()

        def chunks():
            yield federation_pb2.UploadChunk(upload_id=ticket.upload_id, offset=0, data=update[:1000])
            going.wait(30)
        upload = session.stub.UploadUpdate.future(chunks())
        self.addCleanup(going.set)
        ends = {}
        upload.add_done_callback(lambda call: ends.setdefault("upload", time.monotonic()))
        self.assertEqual(self.f.op("client", "revoke", "revoked").code, 0)
        began = time.monotonic()  # the answer is out: from here on nothing may go on
        self.assertIsNotNone(upload.exception(timeout=10))
        error = session.wait_end(timeout=10)
        self.assertEqual(error.code(), grpc.StatusCode.PERMISSION_DENIED)
        took = max(ends.get("upload", began), time.monotonic()) - began
        print(f"\n  revoked: upload and session were over {took * 1000:.0f} ms after the answer", flush=True)
        self.assertLess(took, 1.0)
        # On the connection that is still open, on a new one, and after a restart.
        for where in ("old connection", "new connection", "after kill -9"):
            if where == "after kill -9":
                self.f.restart_after_kill()
            channel = session.channel if where == "old connection" else identity.channel()
            with self.assertRaises(grpc.RpcError) as caught:
                federation_pb2_grpc.FederationServiceStub(channel).BeginUpload(federation_pb2.BeginUploadRequest(), timeout=10)
            self.assertEqual(caught.exception.code(), grpc.StatusCode.UNAUTHENTICATED, where)
            self.assertIn("revoked", caught.exception.details())
            if where != "old connection":
                channel.close()

    def test_a_new_server_certificate_under_load_loses_no_call(self):
        for name in ("load-1", "load-2"):
            self.f.add_client(name, "synthetic:200").wait_for("session_open")
            self.addCleanup(lambda name=name: (self.f.op("client", "revoke", name).ok(), self.f.clients.pop(name).stop()))
        stop, failed, calls = threading.Event(), [], [0]

        def load():
            while not stop.is_set():
                answer = self.f.op("status")
                calls[0] += 1
                if answer.code != 0:
                    failed.append(answer.err)
        thread = threading.Thread(target=load)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(stop.set)
        run = self.f.start_run(tiny_run(rounds=30, clients=2))
        at = len(self.f.coordinator.lines)
        os.unlink(os.path.join(self.f.dir, "pki", "server", "current"))  # as if somebody wanted another one
        self.f.coordinator.process.send_signal(signal.SIGHUP)
        line = self.f.coordinator.wait_for("certificate_issued role=server", start=at)
        fresh = line.rsplit("sha256=", 1)[1]

        def shown():
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_alpn_protocols(["h2"])
            with socket.create_connection(("127.0.0.1", self.main), 5) as raw, context.wrap_socket(raw) as tls:
                return hashlib.sha256(tls.getpeercert(True)).hexdigest()
        self.assertTrue(eventually(lambda: shown() == fresh, 20), "the new certificate is not shown")
        document = self.f.finish(run)
        stop.set()
        thread.join()
        self.assertEqual([r["state"] for r in document["rounds"]], ["committed"] * 30)
        self.assertEqual(failed, [])
        self.assertGreater(calls[0], 3)

    def test_sighup_takes_over_limits_and_keeps_the_old_ones_for_a_bad_file(self):
        path = os.path.join(self.f.dir, "coordinator.toml")
        with open(path, encoding="utf-8") as f:
            before = f.read()
        self.addCleanup(lambda: (self.f.write(path, before), self.f.coordinator.process.send_signal(signal.SIGHUP)))
        for text, event in ((before + "\nmax_pending_per_address = 1\n", "settings_reloaded"), (before + "\nmax_pending = 1\n", "settings_kept")):
            at = len(self.f.coordinator.lines)
            self.f.write(path, text)
            self.f.coordinator.process.send_signal(signal.SIGHUP)
            line = self.f.coordinator.wait_for(event, start=at)
            # One idle socket of this address is all that fits, before and after the bad file.
            with socket.create_connection(("127.0.0.1", self.main), 5):
                with socket.create_connection(("127.0.0.1", self.main), 5) as second:
                    second.settimeout(2)
                    try:
                        self.assertEqual(second.recv(1), b"")
                    except ConnectionResetError:
                        pass
        self.assertIn("max_pending", line)


if __name__ == "__main__":
    federation.main()
