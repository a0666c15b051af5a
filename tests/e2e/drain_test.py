"""SIGTERM at each state: over within 10 s, exit code 0, and the next start goes on."""

import unittest

import bad_line
from bad_line import ProxiedFederation, Stopwatch, digests, next_line, run_file, verify
from federation import run_program

LIMIT = 10


def long_training(name, **options):
    """Some ten seconds of training on a small core, and as many to spare."""
    return run_file(name, 300, **options).replace("epochs = 1", "epochs = 200")


class DrainTest(unittest.TestCase):
    def setUp(self):
        self.f = self.enterContext(ProxiedFederation())

    def add(self, name, count=300):
        client = self.f.add_client(name, f"synthetic:{count}")
        client.wait_for("session_open")
        return client

    def assert_stops(self, program, what):
        watch = Stopwatch()
        self.assertEqual(program.stop(LIMIT), 0, f"{what}\n" + "\n".join(program.lines[-10:]))
        self.assertLess(watch.seconds(), LIMIT, what)
        print(f"\n{what}: {watch.seconds():.1f} s", flush=True)

    def wait_for_a_slow_upload(self, client):
        """Until its update is on the way, on a line that is slow from then on."""
        client.wait_for("training_started")
        self.f.proxy.throttle(200_000)
        client.wait_for("training_finished")
        before = self.f.proxy.total("up")
        self.f.proxy.wait(lambda p: p.total("up") > before + 200_000)

    def stop_and_start(self, what):
        self.assert_stops(self.f.coordinator, what)
        self.f.start()

    def assert_finishes_as_undisturbed(self, run, toml):
        document = self.f.finish(run)
        self.assertEqual(document["run"]["state"], "completed", document["run"])
        self.assertEqual(len(document["rounds"]), int(document["run"]["rounds_total"]), "no round was given up")
        self.assertEqual(digests(document), digests(self.f.finish(self.f.start_run(toml))))
        verify(self.f)

    # ---- the coordinator

    def test_idle_with_the_enrolment_open(self):
        invitation = self.f.invite("later")
        self.stop_and_start("enrolment open, nobody there")
        self.assertIn("enrol=127", self.f.coordinator.wait_for("ready main="))
        join = ["join", "--dir", self.f.client_dir("later"), "--data", "synthetic:50", "--yes"]
        run_program("tributary-client", join, invitation + "\n").ok()

    def test_selecting_and_stalled(self):
        self.add("a")
        toml = run_file("few", 10, clients=2, round_extra=', select_wait = "8s"')
        run = self.f.start_run(toml)
        self.f.wait_round(run, 1, "selecting")
        self.stop_and_start("selecting")
        self.f.coordinator.wait_for("run_stalled")
        self.stop_and_start("stalled")
        self.assertEqual(self.f.doc("run", "show", run)["run"]["state"], "stalled")
        self.add("b")
        self.assert_finishes_as_undisturbed(run, toml)

    def test_training(self):
        client = self.add("a")
        toml = long_training("training")
        run = self.f.start_run(toml)
        client.wait_for("training_started")
        self.stop_and_start("training")
        self.assert_finishes_as_undisturbed(run, toml)
        self.assertEqual(sum("training_started" in line for line in client.lines), 2, "once a run")

    def test_during_an_upload_over_a_slow_line(self):
        client = self.add("a")
        toml = run_file("uploading", 500)
        run = self.f.start_run(toml)
        self.wait_for_a_slow_upload(client)
        self.stop_and_start("uploading")
        self.f.proxy.throttle(None)
        self.assert_finishes_as_undisturbed(run, toml)

    def test_aggregating_and_evaluating(self):
        self.add("a")
        toml = run_file("evaluating", 500, rounds=2, top='evaluate = { every = 1, data = "synthetic:20000" }\n')
        run = self.f.start_run(toml)
        self.f.coordinator.wait_for("round_closed")
        self.stop_and_start("aggregating")
        self.f.wait_round(run, 2, "evaluating")
        self.stop_and_start("evaluating")
        self.assert_finishes_as_undisturbed(run, toml)

    def test_clients_that_take_nothing_do_not_hold_it(self):
        self.add("a")
        self.add("b")
        toml = run_file("frozen", 10, clients=2)
        self.f.proxy.freeze()
        run = self.f.start_run(toml)
        self.stop_and_start("with frozen clients")
        self.f.proxy.thaw()
        self.assert_finishes_as_undisturbed(run, toml)

    # ---- the client

    def restart_client(self, what):
        self.assert_stops(self.f.clients["a"], what)
        return self.f.start_client("a")

    def test_a_client_that_connects(self):
        self.f.join("a", "synthetic:300")
        self.f.proxy.freeze()  # takes the connection and says nothing
        connections = self.f.proxy.connections
        self.f.start_client("a")
        self.f.proxy.wait(lambda p: p.connections > connections)
        self.restart_client("connecting")
        self.f.proxy.thaw()
        self.f.clients["a"].wait_for("session_open")

    def test_a_client_that_trains(self):
        client = self.add("a")
        toml = long_training("client-trains")
        run = self.f.start_run(toml)
        client.wait_for("training_started")
        self.restart_client("the client trains")
        self.assert_finishes_as_undisturbed(run, toml)

    def test_a_client_that_uploads(self):
        client = self.add("a")
        toml = run_file("client-uploads", 500)
        run = self.f.start_run(toml)
        self.wait_for_a_slow_upload(client)
        client = self.restart_client("the client uploads")
        self.f.proxy.throttle(None)
        self.assert_finishes_as_undisturbed(run, toml)
        self.assertEqual(sum("training_started" in line for line in client.lines), 1, "of the second run alone")

    def test_a_client_that_backs_off(self):
        client = self.add("a")
        self.f.coordinator.stop()
        at = 0
        for _ in range(2):
            _, at = next_line(client, "session_lost", after=at)
        self.restart_client("backing off")
        self.f.start()
        self.f.clients["a"].wait_for("session_open")


if __name__ == "__main__":
    bad_line.main()
