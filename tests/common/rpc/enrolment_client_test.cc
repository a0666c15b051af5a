#include "common/rpc/enrolment_client.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "common/base/files.h"
#include "common/crypto/certificate_request.h"
#include "tests/common/rpc/tls_fixture.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tributary/v1/enrolment.grpc.pb.h"
#include "tributary/v1/federation.grpc.pb.h"

namespace tributary::rpc {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::MakeAuthority;
using testing::StatusIs;

// Issues for any invitation, unless told to answer something else.
class FakeEnrolment final : public v1::EnrolmentService::Service {
 public:
  explicit FakeEnrolment(const crypto::Issuer& authority) : authority_(authority) {}
  grpc::Status Enrol(grpc::ServerContext*, const v1::EnrolRequest* request, v1::EnrolResponse* response) override {
    requests.push_back(*request);
    if (!answer.ok()) return answer;
    const auto csr = crypto::ParseRequest(request->csr_pem());
    if (!csr.ok()) return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "csr");
    crypto::CertificateTerms terms;
    terms.common_name = "alice";
    terms.serial = "serial" + std::to_string(requests.size());
    terms.not_before = Clock::System().Now() - absl::Hours(1);
    terms.not_after = Clock::System().Now() + absl::Hours(1);
    response->set_certificate_pem(crypto::Issue(authority_, csr->public_key, terms)->pem());
    response->set_ca_certificate_pem(authority_.certificate.pem());
    response->set_id("0011223344556677");
    response->set_name("alice");
    response->set_role(role);
    response->set_federation("8899aabbccddeeff");
    return grpc::Status::OK;
  }
  grpc::Status answer = grpc::Status::OK;
  std::string role = "client";
  std::vector<v1::EnrolRequest> requests;

 private:
  const crypto::Issuer& authority_;
};

class EnrolmentClientTest : public ::testing::Test {
 protected:
  EnrolmentClientTest() {
    testing::TestTerms terms;
    terms.use = crypto::CertificateUse::kServer;
    terms.path = "/enrol";
    EXPECT_OK(server_directory_.Install(testing::MakeCredential(authority_, terms)));
    invitation_.main_endpoint = "127.0.0.1:1";
    invitation_.ca_certificate_pem = authority_.certificate.pem();
    invitation_.token_id = "00ff";
    invitation_.secret = std::string(32, 's');
    invitation_.expires = Clock::System().Now() + absl::Hours(1);
    options_.version = "test";
  }
  absl::StatusOr<LocalIdentity> Join() {
    return JoinFederation(*crypto::EncodeInvitation(invitation_), root_, options_, Clock::System());
  }
  void Serve() {
    server_ = std::make_unique<testing::TestServer>(Listener::kEnrolment, server_directory_,
                                                    std::vector<grpc::Service*>{&service_});
    invitation_.enrol_endpoint = server_->endpoint();
  }
  bool NothingLeftBehind() const {
    return !FileExists(root_ + "/pending") && !FileExists(root_ + "/current") && !FileExists(root_ + "/identity.json");
  }

  const testing::TempDir dir_;
  const std::string root_ = dir_.File("pki");
  const crypto::Issuer authority_ = MakeAuthority();
  crypto::CredentialDirectory server_directory_{dir_.File("server")};
  FakeEnrolment service_{authority_};
  std::unique_ptr<testing::TestServer> server_;
  crypto::Invitation invitation_;
  JoinOptions options_;
};

TEST_F(EnrolmentClientTest, JoiningLeavesAnIdentityAndNothingPending) {
  Serve();
  ASSERT_OK_AND_ASSIGN(const LocalIdentity identity, Join());
  EXPECT_EQ(identity.name, "alice");
  EXPECT_EQ(identity.role, "client");
  EXPECT_EQ(identity.main_endpoint, "127.0.0.1:1");
  ASSERT_OK_AND_ASSIGN(const LocalIdentity loaded, LoadLocalIdentity(root_));
  EXPECT_EQ(loaded.id, "0011223344556677");
  EXPECT_EQ(loaded.federation, "8899aabbccddeeff");
  EXPECT_EQ(loaded.enrol_endpoint, invitation_.enrol_endpoint);
  EXPECT_OK(crypto::CredentialDirectory(root_).Load());
  EXPECT_FALSE(FileExists(root_ + "/pending"));
  ASSERT_EQ(service_.requests.size(), 1u);
  EXPECT_EQ(service_.requests[0].token_id(), "00ff");
  EXPECT_EQ(service_.requests[0].secret(), invitation_.secret);
  EXPECT_EQ(service_.requests[0].protocol_version(), 1u);
}

