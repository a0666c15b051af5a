#include "server/service/update_checks.h"

#include "absl/strings/str_cat.h"
#include "common/crypto/digest.h"
#include "common/update/rejection.h"
#include "common/update/signed_record.h"
#include "common/update/update_codec.h"

namespace tributary::service {
namespace {

constexpr size_t kMaxSignatureBytes = 128;

using update::Reject;

}  // namespace

absl::Status CheckSpelling(const v1::BeginUploadRequest& request) {
  if (!request.has_record()) return Reject(update::kMalformed, "no record");
  if (request.signature().empty() || request.signature().size() > kMaxSignatureBytes) {
    return Reject(update::kBadSignature, absl::StrCat("a signature has 1 to ", kMaxSignatureBytes, " bytes"));
  }
  TRB_RETURN_IF_ERROR(update::CheckWellFormed(request.record()));
  return update::ParseMetrics(request.metrics()).status();
}

absl::Status CheckAgainstTask(const v1::BeginUploadRequest& request, const rounds::RunManager::TaskTerms& terms,
                              const std::string& federation) {
  const v1::UpdateRecord& r = request.record();
  if (r.federation() != federation) return Reject(update::kMalformed, "the record names another federation");
  if (r.run_id() != terms.run_id) return Reject(update::kMalformed, "the task belongs to another run");
  if (r.round() != terms.round) return Reject(update::kMalformed, absl::StrCat("the task is of round ", terms.round));
  if (r.base_model_sha256() != terms.base_model_sha256) {
    return Reject(update::kWrongBaseModel, absl::StrCat("the task starts from ", terms.base_model_sha256));
  }
  if (r.plan_sha256() != terms.plan_sha256) {
    return Reject(update::kWrongPlan, absl::StrCat("the run's plan is ", terms.plan_sha256));
  }
  if (r.encoding() != terms.encoding) {
    return Reject(update::kBadEncoding, absl::StrCat("the task asks for ", terms.encoding));
  }
  const auto expected = update::EncodedBytes(r.encoding(), terms.parameters);
  TRB_RETURN_IF_ERROR(expected.status());
  if (r.length() != *expected) {
    return Reject(update::kWrongShape, absl::StrCat("the model needs ", *expected, " bytes, not ", r.length()));
  }
  if (r.examples() > terms.max_examples) {
    return Reject(update::kBadExamples,
                  absl::StrCat(r.examples(), " examples, but the client declared ", terms.max_examples));
  }
  if (r.metrics_sha256() != crypto::Sha256Hex(request.metrics())) {
    return Reject(update::kWrongDigest, "metrics_sha256 is not of these metrics");
  }
  return absl::OkStatus();
}

absl::Status CheckSignature(const v1::BeginUploadRequest& request, const crypto::Certificate& certificate) {
  const std::string bytes = update::CanonicalBytes(request.record());
  if (certificate.public_key().Verify(bytes, request.signature())) return absl::OkStatus();
  return Reject(update::kBadSignature, "the signature is not of this record by this certificate's key");
}

}  // namespace tributary::service
