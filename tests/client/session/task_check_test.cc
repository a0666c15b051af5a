#include "client/session/task_check.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "common/update/signed_record.h"
#include "tests/client/session/test_federation.h"
#include "tests/support/status_matchers.h"

namespace tributary::session {
namespace {

using testing::StatusIs;

struct Case {
  const char* name;
  void (*change)(v1::TrainTask*);
};

class BadTaskTest : public ::testing::TestWithParam<Case> {};

TEST_P(BadTaskTest, IsNotUnderstood) {
  const TestFederation federation;
  v1::TrainTask task = federation.Task(2);
  ASSERT_OK(ParseTask(task, federation.ca()));
  GetParam().change(&task);
  EXPECT_THAT(ParseTask(task, federation.ca()), StatusIs(absl::StatusCode::kInvalidArgument));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadTaskTest,
    ::testing::Values(
        Case{"TaskIdIsAPath", [](v1::TrainTask* task) { task->set_task_id("../../etc/passwd"); }},
        Case{"NoRun", [](v1::TrainTask* task) { task->clear_run_id(); }},
        Case{"RoundZero", [](v1::TrainTask* task) { task->set_round(0); }},
        Case{"RoundBeyondTheDatabase", [](v1::TrainTask* task) { task->set_round(UINT64_MAX); }},
        Case{"BaseModelIsNoDigest", [](v1::TrainTask* task) { task->set_base_model_sha256("../x"); }},
        Case{"OneByteOfPlanChanged", [](v1::TrainTask* task) { task->mutable_plan()->back() ^= 1; }},
        Case{"BaseModelOfAnotherSize", [](v1::TrainTask* task) { task->set_base_model_bytes(4); }},
        Case{"UnknownEncoding", [](v1::TrainTask* task) { task->set_encoding("zip"); }},
        Case{"RateZero", [](v1::TrainTask* task) { task->set_learning_rate(0); }},
        Case{"RateIsNoNumber",
             [](v1::TrainTask* task) { task->set_learning_rate(std::numeric_limits<double>::quiet_NaN()); }},
        Case{"NoReceiptKey", [](v1::TrainTask* task) { task->clear_receipt_certificate_pem(); }},
        Case{"ReceiptKeyWithALongTail",
             [](v1::TrainTask* task) { task->mutable_receipt_certificate_pem()->append(std::string(1 << 20, '#')); }},
        Case{"ReceiptKeyOfAnotherFederation",
             [](v1::TrainTask* task) {
               task->set_receipt_certificate_pem(TestFederation().Task(1).receipt_certificate_pem());
             }}),
    [](const auto& param_info) { return param_info.param.name; });

policy::TaskTerms TermsOfModel(const v1::ModelDescription& model) {
  v1::RunPlan plan;
  *plan.mutable_model() = model;
  return TermsOf(v1::TrainTask(), plan);
}

TEST(TermsTest, APresetIsKnownByItsLayers) {
  for (const char* name : {"keras-cnn", "cat-cnn", "fedavg-cnn"}) {
    v1::ModelDescription model = nn::ModelDescription::Preset(name).value();
    EXPECT_EQ(name, TermsOfModel(model).preset);
    // What a run file may add to a preset.
    model.add_classes("cat");
    model.add_input_mean(0.5f);
    model.add_input_std(0.25f);
    EXPECT_EQ(name, TermsOfModel(model).preset);
  }
}

TEST(TermsTest, OtherLayersUnderAPresetsNameAreNotThePreset) {
  const v1::ModelDescription preset = nn::ModelDescription::Preset("keras-cnn").value();
  std::vector<v1::ModelDescription> liars(5, preset);
  liars[0].mutable_layers()->RemoveLast();
  liars[1].mutable_layers(0)->mutable_conv2d()->set_filters(33);
  liars[2].set_input(0, 29);
  liars[3].set_preset("fedavg-cnn");
  liars[4].set_preset("made-up");
  for (const v1::ModelDescription& liar : liars) {
    EXPECT_EQ("", TermsOfModel(liar).preset);
    EXPECT_EQ(liar.preset(), TermsOfModel(liar).claimed_preset);
  }
}

class ReceiptTest : public ::testing::Test {
 protected:
  ReceiptTest()
      : task_(federation_.Task(1)),
        record_(federation_.Entry(task_, "bytes").record),
        receipt_(federation_.ReceiptFor(record_, task_)) {}

  const TestFederation federation_;
  const v1::TrainTask task_;
  const v1::UpdateRecord record_;
  v1::Receipt receipt_;
};

TEST_F(ReceiptTest, OfTheUpdateIsTaken) { EXPECT_OK(CheckReceipt(receipt_, record_, task_)); }

TEST_F(ReceiptTest, OfAnotherUpdateIsRefused) {
  v1::UpdateRecord other = record_;
  other.set_examples(11);
  EXPECT_THAT(CheckReceipt(federation_.ReceiptFor(other, task_), record_, task_),
              StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(ReceiptTest, SignedBeforeARenewalIsTaken) {
  v1::UpdateRecord older = record_;
  older.set_certificate_sha256(std::string(64, 'a'));
  EXPECT_OK(CheckReceipt(federation_.ReceiptFor(older, task_), record_, task_));
}

TEST_F(ReceiptTest, OnAnotherHistoryIsRefused) {
  EXPECT_THAT(CheckReceipt(federation_.ReceiptFor(record_, federation_.Task(2)), record_, task_),
              StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(ReceiptTest, WithAChangedTimeIsRefused) {
  receipt_.set_accepted_unix_ms(receipt_.accepted_unix_ms() + 1);
  EXPECT_THAT(CheckReceipt(receipt_, record_, task_), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(ReceiptTest, SignedByAnybodyElseIsRefused) {
  receipt_.set_signature(federation_.ClientSigner().key.Sign(update::CanonicalBytes(receipt_)).value());
  EXPECT_THAT(CheckReceipt(receipt_, record_, task_), StatusIs(absl::StatusCode::kDataLoss));
  receipt_.clear_signature();
  EXPECT_THAT(CheckReceipt(receipt_, record_, task_), StatusIs(absl::StatusCode::kDataLoss));
}

}  // namespace
}  // namespace tributary::session
