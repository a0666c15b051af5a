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
using ::testing::IsEmpty;
using testing::IsOk;
using testing::MakeAuthority;
using testing::MakeCredential;
using testing::MakeCross;
using ::testing::Not;
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
    server.path = "/enrol";
    Install(&enrol_directory_, MakeCredential(authority_, server));
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
  // Presents `credential`, or nothing, but trusts the server's CA, so that it is the server who judges; what the server
  // heard of it is in refusals_.
  Answer CallMainAs(const crypto::Credential* credential) {
    refusals_.clear();
    const testing::TestServer server(Listener::kMain, server_directory_, std::vector<grpc::Service*>{&service_}, 1,
                                     [this](const HandshakeRefusal& refusal) { refusals_.push_back(refusal); });
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = authority_.certificate.pem();
    if (credential != nullptr) {
      options.pem_private_key = credential->key.ToPem();
      options.pem_cert_chain = credential->certificate.pem();
    }
    return Call(grpc::CreateChannel(server.endpoint(), grpc::SslCredentials(options)));
  }
  // No call gets through, and the server knows why.
  void ExpectRefused(const crypto::Credential* credential, const std::string& why) {
    EXPECT_THAT(CallMainAs(credential).status, StatusIs(absl::StatusCode::kUnavailable));
    ASSERT_THAT(refusals_, Not(IsEmpty()));
    EXPECT_THAT(refusals_[0].reason, HasSubstr(why));
    EXPECT_EQ(refusals_[0].certificate_sha256, credential == nullptr ? "" : credential->certificate.sha256());
  }
  // The server shows a certificate with these terms; the client is good.
  Answer CallServerWith(TestTerms terms, const crypto::Issuer& authority) {
    terms.use = terms.use == crypto::CertificateUse::kPeer ? crypto::CertificateUse::kServer : terms.use;
    crypto::CredentialDirectory directory(dir_.File("other-server"));
    crypto::Credential shown = MakeCredential(authority, terms);
    Install(&directory, shown);
    const testing::TestServer server(Listener::kMain, directory, std::vector<grpc::Service*>{&service_});
    return Call(*OpenChannel(server.endpoint(), client_directory_));
  }

  const testing::TempDir dir_;
  const crypto::Issuer authority_ = MakeAuthority();
  crypto::CredentialDirectory server_directory_{dir_.File("server")};
  crypto::CredentialDirectory client_directory_{dir_.File("client")};
  crypto::CredentialDirectory enrol_directory_{dir_.File("enrol")};
  EchoService service_;
  std::vector<HandshakeRefusal> refusals_;  // written on gRPC's threads, read after the server's end
};

TEST_F(CredentialsTest, AnEnrolledPeerGetsInAndIsKnownByItsCertificate) {
  const Answer answer = CallMain(client_directory_);
  ASSERT_OK(answer.status);
  ASSERT_OK_AND_ASSIGN(const auto seen, crypto::Certificate::FromPem(answer.peer_pem));
  EXPECT_EQ(seen.sha256(), client_directory_.Load()->certificate.sha256());
  EXPECT_THAT(answer.peer_address, StartsWith("127.0.0.1:"));
}

TEST_F(CredentialsTest, NoTlsNoEntry) {
  for (const auto listener : {Listener::kMain, Listener::kEnrolment}) {
    const testing::TestServer server(listener, server_directory_, std::vector<grpc::Service*>{&service_});
    EXPECT_THAT(Call(grpc::CreateChannel(server.endpoint(), grpc::InsecureChannelCredentials())).status,
                StatusIs(absl::StatusCode::kUnavailable));
  }
}

// ---- who may not come in on the main port, and what the server hears of it

TEST_F(CredentialsTest, NoCertificateNoEntry) { ExpectRefused(nullptr, "showed no certificate"); }

TEST_F(CredentialsTest, ACertificateOfAForeignCaIsRefused) {
  const crypto::Credential foreign = MakeCredential(MakeAuthority());
  ExpectRefused(&foreign, "not signed by this federation's authority");
}

