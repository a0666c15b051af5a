// The schema of DIR/client.db. Published SQL is never edited; a change is a new migration.
#ifndef TRIBUTARY_CLIENT_SESSION_CLIENT_LEDGER_SCHEMA_H_
#define TRIBUTARY_CLIENT_SESSION_CLIENT_LEDGER_SCHEMA_H_

#include "common/storage/migrations.h"

namespace tributary::session {

inline constexpr storage::Migration kClientMigrations[] = {
    {1, "client", R"sql(
-- The history that this client remembers, a row a run.
CREATE TABLE runs (
  run_id TEXT NOT NULL PRIMARY KEY,
  run_name TEXT NOT NULL,
  genesis_sha256 TEXT NOT NULL,
  round INTEGER NOT NULL,                    -- of the newest task seen
  previous_record_sha256 TEXT NOT NULL,      -- that it carried
  receipt_certificate_pem TEXT NOT NULL,     -- pinned at first sight
  seen_unix_ms INTEGER NOT NULL
) STRICT;

-- Every task that was ever offered.
CREATE TABLE tasks (
  sequence INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  task_id TEXT NOT NULL UNIQUE,
  run_id TEXT NOT NULL,
  run_name TEXT NOT NULL,
  round INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN
    ('queued', 'training', 'finished', 'done', 'dropped', 'declined', 'failed', 'rejected')),
  code TEXT NOT NULL,                        -- why it was declined, failed, dropped or rejected
  reason TEXT NOT NULL,
  accepted INTEGER NOT NULL,                 -- 1 when this client took it
  message BLOB NOT NULL,                     -- serialised TrainTask while held; empty afterwards
  received_unix_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX tasks_by_state ON tasks (state);
CREATE INDEX tasks_by_time ON tasks (received_unix_ms);

-- Finished updates that have no receipt yet; their bytes are in DIR/outbox/TASK_ID.
CREATE TABLE outbox (
  task_id TEXT NOT NULL PRIMARY KEY REFERENCES tasks (task_id),
  update_sha256 TEXT NOT NULL,
  record BLOB NOT NULL,                      -- serialised UpdateRecord
  signature BLOB NOT NULL,
  metrics BLOB NOT NULL                      -- serialised UpdateMetrics
) STRICT;

-- Everything that left this machine.
CREATE TABLE sent (
  sequence INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL CHECK (kind IN ('dataset_facts', 'metrics', 'delta')),
  task_id TEXT NOT NULL,                     -- empty for dataset_facts
  run_id TEXT NOT NULL,
  run_name TEXT NOT NULL,
  round INTEGER NOT NULL,
  detail TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  outcome TEXT NOT NULL,
  times INTEGER NOT NULL,
  first_unix_ms INTEGER NOT NULL,
  last_unix_ms INTEGER NOT NULL,
  receipt BLOB,                              -- serialised Receipt
  UNIQUE (kind, task_id, sha256)
) STRICT;

-- What hello said last when the data could be read.
CREATE TABLE facts (
  id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  message BLOB NOT NULL                      -- serialised DatasetFacts
) STRICT;
)sql"},
    {2, "what a round was, and how often work began", R"sql(
-- Of the newest task seen; empty when version 1 saw it.
ALTER TABLE runs ADD COLUMN base_model_sha256 TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN plan_sha256 TEXT NOT NULL DEFAULT '';

-- How often training began and did not come to an orderly end.
ALTER TABLE tasks ADD COLUMN starts INTEGER NOT NULL DEFAULT 0;
CREATE INDEX tasks_by_run ON tasks (run_id, round);

-- Each time that a task was taken, for the owner's rounds_a_day. Kept for two days.
CREATE TABLE acceptances (
  sequence INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  task_id TEXT NOT NULL,
  accepted_unix_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX acceptances_by_time ON acceptances (accepted_unix_ms);
INSERT INTO acceptances (task_id, accepted_unix_ms) SELECT task_id, received_unix_ms FROM tasks WHERE accepted = 1;
)sql"},
};

}  // namespace tributary::session

#endif  // TRIBUTARY_CLIENT_SESSION_CLIENT_LEDGER_SCHEMA_H_
