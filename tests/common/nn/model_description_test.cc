#include "common/nn/model_description.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "tests/common/nn/models.h"

namespace tributary::nn {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kSoftmaxEnd =
    R"( layers { flatten {} } layers { dense { units: 3 activation: ACTIVATION_SOFTMAX } }
    loss: LOSS_SPARSE_CATEGORICAL_CROSSENTROPY )";

std::string Faults(const std::string& text) {
  const absl::StatusOr<ModelDescription> model = ModelDescription::FromProto(ModelProto(text));
  if (model.ok()) return "no fault";
  EXPECT_EQ(absl::StatusCode::kInvalidArgument, model.status().code());
  return std::string(model.status().message());
}

TEST(ModelPresetTest, HaveTheirPublishedParameterCounts) {
  EXPECT_EQ(693962u, PresetModel("keras-cnn").parameter_count());
  EXPECT_EQ(692801u, PresetModel("cat-cnn").parameter_count());
  EXPECT_EQ(1663370u, PresetModel("fedavg-cnn").parameter_count());
}

TEST(ModelPresetTest, UnknownNameListsTheKnownOnes) {
  const absl::Status status = ModelDescription::Preset("resnet").status();
  EXPECT_EQ(absl::StatusCode::kNotFound, status.code());
  EXPECT_THAT(std::string(status.message()), HasSubstr("keras-cnn, cat-cnn, fedavg-cnn"));
}

TEST(ModelPresetTest, KerasCnnHasTheShapesOfKeras) {
  const ModelDescription model = PresetModel("keras-cnn");
  EXPECT_EQ((Shape{28, 28, 1}), model.input());
  EXPECT_FALSE(model.flat_input());
  EXPECT_EQ((Shape{26, 26, 32}), model.layers()[0].out);
  EXPECT_EQ((Shape{13, 13, 32}), model.layers()[1].out);
  EXPECT_EQ((Shape{1, 1, 5408}), model.layers()[2].out);
  EXPECT_EQ((Shape{1, 1, 10}), model.output());
  EXPECT_EQ(10u, model.num_classes());
  EXPECT_EQ(2u, PresetModel("cat-cnn").num_classes());
}

TEST(ModelDescriptionTest, ParameterArraysFollowEachOtherKernelBeforeBias) {
  const std::vector<ParameterArray> arrays = PresetModel("keras-cnn").parameter_arrays();
  ASSERT_EQ(6u, arrays.size());
  EXPECT_EQ("conv2d_1/kernel", arrays[0].name);
  EXPECT_THAT(arrays[0].shape, ElementsAre(3, 3, 1, 32));
  EXPECT_EQ("conv2d_1/bias", arrays[1].name);
  EXPECT_EQ("dense_1/kernel", arrays[2].name);
  EXPECT_THAT(arrays[2].shape, ElementsAre(5408, 128));
  EXPECT_EQ("dense_2/bias", arrays[5].name);
  size_t at = 0;
  for (const ParameterArray& array : arrays) {
    EXPECT_EQ(at, array.offset) << array.name;
    size_t size = 1;
    for (const size_t d : array.shape) size *= d;
    EXPECT_EQ(size, array.size);
    at += array.size;
  }
  EXPECT_EQ(693962u, at);
}

struct ShapeCase {
  const char* name;
  const char* layer;
  Shape in, out;
  size_t pad_top, pad_left;
};

class ShapeTest : public testing::TestWithParam<ShapeCase> {};

// As Keras computes them.
TEST_P(ShapeTest, IsResolvedAsKerasDoes) {
  const ShapeCase& c = GetParam();
  const ModelDescription model = Model(absl::StrCat("input: ", c.in.h, " input: ", c.in.w, " input: ", c.in.c,
                                                    " layers { ", c.layer, " }", kSoftmaxEnd));
  const LayerSpec& layer = model.layers()[0];
  EXPECT_EQ(c.out, layer.out);
  EXPECT_EQ(c.pad_top, layer.pad_top);
  EXPECT_EQ(c.pad_left, layer.pad_left);
}

