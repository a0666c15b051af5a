#include "common/nn/model_description.h"

#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/names.h"
#include "common/base/text.h"
#include "tributary/v1/model.pb.h"

namespace tributary::nn {
namespace {

constexpr size_t kMaxParameters = size_t{1} << 28;
constexpr size_t kMaxValues = size_t{1} << 28;  // in one layer's input or output, for one example
constexpr uint32_t kMaxFilters = 4096, kMaxWindow = 64, kMaxUnits = 1u << 20;
constexpr int kMaxLayers = 256;

// What flows from layer to layer. Not set once a layer's fault makes the shape unknown.
struct Flow {
  Shape shape;
  bool flat = false;
};

// One axis of a convolution or pool. False when nothing would be left.
bool ResolveAxis(size_t in, size_t window, size_t stride, Padding padding, size_t* out, size_t* pad_before) {
  *pad_before = 0;
  if (padding == Padding::kValid) {
    if (in < window) return false;
    *out = (in - window) / stride + 1;
    return true;
  }
  *out = (in + stride - 1) / stride;
  const size_t covered = (*out - 1) * stride + window;
  if (covered > in) *pad_before = (covered - in) / 2;  // the odd one goes to the end
  return *out > 0;
}

const char* KindName(LayerKind kind) {
  switch (kind) {
    case LayerKind::kConv2D:
      return "conv2d";
    case LayerKind::kMaxPool2D:
      return "max_pool2d";
    case LayerKind::kAvgPool2D:
      return "avg_pool2d";
    case LayerKind::kFlatten:
      return "flatten";
    case LayerKind::kDense:
      return "dense";
    case LayerKind::kDropout:
      return "dropout";
    case LayerKind::kActivation:
      return "activation";
  }
  return "?";
}

std::string ShapeText(const Flow& flow) {
  if (flow.flat) return absl::StrCat("[", flow.shape.c, "]");
  return absl::StrCat("[", flow.shape.h, ", ", flow.shape.w, ", ", flow.shape.c, "]");
}

// Turns the message into layers, one after the other, and collects every fault on the way.
class Resolver {
 public:
  explicit Resolver(const v1::ModelDescription& proto) : proto_(proto) {}

  void Input() {
    if (proto_.input_size() != 1 && proto_.input_size() != 3) {
      return Fault(absl::StrCat("input: must be [height, width, channels] or [features], has ", proto_.input_size(),
                                " numbers"));
    }
    size_t size = 1;
    for (const uint32_t d : proto_.input()) {
      if (d == 0 || d > kMaxValues || (size *= d) > kMaxValues) {
        return Fault(absl::StrCat("input: sizes must be at least 1 and at most ", kMaxValues, " together"));
      }
    }
    Flow flow;
    flow.flat = proto_.input_size() == 1;
    flow.shape = flow.flat ? Shape{1, 1, proto_.input(0)} : Shape{proto_.input(0), proto_.input(1), proto_.input(2)};
    flow_ = input_ = flow;
  }

  void PresetName() {
    if (!proto_.preset().empty() && !IsValidName(proto_.preset())) Fault("preset: is no name");
  }

  void Layers() {
    if (proto_.layers_size() < 1 || proto_.layers_size() > kMaxLayers) {
      Fault(absl::StrCat("layers: must be 1 to ", kMaxLayers, ", are ", proto_.layers_size()));
      if (proto_.layers_size() > kMaxLayers) return;
    }
    for (index_ = 0; index_ < proto_.layers_size(); ++index_) Layer(proto_.layers(index_));
    if (parameters_ > kMaxParameters) {
      Fault(absl::StrCat("layers: ", parameters_, " parameters, at most ", kMaxParameters, " are allowed"));
    }
  }

  Loss CheckLoss() {
    const LayerSpec* last = layers_.empty() ? nullptr : &layers_.back();
    const Activation end = last ? last->activation : Activation::kNone;
    const std::optional<Shape> out = flow_ ? std::optional<Shape>(flow_->shape) : std::nullopt;
    switch (proto_.loss()) {
      case v1::LOSS_SPARSE_CATEGORICAL_CROSSENTROPY:
        if (last && end != Activation::kSoftmax) Fault("loss: sparse categorical cross-entropy needs softmax last");
        if (out && (out->h != 1 || out->w != 1 || out->c < 2)) {
          Fault("loss: sparse categorical cross-entropy needs a flat output of at least 2 values");
        }
        return Loss::kSparseCategoricalCrossentropy;
      case v1::LOSS_BINARY_CROSSENTROPY:
        if ((last && end != Activation::kSigmoid) || (out && out->size() != 1)) {
          Fault("loss: binary cross-entropy needs one sigmoid unit last");
        }
        return Loss::kBinaryCrossentropy;
      case v1::LOSS_MEAN_SQUARED_ERROR:
        return Loss::kMeanSquaredError;
      default:
        Fault("loss: must be sparse categorical cross-entropy, binary cross-entropy or mean squared error");
    }
    return Loss::kMeanSquaredError;
  }

