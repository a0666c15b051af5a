"""Clients of 37, 600 and 5,000 examples: the new model against a computation by hand from the stored updates, with
Python's exact rationals."""

import unittest
from fractions import Fraction

import numpy as np

import federation
from federation import Federation, tiny_run

SIZES = {"small": 37, "middle": 600, "large": 5000}
SCALE = 2**40


def by_hand(base, updates):
    """float32(base + sum(n * q) / (sum(n) * 2^40)), q = round-half-even(delta * 2^40), as docs/protocol.md has it."""
    total = sum(n for n, _ in updates)
    out = np.empty_like(base)
    for i in range(len(base)):
        acc = sum(n * round(Fraction(float(delta[i])) * SCALE) for n, delta in updates)
        out[i] = np.float32(float(base[i]) + float(Fraction(acc, total * SCALE)))
    return out


class AggregateTest(unittest.TestCase):
    def test_the_model_is_the_weighted_mean_of_the_updates(self):
        with Federation() as f:
            for name, count in SIZES.items():
                f.add_client(name, f"synthetic:{count}:{count}")
            run = f.start_run(tiny_run(rounds=2, clients=3))
            rounds = f.finish(run)["rounds"]
            self.assertEqual([r["state"] for r in rounds], ["committed", "committed"])
            for r in rounds:
                contributions = f.contributions(run, int(r["round"]))
                self.assertEqual({n: int(c["weight"]) for n, c in contributions.items()}, SIZES)
                self.assertEqual(int(r["examples"]), sum(SIZES.values()))
                read = lambda digest: np.fromfile(f.blob_path(digest), dtype="<f4")
                updates = [(SIZES[n], read(c["update_sha256"])) for n, c in contributions.items()]
                want = by_hand(read(r["base_model_sha256"]), updates)
                got = read(r["model_sha256"])
                self.assertEqual(len(got), 7850)
                self.assertTrue(np.any(got != read(r["base_model_sha256"])))
                np.testing.assert_array_equal(got, want)


if __name__ == "__main__":
    federation.main()
