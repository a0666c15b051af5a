// Joining and renewing against the real identity service over real TLS on loopback.
#include "client/identity/identity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "client/session/certificate_renewal.h"
#include "common/base/error_report.h"
#include "common/base/files.h"
#include "tests/server/identity/identity_server.h"
#include "tests/support/manual_clock.h"
#include "tests/support/status_matchers.h"

namespace tributary::client {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::StatusIs;

class ClientIdentityTest : public ::testing::Test {
 protected:
  std::string Token(const std::string& name, bool replace = false, const std::string& role = "") {
    return *crypto::EncodeInvitation(federation_.Invite(name, replace, role));
  }
  absl::StatusOr<rpc::LocalIdentity> JoinAs(const std::string& token) {
    return Join(token, directory_, federation_.clock());
  }
  crypto::CredentialDirectory Pki(const std::string& directory) const {
    return crypto::CredentialDirectory(PkiDirectory(directory));
  }
  absl::Status Call() const { return server_.CallAsClient(Pki(directory_)); }
  // The credential as it is now, kept where a renewal does not reach it.
  crypto::CredentialDirectory Keep(const std::string& name) {
    crypto::CredentialDirectory kept(dir_.File(name));
    EXPECT_OK(kept.Install(*Pki(directory_).Load()));
    return kept;
  }

