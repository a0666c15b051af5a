"""Clients that vanish, stop, come late, decline or change their data; and runs that end by themselves."""

import os
import signal
import unittest

import federation
import foreign_client
import numpy as np
from federation import Federation, tiny_run
from foreign_client import Identity, Session

PARAMETERS = 7850


def slow_run(name, epochs, clients=2, deadline="4s", **options):
    return tiny_run(name, rounds=1, clients=clients, extra_round=f', deadline = "{deadline}"', **options).replace(
        f"min_clients = {clients}", "min_clients = 1").replace("epochs = 1", f"epochs = {epochs}")


class Base(unittest.TestCase):
    def setUp(self):
        self.f = self.enterContext(Federation())

    def add(self, name, data, *args):
        client = self.f.add_client(name, data, *args)
        client.wait_for("session_open")
        return client

    def foreign(self, name, examples=100):
        session = Session(Identity(self.f.invite(name)).enrol(), examples, [28, 28, 1], 10)
        self.addCleanup(session.close)
        return session

    def states(self, run, number=1):
        return {name: row["state"] for name, row in self.f.contributions(run, number).items()}

    def reason(self, run, name, number=1):
        return self.f.contributions(run, number)[name]["reason"]


class RealClientsTest(Base):
    """`quick` has little to train on, `slow` far more than the deadline leaves time for."""

    def setUp(self):
        super().setUp()
        self.quick = self.add("quick", "synthetic:40")
        self.slow = self.add("slow", "synthetic:8000")

    def test_one_that_vanishes_is_dropped_at_the_deadline_and_may_come_back(self):
        run = self.f.start_run(slow_run("vanish", 800))
        self.slow.wait_for("training_started")
        self.slow.kill()
        document = self.f.finish(run)
        self.assertEqual(document["run"]["state"], "completed")
        self.assertEqual(self.states(run), {"quick": "accepted", "slow": "dropped"})
        self.f.start_client("slow").wait_for("task_dropped")  # told at hello, without training on
        again = self.f.start_run(slow_run("back", 1))
        self.f.finish(again)
        self.assertEqual(set(self.states(again).values()), {"accepted"})

    def test_one_that_is_stopped_past_the_deadline_is_told_and_goes_on(self):
        run = self.f.start_run(slow_run("stopped", 800))
        self.slow.wait_for("training_started")
        self.slow.process.send_signal(signal.SIGSTOP)
        try:
            self.assertEqual(self.f.finish(run)["run"]["state"], "completed")
        finally:
            self.slow.process.send_signal(signal.SIGCONT)
        self.assertEqual(self.states(run), {"quick": "accepted", "slow": "late"})
        self.assertIn("deadline", self.slow.wait_for("task_dropped"))
        again = self.f.start_run(slow_run("on", 1))
        self.f.finish(again)
        self.assertEqual(set(self.states(again).values()), {"accepted"})

    def test_one_whose_policy_says_no_declines_with_the_setting(self):
        self.slow.stop()
        policy = os.path.join(self.f.client_dir("slow"), "policy.toml")
        with open(policy, encoding="utf-8") as f:
            text = f.read()
        with open(policy, "w", encoding="utf-8") as f:
            f.writelines("max_epochs = 3\n" if line.startswith("max_epochs") else line + "\n" for line in text.splitlines())
        self.f.start_client("slow").wait_for("session_open")
        run = self.f.start_run(slow_run("declined", 4))
        self.assertEqual(self.f.finish(run)["run"]["state"], "completed")
        self.assertEqual(self.states(run), {"quick": "accepted", "slow": "declined"})
        self.assertIn("max_epochs", self.reason(run, "slow"))


CSV_RUN = tiny_run("csv", rounds=1, clients=1).split("[model]")[0] + (
    '[model]\ninput = [2]\nloss = "sparse_categorical_crossentropy"\n'
    'layers = [ { dense = { units = 2, activation = "softmax" } } ]\n')


class ChangingDataTest(Base):
    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.f.root, "data.csv")
        self.write([f"{i},{-i},{i % 2}" for i in range(20)])
        self.client = self.add("owner", self.path)

    def write(self, rows):
        with open(self.path + ".new", "w", encoding="utf-8") as f:
            f.write("\n".join(["a,b,label"] + rows) + "\n")
        os.rename(self.path + ".new", self.path)

    def test_changed_values_are_what_is_trained_next(self):
        first = self.f.start_run(CSV_RUN)
        self.f.finish(first)
        again = self.f.start_run(CSV_RUN)
        self.f.finish(again)
        self.write([f"{-3 * i},{i},{i % 2}" for i in range(20)])
        changed = self.f.start_run(CSV_RUN)
        self.f.finish(changed)
        updates = [self.f.contributions(run, 1)["owner"]["update_sha256"] for run in (first, again, changed)]
        self.assertEqual(updates[0], updates[1])
        self.assertNotEqual(updates[1], updates[2])
        self.assertIn("20 examples", self.client.wait_for("data_read_again"))

    def test_another_count_is_declined_told_and_then_trained(self):
        self.write([f"{i},{-i},{i % 2}" for i in range(30)])
        run = self.f.start_run(CSV_RUN)
        document = self.f.finish(run)
        self.assertEqual(document["run"]["state"], "completed")
        self.assertEqual([r["state"] for r in document["rounds"]], ["abandoned", "committed"])
        self.assertEqual(self.states(run, 1), {"owner": "declined"})
        for said in ("data_mismatch", "30 examples", "told 20 examples"):
            self.assertIn(said, self.reason(run, "owner", 1))
        self.assertEqual(int(self.f.contributions(run, 2)["owner"]["examples"]), 30)
        told = [c for c in self.f.doc("client", "list")["clients"] if c["name"] == "owner"]
        self.assertEqual(int(told[0]["examples"]), 30)

    def test_data_that_are_taken_away_are_not_trained_from_memory(self):
        os.rename(self.path, self.path + ".away")
        run = self.f.start_run(CSV_RUN.replace("min_clients = 1", "min_clients = 1, max_failed_rounds = 1"))
        self.assertEqual(self.f.finish(run)["run"]["state"], "failed")
        self.assertIn("data_error", self.reason(run, "owner"))
        os.rename(self.path + ".away", self.path)
        again = self.f.start_run(CSV_RUN)
        self.assertEqual(self.f.finish(again)["run"]["state"], "completed")


