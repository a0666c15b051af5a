"""Folders of pictures of every size, classes by name: the classic example of cats and dogs, without --shape."""

import os
import random
import struct
import unittest
import zlib

import federation
from federation import Federation, run_program

RUN = """
name = "cats"
rounds = 3
seed = 1
classes = ["cat", "dog"]
train = { epochs = 2, batch_size = 8, optimizer = "adam", learning_rate = 0.003 }
round = { clients = 2, min_clients = 2, max_failed_rounds = 1, deadline = "2m" }
keep_updates = "forever"
"""
SMALL = """
[model]
input = [{h}, {w}, {c}]
loss = "binary_crossentropy"
layers = [ {{ flatten = {{}} }}, {{ dense = {{ units = 1, activation = "sigmoid" }} }} ]
"""


def write_png(path, height, width, channels, pixel):
    """`pixel(row, column)` gives the grey value."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + b"".join(bytes([pixel(r, c)]) * channels for c in range(width)) for r in range(height))
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2}[channels], 0, 0, 0)) +
                chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def write_pets(folder, count, seed):
    """cat.N.png is bright above, dog.N.png below; each of its own size, some grey, some RGB."""
    os.makedirs(folder)
    rng = random.Random(seed)
    for i in range(count):
        kind = ("cat", "dog")[i % 2]
        height, width = rng.randint(12, 70), rng.randint(12, 70)
        shade = rng.randint(150, 255)
        write_png(os.path.join(folder, f"{kind}.{i}.png"), height, width, rng.choice((1, 3)),
                  lambda r, c: shade if (r < height // 2) == (kind == "cat") else (r * 7 + c * 3 + i) % 60)


class ImagesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.f = cls.enterClassContext(Federation())
        cls.joined = {}
        for k in (1, 2):
            write_pets(cls.folder(f"site-{k}"), 40, seed=k)
            cls.joined[k] = cls.f.join(f"site-{k}", cls.folder(f"site-{k}"))
            cls.f.start_client(f"site-{k}").wait_for("session_open")
        write_pets(cls.folder("holdout"), 24, seed=9)

    @classmethod
    def folder(cls, name):
        return os.path.join(cls.f.root, "pictures-" + name)

    def run_to_end(self, model, rounds=3):
        text = RUN.replace("rounds = 3", f"rounds = {rounds}")
        text += f'evaluate = {{ every = 1, data = "{self.folder("holdout")}" }}\n' + model
        self.run_id = self.f.start_run(text)
        document = self.f.finish(self.run_id)
        self.assertEqual(document["run"]["state"], "completed", document)
        return document["rounds"]

    def test_the_owner_is_shown_names_and_counts_and_no_size(self):
        self.assertIn("images are decoded to what a run asks for", self.joined[1].out)
        self.assertIn("cat", self.joined[1].out)
        clients = {c["name"]: c for c in self.f.doc("client", "list")["clients"]}
        self.assertEqual(clients["site-1"].get("shape", []), [])
        self.assertEqual(clients["site-1"]["classes"], ["cat", "dog"])
        self.assertEqual(int(clients["site-1"]["examples"]), 40)

    def test_the_preset_for_cats_takes_pictures_of_any_size_and_learns(self):
        rounds = self.run_to_end('model = { preset = "cat-cnn" }\n')
        self.assertGreaterEqual(rounds[-1]["test_accuracy"], 0.95)
        path = os.path.join(self.f.root, "cats.safetensors")
        self.f.op("model", "export", self.run_id, "--round", "last", "--to", path).ok()
        images = [os.path.join(self.folder("holdout"), name) for name in ("cat.0.png", "dog.1.png")]
        said = run_program("tributary", ["model", "predict", path, *images, "-o", "json"]).ok().json()["predictions"]
        self.assertEqual([p["class"] for p in said], ["cat", "dog"])
        measured = run_program("tributary", ["model", "eval", path, "--data", self.folder("holdout"), "-o", "json"]).ok().json()
        self.assertAlmostEqual(measured["accuracy"], rounds[-1]["test_accuracy"], places=9)

    def test_two_runs_of_different_sizes_at_once(self):
        runs = [self.f.start_run(RUN + SMALL.format(h=h, w=w, c=c)) for h, w, c in ((16, 16, 1), (10, 24, 3))]
        for run in runs:
            document = self.f.finish(run)
            self.assertEqual([r["state"] for r in document["rounds"]], ["committed"] * 3)
            self.assertTrue(self.f.doc("history", "verify", run, "--blobs")["ok"])

    def test_a_folder_that_is_gone_declines_and_comes_back(self):
        away = self.folder("site-2") + ".away"
        os.rename(self.folder("site-2"), away)
        self.addCleanup(lambda: os.path.exists(away) and os.rename(away, self.folder("site-2")))
        text = RUN.replace("min_clients = 2", "min_clients = 1").replace("rounds = 3", "rounds = 1")
        run = self.f.start_run(text + SMALL.format(h=9, w=9, c=1))
        self.assertEqual(self.f.finish(run)["run"]["state"], "completed")
        rows = self.f.contributions(run, 1)
        self.assertEqual(rows["site-1"]["state"], "accepted")
        self.assertEqual(rows["site-2"]["state"], "declined")
        self.assertIn("data_error", rows["site-2"]["reason"])
        self.assertIn(os.path.basename(self.folder("site-2")), rows["site-2"]["reason"])
        os.rename(away, self.folder("site-2"))
        self.run_to_end(SMALL.format(h=9, w=9, c=1), rounds=1)


if __name__ == "__main__":
    federation.main()
