// The policy as a TOML file, both ways.
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/policy/policy.h"
#include "common/base/files.h"
#include "common/base/toml_reader.h"

namespace tributary::policy {
namespace {

constexpr uint64_t kMaxFileBytes = 1 << 20;
constexpr int64_t kMaxCount = std::numeric_limits<uint32_t>::max();

std::vector<std::string> Globs(TomlTable* root, std::string_view key, std::vector<std::string> default_value) {
  if (!root->Has(key)) return default_value;
  std::vector<std::string> globs = root->Strings(key);
  for (const std::string& glob : globs)
    if (glob.empty() || glob.size() > 200) root->Fault(key, "a pattern has 1 to 200 characters");
  return globs;
}

Retention RetentionOf(TomlTable* root, Retention default_value) {
  const std::string text = root->String("longest_retention", RetentionName(default_value));
  for (const Retention r : {Retention::kRound, Retention::kRun, Retention::kForever})
    if (text == RetentionName(r)) return r;
  root->Fault("longest_retention", "must be \"round\", \"run\" or \"forever\"");
  return default_value;
}

BadData BadDataOf(TomlTable* root, BadData default_value) {
  const std::string text = root->String("bad_data", default_value == BadData::kSkip ? "skip" : "refuse");
  if (text == "skip") return BadData::kSkip;
  if (text == "refuse") return BadData::kRefuse;
  root->Fault("bad_data", "must be \"skip\" or \"refuse\"");
  return default_value;
}

constexpr std::pair<Duplicates, const char*> kDuplicates[] = {
    {Duplicates::kKeep, "keep"}, {Duplicates::kSkip, "skip"}, {Duplicates::kRefuse, "refuse"}};

const char* DuplicatesName(Duplicates duplicates) {
  for (const auto& [known, name] : kDuplicates)
    if (known == duplicates) return name;
  return "keep";
}

Duplicates DuplicatesOf(TomlTable* root, Duplicates default_value) {
  const std::string text = root->String("duplicates", DuplicatesName(default_value));
  for (const auto& [known, name] : kDuplicates)
    if (text == name) return known;
  root->Fault("duplicates", "must be \"keep\", \"skip\" or \"refuse\"");
  return default_value;
}

std::string Quoted(const std::vector<std::string>& values) {
  return absl::StrCat("[",
                      absl::StrJoin(values, ", ",
                                    [](std::string* out, const std::string& value) {
                                      std::string escaped;
                                      for (const char c : value) {
                                        if (c == '"' || c == '\\') escaped += '\\';
                                        escaped += c;
                                      }
                                      absl::StrAppend(out, "\"", escaped, "\"");
                                    }),
                      "]");
}

}  // namespace

absl::StatusOr<Policy> ParsePolicy(std::string_view text, const std::string& name) {
  TRB_ASSIGN_OR_RETURN(const std::unique_ptr<TomlReader> reader, TomlReader::Parse(text, name));
  TomlTable root = reader->Root();
  const Policy defaults;
  Policy p;
  p.runs = Globs(&root, "runs", defaults.runs);
  p.models = Globs(&root, "models", defaults.models);
  p.max_epochs = static_cast<uint32_t>(root.Int("max_epochs", defaults.max_epochs, 1, 1000));
  p.rounds_a_day = static_cast<uint32_t>(root.Int("rounds_a_day", defaults.rounds_a_day, 0, kMaxCount));
  p.threads = static_cast<int>(root.Int("threads", defaults.threads, 0, 4096));
  p.min_cohort = static_cast<uint32_t>(root.Int("min_cohort", defaults.min_cohort, 1, 1000000));
  p.longest_retention = RetentionOf(&root, defaults.longest_retention);
  p.bad_data = BadDataOf(&root, defaults.bad_data);
  p.duplicates = DuplicatesOf(&root, defaults.duplicates);
  root.RejectUnknownKeys();
  TRB_RETURN_IF_ERROR(reader->Faults());
  return p;
}

absl::StatusOr<Policy> LoadPolicy(const std::string& path) {
  TRB_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxFileBytes));
  return ParsePolicy(text, path);
}

std::string FormatPolicy(const Policy& p) {
  return absl::StrCat(
      "# What the coordinator may ask of this machine. A task outside these terms is declined with a reason.\n"
      "# Read when the daemon starts; change it and restart the daemon.\n\n"
      "# Names of the runs that may train here; * and ? stand for any characters.\nruns = ",
      Quoted(p.runs),
      "\n\n# Presets of the models that may train here (keras-cnn, cat-cnn, fedavg-cnn); \"custom\" is any model "
      "whose\n"
      "# layers are written out, or are not those of the preset that it calls itself.\nmodels = ",
      Quoted(p.models), "\n\n# Most passes over the data in one round (1 to 1000).\nmax_epochs = ", p.max_epochs,
      "\n\n# Most tasks taken in any 24 hours; 0 = no limit.\nrounds_a_day = ", p.rounds_a_day,
      "\n\n# Processor threads that training may use; 0 = all that this process may use.\nthreads = ", p.threads,
      "\n\n# Fewest clients whose updates may be mixed into a model. With 1 a model can show what this client alone "
      "taught it.\nmin_cohort = ",
      p.min_cohort,
      "\n\n# Longest time that the coordinator may say it keeps this client's updates: \"round\" (until the round is "
      "done),\n# \"run\" (until the run is done) or \"forever\".\nlongest_retention = \"",
      RetentionName(p.longest_retention),
      "\"\n\n# Examples that cannot be used (files that do not decode, wrong sizes, labels out of range):\n"
      "# \"skip\" leaves them out, \"refuse\" declines every task until they are mended.\nbad_data = \"",
      p.bad_data == BadData::kSkip ? "skip" : "refuse",
      "\"\n\n# Exact duplicates of other examples: \"keep\" counts and trains them, \"skip\" leaves them out, "
      "\"refuse\" declines\n# every task until they are gone.\nduplicates = \"",
      DuplicatesName(p.duplicates), "\"\n");
}

}  // namespace tributary::policy
