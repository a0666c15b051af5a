"""A thousand clients on one coordinator: real sessions over mutual TLS, one round that all of them are in, bounded memory. How fast it
is: tests/bench/round_bench."""

import os
import resource
import unittest

import federation
from crowd import Crowd, CrowdFederation
from federation import run_program, tiny_run

CLIENTS = 1000
MOST_KIB_A_CLIENT = 150  # a bare gRPC server with mutual TLS and one open stream each: 120
MOST_MIB = 400


class LoadTest(unittest.TestCase):
    def test_a_thousand_clients_take_part_in_one_round(self):
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        if limit[1] < 3 * CLIENTS:
            self.skipTest(f"the hard limit of open files is {limit[1]}, below {3 * CLIENTS}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (3 * CLIENTS, limit[1]))
        with CrowdFederation(CLIENTS) as f:
            before = f.status_kib("VmRSS")
            crowd = Crowd(f, "--uploads", 8)
            crowd.wait(lambda e: e["event"] == "connected", timeout=180)
            self.assertLess((f.status_kib("VmRSS") - before) / CLIENTS, MOST_KIB_A_CLIENT)
            self.assertEqual(int(f.doc("status")["clients_online"]), CLIENTS)
            run = f.start_run(tiny_run(rounds=1, clients=CLIENTS))
            [r] = f.finish(run)["rounds"]
            self.assertEqual((r["state"], int(r["accepted"])), ("committed", CLIENTS))
            self.assertLess(f.status_kib("VmHWM") // 1024, MOST_MIB)
            events = crowd.stop()
            self.assertEqual(len({e["client"] for e in events if e["event"] == "receipt"}), CLIENTS)
            f.coordinator.stop()
            run_program("tributary-coordinator", ["verify", "--dir", f.dir]).ok()


if __name__ == "__main__":
    federation.main()
