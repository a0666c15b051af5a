// Matchers for absl::Status and absl::StatusOr, which Debian 12's Abseil lacks:
//   EXPECT_THAT(Load(path), IsOk());
//   EXPECT_THAT(Load(path), StatusIs(absl::StatusCode::kNotFound, HasSubstr(path)));
//   EXPECT_THAT(Parse("7"), IsOkAndHolds(7));
//   ASSERT_OK_AND_ASSIGN(const auto model, Load(path));
#ifndef TRIBUTARY_TESTS_SUPPORT_STATUS_MATCHERS_H_
#define TRIBUTARY_TESTS_SUPPORT_STATUS_MATCHERS_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "common/base/status.h"

namespace tributary::testing {

inline const absl::Status& StatusOf(const absl::Status& status) { return status; }
template <class T>
const absl::Status& StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}

MATCHER(IsOk, negation ? "is an error" : "is OK") {
  *result_listener << StatusOf(arg).ToString();
  return StatusOf(arg).ok();
}

MATCHER_P(StatusIs, code, "has the code " + absl::StatusCodeToString(code)) {
  *result_listener << StatusOf(arg).ToString();
  return StatusOf(arg).code() == code;
}

// `message` is a matcher of std::string, or a string that must be equal.
MATCHER_P2(StatusIs, code, message,
           "has the code " + absl::StatusCodeToString(code) + " and a message that " +
               ::testing::DescribeMatcher<std::string>(message, negation)) {
  *result_listener << StatusOf(arg).ToString();
  return StatusOf(arg).code() == code && ::testing::Matches(::testing::SafeMatcherCast<const std::string&>(message))(
                                             std::string(StatusOf(arg).message()));
}

MATCHER_P(IsOkAndHolds, value, "is OK and holds a value that " + ::testing::PrintToString(value)) {
  if (!arg.ok()) {
    *result_listener << arg.status().ToString();
    return false;
  }
  return ::testing::ExplainMatchResult(value, *arg, result_listener);
}

}  // namespace tributary::testing

#define EXPECT_OK(expression) EXPECT_THAT(expression, ::tributary::testing::IsOk())
#define ASSERT_OK(expression) ASSERT_THAT(expression, ::tributary::testing::IsOk())
#define TRB_ASSERT_OK_AND_ASSIGN_IMPL(tmp, left, expression) \
  auto tmp = (expression);                                   \
  ASSERT_TRUE(tmp.ok()) << tmp.status();                     \
  left = std::move(tmp).value()
#define ASSERT_OK_AND_ASSIGN(left, expression) \
  TRB_ASSERT_OK_AND_ASSIGN_IMPL(TRB_CONCAT(trb_assert_, __LINE__), left, expression)

#endif  // TRIBUTARY_TESTS_SUPPORT_STATUS_MATCHERS_H_
