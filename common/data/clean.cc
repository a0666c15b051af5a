#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <unordered_map>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/bytes.h"
#include "common/data/source.h"

namespace tributary::data {
namespace {

constexpr int32_t kUnknownClass = -2;

// A label spelled as a plain number: "0", "17"; not "007" or "+1".
bool IsPlainNumber(const std::string& name, int32_t* value) {
  if (name.empty() || name.size() > 9 || name.find_first_not_of("0123456789") != name.npos) return false;
  return (name.size() == 1 || name[0] != '0') && absl::SimpleAtoi(name, value);
}

// The place of each of `names`, and the class list that the labels are places in (empty: plain numbers).
std::vector<int32_t> PlacesOf(const std::vector<std::string>& names, std::vector<std::string>* classes) {
  std::vector<int32_t> places(names.size(), kUnknownClass);
  if (classes->empty()) {
    size_t numbers = 0;
    for (size_t i = 0; i < names.size(); ++i) numbers += IsPlainNumber(names[i], &places[i]);
    if (numbers == names.size()) return places;
    *classes = names;
    std::sort(classes->begin(), classes->end());
  }
  for (size_t i = 0; i < names.size(); ++i) {
    const auto at = std::find(classes->begin(), classes->end(), names[i]);
    places[i] = at == classes->end() ? kUnknownClass : static_cast<int32_t>(at - classes->begin());
  }
  return places;
}

absl::Status UnknownClasses(const std::string& path, const std::vector<std::string>& names,
                            const std::vector<std::string>& classes, const std::string& first_place) {
  std::vector<std::string> shown;
  for (const std::string& name : names) shown.push_back(EscapeForLog(name, 80));
  return absl::InvalidArgumentError(absl::StrCat(path, ": unknown class ", absl::StrJoin(shown, ", "),
                                                 first_place.empty() ? "" : absl::StrCat(" (", first_place, ")"),
                                                 "; the classes are ", absl::StrJoin(classes, ", ")));
}

// Turns places in raw->names into places in the class list; fills dataset.classes and the report.
absl::Status MapNames(RawData* raw, const LoadOptions& options, const std::string& path) {
  Dataset& data = raw->dataset;
  data.classes = options.classes;
  if (raw->names.empty()) return absl::OkStatus();
  const std::vector<int32_t> places = PlacesOf(raw->names, &data.classes);
  std::set<std::string> unknown;
  std::string first_place;
  for (size_t i = 0; i < data.labels.size(); ++i) {
    int32_t& label = data.labels[i];
    if (label < 0) continue;
    const std::string& name = raw->names[static_cast<size_t>(label)];
    label = places[static_cast<size_t>(label)];
    if (label != kUnknownClass) continue;
    if (unknown.empty()) first_place = raw->where(i);
    unknown.insert(name);
    raw->report.unknown_classes.Add(raw->where(i));
  }
  for (const std::string& name : unknown) {
    if (raw->report.unknown_class_names.size() < Report::kMaxNamed) raw->report.unknown_class_names.push_back(name);
  }
  if (unknown.empty() || options.unknown_classes == Policy::kSkip) return absl::OkStatus();
  return UnknownClasses(path, raw->report.unknown_class_names, data.classes, first_place);
}

// Rows of as many numbers as the shape asked for has become that shape; another size is refused.
absl::Status FitShape(Dataset* data, const LoadOptions& options, const std::string& path) {
  const size_t h = options.height, w = options.width, c = options.channels;
  const auto fits = [](size_t want, size_t have) { return want == 0 || want == have; };
  if (fits(h, data->height) && fits(w, data->width) && fits(c, data->channels)) return absl::OkStatus();
  const bool is_row = data->height == 1 && data->width == 1;
  if (is_row && h > 0 && w > 0 && c > 0 && data->channels / h / w == c && data->channels == h * w * c) {
    data->height = h;
    data->width = w;
    data->channels = c;
    return absl::OkStatus();
  }
  const auto shape = [](size_t a, size_t b, size_t n) {
    return absl::StrCat(std::max<size_t>(a, 1), "x", std::max<size_t>(b, 1), "x", std::max<size_t>(n, 1));
  };
  return absl::InvalidArgumentError(absl::StrCat(path, ": examples are ",
                                                 shape(data->height, data->width, data->channels), ", expected ",
                                                 shape(h, w, c), " (height x width x channels)"));
}

class DuplicateFinder {
 public:
  explicit DuplicateFinder(const RawData& raw) : data_(raw.dataset), stored_(raw.stored) {
    first_.reserve(data_.count);
  }

