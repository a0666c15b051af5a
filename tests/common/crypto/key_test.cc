#include "common/crypto/key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "common/base/bytes.h"
#include "common/crypto/secure_random.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tributary::crypto {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using ::testing::Not;
using testing::StatusIs;

// Made for this test and used nowhere else: a P-256 key from `openssl ecparam -name prime256v1 -genkey -noout`, and its
// signature of "tributary".
constexpr char kSec1Pem[] = R"(-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIK1Ky1As9ZACfX15jeZ2EFEc+PxwBbXDijIyKaWRAxfnoAoGCCqGSM49
AwEHoUQDQgAEHtupqrOJs42zSXlTmaAVoYAytY8yRkHMmbMPZ2ZxphnV9f8+Gt4J
O5dii8DXxQ4AMwl1UvYBBBMhCHdVSTYK7g==
-----END EC PRIVATE KEY-----
)";
constexpr char kSignatureHex[] =
    "3045022078de1e5cf7dbe63cf699dd2d288ecd2a4aa00af5ef681d6c82b0c60cddff5e86022100e7c80a5511c2ef8afdc158797cc869584569"
    "17f717b36cbe08d4bc9e297fe701";
// A key of another curve.
constexpr char kP384Pem[] = R"(-----BEGIN EC PRIVATE KEY-----
MIGkAgEBBDDmAuSA49hdF+28KvsZ9l02WazFroY2U1dZZ3q0bNyS71+zNdLR7JG6
BxTIhMtLnT6gBwYFK4EEACKhZANiAARbeDrGYb2/NBqTVJKU8bNc1YRl1uZaJa6Y
ZD+KTHvPDbhiGLvRXcQiiBarUDeQwlzwJCGJNTML8bXuesrQkbp2ZxShFaa21BoM
kOPiW4L+7LmZmQxrIfGxoerlEMzrT48=
-----END EC PRIVATE KEY-----
)";

TEST(KeyTest, ReadsAndVerifiesWhatTheOpensslProgramMade) {
  ASSERT_OK_AND_ASSIGN(const PrivateKey key, PrivateKey::FromPem(kSec1Pem));
  EXPECT_TRUE(key.public_key().Verify("tributary", *HexDecode(kSignatureHex)));
}

TEST(KeyTest, ASignatureFitsItsMessageAndKeyAlone) {
  ASSERT_OK_AND_ASSIGN(const PrivateKey key, PrivateKey::Generate());
  ASSERT_OK_AND_ASSIGN(const PrivateKey other, PrivateKey::Generate());
  ASSERT_OK_AND_ASSIGN(const std::string signature, key.Sign("message"));
  EXPECT_LE(signature.size(), 72u);
  EXPECT_TRUE(key.public_key().Verify("message", signature));
  EXPECT_FALSE(key.public_key().Verify("massage", signature));
  EXPECT_FALSE(other.public_key().Verify("message", signature));
}

TEST(KeyTest, ABrokenSignatureIsFalseAndNoError) {
  ASSERT_OK_AND_ASSIGN(const PrivateKey key, PrivateKey::Generate());
  ASSERT_OK_AND_ASSIGN(const std::string signature, key.Sign("m"));
  for (size_t i = 0; i < signature.size(); ++i) {
    std::string broken = signature;
    broken[i] = static_cast<char>(broken[i] ^ 0x41);
    EXPECT_FALSE(key.public_key().Verify("m", broken)) << "byte " << i;
    EXPECT_FALSE(key.public_key().Verify("m", signature.substr(0, i))) << "cut to " << i;
  }
  EXPECT_FALSE(key.public_key().Verify("m", signature + "x"));
  EXPECT_FALSE(key.public_key().Verify("m", std::string(1'000'000, '\x30')));
}

TEST(KeyTest, EmptyAndLongMessagesCanBeSigned) {
  ASSERT_OK_AND_ASSIGN(const PrivateKey key, PrivateKey::Generate());
  for (const std::string& message : {std::string(), std::string(1'000'000, '\0')})
    EXPECT_TRUE(key.public_key().Verify(message, *key.Sign(message)));
}

TEST(KeyTest, PemGoesThereAndBack) {
  ASSERT_OK_AND_ASSIGN(const PrivateKey key, PrivateKey::Generate());
  EXPECT_THAT(key.ToPem(), HasSubstr("BEGIN PRIVATE KEY"));
  ASSERT_OK_AND_ASSIGN(const PrivateKey again, PrivateKey::FromPem(key.ToPem()));
  EXPECT_EQ(again.public_key().ToDer(), key.public_key().ToDer());
}

TEST(KeyTest, WhatIsNoP256KeyIsRefusedWithoutBeingQuoted) {
  EXPECT_THAT(PrivateKey::FromPem(""), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(PrivateKey::FromPem("SECRET WORDS"),
              StatusIs(absl::StatusCode::kInvalidArgument, Not(HasSubstr("SECRET"))));
  EXPECT_THAT(PrivateKey::FromPem(std::string(5000, 'x')), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(PrivateKey::FromPem(kP384Pem), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("P-256")));
}

TEST(KeyTest, AStoredKeyIsPrivateAndAReadableOneIsRefused) {
  const testing::TempDir dir;
  const std::string path = dir.File("key.pem");
  ASSERT_OK_AND_ASSIGN(const PrivateKey key, PrivateKey::Generate());
  ASSERT_OK(key.Store(path));
  struct stat info {};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_OK_AND_ASSIGN(const PrivateKey loaded, PrivateKey::Load(path));
  EXPECT_EQ(loaded.public_key().ToDer(), key.public_key().ToDer());
  for (const mode_t mode : {0644, 0640, 0604, 0610}) {
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
    EXPECT_THAT(PrivateKey::Load(path), StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr(path)));
  }
  EXPECT_THAT(PrivateKey::Load(dir.File("none")), StatusIs(absl::StatusCode::kNotFound));
  const std::string garbage = dir.Write("garbage", "x");
  ASSERT_EQ(chmod(garbage.c_str(), 0600), 0);
  EXPECT_THAT(PrivateKey::Load(garbage), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(garbage)));
}

TEST(SecureRandomTest, BytesHaveTheLengthAskedForAndDiffer) {
  SecureRandom& random = SecureRandom::System();
  EXPECT_EQ(random.Bytes(0), "");
  EXPECT_EQ(random.Bytes(32).size(), 32u);
  EXPECT_NE(random.Bytes(32), random.Bytes(32));
  EXPECT_EQ(random.Hex(8).size(), 16u);
}

}  // namespace
}  // namespace tributary::crypto
