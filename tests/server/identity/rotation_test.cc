#include "server/identity/rotation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/rpc/authority_list.h"
#include "server/identity/ca.h"
#include "tests/server/identity/identity_fixture.h"
#include "tests/support/status_matchers.h"

namespace tributary::identity {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::StatusIs;
using testing::TestFederation;
using State = crypto::AuthorityNews::State;

class RotationTest : public ::testing::Test {
 protected:
  void Stage() {
    federation_.clock().Advance(absl::Hours(1));
    ASSERT_OK(StageAuthority(federation_.directory(), federation_.federation().id, federation_.clock(),
                             crypto::SecureRandom::System()));
    TakeIn();
  }
  void Activate() {
    ASSERT_OK(ActivateAuthority(federation_.directory()));
    TakeIn();
  }
  void Retire() {
    ASSERT_OK(RetireAuthority(federation_.directory()));
    TakeIn();
  }
  void TakeIn() {
    ASSERT_OK_AND_ASSIGN(AuthoritySet set, LoadAuthorities(federation_.directory()));
    federation_.authority().Use(std::move(set));
  }
  AuthoritySet Set() { return *federation_.authority().set(); }
  absl::Time now() { return federation_.clock().Now(); }
  Member MakeMember(const std::string& name, std::vector<std::string> trusts, Role role = Role::kClient) {
    Member out{role, "id-" + name, name, std::move(trusts), {}};
    AddCertificate(&out);
    return out;
  }
  void AddCertificate(Member* member) {
    const auto key = crypto::PrivateKey::Generate();
    const auto certificate =
        federation_.authority().IssuePeer(key->public_key(), member->role, member->id, member->name);
    ASSERT_OK(certificate);
    member->certificate_pems.push_back(certificate->pem());
  }

