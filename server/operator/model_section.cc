#include "server/operator/model_section.h"

#include <array>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/nn/model_description.h"

namespace tributary::op {
namespace {

template <class E>
struct Word {
  const char* word;
  E value;
};

constexpr std::array kActivations = {
    Word<v1::Activation>{"linear", v1::ACTIVATION_UNSPECIFIED}, Word<v1::Activation>{"relu", v1::ACTIVATION_RELU},
    Word<v1::Activation>{"sigmoid", v1::ACTIVATION_SIGMOID}, Word<v1::Activation>{"tanh", v1::ACTIVATION_TANH},
    Word<v1::Activation>{"softmax", v1::ACTIVATION_SOFTMAX}};
constexpr std::array kPaddings = {Word<v1::Padding>{"valid", v1::PADDING_VALID},
                                  Word<v1::Padding>{"same", v1::PADDING_SAME}};
constexpr std::array kLosses = {
    Word<v1::Loss>{"sparse_categorical_crossentropy", v1::LOSS_SPARSE_CATEGORICAL_CROSSENTROPY},
    Word<v1::Loss>{"binary_crossentropy", v1::LOSS_BINARY_CROSSENTROPY},
    Word<v1::Loss>{"mean_squared_error", v1::LOSS_MEAN_SQUARED_ERROR}};

// The value of a word, with a fault that lists all of them when it is none.
template <class Table>
auto Choose(TomlTable* t, std::string_view key, const Table& table, const char* default_word) {
  const std::string word = t->String(key, default_word);
  std::vector<std::string> known;
  for (const auto& entry : table) {
    if (word == entry.word) return entry.value;
    known.push_back(entry.word);
  }
  t->Fault(key, absl::StrCat("\"", word, "\" is none of ", absl::StrJoin(known, ", ")));
  return table[0].value;
}

// [a, b], or a number for both.
std::pair<uint32_t, uint32_t> Pair(TomlTable* t, std::string_view key, uint32_t default_value) {
  if (!t->Has(key)) return {default_value, default_value};
  const std::vector<int64_t> v = t->Ints(key);
  bool good = v.size() == 1 || v.size() == 2;
  for (const int64_t x : v) good = good && x >= 1 && x <= 64;
  if (!good) {
    t->Fault(key, "expected a number from 1 to 64, or two of them as [height, width]");
    return {1, 1};
  }
  return {static_cast<uint32_t>(v.front()), static_cast<uint32_t>(v.back())};
}

void ReadConv(TomlTable t, v1::Conv2D* out) {
  if (!t.Has("filters")) t.Fault("filters", "conv2d needs filters");
  out->set_filters(static_cast<uint32_t>(t.Int("filters", 1, 1, 4096)));
  if (!t.Has("kernel")) t.Fault("kernel", "conv2d needs kernel = [height, width]");
  const auto [kh, kw] = Pair(&t, "kernel", 1);
  out->set_kernel_height(kh);
  out->set_kernel_width(kw);
  const auto [sh, sw] = Pair(&t, "strides", 1);
  out->set_stride_height(sh);
  out->set_stride_width(sw);
  out->set_padding(Choose(&t, "padding", kPaddings, "valid"));
  out->set_activation(Choose(&t, "activation", kActivations, "linear"));
  t.RejectUnknownKeys();
}

void ReadPool(TomlTable t, v1::Pool2D* out) {
  const auto [ph, pw] = Pair(&t, "pool", 2);
  out->set_pool_height(ph);
  out->set_pool_width(pw);
  if (t.Has("strides")) {
    const auto [sh, sw] = Pair(&t, "strides", 1);
    out->set_stride_height(sh);
    out->set_stride_width(sw);
  }
  out->set_padding(Choose(&t, "padding", kPaddings, "valid"));
  t.RejectUnknownKeys();
}

void ReadDense(TomlTable t, v1::Dense* out) {
  if (!t.Has("units")) t.Fault("units", "dense needs units");
  out->set_units(static_cast<uint32_t>(t.Int("units", 1, 1, 1 << 20)));
  out->set_activation(Choose(&t, "activation", kActivations, "linear"));
  t.RejectUnknownKeys();
}

void ReadDropout(TomlTable t, v1::Dropout* out) {
  if (!t.Has("rate")) t.Fault("rate", "dropout needs rate");
  out->set_rate(static_cast<float>(t.Double("rate", 0, 0, 0.999999)));
  t.RejectUnknownKeys();
}

bool IsBatchNorm(std::string_view kind) {
  return kind.starts_with("batch_norm") || kind == "batchnorm" || kind == "batchnormalization";
}

void FaultUnknownLayer(TomlTable* t, const std::string& kind) {
  if (IsBatchNorm(kind)) {
    t->Fault(kind,
             "batch normalisation is not offered: its running statistics differ per client, so their average describes "
             "no client's data");
    return;
  }
  static const std::vector<std::string> known = {"conv2d",  "max_pool2d", "avg_pool2d", "flatten", "dense",
                                                 "dropout", "relu",       "sigmoid",    "tanh",    "softmax"};
  const std::string nearest = NearestName(kind, known);
  t->Fault(kind, nearest.empty() ? absl::StrCat("unknown layer \"", kind, "\"; known: ", absl::StrJoin(known, ", "))
                                 : absl::StrCat("unknown layer \"", kind, "\"; did you mean \"", nearest, "\"?"));
}

// Marks an empty table such as `flatten = {}` as read and checks that it is empty.
void ReadEmpty(TomlTable t) { t.RejectUnknownKeys(); }

void ReadLayer(TomlTable* t, v1::Layer* out) {
  const std::vector<std::string> keys = t->Keys();
  if (keys.size() != 1) {
    t->Fault("", "a layer is a table with one key, e.g. { dense = { units = 10 } }");
    return;
  }
  const std::string& kind = keys[0];
  if (kind == "conv2d") return ReadConv(t->Table(kind), out->mutable_conv2d());
  if (kind == "max_pool2d") return ReadPool(t->Table(kind), out->mutable_max_pool2d());
  if (kind == "avg_pool2d") return ReadPool(t->Table(kind), out->mutable_avg_pool2d());
  if (kind == "dense") return ReadDense(t->Table(kind), out->mutable_dense());
  if (kind == "dropout") return ReadDropout(t->Table(kind), out->mutable_dropout());
  if (kind == "flatten") {
    out->mutable_flatten();
    return ReadEmpty(t->Table(kind));
  }
  for (const auto& a : kActivations) {
    if (kind != a.word || a.value == v1::ACTIVATION_UNSPECIFIED) continue;
    out->mutable_activation()->set_activation(a.value);
    return ReadEmpty(t->Table(kind));
  }
  FaultUnknownLayer(t, kind);
}

void ReadScaling(TomlTable* t, v1::ModelDescription* out) {
  for (const double v : t->Doubles("input_mean")) out->add_input_mean(static_cast<float>(v));
  for (const double v : t->Doubles("input_std")) out->add_input_std(static_cast<float>(v));
}

// Faults that the model itself has (shapes, losses) go to the line of the layer that they name.
void CheckModel(TomlTable* t, std::vector<TomlTable>* layers, const v1::ModelDescription& model) {
  const absl::Status status = nn::ModelDescription::FromProto(model).status();
  if (status.ok()) return;
  for (const absl::string_view line : absl::StrSplit(status.message(), '\n', absl::SkipEmpty())) {
    absl::string_view rest = line;
    uint32_t number = 0;
    if (absl::ConsumePrefix(&rest, "layer ") &&
        absl::SimpleAtoi(rest.substr(0, rest.find_first_not_of("0123456789")), &number) && number >= 1 &&
        number <= layers->size()) {
      (*layers)[number - 1].Fault("", std::string_view(line.data(), line.size()));
    } else {
      t->Fault("", std::string_view(line.data(), line.size()));
    }
  }
}

void ReadWrittenOut(TomlTable* t, v1::ModelDescription* out) {
  for (const int64_t n : t->Ints("input")) {
    if (n < 1 || n > (1 << 20)) t->Fault("input", "sizes must be from 1 to 1048576");
    out->add_input(static_cast<uint32_t>(n));
  }
  if (!t->Has("input"))
    t->Fault("input", "a model without a preset needs input = [height, width, channels] or [features]");
  out->set_loss(Choose(t, "loss", kLosses, "sparse_categorical_crossentropy"));
}

}  // namespace

v1::ModelDescription ReadModelSection(TomlTable* root, std::string* from) {
  v1::ModelDescription model;
  if (!root->Has("model")) root->Fault("", "no model: say for example model = { preset = \"keras-cnn\" }");
  const bool given = root->Has("model");
  TomlTable t = root->Table("model");
  *from = t.String("from", "");
  const std::string preset = t.String("preset", "");
  std::vector<TomlTable> layers = t.Tables("layers");
  bool known = true;
  if (!preset.empty()) {
    absl::StatusOr<v1::ModelDescription> made = nn::ModelDescription::Preset(preset);
    known = made.ok();
    if (made.ok()) model = *std::move(made);
    if (!known) t.Fault("preset", std::string(made.status().message()));
    if (t.Has("layers") || t.Has("input") || t.Has("loss")) t.Fault("preset", "give a preset or layers, not both");
  } else if (given) {
    ReadWrittenOut(&t, &model);
    for (TomlTable& layer : layers) ReadLayer(&layer, model.add_layers());
  }
  ReadScaling(&t, &model);
  for (std::string& name : root->Strings("classes")) model.add_classes(std::move(name));
  t.RejectUnknownKeys();
  if (given && known) CheckModel(&t, &layers, model);
  return model;
}

}  // namespace tributary::op
