"""What a person does, from invitation to prediction, through the commands of the README."""

import json
import os
import signal
import sqlite3
import struct
import subprocess
import unittest
import zlib

import federation
from federation import BIN, Federation, Program, run_program, tiny_run


def write_png(path, pixels):
    """28 x 28 grey bytes."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + bytes(pixels[r * 28:(r + 1) * 28]) for r in range(28))
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 28, 28, 8, 0, 0, 0, 0)) +
                chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


class MainJobTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.f = cls.enterClassContext(Federation())
        for k in (1, 2, 3):
            cls.f.add_client(f"site-{k}", "synthetic:1200", "--part", f"{k}/3",
                             invite_args=["--label", "region=eu"] if k < 3 else [])
        cls.run_id = cls.f.start_run(tiny_run("digits", rounds=3, clients=3,
                                              extra='evaluate = { every = 1, data = "synthetic:300" }',
                                              train=", validation_split = 0.1"))
        cls.document = cls.f.finish(cls.run_id)

    def test_the_run_completed_and_learnt(self):
        run, rounds = self.document["run"], self.document["rounds"]
        self.assertEqual(run["state"], "completed")
        self.assertEqual(int(run["rounds_done"]), 3)
        self.assertLess(rounds[2]["test_loss"], rounds[0]["test_loss"])
        self.assertIn("best_round", run)

    def test_show_has_every_field_that_other_programs_rely_on(self):
        for key in ("id", "name", "state", "reason", "rounds_done", "rounds_total", "best_round", "seed", "engines"):
            self.assertIn(key, self.document["run"])
        for key in ("round", "state", "reason", "model_sha256", "base_model_sha256", "record_sha256", "invited", "accepted",
                    "examples", "train_loss", "validation_loss", "validation_accuracy", "test_loss", "test_accuracy",
                    "test_f1", "bytes_up", "bytes_down", "select_ms", "train_ms", "aggregate_ms", "evaluate_ms",
                    "total_ms", "overhead_ms"):
            self.assertIn(key, self.document["rounds"][0])
        contributions = self.f.contributions(self.run_id, 2)
        self.assertEqual(len(contributions), 3)
        for key in ("client", "state", "reason", "examples", "weight", "engine", "update_sha256", "update_norm",
                    "bytes_up", "bytes_down", "queue_ms", "download_ms", "train_ms", "upload_ms", "train_loss",
                    "validation_accuracy"):
            self.assertIn(key, contributions["site-1"])
        self.assertEqual(int(contributions["site-1"]["bytes_up"]), 7850 * 4)

    def test_a_round_lists_400_examples_less_the_validation_part(self):
        self.assertEqual({int(c["examples"]) for c in self.f.contributions(self.run_id, 1).values()}, {360})

    def test_list_and_metrics(self):
        listed = self.f.doc("run", "list")["runs"]
        self.assertIn(self.run_id, [r["id"] for r in listed])
        csv = self.f.op("run", "metrics", self.run_id, "-o", "csv").ok().out.splitlines()
        self.assertEqual(len(csv), 4)
        self.assertTrue(csv[0].startswith("round,state,reason,model_sha256"))
        lines = self.f.op("run", "metrics", self.run_id, "-o", "jsonl").ok().out.splitlines()
        self.assertEqual([json.loads(l)["round"] for l in lines], ["1", "2", "3"])

    def test_clients_are_listed_online_with_their_labels(self):
        clients = {c["name"]: c for c in self.f.doc("client", "list")["clients"]}
        self.assertEqual(clients["site-1"]["state"], "online")
        self.assertEqual(int(clients["site-1"]["examples"]), 400)
        self.assertEqual(clients["site-1"]["labels"], {"region": "eu"})

    def test_only_labelled_clients_are_invited_where_the_plan_says_so(self):
        run = self.f.start_run(tiny_run("eu", rounds=1, clients=2, extra_round=', where = { region = "eu" }'))
        self.f.finish(run)
        self.assertEqual(set(self.f.contributions(run, 1)), {"site-1", "site-2"})

    def test_two_runs_at_once_both_end(self):
        runs = [self.f.start_run(tiny_run(f"pair-{i}", rounds=3, clients=3)) for i in (1, 2)]
        self.assertEqual([self.f.finish(r)["run"]["state"] for r in runs], ["completed", "completed"])

    def test_the_model_is_exported_evaluated_and_predicts(self):
        path = os.path.join(self.f.root, "digits.safetensors")
        self.f.op("model", "export", self.run_id, "--round", "best", "--format", "safetensors", "--to", path).ok()
        best = self.document["run"]["best_round"]
        best_round = next(r for r in self.document["rounds"] if r["round"] == best)
        said = run_program("tributary", ["model", "eval", path, "--data", "synthetic:300", "-o", "json"]).ok().json()
        self.assertAlmostEqual(said["accuracy"], best_round["test_accuracy"], places=9)
        self.assertAlmostEqual(said["loss"], best_round["test_loss"], places=6)
        self.assertEqual(len(said["confusion"]), 10)
        self.assertEqual(sum(map(sum, said["confusion"])), 300)
        self.assertEqual(len(said["per_class"]), 10)
        for key in ("precision", "recall", "f1", "examples"):
            self.assertIn(key, said)
        images = [os.path.join(self.f.root, f"image-{i}.png") for i in range(2)]
        for i, image in enumerate(images):
            write_png(image, [(x * 7 + i * 90) % 256 for x in range(784)])
        predicted = run_program("tributary", ["model", "predict", path, *images, "-o", "json"]).ok().json()["predictions"]
        self.assertEqual([p["file"] for p in predicted], images)
        for p in predicted:
            self.assertEqual(len(p["probabilities"]), 10)
            self.assertAlmostEqual(sum(p["probabilities"]), 1, places=5)
            self.assertEqual(p["probabilities"][p["index"]], max(p["probabilities"]))

    def test_a_run_can_begin_from_an_exported_model_and_from_another_runs_round(self):
        path = os.path.join(self.f.root, "warm.safetensors")
        self.f.op("model", "export", self.run_id, "--round", "3", "--to", path).ok()
        last = self.document["rounds"][2]["model_sha256"]
        for start in (path, self.run_id + "@3"):
            text = tiny_run("warm", rounds=1, clients=3).replace("[model]", f'[model]\nfrom = "{start}"')
            document = self.f.finish(self.f.start_run(text))
            self.assertEqual(document["rounds"][0]["base_model_sha256"], last)

    def test_uploads_lists_everything_that_left(self):
        answer = run_program("tributary-client", ["uploads", "--dir", self.f.client_dir("site-1"), "-o", "jsonl"]).ok()
        text = answer.out
        self.assertIn(self.f.contributions(self.run_id, 1)["site-1"]["update_sha256"], text)
        self.assertIn(self.run_id, text)
        self.assertGreaterEqual(len(text.splitlines()), 3)

    def test_doctor_finds_a_healthy_client_and_a_sick_one(self):
        run_program("tributary-client", ["doctor", "--dir", self.f.client_dir("site-2")]).ok()
        self.f.op("doctor").ok()
        self.f.join("sick", "synthetic:100")
        key = os.path.realpath(os.path.join(self.f.client_dir("sick"), "pki", "current", "key.pem"))
        os.chmod(key, 0o644)
        sick = run_program("tributary-client", ["doctor", "--dir", self.f.client_dir("sick")])
        self.assertEqual(sick.code, 1)
        self.assertIn("chmod", sick.out + sick.err)
        self.assertNotEqual(run_program("tributary-client", ["run", "--dir", self.f.client_dir("sick")]).code, 0)

    def test_ctrl_c_leaves_the_run_going(self):
        path = self.f.write("long.toml", tiny_run("long", rounds=400, clients=3))
        watching = subprocess.Popen([os.path.join(BIN, "tributary"), "run", "start", path, "--watch", "--dir", self.f.dir],
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = watching.stdout.readline()
        while "round=1" not in line:
            self.assertTrue(line, "the watch ended before a round was done")
            line = watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        watching.communicate(timeout=30)
        self.assertEqual(watching.returncode, 130)
        run = next(r for r in self.f.doc("run", "list")["runs"] if r["name"] == "long")
        self.assertEqual(run["state"], "running")
        self.assertEqual(self.f.doc("run", "stop", run["id"])["run"]["state"], "stopped")
        self.assertEqual(self.f.op("run", "stop", run["id"]).code, 6)

    def test_a_plan_is_checked_without_a_run(self):
        before = len(self.f.doc("run", "list")["runs"])
        path = self.f.write("dry.toml", tiny_run("dry", rounds=1, clients=3))
        self.f.op("run", "start", path, "--dry-run").ok()
        self.assertEqual(len(self.f.doc("run", "list")["runs"]), before)

    def test_a_revoked_client_ends_with_four_and_stays_out(self):
        client = self.f.add_client("doomed", "synthetic:100")
        client.wait_for("session")
        self.f.op("client", "revoke", "doomed").ok()
        self.assertEqual(client.wait(timeout=20), 4)
        self.assertEqual(run_program("tributary-client", ["run", "--dir", self.f.client_dir("doomed")], timeout=30).code, 4)
        states = {c["name"]: c["state"] for c in self.f.doc("client", "list")["clients"]}
        self.assertEqual(states["doomed"], "revoked")
        actions = [(e["action"], e["subject"]) for e in self.f.doc("audit", "list")["entries"]]
        self.assertTrue(any("revoke" in a and "doomed" in s for a, s in actions), actions[:10])

    def test_an_operator_joins_from_another_directory(self):
        token = self.f.op("operator", "invite", "ann").ok().out
        away = os.path.join(self.f.root, "ann")
        run_program("tributary", ["join", "--dir", away], token).ok()
        self.assertEqual(run_program("tributary", ["status", "--dir", away, "-o", "json"]).ok().json()["version"], "0.1.0")

    def test_backup_while_it_runs_restores_elsewhere(self):
        to = os.path.join(self.f.root, "federation.backup")
        run_program("tributary-coordinator", ["backup", "--dir", self.f.dir, "--to", to]).ok()
        self.assertEqual(os.stat(to).st_mode & 0o777, 0o600)
        with open(to, "rb") as backup:
            self.assertNotIn(b"PRIVATE KEY", backup.read())
        elsewhere = os.path.join(self.f.root, "restored")
        run_program("tributary-coordinator", ["restore", "--from", to, "--dir", elsewhere]).ok()
        self.assertEqual(run_program("tributary-coordinator", ["verify", "--dir", elsewhere]).code, 0)


class GracefulStopTest(unittest.TestCase):
    def test_sigterm_ends_both_sides_cleanly_and_the_run_goes_on_after(self):
        with Federation() as f:
            f.add_client("only", "synthetic:400")
            run = f.start_run(tiny_run("pause", rounds=60, clients=1))
            f.wait_round(run, 2, "training")
            self.assertEqual(f.coordinator.stop(timeout=15), 0)
            f.start()
            f.wait_round(run, 4, "training")
            self.assertEqual(f.clients["only"].stop(timeout=15), 0)
            f.start_client("only")
            self.assertEqual(f.finish(run)["run"]["state"], "completed")


if __name__ == "__main__":
    federation.main()