TEST_F(CredentialsTest, ASelfSignedCertificateIsRefused) {
  testing::WriteSelfSigned(dir_.File("selfsigned"), authority_.certificate);
  const crypto::CredentialDirectory directory(dir_.File("selfsigned"));
  const crypto::Credential credential{*crypto::PrivateKey::Load(directory.key_path()),
                                      *crypto::Certificate::Load(directory.certificate_path()), authority_.certificate};
  ExpectRefused(&credential, "signed by itself");
}

TEST_F(CredentialsTest, ACertificateForAnotherUseIsRefused) {
  for (const auto use : {crypto::CertificateUse::kServer, crypto::CertificateUse::kReceipt}) {
    TestTerms terms;
    terms.use = use;
    terms.path = "/client/c1";
    const crypto::Credential credential = MakeCredential(authority_, terms);
    ExpectRefused(&credential, "not a client's or an operator's");
  }
}

TEST_F(CredentialsTest, ACertificateOfNobodyInThisFederationIsRefused) {
  for (const char* path : {"/coordinator", "/receipts", "er/client/c1", "/clients/c1"}) {
    TestTerms terms;
    terms.path = path;
    const crypto::Credential credential = MakeCredential(authority_, terms);
    ExpectRefused(&credential, "no client or operator of this federation");
  }
}

// Their dates are the gate's to judge (identity_service_test.cc), which can tell the peer.
TEST_F(CredentialsTest, AnExpiredMemberReachesTheGate) {
  TestTerms terms;
  terms.expired = true;
  const crypto::Credential credential = MakeCredential(authority_, terms);
  EXPECT_OK(CallMainAs(&credential).status);
}

// ---- which server a client does not talk to, and what it is told

TEST_F(CredentialsTest, AServerThatIsAnotherIsRefusedWithTheReason) {
  struct Case {
    std::string name;
    TestTerms terms;
    std::string why;
    absl::StatusCode meaning;
  } cases[] = {
      {"expired", {.expired = true}, "it is ahead by at least 60 minutes", absl::StatusCode::kFailedPrecondition},
      {"early", {.early = true}, "it is behind by at least 23 hours", absl::StatusCode::kFailedPrecondition},
      {"name", {.addresses = {"192.0.2.1"}}, "not 127.0.0.1", absl::StatusCode::kPermissionDenied},
      {"port", {.path = "/enrol"}, "not of spiffe://test/coordinator", absl::StatusCode::kPermissionDenied},
      {"client", {.path = "/client/c1"}, "not of spiffe://test/coordinator", absl::StatusCode::kPermissionDenied},
      {"use",
       {.use = crypto::CertificateUse::kReceipt, .path = "/coordinator"},
       "not a server's",
       absl::StatusCode::kPermissionDenied},
  };
  for (const Case& c : cases) {
    const absl::Status status = CallServerWith(c.terms, authority_).status;
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable, HasSubstr(c.why))) << c.name;
    EXPECT_THAT(WrongServer(status), StatusIs(c.meaning, HasSubstr(c.why))) << c.name;
  }
}

TEST_F(CredentialsTest, AServerOfAForeignCaIsRefused) {
  const absl::Status status = CallServerWith({}, MakeAuthority()).status;
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("not signed by this federation's authority")));
  EXPECT_THAT(WrongServer(status), StatusIs(absl::StatusCode::kPermissionDenied));
}

// ---- while one authority takes over from another

TEST_F(CredentialsTest, AServerOfTheNextAuthorityIsBelievedOnTheWordOfTheOneThatIsTrusted) {
  const crypto::Issuer next = MakeAuthority(), stranger = MakeAuthority();
  struct Case {
    const char* name;
    std::vector<crypto::Certificate> chain;
    bool good;
  } cases[] = {{"vouched for", {MakeCross(authority_, next)}, true},
               {"among others", {MakeCross(stranger, next), MakeCross(authority_, next)}, true},
               {"silent", {}, false},
               {"by a stranger", {MakeCross(stranger, next)}, false},
               {"for a stranger", {MakeCross(authority_, stranger)}, false},
               {"expired", {MakeCross(authority_, next, /*expired=*/true)}, false}};
  for (const Case& c : cases) {
    TestTerms terms;
    terms.use = crypto::CertificateUse::kServer;
    crypto::Credential shown = MakeCredential(next, terms);
    shown.trust = crypto::TrustList({next.certificate, authority_.certificate}, {});
    shown.chain = c.chain;
    crypto::CredentialDirectory directory(dir_.File("next-server"));
    Install(&directory, shown);
    const testing::TestServer server(Listener::kMain, directory, std::vector<grpc::Service*>{&service_});
    const absl::Status status = Call(*OpenChannel(server.endpoint(), client_directory_)).status;
    EXPECT_EQ(status.ok(), c.good) << c.name << ": " << status;
    if (!c.good) {
      EXPECT_THAT(WrongServer(status), StatusIs(absl::StatusCode::kPermissionDenied,
                                                HasSubstr("the authority was replaced while this machine was away")));
    }
  }
}

