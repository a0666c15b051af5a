"""A federation whose clients reach the coordinator over a line that a test spoils (tests/support/tcp_proxy.py)."""

import json
import os
import sys
import time

import federation
from federation import Federation, run_program

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from tcp_proxy import Proxy  # noqa: E402


class ProxiedFederation(Federation):
    """The main port is advertised as the proxy's; enrolment and the operator go straight."""

    def __init__(self, seed=None):
        super().__init__()
        self.proxy = Proxy(seed)

    def __exit__(self, *_):
        self.proxy.thaw()
        super().__exit__()
        self.proxy.close()

    def init(self):
        run_program("tributary-coordinator", ["init", "--dir", self.dir, "--name", "localhost", "--listen", "127.0.0.1:0",
                                              "--enrol-listen", "127.0.0.1:0", "--advertise",
                                              f"localhost:{self.proxy.port}"]).ok()

    def start(self, env=None):
        super().start(env)
        with open(os.path.join(self.dir, "endpoints.json"), encoding="utf-8") as f:
            self.proxy.set_target(*json.load(f)["main"].rsplit(":", 1))


def model(units):
    """A dense layer in between: 795 parameters a unit, and 10."""
    return ('[model]\ninput = [28, 28, 1]\nloss = "sparse_categorical_crossentropy"\nlayers = [ { flatten = {} }, '
            f'{{ dense = {{ units = {units}, activation = "relu" }} }}, {{ dense = {{ units = 10, activation = "softmax" }} }} ]\n')


def run_file(name, units, rounds=1, clients=1, round_extra="", train="", top=""):
    """4 bytes x (795 x units + 10) go down and up, each round and client."""
    return (f'name = "{name}"\nrounds = {rounds}\nseed = 1\nkeep_updates = "forever"\n{top}'
            f'train = {{ epochs = 1, batch_size = 32, optimizer = "sgd", learning_rate = 0.1{train} }}\n'
            f'round = {{ clients = {clients}, min_clients = {clients}{round_extra} }}\n' + model(units))


def update_bytes(units):
    return 4 * (795 * units + 10)


def digests(document):
    return [r["model_sha256"] for r in document["rounds"]]


def verify(f):
    """The coordinator's offline check of everything; it is stopped for it."""
    assert f.coordinator.stop() == 0, f.coordinator.lines[-20:]
    run_program("tributary-coordinator", ["verify", "--dir", f.dir]).ok()


def field(line, key):
    """The value of key=value in a line of a log."""
    return line.split(key + "=", 1)[1].split()[0].strip('"')


def next_line(program, text, timeout=60, after=0):
    """The first line with `text` from the `after`-th on, and the number of the one behind it."""
    program.wait_for(text, timeout, after)
    for number in range(after, len(program.lines)):
        if text in program.lines[number]:
            return program.lines[number], number + 1
    raise AssertionError(text)


class Stopwatch:
    def __init__(self):
        self._began = time.monotonic()

    def seconds(self):
        return time.monotonic() - self._began


main = federation.main
