#include "client/session/client_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace tributary::session {
namespace {

using testing::StatusIs;

TEST(ClientSettingsTest, WhatIsWrittenIsReadBack) {
  ClientSettings s;
  s.data = "/srv/a \"strange\" pa\\th\x01";
  s.format = "images";
  s.shape = {28, 28, 1};
  s.label_column = "-1";
  s.regression = true;
  s.part = "3/10";
  s.partition = "dirichlet:0.5";
  s.seed = 9;
  ASSERT_OK_AND_ASSIGN(const ClientSettings read, ParseClientSettings(FormatClientSettings(s), "client.toml"));
  EXPECT_EQ(s.data, read.data);
  EXPECT_EQ(s.format, read.format);
  EXPECT_EQ(s.shape, read.shape);
  EXPECT_EQ(s.label_column, read.label_column);
  EXPECT_TRUE(read.regression);
  EXPECT_EQ(s.part, read.part);
  EXPECT_EQ(s.partition, read.partition);
  EXPECT_EQ(9u, read.seed);
}

TEST(ClientSettingsTest, EveryFaultIsListedAtOnce) {
  const auto read = ParseClientSettings(
      "format = \"gif\"\npart = \"11/10\"\npartition = \"random\"\nshape = [28, 28]\ndat = \"x\"\n", "c.toml");
  ASSERT_THAT(read, StatusIs(absl::StatusCode::kInvalidArgument));
  const std::string message(read.status().message());
  for (const char* line : {"c.toml:1:", "c.toml:2:", "c.toml:3:", "c.toml:4:", "c.toml:5:"})
    EXPECT_THAT(message, ::testing::HasSubstr(line));
}

}  // namespace
}  // namespace tributary::session
