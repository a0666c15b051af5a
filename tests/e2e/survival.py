"""A federation whose processes end at bad moments, and what must be true afterwards.

A Template is a federation that was made once: a coordinator's directory and two joined clients. A Trial is a copy of it, so that
a trial costs no joining, runs one small run to its end, and checks that whatever ended and came back left no trace: the same
models as in a run that nobody disturbed, every receipt kept on both sides, no update counted twice, none trained twice.
"""

import os
import re
import select
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time

import federation
from federation import BIN, Federation, Program, run_program, tiny_run

FAIL_POINT_PROGRAMS = os.path.join(os.path.dirname(BIN), "tests", "fail_points")
CLIENTS = ("site-1", "site-2")


def pause():
    select.select([], [], [], 0.01)  # between two looks at a file that another process writes


def rows(path, sql, *args):
    """Rows of a database that a live process may be writing; none while it cannot be opened."""
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5) as db:
            return db.execute(sql, args).fetchall()
    except sqlite3.OperationalError:
        return []
    finally:
        if "db" in locals():
            db.close()


class Template(Federation):
    """Made with the programs in `programs`; `traces` gets the fail points that were passed, by program."""

    def __init__(self, programs, data="synthetic:120"):
        super().__init__()
        self.programs, self.traces, self.data = programs, {}, data

    def __enter__(self):
        self.init_traced()
        self.start(self.trace("enrolment"))
        for k, name in enumerate(CLIENTS, 1):
            self.join_traced(name, self.invite(name), k)
        self.coordinator.stop()
        self.coordinator = None
        return self

    def trace(self, program):
        """Variables that note the fail points which `program` passes."""
        return {"TRIBUTARY_FAILPOINT_TRACE": os.path.join(self.root, "trace-" + program)}

    def passed(self, program):
        """Names in the order of their first pass, with how often each was passed."""
        counts = {}
        try:
            with open(os.path.join(self.root, "trace-" + program), encoding="utf-8") as f:
                for line in f:
                    counts[line.strip()] = counts.get(line.strip(), 0) + 1
        except FileNotFoundError:
            pass
        return counts

    def init_traced(self):
        self.program("tributary-coordinator", init_args(self.dir), env=self.trace("init")).ok()

    def join_traced(self, name, invitation, part, env=None):
        args = ["join", "--dir", self.client_dir(name), "--data", self.data, "--yes", "--threads", "1", "--part",
                f"{part}/{len(CLIENTS)}", "--partition", "iid", "--seed", "1"]
        return self.program("tributary-client", args, invitation + "\n", self.trace("join") if env is None else env).ok()

    def program(self, name, args, stdin="", env=None):
        return federation.Result(subprocess.run([os.path.join(self.programs, name)] + args, input=stdin, text=True,
                                                capture_output=True, timeout=60, env={**os.environ, **(env or {})}))


def init_args(directory):
    return ["init", "--dir", directory, "--name", "localhost", "--listen", "127.0.0.1:0", "--enrol-listen", "127.0.0.1:0"]


