#include "server/identity/identity_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/rpc/peer_check.h"
#include "tests/server/identity/identity_fixture.h"
#include "tests/support/status_matchers.h"

namespace tributary::identity {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::IsOkAndHolds;
using ::testing::Not;
using ::testing::Pair;
using testing::StatusIs;
using testing::TestFederation;

constexpr char kSession[] = "/tributary.v1.FederationService/OpenSession";
constexpr char kListRuns[] = "/tributary.v1.OperatorService/ListRuns";
constexpr char kEnrol[] = "/tributary.v1.EnrolmentService/Enrol";

class IdentityServiceTest : public ::testing::Test {
 protected:
  IdentityService& service() { return federation_.service(); }
  absl::StatusOr<Principal> Session(const std::string& pem) {
    return service().Authorize(rpc::Listener::kMain, kSession, pem);
  }
  static std::string NewRequest() { return *crypto::MakeRequestPem(*crypto::PrivateKey::Generate()); }
  absl::StatusOr<v1::EnrolResponse> Enrol(const crypto::Invitation& invitation, const std::string& request_pem) {
    return service().Enrol(TestFederation::RequestFor(invitation, request_pem), "192.0.2.1:5");
  }
  // A certificate of the same CA that the coordinator never recorded.
  std::string UnrecordedCertificate() {
    return federation_.authority()
        .IssuePeer(crypto::PrivateKey::Generate()->public_key(), Role::kClient, "0123456789abcdef", "mallory")
        ->pem();
  }

