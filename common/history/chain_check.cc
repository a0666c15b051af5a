#include "common/history/chain_check.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/crypto/digest.h"
#include "common/history/best_round.h"
#include "common/history/certificate_check.h"
#include "common/history/contribution_check.h"
#include "common/history/round_means.h"
#include "common/update/signed_record.h"
#include "tributary/v1/plan.pb.h"

namespace tributary::history {
namespace {

bool IsOpen(std::string_view contribution_state) {
  return contribution_state == "invited" || contribution_state == "accepted_task";
}

// By halves: they are in the order of their ids, and a proof may name hundreds of thousands.
const ContributionRow* FindContribution(const RecordRows& rows, const std::string& client_id) {
  const auto at =
      std::lower_bound(rows.contributions.begin(), rows.contributions.end(), client_id,
                       [](const ContributionRow& row, const std::string& id) { return row.client_id < id; });
  return at != rows.contributions.end() && at->client_id == client_id ? &*at : nullptr;
}

}  // namespace

// One accepted update with everything that it is checked against.
struct ChainCheck::Accepted {
  const RoundRow& round;
  const UpdateRow& update;
  const ContributionRow& row;
  const v1::UpdateRecord& record;
};

Finding ChainCheck::CheckNext(const Record& record, RecordRows* rows) {
  if (crypto::Sha256Hex(record.body) != record.body_sha256)
    return "the body of its record and the body's digest do not belong together";
  absl::StatusOr<RecordRows> read = ReadRows(record.body, genesis_.id, next_);
  if (!read.ok()) return absl::StrCat("the body of its record cannot be read: ", std::string(read.status().message()));
  *rows = *std::move(read);
  if (rows->genesis) TRB_RETURN_IF_FOUND(CheckGenesis(*rows->genesis));
  TRB_RETURN_IF_FOUND(CheckSealed(record));
  if (rows->round) {
    TRB_RETURN_IF_FOUND(CheckModels(*rows->round));
    TRB_RETURN_IF_FOUND(CheckSums(*rows));
    for (const UpdateRow& update : rows->updates) TRB_RETURN_IF_FOUND(CheckUpdate(*rows, update));
    TRB_RETURN_IF_FOUND(CheckMeans(*rows));  // last: the clients' figures are as they signed them
  }
  MoveOn(record, *rows);
  return kNothing;
}

// Who the run belongs to: the authority that it names, and the key that signs its records.
Finding ChainCheck::CheckGenesis(const GenesisRow& row) {
  if (crypto::Sha256Hex(row.plan) != row.plan_sha256) return "the plan does not fit its digest";
  v1::RunPlan plan;
  if (!plan.ParseFromString(row.plan)) return "the plan cannot be read";
  max_weight_ = plan.aggregate().max_weight();
  TRB_ASSIGN_OR_RETURN(const std::string pem, certificates_.authority(row.ca_certificate_sha256));
  if (pem.empty())
    return absl::StrCat("the certificate of the federation's authority is not in the ", certificates_.place);
  auto authority = crypto::Certificate::FromPem(pem);
  if (!authority.ok() || authority->sha256() != row.ca_certificate_sha256 || authority->pem() != pem)
    return "the certificate of the federation's authority does not fit its digest";
  auto receipts = crypto::Certificate::FromPem(row.receipt_certificate_pem);
  if (!receipts.ok()) return "the run's receipt certificate cannot be read";
  const std::string uri = absl::StrCat("spiffe://", row.federation, "/receipts");
  const std::string fault =
      FaultOf(*receipts, {*authority}, {crypto::CertificateUse::kReceipt, uri, row.created_unix_ms});
  if (!fault.empty()) return absl::StrCat("the run's receipt certificate ", fault);
  authority_ = *std::move(authority);
  kin_ = {*authority_};
  receipts_ = *std::move(receipts);
  return kNothing;
}

Finding ChainCheck::CheckSealed(const Record& record) const {
  if (record.previous_record_sha256 != head_) return "its record does not follow the record before it";
  const std::string preimage = RecordPreimage(record.previous_record_sha256, record.body_sha256);
  if (crypto::Sha256Hex(preimage) != record.record_sha256) return "the digest of its record is wrong";
  if (!receipts_->public_key().Verify(preimage, record.signature))
    return "its record is not signed by the run's receipt key";
  return kNothing;
}

Finding ChainCheck::CheckModels(const RoundRow& row) const {
  const std::string& state = row.round.state();
  if (state != "committed" && state != "abandoned")
    return absl::StrCat("it has a record although it is ", EscapeForLog(state, 40));
  if (row.previous_record_sha256 != head_) return "it did not begin from the record before it";
  if (row.round.base_model_sha256() != model_) return "it did not begin from the model before it";
  if (!IsHexDigest(row.round.model_sha256())) return "its model has no digest";
  if (state == "abandoned" && row.round.model_sha256() != model_) return "it was abandoned and yet changed the model";
  return kNothing;
}

Finding ChainCheck::CheckSums(const RecordRows& rows) const {
  uint64_t weights = 0, accepted = 0, up = 0, down = 0;
  for (const ContributionRow& contribution : rows.contributions) {
    if (IsOpen(contribution.state))
      return absl::StrCat("client ", EscapeForLog(contribution.client_id, 64), " is still open in it");
    up += contribution.bytes_up;
    down += contribution.bytes_down;
    if (contribution.state != "accepted") continue;
    weights += contribution.weight;
    ++accepted;
  }
  const v1::Round& round = rows.round->round;
  if (round.invited() != rows.contributions.size()) return "it does not count the clients that were invited";
  if (round.accepted() != accepted || rows.updates.size() != accepted)
    return "it does not count the updates that were accepted";
  if (round.examples() != weights) return "its examples are not the sum of the accepted weights";
  if (round.bytes_up() != up || round.bytes_down() != down) return "its bytes are not the sum of its clients' bytes";
  return kNothing;
}

Finding ChainCheck::CheckMeans(const RecordRows& rows) const {
  const v1::Round& round = rows.round->round;
  if (round.state() != "committed") return kNothing;
  std::vector<Reported> reported;
  for (const ContributionRow& c : rows.contributions) {
    if (c.state == "accepted")
      reported.push_back({c.client_name, c.weight, {c.train_loss, c.validation_loss, c.validation_accuracy}});
  }
  const RoundMeans means = MeansOf(std::move(reported));
  const std::pair<const char*, bool> figures[] = {
      {"train_loss", SameFigure(means.train_loss, round.has_train_loss(), round.train_loss())},
      {"validation_loss", SameFigure(means.validation_loss, round.has_validation_loss(), round.validation_loss())},
      {"validation_accuracy",
       SameFigure(means.validation_accuracy, round.has_validation_accuracy(), round.validation_accuracy())},
  };
  for (const auto& [name, fits] : figures) {
    if (!fits) return absl::StrCat("its ", name, " is not the weighted mean of what its clients reported");
  }
  return kNothing;
}

Finding ChainCheck::CheckUpdate(const RecordRows& rows, const UpdateRow& update) {
  v1::UpdateRecord record;
  if (!record.ParseFromString(update.record))
    return absl::StrCat("the signed record", OfClient(update), " cannot be read");
  const ContributionRow* row = FindContribution(rows, update.client_id);
  if (row == nullptr || row->state != "accepted")
    return absl::StrCat("there is an update", OfClient(update), ", which was not accepted");
  const Accepted accepted{*rows.round, update, *row, record};
  TRB_RETURN_IF_FOUND(CheckTerms(accepted));
  TRB_RETURN_IF_FOUND(CheckReceipt(accepted));
  TRB_RETURN_IF_FOUND(CheckClientSignature(accepted));
  return CheckFigures(*row, update, record, max_weight_);
}

Finding ChainCheck::CheckTerms(const Accepted& a) const {
  const auto& [round, update, row, record] = a;
  const bool fits = record.federation() == genesis_.federation && record.run_id() == genesis_.id &&
                    record.round() == next_ && record.task_id() == update.task_id && record.task_id() == row.task_id &&
                    record.client_id() == update.client_id &&
                    record.certificate_sha256() == update.certificate_sha256 &&
                    record.base_model_sha256() == round.round.base_model_sha256() &&
                    record.plan_sha256() == genesis_.plan_sha256 && record.update_sha256() == update.update_sha256 &&
                    record.update_sha256() == row.update_sha256 && record.examples() == row.examples;
  if (!fits) return absl::StrCat("the signed record", OfClient(update), " says other things than the ledger");
  if (crypto::Sha256Hex(update.metrics) != record.metrics_sha256())
    return absl::StrCat("the metrics", OfClient(update), " are not those that were signed");
  return kNothing;
}

Finding ChainCheck::CheckReceipt(const Accepted& a) const {
  const UpdateRow& update = a.update;
  v1::Receipt receipt;
  if (!receipt.ParseFromString(update.receipt)) return absl::StrCat("the receipt", OfClient(update), " cannot be read");
  if (update::CanonicalBytes(receipt.record()) != update::CanonicalBytes(a.record))
    return absl::StrCat("the receipt", OfClient(update), " is for another update");
  if (receipt.previous_record_sha256() != head_)
    return absl::StrCat("the receipt", OfClient(update), " names another history");
  if (receipt.accepted_unix_ms() != a.row.accepted_unix_ms)
    return absl::StrCat("accepted_unix_ms", OfClient(update), " is not what its receipt says");
  if (!receipts_->public_key().Verify(update::CanonicalBytes(receipt), receipt.signature()))
    return absl::StrCat("the receipt", OfClient(update), " is not signed by the run's receipt key");
  return kNothing;
}

Finding ChainCheck::CheckClientSignature(const Accepted& a) {
  const UpdateRow& update = a.update;
  TRB_ASSIGN_OR_RETURN(const std::string pem, certificates_.client(update.certificate_sha256, update.client_id));
  if (pem.empty()) return absl::StrCat("the certificate", OfClient(update), " is not in the ", certificates_.place);
  const auto certificate = crypto::Certificate::FromPem(pem);
  if (!certificate.ok() || certificate->sha256() != update.certificate_sha256 || certificate->pem() != pem)
    return absl::StrCat("the certificate", OfClient(update), " does not fit its digest");
  const std::string uri = absl::StrCat("spiffe://", genesis_.federation, "/client/", update.client_id);
  const CertificateDuty duty{crypto::CertificateUse::kPeer, uri, a.row.accepted_unix_ms};
  std::string fault = FaultOf(*certificate, kin_, duty);
  if (!fault.empty() && certificates_.links) {
    TRB_ASSIGN_OR_RETURN(const std::vector<AuthorityLink> links, certificates_.links());
    kin_ = KinOf(*authority_, links);
    fault = FaultOf(*certificate, kin_, duty);
  }
  if (!fault.empty()) return absl::StrCat("the certificate", OfClient(update), " ", fault);
  if (!certificate->public_key().Verify(update::CanonicalBytes(a.record), update.signature))
    return absl::StrCat("the update", OfClient(update), " is not signed by its client");
  return kNothing;
}

void ChainCheck::MoveOn(const Record& record, const RecordRows& rows) {
  head_ = record.record_sha256;
  ++next_;
  updates_checked_ += rows.updates.size();
  if (rows.genesis) {
    genesis_ = *rows.genesis;
    model_ = genesis_.initial_model_sha256;
    return;
  }
  const v1::Round& round = rows.round->round;
  if (round.state() == "abandoned") {
    ++abandoned_in_a_row_;
    return;
  }
  ++rounds_committed_;
  abandoned_in_a_row_ = 0;
  model_ = round.model_sha256();
  if (!best_ || IsBetterRound(round, *best_)) best_ = round;
}

}  // namespace tributary::history
