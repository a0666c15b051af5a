"""The peer for tests/bench/mnist_federation.py: the same plan in PyTorch on the same parts of MNIST.

The parts are cut as common/data/partition.cc cuts them (sorted by label, two shards a client, a permutation by Philox), so that the
two systems see the same examples at the same clients. Prints a JSON line a round and the mean of the last three.
  python3 tests/bench/torch_same_parts.py MNIST_DIR --partition shards:2 --rounds 15 --seed 1
"""

import argparse
import gzip
import json

import numpy as np
import torch
import torch.nn as nn

M0, M1, W0, W1, MASK = 0xD2511F53, 0xCD9E8D57, 0x9E3779B9, 0xBB67AE85, 0xFFFFFFFF


class Philox:
    """common/base/random.h: Philox4x32-10, key = the 64-bit seed, stream 0."""

    def __init__(self, seed):
        self.key, self.block, self.words = (seed & MASK, seed >> 32), 0, []

    def u32(self):
        if not self.words:
            c, k = [self.block & MASK, self.block >> 32, 0, 0], list(self.key)
            self.block += 1
            for _ in range(10):
                p0, p1 = M0 * c[0], M1 * c[2]
                c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & MASK, (p0 >> 32) ^ c[3] ^ k[1], p0 & MASK]
                k = [(k[0] + W0) & MASK, (k[1] + W1) & MASK]
            self.words = c
        return self.words.pop(0)

    def below(self, bound):
        skip = (2**64 - bound) % bound
        while True:
            low = self.u32()
            v = low | self.u32() << 32
            if v >= skip:
                return v % bound

    def shuffle(self, v):
        for i in range(len(v), 1, -1):
            j = self.below(i)
            v[i - 1], v[j] = v[j], v[i - 1]
        return v


def split(order, parts):
    return [list(p) for p in np.array_split(np.asarray(order), parts)]


def cut(labels, spec, parts, seed):
    rng = Philox(seed)
    if spec == "iid":
        return split(rng.shuffle(list(range(len(labels)))), parts)
    per = int(spec.split(":")[1])
    shards = split(np.argsort(labels, kind="stable"), parts * per)
    order = rng.shuffle(list(range(parts * per)))
    return [sum((shards[order[c * per + s]] for s in range(per)), []) for c in range(parts)]


p = argparse.ArgumentParser()
p.add_argument("mnist_dir")
p.add_argument("--partition", default="shards:2")
p.add_argument("--rounds", type=int, default=15)
p.add_argument("--clients", type=int, default=10)
p.add_argument("--seed", type=int, default=1)
p.add_argument("--fused", action="store_true", help="PyTorch 2's fused Adam: faster, the same formula")
p.add_argument("--print-parts", action="store_true")
a = p.parse_args()
torch.set_num_threads(1)
torch.set_flush_denormal(True)  # Adam on two classes at a time is several times slower without
torch.manual_seed(a.seed)
rng = np.random.default_rng(a.seed)
read = lambda f, o: np.frombuffer(gzip.open(f"{a.mnist_dir}/{f}-ubyte.gz").read(), np.uint8)[o:]
images = lambda f: torch.from_numpy(read(f, 16).reshape(-1, 1, 28, 28).astype(np.float32) / 255)
x, y = images("train-images-idx3"), torch.from_numpy(read("train-labels-idx1", 8).astype(np.int64))
xt, yt = images("t10k-images-idx3"), torch.from_numpy(read("t10k-labels-idx1", 8).astype(np.int64))
parts = [np.array(c) for c in cut(y.numpy(), a.partition, a.clients, a.seed)]
if a.print_parts:
    for c in parts:
        print(json.dumps({"examples": len(c), "labels": np.bincount(y.numpy()[c], minlength=10).tolist()}))
    raise SystemExit
net = nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(5408, 128), nn.ReLU(),
                    nn.Linear(128, 10))
for m in net:
    if hasattr(m, "weight"):
        nn.init.xavier_uniform_(m.weight)
        nn.init.zeros_(m.bias)
loss, curve = nn.CrossEntropyLoss(), []
for r in range(1, a.rounds + 1):
    base = {k: v.clone() for k, v in net.state_dict().items()}
    total, examples = {k: torch.zeros_like(v) for k, v in base.items()}, 0
    for part in parts:
        net.load_state_dict(base)
        opt = torch.optim.Adam(net.parameters(), 1e-3, eps=1e-7, **({"fused": True} if a.fused else {}))
        order = rng.permutation(part)
        for j in range(0, len(order), 32):
            opt.zero_grad()
            loss(net(x[order[j:j + 32]]), y[order[j:j + 32]]).backward()
            opt.step()
        for k, v in net.state_dict().items():
            total[k] += v * len(part)
        examples += len(part)
    net.load_state_dict({k: v / examples for k, v in total.items()})
    with torch.no_grad():
        right = sum((net(xt[i:i + 1000]).argmax(1) == yt[i:i + 1000]).sum().item() for i in range(0, len(yt), 1000))
    curve.append(right / len(yt))
    print(json.dumps({"partition": a.partition, "seed": a.seed, "round": r, "test_accuracy": curve[-1]}), flush=True)
print(json.dumps({"partition": a.partition, "seed": a.seed, "mean_of_last_3": sum(curve[-3:]) / 3, "curve": curve}))
