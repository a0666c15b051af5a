#include "client/session/data_holder.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/session/data_stamp.h"
#include "common/base/logging.h"
#include "common/base/memory_limit.h"
#include "common/data/partition.h"
#include "common/learning/compatibility.h"
#include "common/wire/check.h"

namespace tributary::session {
namespace {

// What images of any size are decoded to at start: enough to find what does not decode and what is there twice, and
// little enough memory for any folder.
constexpr nn::Shape kGlance{32, 32, 3};

data::Duplicates DuplicatesOf(const policy::Policy& policy) {
  switch (policy.duplicates) {
    case policy::Duplicates::kSkip:
      return data::Duplicates::kSkip;
    case policy::Duplicates::kRefuse:
      return data::Duplicates::kRefuse;
    default:
      return data::Duplicates::kKeep;
  }
}

data::LoadOptions OptionsOf(const ClientSettings& settings, const policy::Policy& policy) {
  data::LoadOptions options;
  if (settings.shape.size() == 3) {
    options.height = static_cast<size_t>(settings.shape[0]);
    options.width = static_cast<size_t>(settings.shape[1]);
    options.channels = static_cast<size_t>(settings.shape[2]);
  }
  options.label_column = settings.label_column;
  options.regression = settings.regression;
  options.policy = policy.bad_data == policy::BadData::kSkip ? data::Policy::kSkip : data::Policy::kRefuse;
  options.duplicates = DuplicatesOf(policy);
  options.max_bytes = std::min(options.max_bytes, MemoryLimitBytes());
  return options;
}

// One share of the whole, so that demonstrations need no prepared files.
absl::StatusOr<data::Dataset> TakePart(data::Dataset all, const ClientSettings& settings) {
  if (settings.part.empty()) return all;
  TRB_ASSIGN_OR_RETURN(const data::PartNumber part, data::ParsePart(settings.part));
  if (all.is_regression()) return absl::InvalidArgumentError("a share of data needs class labels");
  TRB_ASSIGN_OR_RETURN(const data::Parts parts,
                       data::Partition(all.labels, all.num_classes, settings.partition, part.count, settings.seed));
  const std::vector<uint32_t>& mine = parts[part.index - 1];
  if (mine.empty()) return absl::InvalidArgumentError(absl::StrCat("share ", settings.part, " holds no example"));
  return all.Select(mine);
}

bool HasAnySize(const ClientSettings& settings, data::Format format) {
  return format == data::Format::kImages && settings.shape.empty();
}

// `size`: what images of any size are decoded to.
absl::StatusOr<data::LoadResult> LoadAll(const ClientSettings& settings, const policy::Policy& policy,
                                         const nn::Shape& size) {
  data::LoadOptions options = OptionsOf(settings, policy);
  TRB_ASSIGN_OR_RETURN(options.format, data::ParseFormat(settings.format));
  if (options.format == data::Format::kGuess) {
    TRB_ASSIGN_OR_RETURN(options.format, data::GuessFormat(settings.data));
  }
  if (HasAnySize(settings, options.format)) {
    options.height = size.h;
    options.width = size.w;
    options.channels = size.c;
  }
  TRB_ASSIGN_OR_RETURN(data::LoadResult loaded, data::LoadData(settings.data, options));
  TRB_ASSIGN_OR_RETURN(loaded.dataset, TakePart(std::move(loaded.dataset), settings));
  return loaded;
}

learning::DataFacts ToLearning(const v1::DatasetFacts& facts) {
  learning::DataFacts out{.examples = facts.examples(), .shape = {}, .classes = {}, .num_classes = facts.num_classes()};
  out.shape.assign(facts.shape().begin(), facts.shape().end());
  out.classes.assign(facts.classes().begin(), facts.classes().end());
  return out;
}

std::string OneLine(const absl::Status& status) {
  std::string out(status.message());
  std::replace(out.begin(), out.end(), '\n', ';');
  return out;
}

// What a refusal says of a fault: the file and the place in it, but not where on this machine the data lie. It leaves
// the machine.
std::string Told(const ClientSettings& settings, const absl::Status& status) {
  const size_t slash = settings.data.rfind('/');
  const std::string text = OneLine(status);
  if (slash == std::string::npos || slash == 0) return text;
  return absl::StrReplaceAll(text, {{settings.data.substr(0, slash + 1), ""}});
}

}  // namespace

std::unique_ptr<DataHolder> DataHolder::Load(const ClientSettings& settings, const policy::Policy& policy) {
  std::unique_ptr<DataHolder> holder(new DataHolder);
  holder->settings_ = settings;
  holder->policy_ = policy;
  holder->watched_ = true;
  holder->Read();
  holder->SetTold(holder->facts());
  return holder;
}

std::unique_ptr<DataHolder> DataHolder::Of(data::Dataset dataset, absl::Status status) {
  std::unique_ptr<DataHolder> holder(new DataHolder);
  if (status.ok()) {
    holder->Take(std::move(dataset));
    holder->SetTold(holder->facts());
    return holder;
  }
  const MutexLock lock(&holder->mu_);
  holder->status_ = std::move(status);
  return holder;
}

// The stamp is taken before: what changes while the files are read makes them changed again.
void DataHolder::Read() {
  dataset_ = {};  // the memory of the old ones first
  std::string stamp = DataStamp(settings_.data);
  absl::StatusOr<data::LoadResult> loaded = LoadAll(settings_, policy_, kGlance);
  if (loaded.ok()) {
    report_ = std::move(loaded->report);
    format_ = loaded->format;
    any_size_ = HasAnySize(settings_, format_);
    Take(std::move(loaded->dataset));
  }
  const MutexLock lock(&mu_);
  if (!loaded.ok()) status_ = loaded.status();
  stamp_ = std::move(stamp);
}

void DataHolder::Take(data::Dataset dataset) {
  dataset_ = std::move(dataset);
  own_labels_ = dataset_.labels;
  const learning::DataFacts found = learning::FactsOf(dataset_);
  v1::DatasetFacts facts;
  facts.set_examples(found.examples);
  if (!any_size_)
    for (const uint64_t side : found.shape) facts.add_shape(static_cast<uint32_t>(side));
  for (const std::string& name : found.classes) facts.add_classes(name);
  facts.set_num_classes(static_cast<uint32_t>(found.num_classes));
  const MutexLock lock(&mu_);
  own_classes_ = dataset_.classes;
  own_num_classes_ = dataset_.num_classes;
  // What the coordinator would refuse is better said here, where somebody can mend it.
  status_ = Annotate(wire::Check(facts), "the coordinator cannot be told of these data");
  if (status_.ok()) facts_ = std::move(facts);
}

absl::Status DataHolder::status() const {
  const MutexLock lock(&mu_);
  return status_;
}

v1::DatasetFacts DataHolder::facts() const {
  const MutexLock lock(&mu_);
  return facts_;
}

void DataHolder::SetTold(const v1::DatasetFacts& facts) {
  const MutexLock lock(&mu_);
  told_ = facts;
}

bool DataHolder::MustTell() const {
  const MutexLock lock(&mu_);
  return status_.ok() && facts_.SerializeAsString() != told_.SerializeAsString();
}

bool DataHolder::Changed() const {
  if (!watched_) return false;
  const std::string now = DataStamp(settings_.data);
  const MutexLock lock(&mu_);
  return now != stamp_;
}

Refusal DataHolder::Reread() {
  if (Changed()) {
    Read();
    Log(LogLevel::kInfo, "data_read_again", {{"facts", DescribeFacts(facts())}, {"status", status().ToString()}});
  }
  const bool told = !MustTell();
  const MutexLock lock(&mu_);
  if (!status_.ok()) return {"data_error", Told(settings_, status_)};
  if (told) return {};
  return {"data_mismatch", absl::StrCat("the data changed: ", DescribeFacts(facts_), "; the coordinator was told ",
                                        DescribeFacts(told_), " and is told anew")};
}

Refusal DataHolder::Check(const nn::ModelDescription& model) const {
  if (Changed()) return {};
  return CheckAsRead(model);
}

Refusal DataHolder::CheckAsRead(const nn::ModelDescription& model) const {
  const MutexLock lock(&mu_);
  if (!status_.ok()) return {"data_error", Told(settings_, status_)};
  if (Refusal unknown = CheckClasses(model); unknown.refused()) return unknown;
  const absl::Status fit = learning::CheckFacts(ToLearning(facts_), model);
  if (!fit.ok()) return {"data_mismatch", OneLine(fit)};
  return {};
}

Refusal DataHolder::CheckClasses(const nn::ModelDescription& model) const {
  if (model.classes().empty()) return {};
  for (const std::string& name : own_classes_)
    if (std::find(model.classes().begin(), model.classes().end(), name) == model.classes().end())
      return {"unknown_class", absl::StrCat("the data have a class \"", name, "\" that the run does not list")};
  return {};
}

// Another count or other classes than hello told would train on what the coordinator does not know of, and cut shares
// at other places.
Refusal DataHolder::DecodeFor(const nn::Shape& input) {
  if (nn::Shape{dataset_.height, dataset_.width, dataset_.channels} == input) return {};
  dataset_ = {};  // the memory of the old ones first
  absl::StatusOr<data::LoadResult> loaded = LoadAll(settings_, policy_, input);
  if (!loaded.ok()) return {"data_error", Told(settings_, loaded.status())};
  const MutexLock lock(&mu_);
  if (loaded->dataset.count != facts_.examples() || loaded->dataset.classes != own_classes_ ||
      loaded->dataset.num_classes != own_num_classes_)
    return {"data_error", absl::StrCat("the data changed while they were read (", loaded->dataset.count, " examples, ",
                                       facts_.examples(), " a moment before)")};
  dataset_ = std::move(loaded->dataset);
  own_labels_ = dataset_.labels;
  return {};
}

absl::StatusOr<const data::Dataset*> DataHolder::ForModel(const nn::ModelDescription& model) {
  Refusal refusal = Reread();
  if (!refusal.refused()) refusal = CheckAsRead(model);
  if (!refusal.refused() && any_size_) refusal = DecodeFor(model.input());
  if (refusal.refused()) return ToStatus(refusal);
  const MutexLock lock(&mu_);
  dataset_.labels = own_labels_;
  dataset_.classes = own_classes_;
  dataset_.num_classes = own_num_classes_;
  if (own_classes_.empty() || model.classes().empty()) return &dataset_;
  std::vector<int32_t> place(own_classes_.size());
  for (size_t i = 0; i < own_classes_.size(); ++i)
    place[i] = static_cast<int32_t>(std::find(model.classes().begin(), model.classes().end(), own_classes_[i]) -
                                    model.classes().begin());
  for (int32_t& label : dataset_.labels) label = place.at(static_cast<size_t>(label));
  dataset_.classes = model.classes();
  dataset_.num_classes = model.classes().size();
  return &dataset_;
}

std::string DescribeFacts(const v1::DatasetFacts& facts) {
  std::string out = absl::StrCat(facts.examples(), " examples, ",
                                 facts.shape().empty() ? "images of any size" : absl::StrJoin(facts.shape(), "x"));
  if (facts.classes_size() > 0) {
    absl::StrAppend(&out, ", classes ", absl::StrJoin(facts.classes(), " "));
  } else if (facts.num_classes() > 0) {
    absl::StrAppend(&out, ", ", facts.num_classes(), " classes");
  }
  return out;
}

}  // namespace tributary::session
