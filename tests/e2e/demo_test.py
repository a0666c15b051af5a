"""The demonstration: a live line a round, the model left behind, nothing else; also after Ctrl-C."""

import os
import signal
import subprocess
import tempfile
import unittest

import federation
from federation import BIN, run_program


def processes_of(directory):
    """Command lines of living processes that name the directory."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                line = f.read().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if directory in line:
            found.append(line)
    return found


class DemoTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="tributary-demo-test-")
        self.addCleanup(scratch.cleanup)
        self.cwd, self.tmp = os.path.join(scratch.name, "here"), os.path.join(scratch.name, "tmp")
        os.mkdir(self.cwd)
        os.mkdir(self.tmp)
        self.env = {**os.environ, "TMPDIR": self.tmp}

    def assert_nothing_left(self):
        self.assertEqual(os.listdir(self.tmp), [])
        self.assertEqual(processes_of(self.tmp), [])

    def test_it_trains_leaves_the_model_and_nothing_running(self):
        done = run_program("tributary", ["demo", "--rounds", "2", "--clients", "3"], cwd=self.cwd, env=self.env).ok()
        for number in (1, 2):
            self.assertIn(f"round={number} state=committed accepted=3", done.out)
        self.assertIn("history verified: 2 rounds", done.out)
        self.assertEqual(os.listdir(self.cwd), ["model-demo.safetensors"])
        self.assert_nothing_left()
        said = run_program("tributary", ["model", "eval", "model-demo.safetensors", "--data", "synthetic:200", "-o", "json"],
                           cwd=self.cwd).ok().json()
        self.assertEqual(int(said["examples"]), 200)

    def test_ctrl_c_ends_all_of_it(self):
        demo = subprocess.Popen([os.path.join(BIN, "tributary"), "demo", "--rounds", "500", "--clients", "2"], cwd=self.cwd,
                                env=self.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        line = demo.stdout.readline()
        while "round=1 " not in line:
            self.assertTrue(line, "the demo ended before a round was done")
            line = demo.stdout.readline()
        self.assertEqual(len(processes_of(self.tmp)), 3)
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=60)
        self.assertEqual(demo.returncode, 130)
        self.assert_nothing_left()


if __name__ == "__main__":
    federation.main()
