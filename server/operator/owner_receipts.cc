#include "server/operator/owner_receipts.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/error_report.h"
#include "common/base/files.h"
#include "common/crypto/certificate.h"
#include "common/crypto/credential_directory.h"
#include "common/storage/database.h"

namespace tributary::op {
namespace {

using storage::Database;
using storage::Row;

constexpr uint64_t kMaxJsonBytes = uint64_t{256} << 20;
constexpr size_t kMaxReceiptBytes = 16 * 1024;  // the largest has under two thousand

absl::Status AddReceipt(const std::string& bytes, OwnerReceipts* out) {
  v1::Receipt receipt;
  if (bytes.size() > kMaxReceiptBytes || !receipt.ParseFromString(bytes))
    return absl::InvalidArgumentError(absl::StrCat("receipt ", out->receipts.size() + 1, " cannot be read"));
  out->receipts.push_back(std::move(receipt));
  return absl::OkStatus();
}

// The schema of client.db is a public interface: docs/reference/database.md.
absl::Status ReadLedger(Database& database, OwnerReceipts* out) {
  TRB_RETURN_IF_ERROR(
      database.Query("SELECT receipt FROM sent WHERE kind = 'delta' AND receipt IS NOT NULL AND length(receipt) > 0 "
                     "ORDER BY sequence",
                     {}, [&](const Row& row) { return AddReceipt(row.Text(0), out); }));
  return database.Query(
      "SELECT run_id, genesis_sha256, receipt_certificate_pem, round, previous_record_sha256 FROM runs", {},
      [&](const Row& row) {
        out->runs.push_back({row.Text(0), row.Text(1), row.Text(2), row.Uint(3), row.Text(4)});
        return absl::OkStatus();
      });
}

absl::StatusOr<OwnerReceipts> FromDirectory(const std::string& directory) {
  OwnerReceipts out;
  TRB_ASSIGN_OR_RETURN(const auto database, Database::Open(absl::StrCat(directory, "/client.db"), /*read_only=*/true));
  TRB_RETURN_IF_ERROR(ReadLedger(*database, &out));
  const crypto::CredentialDirectory credentials(absl::StrCat(directory, "/pki"));
  TRB_ASSIGN_OR_RETURN(const crypto::TrustList trust, credentials.LoadTrust());
  for (const auto* list : {&trust.trusted(), &trust.past()})
    for (const crypto::Certificate& authority : *list) out.authorities.insert(authority.sha256());
  return out;
}

absl::Status NotAList(const std::string& path) {
  return WithFix(absl::InvalidArgumentError(absl::StrCat(path, ": is not what `uploads -o json` prints")),
                 "name the client's directory, or write the list anew: tributary-client uploads --dir DIR -o json");
}

absl::StatusOr<OwnerReceipts> FromJson(const std::string& path) {
  TRB_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxJsonBytes));
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("uploads") || !json["uploads"].is_array()) return NotAList(path);
  OwnerReceipts out;
  for (const auto& upload : json["uploads"]) {
    if (!upload.is_object() || !upload.contains("kind")) return NotAList(path);
    // The metrics that were sent with an update carry its receipt too: each counts once.
    if (upload["kind"] != "delta" || !upload.contains("receipt")) continue;
    const auto& receipt = upload["receipt"];
    // Lists that older programs wrote have no whole receipts.
    if (!receipt.is_object() || !receipt.contains("message") || !receipt["message"].is_string()) return NotAList(path);
    const auto bytes = HexDecode(receipt["message"].get<std::string>());
    if (!bytes) return NotAList(path);
    TRB_RETURN_IF_ERROR(Annotate(AddReceipt(*bytes, &out), path));
  }
  return out;
}

}  // namespace

absl::StatusOr<OwnerReceipts> LoadOwnerReceipts(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_directory(path, error) ? FromDirectory(path) : FromJson(path);
}

}  // namespace tributary::op
