#include "server/ledger/proof_export.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "server/ledger/authority_ledger.h"
#include "server/ledger/history.h"

namespace tributary::ledger {
namespace {

using crypto::Certificate;
using storage::Database;
using storage::Row;
using storage::Transaction;

absl::StatusOr<Certificate> ReadAuthority(Database& database, const std::string& run) {
  std::string pem;
  TRB_ASSIGN_OR_RETURN(
      const bool found,
      database.QueryOne("SELECT a.pem FROM runs r LEFT JOIN authorities a ON a.sha256 = r.ca_certificate_sha256 "
                        "WHERE r.id = ?1",
                        {run}, [&](const Row& row) { pem = row.Text(0); }));
  if (!found) return absl::NotFoundError(absl::StrCat("no run ", EscapeForLog(run, 80)));
  if (pem.empty()) return absl::FailedPreconditionError("the certificate of the run's authority is not in the ledger");
  auto authority = Certificate::FromPem(pem);
  if (authority.ok()) return authority;
  return absl::DataLossError("the certificate of the run's authority cannot be read");
}

}  // namespace

absl::StatusOr<std::unique_ptr<ProofExport>> ProofExport::Open(Database* database, const std::string& run) {
  TRB_ASSIGN_OR_RETURN(const auto view, Transaction::Begin(*database, Transaction::Kind::kRead));
  TRB_ASSIGN_OR_RETURN(const Certificate authority, ReadAuthority(*database, run));
  TRB_ASSIGN_OR_RETURN(const int64_t last,
                       database->QueryInt("SELECT ifnull(max(round), 0) FROM records WHERE run_id = ?1", {run}));
  std::unique_ptr<ProofExport> out(new ProofExport(database, run, static_cast<uint64_t>(last)));
  out->begin_ = out->writer_.Begin(authority);
  TRB_ASSIGN_OR_RETURN(const auto links, ReadAuthorityLinks(*database));
  for (const history::AuthorityLink& link : history::Leading(authority, links))
    out->begin_ += out->writer_.AddAuthority(link);
  return out;
}

absl::StatusOr<std::string> ProofExport::Next() {
  if (!begin_.empty()) return std::exchange(begin_, "");
  if (next_ <= last_) return RecordPiece(next_++);
  if (std::exchange(ended_, true)) return std::string();
  return writer_.End();
}

absl::StatusOr<std::string> ProofExport::RecordPiece(uint64_t round) {
  TRB_ASSIGN_OR_RETURN(const auto view, Transaction::Begin(database_, Transaction::Kind::kRead));
  auto record = ReadRecord(database_, run_, round);
  if (absl::IsNotFound(record.status())) return absl::DataLossError(record.status().message());
  TRB_RETURN_IF_ERROR(record.status());
  TRB_ASSIGN_OR_RETURN(std::string piece, NewCertificates(round));
  piece += writer_.AddRecord(round, *record);
  return piece;
}

// Those of the clients whose updates the round accepted, unless they went out before.
absl::StatusOr<std::string> ProofExport::NewCertificates(uint64_t round) {
  std::string piece;
  TRB_RETURN_IF_ERROR(database_.Query(
      "SELECT u.certificate_sha256, ifnull(c.pem, '') FROM updates u LEFT JOIN certificates c ON "
      "c.sha256 = u.certificate_sha256 WHERE u.run_id = ?1 AND u.round = ?2 ORDER BY u.client_id",
      {run_, round}, [&](const Row& row) -> absl::Status {
        if (!sent_.insert(row.Text(0)).second) return absl::OkStatus();
        const auto certificate = Certificate::FromPem(row.Text(1));
        if (!certificate.ok())
          return absl::DataLossError(absl::StrCat("a client's certificate of round ", round, " is gone or damaged"));
        piece += writer_.AddClient(*certificate);
        return absl::OkStatus();
      }));
  return piece;
}

}  // namespace tributary::ledger
