"""Bad lines: what is promised of a federation whose connections are slow, cut, frozen or reset.

Each run is done again on a good line afterwards: the models are the same, to the bit.
"""

import os
import sqlite3
import unittest

import bad_line
from bad_line import ProxiedFederation, Stopwatch, digests, field, next_line, run_file, update_bytes, verify
from federation import run_program

UNITS = 1000  # 3.2 MB each way


class NetworkTest(unittest.TestCase):
    def federation(self, clients, seed=None):
        f = self.enterContext(ProxiedFederation(seed))
        for k in range(1, clients + 1):
            f.add_client(f"site-{k}", "synthetic:300", "--part", f"{k}/{clients}").wait_for("session_open")
        return f

    def assert_as_undisturbed(self, f, toml, document):
        """The same run file once more; then everything is checked offline."""
        self.assertEqual(document["run"]["state"], "completed", document["run"])
        self.assertTrue(all(r["state"] == "committed" for r in document["rounds"]))
        reference = f.finish(f.start_run(toml))
        self.assertEqual(digests(document), digests(reference))
        verify(f)

    # ---- resuming

    def test_a_cut_download_goes_on_at_its_offset(self):
        f = self.federation(1)
        f.proxy.cut_after("down", 2_000_000)
        toml = run_file("resume-down", UNITS)
        document = f.finish(f.start_run(toml))
        self.assertEqual(f.proxy.cuts, 1)
        self.assertLess(f.proxy.total("down"), update_bytes(UNITS) + 700_000, "sent once, and what was in the air")
        self.assert_as_undisturbed(f, toml, document)

    def test_a_cut_upload_goes_on_at_its_offset(self):
        f = self.federation(1)
        f.proxy.cut_after("up", 2_000_000)
        toml = run_file("resume-up", UNITS)
        document = f.finish(f.start_run(toml))
        self.assertEqual(f.proxy.cuts, 1)
        self.assertLess(f.proxy.total("up"), update_bytes(UNITS) + 700_000, "sent once, and what was in the air")
        self.assertEqual(sum("training_started" in line for line in f.clients["site-1"].lines), 1)
        self.assert_as_undisturbed(f, toml, document)

    def test_an_upload_resumes_over_a_kill_of_both_sides(self):
        f = self.federation(1)
        f.proxy.throttle(400_000)
        toml = run_file("resume-kill", UNITS)
        run = f.start_run(toml)
        client = f.clients["site-1"]
        client.wait_for("training_finished")
        before = f.proxy.total("up")
        f.proxy.wait(lambda p: p.total("up") > before + 2_000_000)
        f.coordinator.kill()
        client.kill()
        f.proxy.throttle(None)
        f.start()
        client = f.start_client("site-1")
        client.wait_for("update_receipted")
        self.assertFalse([line for line in client.lines if "training_started" in line], "the outbox had it")
        self.assertLess(f.proxy.total("up") - before, update_bytes(UNITS) + 700_000)
        self.assert_as_undisturbed(f, toml, f.finish(run))

    # ---- answers

    def receipts(self, f):
        """(of the client's ledger, of the coordinator's): (update digest, receipt)."""
        rows = []
        for path, query in ((os.path.join(f.client_dir("site-1"), "client.db"),
                             "SELECT sha256, receipt, times FROM sent WHERE kind = 'delta'"),
                            (os.path.join(f.dir, "ledger.db"),
                             "SELECT update_sha256, receipt, 1 FROM updates")):
            db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
            rows.append([(digest, bytes(receipt or b""), times) for digest, receipt, times in db.execute(query)])
            db.close()
        return rows

    def test_a_lost_answer_gives_the_same_receipt_and_counts_once(self):
        f = self.federation(1)
        f.proxy.swallow_answers_after(f.proxy.total("up") + 20_000)  # in the middle of an update of 32 kB
        toml = run_file("lost-answer", 10, rounds=1)
        run = f.start_run(toml)
        f.wait_round(run, 1, "committed")  # it arrived whole, and was taken
        self.assertEqual(f.proxy.swallowing, 1)
        client = f.clients["site-1"]
        self.assertFalse([line for line in client.lines if "update_receipted" in line], "the answer did not arrive")
        f.proxy.reset_all()
        client.wait_for("update_receipted")
        theirs, ours = self.receipts(f)
        self.assertEqual(len(theirs), 1)
        self.assertEqual(theirs, ours, "one update, sent once, with the receipt that the coordinator has stored")
        document = f.finish(run)
        self.assertEqual((int(document["rounds"][0]["accepted"]), int(document["rounds"][0]["examples"])), (1, 300))
        self.assert_as_undisturbed(f, toml, document)

    # ---- bad weather

    def test_rounds_complete_while_half_of_all_connections_are_reset(self):
        f = self.federation(3)
        print(f"\nseed of the resets: {f.proxy.seed}", flush=True)
        f.proxy.random_resets(0.5, 80_000)  # a round of one client carries 65 kB
        f.proxy.reset_all()
        toml = run_file("resets", 10, rounds=6, clients=3)
        run = f.start_run(toml)
        for number in range(1, 6):
            f.wait_round(run, number, "committed")
            f.proxy.reset_all()  # all draw again
        document = f.finish(run)
        print(f"{f.proxy.connections} connections, {f.proxy.resets} reset at a random byte", flush=True)
        self.assertGreaterEqual(f.proxy.resets, 3)
        for row in (f.contributions(run, n) for n in range(1, 7)):
            self.assertEqual([c["state"] for c in row.values()], ["accepted"] * 3)
        f.proxy.random_resets(0, 1)
        self.assert_as_undisturbed(f, toml, document)

    def test_a_slow_line_is_only_slow(self):
        f = self.federation(1)
        client = f.clients["site-1"]
        f.proxy.throttle(64_000)
        toml = run_file("slow", 100)  # 318 kB: five seconds down, five up
        watch = Stopwatch()
        document = f.finish(f.start_run(toml))
        self.assertGreater(watch.seconds(), 9)
        f.proxy.throttle(None)
        self.assertFalse([line for line in client.lines if "session_lost" in line], "heartbeats get through")
        self.assert_as_undisturbed(f, toml, document)

    def test_a_long_way_is_only_long(self):
        f = self.federation(2)
        f.proxy.delay(0.1)
        toml = run_file("far", 10, rounds=2, clients=2)
        document = f.finish(f.start_run(toml))
        f.proxy.delay(0)
        self.assert_as_undisturbed(f, toml, document)

    # ---- peers that are gone

    def test_a_frozen_line_is_noticed_by_both_sides_within_30_s(self):
        f = self.federation(1)
        client = f.clients["site-1"]
        said = len(client.lines)
        f.proxy.freeze()
        watch = Stopwatch()
        toml = run_file("frozen", 10)
        run = f.start_run(toml)  # goes out on a line that takes everything and brings nothing
        f.coordinator.wait_for("client_offline", 30)
        print(f"\nthe coordinator noticed after {watch.seconds():.1f} s", flush=True)
        client.wait_for("session_lost", 30 - watch.seconds(), said)
        print(f"the client noticed after {watch.seconds():.1f} s", flush=True)
        self.assertLess(watch.seconds(), 30)
        f.proxy.thaw()
        client.wait_for("session_open", 30, said)
        self.assert_as_undisturbed(f, toml, f.finish(run))

    def test_a_coordinator_that_was_killed_is_found_again_soon(self):
        f = self.federation(1)
        client = f.clients["site-1"]
        for _ in range(3):
            said = len(client.lines)
            f.restart_after_kill()
            watch = Stopwatch()
            client.wait_for("session_open", 15, said)
            print(f"\nback {watch.seconds():.1f} s after it was ready", flush=True)

    def test_a_client_alone_backs_off_keeps_its_update_and_delivers_it(self):
        f = self.federation(1)
        client = f.clients["site-1"]
        toml = run_file("alone", 300, train=", validation_split = 0.0").replace("epochs = 1", "epochs = 60")
        before = f.proxy.total("down")
        run = f.start_run(toml)
        f.proxy.wait(lambda p: p.total("down") > before + update_bytes(300))  # it has the model
        f.coordinator.kill()
        client.wait_for("training_finished")  # nobody is there, it goes on
        pauses, at = [], 0
        while len(pauses) < 6:
            line, at = next_line(client, "session_lost", 60, at)
            pauses.append(int(field(line, "retry_in_ms")))
        self.assertEqual(len(set(pauses)), 6, f"with jitter: {pauses}")
        for n, pause in enumerate(pauses, 1):
            self.assertTrue(500 <= pause <= min(15_000, 500 * 2**n), pauses)
        self.assertGreater(max(pauses[2:]), 1000, f"they grow: {pauses}")
        client.kill()
        held = run_program("tributary-client", ["uploads", "--dir", f.client_dir("site-1")]).ok().out
        self.assertNotIn("receipted", held)
        f.start()
        client = f.start_client("site-1")
        client.wait_for("update_receipted")
        self.assertFalse([line for line in client.lines if "training_started" in line], "not trained again")
        self.assert_as_undisturbed(f, toml, f.finish(run))


if __name__ == "__main__":
    bad_line.main()
