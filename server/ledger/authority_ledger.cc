#include "server/ledger/authority_ledger.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "server/ledger/audit_ledger.h"

namespace tributary::ledger {
namespace {

using State = crypto::AuthorityNews::State;
using crypto::Certificate;
using storage::Database;
using storage::Row;

const char* ActionOf(State state) {
  switch (state) {
    case State::kStaged:
      return "ca.stage";
    case State::kActive:
      return "ca.activate";
    case State::kRetiring:
      return "ca.retiring";
    case State::kRetired:
      return "ca.retire";
  }
  return "";
}

// A cross certificate of which the signer is not here says nothing to anybody.
absl::Status AddLinks(Database& database, const crypto::AuthorityNews& one,
                      const std::vector<crypto::AuthorityNews>& all) {
  for (const crypto::Certificate& cross : one.cross) {
    for (const crypto::AuthorityNews& by : all) {
      if (!crypto::CheckCross(cross, by.certificate, one.certificate).ok()) continue;
      TRB_RETURN_IF_ERROR(database.Run(
          "INSERT INTO authority_links (sha256, authority_sha256, by_sha256, pem) VALUES (?1, ?2, ?3, ?4) ON CONFLICT "
          "DO NOTHING",
          {cross.sha256(), one.certificate.sha256(), by.certificate.sha256(), cross.pem()}));
    }
  }
  return absl::OkStatus();
}

absl::Status AuditStep(Database& database, const AuthorityStep& step, int64_t now_unix_ms) {
  v1::AuditEntry entry;
  entry.set_time_unix_ms(now_unix_ms);
  entry.set_actor("coordinator");
  entry.set_action(ActionOf(step.state));
  entry.set_subject(step.sha256);
  entry.set_outcome("ok");
  return AppendAudit(database, entry);
}

}  // namespace

std::string_view AuthorityStateName(State state) {
  switch (state) {
    case State::kStaged:
      return "staged";
    case State::kActive:
      return "active";
    case State::kRetiring:
      return "retiring";
    case State::kRetired:
      return "retired";
  }
  return "";
}

absl::Status AddAuthority(Database& database, const crypto::Certificate& authority) {
  return database.Run("INSERT INTO authorities (sha256, pem) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                      {authority.sha256(), authority.pem()});
}

absl::StatusOr<std::vector<AuthorityStep>> RecordAuthorities(Database& database,
                                                             const std::vector<crypto::AuthorityNews>& all,
                                                             int64_t now_unix_ms) {
  TRB_ASSIGN_OR_RETURN(const int64_t known, database.QueryInt("SELECT EXISTS (SELECT 1 FROM authority_states)"));
  for (const crypto::AuthorityNews& one : all) TRB_RETURN_IF_ERROR(AddAuthority(database, one.certificate));
  std::vector<AuthorityStep> steps;
  for (const crypto::AuthorityNews& one : all) {
    TRB_RETURN_IF_ERROR(AddLinks(database, one, all));
    const AuthorityStep step{one.certificate.sha256(), one.state};
    TRB_ASSIGN_OR_RETURN(
        const int64_t added,
        database.Change("INSERT INTO authority_states (authority_sha256, state, since_unix_ms) VALUES (?1, ?2, ?3) ON "
                        "CONFLICT DO NOTHING",
                        {step.sha256, AuthorityStateName(one.state), now_unix_ms}));
    const bool beginning = known == 0 && one.state == State::kActive && all.size() == 1;
    if (added == 0 || beginning) continue;
    TRB_RETURN_IF_ERROR(AuditStep(database, step, now_unix_ms));
    steps.push_back(step);
  }
  return steps;
}

absl::StatusOr<std::vector<history::AuthorityLink>> ReadAuthorityLinks(Database& database) {
  std::vector<history::AuthorityLink> out;
  TRB_RETURN_IF_ERROR(database.Query(
      "SELECT a.pem, l.pem, l.sha256 FROM authority_links l JOIN authorities a ON a.sha256 = l.authority_sha256", {},
      [&](const Row& row) -> absl::Status {
        const auto authority = Certificate::FromPem(row.Text(0)), cross = Certificate::FromPem(row.Text(1));
        if (!authority.ok() || !cross.ok())
          return absl::DataLossError(absl::StrCat("the link between authorities ", row.Text(2), " cannot be read"));
        out.push_back({*authority, *cross});
        return absl::OkStatus();
      }));
  // SQLite sorts by digest; dates tell which way the federation went.
  std::stable_sort(out.begin(), out.end(),
                   [](const auto& a, const auto& b) { return a.authority.not_before() < b.authority.not_before(); });
  return out;
}

history::Finding FindBrokenLink(Database& database) {
  std::string fault;
  TRB_RETURN_IF_ERROR(database.Query(
      "SELECT l.sha256, l.authority_sha256, l.by_sha256, l.pem, ifnull(a.pem, ''), ifnull(b.pem, '') FROM "
      "authority_links l LEFT JOIN authorities a ON a.sha256 = l.authority_sha256 LEFT JOIN authorities b ON b.sha256 "
      "= "
      "l.by_sha256 ORDER BY l.sha256",
      {}, [&](const Row& row) {
        if (!fault.empty()) return absl::OkStatus();
        const auto cross = Certificate::FromPem(row.Text(3)), authority = Certificate::FromPem(row.Text(4)),
                   by = Certificate::FromPem(row.Text(5));
        const auto is = [&row](const absl::StatusOr<Certificate>& c, int name, int pem) {
          return c.ok() && c->sha256() == row.Text(name) && c->pem() == row.Text(pem);
        };
        const bool named = is(cross, 0, 3) && is(authority, 1, 4) && is(by, 2, 5);
        const absl::Status holds = named ? crypto::CheckCross(*cross, *by, *authority)
                                         : absl::DataLossError("a certificate of it does not fit its digest");
        if (!holds.ok())
          fault = absl::StrCat("the word of the authority ", EscapeForLog(row.Text(2), 64), " for the authority ",
                               EscapeForLog(row.Text(1), 64), " does not hold: ", std::string(holds.message()));
        return absl::OkStatus();
      }));
  return fault;
}

absl::StatusOr<std::map<std::pair<std::string, std::string>, int64_t>> ReadAuthoritySteps(Database& database) {
  std::map<std::pair<std::string, std::string>, int64_t> out;
  TRB_RETURN_IF_ERROR(
      database.Query("SELECT authority_sha256, state, since_unix_ms FROM authority_states", {}, [&](const Row& row) {
        out[{row.Text(0), row.Text(1)}] = row.Int(2);
        return absl::OkStatus();
      }));
  return out;
}

}  // namespace tributary::ledger
