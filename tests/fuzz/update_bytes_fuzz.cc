// An update's bytes: decoded in pieces of any length as when decoded at once.
#include "common/update/rejection.h"
#include "common/update/update_codec.h"
#include "tests/fuzz/fuzz.h"

// Two bytes: parameters; one byte: the pieces' length; then the update.
FUZZ_INPUT(input) {
  using namespace tributary;  // NOLINT
  if (input.size() < 3) return;
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(input[i]); };
  const uint64_t parameters = byte(0) + 256u * (byte(1) % 8);
  const size_t piece = 1 + byte(2);
  const std::string_view bytes = input.substr(3);
  const auto whole = update::DecodeDelta("float32", bytes, parameters);
  fuzz::Require(whole.ok() || !update::RejectionCode(whole.status()).empty());

  auto decoder = update::DeltaDecoder::Create("float32", parameters);
  fuzz::Require(decoder.ok());
  std::vector<float> pieces;
  absl::Status status;
  for (size_t at = 0; at < bytes.size() && status.ok(); at += piece) {
    status = decoder->Consume(bytes.substr(at, piece), [&](size_t offset, std::span<const float> values) {
      fuzz::Require(offset == pieces.size());
      pieces.insert(pieces.end(), values.begin(), values.end());
      return absl::OkStatus();
    });
  }
  if (status.ok()) status = decoder->Finish();
  fuzz::Require(status.ok() == whole.ok());
  fuzz::Require(!whole.ok() || *whole == pieces);
  fuzz::Require(pieces.size() <= parameters);
  if (whole.ok()) fuzz::Require(*update::EncodeDelta("float32", *whole) == bytes);
  (void)update::DecodeParameters(bytes, parameters);
}
