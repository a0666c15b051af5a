#include "common/crypto/invitation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/bytes.h"
#include "common/crypto/digest.h"
#include "tests/common/crypto/self_made.h"
#include "tests/support/status_matchers.h"

namespace tributary::crypto {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

class InvitationTest : public ::testing::Test {
 protected:
  InvitationTest() {
    invitation_.role = InvitedRole::kOperator;
    invitation_.main_endpoint = "coordinator.example:7443";
    invitation_.enrol_endpoint = "[::1]:7444";
    invitation_.ca_certificate_pem = SelfMade().certificate.pem();
    invitation_.token_id = "00aaff";
    invitation_.secret = std::string(31, '\0') + "\xff";
    invitation_.expires = absl::FromUnixMillis(1'700'000'123'456);
    text_ = *EncodeInvitation(invitation_);
  }
  static absl::Status Parse(const std::string& text) { return ParseInvitation(text).status(); }
  std::string Payload() const { return *Base64UrlDecode(text_.substr(5)); }
  // With a checksum that fits again.
  static std::string Wrap(const std::string& payload) {
    return "trb1_" + Base64UrlEncode(payload + Sha256(payload).substr(0, 4));
  }

  Invitation invitation_;
  std::string text_;
};

TEST_F(InvitationTest, GoesThereAndBack) {
  ASSERT_OK_AND_ASSIGN(const Invitation read, ParseInvitation(" \n" + text_ + "\r\n"));
  EXPECT_EQ(read.role, invitation_.role);
  EXPECT_EQ(read.main_endpoint, invitation_.main_endpoint);
  EXPECT_EQ(read.enrol_endpoint, invitation_.enrol_endpoint);
  EXPECT_EQ(read.ca_certificate_pem, invitation_.ca_certificate_pem);
  EXPECT_EQ(read.token_id, invitation_.token_id);
  EXPECT_EQ(read.secret, invitation_.secret);
  EXPECT_EQ(read.expires, invitation_.expires);
}

TEST_F(InvitationTest, HasTheDocumentedLayout) {
  const std::string payload = Payload();
  EXPECT_EQ(payload.substr(0, 3), std::string("\x02\x18\x00", 3));  // operator, 24 characters follow
  EXPECT_EQ(payload.substr(3, 24), "coordinator.example:7443");
  EXPECT_EQ(payload.substr(27, 12), std::string("\x0a\x00", 2) + "[::1]:7444");
  const size_t end = payload.size() - 4;
  EXPECT_EQ(payload.substr(end - 8 - 32, 32), invitation_.secret);
  EXPECT_EQ(LoadLe64(payload.data() + end - 8), 1'700'000'123'456u);
  EXPECT_EQ(payload.substr(end), Sha256(payload.substr(0, end)).substr(0, 4));
}

TEST_F(InvitationTest, EveryCutIsFoundAndSaysSo) {
  for (size_t length = 0; length < text_.size(); ++length)
    EXPECT_THAT(Parse(text_.substr(0, length)), StatusIs(absl::StatusCode::kPermissionDenied)) << length;
  EXPECT_THAT(Parse(text_.substr(0, text_.size() / 2)),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("cut off")));
}

TEST_F(InvitationTest, EveryChangedCharacterIsFound) {
  for (size_t i = 0; i < text_.size(); ++i) {
    std::string garbled = text_;
    garbled[i] = garbled[i] == 'x' ? 'y' : 'x';
    EXPECT_THAT(Parse(garbled), StatusIs(absl::StatusCode::kPermissionDenied)) << i;
  }
}

TEST_F(InvitationTest, WhatIsNoInvitationIsSaidSo) {
  EXPECT_THAT(Parse(""), StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("empty")));
  EXPECT_THAT(Parse("hello"), StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("trb1_")));
  EXPECT_THAT(Parse("trb2_" + text_.substr(5)), StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("trb1_")));
  EXPECT_THAT(Parse("trb1_" + std::string(100'000, 'A')), StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_F(InvitationTest, AWellFormedChecksumDoesNotMakeGarbageAnInvitation) {
  const std::string payload = Payload().substr(0, Payload().size() - 4);
  EXPECT_OK(Parse(Wrap(payload)));
  EXPECT_THAT(Parse(Wrap("")), StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(Parse(Wrap(payload + "x")), StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(Parse(Wrap("\x03" + payload.substr(1))), StatusIs(absl::StatusCode::kPermissionDenied));
  std::string spaced = payload;
  spaced[4] = ' ';  // inside the endpoint
  EXPECT_THAT(Parse(Wrap(spaced)), StatusIs(absl::StatusCode::kPermissionDenied));
  for (size_t length = 0; length < payload.size(); ++length)
    EXPECT_THAT(Parse(Wrap(payload.substr(0, length))), StatusIs(absl::StatusCode::kPermissionDenied)) << length;
}

TEST_F(InvitationTest, FieldsThatCannotBeEncodedAreRefused) {
  Invitation bad = invitation_;
  bad.secret = "short";
  EXPECT_THAT(EncodeInvitation(bad), StatusIs(absl::StatusCode::kInvalidArgument));
  bad = invitation_;
  bad.main_endpoint = "";
  EXPECT_THAT(EncodeInvitation(bad), StatusIs(absl::StatusCode::kInvalidArgument));
  bad = invitation_;
  bad.token_id = "../x";
  EXPECT_THAT(EncodeInvitation(bad), StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace tributary::crypto
