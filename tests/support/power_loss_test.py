"""What a cut of power (power_loss.cc) takes, and what it leaves: each case is a process of its own that ends by it."""

import os
import subprocess
import sys
import tempfile
import unittest

BIN = os.environ.get("TRIBUTARY_BIN", os.path.join(os.path.dirname(__file__), "..", "..", "build", "release", "bin"))
SHIM = os.path.abspath(os.path.join(BIN, "..", "tests", "power_loss.so"))
PRELUDE = """
import ctypes, os
def put(name, data, sync):
    fd = os.open(name, os.O_RDWR | os.O_CREAT, 0o600)
    os.write(fd, data)
    if sync:
        os.fsync(fd)
    os.close(fd)
def sync_names(folder="."):
    fd = os.open(folder, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
"""


class PowerLossTest(unittest.TestCase):
    def lose(self, script, **env):
        """Files by name, after `script` ran in an empty folder and the power was cut."""
        top = self.enterContext(tempfile.TemporaryDirectory(prefix="power-loss-test-"))
        done = subprocess.run([sys.executable, "-c", PRELUDE + script + "\nctypes.CDLL(None).tributary_lose_power()"], cwd=top,
                              env={**os.environ, "LD_PRELOAD": SHIM, "TRIBUTARY_POWER_ROOT": "/power-loss-test-", **env},
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, -9, done.stderr)
        found = {}
        for folder, _, files in os.walk(top):
            for file in files:
                path = os.path.join(folder, file)
                with open(path, "rb") as f:
                    found[os.path.relpath(path, top)] = f.read()
        return found

    def test_a_file_lasts_with_its_bytes_and_its_name_synced(self):
        self.assertEqual(self.lose("put('a', b'one', True); sync_names()"), {"a": b"one"})

    def test_bytes_that_are_not_synced_are_gone(self):
        self.assertEqual(self.lose("put('a', b'one', False); sync_names()"), {"a": b""})

    def test_a_name_that_is_not_synced_is_gone(self):
        self.assertEqual(self.lose("put('a', b'one', True)"), {})

    def test_what_was_written_over_is_back(self):
        self.assertEqual(self.lose("put('a', b'before', True); sync_names(); put('a', b'AFTER and more', False)"), {"a": b"before"})

    def test_what_was_cut_off_is_back(self):
        began = "put('a', b'before', True); sync_names(); "
        self.assertEqual(self.lose(began + "os.truncate('a', 2)"), {"a": b"before"})
        self.assertEqual(self.lose(began + "fd = os.open('a', os.O_RDWR); os.ftruncate(fd, 2)"), {"a": b"before"})
        self.assertEqual(self.lose(began + "os.open('a', os.O_WRONLY | os.O_TRUNC)"), {"a": b"before"})
        self.assertEqual(self.lose(began + "fd = os.open('a', os.O_RDWR); os.ftruncate(fd, 2); os.fsync(fd)"), {"a": b"be"})

    def test_a_rename_lasts_when_the_folder_was_synced(self):
        began = "put('a', b'old', True); put('b', b'new', True); sync_names(); os.rename('b', 'a'); "
        self.assertEqual(self.lose(began), {"a": b"old", "b": b"new"})
        self.assertEqual(self.lose(began + "sync_names()"), {"a": b"new"})

    def test_what_was_removed_is_back_unless_the_folder_was_synced(self):
        began = "put('a', b'one', True); sync_names(); os.unlink('a'); "
        self.assertEqual(self.lose(began), {"a": b"one"})
        self.assertEqual(self.lose(began + "sync_names()"), {})

    def test_a_folder_is_gone_with_all_that_is_in_it(self):
        began = "os.mkdir('f'); put('f/a', b'one', True); sync_names('f'); "
        self.assertEqual(self.lose(began), {})
        self.assertEqual(self.lose(began + "sync_names()"), {"f/a": b"one"})

    def test_elsewhere_nothing_is_lost(self):
        self.assertEqual(self.lose("put('a', b'one', False)", TRIBUTARY_POWER_ROOT="/another-place"), {"a": b"one"})

    def test_a_seed_decides_what_is_lost(self):
        began = "fd = os.open('a', os.O_RDWR | os.O_CREAT); sync_names()\nfor i in range(8): os.pwrite(fd, b'x', i)"
        outcomes = {self.lose(began, TRIBUTARY_POWER_SEED=str(seed))["a"] for seed in range(6)}
        self.assertGreater(len(outcomes), 3, outcomes)
        self.assertEqual(self.lose(began, TRIBUTARY_POWER_SEED="5"), self.lose(began, TRIBUTARY_POWER_SEED="5"))


if __name__ == "__main__":
    unittest.main()
