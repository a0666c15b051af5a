#include "common/crypto/credential_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "common/base/files.h"
#include "common/crypto/certificate_issuer.h"
#include "common/crypto/certificate_request.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tributary::crypto {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

class CredentialDirectoryTest : public ::testing::Test {
 protected:
  static Issuer MakeAuthority() {
    PrivateKey key = *PrivateKey::Generate();
    Certificate certificate = *SelfSign(key, Terms(CertificateUse::kAuthority));
    return {std::move(certificate), std::move(key)};
  }
  static CertificateTerms Terms(CertificateUse use) {
    CertificateTerms terms;
    terms.use = use;
    terms.common_name = "x";
    terms.serial = "serial";
    terms.not_before = absl::FromUnixSeconds(1'700'000'000);
    terms.not_after = absl::FromUnixSeconds(1'800'000'000);
    return terms;
  }
  Certificate IssueFor(const PublicKey& key) const { return *Issue(authority_, key, Terms(CertificateUse::kPeer)); }
  Credential NewCredential() const {
    PrivateKey key = *PrivateKey::Generate();
    Certificate certificate = IssueFor(key.public_key());
    return {std::move(key), std::move(certificate), authority_.certificate};
  }
  size_t VersionsOnDisk() const {
    const std::filesystem::directory_iterator it(directory_.root() + "/versions");
    return static_cast<size_t>(std::distance(begin(it), end(it)));
  }

  const testing::TempDir dir_;
  const Issuer authority_ = MakeAuthority();
  CredentialDirectory directory_{dir_.File("pki")};
};

TEST_F(CredentialDirectoryTest, WhatIsInstalledIsLoaded) {
  const Credential credential = NewCredential();
  EXPECT_THAT(directory_.Load(), StatusIs(absl::StatusCode::kNotFound));
  ASSERT_OK(directory_.Install(credential));
  ASSERT_OK_AND_ASSIGN(const Credential loaded, directory_.Load());
  EXPECT_EQ(loaded.certificate.sha256(), credential.certificate.sha256());
  EXPECT_EQ(loaded.trust.active().sha256(), authority_.certificate.sha256());
  EXPECT_TRUE(loaded.certificate.Certifies(loaded.key));
}

TEST_F(CredentialDirectoryTest, AReplacementIsOneSwapOfALinkAndOldVersionsGo) {
  for (int i = 0; i < 4; ++i) {
    const Credential credential = NewCredential();
    ASSERT_OK(directory_.Install(credential));
    EXPECT_EQ(directory_.Load()->certificate.sha256(), credential.certificate.sha256());
  }
  EXPECT_TRUE(std::filesystem::is_symlink(directory_.root() + "/current"));
  EXPECT_EQ(VersionsOnDisk(), 2u);  // the newest, and the one that a reader may have open
}

TEST_F(CredentialDirectoryTest, AVersionThatACrashLeftHalfWrittenIsPassedOver) {
  const Credential first = NewCredential();
  ASSERT_OK(directory_.Install(first));
  ASSERT_OK(MakeDirectories(directory_.root() + "/versions/2"));
  ASSERT_EQ(symlink("versions/2", (directory_.root() + "/current.new").c_str()), 0);
  EXPECT_EQ(directory_.Load()->certificate.sha256(), first.certificate.sha256());
  const Credential second = NewCredential();
  ASSERT_OK(directory_.Install(second));
  EXPECT_EQ(directory_.Load()->certificate.sha256(), second.certificate.sha256());
}

TEST_F(CredentialDirectoryTest, WhatDoesNotBelongTogetherIsNotInstalled) {
  Credential credential = NewCredential();
  credential.key = *PrivateKey::Generate();
  EXPECT_THAT(directory_.Install(credential), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("key")));
  credential = NewCredential();
  credential.trust = MakeAuthority().certificate;
  EXPECT_THAT(directory_.Install(credential), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("CA")));
  EXPECT_THAT(directory_.Load(), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(CredentialDirectoryTest, AKeyThatOthersCanReadIsRefused) {
  ASSERT_OK(directory_.Install(NewCredential()));
  ASSERT_EQ(chmod(directory_.key_path().c_str(), 0644), 0);
  EXPECT_THAT(directory_.Load(), StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("chmod 600")));
}

TEST_F(CredentialDirectoryTest, APendingKeyStaysTheSameUntilItIsDropped) {
  ASSERT_OK_AND_ASSIGN(const PendingRequest first, directory_.PreparePending());
  ASSERT_OK_AND_ASSIGN(const PendingRequest again, directory_.PreparePending());
  EXPECT_EQ(first.request_pem, again.request_pem);
  EXPECT_EQ(first.key.public_key().ToDer(), again.key.public_key().ToDer());
  EXPECT_OK(RequirePrivate(directory_.root() + "/pending/key.pem"));
  ASSERT_OK(directory_.DropPending());
  EXPECT_FALSE(FileExists(directory_.root() + "/pending"));
  EXPECT_OK(directory_.DropPending());
  EXPECT_NE(directory_.PreparePending()->request_pem, first.request_pem);
}

TEST_F(CredentialDirectoryTest, AKeyWithoutItsRequestIsBegunAgain) {
  ASSERT_OK(directory_.PreparePending());
  ASSERT_OK(RemoveFile(directory_.root() + "/pending/request.pem"));  // as a crash in between leaves it
  EXPECT_OK(directory_.PreparePending());
}

TEST_F(CredentialDirectoryTest, ThePendingKeyIsInstalledWithItsCertificateOnly) {
  EXPECT_THAT(directory_.InstallPending(authority_.certificate, authority_.certificate),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  ASSERT_OK_AND_ASSIGN(const PendingRequest pending, directory_.PreparePending());
  EXPECT_THAT(directory_.InstallPending(NewCredential().certificate, authority_.certificate),
              StatusIs(absl::StatusCode::kInvalidArgument));
  const Certificate certificate = IssueFor(ParseRequest(pending.request_pem)->public_key);
  ASSERT_OK(directory_.InstallPending(certificate, authority_.certificate));
  EXPECT_EQ(directory_.Load()->certificate.sha256(), certificate.sha256());
}

}  // namespace
}  // namespace tributary::crypto