INSTANTIATE_TEST_SUITE_P(
    Cases, ShapeTest,
    testing::Values(
        ShapeCase{"ValidFloors",
                  "conv2d { filters: 4 kernel_height: 3 kernel_width: 5 stride_height: 2 stride_width: 3 }",
                  {10, 12, 2},
                  {4, 3, 4},
                  0,
                  0},
        ShapeCase{"SameCeils",
                  "conv2d { filters: 4 kernel_height: 3 kernel_width: 5 stride_height: 2 padding: PADDING_SAME }",
                  {7, 9, 2},
                  {4, 9, 4},
                  1,
                  2},
        ShapeCase{"SameOddPaddingGoesToTheEnd",
                  "conv2d { filters: 4 kernel_height: 2 kernel_width: 4 padding: PADDING_SAME }",
                  {5, 6, 1},
                  {5, 6, 4},
                  0,
                  1},
        ShapeCase{"SameWithStrideAboveKernelPadsNothing",
                  "conv2d { filters: 1 kernel_height: 1 kernel_width: 1 stride_height: 3 stride_width: 3 padding: "
                  "PADDING_SAME }",
                  {7, 8, 1},
                  {3, 3, 1},
                  0,
                  0},
        ShapeCase{
            "PoolStridesDefaultToThePool", "max_pool2d { pool_height: 2 pool_width: 3 }", {7, 9, 5}, {3, 3, 5}, 0, 0},
        ShapeCase{"PoolSame",
                  "avg_pool2d { pool_height: 2 pool_width: 2 padding: PADDING_SAME }",
                  {7, 9, 5},
                  {4, 5, 5},
                  0,
                  0},
        ShapeCase{"PoolOwnStrides",
                  "avg_pool2d { pool_height: 3 pool_width: 3 stride_height: 1 stride_width: 2 }",
                  {7, 9, 5},
                  {5, 4, 5},
                  0,
                  0}),
    [](const auto& variant) { return std::string(variant.param.name); });

struct FaultCase {
  const char* name;
  std::string text;
  const char* fault;
};

class FaultTest : public testing::TestWithParam<FaultCase> {};

TEST_P(FaultTest, IsNamed) { EXPECT_THAT(Faults(GetParam().text), HasSubstr(GetParam().fault)); }

std::string Image(const std::string& layers) { return "input: 8 input: 8 input: 1 " + layers + kSoftmaxEnd; }
std::string Flat(const std::string& rest) { return "input: 4 " + rest; }

