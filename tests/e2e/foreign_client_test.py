"""A third program that uses only the protos joins, trains with numpy and is accepted; each bad update is refused by code."""

import struct
import unittest

import federation
import foreign_client
import grpc
import numpy as np
from federation import Federation
from foreign_client import Identity, Session, sha256_hex
from tributary.v1 import federation_pb2, model_pb2, plan_pb2, update_pb2

FEATURES, CLASSES, EXAMPLES = 12, 3, 240
RUN = """
name = "foreign"
rounds = {rounds}
seed = 3
train = {{ epochs = 1, batch_size = 0, optimizer = "sgd", learning_rate = 0.5 }}
round = {{ clients = {clients}, min_clients = {clients}, deadline = "{deadline}", select_wait = "2s", max_failed_rounds = 1 }}
keep_updates = "forever"
[model]
input = [12]
loss = "sparse_categorical_crossentropy"
layers = [ {{ dense = {{ units = 3, activation = "softmax" }} }} ]
"""


def run_file(rounds=1, clients=1, deadline="10m"):
    return RUN.format(rounds=rounds, clients=clients, deadline=deadline)


def data():
    rng = np.random.default_rng(1)
    y = rng.integers(0, CLASSES, EXAMPLES)
    return rng.normal(size=(EXAMPLES, FEATURES)) + np.eye(CLASSES)[y] @ rng.normal(size=(CLASSES, FEATURES)) * 3, y


def metrics():
    return update_pb2.UpdateMetrics(train_loss=0.5, steps=1, engine="foreign/numpy/float32").SerializeToString()


class ForeignClientTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.f = cls.enterClassContext(Federation())
        cls.addClassCleanup(foreign_client.remove_stubs)
        cls.identity = Identity(cls.f.invite("numpy")).enrol()

    def session(self, identity=None, **changes):
        facts = {"examples": EXAMPLES, "shape": [FEATURES], "num_classes": CLASSES}
        facts.update(changes)
        session = Session(identity or self.identity, **facts)
        self.addCleanup(session.close)
        return session

    def task(self, session=None, **plan):
        session = session or self.session()
        self.run_id = self.f.start_run(run_file(**plan))
        self.addCleanup(self.f.op, "run", "stop", self.run_id)
        task = session.next_task()
        session.answer(task, True)
        return session, task

    def contribution(self, number=1, client="numpy"):
        return self.f.contributions(self.run_id, number)[client]

    def assert_rejected(self, kind, message, code):
        self.assertEqual(kind, "rejected", message)
        self.assertEqual(message.code, code, message)

    # ---- what is accepted

    def test_it_trains_with_numpy_and_is_accepted_with_a_receipt_that_holds(self):
        session = self.session()
        x, y = data()
        run_id = self.f.start_run(run_file(rounds=3))
        losses = []
        for number in (1, 2, 3):
            task = session.next_task()
            self.assertEqual((task.round, sha256_hex(task.plan)), (number, task.plan_sha256))
            session.answer(task, True)
            session.progress(task, federation_pb2.HeldTask.TRAINING)
            base = session.download(task)
            self.assertEqual(sha256_hex(base), task.base_model_sha256)
            self.assertEqual(session.download(task, offset=10), base[10:])
            parameters = np.frombuffer(base, "<f4")
            delta = foreign_client.train_softmax(parameters, x, y, CLASSES, task.learning_rate, steps=20)
            logits = x @ parameters[:-CLASSES].reshape(FEATURES, CLASSES) + parameters[-CLASSES:]
            losses.append(float(np.mean(np.log(np.exp(logits).sum(1)) - logits[np.arange(EXAMPLES), y])))
            session.progress(task, federation_pb2.HeldTask.FINISHED)
            kind, receipt = session.upload(task, delta.tobytes(), EXAMPLES)
            self.assertEqual(kind, "receipt", receipt)
            foreign_client.verify_receipt(receipt, task.receipt_certificate_pem)
            # The same again: the same receipt, to the byte.
            again_kind, again = session.upload(task, delta.tobytes(), EXAMPLES)
            self.assertEqual(again_kind, "receipt")
            self.assertEqual(again.SerializeToString(), receipt.SerializeToString())
        self.assertLess(losses[-1], losses[0] * 0.7)
        document = self.f.finish(run_id)
        self.assertEqual(document["run"]["state"], "completed")
        self.assertEqual(document["run"]["engines"], ["foreign/numpy/float32"])
        self.assertTrue(self.f.doc("history", "verify", run_id, "--blobs")["ok"])

    def test_an_upload_that_is_cut_goes_on_from_its_offset(self):
        session, task = self.task()
        update = np.full(39, 0.25, "<f4").tobytes()
        record = session.record(task, update, EXAMPLES, metrics())
        begun = session.begin(record, metrics())
        self.assertEqual(begun.ticket.offset, 0)
        with self.assertRaises(grpc.RpcError):
            session.send(begun.ticket, update, chunk=50, stop_after=100)
        begun = session.begin(record, metrics())
        self.assertEqual(begun.ticket.offset, 100)
        self.assertEqual(session.send(begun.ticket, update).WhichOneof("kind"), "receipt")

    # ---- what is refused, by code, recorded in the contribution, and never in the model

    def refuse(self, code, update=None, examples=EXAMPLES, signature=None, change=None, metrics_bytes=None):
        session, task = self.task()
        update = np.full(39, 0.25, "<f4").tobytes() if update is None else update
        sent_metrics = metrics() if metrics_bytes is None else metrics_bytes
        record = session.record(task, update, examples, sent_metrics)
        if change:
            change(record)
        begun = session.begin(record, sent_metrics, signature)
        kind = begun.WhichOneof("kind")
        message = getattr(begun, kind)
        if kind == "ticket":
            done = session.send(begun.ticket, update)
            kind = done.WhichOneof("kind")
            message = getattr(done, kind)
        self.assert_rejected(kind, message, code)
        row = self.contribution()
        self.assertEqual(row["state"], "rejected")
        self.assertTrue(row["reason"].startswith(code), row)
        document = self.f.finish(self.run_id)
        self.assertEqual(document["rounds"][0]["state"], "abandoned")
        self.assertEqual(document["rounds"][0]["model_sha256"], document["rounds"][0]["base_model_sha256"])

    def test_wrong_shape(self):
        self.refuse("wrong_shape", update=np.zeros(38, "<f4").tobytes())

    def test_too_many_bytes(self):
        self.refuse("wrong_shape", update=bytes(4 * 40))

    def test_wrong_base_model(self):
        self.refuse("wrong_base_model", change=lambda r: setattr(r, "base_model_sha256", "ab" * 32))

    def test_wrong_plan(self):
        self.refuse("wrong_plan", change=lambda r: setattr(r, "plan_sha256", "ab" * 32))

    def test_nan(self):
        self.refuse("not_finite", update=np.array([0.1] * 38 + [np.nan], "<f4").tobytes())

    def test_infinity(self):
        self.refuse("not_finite", update=np.array([np.inf] + [0.1] * 38, "<f4").tobytes())

    def test_a_huge_value(self):
        self.refuse("too_large", update=np.array([2.0**20] + [0.1] * 38, "<f4").tobytes())

    def test_wrong_digest(self):
        self.refuse("wrong_digest", change=lambda r: setattr(r, "update_sha256", sha256_hex(b"something else")))

    def test_bad_signature(self):
        self.refuse("bad_signature", signature=self.identity.sign(b"something else"))

    def test_a_signature_that_is_none(self):
        self.refuse("bad_signature", signature=b"\x30\x00")

    def test_no_examples(self):
        self.refuse("bad_examples", examples=0)

    def test_more_examples_than_declared(self):
        self.refuse("bad_examples", examples=EXAMPLES + 1)

    def test_a_negative_number_of_examples(self):
        self.refuse("bad_examples", examples=2**64 - 5)

    def test_bad_metrics(self):
        self.refuse("bad_metrics", metrics_bytes=update_pb2.UpdateMetrics(train_loss=float("nan")).SerializeToString())

    def test_another_encoding(self):
        self.refuse("bad_encoding", change=lambda r: setattr(r, "encoding", "float16"))

    # ---- whose update it is

    def test_an_unselected_client_and_another_clients_task(self):
        other = Identity(self.f.invite("other")).enrol()
        session, task = self.task()
        stranger = self.session(identity=other, shape=[FEATURES + 1])  # its data do not fit: never selected
        update = np.zeros(39, "<f4").tobytes()
        record = stranger.record(task, update, EXAMPLES, metrics())
        self.assert_rejected("rejected", stranger.begin(record, metrics()).rejected, "not_invited")
        with self.assertRaises(grpc.RpcError) as refused:
            stranger.download(task)
        self.assertEqual(refused.exception.code(), grpc.StatusCode.PERMISSION_DENIED)
        # Signed by the wrong key under the right client's session.
        forged = session.begin(session.record(task, update, EXAMPLES, metrics()), metrics(),
                               other.sign(foreign_client.update_bytes_to_sign(session.record(task, update, EXAMPLES, metrics()))))
        self.assert_rejected("rejected", forged.rejected, "bad_signature")

    def test_a_finished_round(self):
        session, task = self.task()
        update = np.full(39, 0.25, "<f4").tobytes()
        self.assertEqual(session.upload(task, update, EXAMPLES)[0], "receipt")
        self.f.finish(self.run_id)
        kind, message = session.upload(task, np.full(39, 0.5, "<f4").tobytes(), EXAMPLES)
        self.assertIn(kind, ("rejected", "not_needed"), message)
        self.assertEqual(self.contribution()["update_sha256"], sha256_hex(update))

    def test_a_second_different_update_is_refused(self):
        other = Identity(self.f.invite("pair")).enrol()
        first, second = self.session(), self.session(identity=other)
        self.run_id = self.f.start_run(run_file(clients=2))
        self.addCleanup(self.f.op, "run", "stop", self.run_id)
        task = first.next_task()
        second.next_task()
        self.assertEqual(first.upload(task, np.full(39, 0.25, "<f4").tobytes(), EXAMPLES)[0], "receipt")
        kind, message = first.upload(task, np.full(39, 0.5, "<f4").tobytes(), EXAMPLES)
        self.assert_rejected(kind, message, "duplicate")
        self.assertEqual(self.contribution()["state"], "accepted")

    def test_an_unknown_task(self):
        session, task = self.task()
        gone = federation_pb2.TrainTask()
        gone.CopyFrom(task)
        gone.task_id = "ab" * 32
        answer = session.begin(session.record(gone, bytes(156), EXAMPLES, metrics()), metrics())
        self.assert_rejected("rejected", answer.rejected, "not_invited")
        with self.assertRaises(grpc.RpcError) as refused:
            session.download(gone)
        self.assertIn(refused.exception.code(), (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.PERMISSION_DENIED))

    def test_a_revoked_client_is_out_at_once(self):
        doomed = Identity(self.f.invite("doomed")).enrol()
        session = self.session(identity=doomed)
        self.f.op("client", "revoke", "doomed").ok()
        error = session.wait_end(timeout=5)
        self.assertIsInstance(error, grpc.RpcError)
        self.assertIn(error.code(), (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED))
        with self.assertRaises(grpc.RpcError) as refused:
            session.stub.DownloadModel(federation_pb2.DownloadModelRequest(task_id="ab" * 32)).next()
        self.assertIn(refused.exception.code(), (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED))

    def test_a_decline_is_recorded_with_its_reason(self):
        session = self.session()
        self.run_id = self.f.start_run(run_file())
        task = session.next_task()
        session.answer(task, False, "policy", "not on a Monday")
        document = self.f.finish(self.run_id)
        self.assertEqual(document["run"]["state"], "failed")
        self.assertEqual(self.contribution()["state"], "declined")
        self.assertIn("not on a Monday", self.contribution()["reason"])

    def test_a_client_that_vanishes_is_not_waited_for_beyond_the_deadline(self):
        other = Identity(self.f.invite("vanishing")).enrol()
        stays, goes = self.session(), self.session(identity=other)
        self.run_id = self.f.start_run(run_file(clients=2, deadline="3s").replace("min_clients = 2", "min_clients = 1"))
        task = stays.next_task()
        goes.next_task()
        goes.close()
        self.assertEqual(stays.upload(task, np.full(39, 0.25, "<f4").tobytes(), EXAMPLES)[0], "receipt")
        document = self.f.finish(self.run_id)
        self.assertEqual(document["run"]["state"], "completed", document["run"])
        states = {n: c["state"] for n, c in self.f.contributions(self.run_id, 1).items()}
        self.assertEqual(states["numpy"], "accepted")
        self.assertIn(states["vanishing"], ("late", "dropped"))

    def test_the_newest_session_wins(self):
        older = self.session()
        self.session()
        error = older.wait_end(timeout=20)
        self.assertEqual(error.code(), grpc.StatusCode.ABORTED)

    def test_a_protocol_of_the_future_is_told_so(self):
        channel = self.identity.channel()
        self.addCleanup(channel.close)
        stub = foreign_client.federation_pb2_grpc.FederationServiceStub(channel)
        hello = federation_pb2.ClientMessage(hello=federation_pb2.Hello(protocol_version=9))
        with self.assertRaises(grpc.RpcError) as refused:
            next(stub.OpenSession(iter([hello])))
        self.assertEqual(refused.exception.code(), grpc.StatusCode.FAILED_PRECONDITION)
        self.assertIn("protocol version", refused.exception.details())


if __name__ == "__main__":
    federation.main()
