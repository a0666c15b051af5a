"""Makes nn.txt: what small networks compute, by PyTorch tensor operations in float64, for tests/common/nn/golden_test.cc.

    python3 tests/golden/make_nn_golden.py > tests/golden/nn.txt

Needs torch (any CPU build); the test does not. Each line is `case/array count value...`. Inputs and parameters are exact
float32 numbers. Arrays are in our layouts: images [n, h, w, c], conv kernels [kh, kw, in, out], dense kernels [in, out],
parameters flat, kernel before bias. PyTorch's own layouts are [n, c, h, w] and [out, in, kh, kw], hence the permutes.
Padding is written out with F.pad, Adam as Keras defines it (not torch.optim's, which corrects v before adding epsilon).
"""

import torch
import torch.nn.functional as F

torch.manual_seed(20)


def exact(*shape, scale=1.0):
    return (torch.randn(*shape) * scale).to(torch.float32).to(torch.float64)


def show(case, name, tensor):
    values = tensor.detach().reshape(-1).tolist()
    print(f"{case}/{name}", len(values), *(repr(round(v, 12)) if name.startswith("want") else repr(v) for v in values))


def same_pad(size, window, stride):
    out = -(-size // stride)
    total = max((out - 1) * stride + window - size, 0)
    return total // 2, total - total // 2


def pad(x, window, stride, padding, value=0.0):
    if padding == "valid":
        return x
    top, bottom = same_pad(x.shape[2], window[0], stride[0])
    left, right = same_pad(x.shape[3], window[1], stride[1])
    return F.pad(x, (left, right, top, bottom), value=value)


def conv(x, w, b, stride, padding):
    return F.conv2d(pad(x, w.shape[:2], stride, padding), w.permute(3, 2, 0, 1), b, stride)


def max_pool(x, window, stride, padding):
    return F.max_pool2d(pad(x, window, stride, padding, float("-inf")), window, stride)


def avg_pool(x, window, stride, padding):
    ones = torch.ones_like(x)
    total, count = (F.avg_pool2d(pad(t, window, stride, padding), window, stride) for t in (x, ones))
    return total / count


def flatten(x):
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1)


def image(x):
    return x.permute(0, 3, 1, 2)


# name: (input, output size, shapes of the parameters, logits, loss)
def odd_conv(x, p):
    h = torch.tanh(conv(image(x), p[0], p[1], (2, 1), "same"))
    return flatten(avg_pool(h, (2, 3), (2, 2), "same")) @ p[2] + p[3]


def two_convs(x, p):
    h = torch.relu(conv(image(x), p[0], p[1], (1, 2), "valid"))
    h = max_pool(h, (3, 2), (2, 1), "same")
    h = torch.sigmoid(conv(h, p[2], p[3], (2, 1), "same"))
    return flatten(h) @ p[4] + p[5]


def regression(x, p):
    return torch.tanh(x @ p[0] + p[1]) @ p[2] + p[3]


def cross_entropy(z, y):
    return F.cross_entropy(z, y, reduction="none")


def binary(z, y):
    return F.binary_cross_entropy_with_logits(z[:, 0], y.to(torch.float64), reduction="none")


def squared(z, y):
    return ((z - y) ** 2).mean(dim=1)


CASES = {
    "odd_conv": ((7, 9, 2), [(3, 5, 2, 3), (3,), (2 * 5 * 3, 4), (4,)], odd_conv, cross_entropy,
                 lambda n: torch.randint(0, 4, (n,)), lambda z: torch.softmax(z, 1)),
    "two_convs": ((8, 11, 3), [(3, 2, 3, 5), (5,), (2, 3, 5, 2), (2,), (2 * 5 * 2, 1), (1,)], two_convs, binary,
                  lambda n: torch.randint(0, 2, (n,)), torch.sigmoid),
    "regression": ((6,), [(6, 7), (7,), (7, 3), (3,)], regression, squared, lambda n: exact(n, 3), lambda z: z),
}


def steps(kind, params, x, y, forward, loss_fn):
    p = [t.clone() for t in params]
    m, v = [torch.zeros_like(t) for t in p], [torch.zeros_like(t) for t in p]
    lr = 0.05
    for t in range(1, 4):
        q = [a.clone().requires_grad_() for a in p]
        grads = torch.autograd.grad(loss_fn(forward(x, q), y).mean(), q)
        for i, g in enumerate(grads):
            if kind == "sgd":
                p[i] = p[i] - lr * g
            elif kind == "momentum":
                m[i] = 0.9 * m[i] - lr * g
                p[i] = p[i] + m[i]
            else:
                m[i] = 0.9 * m[i] + 0.1 * g
                v[i] = 0.999 * v[i] + 0.001 * g * g
                p[i] = p[i] - lr * (1 - 0.999**t) ** 0.5 / (1 - 0.9**t) * m[i] / (v[i].sqrt() + 1e-7)
    return torch.cat([t.reshape(-1) for t in p])


for case, (shape, param_shapes, forward, loss_fn, targets, output) in CASES.items():
    n = 3
    x, y = exact(n, *shape), targets(n)
    params = [exact(*s, scale=0.4) for s in param_shapes]
    q = [p.clone().requires_grad_() for p in params]
    z = forward(x, q)
    losses = loss_fn(z, y)
    grads = torch.autograd.grad(losses.mean(), q)
    show(case, "x", x)
    show(case, "y", y.to(torch.float64))
    show(case, "parameters", torch.cat([p.reshape(-1) for p in params]))
    show(case, "want_output", output(z))
    show(case, "want_loss_sum", losses.sum())
    show(case, "want_gradients", torch.cat([g.reshape(-1) for g in grads]))
    for kind in ("sgd", "momentum", "adam"):
        show(case, f"want_after_3_{kind}", steps(kind, params, x, y, forward, loss_fn))
