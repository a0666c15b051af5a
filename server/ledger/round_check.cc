#include "server/ledger/round_check.h"

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/crypto/certificate.h"
#include "common/crypto/digest.h"
#include "common/update/signed_record.h"
#include "server/ledger/best_round.h"
#include "server/ledger/certificate_check.h"
#include "server/ledger/contribution_check.h"
#include "server/ledger/ledger_rows.h"

namespace tributary::ledger {
namespace {

using storage::Database;
using storage::Row;

constexpr const char* kNothing = "";

absl::StatusOr<std::vector<StoredUpdate>> ReadUpdates(Database& database, const std::string& run, uint64_t round) {
  std::vector<StoredUpdate> updates;
  TRB_RETURN_IF_ERROR(database.Query(
      "SELECT u.task_id, u.client_id, u.certificate_sha256, u.update_sha256, u.record, u.signature, u.metrics, "
      "u.receipt, ifnull(c.pem, ''), ifnull(c.client_id, ''), ifnull(k.validation_examples, 0) FROM updates u "
      "LEFT JOIN certificates c ON c.sha256 = u.certificate_sha256 "
      "LEFT JOIN contributions k ON k.task_id = u.task_id "
      "WHERE u.run_id = ?1 AND u.round = ?2 ORDER BY u.client_id",
      {run, round}, [&](const Row& row) {
        updates.push_back({row.Text(0), row.Text(1), row.Text(2), row.Text(3), row.Text(4), row.Text(5), row.Text(6),
                           row.Text(7), row.Text(8), row.Text(9), row.Uint(10)});
        return absl::OkStatus();
      }));
  return updates;
}

// NOT_FOUND becomes nothing: what is gone is a finding, not an error.
template <class T>
absl::StatusOr<std::optional<T>> Maybe(absl::StatusOr<T> value) {
  if (absl::IsNotFound(value.status())) return std::optional<T>();
  if (!value.ok()) return value.status();
  return std::optional<T>(std::move(*value));
}

Finding CheckRecord(const RoundFacts& facts, const ChainState& chain) {
  if (facts.body.empty()) return "its rows are gone";
  const Record& record = *facts.record;
  if (crypto::Sha256Hex(record.body) != record.body_sha256)
    return "the body of its record and the body's digest do not belong together";
  if (record.body != facts.body)
    return absl::StrCat("its rows are not as they were recorded: ", DescribeDifference(record.body, facts.body));
  if (record.previous_record_sha256 != chain.head) return "its record does not follow the record before it";
  const std::string preimage = RecordPreimage(record.previous_record_sha256, record.body_sha256);
  if (crypto::Sha256Hex(preimage) != record.record_sha256) return "the digest of its record is wrong";
  if (!chain.receipts->public_key().Verify(preimage, record.signature))
    return "its record is not signed by the run's receipt key";
  return kNothing;
}

Finding CheckModels(const rounds::RoundRow& row, const ChainState& chain) {
  if (!IsClosed(row.round.state())) return absl::StrCat("it has a record although it is ", row.round.state());
  if (row.previous_record_sha256 != chain.head) return "it did not begin from the record before it";
  if (row.round.base_model_sha256() != chain.model) return "it did not begin from the model before it";
  if (row.round.state() == "abandoned" && row.round.model_sha256() != chain.model)
    return "it was abandoned and yet changed the model";
  return kNothing;
}

Finding CheckSums(const RoundFacts& facts) {
  uint64_t weights = 0, accepted = 0, up = 0, down = 0;
  for (const v1::Contribution& contribution : facts.contributions) {
    if (IsOpen(contribution.state()))
      return absl::StrCat("client ", EscapeForLog(contribution.client_id(), 64), " is still open in it");
    up += contribution.bytes_up();
    down += contribution.bytes_down();
    if (contribution.state() != "accepted") continue;
    weights += contribution.weight();
    ++accepted;
  }
  const v1::Round& round = facts.row.round;
  if (round.invited() != facts.contributions.size()) return "it does not count the clients that were invited";
  if (round.accepted() != accepted || facts.updates.size() != accepted)
    return "it does not count the updates that were accepted";
  if (round.examples() != weights) return "its examples are not the sum of the accepted weights";
  if (round.bytes_up() != up || round.bytes_down() != down) return "its bytes are not the sum of its clients' bytes";
  return kNothing;
}

const v1::Contribution* FindContribution(const RoundFacts& facts, const std::string& client_id) {
  for (const v1::Contribution& contribution : facts.contributions) {
    if (contribution.client_id() == client_id) return &contribution;
  }
  return nullptr;
}

// One accepted update with everything that it is checked against.
struct Accepted {
  const RoundFacts& facts;
  const StoredUpdate& update;
  const v1::Contribution& row;
  const v1::UpdateRecord& record;
  const ChainState& chain;
};

Finding CheckTerms(const Accepted& a) {
  const auto& [facts, update, row, record, chain] = a;
  const bool fits = record.federation() == chain.federation && record.run_id() == chain.run &&
                    record.round() == facts.number && record.task_id() == update.task_id &&
                    record.task_id() == row.task_id() && record.client_id() == update.client_id &&
                    record.certificate_sha256() == update.certificate_sha256 &&
                    record.base_model_sha256() == facts.row.round.base_model_sha256() &&
                    record.plan_sha256() == chain.plan_sha256 && record.update_sha256() == update.update_sha256 &&
                    record.update_sha256() == row.update_sha256() && record.examples() == row.examples();
  if (!fits) return absl::StrCat("the signed record", OfClient(update), " says other things than the ledger");
  if (crypto::Sha256Hex(update.metrics) != record.metrics_sha256())
    return absl::StrCat("the metrics", OfClient(update), " are not those that were signed");
  return kNothing;
}

Finding CheckClientSignature(const Accepted& a) {
  const StoredUpdate& update = a.update;
  if (update.certificate_pem.empty() || update.certificate_client_id != update.client_id)
    return absl::StrCat("the certificate", OfClient(update), " is not in the ledger");
  const auto certificate = crypto::Certificate::FromPem(update.certificate_pem);
  if (!certificate.ok() || certificate->sha256() != update.certificate_sha256)
    return absl::StrCat("the certificate", OfClient(update), " does not fit its digest");
  const std::string uri = absl::StrCat("spiffe://", a.chain.federation, "/client/", update.client_id);
  const std::string fault =
      FaultOf(*certificate, *a.chain.authority, {crypto::CertificateUse::kPeer, uri, a.row.accepted_unix_ms()});
  if (!fault.empty()) return absl::StrCat("the certificate", OfClient(update), " ", fault);
  if (!certificate->public_key().Verify(update::CanonicalBytes(a.record), update.signature))
    return absl::StrCat("the update", OfClient(update), " is not signed by its client");
  return kNothing;
}

Finding CheckReceipt(const Accepted& a) {
  const StoredUpdate& update = a.update;
  v1::Receipt receipt;
  if (!receipt.ParseFromString(update.receipt)) return absl::StrCat("the receipt", OfClient(update), " cannot be read");
  if (update::CanonicalBytes(receipt.record()) != update::CanonicalBytes(a.record))
    return absl::StrCat("the receipt", OfClient(update), " is for another update");
  if (receipt.previous_record_sha256() != a.chain.head)
    return absl::StrCat("the receipt", OfClient(update), " names another history");
  if (receipt.accepted_unix_ms() != a.row.accepted_unix_ms())
    return absl::StrCat("accepted_unix_ms", OfClient(update), " is not what its receipt says");
  if (!a.chain.receipts->public_key().Verify(update::CanonicalBytes(receipt), receipt.signature()))
    return absl::StrCat("the receipt", OfClient(update), " is not signed by the run's receipt key");
  return kNothing;
}

Finding CheckUpdate(const RoundFacts& facts, const StoredUpdate& update, const ChainState& chain) {
  v1::UpdateRecord record;
  if (!record.ParseFromString(update.record))
    return absl::StrCat("the signed record", OfClient(update), " cannot be read");
  const v1::Contribution* row = FindContribution(facts, update.client_id);
  if (row == nullptr || row->state() != "accepted")
    return absl::StrCat("there is an update", OfClient(update), ", which was not accepted");
  const Accepted accepted{facts, update, *row, record, chain};
  TRB_RETURN_IF_FOUND(CheckTerms(accepted));
  TRB_RETURN_IF_FOUND(CheckReceipt(accepted));
  TRB_RETURN_IF_FOUND(CheckClientSignature(accepted));
  return CheckFigures(*row, update, record, chain.max_weight);
}

void MoveOn(const RoundFacts& facts, ChainState* chain) {
  chain->head = facts.record->record_sha256;
  if (facts.number == 0) return;
  const v1::Round& round = facts.row.round;
  if (round.state() == "abandoned") {
    ++chain->abandoned_in_a_row;
    return;
  }
  ++chain->rounds_done;
  chain->abandoned_in_a_row = 0;
  chain->model = round.model_sha256();
  if (!chain->best || IsBetterRound(round, *chain->best)) chain->best = round;
}

}  // namespace

std::string OfClient(const StoredUpdate& update) {
  return absl::StrCat(" of client ", EscapeForLog(update.client_id, 64));
}

absl::StatusOr<RoundFacts> ReadRoundFacts(Database& database, const std::string& run, uint64_t number) {
  RoundFacts facts;
  facts.number = number;
  TRB_ASSIGN_OR_RETURN(facts.record, Maybe(ReadRecord(database, run, number)));
  if (!facts.record) return facts;
  TRB_ASSIGN_OR_RETURN(auto body, Maybe(BuildBody(database, run, number)));
  if (!body) return facts;
  facts.body = std::move(*body);
  if (number == 0) return facts;
  TRB_ASSIGN_OR_RETURN(facts.row, SelectRound(database, run, number));
  TRB_ASSIGN_OR_RETURN(
      facts.contributions,
      SelectContributions(database, "WHERE run_id = ?1 AND round = ?2 ORDER BY client_id", {run, number}));
  TRB_ASSIGN_OR_RETURN(facts.updates, ReadUpdates(database, run, number));
  return facts;
}

Finding CheckRound(const RoundFacts& facts, ChainState* chain) {
  if (!facts.record) return "its record is gone";
  TRB_RETURN_IF_FOUND(CheckRecord(facts, *chain));
  if (facts.number > 0) {
    TRB_RETURN_IF_FOUND(CheckModels(facts.row, *chain));
    TRB_RETURN_IF_FOUND(CheckSums(facts));
    for (const StoredUpdate& update : facts.updates) TRB_RETURN_IF_FOUND(CheckUpdate(facts, update, *chain));
  }
  MoveOn(facts, chain);
  return kNothing;
}

}  // namespace tributary::ledger
