"""A data owner proves, on a machine without the coordinator, that its updates are in the model: export, check, replay.

The proof is checked with the client's own receipts; every byte of it counts; what was deleted, cut off or forked is named.
The audit's chain is recomputed here from what the command line prints, by the rule of docs/protocol.md.
"""

import hashlib
import json
import os
import random
import shutil
import sqlite3
import struct
import tempfile
import unittest

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

import federation
from federation import Federation, run_program, tiny_run


def field(value):
    if isinstance(value, int):
        value = struct.pack("<q", value)
    elif isinstance(value, str):
        value = value.encode()
    return struct.pack("<Q", len(value)) + value


def audit_digest(e):
    return hashlib.sha256(b"tributary/audit/v1\0" + e["previous_sha256"].encode() + field(int(e["sequence"])) +
                          field(int(e["time_unix_ms"])) + field(e["actor"]) + field(e["certificate_sha256"]) +
                          field(e["action"]) + field(e["subject"]) + field(e["outcome"])).hexdigest()


class Reader:
    """A proof, read by docs/reference/proof.md and docs/protocol.md alone."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        piece = self.data[self.at:self.at + size]
        assert len(piece) == size
        self.at += size
        return piece

    def number(self):
        return struct.unpack("<Q", self.take(8))[0]

    def field(self):
        return self.take(self.number())

    def done(self):
        return self.at == len(self.data)


def rows(body):
    """[(table, {column: value})] of a record's body."""
    out, reader = [], Reader(body)
    assert reader.take(18) in (b"tributary/body/v1\0", b"tributary/body/v2\0")
    while not reader.done():
        table, columns = reader.field().decode(), {}
        for _ in range(reader.number()):
            name, value = reader.field().decode(), reader.field()
            columns[name] = {"n": lambda v: None, "i": lambda v: struct.unpack("<q", v)[0],
                             "r": lambda v: struct.unpack("<d", v)[0], "t": bytes.decode,
                             "b": bytes}[chr(value[0])](value[1:])
        out.append((table, columns))
    return out


def unlocked(path):
    """The ledger as an attacker with the file has it: the triggers that stand in the way of a slip are gone."""
    db = sqlite3.connect(path)
    for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        db.execute(f"DROP TRIGGER {name}")
    return db


def resealed(proof):
    """The same bytes with a digest at the end that fits them."""
    return proof[:-32] + hashlib.sha256(proof[:-32]).digest()


class ProveTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.f = Federation()
        cls.addClassCleanup(cls.f.__exit__)
        cls.f.init()
        cls.f.start()
        for k in (1, 2, 3):
            cls.f.add_client(f"site-{k}", "synthetic:300", "--part", f"{k}/3")
        cls.run_id = cls.f.start_run(tiny_run(rounds=3, clients=3))
        cls.rounds = cls.f.finish(cls.run_id)["rounds"]
        cls.proof = os.path.join(cls.f.root, "run.proof")
        cls.exported = cls.f.doc("history", "export", cls.run_id, "--to", cls.proof)
        # Another machine: nothing of the coordinator's directory, a copy of one client's.
        cls.away = tempfile.mkdtemp(prefix="tributary-away-")
        cls.addClassCleanup(shutil.rmtree, cls.away, True)
        cls.here = shutil.copy(cls.proof, os.path.join(cls.away, "got.proof"))
        cls.owner = cls.f.client_dir("site-2")

    def check(self, path, *args):
        return run_program("tributary", ["history", "check", path, *args, "-o", "json"], cwd=self.away)

    def altered(self, data, name="altered.proof"):
        path = os.path.join(self.away, name)
        with open(path, "wb") as f:
            f.write(data)
        return path

    def bytes(self):
        with open(self.here, "rb") as f:
            return f.read()

    def test_the_owner_finds_each_of_its_updates_with_its_weight(self):
        answer = self.check(self.here, "--uploads", self.owner)
        document = answer.ok().json()
        self.assertTrue(document["ok"], document)
        self.assertEqual((document["run"], document["authority_pinned_by"], document["remembered"]),
                         (self.run_id, "uploads", "agrees"))
        self.assertEqual((int(document["rounds_checked"]), int(document["updates_checked"])), (3, 9))
        self.assertEqual(document["head_sha256"], self.rounds[-1]["record_sha256"])
        self.assertEqual(document["model_sha256"], self.rounds[-1]["model_sha256"])
        self.assertEqual([r["verdict"] for r in document["receipts"]], ["in_model"] * 3)
        for number, receipt in enumerate(document["receipts"], 1):
            row = self.f.contributions(self.run_id, number)["site-2"]
            self.assertEqual((receipt["update_sha256"], receipt["weight"]), (row["update_sha256"], row["weight"]))
            self.assertEqual(receipt["examples"], self.rounds[number - 1]["examples"])
        text = run_program("tributary", ["history", "check", self.here, "--uploads", self.owner]).ok().out
        self.assertIn("my update of round 3 is in the model, with weight", text)

    def test_the_list_of_uploads_will_do_and_pins_the_authority(self):
        listed = run_program("tributary-client", ["uploads", "--dir", self.owner, "-o", "json"]).ok().out
        path = self.altered(listed.encode(), "uploads.json")
        document = self.check(self.here, "--uploads", path).ok().json()
        self.assertEqual([r["verdict"] for r in document["receipts"]], ["in_model"] * 3)
        self.assertEqual(document["authority_pinned_by"], "uploads")

    def test_without_receipts_the_authority_is_shown_and_nobody_vouches_for_it(self):
        document = self.check(self.here).ok().json()
        self.assertEqual(document["authority_pinned_by"], "")
        self.assertEqual(document["authority_sha256"], self.exported["authority_sha256"])
        text = run_program("tributary", ["history", "check", self.here]).ok().out
        self.assertIn("Nobody here says that this is your federation's CA", text)
        ca = os.path.join(self.owner, "pki", "current", "ca.pem")
        self.assertEqual(self.check(self.here, "--ca", ca).ok().json()["authority_pinned_by"], "--ca")

    def test_the_proof_holds_no_model_no_update_and_no_key(self):
        proof = self.bytes()
        self.assertNotIn(b"PRIVATE KEY", proof)
        model = os.path.getsize(self.f.blob_path(self.rounds[0]["model_sha256"]))
        self.assertLess(len(proof), model * 9)  # nine updates of the model's size would not fit
        for digest in {r["model_sha256"] for r in self.rounds}:
            with open(self.f.blob_path(digest), "rb") as f:
                self.assertNotIn(f.read()[:256], proof)

    def test_the_file_can_be_checked_from_its_documentation_alone(self):
        proof = self.bytes()
        self.assertEqual(proof[-32:], hashlib.sha256(proof[:-32]).digest())
        reader, records, certificates = Reader(proof), [], []
        self.assertEqual(reader.take(19), b"tributary-proof/v1\n")
        while (kind := reader.take(1)) != b"e":
            payload = Reader(reader.field())
            if kind == b"r":
                records.append([payload.number()] + [payload.field() for _ in range(5)])
                self.assertTrue(payload.done())
            else:
                certificates.append((kind, x509.load_der_x509_certificate(payload.data)))
        self.assertEqual([c[0] for c in certificates], [b"a", b"c", b"c", b"c"])
        authority = certificates[0][1].public_key()
        genesis = rows(records[0][5])[0][1]
        receipts = x509.load_pem_x509_certificate(genesis["receipt_certificate_pem"].encode())
        for certificate in [receipts] + [c[1] for c in certificates[1:]]:
            authority.verify(certificate.signature, certificate.tbs_certificate_bytes,
                             ec.ECDSA(certificate.signature_hash_algorithm))
        head = b"0" * 64
        for number, (round_, previous, body_sha256, record_sha256, signature, body) in enumerate(records):
            self.assertEqual((round_, previous), (number, head))
            self.assertEqual(hashlib.sha256(body).hexdigest().encode(), body_sha256)
            preimage = b"tributary/record/v1\0" + previous + body_sha256
            self.assertEqual(hashlib.sha256(preimage).hexdigest().encode(), record_sha256)
            receipts.public_key().verify(signature, preimage, ec.ECDSA(hashes.SHA256()))
            head = record_sha256
        self.assertEqual(head.decode(), self.rounds[-1]["record_sha256"])
        table, first = rows(records[1][5])[0]
        self.assertEqual((table, first["round"], first["state"], len(first["audit_sha256"])), ("rounds", 1, "committed", 64))
        audit = {e["entry_sha256"] for e in self.f.doc("audit", "list", "--limit", "1000")["entries"]}
        self.assertIn(first["audit_sha256"], audit)

    def test_every_changed_byte_is_found(self):
        proof, rng = self.bytes(), random.Random(20)
        places = list(range(0, 40)) + rng.sample(range(40, len(proof) - 40), 40) + list(range(len(proof) - 41, len(proof)))
        for at in places:
            changed = bytearray(proof)
            changed[at] ^= 1 << rng.randrange(8)
            self.assertEqual(self.check(self.altered(bytes(changed))).code, 1, f"byte {at} of {len(proof)}")

    def test_a_changed_byte_under_a_good_digest_is_found_too(self):
        proof, rng = self.bytes(), random.Random(21)
        for at in rng.sample(range(19, len(proof) - 41), 60):
            changed = bytearray(proof)
            changed[at] ^= 1 << rng.randrange(8)
            answer = self.check(self.altered(resealed(bytes(changed))))
            self.assertEqual(answer.code, 1, f"byte {at} of {len(proof)}")
            self.assertTrue(answer.json()["first_fault"]["what"], answer.out)

    def test_a_proof_that_is_cut_short_is_refused(self):
        proof = self.bytes()
        for size in (0, 5, 19, 100, len(proof) // 2, len(proof) - 1):
            self.assertEqual(self.check(self.altered(proof[:size])).code, 1, size)
        self.assertEqual(self.check(self.altered(proof + b"x")).code, 1)

    def test_lengths_that_lie_cost_no_memory(self):
        for length in (2**63, 2**64 - 1, 2**40, 2**28):
            lie = b"tributary-proof/v1\n" + b"r" + struct.pack("<Q", length) + b"x" * 64
            self.assertEqual(self.check(self.altered(lie)).code, 1)

    def test_a_proof_without_its_last_rounds_does_not_reach_the_receipts(self):
        proof = self.bytes()
        at, last = 19, 0
        while proof[at:at + 1] != b"e":  # entries: kind, length, payload
            if proof[at:at + 1] == b"r":
                last = at
            at += 9 + struct.unpack("<Q", proof[at + 1:at + 9])[0]
        cut = proof[:last] + b"e" + struct.pack("<Q", 32) + b"\0" * 32
        path = self.altered(resealed(cut))
        self.assertEqual(int(self.check(path).ok().json()["rounds_checked"]), 2)  # nothing in the file itself can tell
        document = self.check(path, "--uploads", self.owner).ok().json()
        self.assertEqual([r["verdict"] for r in document["receipts"]], ["in_model", "in_model", "round_open"])

    def test_another_federations_proof_is_refused_by_its_authority(self):
        with Federation() as other:
            other.add_client("site-2", "synthetic:100")
            run = other.start_run(tiny_run(rounds=1, clients=1))
            other.finish(run)
            path = os.path.join(other.root, "other.proof")
            other.op("history", "export", run, "--to", path).ok()
            self.assertEqual(self.check(path).code, 0)
            answer = self.check(path, "--uploads", self.owner)
            self.assertEqual(answer.code, 1)
            self.assertIn("another federation", answer.json()["first_fault"]["what"])

    def test_replay_makes_the_same_models(self):
        document = self.f.doc("history", "replay", self.run_id)
        self.assertTrue(document["ok"])
        self.assertEqual([(int(r["round"]), r["state"]) for r in document["rounds"]], [(n, "equal") for n in (1, 2, 3)])
        self.assertEqual([r["replayed_model_sha256"] for r in document["rounds"]], [r["model_sha256"] for r in self.rounds])
        one = self.f.doc("history", "replay", self.run_id, "--round", "2")
        self.assertEqual([int(r["round"]) for r in one["rounds"]], [2])

    def test_replay_says_which_rounds_it_cannot_make(self):
        plan = tiny_run(name="short", rounds=1, clients=3)
        # Another seed: the same updates would still be kept for the other run.
        run = self.f.start_run(plan.replace('"forever"', '"round"').replace("seed = 1", "seed = 2"))
        self.f.finish(run)
        answer = self.f.op("history", "replay", run, "-o", "json")
        self.assertEqual(answer.code, 1)
        document = json.loads(answer.out)
        self.assertEqual(document["rounds"][0]["state"], "not_replayable")
        self.assertIn("3 of its 3 updates were deleted", document["rounds"][0]["reason"])
        self.assertNotIn("first_fault", document)
        # Its proof needs no update: it is checked all the same.
        path = os.path.join(self.f.root, "short.proof")
        self.f.op("history", "export", run, "--to", path).ok()
        self.assertTrue(self.check(path, "--uploads", self.owner).ok().json()["ok"])

    def test_the_audit_is_a_chain_and_says_who(self):
        document = self.f.doc("audit", "list", "--limit", "1000")
        entries = document["entries"][::-1]
        previous = "0" * 64
        for number, entry in enumerate(entries, 1):
            self.assertEqual(int(entry["sequence"]), number)
            self.assertEqual(entry["previous_sha256"], previous)
            self.assertEqual(entry["entry_sha256"], audit_digest(entry))
            previous = entry["entry_sha256"]
        self.assertEqual(document["head_sha256"], previous)
        done = {(e["actor"].split("/")[0], e["action"], e["outcome"]) for e in entries}
        for wanted in (("coordinator", "operator.certificate", "ok"), ("coordinator", "coordinator.start", "ok"),
                       ("operator", "client.invite", "ok"), ("stranger", "enrol", "ok"), ("operator", "run.start", "ok"),
                       ("coordinator", "run.end", "completed"), ("operator", "history.export", "ok")):
            self.assertIn(wanted, done)
        started = [e for e in entries if e["action"] == "run.start"][0]
        self.assertEqual(started["actor"], "operator/local")
        self.assertEqual(len(started["certificate_sha256"]), 64)


class TamperedTest(unittest.TestCase):
    """What an attacker with the coordinator's files does, and who sees it."""

    def setUp(self):
        self.f = self.enterContext(Federation())
        self.f.add_client("site-1", "synthetic:200")
        self.run_id = self.f.start_run(tiny_run(rounds=2, clients=1))
        self.f.finish(self.run_id)
        self.ledger = os.path.join(self.f.dir, "ledger.db")

    def offline(self, *args):
        return run_program("tributary-coordinator", ["verify", "--dir", self.f.dir, *args, "-o", "json"])

    def test_a_changed_weight_is_in_the_proof_replay_and_verify(self):
        db = unlocked(self.ledger)
        db.execute("UPDATE contributions SET weight = weight + 1 WHERE run_id = ? AND round = 2", (self.run_id,))
        db.commit()
        db.close()
        replay = self.f.op("history", "replay", self.run_id, "-o", "json")
        self.assertEqual(replay.code, 1)
        self.assertEqual(int(replay.json()["first_fault"]["round"]), 2)
        self.assertEqual(self.f.op("history", "verify", self.run_id).code, 1)

    def test_a_changed_record_is_found_by_whoever_checks_the_proof(self):
        db = unlocked(self.ledger)
        body = bytearray(db.execute("SELECT body FROM records WHERE run_id = ? AND round = 1", (self.run_id,)).fetchone()[0])
        body[len(body) // 2] ^= 1
        db.execute("UPDATE records SET body = ?, body_sha256 = ? WHERE run_id = ? AND round = 1",
                   (bytes(body), hashlib.sha256(body).hexdigest(), self.run_id))
        db.commit()
        db.close()
        path = os.path.join(self.f.root, "bad.proof")
        self.f.op("history", "export", self.run_id, "--to", path).ok()
        answer = run_program("tributary", ["history", "check", path, "-o", "json"])
        self.assertEqual(answer.code, 1)
        self.assertEqual(int(answer.json()["first_fault"]["round"]), 1)

    def test_the_audit_names_the_row_that_was_changed_left_out_or_cut_off(self):
        self.f.op("client", "invite", "site-2").ok()
        head = self.f.doc("audit", "list", "--limit", "1")["head_sha256"]
        self.f.coordinator.stop()
        self.assertEqual(self.offline("--head", head).code, 0)
        keep = shutil.copy(self.ledger, self.ledger + ".keep")

        def tampered(*statements):
            shutil.copy(keep, self.ledger)
            db = unlocked(self.ledger)
            for sql in statements:
                db.execute(sql)
            db.commit()
            db.close()
            return self.offline()

        changed = tampered("UPDATE audit SET actor = 'operator/eve' WHERE sequence = 3")
        self.assertEqual((changed.code, int(changed.json()["first_fault"]["audit_sequence"])), (1, 3))
        gone = tampered("DELETE FROM audit WHERE sequence = 4")
        self.assertEqual((gone.code, int(gone.json()["first_fault"]["audit_sequence"])), (1, 4))
        # The end: SQLite's own count tells, and once that is mended too only a remembered head or a round's record.
        cut = tampered("DELETE FROM audit WHERE sequence >= (SELECT max(sequence) - 1 FROM audit)")
        self.assertEqual(cut.code, 1)
        mended = ("DELETE FROM audit WHERE sequence >= (SELECT max(sequence) - 1 FROM audit)",
                  "UPDATE sqlite_sequence SET seq = (SELECT max(sequence) FROM audit) WHERE name = 'audit'")
        self.assertEqual(tampered(*mended).code, 0)
        self.assertEqual(self.offline("--head", head).code, 1)
        deep = tampered("DELETE FROM audit WHERE sequence > 3",
                        "UPDATE sqlite_sequence SET seq = 3 WHERE name = 'audit'")
        self.assertEqual(deep.code, 1)
        self.assertIn("the row of the audit that it names is gone", deep.json()["first_fault"]["what"])


if __name__ == "__main__":
    federation.main()