INSTANTIATE_TEST_SUITE_P(
    Cases, FaultTest,
    testing::Values(
        FaultCase{"NoInput", kSoftmaxEnd, "input: must be [height, width, channels] or [features]"},
        FaultCase{"ZeroInput", std::string("input: 0") + kSoftmaxEnd, "input: sizes must be at least 1"},
        FaultCase{"HugeInput", std::string("input: 4000000000 input: 4000000000 input: 4000000000") + kSoftmaxEnd,
                  "input: sizes"},
        FaultCase{"NoLayers", Flat("loss: LOSS_MEAN_SQUARED_ERROR"), "layers: must be 1 to 256, are 0"},
        FaultCase{"NoLoss", Flat("layers { dense { units: 1 } }"), "loss: must be"},
        FaultCase{"UnknownLayer", Image("layers {}"), "layer 1: is of no kind"},
        FaultCase{"EmptyConv", Image("layers { conv2d { filters: 1 kernel_height: 9 kernel_width: 1 } }"),
                  "layer 1 (conv2d): output would be empty: kernel 9 x 1 on [8, 8, 1]"},
        FaultCase{"EmptyPool",
                  Image("layers { max_pool2d { pool_height: 2 pool_width: 2 } } "
                        "layers { max_pool2d { pool_height: 5 pool_width: 1 } }"),
                  "layer 2 (max_pool2d): output would be empty"},
        FaultCase{"NoFilters", Image("layers { conv2d { kernel_height: 1 kernel_width: 1 } }"),
                  "filters must be 1 to 4096, is 0"},
        FaultCase{"ManyFilters", Image("layers { conv2d { filters: 4294967295 kernel_height: 1 kernel_width: 1 } }"),
                  "filters must be 1 to 4096"},
        FaultCase{"NoKernel", Image("layers { conv2d { filters: 1 kernel_height: 1 } }"),
                  "kernel must be 1 to 64 each way, is 1 x 0"},
        FaultCase{"HugeStride", Image("layers { max_pool2d { pool_height: 2 pool_width: 2 stride_width: 65 } }"),
                  "stride must be 1 to 64"},
        FaultCase{"UnknownPadding", Image("layers { max_pool2d { pool_height: 2 pool_width: 2 padding: 7 } }"),
                  "padding must be"},
        FaultCase{"UnknownActivation",
                  Flat("layers { dense { units: 1 activation: 9 } } loss: LOSS_MEAN_SQUARED_ERROR"),
                  "activation 9 is not known"},
        FaultCase{"DenseOnImage", Image("layers { dense { units: 3 } }"),
                  "layer 1 (dense): needs flat input, gets [8, 8, 1]"},
        FaultCase{"ConvOnFlat",
                  Flat(std::string("layers { conv2d { filters: 1 kernel_height: 1 kernel_width: 1 } }") + kSoftmaxEnd),
                  "layer 1 (conv2d): needs [height, width, channels], gets [4]"},
        FaultCase{"NoUnits", Image("layers { flatten {} } layers { dense {} }"),
                  "layer 2 (dense): units must be 1 to 1048576, are 0"},
        FaultCase{"DropoutOfAll", Image("layers { dropout { rate: 1 } }"), "rate must be at least 0 and below 1"},
        FaultCase{"DropoutNan", Image("layers { dropout { rate: nan } }"), "rate must be at least 0 and below 1"},
        FaultCase{"EmptyActivation", Image("layers { activation {} }"), "layer 1 (activation): names no activation"},
        FaultCase{"SoftmaxInside", Image("layers { activation { activation: ACTIVATION_SOFTMAX } }"),
                  "layer 1 (activation): softmax is for the last layer only"},
        FaultCase{"CrossEntropyWithoutSoftmax",
                  Flat("layers { dense { units: 3 } } loss: LOSS_SPARSE_CATEGORICAL_CROSSENTROPY"),
                  "needs softmax last"},
        FaultCase{"CrossEntropyOfOne",
                  Flat("layers { dense { units: 1 activation: ACTIVATION_SOFTMAX } } loss: "
                       "LOSS_SPARSE_CATEGORICAL_CROSSENTROPY"),
                  "at least 2 values"},
        FaultCase{"BinaryOfTwo",
                  Flat("layers { dense { units: 2 activation: ACTIVATION_SIGMOID } } loss: LOSS_BINARY_CROSSENTROPY"),
                  "needs one sigmoid unit last"},
        FaultCase{"BinaryOnSoftmax",
                  Flat("layers { dense { units: 1 activation: ACTIVATION_SOFTMAX } } loss: LOSS_BINARY_CROSSENTROPY"),
                  "needs one sigmoid unit last"},
        FaultCase{"TooFewClasses", Image("classes: 'cat' classes: 'dog'"),
                  "classes: 2 names, but the model tells 3 classes apart"},
        FaultCase{"ClassTwice", Image("classes: 'a' classes: 'b' classes: 'a'"), "classes: 'a' is there twice"},
        FaultCase{"ClassUnnamed", Image("classes: 'a' classes: 'b' classes: ''"), "a name must have 1 to 256 bytes"},
        FaultCase{"ClassesOfRegression",
                  Flat("layers { dense { units: 1 } } loss: LOSS_MEAN_SQUARED_ERROR classes: 'a'"),
                  "classes: 1 names, but the model tells 0"},
        FaultCase{"MeanCount", Image("input_mean: 1 input_mean: 2"), "input_mean: has 2 values"},
        FaultCase{"MeanNan", Image("input_mean: nan"), "input_mean: must be finite"},
        FaultCase{"StdZero", Image("input_std: 0"), "input_std: must be above 0 and finite"},
        FaultCase{"StdInf", Image("input_std: inf"), "input_std: must be above 0 and finite"}),
    [](const auto& variant) { return std::string(variant.param.name); });

