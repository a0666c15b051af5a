"""McMahan et al. 2017, "Communication-Efficient Learning of Deep Networks from Decentralized Data", table 2, MNIST CNN, E = 5, B = 10,
C = 0.1: 100 clients of 600 images, plain SGD, on this machine by `tributary simulate`.

  python3 tests/bench/mcmahan.py MNIST_DIR WORK_DIR --svg docs/mcmahan.svg

For each partition first the rate: each of --rates for --grid-rounds rounds; the best best-so-far accuracy wins (ties: the smaller loss).
As in the paper, each partition has its own: with two digits a client, a rate that is fine for iid can kill every ReLU. The winning run
then goes on to its full length. WORK_DIR keeps, for each run, its rounds (KEY.jsonl, appended by the simulator
itself) and its last model (KEY.safetensors, its checkpoint): stopped at any instant, the same command goes on where it was. Prints a
JSON document with the minutes and where the best-so-far curve crosses 97 % and 99 % (linearly between rounds, as in the paper).
"""

import argparse
import json
import os
import signal
import subprocess
import sys

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
BIN = os.environ.get("TRIBUTARY_BIN", os.path.join(TOP, "build", "release", "bin"))
TARGETS = (0.97, 0.99)
RUN = """
name = "mcmahan"
rounds = {rounds}
seed = {seed}
model = {{ preset = "fedavg-cnn" }}
train = {{ epochs = 5, batch_size = 10, optimizer = "sgd", learning_rate = {rate}, precision = "{precision}" }}
round = {{ clients = 10, min_clients = 10 }}
evaluate = {{ every = 1 }}
"""


class Run:
    """One simulation: its files below the working directory, and its rounds so far."""

    def __init__(self, a, partition, rate, rounds):
        self.a, self.partition, self.rate, self.rounds_wanted = a, partition, rate, rounds
        key = f"{partition.replace(':', '')}-{rate:g}-seed{a.seed}" + ("" if a.precision == "float32" else f"-{a.precision}")
        self.path = os.path.join(a.work_dir, key)

    def rounds(self):
        """In order, each once: a round that was printed but not yet kept when the simulator was killed comes twice, the same."""
        found = {}
        if os.path.exists(self.path + ".jsonl"):
            for line in open(self.path + ".jsonl", encoding="utf-8"):
                if not line.endswith("\n"):
                    break  # half a line: killed while writing
                r = json.loads(line)
                if found.setdefault(int(r["round"]), r)["model_sha256"] != r["model_sha256"]:
                    raise SystemExit(f"{self.path}.jsonl: round {r['round']} is there twice, and not the same")
        if sorted(found) != list(range(1, len(found) + 1)):
            raise SystemExit(f"{self.path}.jsonl: rounds are missing; remove it and {self.path}.safetensors")
        return [found[n] for n in sorted(found)]

    def drop_half_line(self):
        if not os.path.exists(self.path + ".jsonl"):
            return
        with open(self.path + ".jsonl", "r+b") as f:
            f.truncate(f.read().rfind(b"\n") + 1)

    def finish(self):
        if len(self.rounds()) < self.rounds_wanted:
            self.drop_half_line()
            with open(self.path + ".toml", "w", encoding="utf-8") as f:
                f.write(RUN.format(rounds=self.rounds_wanted, seed=self.a.seed, rate=self.rate, precision=self.a.precision))
            command = [os.path.join(BIN, "tributary"), "simulate", self.path + ".toml", "--clients", "100", "--partition",
                       self.partition, "--data", self.a.mnist_dir, "--test", self.a.mnist_dir, "--checkpoint",
                       self.path + ".safetensors", "-o", "jsonl"]
            code = simulate(command, self.path + ".jsonl")
            if code < 0 or code == 130:
                raise SystemExit("stopped; the same command goes on")
            if code != 0:
                return False  # e.g. a rate at which training diverges
        return len(self.rounds()) >= self.rounds_wanted

    def accuracies(self):
        return [r["test_accuracy"] for r in self.rounds()[:self.rounds_wanted]]

    def document(self):
        rounds = self.rounds()[:self.rounds_wanted]
        best = best_so_far(self.accuracies())
        return {"partition": self.partition, "rate": self.rate, "rounds": len(rounds), "best": best[-1],
                "best_by_25": best[min(25, len(best)) - 1],
                "crosses": {f"{t:g}": crossing(best, t) for t in TARGETS},
                "minutes": sum(r["seconds"] for r in rounds) / 60, "seconds_a_round": sum(r["seconds"] for r in rounds) / len(rounds)}


def simulate(command, path):
    """Its lines are appended to `path`. It ends with us: two of them would write the same files."""
    with open(path, "a", encoding="utf-8") as out, subprocess.Popen(command, stdout=out) as process:
        try:
            return process.wait()
        finally:
            process.terminate()


def best_so_far(values):
    best = []
    for v in values:
        best.append(max(v, best[-1] if best else v))
    return best


