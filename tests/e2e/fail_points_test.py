"""Ends a program at every fail point there is, starts it again, and checks that nobody can tell from the outcome.

Which fail points there are, the test finds by itself: an undisturbed federation notes every one that its programs pass, and the
source is searched for those that nothing passed. So a new fail point, or a new transaction, is tested without a word here.

    fail_points_test.py                      every name once, at its first pass (what CI does)
    fail_points_test.py --every-pass         every name at every pass
    fail_points_test.py --action error       the step fails instead (also: full): rounds may be abandoned and the program may end
                                             with a message; the run ends, no receipt is lost, nothing half-written stays
    fail_points_test.py --action power       the power is cut there: what was not synced is gone as well (tests/support/power_loss.cc;
                                             CI does this, too)
    fail_points_test.py --action power --seed N   of what was not synced each change is lost or kept by chance
    fail_points_test.py --only NAME          one name, e.g. commit:AcceptUpdate
"""

import argparse
import concurrent.futures
import json
import os
import re
import sys
import threading
import time

from federation import BIN, Program
from survival import CLIENTS, FAIL_POINT_PROGRAMS, Template, Trial, init_args, reference, small_plan

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
WORKERS = 2
# Names that no process of this test passes, and why that is enough.
NOT_REACHED = {
    "commit:AbandonRound": "no round fails here; tests/server/rounds/driver_fault_test fails it, and every other step, before and after",
    "commit:AddRefusedHistory": "nobody rewrites a history here; tests/client/session/task_intake_test",
    "commit:RequeueFinished": "no bytes are lost; tests/client/session/outbox_test",
    "ledger.copied": "there is no older ledger; tests/server/ledger/backup_test has an attempt that was cut off there",
}


# With a message, for whatever starts it again: an error that nobody expects is a bug (70), a full disk is not (1).
ENDS_OF_A_FAILED_STEP = {1, 70}


# After these the program that was at the fail point is gone.
DEATHS = {"abort", "power"}
POWER_LOSS = os.path.join(FAIL_POINT_PROGRAMS, "..", "power_loss.so")
SEED = None  # of what is lost when power is cut; all of it without one


def fault(name, action, k):
    env = {"TRIBUTARY_FAILPOINT": f"{name}:{action}:{k}"}
    if action == "power":
        env |= {"LD_PRELOAD": POWER_LOSS, "TRIBUTARY_POWER_ROOT": "/tributary-trial-"}
        if SEED is not None:
            env["TRIBUTARY_POWER_SEED"] = str(SEED)
    return env


# ---- one case: a program ends at a fail point, and is started again


class Run:
    """In a run: the coordinator, or one of the two clients."""

    def __init__(self, template, program):
        self.template, self.program = template, program
        self.expected = reference(template, small_plan())

    def case(self, name, action, k):
        with Trial(self.template, small_plan(), {self.program: fault(name, action, k)}) as trial:
            trial.expected_death = self.program if action in DEATHS else None
            trial.steps_fail = action not in DEATHS
            if trial.steps_fail:
                trial.allowed_ends |= ENDS_OF_A_FAILED_STEP
            trial.begin()
            trial.drive()
            answer = trial.check(*self.expected)
            assert trial.steps_fail or int(answer.get("blobs_missing", 0)) == 2 * len(CLIENTS), answer
            return action not in DEATHS or any(who == self.program for who, *_ in trial.deaths)


class Init:
    """While a federation is made."""

    def __init__(self, template):
        self.template = template

    def case(self, name, action, k):
        with Trial(self.template, "") as trial:
            trial.dir = os.path.join(trial.root, "fresh")
            first = self.template.program("tributary-coordinator", init_args(trial.dir), env=fault(name, action, k))
            again = self.template.program("tributary-coordinator", init_args(trial.dir))
            assert again.code == 0 or "holds a federation already" in again.err, again.err
            trial.launch("coordinator")
            trial.coordinator.wait_for("ready main=")
            trial.op("client", "invite", "somebody").ok()
            trial.coordinator.kill()
            self.template.program("tributary-coordinator", ["verify", "--dir", trial.dir]).ok()
            trial.coordinator = None
            return first.code != 0 or action not in DEATHS


