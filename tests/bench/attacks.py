"""How much longer rounds take while strangers, or a hostile client, attack the coordinator. Rounds of about a second; for each
attack, runs with and without it by turns; prints the median of the ratios, and the processor time that the coordinator and
its children used in a second of each.

The federation (coordinator and clients) has one processor and the attackers have the others, so that they take nothing from it
but by what they make the coordinator do; a machine with one processor has nothing to say here.

  TRIBUTARY_BIN=build/release/bin python3 tests/bench/attacks.py [--only TEXT] [--pairs 5]
"""

import argparse
import contextlib
import json
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

import foreign_client  # noqa: E402
import stranger  # noqa: E402
from federation import Federation  # noqa: E402
from foreign_client import Identity  # noqa: E402
from strangers_test import CLIENTS, DESCRIPTORS, children, on_the_defenders_processor  # noqa: E402

ROUNDS = 4
RUN = """
name = "attacked"
rounds = {rounds}
seed = 1
model = {{ preset = "keras-cnn" }}
train = {{ epochs = 1, batch_size = 32, optimizer = "adam", learning_rate = 0.001, validation_split = 0.0 }}
round = {{ clients = {clients}, min_clients = {clients}, over_select = 1.0, select_wait = "0s" }}
"""


def processor_seconds(pid):
    """Of the process, its children that ended, and those that run."""
    total = 0.0
    for p, fields in [(pid, (11, 12, 13, 14))] + [(child, (11, 12)) for child in children(pid)]:
        try:
            with open(f"/proc/{p}/stat", encoding="ascii") as f:
                stat = f.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += sum(int(stat[i]) for i in fields) / os.sysconf("SC_CLK_TCK")
    return total


def one_run(f):
    """Seconds a round, and the coordinator's share of a processor."""
    pid = f.coordinator.process.pid
    began, used = time.monotonic(), processor_seconds(pid)
    run = f.start_run(RUN.format(rounds=ROUNDS, clients=CLIENTS))
    shown = f.finish(run, timeout=300)
    took, used = time.monotonic() - began, processor_seconds(pid) - used
    rounds = shown["rounds"]
    if [int(r["accepted"]) for r in rounds] != [CLIENTS] * ROUNDS:
        raise SystemExit(f"an update is missing: {rounds}")
    return took / ROUNDS, used / took


def attacks(f, sockets):
    """Name, whether the enrolment port is opened for it, the attack, when it is under way."""
    main, enrol = f.ports()
    hello = stranger.client_hello()
    flooder = Identity(f.invite("flooder")).enrol()
    certificate = os.path.join(f.root, "flooder.pem")
    flooder.save(certificate)
    many = min(10_000, sockets - 500)
    return [
        ("10,000 idle connections", False, lambda: stranger.crowd(main, 10_000, many), lambda a: a.did >= many),
        ("half a hello", False, lambda: stranger.crowd(main, 2000, 1000, hello[:len(hello) // 2]), lambda a: a.did >= 500),
        ("a hello and no more", False, lambda: stranger.crowd(main, 2000, 1000, hello), lambda a: a.did >= 500),
        ("garbage", False, lambda: stranger.garbage(main), lambda a: a.cut >= 50),
        ("plain HTTP", False, lambda: stranger.plain_http(main), lambda a: a.cut >= 50),
        ("headers without a certificate", False, lambda: stranger.header_flood(main), lambda a: a.did >= 50),
        ("headers without end by a client", False,
         lambda: stranger.header_flood_after_a_call(main, certificate), lambda a: a.cut >= 4),
        ("headers at the enrolment port", True, lambda: stranger.header_flood(enrol), lambda a: a.did >= 10),
        ("one endless header there", True, lambda: stranger.long_string_flood(enrol), lambda a: a.did >= 10),
    ]


def measure(f, name, window, attack, under_way, pairs):
    invited = f"window-{int(time.monotonic() * 1000)}"
    if window:
        f.invite(invited)
    ratios, normal, attacked, calm_load, load = [], [], [], [], []
    for _ in range(pairs):
        seconds, share = one_run(f)
        normal.append(seconds)
        calm_load.append(share)
        with attack() as running:
            running.wait_until(under_way)
            seconds, share = one_run(f)
        attacked.append(seconds)
        load.append(share)
        ratios.append(attacked[-1] / normal[-1])
    if window:
        f.op("client", "revoke", invited)
    print(json.dumps({"attack": name, "ratio": round(statistics.median(ratios), 2),
                      "least": round(min(ratios), 2), "most": round(max(ratios), 2),
                      "round_s": round(statistics.median(normal), 2), "attacked_round_s": round(statistics.median(attacked), 2),
                      "coordinator_load": round(statistics.median(calm_load), 3),
                      "attacked_load": round(statistics.median(load), 3), "did": running.did, "cut": running.cut}), flush=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--only", default="")
    p.add_argument("--pairs", type=int, default=5)
    p.add_argument("--examples", type=int, default=5000, help="of each client")
    a = p.parse_args()
    if len(os.sched_getaffinity(0)) < 2:
        raise SystemExit("attackers need a processor of their own")
    sockets = stranger.raise_descriptor_limit(12_000)
    with contextlib.ExitStack() as stack:
        stack.callback(foreign_client.remove_stubs)
        with on_the_defenders_processor():
            f = stack.enter_context(Federation(descriptors=DESCRIPTORS))
            for k in range(1, CLIENTS + 1):
                f.add_client(f"site-{k}", f"synthetic:{a.examples}").wait_for("session_open")
        for case in attacks(f, sockets):
            if a.only in case[0]:
                measure(f, *case, a.pairs)


if __name__ == "__main__":
    main()
