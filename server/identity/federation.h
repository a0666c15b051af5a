// DIR/federation.json: what `init` fixed for the life of a federation. Written last by init, so that its presence means
// that the directory is complete.
//
//   {"id": 16 hexadecimal characters, "host", "listen", "enrol_listen", "advertise", "created_unix_ms"}
//
// `listen` addresses are ADDR:PORT, port 0 meaning "choose at the first run and keep" (DIR/endpoints.json, the
// service's). `advertise` is HOST:PORT, PORT 0 meaning the port listened on; empty: HOST of the name.
#ifndef TRIBUTARY_SERVER_IDENTITY_FEDERATION_H_
#define TRIBUTARY_SERVER_IDENTITY_FEDERATION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace tributary::identity {

struct Federation {
  std::string id;
  std::string host;  // DNS name or address in the server's certificate
  std::string listen = "0.0.0.0:7443";
  std::string enrol_listen = "0.0.0.0:7444";
  std::string advertise;
  int64_t created_unix_ms = 0;
};

// NOT_FOUND: DIR was never initialised; says how. INVALID_ARGUMENT: not such a file.
absl::StatusOr<Federation> LoadFederation(const std::string& directory);
absl::Status StoreFederation(const std::string& directory, const Federation& federation);

// HOST and PORT of "HOST:PORT" or "[HOST]:PORT". INVALID_ARGUMENT when it is neither, or the port is not 0..65535.
struct HostPort {
  std::string host;
  int port = 0;
};
absl::StatusOr<HostPort> ParseHostPort(const std::string& text);
std::string JoinHostPort(const std::string& host, int port);

// Every name that the server's certificate carries: the host, the advertised host, localhost, 127.0.0.1, ::1.
std::vector<std::string> ServerNames(const Federation& federation);

}  // namespace tributary::identity

#endif  // TRIBUTARY_SERVER_IDENTITY_FEDERATION_H_
