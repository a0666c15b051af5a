#include "client/session/client_settings.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/files.h"
#include "common/base/toml_reader.h"
#include "common/data/load.h"
#include "common/data/partition.h"

namespace tributary::session {
namespace {

constexpr uint64_t kMaxFileBytes = 1 << 20;
constexpr int64_t kMaxSide = 65536;

// A TOML basic string: paths may hold any byte but the ones that TOML wants escaped.
std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      constexpr char kHex[] = "0123456789ABCDEF";
      absl::StrAppend(&out, "\\u00", std::string(1, kHex[(c >> 4) & 15]), std::string(1, kHex[c & 15]));
    } else {
      out += c;
    }
  }
  return out + "\"";
}

void CheckMeaning(TomlTable* root, const ClientSettings& s) {
  if (s.data.empty()) root->Fault("data", "must name the data: a path, or \"synthetic\"");
  if (const auto format = data::ParseFormat(s.format); !format.ok())
    root->Fault("format", std::string(format.status().message()));
  if (!s.part.empty()) {
    if (const auto part = data::ParsePart(s.part); !part.ok())
      root->Fault("part", std::string(part.status().message()));
  }
  if (const absl::Status spec = data::CheckPartitionSpec(s.partition); !spec.ok())
    root->Fault("partition", std::string(spec.message()));
  bool good_shape = s.shape.empty() || s.shape.size() == 3;
  for (const int64_t side : s.shape) good_shape = good_shape && side >= 1 && side <= kMaxSide;
  if (!good_shape) root->Fault("shape", "must be [height, width, channels], each at least 1");
}

}  // namespace

absl::StatusOr<ClientSettings> ParseClientSettings(std::string_view text, const std::string& name) {
  TRB_ASSIGN_OR_RETURN(const std::unique_ptr<TomlReader> reader, TomlReader::Parse(text, name));
  TomlTable root = reader->Root();
  ClientSettings s;
  s.data = root.String("data", "");
  s.format = root.String("format", "");
  s.shape = root.Ints("shape");
  s.label_column = root.String("label_column", "");
  s.regression = root.Bool("regression", false);
  s.part = root.String("part", "");
  s.partition = root.String("partition", s.partition);
  s.seed = static_cast<uint64_t>(root.Int("seed", 1, 0, std::numeric_limits<int64_t>::max()));
  CheckMeaning(&root, s);
  root.RejectUnknownKeys();
  TRB_RETURN_IF_ERROR(reader->Faults());
  return s;
}

absl::StatusOr<ClientSettings> LoadClientSettings(const std::string& path) {
  TRB_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxFileBytes));
  return ParseClientSettings(text, path);
}

std::string FormatClientSettings(const ClientSettings& s) {
  std::string out = absl::StrCat(
      "# Where this client's data are. Read when the daemon starts; change it and restart the daemon.\n\n"
      "# A path, or \"synthetic\" for built-in digits.\ndata = ",
      Quoted(s.data),
      "\n\n# idx | images | csv | npz | synthetic; empty = guessed from the path.\nformat = ", Quoted(s.format),
      "\n\n# [height, width, channels] to which image folders are resized; empty = what a run asks for.\n"
      "shape = [",
      absl::StrJoin(s.shape, ", "), "]\n");
  absl::StrAppend(&out, "\n# CSV: the label's column, by name or index; empty = found by name, else the last.\n",
                  "label_column = ", Quoted(s.label_column), "\n\n# true when labels are numbers to predict.\n",
                  "regression = ", s.regression ? "true" : "false", "\n");
  absl::StrAppend(&out, "\n# One share \"K/N\" of the data, for demonstrations and tests; empty = all of it.\npart = ",
                  Quoted(s.part), "\n# How the shares are cut: iid | shards:S | dirichlet:A, and the cut's seed.\n",
                  "partition = ", Quoted(s.partition), "\nseed = ", s.seed, "\n");
  return out;
}

}  // namespace tributary::session
