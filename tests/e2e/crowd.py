"""A crowd of light clients (tests/support/crowd) as one process beside a real coordinator."""

import json
import os
import subprocess
import threading
import time

from federation import BIN, Federation

CROWD = os.path.join(os.path.dirname(BIN), "tests", "crowd")


class CrowdFederation(Federation):
    """A federation whose clients are one crowd, enrolled before the coordinator starts."""

    def __init__(self, clients):
        super().__init__()
        self.count = clients

    def init(self):
        super().init()
        self.members = os.path.join(self.root, "members.json")
        subprocess.run([CROWD, "enrol", "--dir", self.dir, "--clients", str(self.count), "--to", self.members], check=True)

    def main_endpoint(self):
        with open(os.path.join(self.dir, "endpoints.json"), encoding="utf-8") as file:
            return json.load(file)["main"]

    def status_kib(self, key):
        """VmRSS, VmHWM, ... of the coordinator."""
        with open(f"/proc/{self.coordinator.process.pid}/status", encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith(key + ":"))

    def cpu_seconds(self):
        with open(f"/proc/{self.coordinator.process.pid}/stat", encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Crowd:
    """The process. A thread reads its events into `events`."""

    def __init__(self, f, *args):
        self.process = subprocess.Popen([CROWD, "run", f.members, "--endpoint", f.main_endpoint(), *map(str, args)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.events = []
        self._changed = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self._changed:
                self.events.append(json.loads(line))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait(self, wanted, timeout=600, start=0):
        """The first event from `start` on that is `wanted`."""
        end = time.monotonic() + timeout
        with self._changed:
            while True:
                for event in self.events[start:]:
                    if wanted(event):
                        return event
                left = end - time.monotonic()
                if self._ended or left <= 0:
                    raise AssertionError(f"the crowd did not say it; its last words: {self.events[-3:]}")
                start = len(self.events)
                self._changed.wait(left)

    def stop(self):
        """All its events; the last one counts them."""
        self.process.stdin.close()
        code = self.process.wait(120)
        self._reader.join(10)
        if code != 0:
            raise AssertionError(f"the crowd ended with {code}")
        return self.events
