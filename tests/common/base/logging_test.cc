#include "common/base/logging.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

namespace tributary {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

std::string Logged(const std::function<void()>& log) {
  ::testing::internal::CaptureStderr();
  log();
  return ::testing::internal::GetCapturedStderr();
}

TEST(LoggingTest, ALineHasLevelEventAndFields) {
  const std::string line = Logged([] { Log(LogLevel::kWarning, "round_abandoned", {{"run", "r1"}, {"round", 7}}); });
  EXPECT_THAT(line, EndsWith("warning round_abandoned run=r1 round=7\n"));
}

TEST(LoggingTest, ValuesThatWouldBeAmbiguousAreQuoted) {
  EXPECT_THAT(Logged([] {
                Log(LogLevel::kInfo, "e", {{"a", "two words"}, {"b", ""}, {"c", "x=y"}});
              }),
              HasSubstr("a=\"two words\" b=\"\" c=\"x=y\"\n"));
}

TEST(LoggingTest, AValueCannotForgeALine) {
  const std::string line = Logged([] { Log(LogLevel::kInfo, "e", {{"a", "x\n2030-01-01 error forged \x1b[2J"}}); });
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  EXPECT_THAT(line, HasSubstr("x\\x0a2030"));
  EXPECT_THAT(line, ::testing::Not(HasSubstr("\x1b")));
}

TEST(LoggingTest, WhateverAPeerSendsIsOneLineOfPlainCharacters) {
  std::string all;
  for (int c = 0; c < 256; ++c) all.push_back(static_cast<char>(c));
  for (const std::string& value : {all,
                                   std::string("\xff\xfe\x9b"
                                               "31m"),
                                   std::string(1'000'000, 'x')}) {
    const std::string line = Logged([&] { Log(LogLevel::kInfo, "e", {{"a", value}}); });
    EXPECT_LT(line.size(), 4200u);
    EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
    EXPECT_TRUE(std::all_of(line.begin(), line.end() - 1, [](char c) { return c >= 0x20 && c < 0x7f; })) << line;
  }
}

TEST(LoggingTest, LevelsBelowTheSetOneAreSilent) {
  EXPECT_EQ(Logged([] { Log(LogLevel::kDebug, "e"); }), "");
  SetLogLevel(LogLevel::kOff);
  EXPECT_EQ(Logged([] { Log(LogLevel::kError, "e"); }), "");
  SetLogLevel(LogLevel::kInfo);
  EXPECT_NE(Logged([] { Log(LogLevel::kInfo, "e"); }), "");
}

}  // namespace
}  // namespace tributary
