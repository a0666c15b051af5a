#include "common/rpc/status_codes.h"

#include <gmock/gmock.h>
#include <grpcpp/support/status.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace tributary::rpc {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using ::testing::Not;
using testing::StatusIs;

TEST(StatusCodesTest, EveryCodeGoesThereAndBack) {
  EXPECT_TRUE(ToGrpc(absl::OkStatus()).ok());
  EXPECT_OK(FromGrpc(grpc::Status::OK));
  for (int code = 1; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), "why");
    EXPECT_EQ(static_cast<int>(ToGrpc(status).error_code()), code);
    EXPECT_EQ(FromGrpc(ToGrpc(status)).code(), status.code());
  }
}

TEST(StatusCodesTest, WhatIsForTheCallerTravels) {
  EXPECT_EQ(ToGrpc(absl::NotFoundError("there is no run x")).error_message(), "there is no run x");
  EXPECT_EQ(ToGrpc(absl::InvalidArgumentError("one\ntwo")).error_message(), "one\ntwo");
}

TEST(StatusCodesTest, TheInsideOfTheCoordinatorStaysInside) {
  for (const auto code : {absl::StatusCode::kInternal, absl::StatusCode::kDataLoss, absl::StatusCode::kUnknown})
    EXPECT_THAT(ToGrpc(absl::Status(code, "/srv/secret/path")).error_message(), Not(HasSubstr("/srv")));
}

TEST(StatusCodesTest, MessagesOfAPeerAreShortAndPrintable) {
  const auto read = FromGrpc(grpc::Status(grpc::StatusCode::ABORTED, "red \x1b[31m" + std::string(5000, 'x')));
  EXPECT_EQ(read.code(), absl::StatusCode::kAborted);
  EXPECT_LT(read.message().size(), 1100u);
  EXPECT_EQ(read.message().find('\x1b'), absl::string_view::npos);
}

TEST(StatusCodesTest, ACodeThatNobodyKnowsIsUnknown) {
  EXPECT_THAT(FromGrpc(grpc::Status(static_cast<grpc::StatusCode>(20), "x")), StatusIs(absl::StatusCode::kUnknown));
}

}  // namespace
}  // namespace tributary::rpc