TEST_F(EnrolmentClientTest, ASecondJoinIsRefusedAndChangesNothing) {
  Serve();
  ASSERT_OK(Join());
  const std::string before = crypto::CredentialDirectory(root_).Load()->certificate.sha256();
  EXPECT_THAT(Join(), StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_EQ(crypto::CredentialDirectory(root_).Load()->certificate.sha256(), before);
}

TEST_F(EnrolmentClientTest, ATransportErrorKeepsKeyAndRequestForTheRetry) {
  invitation_.enrol_endpoint = "127.0.0.1:1";  // nobody listens there
  EXPECT_THAT(Join(), StatusIs(absl::StatusCode::kUnavailable));
  ASSERT_OK_AND_ASSIGN(const std::string request, ReadFile(root_ + "/pending/request.pem"));
  Serve();
  service_.answer = grpc::Status(grpc::StatusCode::UNAVAILABLE, "later");
  EXPECT_THAT(Join(), StatusIs(absl::StatusCode::kUnavailable));
  service_.answer = grpc::Status(grpc::StatusCode::INTERNAL, "disk full");
  EXPECT_THAT(Join(), StatusIs(absl::StatusCode::kInternal));
  service_.answer = grpc::Status::OK;
  ASSERT_OK(Join());
  for (const auto& sent : service_.requests) EXPECT_EQ(sent.csr_pem(), request);
}

TEST_F(EnrolmentClientTest, ACrashBeforeTheIdentityIsWrittenIsMendedByTheRetry) {
  Serve();
  ASSERT_OK(Join());
  // As if the power had failed just before identity.json: installed, pending still there.
  ASSERT_OK(RemoveFile(root_ + "/identity.json"));
  ASSERT_OK(MakeDirectories(root_ + "/pending", 0700));
  ASSERT_OK(crypto::CredentialDirectory(root_).Load()->key.Store(root_ + "/pending/key.pem"));
  ASSERT_OK(WriteFileDurably(root_ + "/pending/request.pem", service_.requests[0].csr_pem()));
  ASSERT_OK(Join());
  EXPECT_EQ(service_.requests[1].csr_pem(), service_.requests[0].csr_pem());
}

TEST_F(EnrolmentClientTest, ADefinitiveRefusalLeavesNothingBehind) {
  Serve();
  for (const auto code : {grpc::StatusCode::PERMISSION_DENIED, grpc::StatusCode::FAILED_PRECONDITION}) {
    service_.answer = grpc::Status(code, "no");
    EXPECT_EQ(static_cast<int>(Join().status().code()), static_cast<int>(code));
    EXPECT_TRUE(NothingLeftBehind());
  }
}

TEST_F(EnrolmentClientTest, AnotherServerThanTheInvitationNamesIsDefinitive) {
  Serve();
  invitation_.ca_certificate_pem = MakeAuthority().certificate.pem();
  EXPECT_THAT(Join(), StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("not the coordinator")));
  EXPECT_TRUE(NothingLeftBehind());
  EXPECT_TRUE(service_.requests.empty());
}

TEST_F(EnrolmentClientTest, AServerWithoutTheNameThatWasDialledIsDefinitive) {
  testing::TestTerms terms;
  terms.use = crypto::CertificateUse::kServer;
  terms.path = "/enrol";
  terms.addresses = {"192.0.2.7"};
  ASSERT_OK(server_directory_.Install(testing::MakeCredential(authority_, terms)));
  Serve();
  EXPECT_THAT(Join(), StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_TRUE(NothingLeftBehind());
}

TEST_F(EnrolmentClientTest, AnInvitationForAnotherRoleIsNotEvenSent) {
  Serve();
  invitation_.role = crypto::InvitedRole::kOperator;
  EXPECT_THAT(Join(), StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("`tributary join`")));
  EXPECT_TRUE(service_.requests.empty());
  EXPECT_TRUE(NothingLeftBehind());
}

TEST_F(EnrolmentClientTest, WhetherAnInvitationHasExpiredIsTheCoordinatorsToSay) {
  Serve();
  invitation_.expires = Clock::System().Now() - absl::Hours(1);
  EXPECT_OK(Join());  // this side's clock may be wrong
}

TEST_F(EnrolmentClientTest, AnExpiredInvitationAtAClosedDoorIsDefinitive) {
  invitation_.enrol_endpoint = "127.0.0.1:1";
  invitation_.expires = Clock::System().Now() - absl::Seconds(1);
  EXPECT_THAT(Join(), StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("expired")));
  EXPECT_TRUE(NothingLeftBehind());
}

TEST_F(EnrolmentClientTest, AKeyThatMayHaveGotThroughIsKeptEvenAfterTheEnd) {
  invitation_.enrol_endpoint = "127.0.0.1:1";
  EXPECT_THAT(Join(), StatusIs(absl::StatusCode::kUnavailable));
  invitation_.expires = Clock::System().Now() - absl::Seconds(1);
  EXPECT_THAT(Join(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_TRUE(FileExists(root_ + "/pending/request.pem"));
}

TEST_F(EnrolmentClientTest, AGarbledInvitationIsRefused) {
  EXPECT_THAT(JoinFederation("trb1_xyz", root_, options_, Clock::System()),
              StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_TRUE(NothingLeftBehind());
}

TEST_F(EnrolmentClientTest, AnIdentityFileThatMakesNoSenseIsSaidSo) {
  EXPECT_THAT(LoadLocalIdentity(root_), StatusIs(absl::StatusCode::kNotFound));
  dir_.Write("pki/identity.json", "{}");
  EXPECT_THAT(LoadLocalIdentity(root_), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("identity.json")));
}

}  // namespace
}  // namespace tributary::rpc