class Trial(Federation):
    """`faults` names the environment that a program gets at its first start: {"coordinator": {...}, "site-1": {...}}."""

    def __init__(self, template, plan, faults=None):
        self.root = tempfile.mkdtemp(prefix="tributary-trial-")
        self.programs = template.programs
        self.dir = os.path.join(self.root, "coordinator")
        self.coordinator, self.clients, self.plan, self.faults, self.descriptors = None, {}, plan, dict(faults or {}), None
        self.deaths, self.said, self.run, self.finished = [], {name: [] for name in CLIENTS}, None, {}
        self.allowed_ends, self.expected_death = {-signal.SIGKILL}, None
        self.steps_fail = False  # steps fail, so rounds may be abandoned, and a run may fail if it says why
        shutil.copytree(template.dir, self.dir, symlinks=True)
        for name in CLIENTS:
            shutil.copytree(template.client_dir(name), self.client_dir(name), symlinks=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for program in [*self.clients.values(), self.coordinator]:
            if program:
                program.kill()
        shutil.rmtree(self.root, ignore_errors=True)

    # ---- processes

    def launch(self, name):
        """Starts `coordinator` or a client, without waiting for it to be ready."""
        env = self.faults.pop(name, None)
        if name == "coordinator":
            argv = [os.path.join(self.programs, "tributary-coordinator"), "run", "--dir", self.dir]
            self.coordinator = Program(argv, name, env)
        else:
            self.clients[name] = Program(
                [os.path.join(self.programs, "tributary-client"), "run", "--dir", self.client_dir(name)], name, env)

    def processes(self):
        return {"coordinator": self.coordinator, **self.clients}

    def revive(self):
        """Starts again whatever has ended, after noting how."""
        for name, program in self.processes().items():
            if program is None or program.process.poll() is None:
                continue
            self.buried(name, program)
            self.launch(name)

    def buried(self, name, program):
        code = program.wait()
        if code not in self.allowed_ends:
            raise AssertionError(f"{name} ended with {code}:\n" + "\n".join(program.lines[-20:]))
        self.deaths.append((name, code, program.lines))
        if name != "coordinator":
            self.said[name] += program.lines
            self.note_finished(name)

    def kill_one(self, name):
        """kill -9, noted as a death; not started again yet."""
        self.processes()[name].process.kill()
        self.processes()[name].process.wait()

    # ---- the run

    def begin(self):
        self.launch("coordinator")
        for name in CLIENTS:
            self.launch(name)

    def coordinator_is_ready(self):
        return any("ready main=" in line for line in self.coordinator.lines)

    def ensure_run(self):
        """Starts the run once, whatever became of an earlier attempt."""
        found = rows(os.path.join(self.dir, "ledger.db"), "SELECT id FROM runs")
        if found:
            self.run = found[0][0]
        elif self.coordinator_is_ready():
            self.op("run", "start", self.write("run.toml", self.plan), timeout=60)

    def state(self):
        found = rows(os.path.join(self.dir, "ledger.db"), "SELECT state, reason FROM runs")
        return found[0] if found else ("", "")

    def drive(self, timeout=60, each=None):
        """To the run's end, reviving what ends. `each` is called at every look."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            self.revive()
            if self.run is None:
                self.ensure_run()
            state, reason = self.state()
            if state == "completed" or (self.steps_fail and state == "failed" and "fail point" in reason):
                self.await_death()
                return
            if state not in ("", "running", "stalled"):
                raise AssertionError(f"the run is {state}: {reason}\n" + self.last_words())
            if each:
                each()
            pause()
        raise AssertionError(f"the run did not end in {timeout} s\n" + self.last_words())

    def await_death(self):
        """The run may be seen to have ended by an act that ended a program as well, a moment before that program is gone."""
        if self.expected_death and not self.deaths:
            try:
                self.processes()[self.expected_death].process.wait(2)
            except subprocess.TimeoutExpired:
                pass

    def last_words(self):
        return "\n".join(f"--- {name}\n" + "\n".join(program.lines[-15:]) for name, program in self.processes().items() if program)

    # ---- what must be true

    def note_finished(self, name):
        """The rounds that this client had finished when it ended."""
        path = os.path.join(self.client_dir(name), "client.db")
        found = rows(path, "SELECT round FROM tasks WHERE state IN ('finished', 'done')")
        self.finished.setdefault(name, []).append((len(self.said[name]), {r for r, in found}))

    def models(self):
        return rows(os.path.join(self.dir, "ledger.db"), "SELECT round, state, model_sha256 FROM rounds ORDER BY round")

    def state_of_rounds(self):
        return [state for _, state, _ in self.models()]

    def updates(self):
        return rows(os.path.join(self.dir, "ledger.db"), "SELECT c.round, c.client_name, c.state, c.update_sha256, c.examples "
                    "FROM contributions c ORDER BY c.round, c.client_name")

    def settle(self, timeout=30):
        """Until no client holds an update any more: the last receipts may still be on their way."""
        end = time.monotonic() + timeout
        while any(os.listdir(os.path.join(self.client_dir(n), "outbox")) for n in CLIENTS):
            self.revive()
            if time.monotonic() > end:
                raise AssertionError("an update stays in the outbox\n" + self.last_words())
            pause()

    def check(self, expected_models, expected_updates):
        self.revive()
        self.settle()
        self.coordinator.wait_for("ready main=")  # in the middle of its start it may hold temporary files
        if not (self.steps_fail and self.state_of_rounds() != [state for _, state, _ in expected_models]):
            assert self.models() == expected_models, f"models {self.models()}, not {expected_models}"
            assert self.updates() == expected_updates, f"updates {self.updates()}, not {expected_updates}"
        self.check_receipts()
        self.check_training()
        for name, program in self.processes().items():
            program.kill()
            if name != "coordinator":
                self.said[name] += program.lines
        self.check_files()
        done = run_program("tributary-coordinator", ["verify", "--dir", self.dir, "-o", "json"])
        assert done.code == 0 and done.json()["ok"], done.err + done.out
        self.coordinator, self.clients = None, {}
        return done.json()

    def check_receipts(self):
        stored = dict(rows(os.path.join(self.dir, "ledger.db"), "SELECT task_id, receipt FROM updates"))
        held = {}
        for name in CLIENTS:
            held.update(rows(os.path.join(self.client_dir(name), "client.db"),
                             "SELECT task_id, receipt FROM sent WHERE kind = 'delta' AND receipt IS NOT NULL"))
        assert (stored or self.state()[0] == "failed") and stored == held, f"the coordinator has receipts of {sorted(stored)}, the clients of {sorted(held)}"
        weights = rows(os.path.join(self.dir, "ledger.db"),
                       "SELECT r.round, r.accepted, r.examples, count(*), sum(c.weight) FROM rounds r JOIN contributions c "
                       "ON c.run_id = r.run_id AND c.round = r.round AND c.state = 'accepted' GROUP BY r.round")
        for number, accepted, examples, count, weight in weights:
            assert (accepted, examples) == (count, weight), f"round {number} counts {accepted}/{examples}, its rows {count}/{weight}"

    def check_training(self):
        for name in CLIENTS:
            lines = self.said[name] + self.clients[name].lines
            done = set()
            for at, line in enumerate(lines):
                for since, finished in self.finished.get(name, []):
                    if at == since:
                        done |= finished
                found = re.search(r"\btraining_(started|finished)\b.*\bround=(\d+)", line)
                if not found:
                    continue
                number = int(found.group(2))
                assert found.group(1) == "finished" or number not in done, f"{name} trained round {number} again: {line}"
                if found.group(1) == "finished":
                    done.add(number)

    def check_files(self):
        left = [os.path.join(folder, f) for folder, _, files in os.walk(self.root) for f in files if ".tmp-" in f]
        assert not left, f"left behind: {left}"
        for place in [os.path.join(self.dir, "partial"), *(os.path.join(self.client_dir(n), "outbox") for n in CLIENTS)]:
            held = os.listdir(place) if os.path.isdir(place) else []  # a client that never ran has no outbox
            assert not held, f"{place} holds {held}"


def small_plan(rounds=2, keep="round"):
    return tiny_run(rounds=rounds, clients=len(CLIENTS), extra_round=', over_select = 1.0, deadline = "5m"').replace(
        'keep_updates = "forever"', f'keep_updates = "{keep}"')


def reference(template, plan, traced=False):
    """Models and updates of a run that nobody disturbs."""
    faults = {name: template.trace(name) for name in ("coordinator", CLIENTS[0])} if traced else {}
    with Trial(template, plan, faults) as trial:
        trial.begin()
        trial.drive()
        trial.settle()
        models, updates = trial.models(), trial.updates()
        trial.check(models, updates)
    return models, updates
