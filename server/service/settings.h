// DIR/coordinator.toml: where the coordinator listens and what it calls itself. Written by `init`; what it leaves out
// is as `init` was told (federation.json). Strict: every fault of the file at once. Threads: pure functions and plain
// data.
#ifndef TRIBUTARY_SERVER_SERVICE_SETTINGS_H_
#define TRIBUTARY_SERVER_SERVICE_SETTINGS_H_

#include <string>

#include "common/base/status.h"
#include "server/identity/federation.h"
#include "server/service/client_quotas.h"
#include "server/service/connections.h"

namespace tributary::service {

struct Settings {
  identity::HostPort listen, enrol_listen;  // port 0: chosen at the first run and kept
  identity::HostPort advertise;             // for peers; port 0: the port listened on
  int threads = 0;                          // of aggregation and evaluation; 0: one a core
  // What may change while the coordinator runs (SIGHUP).
  std::string log_level = "info";   // debug, info, warning, error
  Connections::Limits connections;  // of the main port
  ClientQuotas::Limits limits;      // of one client
};

// INVALID_ARGUMENT lists every fault with its line. A missing file is all defaults.
absl::StatusOr<Settings> ReadSettings(const std::string& directory, const identity::Federation& federation);
absl::Status WriteSettings(const std::string& directory, const identity::Federation& federation);

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_SETTINGS_H_
