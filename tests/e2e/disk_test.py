"""Disks that are full, read-only, over quota or broken, on either side: the call is refused, nothing half-written stays, and all goes on
once there is room. After a failed fsync the process ends with a message instead, and the next one goes on from what is there.

A library that is preloaded into the real programs (tests/support/disk_faults.cc) makes chosen calls on chosen files fail.
"""

import errno
import hashlib
import os
import resource
import signal
import sys
import time
import unittest

import federation
from federation import BIN, run_program
from survival import CLIENTS, Template, Trial, pause, reference, rows, small_plan

SHIM = os.path.join(os.path.dirname(BIN), "tests", "disk_faults.so")
CLIENT = CLIENTS[0]
ROUNDS = 2
PLAN = small_plan(ROUNDS, keep="forever")


class DiskTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.template = cls.enterClassContext(Template(BIN))
        cls.expected = reference(cls.template, PLAN)

    def trial(self, program=None, plan=PLAN):
        """A trial whose `program` runs on a disk that obeys self.rules."""
        self.control = os.path.join(self.template.root, "faults-" + self.id().split(".")[-1] + f"-{time.monotonic_ns()}")
        self.rules()
        faults = {program: {"LD_PRELOAD": SHIM, "TRIBUTARY_DISK_FAULTS": self.control}} if program else {}
        return Trial(self.template, plan, faults)

    def rules(self, *lines):
        with open(self.control + ".new", "w", encoding="utf-8") as f:
            f.write("".join(line + "\n" for line in lines))
        os.replace(self.control + ".new", self.control)

    def fired(self):
        try:
            with open(self.control + ".fired", encoding="utf-8") as f:
                return f.read().splitlines()
        except FileNotFoundError:
            return []

    def connected(self, trial):
        trial.begin()
        trial.coordinator.wait_for("ready main=")
        for name in CLIENTS:
            trial.clients[name].wait_for("ready client=")

    def drive_until_fired(self, trial, times=1):
        end = time.monotonic() + 30
        while len(self.fired()) < times:
            self.assertLess(time.monotonic(), end, "the fault did not come\n" + trial.last_words())
            for name, program in trial.processes().items():
                self.assertIsNone(program.process.poll(), f"{name} ended\n" + trial.last_words())
            if trial.run is None:
                trial.ensure_run()
            pause()

    def no_half_written(self, trial, program):
        directory = trial.dir if program == "coordinator" else trial.client_dir(program)
        left = [f for _, _, files in os.walk(directory) for f in files if ".tmp-" in f]
        self.assertEqual(left, [])

    # ---- no room

    def survives_without_room(self, program, call, part, skip, numbers=(errno.ENOSPC, errno.EROFS)):
        for number in numbers:
            with self.subTest(program=program, part=part, errno=errno.errorcode[number]), self.trial(program) as trial:
                self.connected(trial)
                self.rules(f"{call} {part} {number} {skip}")
                self.drive_until_fired(trial)
                self.assertNotEqual(trial.state()[0], "completed")
                self.rules()  # room again
                trial.drive()
                self.no_half_written(trial, program)
                self.assertEqual(trial.deaths, [])
                trial.check(*self.expected)

    def test_an_upload_finds_no_room_at_the_coordinator(self):
        self.survives_without_room("coordinator", "write", "/partial/", 0, (errno.ENOSPC, errno.EDQUOT, errno.EIO))

    def test_an_upload_cannot_make_its_file_at_the_coordinator(self):
        self.survives_without_room("coordinator", "open", "/partial/", 0, (errno.ENOSPC, errno.EROFS))

    def test_the_next_model_finds_no_room(self):
        # The first write is the initial model's.
        self.survives_without_room("coordinator", "write", "/blobs/", 1, (errno.ENOSPC, errno.EROFS))

    def test_a_model_that_cannot_be_written_costs_its_round_and_no_more(self):
        with self.trial("coordinator") as trial:
            self.connected(trial)
            self.rules(f"write /blobs/ {errno.EIO} 1")
            self.drive_until_fired(trial)
            self.rules()
            trial.drive()
            abandoned = rows(os.path.join(trial.dir, "ledger.db"), "SELECT round, reason FROM rounds WHERE state = 'abandoned'")
            self.assertEqual([number for number, _ in abandoned], [1])
            self.assertRegex(abandoned[0][1], "aggregation_failed: .*Input/output error")
            self.no_half_written(trial, "coordinator")

    def test_an_update_cannot_be_put_in_its_place(self):
        self.survives_without_room("coordinator", "open", "/blobs/", 3, (errno.ENOSPC, errno.EROFS))

    def test_the_coordinators_ledger_finds_no_room(self):
        for skip in (0, 40):
            self.survives_without_room("coordinator", "write", "ledger.db-wal", skip, (errno.ENOSPC, errno.EFBIG, errno.EIO))

    def test_a_clients_outbox_finds_no_room(self):
        self.survives_without_room(CLIENT, "write", "/outbox/", 0)

    def test_a_clients_model_cache_finds_no_room(self):
        self.survives_without_room(CLIENT, "write", "/cache/", 0, (errno.ENOSPC, errno.EIO))

    def test_a_clients_ledger_finds_no_room(self):
        for skip in (0, 8):
            self.survives_without_room(CLIENT, "write", "client.db-wal", skip)

    def test_a_client_whose_disk_cannot_write_declines_with_the_reason(self):
        with self.trial(CLIENT) as trial:
            self.connected(trial)
            self.rules(f"write /outbox/ {errno.EIO}")
            self.drive_until_fired(trial)
            self.rules()
            trial.drive()
            declined = rows(os.path.join(trial.dir, "ledger.db"),
                            "SELECT round, client_name, reason FROM contributions WHERE state = 'declined'")
            self.assertEqual([d[:2] for d in declined], [(1, CLIENT)])
            self.assertIn("Input/output error", declined[0][2])

    # ---- a quota

    def test_a_process_over_its_quota_is_not_killed(self):
        for program in ("coordinator", CLIENT):
            with self.subTest(program=program), self.trial() as trial:
                self.connected(trial)
                pid = trial.processes()[program].process.pid
                limit = resource.prlimit(pid, resource.RLIMIT_FSIZE)
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, limit[1]))
                said = len(trial.processes()[program].lines)
                if program == "coordinator":
                    refused = trial.op("run", "start", trial.write("run.toml", PLAN))
                    self.assertEqual(refused.code, 1)
                    self.assertRegex(refused.err, "File too large|disk is full|disk I/O error")
                else:
                    trial.ensure_run()
                    trial.processes()[program].wait_for("no_room", start=said)
                self.assertIsNone(trial.processes()[program].process.poll(), "SIGXFSZ")
                resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)
                trial.drive()
                self.assertEqual(trial.deaths, [])
                trial.check(*self.expected)

    # ---- fsync

    def ends_after_a_failed_sync(self, program, part, skip=0, numbers=(errno.EIO,)):
        for number in numbers:
            with self.subTest(program=program, part=part, errno=errno.errorcode[number]), self.trial(program) as trial:
                trial.allowed_ends = {1}
                self.connected(trial)
                self.rules(f"sync {part} {number} {skip}")
                trial.drive()
                self.ended_well(trial, program)

    def ended_well(self, trial, program):
        """Once, at the first failure, and with a message; the next process then went on."""
        self.assertEqual([(who, code) for who, code, _ in trial.deaths], [(program, 1)])
        self.assertEqual(sorted(self.fired()), sorted(set(self.fired())), "fsync was tried again")
        said = "\n".join(trial.deaths[0][2])
        self.assertIn("sync_failed", said)
        self.assertIn("error: the disk did not keep what was written, so this process ends: fsync", said)
        self.assertIn("fix: ", said)
        trial.check(*self.expected)

    def test_the_coordinator_ends_when_an_update_cannot_be_synced(self):
        self.ends_after_a_failed_sync("coordinator", "/partial/", 0, (errno.EIO, errno.ENOSPC))

    def test_the_coordinator_ends_when_a_model_cannot_be_synced(self):
        self.ends_after_a_failed_sync("coordinator", "/blobs/", 9)

    def test_the_coordinator_ends_when_a_commit_cannot_be_synced(self):
        for skip in (2, 15):
            self.ends_after_a_failed_sync("coordinator", "ledger.db-wal", skip)

    def test_a_client_ends_when_its_update_cannot_be_synced(self):
        self.ends_after_a_failed_sync(CLIENT, "/outbox/")

    def test_a_client_ends_when_a_commit_cannot_be_synced(self):
        for skip in (1, 6):
            self.ends_after_a_failed_sync(CLIENT, "client.db-wal", skip)

    # ---- checkpoints: what a killed process left in the log is moved at the next start

    def killed_with_a_log(self, trial):
        self.connected(trial)
        trial.ensure_run()
        trial.kill_one("coordinator")
        self.assertGreater(os.path.getsize(os.path.join(trial.dir, "ledger.db-wal")), 0)

    def restart_on_bad_disk(self, trial, rule):
        self.control = os.path.join(trial.root, "faults")
        self.rules(rule)
        trial.faults["coordinator"] = {"LD_PRELOAD": SHIM, "TRIBUTARY_DISK_FAULTS": self.control}

    def ends_when_it_starts_again(self, part):
        """Killed, and started on a disk that cannot sync what `part` names."""
        with self.trial() as trial:
            self.killed_with_a_log(trial)
            self.restart_on_bad_disk(trial, f"sync {part} {errno.EIO}")
            trial.allowed_ends = {-signal.SIGKILL, 1}
            trial.drive()
            self.assertEqual(trial.deaths.pop(0)[:2], ("coordinator", -signal.SIGKILL))
            self.ended_well(trial, "coordinator")

    def test_the_coordinator_ends_when_a_checkpoint_cannot_be_synced(self):
        self.ends_when_it_starts_again("ledger.db$")

    def test_the_folders_that_a_killed_process_made_last_before_they_are_used(self):
        self.ends_when_it_starts_again("/blobs$")

    def test_a_checkpoint_without_room_is_told_and_the_service_goes_on(self):
        with self.trial() as trial:
            self.killed_with_a_log(trial)
            self.restart_on_bad_disk(trial, f"write ledger.db$ {errno.ENOSPC}")
            trial.drive()
            trial.coordinator.wait_for("checkpoint_failed")
            self.assertEqual(len(trial.deaths), 1)
            trial.check(*self.expected)

    # ---- before it is full

    def test_low_space_is_told_before_it_is_fatal(self):
        with self.trial("coordinator") as trial:
            self.rules(f"free {trial.dir} {500 << 20}")
            self.connected(trial)
            self.assertIn("free_mib=500", trial.coordinator.wait_for("disk_is_low"))
            trial.drive()
            trial.check(*self.expected)

    def test_uploads_leave_room_to_the_ledger(self):
        with self.trial("coordinator") as trial:
            self.connected(trial)
            self.rules(f"free {trial.dir} {50 << 20}")
            self.drive_until_fired(trial)
            self.assertIn("disk is full", trial.clients[CLIENT].wait_for("upload_delayed"))
            self.rules()
            trial.drive()
            trial.check(*self.expected)

    # ---- what is kept, and what is swept

    def test_verify_counts_what_keep_updates_let_go(self):
        for keep, missing in (("round", 2 * ROUNDS), ("run", 2 * ROUNDS), ("forever", 0)):
            with self.subTest(keep=keep), self.trial(plan=small_plan(ROUNDS, keep)) as trial:
                trial.begin()
                trial.drive()
                self.await_deletions(trial, missing)
                answer = trial.check(*self.expected)
                self.assertEqual(int(answer.get("blobs_missing", 0)), missing)
                self.assertEqual(int(answer["blobs_checked"]), 1 + ROUNDS + 2 * ROUNDS - missing)

    def await_deletions(self, trial, count):
        """The run is seen to have ended a moment before its updates go."""
        end = time.monotonic() + 10
        while len(rows(os.path.join(trial.dir, "ledger.db"), "SELECT 1 FROM deleted_blobs WHERE file_removed = 1")) < count:
            self.assertLess(time.monotonic(), end)
            pause()

    def test_an_update_that_should_be_there_is_a_fault(self):
        with self.trial() as trial:
            trial.begin()
            trial.drive()
            trial.check(*self.expected)
            digest = self.expected[1][0][3]
            os.remove(trial.blob_path(digest))
            found = run_program("tributary-coordinator", ["verify", "--dir", trial.dir])
            self.assertEqual(found.code, 1)
            self.assertIn("is missing", found.err)
            self.assertIn(digest, found.err)

    def test_what_a_crash_left_is_swept_at_the_start(self):
        with self.trial() as trial:
            digest = hashlib.sha256(b"orphan").hexdigest()
            coordinator = [f"blobs/{digest[:2]}/{digest}", f"blobs/{digest[:2]}/{digest}.tmp-7-0", "endpoints.json.tmp-7-0",
                           "pki/server/versions/1/key.pem.tmp-7-3", "partial/of-nobody"]
            client = ["outbox/of-nobody", "client.toml.tmp-7-0", "pki/identity.json.tmp-7-1"]
            planted = [os.path.join(trial.dir, p) for p in coordinator] + [os.path.join(trial.client_dir(CLIENT), p) for p in client]
            for path in planted:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "wb") as f:
                    f.write(b"orphan")
            notes = os.path.join(trial.client_dir(CLIENT), "notes.tmp-mine")  # not one of ours
            with open(notes, "wb") as f:
                f.write(b"mine")
            self.connected(trial)
            self.assertEqual([p for p in planted if os.path.exists(p)], [])
            self.assertTrue(os.path.exists(notes))
            os.remove(notes)
            trial.drive()
            trial.check(*self.expected)


if __name__ == "__main__":
    if not os.path.exists(SHIM):
        print("skipped: the library that makes disks fail is not built")
        sys.exit(77)
    federation.main()