TEST(ModelDescriptionTest, AllFaultsAreListedAtOnce) {
  const std::string faults = Faults(R"(input: 8 input: 8 input: 1
      layers { conv2d { kernel_height: 99 kernel_width: 1 } } layers { dropout { rate: 2 } }
      layers { dense { activation: ACTIVATION_RELU } } input_std: -1)");
  for (const char* part : {"layer 1 (conv2d): filters", "layer 1 (conv2d): kernel", "layer 2 (dropout): rate",
                           "layer 3 (dense): units", "loss: must be", "input_std"}) {
    EXPECT_THAT(faults, HasSubstr(part));
  }
  EXPECT_EQ(5, std::count(faults.begin(), faults.end(), '\n')) << faults;
}

TEST(ModelDescriptionTest, TooManyParametersAreRefusedWithoutOverflow) {
  // 2^20 x 2^20 weights, a dozen times over.
  std::string text = "input: 1048576 ";
  for (int i = 0; i < 12; ++i) text += "layers { dense { units: 1048576 } } ";
  EXPECT_THAT(Faults(text + "loss: LOSS_MEAN_SQUARED_ERROR"), HasSubstr("parameters, at most 268435456 are allowed"));
  EXPECT_THAT(Faults("input: 268435456 layers { dense { units: 1 } } loss: LOSS_MEAN_SQUARED_ERROR"),
              HasSubstr("268435457 parameters"));
  EXPECT_EQ("no fault", Faults("input: 268435455 layers { dense { units: 1 } } loss: LOSS_MEAN_SQUARED_ERROR"));
}

TEST(ModelDescriptionTest, TooLargeAnOutputIsRefused) {
  EXPECT_THAT(
      Faults(R"(input: 16384 input: 16384 input: 1 layers { conv2d { filters: 2 kernel_height: 1 kernel_width: 1 } }
                        loss: LOSS_MEAN_SQUARED_ERROR)"),
      HasSubstr("output of 536870912 values"));
}

TEST(ModelDescriptionTest, TooManyLayersAreRefused) {
  std::string text = "input: 2 ";
  for (int i = 0; i < 257; ++i) text += "layers { flatten {} } ";
  EXPECT_THAT(Faults(text + "loss: LOSS_MEAN_SQUARED_ERROR"), HasSubstr("layers: must be 1 to 256, are 257"));
}

TEST(ModelDescriptionTest, InputScaleIsGivenPerChannel) {
  const std::string text = std::string("input: 4 input: 4 input: 3 ") + kSoftmaxEnd;
  EXPECT_THAT(Model(text).input_mean(), ElementsAre(0, 0, 0));
  EXPECT_THAT(Model(text).input_std(), ElementsAre(1, 1, 1));
  EXPECT_THAT(Model(text + "input_mean: 0.5").input_mean(), ElementsAre(0.5f, 0.5f, 0.5f));
  EXPECT_THAT(Model(text + "input_std: 1 input_std: 2 input_std: 3").input_std(), ElementsAre(1, 2, 3));
}

TEST(ModelDescriptionTest, ClassNamesAreKept) {
  const ModelDescription model = Model(std::string("input: 4 classes: 'a' classes: 'b' classes: 'c'") + kSoftmaxEnd);
  EXPECT_THAT(model.classes(), ElementsAre("a", "b", "c"));
  EXPECT_TRUE(model.flat_input());
}

}  // namespace
}  // namespace tributary::nn
