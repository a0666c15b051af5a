#include "common/base/error_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tributary {
namespace {

using ::testing::HasSubstr;

TEST(ExitCodeTest, EachCodeHasItsExit) {
  EXPECT_EQ(ExitCodeFor(absl::OkStatus()), 0);
  EXPECT_EQ(ExitCodeFor(absl::NotFoundError("")), 1);
  EXPECT_EQ(ExitCodeFor(absl::InvalidArgumentError("")), 2);
  EXPECT_EQ(ExitCodeFor(absl::UnavailableError("")), 3);
  EXPECT_EQ(ExitCodeFor(absl::PermissionDeniedError("")), 4);
  EXPECT_EQ(ExitCodeFor(absl::UnauthenticatedError("")), 4);
  EXPECT_EQ(ExitCodeFor(absl::DeadlineExceededError("")), 5);
  EXPECT_EQ(ExitCodeFor(absl::AlreadyExistsError("")), 6);
  EXPECT_EQ(ExitCodeFor(absl::InternalError("")), 70);
  EXPECT_EQ(ExitCodeFor(absl::CancelledError("")), 130);
}

TEST(FormatErrorTest, SaysCauseAndFix) {
  const absl::Status status = WithFix(absl::NotFoundError("no run r1"), "see `tributary run list`");
  EXPECT_EQ(FormatError(status, false), "error: no run r1\nfix: see `tributary run list`\n");
  EXPECT_EQ(FormatError(status, true),
            "{\"error\":{\"cause\":\"no run r1\",\"code\":\"not_found\",\"fix\":\"see `tributary run list`\"}}\n");
}

TEST(FormatErrorTest, AGeneralFixOnlyWhereThereIsOne) {
  EXPECT_THAT(FormatError(absl::UnavailableError("x"), false), HasSubstr("fix: check that the other side runs"));
  EXPECT_EQ(FormatError(absl::NotFoundError("x"), false), "error: x\n");
}

TEST(FormatErrorTest, BrokenUtf8StaysJson) {
  EXPECT_THAT(FormatError(absl::NotFoundError("\xff\n"), true), HasSubstr("\\n\",\"code\""));
}

TEST(WithFixTest, OkStaysOk) { EXPECT_TRUE(WithFix(absl::OkStatus(), "x").ok()); }

}  // namespace
}  // namespace tributary
