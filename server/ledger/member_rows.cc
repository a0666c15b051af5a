#include "server/ledger/member_rows.h"

#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tributary::ledger {
namespace {

using identity::Member;
using identity::Role;
using storage::Database;
using storage::Row;
using storage::Transaction;

const char* TableOf(Role role) { return role == Role::kClient ? "clients" : "operators"; }
const char* ColumnOf(Role role) { return role == Role::kClient ? "client_id" : "operator_id"; }

// A column of all rows of a table that `condition` picks, by the client or operator that they belong to. Only words of
// ours are ever put into the SQL.
using ByOwner = std::map<std::string, std::vector<std::string>>;
absl::StatusOr<ByOwner> Gather(Database& database, Role role, const char* wanted, const char* table,
                               const char* condition) {
  const char* const column = ColumnOf(role);
  ByOwner out;
  TRB_RETURN_IF_ERROR(database.Query(absl::StrCat("SELECT ", column, ", ", wanted, " FROM ", table, " WHERE ", column,
                                                  " IS NOT NULL AND ", condition, " ORDER BY rowid"),
                                     {}, [&out](const Row& row) {
                                       out[row.Text(0)].push_back(row.Text(1));
                                       return absl::OkStatus();
                                     }));
  return out;
}

}  // namespace

absl::Status ReplaceTrust(Database& database, const MemberKey& member, const std::vector<std::string>& authorities,
                          int64_t now_unix_ms) {
  const char* const column = ColumnOf(member.role);
  const std::set<std::string> now(authorities.begin(), authorities.end());
  std::set<std::string> before;
  TRB_RETURN_IF_ERROR(
      database.Query(absl::StrCat("SELECT authority_sha256 FROM trusted_authorities WHERE ", column, " = ?1"),
                     {member.id}, [&before](const Row& row) {
                       before.insert(row.Text(0));
                       return absl::OkStatus();
                     }));
  if (before == now) return absl::OkStatus();  // it is said at every hello
  TRB_RETURN_IF_ERROR(
      database.Run(absl::StrCat("DELETE FROM trusted_authorities WHERE ", column, " = ?1"), {member.id}));
  for (const std::string& sha256 : now)
    TRB_RETURN_IF_ERROR(database.Run(absl::StrCat("INSERT INTO trusted_authorities (", column,
                                                  ", authority_sha256, confirmed_unix_ms) VALUES (?1, ?2, ?3)"),
                                     {member.id, sha256, now_unix_ms}));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Member>> ReadMembers(Database& database) {
  TRB_ASSIGN_OR_RETURN(const auto view, Transaction::Begin(database, Transaction::Kind::kRead));
  std::vector<Member> out;
  for (const Role role : {Role::kClient, Role::kOperator}) {
    TRB_ASSIGN_OR_RETURN(ByOwner trusts, Gather(database, role, "authority_sha256", "trusted_authorities", "1"));
    TRB_ASSIGN_OR_RETURN(ByOwner pems, Gather(database, role, "pem", "certificates", "state = 'active'"));
    TRB_RETURN_IF_ERROR(
        database.Query(absl::StrCat("SELECT id, name FROM ", TableOf(role), " WHERE state = 'active' ORDER BY name"),
                       {}, [&](const Row& row) {
                         const std::string id = row.Text(0);
                         out.push_back({role, id, row.Text(1), std::move(trusts[id]), std::move(pems[id])});
                         return absl::OkStatus();
                       }));
  }
  return out;
}

absl::StatusOr<std::vector<std::string>> ReadInvitedBefore(Database& database, int64_t unix_ms, int64_t now_unix_ms) {
  std::vector<std::string> names;
  TRB_RETURN_IF_ERROR(database.Query(
      "SELECT coalesce(c.name, o.name) FROM invitations i LEFT JOIN clients c ON c.id = i.client_id "
      "LEFT JOIN operators o ON o.id = i.operator_id WHERE i.used_certificate_sha256 IS NULL AND i.voided = 0 AND "
      "i.created_unix_ms < ?1 AND i.expires_unix_ms > ?2 ORDER BY 1",
      {unix_ms, now_unix_ms}, [&](const Row& row) {
        names.push_back(row.Text(0));
        return absl::OkStatus();
      }));
  return names;
}

}  // namespace tributary::ledger
