#include "common/crypto/trust_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/crypto/certificate_issuer.h"
#include "common/crypto/secure_random.h"
#include "tests/support/status_matchers.h"

namespace tributary::crypto {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;
using State = AuthorityNews::State;

constexpr int64_t kNow = 1'700'000'000;
constexpr char kFederation[] = "spiffe://fed";

CertificateTerms Terms(CertificateUse use, int64_t begin = kNow - 100, int64_t end = kNow + 1000) {
  CertificateTerms terms;
  terms.use = use;
  terms.common_name = "Federation";
  terms.serial = SecureRandom::System().Bytes(16);
  terms.not_before = absl::FromUnixSeconds(begin);
  terms.not_after = absl::FromUnixSeconds(end);
  terms.uris = {kFederation};
  return terms;
}

Issuer MakeAuthority(int64_t begin = kNow - 100, const std::string& uri = kFederation) {
  PrivateKey key = *PrivateKey::Generate();
  CertificateTerms terms = Terms(CertificateUse::kAuthority, begin);
  terms.uris = {uri};
  Certificate certificate = *SelfSign(key, terms);
  return {std::move(certificate), std::move(key)};
}

Certificate Vouch(const Issuer& by, const Issuer& other,
                  const CertificateTerms& terms = Terms(CertificateUse::kAuthority)) {
  return *Issue(by, other.key.public_key(), terms);
}

Certificate PeerOf(const Issuer& authority) {
  const PrivateKey key = *PrivateKey::Generate();
  return *Issue(authority, key.public_key(), Terms(CertificateUse::kPeer));
}

class TrustListTest : public ::testing::Test {
 protected:
  absl::StatusOr<TrustList> AdoptNext(std::vector<Certificate> cross) const {
    return Adopt(before_, own_, {{next_.certificate, State::kStaged, std::move(cross)}}, now_);
  }

  const absl::Time now_ = absl::FromUnixSeconds(kNow);
  const Issuer old_ = MakeAuthority(), next_ = MakeAuthority(kNow - 50), stranger_ = MakeAuthority();
  const Certificate own_ = PeerOf(old_);
  const TrustList before_{old_.certificate};
};

TEST_F(TrustListTest, ANewAuthorityIsBelievedOnTheWordOfOneThatIsTrusted) {
  ASSERT_OK_AND_ASSIGN(const TrustList after, AdoptNext({Vouch(old_, next_)}));
  EXPECT_EQ(after.active().sha256(), old_.certificate.sha256()) << "it is staged: the old one still issues";
  EXPECT_TRUE(after.Trusts(next_.certificate.sha256()));
  EXPECT_NE(after.IssuerOf(PeerOf(next_)), nullptr);
  EXPECT_EQ(before_.IssuerOf(PeerOf(next_)), nullptr);
}

TEST_F(TrustListTest, WithoutThatWordNothingChanges) {
  EXPECT_THAT(AdoptNext({}), StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr(next_.certificate.sha256())));
}

struct BadCross {
  const char* name;
  std::function<Certificate(const Issuer& old, const Issuer& next, const Issuer& stranger)> make;
  const char* why;  // of CheckCross; empty: its dates alone
};

class BadCrossTest : public TrustListTest, public ::testing::WithParamInterface<BadCross> {};

TEST_P(BadCrossTest, IsNoWord) {
  const Certificate cross = GetParam().make(old_, next_, stranger_);
  EXPECT_THAT(AdoptNext({cross}), StatusIs(absl::StatusCode::kPermissionDenied));
  const absl::Status checked = CheckCross(cross, old_.certificate, next_.certificate);
  if (*GetParam().why == '\0')
    EXPECT_OK(checked) << "a history is checked whatever the date";
  else
    EXPECT_THAT(checked, StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr(GetParam().why)));
}

CertificateTerms WithUri(const char* uri) {
  CertificateTerms terms = Terms(CertificateUse::kAuthority);
  terms.uris = {uri};
  return terms;
}
CertificateTerms WithName(const char* name) {
  CertificateTerms terms = Terms(CertificateUse::kAuthority);
  terms.common_name = name;
  return terms;
}

INSTANTIATE_TEST_SUITE_P(
    , BadCrossTest,
    ::testing::Values(
        BadCross{"ForeignSigner", [](auto&, auto& next, auto& stranger) { return Vouch(stranger, next); },
                 "not signed by the authority"},
        BadCross{"NotAnAuthority",
                 [](auto& old, auto& next, auto&) { return Vouch(old, next, Terms(CertificateUse::kServer)); },
                 "not an authority's"},
        BadCross{"OfAnotherFederation",
                 [](auto& old, auto& next, auto&) { return Vouch(old, next, WithUri("spiffe://other")); },
                 "another federation"},
        BadCross{"WrongSubject", [](auto& old, auto& next, auto&) { return Vouch(old, next, WithName("Else")); },
                 "another federation"},
        BadCross{"ForAnotherKey", [](auto& old, auto&, auto& stranger) { return Vouch(old, stranger); }, "another key"},
        BadCross{"ForItsSigner", [](auto& old, auto&, auto&) { return Vouch(old, old); }, "the key that signed it"},
        BadCross{"Expired",
                 [](auto& old, auto& next, auto&) {
                   return Vouch(old, next, Terms(CertificateUse::kAuthority, kNow - 100, kNow));
                 },
                 ""},
        BadCross{"NotYetValid",
                 [](auto& old, auto& next, auto&) {
                   return Vouch(old, next, Terms(CertificateUse::kAuthority, kNow + 1, kNow + 9));
                 },
                 ""}),
    [](const auto& instance) { return instance.param.name; });

