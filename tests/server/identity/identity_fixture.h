// A federation in a temporary directory, with a clock that stands still and a store in memory.
#ifndef TRIBUTARY_TESTS_SERVER_IDENTITY_IDENTITY_FIXTURE_H_
#define TRIBUTARY_TESTS_SERVER_IDENTITY_IDENTITY_FIXTURE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/crypto/certificate_request.h"
#include "common/crypto/invitation.h"
#include "server/identity/ca.h"
#include "server/identity/federation_init.h"
#include "server/identity/identity_service.h"
#include "tests/support/manual_clock.h"
#include "tests/support/temp_dir.h"

namespace tributary::testing {

class TestFederation {
 public:
  // Certificates that TLS will judge need the real time: pass absl::Now() where a handshake takes place.
  explicit TestFederation(absl::Time now = absl::FromUnixSeconds(1'700'000'000));

  const std::string& directory() const { return dir_.path(); }
  const identity::Federation& federation() const { return federation_; }
  ManualClock& clock() { return clock_; }
  identity::IdentityStore& store() { return *store_; }
  identity::IdentityService& service() { return *service_; }
  const identity::CertificateAuthority& authority() const { return *authority_; }
  identity::CertificateAuthority& authority() { return *authority_; }
  identity::Endpoints& endpoints() { return endpoints_; }
  // "actor action subject outcome", in order.
  std::vector<std::string>& audit() { return audit_; }
  // (id of a client or operator, reason)
  std::vector<std::pair<std::string, std::string>>& revoked() { return revoked_; }

  identity::Principal Operator() const;
  // Parsed; aborts on failure.
  crypto::Invitation Invite(const std::string& name, bool replace = false, const std::string& role = "");
  // A new key, and the answer for it.
  struct Member {
    crypto::PrivateKey key;
    std::string request_pem;
    v1::EnrolResponse response;
  };
  Member Join(const std::string& name);
  static v1::EnrolRequest RequestFor(const crypto::Invitation& invitation, const std::string& request_pem);

 private:
  TempDir dir_;
  ManualClock clock_;
  std::unique_ptr<identity::IdentityStore> store_;
  identity::Federation federation_;
  std::unique_ptr<identity::CertificateAuthority> authority_;
  identity::Endpoints endpoints_{"localhost:7443", "localhost:7444"};
  std::vector<std::string> audit_;
  std::vector<std::pair<std::string, std::string>> revoked_;
  std::unique_ptr<identity::IdentityService> service_;
};

}  // namespace tributary::testing

#endif  // TRIBUTARY_TESTS_SERVER_IDENTITY_IDENTITY_FIXTURE_H_
