"""The federation's authority is replaced while rounds run: stage, activate, retire, each taken in at SIGHUP. Who is there
follows without anybody's visit; who is not is named before, and refused with its reason after."""

import json
import os
import select
import signal
import stat
import time
import unittest

import federation
import foreign_client
import grpc
from certificates_test import Authority, eventually
from federation import Federation, run_program, tiny_run
from foreign_client import Identity, Session, federation_pb2, federation_pb2_grpc

CLIENTS = ("anna", "bert", "cora")


def plan(name, rounds):
    return tiny_run(name=name, rounds=rounds, clients=3, extra_round=', where = { group = "here" }')


class RotationTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(foreign_client.remove_stubs)

    def setUp(self):
        self.f = self.enterContext(Federation())
        for i, name in enumerate(CLIENTS):
            self.f.add_client(name, f"synthetic:{200 + i}", invite_args=("--label", "group=here")).wait_for("session_open")

    def ca(self, *args):
        return run_program("tributary-coordinator", ["ca", *args, "--dir", self.f.dir])

    def status(self):
        return json.loads(self.ca("status", "-o", "json").ok().out)

    def states(self):
        return {a["state"]: a for a in self.status()["authorities"]}

    def reload(self):
        at = len(self.f.coordinator.lines)
        self.f.coordinator.process.send_signal(signal.SIGHUP)
        self.f.coordinator.wait_for("settings_", timeout=20, start=at)
        self.assertFalse([line for line in self.f.coordinator.lines[at:] if "settings_kept" in line])

    def until(self, field, names):
        """Nobody else is in that list of the status."""
        self.assertTrue(eventually(lambda: sorted(self.status()[field]) == sorted(names), 25), self.status())

    def join_operator(self, name):
        token = self.f.op("operator", "invite", name).ok().out.strip()
        directory = os.path.join(self.f.root, "operator-" + name)
        run_program("tributary", ["join", "--dir", directory], token + "\n").ok()
        return directory

    def other_op(self, directory, *args):
        return run_program("tributary", [*args, "--dir", directory])

    def digests(self, run):
        rounds = self.f.finish(run)["rounds"]
        closed = [r for r in rounds if r["state"] == "committed"]
        # A run that is stopped gives up the round that it is at, and no other.
        self.assertGreaterEqual(len(closed), len(rounds) - 1)
        return [r["model_sha256"] for r in closed]

    def proof(self, run, name):
        path = os.path.join(self.f.root, name)
        self.f.op("history", "export", run, "--to", path).ok()
        return path

    def check(self, proof, *args):
        return self.f.op("history", "check", proof, *args)

    def test_rounds_go_on_while_the_authority_is_replaced(self):
        f = self.f
        old_ca = os.path.join(f.root, "old-ca.crt")
        old = Authority(f.dir)
        with open(os.path.join(f.dir, "pki", "ca", "ca.crt"), "rb") as source, open(old_ca, "wb") as copy:
            copy.write(source.read())
        f.add_client("away", "synthetic:50").wait_for("session_open")
        f.clients.pop("away").stop()
        laptop = self.join_operator("laptop")
        # A program that knows nothing of rotation, and stays connected.
        deaf = Identity(f.invite("deaf")).enrol()
        session = Session(deaf, examples=10, shape=[28, 28, 1], num_classes=10)
        self.addCleanup(session.close)

        quiet = f.start_run(plan("quiet", 5))
        f.finish(quiet)
        proof_before = self.proof(quiet, "before.proof")
        self.assertEqual(list(self.states()), ["active"])
        first = self.states()["active"]["sha256"]

        run = f.start_run(plan("rotated", 5000))
        f.wait_round(run, 3, "committed")
        began = time.monotonic()
        # ---- stage
        self.ca("stage").ok()
        key = os.stat(os.path.join(f.dir, "pki", "ca.next", "ca.key"))
        self.assertEqual(stat.S_IMODE(key.st_mode), 0o600)
        early = self.ca("activate")
        self.assertEqual(early.code, 6, early.err)
        for name in CLIENTS:
            self.assertIn(f"client {name}", early.err)
        self.reload()
        self.other_op(laptop, "status").ok()
        self.until("not_yet_trusting", ["client away", "client deaf"])
        self.ca("stage").ok()  # again: the same one
        second = self.states()["staged"]["sha256"]
        self.assertNotEqual(first, second)
        refused = self.ca("activate")
        self.assertEqual(refused.code, 6, refused.err)
        self.assertIn("client away", refused.err)
        self.assertNotIn("anna", refused.err)
        waiting = [f.invite("joins-between"), f.invite("joins-too-late")]
        # ---- activate
        self.ca("activate", "--leave-behind").ok()
        self.reload()
        self.assertEqual({s: a["sha256"] for s, a in self.states().items()}, {"active": second, "retiring": first})
        self.until("still_holding", ["client away", "client deaf", "operator laptop"])
        self.other_op(laptop, "status").ok()
        self.until("still_holding", ["client away", "client deaf"])
        join = run_program("tributary-client", ["join", "--dir", f.client_dir("joins-between"), "--data", "synthetic:50", "--yes"],
                           waiting[0] + "\n").ok()
        self.assertIn("joins-between", join.out + join.err)
        f.start_client("joins-between").wait_for("session_open")
        refused = self.ca("retire")
        self.assertEqual(refused.code, 6, refused.err)
        self.assertIn("client away", refused.err)
        self.assertIn("joins-too-late", self.ca("status").ok().out)
        # ---- retire
        self.ca("retire", "--leave-behind").ok()
        self.assertFalse(os.path.exists(os.path.join(f.dir, "pki", "ca.retired", first, "ca.key")))
        self.reload()
        self.assertEqual({s: a["sha256"] for s, a in self.states().items()}, {"active": second, "retired": first})
        print(f"\n  replaced within {time.monotonic() - began:.1f} s", flush=True)
        rounds_by_then = int(f.doc("run", "show", run)["run"]["rounds_done"])
        self.a_certificate_of_the_old_one_is_refused(old, session, deaf)
        self.who_was_away_is_told_why(waiting[1])
        f.wait_round(run, rounds_by_then + 3, "committed")
        f.op("run", "stop", run).ok()
        digests = self.digests(run)
        undisturbed = f.start_run(plan("undisturbed", len(digests)))
        self.assertEqual(self.digests(undisturbed), digests)
        print(f"  {len(digests)} rounds committed meanwhile, each with the model of an undisturbed run", flush=True)
        for name in CLIENTS:
            program = f.clients[name]
            self.assertIsNone(program.process.poll(), name)
            self.assertFalse([line for line in program.lines if "authority_refused" in line], name)
        self.other_op(laptop, "status").ok()
        self.histories_hold(quiet, run, proof_before, old_ca)

    def a_certificate_of_the_old_one_is_refused(self, old, session, deaf):
        error = session.wait_end(timeout=10)
        self.assertEqual(error.code(), grpc.StatusCode.UNAUTHENTICATED)
        self.assertIn("retired", error.details())
        # The key of the old authority is as good as anybody's.
        at = len(self.f.coordinator.lines)
        with open(os.path.join(self.f.dir, "pki", "ca", "ca.crt"), "rb") as f:
            trust = f.read()
        uri = f"spiffe://{deaf.federation}/client/{deaf.client_id}"
        key, certificate = old.issue(uri)
        with grpc.secure_channel(f"localhost:{self.f.ports()[0]}", grpc.ssl_channel_credentials(trust, key, certificate)) as channel:
            with self.assertRaises(grpc.RpcError) as caught:
                federation_pb2_grpc.FederationServiceStub(channel).BeginUpload(federation_pb2.BeginUploadRequest(), timeout=10)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.UNAVAILABLE)
        line = self.f.coordinator.wait_for("handshake_refused", timeout=10, start=at)
        self.assertIn("an authority that this federation has retired", line)

    def who_was_away_is_told_why(self, late_invitation):
        away = self.f.start_client("away")
        # For the seconds in which the port still shows the certificate of before, it only sees itself turned away.
        away.wait_for("the authority was replaced while this machine was away", timeout=30)
        self.assertFalse([line for line in away.lines if "session_open" in line])
        self.f.clients.pop("away").stop()
        doctor = run_program("tributary-client", ["doctor", "--dir", self.f.client_dir("away")])
        self.assertEqual(doctor.code, 1, doctor.out)
        self.assertIn("the authority was replaced", doctor.out)
        invitation = self.f.invite("away", "--replace")  # which opens the enrolment port
        late = run_program("tributary-client", ["join", "--dir", self.f.client_dir("late"), "--data", "synthetic:50", "--yes"],
                           late_invitation + "\n")
        self.assertEqual(late.code, 4, late.err)
        self.assertIn("ask the operator for a new one", late.err)
        # And comes back under its name, as ever.
        again = run_program("tributary-client", ["join", "--dir", self.f.client_dir("away"), "--data", "synthetic:50", "--yes", "--replace"],
                            invitation + "\n")
        self.assertEqual(again.code, 0, again.err)
        self.f.start_client("away").wait_for("session_open")

    def histories_hold(self, quiet, run, proof_before, old_ca):
        new_ca = os.path.join(self.f.dir, "pki", "ca", "ca.crt")
        verified = run_program("tributary-coordinator", ["verify", "--dir", self.f.dir])
        self.assertEqual(verified.code, 0, verified.err)
        after = self.f.start_run(plan("after", 2))
        self.f.finish(after)
        for proof in (proof_before, self.proof(quiet, "quiet.proof"), self.proof(run, "rotated.proof"), self.proof(after, "after.proof")):
            with self.subTest(proof=os.path.basename(proof)):
                self.check(proof).ok()
                self.check(proof, "--uploads", self.f.client_dir("anna")).ok()
        # A proof from before says nothing of the new authority; one that is made now hangs on either.
        self.assertNotEqual(self.check(proof_before, "--ca", new_ca).code, 0)
        for proof in ("quiet.proof", "rotated.proof", "after.proof"):
            for ca in (old_ca, new_ca):
                self.check(os.path.join(self.f.root, proof), "--ca", ca).ok()
        actions = [a["action"] for a in self.f.doc("audit", "list", "--limit", "1000")["entries"] if a["action"].startswith("ca.")]
        self.assertEqual(sorted(actions), ["ca.activate", "ca.retire", "ca.retiring", "ca.stage"])


if __name__ == "__main__":
    federation.main()