def crossing(best, target):
    """The round, with a fraction, in which the curve reaches the target; None if it does not."""
    for i, v in enumerate(best):
        if v >= target:
            return i + 1.0 if i == 0 else round(i + (target - best[i - 1]) / (v - best[i - 1]), 2)
    return None


def run_partition(a, partition, rates, rounds):
    """The run of the best rate, at its full length, and those of the grid."""
    grid = []
    for rate in rates:
        run = Run(a, partition, rate, min(a.grid_rounds, rounds))
        if run.finish():
            print(json.dumps(run.document()), flush=True)
            grid.append(run)
        else:
            print(json.dumps({"partition": partition, "rate": rate, "failed": True}), flush=True)
    if not grid:
        raise SystemExit(f"no rate of the grid trained {partition}")
    best = max(grid, key=lambda r: (max(r.accuracies()), -r.rounds()[r.rounds_wanted - 1]["test_loss"]))
    run = Run(a, partition, best.rate, rounds)
    if not run.finish():
        raise SystemExit(f"the run {run.path} did not end; the same command goes on with it")
    return run, grid


class Panel:
    WIDTH, HEIGHT, TOP, LOW, HIGH = 300, 240, 40, 0.90, 1.0

    def __init__(self, left, title, rounds):
        self.left, self.rounds, self.parts = left, max(rounds, 2), []
        self.parts.append(f'<text x="{left}" y="{self.TOP - 14}" font-weight="bold">{title}</text>')
        for percent in range(90, 101, 2):
            y = self.y(percent / 100)
            self.parts.append(f'<line x1="{left}" x2="{left + self.WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
                              f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{percent}</text>')
        for i in range(5):
            r = 1 + round((self.rounds - 1) * i / 4)
            self.parts.append(f'<text x="{self.x(r):.1f}" y="{self.TOP + self.HEIGHT + 16}" text-anchor="middle">{r}</text>')

    def x(self, r):
        return self.left + (r - 1) / (self.rounds - 1) * self.WIDTH

    def y(self, accuracy):
        return self.TOP + (self.HIGH - max(self.LOW, min(self.HIGH, accuracy))) / (self.HIGH - self.LOW) * self.HEIGHT

    def curve(self, values, colour, width):
        points = " ".join(f"{self.x(i + 1):.1f},{self.y(v):.1f}" for i, v in enumerate(values))
        self.parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}"/>')

    def crossings(self, best):
        for target in TARGETS:
            at = crossing(best, target)
            if at is not None:
                x, y = self.x(at), self.y(target)
                self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="#d9822b"/>'
                                  f'<text x="{x + 6:.1f}" y="{y + 14:.1f}">{target:.0%} in round {at:g}</text>')


def draw(results):
    panels = []
    for left, (run, grid) in zip((50, 410), results):
        panel = Panel(left, f"{run.partition}, rate {run.rate:g}", run.rounds_wanted)
        for other in grid:
            if other.rate != run.rate:
                panel.curve(best_so_far(other.accuracies()), "#bbb", 1)
        panel.curve(run.accuracies(), "#9ec5f5", 1)
        best = best_so_far(run.accuracies())
        panel.curve(best, "#1f6feb", 2)
        panel.crossings(best)
        panels.append(panel)
    width = 10 + 360 * len(panels)
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="345" font-family="sans-serif" font-size="11">',
             f'<rect width="{width}" height="345" fill="white"/>', *(part for panel in panels for part in panel.parts),
             '<text x="50" y="318">test accuracy (%) by round; thick: best so far;</text>',
             '<text x="50" y="334">thin: each round; grey: best so far at the other rates</text>', '</svg>']
    return "\n".join(lines) + "\n"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("mnist_dir")
    p.add_argument("work_dir")
    numbers = lambda text: [float(v) for v in text.split(",")]
    p.add_argument("--rates", type=numbers, default=[0.05, 0.1, 0.215, 0.3])
    p.add_argument("--shards-rates", type=numbers, default=[0.02, 0.05, 0.1])
    p.add_argument("--grid-rounds", type=int, default=40)
    p.add_argument("--iid-rounds", type=int, default=40)
    p.add_argument("--shards-rounds", type=int, default=350)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--precision", default="float32")
    p.add_argument("--only", choices=["iid", "shards:2"], help="one of the two partitions")
    p.add_argument("--svg", help="where the plot goes")
    a = p.parse_args()
    os.makedirs(a.work_dir, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped; the same command goes on"))
    todo = {"iid": (a.rates, a.iid_rounds), "shards:2": (a.shards_rates, a.shards_rounds)}
    results = [run_partition(a, name, *how) for name, how in todo.items() if a.only in (None, name)]
    print(json.dumps({run.partition: run.document() for run, _ in results}), flush=True)
    if a.svg:
        with open(a.svg, "w", encoding="utf-8") as f:
            f.write(draw(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
