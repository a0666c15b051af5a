"""Backup while a round runs, restore, upgrade, and one owner for each directory."""

import hashlib
import os
import shutil
import sqlite3
import unittest

import federation
from federation import run_program
from survival import CLIENTS, FAIL_POINT_PROGRAMS, Template, Trial, pause, reference, rows, small_plan

PLAN = small_plan(rounds=3, keep="forever")


def contents(directory):
    """Digests of all files but what SQLite and the lock make beside a reader."""
    found = {}
    for folder, _, files in os.walk(directory):
        for name in files:
            if name.endswith(("-shm", "-wal")) or name == "lock":
                continue
            path = os.path.join(folder, name)
            with open(path, "rb") as f:
                found[os.path.relpath(path, directory)] = hashlib.sha256(f.read()).hexdigest()
    return found


class OperationsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.template = cls.enterClassContext(Template(FAIL_POINT_PROGRAMS))
        cls.expected = reference(cls.template, PLAN)

    def backup(self, trial):
        path = os.path.join(trial.root, "backup")
        run_program("tributary-coordinator", ["backup", "--dir", trial.dir, "--to", path, "--with-keys"]).ok()
        return path

    def restore(self, trial, path):
        """In place of the directory that is lost."""
        trial.coordinator.kill()
        shutil.rmtree(trial.dir)
        run_program("tributary-coordinator", ["restore", "--from", path, "--dir", trial.dir]).ok()
        answer = run_program("tributary-coordinator", ["verify", "--dir", trial.dir, "-o", "json"]).ok().json()
        self.assertTrue(answer["ok"])
        return answer

    def until(self, trial, sql, value):
        while rows(os.path.join(trial.dir, "ledger.db"), sql) != [(value,)]:
            trial.revive()
            if trial.run is None:
                trial.ensure_run()
            pause()

    def test_a_backup_in_the_middle_of_a_round_restores_to_that_round_and_the_run_ends_as_if_nothing_was(self):
        with Trial(self.template, PLAN) as trial:
            # One update of the second round is in; the other client is held up before it sends its own.
            trial.faults[CLIENTS[1]] = {"TRIBUTARY_FAILPOINT": "upload.announce:sleep:2"}
            trial.begin()
            self.until(trial, "SELECT accepted FROM rounds WHERE round = 2", 1)
            path = self.backup(trial)
            answer = self.restore(trial, path)
            self.assertEqual(int(answer["rounds_checked"]), 1)
            self.assertEqual(rows(os.path.join(trial.dir, "ledger.db"), "SELECT state, accepted FROM rounds WHERE round = 2"),
                             [("training", 1)])
            trial.launch("coordinator")
            trial.drive()
            trial.check(*self.expected)

    def test_backups_taken_at_any_time_verify(self):
        with Trial(self.template, PLAN) as trial:
            trial.begin()
            taken = []

            def take():
                path = os.path.join(trial.root, f"backup-{len(taken)}")
                run_program("tributary-coordinator", ["backup", "--dir", trial.dir, "--to", path]).ok()
                taken.append(path)
            trial.drive(each=take)
            self.assertGreaterEqual(len(taken), 2)
            for number, path in enumerate(taken):
                copy = os.path.join(trial.root, f"restored-{number}")
                run_program("tributary-coordinator", ["restore", "--from", path, "--dir", copy]).ok()
                run_program("tributary-coordinator", ["verify", "--dir", copy]).ok()
            trial.check(*self.expected)

    def test_clients_that_saw_more_decline_and_a_new_run_goes_on_from_the_model(self):
        with Trial(self.template, PLAN) as trial:
            trial.faults[CLIENTS[1]] = {"TRIBUTARY_FAILPOINT": "upload.announce:sleep:2"}
            trial.begin()
            self.until(trial, "SELECT accepted FROM rounds WHERE round = 2", 1)
            path = self.backup(trial)
            self.until(trial, "SELECT state FROM rounds WHERE round = 3", "committed")
            self.restore(trial, path)
            trial.launch("coordinator")
            trial.coordinator.wait_for("ready main=")
            # The round that both have receipts of is not trained again; the next one shows another past than they saw.
            trial.coordinator.wait_for("this client has a receipt for this task already")
            trial.coordinator.wait_for('task_declined run=' + trial.run + ' round=3')
            declined = [c["reason"] for c in trial.contributions(trial.run, 3).values()]
            self.assertEqual([r.split(":")[0] for r in declined], ["history_fork"] * len(CLIENTS), declined)
            trial.op("run", "stop", trial.run)
            again = trial.write("again.toml", PLAN.replace("[model]", f'[model]\nfrom = "{trial.run}@1"'))
            new = trial.doc("run", "start", again)["run"]["id"]
            self.assertEqual(trial.finish(new)["run"]["state"], "completed")
            run_program("tributary-coordinator", ["verify", "--dir", trial.dir]).ok()

    # ---- upgrade

    def test_a_dry_run_of_an_upgrade_changes_nothing(self):
        with Trial(self.template, PLAN) as trial:
            before = contents(trial.dir)
            done = run_program("tributary-coordinator", ["upgrade", "--dir", trial.dir, "--dry-run"]).ok()
            self.assertIn("nothing to do", done.out)
            self.assertEqual(contents(trial.dir), before)

    def test_no_upgrade_beside_a_running_coordinator(self):
        with Trial(self.template, PLAN) as trial:
            trial.launch("coordinator")
            trial.coordinator.wait_for("ready main=")
            for extra in ([], ["--dry-run"]):
                refused = run_program("tributary-coordinator", ["upgrade", "--dir", trial.dir, *extra])
                self.assertEqual(refused.code, 6)
                self.assertIn(f"in use by another process, pid {trial.coordinator.process.pid}", refused.err)

    def test_a_ledger_of_a_newer_program_is_refused_by_name_and_left_alone(self):
        with Trial(self.template, PLAN) as trial:
            with sqlite3.connect(os.path.join(trial.dir, "ledger.db")) as db:
                db.execute("PRAGMA user_version = 1000")
            db.close()
            before = contents(trial.dir)
            for verb in ("run", "upgrade", "verify"):
                refused = run_program("tributary-coordinator", [verb, "--dir", trial.dir])
                self.assertEqual(refused.code, 6, refused.err)
                self.assertIn("made by a newer version: schema 1000", refused.err)
            self.assertEqual(contents(trial.dir), before)

    # ---- one owner

    def test_a_second_coordinator_on_the_directory_is_refused_with_its_reason(self):
        with Trial(self.template, PLAN) as trial:
            trial.begin()
            trial.coordinator.wait_for("ready main=")
            second = run_program("tributary-coordinator", ["run", "--dir", trial.dir])
            self.assertEqual(second.code, 6)
            self.assertIn(f"in use by another process, pid {trial.coordinator.process.pid}: stop it first", second.err)
            self.assertIn("fix: stop the process named above", second.err)
            trial.drive()
            trial.check(*self.expected)

    def test_a_second_client_on_the_directory_is_refused_with_its_reason(self):
        with Trial(self.template, PLAN) as trial:
            trial.begin()
            first = trial.clients[CLIENTS[0]]
            first.wait_for("ready client=")
            second = run_program("tributary-client", ["run", "--dir", trial.client_dir(CLIENTS[0])])
            self.assertEqual(second.code, 6)
            self.assertIn(f"in use by another process, pid {first.process.pid}", second.err)
            trial.drive()
            trial.check(*self.expected)

    def test_a_killed_owner_leaves_its_directory_to_the_next(self):
        with Trial(self.template, PLAN) as trial:
            trial.launch("coordinator")
            trial.coordinator.wait_for("ready main=")
            trial.coordinator.kill()
            trial.launch("coordinator")
            trial.coordinator.wait_for("ready main=")


if __name__ == "__main__":
    federation.main()
