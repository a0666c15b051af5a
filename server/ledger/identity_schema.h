// Migration 1 of the ledger, 0001_identity. Part of the documented schema (docs/reference/database.md).
#ifndef TRIBUTARY_SERVER_LEDGER_IDENTITY_SCHEMA_H_
#define TRIBUTARY_SERVER_LEDGER_IDENTITY_SCHEMA_H_

#include <string_view>

namespace tributary::ledger {

inline constexpr std::string_view kIdentityMigrationSql = R"sql(
-- Data holders. Rows are never deleted; an id and its name belong together for good.
CREATE TABLE clients (
  id TEXT NOT NULL PRIMARY KEY,               -- 16 hexadecimal characters
  name TEXT NOT NULL UNIQUE,
  state TEXT NOT NULL CHECK (state IN ('invited', 'active', 'revoked')),
  created_unix_ms INTEGER NOT NULL,
  revoked_unix_ms INTEGER NOT NULL DEFAULT 0, -- 0 unless revoked
  last_seen_unix_ms INTEGER NOT NULL DEFAULT 0,
  version TEXT NOT NULL DEFAULT '',           -- from here on: as the last hello said
  engine TEXT NOT NULL DEFAULT '',
  examples INTEGER NOT NULL DEFAULT 0,
  dataset_facts BLOB NOT NULL DEFAULT x''     -- serialised tributary.v1.DatasetFacts: examples, shape, classes
) STRICT;

CREATE TABLE client_labels (
  client_id TEXT NOT NULL REFERENCES clients (id),
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (client_id, key)
) STRICT;

CREATE TABLE operators (
  id TEXT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  state TEXT NOT NULL CHECK (state IN ('invited', 'active', 'revoked')),
  created_unix_ms INTEGER NOT NULL,
  revoked_unix_ms INTEGER NOT NULL DEFAULT 0,
  last_seen_unix_ms INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Every certificate ever issued to a client or an operator, kept for good.
CREATE TABLE certificates (
  sha256 TEXT NOT NULL PRIMARY KEY,            -- of the DER
  serial TEXT NOT NULL UNIQUE,
  client_id TEXT REFERENCES clients (id),      -- one of these two is set
  operator_id TEXT REFERENCES operators (id),
  pem TEXT NOT NULL,
  request_sha256 TEXT NOT NULL,                -- of the request (DER) that it answers; '' when made without one
  not_before_unix_ms INTEGER NOT NULL,
  not_after_unix_ms INTEGER NOT NULL,
  issued_unix_ms INTEGER NOT NULL,
  first_used_unix_ms INTEGER NOT NULL DEFAULT 0,
  state TEXT NOT NULL CHECK (state IN ('active', 'superseded', 'revoked')),
  CHECK ((client_id IS NULL) <> (operator_id IS NULL))
) STRICT;
CREATE INDEX certificates_by_client ON certificates (client_id);
CREATE INDEX certificates_by_operator ON certificates (operator_id);

CREATE TABLE invitations (
  token_id TEXT NOT NULL PRIMARY KEY,
  secret_sha256 TEXT NOT NULL,                 -- the secret itself is never stored
  client_id TEXT REFERENCES clients (id),      -- one of these two is set
  operator_id TEXT REFERENCES operators (id),
  created_unix_ms INTEGER NOT NULL,
  expires_unix_ms INTEGER NOT NULL,
  used_request_sha256 TEXT NOT NULL DEFAULT '',
  used_certificate_sha256 TEXT REFERENCES certificates (sha256),  -- NULL until used
  voided INTEGER NOT NULL DEFAULT 0,           -- 1: replaced by a newer one, or revoked
  CHECK ((client_id IS NULL) <> (operator_id IS NULL))
) STRICT;
CREATE INDEX invitations_by_client ON invitations (client_id);
CREATE INDEX invitations_by_operator ON invitations (operator_id);
)sql";

}  // namespace tributary::ledger

#endif  // TRIBUTARY_SERVER_LEDGER_IDENTITY_SCHEMA_H_