class Join:
    """While a client joins: the client itself, or the coordinator that admits it."""

    def __init__(self, template, program):
        self.template, self.program = template, program

    def case(self, name, action, k):
        with Trial(self.template, "", {"coordinator": fault(name, action, k)} if self.program == "enrolment" else {}) as trial:
            trial.launch("coordinator")
            self.revive(trial)
            invitation = self.invite(trial)
            first = self.join(trial, invitation, fault(name, action, k) if self.program == "join" else {})
            for _ in range(5):
                self.revive(trial)
                again = self.join(trial, invitation, {})
                if again.code == 0 or "has joined a federation already" in again.err:
                    break
            assert again.code == 0 or "has joined" in again.err, again.err
            late = Program([os.path.join(trial.programs, "tributary-client"), "run", "--dir", trial.client_dir("late")], "late")
            trial.clients["late"] = late
            late.wait_for("ready client=late")
            reached = first.code != 0 if self.program == "join" else bool(trial.deaths)
            for program in trial.processes().values():
                program.kill()
            trial.check_files()
            self.template.program("tributary-coordinator", ["verify", "--dir", trial.dir]).ok()
            trial.coordinator, trial.clients = None, {}
            return reached or action not in DEATHS

    @staticmethod
    def revive(trial):
        for _ in range(2):
            try:
                trial.coordinator.wait_for("ready main=")
                trial.op("status").ok()
                return
            except AssertionError:
                trial.coordinator.process.wait(10)
                trial.revive()
        trial.coordinator.wait_for("ready main=")

    def invite(self, trial):
        for extra in ([], ["--replace"], []):
            invited = trial.op("client", "invite", "late", *extra)
            if invited.code == 0:
                return invited.out.strip()
            self.revive(trial)
        raise AssertionError(invited.err)

    @staticmethod
    def join(trial, invitation, env):
        return Template.program(trial, "tributary-client",
                                ["join", "--dir", trial.client_dir("late"), "--data", "synthetic:120", "--yes", "--threads", "1"],
                                invitation + "\n", env)


class Rotation:
    """While the authority is replaced: the command, or the coordinator that takes a step in."""

    def __init__(self, template):
        self.template = template

    def rotate(self, trial, env):
        """Each step is run again when it was ended, and so is the coordinator. Whether anything was."""
        ended = False
        for step in (["stage"], ["activate", "--leave-behind"], ["retire", "--leave-behind"]):
            command = ["ca", *step, "--dir", trial.dir]
            first = self.template.program("tributary-coordinator", command, env=env)
            if first.code != 0:
                ended = True
                self.template.program("tributary-coordinator", command).ok()
            ended = self.take_in(trial, env) or ended
        return ended

    @staticmethod
    def take_in(trial, env):
        ended = False
        try:
            trial.start(env)
        except AssertionError:
            ended = True
            trial.coordinator.kill()
            trial.start()
        trial.coordinator.stop()
        trial.coordinator = None
        return ended

    def case(self, name, action, k):
        with Trial(self.template, "") as trial:
            ended = self.rotate(trial, fault(name, action, k))
            pki = os.path.join(trial.dir, "pki")
            assert sorted(n for n in os.listdir(pki) if n.startswith("ca")) == ["ca", "ca.retired"], os.listdir(pki)
            (retired,) = os.listdir(os.path.join(pki, "ca.retired"))
            assert not os.path.exists(os.path.join(pki, "ca.retired", retired, "ca.key")), "its key is still there"
            status = json.loads(self.template.program("tributary-coordinator", ["ca", "status", "--dir", trial.dir, "-o", "json"]).ok().out)
            assert [(a["state"], int(a["since_unix_ms"]) > 0) for a in status["authorities"]] == [("active", True), ("retired", True)], status
            self.template.program("tributary-coordinator", ["verify", "--dir", trial.dir]).ok()
            trial.start()
            actions = [a["action"] for a in trial.doc("audit", "list", "--limit", "1000")["entries"] if a["action"].startswith("ca.")]
            assert sorted(actions) == ["ca.activate", "ca.retire", "ca.retiring", "ca.stage"], actions
            trial.coordinator.kill()
            trial.coordinator = None
            return ended or action not in DEATHS


# ---- all of them


class Worker:
    """A template of its own (its ports are its own), and what a case is run with for each program."""

    def __init__(self):
        self.template = Template(FAIL_POINT_PROGRAMS)
        self.template.__enter__()
        self.expected = reference(self.template, small_plan(), traced=True)
        self.kinds = {"coordinator": Run(self.template, "coordinator"), CLIENTS[0]: Run(self.template, CLIENTS[0]),
                      "init": Init(self.template), "join": Join(self.template, "join"),
                      "enrolment": Join(self.template, "enrolment"), "ca": Rotation(self.template)}
        with Trial(self.template, "") as trial:
            self.kinds["ca"].rotate(trial, self.template.trace("ca"))

    def passed(self):
        """(program, name) -> passes."""
        found = {(program, name): count for program in self.kinds for name, count in self.template.passed(program).items()}
        # What a coordinator passes at every start is tested in a run already.
        return {(p, n): c for (p, n), c in found.items() if p not in ("enrolment", "ca") or ("coordinator", n) not in found}

    def close(self):
        self.template.__exit__()


