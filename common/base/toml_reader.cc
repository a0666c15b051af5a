#include "common/base/toml_reader.h"

#include <toml++/toml.h>
#include <algorithm>
#include <exception>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace tributary {
namespace {

// absl::StrCat of Debian's Abseil does not take std::string_view.
std::string Text(std::string_view v) { return std::string(v); }

// What a person calls this type.
std::string_view TypeName(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a number with a fraction";
    case toml::node_type::boolean:
      return "true or false";
    default:
      return "a date or time";
  }
}

// Edit distance with swaps of neighbours (optimal string alignment).
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

absl::StatusOr<toml::table> ParseToml(std::string_view text, const std::string& name) {
  try {
    return toml::parse(text, name);
  } catch (const toml::parse_error& e) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ":", e.source().begin.line, ":", e.source().begin.column, ": ", Text(e.description())));
  } catch (const std::exception& e) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": ", e.what()));
  }
}

// Puts `value` at `path`, making the tables on the way.
absl::Status Place(toml::table* root, const std::vector<std::string>& path, const toml::node& value) {
  toml::table* table = root;
  for (size_t i = 0; i + 1 < path.size(); ++i) {
    toml::node* next = table->get(path[i]);
    if (next == nullptr) next = &table->insert_or_assign(path[i], toml::table{}).first->second;
    table = next->as_table();
    if (table == nullptr) return absl::InvalidArgumentError(absl::StrCat("`", path[i], "` is not a table"));
  }
  value.visit([&](const auto& v) { table->insert_or_assign(path.back(), v); });
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<absl::Duration> ParseDuration(std::string_view text) {
  absl::Duration d;
  const bool has_sign = !text.empty() && (text[0] == '-' || text[0] == '+');
  if (has_sign || !absl::ParseDuration(absl::string_view(text.data(), text.size()), &d) ||
      d == absl::InfiniteDuration())
    return absl::InvalidArgumentError(absl::StrCat(
        "`", Text(text), "` is not a duration; expected for example \"250ms\", \"30s\", \"10m\" or \"1h30m\""));
  return d;
}

std::string NearestName(std::string_view name, const std::vector<std::string>& known) {
  std::string best;
  size_t best_distance = std::max<size_t>(1, name.size() / 3) + 1;
  for (const std::string& candidate : known) {
    const size_t distance = EditDistance(name, candidate);
    if (distance >= best_distance || distance >= candidate.size()) continue;
    best_distance = distance;
    best = candidate;
  }
  return best;
}

struct TomlReader::Impl {
  struct FaultAt {
    uint32_t line;  // 0: it came through Override
    std::string message;
  };

  void Add(uint32_t line, std::string message) { faults.push_back({line, std::move(message)}); }

  std::string name;
  toml::table root;
  std::vector<FaultAt> faults;
};

struct TomlTable::Node {
  const toml::table* table = nullptr;  // null: absent, every getter gives its default
  std::string path;                    // "" or "train." as a prefix of keys
  uint32_t line = 1;
  std::set<std::string> known;

  // Notes the key as known. Null when it is absent.
  const toml::node* Find(std::string_view key) {
    known.emplace(key);
    return table == nullptr ? nullptr : table->get(key);
  }
  std::string Name(std::string_view key) const { return absl::StrCat(path, Text(key)); }

  void WrongType(TomlReader::Impl* impl, std::string_view key, const toml::node& found, std::string_view expected) {
    impl->Add(found.source().begin.line,
              absl::StrCat(Name(key), ": expected ", Text(expected), ", found ", Text(TypeName(found))));
  }
  template <class T>
  T InRange(TomlReader::Impl* impl, std::string_view key, const toml::node& found, T value, T default_value, T min,
            T max) {
    if (value >= min && value <= max) return value;  // a NaN is in no range
    impl->Add(found.source().begin.line,
              absl::StrCat(Name(key), ": ", value, " is out of range, expected ", min, " to ", max));
    return default_value;
  }
  // The elements of an array; with `lone_type`, also a lone value as a list of one.
  std::vector<const toml::node*> Elements(TomlReader::Impl* impl, std::string_view key, std::string_view expected,
                                          bool lone) {
    std::vector<const toml::node*> out;
    const toml::node* found = Find(key);
    if (found == nullptr) return out;
    if (const toml::array* array = found->as_array()) {
      for (const toml::node& element : *array) out.push_back(&element);
    } else if (lone) {
      out.push_back(found);
    } else {
      WrongType(impl, key, *found, expected);
    }
    return out;
  }
};

bool TomlTable::Has(std::string_view key) { return node_->Find(key) != nullptr; }

std::string TomlTable::String(std::string_view key, std::string default_value) {
  const toml::node* found = node_->Find(key);
  if (found == nullptr) return default_value;
  if (const auto* value = found->as_string()) return value->get();
  node_->WrongType(reader_->impl_.get(), key, *found, "a string");
  return default_value;
}

int64_t TomlTable::Int(std::string_view key, int64_t default_value, int64_t min, int64_t max) {
  const toml::node* found = node_->Find(key);
  if (found == nullptr) return default_value;
  if (const auto* value = found->as_integer())
    return node_->InRange<int64_t>(reader_->impl_.get(), key, *found, value->get(), default_value, min, max);
  node_->WrongType(reader_->impl_.get(), key, *found, "an integer");
  return default_value;
}

double TomlTable::Double(std::string_view key, double default_value, double min, double max) {
  const toml::node* found = node_->Find(key);
  if (found == nullptr) return default_value;
  if (found->is_number())
    return node_->InRange<double>(reader_->impl_.get(), key, *found, *found->value<double>(), default_value, min, max);
  node_->WrongType(reader_->impl_.get(), key, *found, "a number");
  return default_value;
}

bool TomlTable::Bool(std::string_view key, bool default_value) {
  const toml::node* found = node_->Find(key);
  if (found == nullptr) return default_value;
  if (const auto* value = found->as_boolean()) return value->get();
  node_->WrongType(reader_->impl_.get(), key, *found, "true or false");
  return default_value;
}

absl::Duration TomlTable::Duration(std::string_view key, absl::Duration default_value) {
  const toml::node* found = node_->Find(key);
  if (found == nullptr) return default_value;
  const auto* value = found->as_string();
  if (value == nullptr) {
    node_->WrongType(reader_->impl_.get(), key, *found, "a duration such as \"10m\"");
    return default_value;
  }
  const absl::StatusOr<absl::Duration> parsed = ParseDuration(value->get());
  if (parsed.ok()) return *parsed;
  Fault(key, Text({parsed.status().message().data(), parsed.status().message().size()}));
  return default_value;
}

std::vector<std::string> TomlTable::Strings(std::string_view key) {
  TomlReader::Impl* impl = reader_->impl_.get();
  std::vector<std::string> out;
  for (const toml::node* element : node_->Elements(impl, key, "an array of strings", false)) {
    if (const auto* value = element->as_string()) {
      out.push_back(value->get());
    } else {
      node_->WrongType(impl, key, *element, "strings in the array");
    }
  }
  return out;
}

std::vector<int64_t> TomlTable::Ints(std::string_view key) {
  TomlReader::Impl* impl = reader_->impl_.get();
  std::vector<int64_t> out;
  for (const toml::node* element : node_->Elements(impl, key, "integers", true)) {
    if (const auto* value = element->as_integer()) {
      out.push_back(value->get());
    } else {
      node_->WrongType(impl, key, *element, "an integer or an array of integers");
    }
  }
  return out;
}

std::vector<double> TomlTable::Doubles(std::string_view key) {
  TomlReader::Impl* impl = reader_->impl_.get();
  std::vector<double> out;
  for (const toml::node* element : node_->Elements(impl, key, "numbers", true)) {
    if (element->is_number()) {
      out.push_back(*element->value<double>());
    } else {
      node_->WrongType(impl, key, *element, "a number or an array of numbers");
    }
  }
  return out;
}

std::map<std::string, std::string> TomlTable::StringMap(std::string_view key) {
  TomlReader::Impl* impl = reader_->impl_.get();
  std::map<std::string, std::string> out;
  const toml::node* found = node_->Find(key);
  if (found == nullptr) return out;
  const toml::table* table = found->as_table();
  if (table == nullptr) {
    node_->WrongType(impl, key, *found, "a table of strings");
    return out;
  }
  for (const auto& [name, element] : *table) {
    if (const auto* value = element.as_string()) {
      out.emplace(Text(name.str()), value->get());
    } else {
      node_->WrongType(impl, absl::StrCat(Text(key), ".", Text(name.str())), element, "a string");
    }
  }
  return out;
}

TomlTable TomlTable::Table(std::string_view key) {
  auto node = std::make_shared<Node>();
  node->path = node_->Name(key) + ".";
  node->line = node_->line;
  if (const toml::node* found = node_->Find(key)) {
    node->line = found->source().begin.line;
    node->table = found->as_table();
    if (node->table == nullptr) node_->WrongType(reader_->impl_.get(), key, *found, "a table");
  }
  return TomlTable(reader_, std::move(node));
}

std::vector<TomlTable> TomlTable::Tables(std::string_view key) {
  TomlReader::Impl* impl = reader_->impl_.get();
  std::vector<TomlTable> out;
  size_t index = 0;
  for (const toml::node* element : node_->Elements(impl, key, "an array of tables", false)) {
    auto node = std::make_shared<Node>();
    node->path = absl::StrCat(node_->Name(key), "[", index++, "].");
    node->line = element->source().begin.line;
    node->table = element->as_table();
    if (node->table == nullptr) {
      node_->WrongType(impl, key, *element, "tables in the array");
    } else {
      out.push_back(TomlTable(reader_, std::move(node)));
    }
  }
  return out;
}

std::vector<std::string> TomlTable::Keys() const {
  std::vector<std::pair<toml::source_position, std::string>> found;
  if (node_->table != nullptr) {
    for (const auto& [key, value] : *node_->table) found.emplace_back(key.source().begin, Text(key.str()));
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> out;
  for (auto& [position, key] : found) out.push_back(std::move(key));
  return out;
}

void TomlTable::Fault(std::string_view key, std::string_view message) {
  const toml::node* found = node_->table == nullptr || key.empty() ? nullptr : node_->table->get(key);
  std::string name = node_->Name(key);
  if (key.empty() && !name.empty() && name.back() == '.') name.pop_back();  // the table itself
  reader_->impl_->Add(found != nullptr ? found->source().begin.line : node_->line,
                      name.empty() ? std::string(Text(message)) : absl::StrCat(name, ": ", Text(message)));
}

void TomlTable::RejectUnknownKeys() {
  if (node_->table == nullptr) return;
  const std::vector<std::string> known(node_->known.begin(), node_->known.end());
  for (const auto& [key, value] : *node_->table) {
    const std::string name = Text(key.str());
    if (node_->known.count(name) != 0) continue;
    const std::string nearest = NearestName(name, known);
    const uint32_t line = key.source().begin.line != 0 ? key.source().begin.line : value.source().begin.line;
    reader_->impl_->Add(line, absl::StrCat("unknown key `", node_->Name(name), "`",
                                           nearest.empty() ? "" : absl::StrCat("; did you mean `", nearest, "`?")));
  }
}

TomlReader::TomlReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TomlReader::~TomlReader() = default;

absl::StatusOr<std::unique_ptr<TomlReader>> TomlReader::Parse(std::string_view text, std::string name) {
  auto impl = std::make_unique<Impl>();
  TRB_ASSIGN_OR_RETURN(impl->root, ParseToml(text, name));
  impl->name = std::move(name);
  return std::unique_ptr<TomlReader>(new TomlReader(std::move(impl)));
}

TomlTable TomlReader::Root() {
  auto node = std::make_shared<TomlTable::Node>();
  node->table = &impl_->root;
  return TomlTable(this, std::move(node));
}

absl::Status TomlReader::Override(std::string_view assignment) {
  const size_t equals = assignment.find('=');
  const auto fault = [&](std::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat("`", Text(assignment), "`: ", Text(why)));
  };
  if (equals == std::string_view::npos) return fault("expected key=value");
  std::vector<std::string> path = absl::StrSplit(Text(assignment.substr(0, equals)), '.');
  for (std::string& key : path) {
    absl::StripAsciiWhitespace(&key);
    if (key.empty()) return fault("expected key=value, with a key such as train.epochs");
  }
  const std::string text = Text(assignment.substr(equals + 1));
  absl::StatusOr<toml::table> parsed = ParseToml("value = " + text, "");
  const bool is_toml = parsed.ok() && parsed->size() == 1 && parsed->contains("value");
  // A copy has no source position: line 0 marks what came from here.
  const absl::Status placed = is_toml ? Place(&impl_->root, path, *parsed->get("value"))
                                      : Place(&impl_->root, path, toml::value<std::string>(text));
  return placed.ok() ? placed : fault(std::string_view(placed.message().data(), placed.message().size()));
}

absl::Status TomlReader::Faults() const {
  if (impl_->faults.empty()) return absl::OkStatus();
  std::vector<Impl::FaultAt> sorted = impl_->faults;
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.line < b.line; });
  return absl::InvalidArgumentError(absl::StrJoin(sorted, "\n", [&](std::string* out, const Impl::FaultAt& fault) {
    const std::string place = fault.line == 0 ? "--set" : absl::StrCat(impl_->name, ":", fault.line);
    absl::StrAppend(out, place, ": ", fault.message);
  }));
}

}  // namespace tributary
