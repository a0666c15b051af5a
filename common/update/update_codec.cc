#include "common/update/update_codec.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/update/rejection.h"

namespace tributary::update {
namespace {

static_assert(std::endian::native == std::endian::little, "float32 is copied as it lies in memory");

// One row an encoding. A second one adds its row here, and its own decoding in DeltaDecoder.
struct Encoding {
  std::string_view name;
  uint64_t bytes_per_value;
};
constexpr Encoding kEncodings[] = {{kDefaultEncoding, sizeof(float)}};

const Encoding* FindEncoding(std::string_view name) {
  for (const Encoding& e : kEncodings) {
    if (e.name == name) return &e;
  }
  return nullptr;
}

// The index of the first value for which |v| < limit does not hold, which a NaN never does; values.size() when none.
size_t FirstOutside(std::span<const float> values, float limit) {
  constexpr size_t kBlock = 1024;  // counted without a branch, so that the compiler can vectorise the usual case
  for (size_t begin = 0; begin < values.size(); begin += kBlock) {
    const size_t end = std::min(values.size(), begin + kBlock);
    int outside = 0;
    for (size_t i = begin; i < end; ++i) outside += !(std::fabs(values[i]) < limit);
    for (size_t i = begin; outside > 0 && i < end; ++i) {
      if (!(std::fabs(values[i]) < limit)) return i;
    }
  }
  return values.size();
}

absl::Status CheckDeltaValues(std::span<const float> values, uint64_t offset) {
  const size_t i = FirstOutside(values, kDeltaLimit);
  if (i == values.size()) return absl::OkStatus();
  if (!std::isfinite(values[i])) return Reject(kNotFinite, absl::StrCat("value ", offset + i, " is not finite"));
  return Reject(kTooLarge, absl::StrCat("value ", offset + i, " is ", values[i], ", its size must be below 2^20"));
}

absl::Status UnknownEncoding(std::string_view encoding) {
  return Reject(kBadEncoding, absl::StrCat("unknown encoding \"", std::string(encoding.substr(0, 64)), "\""));
}

absl::Status WrongLength(uint64_t expected, uint64_t got, bool at_least) {
  return Reject(kWrongShape,
                absl::StrCat("needs exactly ", expected, " bytes, got ", at_least ? "at least " : "", got));
}

std::string CopyToBytes(std::span<const float> values) {
  std::string out(values.size_bytes(), '\0');
  if (!values.empty()) std::memcpy(out.data(), values.data(), values.size_bytes());
  return out;
}

}  // namespace

std::vector<std::string> EncodingNames() {
  std::vector<std::string> names;
  for (const Encoding& e : kEncodings) names.emplace_back(e.name);
  return names;
}

bool IsKnownEncoding(std::string_view encoding) { return FindEncoding(encoding) != nullptr; }

absl::StatusOr<uint64_t> EncodedBytes(std::string_view encoding, uint64_t parameter_count) {
  const Encoding* e = FindEncoding(encoding);
  if (e == nullptr) return UnknownEncoding(encoding);
  if (parameter_count > kMaxParameters) {
    return Reject(kTooLarge, absl::StrCat(parameter_count, " parameters, at most ", kMaxParameters, " are allowed"));
  }
  return parameter_count * e->bytes_per_value;
}

absl::StatusOr<std::string> EncodeDelta(std::string_view encoding, std::span<const float> delta) {
  TRB_RETURN_IF_ERROR(EncodedBytes(encoding, delta.size()).status());
  TRB_RETURN_IF_ERROR(CheckDeltaValues(delta, 0));
  return CopyToBytes(delta);
}

absl::StatusOr<std::vector<float>> DecodeDelta(std::string_view encoding, std::string_view bytes,
                                               uint64_t parameter_count) {
  TRB_ASSIGN_OR_RETURN(DeltaDecoder decoder, DeltaDecoder::Create(encoding, parameter_count));
  TRB_ASSIGN_OR_RETURN(const uint64_t expected, EncodedBytes(encoding, parameter_count));
  if (bytes.size() != expected) return WrongLength(expected, bytes.size(), false);
  std::vector<float> delta(parameter_count);
  TRB_RETURN_IF_ERROR(decoder.Consume(bytes, [&delta](size_t offset, std::span<const float> values) {
    std::copy(values.begin(), values.end(), delta.begin() + static_cast<std::ptrdiff_t>(offset));
    return absl::OkStatus();
  }));
  TRB_RETURN_IF_ERROR(decoder.Finish());
  return delta;
}

absl::StatusOr<DeltaDecoder> DeltaDecoder::Create(std::string_view encoding, uint64_t parameter_count) {
  TRB_RETURN_IF_ERROR(EncodedBytes(encoding, parameter_count).status());
  return DeltaDecoder(parameter_count);
}

absl::Status DeltaDecoder::Consume(std::string_view bytes, const Sink& sink) {
  if (failed_.ok()) failed_ = ConsumeChecked(bytes, sink);
  return failed_;
}

absl::Status DeltaDecoder::ConsumeChecked(std::string_view bytes, const Sink& sink) {
  received_bytes_ += bytes.size();
  const uint64_t expected = parameter_count_ * sizeof(float);
  if (received_bytes_ > expected) return WrongLength(expected, received_bytes_, true);
  if (!partial_.empty()) {
    const size_t missing = std::min(sizeof(float) - partial_.size(), bytes.size());
    partial_.append(bytes.substr(0, missing));
    bytes.remove_prefix(missing);
    if (partial_.size() < sizeof(float)) return absl::OkStatus();
    float value;
    std::memcpy(&value, partial_.data(), sizeof(value));
    partial_.clear();
    TRB_RETURN_IF_ERROR(Emit({&value, 1}, sink));
  }
  // Copied piece by piece: bytes of a message lie at any address, and the piece stays in the cache for the sink.
  while (bytes.size() >= sizeof(float)) {
    values_.resize(std::min(bytes.size(), kChunkBytes) / sizeof(float));
    std::memcpy(values_.data(), bytes.data(), values_.size() * sizeof(float));
    bytes.remove_prefix(values_.size() * sizeof(float));
    TRB_RETURN_IF_ERROR(Emit(values_, sink));
  }
  partial_.assign(bytes);
  return absl::OkStatus();
}

absl::Status DeltaDecoder::Emit(std::span<const float> values, const Sink& sink) {
  TRB_RETURN_IF_ERROR(CheckDeltaValues(values, emitted_));
  const size_t offset = emitted_;
  emitted_ += values.size();
  return sink(offset, values);
}

absl::Status DeltaDecoder::Finish() const {
  if (!failed_.ok()) return failed_;
  if (emitted_ == parameter_count_) return absl::OkStatus();
  return WrongLength(parameter_count_ * sizeof(float), received_bytes_, false);
}

std::string EncodeParameters(std::span<const float> parameters) { return CopyToBytes(parameters); }

absl::StatusOr<std::vector<float>> DecodeParameters(std::string_view bytes, uint64_t parameter_count) {
  TRB_ASSIGN_OR_RETURN(const uint64_t expected, EncodedBytes(kDefaultEncoding, parameter_count));
  if (bytes.size() != expected) return WrongLength(expected, bytes.size(), false);
  std::vector<float> parameters(parameter_count);
  if (!bytes.empty()) std::memcpy(parameters.data(), bytes.data(), bytes.size());
  const auto bad = std::find_if(parameters.begin(), parameters.end(), [](float v) { return !std::isfinite(v); });
  if (bad == parameters.end()) return parameters;
  return Reject(kNotFinite, absl::StrCat("parameter ", bad - parameters.begin(), " is not finite"));
}

double EuclideanNorm(std::span<const float> values) {
  double sum = 0;
  for (const float v : values) sum += static_cast<double>(v) * v;
  return std::sqrt(sum);
}

}  // namespace tributary::update
