#include "common/base/bytes.h"

#include <gtest/gtest.h>

namespace tributary {
namespace {

TEST(HexTest, GoesBothWays) {
  const std::string bytes("\x00\x7f\xff\x10", 4);
  EXPECT_EQ(HexEncode(bytes), "007fff10");
  EXPECT_EQ(HexDecode("007fff10"), bytes);
  EXPECT_EQ(HexDecode(""), "");
}

TEST(HexTest, OneSpellingOnly) {
  for (const char* text : {"0", "0G", "FF", " 00", "0x00"}) EXPECT_EQ(HexDecode(text), std::nullopt) << text;
}

TEST(HexTest, DigestsHave64LowerCaseCharacters) {
  EXPECT_TRUE(IsHexDigest(std::string(64, 'a')));
  EXPECT_FALSE(IsHexDigest(std::string(63, 'a')));
  EXPECT_FALSE(IsHexDigest(std::string(65, 'a')));
  EXPECT_FALSE(IsHexDigest(std::string(64, 'A')));
  EXPECT_FALSE(IsHexDigest(std::string(64, 'g')));
}

// RFC 4648 section 10, without the padding.
TEST(Base64UrlTest, PublishedVectors) {
  const std::pair<const char*, const char*> cases[] = {
      {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},         {"foo", "Zm9v"},
      {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : cases) {
    EXPECT_EQ(Base64UrlEncode(bytes), text);
    EXPECT_EQ(Base64UrlDecode(text), bytes);
  }
}

TEST(Base64UrlTest, UsesTheUrlAlphabet) {
  EXPECT_EQ(Base64UrlEncode("\xfb\xff"), "-_8");
  EXPECT_EQ(Base64UrlDecode("+/8"), std::nullopt);
}

TEST(Base64UrlTest, OneSpellingOnly) {
  for (const char* text : {"Zg==", "Z", "Zh", "Zm9", " Zg", "Zg\n"})
    EXPECT_EQ(Base64UrlDecode(text), std::nullopt) << text;
}

TEST(Base64UrlTest, EveryByteSurvives) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<char>(i));
  for (size_t n = 0; n <= bytes.size(); ++n)
    EXPECT_EQ(Base64UrlDecode(Base64UrlEncode(bytes.substr(0, n))), bytes.substr(0, n));
}

TEST(LittleEndianTest, LowByteComesFirst) {
  std::string out;
  AppendLe16(&out, 0x0102);
  AppendLe32(&out, 0x03040506);
  AppendLe64(&out, 0x0708090a0b0c0d0eu);
  EXPECT_EQ(HexEncode(out), "0201060504030e0d0c0b0a090807");
  EXPECT_EQ(LoadLe16(out.data()), 0x0102);
  EXPECT_EQ(LoadLe32(out.data() + 2), 0x03040506u);
  EXPECT_EQ(LoadLe64(out.data() + 6), 0x0708090a0b0c0d0eu);
}

TEST(LittleEndianTest, LengthComesBeforeTheBytes) {
  std::string out;
  AppendLengthPrefixed(&out, "ab");
  EXPECT_EQ(out, std::string("\x02\0\0\0\0\0\0\0ab", 10));
}

TEST(EscapeForLogTest, ControlBytesCannotForgeLines) {
  EXPECT_EQ(EscapeForLog("plain text"), "plain text");
  EXPECT_EQ(EscapeForLog("a\nb\x1b[1m\"\\\x7f\xc3"), "a\\x0ab\\x1b[1m\\x22\\x5c\\x7f\\xc3");
}

TEST(EscapeForLogTest, LongTextIsCut) { EXPECT_EQ(EscapeForLog("abcdef", 3), "abc..."); }

}  // namespace
}  // namespace tributary
