// Reads TOML strictly: every fault of a file is collected, with its line and, for an unknown key, the nearest known
// name, so that a person mends them all at once. Used for run files, policies and the daemons' settings. Not for use by
// several threads at once.
#ifndef TRIBUTARY_COMMON_BASE_TOML_READER_H_
#define TRIBUTARY_COMMON_BASE_TOML_READER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/base/status.h"

namespace tributary {

// "10m", "1h30m", "250ms" -> duration. INVALID_ARGUMENT says what is expected. Negative and infinite are refused.
absl::StatusOr<absl::Duration> ParseDuration(std::string_view text);
// The nearest of `known` by edit distance, or empty when none is near enough to be meant.
std::string NearestName(std::string_view name, const std::vector<std::string>& known);

class TomlReader;

// One table of the document, or one inline table. Getters note the key as known; a wrong type is a fault and the
// default is returned. Tables refer to their reader and must not outlive it.
class TomlTable {
 public:
  bool Has(std::string_view key);
  std::string String(std::string_view key, std::string default_value);
  int64_t Int(std::string_view key, int64_t default_value, int64_t min, int64_t max);
  double Double(std::string_view key, double default_value, double min, double max);
  bool Bool(std::string_view key, bool default_value);
  absl::Duration Duration(std::string_view key, absl::Duration default_value);
  std::vector<std::string> Strings(std::string_view key);
  std::vector<int64_t> Ints(std::string_view key);    // also a lone integer, as a list of one
  std::vector<double> Doubles(std::string_view key);  // also a lone number
  std::map<std::string, std::string> StringMap(std::string_view key);
  // Absent: an empty table (all defaults).
  TomlTable Table(std::string_view key);
  // An array of tables, or of inline tables.
  std::vector<TomlTable> Tables(std::string_view key);
  // The keys present, in file order; does not note them as known.
  std::vector<std::string> Keys() const;
  // Adds a fault at the line of `key` (or of the table itself when the key is absent).
  void Fault(std::string_view key, std::string_view message);
  // Every key that no getter asked for becomes a fault with the nearest known name. Call once, after all getters.
  // Nested tables check themselves.
  void RejectUnknownKeys();

 private:
  friend class TomlReader;
  struct Node;
  TomlTable(TomlReader* reader, std::shared_ptr<Node> node) : reader_(reader), node_(std::move(node)) {}
  TomlReader* reader_;
  std::shared_ptr<Node> node_;
};

class TomlReader {
 public:
  // `name` is how faults call the file. A document that is not TOML is INVALID_ARGUMENT at once, with line and column.
  static absl::StatusOr<std::unique_ptr<TomlReader>> Parse(std::string_view text, std::string name);
  ~TomlReader();

  TomlTable Root();
  // key.path=value on top of the file (value is TOML; what does not parse as TOML is taken as a string).
  absl::Status Override(std::string_view assignment);
  // OK, or INVALID_ARGUMENT with one `name:line: message` a line, in line order.
  absl::Status Faults() const;

 private:
  friend class TomlTable;
  struct Impl;
  explicit TomlReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_BASE_TOML_READER_H_
