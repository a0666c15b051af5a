"""The same run twice gives the same digests; so does one in which the coordinator and a client are killed and started again."""

import unittest

import federation
from federation import Federation

CLIENTS = 3
# Three clients of a synthetic set, long enough a round that a kill lands in the middle of it.
RUN = """
name = "repeat"
rounds = 3
seed = 5
model = { preset = "keras-cnn" }
train = { epochs = 1, batch_size = 32, optimizer = "adam", validation_split = 0.1 }
round = { clients = 3, min_clients = 3, over_select = 1.0, deadline = "10m" }
evaluate = { every = 1, data = "synthetic:500" }
"""
DATA = "synthetic:6000"


def add_clients(f):
    for k in range(1, CLIENTS + 1):
        f.add_client(f"site-{k}", DATA, "--part", f"{k}/{CLIENTS}", "--partition", "iid", "--seed", "1")


def digests(document):
    return [(r["model_sha256"], r["base_model_sha256"]) for r in document["rounds"]]


class DeterminismTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with Federation() as f:
            add_clients(f)
            run = f.start_run(RUN)
            cls.reference = f.finish(run)
            cls.updates = [{n: c["update_sha256"] for n, c in f.contributions(run, r).items()} for r in (1, 2, 3)]

    def check(self, f, run):
        document = f.finish(run)
        self.assertEqual(document["run"]["state"], "completed", document["run"])
        self.assertEqual(digests(document), digests(self.reference))
        for number in (1, 2, 3):
            got = f.contributions(run, number)
            self.assertEqual({n: c["update_sha256"] for n, c in got.items()}, self.updates[number - 1])
            self.assertEqual({c["state"] for c in got.values()}, {"accepted"})
        self.assertTrue(f.doc("history", "verify", run, "--blobs")["ok"])

    def test_the_reference_run_completed(self):
        self.assertEqual(self.reference["run"]["state"], "completed")
        self.assertEqual(len({m for m, _ in digests(self.reference)}), 3)

    def test_a_fresh_federation_repeats_it(self):
        with Federation() as f:
            add_clients(f)
            self.check(f, f.start_run(RUN))

    def test_killing_the_coordinator_in_the_middle_of_a_round_changes_nothing(self):
        with Federation() as f:
            add_clients(f)
            run = f.start_run(RUN)
            f.wait_round(run, 2, "training")
            f.restart_after_kill()
            self.check(f, run)

    def test_killing_a_client_while_it_trains_changes_nothing(self):
        with Federation() as f:
            add_clients(f)
            run = f.start_run(RUN)
            f.wait_round(run, 2, "training")
            f.clients["site-2"].kill()
            f.start_client("site-2")
            self.check(f, run)

    def test_another_seed_gives_another_model(self):
        with Federation() as f:
            add_clients(f)
            run = f.start_run(RUN, "--set", "seed=6", "--set", "rounds=1")
            self.assertNotEqual(digests(f.finish(run))[0], digests(self.reference)[0])


if __name__ == "__main__":
    federation.main()