def names_in_source():
    """Literal names, and the functions that commit a transaction of their own (not one that they may have joined)."""
    names = set()
    for top in ("client", "common", "server"):
        for folder, _, files in os.walk(os.path.join(TOP, top)):
            for file in files:
                if not file.endswith(".cc") or file == "database.cc":
                    continue
                with open(os.path.join(folder, file), encoding="utf-8") as f:
                    function, joins = "", False
                    for line in f:
                        head = re.match(r"(?:absl|std|bool|void|uint64_t|[A-Z]|  absl::Status)[\w:<>,*& ]*?[ :](\w+)\(", line)
                        function, joins = (head.group(1), False) if head else (function, joins or "BeginOrJoin" in line)
                        names |= {m.group(1) for m in re.finditer(r'FAIL_POINT\("([^"]+)"', line)}
                        names |= {m.group(1) for m in re.finditer(r'PassFailPoint\("([^"]+)"', line)}
                        if "transaction->Commit()" in line and not joins:
                            names.add("commit:" + function)
    return names


def cases(passed, every_pass, only, action):
    for (program, name), count in sorted(passed.items()):
        if only and name != only:
            continue
        if action not in DEATHS and name.startswith("committed:"):
            continue  # after a commit nothing is left that could fail
        for k in range(1, count + 1) if every_pass else (1,):
            yield program, name, k


def run_cases(workers, wanted, action):
    """Faults found, and the time of each case."""
    free, faults, done = list(workers), [], []
    lock = threading.Lock()

    def one(case):
        program, name, k = case
        with lock:
            worker = free.pop()
        began = time.monotonic()
        try:
            reached = worker.kinds[program].case(name, action, k)
            fault_found = None if reached or k > 1 else "it was never reached"
        except Exception as error:  # every case is run, whatever became of another
            fault_found = f"{type(error).__name__}: {error}"
        if fault_found:
            faults.append(f"{program} {name}:{action}:{k}: {fault_found}")
            print("FAULT", faults[-1], flush=True)
        with lock:
            free.append(worker)
            done.append(time.monotonic() - began)

    with concurrent.futures.ThreadPoolExecutor(len(workers)) as pool:
        list(pool.map(one, wanted))
    return faults, done


def main():
    global SEED
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every-pass", action="store_true")
    parser.add_argument("--action", default="abort", choices=["abort", "power", "error", "full"])
    parser.add_argument("--seed", type=int)
    parser.add_argument("--only")
    arguments = parser.parse_args()
    SEED = arguments.seed
    if not os.path.exists(os.path.join(FAIL_POINT_PROGRAMS, "tributary-client")):
        print("skipped: the programs with fail points are not built")
        return 77
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        workers = [w.result() for w in [pool.submit(Worker) for _ in range(WORKERS)]]
    try:
        faults = check_shipped_programs()
        passed = workers[0].passed()
        if not arguments.only:
            reached = {name.split(":")[0] for _, name in passed} | {name for _, name in passed}
            faults += [f"{name}: nothing passes it, and there is no reason" for name in sorted(names_in_source() - reached)
                       if name not in NOT_REACHED]
            faults += [f"{name}: it is passed after all: no reason is needed" for name in NOT_REACHED if name in reached]
        wanted = list(cases(passed, arguments.every_pass, arguments.only, arguments.action))
        for text in faults:
            print("FAULT", text)
        print(f"{len(wanted)} cases", flush=True)
        found, seconds = run_cases(workers, wanted, arguments.action)
        faults += found
    finally:
        for worker in workers:
            worker.close()
    print(f"{len(wanted)} cases ({len({n for _, n, _ in wanted})} names), {len(faults)} faults, "
          f"{sum(seconds) / max(1, len(seconds)):.2f} s a case")
    return 1 if faults or not wanted else 0


# ---- the programs that are shipped


def check_shipped_programs():
    """They hold nothing that reads the variable, and do not react to it."""
    faults = []
    for name in ("tributary", "tributary-client", "tributary-coordinator"):
        with open(os.path.join(BIN, name), "rb") as f:
            if b"TRIBUTARY_FAILPOINT" in f.read():
                faults.append(f"{name}: the shipped program knows TRIBUTARY_FAILPOINT")
    with open(os.path.join(FAIL_POINT_PROGRAMS, "tributary-coordinator"), "rb") as f:
        if b"TRIBUTARY_FAILPOINT" not in f.read():
            faults.append("the programs for this test do not know TRIBUTARY_FAILPOINT")
    template = Template(BIN)
    try:
        done = template.program("tributary-coordinator", init_args(template.dir),
                                env={**fault("file.create:ca.key", "abort", 1), **template.trace("shipped")})
        if done.code != 0 or template.passed("shipped"):
            faults.append(f"the shipped coordinator reacts to a fail point: {done.code} {done.err}")
    finally:
        template.__exit__()
    return faults


if __name__ == "__main__":
    sys.exit(main())