  TestFederation federation_;
};

// ---- enrolment

TEST_F(IdentityServiceTest, AnInvitationCarriesWhatAClientNeeds) {
  const crypto::Invitation invitation = federation_.Invite("alice");
  EXPECT_EQ(invitation.role, crypto::InvitedRole::kClient);
  EXPECT_EQ(invitation.main_endpoint, "localhost:7443");
  EXPECT_EQ(invitation.enrol_endpoint, "localhost:7444");
  EXPECT_EQ(invitation.ca_certificate_pem, federation_.authority().certificate().pem());
  EXPECT_EQ(invitation.expires, federation_.clock().Now() + absl::Hours(24));
  EXPECT_THAT(federation_.audit(), ElementsAre("operator/local client.invite alice ok"));
}

TEST_F(IdentityServiceTest, TheStoreNeverSeesTheSecret) {
  const crypto::Invitation invitation = federation_.Invite("alice");
  ASSERT_OK_AND_ASSIGN(const InvitationRow row, federation_.store().GetInvitation(invitation.token_id));
  EXPECT_EQ(row.secret_sha256.find(invitation.secret), std::string::npos);
  EXPECT_EQ(row.secret_sha256.size(), 64u);
}

TEST_F(IdentityServiceTest, EnrollingGivesAThirtyDayCertificateNamedByTheCoordinatorAlone) {
  const TestFederation::Member alice = federation_.Join("alice");
  EXPECT_EQ(alice.response.name(), "alice");
  EXPECT_EQ(alice.response.role(), "client");
  EXPECT_EQ(alice.response.federation(), federation_.federation().id);
  ASSERT_OK_AND_ASSIGN(const auto certificate, crypto::Certificate::FromPem(alice.response.certificate_pem()));
  EXPECT_TRUE(certificate.Certifies(alice.key));
  EXPECT_TRUE(certificate.IssuedBy(federation_.authority().certificate()));
  EXPECT_THAT(certificate.uris(),
              ElementsAre("spiffe://" + federation_.federation().id + "/client/" + alice.response.id()));
  EXPECT_EQ(certificate.not_after(), federation_.clock().Now() + absl::Hours(24 * 30));
  EXPECT_THAT(federation_.audit(), Contains("stranger/127.0.0.1:1 enrol alice ok"));
}

TEST_F(IdentityServiceTest, TheSameInvitationWithTheSameRequestReturnsTheSameCertificate) {
  const crypto::Invitation invitation = federation_.Invite("alice");
  const std::string request = NewRequest();
  ASSERT_OK_AND_ASSIGN(const auto first, Enrol(invitation, request));
  federation_.clock().Advance(absl::Hours(30));  // also after the invitation's end: it was used in time
  ASSERT_OK_AND_ASSIGN(const auto second, Enrol(invitation, request));
  EXPECT_EQ(first.certificate_pem(), second.certificate_pem());
  EXPECT_EQ(first.id(), second.id());
}

TEST_F(IdentityServiceTest, EveryRefusalLooksAlikeToAStrangerAndHasItsReasonInTheAudit) {
  const crypto::Invitation used = federation_.Invite("used"), expired = federation_.Invite("expired");
  const crypto::Invitation voided = federation_.Invite("voided");
  ASSERT_OK(Enrol(used, NewRequest()));
  federation_.Invite("voided");
  crypto::Invitation unknown = used, guessed = federation_.Invite("guessed");
  unknown.token_id = "00";
  guessed.secret[0] = static_cast<char>(guessed.secret[0] ^ 1);
  const crypto::Invitation garbage = federation_.Invite("garbage");
  crypto::Invitation shortened = garbage;
  shortened.secret.pop_back();

  std::vector<absl::Status> answers = {
      Enrol(used, NewRequest()).status(),    Enrol(voided, NewRequest()).status(),
      Enrol(unknown, NewRequest()).status(), Enrol(guessed, NewRequest()).status(),
      Enrol(garbage, "no csr").status(),     Enrol(shortened, NewRequest()).status(),
  };
  federation_.clock().Advance(absl::Hours(24));
  answers.push_back(Enrol(expired, NewRequest()).status());

  for (const absl::Status& answer : answers) {
    EXPECT_EQ(answer.code(), absl::StatusCode::kPermissionDenied);
    EXPECT_EQ(answer.message(), answers[0].message());
  }
  const std::string stranger = "stranger/192.0.2.1:5 enrol ";
  for (const char* reason : {"used refused: invitation used before with another key",
                             "voided refused: invitation replaced or revoked", "00 refused: unknown invitation",
                             "refused: wrong secret", "garbage refused: this is no certificate request in PEM",
                             "refused: malformed request", "expired refused: expired invitation"})
    EXPECT_THAT(federation_.audit(), Contains(::testing::AllOf(HasSubstr(stranger), HasSubstr(reason))));
}

TEST_F(IdentityServiceTest, AWrongSecretDoesNotEvenTellTheAuditWhoWasMeant) {
  crypto::Invitation guessed = federation_.Invite("alice");
  guessed.secret[0] = static_cast<char>(guessed.secret[0] ^ 1);
  EXPECT_THAT(Enrol(guessed, NewRequest()), StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_EQ(federation_.audit().back(), "stranger/192.0.2.1:5 enrol " + guessed.token_id + " refused: wrong secret");
}

TEST_F(IdentityServiceTest, AMalformedAttemptDoesNotUseTheInvitationUp) {
  const crypto::Invitation invitation = federation_.Invite("alice");
  EXPECT_THAT(Enrol(invitation, std::string(5000, 'x')), StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(federation_.audit().back(), HasSubstr("refused: the certificate request is too long"));
  EXPECT_OK(Enrol(invitation, NewRequest()));
}

TEST_F(IdentityServiceTest, ProtocolVersionsTooFarApartAreSaidSo) {
  v1::EnrolRequest request = TestFederation::RequestFor(federation_.Invite("alice"), NewRequest());
  request.set_protocol_version(9);
  EXPECT_THAT(service().Enrol(request, "x"), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("protocol 1")));
}

TEST_F(IdentityServiceTest, AnOperatorsInvitationMakesAnOperator) {
  const crypto::Invitation invitation = federation_.Invite("carol", false, "operator");
  EXPECT_EQ(invitation.role, crypto::InvitedRole::kOperator);
  ASSERT_OK_AND_ASSIGN(const auto response, Enrol(invitation, NewRequest()));
  EXPECT_EQ(response.role(), "operator");
  ASSERT_OK_AND_ASSIGN(const Principal carol,
                       service().Authorize(rpc::Listener::kMain, kListRuns, response.certificate_pem()));
  EXPECT_TRUE(carol.is_operator());
  EXPECT_EQ(carol.Actor(), "operator/carol");
  EXPECT_THAT(Session(response.certificate_pem()), StatusIs(absl::StatusCode::kPermissionDenied));
}

// ---- invitations

TEST_F(IdentityServiceTest, AllFaultsOfAnInviteRequestAreListedAtOnce) {
  v1::InviteRequest request;
  request.set_name("Not A Name");
  request.set_role("king");
  request.set_expires_in_ms(UINT64_MAX);
  (*request.mutable_labels())["Bad Key"] = "x";
  EXPECT_THAT(service().Invite(request, federation_.Operator()),
              StatusIs(absl::StatusCode::kInvalidArgument, ::testing::AllOf(HasSubstr("name"), HasSubstr("role"),
                                                                            HasSubstr("at most"), HasSubstr("label"))));
}

TEST_F(IdentityServiceTest, TheSameRequestIdReturnsTheSameInvitation) {
  v1::InviteRequest request;
  request.set_name("alice");
  request.set_request_id("r1");
  ASSERT_OK_AND_ASSIGN(const auto first, service().Invite(request, federation_.Operator()));
  ASSERT_OK_AND_ASSIGN(const auto second, service().Invite(request, federation_.Operator()));
  EXPECT_EQ(first.invitation(), second.invitation());
  request.set_request_id("r2");
  ASSERT_OK_AND_ASSIGN(const auto third, service().Invite(request, federation_.Operator()));
  EXPECT_NE(first.invitation(), third.invitation());
}

TEST_F(IdentityServiceTest, InvitingAnEnrolledNameSaysHowToReplaceIt) {
  federation_.Join("alice");
  v1::InviteRequest request;
  request.set_name("alice");
  EXPECT_THAT(service().Invite(request, federation_.Operator()),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("--replace")));
  EXPECT_THAT(federation_.audit().back(), HasSubstr("client.invite alice refused"));
}

TEST_F(IdentityServiceTest, TheEnrolmentWindowFollowsTheInvitation) {
  EXPECT_THAT(service().EnrolmentWanted(), IsOkAndHolds(false));
  const crypto::Invitation invitation = federation_.Invite("alice");
  EXPECT_THAT(service().EnrolmentWanted(), IsOkAndHolds(true));
  ASSERT_OK_AND_ASSIGN(const auto response, Enrol(invitation, NewRequest()));
  EXPECT_THAT(service().EnrolmentWanted(), IsOkAndHolds(true));
  ASSERT_OK(Session(response.certificate_pem()));
  EXPECT_THAT(service().EnrolmentWanted(), IsOkAndHolds(false));
  federation_.Invite("bob");
  federation_.clock().Advance(absl::Hours(24));
  EXPECT_THAT(service().EnrolmentWanted(), IsOkAndHolds(false));
}

// ---- the choke point

TEST_F(IdentityServiceTest, AnEnrolledClientIsWhoItsCertificateSays) {
  const TestFederation::Member alice = federation_.Join("alice");
  ASSERT_OK_AND_ASSIGN(const Principal principal, Session(alice.response.certificate_pem()));
  EXPECT_TRUE(principal.is_client());
  EXPECT_EQ(principal.id, alice.response.id());
  EXPECT_EQ(principal.name, "alice");
  EXPECT_EQ(principal.Actor(), "client/alice");
  EXPECT_EQ(principal.certificate_sha256, crypto::Certificate::FromPem(alice.response.certificate_pem())->sha256());
}

TEST_F(IdentityServiceTest, NobodyWithoutACertificateMayCallTheMainPort) {
  EXPECT_THAT(Session(""), StatusIs(absl::StatusCode::kUnauthenticated));
  EXPECT_THAT(service().Authorize(rpc::Listener::kMain, kEnrol, ""), StatusIs(absl::StatusCode::kUnauthenticated));
}

TEST_F(IdentityServiceTest, AStrangerMayOnlyEnrolAndOnlyAtTheEnrolmentPort) {
  ASSERT_OK_AND_ASSIGN(const Principal stranger, service().Authorize(rpc::Listener::kEnrolment, kEnrol, ""));
  EXPECT_EQ(stranger.role, Principal::Role::kStranger);
  EXPECT_THAT(service().Authorize(rpc::Listener::kEnrolment, kSession, ""), Not(IsOk()));
}

TEST_F(IdentityServiceTest, ACertificateOfTheRightCaButUnknownSerialIsRefused) {
  EXPECT_THAT(Session(UnrecordedCertificate()),
              StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("never issued")));
}

