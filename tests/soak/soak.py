"""A federation under faults for minutes: 200 light clients over real mutual TLS, one run of many rounds, and a seed that decides what
goes wrong. Clients vanish, hang up, decline, cut uploads, send twice and come too late (tests/support/crowd); the coordinator is killed
(-9) or stopped and started again, and backed up while it works. At the end the invariants are checked from the ledger
alone (invariants.py), against every receipt that a client got, and by `verify`.

  soak.py                     as CI runs it, about a minute
  soak.py --minutes 15        by hand: at least 100 rounds
  soak.py --seed S            the faults of an earlier run again; printed first
"""

import argparse
import json
import os
import random
import shutil
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "e2e"), HERE]

from crowd import Crowd, CrowdFederation  # noqa: E402
from federation import run_program, tiny_run  # noqa: E402
from invariants import check_ledger  # noqa: E402

CLIENTS, TARGET, ENOUGH = 200, 120, 60
ROUNDS = 100_000  # the clock ends the run, not this
KEPT_BACKUPS = 6


class Soak:
    def __init__(self, f, minutes, seed):
        self.f, self.end, self.random = f, time.monotonic() + 60 * minutes, random.Random(seed)
        self.done = {"kills": 0, "stops": 0, "backups": 0}
        self.backups = []

    def disturb(self):
        """One thing that goes wrong, or is asked for, on the coordinator's side."""
        what = self.random.choice(["kills", "kills", "stops", "backups"])
        self.done[what] += 1
        if what == "kills":
            self.f.restart_after_kill()
        elif what == "stops":
            code = self.f.coordinator.stop(timeout=10)
            assert code == 0, f"a clean stop ended with {code}"
            self.f.start()
        else:
            to = os.path.join(self.f.root, f"backup-{self.done[what]}")
            run_program("tributary-coordinator", ["backup", "--dir", self.f.dir, "--to", to], timeout=600).ok()
            self.backups.append(to)
            if len(self.backups) > KEPT_BACKUPS:  # the first and the newest stay
                os.remove(self.backups.pop(self.random.randrange(1, KEPT_BACKUPS)))

    def run(self, run):
        while time.monotonic() < self.end:
            time.sleep(self.random.uniform(2, 8))  # between faults; nothing waits for it
            self.disturb()
        self.f.op("run", "stop", run).ok()

    def check_backups(self):
        to = os.path.join(self.f.root, "restored")
        for backup in self.backups:
            run_program("tributary-coordinator", ["restore", "--from", backup, "--dir", to], timeout=600).ok()
            run_program("tributary-coordinator", ["verify", "--dir", to], timeout=600).ok()
            shutil.rmtree(to)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--minutes", type=float, default=0.7)
    p.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    a = p.parse_args()
    print(f"seed {a.seed}", flush=True)
    with CrowdFederation(CLIENTS) as f:
        crowd = Crowd(f, "--faults", 0.1, "--seed", a.seed)
        crowd.wait(lambda e: e["event"] == "connected")
        run = f.start_run(tiny_run(rounds=ROUNDS, clients=TARGET, extra_round=(
            f', over_select = 1.25, deadline = "4s", select_wait = "3s", max_failed_rounds = 1000')).replace(
                f"min_clients = {TARGET}", f"min_clients = {ENOUGH}").replace(
                    # Two updates of 31 KB a second and client fill a disk.
                    'keep_updates = "forever"', f'keep_updates = "{"forever" if a.minutes < 2 else "round"}"'))
        soak = Soak(f, a.minutes, a.seed)
        soak.run(run)
        events = crowd.stop()
        code = f.coordinator.stop(timeout=10)
        assert code == 0, f"the last stop ended with {code}"
        verified = run_program("tributary-coordinator", ["verify", "--dir", f.dir], timeout=600).ok().out.strip()
        soak.check_backups()
        summary = check_ledger(f.dir, run, [e for e in events if e["event"] == "receipt"])
        broken = [e for e in events if e["event"] in ("fault", "rejected")]
        assert not broken, f"clients saw {broken[:5]}"
        assert summary["committed"] > 0, "no round was committed"
        print(json.dumps({"seed": a.seed, "minutes": a.minutes, **soak.done, **summary, "crowd": events[-1], "verify": verified}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
