"""history verify holds for an untouched federation, and names the round after one byte of it was changed."""

import os
import sqlite3
import unittest

import federation
from federation import Federation, run_program, tiny_run


def flip_byte(path, at):
    os.chmod(path, 0o600)
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 1]))


class HistoryTest(unittest.TestCase):
    def setUp(self):
        self.f = self.enterContext(Federation())
        for k in (1, 2):
            self.f.add_client(f"site-{k}", "synthetic:400", "--part", f"{k}/2")
        self.run_id = self.f.start_run(tiny_run(rounds=3))
        self.rounds = self.f.finish(self.run_id)["rounds"]
        self.assertEqual([r["state"] for r in self.rounds], ["committed"] * 3)

    def verify(self, *args):
        return self.f.op("history", "verify", self.run_id, *args, "-o", "json")

    def offline(self):
        self.f.coordinator.stop()
        return run_program("tributary-coordinator", ["verify", "--dir", self.f.dir])

    def assert_fault(self, number, *args):
        result = self.verify(*args)
        self.assertEqual(result.code, 1, result.err)
        fault = result.json()["first_fault"]
        self.assertEqual((fault["run"], int(fault["round"])), (self.run_id, number), fault)
        offline = self.offline()
        self.assertEqual(offline.code, 1)
        self.assertIn(f"round {number}", offline.out + offline.err)

    def test_an_untouched_history_holds(self):
        answer = self.verify("--blobs").ok().json()
        self.assertTrue(answer["ok"])
        self.assertEqual(int(answer["rounds_checked"]), 3)
        self.assertGreaterEqual(int(answer["blobs_checked"]), 4 + 6)
        self.assertEqual(self.offline().code, 0)

    def test_a_head_that_somebody_remembers_is_checked(self):
        self.f.coordinator.stop()
        verify = ["verify", "--dir", self.f.dir, "--head"]
        self.assertEqual(run_program("tributary-coordinator", verify + [self.rounds[1]["record_sha256"]]).code, 0)
        self.assertEqual(run_program("tributary-coordinator", verify + ["ab" * 32]).code, 1)

    def test_one_byte_of_a_model(self):
        flip_byte(self.f.blob_path(self.rounds[1]["model_sha256"]), 1000)
        self.assert_fault(2, "--blobs")

    def test_one_byte_of_an_update(self):
        update = self.f.contributions(self.run_id, 3)["site-1"]["update_sha256"]
        flip_byte(self.f.blob_path(update), 31)
        self.assert_fault(3, "--blobs")

    def test_one_value_of_a_ledger_row(self):
        db = sqlite3.connect(os.path.join(self.f.dir, "ledger.db"))
        # An attacker with the file drops the triggers that stand in the way of a slip of the hand.
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        changed = db.execute("UPDATE contributions SET weight = weight + 1 WHERE run_id = ? AND round = 2 "
                             "AND client_name = 'site-2'", (self.run_id,)).rowcount
        db.commit()
        db.close()
        self.assertEqual(changed, 1)
        self.assert_fault(2)


if __name__ == "__main__":
    federation.main()