  // True when an earlier example has the same content, whatever its label.
  bool Seen(size_t i) {
    const std::string_view bytes = Bytes(i);
    const uint64_t hash = stored_.empty() ? Hash64(bytes.data(), bytes.size()) : stored_[i];
    auto [at, end] = first_.equal_range(hash);
    for (auto it = at; it != end; ++it) {
      if (Bytes(it->second) == bytes) return true;
    }
    first_.emplace(hash, i);
    return false;
  }

 private:
  std::string_view Bytes(size_t i) const {
    const size_t n = data_.example_size();
    if (!data_.pixels.empty()) return {reinterpret_cast<const char*>(data_.pixels.data() + i * n), n};
    return {reinterpret_cast<const char*>(data_.features.data() + i * n), n * sizeof(float)};
  }

  const Dataset& data_;
  const std::vector<uint64_t>& stored_;
  std::unordered_multimap<uint64_t, size_t> first_;
};

// The examples to keep; counts the others in the report.
std::vector<uint32_t> Keep(RawData* raw, const LoadOptions& options) {
  const Dataset& data = raw->dataset;
  const size_t limit = !data.classes.empty() ? data.classes.size() : options.num_classes;
  DuplicateFinder duplicates(*raw);
  raw->report.duplicates_kept = options.duplicates == Duplicates::kKeep;
  std::vector<uint32_t> keep;
  keep.reserve(data.count);
  for (size_t i = 0; i < data.count; ++i) {
    const int32_t label = data.labels.empty() ? 0 : data.labels[i];
    if (label == kUnknownClass) continue;
    if (label < 0 || (!data.labels.empty() && limit > 0 && static_cast<size_t>(label) >= limit)) {
      raw->report.label_out_of_range.Add(raw->where(i));
      continue;
    }
    if (duplicates.Seen(i)) {
      raw->report.duplicates.Add(raw->where(i));
      if (options.duplicates != Duplicates::kKeep) continue;
    }
    keep.push_back(static_cast<uint32_t>(i));
  }
  return keep;
}

absl::Status ApplyPolicy(const Report& report, const LoadOptions& options, const std::string& path) {
  std::vector<std::string> faults;
  const auto refuse = [&](const Report::Kind& kind, std::string_view what) {
    if (kind.count > 0)
      faults.push_back(absl::StrCat(kind.count, " ", std::string(what), " (", absl::StrJoin(kind.names, ", "), ")"));
  };
  if (options.policy == Policy::kRefuse) {
    refuse(report.undecodable, "do not decode");
    refuse(report.wrong_size, "do not fit in size");
    refuse(report.label_out_of_range, "have a label out of range");
  }
  if (options.duplicates == Duplicates::kRefuse) refuse(report.duplicates, "are exact duplicates");
  if (!faults.empty()) return absl::InvalidArgumentError(absl::StrCat(path, ": ", absl::StrJoin(faults, "; ")));
  return absl::OkStatus();
}

// Keras' validation split takes the tail: a tail without a class measures less than it seems to.
void WarnOfTail(const Dataset& data, Report* report) {
  const size_t tail_at = data.count - data.count / 10;
  if (data.count < 100 || tail_at == data.count) return;
  std::set<int32_t> head(data.labels.begin(), data.labels.begin() + tail_at);
  for (size_t i = tail_at; i < data.count; ++i) head.erase(data.labels[i]);
  if (head.empty()) return;
  report->warnings.push_back(absl::StrCat("the last tenth lacks ", head.size(),
                                          " of the classes (is the file sorted by label?): a validation split would "
                                          "not see them"));
}

void Count(Dataset* data, Report* report, size_t num_classes) {
  report->kept = data->count;
  if (data->labels.empty()) return;
  const int32_t largest = *std::max_element(data->labels.begin(), data->labels.end());
  data->num_classes = std::max<size_t>(data->classes.empty() ? static_cast<size_t>(largest) + 1 : data->classes.size(),
                                       data->classes.empty() ? num_classes : 0);
  report->per_class.assign(data->num_classes, 0);
  for (const int32_t label : data->labels) ++report->per_class[static_cast<size_t>(label)];
  const auto present = std::count_if(report->per_class.begin(), report->per_class.end(), [](auto n) { return n > 0; });
  if (present == 1) report->warnings.push_back("all examples have the same class");
  if (present > 1) WarnOfTail(*data, report);
}

// A label far above the number of examples is a mistake, and would cost a histogram of its size.
absl::Status CheckLargestLabel(const Dataset& data, const std::string& path) {
  constexpr int32_t kMaxLabel = 1 << 20;
  for (const int32_t label : data.labels) {
    if (label > kMaxLabel)
      return absl::InvalidArgumentError(absl::StrCat(path, ": label ", label, " is not a class number"));
  }
  return absl::OkStatus();
}

std::string NothingLeft(const Report& report, const std::string& path) {
  const std::vector<std::string> lines = report.Lines();
  return absl::StrCat(path, ": no example can be used: ", absl::StrJoin(lines, "; "));
}

}  // namespace

absl::StatusOr<LoadResult> Clean(RawData raw, const LoadOptions& options, const std::string& path) {
  if (raw.dataset.count > UINT32_MAX) return absl::InvalidArgumentError(absl::StrCat(path, ": too many examples"));
  TRB_RETURN_IF_ERROR(MapNames(&raw, options, path));
  if (raw.dataset.count > 0) TRB_RETURN_IF_ERROR(FitShape(&raw.dataset, options, path));
  const std::vector<uint32_t> keep = Keep(&raw, options);
  TRB_RETURN_IF_ERROR(ApplyPolicy(raw.report, options, path));
  if (keep.empty()) return absl::InvalidArgumentError(NothingLeft(raw.report, path));
  LoadResult out;
  out.dataset = keep.size() == raw.dataset.count ? std::move(raw.dataset) : raw.dataset.Select(keep);
  out.report = std::move(raw.report);
  TRB_RETURN_IF_ERROR(CheckLargestLabel(out.dataset, path));
  Count(&out.dataset, &out.report, options.num_classes);
  return out;
}

absl::Status MapClasses(const std::vector<std::string>& classes, Dataset* data) {
  if (data->is_regression()) return absl::InvalidArgumentError("a regression has no classes");
  std::vector<std::string> target = classes;
  std::vector<int32_t> places;
  if (data->classes.empty()) {
    for (const int32_t label : data->labels) {
      if (static_cast<size_t>(label) >= classes.size())
        return absl::InvalidArgumentError(absl::StrCat("label ", label, " is not one of ", classes.size(), " classes"));
    }
  } else {
    places = PlacesOf(data->classes, &target);
    std::vector<std::string> unknown;
    for (size_t i = 0; i < places.size(); ++i) {
      if (places[i] == kUnknownClass) unknown.push_back(data->classes[i]);
    }
    if (!unknown.empty()) return UnknownClasses("data", unknown, classes, "");
    for (int32_t& label : data->labels) label = places[static_cast<size_t>(label)];
  }
  data->classes = classes;
  data->num_classes = classes.size();
  return absl::OkStatus();
}

absl::Status CheckMemory(const std::string& path, uint64_t count, uint64_t row_bytes, uint64_t max_bytes) {
  if (row_bytes == 0 || count <= max_bytes / row_bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(path, ": ", count, " examples of ", row_bytes,
                                                   " bytes are more than the limit of ", max_bytes, " bytes"));
}

uint64_t Hash64(const void* bytes, size_t size, uint64_t start) {
  const auto* p = static_cast<const char*>(bytes);
  uint64_t h = (start ^ size) * 0x9E3779B97F4A7C15u + 0x2545F4914F6CDD1Du;
  const auto mix = [&h](uint64_t word) {
    h = (h ^ word) * 0xFF51AFD7ED558CCDu;
    h ^= h >> 32;
  };
  for (; size >= 8; p += 8, size -= 8) mix(LoadLe64(p));
  char tail[8] = {};
  if (size > 0) std::memcpy(tail, p, size);
  mix(LoadLe64(tail));
  return h;
}

}  // namespace tributary::data
