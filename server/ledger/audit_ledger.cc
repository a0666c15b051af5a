#include "server/ledger/audit_ledger.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/history/audit_chain.h"
#include "common/history/record_body.h"
#include "server/ledger/history_schema.h"

namespace tributary::ledger {
namespace {

using storage::Args;
using storage::Database;
using storage::Row;

constexpr uint64_t kPage = 1000;

v1::AuditEntry ReadEntry(const Row& row) {
  v1::AuditEntry entry;
  entry.set_sequence(row.Uint(0));
  entry.set_time_unix_ms(row.Int(1));
  entry.set_actor(row.Text(2));
  entry.set_action(row.Text(3));
  entry.set_subject(row.Text(4));
  entry.set_outcome(row.Text(5));
  entry.set_certificate_sha256(row.Text(6));
  entry.set_previous_sha256(row.Text(7));
  entry.set_entry_sha256(row.Text(8));
  return entry;
}

absl::StatusOr<std::vector<v1::AuditEntry>> ReadPage(Database& database, uint64_t after) {
  std::vector<v1::AuditEntry> page;
  TRB_RETURN_IF_ERROR(SelectAudit(database, "WHERE sequence > ?1 ORDER BY sequence LIMIT ?2", {after, kPage},
                                  [&](v1::AuditEntry entry) {
                                    page.push_back(std::move(entry));
                                    return absl::OkStatus();
                                  }));
  return page;
}

// The number of the next row, of which one that was cut off at the end is not reused: the hole can be seen for good.
absl::StatusOr<uint64_t> NextSequence(Database& database) {
  TRB_ASSIGN_OR_RETURN(const int64_t last,
                       database.QueryInt("SELECT max(ifnull((SELECT max(sequence) FROM audit), 0), "
                                         "ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'audit'), 0))"));
  return static_cast<uint64_t>(last) + 1;
}

}  // namespace

absl::Status SelectAudit(Database& database, std::string_view rest, const Args& args,
                         const std::function<absl::Status(v1::AuditEntry)>& each) {
  return database.Query(absl::StrCat("SELECT sequence, time_unix_ms, actor, action, subject, outcome, "
                                     "certificate_sha256, previous_sha256, entry_sha256 FROM audit ",
                                     std::string(rest)),
                        args, [&](const Row& row) { return each(ReadEntry(row)); });
}

absl::Status ForEachAudit(Database& database, uint64_t after,
                          const std::function<absl::Status(const v1::AuditEntry&)>& each) {
  for (;;) {
    TRB_ASSIGN_OR_RETURN(const std::vector<v1::AuditEntry> page, ReadPage(database, after));
    if (page.empty()) return absl::OkStatus();
    for (const v1::AuditEntry& entry : page) TRB_RETURN_IF_ERROR(each(entry));
    after = page.back().sequence();
  }
}

absl::StatusOr<std::string> AuditHead(Database& database) {
  std::string head;
  TRB_RETURN_IF_ERROR(database
                          .QueryOne("SELECT entry_sha256 FROM audit ORDER BY sequence DESC LIMIT 1", {},
                                    [&](const Row& row) { head = row.Text(0); })
                          .status());
  return head;
}

absl::Status ChainAudit(Database& database) {
  std::string previous(history::kNoRecord);
  const absl::Status chained = ForEachAudit(database, 0, [&](v1::AuditEntry entry) {
    entry.set_previous_sha256(previous);
    previous = history::AuditDigest(entry);
    return database.Run("UPDATE audit SET previous_sha256 = ?2, entry_sha256 = ?3 WHERE sequence = ?1",
                        {entry.sequence(), entry.previous_sha256(), previous});
  });
  TRB_RETURN_IF_ERROR(chained);
  return database.RunScript(kAuditFrozenSchema);
}

absl::Status AppendAudit(Database& database, const v1::AuditEntry& what) {
  v1::AuditEntry entry = what;
  TRB_ASSIGN_OR_RETURN(const uint64_t sequence, NextSequence(database));
  TRB_ASSIGN_OR_RETURN(const std::string head, AuditHead(database));
  entry.set_sequence(sequence);
  entry.set_previous_sha256(head.empty() ? std::string(history::kNoRecord) : head);
  return database.Run(
      "INSERT INTO audit (sequence, time_unix_ms, actor, action, subject, outcome, certificate_sha256, "
      "previous_sha256, entry_sha256) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
      {entry.sequence(), entry.time_unix_ms(), entry.actor(), entry.action(), entry.subject(), entry.outcome(),
       entry.certificate_sha256(), entry.previous_sha256(), history::AuditDigest(entry)});
}

}  // namespace tributary::ledger
