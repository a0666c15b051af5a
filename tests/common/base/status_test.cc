#include "common/base/status.h"

#include <cerrno>

#include "tests/support/status_matchers.h"

namespace tributary {
namespace {

using ::testing::HasSubstr;
using testing::IsOkAndHolds;
using testing::StatusIs;

TEST(StatusTest, AnnotateKeepsTheCode) {
  EXPECT_OK(Annotate(absl::OkStatus(), "x"));
  EXPECT_THAT(Annotate(absl::NotFoundError("gone"), "run 3"), StatusIs(absl::StatusCode::kNotFound, "run 3: gone"));
}

TEST(StatusTest, ErrnoBecomesTheCodeThatCallersExpect) {
  EXPECT_THAT(ErrnoToStatus(ENOENT, "open x"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("open x: No such")));
  EXPECT_THAT(ErrnoToStatus(EACCES, "x"), StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(ErrnoToStatus(ENOSPC, "x"), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(ErrnoToStatus(EEXIST, "x"), StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(ErrnoToStatus(ELOOP, "x"), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ErrnoToStatus(EADDRINUSE, "x"), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(ErrnoToStatus(EROFS, "x"), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(ErrnoToStatus(EIO, "x"), StatusIs(absl::StatusCode::kUnknown)) << "the disk's fault, not a bug";
  EXPECT_THAT(ErrnoToStatus(EBADMSG, "x"), StatusIs(absl::StatusCode::kInternal));
}

absl::StatusOr<int> Half(int v) {
  if (v % 2 != 0) return absl::InvalidArgumentError("odd");
  return v / 2;
}
absl::StatusOr<int> Quarter(int v) {
  TRB_ASSIGN_OR_RETURN(const int half, Half(v));
  TRB_RETURN_IF_ERROR(Half(half).status());
  return half / 2;
}

TEST(StatusTest, MacrosReturnTheFirstError) {
  EXPECT_THAT(Quarter(8), IsOkAndHolds(2));
  EXPECT_THAT(Quarter(3), StatusIs(absl::StatusCode::kInvalidArgument, "odd"));
  EXPECT_THAT(Quarter(6), StatusIs(absl::StatusCode::kInvalidArgument, "odd"));
}

TEST(StatusDeathTest, CheckNamesTheCondition) {
  TRB_CHECK(1 + 1 == 2);
  EXPECT_DEATH(TRB_CHECK(1 + 1 == 3), "status_test.cc:.*check failed: 1 \\+ 1 == 3");
}

}  // namespace
}  // namespace tributary
