// A model as checked data: layers in order, every shape known. The C++ face of tributary.v1.ModelDescription.
// Immutable after Create; safe to read from any thread.
#ifndef TRIBUTARY_COMMON_NN_MODEL_DESCRIPTION_H_
#define TRIBUTARY_COMMON_NN_MODEL_DESCRIPTION_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace tributary::v1 {
class ModelDescription;
}

namespace tributary::nn {

enum class LayerKind { kConv2D, kMaxPool2D, kAvgPool2D, kFlatten, kDense, kDropout, kActivation };
enum class Activation { kNone, kRelu, kSigmoid, kTanh, kSoftmax };
enum class Padding { kValid, kSame };
enum class Loss { kSparseCategoricalCrossentropy, kBinaryCrossentropy, kMeanSquaredError };

// Height, width, channels. Flat data of n features is {1, 1, n}.
struct Shape {
  size_t h = 1, w = 1, c = 1;
  size_t size() const { return h * w * c; }
  bool operator==(const Shape&) const = default;
};

// One layer with its shapes resolved. Fields that a kind does not use keep their defaults.
struct LayerSpec {
  LayerKind kind = LayerKind::kFlatten;
  Activation activation = Activation::kNone;  // conv2d, dense, activation
  Padding padding = Padding::kValid;
  size_t window_h = 1, window_w = 1;  // kernel or pool
  size_t stride_h = 1, stride_w = 1;
  size_t pad_top = 0, pad_left = 0;  // resolved from padding; bottom and right follow from the shapes
  float rate = 0;                    // dropout
  Shape in, out;                     // out.c = filters or units
  size_t kernel_offset = 0;          // index of the layer's first parameter in the model's flat float array
  size_t kernel_size = 0;            // 0 for layers without parameters
  size_t bias_size = 0;              // the bias follows the kernel
};

// One named array of the flat parameter vector, as exported: e.g. {"conv2d_1/kernel", {3,3,1,32}, 0}.
struct ParameterArray {
  std::string name;
  std::vector<size_t> shape;
  size_t offset = 0, size = 0;
};

class ModelDescription {
 public:
  // Resolves shapes and checks all of it. INVALID_ARGUMENT lists every fault, one a line, naming the layer (1-based).
  static absl::StatusOr<ModelDescription> FromProto(const v1::ModelDescription& proto);
  // "keras-cnn", "cat-cnn", "fedavg-cnn": layers, input, loss filled in. NOT_FOUND lists the known names.
  static absl::StatusOr<v1::ModelDescription> Preset(const std::string& name);

  const Shape& input() const { return input_; }
  bool flat_input() const { return flat_input_; }  // described as [features]
  const Shape& output() const { return layers_.back().out; }
  const std::vector<LayerSpec>& layers() const { return layers_; }
  Loss loss() const { return loss_; }
  const std::vector<std::string>& classes() const { return classes_; }
  // Number of classes: output size, 2 for one sigmoid unit, 0 for regression.
  size_t num_classes() const;
  size_t parameter_count() const { return parameter_count_; }
  std::vector<ParameterArray> parameter_arrays() const;
  // Per channel, always input().c values (defaults filled in): x' = (byte/255 - mean) / std.
  std::vector<float> input_mean() const { return PerChannel(input_mean_, 0.0f); }
  std::vector<float> input_std() const { return PerChannel(input_std_, 1.0f); }

 private:
  Shape input_;
  bool flat_input_ = false;
  std::vector<LayerSpec> layers_;
  Loss loss_ = Loss::kSparseCategoricalCrossentropy;
  std::vector<std::string> classes_;
  std::vector<float> PerChannel(const std::vector<float>& stated, float default_value) const;
  // As stated: none, one, or one per channel. Not spelled out: a few bytes of a message could ask for gigabytes.
  std::vector<float> input_mean_, input_std_;
  size_t parameter_count_ = 0;
};

}  // namespace tributary::nn

#endif  // TRIBUTARY_COMMON_NN_MODEL_DESCRIPTION_H_
