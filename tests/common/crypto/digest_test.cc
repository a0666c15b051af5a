#include "common/crypto/digest.h"

#include <gtest/gtest.h>

#include "common/base/bytes.h"

namespace tributary::crypto {
namespace {

// FIPS 180-4 examples.
constexpr char kEmpty[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr char kAbc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(DigestTest, MatchesPublishedVectors) {
  EXPECT_EQ(Sha256Hex(""), kEmpty);
  EXPECT_EQ(Sha256Hex("abc"), kAbc);
  EXPECT_EQ(Sha256Hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(Sha256Hex(std::string(1'000'000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  EXPECT_EQ(HexEncode(Sha256("abc")), kAbc);
}

TEST(DigestTest, PiecesGiveTheSameDigestAsTheWhole) {
  Sha256Hasher hasher;
  for (const char* piece : {"", "a", "", "bc"}) hasher.Update(piece);
  EXPECT_EQ(hasher.FinishHex(), kAbc);
}

TEST(DigestTest, ACopyGoesOnByItself) {
  Sha256Hasher hasher;
  hasher.Update("ab");
  Sha256Hasher copy = hasher;
  hasher.Update("c");
  copy.Update("x");
  EXPECT_EQ(hasher.FinishHex(), kAbc);
  EXPECT_EQ(copy.FinishHex(), Sha256Hex("abx"));
  hasher = Sha256Hasher();
  EXPECT_EQ(hasher.FinishHex(), kEmpty);
}

TEST(DigestTest, SecretsAreEqualOnlyWhenAllBytesAre) {
  EXPECT_TRUE(ConstantTimeEquals("abc", "abc"));
  EXPECT_TRUE(ConstantTimeEquals("", ""));
  EXPECT_FALSE(ConstantTimeEquals("abc", "abd"));
  EXPECT_FALSE(ConstantTimeEquals("abc", "ab"));
}

}  // namespace
}  // namespace tributary::crypto
