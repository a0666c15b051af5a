#include "client/session/task_check.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/crypto/digest.h"
#include "common/learning/plan_check.h"
#include "common/learning/precision.h"
#include "common/update/signed_record.h"
#include "common/update/update_codec.h"
#include "common/wire/check.h"

namespace tributary::session {
namespace {

absl::Status Wrong(std::string what) { return absl::InvalidArgumentError(std::move(what)); }

// A run that began under an authority which is retired now keeps its receipt key, and the certificate of it.
absl::Status CheckReceiptKey(const v1::TrainTask& task, const crypto::TrustList& trust) {
  const absl::StatusOr<crypto::Certificate> key = crypto::Certificate::FromPem(task.receipt_certificate_pem());
  if (!key.ok()) return Wrong(absl::StrCat("the receipt certificate cannot be read: ", key.status().message()));
  if (trust.IssuerOf(*key) == nullptr && !trust.IsOfThePast(*key))
    return Wrong("the receipt certificate is not signed by the federation's CA");
  return absl::OkStatus();
}

absl::Status CheckSizes(const v1::TrainTask& task, const nn::ModelDescription& model) {
  if (task.base_model_bytes() != uint64_t{4} * model.parameter_count())
    return Wrong(absl::StrCat("the base model has ", task.base_model_bytes(), " bytes, the model needs ",
                              uint64_t{4} * model.parameter_count()));
  if (!update::IsKnownEncoding(task.encoding())) return Wrong(absl::StrCat("unknown encoding ", task.encoding()));
  return absl::OkStatus();
}

bool IsThePresetItNames(v1::ModelDescription model) {
  const absl::StatusOr<v1::ModelDescription> preset = nn::ModelDescription::Preset(model.preset());
  if (!preset.ok()) return false;
  model.clear_classes();
  model.clear_input_mean();
  model.clear_input_std();
  return model.SerializeAsString() == preset->SerializeAsString();
}

bool SameUpdate(const v1::UpdateRecord& accepted, const v1::UpdateRecord& own) {
  v1::UpdateRecord copy = accepted;
  copy.set_certificate_sha256(own.certificate_sha256());
  return update::CanonicalBytes(copy) == update::CanonicalBytes(own);
}

}  // namespace

absl::StatusOr<ParsedTask> ParseTask(const v1::TrainTask& task, const crypto::TrustList& trust) {
  TRB_RETURN_IF_ERROR(wire::Check(task));
  if (crypto::Sha256Hex(task.plan()) != task.plan_sha256()) return Wrong("the plan does not fit its digest");
  ParsedTask parsed;
  if (!parsed.plan.ParseFromString(task.plan())) return Wrong("the plan cannot be read");
  TRB_RETURN_IF_ERROR(learning::ValidatePlan(parsed.plan));
  TRB_ASSIGN_OR_RETURN(parsed.model, nn::ModelDescription::FromProto(parsed.plan.model()));
  TRB_RETURN_IF_ERROR(CheckSizes(task, parsed.model));
  const absl::Status precision = learning::ResolvePrecision(parsed.plan.train().precision()).status();
  if (!precision.ok()) return Wrong(std::string(precision.message()));
  TRB_RETURN_IF_ERROR(CheckReceiptKey(task, trust));
  return parsed;
}

policy::TaskTerms TermsOf(const v1::TrainTask& task, const v1::RunPlan& plan) {
  const std::string& name = plan.model().preset();
  const bool is_preset = !name.empty() && IsThePresetItNames(plan.model());
  return {.run_name = plan.name(),
          .preset = is_preset ? name : "",
          .epochs = plan.train().epochs(),
          // As the plan has it, which the update signs; the task only repeats it.
          .min_clients = std::min(task.min_clients(), plan.round().min_clients()),
          .retention = plan.keep_updates(),
          .claimed_preset = is_preset ? "" : name};
}

absl::Status CheckReceipt(const v1::Receipt& receipt, const v1::UpdateRecord& record, const v1::TrainTask& task) {
  if (!SameUpdate(receipt.record(), record)) return absl::DataLossError("the receipt is of another update");
  if (receipt.previous_record_sha256() != task.previous_record_sha256())
    return absl::DataLossError("the receipt stands on another history than its task");
  TRB_ASSIGN_OR_RETURN(const crypto::Certificate key, crypto::Certificate::FromPem(task.receipt_certificate_pem()));
  if (!key.public_key().Verify(update::CanonicalBytes(receipt), receipt.signature()))
    return absl::DataLossError("the receipt is not signed by the run's receipt key");
  return absl::OkStatus();
}

}  // namespace tributary::session
