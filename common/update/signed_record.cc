#include "common/update/signed_record.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/update/rejection.h"
#include "common/update/update_codec.h"
#include "tributary/v1/update.pb.h"

namespace tributary::update {
namespace {

using std::string_view_literals::operator""sv;

constexpr std::string_view kUpdatePrefix = "tributary/update/v1\0"sv;
constexpr std::string_view kReceiptPrefix = "tributary/receipt/v1\0"sv;
constexpr size_t kMaxNameBytes = 128;
constexpr size_t kMaxEngineBytes = 64;

void AppendInteger(std::string* out, uint64_t value) {
  std::string bytes;
  AppendLe64(&bytes, value);
  AppendLengthPrefixed(out, bytes);
}

void AppendRecord(std::string* out, const v1::UpdateRecord& r) {
  AppendLengthPrefixed(out, r.federation());
  AppendLengthPrefixed(out, r.run_id());
  AppendInteger(out, r.round());
  AppendLengthPrefixed(out, r.task_id());
  AppendLengthPrefixed(out, r.client_id());
  AppendLengthPrefixed(out, r.certificate_sha256());
  AppendLengthPrefixed(out, r.base_model_sha256());
  AppendLengthPrefixed(out, r.plan_sha256());
  AppendLengthPrefixed(out, r.update_sha256());
  AppendLengthPrefixed(out, r.encoding());
  AppendInteger(out, r.length());
  AppendInteger(out, r.examples());
  AppendLengthPrefixed(out, r.metrics_sha256());
}

// protobuf has checked that a proto3 string is UTF-8 already.
bool IsPlainName(std::string_view s) {
  const auto control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
  return !s.empty() && s.size() <= kMaxNameBytes && std::none_of(s.begin(), s.end(), control);
}

bool IsMeasure(double v) { return std::isfinite(v) && v >= 0; }

bool IsEngine(std::string_view s) {
  return s.size() <= kMaxEngineBytes && std::all_of(s.begin(), s.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

absl::Status CheckMetrics(const v1::UpdateMetrics& m) {
  if (m.has_train_loss() && !IsMeasure(m.train_loss())) return Reject(kBadMetrics, "train_loss is not a loss");
  if (m.has_validation_loss() && !IsMeasure(m.validation_loss())) {
    return Reject(kBadMetrics, "validation_loss is not a loss");
  }
  if (m.has_validation_accuracy() && !(m.validation_accuracy() >= 0 && m.validation_accuracy() <= 1)) {
    return Reject(kBadMetrics, "validation_accuracy is outside [0, 1]");
  }
  if (!IsMeasure(m.update_norm())) return Reject(kBadMetrics, "update_norm is not a norm");
  // "Negative" in a language without unsigned integers, as for examples; the ledger's integers are signed.
  for (const uint64_t count : {m.validation_examples(), m.steps(), m.queue_ms(), m.download_ms(), m.train_ms()}) {
    if (count > INT64_MAX) return Reject(kBadMetrics, "a count or time is negative");
  }
  if (!IsEngine(m.engine())) return Reject(kBadMetrics, "engine is not at most 64 printable characters");
  return absl::OkStatus();
}

}  // namespace

std::string CanonicalBytes(const v1::UpdateRecord& record) {
  std::string out(kUpdatePrefix);
  AppendRecord(&out, record);
  return out;
}

std::string CanonicalBytes(const v1::Receipt& receipt) {
  std::string out(kReceiptPrefix);
  AppendRecord(&out, receipt.record());
  AppendLengthPrefixed(&out, receipt.previous_record_sha256());
  AppendInteger(&out, static_cast<uint64_t>(receipt.accepted_unix_ms()));
  return out;
}

absl::Status CheckWellFormed(const v1::UpdateRecord& r) {
  for (const auto& [field, value] : {std::pair{"federation", &r.federation()},
                                     {"run_id", &r.run_id()},
                                     {"task_id", &r.task_id()},
                                     {"client_id", &r.client_id()}}) {
    if (!IsPlainName(*value)) return Reject(kMalformed, absl::StrCat(field, " is empty, too long or not plain text"));
  }
  for (const auto& [field, value] : {std::pair{"certificate_sha256", &r.certificate_sha256()},
                                     {"base_model_sha256", &r.base_model_sha256()},
                                     {"plan_sha256", &r.plan_sha256()},
                                     {"update_sha256", &r.update_sha256()},
                                     {"metrics_sha256", &r.metrics_sha256()}}) {
    if (!IsHexDigest(*value)) return Reject(kMalformed, absl::StrCat(field, " is not a lower-case hex SHA-256"));
  }
  if (r.round() == 0) return Reject(kMalformed, "round is 0");
  if (!IsKnownEncoding(r.encoding())) return Reject(kBadEncoding, "the encoding is not known");
  if (r.length() == 0) return Reject(kWrongShape, "length is 0");
  if (r.length() > kMaxModelBytes) return Reject(kTooLarge, "length is above the largest model");
  if (r.examples() == 0) return Reject(kBadExamples, "examples is 0");
  // "Negative" in a language without unsigned integers arrives as a number above 2^63.
  if (r.examples() > INT64_MAX) return Reject(kBadExamples, "examples is negative");
  return absl::OkStatus();
}

absl::StatusOr<v1::UpdateMetrics> ParseMetrics(const std::string& bytes) {
  if (bytes.size() > kMaxMetricsBytes) return Reject(kBadMetrics, "more than 4096 bytes");
  v1::UpdateMetrics metrics;
  if (!metrics.ParseFromString(bytes)) return Reject(kBadMetrics, "not an UpdateMetrics message");
  TRB_RETURN_IF_ERROR(CheckMetrics(metrics));
  return metrics;
}

}  // namespace tributary::update
