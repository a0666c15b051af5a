// A CA of its own, credentials of every kind that it or a stranger can make, and a real server on port 0.
#ifndef TRIBUTARY_TESTS_COMMON_RPC_TLS_FIXTURE_H_
#define TRIBUTARY_TESTS_COMMON_RPC_TLS_FIXTURE_H_

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <memory>
#include <string>
#include <vector>

#include "common/crypto/certificate_issuer.h"
#include "common/crypto/credential_directory.h"
#include "common/rpc/credentials.h"

namespace tributary::testing {

// Certificates of the real time, for OpenSSL judges them by it.
crypto::Issuer MakeAuthority();
struct TestTerms {
  crypto::CertificateUse use = crypto::CertificateUse::kPeer;
  bool expired = false;
  bool early = false;  // valid from tomorrow on
  std::vector<std::string> addresses = {"127.0.0.1"};
  std::string path = "";  // of the URI spiffe://test/...; empty: as the use wants it, for a server /coordinator
};
// The word of `by` for the key of `other`.
crypto::Certificate MakeCross(const crypto::Issuer& by, const crypto::Issuer& other, bool expired = false);
crypto::Credential MakeCredential(const crypto::Issuer& authority, const TestTerms& terms = {});
// A certificate that signs itself, with a CA file that names `claimed`. Install would refuse it: it is written by hand.
void WriteSelfSigned(const std::string& root, const crypto::Certificate& claimed);

// One listener with its services; stops when destroyed.
class TestServer {
 public:
  TestServer(rpc::Listener listener, const crypto::CredentialDirectory& directory,
             const std::vector<grpc::Service*>& services, unsigned refresh_seconds = 1,
             rpc::OnHandshakeRefused on_refused = nullptr);
  ~TestServer();
  std::string endpoint() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace tributary::testing

#endif  // TRIBUTARY_TESTS_COMMON_RPC_TLS_FIXTURE_H_
