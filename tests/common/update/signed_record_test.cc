#include "common/update/signed_record.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>

#include "common/base/bytes.h"
#include "common/crypto/digest.h"
#include "common/update/rejection.h"
#include "tests/support/status_matchers.h"
#include "tributary/v1/update.pb.h"

namespace tributary::update {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

v1::UpdateRecord ExampleRecord() {
  v1::UpdateRecord r;
  r.set_federation("fed-1");
  r.set_run_id("run-\xc3\xa9");
  r.set_round(7);
  r.set_task_id("task-9");
  r.set_client_id("client-3");
  r.set_certificate_sha256(std::string(64, 'a'));
  r.set_base_model_sha256(std::string(64, 'b'));
  r.set_plan_sha256(std::string(64, 'c'));
  r.set_update_sha256(std::string(64, 'd'));
  r.set_encoding("float32");
  r.set_length(16);
  r.set_examples(600);
  r.set_metrics_sha256(std::string(64, 'e'));
  return r;
}

v1::Receipt ExampleReceipt() {
  v1::Receipt receipt;
  *receipt.mutable_record() = ExampleRecord();
  receipt.set_previous_record_sha256(std::string(64, 'f'));
  receipt.set_accepted_unix_ms(1700000000123);
  receipt.set_signature("not part of what is signed");
  return receipt;
}

// The golden numbers come from another implementation (Python's struct and hashlib) of the layout in the header.
TEST(SignedRecordTest, UpdateBytesAreTheDocumentedOnes) {
  const std::string bytes = CanonicalBytes(ExampleRecord());
  EXPECT_EQ(bytes.size(), 500u);
  EXPECT_EQ(HexEncode(bytes.substr(0, 80)),
            "7472696275746172792f7570646174652f76310005000000000000006665642d31060000000000000072756e2dc3a9080000000000"
            "0000070000000000000006000000000000007461736b2d39080000");
  EXPECT_EQ(crypto::Sha256Hex(bytes), "4a5461c8988eebba69ac1b025d517519e98b554289e77a18c01d9130041d36c2");
}

TEST(SignedRecordTest, ReceiptBytesAreTheDocumentedOnes) {
  const std::string bytes = CanonicalBytes(ExampleReceipt());
  EXPECT_EQ(bytes.size(), 589u);
  EXPECT_EQ(crypto::Sha256Hex(bytes), "bc97fb712e73bdb381e0c4cfe168ce6fec7e1aa9fe72e4f3562b8822071b3669");
}

TEST(SignedRecordTest, SignatureIsNotPartOfTheReceiptsBytes) {
  v1::Receipt other = ExampleReceipt();
  other.set_signature("another");
  EXPECT_EQ(CanonicalBytes(ExampleReceipt()), CanonicalBytes(other));
}

TEST(SignedRecordTest, TextCannotMoveFromOneFieldToTheNext) {
  v1::UpdateRecord a = ExampleRecord(), b = ExampleRecord();
  a.set_federation("fed-1r");
  b.set_run_id("r" + b.run_id());
  EXPECT_NE(CanonicalBytes(a), CanonicalBytes(b));
}

TEST(SignedRecordTest, EveryFieldChangesTheBytes) {
  const std::string original = CanonicalBytes(ExampleRecord());
  const auto* descriptor = v1::UpdateRecord::descriptor();
  ASSERT_EQ(descriptor->field_count(), 13);
  for (int i = 0; i < descriptor->field_count(); ++i) {
    v1::UpdateRecord changed = ExampleRecord();
    changed.GetReflection()->ClearField(&changed, descriptor->field(i));
    EXPECT_NE(CanonicalBytes(changed), original) << descriptor->field(i)->name();
  }
}

TEST(SignedRecordTest, AWellFormedRecordPasses) { EXPECT_OK(CheckWellFormed(ExampleRecord())); }

struct BadRecord {
  const char* name;
  std::function<void(v1::UpdateRecord*)> spoil;
  std::string_view code;
};

class BadRecordTest : public ::testing::TestWithParam<BadRecord> {};

TEST_P(BadRecordTest, IsRefusedByItsCode) {
  v1::UpdateRecord r = ExampleRecord();
  GetParam().spoil(&r);
  const absl::Status status = CheckWellFormed(r);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(RejectionCode(status), GetParam().code) << status;
}

INSTANTIATE_TEST_SUITE_P(
    Fields, BadRecordTest,
    ::testing::Values(
        BadRecord{"no_federation", [](auto* r) { r->clear_federation(); }, "malformed"},
        BadRecord{"no_run", [](auto* r) { r->clear_run_id(); }, "malformed"},
        BadRecord{"no_task", [](auto* r) { r->clear_task_id(); }, "malformed"},
        BadRecord{"long_client", [](auto* r) { r->set_client_id(std::string(129, 'x')); }, "malformed"},
        BadRecord{"control_character", [](auto* r) { r->set_run_id("a\nb"); }, "malformed"},
        BadRecord{"upper_case_digest", [](auto* r) { r->set_update_sha256(std::string(64, 'A')); }, "malformed"},
        BadRecord{"short_digest", [](auto* r) { r->set_plan_sha256("abc"); }, "malformed"},
        BadRecord{"no_metrics_digest", [](auto* r) { r->clear_metrics_sha256(); }, "malformed"},
        BadRecord{"no_base", [](auto* r) { r->clear_base_model_sha256(); }, "malformed"},
        BadRecord{"no_certificate", [](auto* r) { r->clear_certificate_sha256(); }, "malformed"},
        BadRecord{"round_0", [](auto* r) { r->set_round(0); }, "malformed"},
        BadRecord{"unknown_encoding", [](auto* r) { r->set_encoding("float16"); }, "bad_encoding"},
        BadRecord{"no_bytes", [](auto* r) { r->set_length(0); }, "wrong_shape"},
        BadRecord{"too_many_bytes", [](auto* r) { r->set_length(uint64_t{1} << 40); }, "too_large"},
        BadRecord{"zero_examples", [](auto* r) { r->set_examples(0); }, "bad_examples"},
        BadRecord{"negative_examples", [](auto* r) { r->set_examples(static_cast<uint64_t>(-5)); }, "bad_examples"}),
    [](const auto& param_info) { return std::string(param_info.param.name); });

TEST(MetricsTest, ComeBackAsSent) {
  v1::UpdateMetrics sent;
  sent.set_train_loss(0.5);
  sent.set_validation_accuracy(1.0);
  sent.set_validation_examples(60);
  sent.set_engine("0.1.0/avx2/float32");
  ASSERT_OK_AND_ASSIGN(const v1::UpdateMetrics got, ParseMetrics(sent.SerializeAsString()));
  EXPECT_EQ(got.train_loss(), 0.5);
  EXPECT_FALSE(got.has_validation_loss());
  EXPECT_EQ(got.engine(), "0.1.0/avx2/float32");
}

TEST(MetricsTest, NoneAtAllAreFine) { EXPECT_OK(ParseMetrics("")); }

TEST(MetricsTest, ImpossibleValuesAreRefused) {
  const auto code_of = [](const std::function<void(v1::UpdateMetrics*)>& spoil) {
    v1::UpdateMetrics m;
    spoil(&m);
    return RejectionCode(ParseMetrics(m.SerializeAsString()).status());
  };
  EXPECT_EQ(code_of([](auto* m) { m->set_train_loss(std::numeric_limits<double>::quiet_NaN()); }), "bad_metrics");
  EXPECT_EQ(code_of([](auto* m) { m->set_train_loss(-1); }), "bad_metrics");
  EXPECT_EQ(code_of([](auto* m) { m->set_validation_loss(std::numeric_limits<double>::infinity()); }), "bad_metrics");
  EXPECT_EQ(code_of([](auto* m) { m->set_validation_accuracy(1.5); }), "bad_metrics");
  EXPECT_EQ(code_of([](auto* m) { m->set_update_norm(-1); }), "bad_metrics");
  // No ledger can store them: without a refusal the client would send them again for ever.
  EXPECT_EQ(code_of([](auto* m) { m->set_validation_examples(uint64_t{1} << 63); }), "bad_metrics");
  EXPECT_EQ(code_of([](auto* m) { m->set_queue_ms(uint64_t(-1)); }), "bad_metrics");
  EXPECT_EQ(code_of([](auto* m) { m->set_download_ms(uint64_t(-1)); }), "bad_metrics");
  EXPECT_EQ(code_of([](auto* m) { m->set_train_ms(uint64_t(-1)); }), "bad_metrics");
  EXPECT_EQ(code_of([](auto* m) { m->set_engine("two\nlines"); }), "bad_metrics");
  EXPECT_EQ(code_of([](auto* m) { m->set_engine(std::string(65, 'x')); }), "bad_metrics");
}

TEST(MetricsTest, BytesThatAreNoMessageAreRefused) {
  EXPECT_EQ(RejectionCode(ParseMetrics("\xff\xff\xff").status()), "bad_metrics");
  EXPECT_EQ(RejectionCode(ParseMetrics(std::string(4097, '\0')).status()), "bad_metrics");
}

}  // namespace
}  // namespace tributary::update
