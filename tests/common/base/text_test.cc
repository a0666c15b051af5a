#include "common/base/text.h"

#include <gtest/gtest.h>

namespace tributary {
namespace {

using std::string_view_literals::operator""sv;

TEST(TextTest, Utf8IsToldFromWhatOnlyLooksLikeIt) {
  for (const std::string_view good :
       {""sv, "plain"sv, "Zürich"sv, "日本"sv, "\xF0\x9F\x90\x88"sv, "\xF4\x8F\xBF\xBF"sv, "\0"sv}) {
    EXPECT_TRUE(IsUtf8(good)) << EscapeForTerminal(good);
  }
  const std::string_view bad[] = {
      "\x80"sv,              // a continuation alone
      "\xC3"sv,              // cut off
      "\xE2\x82"sv,          // cut off later
      "\xC3\x28"sv,          // no continuation follows
      "\xC0\xAF"sv,          // '/' in two bytes
      "\xE0\x80\xAF"sv,      // in three
      "\xF0\x80\x80\xAF"sv,  // in four
      "\xED\xA0\x80"sv,      // a surrogate
      "\xF4\x90\x80\x80"sv,  // above U+10FFFF
      "\xF8\x88\x80\x80"sv,
      "\xFE"sv,
      "\xFF"sv,
  };
  for (const std::string_view text : bad) EXPECT_FALSE(IsUtf8(text)) << EscapeForTerminal(text);
}

TEST(TextTest, WhatATerminalWouldObeyIsEscaped) {
  EXPECT_EQ(EscapeForTerminal("\x1b[2J\x1b]0;owned\a"), "\\x1b[2J\\x1b]0;owned\\x07");
  EXPECT_EQ(EscapeForTerminal("a\r\nb\tc\x7f"), "a\\x0d\\x0ab\\x09c\\x7f");
  EXPECT_EQ(EscapeForTerminal("\xC2\x9B"
                              "31m"),
            "\\xc2\\x9b31m")
      << "CSI as one C1 character";
  EXPECT_EQ(EscapeForTerminal("\x9B"), "\\x9b") << "and as one byte that is no UTF-8";
  EXPECT_EQ(EscapeForTerminal("a\0b"sv), "a\\x00b");
}

TEST(TextTest, WhatTurnsTextRoundIsEscaped) {
  EXPECT_EQ(EscapeForTerminal("abc\u202Ecba"), "abc\\xe2\\x80\\xaecba");
  EXPECT_EQ(EscapeForTerminal("\u2066x\u2069\u2028"), "\\xe2\\x81\\xa6x\\xe2\\x81\\xa9\\xe2\\x80\\xa8");
}

TEST(TextTest, WordsOfAnyLanguageStay) {
  EXPECT_EQ(EscapeForTerminal("Zürich 日本 \"quoted\" \\ \xF0\x9F\x90\x88"),
            "Zürich 日本 \"quoted\" \\ \xF0\x9F\x90\x88");
}

TEST(TextTest, LineEndsStayWhereLinesAreMeant) {
  EXPECT_EQ(EscapeLinesForTerminal("one\ntwo\x1b\n"), "one\ntwo\\x1b\n");
}

TEST(TextTest, EscapingTwiceChangesNothing) {
  const std::string once = EscapeForTerminal("\x1b\xff\u202E plain");
  EXPECT_EQ(EscapeForTerminal(once), once);
}

TEST(TextTest, PlainTextIsCutBetweenCharactersAndEscapes) {
  EXPECT_EQ(PlainText("short", 500), "short");
  EXPECT_EQ(PlainText("exactly", 7), "exactly");
  EXPECT_EQ(PlainText("eight...", 7), "eigh...");
  EXPECT_EQ(PlainText("aüüüü", 7), "aü...") << "no half characters";
  EXPECT_EQ(PlainText("ab\x1b\x1b", 7), "ab...") << "no half escapes";
  EXPECT_EQ(PlainText("abcdef", 2), "");
  for (size_t most = 0; most < 40; ++most) {
    const std::string cut = PlainText("\xffü日\x1b\xF0\x9F\x90\x88 and so on and on and on", most);
    EXPECT_LE(cut.size(), most);
    EXPECT_TRUE(IsUtf8(cut)) << most;
  }
}

}  // namespace
}  // namespace tributary
