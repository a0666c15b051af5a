"""Real processes over real TLS: what the end-to-end tests are written with.

A Federation owns a throw-away directory, one coordinator and any number of clients, all started from the built programs on
ports that the system chose. Everything it started is stopped, and its directory removed, when the `with` block ends.
Waiting is for a line, a state or an end, each with a limit; nothing sleeps to let something happen.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

_TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
BIN = os.path.abspath(os.environ.get("TRIBUTARY_BIN", os.path.join(_TOP, "build", "release", "bin")))
MNIST = os.environ.get("TRIBUTARY_MNIST_DIR", "")


class Program:
    """One running program. Its stderr is read into `lines` by a thread."""

    def __init__(self, argv, name, env=None):
        """`env`: variables beside those of this process."""
        self.name, self.lines = name, []
        self._changed = threading.Condition()
        self._ended = False
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True, errors="replace",
                                        env={**os.environ, **(env or {})})
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stderr:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_for(self, text, timeout=60, start=0):
        """The first line from `start` on that contains `text`."""
        end = time.monotonic() + timeout
        with self._changed:
            while True:
                for line in self.lines[start:]:
                    if text in line:
                        return line
                left = end - time.monotonic()
                if self._ended or left <= 0:
                    raise AssertionError(f"{self.name}: no line with {text!r}; it said:\n" + "\n".join(self.lines[-40:]))
                self._changed.wait(left)

    def kill(self):
        """kill -9, as a power cut would."""
        self.process.kill()
        return self._finish()

    def stop(self, timeout=30):
        """SIGTERM; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
        return self._finish()

    def wait(self, timeout=60):
        self.process.wait(timeout)
        return self._finish()

    def _finish(self):
        self.process.wait()
        self._reader.join(10)
        self.process.stderr.close()
        return self.process.returncode


class Result:
    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    def json(self):
        return json.loads(self.out)

    def ok(self):
        if self.code != 0:
            raise AssertionError(f"exit code {self.code}\n{self.out}\n{self.err}")
        return self


def run_program(name, args, stdin="", timeout=120, env=None, cwd=None):
    return Result(subprocess.run([os.path.join(BIN, name)] + [str(a) for a in args], input=stdin, text=True,
                                 capture_output=True, timeout=timeout, env=env, cwd=cwd))


class Federation:
    # Where the coordinator and the clients come from; `tributary` is always BIN's.
    programs = BIN

    def __init__(self, descriptors=None):
        """`descriptors`: the coordinator's `ulimit -n`."""
        self.descriptors = descriptors
        self.root = tempfile.mkdtemp(prefix="tributary-e2e-")
        self.dir = os.path.join(self.root, "coordinator")
        self.coordinator = None
        self.clients = {}

    def __enter__(self):
        self.init()
        self.start()
        return self

    def __exit__(self, *_):
        for client in self.clients.values():
            client.stop()
        if self.coordinator:
            self.coordinator.stop()
        shutil.rmtree(self.root, ignore_errors=True)

    def init(self):
        run_program("tributary-coordinator", ["init", "--dir", self.dir, "--name", "localhost", "--listen", "127.0.0.1:0",
                                              "--enrol-listen", "127.0.0.1:0"]).ok()

    def start(self, env=None):
        argv = [os.path.join(self.programs, "tributary-coordinator"), "run", "--dir", self.dir]
        if self.descriptors:
            argv = ["/bin/sh", "-c", f'ulimit -n {self.descriptors}; exec "$@"', "sh"] + argv
        self.coordinator = Program(argv, "coordinator", env)
        self.coordinator.wait_for("ready main=")

    def ports(self):
        """Of the main and the enrolment port."""
        with open(os.path.join(self.dir, "endpoints.json"), encoding="utf-8") as f:
            endpoints = json.load(f)
        return tuple(int(endpoints[k].rsplit(":", 1)[1]) for k in ("main", "enrol"))

    def restart_after_kill(self):
        self.coordinator.kill()
        self.start()

    def op(self, *args, stdin="", timeout=120):
        """`tributary ARGS --dir DIR`."""
        return run_program("tributary", [*args, "--dir", self.dir], stdin, timeout)

    def doc(self, *args):
        return self.op(*args, "-o", "json").ok().json()

    def invite(self, name, *args):
        return self.op("client", "invite", name, *args).ok().out.strip()

    def client_dir(self, name):
        return os.path.join(self.root, "client-" + name)

    def join(self, name, data, *args, invite_args=()):
        return run_program("tributary-client", ["join", "--dir", self.client_dir(name), "--data", data, "--yes", "--threads", "1", *args],
                           self.invite(name, *invite_args) + "\n").ok()

    def start_client(self, name, env=None):
        self.clients[name] = Program([os.path.join(self.programs, "tributary-client"), "run", "--dir", self.client_dir(name)],
                                     name, env)
        return self.clients[name]

    def add_client(self, name, data, *args, invite_args=()):
        self.join(name, data, *args, invite_args=invite_args)
        return self.start_client(name)

    def write(self, name, text):
        path = os.path.join(self.root, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def start_run(self, toml, *args):
        """Starts a run; returns its id."""
        return self.doc("run", "start", self.write("run.toml", toml), *args)["run"]["id"]

    def finish(self, run, timeout=600):
        """Watches the run to its end; returns `run show` as a document."""
        self.op("run", "watch", run, timeout=timeout)
        return self.doc("run", "show", run)

    def wait_round(self, run, number, state, timeout=120):
        """Blocks until the run's round `number` is in `state` or past it, by watching the run's events."""
        order = ["selecting", "training", "aggregating", "evaluating", "committed", "abandoned"]
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            rounds = self.doc("run", "show", run).get("rounds", [])
            for r in rounds:
                if int(r["round"]) > number or (int(r["round"]) == number and order.index(r["state"]) >= order.index(state)):
                    return r
            select.select([], [], [], 0.05)  # polling a state that the command line shows
        raise AssertionError(f"round {number} of {run} did not reach {state}")

    def contributions(self, run, number):
        return {c["client"]: c for c in self.doc("run", "show", run, "--round", number)["contributions"]}

    def blob_path(self, digest):
        return os.path.join(self.dir, "blobs", digest[:2], digest)


TINY_MODEL = """
[model]
input = [28, 28, 1]
loss = "sparse_categorical_crossentropy"
layers = [ { flatten = {} }, { dense = { units = 10, activation = "softmax" } } ]
"""


def tiny_run(name="tiny", rounds=2, clients=2, extra_round="", extra="", train=""):
    """A run that takes milliseconds: softmax regression."""
    return (f'name = "{name}"\nrounds = {rounds}\nseed = 1\n{extra}\n'
            f'train = {{ epochs = 1, batch_size = 32, optimizer = "sgd", learning_rate = 0.1{train} }}\n'
            f'round = {{ clients = {clients}, min_clients = {clients}{extra_round} }}\n'
            f'keep_updates = "forever"\n' + TINY_MODEL)


def main():
    unittest.main(verbosity=2)