  const testing::TempDir dir_;
  std::string directory_ = dir_.File("client");
  testing::TestFederation federation_{Clock::System().Now()};
  const testing::IdentityServer server_{federation_};
};

TEST_F(ClientIdentityTest, AnInvitedClientJoinsAndMayCall) {
  EXPECT_THAT(LoadIdentity(directory_), StatusIs(absl::StatusCode::kNotFound));
  ASSERT_OK_AND_ASSIGN(const rpc::LocalIdentity joined, JoinAs(Token("alice")));
  EXPECT_EQ(joined.name, "alice");
  EXPECT_EQ(joined.federation, federation_.federation().id);
  EXPECT_EQ(joined.main_endpoint, server_.main_endpoint());
  EXPECT_EQ(LoadIdentity(directory_)->id, joined.id);
  EXPECT_OK(RequirePrivate(PkiDirectory(directory_)));
  EXPECT_OK(Call());
  EXPECT_THAT(server_.CallAsOperator(Pki(directory_)), StatusIs(absl::StatusCode::kPermissionDenied));
}

// With --replace the folder with the authority's key would be put aside, and be removed at the next time.
TEST_F(ClientIdentityTest, NobodyJoinsInTheDirectoryOfACoordinator) {
  directory_ = federation_.directory();
  const std::string token = Token("alice");
  EXPECT_THAT(JoinAs(token), StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("keys of a coordinator")));
  EXPECT_THAT(JoinAgain(token, directory_, federation_.clock()), StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_FALSE(FileExists(PkiDirectory(directory_) + "/current"));
  EXPECT_OK(server_.CallAsOperator(identity::OperatorCredentialDirectory(directory_)));
  directory_ = dir_.File("client");
  EXPECT_OK(JoinAs(token)) << "nothing was sent: the invitation is as good as new";
}

TEST_F(ClientIdentityTest, TheFirstOperatorMayCallWhatClientsMayNot) {
  const auto local = identity::OperatorCredentialDirectory(federation_.directory());
  EXPECT_OK(server_.CallAsOperator(local));
  EXPECT_THAT(server_.CallAsClient(local), StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_F(ClientIdentityTest, AUsedInvitationIsRefusedWithExitCodeFourAndNoKeyIsLeft) {
  const std::string token = Token("alice");
  ASSERT_OK(JoinAs(token));
  const std::string thief = dir_.File("thief");
  const auto refused = Join(token, thief, federation_.clock());
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_EQ(ExitCodeFor(refused.status()), kExitNotAllowed);
  EXPECT_FALSE(FileExists(PkiDirectory(thief) + "/pending"));
  EXPECT_FALSE(FileExists(PkiDirectory(thief) + "/current"));
  EXPECT_THAT(federation_.audit().back(), HasSubstr("refused: invitation used before with another key"));
  EXPECT_OK(Call());
}

TEST_F(ClientIdentityTest, AnExpiredInvitationIsRefusedByTheCoordinatorAndAudited) {
  const std::string token = Token("alice");
  federation_.clock().Advance(absl::Hours(24));
  EXPECT_THAT(JoinAs(token), StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(federation_.audit().back(), HasSubstr("refused: expired invitation"));
  EXPECT_FALSE(FileExists(PkiDirectory(directory_) + "/pending"));
}

TEST_F(ClientIdentityTest, AnUnreachableCoordinatorIsExitCodeThree) {
  crypto::Invitation invitation = federation_.Invite("alice");
  invitation.enrol_endpoint = "127.0.0.1:1";
  const auto result = JoinAs(*crypto::EncodeInvitation(invitation));
  EXPECT_EQ(ExitCodeFor(result.status()), kExitUnreachable);
  EXPECT_TRUE(Pki(directory_).HasPending());
}

// A client that has joined, whose operator made an invitation with --replace.
class JoinAgainTest : public ClientIdentityTest {
 protected:
  JoinAgainTest() {
    TRB_CHECK(JoinAs(Token("alice")).ok());
    invitation_ = federation_.Invite("alice", true);
  }
  absl::StatusOr<rpc::LocalIdentity> Again() { return AgainWith(invitation_); }
  absl::StatusOr<rpc::LocalIdentity> AgainWith(const crypto::Invitation& invitation) {
    return JoinAgain(*crypto::EncodeInvitation(invitation), directory_, federation_.clock());
  }
  // The coordinator cannot be reached.
  absl::StatusOr<rpc::LocalIdentity> AgainInVain() {
    crypto::Invitation nowhere = invitation_;
    nowhere.enrol_endpoint = "127.0.0.1:1";
    return AgainWith(nowhere);
  }
  std::string InstalledKey() { return Pki(directory_).Load()->key.public_key().ToDer(); }

  const std::string joining_ = PkiDirectory(directory_) + ".joining";
  crypto::Invitation invitation_;
};

TEST_F(JoinAgainTest, TakesThePlaceOfTheOldIdentity) {
  const std::string before = InstalledKey();
  ASSERT_OK(Again());
  EXPECT_NE(before, InstalledKey());
  EXPECT_OK(Call());
  EXPECT_FALSE(FileExists(joining_));
  EXPECT_EQ(before,
            crypto::CredentialDirectory(PkiDirectory(directory_) + ".replaced").Load()->key.public_key().ToDer());
}

TEST_F(JoinAgainTest, ATransportErrorLeavesTheOldIdentityInPlaceAndKeepsTheNewKey) {
  const std::string before = InstalledKey();
  std::string waiting;
  for (int attempt = 0; attempt < 3; ++attempt) {
    EXPECT_EQ(kExitUnreachable, ExitCodeFor(AgainInVain().status()));
    EXPECT_EQ(before, InstalledKey());
    const std::string key = crypto::CredentialDirectory(joining_).PreparePending()->key.public_key().ToDer();
    EXPECT_TRUE(waiting.empty() || waiting == key);
    waiting = key;
  }
  ASSERT_OK(Again());
  EXPECT_EQ(waiting, InstalledKey());
  EXPECT_OK(Call());
}

TEST_F(JoinAgainTest, ALostAnswerIsHadAgainWithTheSameKey) {
  EXPECT_FALSE(AgainInVain().ok());
  const std::string elsewhere = dir_.File("elsewhere");
  std::filesystem::copy(joining_, elsewhere, std::filesystem::copy_options::recursive);
  rpc::JoinOptions options;
  options.role = crypto::InvitedRole::kClient;
  ASSERT_OK(rpc::JoinFederation(*crypto::EncodeInvitation(invitation_), elsewhere, options, federation_.clock()));
  ASSERT_OK(Again());
  EXPECT_EQ(crypto::CredentialDirectory(elsewhere).Load()->certificate.sha256(),
            Pki(directory_).Load()->certificate.sha256());
  EXPECT_OK(Call());
}

TEST_F(JoinAgainTest, ARefusalLeavesTheOldIdentity) {
  const std::string before = InstalledKey();
  invitation_.secret.assign(invitation_.secret.size(), 'x');
  EXPECT_THAT(Again(), StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_EQ(before, InstalledKey());
  EXPECT_FALSE(FileExists(joining_));
}

TEST_F(JoinAgainTest, ACrashBeforeTheNewOneIsInPlaceIsMadeGood) {
  EXPECT_FALSE(AgainInVain().ok());
  rpc::JoinOptions options;
  options.role = crypto::InvitedRole::kClient;
  ASSERT_OK(rpc::JoinFederation(*crypto::EncodeInvitation(invitation_), joining_, options, federation_.clock()));
  const std::string fresh = crypto::CredentialDirectory(joining_).Load()->key.public_key().ToDer();
  std::filesystem::remove_all(PkiDirectory(directory_));  // between the two renames
  ASSERT_OK(Again());
  EXPECT_EQ(fresh, InstalledKey());
  EXPECT_OK(Call());
}

TEST_F(JoinAgainTest, WithoutAnOldIdentityAKeyThatWaitsIsUsed) {
  directory_ = dir_.File("second");
  crypto::Invitation invitation = federation_.Invite("bob");
  crypto::Invitation nowhere = invitation;
  nowhere.enrol_endpoint = "127.0.0.1:1";
  EXPECT_FALSE(JoinAs(*crypto::EncodeInvitation(nowhere)).ok());
  const std::string waiting = Pki(directory_).PreparePending()->key.public_key().ToDer();
  ASSERT_OK(AgainWith(invitation));
  EXPECT_EQ(waiting, InstalledKey());
}

TEST_F(ClientIdentityTest, AnOperatorsInvitationIsNotForAClient) {
  EXPECT_THAT(JoinAs(Token("carol", false, "operator")),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("`tributary join`")));
}

TEST_F(ClientIdentityTest, ACertificateOfTheCaThatWasNeverRecordedMayNotCall) {
  ASSERT_OK_AND_ASSIGN(const auto key, crypto::PrivateKey::Generate());
  ASSERT_OK_AND_ASSIGN(const auto forged, federation_.authority().IssuePeer(key.public_key(), identity::Role::kClient,
                                                                            "0011223344556677", "mallory"));
  crypto::CredentialDirectory mallory(dir_.File("mallory"));
  ASSERT_OK(mallory.Install({key, forged, federation_.authority().certificate()}));
  EXPECT_THAT(server_.CallAsClient(mallory), StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("never issued")));
}

TEST_F(ClientIdentityTest, ARevokedClientIsOutAtOnceAndStaysOut) {
  ASSERT_OK(JoinAs(Token("alice")));
  ASSERT_OK(Call());
  ASSERT_OK(federation_.service().RevokeClient("alice", federation_.Operator()));
  const absl::Status refused = Call();
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("revoked")));
  EXPECT_EQ(ExitCodeFor(refused), kExitNotAllowed);
  federation_.clock().Advance(absl::Hours(24 * 25));
  Renewer renewer(directory_, server_.main_endpoint(), federation_.clock());
  EXPECT_THAT(renewer.RenewIfDue(), StatusIs(absl::StatusCode::kUnauthenticated));
  EXPECT_FALSE(Pki(directory_).HasPending());
}

TEST_F(ClientIdentityTest, NothingIsRenewedBeforeItIsDue) {
  ASSERT_OK(JoinAs(Token("alice")));
  Renewer renewer(directory_, server_.main_endpoint(), federation_.clock());
  EXPECT_THAT(renewer.RenewIfDue(), IsOkAndHolds(false));
  ASSERT_OK_AND_ASSIGN(const absl::Time due, renewer.Due());
  EXPECT_GE(due, federation_.clock().Now() + absl::Hours(24 * 19));
}

TEST_F(ClientIdentityTest, ARenewedCertificateHasANewKeyAndEndsTheOldOneWhenItIsUsed) {
  ASSERT_OK(JoinAs(Token("alice")));
  ASSERT_OK(Call());
  const crypto::CredentialDirectory old = Keep("old");
  federation_.clock().Advance(absl::Hours(24 * 25));
  Renewer renewer(directory_, server_.main_endpoint(), federation_.clock());
  ASSERT_THAT(renewer.RenewIfDue(), IsOkAndHolds(true));
  EXPECT_FALSE(Pki(directory_).HasPending());
  EXPECT_FALSE(Pki(directory_).Load()->certificate.Certifies(old.Load()->key));
  EXPECT_OK(server_.CallAsClient(old));
  EXPECT_THAT(federation_.audit(), Contains("client/alice renew alice ok"));
}

// By such a clock the new certificate is due again at once.
TEST_F(ClientIdentityTest, AClockThatIsAheadRenewsOnceAnHourAndNotAtEveryHeartbeat) {
  ASSERT_OK(JoinAs(Token("alice")));
  testing::ManualClock ahead(federation_.clock().Now() + absl::Hours(24 * 25));
  session::CertificateRenewal renewal(directory_, server_.main_endpoint(), &ahead);
  EXPECT_TRUE(renewal.Wanted(true));
  EXPECT_THAT(renewal.Renew(), IsOkAndHolds(true));
  EXPECT_FALSE(renewal.Wanted(true));
  EXPECT_THAT(renewal.Renew(), IsOkAndHolds(false));
  ahead.Advance(absl::Minutes(61));
  EXPECT_TRUE(renewal.Wanted(true));
}

TEST_F(ClientIdentityTest, AClockOutsideTheCertificatesTimeIsPutInWords) {
  ASSERT_OK(JoinAs(Token("alice")));
  const crypto::Certificate certificate = Pki(directory_).Load()->certificate;
  EXPECT_EQ("", session::ClockFault(certificate, federation_.clock().Now()));
  for (const absl::Time now : {certificate.not_before() - absl::Seconds(1), certificate.not_after()})
    EXPECT_THAT(session::ClockFault(certificate, now),
                ::testing::AllOf(HasSubstr("this machine's clock says 20"), HasSubstr("is valid from 20"),
                                 HasSubstr(" to 20")));
  EXPECT_THAT(session::CheckNotExpired(certificate, certificate.not_after()),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("this machine's clock says 20")));
}

