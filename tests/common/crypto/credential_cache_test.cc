#include "common/crypto/credential_cache.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "common/base/files.h"
#include "tests/common/crypto/self_made.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tributary::crypto {
namespace {

using testing::IsOk;
using testing::StatusIs;

class CredentialCacheTest : public ::testing::Test {
 protected:
  const testing::TempDir dir_;
  CredentialDirectory directory_{dir_.File("pki")};
  CredentialCache cache_{CredentialDirectory(dir_.File("pki"))};
};

TEST_F(CredentialCacheTest, NothingIsInstalledYet) {
  EXPECT_THAT(cache_.Load(), StatusIs(absl::StatusCode::kNotFound));
  ASSERT_OK(directory_.Install(SelfMade()));
  EXPECT_THAT(cache_.Load(), IsOk());
}

TEST_F(CredentialCacheTest, OneVersionIsReadOnce) {
  ASSERT_OK(directory_.Install(SelfMade()));
  ASSERT_OK_AND_ASSIGN(const Credential first, cache_.Load());
  ASSERT_OK(WriteFileDurably(directory_.key_path(), "no key", 0600));
  ASSERT_OK_AND_ASSIGN(const Credential second, cache_.Load());
  EXPECT_EQ(&first.key.handle(), &second.key.handle());
}

TEST_F(CredentialCacheTest, AnotherVersionIsSeenAtOnce) {
  for (int i = 0; i < 4; ++i) {
    const Credential credential = SelfMade();
    ASSERT_OK(directory_.Install(credential));
    ASSERT_OK_AND_ASSIGN(const Credential loaded, cache_.Load());
    EXPECT_EQ(loaded.certificate.sha256(), credential.certificate.sha256());
  }
}

TEST_F(CredentialCacheTest, AFaultIsNotKept) {
  ASSERT_OK(directory_.Install(SelfMade()));
  ASSERT_EQ(chmod(directory_.key_path().c_str(), 0644), 0);
  EXPECT_THAT(cache_.Load(), StatusIs(absl::StatusCode::kPermissionDenied));
  ASSERT_EQ(chmod(directory_.key_path().c_str(), 0600), 0);
  EXPECT_THAT(cache_.Load(), IsOk());
}

}  // namespace
}  // namespace tributary::crypto
