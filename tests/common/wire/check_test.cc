#include "common/wire/check.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/unknown_field_set.h>

#include "tests/support/status_matchers.h"
#include "tests/support/wire_samples.h"
#include "tributary/v1/federation.pb.h"
#include "tributary/v1/operator.pb.h"

namespace tributary::wire {
namespace {

using testing::FittingMessage;
using ::testing::HasSubstr;
using testing::IsOk;
using ::testing::StartsWith;
using testing::StatusIs;

TEST(CheckTest, WhatFitsPasses) {
  for (const MessageRules& rules : AllRules()) {
    EXPECT_THAT(Check(*FittingMessage(rules.type())), IsOk()) << rules.type()->full_name();
  }
}

// Every rule is applied: whatever must not be in a field is refused, by the name of that field.
TEST(CheckTest, EveryFieldIsRefusedForWhatItMayNotHold) {
  int refused = 0;
  for (const MessageRules& rules : AllRules()) {
    for (const FieldRule& f : rules.fields) {
      for (const testing::Misfit& misfit : testing::MisfitsOf(rules.type(), f)) {
        const auto message = FittingMessage(rules.type());
        misfit.apply(message.get());
        const absl::Status checked = Check(*message);
        EXPECT_EQ(checked.code(), absl::StatusCode::kInvalidArgument)
            << rules.type()->name() << "." << f.field << ": " << misfit.name;
        EXPECT_THAT(std::string(checked.message()), StartsWith(std::string(f.field))) << misfit.name;
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 500);
}

TEST(CheckTest, AFaultDeepInsideIsNamedByItsWholePath) {
  v1::ClientMessage message;
  v1::Hello* hello = message.mutable_hello();
  hello->mutable_dataset()->add_classes("cat");
  hello->mutable_dataset()->add_classes("\x1b[2J");
  EXPECT_THAT(Check(message), StatusIs(absl::StatusCode::kInvalidArgument,
                                       HasSubstr("hello.dataset.classes[1]: 1 to 255 bytes of text")));
}

TEST(CheckTest, ProductsThatOverflowAreRefused) {
  v1::DatasetFacts facts;
  for (int i = 0; i < 3; ++i) facts.add_shape(1u << 28);  // 2^84
  EXPECT_THAT(Check(facts), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("shape is out of range")));
}

TEST(CheckTest, ClassNamesAreBoundedTogetherToo) {
  v1::DatasetFacts facts;
  for (int i = 0; i < 258; ++i) facts.add_classes(std::string(255, 'c'));
  EXPECT_THAT(Check(facts), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("together")));
}

TEST(CheckTest, AKindThatALaterVersionAddedIsPassedOver) {
  v1::ClientMessage message;
  message.GetReflection()->MutableUnknownFields(&message)->AddLengthDelimited(99, "later");
  EXPECT_THAT(Check(message), IsOk());
}

TEST(CheckTest, UnknownFieldsAreNoPlaceToHideThingsIn) {
  v1::ClientMessage message;
  v1::HeldTask* held = message.mutable_hello()->add_held();
  held->set_task_id(std::string(64, 'a'));
  held->set_state(v1::HeldTask::QUEUED);
  held->GetReflection()->MutableUnknownFields(held)->AddLengthDelimited(99, std::string(2000, 'x'));
  EXPECT_THAT(Check(message), IsOk());
  message.GetReflection()->MutableUnknownFields(&message)->AddLengthDelimited(99, std::string(2500, 'x'));
  EXPECT_THAT(Check(message), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("unknown fields")));
}

TEST(CheckTest, AMessageWithoutRulesIsRefused) {
  EXPECT_THAT(Check(v1::RunDocument()), StatusIs(absl::StatusCode::kInternal));
}

}  // namespace
}  // namespace tributary::wire
