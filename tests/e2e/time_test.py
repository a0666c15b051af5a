"""The wall clock decides nothing but certificates and invitations, and they say when it is the clock that is wrong.

A program runs under tests/support/clock_shim.cc, which shifts its wall clock by what a file says; writing the file is the
step. The monotonic clock is left alone, as by a step of the real one.
"""

import os
import signal
import struct
import unittest

import bad_line
from bad_line import ProxiedFederation, Stopwatch, digests, run_file, verify
from federation import BIN, Program, run_program

SHIM = os.path.abspath(os.path.join(BIN, "..", "tests", "libtributary_clock_shim.so"))
DAY = 86_400
DECADE = 3_652 * DAY


class WallClock:
    """The wall clock of the programs that are started with `env`."""

    def __init__(self, path):
        self._path = path
        self.env = {"LD_PRELOAD": SHIM, "TRIBUTARY_TEST_CLOCK": path}
        with open(path, "wb") as f:
            f.write(bytes(8))

    def set(self, seconds_ahead):
        with open(self._path, "r+b") as f:
            f.write(struct.pack("<q", seconds_ahead * 10**9))


class TimeTest(unittest.TestCase):
    def setUp(self):
        self.f = ProxiedFederation()
        self.theirs = WallClock(os.path.join(self.f.root, "clock-coordinator"))
        self.ours = WallClock(os.path.join(self.f.root, "clock-client"))
        self.f.init()
        self.start_coordinator()
        self.addCleanup(self.f.__exit__)

    def start_coordinator(self):
        self.f.start(env=self.theirs.env)

    def set_theirs(self, ahead):
        """Abseil reads the clock anew every two seconds; the log says when the coordinator knows."""
        logged = len(self.f.coordinator.lines)
        self.theirs.set(ahead)
        self.f.coordinator.wait_for("wall_clock_was_set", 10, logged)

    def start_client(self, name):
        argv = [os.path.join(BIN, "tributary-client"), "run", "--dir", self.f.client_dir(name)]
        self.f.clients[name] = Program(argv, name, self.ours.env)
        return self.f.clients[name]

    def add(self, name):
        self.f.join(name, "synthetic:300")
        client = self.start_client(name)
        client.wait_for("session_open")
        return client

    def assert_as_undisturbed(self, run, toml):
        document = self.f.finish(run)
        self.assertEqual(document["run"]["state"], "completed", document["run"])
        self.assertEqual([r["state"] for r in document["rounds"]], ["committed"] * len(document["rounds"]))
        self.assertEqual(digests(document), digests(self.f.finish(self.f.start_run(toml))))
        verify(self.f)

    def training(self, name):
        """A run whose client trains for some seconds; its deadline is far less than the steps."""
        toml = run_file(name, 300, round_extra=', deadline = "10m"').replace("epochs = 1", "epochs = 60")
        return toml, self.f.start_run(toml)

    # ---- rounds

    def test_a_coordinators_clock_set_by_a_day_both_ways_changes_nothing(self):
        client = self.add("a")
        said = len(client.lines)
        toml, run = self.training("days")
        client.wait_for("training_started")
        for ahead in (DAY, 0, -DAY, 0):
            self.set_theirs(ahead)
        self.assertFalse([line for line in client.lines[said:] if "session_lost" in line])
        self.assert_as_undisturbed(run, toml)

    def test_a_coordinators_clock_ten_years_ahead_is_named_and_the_round_goes_on_after(self):
        client = self.add("a")
        toml, run = self.training("decade-ahead")
        client.wait_for("training_started")
        self.set_theirs(DECADE)
        line = client.wait_for("clocks_disagree", 20)
        for said in ("has expired", "coordinator's clock says 203", "this_machine=20"):
            self.assertIn(said, line)
        client.wait_for("training_finished", 120)
        self.set_theirs(0)
        self.assert_as_undisturbed(run, toml)

    def test_a_coordinators_clock_ten_years_back_changes_no_deadline(self):
        self.add("a")
        toml = run_file("late", 10, clients=2, round_extra=', deadline = "4s", select_wait = "1s"').replace(
            "min_clients = 2", "min_clients = 1")
        idle = self.add("b")
        idle.process.send_signal(signal.SIGSTOP)  # is invited, never answers
        self.addCleanup(idle.process.send_signal, signal.SIGCONT)
        watch = Stopwatch()
        run = self.f.start_run(toml)
        self.f.wait_round(run, 1, "training")
        self.set_theirs(-DECADE)
        self.f.coordinator.wait_for("round_committed", 30)
        self.assertTrue(3.5 < watch.seconds() < 20, watch.seconds())
        self.set_theirs(0)
        states = {name: row["state"] for name, row in self.f.contributions(run, 1).items()}
        self.assertEqual(states, {"a": "accepted", "b": "late"})

    def test_a_clients_clock_set_both_ways_by_ten_years_changes_nothing_but_its_certificates(self):
        client = self.add("a")
        toml, run = self.training("client")
        client.wait_for("training_started")
        self.ours.set(-DECADE)
        client.wait_for("wall_clock_was_set", 10)
        self.ours.set(DECADE)
        line = client.wait_for("clock_is_wrong", 60)
        for said in ("this machine's clock says 203", "valid from 20", " to 20"):
            self.assertIn(said, line)
        self.ours.set(0)
        self.assert_as_undisturbed(run, toml)

    # ---- timers

    def test_a_frozen_line_is_noticed_within_30_s_after_the_clients_clock_was_set_back(self):
        client = self.add("a")
        self.ours.set(-DAY)
        client.wait_for("wall_clock_was_set", 10)
        said = len(client.lines)
        self.f.proxy.freeze()
        watch = Stopwatch()
        client.wait_for("session_lost", 30, said)
        print(f"\nnoticed after {watch.seconds():.1f} s", flush=True)
        self.ours.set(0)
        self.f.proxy.thaw()
        client.wait_for("session_open", 60, said)

    # ---- certificates

    def test_a_client_started_ten_years_late_says_that_the_clock_may_be_wrong(self):
        self.f.join("a", "synthetic:50")
        self.ours.set(DECADE)
        client = self.start_client("a")
        self.assertEqual(client.wait(30), 4)
        text = "\n".join(client.lines)
        for said in ("this machine's clock says 203", "valid from 20", "set the clock of this machine"):
            self.assertIn(said, text)
        doctor = run_program("tributary-client", ["doctor", "--dir", self.f.client_dir("a")], env={**os.environ, **self.ours.env})
        self.assertEqual(doctor.code, 1)
        self.assertIn("this machine's clock says 203", doctor.out)

    def test_a_client_started_ten_years_early_names_it_and_waits_for_the_right_time(self):
        self.f.join("a", "synthetic:50")
        self.ours.set(-DECADE)
        client = self.start_client("a")
        line = client.wait_for("clock_is_wrong", 30)
        self.assertIn("this machine's clock says 201", line)
        doctor = run_program("tributary-client", ["doctor", "--dir", self.f.client_dir("a")], env={**os.environ, **self.ours.env})
        self.assertIn("this machine's clock says 201", doctor.out)
        self.ours.set(0)
        client.wait_for("session_open", 60)

    def test_joining_with_a_wrong_clock_names_it_and_uses_up_nothing(self):
        invitation = self.f.invite("a")
        join = ["join", "--dir", self.f.client_dir("a"), "--data", "synthetic:50", "--yes"]
        for ahead in (-DECADE, 2 * DECADE):
            self.ours.set(ahead)
            refused = run_program("tributary-client", join, invitation + "\n", env={**os.environ, **self.ours.env})
            self.assertNotEqual(refused.code, 0)
            self.assertIn("the clock of this machine says 20", refused.err)
        run_program("tributary-client", join, invitation + "\n").ok()


if __name__ == "__main__":
    bad_line.main()
