"""A simulated run and a real one with the same clients, parts, plan and seed give the same models, to the bit."""

import json
import unittest

import federation
from federation import Federation, run_program

CLIENTS, SEED, DATA, PARTITION = 5, 68, "synthetic:9000", "dirichlet:0.05"
SIZES = {"client-0001": 38, "client-0002": 1610, "client-0003": 5262, "client-0004": 863, "client-0005": 1227}
# Everything that draws random numbers or changes from round to round is on.
RUN = f"""
name = "twin"
rounds = 3
seed = {SEED}
[model]
input = [28, 28, 1]
layers = [
  {{ conv2d = {{ filters = 8, kernel = [3, 3], strides = [2, 2], activation = "relu" }} }},
  {{ max_pool2d = {{ pool = [2, 2] }} }},
  {{ dropout = {{ rate = 0.25 }} }},
  {{ flatten = {{}} }},
  {{ dense = {{ units = 32, activation = "relu" }} }},
  {{ dropout = {{ rate = 0.5 }} }},
  {{ dense = {{ units = 10, activation = "softmax" }} }},
]
[train]
epochs = 2
batch_size = 16
optimizer = "adam"
learning_rate = 0.002
learning_rate_decay = 0.7
validation_split = 0.1
weight_decay = 0.01
clip_norm = 1.0
[round]
clients = 3
min_clients = 3
over_select = 1.0
[aggregate]
server_learning_rate = 0.9
[evaluate]
every = 2
data = "synthetic:500"
"""


def simulate(file, *args):
    done = run_program("tributary", ["simulate", file, "--clients", CLIENTS, "--partition", PARTITION, "--data", DATA, "-o", "jsonl",
                                     *args], timeout=280).ok()
    return [json.loads(line) for line in done.out.splitlines()]


def digests(rounds):
    return [r["model_sha256"] for r in rounds]


class SimulateTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with Federation() as f:
            file = f.write("run.toml", RUN)
            cls.simulated = simulate(file)
            cls.other = simulate(file, "--set", "train.weight_decay=0")
            for k in range(1, CLIENTS + 1):
                client = f.add_client(f"client-{k:04}", DATA, "--part", f"{k}/{CLIENTS}", "--partition", PARTITION, "--seed", SEED)
                client.wait_for("session_open")
            cls.document = f.finish(f.start_run(RUN))
            run = cls.document["run"]["id"]
            cls.sizes = {c["name"]: int(c["examples"]) for c in f.doc("client", "list")["clients"]}
            cls.contributions = [f.contributions(run, number) for number in (1, 2, 3)]

    def test_the_parts_are_as_unequal_as_wanted(self):
        self.assertEqual(self.sizes, SIZES)

    def test_every_invited_client_was_accepted_and_the_extremes_took_part(self):
        for contributions in self.contributions:
            self.assertEqual([c["state"] for c in contributions.values()], ["accepted"] * 3)
        took_part = set().union(*self.contributions)
        self.assertTrue({"client-0001", "client-0003"} <= took_part, took_part)

    def test_the_models_are_the_same_to_the_bit(self):
        rounds = self.document["rounds"]
        self.assertEqual(self.document["run"]["state"], "completed", self.document["run"])
        self.assertEqual(digests(rounds), digests(self.simulated))
        self.assertEqual(len(set(digests(rounds))), 3)

    def test_so_are_the_counts_and_the_metrics(self):
        for real, simulated in zip(self.document["rounds"], self.simulated, strict=True):
            self.assertEqual(int(real["examples"]), int(simulated["examples"]))
            self.assertEqual(int(real["accepted"]), int(simulated["clients"]))
            self.assertAlmostEqual(real["train_loss"], simulated["train_loss"], delta=1e-12)
            for metric in ("test_loss", "test_accuracy"):
                self.assertEqual(metric in real, real["round"] in ("2", "3"), real)
                self.assertEqual(real.get(metric), simulated.get(metric))

    def test_a_change_of_the_plan_is_seen(self):
        self.assertNotEqual(digests(self.other), digests(self.simulated))


if __name__ == "__main__":
    federation.main()
