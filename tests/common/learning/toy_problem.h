// Small learning problems that a test can solve in milliseconds.
#ifndef TRIBUTARY_TESTS_COMMON_LEARNING_TOY_PROBLEM_H_
#define TRIBUTARY_TESTS_COMMON_LEARNING_TOY_PROBLEM_H_

#include <google/protobuf/text_format.h>

#include <string>
#include <utility>
#include <vector>

#include "common/base/random.h"
#include "common/base/status.h"
#include "common/data/dataset.h"
#include "common/nn/model_description.h"
#include "tributary/v1/plan.pb.h"

namespace tributary::learning {

template <class Message>
Message FromText(const std::string& text) {
  Message message;
  TRB_CHECK(google::protobuf::TextFormat::ParseFromString(text, &message));
  return message;
}

inline nn::ModelDescription Describe(const v1::ModelDescription& proto) {
  auto model = nn::ModelDescription::FromProto(proto);
  TRB_CHECK(model.ok());
  return *std::move(model);
}

// 8x8 gray images of four classes: noise, and one bright quadrant. Labels go round: 0, 1, 2, 3, 0...
inline data::Dataset Quadrants(size_t count, uint64_t seed = 1) {
  data::Dataset d;
  d.count = count;
  d.height = d.width = 8;
  d.num_classes = 4;
  Rng rng(seed);
  for (size_t i = 0; i < count; ++i) {
    const size_t label = i % 4;
    for (size_t y = 0; y < 8; ++y) {
      for (size_t x = 0; x < 8; ++x) {
        const bool bright = (y / 4) * 2 + x / 4 == label;
        d.pixels.push_back(static_cast<uint8_t>(rng.Below(160) + (bright ? 60 : 0)));
      }
    }
    d.labels.push_back(static_cast<int32_t>(label));
  }
  return d;
}

inline v1::ModelDescription QuadrantModel() {
  return FromText<v1::ModelDescription>(R"pb(
    input: [ 8, 8, 1 ]
    layers { conv2d { filters: 4 kernel_height: 3 kernel_width: 3 activation: ACTIVATION_RELU } }
    layers { max_pool2d { pool_height: 2 pool_width: 2 } }
    layers { flatten {} }
    layers { dropout { rate: 0.1 } }
    layers { dense { units: 4 activation: ACTIVATION_SOFTMAX } }
    loss: LOSS_SPARSE_CATEGORICAL_CROSSENTROPY)pb");
}

// y = 2 a - b + 0.5, without noise.
inline data::Dataset Line(size_t count) {
  data::Dataset d;
  d.count = count;
  d.channels = 2;
  Rng rng(3);
  for (size_t i = 0; i < count; ++i) {
    const float a = rng.UniformFloat(), b = rng.UniformFloat();
    d.features.insert(d.features.end(), {a, b});
    d.targets.push_back(2 * a - b + 0.5f);
  }
  return d;
}

inline v1::ModelDescription LineModel() {
  return FromText<v1::ModelDescription>("input: 2 layers { dense { units: 1 } } loss: LOSS_MEAN_SQUARED_ERROR");
}

// Rows of two features; label 1 when the first is the larger.
inline data::Dataset TwoSides(size_t count) {
  data::Dataset d = Line(count);
  d.targets.clear();
  d.num_classes = 2;
  for (size_t i = 0; i < count; ++i) d.labels.push_back(d.features[2 * i] > d.features[2 * i + 1] ? 1 : 0);
  return d;
}

inline v1::ModelDescription TwoSidesModel() {
  return FromText<v1::ModelDescription>(R"pb(
    input: 2
    layers { dense { units: 1 activation: ACTIVATION_SIGMOID } }
    loss: LOSS_BINARY_CROSSENTROPY)pb");
}

inline v1::TrainPlan AdamPlan() {
  return FromText<v1::TrainPlan>(
      "epochs: 3 batch_size: 16 optimizer: OPTIMIZER_ADAM learning_rate: 0.01 validation_split: 0.1 precision: "
      "'float32'");
}

inline v1::TrainPlan SgdPlan(double rate, uint32_t epochs, uint32_t batch_size) {
  v1::TrainPlan plan;
  plan.set_epochs(epochs);
  plan.set_batch_size(batch_size);
  plan.set_optimizer(v1::OPTIMIZER_SGD);
  plan.set_learning_rate(rate);
  return plan;
}

}  // namespace tributary::learning

#endif  // TRIBUTARY_TESTS_COMMON_LEARNING_TOY_PROBLEM_H_
