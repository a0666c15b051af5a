"""Strangers attack while enrolled clients run rounds: every round is committed with every update, memory and descriptors stay
bounded, and the service is there for newcomers. Times are printed beside the undisturbed run's, and only their limits asserted:
tests/bench/attacks.py measures them on rounds that are long enough."""

import contextlib
import os
import select
import signal
import socket
import statistics
import struct
import time
import unittest

import federation
import foreign_client
import stranger
from federation import Federation, run_program, tiny_run
from foreign_client import Identity, Session

DESCRIPTORS = 256  # the coordinator's `ulimit -n`
RUN_LIMIT = 60     # seconds; an undisturbed run takes one or two
ROUNDS, CLIENTS = 5, 3
MIB = 1 << 20


def status_of(pid, key):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        for line in f:
            if line.startswith(key + ":"):
                return int(line.split()[1])
    raise KeyError(key)


def peak_bytes(pid):
    return status_of(pid, "VmHWM") * 1024


def children(pid):
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if status_of(entry, "PPid") == pid:
                    found.append(int(entry))
            except (OSError, KeyError):
                pass
    return found


def is_there(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def read_limits(path):
    with open(path, encoding="ascii") as f:
        return {line[:26].strip(): line[26:].split()[0] for line in f}


def eventually(what, timeout, pause=0.05):
    """The first true answer; polls what another process shows."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        answer = what()
        if answer:
            return answer
        select.select([], [], [], pause)
    return what()


@contextlib.contextmanager
def on_the_defenders_processor():
    """What is started inside runs on one processor, and what this process does afterwards on the others, if there are others:
    attackers are other people's machines, and take none of the federation's time but by what they make it do."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, (allowed - {min(allowed)}) or allowed)


class AttackTest(unittest.TestCase):
    """A federation of its own a class: what one attack left in memory is not the next one's."""

    @classmethod
    def setUpClass(cls):
        cls.sockets = stranger.raise_descriptor_limit(12_000)
        cls.addClassCleanup(os.sched_setaffinity, 0, os.sched_getaffinity(0))
        with on_the_defenders_processor():
            cls.f = cls.enterClassContext(Federation(descriptors=DESCRIPTORS))
            for k in range(1, CLIENTS + 1):
                cls.f.add_client(f"site-{k}", "synthetic:300", "--part", f"{k}/{CLIENTS}").wait_for("session_open")
        cls.addClassCleanup(foreign_client.remove_stubs)
        cls.main, cls.enrol = cls.f.ports()
        cls.normal = statistics.median(cls.run_once() for _ in range(3))
        cls.base = peak_bytes(cls.f.coordinator.process.pid)

    @classmethod
    def run_once(cls, clients=CLIENTS, **changes):
        began = time.monotonic()
        run = cls.f.start_run(tiny_run(rounds=ROUNDS, clients=clients, **changes))
        shown = cls.f.finish(run, timeout=RUN_LIMIT)
        took = time.monotonic() - began
        assert shown["run"]["state"] == "completed", shown["run"]
        rounds = shown["rounds"]
        assert [r["state"] for r in rounds] == ["committed"] * ROUNDS, rounds
        assert [int(r["accepted"]) for r in rounds] == [clients] * ROUNDS, rounds
        return took

    def pid(self):
        return self.f.coordinator.process.pid

    def online(self):
        return len([c for c in self.f.doc("client", "list")["clients"] if c["state"] == "online"])

    def survive(self, attack, under_way, grows=64, **plan):
        """Runs rounds while it goes on; the coordinator's peak memory may grow by `grows` MiB."""
        with attack:
            attack.wait_until(under_way)
            took = self.run_once(**plan)
        back = time.monotonic()
        self.assertTrue(eventually(lambda: self.f.op("status").code == 0, 10), "not back in 10 s")
        peak = peak_bytes(self.pid())
        print(f"\n  {attack.name}: run {took:.2f} s, undisturbed {self.normal:.2f} s (x{took / self.normal:.2f}); peak memory "
              f"{peak / MIB:.0f} MiB, before {self.base / MIB:.0f}; back after {time.monotonic() - back:.2f} s; {attack}", flush=True)
        self.assertLess(peak, self.base + grows * MIB)
        self.assertIsNone(self.f.coordinator.process.poll())


class StrangersTest(AttackTest):
    # ---- the main port

    def test_ten_thousand_idle_connections(self):
        total = 10_000
        attack = stranger.crowd(self.main, total, min(total, self.sockets - 500), name="10,000 idle connections")
        self.survive(attack, lambda a: a.did >= total)
        self.assertGreaterEqual(attack.did, total)
        self.assertGreater(attack.cut, 0)
        self.assertLessEqual(len(os.listdir(f"/proc/{self.pid()}/fd")), DESCRIPTORS)
        self.f.coordinator.wait_for("connection_refused")

    def test_half_open_handshakes(self):
        hello = stranger.client_hello()
        for name, first in (("half a hello", hello[:len(hello) // 2]), ("a hello and no more", hello)):
            attack = stranger.crowd(self.main, 2000, 1000, first, name)
            self.survive(attack, lambda a: a.did >= 500)

    def test_garbage(self):
        self.survive(stranger.garbage(self.main), lambda a: a.cut >= 50)

    def test_plain_http(self):
        self.survive(stranger.plain_http(self.main), lambda a: a.cut >= 50)

    def test_headers_without_a_certificate(self):
        attack = stranger.header_flood(self.main, "headers at the main port")
        self.survive(attack, lambda a: a.did >= 50)
        # Whoever showed no certificate was not read from: what went out are the buffers of the two systems.
        self.assertLess(attack.bytes / max(attack.did, 1), 16 * MIB)
        self.f.coordinator.wait_for("it showed no certificate")
        audit = self.f.doc("audit", "list")["entries"]
        self.assertTrue([a for a in audit if a["action"] == "connect" and "no certificate" in a["outcome"]], audit[-3:])

    def test_a_byte_a_second_by_a_client(self):
        """An enrolled client that uploads a byte a second holds its two places for 30 s and nobody up; the round it was in
        goes on without it at the deadline."""
        slow = Identity(self.f.invite("slow")).enrol()
        session = Session(slow, examples=100, shape=[28, 28, 1], num_classes=10)
        self.addCleanup(lambda: self.f.op("client", "revoke", "slow"))
        self.addCleanup(session.close)
        began = time.monotonic()
        run = self.f.start_run(tiny_run(rounds=2, clients=4, extra_round=', deadline = "6s"').replace("min_clients = 4", "min_clients = 3"))
        task = session.next_task()
        session.answer(task, True)
        update = bytes(4 * 7850)
        metrics = foreign_client.update_pb2.UpdateMetrics(train_loss=0.5, steps=1, engine="foreign/numpy/float32").SerializeToString()
        ticket = session.begin(session.record(task, update, 100, metrics), metrics).ticket

        def a_byte_a_second():
            for at in range(len(update)):
                yield foreign_client.federation_pb2.UploadChunk(upload_id=ticket.upload_id, offset=at, data=b"\0")
                if session._beats.wait(1):
                    return
        call = session.stub.UploadUpdate.future(a_byte_a_second())
        shown = self.f.finish(run, timeout=RUN_LIMIT)
        took = time.monotonic() - began
        print(f"\n  a byte a second: 2 rounds with a deadline of 6 s in {took:.1f} s", flush=True)
        self.assertEqual([r["state"] for r in shown["rounds"]], ["committed"] * 2)
        first = self.f.contributions(run, int(shown["rounds"][0]["round"]))
        self.assertIn(first["slow"]["state"], ("late", "dropped"), first)
        self.assertEqual(sorted(c["state"] for n, c in first.items() if n != "slow"), ["accepted"] * 3)
        call.cancel()

    # ---- the enrolment port

    def open_window(self, name):
        invitation = self.f.invite(name)
        self.addCleanup(lambda: self.f.op("client", "revoke", name))
        # That of the window before may be there for a moment.
        front = eventually(lambda: (lambda found: len(found) == 1 and found[0])(children(self.pid())), 10)
        self.assertTrue(front, children(self.pid()))
        return invitation, front

    def join(self, name, invitation):
        return run_program("tributary-client", ["join", "--dir", self.f.client_dir(name), "--data", "synthetic:50", "--yes"],
                           invitation + "\n", timeout=60)

    def flood_the_window(self, name, flood):
        invitation, front = self.open_window(name)
        peaks = [peak_bytes(front)]

        def watch(attack):
            peaks.extend(peak_bytes(p) for p in children(self.pid()) if is_there(p))
            return attack.did >= 10  # the process of the port runs at low priority: a busy machine reads slowly
        # What the flood does to the process of the port is the process'; the coordinator grows by nothing.
        self.survive(flood, watch, grows=32)
        peaks.extend(peak_bytes(p) for p in children(self.pid()))
        joined = eventually(lambda: self.join(name, invitation).code == 0, 10)
        self.assertTrue(joined, self.f.coordinator.lines[-10:])
        print(f"  the port's process: peak memory {max(peaks) / MIB:.0f} MiB", flush=True)
        self.assertLess(max(peaks), 1024 * MIB)

    def test_header_flood_at_the_enrolment_port(self):
        self.flood_the_window("flooded", stranger.header_flood(self.enrol, "headers at the enrolment port"))

    def test_an_endless_header_at_the_enrolment_port(self):
        self.flood_the_window("endless", stranger.long_string_flood(self.enrol))

    def test_joining_while_strangers_crowd_the_enrolment_port(self):
        invitation, _ = self.open_window("crowded")
        with stranger.crowd(self.enrol, 3000, 1000, stranger.client_hello(), "crowd") as attack:
            attack.wait_until(lambda a: a.did >= 1000)
            self.assertTrue(eventually(lambda: self.join("crowded", invitation).code == 0, 30))
        self.assertIsNone(self.f.coordinator.process.poll())

    def test_the_process_of_the_port_is_started_again_and_never_outlives_the_coordinator(self):
        invitation, front = self.open_window("restarted")
        at = len(self.f.coordinator.lines)
        os.kill(front, signal.SIGKILL)
        self.f.coordinator.wait_for("enrolment_front_died", start=at)
        second = eventually(lambda: [p for p in children(self.pid()) if p != front and is_there(p)], 10)
        self.assertTrue(second)
        self.assertFalse(is_there(front), "a zombie is left")
        self.assertEqual(self.join("restarted", invitation).code, 0)
        self.f.coordinator.kill()
        self.assertTrue(eventually(lambda: not is_there(second[0]), 10), "it outlived the coordinator")
        self.f.start()
        # The window is open again, for the client has not opened a session yet; a clean stop leaves nothing either.
        third = eventually(lambda: children(self.pid()), 10)
        self.assertEqual(self.f.coordinator.stop(), 0)
        self.assertFalse([p for p in third if is_there(p)])
        self.f.start()
        self.assertTrue(eventually(lambda: self.online() == CLIENTS, 60), [c.lines[-3:] for c in self.f.clients.values()])

    def test_the_process_of_the_port_holds_no_secret_of_the_coordinator(self):
        _, front = self.open_window("looked-at")
        # It is not dumpable once it runs, so that only root may look at its files from then on.
        limit = f"/proc/{front}/limits"
        limits = eventually(lambda: (lambda found: found["Max address space"] != "unlimited" and found)(read_limits(limit)), 10)
        self.assertTrue(limits)
        self.assertEqual(limits["Max core file size"], "0")
        self.assertLessEqual(int(limits["Max open files"]), 1024)
        self.assertEqual(limits["Max address space"], str(1 << 30))
        if os.geteuid() == 0:
            files = {}
            for fd in os.listdir(f"/proc/{front}/fd"):
                try:
                    files[fd] = os.readlink(f"/proc/{front}/fd/{fd}")
                except OSError:
                    pass
            self.assertFalse([f for f in files.values() if self.f.dir in f and "/pki/enrol" not in f], files)


class CrowdHangsUpTest(unittest.TestCase):
    """With as many descriptors as a service has."""

    def test_a_thousand_that_hang_up_at_once_hold_nobody_up(self):
        stranger.raise_descriptor_limit(4_000)
        with Federation() as f:
            f.add_client("site", "synthetic:300").wait_for("session_open")
            main, _ = f.ports()
            run = f.start_run(tiny_run(rounds=100, clients=1))
            for wave in range(5):
                # Of four addresses, for one may hold 256 without a call.
                crowd = [stranger.connect(main, here=f"127.0.{wave}.{2 + k % 4}") for k in range(1000)]
                for s in crowd:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                for s in crowd:
                    s.close()
                self.assertEqual(f.op("status", timeout=2).code, 0)
            shown = f.finish(run, timeout=RUN_LIMIT)
            self.assertEqual([r["state"] for r in shown["rounds"]], ["committed"] * 100)


class HostileClientTest(AttackTest):
    def test_headers_without_end_by_a_client(self):
        """Known since its first call, so no limit of strangers holds for it; what its bytes become is watched."""
        flooder = Identity(self.f.invite("flooder")).enrol()
        self.addCleanup(lambda: self.f.op("client", "revoke", "flooder"))
        certificate = os.path.join(self.f.root, "flooder.pem")
        flooder.save(certificate)
        attack = stranger.header_flood_after_a_call(self.main, certificate)
        # No round waits for the flooder to come online.
        self.survive(attack, lambda a: a.cut >= 4, grows=192, extra_round=', select_wait = "0s"')
        self.f.coordinator.wait_for("it sends bytes that become no message")
        self.assertLess(attack.bytes / attack.cut, 128 * MIB)


if __name__ == "__main__":
    federation.main()
