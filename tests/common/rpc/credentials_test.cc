// Real TLS over loopback: who gets in and who does not.
#include "common/rpc/credentials.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "common/rpc/deadline.h"
#include "common/rpc/limits.h"
#include "common/rpc/peer.h"
#include "common/rpc/status_codes.h"
#include "tests/common/rpc/tls_fixture.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tributary/v1/federation.grpc.pb.h"

namespace tributary::rpc {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::MakeAuthority;
using testing::MakeCredential;
using ::testing::StartsWith;
using testing::StatusIs;
using testing::TestTerms;

// Answers Renew with who called.
class EchoService final : public v1::FederationService::Service {
 public:
  grpc::Status Renew(grpc::ServerContext* context, const v1::RenewRequest*, v1::RenewResponse* response) override {
    response->set_certificate_pem(PeerCertificatePem(*context));
    response->set_ca_certificate_pem(PeerAddress(*context));
    return grpc::Status::OK;
  }
};

class CredentialsTest : public ::testing::Test {
 protected:
  CredentialsTest() {
    TestTerms server;
    server.use = crypto::CertificateUse::kServer;
    Install(&server_directory_, MakeCredential(authority_, server));
    Install(&client_directory_, MakeCredential(authority_));
  }
  static void Install(crypto::CredentialDirectory* directory, const crypto::Credential& credential) {
    ASSERT_OK(directory->Install(credential));
  }
  struct Answer {
    absl::Status status;
    std::string peer_pem, peer_address, server_pem;
  };
  static Answer Call(const std::shared_ptr<grpc::Channel>& channel, const std::string& payload = "") {
    grpc::ClientContext context;
    SetTimeout(absl::Seconds(20), &context);
    v1::RenewRequest request;
    request.set_csr_pem(payload);
    v1::RenewResponse response;
    Answer out;
    out.status = FromGrpc(v1::FederationService::NewStub(channel)->Renew(&context, request, &response));
    out.peer_pem = response.certificate_pem();
    out.peer_address = response.ca_certificate_pem();
    if (out.status.ok()) out.server_pem = PeerCertificatePem(*context.auth_context());
    return out;
  }
  Answer CallMain(const crypto::CredentialDirectory& as) {
    const testing::TestServer server(Listener::kMain, server_directory_, std::vector<grpc::Service*>{&service_});
    const auto channel = OpenChannel(server.endpoint(), as);
    return channel.ok() ? Call(*channel) : Answer{channel.status(), "", "", ""};
  }
  // Presents `credential` but trusts the server's CA, so that it is the server who judges.
  Answer CallMainAs(const crypto::Credential& credential) {
    const testing::TestServer server(Listener::kMain, server_directory_, std::vector<grpc::Service*>{&service_});
    grpc::SslCredentialsOptions options{authority_.certificate.pem(), credential.key.ToPem(),
                                        credential.certificate.pem()};
    return Call(grpc::CreateChannel(server.endpoint(), grpc::SslCredentials(options)));
  }

