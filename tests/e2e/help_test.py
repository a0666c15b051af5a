"""Help of every verb of the two daemons' programs, against golden files: it is part of the contract. (The verbs of `tributary` are
in tests/server/operator/cli_test.cc.) TRIBUTARY_UPDATE_GOLDEN=1 accepts a change."""

import os
import unittest

import federation
from federation import run_program

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "help")
VERBS = {"tributary-coordinator": ["init", "run", "verify", "backup", "restore", "upgrade", "ca status", "ca stage", "ca activate", "ca retire"],
         "tributary-client": ["join", "run", "uploads", "doctor"]}


class HelpTest(unittest.TestCase):
    def check(self, program):
        text = ""
        for verb in [None] + VERBS[program]:
            arguments = (verb.split() if verb else []) + ["--help"]
            answer = run_program(program, arguments).ok()
            if verb:
                self.assertIn("Example:", answer.out, verb)
            text += f"$ {program} {' '.join(arguments)}\n{answer.out}\n"
        path = os.path.join(GOLDEN, program + ".txt")
        if os.environ.get("TRIBUTARY_UPDATE_GOLDEN"):
            os.makedirs(GOLDEN, exist_ok=True)
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
        with open(path, encoding="utf-8") as f:
            self.assertEqual(text, f.read())

    def test_the_coordinators_verbs(self):
        self.check("tributary-coordinator")

    def test_the_clients_verbs(self):
        self.check("tributary-client")

    def test_usage_faults_end_with_two(self):
        for program in VERBS:
            self.assertEqual(run_program(program, ["nonsense"]).code, 2)
            self.assertEqual(run_program(program, []).code, 2)
            self.assertEqual(run_program(program, ["run"]).code, 2)


if __name__ == "__main__":
    federation.main()