TEST_F(IdentityServiceTest, WhatIsNoCertificateIsRefused) {
  EXPECT_THAT(Session("-----BEGIN CERTIFICATE-----\nx\n"), StatusIs(absl::StatusCode::kUnauthenticated));
}

TEST_F(IdentityServiceTest, AClientMayNotCallWhatOperatorsCall) {
  const TestFederation::Member alice = federation_.Join("alice");
  EXPECT_THAT(service().Authorize(rpc::Listener::kMain, kListRuns, alice.response.certificate_pem()),
              StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(
      service().Authorize(rpc::Listener::kMain, "/tributary.v1.NoSuchService/Call", alice.response.certificate_pem()),
      StatusIs(absl::StatusCode::kPermissionDenied));
}

// A clock that stepped, on either side: the peer is told both dates and can compare them with its own.
TEST_F(IdentityServiceTest, ARefusalForItsDatesNamesTheCoordinatorsClock) {
  const TestFederation::Member alice = federation_.Join("alice");
  ASSERT_OK_AND_ASSIGN(const auto shown, crypto::Certificate::FromPem(alice.response.certificate_pem()));
  federation_.clock().SetWall(shown.not_before() - absl::Hours(1));
  EXPECT_THAT(Session(alice.response.certificate_pem()),
              StatusIs(absl::StatusCode::kUnauthenticated,
                       AllOf(HasSubstr("not valid before " + rpc::DateText(shown.not_before())),
                             HasSubstr(rpc::DateText(federation_.clock().Now())))));
  federation_.clock().SetWall(shown.not_after() + absl::Hours(1));
  EXPECT_THAT(
      Session(alice.response.certificate_pem()),
      StatusIs(absl::StatusCode::kUnauthenticated, AllOf(HasSubstr("expired at " + rpc::DateText(shown.not_after())),
                                                         HasSubstr(rpc::DateText(federation_.clock().Now())))));
}

TEST_F(IdentityServiceTest, ACertificateExpiresBetweenTwoCalls) {
  const TestFederation::Member alice = federation_.Join("alice");
  federation_.clock().Advance(absl::Hours(24 * 30) - absl::Seconds(1));
  EXPECT_OK(Session(alice.response.certificate_pem()));
  federation_.clock().Advance(absl::Seconds(1));
  EXPECT_THAT(Session(alice.response.certificate_pem()),
              StatusIs(absl::StatusCode::kUnauthenticated,
                       AllOf(HasSubstr("has expired at 20"), HasSubstr("the coordinator's clock says 20"))));
}

// ---- revocation

TEST_F(IdentityServiceTest, ARevokedClientsNextCallIsRefusedAndItsStreamsAreCut) {
  const TestFederation::Member alice = federation_.Join("alice");
  ASSERT_OK(Session(alice.response.certificate_pem()));
  ASSERT_OK_AND_ASSIGN(const v1::Client document, service().RevokeClient("alice", federation_.Operator()));
  EXPECT_EQ(document.state(), "revoked");
  EXPECT_THAT(Session(alice.response.certificate_pem()),
              StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("revoked")));
  EXPECT_THAT(federation_.revoked(), ElementsAre(Pair(alice.response.id(), "revoked by operator/local")));
  EXPECT_THAT(federation_.audit(), Contains("operator/local client.revoke alice ok"));
}

