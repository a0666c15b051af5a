#include "client/commands/data_summary.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/bytes.h"
#include "common/learning/compatibility.h"

namespace tributary::commands {
namespace {

constexpr size_t kMostBars = 50;
constexpr size_t kBarWidth = 30;

std::vector<uint64_t> CountLabels(const data::Dataset& dataset) {
  std::vector<uint64_t> counts(dataset.num_classes, 0);
  for (const int32_t label : dataset.labels)
    if (label >= 0 && static_cast<size_t>(label) < counts.size()) ++counts[static_cast<size_t>(label)];
  return counts;
}

std::string Histogram(const data::Dataset& dataset) {
  const std::vector<uint64_t> counts = CountLabels(dataset);
  if (counts.empty()) return "  labels   numbers (regression)\n";
  const uint64_t most = std::max<uint64_t>(1, *std::max_element(counts.begin(), counts.end()));
  std::string out = "  classes\n";
  for (size_t i = 0; i < std::min(counts.size(), kMostBars); ++i) {
    const std::string name = i < dataset.classes.size() ? EscapeForLog(dataset.classes[i], 40) : absl::StrCat(i);
    const std::string count = absl::StrCat(counts[i]);
    absl::StrAppend(&out, "    ", name, std::string(name.size() < 12 ? 12 - name.size() : 1, ' '), count,
                    std::string(count.size() < 9 ? 9 - count.size() : 1, ' '),
                    std::string(counts[i] * kBarWidth / most, '#'), "\n");
  }
  if (counts.size() > kMostBars) absl::StrAppend(&out, "    ... ", counts.size() - kMostBars, " more\n");
  return out;
}

}  // namespace

std::string DataSummary(const session::ClientSettings& settings, const session::DataHolder& data) {
  std::string out = absl::StrCat("Data       ", settings.data, "\n");
  if (!data.status().ok()) return absl::StrCat(out, "  cannot be used: ", data.status().message(), "\n");
  const std::string_view format = data::FormatName(data.format());
  absl::StrAppend(&out, "  format   ", std::string(format), "\n");
  if (!settings.part.empty())
    absl::StrAppend(&out, "  share    ", settings.part, " (", settings.partition, ", seed ", settings.seed, ")\n");
  absl::StrAppend(&out, "  examples ", data.facts().examples(), "\n  shape    ",
                  data.facts().shape().empty() ? "any: images are decoded to what a run asks for"
                                               : absl::StrJoin(data.facts().shape(), " x "),
                  "\n", Histogram(data.dataset()), "  cleaning\n");
  for (const std::string& line : data.report().Lines()) absl::StrAppend(&out, "    ", line, "\n");
  for (const std::string& warning : learning::CompatibilityWarnings(data.dataset()))
    absl::StrAppend(&out, "    warning: ", warning, "\n");
  return out;
}

}  // namespace tributary::commands
