"""What bad input gets: a clear error with its own exit code, nothing lost, nothing half done.

Bad updates are the foreign client's (foreign_client_test.py), changed histories history_test.py's.
"""

import base64
import hashlib
import json
import os
import random
import select
import socket
import sqlite3
import struct
import time
import unittest

import federation
from federation import BIN, Federation, Program, run_program, tiny_run

REFUSAL = "the invitation is not valid"  # all that a stranger ever hears


def wait_until(condition, what, timeout=30):
    """Polls what another process shows, within a limit."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("never came: " + what)
        select.select([], [], [], 0.05)


def flip_byte(path, at):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 0x10]))


# ---- invitations

class Token:
    """The parts of an invitation (docs/protocol.md), to be put together otherwise than the coordinator did."""

    def __init__(self, text):
        raw = text.strip()[len("trb1_"):]
        payload = base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4))[:-4]
        self.role, rest = payload[:1], payload[1:]
        self.fields = []
        for _ in range(4):
            length = struct.unpack("<H", rest[:2])[0]
            self.fields.append(rest[2:2 + length])
            rest = rest[2 + length:]
        self.secret, self.expires = rest[:32], rest[32:]

    def text(self):
        payload = self.role + b"".join(struct.pack("<H", len(f)) + f for f in self.fields) + self.secret + self.expires
        payload += hashlib.sha256(payload).digest()[:4]
        return "trb1_" + base64.urlsafe_b64encode(payload).decode().rstrip("=")


def private_keys_in(folder):
    found = []
    for where, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(where, name), "rb") as f:
                if b"PRIVATE KEY" in f.read():
                    found.append(os.path.join(where, name))
    return found


class InvitationTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.f = cls.enterClassContext(Federation())
        cls.f.invite("open")  # keeps the enrolment port open for all of these

    def join(self, name, text):
        return run_program("tributary-client", ["join", "--dir", self.f.client_dir(name), "--data", "synthetic:50", "--yes"],
                           text + "\n")

    def audited(self, reason):
        return [e for e in self.f.doc("audit", "list")["entries"]
                if e["action"] == "enrol" and e["outcome"] == "refused: " + reason]

    def assert_refused(self, name, text, stranger_hears=None):
        result = self.join(name, text)
        self.assertEqual(result.code, 4, result.err)
        self.assertEqual(private_keys_in(self.f.client_dir(name)), [])
        if stranger_hears:
            self.assertIn(stranger_hears, result.err)
        self.assertIn("fix: ", result.err)
        return result

    def assert_refused_by_the_coordinator(self, name, text, reason):
        before = len(self.audited(reason))
        result = self.assert_refused(name, text, REFUSAL)
        self.assertEqual(len(self.audited(reason)), before + 1)
        for word in ("expire", "another key", "unknown invitation", "secret", "used"):
            self.assertNotIn(word, result.err)

    def test_garbled_and_truncated(self):
        token = self.f.invite("garbled")
        middle = len(token) // 2
        other = "A" if token[middle] != "A" else "B"
        for text in (token[:middle] + other + token[middle + 1:], token[:-1], token[:40], "trb1_", "hello", "trb1_" + "!" * 50):
            result = self.assert_refused("garbled", text)
            self.assertIn("invitation", result.err)
        # None of these left anything: the whole one is as good as new.
        self.assertEqual(self.join("garbled", token).code, 0)

    def test_expired(self):
        token = self.f.invite("expired", "--expires", "1s")
        expires = struct.unpack("<Q", Token(token).expires)[0] / 1000
        wait_until(lambda: time.time() > expires + 0.05, "the end of the invitation")
        self.assert_refused_by_the_coordinator("expired", token, "expired invitation")

    def test_used_before_with_another_key(self):
        token = self.f.invite("twice")
        self.assertEqual(self.join("twice", token).code, 0)
        self.assert_refused_by_the_coordinator("twice-again", token, "invitation used before with another key")
        # The first one is none the worse for it.
        self.f.start_client("twice").wait_for("session_open")

    def test_replaced_by_a_newer_one(self):
        first = self.f.invite("renamed")
        self.f.invite("renamed", "--replace")
        self.assert_refused_by_the_coordinator("renamed", first, "invitation replaced or revoked")

    def test_a_guessed_secret_and_an_unknown_token(self):
        token = Token(self.f.invite("guessed"))
        token.secret = bytes(32)
        self.assert_refused_by_the_coordinator("guessed", token.text(), "wrong secret")
        token.fields[3] = b"0123456789abcdef"
        self.assert_refused_by_the_coordinator("guessed", token.text(), "unknown invitation")

    def test_of_another_coordinator(self):
        with Federation() as other:
            theirs, ours = Token(other.invite("stray")), Token(self.f.invite("stray"))
        theirs.fields[0:2] = ours.fields[0:2]  # pins the other's CA, leads to our door
        result = self.assert_refused("stray", theirs.text())
        self.assertIn("is not the coordinator that this invitation names", result.err)
        # With our CA pinned as well the coordinator sees it, and does not know it.
        theirs.fields[2] = ours.fields[2]
        self.assert_refused_by_the_coordinator("stray", theirs.text(), "unknown invitation")

    def test_of_another_role(self):
        result = self.assert_refused("person", self.f.op("operator", "invite", "person").ok().out.strip())
        self.assertIn("for an operator", result.err)

    def test_a_coordinator_that_is_down_keeps_the_key_for_the_retry(self):
        with Federation() as f:
            token = f.invite("patient")
            f.coordinator.stop()
            join = ["join", "--dir", f.client_dir("patient"), "--data", "synthetic:50", "--yes"]
            down = run_program("tributary-client", join, token + "\n")
            self.assertEqual(down.code, 3, down.err)
            kept = private_keys_in(f.client_dir("patient"))
            self.assertEqual(len(kept), 1)
            self.assertEqual(os.stat(kept[0]).st_mode & 0o777, 0o600)
            with open(kept[0], "rb") as key:
                before = key.read()
            f.start()
            run_program("tributary-client", join, token + "\n").ok()
            with open(private_keys_in(f.client_dir("patient"))[0], "rb") as key:
                self.assertEqual(key.read(), before)
            f.start_client("patient").wait_for("session_open")

    def test_a_replacement_is_retried_with_the_same_key(self):
        with Federation() as f:
            f.join("returning", "synthetic:50")
            keys = private_keys_in(f.client_dir("returning"))
            token = f.invite("returning", "--replace")
            f.coordinator.stop()
            join = ["join", "--dir", f.client_dir("returning"), "--data", "synthetic:50", "--yes", "--replace"]
            waiting = set()
            for _ in range(2):
                self.assertEqual(run_program("tributary-client", join, token + "\n").code, 3)
                now = private_keys_in(f.client_dir("returning"))
                self.assertTrue(set(keys) < set(now), now)
                with open((set(now) - set(keys)).pop(), "rb") as key:
                    waiting.add(key.read())
            self.assertEqual(len(waiting), 1)
            f.start()
            run_program("tributary-client", join, token + "\n").ok()
            with open(os.path.join(f.client_dir("returning"), "pki", "current", "key.pem"), "rb") as key:
                self.assertEqual({key.read()}, waiting)
            f.start_client("returning").wait_for("session_open")


# ---- run files

BAD_RUN = """name = "bad"
rounds = 0
sed = 1
train = { epochs = "one", batch_size = 32 }
round = { clients = 2, min_clients = 3 }
[model]
input = [8, 8, 1]
loss = "sparse_categorical_crossentropy"
layers = [
  { conv2d = { filters = 4, kernel = [9, 9] } },
  { flatten = {} },
  { dense = { units = 10, activation = "softmax" } },
]
"""


class RunFileTest(unittest.TestCase):
    def test_all_faults_at_once_with_their_lines_and_no_run(self):
        with Federation() as f:
            path = f.write("bad.toml", BAD_RUN)
            for extra in ((), ("--dry-run",), ("-o", "json")):
                result = f.op("run", "start", path, *extra)
                self.assertEqual(result.code, 2, result.err)
                if extra[:1] == ("-o",):
                    error = json.loads(result.err)["error"]
                    self.assertEqual(error["code"], "invalid_argument")
                    said = error["cause"]
                else:
                    said = result.err
                for line, what in ((2, "rounds"), (3, "sed"), (4, "epochs"), (5, "min_clients"), (10, "empty")):
                    self.assertTrue(any(f"bad.toml:{line}" in s and what in s for s in said.splitlines()),
                                    f"line {line}, {what}:\n{said}")
                self.assertIn("did you mean `seed`", said)  # the nearest name
            self.assertEqual(f.doc("run", "list").get("runs", []), [])

    def test_what_is_no_toml_and_what_is_not_there(self):
        with Federation() as f:
            broken = f.op("run", "start", f.write("broken.toml", 'name = "x"\nrounds = = 3\n'))
            self.assertEqual(broken.code, 2)
            self.assertIn("broken.toml:2", broken.err)
            absent = f.op("run", "start", os.path.join(f.root, "absent.toml"))
            self.assertNotEqual(absent.code, 0)
            self.assertIn("absent.toml", absent.err)


# ---- data

def write_idx(folder, count=40, side=28, labels=None):
    os.makedirs(folder, exist_ok=True)
    rng = random.Random(1)
    with open(os.path.join(folder, "images-idx3-ubyte"), "wb") as f:
        f.write(struct.pack(">IIII", 0x803, count, side, side) + bytes(rng.randrange(256) for _ in range(count * side * side)))
    with open(os.path.join(folder, "labels-idx1-ubyte"), "wb") as f:
        f.write(struct.pack(">II", 0x801, count) + bytes(labels or [i % 10 for i in range(count)]))
    return folder


def write_csv(path, rows):
    with open(path, "w", encoding="utf-8") as f:
        f.write("a,b,label\n" + "".join(row + "\n" for row in rows))
    return path


CSV_MODEL = """
[model]
input = [2]
loss = "sparse_categorical_crossentropy"
layers = [ { dense = { units = 2, activation = "softmax" } } ]
"""


class DataTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.f = cls.enterClassContext(Federation())
        cls.f.add_client("peer", "synthetic:60").wait_for("session_open")

    def path(self, name):
        return os.path.join(self.f.root, name)

    def add(self, name, data, *args, **kwargs):
        client = self.f.add_client(name, data, *args, **kwargs)
        client.wait_for("session_open")
        self.addCleanup(self.retire, name)
        return client

    def retire(self, name):
        self.f.op("client", "revoke", name).ok()
        self.f.clients.pop(name).stop()

    def restart(self, name):
        self.assertEqual(self.f.clients[name].stop(), 0)
        return self.f.start_client(name).wait_for("session_open")

    def assert_not_joined(self, data, *says, args=(), code=2):
        name = "never"
        result = run_program("tributary-client", ["join", "--dir", self.f.client_dir(name), "--data", data, "--yes", *args],
                             self.f.invite(name, "--replace") + "\n")
        self.assertEqual(result.code, code, result.err)
        for text in says:
            self.assertIn(text, result.err)
        self.assertEqual(private_keys_in(self.f.client_dir(name)), [])

    # At join: nothing is sent, nobody enrolled.

    def test_join_names_what_is_wrong_with_idx_files(self):
        magic = write_idx(self.path("join-magic"))
        flip_byte(os.path.join(magic, "images-idx3-ubyte"), 0)
        self.assert_not_joined(magic, "images-idx3-ubyte", "magic")
        short = write_idx(self.path("join-short"))
        os.truncate(os.path.join(short, "images-idx3-ubyte"), 1000)
        self.assert_not_joined(short, "images-idx3-ubyte", "1000")

    def test_join_names_the_line_of_a_ragged_csv(self):
        self.assert_not_joined(write_csv(self.path("join-ragged.csv"), ["1,2,0", "3,4,1", "5,1"]), "join-ragged.csv", "4")

    def test_join_names_what_is_not_there_and_what_cannot_be_read(self):
        self.assert_not_joined(self.path("nowhere"), "nowhere", code=1)
        os.symlink("loop.csv", self.path("loop.csv"))
        self.assert_not_joined(self.path("loop.csv"), "loop.csv", "symbolic links")

    def test_join_refuses_images_of_another_size_than_asked_for(self):
        folder = write_idx(self.path("join-size"), side=16)
        self.assert_not_joined(folder, folder, "16x16x1", "28x28x1", args=["--shape", "28x28x1"])

    def test_one_class_only_is_a_warning(self):
        folder = write_idx(self.path("one-class"), labels=[3] * 40)
        joined = self.f.join("single", folder)
        self.assertIn("one class", joined.out)
        self.assertEqual(joined.out.count("all examples have the same class"), 1)
        self.f.start_client("single").wait_for("same class")
        self.addCleanup(self.retire, "single")
        self.f.clients["single"].wait_for("session_open")
        run = self.f.start_run(tiny_run("single", rounds=1, clients=2))
        self.assertEqual(self.f.finish(run)["run"]["state"], "completed")
        self.assertEqual(self.f.contributions(run, 1)["single"]["state"], "accepted")

    # At run: the client declines with the reason, the others go on.

    def assert_declined_while_the_others_go_on(self, name, *says):
        text = tiny_run(name, rounds=1, clients=2).replace("min_clients = 2", "min_clients = 1")
        run = self.f.start_run(text)
        document = self.f.finish(run)
        self.assertEqual(document["run"]["state"], "completed")
        rows = self.f.contributions(run, 1)
        self.assertEqual(rows["peer"]["state"], "accepted")
        self.assertEqual(rows[name]["state"], "declined")
        for text in ("data_error",) + says:
            self.assertIn(text, rows[name]["reason"])

    def test_a_wrong_magic_declines(self):
        folder = write_idx(self.path("magic"))
        self.add("magic", folder)
        flip_byte(os.path.join(folder, "images-idx3-ubyte"), 0)
        self.restart("magic")
        self.assert_declined_while_the_others_go_on("magic", "images-idx3-ubyte", "magic")

    def test_a_short_file_declines_and_a_mended_one_takes_part_again(self):
        folder = write_idx(self.path("short"))
        self.add("short", folder)
        os.truncate(os.path.join(folder, "images-idx3-ubyte"), 1000)
        self.restart("short")
        self.assert_declined_while_the_others_go_on("short", "images-idx3-ubyte", "1000")
        doctor = run_program("tributary-client", ["doctor", "--dir", self.f.client_dir("short")])
        self.assertEqual(doctor.code, 1)
        self.assertIn("images-idx3-ubyte", doctor.out)
        write_idx(folder)
        self.restart("short")
        run = self.f.start_run(tiny_run("mended", rounds=1, clients=2))
        self.assertEqual(self.f.finish(run)["run"]["state"], "completed")
        self.assertEqual(self.f.contributions(run, 1)["short"]["state"], "accepted")

    def test_a_file_that_is_gone_declines(self):
        folder = write_idx(self.path("gone"))
        self.add("gone", folder)
        os.rename(folder, folder + ".away")
        self.restart("gone")
        self.assert_declined_while_the_others_go_on("gone", "gone")

    def test_a_ragged_csv_declines_and_a_round_of_nobody_else_changes_nothing(self):
        path = write_csv(self.path("ragged.csv"), [f"{i},{-i},{i % 2}" for i in range(20)])
        self.add("ragged", path)
        write_csv(path, ["1,2,0", "3,4,1", "5,1"])
        self.restart("ragged")
        head = tiny_run("ragged", rounds=1, clients=1, extra_round=", max_failed_rounds = 1").split("[model]")[0]
        run = self.f.start_run(head + CSV_MODEL)
        document = self.f.finish(run)
        self.assertEqual(document["run"]["state"], "failed")
        last = document["rounds"][0]
        self.assertEqual((last["state"], last["model_sha256"]), ("abandoned", last["base_model_sha256"]))
        row = self.f.contributions(run, 1)["ragged"]
        self.assertEqual(row["state"], "declined")
        for text in ("data_error", "ragged.csv", "4"):
            self.assertIn(text, row["reason"])

    # What hello told already: such a client is not invited, and a run that has no others says why.

    def assert_stalls(self, text, *says):
        run = self.f.start_run(text)
        self.addCleanup(self.f.op, "run", "stop", run)
        wait_until(lambda: self.f.doc("run", "show", run)["run"]["state"] == "stalled", "a stalled run")
        reason = self.f.doc("run", "show", run)["run"]["reason"]
        for said in says:
            self.assertIn(said, reason)

    def test_an_unknown_class_is_named(self):
        self.add("zoo", write_csv(self.path("zoo.csv"), ["1,2,cat", "3,4,wolf", "5,6,cat"]))
        head = tiny_run("zoo", rounds=1, clients=1, extra_round=', select_wait = "1s"').split("[model]")[0]
        self.assert_stalls(head + 'classes = ["cat", "dog"]\n' + CSV_MODEL, "not eligible")
        labelled = tiny_run("zoo-too", rounds=1, clients=2).replace("min_clients = 2", "min_clients = 1")
        run = self.f.start_run(labelled)
        self.assertEqual(self.f.finish(run)["run"]["state"], "completed")
        self.assertEqual(set(self.f.contributions(run, 1)), {"peer"})

    def test_images_of_another_size_are_named(self):
        self.add("tiny", write_idx(self.path("tiny"), side=16), invite_args=["--label", "size=tiny"])
        self.assert_stalls(tiny_run("tiny", rounds=1, clients=1, extra_round=', select_wait = "1s", where = { size = "tiny" }'),
                           "not eligible")


# ---- the coordinator's and the client's own files and ports

class DirectoryTest(unittest.TestCase):
    def run_expecting(self, code, *says, program="tributary-coordinator", directory=None):
        result = run_program(program, ["run", "--dir", directory or self.f.dir], timeout=30)
        self.assertEqual(result.code, code, result.err)
        for text in says:
            self.assertIn(text, result.err)
        self.assertIn("fix: ", result.err)
        return result

    def setUp(self):
        self.f = self.enterContext(Federation())

    def restarts(self):
        self.f.start()
        self.assertEqual(self.f.op("status").code, 0)

    def test_a_port_in_use(self):
        self.f.coordinator.stop()
        with open(os.path.join(self.f.dir, "endpoints.json"), encoding="utf-8") as f:
            port = int(json.load(f)["main"].rsplit(":", 1)[1])
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", port))
            taken.listen()
            self.run_expecting(6, f"127.0.0.1:{port}", "in use")
        self.restarts()

    def test_a_directory_that_another_coordinator_holds(self):
        self.run_expecting(6, self.f.dir, f"pid {self.f.coordinator.process.pid}")
        self.assertEqual(self.f.op("status").code, 0)

    def test_a_directory_that_another_client_holds(self):
        client = self.f.add_client("only", "synthetic:50")
        client.wait_for("session_open")
        self.run_expecting(6, self.f.client_dir("only"), f"pid {client.process.pid}", program="tributary-client",
                           directory=self.f.client_dir("only"))

    def set_version(self, path, version):
        db = sqlite3.connect(path)
        before = db.execute("PRAGMA user_version").fetchone()[0]
        db.execute(f"PRAGMA user_version = {version}")
        db.commit()
        db.close()
        return before

    def test_a_newer_schema_of_the_ledger(self):
        self.f.coordinator.stop()
        path = os.path.join(self.f.dir, "ledger.db")
        before = self.set_version(path, 99)
        self.run_expecting(6, path, "newer version", "99")
        offline = run_program("tributary-coordinator", ["verify", "--dir", self.f.dir])
        self.assertEqual(offline.code, 6, offline.err)
        self.set_version(path, before)  # it was not touched
        self.restarts()

    def test_a_newer_schema_of_the_client(self):
        self.f.add_client("only", "synthetic:50").wait_for("session_open")
        self.f.clients["only"].stop()
        path = os.path.join(self.f.client_dir("only"), "client.db")
        self.set_version(path, 99)
        self.run_expecting(6, path, "newer version", program="tributary-client", directory=self.f.client_dir("only"))

    def damage(self, path):
        for tail in ("-wal", "-shm"):
            if os.path.exists(path + tail):
                os.remove(path + tail)
        with open(path, "r+b") as f:
            f.write(b"not a database any more" * 8)

    def test_a_damaged_ledger(self):
        self.f.coordinator.stop()
        path = os.path.join(self.f.dir, "ledger.db")
        self.damage(path)
        self.run_expecting(1, path, "damaged", "tributary-coordinator restore")

    def test_a_page_of_the_ledger_that_is_garbage(self):
        self.f.coordinator.stop()
        path = os.path.join(self.f.dir, "ledger.db")
        with open(path, "r+b") as f:
            size = f.seek(0, os.SEEK_END)
            for page in range(1, size // 4096):
                f.seek(page * 4096)
                f.write(b"\xa5" * 512)
        self.run_expecting(1, path, "damaged", "tributary-coordinator restore")

    def test_a_damaged_ledger_of_the_client(self):
        self.f.add_client("only", "synthetic:50").wait_for("session_open")
        self.f.clients["only"].stop()
        path = os.path.join(self.f.client_dir("only"), "client.db")
        self.damage(path)
        self.run_expecting(1, path, "damaged", "move it away", program="tributary-client", directory=self.f.client_dir("only"))


class FlippedByteTest(unittest.TestCase):
    """One byte of the newest model is changed on the disk."""

    def setUp(self):
        self.f = self.enterContext(Federation())
        self.f.add_client("only", "synthetic:100")

    def test_it_is_noticed_when_the_model_is_read(self):
        run = self.f.start_run(tiny_run(rounds=2, clients=1))
        digest = self.f.finish(run)["rounds"][1]["model_sha256"]
        self.f.restart_after_kill()  # nothing of it in memory
        flip_byte(self.f.blob_path(digest), 500)
        to = os.path.join(self.f.root, "model.safetensors")
        export = self.f.op("model", "export", run, "--round", "last", "--to", to)
        self.assertEqual(export.code, 1, export.err)
        self.assertFalse(os.path.exists(to))
        self.f.coordinator.wait_for(digest, timeout=10)
        warm = tiny_run("warm", rounds=1, clients=1).replace("[model]", f'[model]\nfrom = "{run}@2"')
        started = self.f.op("run", "start", self.f.write("warm.toml", warm))
        self.assertEqual(started.code, 1, started.err)
        self.f.op("model", "export", run, "--round", "1", "--to", to).ok()

    def test_a_run_does_not_go_on_from_it(self):
        run = self.f.start_run(tiny_run(rounds=100000, clients=1, extra_round=', deadline = "5s", max_failed_rounds = 1'))
        self.f.wait_round(run, 3, "training")
        self.f.coordinator.kill()
        db = sqlite3.connect(os.path.join(self.f.dir, "ledger.db"))
        # The model that the next round to train begins from: also of a round that was killed just before its commit,
        # which the restart brings to an end without reading it (there is no test set).
        number, digest = db.execute("SELECT round, model_sha256 FROM rounds WHERE state IN ('evaluating', 'committed') "
                                    "ORDER BY round DESC LIMIT 1").fetchone()
        db.close()
        flip_byte(self.f.blob_path(digest), 500)
        self.f.start()
        self.f.coordinator.wait_for(self.f.blob_path(digest), timeout=60)
        wait_until(lambda: self.f.doc("run", "show", run)["run"]["state"] == "failed", "the end of the run", timeout=60)
        committed = [int(r["round"]) for r in self.f.doc("run", "show", run)["rounds"] if r["state"] == "committed"]
        self.assertEqual(max(committed), number)


if __name__ == "__main__":
    federation.main()
