"""PyTorch's side of tests/bench/compare_torch, which starts it; the requests are those of compare_ours.cc, a line each.

A step gathers the next batch of the given order from bytes and makes floats of it, as our side does. PyTorch has choices that our side
has not (two memory layouts; loops over parameters one by one, all at once, or fused): `case` tries each for a moment and keeps the fastest.
Adam is Keras': PyTorch's own, whose epsilon is divided by sqrt(1 - b2^t) before each step, which makes the two formulas equal.
Usage: torch_side.py MNIST_DIR ORDER WEIGHTS THREADS
"""

import ctypes
import gzip
import json
import math
import sys
import time

import numpy as np
import torch
import torch.nn as nn

MNIST, ORDER, WEIGHTS, THREADS = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
torch.set_num_threads(THREADS)
SGD_RATE, ADAM_RATE, EPSILON, TRIAL_SECONDS = 0.01, 0.001, 1e-7, 0.4


def keras_cnn():
    return nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(5408, 128), nn.ReLU(), nn.Linear(128, 10))


def fedavg_cnn():
    return nn.Sequential(nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(),
                         nn.MaxPool2d(2), nn.Flatten(), nn.Linear(3136, 512), nn.ReLU(), nn.Linear(512, 10))


MODELS = {"keras-cnn": keras_cnn, "fedavg-cnn": fedavg_cnn}


def load(preset):
    """A network with the weights of the file: kernels [h, w, in, out], dense [in, out] with the inputs channels-last."""
    net, flat = MODELS[preset](), np.fromfile(f"{WEIGHTS}.{preset}", np.float32)
    channels, at = 0, 0

    def take(*shape):
        nonlocal at
        at += math.prod(shape)
        return torch.from_numpy(flat[at - math.prod(shape):at].reshape(shape).copy())

    with torch.no_grad():
        for m in net:
            if isinstance(m, nn.Conv2d):
                channels = m.out_channels
                m.weight.copy_(take(*m.kernel_size, m.in_channels, m.out_channels).permute(3, 2, 0, 1))
            elif isinstance(m, nn.Linear):
                w = take(m.in_features, m.out_features)
                if channels:  # the first after the flatten: its inputs are [h, w, c] there and [c, h, w] here
                    w = w.reshape(-1, channels, m.out_features).transpose(0, 1).reshape(m.in_features, m.out_features)
                    channels = 0
                m.weight.copy_(w.t())
            else:
                continue
            m.bias.copy_(take(m.bias.numel()))
    assert at == flat.size, f"{at} parameters, not {flat.size}"
    return net


class Run:
    def __init__(self, preset, work, batch, bf16, channels_last, loops):
        self.net, self.work, self.batch, self.bf16 = load(preset), work, batch, bf16
        self.channels_last, self.loss, self.steps, self.begin = channels_last, nn.CrossEntropyLoss(), 0, 0
        if channels_last:
            self.net = self.net.to(memory_format=torch.channels_last)
        make = {"adam": lambda **k: torch.optim.Adam(self.net.parameters(), ADAM_RATE, eps=EPSILON, **k),
                "sgd": lambda **k: torch.optim.SGD(self.net.parameters(), SGD_RATE, **k)}
        self.optimizer = make[work](**loops) if work in make else None
        if work == "evaluate":
            self.net.eval()

    def read(self, indices):
        x = PIXELS[indices].to(torch.float32).div_(255)
        return (x.contiguous(memory_format=torch.channels_last) if self.channels_last else x), LABELS[indices]

    def forward(self, x, y):
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            out = self.net(x)
        return self.loss(out.float(), y)

    def step(self):
        if self.begin + self.batch > len(PERMUTATION):
            self.begin = 0
        x, y = self.read(PERMUTATION[self.begin:self.begin + self.batch])
        self.begin += self.batch
        self.steps += 1
        if self.work == "evaluate":
            with torch.inference_mode():
                return self.forward(x, y)
        self.optimizer.zero_grad(set_to_none=True)
        self.forward(x, y).backward()
        if self.work == "adam":
            for group in self.optimizer.param_groups:
                group["eps"] = EPSILON / math.sqrt(1 - 0.999**self.steps)
        self.optimizer.step()

    def check(self):
        for _ in range(20 if self.work != "evaluate" else 0):
            self.step()
        with torch.no_grad():
            return {"loss": self.forward(*self.read(torch.arange(512))).item()}

    def time(self, seconds):
        start, first = time.perf_counter(), self.steps
        while time.perf_counter() - start < seconds:
            self.step()
        return (self.steps - first) * self.batch / (time.perf_counter() - start)


def best_run(preset, work, batch, precision):
    """The fastest of PyTorch's layouts and loops, as new."""
    loops = [{}] if work == "evaluate" else [{"foreach": False}, {"foreach": True}, {"fused": True}]
    best = (0, None)
    for choice in [(c, l) for c in (False, True) for l in loops]:
        try:
            run = Run(preset, work, batch, precision == "bf16", *choice)
            run.step()
            run.time(TRIAL_SECONDS / 4)
            best = max(best, (run.time(TRIAL_SECONDS), choice), key=lambda b: b[0])
        except (TypeError, RuntimeError, ValueError):  # this PyTorch has no such loop
            continue
    (channels_last, choice) = best[1]
    name = " ".join(["channels-last" if channels_last else "contiguous", *(f"{k}={v}" for k, v in choice.items())])
    return Run(preset, work, batch, precision == "bf16", channels_last, choice), name


def blas_core():
    """What OpenBLAS takes this CPU for; empty when PyTorch does not use it."""
    with open("/proc/self/maps") as maps:
        paths = {line.split()[-1] for line in maps if "openblas" in line}
    for path in paths:
        name = getattr(ctypes.CDLL(path), "openblas_get_corename", None)
        if name is not None:
            name.restype = ctypes.c_char_p
            return name().decode()
    return ""


def idx(name, skip):
    return np.frombuffer(gzip.open(f"{MNIST}/{name}.gz").read(), np.uint8)[skip:].copy()


PIXELS = torch.from_numpy(idx("train-images-idx3-ubyte", 16).reshape(-1, 1, 28, 28))
LABELS = torch.from_numpy(idx("train-labels-idx1-ubyte", 8).astype(np.int64))
PERMUTATION = torch.from_numpy(np.fromfile(ORDER, np.uint32).astype(np.int64))

run = None
for line in sys.stdin:
    words = line.split()
    if words[0] == "case":
        run, variant = best_run(words[1], words[2], int(words[3]), words[4])
        answer = {"variant": variant, "torch": torch.__version__, "blas": blas_core()}
    elif words[0] == "check":
        answer = run.check()
    elif words[0] == "run":
        answer = {"images_per_second": run.time(float(words[1]))}
    else:
        answer = {"error": f"unknown request: {line}"}
    print(json.dumps(answer), flush=True)
