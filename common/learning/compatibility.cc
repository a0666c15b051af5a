#include "common/learning/compatibility.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace tributary::learning {
namespace {

std::vector<uint64_t> ShapeOf(const nn::ModelDescription& model) {
  const nn::Shape& in = model.input();
  if (model.flat_input()) return {in.size()};
  return {in.h, in.w, in.c};
}

std::string ShapeText(const std::vector<uint64_t>& shape) { return absl::StrCat("[", absl::StrJoin(shape, ", "), "]"); }

bool TakesImages(const nn::ModelDescription& model) {
  return !model.flat_input() && (model.input().c == 1 || model.input().c == 3);
}

void CheckClasses(const DataFacts& facts, const nn::ModelDescription& model, std::vector<std::string>* reasons) {
  const std::vector<std::string>& known = model.classes();
  for (const std::string& name : facts.classes) {
    if (!known.empty() && std::find(known.begin(), known.end(), name) == known.end()) {
      reasons->push_back(absl::StrCat("class \"", name, "\" is not one of the model's: ", absl::StrJoin(known, ", ")));
    }
  }
  if (facts.num_classes > model.num_classes() && (facts.classes.empty() || known.empty())) {
    reasons->push_back(absl::StrCat("the data have ", facts.num_classes, " classes, the model ", model.num_classes()));
  }
}

absl::Status Failed(const std::vector<std::string>& reasons) {
  return reasons.empty() ? absl::OkStatus() : absl::FailedPreconditionError(absl::StrJoin(reasons, "\n"));
}

}  // namespace

DataFacts FactsOf(const data::Dataset& data) {
  DataFacts facts{.examples = data.count, .shape = {}, .classes = data.classes, .num_classes = data.num_classes};
  if (data.is_images() || data.height > 1 || data.width > 1) {
    facts.shape = {data.height, data.width, data.channels};
  } else {
    facts.shape = {data.channels};
  }
  return facts;
}

absl::Status CheckFacts(const DataFacts& facts, const nn::ModelDescription& model) {
  std::vector<std::string> reasons;
  if (facts.examples == 0) reasons.push_back("no examples");
  if (facts.shape.empty()) {
    if (!TakesImages(model)) {
      reasons.push_back(absl::StrCat("the data are images, the model takes ", ShapeText(ShapeOf(model))));
    }
  } else if (facts.shape != ShapeOf(model)) {
    reasons.push_back(
        absl::StrCat("the data have shape ", ShapeText(facts.shape), ", the model takes ", ShapeText(ShapeOf(model))));
  }
  const bool has_classes = facts.num_classes > 0 || !facts.classes.empty();
  if (model.num_classes() == 0 && has_classes) {
    reasons.push_back("the data have class labels, the model predicts numbers");
  } else if (model.num_classes() > 0) {
    CheckClasses(facts, model, &reasons);
  }
  return Failed(reasons);
}

absl::Status CheckCompatible(const data::Dataset& data, const nn::ModelDescription& model) {
  TRB_RETURN_IF_ERROR(CheckFacts(FactsOf(data), model));
  if (model.num_classes() == 0) {
    const size_t wanted = data.count * model.output().size();
    if (data.targets.size() == wanted) return absl::OkStatus();
    return Failed({absl::StrCat("the model predicts ", wanted, " numbers, the data have ", data.targets.size())});
  }
  if (data.labels.size() != data.count) return Failed({"the model needs class labels, the data have none"});
  if (!data.classes.empty() && !model.classes().empty() &&
      !(data.classes.size() <= model.classes().size() &&
        std::equal(data.classes.begin(), data.classes.end(), model.classes().begin()))) {
    return Failed({"the labels are not in the order of the model's classes"});
  }
  const auto classes = static_cast<int64_t>(model.num_classes());
  for (size_t i = 0; i < data.count; ++i) {
    if (data.labels[i] < 0 || data.labels[i] >= classes) {
      return Failed(
          {absl::StrCat("example ", i, " has label ", data.labels[i], ", the model has ", classes, " classes")});
    }
  }
  return absl::OkStatus();
}

std::vector<std::string> CompatibilityWarnings(const data::Dataset& data) {
  const auto differs = [&data](int32_t label) { return label != data.labels.front(); };
  if (data.labels.empty() || std::any_of(data.labels.begin(), data.labels.end(), differs)) return {};
  return {absl::StrCat("all examples are of one class (label ", data.labels.front(), ")")};
}

}  // namespace tributary::learning
