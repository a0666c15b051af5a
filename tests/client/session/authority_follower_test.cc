#include "client/session/authority_follower.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/identity/identity.h"
#include "common/crypto/certificate_issuer.h"
#include "common/crypto/secure_random.h"
#include "common/rpc/authority_list.h"
#include "tests/support/manual_clock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tributary::session {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using State = crypto::AuthorityNews::State;

class AuthorityFollowerTest : public ::testing::Test {
 protected:
  AuthorityFollowerTest() {
    EXPECT_OK(pki_.Install({key_, Certify(old_), old_.certificate}));
    trust_ = std::make_unique<crypto::CurrentTrust>(old_.certificate);
    follower_ = std::make_unique<AuthorityFollower>(dir_.path(), trust_.get(), &renewal_, &clock_);
  }
  crypto::CertificateTerms Terms(crypto::CertificateUse use) const {
    crypto::CertificateTerms terms;
    terms.use = use;
    terms.common_name = "test";
    terms.serial = crypto::SecureRandom::System().Bytes(16);
    terms.not_before = clock_.Now() - absl::Hours(1);
    terms.not_after = clock_.Now() + absl::Hours(1000);
    terms.uris = {"spiffe://test"};
    return terms;
  }
  crypto::Issuer MakeAuthority(absl::Duration younger) const {
    const crypto::PrivateKey key = *crypto::PrivateKey::Generate();
    crypto::CertificateTerms terms = Terms(crypto::CertificateUse::kAuthority);
    terms.not_before += younger;
    return {*crypto::SelfSign(key, terms), key};
  }
  crypto::Certificate Certify(const crypto::Issuer& by) const {
    return *crypto::Issue(by, key_.public_key(), Terms(crypto::CertificateUse::kPeer));
  }
  crypto::Certificate Vouch(const crypto::Issuer& by, const crypto::Issuer& other) const {
    return *crypto::Issue(by, other.key.public_key(), Terms(crypto::CertificateUse::kAuthority));
  }
  v1::AuthorityList News(State of_old, State of_next, bool vouched = true) const {
    std::vector<crypto::Certificate> word;
    if (vouched) word.push_back(Vouch(old_, next_));
    v1::AuthorityList out =
        rpc::AuthoritiesToProto({{next_.certificate, of_next, word}, {old_.certificate, of_old, {}}});
    out.set_renew_within_ms(10'000);
    return out;
  }
  std::vector<std::string> Installed() const { return pki_.Load()->trust.TrustedDigests(); }

  testing::ManualClock clock_;
  const testing::TempDir dir_;
  crypto::CredentialDirectory pki_{client::PkiDirectory(dir_.path())};
  const crypto::PrivateKey key_ = *crypto::PrivateKey::Generate();
  const crypto::Issuer old_ = MakeAuthority(absl::ZeroDuration()), next_ = MakeAuthority(absl::Minutes(1));
  CertificateRenewal renewal_{dir_.path(), "localhost:1", &clock_};
  std::unique_ptr<crypto::CurrentTrust> trust_;
  std::unique_ptr<AuthorityFollower> follower_;
};

TEST_F(AuthorityFollowerTest, AStagedAuthorityIsTrustedFromThenOnAlsoOverARestart) {
  EXPECT_TRUE(follower_->Take(News(State::kActive, State::kStaged)));
  EXPECT_THAT(follower_->Trusted(), ElementsAre(old_.certificate.sha256(), next_.certificate.sha256()));
  EXPECT_EQ(Installed(), follower_->Trusted());
  EXPECT_FALSE(follower_->Take(News(State::kActive, State::kStaged))) << "no news";
  EXPECT_FALSE(renewal_.Wanted(/*idle=*/true));
  EXPECT_EQ(follower_->Fault(), "");
}

TEST_F(AuthorityFollowerTest, OnceItIssuesTheCertificateIsRenewedWithinTheTimeGiven) {
  EXPECT_TRUE(follower_->Take(News(State::kRetiring, State::kActive)));
  EXPECT_EQ(Installed().front(), next_.certificate.sha256());
  clock_.Advance(absl::Seconds(10));
  EXPECT_TRUE(renewal_.Wanted(/*idle=*/true));
  EXPECT_FALSE(renewal_.Wanted(/*idle=*/false)) << "what is held goes first";
  clock_.Advance(absl::Seconds(11));
  EXPECT_TRUE(renewal_.Wanted(/*idle=*/false)) << "but not for ever";
  EXPECT_THAT(follower_->Fault(), HasSubstr("is replacing"));
}

TEST_F(AuthorityFollowerTest, HearingOfItAgainPutsTheRenewalOffNoFurther) {
  follower_->Take(News(State::kRetiring, State::kActive));
  for (int i = 0; i < 10; ++i) {
    clock_.Advance(absl::Seconds(1));
    follower_->Take(News(State::kRetiring, State::kActive));
  }
  EXPECT_TRUE(renewal_.Wanted(/*idle=*/true));
}

TEST_F(AuthorityFollowerTest, WhatNobodyVouchesForChangesNothing) {
  EXPECT_FALSE(follower_->Take(News(State::kRetiring, State::kActive, /*vouched=*/false)));
  EXPECT_THAT(Installed(), ElementsAre(old_.certificate.sha256()));
  clock_.Advance(absl::Minutes(5));
  EXPECT_FALSE(renewal_.Wanted(/*idle=*/true));
}

TEST_F(AuthorityFollowerTest, ARetiredOneGoesWhenTheOwnCertificateIsOfTheNext) {
  follower_->Take(News(State::kRetiring, State::kActive));
  EXPECT_FALSE(follower_->Take(News(State::kRetired, State::kActive))) << "its own certificate hangs on it";
  ASSERT_OK(pki_.Install({key_, Certify(next_), pki_.Load()->trust}));
  EXPECT_TRUE(follower_->Take(News(State::kRetired, State::kActive)));
  EXPECT_THAT(Installed(), ElementsAre(next_.certificate.sha256()));
  EXPECT_TRUE(trust_->Get()->IsOfThePast(Certify(old_))) << "for receipts of runs that began under it";
}

TEST_F(AuthorityFollowerTest, ACertificateInTheListThatCannotBeReadChangesNothing) {
  v1::AuthorityList list = News(State::kActive, State::kStaged);
  list.mutable_authorities(0)->set_cross_pem(0, "nonsense");
  EXPECT_FALSE(follower_->Take(list));
  list = News(State::kActive, State::kStaged);
  list.mutable_authorities(0)->set_state(v1::Authority::STATE_UNSPECIFIED);
  EXPECT_FALSE(follower_->Take(list));
  EXPECT_THAT(Installed(), ElementsAre(old_.certificate.sha256()));
}

}  // namespace
}  // namespace tributary::session
