"""The bad line of tcp_proxy.py does to bytes what it is told."""

import os
import socket
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tcp_proxy import Proxy  # noqa: E402


class Echo:
    """Sends back what comes; counts what it got."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.got = self.broken = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        with peer:
            try:
                while data := peer.recv(65536):
                    self.got += len(data)
                    peer.sendall(data)
            except OSError:
                self.broken += 1

    def close(self):
        self._listener.close()


class ProxyTest(unittest.TestCase):
    def setUp(self):
        self.echo = Echo()
        self.addCleanup(self.echo.close)
        self.proxy = Proxy(seed=1)
        self.addCleanup(self.proxy.close)
        self.proxy.set_target("127.0.0.1", self.echo.port)

    def connect(self):
        peer = socket.create_connection(("127.0.0.1", self.proxy.port))
        peer.settimeout(20)
        self.addCleanup(peer.close)
        return peer

    def exchange(self, peer, count):
        peer.sendall(bytes(count))
        return self.receive(peer, count)

    def receive(self, peer, count):
        got = b""
        while len(got) < count:
            data = peer.recv(65536)
            if not data:
                break
            got += data
        return got

    def test_a_good_line_carries_everything(self):
        peer = self.connect()
        self.assertEqual(len(self.exchange(peer, 300_000)), 300_000)
        self.proxy.wait(lambda p: (p.total("up"), p.total("down")) == (300_000, 300_000))  # counted once it has gone out

    def test_an_end_of_one_direction_is_carried_too(self):
        peer = self.connect()
        peer.sendall(b"last")
        peer.shutdown(socket.SHUT_WR)
        self.assertEqual(self.receive(peer, 100), b"last")

    def test_a_throttled_line_takes_its_time(self):
        self.proxy.throttle(50_000)
        began = time.monotonic()
        self.exchange(self.connect(), 25_000)
        self.assertGreater(time.monotonic() - began, 0.45)

    def test_a_delay_is_of_every_piece(self):
        self.proxy.delay(0.2)
        began = time.monotonic()
        self.exchange(self.connect(), 1)
        self.assertGreater(time.monotonic() - began, 0.39)

    def test_a_cut_comes_at_the_byte_and_once(self):
        self.proxy.cut_after("up", 20_001)
        peer = self.connect()
        with self.assertRaises(ConnectionError):
            self.exchange(peer, 100_000)
            self.exchange(peer, 100_000)
        self.assertEqual((self.proxy.total("up"), self.proxy.cuts), (20_001, 1))
        self.assertEqual(len(self.exchange(self.connect(), 100_000)), 100_000)

    def test_a_swallowed_answer_arrives_nowhere_while_the_request_does(self):
        self.proxy.swallow_answers_after(5_000)
        peer = self.connect()
        peer.sendall(bytes(10_000))
        self.proxy.wait(lambda p: p.total("up") == 10_000 and p.total("down") == 10_000 and p.swallowing == 1)
        self.assertEqual(self.echo.got, 10_000)
        self.proxy.reset_all()
        with self.assertRaises(ConnectionError):
            self.receive(peer, 10_000)

    def test_a_frozen_line_keeps_what_was_sent_until_it_thaws(self):
        peer = self.connect()
        self.exchange(peer, 10)
        self.proxy.freeze()
        peer.sendall(b"held back")
        peer.settimeout(0.3)
        with self.assertRaises(TimeoutError):
            peer.recv(100)
        self.proxy.thaw()
        peer.settimeout(20)
        self.assertEqual(self.receive(peer, 9), b"held back")

    def test_resets_at_random_bytes_hit_their_share(self):
        self.proxy.random_resets(0.5, 10_000)
        whole = 0
        for _ in range(60):
            try:
                whole += len(self.exchange(self.connect(), 20_000)) == 20_000
            except ConnectionError:
                pass
        self.assertEqual(whole + self.proxy.resets, 60)
        self.assertTrue(15 <= self.proxy.resets <= 45, self.proxy.resets)

    def test_without_a_target_connections_are_reset(self):
        self.proxy._call(lambda: setattr(self.proxy, "_target", None))
        with self.assertRaises(ConnectionError):
            self.exchange(self.connect(), 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
