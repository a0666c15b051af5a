// Where an operator's identity and the coordinator's address are found in a directory.
#ifndef TRIBUTARY_SERVER_OPERATOR_OPERATOR_DIRECTORY_H_
#define TRIBUTARY_SERVER_OPERATOR_OPERATOR_DIRECTORY_H_

#include <string>

#include "common/base/status.h"

namespace tributary::op {

struct OperatorAccess {
  std::string endpoint;         // HOST:PORT of the main port
  std::string credential_root;  // a crypto::CredentialDirectory
  bool joined = false;          // by `tributary join`: nobody else keeps it fresh
};

// `dir` is a coordinator's directory on its own host (DIR/pki/operator and DIR/endpoints.json), or one that
// `tributary join` made. NOT_FOUND with the way out when it is neither.
absl::StatusOr<OperatorAccess> FindOperatorAccess(const std::string& dir);

// Where `tributary join` puts its identity below `dir`.
std::string JoinedRoot(const std::string& dir);

}  // namespace tributary::op

#endif  // TRIBUTARY_SERVER_OPERATOR_OPERATOR_DIRECTORY_H_
