#include "server/ledger/history_schema.h"

namespace tributary::ledger {

// Digests are 64 lower-case hexadecimal characters; '' where there is none yet. *_unix_ms are wall-clock milliseconds;
// 0 where it has not happened. What was not measured is NULL. A row of `rounds` whose state is committed or abandoned
// is frozen, with all that belongs to it: its digest is in `records`, and triggers refuse changes.
const std::string_view kHistorySchema = R"sql(
CREATE TABLE runs (
  sequence INTEGER PRIMARY KEY,               -- order of creation
  id TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  federation TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('running', 'stalled', 'completed', 'failed', 'stopped')),
  reason TEXT NOT NULL DEFAULT '',
  rounds_done INTEGER NOT NULL DEFAULT 0 CHECK (rounds_done >= 0),    -- committed
  rounds_total INTEGER NOT NULL CHECK (rounds_total >= 1),            -- wanted
  best_round INTEGER,
  seed TEXT NOT NULL,                         -- an unsigned 64-bit number in decimal
  plan BLOB NOT NULL,                         -- serialised RunPlan
  plan_sha256 TEXT NOT NULL CHECK (length(plan_sha256) = 64),
  keep_updates TEXT NOT NULL CHECK (keep_updates IN ('round', 'run', 'forever')),
  receipt_certificate_pem TEXT NOT NULL,      -- of the key that signs this run's receipts and records
  ca_certificate_sha256 TEXT NOT NULL,
  initial_model_sha256 TEXT NOT NULL CHECK (length(initial_model_sha256) = 64),
  model_sha256 TEXT NOT NULL CHECK (length(model_sha256) = 64),       -- newest committed, or initial
  genesis_sha256 TEXT NOT NULL DEFAULT '',    -- record 0
  head_sha256 TEXT NOT NULL DEFAULT '',       -- newest record
  abandoned_in_a_row INTEGER NOT NULL DEFAULT 0,
  stalled_ms INTEGER NOT NULL DEFAULT 0,
  created_unix_ms INTEGER NOT NULL,
  ended_unix_ms INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX runs_by_name ON runs (name);
CREATE INDEX runs_active ON runs (sequence) WHERE state IN ('running', 'stalled');

CREATE TABLE run_engines (                    -- distinct engines of accepted updates
  run_id TEXT NOT NULL REFERENCES runs (id),
  engine TEXT NOT NULL,
  PRIMARY KEY (run_id, engine)
) STRICT, WITHOUT ROWID;

CREATE TABLE rounds (
  run_id TEXT NOT NULL REFERENCES runs (id),
  round INTEGER NOT NULL CHECK (round >= 1),  -- never reused
  state TEXT NOT NULL
    CHECK (state IN ('selecting', 'training', 'aggregating', 'evaluating', 'committed', 'abandoned')),
  reason TEXT NOT NULL DEFAULT '',            -- why abandoned, or why not evaluated
  previous_record_sha256 TEXT NOT NULL CHECK (length(previous_record_sha256) = 64),
  base_model_sha256 TEXT NOT NULL CHECK (length(base_model_sha256) = 64),
  model_sha256 TEXT NOT NULL DEFAULT '',      -- the new model; the base model when abandoned
  target INTEGER NOT NULL DEFAULT 0,          -- accepted updates that close the round
  invited INTEGER NOT NULL DEFAULT 0,
  accepted INTEGER NOT NULL DEFAULT 0,
  examples INTEGER NOT NULL DEFAULT 0,        -- sum of accepted weights
  train_loss REAL,
  validation_loss REAL,
  validation_accuracy REAL,
  test_loss REAL,
  test_accuracy REAL,
  test_f1 REAL,
  test_precision REAL,
  test_recall REAL,
  model_norm REAL,
  bytes_up INTEGER NOT NULL DEFAULT 0,
  bytes_down INTEGER NOT NULL DEFAULT 0,
  select_ms INTEGER NOT NULL DEFAULT 0,
  train_ms INTEGER NOT NULL DEFAULT 0,
  aggregate_ms INTEGER NOT NULL DEFAULT 0,
  evaluate_ms INTEGER NOT NULL DEFAULT 0,
  total_ms INTEGER NOT NULL DEFAULT 0,
  overhead_ms INTEGER,
  selecting_elapsed_ms INTEGER NOT NULL DEFAULT 0,
  training_elapsed_ms INTEGER NOT NULL DEFAULT 0,
  started_unix_ms INTEGER NOT NULL,
  closed_unix_ms INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (run_id, round)
) STRICT, WITHOUT ROWID;
CREATE INDEX rounds_by_model ON rounds (model_sha256);
CREATE UNIQUE INDEX rounds_one_open ON rounds (run_id) WHERE state NOT IN ('committed', 'abandoned');

CREATE TABLE contributions (
  sequence INTEGER PRIMARY KEY,               -- order of invitation
  run_id TEXT NOT NULL,
  round INTEGER NOT NULL,
  client_id TEXT NOT NULL REFERENCES clients (id),
  client_name TEXT NOT NULL,
  task_id TEXT NOT NULL UNIQUE,
  state TEXT NOT NULL CHECK (state IN
    ('invited', 'accepted_task', 'declined', 'late', 'dropped', 'rejected', 'not_needed', 'accepted')),
  reason TEXT NOT NULL DEFAULT '',            -- code: text
  examples INTEGER NOT NULL DEFAULT 0,        -- as the client stated
  weight INTEGER NOT NULL DEFAULT 0,          -- as counted
  engine TEXT NOT NULL DEFAULT '',
  update_sha256 TEXT NOT NULL DEFAULT '',
  update_norm REAL,
  train_loss REAL,
  validation_loss REAL,
  validation_accuracy REAL,
  validation_examples INTEGER NOT NULL DEFAULT 0,
  bytes_up INTEGER NOT NULL DEFAULT 0,
  bytes_down INTEGER NOT NULL DEFAULT 0,
  queue_ms INTEGER NOT NULL DEFAULT 0,
  download_ms INTEGER NOT NULL DEFAULT 0,
  train_ms INTEGER NOT NULL DEFAULT 0,
  upload_ms INTEGER NOT NULL DEFAULT 0,
  accepted_unix_ms INTEGER NOT NULL DEFAULT 0,
  UNIQUE (run_id, round, client_id),
  FOREIGN KEY (run_id, round) REFERENCES rounds (run_id, round)
) STRICT;
CREATE INDEX contributions_by_client ON contributions (client_id, sequence);

CREATE TABLE updates (                        -- what was signed for each accepted update
  task_id TEXT NOT NULL PRIMARY KEY REFERENCES contributions (task_id),
  run_id TEXT NOT NULL,
  round INTEGER NOT NULL,
  client_id TEXT NOT NULL,
  certificate_sha256 TEXT NOT NULL,           -- the client's, at that time
  update_sha256 TEXT NOT NULL CHECK (length(update_sha256) = 64),
  record BLOB NOT NULL,                       -- serialised UpdateRecord
  signature BLOB NOT NULL,                    -- of the client, over the record's canonical bytes
  metrics BLOB NOT NULL,                      -- serialised UpdateMetrics, as sent
  receipt BLOB NOT NULL,                      -- serialised Receipt, as sent
  FOREIGN KEY (run_id, round, client_id) REFERENCES contributions (run_id, round, client_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX updates_by_round ON updates (run_id, round, client_id);
CREATE INDEX updates_by_digest ON updates (update_sha256);

CREATE TABLE deleted_blobs (                  -- updates deleted as keep_updates says
  sha256 TEXT NOT NULL PRIMARY KEY,
  run_id TEXT NOT NULL,                       -- whose end asked for it
  deleted_unix_ms INTEGER NOT NULL,
  file_removed INTEGER NOT NULL DEFAULT 0 CHECK (file_removed IN (0, 1))
) STRICT, WITHOUT ROWID;
CREATE INDEX deleted_blobs_pending ON deleted_blobs (sha256) WHERE file_removed = 0;

CREATE TABLE records (                        -- the hash chain: one record a closed round, 0 is genesis
  run_id TEXT NOT NULL REFERENCES runs (id),
  round INTEGER NOT NULL CHECK (round >= 0),
  previous_record_sha256 TEXT NOT NULL,       -- 64 zeros for genesis
  body_sha256 TEXT NOT NULL CHECK (length(body_sha256) = 64),
  record_sha256 TEXT NOT NULL UNIQUE CHECK (length(record_sha256) = 64),
  signature BLOB NOT NULL,                    -- of the receipt key, over what record_sha256 is the digest of
  body BLOB NOT NULL,                         -- every column of the round's rows: server/ledger/history.h
  PRIMARY KEY (run_id, round)
) STRICT, WITHOUT ROWID;
CREATE INDEX records_links ON records (run_id, round, body_sha256, record_sha256);

CREATE TABLE events (                         -- what came too late or from the wrong place; changes nothing
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  time_unix_ms INTEGER NOT NULL,
  run_id TEXT NOT NULL,
  round INTEGER NOT NULL,
  client_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  detail TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_round ON events (run_id, round);

CREATE TABLE audit (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  time_unix_ms INTEGER NOT NULL,
  actor TEXT NOT NULL,                        -- operator/NAME, client/NAME, stranger/ADDRESS, coordinator
  action TEXT NOT NULL,
  subject TEXT NOT NULL,
  outcome TEXT NOT NULL                       -- ok, or refused: reason
) STRICT;

CREATE TABLE requests (                       -- what a retried request made the first time
  request_id TEXT NOT NULL PRIMARY KEY,
  run_id TEXT NOT NULL REFERENCES runs (id),
  created_unix_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER rounds_frozen_update BEFORE UPDATE ON rounds WHEN OLD.state IN ('committed', 'abandoned')
BEGIN SELECT RAISE(ABORT, 'the round is closed: its rows are frozen'); END;
CREATE TRIGGER rounds_frozen_delete BEFORE DELETE ON rounds
BEGIN SELECT RAISE(ABORT, 'rounds are never deleted'); END;
CREATE TRIGGER contributions_frozen_update BEFORE UPDATE ON contributions
WHEN (SELECT state FROM rounds WHERE run_id = OLD.run_id AND round = OLD.round) IN ('committed', 'abandoned')
BEGIN SELECT RAISE(ABORT, 'the round is closed: its rows are frozen'); END;
CREATE TRIGGER contributions_frozen_insert BEFORE INSERT ON contributions
WHEN (SELECT state FROM rounds WHERE run_id = NEW.run_id AND round = NEW.round) IN ('committed', 'abandoned')
BEGIN SELECT RAISE(ABORT, 'the round is closed: its rows are frozen'); END;
CREATE TRIGGER contributions_frozen_delete BEFORE DELETE ON contributions
BEGIN SELECT RAISE(ABORT, 'contributions are never deleted'); END;
CREATE TRIGGER updates_frozen_insert BEFORE INSERT ON updates
WHEN (SELECT state FROM rounds WHERE run_id = NEW.run_id AND round = NEW.round) IN ('committed', 'abandoned')
BEGIN SELECT RAISE(ABORT, 'the round is closed: its rows are frozen'); END;
CREATE TRIGGER updates_frozen_update BEFORE UPDATE ON updates
BEGIN SELECT RAISE(ABORT, 'updates are never changed'); END;
CREATE TRIGGER updates_frozen_delete BEFORE DELETE ON updates
BEGIN SELECT RAISE(ABORT, 'updates are never deleted'); END;
CREATE TRIGGER records_frozen_update BEFORE UPDATE ON records
BEGIN SELECT RAISE(ABORT, 'records are never changed'); END;
CREATE TRIGGER records_frozen_delete BEFORE DELETE ON records
BEGIN SELECT RAISE(ABORT, 'records are never deleted'); END;
CREATE TRIGGER audit_frozen_update BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit is never changed'); END;
CREATE TRIGGER audit_frozen_delete BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit is never deleted'); END;
)sql";

// A run's genesis record has the digest of its authority's certificate; here is the certificate itself, so that a
// history can be checked without any other file. A coordinator stores its own when it starts.
const std::string_view kAuthoritiesSchema = R"sql(
CREATE TABLE authorities (                    -- what runs.ca_certificate_sha256 names
  sha256 TEXT NOT NULL PRIMARY KEY CHECK (length(sha256) = 64),  -- of the DER
  pem TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER authorities_frozen_update BEFORE UPDATE ON authorities
BEGIN SELECT RAISE(ABORT, 'authorities are never changed'); END;
CREATE TRIGGER authorities_frozen_delete BEFORE DELETE ON authorities
BEGIN SELECT RAISE(ABORT, 'authorities are never deleted'); END;
)sql";

// The audit becomes a chain, and each round that is closed from now on names its newest row (bodies of version 2). The
// digests of the rows that are there are made by ChainAudit, then kAuditFrozenSchema closes the table again.
const std::string_view kAuditChainSchema = R"sql(
DROP TRIGGER audit_frozen_update;
ALTER TABLE audit ADD COLUMN certificate_sha256 TEXT NOT NULL DEFAULT '';  -- the actor's, where it has one
ALTER TABLE audit ADD COLUMN previous_sha256 TEXT NOT NULL DEFAULT '';     -- entry_sha256 of the row before
ALTER TABLE audit ADD COLUMN entry_sha256 TEXT NOT NULL DEFAULT '';        -- of this row: common/history/audit_chain.h
ALTER TABLE rounds ADD COLUMN audit_sha256 TEXT NOT NULL DEFAULT '';       -- newest row of the audit when it was closed
-- Beside that: who may still come to the enrolment port is asked twice a second, among thousands who have come.
CREATE INDEX invitations_by_certificate ON invitations (used_certificate_sha256);
CREATE INDEX certificates_unused ON certificates (not_after_unix_ms) WHERE first_used_unix_ms = 0;
)sql";

const std::string_view kAuditFrozenSchema = R"sql(
CREATE UNIQUE INDEX audit_by_digest ON audit (entry_sha256);
CREATE INDEX audit_run_ends ON audit (subject, sequence) WHERE action = 'run.end';
CREATE TRIGGER audit_frozen_update BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit is never changed'); END;
CREATE TRIGGER audit_chained_insert BEFORE INSERT ON audit
WHEN NEW.previous_sha256 IS NOT (SELECT entry_sha256 FROM audit ORDER BY sequence DESC LIMIT 1)
  AND EXISTS (SELECT 1 FROM audit)
BEGIN SELECT RAISE(ABORT, 'a row of the audit follows the newest one'); END;
)sql";

// One authority takes over from another: what links them, when, and who has followed.
const std::string_view kRotationSchema = R"sql(
CREATE TABLE authority_links (                -- cross certificates: the word of one authority for the key of another
  sha256 TEXT NOT NULL PRIMARY KEY CHECK (length(sha256) = 64),  -- of the DER
  authority_sha256 TEXT NOT NULL REFERENCES authorities (sha256), -- whose name and key it carries
  by_sha256 TEXT NOT NULL REFERENCES authorities (sha256),        -- whose signature
  pem TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER authority_links_frozen_update BEFORE UPDATE ON authority_links
BEGIN SELECT RAISE(ABORT, 'links between authorities are never changed'); END;
CREATE TRIGGER authority_links_frozen_delete BEFORE DELETE ON authority_links
BEGIN SELECT RAISE(ABORT, 'links between authorities are never deleted'); END;

CREATE TABLE authority_states (               -- when the coordinator took in each step; each is taken once
  authority_sha256 TEXT NOT NULL REFERENCES authorities (sha256),
  state TEXT NOT NULL CHECK (state IN ('staged', 'active', 'retiring', 'retired')),
  since_unix_ms INTEGER NOT NULL,
  PRIMARY KEY (authority_sha256, state)
) STRICT, WITHOUT ROWID;

CREATE TABLE trusted_authorities (            -- what each client and operator said last that it trusts
  client_id TEXT REFERENCES clients (id),     -- one of these two is set
  operator_id TEXT REFERENCES operators (id),
  authority_sha256 TEXT NOT NULL,             -- as it said: perhaps none of ours
  confirmed_unix_ms INTEGER NOT NULL,
  CHECK ((client_id IS NULL) <> (operator_id IS NULL))
) STRICT;
CREATE UNIQUE INDEX trusted_authorities_by_client ON trusted_authorities (client_id, authority_sha256);
CREATE UNIQUE INDEX trusted_authorities_by_operator ON trusted_authorities (operator_id, authority_sha256);
)sql";

}  // namespace tributary::ledger