  void CheckClasses(Loss loss) {
    if (proto_.classes().empty() || !flow_) return;
    const size_t expected = loss == Loss::kSparseCategoricalCrossentropy ? flow_->shape.size()
                            : loss == Loss::kBinaryCrossentropy          ? 2
                                                                         : 0;
    if (static_cast<size_t>(proto_.classes_size()) != expected) {
      return Fault(
          absl::StrCat("classes: ", proto_.classes_size(), " names, but the model tells ", expected, " classes apart"));
    }
    std::set<std::string> seen;
    for (const std::string& name : proto_.classes()) {
      if (name.empty() || name.size() > 256) return Fault("classes: a name must have 1 to 256 bytes");
      if (EscapeForTerminal(name) != name) return Fault("classes: a name must be UTF-8 without control characters");
      if (!seen.insert(name).second) return Fault(absl::StrCat("classes: '", name, "' is there twice"));
    }
  }

  std::vector<float> Scale(const char* field, const google::protobuf::RepeatedField<float>& values, bool positive) {
    for (const float v : values) {
      if (!std::isfinite(v) || (positive && v <= 0)) {
        Fault(absl::StrCat(field, ": must be ", positive ? "above 0 and finite" : "finite"));
        break;
      }
    }
    if (!input_) return {};
    const size_t channels = input_->shape.c;
    if (values.size() > 1 && static_cast<size_t>(values.size()) != channels) {
      Fault(absl::StrCat(field, ": has ", values.size(), " values, needs none, one, or one per channel (", channels,
                         ")"));
    }
    return {values.begin(), values.end()};
  }

  const std::vector<std::string>& faults() const { return faults_; }
  const std::optional<Flow>& input() const { return input_; }
  std::vector<LayerSpec> TakeLayers() { return std::move(layers_); }
  size_t parameters() const { return parameters_; }

 private:
  void Fault(std::string what) { faults_.push_back(std::move(what)); }
  void LayerFault(const LayerSpec& spec, const std::string& what) {
    Fault(absl::StrCat("layer ", index_ + 1, " (", KindName(spec.kind), "): ", what));
  }

  void Layer(const v1::Layer& proto) {
    LayerSpec spec;
    switch (proto.kind_case()) {
      case v1::Layer::kConv2D:
        Conv(proto.conv2d(), &spec);
        break;
      case v1::Layer::kMaxPool2D:
        Pool(proto.max_pool2d(), LayerKind::kMaxPool2D, &spec);
        break;
      case v1::Layer::kAvgPool2D:
        Pool(proto.avg_pool2d(), LayerKind::kAvgPool2D, &spec);
        break;
      case v1::Layer::kFlatten:
        Flatten(&spec);
        break;
      case v1::Layer::kDense:
        Dense(proto.dense(), &spec);
        break;
      case v1::Layer::kDropout:
        Dropout(proto.dropout(), &spec);
        break;
      case v1::Layer::kActivation:
        ActivationLayer(proto.activation(), &spec);
        break;
      case v1::Layer::KIND_NOT_SET:
        Fault(absl::StrCat("layer ", index_ + 1, ": is of no kind that this version knows"));
        flow_.reset();
    }
    if (spec.activation == Activation::kSoftmax) CheckSoftmax(spec);
    layers_.push_back(spec);
  }

  void CheckSoftmax(const LayerSpec& spec) {
    if (index_ + 1 != proto_.layers_size()) LayerFault(spec, "softmax is for the last layer only");
  }

  void Conv(const v1::Conv2D& proto, LayerSpec* spec) {
    spec->kind = LayerKind::kConv2D;
    spec->activation = ToActivation(proto.activation(), *spec);
    if (proto.filters() < 1 || proto.filters() > kMaxFilters) {
      LayerFault(*spec, absl::StrCat("filters must be 1 to ", kMaxFilters, ", is ", proto.filters()));
      flow_.reset();
    }
    const uint32_t stride_h = proto.stride_height() ? proto.stride_height() : 1;
    const uint32_t stride_w = proto.stride_width() ? proto.stride_width() : 1;
    if (!Window("kernel", proto.kernel_height(), proto.kernel_width(), stride_h, stride_w, proto.padding(), spec)) {
      return;
    }
    spec->out.c = proto.filters();
    spec->kernel_size = spec->window_h * spec->window_w * spec->in.c * spec->out.c;
    Finish(spec);
  }

