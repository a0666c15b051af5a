#include "tests/common/rpc/tls_fixture.h"

#include <chrono>

#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/crypto/secure_random.h"

namespace tributary::testing {
namespace {

constexpr char kFederation[] = "spiffe://test";

std::string PathFor(crypto::CertificateUse use) {
  switch (use) {
    case crypto::CertificateUse::kAuthority:
      return "";
    case crypto::CertificateUse::kServer:
      return "/coordinator";
    case crypto::CertificateUse::kPeer:
      return "/client/c1";
    case crypto::CertificateUse::kReceipt:
      return "/receipts";
  }
  return "";
}

crypto::CertificateTerms Terms(crypto::CertificateUse use, bool expired) {
  crypto::CertificateTerms terms;
  terms.use = use;
  terms.common_name = "test";
  terms.serial = crypto::SecureRandom::System().Bytes(16);
  terms.not_before = Clock::System().Now() - absl::Hours(2);
  terms.not_after = Clock::System().Now() + (expired ? -absl::Hours(1) : absl::Hours(1));
  terms.uris = {kFederation + PathFor(use)};
  return terms;
}

void Must(const absl::Status& status) {
  if (!status.ok()) CheckFailed(__FILE__, __LINE__, status.ToString().c_str());
}

}  // namespace

crypto::Issuer MakeAuthority() {
  crypto::PrivateKey key = *crypto::PrivateKey::Generate();
  crypto::Certificate certificate = *crypto::SelfSign(key, Terms(crypto::CertificateUse::kAuthority, false));
  return {std::move(certificate), std::move(key)};
}

crypto::Certificate MakeCross(const crypto::Issuer& by, const crypto::Issuer& other, bool expired) {
  return *crypto::Issue(by, other.key.public_key(), Terms(crypto::CertificateUse::kAuthority, expired));
}

crypto::Credential MakeCredential(const crypto::Issuer& authority, const TestTerms& wanted) {
  crypto::PrivateKey key = *crypto::PrivateKey::Generate();
  crypto::CertificateTerms terms = Terms(wanted.use, wanted.expired);
  terms.ip_addresses = wanted.addresses;
  if (!wanted.path.empty()) terms.uris = {kFederation + wanted.path};
  if (wanted.early) {
    terms.not_before += absl::Hours(26);
    terms.not_after += absl::Hours(26);
  }
  crypto::Certificate certificate = *crypto::Issue(authority, key.public_key(), terms);
  return {std::move(key), std::move(certificate), authority.certificate};
}

void WriteSelfSigned(const std::string& root, const crypto::Certificate& claimed) {
  const crypto::PrivateKey key = *crypto::PrivateKey::Generate();
  const crypto::Certificate certificate = *crypto::SelfSign(key, Terms(crypto::CertificateUse::kPeer, false));
  Must(MakeDirectories(root + "/current", 0700));
  Must(key.Store(root + "/current/key.pem"));
  Must(WriteFileDurably(root + "/current/certificate.pem", certificate.pem()));
  Must(WriteFileDurably(root + "/current/ca.pem", claimed.pem()));
}

TestServer::TestServer(rpc::Listener listener, const crypto::CredentialDirectory& directory,
                       const std::vector<grpc::Service*>& services, unsigned refresh_seconds,
                       rpc::OnHandshakeRefused on_refused) {
  auto credentials = rpc::MakeServerCredentials(listener, directory, refresh_seconds, std::move(on_refused));
  Must(credentials.status());
  grpc::ServerBuilder builder;
  rpc::ApplyServerOptions(listener, &builder);
  builder.AddListeningPort("127.0.0.1:0", *credentials, &port_);
  for (grpc::Service* service : services) builder.RegisterService(service);
  server_ = builder.BuildAndStart();
  TRB_CHECK(server_ != nullptr && port_ != 0);
}

TestServer::~TestServer() {
  server_->Shutdown(std::chrono::system_clock::time_point::min());
  server_->Wait();
}

}  // namespace tributary::testing
