// Small models for tests, written as protobuf text.
#ifndef TRIBUTARY_TESTS_COMMON_NN_MODELS_H_
#define TRIBUTARY_TESTS_COMMON_NN_MODELS_H_

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/base/random.h"
#include "common/nn/model_description.h"
#include "common/nn/network.h"
#include "tributary/v1/model.pb.h"

namespace tributary::nn {

inline v1::ModelDescription ModelProto(const std::string& text) {
  v1::ModelDescription proto;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &proto)) << text;
  return proto;
}

inline ModelDescription Model(const std::string& text) {
  absl::StatusOr<ModelDescription> model = ModelDescription::FromProto(ModelProto(text));
  EXPECT_TRUE(model.ok()) << model.status();
  return *model;
}

inline ModelDescription PresetModel(const std::string& name) {
  return ModelDescription::FromProto(ModelDescription::Preset(name).value()).value();
}

struct NamedModel {
  const char* name;
  const char* text;
};

// Every layer kind, activation, padding and loss, in small and odd sizes.
inline std::vector<NamedModel> SmallModels() {
  return {
      {"SoftmaxOnly", R"(input: 5 layers { dense { units: 3 activation: ACTIVATION_SOFTMAX } }
         loss: LOSS_SPARSE_CATEGORICAL_CROSSENTROPY)"},
      {"DenseTanhSigmoidRelu", R"(input: 6 layers { dense { units: 17 activation: ACTIVATION_TANH } }
         layers { dense { units: 5 activation: ACTIVATION_SIGMOID } }
         layers { dense { units: 33 activation: ACTIVATION_RELU } }
         layers { dense { units: 4 activation: ACTIVATION_SOFTMAX } } loss: LOSS_SPARSE_CATEGORICAL_CROSSENTROPY)"},
      {"ConvSamePoolAverage", R"(input: 7 input: 9 input: 2
         layers { conv2d { filters: 3 kernel_height: 3 kernel_width: 5 stride_height: 2 padding: PADDING_SAME
                           activation: ACTIVATION_TANH } }
         layers { avg_pool2d { pool_height: 2 pool_width: 3 stride_height: 2 stride_width: 2 padding: PADDING_SAME } }
         layers { flatten {} } layers { dense { units: 4 activation: ACTIVATION_SOFTMAX } }
         loss: LOSS_SPARSE_CATEGORICAL_CROSSENTROPY)"},
      {"TwoConvsMaxPoolBinary", R"(input: 8 input: 11 input: 3
         layers { conv2d { filters: 5 kernel_height: 3 kernel_width: 2 stride_width: 2 activation: ACTIVATION_RELU } }
         layers { max_pool2d { pool_height: 3 pool_width: 2 stride_height: 2 stride_width: 1 padding: PADDING_SAME } }
         layers { conv2d { filters: 2 kernel_height: 2 kernel_width: 3 stride_height: 2 padding: PADDING_SAME
                           activation: ACTIVATION_SIGMOID } }
         layers { flatten {} } layers { dense { units: 1 activation: ACTIVATION_SIGMOID } }
         loss: LOSS_BINARY_CROSSENTROPY)"},
      {"RegressionTanhEnd", R"(input: 6 layers { dense { units: 7 activation: ACTIVATION_TANH } }
         layers { dense { units: 3 activation: ACTIVATION_TANH } } loss: LOSS_MEAN_SQUARED_ERROR)"},
      {"RegressionSoftmaxEnd", R"(input: 4 layers { dense { units: 3 activation: ACTIVATION_SOFTMAX } }
         loss: LOSS_MEAN_SQUARED_ERROR)"},
      {"RegressionImageEnd", R"(input: 5 input: 4 input: 2
         layers { conv2d { filters: 3 kernel_height: 2 kernel_width: 3 stride_height: 3 stride_width: 2 } }
         loss: LOSS_MEAN_SQUARED_ERROR)"},
      {"DropoutsAndActivationLayers", R"(input: 6 input: 5 input: 1
         layers { dropout { rate: 0.2 } }
         layers { conv2d { filters: 33 kernel_height: 2 kernel_width: 2 padding: PADDING_SAME } }
         layers { activation { activation: ACTIVATION_RELU } } layers { dropout { rate: 0.3 } }
         layers { max_pool2d { pool_height: 2 pool_width: 2 } } layers { flatten {} }
         layers { dense { units: 6 } } layers { dropout { rate: 0.5 } }
         layers { activation { activation: ACTIVATION_TANH } }
         layers { dense { units: 3 } } layers { activation { activation: ACTIVATION_SOFTMAX } }
         loss: LOSS_SPARSE_CATEGORICAL_CROSSENTROPY)"},
      {"StrideLargerThanKernel", R"(input: 9 input: 10 input: 2
         layers { conv2d { filters: 4 kernel_height: 1 kernel_width: 2 stride_height: 3 stride_width: 4
                           padding: PADDING_SAME activation: ACTIVATION_RELU } }
         layers { conv2d { filters: 3 kernel_height: 2 kernel_width: 2 stride_height: 1 stride_width: 1 } }
         layers { flatten {} } layers { dense { units: 1 activation: ACTIVATION_SIGMOID } }
         loss: LOSS_BINARY_CROSSENTROPY)"},
      {"OverlappingPools", R"(input: 7 input: 7 input: 3
         layers { conv2d { filters: 18 kernel_height: 3 kernel_width: 3 padding: PADDING_SAME } }
         layers { max_pool2d { pool_height: 3 pool_width: 3 stride_height: 2 stride_width: 2 } }
         layers { avg_pool2d { pool_height: 2 pool_width: 2 stride_height: 1 stride_width: 1 } }
         layers { flatten {} } layers { dense { units: 2 activation: ACTIVATION_SOFTMAX } }
         loss: LOSS_SPARSE_CATEGORICAL_CROSSENTROPY)"},
      {"LongDepth", R"(input: 3 input: 5 input: 150
         layers { conv2d { filters: 40 kernel_height: 2 kernel_width: 3 padding: PADDING_SAME
                           activation: ACTIVATION_RELU } }
         layers { flatten {} } layers { dense { units: 3 activation: ACTIVATION_SOFTMAX } }
         loss: LOSS_SPARSE_CATEGORICAL_CROSSENTROPY)"},
  };
}

// Uniform values in [-1, 1).
inline std::vector<float> RandomFloats(size_t n, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> values(n);
  for (float& v : values) v = 2 * rng.UniformFloat() - 1;
  return values;
}

// Inputs, labels and targets for n examples of a model.
struct Examples {
  Examples(const ModelDescription& model, size_t n, uint64_t seed)
      : x(RandomFloats(n * model.input().size(), seed)), targets(RandomFloats(n * model.output().size(), seed + 1)) {
    Rng rng(seed + 2);
    for (size_t i = 0; i < n; ++i) {
      labels.push_back(model.num_classes() == 0 ? 0 : static_cast<int32_t>(rng.Below(model.num_classes())));
    }
  }
  std::vector<float> x, targets;
  std::vector<int32_t> labels;
};

// All of them, borrowed.
inline Batch ToBatch(const Examples& examples) {
  Batch batch;
  batch.x = examples.x.data();
  batch.n = examples.labels.size();
  batch.labels = examples.labels.data();
  batch.targets = examples.targets.data();
  return batch;
}

// What a pass over a batch leaves.
struct Outcome {
  double loss = 0;
  std::vector<float> gradients;
  bool operator==(const Outcome&) const = default;
};

}  // namespace tributary::nn

#endif  // TRIBUTARY_TESTS_COMMON_NN_MODELS_H_
