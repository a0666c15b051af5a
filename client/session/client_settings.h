// DIR/client.toml: where the data are and how to read them. Written by `join`, may be edited; strict.
// Threads: pure functions and plain values.
#ifndef TRIBUTARY_CLIENT_SESSION_CLIENT_SETTINGS_H_
#define TRIBUTARY_CLIENT_SESSION_CLIENT_SETTINGS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace tributary::session {

struct ClientSettings {
  std::string data;    // absolute path, or "synthetic[:COUNT[:SEED]]"
  std::string format;  // idx | images | csv | npz | synthetic; empty = guessed from the path
  std::vector<int64_t>
      shape;  // [height, width, channels] to which image folders are resized; empty = what a run asks for
  std::string label_column;       // of a CSV file; empty = found by name, else the last
  bool regression = false;        // labels are numbers to predict
  std::string part;               // "K/N": one share of the data, for demonstrations and tests; empty = all
  std::string partition = "iid";  // how shares are cut: iid | shards:S | dirichlet:A
  uint64_t seed = 1;              // of the cut
};

// INVALID_ARGUMENT lists every fault with its line; `name` is how faults call the file.
absl::StatusOr<ClientSettings> ParseClientSettings(std::string_view text, const std::string& name);
// NOT_FOUND when it is absent.
absl::StatusOr<ClientSettings> LoadClientSettings(const std::string& path);
std::string FormatClientSettings(const ClientSettings& settings);

}  // namespace tributary::session

#endif  // TRIBUTARY_CLIENT_SESSION_CLIENT_SETTINGS_H_