TEST_F(IdentityServiceTest, RevokingTwiceIsFineAndANameThatIsNotThereIsNotFound) {
  federation_.Join("alice");
  ASSERT_OK(service().RevokeClient("alice", federation_.Operator()));
  EXPECT_OK(service().RevokeClient("alice", federation_.Operator()));
  EXPECT_THAT(service().RevokeClient("nobody", federation_.Operator()), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(IdentityServiceTest, ARevokedInvitationCannotBeUsed) {
  const crypto::Invitation invitation = federation_.Invite("alice");
  ASSERT_OK(service().RevokeClient("alice", federation_.Operator()));
  EXPECT_THAT(Enrol(invitation, NewRequest()), StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_F(IdentityServiceTest, ARevokedOperatorMayNotCall) {
  ASSERT_OK_AND_ASSIGN(const auto carol, Enrol(federation_.Invite("carol", false, "operator"), NewRequest()));
  ASSERT_OK(service().RevokeOperator("carol", federation_.Operator()));
  EXPECT_THAT(service().Authorize(rpc::Listener::kMain, kListRuns, carol.certificate_pem()),
              StatusIs(absl::StatusCode::kUnauthenticated));
}

// ---- renewal and replacement

TEST_F(IdentityServiceTest, TheOldCertificateDiesAtFirstUseOfTheNew) {
  const TestFederation::Member alice = federation_.Join("alice");
  const std::string old_pem = alice.response.certificate_pem();
  ASSERT_OK_AND_ASSIGN(const Principal principal, Session(old_pem));
  v1::RenewRequest request;
  request.set_csr_pem(NewRequest());
  ASSERT_OK_AND_ASSIGN(const auto renewed, service().Renew(request, principal));
  ASSERT_OK_AND_ASSIGN(const auto again, service().Renew(request, principal));
  EXPECT_EQ(renewed.certificate_pem(), again.certificate_pem());
  EXPECT_OK(Session(old_pem));
  ASSERT_OK_AND_ASSIGN(const Principal fresh, Session(renewed.certificate_pem()));
  EXPECT_EQ(fresh.id, principal.id);
  EXPECT_THAT(Session(old_pem), StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("newer one")));
}

TEST_F(IdentityServiceTest, ACallThatIsNotAllowedDoesNotCountAsFirstUse) {
  const TestFederation::Member alice = federation_.Join("alice");
  ASSERT_OK_AND_ASSIGN(const Principal principal, Session(alice.response.certificate_pem()));
  v1::RenewRequest request;
  request.set_csr_pem(NewRequest());
  ASSERT_OK_AND_ASSIGN(const auto renewed, service().Renew(request, principal));
  EXPECT_THAT(service().Authorize(rpc::Listener::kMain, kListRuns, renewed.certificate_pem()), Not(IsOk()));
  EXPECT_OK(Session(alice.response.certificate_pem()));
}

TEST_F(IdentityServiceTest, RenewalChecksAgainThatTheClientIsActive) {
  const TestFederation::Member alice = federation_.Join("alice");
  ASSERT_OK_AND_ASSIGN(const Principal principal, Session(alice.response.certificate_pem()));
  ASSERT_OK(service().RevokeClient("alice", federation_.Operator()));
  v1::RenewRequest request;
  request.set_csr_pem(NewRequest());
  EXPECT_THAT(service().Renew(request, principal), StatusIs(absl::StatusCode::kUnauthenticated));
  EXPECT_EQ(federation_.audit().back(), "client/alice renew alice refused: no longer active");
}

TEST_F(IdentityServiceTest, OneIdentityCannotHaveCertificatesWithoutEnd) {
  const TestFederation::Member alice = federation_.Join("alice"), bob = federation_.Join("bob");
  ASSERT_OK_AND_ASSIGN(const Principal principal, Session(alice.response.certificate_pem()));
  ASSERT_OK_AND_ASSIGN(const Principal other, Session(bob.response.certificate_pem()));
  v1::RenewRequest request;
  for (int i = 0; i < 16; ++i) {
    request.set_csr_pem(NewRequest());
    ASSERT_OK(service().Renew(request, principal));
  }
  request.set_csr_pem(NewRequest());
  const size_t rows = federation_.audit().size();
  EXPECT_THAT(service().Renew(request, principal), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(federation_.audit().size(), rows);
  EXPECT_OK(service().Renew(request, other));
  federation_.clock().Advance(absl::Minutes(30));
  request.set_csr_pem(NewRequest());
  EXPECT_OK(service().Renew(request, principal));
}

TEST_F(IdentityServiceTest, AReplacedOperatorIsCutLikeAClient) {
  ASSERT_OK_AND_ASSIGN(const auto carol, Enrol(federation_.Invite("carol", false, "operator"), NewRequest()));
  federation_.Invite("carol", /*replace=*/true, "operator");
  EXPECT_THAT(federation_.revoked(), ElementsAre(Pair(carol.id(), "replaced by operator/local")));
  ASSERT_OK(service().RevokeOperator("carol", federation_.Operator()));
  EXPECT_THAT(federation_.revoked().back(), Pair(carol.id(), "revoked by operator/local"));
}

TEST_F(IdentityServiceTest, AMalformedRenewalIsSaidSo) {
  const TestFederation::Member alice = federation_.Join("alice");
  ASSERT_OK_AND_ASSIGN(const Principal principal, Session(alice.response.certificate_pem()));
  EXPECT_THAT(service().Renew(v1::RenewRequest(), principal), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(IdentityServiceTest, AReplacedClientComesBackUnderItsOldId) {
  const TestFederation::Member alice = federation_.Join("alice");
  const crypto::Invitation replacement = federation_.Invite("alice", /*replace=*/true);
  EXPECT_THAT(federation_.revoked(), ElementsAre(Pair(alice.response.id(), "replaced by operator/local")));
  EXPECT_THAT(Session(alice.response.certificate_pem()), StatusIs(absl::StatusCode::kUnauthenticated));
  ASSERT_OK_AND_ASSIGN(const auto response, Enrol(replacement, NewRequest()));
  EXPECT_EQ(response.id(), alice.response.id());
  EXPECT_OK(Session(response.certificate_pem()));
  EXPECT_THAT(Session(alice.response.certificate_pem()), StatusIs(absl::StatusCode::kUnauthenticated));
}

// ---- what is told about clients

TEST_F(IdentityServiceTest, ClientsAreListedWithStateFactsAndExpiry) {
  const TestFederation::Member alice = federation_.Join("alice"), bob = federation_.Join("bob");
  federation_.Invite("carol");
  v1::Hello hello;
  hello.set_version("0.1.0");
  hello.mutable_dataset()->set_examples(37);
  ASSERT_OK(service().RecordHello(alice.response.id(), hello));
  ASSERT_OK(service().RevokeClient("bob", federation_.Operator()));
  const auto online = [&](const std::string& id) { return id == alice.response.id(); };
  ASSERT_OK_AND_ASSIGN(const auto clients, service().ListClients(online));
  ASSERT_EQ(clients.size(), 3u);
  EXPECT_EQ(clients[0].name(), "alice");
  EXPECT_EQ(clients[0].state(), "online");
  EXPECT_EQ(clients[0].examples(), 37u);
  EXPECT_EQ(clients[0].version(), "0.1.0");
  EXPECT_EQ(clients[0].last_seen_unix_ms(), federation_.clock().NowUnixMillis());
  EXPECT_EQ(clients[0].certificate_not_after_unix_ms(),
            absl::ToUnixMillis(federation_.clock().Now() + absl::Hours(24 * 30)));
  EXPECT_EQ(clients[1].state(), "revoked");
  EXPECT_EQ(clients[2].state(), "invited");
  ASSERT_OK_AND_ASSIGN(const auto again, service().GetClient("alice", nullptr));
  EXPECT_EQ(again.state(), "offline");
  ASSERT_OK_AND_ASSIGN(const auto active, service().ActiveClients());
  ASSERT_EQ(active.size(), 1u);
  EXPECT_EQ(active[0].name, "alice");
}

TEST_F(IdentityServiceTest, AClientsOwnCertificatesAreFoundWhateverTheirState) {
  const TestFederation::Member alice = federation_.Join("alice"), bob = federation_.Join("bob");
  const std::string sha256 = crypto::Certificate::FromPem(alice.response.certificate_pem())->sha256();
  ASSERT_OK(service().RevokeClient("alice", federation_.Operator()));
  ASSERT_OK_AND_ASSIGN(const CertificateRow row, service().SigningCertificate(alice.response.id(), sha256));
  EXPECT_EQ(row.state, CertificateState::kRevoked);
  EXPECT_THAT(service().SigningCertificate(bob.response.id(), sha256), StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace tributary::identity
