#include "common/update/rejection.h"

#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace tributary::update {
namespace {

using ::tributary::testing::StatusIs;

TEST(RejectionTest, CarriesItsCodeBesideTheReason) {
  const absl::Status status = Reject(kNotFinite, "value 3 is not finite");
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, "value 3 is not finite"));
  EXPECT_EQ(RejectionCode(status), "not_finite");
}

TEST(RejectionTest, CodeSurvivesAnAnnotation) {
  const absl::Status status = Annotate(Reject(kWrongShape, "short"), "round 3, alpha");
  EXPECT_EQ(RejectionCode(status), "wrong_shape");
  EXPECT_EQ(status.message(), "round 3, alpha: short");
}

TEST(RejectionTest, OtherStatusesHaveNone) {
  EXPECT_EQ(RejectionCode(absl::OkStatus()), "");
  EXPECT_EQ(RejectionCode(absl::InvalidArgumentError("not ours")), "");
}

}  // namespace
}  // namespace tributary::update
