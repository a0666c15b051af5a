// The models that have a name. What they are is fixed: a run's plan holds the whole description, not the name.
#include "absl/strings/str_cat.h"
#include "common/nn/model_description.h"
#include "tributary/v1/model.pb.h"

namespace tributary::nn {
namespace {

void AddConv(uint32_t filters, uint32_t kernel, v1::Padding padding, v1::ModelDescription* model) {
  v1::Conv2D* conv = model->add_layers()->mutable_conv2d();
  conv->set_filters(filters);
  conv->set_kernel_height(kernel);
  conv->set_kernel_width(kernel);
  conv->set_padding(padding);
  conv->set_activation(v1::ACTIVATION_RELU);
}

void AddMaxPool(v1::ModelDescription* model) {
  v1::Pool2D* pool = model->add_layers()->mutable_max_pool2d();
  pool->set_pool_height(2);
  pool->set_pool_width(2);
}

void AddDense(uint32_t units, v1::Activation activation, v1::ModelDescription* model) {
  v1::Dense* dense = model->add_layers()->mutable_dense();
  dense->set_units(units);
  dense->set_activation(activation);
}

v1::ModelDescription Mnist(const std::string& name) {
  v1::ModelDescription model;
  model.set_preset(name);
  for (const uint32_t d : {28, 28, 1}) model.add_input(d);
  model.set_loss(v1::LOSS_SPARSE_CATEGORICAL_CROSSENTROPY);
  return model;
}

// The classic first Keras CNN; 693,962 parameters with ten classes, 692,801 with one sigmoid unit.
v1::ModelDescription KerasCnn(const std::string& name, bool binary) {
  v1::ModelDescription model = Mnist(name);
  AddConv(32, 3, v1::PADDING_VALID, &model);
  AddMaxPool(&model);
  model.add_layers()->mutable_flatten();
  AddDense(128, v1::ACTIVATION_RELU, &model);
  if (binary) {
    AddDense(1, v1::ACTIVATION_SIGMOID, &model);
    model.set_loss(v1::LOSS_BINARY_CROSSENTROPY);
  } else {
    AddDense(10, v1::ACTIVATION_SOFTMAX, &model);
  }
  return model;
}

// McMahan et al. 2017, section 3; 1,663,370 parameters.
v1::ModelDescription FedAvgCnn(const std::string& name) {
  v1::ModelDescription model = Mnist(name);
  AddConv(32, 5, v1::PADDING_SAME, &model);
  AddMaxPool(&model);
  AddConv(64, 5, v1::PADDING_SAME, &model);
  AddMaxPool(&model);
  model.add_layers()->mutable_flatten();
  AddDense(512, v1::ACTIVATION_RELU, &model);
  AddDense(10, v1::ACTIVATION_SOFTMAX, &model);
  return model;
}

}  // namespace

absl::StatusOr<v1::ModelDescription> ModelDescription::Preset(const std::string& name) {
  if (name == "keras-cnn") return KerasCnn(name, /*binary=*/false);
  if (name == "cat-cnn") return KerasCnn(name, /*binary=*/true);
  if (name == "fedavg-cnn") return FedAvgCnn(name);
  return absl::NotFoundError(absl::StrCat("no preset named '", name, "'; there are: keras-cnn, cat-cnn, fedavg-cnn"));
}

}  // namespace tributary::nn
