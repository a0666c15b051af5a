"""Round overhead: 10 client processes, a tiny dense model, loopback, mutual TLS. Prints every round's overhead_ms and the median
as JSON. Example: TRIBUTARY_BIN=build/release/bin python3 tests/bench/overhead.py --rounds 30"""

import argparse
import json
import os
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

from federation import Federation, tiny_run  # noqa: E402

CLIENTS = 10


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--rounds", type=int, default=30)
    a = p.parse_args()
    with Federation() as f:
        for k in range(1, CLIENTS + 1):
            f.add_client(f"client-{k}", "synthetic:1000", "--part", f"{k}/{CLIENTS}")
        run = f.start_run(tiny_run(rounds=a.rounds, clients=CLIENTS))
        rounds = f.finish(run)["rounds"]
        overhead = [int(r["overhead_ms"]) for r in rounds]
        print(json.dumps({"clients": CLIENTS, "rounds": len(rounds), "overhead_ms": overhead,
                          "median_overhead_ms": statistics.median(overhead),
                          "median_total_ms": statistics.median(int(r["total_ms"]) for r in rounds)}))


if __name__ == "__main__":
    main()