  const testing::TempDir dir_;
  const crypto::Issuer authority_ = MakeAuthority();
  crypto::CredentialDirectory server_directory_{dir_.File("server")};
  crypto::CredentialDirectory client_directory_{dir_.File("client")};
  EchoService service_;
};

TEST_F(CredentialsTest, AnEnrolledPeerGetsInAndIsKnownByItsCertificate) {
  const Answer answer = CallMain(client_directory_);
  ASSERT_OK(answer.status);
  ASSERT_OK_AND_ASSIGN(const auto seen, crypto::Certificate::FromPem(answer.peer_pem));
  EXPECT_EQ(seen.sha256(), client_directory_.Load()->certificate.sha256());
  EXPECT_THAT(answer.peer_address, StartsWith("127.0.0.1:"));
}

TEST_F(CredentialsTest, NoCertificateNoEntry) {
  const testing::TestServer server(Listener::kMain, server_directory_, std::vector<grpc::Service*>{&service_});
  ASSERT_OK_AND_ASSIGN(const auto channel, OpenEnrolmentChannel(server.endpoint(), authority_.certificate.pem()));
  EXPECT_THAT(Call(channel).status, StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(CredentialsTest, NoTlsNoEntry) {
  for (const auto listener : {Listener::kMain, Listener::kEnrolment}) {
    const testing::TestServer server(listener, server_directory_, std::vector<grpc::Service*>{&service_});
    EXPECT_THAT(Call(grpc::CreateChannel(server.endpoint(), grpc::InsecureChannelCredentials())).status,
                StatusIs(absl::StatusCode::kUnavailable));
  }
}

TEST_F(CredentialsTest, ACertificateOfAForeignCaIsRefused) {
  EXPECT_THAT(CallMainAs(MakeCredential(MakeAuthority())).status, StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(CredentialsTest, ASelfSignedCertificateIsRefused) {
  testing::WriteSelfSigned(dir_.File("selfsigned"), authority_.certificate);
  const crypto::CredentialDirectory directory(dir_.File("selfsigned"));
  const crypto::Credential credential{*crypto::PrivateKey::Load(directory.key_path()),
                                      *crypto::Certificate::Load(directory.certificate_path()), authority_.certificate};
  EXPECT_THAT(CallMainAs(credential).status, StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(CredentialsTest, AnExpiredCertificateIsRefused) {
  TestTerms terms;
  terms.expired = true;
  EXPECT_THAT(CallMainAs(MakeCredential(authority_, terms)).status, StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(CredentialsTest, ACertificateForAnotherUseIsRefused) {
  for (const auto use : {crypto::CertificateUse::kServer, crypto::CertificateUse::kReceipt}) {
    TestTerms terms;
    terms.use = use;
    EXPECT_THAT(CallMainAs(MakeCredential(authority_, terms)).status, StatusIs(absl::StatusCode::kUnavailable));
  }
}

TEST_F(CredentialsTest, AClientsCertificateIsNoServers) {
  Install(&server_directory_, MakeCredential(authority_));
  EXPECT_THAT(CallMain(client_directory_).status, StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(CredentialsTest, AServerOfAForeignCaIsRefused) {
  crypto::CredentialDirectory foreign(dir_.File("foreign"));
  Install(&foreign, MakeCredential(MakeAuthority()));
  EXPECT_THAT(CallMain(foreign).status,
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("certificate verify failed")));
}

TEST_F(CredentialsTest, AServerWithAnotherNameIsRefused) {
  TestTerms terms;
  terms.use = crypto::CertificateUse::kServer;
  terms.addresses = {"192.0.2.1"};
  Install(&server_directory_, MakeCredential(authority_, terms));
  EXPECT_THAT(CallMain(client_directory_).status,
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("Hostname Verification Check failed")));
}

TEST_F(CredentialsTest, AKeyThatOthersCanReadIsRefusedAtBothEnds) {
  ASSERT_EQ(chmod(client_directory_.key_path().c_str(), 0644), 0);
  EXPECT_THAT(OpenChannel("127.0.0.1:1", client_directory_), StatusIs(absl::StatusCode::kPermissionDenied));
  ASSERT_EQ(chmod(server_directory_.key_path().c_str(), 0644), 0);
  EXPECT_THAT(MakeServerCredentials(Listener::kMain, server_directory_), StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_F(CredentialsTest, EndpointsAreHostAndPort) {
  for (const char* bad : {"", "host", ":1", "host:", "host:http", "unix:/tmp/x", "host:1/path"})
    EXPECT_THAT(OpenEnrolmentChannel(bad, authority_.certificate.pem()), StatusIs(absl::StatusCode::kInvalidArgument))
        << bad;
}

TEST_F(CredentialsTest, TheEnrolmentPortAsksForNoCertificate) {
  const testing::TestServer server(Listener::kEnrolment, server_directory_, std::vector<grpc::Service*>{&service_});
  ASSERT_OK_AND_ASSIGN(const auto channel, OpenEnrolmentChannel(server.endpoint(), authority_.certificate.pem()));
  const Answer answer = Call(channel);
  ASSERT_OK(answer.status);
  EXPECT_EQ(answer.peer_pem, "");
}

TEST_F(CredentialsTest, MessagesBeyondTheLimitAreRefused) {
  const testing::TestServer main(Listener::kMain, server_directory_, std::vector<grpc::Service*>{&service_});
  ASSERT_OK_AND_ASSIGN(const auto channel, OpenChannel(main.endpoint(), client_directory_));
  EXPECT_OK(Call(channel, std::string(kChunkBytes + 1000, 'x')).status);
  EXPECT_THAT(Call(channel, std::string(kMaxMessageBytes + 1, 'x')).status,
              StatusIs(absl::StatusCode::kResourceExhausted));
  const testing::TestServer enrol(Listener::kEnrolment, server_directory_, std::vector<grpc::Service*>{&service_});
  ASSERT_OK_AND_ASSIGN(const auto stranger, OpenEnrolmentChannel(enrol.endpoint(), authority_.certificate.pem()));
  EXPECT_THAT(Call(stranger, std::string(kMaxEnrolmentMessageBytes + 1, 'x')).status,
              StatusIs(absl::StatusCode::kResourceExhausted));
}

// The watcher looks once a second; each attempt here is a handshake of its own, so that no sleep is needed.
TEST_F(CredentialsTest, ARenewedServerCertificateIsShownWithoutARestart) {
  const testing::TestServer server(Listener::kMain, server_directory_, std::vector<grpc::Service*>{&service_});
  const std::string before = server_directory_.Load()->certificate.pem();
  const auto shown = [&]() -> std::string {
    const Answer answer = Call(*OpenChannel(server.endpoint(), client_directory_));
    EXPECT_OK(answer.status);
    return answer.server_pem;
  };
  EXPECT_EQ(shown(), before);
  TestTerms terms;
  terms.use = crypto::CertificateUse::kServer;
  Install(&server_directory_, MakeCredential(authority_, terms));
  const std::string after = server_directory_.Load()->certificate.pem();
  std::string now = before;
  for (int attempt = 0; attempt < 3000 && now == before; ++attempt) now = shown();
  EXPECT_EQ(now, after);
}

TEST_F(CredentialsTest, ARenewedClientCertificateIsShownByANewChannelAtOnce) {
  const testing::TestServer server(Listener::kMain, server_directory_, std::vector<grpc::Service*>{&service_});
  ASSERT_OK_AND_ASSIGN(const auto old_channel, OpenChannel(server.endpoint(), client_directory_));
  const std::string before = Call(old_channel).peer_pem;
  Install(&client_directory_, MakeCredential(authority_));
  ASSERT_OK_AND_ASSIGN(const auto new_channel, OpenChannel(server.endpoint(), client_directory_));
  EXPECT_EQ(Call(new_channel).peer_pem, client_directory_.Load()->certificate.pem());
  EXPECT_EQ(Call(old_channel).peer_pem, before);
}

}  // namespace
}  // namespace tributary::rpc
