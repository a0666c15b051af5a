"""MNIST over real processes: a coordinator and 10 clients, three seeds, iid and shards:2. Prints a JSON line a round, then a
summary a plan; writes all of it to a file for docs/.

  TRIBUTARY_MNIST_DIR=... TRIBUTARY_BIN=build/release/bin python3 tests/bench/mnist_federation.py --to curves.json
"""

import argparse
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

from federation import MNIST, Federation  # noqa: E402

PLANS = {"iid": 10, "shards:2": 15}
RUN = """
name = "mnist"
rounds = {rounds}
seed = {seed}
model = {{ preset = "keras-cnn" }}
train = {{ epochs = 1, batch_size = 32, optimizer = "adam", learning_rate = 0.001, validation_split = 0.0 }}
round = {{ clients = {clients}, min_clients = {clients}, over_select = 1.0, deadline = "30m" }}
evaluate = {{ every = 1, data = "{data}" }}
"""


def one_run(partition, seed, clients, rounds):
    with Federation() as f:
        for k in range(1, clients + 1):
            f.add_client(f"client-{k}", MNIST, "--part", f"{k}/{clients}", "--partition", partition, "--seed", str(seed))
        run = f.start_run(RUN.format(rounds=rounds, seed=seed, clients=clients, data=MNIST))
        document = f.finish(run, timeout=3600)
        if document["run"]["state"] != "completed":
            raise SystemExit(f"the run ended as {document['run']['state']}: {document['run']['reason']}")
        if not f.doc("history", "verify", run, "--blobs")["ok"]:
            raise SystemExit("the history does not hold")
        return document["rounds"]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--partition", choices=list(PLANS), action="append")
    p.add_argument("--seeds", type=int, default=3)
    p.add_argument("--clients", type=int, default=10)
    p.add_argument("--rounds", type=int)
    p.add_argument("--to")
    a = p.parse_args()
    if not MNIST:
        raise SystemExit("set TRIBUTARY_MNIST_DIR")
    results = []
    for partition in a.partition or PLANS:
        rounds = a.rounds or PLANS[partition]
        curves = []
        for seed in range(1, a.seeds + 1):
            curve = []
            for r in one_run(partition, seed, a.clients, rounds):
                curve.append(r["test_accuracy"])
                print(json.dumps({"partition": partition, "seed": seed, "round": int(r["round"]),
                                  "test_accuracy": r["test_accuracy"], "train_loss": r["train_loss"],
                                  "total_ms": int(r["total_ms"]), "overhead_ms": int(r["overhead_ms"]),
                                  "model_sha256": r["model_sha256"]}), flush=True)
            curves.append(curve)
        tail = curves and (1 if partition == "iid" else 3)
        means = [sum(c[-tail:]) / tail for c in curves]
        results.append({"partition": partition, "rounds": rounds, "clients": a.clients, "curves": curves,
                        "mean_of_last": tail, "mean": sum(means) / len(means)})
        print(json.dumps({k: v for k, v in results[-1].items() if k != "curves"}), flush=True)
    if a.to:
        with open(a.to, "w", encoding="utf-8") as f:
            json.dump(results, f, indent=1)


if __name__ == "__main__":
    main()