  TestFederation federation_;
};

TEST_F(RotationTest, ActivatingWouldLeaveBehindWhoHasNotConfirmed) {
  Stage();
  const std::string next = Set().Find(State::kStaged)->certificate.sha256();
  const std::vector<Member> members = {MakeMember("yes", {Set().all[0].certificate.sha256(), next}),
                                       MakeMember("no", {Set().all[0].certificate.sha256()}), MakeMember("silent", {}),
                                       MakeMember("person", {}, Role::kOperator)};
  EXPECT_THAT(NotYetTrusting(next, members, now()), ElementsAre("client no", "client silent"));
  EXPECT_THAT(NotYetTrusting(next, members, now() + 2 * kPeerLife), IsEmpty()) << "their certificates have expired";
}

TEST_F(RotationTest, RetiringWouldLeaveBehindWhoHoldsAnOldCertificate) {
  std::vector<Member> members = {MakeMember("a", {}), MakeMember("b", {}), MakeMember("c", {}, Role::kOperator),
                                 MakeMember(kLocalOperator, {}, Role::kOperator)};
  Stage();
  Activate();
  members[0].certificate_pems.clear();
  AddCertificate(&members[0]);  // the new one was used: the old one is superseded
  AddCertificate(&members[1]);  // not used yet
  const crypto::Certificate old = Set().Find(State::kRetiring)->certificate;
  EXPECT_THAT(StillHolding(old, members, now()), ElementsAre("client b", "operator c"));
  EXPECT_THAT(StillHolding(old, members, now() + 2 * kPeerLife), IsEmpty());
  const std::vector<AuthorityStanding> standing = Standings(Set(), members, now());
  ASSERT_EQ(standing.size(), 2u);
  EXPECT_EQ(standing[0].certificates, 2u);
  EXPECT_EQ(standing[1].certificates, 3u);
}

TEST_F(RotationTest, CertificatesOfARetiredAuthorityAreOfNobody) {
  const std::vector<Member> members = {MakeMember("a", {})};
  Stage();
  Activate();
  EXPECT_THAT(OfNobody(Set().Trust(), members), IsEmpty());
  Retire();
  ASSERT_OK_AND_ASSIGN(const auto certificate, crypto::Certificate::FromPem(members[0].certificate_pems[0]));
  EXPECT_THAT(OfNobody(Set().Trust(), members), ElementsAre(certificate.sha256()));
}

TEST_F(RotationTest, NobodyIsToldOfTheOnlyAuthority) {
  EXPECT_EQ(TellAuthorities(Set(), true, 5).authorities_size(), 0);
}

TEST_F(RotationTest, WhatIsToldCanBeFollowed) {
  const crypto::Certificate first = Set().issuer.certificate;
  const Member member = MakeMember("a", {});
  ASSERT_OK_AND_ASSIGN(const auto own, crypto::Certificate::FromPem(member.certificate_pems[0]));
  Stage();
  ASSERT_OK_AND_ASSIGN(crypto::TrustList trust,
                       rpc::AdoptFrom(TellAuthorities(Set(), true, 1), crypto::TrustList(first), own, now()));
  EXPECT_EQ(trust.trusted().size(), 2u);
  Activate();
  ASSERT_OK_AND_ASSIGN(trust, rpc::AdoptFrom(TellAuthorities(Set(), true, 1), trust, own, now()));
  EXPECT_EQ(trust.active().sha256(), Set().issuer.certificate.sha256());
  // One that was away until now can still follow: the new one is vouched for.
  ASSERT_OK_AND_ASSIGN(const auto late,
                       rpc::AdoptFrom(TellAuthorities(Set(), true, 1), crypto::TrustList(first), own, now()));
  EXPECT_EQ(late.active().sha256(), Set().issuer.certificate.sha256());
  Retire();
  // And one that joins now learns what histories of the past are checked against.
  Member later = MakeMember("later", {});
  ASSERT_OK_AND_ASSIGN(const auto fresh, crypto::Certificate::FromPem(later.certificate_pems[0]));
  ASSERT_OK_AND_ASSIGN(const auto joined, rpc::AdoptFrom(TellAuthorities(Set(), true, 1),
                                                         crypto::TrustList(Set().issuer.certificate), fresh, now()));
  EXPECT_TRUE(joined.IsOfThePast(own));
  EXPECT_EQ(TellAuthorities(Set(), false, 1).authorities_size(), 1);
}

TEST_F(RotationTest, EachHasAMomentToRenewIn) {
  Stage();
  EXPECT_EQ(TellAuthorities(Set(), true, 3).renew_within_ms(), 1000u);
  EXPECT_EQ(TellAuthorities(Set(), true, 5000).renew_within_ms(), 250'000u);
  const Member member = MakeMember("a", {});
  ASSERT_OK_AND_ASSIGN(const auto own, crypto::Certificate::FromPem(member.certificate_pems[0]));
  EXPECT_EQ(rpc::ReissueAfter(own, Set().Trust(), absl::Minutes(1)), absl::InfiniteDuration());
  Activate();
  const absl::Duration after = rpc::ReissueAfter(own, Set().Trust(), absl::Minutes(1));
  EXPECT_GE(after, absl::ZeroDuration());
  EXPECT_LT(after, absl::Minutes(1));
  EXPECT_EQ(after, rpc::ReissueAfter(own, Set().Trust(), absl::Minutes(1))) << "a restart does not draw again";
}

// ---- in the service

TEST_F(RotationTest, AnInvitationOfTheOldAuthorityIsGoodUntilItIsRetired) {
  const crypto::Invitation before = federation_.Invite("early");
  Stage();
  Activate();
  const auto key = crypto::PrivateKey::Generate();
  const std::string request = *crypto::MakeRequestPem(*key);
  ASSERT_OK_AND_ASSIGN(const v1::EnrolResponse answer,
                       federation_.service().Enrol(TestFederation::RequestFor(before, request), "1.2.3.4"));
  ASSERT_OK_AND_ASSIGN(const auto certificate, crypto::Certificate::FromPem(answer.certificate_pem()));
  ASSERT_OK_AND_ASSIGN(const auto pinned, crypto::Certificate::FromPem(before.ca_certificate_pem));
  EXPECT_FALSE(certificate.IssuedBy(pinned));
  ASSERT_OK_AND_ASSIGN(const auto trust, rpc::AdoptFrom(answer.authorities(), pinned, certificate, now()));
  EXPECT_NE(trust.IssuerOf(certificate), nullptr);
}

TEST_F(RotationTest, ARevokedCertificateOfARetiredAuthorityIsRefusedWithThatReason) {
  const std::string pem = federation_.Join("anna").response.certificate_pem();
  const auto call = [&] {
    return federation_.service().Authorize(rpc::Listener::kMain, "/tributary.v1.FederationService/Renew", pem);
  };
  EXPECT_OK(call());
  Stage();
  Activate();
  EXPECT_OK(call());
  Retire();
  ASSERT_OK_AND_ASSIGN(const std::vector<Member> members, federation_.store().ListMembers());
  ASSERT_OK(federation_.store().RevokeCertificates(OfNobody(Set().Trust(), members)));
  EXPECT_THAT(call(), StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("retired")));
}

}  // namespace
}  // namespace tributary::identity