  void Pool(const v1::Pool2D& proto, LayerKind kind, LayerSpec* spec) {
    spec->kind = kind;
    const uint32_t stride_h = proto.stride_height() ? proto.stride_height() : proto.pool_height();
    const uint32_t stride_w = proto.stride_width() ? proto.stride_width() : proto.pool_width();
    if (!Window("pool", proto.pool_height(), proto.pool_width(), stride_h, stride_w, proto.padding(), spec)) return;
    spec->out.c = spec->in.c;
    Finish(spec);
  }

  // Shared by convolution and pools: checks sizes, resolves out.h and out.w. False: the shape is unknown.
  bool Window(const char* what, uint32_t h, uint32_t w, uint32_t stride_h, uint32_t stride_w, v1::Padding padding,
              LayerSpec* spec) {
    const auto in_range = [](uint32_t v) { return v >= 1 && v <= kMaxWindow; };
    const bool sizes_fit = in_range(h) && in_range(w);
    const bool strides_fit = in_range(stride_h) && in_range(stride_w);
    if (!sizes_fit) LayerFault(*spec, absl::StrCat(what, " must be 1 to ", kMaxWindow, " each way, is ", h, " x ", w));
    if (sizes_fit && !strides_fit) {
      LayerFault(*spec, absl::StrCat("stride must be 1 to ", kMaxWindow, ", is ", stride_h, " x ", stride_w));
    }
    if (padding != v1::PADDING_UNSPECIFIED && padding != v1::PADDING_VALID && padding != v1::PADDING_SAME) {
      LayerFault(*spec, "padding must be valid or same");
    }
    if (flow_ && flow_->flat)
      LayerFault(*spec, absl::StrCat("needs [height, width, channels], gets ", ShapeText(*flow_)));
    if (!sizes_fit || !strides_fit || !flow_ || flow_->flat) {
      flow_.reset();
      return false;
    }
    spec->padding = padding == v1::PADDING_SAME ? Padding::kSame : Padding::kValid;
    spec->window_h = h, spec->window_w = w, spec->stride_h = stride_h, spec->stride_w = stride_w;
    spec->in = flow_->shape;
    if (!ResolveAxis(spec->in.h, h, stride_h, spec->padding, &spec->out.h, &spec->pad_top) ||
        !ResolveAxis(spec->in.w, w, stride_w, spec->padding, &spec->out.w, &spec->pad_left)) {
      LayerFault(*spec, absl::StrCat("output would be empty: ", what, " ", h, " x ", w, " on ", ShapeText(*flow_)));
      flow_.reset();
      return false;
    }
    return true;
  }

  void Flatten(LayerSpec* spec) {
    spec->kind = LayerKind::kFlatten;
    if (!flow_) return;
    spec->in = flow_->shape;
    spec->out = {1, 1, spec->in.size()};
    flow_->flat = true;
    Finish(spec);
  }

  void Dense(const v1::Dense& proto, LayerSpec* spec) {
    spec->kind = LayerKind::kDense;
    spec->activation = ToActivation(proto.activation(), *spec);
    if (proto.units() < 1 || proto.units() > kMaxUnits) {
      LayerFault(*spec, absl::StrCat("units must be 1 to ", kMaxUnits, ", are ", proto.units()));
    }
    if (flow_ && !flow_->flat) {
      LayerFault(*spec, absl::StrCat("needs flat input, gets ", ShapeText(*flow_), ": put a flatten before it"));
    }
    if (!flow_ || !flow_->flat) return flow_.reset();
    spec->in = flow_->shape;
    spec->out = {1, 1, proto.units()};
    spec->kernel_size = spec->in.size() * spec->out.c;
    Finish(spec);
  }

  void Dropout(const v1::Dropout& proto, LayerSpec* spec) {
    spec->kind = LayerKind::kDropout;
    if (!(proto.rate() >= 0 && proto.rate() < 1)) {
      LayerFault(*spec, absl::StrCat("rate must be at least 0 and below 1, is ", proto.rate()));
    }
    spec->rate = proto.rate();
    PassThrough(spec);
  }

