#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/policy/policy.h"

namespace tributary::policy {
namespace {

using testing::HasSubstr;

TEST(PolicyFileTest, AnEmptyFileIsTheDefaults) {
  const auto policy = ParsePolicy("", "policy.toml");
  ASSERT_TRUE(policy.ok()) << policy.status();
  EXPECT_EQ(FormatPolicy(Policy()), FormatPolicy(*policy));
}

TEST(PolicyFileTest, WhatIsWrittenIsReadBack) {
  Policy p;
  p.runs = {"digits", "cats-\"?\\"};
  p.models = {};
  p.max_epochs = 7;
  p.rounds_a_day = 24;
  p.threads = 2;
  p.min_cohort = 5;
  p.longest_retention = Retention::kRound;
  p.bad_data = BadData::kRefuse;
  p.duplicates = Duplicates::kSkip;
  const auto read = ParsePolicy(FormatPolicy(p), "policy.toml");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(p.runs, read->runs);
  EXPECT_EQ(p.models, read->models);
  EXPECT_EQ(7u, read->max_epochs);
  EXPECT_EQ(24u, read->rounds_a_day);
  EXPECT_EQ(2, read->threads);
  EXPECT_EQ(5u, read->min_cohort);
  EXPECT_EQ(Retention::kRound, read->longest_retention);
  EXPECT_EQ(BadData::kRefuse, read->bad_data);
  EXPECT_EQ(Duplicates::kSkip, read->duplicates);
}

TEST(PolicyFileTest, EveryFaultIsListedAtOnceWithItsLine) {
  const auto policy = ParsePolicy(
      "max_epochs = 0\nmin_cohrt = 3\nbad_data = \"eat\"\nlongest_retention = 5\nduplicates = \"eat\"\n", "p.toml");
  ASSERT_EQ(absl::StatusCode::kInvalidArgument, policy.status().code());
  const std::string message(policy.status().message());
  EXPECT_THAT(message, HasSubstr("p.toml:1:"));
  EXPECT_THAT(message, HasSubstr("p.toml:2:"));
  EXPECT_THAT(message, HasSubstr("min_cohort"));
  EXPECT_THAT(message, HasSubstr("p.toml:3:"));
  EXPECT_THAT(message, HasSubstr("p.toml:4:"));
  EXPECT_THAT(message, HasSubstr("p.toml:5:"));
}

TEST(PolicyFileTest, WrongTypesAreFaults) {
  EXPECT_EQ(absl::StatusCode::kInvalidArgument, ParsePolicy("runs = 5", "p.toml").status().code());
  EXPECT_EQ(absl::StatusCode::kInvalidArgument, ParsePolicy("threads = \"two\"", "p.toml").status().code());
  EXPECT_EQ(absl::StatusCode::kInvalidArgument, ParsePolicy("runs = [\"\"]", "p.toml").status().code());
}

TEST(PolicyFileTest, AnAbsentFileIsNotFound) {
  EXPECT_EQ(absl::StatusCode::kNotFound, LoadPolicy("/nonexistent/policy.toml").status().code());
}

}  // namespace
}  // namespace tributary::policy
