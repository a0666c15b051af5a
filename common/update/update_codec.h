// A weight delta or a model as bytes, and back. Both are flat float arrays in Keras' layout (order and shapes: the head
// of model.proto). Every check of an update's content is here; what fails is an error that names its wire code
// (rejection.h).
//
// Encodings of a delta, by name:
//   "float32"   value i is bytes [4i, 4i + 4), IEEE 754 binary32, little-endian; 4 * parameter_count bytes, nothing
//   else.
//               In numpy: np.concatenate([a.ravel() for a in arrays]).astype("<f4").tobytes()
// A model's parameters are always float32 as above.
//
// Threads: functions are pure; a DeltaDecoder belongs to one thread at a time.
#ifndef TRIBUTARY_COMMON_UPDATE_UPDATE_CODEC_H_
#define TRIBUTARY_COMMON_UPDATE_UPDATE_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace tributary::update {

inline constexpr size_t kChunkBytes = 256 * 1024;               // most data bytes in one message of a stream
inline constexpr uint64_t kMaxParameters = uint64_t{1} << 28;   // model.proto
inline constexpr uint64_t kMaxModelBytes = kMaxParameters * 4;  // of a model; no encoding of a delta is longer
inline constexpr uint64_t kMaxMetricsBytes = 4096;              // of a serialised UpdateMetrics
inline constexpr float kDeltaLimit = 0x1p20f;                   // |delta| must be below: the exact sum's range
inline constexpr std::string_view kDefaultEncoding = "float32";

// The known encodings, best first.
std::vector<std::string> EncodingNames();
bool IsKnownEncoding(std::string_view encoding);

// How many bytes `parameter_count` values take. bad_encoding, or too_large above kMaxParameters.
absl::StatusOr<uint64_t> EncodedBytes(std::string_view encoding, uint64_t parameter_count);

// bad_encoding; not_finite and too_large name the index of the first bad value: nothing that a coordinator would refuse
// is ever written.
absl::StatusOr<std::string> EncodeDelta(std::string_view encoding, std::span<const float> delta);

// wrong_shape unless the length is exact; not_finite and too_large name the index of the first bad value.
absl::StatusOr<std::vector<float>> DecodeDelta(std::string_view encoding, std::string_view bytes,
                                               uint64_t parameter_count);

// Decodes a delta that comes in pieces of any length, with memory for one piece only. All checks of DecodeDelta.
class DeltaDecoder {
 public:
  // Gets values [offset, offset + values.size()); pieces come in order, without gaps. Its error ends the decoding.
  using Sink = std::function<absl::Status(size_t offset, std::span<const float> values)>;

  // bad_encoding; too_large above kMaxParameters.
  static absl::StatusOr<DeltaDecoder> Create(std::string_view encoding, uint64_t parameter_count);

  // wrong_shape when there is more than the model needs. After an error the decoder only repeats it.
  absl::Status Consume(std::string_view bytes, const Sink& sink);
  // Gives the memory back that only Consume needs; it may go on afterwards.
  void Rest() { values_ = {}; }
  // wrong_shape when bytes are missing.
  absl::Status Finish() const;

 private:
  explicit DeltaDecoder(uint64_t parameter_count) : parameter_count_(parameter_count) {}
  absl::Status ConsumeChecked(std::string_view bytes, const Sink& sink);
  absl::Status Emit(std::span<const float> values, const Sink& sink);

  uint64_t parameter_count_;
  uint64_t received_bytes_ = 0;
  uint64_t emitted_ = 0;
  std::string partial_;  // the first bytes of a value that a piece ended in, at most 3
  std::vector<float> values_;
  absl::Status failed_;
};

// The parameters as bytes; any values (a model may not be finite: reading it back is what refuses it).
std::string EncodeParameters(std::span<const float> parameters);
// wrong_shape, not_finite.
absl::StatusOr<std::vector<float>> DecodeParameters(std::string_view bytes, uint64_t parameter_count);

// Euclidean norm, summed in double in index order.
double EuclideanNorm(std::span<const float> values);

}  // namespace tributary::update

#endif  // TRIBUTARY_COMMON_UPDATE_UPDATE_CODEC_H_
