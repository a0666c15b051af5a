#include "server/service/enrolment_relay.h"

#include <gmock/gmock.h>

#include "common/base/random.h"
#include "common/rpc/limits.h"
#include "tests/support/status_matchers.h"

namespace tributary::service {
namespace {

using testing::StatusIs;

RelayedRequest Request() {
  RelayedRequest out{7, "192.0.2.1:5000", {}};
  out.request.set_token_id("00ff");
  out.request.set_secret(std::string(32, 's'));
  out.request.set_csr_pem("csr");
  return out;
}

TEST(EnrolmentRelayTest, WhatIsSentIsWhatArrives) {
  ASSERT_OK_AND_ASSIGN(const RelayedRequest request, DecodeRelayedRequest(EncodeRelayed(Request())));
  EXPECT_EQ(request.id, 7u);
  EXPECT_EQ(request.address, "192.0.2.1:5000");
  EXPECT_EQ(request.request.secret(), std::string(32, 's'));
  RelayedAnswer answer{9, absl::PermissionDeniedError("no"), {}};
  answer.response.set_name("alice");
  ASSERT_OK_AND_ASSIGN(const RelayedAnswer got, DecodeRelayedAnswer(EncodeRelayed(answer)));
  EXPECT_EQ(got.id, 9u);
  EXPECT_EQ(got.status, answer.status);
  EXPECT_EQ(got.response.name(), "alice");
}

TEST(EnrolmentRelayTest, AnAddressThatForgesLogLinesIsEscaped) {
  RelayedRequest request = Request();
  request.address = "1.2.3.4\nenrol ok";
  ASSERT_OK_AND_ASSIGN(const RelayedRequest got, DecodeRelayedRequest(EncodeRelayed(request)));
  EXPECT_EQ(got.address.find('\n'), std::string::npos);
}

TEST(EnrolmentRelayTest, WhatIsNoMessageIsRefused) {
  const std::string good = EncodeRelayed(Request());
  for (size_t size = 0; size < 8 + 2 + 14; ++size)
    EXPECT_THAT(DecodeRelayedRequest(good.substr(0, size)), StatusIs(absl::StatusCode::kInvalidArgument)) << size;
  EXPECT_THAT(DecodeRelayedRequest(good + std::string(rpc::kMaxEnrolmentMessageBytes, 'x')),
              StatusIs(absl::StatusCode::kInvalidArgument));
  RelayedRequest none = Request();
  none.id = 0;
  EXPECT_THAT(DecodeRelayedRequest(EncodeRelayed(none)), StatusIs(absl::StatusCode::kInvalidArgument));
  std::string code = EncodeRelayed(RelayedAnswer{1, absl::OkStatus(), {}});
  code[8] = 99;
  EXPECT_THAT(DecodeRelayedAnswer(code), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(EnrolmentRelayTest, MutatedMessagesAreReadOrRefused) {
  Rng rng(1);
  const std::string good = EncodeRelayed(Request());
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = good;
    for (uint32_t n = 0; n < 1 + static_cast<uint32_t>(i) % 4; ++n)
      bytes[static_cast<size_t>(rng.UniformFloat() * static_cast<float>(bytes.size() - 1))] =
          static_cast<char>(rng.UniformFloat() * 256);
    const auto request = DecodeRelayedRequest(bytes);
    EXPECT_TRUE(!request.ok() || request->address.size() <= 256u);
    DecodeRelayedAnswer(bytes).status().IgnoreError();
  }
}

}  // namespace
}  // namespace tributary::service
