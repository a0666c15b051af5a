// DIR/endpoints.json: where a coordinator listens, as a program on the same host dials it. Ports that were given as 0
// are chosen at the first run and found here again.
//   {"main": "HOST:PORT", "enrol": "HOST:PORT"}
// Threads: pure functions and plain data.
#ifndef TRIBUTARY_SERVER_SERVICE_ENDPOINTS_FILE_H_
#define TRIBUTARY_SERVER_SERVICE_ENDPOINTS_FILE_H_

#include <string>

#include "common/base/status.h"
#include "server/identity/federation.h"

namespace tributary::service {

struct EndpointsFile {
  identity::HostPort main, enrol;
};

// NOT_FOUND when there is none yet; INVALID_ARGUMENT names the file and the way out.
absl::StatusOr<EndpointsFile> ReadEndpoints(const std::string& directory);
// Wildcard addresses are written as loopback addresses.
absl::Status WriteEndpoints(const std::string& directory, const EndpointsFile& endpoints);

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_ENDPOINTS_FILE_H_