TEST_F(CredentialsTest, AMemberOfARetiredAuthorityIsRefusedAsThat) {
  const crypto::Issuer next = MakeAuthority();
  TestTerms terms;
  terms.use = crypto::CertificateUse::kServer;
  crypto::Credential shown = MakeCredential(next, terms);
  shown.trust = crypto::TrustList({next.certificate}, {authority_.certificate});
  Install(&server_directory_, shown);
  const crypto::Credential old = MakeCredential(authority_);
  refusals_.clear();
  {
    const testing::TestServer server(Listener::kMain, server_directory_, std::vector<grpc::Service*>{&service_}, 1,
                                     [this](const HandshakeRefusal& refusal) { refusals_.push_back(refusal); });
    grpc::SslCredentialsOptions options{next.certificate.pem(), old.key.ToPem(), old.certificate.pem()};
    EXPECT_THAT(Call(grpc::CreateChannel(server.endpoint(), grpc::SslCredentials(options))).status,
                StatusIs(absl::StatusCode::kUnavailable));
  }
  ASSERT_THAT(refusals_, Not(IsEmpty()));
  EXPECT_THAT(refusals_[0].reason, HasSubstr("of an authority that this federation has retired"));
}

TEST_F(CredentialsTest, WhoIsTrustedChangesForHandshakesWithoutARestart) {
  const crypto::Issuer next = MakeAuthority();
  const auto trust = std::make_shared<crypto::CurrentTrust>(crypto::TrustList(authority_.certificate));
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", *MakeServerCredentials(Listener::kMain, server_directory_, 1, nullptr, trust),
                           &port);
  builder.RegisterService(&service_);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  const auto call_as = [&](const crypto::Issuer& by) {
    const crypto::Credential peer = MakeCredential(by);
    grpc::SslCredentialsOptions options{authority_.certificate.pem(), peer.key.ToPem(), peer.certificate.pem()};
    return Call(grpc::CreateChannel("127.0.0.1:" + std::to_string(port), grpc::SslCredentials(options))).status.ok();
  };
  EXPECT_TRUE(call_as(authority_));
  EXPECT_FALSE(call_as(next));
  trust->Set(crypto::TrustList({next.certificate, authority_.certificate}, {}));
  EXPECT_TRUE(call_as(authority_));
  EXPECT_TRUE(call_as(next));
  trust->Set(crypto::TrustList({next.certificate}, {authority_.certificate}));
  EXPECT_FALSE(call_as(authority_));
  EXPECT_TRUE(call_as(next));
  server->Shutdown();
}

TEST_F(CredentialsTest, AServerThatIsNotThereIsNoOtherServer) {
  const absl::Status status = Call(*OpenChannel("127.0.0.1:1", client_directory_)).status;
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_OK(WrongServer(status));
}

TEST_F(CredentialsTest, TheMainPortsCertificateDoesNotServeAtTheEnrolmentPort) {
  const testing::TestServer server(Listener::kEnrolment, server_directory_, std::vector<grpc::Service*>{&service_});
  ASSERT_OK_AND_ASSIGN(const auto channel, OpenEnrolmentChannel(server.endpoint(), authority_.certificate.pem()));
  EXPECT_THAT(Call(channel).status, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("not of spiffe://test/enrol")));
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
  const testing::TestServer server(Listener::kEnrolment, enrol_directory_, std::vector<grpc::Service*>{&service_});
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
  const testing::TestServer enrol(Listener::kEnrolment, enrol_directory_, std::vector<grpc::Service*>{&service_});
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