TEST_F(ClientIdentityTest, ARenewalThatWasCutOffGoesOnWithTheSameKey) {
  ASSERT_OK(JoinAs(Token("alice")));
  federation_.clock().Advance(absl::Hours(24 * 25));
  Renewer unreachable(directory_, "127.0.0.1:1", federation_.clock());
  EXPECT_THAT(unreachable.RenewIfDue(), StatusIs(absl::StatusCode::kUnavailable));
  const std::string request = Pki(directory_).PreparePending()->request_pem;
  Renewer renewer(directory_, server_.main_endpoint(), federation_.clock());
  ASSERT_THAT(renewer.RenewIfDue(), IsOkAndHolds(true));
  EXPECT_EQ(crypto::ParseRequest(request)->public_key.ToDer(), Pki(directory_).Load()->key.public_key().ToDer());
}

TEST_F(ClientIdentityTest, APendingKeyThatIsInstalledAlreadyIsNotAskedForAgain) {
  ASSERT_OK(JoinAs(Token("alice")));
  const crypto::Credential first = *Pki(directory_).Load();
  // As a crash between the swap and the removal of the pending files leaves it.
  ASSERT_OK(MakeDirectories(PkiDirectory(directory_) + "/pending", 0700));
  ASSERT_OK(first.key.Store(PkiDirectory(directory_) + "/pending/key.pem"));
  ASSERT_OK(WriteFileDurably(PkiDirectory(directory_) + "/pending/request.pem", *crypto::MakeRequestPem(first.key)));
  federation_.clock().Advance(absl::Hours(24 * 25));
  Renewer renewer(directory_, server_.main_endpoint(), federation_.clock());
  ASSERT_THAT(renewer.RenewIfDue(), IsOkAndHolds(true));
  EXPECT_FALSE(Pki(directory_).Load()->certificate.Certifies(first.key));
}

TEST_F(ClientIdentityTest, AReplacedClientIsOutAndItsSuccessorKeepsTheId) {
  ASSERT_OK_AND_ASSIGN(const auto first, JoinAs(Token("alice")));
  ASSERT_OK(Call());
  const std::string token = Token("alice", /*replace=*/true);
  EXPECT_THAT(Call(), StatusIs(absl::StatusCode::kUnauthenticated));
  const std::string reinstalled = dir_.File("reinstalled");
  ASSERT_OK_AND_ASSIGN(const auto second, Join(token, reinstalled, federation_.clock()));
  EXPECT_EQ(second.id, first.id);
  EXPECT_OK(server_.CallAsClient(Pki(reinstalled)));
  EXPECT_THAT(Call(), StatusIs(absl::StatusCode::kUnauthenticated));
}

}  // namespace
}  // namespace tributary::client
