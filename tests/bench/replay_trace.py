"""Our training against PyTorch's, step for step: the same initial weights and batches, the weights compared after the last step.

  /usr/bin/python3 tests/bench/replay_trace.py MNIST_DIR                  all presets, SGD and Adam, 20 steps each
  /usr/bin/python3 tests/bench/replay_trace.py DATA_DIR TRACE_DIR         a trace of `tributary simulate --trace TRACE_DIR --data DATA_DIR`

A trace's form is described in common/learning/simulation_trace.h. Adam is Keras' (epsilon beside the uncorrected root), written out
here; torch.optim is not used. Layouts are Keras': kernels HWIO, flatten in H, W, C; `same` pads what is odd at the end.

ReLU and max pooling have kinks: where a pre-activation is 1e-8 from zero, or two values of a pool are as close, rounding decides
which way the gradient goes, and every later step is another one. So each client is replayed several times: in float32, in float64, and
in float32 from initial weights that are moved by half a unit in the last place. `max_dw` is our distance to the nearest of these,
`torch_dw` the largest between two of them. When PyTorch does not agree with itself (torch_dw above --limit) and we are near none, the
client is `undecided`: it shows nothing. Where PyTorch agrees with itself, so must we. fedavg-cnn-smooth has fedavg-cnn's layers with tanh and
average pooling: no kinks, so there no client may be undecided. `columns` says in how many units or filters of a layer we are further than
--limit from the nearest replay: a kink that went the other way shows as one.

Prints a JSON line a client; exits with 1 when a decided client differs by more than --limit, or a case has no decided one. Needs
Debian's python3-torch and python3-numpy.
"""

import argparse
import glob
import gzip
import itertools
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
import torch.nn.functional as F

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
BIN = os.environ.get("TRIBUTARY_BIN", os.path.join(TOP, "build", "release", "bin"))
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
# 60,000 images in 94 parts, or 12,665 in 20: a little less than 20 batches of 32 each, the last one ragged.
CASES = [(preset, optimizer, rate, clients)
         for preset, clients in (("keras-cnn", 94), ("cat-cnn", 20), ("fedavg-cnn", 94), ("fedavg-cnn-smooth", 94))
         for optimizer, rate in (("sgd", 0.1), ("adam", 0.001))]
# The layers of fedavg-cnn without a kink: here nothing may be undecided.
SMOOTH = """{ input = [28, 28, 1], loss = "sparse_categorical_crossentropy", layers = [
  { conv2d = { filters = 32, kernel = [5, 5], padding = "same", activation = "tanh" } }, { avg_pool2d = { pool = [2, 2] } },
  { conv2d = { filters = 64, kernel = [5, 5], padding = "same", activation = "tanh" } }, { avg_pool2d = { pool = [2, 2] } },
  { flatten = {} }, { dense = { units = 512, activation = "tanh" } }, { dense = { units = 10, activation = "softmax" } } ] }"""
RUN = """
name = "trace"
rounds = 2
seed = 3
model = {model}
train = {{ epochs = 1, batch_size = 32, optimizer = "{optimizer}", learning_rate = {rate} }}
round = {{ clients = 3, min_clients = 3 }}
"""


def read_idx(folder):
    def read(name, skip):
        path = os.path.join(folder, name)
        data = open(path, "rb").read() if os.path.exists(path) else gzip.open(path + ".gz").read()
        return np.frombuffer(data, np.uint8)[skip:]
    labels = read(LABELS, 8)
    return read(IMAGES, 16).reshape(len(labels), 28, 28, 1), labels


def write_idx(folder, images, labels):
    with open(os.path.join(folder, IMAGES), "wb") as f:
        f.write(np.array([0x803, len(images), 28, 28], ">u4").tobytes() + images.tobytes())
    with open(os.path.join(folder, LABELS), "wb") as f:
        f.write(np.array([0x801, len(labels)], ">u4").tobytes() + labels.tobytes())


def read_safetensors(path):
    """The arrays, in the model's order."""
    data = open(path, "rb").read()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__")
    arrays = []
    for entry in sorted(header.values(), key=lambda e: e["data_offsets"]):
        begin, end = entry["data_offsets"]
        array = np.frombuffer(data[8 + size + begin:8 + size + end], "<f4").reshape(entry["shape"])
        arrays.append(torch.from_numpy(array.copy()))
    return arrays


