#include "common/crypto/certificate_memo.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/common/crypto/self_made.h"
#include "tests/support/status_matchers.h"

namespace tributary::crypto {
namespace {

class CertificateMemoTest : public ::testing::Test {
 protected:
  const Certificate certificate_ = SelfMade().certificate;
};

TEST_F(CertificateMemoTest, GivesBackWhatTheSameBytesWere) {
  CertificateMemo memo;
  EXPECT_FALSE(memo.Find("a").has_value());
  memo.Keep("a", certificate_);
  ASSERT_TRUE(memo.Find("a").has_value());
  EXPECT_EQ(&memo.Find("a")->handle(), &certificate_.handle());
  EXPECT_FALSE(memo.Find("a ").has_value());
}

TEST_F(CertificateMemoTest, TheOldestGoesFirst) {
  CertificateMemo memo;
  for (size_t i = 0; i <= CertificateMemo::kRemembered; ++i) memo.Keep(absl::StrCat(i), certificate_);
  EXPECT_FALSE(memo.Find("0").has_value());
  for (size_t i = 1; i <= CertificateMemo::kRemembered; ++i) ASSERT_TRUE(memo.Find(absl::StrCat(i)).has_value()) << i;
}

TEST_F(CertificateMemoTest, BytesThatAreKeptAlreadyTakeNoSecondPlace) {
  CertificateMemo memo;
  memo.Keep("first", certificate_);
  for (size_t i = 0; i < 2 * CertificateMemo::kRemembered; ++i) memo.Keep("second", certificate_);
  EXPECT_TRUE(memo.Find("first").has_value());
}

TEST_F(CertificateMemoTest, AnotherSpellingIsReadAnewAndIsTheSameCertificate) {
  ASSERT_OK_AND_ASSIGN(const Certificate a, Certificate::FromPem(certificate_.pem()));
  ASSERT_OK_AND_ASSIGN(const Certificate again, Certificate::FromPem(certificate_.pem()));
  ASSERT_OK_AND_ASSIGN(const Certificate b, Certificate::FromPem("\n" + certificate_.pem()));
  EXPECT_EQ(&a.handle(), &again.handle()) << "not read twice";
  EXPECT_NE(&a.handle(), &b.handle());
  EXPECT_EQ(a.sha256(), b.sha256());
  EXPECT_EQ(a.pem(), b.pem());
}

}  // namespace
}  // namespace tributary::crypto