class ForeignClientsTest(Base):
    """Clients that do exactly what a test says."""

    def upload(self, session, task):
        return session.upload(task, np.zeros(PARAMETERS, "<f4").tobytes(), 100)

    def test_thirteen_invited_for_ten(self):
        sessions = {f"c{k:02}": self.foreign(f"c{k:02}") for k in range(1, 14)}
        run = self.f.start_run(tiny_run("over", rounds=1, clients=10, extra_round=", over_select = 1.3"))
        tasks = {}
        for name, session in sessions.items():
            tasks[name] = session.next_task()
            session.answer(tasks[name], True)
        names = sorted(sessions)
        for name in names[:10]:
            self.assertEqual(self.upload(sessions[name], tasks[name])[0], "receipt")
        for name in names[10:]:
            cancel = sessions[name]._next("cancel")
            self.assertEqual((cancel.task_id, cancel.code), (tasks[name].task_id, "not_needed"))
            kind, answer = self.upload(sessions[name], tasks[name])
            self.assertEqual((kind, answer.code), ("not_needed", "not_needed"))
        document = self.f.finish(run)
        self.assertEqual((int(document["rounds"][0]["invited"]), int(document["rounds"][0]["accepted"])), (13, 10))
        states = self.states(run)
        self.assertEqual([states[name] for name in names], ["accepted"] * 10 + ["not_needed"] * 3)

    def test_a_late_answer_is_told_so_and_the_next_round_is_as_any(self):
        quick, late = self.foreign("quick"), self.foreign("late")
        text = tiny_run("late", rounds=2, extra_round=', deadline = "2s"').replace("min_clients = 2", "min_clients = 1")
        run = self.f.start_run(text)
        task, kept = quick.next_task(), late.next_task()
        for session, its in ((quick, task), (late, kept)):
            session.answer(its, True)
        self.upload(quick, task)
        cancel = late._next("cancel")
        self.assertEqual((cancel.task_id, cancel.code), (kept.task_id, "deadline"))
        kind, answer = self.upload(late, kept)
        self.assertEqual((kind, answer.code), ("not_needed", "late"))
        for session in (quick, late):
            self.assertEqual(self.upload(session, session.next_task())[0], "receipt")
        self.assertEqual(self.f.finish(run)["run"]["state"], "completed")
        self.assertEqual(self.states(run, 1), {"quick": "accepted", "late": "late"})
        self.assertEqual(self.states(run, 2), {"quick": "accepted", "late": "accepted"})

    def test_too_few_updates_at_the_deadline_abandon_and_too_many_of_those_fail(self):
        diligent, idle = self.foreign("diligent"), self.foreign("idle")
        run = self.f.start_run(tiny_run("quorum", rounds=5, extra_round=', deadline = "1s", max_failed_rounds = 2'))
        for _ in range(2):
            task = diligent.next_task()
            idle.answer(idle.next_task(), True)
            self.upload(diligent, task)
        document = self.f.finish(run)
        self.assertEqual(document["run"]["state"], "failed")
        self.assertIn("max_failed_rounds: 2 rounds in a row", document["run"]["reason"])
        self.assertEqual([r["state"] for r in document["rounds"]], ["abandoned"] * 2)
        for r in document["rounds"]:
            self.assertIn("too_few_updates: 1 of at least 2 accepted (deadline)", r["reason"])
            self.assertEqual(r["model_sha256"], r["base_model_sha256"])

    def test_a_round_that_nobody_is_left_in_does_not_wait_for_its_deadline(self):
        sessions = [self.foreign("one"), self.foreign("two")]
        run = self.f.start_run(tiny_run("declined", rounds=1, extra_round=", max_failed_rounds = 1"))  # deadline: 10 m
        for session in sessions:
            session.answer(session.next_task(), False, "policy", "not today")
        document = self.f.finish(run, timeout=30)
        self.assertEqual(document["run"]["state"], "failed")
        self.assertIn("no_client_open", document["rounds"][0]["reason"])

    def test_a_run_without_clients_stalls_with_its_reason_and_fails_in_time(self):
        run = self.f.start_run(tiny_run("nobody", extra_round=', select_wait = "1s", stall_timeout = "2s"'))
        self.f.coordinator.wait_for("run_stalled")
        document = self.f.finish(run, timeout=30)
        self.assertEqual(document["run"]["state"], "failed")
        self.assertIn("stall_timeout: too_few_clients: 0 of at least 2", document["run"]["reason"])

    def test_a_stalled_run_goes_on_when_a_client_comes(self):
        first = self.foreign("first")
        run = self.f.start_run(tiny_run("waits", rounds=1, extra_round=', select_wait = "1s"'))
        self.f.coordinator.wait_for("run_stalled")
        self.assertIn("1 of at least 2", self.f.doc("run", "show", run)["run"]["reason"])
        second = self.foreign("second")
        for session in (first, second):
            self.upload(session, session.next_task())
        document = self.f.finish(run)
        self.assertEqual((document["run"]["state"], document["run"].get("reason", "")), ("completed", ""))


if __name__ == "__main__":
    try:
        federation.main()
    finally:
        foreign_client.remove_stubs()