def pad_same(x, kernel, stride, value):
    """What is odd goes to the end, as Keras does."""
    sides = []
    for length, k, s in zip(x.shape[2:], kernel, stride):
        total = max((-(-length // s) - 1) * s + k - length, 0)
        sides = [total // 2, total - total // 2] + sides
    return F.pad(x, sides, value=value)


def pair(spec, what, default):
    return [int(spec.get(f"{what}_{side}") or d) for side, d in zip(("height", "width"), default)]


def activate(x, name):
    known = {"ACTIVATION_RELU": torch.relu, "ACTIVATION_SIGMOID": torch.sigmoid, "ACTIVATION_TANH": torch.tanh,
             "ACTIVATION_UNSPECIFIED": lambda v: v}
    return known[name](x)


def logits_of(layers, weights, x):
    """x: N, H, W, C. The last activation (softmax or sigmoid) is part of the loss."""
    x, weights = x.permute(0, 3, 1, 2), iter(weights)
    for i, layer in enumerate(layers):
        (kind, spec), = layer.items()
        activation = "ACTIVATION_UNSPECIFIED" if i + 1 == len(layers) else spec.get("activation", "ACTIVATION_UNSPECIFIED")
        if kind == "conv2d":
            kernel, stride = pair(spec, "kernel", (1, 1)), pair(spec, "stride", (1, 1))
            if spec.get("padding") == "PADDING_SAME":
                x = pad_same(x, kernel, stride, 0.0)
            x = activate(F.conv2d(x, next(weights).permute(3, 2, 0, 1), next(weights), stride), activation)
        elif kind == "max_pool2d":
            pool = pair(spec, "pool", (2, 2))
            stride = pair(spec, "stride", pool)
            if spec.get("padding") == "PADDING_SAME":
                x = pad_same(x, pool, stride, -np.inf)
            x = F.max_pool2d(x, pool, stride)
        elif kind == "avg_pool2d":
            x = F.avg_pool2d(x, pair(spec, "pool", (2, 2)))
        elif kind == "flatten":
            x = x.permute(0, 2, 3, 1).flatten(1)
        elif kind == "dense":
            x = activate(x @ next(weights) + next(weights), activation)
        else:
            raise SystemExit(f"no replay of {kind}")
    return x


def loss_of(kind, logits, labels):
    if kind == "LOSS_BINARY_CROSSENTROPY":
        return F.binary_cross_entropy_with_logits(logits[:, 0], labels.to(logits.dtype))
    if kind == "LOSS_SPARSE_CATEGORICAL_CROSSENTROPY":
        return F.cross_entropy(logits, labels)
    raise SystemExit(f"no replay of {kind}")


class Optimizer:
    def __init__(self, plan, weights):
        if plan["weight_decay"] or plan["clip_norm"]:
            raise SystemExit("no replay of weight_decay and clip_norm")
        self.kind, self.t = plan["optimizer"], 0
        self.m, self.v = ([torch.zeros_like(w) for w in weights] for _ in range(2))

    def step(self, weights, rate):
        self.t += 1
        rate_t = rate * np.sqrt(1 - 0.999**self.t) / (1 - 0.9**self.t)
        with torch.no_grad():
            for w, m, v in zip(weights, self.m, self.v):
                if self.kind == "OPTIMIZER_SGD":
                    w -= rate * w.grad
                elif self.kind == "OPTIMIZER_MOMENTUM":
                    m.mul_(0.9).sub_(rate * w.grad)
                    w += m
                else:
                    m.add_(w.grad - m, alpha=1 - 0.9)
                    v.add_(w.grad**2 - v, alpha=1 - 0.999)
                    w -= rate_t * m / (v.sqrt() + 1e-7)
                w.grad = None


def replay(plan, x, y, weights, lines):
    """Trains `weights` in place; returns the largest difference of a loss."""
    for w in weights:
        w.requires_grad_()
    optimizer, worst = Optimizer(plan["train"], weights), 0.0
    for step in lines:
        indices = torch.tensor(step["indices"])
        loss = loss_of(plan["model"]["loss"], logits_of(plan["model"]["layers"], weights, x[indices]), y[indices])
        loss.backward()
        optimizer.step(weights, step["learning_rate"])
        worst = max(worst, abs(loss.item() - step["loss"]))
    return worst


def distance(a, b):
    return max((v.detach().double() - w.detach().double()).abs().max().item() for v, w in zip(a, b))


def columns_beyond(limit, a, b):
    """By layer: in how many of its units or filters some weight is further apart than `limit`."""
    counts = {}
    for i, (v, w) in enumerate(zip(a, b)):
        far = ((v.detach().double() - w.detach().double()).abs() > limit).reshape(-1, v.shape[-1]).any(0).sum().item()
        if far:
            counts[f"{i // 2 + 1}"] = max(far, counts.get(f"{i // 2 + 1}", 0))
    return counts


def starts(start):
    """The initial weights of each replay, by what it is called."""
    yield "float32", [w.clone() for w in start]
    yield "float64", [w.double() for w in start]
    for seed in (1, 2):
        noise = torch.Generator().manual_seed(seed)
        yield f"moved-{seed}", [w * (1 + 6e-8 * torch.sign(torch.randn(w.shape, generator=noise))) for w in start]


def replay_client(plan, x, y, start, ours, lines, limit):
    """One client's document."""
    replays, losses = {}, {}
    for name, weights in starts(start):
        losses[name] = replay(plan, x.to(weights[0].dtype), y, weights, lines)
        replays[name] = weights
    near = min(replays, key=lambda name: distance(ours, replays[name]))
    max_dw = distance(ours, replays[near])
    torch_dw = max(distance(a, b) for a, b in itertools.combinations(replays.values(), 2))
    return {"steps": len(lines), "max_dw": max_dw, "max_dloss": losses[near], "moved": distance(ours, start),
            "torch_dw": torch_dw, "near": near, "columns": columns_beyond(limit, ours, replays[near]), "undecided": max_dw > limit and torch_dw > limit}


def replay_trace(data, trace, limit):
    """A document a client."""
    plan = json.load(open(os.path.join(trace, "trace.json"), encoding="utf-8"))["plan"]
    if plan["model"].get("input_mean") or plan["model"].get("input_std"):
        raise SystemExit("no replay of input_mean and input_std")
    images, labels = read_idx(data)
    x = torch.from_numpy(images.astype(np.float32) / np.float32(255))
    y = torch.from_numpy(labels.astype(np.int64))
    for path in sorted(glob.glob(os.path.join(trace, "round-*", "*.jsonl"))):
        round_number = int(os.path.basename(os.path.dirname(path))[len("round-"):])
        start = read_safetensors(os.path.join(trace, f"model-{round_number - 1:04}.safetensors"))
        ours = read_safetensors(path[:-len("jsonl")] + "safetensors")
        lines = [json.loads(line) for line in open(path, encoding="utf-8")]
        yield {"round": round_number, "client": os.path.basename(path)[:-len(".jsonl")],
               **replay_client(plan, x, y, start, ours, lines, limit)}


def make_trace(folder, mnist, preset, optimizer, rate, clients):
    """Runs the simulator; returns the data and the trace."""
    data = mnist
    if preset == "cat-cnn":  # two classes: the digits 0 and 1
        data = os.path.join(folder, "two-digits")
        os.makedirs(data, exist_ok=True)
        images, labels = read_idx(mnist)
        write_idx(data, images[labels < 2], labels[labels < 2])
    run, trace = os.path.join(folder, "run.toml"), os.path.join(folder, f"{preset}-{optimizer}")
    with open(run, "w", encoding="utf-8") as f:
        model = SMOOTH if preset.endswith("-smooth") else f'{{ preset = "{preset}" }}'
        f.write(RUN.format(model=model, optimizer=optimizer, rate=rate))
    subprocess.run([os.path.join(BIN, "tributary"), "simulate", run, "--clients", str(clients), "--data", data, "--trace", trace],
                   check=True, stdout=subprocess.DEVNULL)
    return data, trace


def check_case(case, rows, limit):
    """Prints the clients and their summary; whether all is well."""
    names = {} if case is None else {"model": case[0], "optimizer": case[1]}
    decided, undecided = [], 0
    for row in rows:
        print(json.dumps({**names, **row}), flush=True)
        if case is not None and row["steps"] != 20:
            raise SystemExit(f"{row['steps']} steps, not 20")
        if row["undecided"] and not names.get("model", "").endswith("-smooth"):
            undecided += 1
        else:
            decided.append(row["max_dw"])
    print(json.dumps({**names, "decided": len(decided), "undecided": undecided, "max_dw": max(decided, default=None),
                      "limit": limit, "torch": torch.__version__}), flush=True)
    return bool(decided) and max(decided) <= limit


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("data_dir")
    p.add_argument("trace_dir", nargs="?")
    p.add_argument("--model", choices=sorted({c[0] for c in CASES}), help="only this preset")
    p.add_argument("--limit", type=float, default=1e-5, help="the largest difference of a weight that is fine")
    a = p.parse_args()
    torch.set_num_threads(1)
    good = True
    with tempfile.TemporaryDirectory(prefix="tributary-replay-") as folder:
        for case in [None] if a.trace_dir else [c for c in CASES if a.model in (None, c[0])]:
            data, trace = (a.data_dir, a.trace_dir) if case is None else make_trace(folder, a.data_dir, *case)
            good = check_case(case, replay_trace(data, trace, a.limit), a.limit) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
