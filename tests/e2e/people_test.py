"""What people get who do what was not foreseen: a question before anything is sent, and a message that says what is wrong
and how to mend it.
"""

import json
import os
import pty
import select
import socket
import subprocess
import threading
import time
import unittest

from federation import BIN, Federation, Result, main, run_program, tiny_run

NOBODY = 65534


def answer_in_plain(server):
    while True:
        try:
            peer, _ = server.accept()
        except OSError:  # closed
            return
        with peer:
            peer.recv(100)
            peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


class JoinAsksTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.f = cls.enterClassContext(Federation())

    def argv(self, name, *extra):
        return [os.path.join(BIN, "tributary-client"), "join", "--dir", self.f.client_dir(name), "--data", "synthetic:50", *extra]

    def join_at_a_terminal(self, name, answer):
        """The invitation in a file; the question is answered at a terminal of its own."""
        invitation = self.f.write(name + ".invitation", self.f.invite(name))
        child, terminal = pty.fork()
        if child == 0:
            os.execv(self.argv(name)[0], self.argv(name, "--invitation-file", invitation))
        said, answered, end = b"", False, time.monotonic() + 60
        while time.monotonic() < end and select.select([terminal], [], [], 60)[0]:
            try:
                said += os.read(terminal, 65536)
            except OSError:  # the other end is gone
                break
            if b"[y/N]" in said and not answered:
                os.write(terminal, answer)
                answered = True
        _, status = os.waitpid(child, 0)
        os.close(terminal)
        self.assertTrue(answered, said)
        return os.waitstatus_to_exitcode(status), said.decode()

    def test_where_nobody_can_be_asked_a_script_goes_on_and_what_it_agreed_to_is_shown(self):
        unasked = Result(subprocess.run(self.argv("asleep"), input=self.f.invite("asleep") + "\n", text=True, capture_output=True,
                                        timeout=60, start_new_session=True))  # no terminal to be found
        self.assertEqual(unasked.code, 0, unasked.err)
        self.assertNotIn("[y/N]", unasked.err)
        self.assertIn("examples 50", unasked.out)
        self.assertIn("max_epochs", unasked.out)

    def test_no_is_an_answer(self):
        code, said = self.join_at_a_terminal("unwilling", b"n\n")
        self.assertEqual(code, 130, said)
        self.assertIn("nothing was sent", said)
        self.assertFalse(os.path.exists(self.f.client_dir("unwilling")))

    def test_yes_joins(self):
        code, said = self.join_at_a_terminal("willing", b"y\n")
        self.assertEqual(code, 0, said)
        self.assertIn("Joined as willing", said)

    def test_a_path_that_the_settings_cannot_hold_is_named_for_what_it_is(self):
        folder = os.fsencode(self.f.root) + b"/\xff"
        os.mkdir(folder)
        with open(folder + b"/d.csv", "wb") as f:
            f.write(b"1,0\n2,1\n")
        refused = Result(subprocess.run([*self.argv("odd", "--yes")[:-3], "--data", folder + b"/d.csv", "--yes"],
                                        input=self.f.invite("odd") + "\n", text=True, capture_output=True, timeout=60))
        self.assertEqual(refused.code, 2, refused.err)
        self.assertIn("--data: the path is not UTF-8", refused.err)


class OtherUserTest(unittest.TestCase):
    """A directory is its owner's; whoever else looks is told so, and not that nothing is there."""

    @classmethod
    def setUpClass(cls):
        cls.f = cls.enterClassContext(Federation())
        cls.f.join("a", "synthetic:50")
        os.chmod(cls.f.root, 0o755)
        if os.geteuid() == 0:
            cls.other = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            return
        cls.other = {}
        for path in (cls.f.dir, cls.f.client_dir("a")):
            os.chmod(path, 0)
            cls.addClassCleanup(os.chmod, path, 0o700)

    def other_user_runs(self, program, *args):
        done = Result(subprocess.run([os.path.join(BIN, program), *args], stdin=subprocess.DEVNULL, text=True,
                                     capture_output=True, timeout=60, **self.other))
        self.assertNotIn("identity that is enrolled", done.err)
        return done

    def test_the_operators_commands(self):
        for words in (["status"], ["run", "list"]):
            done = self.other_user_runs("tributary", *words, "--dir", self.f.dir)
            self.assertEqual(done.code, 4, done.err)
            self.assertIn("Permission denied", done.err)
            self.assertIn("fix: run it as the user", done.err)

    def test_the_daemons(self):
        for program, directory in (("tributary-coordinator", self.f.dir), ("tributary-client", self.f.client_dir("a"))):
            done = self.other_user_runs(program, "run", "--dir", directory)
            self.assertEqual(done.code, 4, done.err)
            self.assertIn("fix: run it as the user", done.err)

    def test_uploads_and_doctor(self):
        done = self.other_user_runs("tributary-client", "uploads", "--dir", self.f.client_dir("a"))
        self.assertEqual(done.code, 4, done.err)
        self.assertIn("Permission denied", done.err)
        done = self.other_user_runs("tributary-client", "doctor", "--dir", self.f.client_dir("a"))
        self.assertEqual(done.code, 1, done.err)
        self.assertIn("as the user that the daemon runs as", done.out)
        self.assertNotIn("join", done.out)
        self.assertNotIn("none yet", done.out)


class CommandsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.f = cls.enterClassContext(Federation())

    def test_a_name_of_two_runs_asks_for_the_id(self):
        for _ in range(2):
            self.f.start_run(tiny_run(name="twin"))
        refused = self.f.op("run", "show", "twin")
        self.assertEqual(refused.code, 2)
        self.assertIn("more than one run is meant by twin: name one by its id", refused.err)

    def test_a_model_that_is_neither_a_file_nor_a_run(self):
        refused = self.f.op("model", "eval", "lost.safetensors", "--data", "synthetic:50")
        self.assertEqual(refused.code, 1)
        self.assertIn("no file lost.safetensors, and: no run lost.safetensors", refused.err)

    def test_a_member_and_a_coordinator_do_not_share_a_directory(self):
        for program in ("tributary", "tributary-client"):
            noun = "operator" if program == "tributary" else "client"
            invitation = self.f.op(noun, "invite", "mixed").ok().out
            data = ["--data", "synthetic:50", "--yes"] if program == "tributary-client" else []
            refused = run_program(program, ["join", "--dir", self.f.dir, *data], invitation)
            self.assertEqual(refused.code, 6, refused.err)
            self.assertIn("holds the keys of a coordinator", refused.err)
        self.f.op("status").ok()
        self.f.join("apart", "synthetic:50")
        refused = run_program("tributary-coordinator", ["init", "--dir", self.f.client_dir("apart"), "--name", "localhost"])
        self.assertEqual(refused.code, 6, refused.err)

    def test_what_grpc_says_itself_does_not_disturb_the_error(self):
        """A server that speaks no TLS: gRPC has lines of its own for that, at every attempt."""
        invitation = self.f.op("operator", "invite", "far").ok().out
        directory = os.path.join(self.f.root, "far")
        run_program("tributary", ["join", "--dir", directory], invitation).ok()
        with socket.create_server(("127.0.0.1", 0)) as server:
            threading.Thread(target=answer_in_plain, args=(server,), daemon=True).start()
            identity = os.path.join(directory, "pki", "identity.json")
            with open(identity, encoding="utf-8") as f:
                told = json.load(f)
            told["main_endpoint"] = "localhost:%d" % server.getsockname()[1]
            with open(identity, "w", encoding="utf-8") as f:
                json.dump(told, f)
            failed = run_program("tributary", ["status", "--dir", directory, "-o", "json"])
        self.assertEqual(failed.code, 3, failed.err)
        self.assertEqual(json.loads(failed.err)["error"]["code"], "unavailable")

    def test_a_client_that_never_ran_has_sent_nothing(self):
        self.f.join("quiet", "synthetic:50")
        told = run_program("tributary-client", ["uploads", "--dir", self.f.client_dir("quiet")])
        self.assertEqual(told.code, 1)
        self.assertIn("fix: ", told.err)
        self.assertIn("has sent nothing", told.err)

    def test_a_backup_without_keys_says_which_to_put_back(self):
        backup, restored = os.path.join(self.f.root, "b"), os.path.join(self.f.root, "restored")
        run_program("tributary-coordinator", ["backup", "--dir", self.f.dir, "--to", backup]).ok()
        run_program("tributary-coordinator", ["restore", "--from", backup, "--dir", restored]).ok()
        refused = run_program("tributary-coordinator", ["run", "--dir", restored])
        self.assertEqual(refused.code, 1, refused.err)
        self.assertIn("put pki/ca/ca.key and pki/receipt/receipt.key back", refused.err)


if __name__ == "__main__":
    main()