TEST_F(TrustListTest, TheKeyOfAServerCanBringInNobody) {
  // What a stolen server key may sign: its certificate is no authority's, whatever name the statement has.
  const PrivateKey server_key = *PrivateKey::Generate();
  const Issuer server{*Issue(old_, server_key.public_key(), Terms(CertificateUse::kServer)), server_key};
  const auto forged = Issue(server, next_.key.public_key(), Terms(CertificateUse::kAuthority));
  ASSERT_OK(forged);
  EXPECT_THAT(AdoptNext({*forged}), StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_F(TrustListTest, WhatIsVouchedForMustBeAnAuthority) {
  const PrivateKey key = *PrivateKey::Generate();
  const Issuer impostor{*Issue(old_, key.public_key(), Terms(CertificateUse::kPeer)), key};
  EXPECT_THAT(CheckCross(Vouch(old_, impostor), old_.certificate, impostor.certificate),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("no authority")));
}

TEST_F(TrustListTest, TheActiveOneComesFirst) {
  ASSERT_OK_AND_ASSIGN(const TrustList after, Adopt(before_, own_,
                                                    {{next_.certificate, State::kActive, {Vouch(old_, next_)}},
                                                     {old_.certificate, State::kRetiring, {}}},
                                                    now_));
  EXPECT_EQ(after.active().sha256(), next_.certificate.sha256());
  EXPECT_EQ(after.trusted().size(), 2u);
}

TEST_F(TrustListTest, ARetiredOneBecomesThePast) {
  const TrustList both({next_.certificate, old_.certificate}, {});
  const Certificate renewed = PeerOf(next_);
  ASSERT_OK_AND_ASSIGN(const TrustList after, Adopt(both, renewed, {{old_.certificate, State::kRetired, {}}}, now_));
  EXPECT_FALSE(after.Trusts(old_.certificate.sha256()));
  EXPECT_EQ(after.IssuerOf(own_), nullptr);
  EXPECT_TRUE(after.IsOfThePast(own_)) << "receipts of a run that began under it are checked against it";
}

TEST_F(TrustListTest, TheIssuerOfOnesOwnCertificateIsNotGivenUp) {
  const TrustList both({next_.certificate, old_.certificate}, {});
  ASSERT_OK_AND_ASSIGN(const TrustList after, Adopt(both, own_, {{old_.certificate, State::kRetired, {}}}, now_));
  EXPECT_TRUE(after.Trusts(old_.certificate.sha256()));
}

TEST_F(TrustListTest, AnOldAuthorityCannotTakeBackTheStepToAYoungerOne) {
  const TrustList both({next_.certificate, old_.certificate}, {});
  ASSERT_OK_AND_ASSIGN(const TrustList after, Adopt(both, own_, {{next_.certificate, State::kRetired, {}}}, now_));
  EXPECT_TRUE(after.Trusts(next_.certificate.sha256()));
}

TEST_F(TrustListTest, WhoJoinsLaterLearnsThePastFromTheOneItTrusts) {
  const TrustList later(next_.certificate);
  const Certificate peer = PeerOf(next_);
  ASSERT_OK_AND_ASSIGN(const TrustList after,
                       Adopt(later, peer, {{old_.certificate, State::kRetired, {Vouch(next_, old_)}}}, now_));
  EXPECT_TRUE(after.IsOfThePast(own_));
  ASSERT_OK_AND_ASSIGN(const TrustList none, Adopt(later, peer, {{stranger_.certificate, State::kRetired, {}}}, now_));
  EXPECT_TRUE(none.past().empty());
}

TEST_F(TrustListTest, ThePastDoesNotVouch) {
  const TrustList list({next_.certificate}, {old_.certificate});
  EXPECT_THAT(Adopt(list, PeerOf(next_), {{stranger_.certificate, State::kStaged, {Vouch(old_, stranger_)}}}, now_),
              StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_F(TrustListTest, WhatIsWrittenIsRead) {
  const TrustList list({next_.certificate, old_.certificate}, {stranger_.certificate});
  ASSERT_OK_AND_ASSIGN(const TrustList read, TrustList::FromPem(list.TrustedPem(), list.PastPem()));
  EXPECT_TRUE(read == list);
  EXPECT_FALSE(read == before_);
  // A list of one is what every version before wrote.
  ASSERT_OK_AND_ASSIGN(const TrustList one, TrustList::FromPem(old_.certificate.pem(), ""));
  EXPECT_TRUE(one == before_);
}

TEST_F(TrustListTest, AListThatCannotBeReadIsNone) {
  EXPECT_THAT(TrustList::FromPem("", ""), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(TrustList::FromPem("-----BEGIN CERTIFICATE-----\nAA\n", ""),
              StatusIs(absl::StatusCode::kInvalidArgument));
  std::string many;
  for (size_t i = 0; i <= kMaxAuthorities; ++i) many += old_.certificate.pem();
  EXPECT_THAT(TrustList::FromPem(many, ""), StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace tributary::crypto