  void ActivationLayer(const v1::ActivationLayer& proto, LayerSpec* spec) {
    spec->kind = LayerKind::kActivation;
    spec->activation = ToActivation(proto.activation(), *spec);
    if (proto.activation() == v1::ACTIVATION_UNSPECIFIED) {
      LayerFault(*spec, "names no activation");
    }
    PassThrough(spec);
  }

  void PassThrough(LayerSpec* spec) {
    if (!flow_) return;
    spec->in = spec->out = flow_->shape;
    Finish(spec);
  }

  Activation ToActivation(v1::Activation activation, const LayerSpec& spec) {
    switch (activation) {
      case v1::ACTIVATION_UNSPECIFIED:
        return Activation::kNone;
      case v1::ACTIVATION_RELU:
        return Activation::kRelu;
      case v1::ACTIVATION_SIGMOID:
        return Activation::kSigmoid;
      case v1::ACTIVATION_TANH:
        return Activation::kTanh;
      case v1::ACTIVATION_SOFTMAX:
        return Activation::kSoftmax;
      default:
        LayerFault(spec, absl::StrCat("activation ", static_cast<int>(activation), " is not known"));
    }
    return Activation::kNone;
  }

  // Gives the layer its place among the parameters and passes its output on. Every factor is bounded above, so that
  // no product here can overflow; the sum stops growing at the first excess.
  void Finish(LayerSpec* spec) {
    const size_t out = spec->out.h * spec->out.w * spec->out.c;
    if (out == 0 || out > kMaxValues) {
      if (out > kMaxValues) LayerFault(*spec, absl::StrCat("output of ", out, " values, at most ", kMaxValues));
      return flow_.reset();
    }
    spec->kernel_offset = parameters_;
    if (spec->kernel_size > 0) spec->bias_size = spec->out.c;
    if (parameters_ <= kMaxParameters) parameters_ += spec->kernel_size + spec->bias_size;
    flow_->shape = spec->out;
  }

  const v1::ModelDescription& proto_;
  int index_ = 0;
  std::optional<Flow> input_, flow_;
  std::vector<LayerSpec> layers_;
  size_t parameters_ = 0;
  std::vector<std::string> faults_;
};

}  // namespace

absl::StatusOr<ModelDescription> ModelDescription::FromProto(const v1::ModelDescription& proto) {
  Resolver resolver(proto);
  resolver.PresetName();
  resolver.Input();
  resolver.Layers();
  ModelDescription model;
  model.loss_ = resolver.CheckLoss();
  resolver.CheckClasses(model.loss_);
  model.input_mean_ = resolver.Scale("input_mean", proto.input_mean(), false);
  model.input_std_ = resolver.Scale("input_std", proto.input_std(), true);
  if (!resolver.faults().empty()) return absl::InvalidArgumentError(absl::StrJoin(resolver.faults(), "\n"));
  model.input_ = resolver.input()->shape;
  model.flat_input_ = resolver.input()->flat;
  model.layers_ = resolver.TakeLayers();
  model.classes_.assign(proto.classes().begin(), proto.classes().end());
  model.parameter_count_ = resolver.parameters();
  return model;
}

std::vector<float> ModelDescription::PerChannel(const std::vector<float>& stated, float default_value) const {
  if (stated.size() > 1) return stated;
  return std::vector<float>(input_.c, stated.empty() ? default_value : stated[0]);
}

size_t ModelDescription::num_classes() const {
  switch (loss_) {
    case Loss::kSparseCategoricalCrossentropy:
      return output().size();
    case Loss::kBinaryCrossentropy:
      return 2;
    case Loss::kMeanSquaredError:
      return 0;
  }
  return 0;
}

std::vector<ParameterArray> ModelDescription::parameter_arrays() const {
  std::vector<ParameterArray> arrays;
  std::map<LayerKind, int> seen;
  for (const LayerSpec& layer : layers_) {
    const int number = ++seen[layer.kind];
    if (layer.kernel_size == 0) continue;
    const std::string name = absl::StrCat(KindName(layer.kind), "_", number);
    std::vector<size_t> shape = {layer.in.size(), layer.out.c};
    if (layer.kind == LayerKind::kConv2D) shape = {layer.window_h, layer.window_w, layer.in.c, layer.out.c};
    arrays.push_back({name + "/kernel", std::move(shape), layer.kernel_offset, layer.kernel_size});
    arrays.push_back({name + "/bias", {layer.bias_size}, layer.kernel_offset + layer.kernel_size, layer.bias_size});
  }
  return arrays;
}

}  // namespace tributary::nn
