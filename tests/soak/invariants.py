"""What must be true of any ledger, whatever happened while it was written. Reads ledger.db alone."""

import collections
import os
import sqlite3


class Broken(AssertionError):
    pass


def need(condition, what):
    if not condition:
        raise Broken(what)


def rows(db, query, *args):
    db.row_factory = sqlite3.Row
    return db.execute(query, args).fetchall()


def check_rounds(run, rounds):
    """Numbers without gaps, one model after the other, nothing left open."""
    model = run["initial_model_sha256"]
    for number, r in enumerate(rounds, 1):
        at = f"round {r['round']}"
        need(r["round"] == number, f"{at}: its number is not {number}")
        need(r["state"] in ("committed", "abandoned"), f"{at} is {r['state']} though the run is {run['state']}")
        need(r["base_model_sha256"] == model, f"{at} does not start from the model before")
        if r["state"] == "committed":
            need(r["model_sha256"] != "", f"{at} has no model")
            model = r["model_sha256"]
        else:
            need(r["model_sha256"] == model, f"{at} was abandoned and changed the model")
    need(run["model_sha256"] == model, "the run's model is not that of its last round")
    need(run["rounds_done"] == sum(r["state"] == "committed" for r in rounds), "rounds_done is not the count of committed rounds")


def check_contributions(r, found, plan):
    """What one round's rows say together."""
    at = f"round {r['round']}"
    names = [c["client_name"] for c in found]
    need(len(names) == len(set(names)), f"{at}: a client is there twice")
    need(len(found) == r["invited"], f"{at}: invited {r['invited']}, rows {len(found)}")
    states = collections.Counter(c["state"] for c in found)
    need(not states["invited"] and not states["accepted_task"], f"{at} is closed and waits for somebody: {dict(states)}")
    need(states["accepted"] == r["accepted"], f"{at}: accepted {r['accepted']}, rows {states['accepted']}")
    if r["state"] == "committed":
        need(plan["min"] <= r["accepted"] <= r["target"], f"{at}: {r['accepted']} accepted of {plan['min']} to {r['target']}")
        need(r["examples"] == sum(c["weight"] for c in found if c["state"] == "accepted"), f"{at}: examples are not the weights")
    return states


def check_receipts(found, receipts):
    """Every receipt that a client holds is an accepted row with that update, and no other row is."""
    accepted = {(c["client_name"], c["round"]): c["update_sha256"] for c in found if c["state"] == "accepted"}
    for e in receipts:
        key = (e["client"], e["round"])
        need(key in accepted, f"the receipt of {key} is lost")
        need(accepted[key] == e["update_sha256"], f"the receipt of {key} is for another update")
    return len(accepted)


def check_chain(db, run):
    """The links only; `verify` recomputes the digests."""
    previous = "0" * 64
    for record in rows(db, "SELECT * FROM records WHERE run_id = ? ORDER BY round", run["id"]):
        need(record["previous_record_sha256"] == previous, f"record {record['round']} does not follow the one before")
        previous = record["record_sha256"]
    need(run["head_sha256"] == previous, "the run's head is not its last record")


def check_ledger(directory, run_id, receipts, minimum=60):
    """Raises Broken, naming the first thing that is wrong; else a summary."""
    db = sqlite3.connect(os.path.join(directory, "ledger.db"))
    need(rows(db, "PRAGMA integrity_check")[0][0] == "ok", "SQLite's own check failed")
    need(not rows(db, "PRAGMA foreign_key_check"), "a foreign key points nowhere")
    run = rows(db, "SELECT * FROM runs WHERE id = ?", run_id)[0]
    need(run["state"] in ("completed", "failed", "stopped"), f"the run never ended: {run['state']}")
    rounds = rows(db, "SELECT * FROM rounds WHERE run_id = ? ORDER BY round", run_id)
    check_rounds(run, rounds)
    found = rows(db, "SELECT * FROM contributions WHERE run_id = ?", run_id)
    by_round = collections.defaultdict(list)
    for c in found:
        by_round[c["round"]].append(c)
    states = collections.Counter()
    for r in rounds:
        states += check_contributions(r, by_round[r["round"]], {"min": minimum})
    updates = rows(db, "SELECT task_id, update_sha256 FROM updates WHERE run_id = ?", run_id)
    tasks = {c["task_id"]: c["update_sha256"] for c in found if c["state"] == "accepted"}
    need({u["task_id"]: u["update_sha256"] for u in updates} == tasks, "accepted rows and signed updates are not the same set")
    check_chain(db, run)
    return {"rounds": len(rounds), "committed": run["rounds_done"], "abandoned": len(rounds) - run["rounds_done"],
            "accepted": check_receipts(found, receipts), "receipts": len(receipts), "contributions": dict(states)}
