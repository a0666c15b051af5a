"""kill -9 of the coordinator and of clients at random times, until so many have been killed; then the same checks as at the fail points.

    kill_test.py [--kills 20] [--seed S]     the seed is printed; the times, not the scheduling, repeat with it
"""

import argparse
import os
import random
import sys
import time

from federation import BIN
from survival import CLIENTS, Template, Trial, reference, rows, small_plan

ROUNDS = 8
LONGEST_PAUSE = 1.5  # seconds between two kills


class Killer:
    """Kills one process of a trial whenever its time has come."""

    def __init__(self, trial, rng, most):
        self.trial, self.rng, self.most, self.kills = trial, rng, most, 0
        self.next = time.monotonic() + rng.uniform(0, LONGEST_PAUSE)

    def look(self):
        if self.kills == self.most or time.monotonic() < self.next:
            return
        self.next = time.monotonic() + self.rng.uniform(0, LONGEST_PAUSE)
        name = self.rng.choice(["coordinator", "coordinator", *CLIENTS])
        program = self.trial.processes()[name]
        if program.process.poll() is not None or self.is_spared(name):
            return
        self.trial.kill_one(name)
        self.kills += 1

    def is_spared(self, name):
        """A client gives a task up when it has ended twice while training it (too little memory, most likely)."""
        return name != "coordinator" and bool(rows(os.path.join(self.trial.client_dir(name), "client.db"),
                                                    "SELECT 1 FROM tasks WHERE state IN ('queued', 'training') AND starts > 0"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    rng = random.Random(arguments.seed)
    plan, killed, runs, began = small_plan(rounds=ROUNDS, keep="forever"), 0, 0, time.monotonic()
    with Template(BIN) as template:
        expected = reference(template, plan)
        while killed < arguments.kills:
            with Trial(template, plan) as trial:
                killer = Killer(trial, rng, arguments.kills - killed)
                trial.begin()
                trial.drive(timeout=180, each=killer.look)
                answer = trial.check(*expected)
                assert int(answer.get("blobs_missing", 0)) == 0 and killer.kills == len(trial.deaths), answer
                killed, runs = killed + killer.kills, runs + 1
    print(f"{killed} kills in {runs} runs of {ROUNDS} rounds, {time.monotonic() - began:.0f} s: the same models, receipts and "
          f"updates as undisturbed, and verify passes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
