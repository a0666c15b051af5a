// The identity service behind real TLS on two ports, with the thinnest handlers: Enrol, Renew, and one call for each
// role. For tests of the choke point and of joining; the full service lives in server/service.
#ifndef TRIBUTARY_TESTS_SERVER_IDENTITY_IDENTITY_SERVER_H_
#define TRIBUTARY_TESTS_SERVER_IDENTITY_IDENTITY_SERVER_H_

#include <memory>
#include <string>

#include "common/base/status.h"
#include "common/crypto/credential_directory.h"
#include "tests/server/identity/identity_fixture.h"

namespace tributary::testing {

class IdentityServer {
 public:
  // Points the federation's invitations at itself. `federation` is borrowed; its clock must be near the real time.
  explicit IdentityServer(TestFederation& federation);
  ~IdentityServer();

  const std::string& main_endpoint() const;
  // A call that only clients (operators) may make, on a new channel.
  absl::Status CallAsClient(const crypto::CredentialDirectory& directory) const;
  absl::Status CallAsOperator(const crypto::CredentialDirectory& directory) const;

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace tributary::testing

#endif  // TRIBUTARY_TESTS_SERVER_IDENTITY_IDENTITY_SERVER_H_
